//! What a group has committed, asked for by somebody who does not join it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::{Logged, TopicPartition, asker_config, code_of, kafka_error, leave, raw};
use crate::config::KafkaSettings;
use crate::error::Result;

/// How soon a group is asked for again whose coordinator was not ready: it moves, or is only now given one.
const AGAIN: Duration = Duration::from_millis(100);

/// Asks for the offsets of one group. Blocking.
pub(super) struct GroupOffsets {
    kafka: KafkaSettings,
    client_id: String,
    group: String,
    /// The client of the last question that was answered.
    open: Mutex<Option<Asker>>,
}

impl GroupOffsets {
    pub fn new(kafka: &KafkaSettings, client_id: &str, group: &str) -> Self {
        GroupOffsets {
            kafka: kafka.clone(),
            client_id: client_id.to_owned(),
            group: group.to_owned(),
            open: Mutex::default(),
        }
    }

    /// The offsets of some partitions; those without one are left out. Without partitions all are meant that this user
    /// may see.
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
        patience: Duration,
    ) -> Result<BTreeMap<TopicPartition, u64>> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(AGAIN);
            match self.ask(partitions, left) {
                Err(error) if is_unsettled(&error) && Instant::now() + AGAIN < end => {
                    std::thread::sleep(AGAIN);
                }
                answer => {
                    return answer.map_err(|e| {
                        let group = &self.group;
                        kafka_error(format!("asking for the offsets of group `{group}`"), e)
                    });
                }
            }
        }
    }

    fn ask(
        &self,
        partitions: &[TopicPartition],
        patience: Duration,
    ) -> KafkaResult<BTreeMap<TopicPartition, u64>> {
        let kept = self.kept().take();
        let asker = match kept {
            Some(asker) => asker,
            None => Asker::open(&self.kafka, &self.client_id, &self.group)?,
        };
        let answer = raw::committed(asker.0.client(), &self.group, partitions, patience)?;
        // A client that failed is not kept: it goes on asking the coordinator it once found.
        let other = self.kept().replace(asker);
        // Parting takes a moment, and nobody waits for it with the lock held.
        drop(other);
        Ok(answer)
    }

    fn kept(&self) -> MutexGuard<'_, Option<Asker>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client with the group's id, which joins nothing. One without an id would end the whole process where the broker
/// asked is not the group's coordinator: librdkafka 2.12 then reaches for a group that it does not have.
struct Asker(BaseConsumer<Logged>);

impl Asker {
    fn open(kafka: &KafkaSettings, client_id: &str, group: &str) -> KafkaResult<Self> {
        let mut config = asker_config(kafka, client_id);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false");
        config.create_with_context(Logged).map(Asker)
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        leave(&self.0);
    }
}

/// Whether the group has no coordinator yet, or another one than was asked.
fn is_unsettled(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code_of(error),
        Some(
            Code::NotCoordinator | Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    fn offsets_of(brokers: String) -> GroupOffsets {
        let kafka = KafkaSettings {
            brokers,
            topic_prefix: String::new(),
            partitions: 1,
            replication: 1,
            retention: Duration::from_secs(1),
            client: BTreeMap::new(),
        };
        GroupOffsets::new(&kafka, "test", "cdc.test.sink")
    }

    #[test]
    fn a_group_whose_coordinator_moves_is_asked_again() {
        use RDKafkaRespErr::{
            RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        };
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic("orders", 1, 1).expect("a topic");
        let offsets = offsets_of(cluster.bootstrap_servers());
        cluster.request_errors(
            RDKafkaApiKey::OffsetFetch,
            &[
                RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
                RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            ],
        );
        let patience = Duration::from_secs(60);
        let committed = offsets.committed(&[("orders".to_owned(), 0)], patience);
        assert_eq!(committed.expect("an answer"), BTreeMap::new());
    }

    #[test]
    fn what_stays_refused_is_an_error_that_names_the_group() {
        let cluster = MockCluster::new(1).expect("a cluster");
        let offsets = offsets_of(cluster.bootstrap_servers());
        let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
        cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[refused; 20]);
        let answer = offsets.committed(&[], Duration::from_secs(60));
        let error = answer.expect_err("a refusal");
        assert_eq!(error.kind(), crate::error::Kind::Permission);
        assert!(error.to_string().contains("`cdc.test.sink`"), "{error}");
    }
}
