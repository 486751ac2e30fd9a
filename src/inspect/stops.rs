//! What the sink says of partitions that do not get into the lake.

use std::collections::BTreeMap;

use serde::Serialize;

use super::memory::compacted;
use crate::config::KafkaSettings;
use crate::error::Result;
use crate::state::StopRecord;

/// A partition that stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoppedPartition {
    pub partition: i32,
    /// Every record below this offset is in the lake.
    pub offset: u64,
    /// Where the group has committed more than this, it has gone on since.
    #[serde(skip)]
    pub stands_at: u64,
    pub error: String,
    /// By what `cdc explain` knows it.
    pub code: Option<String>,
    pub next: Option<String>,
    /// Whether it is tried again by itself.
    pub is_retried: bool,
    /// Milliseconds since 1970 when it began.
    pub since: i64,
}

/// The partitions that stand still, by the head key of their table and the topic.
pub type Stops = BTreeMap<(String, String), Vec<StoppedPartition>>;

/// Reads them from the loads topic.
pub async fn stops(kafka: &KafkaSettings, client_id: &str, loads_topic: String) -> Result<Stops> {
    let mut stops = Stops::new();
    let Some(topic) = compacted(kafka, client_id, loads_topic).await? else {
        return Ok(stops);
    };
    for (key, value) in topic.iter() {
        let key = String::from_utf8_lossy(key);
        let record = serde_json::from_slice::<StopRecord>(value).ok();
        if let (Some((head_key, partition)), Some(record)) = (StopRecord::parse_key(&key), record) {
            let stands_at = record.stands_at();
            let of_table = stops.entry((head_key.to_owned(), record.topic));
            of_table.or_default().push(StoppedPartition {
                partition,
                offset: record.offset,
                stands_at,
                error: record.text,
                code: record.code,
                next: record.next_step,
                is_retried: record.is_retried,
                since: record.since,
            });
        }
    }
    for of_table in stops.values_mut() {
        of_table.sort_by_key(|stop| stop.partition);
    }
    Ok(stops)
}
