//! Topics that are deleted while they are in use.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};

use crate::harness::{Database, Engine, Pipeline, Table, brokers, eventually, files_rows, held};

fn admin() -> AdminClient<rdkafka::client::DefaultClientContext> {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config.create().expect("a client")
}

async fn delete(topic: &str) {
    let answers = admin().delete_topics(&[topic], &AdminOptions::new()).await;
    assert!(answers.expect("an answer")[0].is_ok(), "{topic}");
}

/// Makes a topic as soon as the broker has forgotten the one of that name.
async fn make(topic: &str, partitions: i32, policy: &str) {
    eventually("the topic is made", async || {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
            .set("cleanup.policy", policy);
        let answers = admin().create_topics([&new], &AdminOptions::new()).await;
        match &answers.expect("an answer")[0] {
            Ok(_) => Ok(()),
            Err((_, code)) => Err(code.to_string()),
        }
    })
    .await;
}

/// Two followed tables, `orders` and `items`.
async fn followed() -> (Database, Pipeline) {
    let database = Database::with_table(Engine::Postgres).await;
    database.create("items").await;
    for table in ["orders", "items"] {
        database.insert(table, 20).await;
    }
    let tables = "orders: { mode: incrementing }, items: { mode: incrementing }";
    let pipeline = Pipeline::new().source(&database, tables);
    (database, pipeline)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_topic_that_is_deleted_stops_its_table_only_and_is_not_made_anew_in_silence() {
    let (database, pipeline) = followed().await;
    let orders = Table::of(&database);
    let items = Table {
        name: "items",
        ..orders
    };
    let worker = pipeline.follow();
    for table in [orders, items] {
        pipeline.topic_is_exact(table).await;
        pipeline.lake_is_exact(table).await;
    }

    delete(&pipeline.topic(orders)).await;
    database.insert("orders", 20).await;
    let words = ["is gone: it was deleted", "snapshot --again", "CDC-0303"];
    pipeline.is_shown("ec.orders", "failed", &words).await;
    database.insert("items", 20).await;
    pipeline.topic_is_exact(items).await;

    let again = ["snapshot", "--again", "--yes", "orders"];
    pipeline.run(&again).await.expect(0, &["copied 40 rows"]);
    pipeline.topic_is_exact(orders).await;
    pipeline.lake_is_exact(orders).await;
    pipeline
        .is_shown(
            "ec.orders",
            "following",
            &["\"error\":null", "\"stopped\":[]"],
        )
        .await;
    worker.stop().await;
}

/// As when the last rows came while the topic was being deleted: they are taken and go with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_is_noticed_without_another_row() {
    let database = Database::with_table(Engine::Postgres).await;
    database.create("items").await;
    for table in ["orders", "items"] {
        database.insert(table, 20).await;
    }
    let orders = Table::of(&database);
    let items = Table {
        name: "items",
        ..orders
    };
    let tables = "orders: { mode: incrementing }, items: { mode: bulk, every: 1h }";
    let pipeline = Pipeline::new().source(&database, tables);
    let worker = pipeline.follow();
    for table in [orders, items] {
        pipeline.topic_is_exact(table).await;
        pipeline.lake_is_exact(table).await;
    }
    for table in [orders, items] {
        delete(&pipeline.topic(table)).await;
    }
    let words = ["is gone: it was deleted", "snapshot --again"];
    pipeline.is_shown("ec.orders", "failed", &words).await;
    pipeline.is_shown("ec.items", "failed", &words).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_topic_that_somebody_made_anew_gets_no_row() {
    let (database, pipeline) = followed().await;
    let orders = Table::of(&database);
    let worker = pipeline.follow();
    pipeline.topic_is_exact(orders).await;
    pipeline.lake_is_exact(orders).await;

    let topic = pipeline.topic(orders);
    delete(&topic).await;
    make(&topic, 3, "delete").await;
    database.insert("orders", 20).await;
    let words = ["was deleted and made anew", "snapshot --again", "CDC-0304"];
    pipeline.is_shown("ec.orders", "failed", &words).await;
    assert!(pipeline.records(orders).is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_topic_that_is_deleted_ends_its_workers_and_is_not_made_anew() {
    let (database, pipeline) = followed().await;
    let worker = pipeline.follow();
    pipeline.topic_is_exact(Table::of(&database)).await;

    let topic = pipeline.names().state_topic;
    delete(&topic).await;
    database.insert("orders", 20).await;
    let words = [
        "was deleted",
        "what the tables remember",
        "When the state topic is lost",
    ];
    worker.finish().await.expect(78, &words);
    // Nor by the next one.
    pipeline.run(&["follow"]).await.expect(78, &words);
    pipeline.run(&["snapshot"]).await.expect(78, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_topic_that_is_made_anew_between_two_looks_is_not_taken_for_the_old_one() {
    let (database, pipeline) = followed().await;
    let worker = pipeline.follow();
    pipeline.topic_is_exact(Table::of(&database)).await;

    let topic = pipeline.names().state_topic;
    delete(&topic).await;
    make(&topic, 16, "compact").await;
    database.insert("orders", 20).await;
    worker.finish().await.expect(78, &["was deleted"]);
    // What a worker finds later is not what the pipeline was begun with: the other wrote into it, or nobody did.
    let before = pipeline.records(Table::of(&database)).len();
    let later = pipeline
        .run(&["follow", "--once", "--only", "capture"])
        .await;
    let later = later.expect(78, &[]);
    let said = ["made anew", "is not empty"].map(|words| later.stderr.contains(words));
    assert!(said.contains(&true), "{}", later.stderr);
    assert_eq!(pipeline.records(Table::of(&database)).len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_table_that_nobody_remembers_are_not_added_to() {
    let (database, pipeline) = followed().await;
    let orders = Table::of(&database);
    let stray = format!("{}/dt=2026-01-01/stray.parquet", orders.path());
    let cdc::config::LakePlace::Local(lake) = &pipeline.lake else {
        panic!("a local lake");
    };
    let path = lake.join(stray);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(&path, b"PAR1").expect("a file");

    let worker = pipeline.follow();
    let words = ["the lake holds files of it", "to begin anew"];
    pipeline.is_shown("ec.orders", "failed", &words).await;
    assert!(pipeline.records(orders).is_empty());
    pipeline
        .topic_is_exact(Table {
            name: "items",
            ..orders
        })
        .await;
    worker.stop().await;
}

/// Deletes all records of a topic, as retention does, and the marks of the transactions behind them.
async fn delete_records(topic: &str, partitions: i32) {
    eventually("nothing is left in the topic", async || {
        delete_records_once(topic, partitions).await;
        match held(topic) {
            0 => Ok(()),
            left => Err(format!("{left} offsets are left")),
        }
    })
    .await;
}

async fn delete_records_once(topic: &str, partitions: i32) {
    let mut all = rdkafka::TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, rdkafka::Offset::End)
            .expect("an end");
    }
    let deleted = admin().delete_records(&all, &AdminOptions::new()).await;
    for element in deleted.expect("an answer").elements() {
        element.error().expect("the records are deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_deleted_at_the_end_of_a_quiet_log_is_noticed() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert(table.name, 30).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    pipeline.run(&["snapshot"]).await.expect(0, &[]);
    // All of this is in the lake, and nothing is missed.
    delete_records(&pipeline.topic(table), 3).await;
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    assert_eq!(files_rows(&pipeline.files(table).await).len(), 30);

    database.insert(table.name, 30).await;
    let capture = ["follow", "--once", "--only", "capture"];
    pipeline.run(&capture).await.expect(0, &[]);
    delete_records(&pipeline.topic(table), 3).await;
    let once = pipeline.run(&["follow", "--once"]).await;
    assert_ne!(once.code, Some(0), "{}{}", once.stdout, once.stderr);
    let words = [
        "the log is empty and begins at",
        "cdc offsets skip ec.orders",
        "CDC-0405",
    ];
    let mut follower = pipeline.follow();
    // The command before it has told of it, too: who skips waits only for a sink that is there.
    follower.says(words[0]).await;
    pipeline.is_shown("ec.orders", "failed", &words).await;

    for partition in ["0", "1", "2"] {
        let skip = [
            "offsets",
            "skip",
            "orders",
            "--partition",
            partition,
            "--yes",
        ];
        pipeline.run(&skip).await.expect(0, &["it goes on"]);
    }
    pipeline.is_shown("ec.orders", "following", &[]).await;
    database.insert(table.name, 30).await;
    eventually("new rows are in the lake", async || {
        match files_rows(&pipeline.files(table).await).len() {
            60 => Ok(()),
            other => Err(format!("{other} rows")),
        }
    })
    .await;

    pipeline
        .run(&["snapshot", "--again", "--yes", table.name])
        .await
        .expect(0, &[]);
    eventually("all rows are in the lake", async || {
        match files_rows(&pipeline.files(table).await).len() {
            90 => Ok(()),
            other => Err(format!("{other} rows")),
        }
    })
    .await;
    follower.stop().await;
}
