//! Batches as records and back. The law: decode(encode(batch)) == batch, for every batch.

mod json;
mod murmur2;
mod run;

pub use json::{JsonDecoder, JsonEncoder};
pub use murmur2::{murmur2, partition_for};
pub use run::{RUN_HEADER, RunHeader};

/// The records of one batch that go to one partition, in batch order, in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionRecords {
    pub partition: i32,
    /// Key and value bytes of all records, one after another.
    pub buffer: Vec<u8>,
    pub spans: Vec<Span>,
}

/// Where one record ends: its key starts where the record before it ends, its value where its key ends.
/// A record without a key has an empty key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub key_end: u32,
    pub value_end: u32,
}

impl PartitionRecords {
    /// Key and value of each record; the key is `None` for a table without one.
    pub fn records(&self) -> impl Iterator<Item = (Option<&[u8]>, &[u8])> {
        let mut start = 0;
        self.spans.iter().map(move |span| {
            let (key_end, value_end) = (span.key_end as usize, span.value_end as usize);
            let key = &self.buffer[start..key_end];
            start = value_end;
            (
                (!key.is_empty()).then_some(key),
                &self.buffer[key_end..value_end],
            )
        })
    }
}
