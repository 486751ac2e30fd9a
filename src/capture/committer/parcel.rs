//! What reaches the committer of one table, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::capture::sending::Place;
use crate::error::Result;
use crate::model::TopicName;
use crate::wire::PartitionRecords;

/// Records of one partition that stand together: the first carries the header.
#[derive(Clone, Debug)]
pub struct Run {
    pub header: String,
    /// The sequence number of its first record: as many records of the epoch lie before it.
    pub first: u64,
    pub records: PartitionRecords,
}

/// One record of the state topic or of the loads topic; `None` is a tombstone.
#[derive(Clone, Debug)]
pub struct StateRecord {
    pub key: String,
    pub value: Option<Vec<u8>>,
}

/// One record of a rejected topic, keyed as in the table's own; no key for a table without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRecord {
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
}

/// What becomes known of rejected rows, in the order in which they were read. The topic has one partition.
#[derive(Clone, Debug, Default)]
pub struct Rejections {
    pub topic: String,
    pub records: Vec<KeyedRecord>,
}

/// Rows of one table and all that must become durable with them.
pub struct Batch {
    /// The life, and the offset of the table's partition of the state topic: a real one, as the group's offset
    /// is what fences this transaction.
    pub place: Place,
    /// The topic of its rows, if it has any.
    pub topic: Option<TopicName>,
    pub parcel: Arc<Parcel>,
    /// Answered once the transaction is committed. Dropped unanswered when the life is over.
    pub done: oneshot::Sender<Result<Committed>>,
}

impl Batch {
    /// The topics into which it puts rows, those that fit and those that are rejected.
    pub(super) fn topics(&self) -> Vec<TopicName> {
        let rejected = &self.parcel.rejections;
        let rejected = (!rejected.records.is_empty())
            .then(|| TopicName::new(&rejected.topic).ok())
            .flatten();
        self.topic.clone().into_iter().chain(rejected).collect()
    }
}

/// What one batch writes. Its unit keeps it until it is committed, to hand it over again in a later life.
#[derive(Debug, Default)]
pub struct Parcel {
    pub runs: Vec<Run>,
    pub rejections: Rejections,
    pub state: Vec<StateRecord>,
    pub loads: Vec<StateRecord>,
}

impl Parcel {
    pub(super) fn rows(&self) -> usize {
        let rows = self.runs.iter().map(|run| run.records.spans.len());
        rows.sum::<usize>() + self.rejections.records.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let rows = self.runs.iter().map(|run| run.records.buffer.len());
        let rejected = self
            .rejections
            .records
            .iter()
            .map(|record| record.value.len());
        rows.chain(rejected).sum()
    }
}

/// Where a batch's rows are now, by partition of the table's topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Partition → (offset of the first record, offset after the last).
    pub ranges: BTreeMap<i32, (u64, u64)>,
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A batch with one rejected row, or with state alone, and where it is answered.
    pub fn batch(
        life: u64,
        topic: &str,
        has_rows: bool,
    ) -> (Batch, oneshot::Receiver<Result<Committed>>) {
        let row = KeyedRecord {
            key: None,
            value: Vec::new(),
        };
        let rejections = Rejections {
            topic: format!("{topic}.rejected"),
            records: vec![row; usize::from(has_rows)],
        };
        let parcel = Parcel {
            rejections,
            ..Parcel::default()
        };
        let (done, answer) = oneshot::channel();
        let batch = Batch {
            place: Place {
                life,
                state_partition: 0,
                state_offset: 0,
            },
            topic: TopicName::new(topic).ok(),
            parcel: Arc::new(parcel),
            done,
        };
        (batch, answer)
    }
}
