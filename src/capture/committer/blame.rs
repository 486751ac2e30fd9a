//! Whose fault a transaction's failure is: the tables whose topics refused the rows, or nobody's.

use std::collections::{BTreeMap, BTreeSet};

use super::parcel::Batch;
use crate::capture::topics::log_is_gone;
use crate::error::{Error, Kind};
use crate::model::TopicName;
use crate::topic::{Admin, may_not_write};

/// Why a transaction failed, and what is wrong with which topic, as far as it is known.
pub struct Failed {
    pub error: Error,
    pub topics: BTreeMap<String, Error>,
}

impl Failed {
    /// Blames a topic only for what is the topic's: a broker that is away is nobody's fault.
    pub fn of(topic: &str, error: Error) -> Self {
        let mut failed = Failed::from(error);
        if is_refusal(&failed.error) {
            failed.blame(topic, told_again(&failed.error));
        }
        failed
    }

    pub fn blame(&mut self, topic: &str, error: Error) {
        self.topics.insert(topic.to_owned(), error);
    }

    /// Blames what the client said may not be written to: its error says only that there is such a topic.
    pub fn with_unwritable(mut self, topics: BTreeSet<String>) -> Self {
        if let Some(first) = topics.first() {
            self.error = may_not_write(first);
        }
        for topic in topics {
            self.blame(&topic, may_not_write(&topic));
        }
        self
    }

    /// Asks the broker for what is wrong where the failure names nothing: topics that do not exist any more, for which
    /// the client waits in silence, and such as may not be written to.
    pub fn look_into(&mut self, batches: &[Batch], ask: impl FnOnce() -> Option<Admin>) {
        if !self.topics.is_empty()
            || !(is_refusal(&self.error) || self.error.kind() == Kind::Unavailable)
        {
            return;
        }
        let Some(admin) = ask() else { return };
        let mut found = BTreeMap::new();
        let topics: BTreeSet<TopicName> = batches.iter().flat_map(Batch::topics).collect();
        for topic in topics {
            let name = topic.as_str();
            let wrong = match admin.partitions(name) {
                Ok(None) => log_is_gone(&topic),
                Ok(Some(_)) if is_refusal(&self.error) => match admin.may_write(name) {
                    Ok(Some(false)) => may_not_write(name),
                    _ => continue,
                },
                Ok(Some(_)) => continue,
                Err(error) if error.kind() == Kind::Permission => may_not_write(name),
                // The broker is away: nothing can be said of any topic.
                Err(_) => return,
            };
            found.insert(name.to_owned(), wrong);
        }
        self.topics = found;
    }

    /// Something refused these rows, and nobody says what.
    pub fn is_unexplained(&self) -> bool {
        self.topics.is_empty() && is_refusal(&self.error)
    }

    /// What is wrong with a topic of this batch.
    pub fn fault_of(&self, batch: &Batch) -> Option<Error> {
        let topics = batch.topics();
        let found = topics.iter().find_map(|t| self.topics.get(t.as_str()));
        found.map(told_again)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed {
            error,
            topics: BTreeMap::new(),
        }
    }
}

/// What trying again at once does not change.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), Kind::Permission | Kind::Config | Kind::Data)
}

/// The same failure for one more who waits: kind, code, words and next step.
pub fn told_again(error: &Error) -> Error {
    let mut again = Error::new(error.kind(), error.to_string());
    if error.has_own_code() {
        again = again.code(error.stable_code());
    }
    match error.next_step() {
        Some(next) => again.hint(next),
        None => again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::committer::parcel::tests::batch;

    fn refused() -> Error {
        Error::new(Kind::Permission, "writing to Kafka")
    }

    #[test]
    fn only_the_tables_whose_topics_are_named_are_blamed() {
        let named = BTreeSet::from(["a".to_owned(), "c.rejected".to_owned()]);
        let failed = Failed::from(refused()).with_unwritable(named);
        let fault = |topic: &str| {
            failed
                .fault_of(&batch(1, topic, true).0)
                .map(|fault| (fault.to_string(), fault.next_step().map(str::to_owned)))
        };
        let (said, next) = fault("a").expect("a fault");
        assert!(said.contains("`a`"), "{said}");
        assert!(next.is_some_and(|next| next.contains("--topic a --operation Write")));
        assert_eq!(fault("b"), None);
        assert!(fault("c").is_some_and(|(said, _)| said.contains("`c.rejected`")));
        assert!(!failed.is_unexplained());
    }

    #[test]
    fn a_broker_that_is_away_is_nobodys_fault() {
        let away = Error::new(Kind::Unavailable, "writing to topic `a`");
        let failed = Failed::of("a", away);
        assert!(failed.fault_of(&batch(1, "a", true).0).is_none());
        assert!(!failed.is_unexplained());
    }
}
