//! What S3's failures mean, and how long they are borne.

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use tokio::time::Instant;

use crate::certificates::{self, refusal};
use crate::error::{Error, Kind, Result};
use crate::retry::Backoff;

/// How long one operation may go on failing before it is given up: a rolling restart of a store passes.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How the configuration calls what TLS needs.
const TLS: certificates::Settings = certificates::Settings {
    address: "`lake.endpoint`",
    authorities: "`lake.ca_file`",
    identity: "the lake cannot be asked with one",
};
/// The longest text of a server that is shown.
const LONGEST_MESSAGE: usize = 300;

/// What an answer, or the lack of one, says of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 412: the condition does not hold.
    Refused,
    /// 404: no such object.
    Missing,
    /// 404: no such upload; it may have been completed by a try whose answer was lost.
    NoUpload,
    /// 409: somebody else is at it. Nothing was changed.
    Conflict,
    /// It may have been carried out or not: no answer, a time-out, 5xx.
    Unknown,
    /// Trying again would not help.
    Final,
}

pub struct Failure {
    pub answer: Answer,
    pub error: Error,
}

/// One operation's patience: it waits between tries, says so, and ends with the last failure.
pub struct Patience {
    doing: &'static str,
    about: String,
    longest: Duration,
    failing_since: Option<Instant>,
    backoff: Backoff,
}

impl Patience {
    pub fn new(doing: &'static str, about: String, longest: Duration) -> Self {
        Patience {
            doing,
            about,
            longest,
            failing_since: None,
            backoff: Backoff::default(),
        }
    }

    /// What a failed request means.
    pub fn judge<E>(&self, error: SdkError<E, HttpResponse>) -> Failure
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        // A handshake that fails is no answer that may come later: nothing was sent.
        if let Some(wrong) = refusal(&error) {
            return Failure {
                answer: Answer::Final,
                error: certificates::refused(self.doing, wrong, &TLS)
                    .about(format!("`{}`", self.about)),
            };
        }
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let answer = match &error {
            SdkError::ConstructionFailure(_) => Answer::Final,
            SdkError::DispatchFailure(failure) if failure.is_user() => Answer::Final,
            SdkError::ServiceError(_) => {
                answer(status.unwrap_or_default(), error.code().unwrap_or_default())
            }
            _ => Answer::Unknown,
        };
        let (kind, hint) = match answer {
            Answer::Final => fate(status, error.code().unwrap_or_default()),
            Answer::Missing => (Kind::Data, "something outside `cdc` deleted it"),
            _ => (
                Kind::Unavailable,
                "see that the store answers at its endpoint: `lake.endpoint` or `AWS_ENDPOINT_URL`, without either AWS; `cdc follow` tries again by itself",
            ),
        };
        Failure {
            answer,
            error: match hint.starts_with("create the bucket") {
                true => self
                    .error(kind, reason(&error, status))
                    .code(crate::error::Code::NO_BUCKET),
                false => self.error(kind, reason(&error, status)),
            }
            .hint(hint),
        }
    }

    pub fn error(&self, kind: Kind, why: String) -> Error {
        Error::new(kind, self.doing)
            .code(crate::error::Code::LAKE_REFUSED)
            .code(crate::error::Code::LAKE_UNREACHABLE)
            .about(format!("`{}`", self.about))
            .because(why)
    }

    /// Notes that something was carried out, so that patience begins anew.
    pub fn progress(&mut self) {
        self.failing_since = None;
        self.backoff.after_success();
    }

    /// Waits before the next try, or gives up with this error.
    pub async fn wait(&mut self, error: Error) -> Result<()> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        // One time-out may be as long as all patience: there are always two tries.
        if self.backoff.failures() > 0 && since.elapsed() >= self.longest {
            return Err(error);
        }
        let pause = self.backoff.after_failure();
        tracing::warn!(
            failures = self.backoff.failures(),
            pause_ms = pause.as_millis() as u64,
            "{error}; trying again"
        );
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// What a status and S3's error code say.
fn answer(status: u16, code: &str) -> Answer {
    match (status, code) {
        (_, "NoSuchUpload") => Answer::NoUpload,
        (_, "NoSuchBucket") => Answer::Final,
        (412, _) => Answer::Refused,
        (404, _) => Answer::Missing,
        (409, "BucketAlreadyExists" | "InvalidBucketState") => Answer::Final,
        (409, _) => Answer::Conflict,
        (
            _,
            "RequestTimeout" | "SlowDown" | "InternalError" | "ServiceUnavailable" | "BadDigest",
        ) => Answer::Unknown,
        (501 | 505, _) => Answer::Final,
        // A 200 that holds an error (CompleteMultipartUpload) names what went wrong inside the store.
        (200 | 408 | 429 | 500..=599, _) => Answer::Unknown,
        _ => Answer::Final,
    }
}

/// Kind and way out of a failure that stays.
fn fate(status: Option<u16>, code: &str) -> (Kind, &'static str) {
    match (status, code) {
        (_, "RequestTimeTooSkewed") => (Kind::Config, "set this machine's clock"),
        (_, "NoSuchBucket") => (Kind::Config, "create the bucket, or correct `lake.url`"),
        (Some(401 | 403), _) => (
            Kind::Permission,
            "check the credentials; they need `s3:ListBucket` on the bucket and `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject` and `s3:AbortMultipartUpload` below the lake's prefix",
        ),
        (Some(301 | 307 | 308), _)
        | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            (Kind::Config, "set the bucket's own region, or its endpoint")
        }
        (Some(501), _) => (
            Kind::Config,
            "the store lacks what the lake needs; use AWS S3 or a server that has it",
        ),
        (None, _) => (
            Kind::Config,
            "correct the lake's endpoint, bucket and region",
        ),
        _ => (Kind::Config, "see what the store says to this request"),
    }
}

/// The cause as one line: the service's code and message, or the chain of what went wrong on the way. Never
/// the whole answer: it may repeat what was signed.
fn reason<E>(error: &SdkError<E, HttpResponse>, status: Option<u16>) -> String
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let mut text = match error {
        SdkError::ServiceError(_) => match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {}", message.trim_end_matches('.')),
            (Some(code), None) => code.to_owned(),
            _ => "the store refused".to_owned(),
        },
        other => chain(other),
    };
    if let Some((end, _)) = text.char_indices().nth(LONGEST_MESSAGE) {
        text.truncate(end);
    }
    let request = error
        .request_id()
        .map(|id| format!(", request {id}"))
        .unwrap_or_default();
    match status {
        Some(status) => format!("{text} (status {status}{request})"),
        None => text,
    }
}

/// An error and its causes, each said once.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_status_and_code() {
        for (status, code, expected) in [
            (412, "PreconditionFailed", Answer::Refused),
            (404, "NoSuchKey", Answer::Missing),
            (404, "", Answer::Missing),
            (404, "NoSuchBucket", Answer::Final),
            (404, "NoSuchUpload", Answer::NoUpload),
            (409, "ConditionalRequestConflict", Answer::Conflict),
            (503, "SlowDown", Answer::Unknown),
            (500, "InternalError", Answer::Unknown),
            (200, "InternalError", Answer::Unknown),
            (400, "RequestTimeout", Answer::Unknown),
            (429, "", Answer::Unknown),
            (501, "NotImplemented", Answer::Final),
            (403, "AccessDenied", Answer::Final),
            (301, "PermanentRedirect", Answer::Final),
        ] {
            assert_eq!(answer(status, code), expected, "{status} {code}");
        }
        assert_eq!(fate(Some(403), "SignatureDoesNotMatch").0, Kind::Permission);
        assert_eq!(fate(Some(403), "RequestTimeTooSkewed").0, Kind::Config);
    }
}
