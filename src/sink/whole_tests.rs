//! The whole sink, threads and all, against the client's own mock of a broker and a lake in a local folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::cast::AsArray;
use arrow::datatypes::Int64Type;
use jiff::tz::TimeZone;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::simulation::{TOPIC, schema, table};
use super::{PartitionId, SinkHandle, SinkOptions, SinkProgress, start};
use crate::config::{Compression, FileSettings, KafkaSettings, LakePlace};
use crate::error::Kind;
use crate::lake::{Plan, open_store};
use crate::model::{Mode, TopicName};
use crate::state::{EpochRecord, LoadPartition, LoadRecord, LoadState, PipelineNames};
use crate::wire::{RUN_HEADER, RunHeader};

struct World {
    /// The broker; it lives as long as the test.
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
    names: PipelineNames,
    folder: tempfile::TempDir,
    next_sequence: u64,
    epoch: u64,
    /// Rows of earlier epochs.
    earlier: u64,
}

impl World {
    fn new() -> Self {
        let cluster = MockCluster::new(1).expect("a cluster");
        let names = PipelineNames::new("test");
        for topic in [TOPIC, &names.schemas_topic, &names.loads_topic] {
            cluster.create_topic(topic, 1, 1).expect("a topic");
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        let world = World {
            producer: config.create().expect("a producer"),
            cluster,
            names,
            folder: tempfile::tempdir().expect("a folder"),
            next_sequence: 1,
            epoch: 7,
            earlier: 0,
        };
        let known = schema(1);
        let fingerprint = known.fingerprint().to_string();
        world.write(
            &world.names.schemas_topic,
            &fingerprint,
            &known.canonical_json(),
            None,
        );
        world
    }

    fn write(&self, topic: &str, key: &str, value: &str, header: Option<&str>) {
        let mut record = BaseRecord::to(topic).partition(0).key(key).payload(value);
        if let Some(value) = header {
            let header = Header {
                key: RUN_HEADER,
                value: Some(value),
            };
            record = record.headers(OwnedHeaders::new().insert(header));
        }
        self.producer.send(record).expect("sent");
        self.producer
            .flush(Duration::from_secs(10))
            .expect("flushed");
    }

    /// Writes a run; its rows' ids are their offsets.
    fn run(&mut self, records: u64, load: Option<Ulid>) {
        let first = self.next_sequence;
        self.next_sequence += records;
        self.announced(first, records, load);
    }

    fn announced(&mut self, first: u64, records: u64, load: Option<Ulid>) {
        let fingerprint = schema(1).fingerprint();
        let header = RunHeader {
            fingerprint,
            epoch: self.epoch,
            first,
            records,
            load,
        }
        .to_string();
        for i in 0..records {
            let id = self.earlier + first + i - 1;
            let head = (i == 0).then_some(header.as_str());
            self.write(TOPIC, &id.to_string(), &format!(r#"{{"id":{id}}}"#), head);
        }
    }

    /// Begins the table anew: whatever the topic holds by now is void.
    fn begin_anew(&mut self, epoch: u64) {
        self.earlier += self.next_sequence - 1;
        (self.next_sequence, self.epoch) = (1, epoch);
        let record = EpochRecord {
            v: 1,
            topic: TOPIC.into(),
            epoch,
            retired_below: Some(epoch),
            start: vec![self.earlier],
            reason: "again".into(),
            before: Vec::new(),
        };
        let key = EpochRecord::key(&table(Mode::Timestamp).name.head_key());
        let value = serde_json::to_string(&record).expect("json");
        self.write(&self.names.loads_topic, &key, &value, None);
    }

    async fn sink(&self, mode: Mode, stop: &CancellationToken) -> SinkHandle {
        let place = LakePlace::Local(self.folder.path().join("lake"));
        std::fs::create_dir_all(self.folder.path().join("lake")).expect("a folder");
        let options = SinkOptions {
            kafka: KafkaSettings {
                brokers: self.cluster.bootstrap_servers(),
                topic_prefix: "retail.".into(),
                partitions: 1,
                replication: 1,
                retention: Duration::from_secs(3_600),
                client: BTreeMap::new(),
            },
            pipeline: "test".into(),
            client_id: "cdc.test".into(),
            store: open_store(&place).await.expect("a lake"),
            spool: self.folder.path().join("spool"),
            files: FileSettings {
                rows: 1_000,
                size: 1 << 28,
                age: Duration::from_secs(3_600),
                compression: Compression::Zstd,
            },
            day_in: TimeZone::UTC,
            memory: 256 << 20,
        };
        let (_, tables) = watch::channel(vec![Arc::unwrap_or_clone(table(mode))]);
        start(options, tables, stop.clone())
    }

    fn ids(&self) -> Vec<i64> {
        let mut ids = Vec::new();
        collect(&self.folder.path().join("lake"), &mut ids);
        ids.sort_unstable();
        ids
    }
}

fn collect(folder: &Path, ids: &mut Vec<i64>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, ids);
        } else if path.extension().is_some_and(|kind| kind == "parquet") {
            let file = std::fs::File::open(&path).expect("a file");
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a parquet file");
            for batch in reader.build().expect("a reader") {
                let batch = batch.expect("rows");
                let column = batch.column_by_name("id").expect("a column");
                ids.extend(column.as_primitive::<Int64Type>().values());
            }
        }
    }
}

fn target(offset: u64) -> Vec<(TopicName, i32, u64)> {
    vec![(TopicName::new(TOPIC).expect("a name"), 0, offset)]
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_is_in_the_lake_and_the_next_worker_goes_on_behind_it() {
    let mut world = World::new();
    let mut expected = 0;
    for runs in [3, 2] {
        for _ in 0..runs {
            world.run(4, None);
            expected += 4;
        }
        let stop = CancellationToken::new();
        let sink = world.sink(Mode::Timestamp, &stop).await;
        let drained = tokio::time::timeout(LONG, sink.drain_to(target(expected)));
        drained.await.expect("in time").expect("drained");
        assert_eq!(world.ids(), (0..expected as i64).collect::<Vec<_>>());
        // An open chunk is dropped at the stop and read again by the next worker.
        world.run(1, None);
        expected += 1;
        stop.cancel();
        tokio::time::timeout(LONG, sink.finished())
            .await
            .expect("in time")
            .expect("ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_stops_its_partition_and_whoever_waits_is_told_why() {
    let mut world = World::new();
    world.run(4, None);
    world.announced(9, 2, None);
    let stop = CancellationToken::new();
    let sink = world.sink(Mode::Timestamp, &stop).await;
    let drained = tokio::time::timeout(LONG, sink.drain_to(target(6)))
        .await
        .expect("in time");
    let error = drained.expect_err("stopped").to_string();
    assert!(error.contains("records are missing"), "{error}");
    let id = PartitionId {
        topic: TopicName::new(TOPIC).expect("a name"),
        number: 0,
    };
    let progress = sink.progress.borrow().partitions[&id].clone();
    assert_eq!((progress.committed, progress.stopped_at), (4, Some(4)));
    assert_eq!(world.ids(), [0, 1, 2, 3]);
    stop.cancel();
    tokio::time::timeout(LONG, sink.finished())
        .await
        .expect("in time")
        .expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_load_becomes_current_before_its_last_chunk_is_old_and_an_unequal_one_is_told() {
    let mut world = World::new();
    let ulid = Ulid::from_parts(1, 1);
    let stop = CancellationToken::new();
    let sink = world.sink(Mode::Bulk, &stop).await;
    world.run(5, Some(ulid));
    let partition = LoadPartition {
        start: 0,
        end: 5,
        rows: 5,
        rejected: 0,
    };
    let record = LoadRecord {
        v: 1,
        state: LoadState::Ended,
        ulid: ulid.to_string(),
        topic: TOPIC.into(),
        epoch: 7,
        partitions: vec![partition],
        source_rows: 5,
        reason: None,
        cut_off: false,
        fingerprint: None,
    };
    let key = LoadRecord::key(&table(Mode::Bulk).name.head_key(), 1);
    let value = serde_json::to_string(&record).expect("json");
    world.write(&world.names.loads_topic, &key, &value, None);
    let topic = TopicName::new(TOPIC).expect("a name");
    let loaded = tokio::time::timeout(LONG, sink.await_loads(vec![(topic.clone(), 1)]));
    loaded.await.expect("in time").expect("loaded");
    let current = sink.progress.borrow().loads[&topic].clone();
    assert_eq!((current.load, current.rows), (1, 5));
    let unequal = LoadRecord {
        ulid: Ulid::from_parts(2, 1).to_string(),
        source_rows: 6,
        ..record
    };
    let key = LoadRecord::key(&table(Mode::Bulk).name.head_key(), 2);
    let value = serde_json::to_string(&unequal).expect("json");
    world.write(&world.names.loads_topic, &key, &value, None);
    let failed = tokio::time::timeout(LONG, sink.await_loads(vec![(topic, 2)]));
    let failed = failed.await.expect("in time").map_err(|e| e.kind());
    assert_eq!(failed, Err(Kind::Data));
    stop.cancel();
    tokio::time::timeout(LONG, sink.finished())
        .await
        .expect("in time")
        .expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_a_newer_program_ends_the_whole_sink() {
    let mut world = World::new();
    world.run(4, None);
    let newer = world
        .folder
        .path()
        .join("lake")
        .join(Plan::path(TOPIC, 7, 0, 0));
    std::fs::create_dir_all(newer.parent().expect("a folder")).expect("a folder");
    std::fs::write(&newer, br#"{"v":2}"#).expect("a plan");
    let stop = CancellationToken::new();
    let sink = world.sink(Mode::Timestamp, &stop).await;
    let ended = tokio::time::timeout(LONG, sink.finished()).await;
    let ended = ended.expect("in time").map_err(|error| error.kind());
    assert_eq!(ended, Err(Kind::TryLater));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_without_a_disk_goes_on_by_itself_when_there_is_one_again() {
    let mut world = World::new();
    world.run(4, None);
    let stop = CancellationToken::new();
    let sink = world.sink(Mode::Timestamp, &stop).await;
    let drained = tokio::time::timeout(LONG, sink.drain_to(target(4)));
    drained.await.expect("in time").expect("drained");
    let spool = world.folder.path().join("spool").join("sink");
    std::fs::remove_dir_all(&spool).expect("removed");
    std::fs::write(&spool, b"in the way").expect("a file");
    world.run(4, None);
    let mended = async {
        let mut progress = sink.progress.clone();
        let held_up = |p: &SinkProgress| p.partitions.values().any(|p| p.held_up.is_some());
        progress.wait_for(held_up).await.expect("alive");
        std::fs::remove_file(&spool).expect("removed");
    };
    let both = async { tokio::join!(sink.drain_to(target(8)), mended) };
    let (drained, ()) = tokio::time::timeout(LONG, both).await.expect("in time");
    drained.expect("drained");
    assert_eq!(world.ids(), (0..8).collect::<Vec<_>>());
    stop.cancel();
    tokio::time::timeout(LONG, sink.finished())
        .await
        .expect("in time")
        .expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_begun_anew_keeps_no_file_of_before_and_puts_none_from_its_open_chunk() {
    let mut world = World::new();
    world.run(4, None);
    let stop = CancellationToken::new();
    let sink = world.sink(Mode::Timestamp, &stop).await;
    let drained = tokio::time::timeout(LONG, sink.drain_to(target(4)));
    drained.await.expect("in time").expect("drained");
    world.run(4, None);
    world.begin_anew(9);
    let topic = TopicName::new(TOPIC).expect("a name");
    let swept = tokio::time::timeout(LONG, sink.await_swept(vec![(topic, 9)]));
    swept.await.expect("in time").expect("swept");
    assert_eq!(world.ids(), Vec::<i64>::new());
    world.run(4, None);
    let drained = tokio::time::timeout(LONG, sink.drain_to(target(12)));
    drained.await.expect("in time").expect("drained");
    assert_eq!(world.ids(), [8, 9, 10, 11]);
    stop.cancel();
    tokio::time::timeout(LONG, sink.finished())
        .await
        .expect("in time")
        .expect("ended");
}
