//! Which batches go into one transaction. Pure, but for the channel they come from.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;

use super::Command;
use super::parcel::Batch;
use crate::capture::Life;
use crate::model::TopicName;

/// A transaction takes what has gathered, up to this many rows …
const TRANSACTION_ROWS: usize = 100_000;
/// … or this many bytes.
const TRANSACTION_BYTES: usize = 64 << 20;

/// The batches for one transaction: what waits in the channel already, never what is still to come. A suspect goes
/// alone. Beside them the command that was taken from the channel too many, to be handled after the transaction.
pub fn gather(
    first: Batch,
    inbox: &Receiver<Command>,
    is_alive: impl Fn(Life) -> bool,
    suspects: &Suspects,
) -> (Vec<Batch>, Option<Command>) {
    let (mut rows, mut bytes) = (0, 0);
    let mut batches = Vec::new();
    let mut next = Some(Command::Batch(first));
    while let Some(command) = next.take() {
        match command {
            Command::Batch(batch) if !is_alive(batch.place.life) => drop(batch),
            Command::Batch(batch) if suspects.include(&batch) => {
                return match batches.is_empty() {
                    true => (vec![batch], None),
                    false => (batches, Some(Command::Batch(batch))),
                };
            }
            Command::Batch(batch) => {
                rows += batch.parcel.rows();
                bytes += batch.parcel.bytes();
                batches.push(batch);
            }
            other => return (batches, Some(other)),
        }
        if rows < TRANSACTION_ROWS && bytes < TRANSACTION_BYTES {
            next = inbox.try_recv().ok();
        }
    }
    (batches, None)
}

/// Topics of transactions that were refused without a word why. Until rows of such a topic were committed they go
/// alone: the next refusal is theirs, and the others get through.
#[derive(Debug, Default)]
pub struct Suspects(BTreeSet<TopicName>);

impl Suspects {
    /// Whether this batch must have a transaction of its own.
    pub fn include(&self, batch: &Batch) -> bool {
        !self.0.is_empty() && written(batch).iter().any(|topic| self.0.contains(topic))
    }

    pub fn add(&mut self, batches: &[Batch]) {
        self.0.extend(batches.iter().flat_map(written));
    }

    /// These were committed.
    pub fn clear(&mut self, batches: &[Batch]) {
        if !self.0.is_empty() {
            for topic in batches.iter().flat_map(written) {
                self.0.remove(&topic);
            }
        }
    }
}

/// The topics into which this batch puts rows; state alone is written to no topic of the table's.
fn written(batch: &Batch) -> Vec<TopicName> {
    match batch.parcel.rows() {
        0 => Vec::new(),
        _ => batch.topics(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::capture::committer::parcel::tests::batch;

    const SUSPECTS: [&str; 2] = ["a", "b"];

    fn suspects() -> Suspects {
        let mut suspects = Suspects::default();
        suspects.add(&SUSPECTS.map(|topic| batch(1, topic, true).0));
        suspects
    }

    /// The transactions that come of these batches, waiting together: (life, topic) of each.
    fn transactions(waiting: &[(u64, &str)], suspects: &Suspects) -> Vec<Vec<String>> {
        let (sender, inbox) = channel();
        for (life, topic) in waiting {
            let sent = sender.send(Command::Batch(batch(*life, topic, true).0));
            sent.expect("somebody listens");
        }
        let mut all = Vec::new();
        let mut next = inbox.try_recv().ok();
        while let Some(Command::Batch(first)) = next {
            let (batches, waiting) = gather(first, &inbox, |life| life == 1, suspects);
            let names = batches.iter().filter_map(|batch| batch.topic.as_ref());
            all.push(names.map(ToString::to_string).collect());
            next = waiting.or_else(|| inbox.try_recv().ok());
        }
        all
    }

    #[test]
    fn what_waits_goes_together_and_suspects_go_alone_in_the_order_in_which_they_came() {
        let waiting = [(1, "c"), (1, "a"), (1, "a"), (1, "d"), (1, "c"), (1, "b")];
        let together = transactions(&waiting, &Suspects::default());
        assert_eq!(together, [vec!["c", "a", "a", "d", "c", "b"]]);
        let alone = transactions(&waiting, &suspects());
        assert_eq!(
            alone,
            [vec!["c"], vec!["a"], vec!["a"], vec!["d", "c"], vec!["b"]]
        );
    }

    #[test]
    fn a_batch_of_a_life_that_is_over_goes_into_no_transaction() {
        let waiting = [(0, "a"), (0, "c"), (1, "a"), (0, "d"), (1, "c")];
        let alone = transactions(&waiting, &suspects());
        assert_eq!(alone, [vec!["a"], vec!["c"]]);
    }

    #[test]
    fn a_life_that_begins_waits_for_the_batches_before_it() {
        let (sender, inbox) = channel();
        let commands = [
            Command::Batch(batch(1, "c", true).0),
            Command::Renew { of: 1, life: 2 },
            Command::Batch(batch(2, "c", true).0),
        ];
        for command in commands {
            sender.send(command).expect("somebody listens");
        }
        let (first, _) = batch(1, "d", true);
        let (batches, waiting) = gather(first, &inbox, |_| true, &Suspects::default());
        assert_eq!(batches.len(), 2);
        assert!(matches!(waiting, Some(Command::Renew { of: 1, life: 2 })));
    }

    #[test]
    fn a_suspect_is_one_until_rows_of_it_were_committed() {
        let mut suspects = suspects();
        let includes = |suspects: &Suspects, topic: &str, has_rows: bool| {
            suspects.include(&batch(1, topic, has_rows).0)
        };
        assert!(!includes(&suspects, "c", true));
        // State alone is held up by nothing, and proves nothing.
        assert!(!includes(&suspects, "a", false));
        suspects.clear(&[batch(1, "a", false).0]);
        assert!(includes(&suspects, "a", true));
        suspects.clear(&[batch(1, "a", true).0]);
        assert!(!includes(&suspects, "a", true));
        assert!(includes(&suspects, "b", true));
        suspects.add(&[batch(1, "c", false).0]);
        assert!(!includes(&suspects, "c", true), "it put no rows there");
    }
}
