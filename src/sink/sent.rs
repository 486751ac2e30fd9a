//! What was sent to a partition, as its table remembers it. A hole shows in the numbers of the record behind it; where the
//! log has none any more, only the table's memory tells that rows are missing.

use super::chunk::Expected;
use super::take_over::Bounds;
use crate::config::KafkaSettings;
use crate::error::Result;
use crate::model::Mode;
use crate::state::{Head, decode};
use crate::topic::Compacted;

/// Where the tables' memories are.
#[derive(Clone, Debug)]
pub struct Memories {
    pub kafka: KafkaSettings,
    pub client_id: String,
    pub state_topic: String,
}

/// How far a table has come in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub epoch: u64,
    /// The sequence number of the next record.
    pub next: u64,
}

impl Memories {
    /// What a table that is followed remembers of a partition; `None` for a bulk table, whose loads are counted.
    /// Blocking: the whole topic is read.
    pub fn sent(&self, head_key: &str, partition: i32) -> Result<Option<Sent>> {
        let topic = Compacted::open_if_there(&self.kafka, &self.client_id, &self.state_topic)?;
        let Some(text) = topic
            .as_ref()
            .and_then(|topic| topic.get(head_key.as_bytes()))
        else {
            return Ok(None);
        };
        let head: Head = decode("what a table remembers", text)?;
        let next = usize::try_from(partition)
            .ok()
            .and_then(|p| head.next.get(p));
        let epoch = head.epoch;
        Ok(next
            .filter(|_| head.mode != Mode::Bulk)
            .map(|next| Sent { epoch, next: *next }))
    }
}

/// Whether the log is empty and begins behind what the lake has: behind its last record stands the mark of the
/// transaction that wrote it.
pub fn may_lack_its_end(bounds: &Bounds) -> bool {
    bounds.low == bounds.high && bounds.low > bounds.hint.unwrap_or_default() + 1
}

/// How many records are missing at the least at the end of a log that is empty, where `expected` must come next.
pub fn missing(sent: Sent, expected: Expected) -> u64 {
    match expected.sequence {
        _ if sent.epoch > expected.epoch => sent.next.saturating_sub(1),
        Some(sequence) if sent.epoch == expected.epoch => sent.next.saturating_sub(sequence),
        // Nobody knows which number comes next, or what was left is not missed.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_at_the_end_of_an_empty_log_is_told_by_what_was_sent() {
        let expected = |epoch, sequence| Expected { epoch, sequence };
        let sent = Sent {
            epoch: 7,
            next: 101,
        };
        assert_eq!(missing(sent, expected(7, Some(101))), 0);
        assert_eq!(missing(sent, expected(7, Some(41))), 60);
        assert_eq!(missing(sent, Expected::FIRST), 100);
        assert_eq!(missing(sent, expected(6, Some(9))), 100);
        // What a later epoch left is void, and behind a skip no number is known.
        assert_eq!(missing(sent, expected(8, Some(1))), 0);
        assert_eq!(missing(sent, expected(7, None)), 0);
        let new = Sent { epoch: 9, next: 1 };
        assert_eq!(missing(new, expected(7, Some(41))), 0);
    }

    #[test]
    fn a_log_that_is_empty_behind_the_last_transaction_lacks_nothing() {
        let bounds = |hint, low, high| Bounds { hint, low, high };
        assert!(!may_lack_its_end(&bounds(None, 0, 0)));
        assert!(!may_lack_its_end(&bounds(Some(10), 11, 11)));
        assert!(may_lack_its_end(&bounds(Some(10), 30, 30)));
        assert!(may_lack_its_end(&bounds(None, 30, 30)));
        // A record is still to come, and its number tells.
        assert!(!may_lack_its_end(&bounds(Some(10), 30, 40)));
    }
}
