//! Some records of any topic, with all that stands beside their values.

use std::collections::{BTreeMap, VecDeque};

use rdkafka::message::{BorrowedMessage, Headers, Message};

use super::PartitionReader;
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};

/// Records that are looked through, in each partition, for the header that belongs to the records shown: a run of a
/// batch's records has one header, on its first.
const LOOKED_THROUGH: i64 = 100_000;

/// From which end of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Oldest,
    Newest,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970.
    pub at: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The last header of the sought name at or before this record, and how many offsets before.
    pub run: Option<(Vec<u8>, u64)>,
}

/// What was seen of a topic.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    /// First and next offset of each partition.
    pub bounds: BTreeMap<i32, (i64, i64)>,
    /// Newest or oldest first, as it was asked.
    pub records: Vec<Beside>,
}

/// Reads `count` records from one end of a topic; `run_header` is the header that records behind it share. Only what is
/// committed is seen. Blocking. `Config` if there is no such topic.
pub fn glance(
    kafka: &KafkaSettings,
    client_id: &str,
    topic: &str,
    (count, end): (usize, End),
    run_header: &str,
) -> Result<Glance> {
    let reader = PartitionReader::new(kafka, client_id, topic)?;
    let partitions: Vec<i32> = (0..reader.partitions()?).collect();
    let bounds = reader.marks(&partitions)?;
    let sought = Sought {
        reader: &reader,
        count,
        end,
        run_header,
    };
    let mut records = Vec::new();
    for (partition, bounds) in &bounds {
        records.extend(sought.in_partition(*partition, *bounds)?);
    }
    records.sort_by(|a, b| {
        let place = |record: &Beside| (record.at, record.offset, record.partition);
        match end {
            End::Oldest => place(a).cmp(&place(b)),
            End::Newest => place(b).cmp(&place(a)),
        }
    });
    records.truncate(count);
    Ok(Glance { bounds, records })
}

struct Sought<'a> {
    reader: &'a PartitionReader,
    count: usize,
    end: End,
    run_header: &'a str,
}

impl Sought<'_> {
    /// The records of one partition, in their order.
    fn in_partition(&self, partition: i32, (low, high): (i64, i64)) -> Result<Vec<Beside>> {
        let count = i64::try_from(self.count)
            .map_err(|e| Error::new(Kind::Usage, "too many records").because(e))?;
        // Marks of transactions take offsets, too.
        let mut span = count.saturating_mul(2).saturating_add(16);
        loop {
            let (from, to) = match self.end {
                End::Oldest => (low, high.min(low.saturating_add(span))),
                End::Newest => (low.max(high.saturating_sub(span)), high),
            };
            let records = self.between(partition, from, to)?;
            let is_whole = (from, to) == (low, high);
            let enough = records.len() >= self.count
                && (self.end == End::Oldest
                    || span >= LOOKED_THROUGH
                    || records.iter().all(|record| record.run.is_some()));
            if is_whole || enough {
                return Ok(records);
            }
            span = span.saturating_mul(8);
        }
    }

    fn between(&self, partition: i32, from: i64, to: i64) -> Result<Vec<Beside>> {
        let mut kept: VecDeque<Beside> = VecDeque::new();
        let mut run: Option<(Vec<u8>, i64)> = None;
        self.reader
            .read_messages(&BTreeMap::from([(partition, (from, to))]), |message| {
                let headers = headers_of(message);
                let own = headers.iter().find(|(name, _)| name == self.run_header);
                if let Some((_, Some(value))) = own {
                    run = Some((value.clone(), message.offset()));
                }
                if kept.len() == self.count {
                    if self.end == End::Oldest {
                        return false;
                    }
                    kept.pop_front();
                }
                kept.push_back(Beside {
                    partition,
                    offset: message.offset(),
                    at: message.timestamp().to_millis(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers,
                    run: run
                        .as_ref()
                        .map(|(value, at)| (value.clone(), message.offset().abs_diff(*at))),
                });
                true
            })?;
        Ok(kept.into())
    }
}

fn headers_of(message: &BorrowedMessage<'_>) -> Vec<(String, Option<Vec<u8>>)> {
    let Some(headers) = message.headers() else {
        return Vec::new();
    };
    let owned = headers.iter();
    owned
        .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
        .collect()
}
