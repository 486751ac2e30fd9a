//! The lake in a bucket of S3, or of a server that speaks its protocol.
//!
//! The SDK tries each request once; what passes by itself is tried again here, visibly, because only here is
//! it known that a lost answer to a conditional put must be settled by looking.

mod failure;
mod upload;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{ProvideCredentials, SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::Object;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use bytes::Bytes;

use super::{Entry, PutOutcome, Store, Swap, check_path};
use crate::certificates::read_certificates;
use crate::error::{Error, Kind, Result};
use failure::{Answer, Failure, PATIENCE, Patience, chain};

/// A peer in the same region answers in milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest request holds 64 MiB: about 1 MiB/s is still borne.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// What servers other than AWS expect where no region is set.
const REGION_OF_AN_ENDPOINT: &str = "us-east-1";
/// S3's own limit for a key, in bytes of UTF-8.
const LONGEST_KEY: usize = 1024;
/// Where every AWS tool looks for authorities, if the configuration names none.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// A client with the default credential chain: environment, profile, SSO, process, container, instance.
pub async fn client(
    endpoint: Option<&str>,
    region: Option<&str>,
    path_style: bool,
    ca_file: Option<&Path>,
) -> Result<Client> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let mut settings = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled())
        // It takes a slow disk for a stalled stream.
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .upload_enabled(false)
                .build(),
        );
    if let Some(region) = region.or(endpoint.and(Some(REGION_OF_AN_ENDPOINT))) {
        settings = settings.region(Region::new(region.to_owned()));
    }
    if let Some(endpoint) = endpoint {
        settings = settings.endpoint_url(endpoint);
    }
    let settings = settings.load().await;
    if settings.region().is_none() {
        return Err(Error::new(Kind::Config, "the lake's region is not known")
            .code(crate::error::Code::NO_REGION)
            .hint("set `lake.region`, or `AWS_REGION` in the environment"));
    }
    let login = match settings.credentials_provider() {
        Some(provider) => provider
            .provide_credentials()
            .await
            .map_err(|error| chain(&error)),
        None => Err("there is no provider of credentials".to_owned()),
    };
    login.map_err(|why| {
        Error::new(Kind::Permission, "finding credentials for the lake").code(crate::error::Code::NO_LAKE_CREDENTIALS).because(why).hint(
            "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, `AWS_PROFILE`, or run with a role that has access",
        )
    })?;
    let mut config = aws_sdk_s3::config::Builder::from(&settings).force_path_style(path_style);
    let bundle = std::env::var_os(CA_BUNDLE).map(PathBuf::from);
    if let Some(file) = ca_file.or(bundle.as_deref()) {
        config = config.http_client(trusting(file)?);
    }
    Ok(Client::from_conf(config.build()))
}

/// Connections that trust the authorities of this file alone. Only the store is asked through them: whoever
/// gives credentials may be elsewhere.
fn trusting(file: &Path) -> Result<SharedHttpClient> {
    read_certificates(file, "the lake's certificate authorities")?;
    let failed = || {
        Error::new(
            Kind::Config,
            format!("trusting the authorities of `{}`", file.display()),
        )
    };
    let pem = std::fs::read(file).map_err(|error| failed().because(error))?;
    let trusted = TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(pem))
        .build()
        .map_err(|error| failed().because(error))?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(trusted)
        .build_https())
}

/// Objects below a prefix of one bucket.
pub struct S3Store {
    client: Client,
    bucket: String,
    /// Empty, or ending in a slash.
    prefix: String,
    patience: Duration,
}

impl S3Store {
    pub fn new(client: Client, bucket: &str, prefix: &str) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        S3Store {
            client,
            bucket: bucket.to_owned(),
            prefix,
            patience: PATIENCE,
        }
    }

    /// Fails if there is no such bucket, or these credentials may not see it.
    pub async fn check_bucket(&self) -> Result<()> {
        let about = format!("s3://{}", self.bucket);
        let mut patience = Patience::new("looking for the bucket", about, self.patience);
        loop {
            let Err(error) = self.client.head_bucket().bucket(&self.bucket).send().await else {
                return Ok(());
            };
            let failure = patience.judge(error);
            if failure.answer == Answer::Missing {
                let error = patience.error(Kind::Config, "there is no such bucket".into());
                return Err(error
                    .code(crate::error::Code::NO_BUCKET)
                    .hint("create the bucket, or correct `lake.url`"));
            }
            self.bear(failure, &mut patience).await?;
        }
    }

    fn key(&self, path: &str) -> Result<String> {
        check_path(path)?;
        let key = format!("{}{path}", self.prefix);
        if key.len() > LONGEST_KEY {
            return Err(Error::new(
                Kind::Data,
                format!("an object's name is longer than {LONGEST_KEY} bytes"),
            )
            .about(format!("`s3://{}/{key}`", self.bucket))
            .hint(
                "shorten the lake's prefix, or partition by `bucket(n, …)` instead of a long value",
            ));
        }
        Ok(key)
    }

    fn patience(&self, doing: &'static str, key: &str) -> Patience {
        Patience::new(doing, format!("s3://{}/{key}", self.bucket), self.patience)
    }

    /// Waits where the same request may succeed later, else fails.
    async fn bear(&self, failure: Failure, patience: &mut Patience) -> Result<()> {
        match failure.answer {
            Answer::Unknown | Answer::Conflict => patience.wait(failure.error).await,
            _ => Err(failure.error),
        }
    }

    /// The object's size, or `None` if there is none.
    async fn size(&self, key: &str, patience: &mut Patience) -> Result<Option<u64>> {
        loop {
            match self
                .client
                .head_object()
                .bucket(&self.bucket)
                .key(key)
                .send()
                .await
            {
                Ok(head) => {
                    return Ok(Some(head.content_length().unwrap_or_default().max(0) as u64));
                }
                Err(error) => match patience.judge(error) {
                    Failure {
                        answer: Answer::Missing,
                        ..
                    } => return Ok(None),
                    failure => self.bear(failure, patience).await?,
                },
            }
        }
    }

    /// An object or a range of it, and its tag; `None` if there is none.
    async fn read(
        &self,
        key: &str,
        range: Option<&str>,
        patience: &mut Patience,
    ) -> Result<Option<(Bytes, String)>> {
        loop {
            let request = self.client.get_object().bucket(&self.bucket).key(key);
            match request.set_range(range.map(str::to_owned)).send().await {
                Ok(object) => match object.body.collect().await {
                    Ok(body) => {
                        return Ok(Some((body.into_bytes(), object.e_tag.unwrap_or_default())));
                    }
                    Err(error) => {
                        patience
                            .wait(patience.error(Kind::Unavailable, chain(&error)))
                            .await?
                    }
                },
                Err(error) => match patience.judge(error) {
                    Failure {
                        answer: Answer::Missing,
                        ..
                    } => return Ok(None),
                    failure => self.bear(failure, patience).await?,
                },
            }
        }
    }

    /// One page of a listing, and where the next one begins.
    async fn page(
        &self,
        prefix: &str,
        from: Option<String>,
    ) -> Result<(Vec<Object>, Option<String>)> {
        let mut patience = self.patience("listing objects", prefix);
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix);
            match request.set_continuation_token(from.clone()).send().await {
                Ok(page) => {
                    return Ok((
                        page.contents.unwrap_or_default(),
                        page.next_continuation_token,
                    ));
                }
                Err(error) => self.bear(patience.judge(error), &mut patience).await?,
            }
        }
    }
}

#[async_trait]
impl Store for S3Store {
    async fn put_new(&self, path: &str, body: Bytes) -> Result<PutOutcome> {
        let key = self.key(path)?;
        let mut patience = self.patience("putting an object", &key);
        loop {
            let request = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(&key)
                .if_none_match("*");
            let Err(error) = request.body(ByteStream::from(body.clone())).send().await else {
                return Ok(PutOutcome::Created);
            };
            let failure = patience.judge(error);
            match failure.answer {
                Answer::Refused => return Ok(PutOutcome::AlreadyThere),
                Answer::Unknown => {
                    patience.wait(failure.error).await?;
                    if self.size(&key, &mut patience).await?.is_some() {
                        return Ok(PutOutcome::AlreadyThere);
                    }
                }
                _ => self.bear(failure, &mut patience).await?,
            }
        }
    }

    async fn put_file_new(&self, path: &str, file: &Path) -> Result<PutOutcome> {
        let reading = |error| upload::unreadable(file, error);
        let size = tokio::fs::metadata(file).await.map_err(reading)?.len();
        if size > upload::LARGEST_WHOLE {
            return self.put_parts(&self.key(path)?, file).await;
        }
        let body = tokio::fs::read(file).await.map_err(reading)?;
        self.put_new(path, body.into()).await
    }

    async fn get(&self, path: &str) -> Result<Option<(Bytes, String)>> {
        let key = self.key(path)?;
        let mut patience = self.patience("getting an object", &key);
        self.read(&key, None, &mut patience).await
    }

    async fn tail(&self, path: &str, len: u64) -> Result<Option<(Bytes, u64)>> {
        let key = self.key(path)?;
        let mut patience = self.patience("getting the end of an object", &key);
        // The size first: servers differ in what they make of a range that is longer than the object.
        let Some(size) = self.size(&key, &mut patience).await? else {
            return Ok(None);
        };
        let wanted = len.min(size);
        if wanted == 0 {
            return Ok(Some((Bytes::new(), size)));
        }
        let range = format!("bytes={}-{}", size - wanted, size - 1);
        let end = self.read(&key, Some(&range), &mut patience).await?;
        Ok(end.map(|(end, _)| (end, size)))
    }

    async fn replace(&self, path: &str, body: Bytes, tag: Option<&str>) -> Result<Swap> {
        let key = self.key(path)?;
        let mut patience = self.patience("replacing an object", &key);
        let mut unsure = false;
        loop {
            let request = self.client.put_object().bucket(&self.bucket).key(&key);
            let request = match tag {
                Some(tag) => request.if_match(tag),
                None => request.if_none_match("*"),
            };
            let Err(error) = request.body(ByteStream::from(body.clone())).send().await else {
                return Ok(Swap::Done);
            };
            let failure = patience.judge(error);
            match failure.answer {
                Answer::Refused | Answer::Missing if !unsure => return Ok(Swap::Stale),
                Answer::Refused | Answer::Missing => {}
                Answer::Unknown => {
                    unsure = true;
                    patience.wait(failure.error).await?;
                }
                _ => {
                    self.bear(failure, &mut patience).await?;
                    continue;
                }
            }
            // A try whose answer was lost may have done it: what is there now decides.
            match self.get(path).await? {
                Some((there, _)) if there == body => return Ok(Swap::Done),
                Some((_, there)) if tag == Some(there.as_str()) => {}
                None if tag.is_none() => {}
                _ => return Ok(Swap::Stale),
            }
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let prefix = format!("{}{prefix}", self.prefix);
        let mut entries = Vec::new();
        let mut from = None;
        loop {
            let (objects, next) = self.page(&prefix, from).await?;
            entries.extend(objects.into_iter().filter_map(|object| {
                Some(Entry {
                    path: object
                        .key
                        .as_deref()?
                        .strip_prefix(&self.prefix)?
                        .to_owned(),
                    size: object.size.unwrap_or_default().max(0) as u64,
                    modified: object
                        .last_modified
                        .and_then(|at| at.to_millis().ok())
                        .unwrap_or_default(),
                })
            }));
            if next.is_none() {
                break;
            }
            from = next;
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let key = self.key(path)?;
        let mut patience = self.patience("deleting an object", &key);
        loop {
            match self
                .client
                .delete_object()
                .bucket(&self.bucket)
                .key(&key)
                .send()
                .await
            {
                Ok(_) => return Ok(()),
                Err(error) => match patience.judge(error) {
                    Failure {
                        answer: Answer::Missing,
                        ..
                    } => return Ok(()),
                    failure => self.bear(failure, &mut patience).await?,
                },
            }
        }
    }

    async fn check_parts(&self, path: &str) -> Result<()> {
        self.probe_parts(&self.key(path)?).await
    }

    fn location(&self, path: &str) -> String {
        format!("s3://{}/{}{path}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests;
