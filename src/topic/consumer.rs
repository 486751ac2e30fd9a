//! The sink's side of its group: which partitions are ours, their records, and the offsets committed.
//!
//! A partition that is assigned is paused at once and read only after somebody who knows where
//! ([`GroupConsumer::start_at`]) says so: reading never begins at a committed offset or by a reset policy.
//! One thread polls; [`Questions`] may be asked from others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{LARGEST_MESSAGE, Logged, client_config, kafka_error};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};

/// How long a question to the broker may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long leaving or giving up a partition may be held up by a last commit. The offset is only a hint.
const LAST_COMMIT: Duration = Duration::from_secs(5);
/// How long a seek may take: it is answered by the client itself.
/// How long joining a group may take: a member that is gone is waited for until its session ends.
const JOINING: Duration = Duration::from_secs(15);
const SEEKING: Duration = Duration::from_secs(2);
/// KiB of records the client fetches ahead, of all partitions together; the memory budget begins behind them.
const FETCHED_AHEAD: usize = 16 << 10;
/// Bytes of one answer, and of one partition in it: what is on the wire counts twice, as it came and unpacked. A
/// message that is larger comes alone.
const FETCHED_AT_ONCE: usize = 8 << 20;
const FETCHED_OF_A_PARTITION: usize = 2 << 20;

/// A topic and one of its partitions.
pub type TopicPartition = (String, i32);

/// A change of what is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    Assigned(Vec<TopicPartition>),
    /// They are another's from now on.
    Revoked(Vec<TopicPartition>),
}

/// Takes part in the group's rebalances, on the polling thread.
struct Membership {
    changes: Mutex<Sender<Ownership>>,
    commits: Arc<Commits>,
    joining: Arc<Joining>,
}

/// Since when this member is on its way into the group; `None` once it was assigned its part.
///
/// To change what it is joined for before it is known to the group can end the process: librdkafka asserts that nobody
/// does. Once it is, such a change is put off until the rebalance is over.
#[derive(Default)]
struct Joining(Mutex<Option<Instant>>);

impl Joining {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn is_over(&self) -> bool {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_none_or(|since| since.elapsed() > JOINING)
    }
}

/// Offsets to commit, by partition.
#[derive(Default)]
struct Commits(Mutex<BTreeMap<TopicPartition, i64>>);

impl Commits {
    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<TopicPartition, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the offsets of all partitions, or of those named.
    fn take(&self, of: Option<&[TopicPartition]>) -> TopicPartitionList {
        let mut due = self.locked();
        let taken: Vec<_> = match of {
            None => std::mem::take(&mut *due).into_iter().collect(),
            Some(named) => named.iter().filter_map(|p| due.remove_entry(p)).collect(),
        };
        let mut list = TopicPartitionList::with_capacity(taken.len());
        for ((topic, partition), offset) in taken {
            // A topic's name was checked long ago, and the offset is not negative.
            let _ = list.add_partition_offset(&topic, partition, Offset::Offset(offset));
        }
        list
    }

    /// Puts offsets back whose commit failed, unless newer ones wait.
    fn put_back(&self, list: &TopicPartitionList) {
        let mut due = self.locked();
        for element in list.elements() {
            if let Offset::Offset(offset) = element.offset() {
                due.entry((element.topic().to_owned(), element.partition()))
                    .or_insert(offset);
            }
        }
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logged.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logged.error(error, reason);
    }
}

impl Membership {
    fn tell(&self, change: Ownership) {
        // The polling thread holds the other end for as long as it polls.
        let _ = self
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(change);
    }

    fn assigned(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        // A place that needs no committed offset: nothing is read before the seek that follows.
        list.set_all_offsets(Offset::Beginning)?;
        consumer.incremental_assign(list)?;
        consumer.pause(list)?;
        self.joining.set(None);
        self.tell(Ownership::Assigned(partitions(list)));
        Ok(())
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let gone = partitions(list);
        let last = self.commits.take(Some(&gone));
        if last.count() > 0 && !consumer.assignment_lost() {
            // The next owner starts sooner with it, and correctly without it.
            if let Err(error) = consumer.commit(&last, CommitMode::Sync) {
                tracing::debug!(%error, "the last offsets were not committed");
            }
        }
        self.joining.set(Some(Instant::now()));
        self.tell(Ownership::Revoked(gone));
        consumer.incremental_unassign(list)
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            _ => self.revoked(consumer, list),
        };
        if let Err(error) = done {
            tracing::error!(%error, "taking part in a rebalance failed");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => {
                tracing::debug!(%error, "offsets were not committed; they are sent again");
                self.commits.put_back(offsets);
            }
        }
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        rdkafka::util::Timeout::After(Duration::from_millis(100))
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    let named = elements
        .iter()
        .map(|e| (e.topic().to_owned(), e.partition()));
    named.collect()
}

fn config(kafka: &KafkaSettings, client_id: &str, group: &str) -> ClientConfig {
    let mut config = client_config(kafka, client_id);
    config
        .set("group.id", group)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "2000")
        .set("isolation.level", "read_committed")
        // A place that is gone is an error, never a jump.
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("check.crcs", "true")
        .set("allow.auto.create.topics", "false")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "50")
        .set(
            "fetch.message.max.bytes",
            FETCHED_OF_A_PARTITION.to_string(),
        )
        .set("fetch.max.bytes", FETCHED_AT_ONCE.to_string())
        .set(
            "receive.message.max.bytes",
            (FETCHED_AT_ONCE + 2 * LARGEST_MESSAGE).to_string(),
        )
        .set("queued.max.messages.kbytes", FETCHED_AHEAD.to_string());
    config
}

/// A member of the sink's group.
pub struct GroupConsumer {
    consumer: Arc<BaseConsumer<Membership>>,
    changes: Receiver<Ownership>,
    commits: Arc<Commits>,
    joining: Arc<Joining>,
    is_member: AtomicBool,
}

impl GroupConsumer {
    /// A client that has joined nothing yet.
    pub fn new(kafka: &KafkaSettings, client_id: &str, group: &str) -> Result<Self> {
        let (sender, changes) = channel();
        let commits = Arc::new(Commits::default());
        let joining = Arc::new(Joining::default());
        let context = Membership {
            changes: Mutex::new(sender),
            commits: commits.clone(),
            joining: joining.clone(),
        };
        let consumer = config(kafka, client_id, group)
            .create_with_context(context)
            .map_err(|e| kafka_error(format!("opening a consumer of group `{group}`"), e))?;
        Ok(GroupConsumer {
            consumer: Arc::new(consumer),
            changes,
            commits,
            joining,
            is_member: AtomicBool::new(false),
        })
    }

    /// Joins for exactly these topics. One that does not exist yet is joined when it appears. Whether it was done:
    /// while the last join is on its way nothing is, and the call is made again.
    pub fn subscribe(&self, topics: &[&str]) -> Result<bool> {
        if !self.joining.is_over() {
            return Ok(false);
        }
        if topics.is_empty() {
            self.consumer.unsubscribe();
            self.is_member.store(false, Ordering::Relaxed);
            return Ok(true);
        }
        if !self.is_member.swap(true, Ordering::Relaxed) {
            self.joining.set(Some(Instant::now()));
        }
        self.consumer
            .subscribe(topics)
            .map_err(|e| kafka_error("joining the sink's group", e))?;
        Ok(true)
    }

    /// The next record, if one comes in time. Serves rebalances, and so must be called at least every few
    /// seconds.
    pub fn poll(&self, timeout: Duration) -> Option<Result<BorrowedMessage<'_>>> {
        match self.consumer.poll(timeout)? {
            Ok(message) => Some(Ok(message)),
            // No topic yet; it is looked for again and again.
            Err(error)
                if matches!(
                    error.rdkafka_error_code(),
                    Some(
                        RDKafkaErrorCode::UnknownTopicOrPartition
                            | RDKafkaErrorCode::UnknownTopic
                            | RDKafkaErrorCode::UnknownPartition
                    )
                ) =>
            {
                tracing::debug!(%error, "a topic is not there yet");
                None
            }
            Err(error) => Some(Err(kafka_error("reading topics", error))),
        }
    }

    /// Changes of ownership since the last call, in order.
    pub fn changes(&self) -> Vec<Ownership> {
        self.changes.try_iter().collect()
    }

    /// Reads an assigned partition from `offset` on.
    pub fn start_at(&self, (topic, partition): &TopicPartition, offset: u64) -> Result<()> {
        let doing = || format!("going to offset {offset} of topic `{topic}` partition {partition}");
        let offset =
            i64::try_from(offset).map_err(|e| Error::new(Kind::Data, doing()).because(e))?;
        self.consumer
            .seek(topic, *partition, Offset::Offset(offset), SEEKING)
            .map_err(|e| kafka_error(doing(), e))?;
        self.resume(&[(topic.clone(), *partition)])
    }

    /// As [`GroupConsumer::start_at`], for a partition that the client has given up: its topic was deleted and is there
    /// again. The client takes it as if it were assigned now.
    pub fn start_over_at(&self, (topic, partition): &TopicPartition, offset: u64) -> Result<()> {
        let doing = || format!("taking topic `{topic}` partition {partition} up again");
        let offset =
            i64::try_from(offset).map_err(|e| Error::new(Kind::Data, doing()).because(e))?;
        let own = list_of(&[(topic.clone(), *partition)]);
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, *partition, Offset::Offset(offset))
            .and_then(|()| self.consumer.incremental_unassign(&own))
            .and_then(|()| self.consumer.incremental_assign(&from))
            .map_err(|e| kafka_error(doing(), e))?;
        self.resume(&[(topic.clone(), *partition)])
    }

    /// Gives no further records of these partitions; those fetched ahead are fetched again later.
    pub fn pause(&self, partitions: &[TopicPartition]) -> Result<()> {
        self.consumer
            .pause(&list_of(partitions))
            .map_err(|e| kafka_error("pausing partitions", e))
    }

    /// Goes on where [`GroupConsumer::pause`] stopped.
    pub fn resume(&self, partitions: &[TopicPartition]) -> Result<()> {
        self.consumer
            .resume(&list_of(partitions))
            .map_err(|e| kafka_error("resuming partitions", e))
    }

    /// Notes the offset behind the last record that is in the lake.
    pub fn note_commit(&self, partition: &TopicPartition, offset: u64) {
        if let Ok(offset) = i64::try_from(offset) {
            self.commits.locked().insert(partition.clone(), offset);
        }
    }

    /// Sends the noted offsets; the answer is not waited for.
    pub fn send_commits(&self) {
        let due = self.commits.take(None);
        if due.count() > 0
            && let Err(error) = self.consumer.commit(&due, CommitMode::Async)
        {
            tracing::debug!(%error, "offsets were not committed; they are sent again");
            self.commits.put_back(&due);
        }
    }

    /// A door for questions from other threads.
    pub fn questions(&self) -> Questions {
        Questions(self.consumer.clone())
    }

    /// Commits what is noted and leaves the group, so that others take over at once.
    pub fn leave(self) {
        let due = self.commits.take(None);
        if due.count() > 0
            && let Err(error) = self.consumer.commit(&due, CommitMode::Sync)
        {
            tracing::debug!(%error, "the last offsets were not committed");
        }
        self.consumer.unsubscribe();
        // The revocation that follows is served by polling.
        let started = std::time::Instant::now();
        while started.elapsed() < LAST_COMMIT {
            let left = self.consumer.assignment().map(|list| list.count());
            if left.is_ok_and(|count| count == 0) {
                break;
            }
            let _ = self.consumer.poll(Duration::from_millis(50));
        }
    }
}

fn list_of(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

/// Asks the broker about partitions. Blocking; cheap to clone.
#[derive(Clone)]
pub struct Questions(Arc<BaseConsumer<Membership>>);

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

#[cfg(test)]
mod tests {
    use rdkafka::message::Message;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::*;

    const TOPIC: &str = "retail.orders";

    fn settings(brokers: String) -> KafkaSettings {
        KafkaSettings {
            brokers,
            topic_prefix: String::new(),
            partitions: 1,
            replication: 1,
            retention: Duration::from_secs(60),
            client: BTreeMap::new(),
        }
    }

    fn write(brokers: &str, records: usize) {
        let mut config = ClientConfig::new();
        let producer: BaseProducer = config
            .set("bootstrap.servers", brokers)
            .create()
            .expect("a producer");
        for i in 0..records {
            let value = i.to_string();
            let record = BaseRecord::<(), _>::to(TOPIC).partition(0).payload(&value);
            producer.send(record).expect("sent");
        }
        producer.flush(Duration::from_secs(10)).expect("flushed");
    }

    /// The next record's offset; `None` if none came within the time.
    fn next(consumer: &GroupConsumer, within: Duration) -> Option<i64> {
        let started = Instant::now();
        while started.elapsed() < within {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
                return Some(message.offset());
            }
        }
        None
    }

    #[test]
    fn a_partition_is_read_only_from_where_it_is_told_to_and_paused_places_are_kept() {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic(TOPIC, 1, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        write(&brokers, 10);
        let consumer =
            GroupConsumer::new(&settings(brokers), "test", "cdc.test.sink").expect("a consumer");
        consumer.subscribe(&[TOPIC]).expect("subscribed");
        let place = (TOPIC.to_owned(), 0);
        let started = Instant::now();
        loop {
            assert_eq!(
                next(&consumer, Duration::from_millis(50)),
                None,
                "nobody said where to read"
            );
            if consumer.changes() == [Ownership::Assigned(vec![place.clone()])] {
                break;
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "never assigned"
            );
        }
        assert_eq!(
            next(&consumer, Duration::from_millis(300)),
            None,
            "nobody said where to read"
        );
        let long = Duration::from_secs(10);
        consumer.start_at(&place, 4).expect("started");
        assert_eq!(next(&consumer, long), Some(4));
        assert_eq!(next(&consumer, long), Some(5));
        consumer
            .pause(std::slice::from_ref(&place))
            .expect("paused");
        assert_eq!(
            next(&consumer, Duration::from_millis(300)),
            None,
            "it is paused"
        );
        consumer
            .resume(std::slice::from_ref(&place))
            .expect("resumed");
        assert_eq!(next(&consumer, long), Some(6));
        // Back, and paused before anything came: the place of the seek is kept, not the last record's.
        consumer.start_at(&place, 2).expect("started");
        consumer
            .pause(std::slice::from_ref(&place))
            .expect("paused");
        consumer
            .resume(std::slice::from_ref(&place))
            .expect("resumed");
        assert_eq!(next(&consumer, long), Some(2));
        assert_eq!(next(&consumer, long), Some(3));

        let questions = consumer.questions();
        assert_eq!(questions.bounds(&place).expect("bounds"), (0, 10));
        let committed = || {
            questions
                .committed(std::slice::from_ref(&place))
                .expect("an answer")[&place]
        };
        assert_eq!(committed(), None);
        consumer.note_commit(&place, 4);
        consumer.leave();
        assert_eq!(committed(), Some(4));
    }
}
