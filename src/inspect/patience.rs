//! How long a part may take to answer.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Kind, Result};

/// How long one part may take. A part that answers does so in milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long reading what the tables remember may take: a dead worker's open transaction holds records back for
/// 15 to 25 s.
pub const READING: Duration = Duration::from_secs(30);

/// How long a question may take: some seconds, and no longer than until all must be over.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    end: Option<Instant>,
}

impl Patience {
    /// For each question by itself.
    pub fn each() -> Self {
        Patience { end: None }
    }

    /// For all questions together.
    pub fn until(end: Instant) -> Self {
        Patience { end: Some(end) }
    }

    /// Waits for an answer.
    pub async fn wait<T>(self, doing: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let left = match self.end {
            Some(end) => end.saturating_duration_since(Instant::now()).min(PATIENCE),
            None => PATIENCE,
        };
        match left {
            Duration::ZERO => Err(Error::new(Kind::TryLater, doing).because(OVER)),
            left => within(left, doing, work).await,
        }
    }
}

/// Why something was not asked.
const OVER: &str = "the time was over before";

/// Whether a question was not asked because the time was over.
pub fn is_out_of_time(error: &Error) -> bool {
    error.kind() == Kind::TryLater && error.to_string().ends_with(OVER)
}

/// Waits for an answer, for so long.
pub async fn within<T>(
    limit: Duration,
    doing: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::new(Kind::Unavailable, doing)
            .because(format!("no answer within {} s", limit.as_secs_f64().ceil()))),
    }
}

/// As [`within`], for work that blocks. What does not answer in time goes on by itself, unheard.
pub async fn blocking<T: Send + 'static>(
    limit: Duration,
    doing: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let joined = async {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(Error::new(Kind::Bug, doing).because(error)))
    };
    within(limit, doing, joined).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_part_is_given_up_by_name() {
        let silence = std::future::pending::<Result<()>>();
        let answer = within(Duration::ZERO, "asking a database", silence).await;
        let error = answer.unwrap_err();
        assert_eq!(error.to_string(), "asking a database: no answer within 0 s");
        assert_eq!(error.kind(), Kind::Unavailable);
    }

    #[tokio::test]
    async fn what_comes_after_the_end_is_not_asked() {
        let patience = Patience::until(Instant::now());
        let answer = patience.wait("asking a database", async { Ok(()) }).await;
        assert!(is_out_of_time(&answer.unwrap_err()));
        assert!(
            Patience::each()
                .wait("asking", async { Ok(()) })
                .await
                .is_ok()
        );
    }
}
