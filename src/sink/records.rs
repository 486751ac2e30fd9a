//! Records on their way from the consumer to a partition's writer.

use crate::model::TopicName;
use crate::wire::RunHeader;

use super::budget::Permit;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    pub topic: TopicName,
    pub number: i32,
}

impl std::fmt::Display for PartitionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic `{}` partition {}", self.topic, self.number)
    }
}

/// What stands in a record's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// No header: the record continues a run.
    None,
    /// The record begins a run.
    Run(Box<RunHeader>),
    /// There is a header, and it is not ours.
    Unreadable,
}

impl Head {
    /// Reads the value of the run header, if there is one.
    pub fn parse(value: Option<&[u8]>) -> Self {
        match value {
            None => Head::None,
            Some(text) => match RunHeader::parse(text) {
                Some(header) => Head::Run(Box::new(header)),
                None => Head::Unreadable,
            },
        }
    }
}

/// Everything of a record but its value.
#[derive(Clone, Debug)]
pub struct Record {
    pub offset: u64,
    /// When it was appended to the log, in ms since 1970.
    pub appended: i64,
    /// Where its value ends in the buffer; it begins where the one before it ends.
    pub value_end: usize,
    pub head: Head,
}

/// Consecutive records of one partition, values in one buffer.
#[derive(Debug, Default)]
pub struct Records {
    pub buffer: Vec<u8>,
    pub records: Vec<Record>,
    /// Gives the bytes back to the budget when the records are dropped.
    pub permit: Option<Permit>,
}

impl Records {
    /// Adds a record behind the others.
    pub fn push(&mut self, offset: u64, appended: i64, value: &[u8], head: Head) {
        self.buffer.extend_from_slice(value);
        self.records.push(Record {
            offset,
            appended,
            value_end: self.buffer.len(),
            head,
        });
    }

    /// Bytes of memory they hold, about.
    pub fn bytes(&self) -> u64 {
        (self.buffer.len() + self.records.len() * size_of::<Record>()) as u64
    }

    /// The value of the record at `index`; empty if there is none.
    pub fn value(&self, index: usize) -> &[u8] {
        let end_of = |i: usize| self.records.get(i).map(|r| r.value_end);
        let start = index.checked_sub(1).and_then(end_of).unwrap_or(0);
        let end = end_of(index).unwrap_or(start);
        self.buffer.get(start..end).unwrap_or_default()
    }
}
