//! What a group has committed, asked from outside of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::{Logged, TopicPartition, kafka_error, reader_config};
use crate::config::KafkaSettings;
use crate::error::Result;

/// How long a broker may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long it is first waited for the broker that keeps a group's offsets: some round trips.
const FIRST_LOOK: Duration = Duration::from_millis(20);

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

    /// Waits until it is known which broker keeps the group's offsets; `any` is any partition. Blocking.
    ///
    /// The client looks for that broker only when it has something to do, and otherwise once in half a second: it is
    /// asked again and again, with more patience each time.
    pub fn find_keeper(&self, any: &TopicPartition) -> Result<()> {
        let began = Instant::now();
        let mut patience = FIRST_LOOK;
        loop {
            let mut wanted = TopicPartitionList::new();
            wanted.add_partition(&any.0, any.1);
            match self.reader.committed_offsets(wanted, patience) {
                Err(error)
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut)
                        && began.elapsed() < PATIENCE =>
                {
                    patience = (patience * 2).min(PATIENCE);
                }
                Err(error) => {
                    let doing = format!("asking for the offsets of group `{}`", self.group);
                    return Err(kafka_error(doing, error));
                }
                Ok(_) => return Ok(()),
            }
        }
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
