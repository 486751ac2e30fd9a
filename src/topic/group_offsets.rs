//! What a group has committed, asked from outside of it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Logged, TopicPartition, kafka_error, reader_config};
use crate::config::KafkaSettings;
use crate::error::Result;

/// How long a broker may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client that asks for one group's offsets. It does not join.
pub struct GroupOffsets {
    reader: BaseConsumer<Logged>,
    group: String,
}

impl GroupOffsets {
    /// Connects to nothing yet.
    pub fn new(kafka: &KafkaSettings, client_id: &str, group: &str) -> Result<Self> {
        let mut config = reader_config(kafka, client_id, "read_committed");
        config.set("group.id", group);
        let reader = config
            .create_with_context(Logged)
            .map_err(|e| kafka_error(format!("asking for the offsets of group `{group}`"), e))?;
        Ok(GroupOffsets {
            reader,
            group: group.to_owned(),
        })
    }

    /// The offsets of some partitions; partitions without one are left out. Blocking.
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, u64>> {
        let mut wanted = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            wanted.add_partition(topic, *partition);
        }
        let found = self
            .reader
            .committed_offsets(wanted, PATIENCE)
            .map_err(|e| {
                let doing = format!("asking for the offsets of group `{}`", self.group);
                kafka_error(doing, e)
            })?;
        Ok(found
            .elements()
            .iter()
            .filter_map(|e| match e.offset() {
                Offset::Offset(offset) => {
                    let offset = u64::try_from(offset).ok()?;
                    Some(((e.topic().to_owned(), e.partition()), offset))
                }
                _ => None,
            })
            .collect())
    }
}
