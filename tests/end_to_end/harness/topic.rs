//! Topics, read back as any consumer reads them: committed records only, headers and all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cdc::wire::{RUN_HEADER, RunHeader, partition_for};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::{DEADLINE, Row, setting};

const PATIENCE: Duration = Duration::from_secs(30);

pub fn brokers() -> String {
    setting("KAFKA_BROKERS")
}

/// One record of a data topic.
#[derive(Clone, Debug)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub epoch: u64,
    /// The schema's fingerprint.
    pub fingerprint: String,
    /// The load, for a bulk table.
    pub load: Option<String>,
    pub key: Option<Value>,
    pub value: Value,
}

impl Record {
    /// The record as a row of a test table.
    pub fn row(&self) -> Row {
        let number = |name: &str| {
            self.value[name]
                .as_i64()
                .unwrap_or_else(|| panic!("`{name}` in {:?}", self.value))
        };
        let text = |name: &str| {
            self.value[name]
                .as_str()
                .unwrap_or_else(|| panic!("`{name}` in {:?}", self.value))
        };
        let updated_at: jiff::Timestamp = text("updated_at").parse().expect("an instant");
        Row {
            id: number("id"),
            version: number("version"),
            updated_at: updated_at.as_microsecond(),
            note: text("note").to_owned(),
        }
    }
}

fn consumer(isolation: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", "test.reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "20")
        .set("allow.auto.create.topics", "false")
        .create()
        .expect("a consumer")
}

/// The partitions of a topic; 0 while it is not there.
fn partitions(consumer: &BaseConsumer, topic: &str) -> i32 {
    let metadata = consumer
        .fetch_metadata(Some(topic), PATIENCE)
        .expect("metadata");
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    found.map_or(0, |found| found.partitions().len() as i32)
}

/// How much there was in a topic, control records included: grows with every committed transaction.
pub fn ends(topic: &str) -> i64 {
    over_partitions(topic, |_, high| high)
}

/// How much there is in it now, after what was deleted.
pub fn held(topic: &str) -> i64 {
    over_partitions(topic, |low, high| high - low)
}

fn over_partitions(topic: &str, count: impl Fn(i64, i64) -> i64) -> i64 {
    tokio::task::block_in_place(|| {
        let consumer = consumer("read_committed");
        (0..partitions(&consumer, topic))
            .map(|partition| {
                let bounds = consumer.fetch_watermarks(topic, partition, PATIENCE);
                let (low, high) = bounds.expect("the bounds of a partition");
                count(low, high)
            })
            .sum()
    })
}

/// The offset that a group has committed for one partition.
pub fn committed(group: &str, topic: &str, partition: i32) -> Option<i64> {
    tokio::task::block_in_place(|| {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers())
            .set("group.id", group)
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let offsets = consumer.committed_offsets(list, PATIENCE);
        let offsets = offsets.expect("committed offsets");
        match offsets.find_partition(topic, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    })
}

/// Another program appends a record.
pub fn append(topic: &str, partition: i32, key: &str, value: &[u8]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .expect("a producer");
    let record = BaseRecord::to(topic)
        .partition(partition)
        .key(key)
        .payload(value);
    let sent = producer.send(record).map_err(|(error, _)| error);
    sent.expect("it is taken");
    tokio::task::block_in_place(|| producer.flush(DEADLINE)).expect("it is written");
}

/// Hands every committed record to `take`, each partition from its beginning to its present end.
fn read(topic: &str, mut take: impl FnMut(&BorrowedMessage<'_>)) -> i32 {
    let consumer = consumer("read_committed");
    let count = partitions(&consumer, topic);
    let mut list = TopicPartitionList::new();
    for partition in 0..count {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("an offset");
    }
    consumer.assign(&list).expect("an assignment");
    let began = Instant::now();
    // The end of a partition is told again when it moves.
    let (mut at_the_end, mut failed) = (BTreeSet::new(), None);
    while at_the_end.len() < count as usize {
        assert!(
            began.elapsed() < DEADLINE,
            "topic `{topic}` cannot be read to its end: {failed:?}"
        );
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => take(&message),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                at_the_end.insert(partition);
            }
            // The client connects again by itself.
            Some(Err(error)) => failed = Some(error),
        }
    }
    count
}

/// Every record of a data topic. Fails where the topic breaks a promise to its readers: runs that begin with
/// the one header, sequences dense per partition and epoch from 1, epochs that never fall, keys where they belong.
pub fn read_topic(topic: &str) -> Vec<Record> {
    tokio::task::block_in_place(|| {
        let mut records = Vec::new();
        let mut runs: BTreeMap<i32, Run> = BTreeMap::new();
        let count = read(topic, |message| {
            let run = runs.entry(message.partition()).or_default();
            records.push(run.take(topic, message));
        });
        for (partition, run) in &runs {
            assert_eq!(
                run.left, 0,
                "topic `{topic}` partition {partition} ends within a run"
            );
        }
        for record in &records {
            if let Some(key) = &record.key {
                let text = serde_json::to_string(key).expect("a key");
                assert_eq!(
                    record.partition,
                    partition_for(text.as_bytes(), count),
                    "the partition of key {text}"
                );
            }
        }
        records
    })
}

/// Where the reading of a partition stands.
#[derive(Default)]
struct Run {
    header: Option<RunHeader>,
    left: u64,
    next: u64,
    offset: i64,
}

impl Run {
    fn take(&mut self, topic: &str, message: &BorrowedMessage<'_>) -> Record {
        let (partition, offset) = (message.partition(), message.offset());
        let place = format!("topic `{topic}` partition {partition} offset {offset}");
        let headers: Vec<(String, Vec<u8>)> = message.headers().map_or(Vec::new(), |headers| {
            headers
                .iter()
                .map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec()))
                .collect()
        });
        match (self.left, headers.as_slice()) {
            (0, [(name, value)]) if name == RUN_HEADER => {
                let header = RunHeader::parse(value).unwrap_or_else(|| {
                    panic!("{place}: header {:?}", String::from_utf8_lossy(value))
                });
                let epoch = self.header.as_ref().map_or(0, |old| old.epoch);
                assert!(
                    header.epoch >= epoch,
                    "{place}: epoch {} after {epoch}",
                    header.epoch
                );
                let expected = if header.epoch > epoch { 1 } else { self.next };
                assert_eq!(
                    header.first, expected,
                    "{place}: a hole or a repeat in epoch {}",
                    header.epoch
                );
                (self.left, self.next) = (header.records, header.first);
                self.header = Some(header);
            }
            (0, other) => panic!("{place}: a run must begin here; headers {other:?}"),
            (_, []) => assert_eq!(offset, self.offset + 1, "{place}: a run is not consecutive"),
            (left, other) => {
                panic!("{place}: within a run, {left} before its end, there are headers {other:?}")
            }
        }
        let header = self.header.clone().expect("a run has begun");
        (self.left, self.next, self.offset) = (self.left - 1, self.next + 1, offset);
        let json = |bytes: &[u8]| {
            serde_json::from_slice::<Value>(bytes).unwrap_or_else(|e| panic!("{place}: {e}"))
        };
        Record {
            partition,
            offset,
            epoch: header.epoch,
            fingerprint: header.fingerprint.to_string(),
            load: header.load.map(|load| load.to_string()),
            key: message.key().map(json),
            value: json(
                message
                    .payload()
                    .unwrap_or_else(|| panic!("{place}: a tombstone")),
            ),
        }
    }
}

/// Key and value of every record of a topic that has no runs, e.g. of rejected rows.
pub fn plain_records(topic: &str) -> Vec<(Option<Value>, Value)> {
    tokio::task::block_in_place(|| {
        let mut records = Vec::new();
        read(topic, |message| {
            let json = |bytes: &[u8]| serde_json::from_slice(bytes).expect("JSON");
            let value = message.payload().expect("a value");
            records.push((message.key().map(json), json(value)));
        });
        records
    })
}

/// The newest value of each key of a topic.
pub fn compacted(topic: &str) -> BTreeMap<String, Value> {
    tokio::task::block_in_place(|| {
        let mut values = BTreeMap::new();
        read(topic, |message| {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
            match message.payload() {
                Some(value) => values.insert(key, serde_json::from_slice(value).expect("JSON")),
                None => values.remove(&key),
            };
        });
        values
    })
}

/// Deletes the topics whose names begin so.
pub fn delete_topics(prefixes: &[String]) {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers())
        .set("group.id", "test.reader");
    let Ok(consumer) = config.create::<BaseConsumer>() else {
        return;
    };
    let Ok(metadata) = consumer.fetch_metadata(None, Duration::from_secs(10)) else {
        return;
    };
    let names: Vec<String> = metadata
        .topics()
        .iter()
        .map(|topic| topic.name().to_owned())
        .collect();
    let ours: Vec<&str> = names
        .iter()
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .map(String::as_str)
        .collect();
    let Ok(admin) = config.create::<AdminClient<DefaultClientContext>>() else {
        return;
    };
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(async {
            let _ = admin.delete_topics(&ours, &AdminOptions::new()).await;
        });
}
