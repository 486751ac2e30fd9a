//! Whose fault a transaction's failure is: the table whose topic refused the rows, or nobody's.

use crate::error::{Error, Kind};

/// Why a transaction failed, and the topic that refused it, if one did.
pub struct Failed {
    pub error: Error,
    pub topic: Option<String>,
}

impl Failed {
    /// Blames a topic only for what is the topic's: a broker that is away is nobody's fault.
    pub fn of(topic: &str, error: Error) -> Self {
        let is_its_own = matches!(error.kind(), Kind::Permission | Kind::Config | Kind::Data);
        Failed {
            topic: is_its_own.then(|| topic.to_owned()),
            error,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed { error, topic: None }
    }
}

/// The same failure for one more who waits: kind, words and next step.
pub fn told_again(error: &Error) -> Error {
    let again = Error::new(error.kind(), error.to_string());
    match error.next_step() {
        Some(next) => again.hint(next),
        None => again,
    }
}
