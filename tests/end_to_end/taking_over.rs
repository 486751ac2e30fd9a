//! The rules under which a table changes hands, one by one, against the real broker: each test fails when its
//! rule is left out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use cdc::capture::{
    Batch, Command, Committed, Committer, CommitterEvent, Parcel, Place, Recovery, Run,
    StateRecord, prepare_pipeline,
};
use cdc::config::KafkaSettings;
use cdc::error::Result;
use cdc::model::TopicName;
use cdc::state::PipelineNames;
use cdc::topic::{Admin, Transactional, data_topic_config};
use cdc::wire::{PartitionRecords, Span};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use crate::harness::{
    DEADLINE, Database, Engine, Pipeline, Table, brokers, compacted, ends, eventually,
};

const PARTITION: i32 = 3;
const HEAD_KEY: &str = "t/ec/public/orders";

/// A pipeline's topics without any worker.
struct Bare {
    pipeline: Pipeline,
    kafka: KafkaSettings,
    names: PipelineNames,
    topic: TopicName,
}

impl Bare {
    async fn open() -> Bare {
        let pipeline = Pipeline::new();
        let kafka = KafkaSettings {
            brokers: brokers(),
            topic_prefix: pipeline.topic_prefix(),
            partitions: 1,
            replication: 1,
            retention: Duration::from_secs(3600),
            client: BTreeMap::new(),
        };
        let names = pipeline.names();
        let admin = Admin::new(&kafka, "test").unwrap();
        prepare_pipeline(&admin, &kafka, &names, "test")
            .await
            .unwrap();
        let topic = TopicName::new(format!("{}orders", pipeline.topic_prefix())).unwrap();
        admin
            .create(topic.as_str(), 1, 1, &data_topic_config(&kafka))
            .await
            .unwrap();
        Bare {
            pipeline,
            kafka,
            names,
            topic,
        }
    }

    fn committer(&self) -> (Committer, UnboundedReceiver<CommitterEvent>) {
        let (out, events) = unbounded_channel();
        let started = tokio::task::block_in_place(|| {
            Committer::start(
                self.kafka.clone(),
                self.names.clone(),
                "worker",
                "test",
                out,
            )
        });
        (started.unwrap().0, events)
    }

    /// A member of the capture group, and its metadata once it has an assignment.
    fn member(&self) -> (BaseConsumer, ConsumerGroupMetadata) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers())
            .set("group.id", &self.names.capture_group)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", "10000")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        consumer.subscribe(&[&self.names.state_topic]).unwrap();
        let began = Instant::now();
        while consumer.assignment().unwrap().count() == 0 {
            assert!(began.elapsed() < DEADLINE, "the group gives no assignment");
            let _ = consumer.poll(Duration::from_millis(50));
        }
        let metadata = consumer.group_metadata().expect("metadata of a member");
        (consumer, metadata)
    }

    /// One record and one head, under a life.
    fn batch(&self, life: u64) -> (Command, oneshot::Receiver<Result<Committed>>) {
        let (done, receiver) = oneshot::channel();
        let records = PartitionRecords {
            partition: 0,
            buffer: b"{\"id\":1}{}".to_vec(),
            spans: vec![Span {
                key_end: 8,
                value_end: 10,
            }],
        };
        let parcel = Parcel {
            rejections: cdc::capture::Rejections::default(),
            runs: vec![Run {
                header: "0123456789abcdef.1.1+1".to_owned(),
                first: 1,
                records,
            }],
            state: vec![StateRecord {
                key: HEAD_KEY.to_owned(),
                value: Some(b"{}".to_vec()),
            }],
            loads: Vec::new(),
        };
        let batch = Batch {
            place: Place {
                life,
                state_partition: PARTITION,
                state_offset: 1,
            },
            topic: Some(self.topic.clone()),
            parcel: Arc::new(parcel),
            done,
        };
        (Command::Batch(batch), receiver)
    }

    fn head(&self) -> Option<serde_json::Value> {
        compacted(&self.names.state_topic).remove(HEAD_KEY)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_a_life_that_is_over_is_dropped_before_the_next_lifes_metadata_lets_it_through()
{
    let bare = Bare::open().await;
    let (committer, _events) = bare.committer();
    let (_member, metadata) = tokio::task::block_in_place(|| bare.member());
    let (ended, wait) = sync_channel(1);
    committer.send(Command::Begin {
        life: 1,
        group: metadata,
    });
    committer.send(Command::End { ended });
    tokio::task::block_in_place(|| wait.recv_timeout(DEADLINE)).expect("the end is answered");

    let (_second, metadata) = tokio::task::block_in_place(|| {
        drop(_member);
        bare.member()
    });
    committer.send(Command::Begin {
        life: 2,
        group: metadata,
    });
    let (late, answer) = bare.batch(1);
    committer.send(late);

    assert!(
        answer.await.is_err(),
        "a batch of life 1 was answered in life 2"
    );
    let (present, answer) = bare.batch(2);
    committer.send(present);
    answer.await.expect("an answer").expect("it is committed");
    // A commit is answered before its marks are in the logs.
    eventually("one of the two batches is there", async || {
        let records = bare.pipeline.records_of(bare.topic.as_str()).len();
        assert!(records < 2, "{records} records are there");
        // The one record and its mark: of the other nothing was written.
        match (records, ends(bare.topic.as_str())) {
            (1, 2) => Ok(()),
            (_, end) => Err(format!("{records} records, and the log ends at {end}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_the_group_has_given_up_commits_nothing_under_the_metadata_it_holds() {
    let bare = Bare::open().await;
    let (committer, mut events) = bare.committer();
    let (member, metadata) = tokio::task::block_in_place(|| bare.member());
    committer.send(Command::Begin {
        life: 1,
        group: metadata,
    });
    let (batch, answer) = bare.batch(1);
    committer.send(batch);
    answer
        .await
        .expect("an answer")
        .expect("a member's batch is committed");

    // The group moves on without this worker having heard of it.
    let _other = tokio::task::block_in_place(|| {
        drop(member);
        bare.member()
    });
    let before = ends(bare.topic.as_str());
    let (batch, answer) = bare.batch(1);
    committer.send(batch);

    assert!(
        !matches!(answer.await, Ok(Ok(_))),
        "it was committed under old metadata"
    );
    assert!(matches!(
        events.recv().await,
        Some(CommitterEvent::Failed { life: 1, .. })
    ));
    assert_eq!(bare.pipeline.records_of(bare.topic.as_str()).len(), 1);
    assert!(ends(bare.topic.as_str()) >= before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taking_over_waits_for_what_an_open_transaction_hides() {
    let bare = Bare::open().await;
    let state_topic = bare.names.state_topic.as_str();
    // A frozen worker's transaction, open at an early offset; the broker ends it in a few seconds.
    let frozen: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("transactional.id", format!("{}.frozen", bare.pipeline.name))
        .set("transaction.timeout.ms", "3000")
        .create()
        .unwrap();
    tokio::task::block_in_place(|| {
        frozen.init_transactions(DEADLINE).unwrap();
        frozen.begin_transaction().unwrap();
        let lost: BaseRecord<'_, str, str> = BaseRecord::to(state_topic)
            .partition(PARTITION)
            .key(HEAD_KEY)
            .payload("{}");
        frozen.send(lost).map_err(|(error, _)| error).unwrap();
        // In the log, and open.
        while frozen.in_flight_count() > 0 {
            frozen.poll(Duration::from_millis(10));
        }
    });
    // Behind it, a head that another worker has committed.
    let (committer, _events) = bare.committer();
    let (_member, metadata) = tokio::task::block_in_place(|| bare.member());
    committer.send(Command::Begin {
        life: 1,
        group: metadata,
    });
    let (mut batch, answer) = bare.batch(1);
    if let Command::Batch(batch) = &mut batch {
        let head = br#"{"v":1,"table":"ec.orders","topic":"t","mode":"incrementing","epoch":7,"identity":{},"cursor_columns":["id"],"partitions":1,"next":[2],"batches":1,"rows":1,"written_at":0,"worker":"worker"}"#;
        let state = vec![StateRecord {
            key: HEAD_KEY.to_owned(),
            value: Some(head.to_vec()),
        }];
        batch.parcel = Arc::new(Parcel {
            state,
            ..Parcel::default()
        });
    }
    committer.send(batch);
    answer.await.expect("an answer").expect("it is committed");

    let recovered = tokio::task::block_in_place(|| {
        Recovery::open(&bare.kafka, &bare.names, "test")
            .and_then(|recovery| recovery.take_over(&[PARTITION]))
    })
    .unwrap();

    let head = recovered
        .tables
        .get("ec/public/orders")
        .and_then(|memory| memory.head.as_ref());
    assert_eq!(
        head.map(|head| head.epoch),
        Some(7),
        "the committed head was not seen"
    );
    assert!(bare.head().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_fenced_by_a_twin_ends_with_75_and_does_not_fence_back() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert(table.name, 10).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let file = pipeline.file("named.yaml", &format!("worker: till\n{}", pipeline.text()));
    let worker = pipeline.start_with(
        &file,
        &pipeline.temporary("host"),
        &["follow", "--only", "capture"],
    );
    pipeline.topic_is_exact(table).await;

    let bare = Bare::open().await;
    let id = pipeline.names().transactional_id("till", 0);
    let twin =
        tokio::task::block_in_place(|| Transactional::open(&bare.kafka, "test", &id)).unwrap();
    database.insert(table.name, 10).await;

    worker
        .finish()
        .await
        .expect(75, &["another process writes under this worker's name"]);
    twin.begin().expect("the twin was not fenced in turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_last_year_are_kept_by_the_brokers_clock() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    let insert =
        "INSERT INTO orders (updated_at, note) SELECT now() - interval '400 days', '' FROM";
    database
        .run(&format!("{insert} {}", Engine::Postgres.numbers(100)))
        .await;
    let pipeline = Pipeline::new().following(&database, "timestamp");
    pipeline.run(&["snapshot"]).await.expect(0, &[]);

    pipeline.topic_is_exact(table).await;
    let admin = Admin::new(&Bare::open().await.kafka, "test").unwrap();
    let facts = admin
        .topic(&pipeline.topic(table))
        .await
        .unwrap()
        .expect("the topic");
    for (setting, value) in [
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "delete"),
        ("retention.ms", "86400000"),
        ("max.message.bytes", "16777216"),
    ] {
        assert_eq!(
            facts.settings.get(setting).map(String::as_str),
            Some(value),
            "{setting}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_topic_that_is_altered_ends_its_workers_within_minutes() {
    use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
    let database = Database::with_table(Engine::Postgres).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    database.insert("orders", 10).await;
    let mut worker = pipeline.start(&["follow", "--only", "capture"]);
    pipeline.topic_is_exact(Table::of(&database)).await;

    let admin: AdminClient<_> = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .unwrap();
    let state_topic = pipeline.names().state_topic;
    let altered =
        AlterConfig::new(ResourceSpecifier::Topic(&state_topic)).set("cleanup.policy", "delete");
    admin
        .alter_configs([&altered], &AdminOptions::new())
        .await
        .unwrap()[0]
        .as_ref()
        .unwrap();

    eventually("the worker ends", async || match worker.is_running() {
        true => Err("it runs on".to_owned()),
        false => Ok(()),
    })
    .await;
    worker.finish().await.expect(78, &["cleanup.policy=delete"]);
}
