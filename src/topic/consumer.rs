//! The sink's side of its group: which partitions are ours, their records, and the offsets committed.
//!
//! A partition that is assigned is paused at once and read only after somebody who knows where
//! ([`GroupConsumer::start_at`]) says so: reading never begins at a committed offset or by a reset policy. The client
//! may forget that place: an answer about where the log begins that arrives after a seek makes it ask once more, and
//! read from there. Records before the place are dropped, and it is told again.
//! One thread polls; [`Questions`] may be asked from others.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::membership::{
    Change, Commits, JOINING, Joining, Membership, Ownership, TopicPartition, list_of,
};
use super::questions::Questions;
use super::{LARGEST_MESSAGE, client_config, kafka_error};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};

/// How long leaving or giving up a partition may be held up by a last commit. The offset is only a hint.
const LAST_COMMIT: Duration = Duration::from_secs(5);
/// How long a seek may take: it is answered by the client itself.
const SEEKING: Duration = Duration::from_secs(2);
/// KiB of records the client fetches ahead, of all partitions together; the memory budget begins behind them.
const FETCHED_AHEAD: usize = 16 << 10;
/// Bytes of one answer, and of one partition in it, as they are on the wire: the client unpacks all of it at once, however
/// much it has queued, and text that repeats itself becomes two hundred times as large. A batch that is larger comes
/// alone. The client takes nothing below 1,000,000 for an answer.
const FETCHED_AT_ONCE: usize = 1 << 20;
const FETCHED_OF_A_PARTITION: usize = 64 << 10;

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
    /// The offset from which on records may come, by topic and partition.
    places: Mutex<HashMap<String, HashMap<i32, i64>>>,
    /// How often the client went elsewhere.
    #[cfg(test)]
    strayed: std::sync::atomic::AtomicU32,
    /// How long joining may take before it is begun anew.
    patience: Duration,
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
            places: Mutex::default(),
            #[cfg(test)]
            strayed: Default::default(),
            patience: JOINING,
        })
    }

    /// Joins for exactly these topics. One that does not exist yet is joined when it appears. Whether it was done:
    /// while the last join is on its way nothing is, and the call is made again. A join that takes too long is given up
    /// first, and begun anew.
    pub fn subscribe(&self, topics: &[&str]) -> Result<bool> {
        let change = self.joining.may_change(self.patience);
        if change == Change::NotYet {
            return Ok(false);
        }
        if topics.is_empty() || change == Change::AfterLeaving {
            self.joining.leaves();
            self.consumer.unsubscribe();
        }
        if topics.is_empty() {
            return Ok(true);
        }
        self.joining.joins();
        self.consumer
            .subscribe(topics)
            .map_err(|e| kafka_error("joining the sink's group", e))?;
        Ok(true)
    }

    /// The next record, if one comes in time. Serves rebalances, and so must be called at least every few
    /// seconds.
    pub fn poll(&self, timeout: Duration) -> Option<Result<BorrowedMessage<'_>>> {
        match self.consumer.poll(timeout)? {
            Ok(message) => match self.strayed_from(&message) {
                None => Some(Ok(message)),
                Some(place) => {
                    let (topic, partition) = (message.topic(), message.partition());
                    tracing::debug!(topic, partition, place, "the client went elsewhere");
                    let told = self.seek(topic, partition, place);
                    told.err().map(Err)
                }
            },
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

    /// The place the client should read on from, if this record lies before it. Otherwise it is taken, and later ones must lie behind it.
    fn strayed_from(&self, message: &BorrowedMessage<'_>) -> Option<i64> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.get_mut(message.topic())?;
        let place = place.get_mut(&message.partition())?;
        if message.offset() < *place {
            #[cfg(test)]
            self.strayed
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return Some(*place);
        }
        *place = message.offset() + 1;
        None
    }

    fn seek(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let doing = || format!("going to offset {offset} of topic `{topic}` partition {partition}");
        let sought = self
            .consumer
            .seek(topic, partition, Offset::Offset(offset), SEEKING);
        sought.map_err(|e| kafka_error(doing(), e))
    }

    fn note_place(&self, (topic, partition): &TopicPartition, offset: i64) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let of_topic = places.entry(topic.clone()).or_default();
        of_topic.insert(*partition, offset);
    }

    /// Changes of ownership since the last call, in order.
    pub fn changes(&self) -> Vec<Ownership> {
        self.changes.try_iter().collect()
    }

    /// Reads an assigned partition from `offset` on.
    pub fn start_at(&self, place: &TopicPartition, offset: u64) -> Result<()> {
        let (topic, partition) = place;
        let offset = i64::try_from(offset)
            .map_err(|e| Error::new(Kind::Data, "going to an offset").because(e))?;
        self.note_place(place, offset);
        self.seek(topic, *partition, offset)?;
        self.resume(std::slice::from_ref(place))
    }

    /// As [`GroupConsumer::start_at`], for a partition that the client has given up: its topic was deleted and is there
    /// again. The client takes it as if it were assigned now.
    pub fn start_over_at(&self, place: &TopicPartition, offset: u64) -> Result<()> {
        let (topic, partition) = place;
        let doing = || format!("taking topic `{topic}` partition {partition} up again");
        let offset =
            i64::try_from(offset).map_err(|e| Error::new(Kind::Data, doing()).because(e))?;
        self.note_place(place, offset);
        let own = list_of(std::slice::from_ref(place));
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, *partition, Offset::Offset(offset))
            .and_then(|()| self.consumer.incremental_unassign(&own))
            .and_then(|()| self.consumer.incremental_assign(&from))
            .map_err(|e| kafka_error(doing(), e))?;
        self.resume(std::slice::from_ref(place))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

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

    /// Joins, and waits for the partition without reading it.
    fn joined(brokers: String) -> GroupConsumer {
        let consumer =
            GroupConsumer::new(&settings(brokers), "test", "cdc.test.sink").expect("a consumer");
        consumer.subscribe(&[TOPIC]).expect("subscribed");
        let started = Instant::now();
        while consumer.changes() != [Ownership::Assigned(vec![(TOPIC.to_owned(), 0)])] {
            let came = next(&consumer, Duration::from_millis(50));
            assert_eq!(came, None, "nobody said where to read");
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(30), "never assigned");
        }
        consumer
    }

    #[test]
    fn a_place_is_kept_that_is_told_while_the_client_still_asks_where_the_log_begins() {
        let mut strayed = 0;
        // On a busy machine the answer may be there before the place is told.
        for _ in 0..5 {
            let cluster = MockCluster::new(1).expect("a cluster");
            cluster.create_topic(TOPIC, 1, 1).expect("a topic");
            let brokers = cluster.bootstrap_servers();
            write(&brokers, 10);
            let slow = Duration::from_millis(400);
            cluster
                .broker_round_trip_time(1, slow)
                .expect("a slow broker");
            let consumer = joined(brokers);
            let place = (TOPIC.to_owned(), 0);
            consumer.start_at(&place, 8).expect("started");
            let (started, mut came) = (Instant::now(), Vec::new());
            while started.elapsed() < Duration::from_secs(5) {
                came.extend(next(&consumer, Duration::from_millis(100)));
            }
            assert_eq!(came, [8, 9]);
            strayed = consumer.strayed.load(std::sync::atomic::Ordering::Relaxed);
            if strayed > 0 {
                return;
            }
        }
        assert!(
            strayed > 0,
            "the client kept the place by itself, and this proves nothing"
        );
    }

    #[test]
    fn a_partition_is_read_only_from_where_it_is_told_to_and_paused_places_are_kept() {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic(TOPIC, 1, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        write(&brokers, 10);
        let consumer = joined(brokers);
        let place = (TOPIC.to_owned(), 0);
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

    /// Polls until this is ours.
    fn is_assigned(consumer: &GroupConsumer, place: &TopicPartition) {
        let started = Instant::now();
        loop {
            let _ = consumer.poll(Duration::from_millis(50));
            let ours = Ownership::Assigned(vec![place.clone()]);
            if consumer.changes().contains(&ours) {
                return;
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{place:?} was never assigned"
            );
        }
    }

    #[test]
    fn a_join_that_takes_too_long_is_begun_anew_for_other_topics() {
        let cluster = MockCluster::new(1).expect("a cluster");
        let other = "retail.items";
        for topic in [TOPIC, other] {
            cluster.create_topic(topic, 1, 1).expect("a topic");
        }
        let brokers = cluster.bootstrap_servers();
        let mut consumer =
            GroupConsumer::new(&settings(brokers), "test", "cdc.stuck.sink").expect("a consumer");
        assert!(consumer.subscribe(&[TOPIC]).expect("an answer"));
        assert!(!consumer.subscribe(&[other]).expect("an answer"), "not yet");
        // Nobody polled: it is not known to the group yet.
        consumer.patience = Duration::ZERO;
        assert!(consumer.subscribe(&[other]).expect("an answer"));
        assert!(consumer.subscribe(&[TOPIC, other]).expect("an answer"));
        assert!(consumer.subscribe(&[other]).expect("an answer"));
        consumer.patience = JOINING;
        is_assigned(&consumer, &(other.to_owned(), 0));
        consumer.leave();
    }

    #[test]
    fn who_left_may_join_again_at_once() {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic(TOPIC, 1, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        let consumer =
            GroupConsumer::new(&settings(brokers), "test", "cdc.left.sink").expect("a consumer");
        let place = (TOPIC.to_owned(), 0);
        assert!(consumer.subscribe(&[TOPIC]).expect("an answer"));
        is_assigned(&consumer, &place);
        assert!(consumer.subscribe(&[]).expect("an answer"));
        let started = Instant::now();
        while !consumer
            .changes()
            .contains(&Ownership::Revoked(vec![place.clone()]))
        {
            let _ = consumer.poll(Duration::from_millis(50));
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "it was never revoked"
            );
        }
        assert!(consumer.subscribe(&[TOPIC]).expect("an answer"), "at once");
        is_assigned(&consumer, &place);
        consumer.leave();
    }
}
