//! Questions about the partitions of the sink's group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::kafka_error;
use super::membership::{Membership, TopicPartition, list_of};
use crate::error::{Error, Kind, Result};

/// How long a question to the broker may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the broker about partitions. Blocking; cheap to clone.
#[derive(Clone)]
pub struct Questions(pub(super) Arc<BaseConsumer<Membership>>);

impl Questions {
    /// The group's committed offset of each partition; `None` where there is none.
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Option<u64>>> {
        let doing = || "asking for the sink's committed offsets".to_owned();
        let answer = self
            .0
            .committed_offsets(list_of(partitions), PATIENCE)
            .map_err(|e| kafka_error(doing(), e))?;
        let mut committed = BTreeMap::new();
        for element in answer.elements() {
            // An answer that failed must not be taken for "none".
            element.error().map_err(|e| kafka_error(doing(), e))?;
            let offset = match element.offset() {
                Offset::Offset(offset) => u64::try_from(offset).ok(),
                _ => None,
            };
            committed.insert((element.topic().to_owned(), element.partition()), offset);
        }
        Ok(committed)
    }

    /// The first offset that is there, and the end of what is committed by producers.
    pub fn bounds(&self, (topic, partition): &TopicPartition) -> Result<(u64, u64)> {
        let doing = || format!("asking for the bounds of topic `{topic}` partition {partition}");
        let (low, high) = self
            .0
            .fetch_watermarks(topic, *partition, PATIENCE)
            .map_err(|e| kafka_error(doing(), e))?;
        match (u64::try_from(low), u64::try_from(high)) {
            (Ok(low), Ok(high)) => Ok((low, high)),
            _ => Err(Error::new(Kind::Unavailable, doing())),
        }
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> Result<String> {
        self.0
            .client()
            .fetch_cluster_id(PATIENCE)
            .ok_or_else(|| Error::new(Kind::Unavailable, "asking for the cluster's id"))
    }
}
