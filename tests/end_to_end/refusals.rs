//! What is refused, with which exit code, and what goes on beside it.

use crate::harness::{Database, Engine, Pipeline, Table, compacted, eventually};

/// A PostgreSQL database with ten rows, followed by id.
async fn shop() -> (Database, Pipeline) {
    let database = Database::with_table(Engine::Postgres).await;
    database.insert("orders", 10).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    (database, pipeline)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_kafka_nothing_starts_and_the_file_is_to_blame() {
    let (_database, pipeline) = shop().await;
    let text = pipeline.text();
    let (before, rest) = text.split_once("kafka:").unwrap();
    let (_, after) = rest.split_once("sources:").unwrap();
    let file = pipeline.file("no-kafka.yaml", &format!("{before}sources:{after}"));

    for command in [
        &["follow"][..],
        &["snapshot", "orders"],
        &["follow", "--once"],
        &["pause", "orders"],
    ] {
        let worker = pipeline.start_with(&file, &pipeline.temporary("host"), command);
        worker.finish().await.expect(78, &["no `kafka:` block"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelt_name_beside_a_good_one_ends_a_command_before_it_begins() {
    let (database, pipeline) = shop().await;
    let said = ["CDC-0507", "no table is called `odrers`"];
    for command in [
        &["snapshot", "orders", "odrers"][..],
        &["follow", "--once", "orders", "odrers"],
        &["pause", "orders", "odrers"],
    ] {
        pipeline.run(command).await.expect(2, &said);
    }
    let status = pipeline.run(&["status"]).await.expect(0, &["ec.orders"]);
    assert!(!status.stdout.contains("paused"), "{}", status.stdout);
    assert!(!status.stdout.contains(" 10 rows"), "{}", status.stdout);
    // Who follows waits for a table that may be made later, and says so.
    let worker = pipeline.start(&["follow", "orders", "odrers"]);
    pipeline.topic_is_exact(Table::of(&database)).await;
    let log = std::fs::read_to_string(&worker.log).expect("a log");
    assert_eq!(
        log.matches("no table is called `odrers`").count(),
        1,
        "{log}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_twin_under_the_same_name_ends_with_75() {
    let (database, pipeline) = shop().await;
    let file = pipeline.file("named.yaml", &format!("worker: till\n{}", pipeline.text()));
    let here = pipeline.temporary("here");
    let worker = pipeline.start_with(&file, &here, &["follow"]);
    pipeline.topic_is_exact(Table::of(&database)).await;

    let twin = pipeline.start_with(&file, &here, &["follow"]);
    twin.finish().await.expect(75, &["till"]);
    let elsewhere = pipeline.start_with(&file, &pipeline.temporary("elsewhere"), &["follow"]);
    elsewhere.finish().await.expect(75, &["till"]);

    database.insert("orders", 10).await;
    pipeline.topic_is_exact(Table::of(&database)).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_configuration_beside_a_follower_ends_with_75() {
    let (database, pipeline) = shop().await;
    let worker = pipeline.follow();
    pipeline.topic_is_exact(Table::of(&database)).await;

    let other = pipeline.file(
        "other.yaml",
        &pipeline.text().replace("partitions: 3", "partitions: 4"),
    );
    let joiner = pipeline.start_with(&other, &pipeline.temporary("host"), &["follow"]);
    joiner.finish().await.expect(75, &["configuration"]);
    let part = pipeline.start(&["follow", "orders"]);
    part.finish()
        .await
        .expect(75, &["serves this pipeline's tables already"]);

    assert!({ worker }.is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_pipeline_does_not_copy_into_a_topic_that_is_not_empty() {
    let (database, pipeline) = shop().await;
    let table = Table::of(&database);
    pipeline.run(&["snapshot"]).await.expect(0, &[]);

    let renamed = pipeline.text().replace(
        &format!("pipeline: {}", pipeline.name),
        &format!("pipeline: {}-renamed", pipeline.name),
    );
    let file = pipeline.file("renamed.yaml", &renamed);
    let refused = pipeline
        .start_with(
            &file,
            &pipeline.temporary("host"),
            &["follow", "--once", "--only", "capture"],
        )
        .finish()
        .await;

    refused.expect(78, &["is not empty", "use its old name", "to begin anew"]);
    pipeline.topic_is_exact(table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_other_partitions_stops_its_table_only() {
    let database = Database::with_table(Engine::Postgres).await;
    database.create("items").await;
    database.insert("orders", 10).await;
    database.insert("items", 10).await;
    let pipeline = Pipeline::new().source(
        &database,
        "orders: { mode: incrementing }, items: { mode: incrementing }",
    );
    pipeline.run(&["snapshot"]).await.expect(0, &[]);

    let orders = Table::of(&database);
    more_partitions(&pipeline.topic(orders), 5).await;
    let mut worker = pipeline.follow();
    worker.says("had 3 partitions and has 5").await;

    database.insert("items", 10).await;
    pipeline
        .topic_is_exact(Table {
            name: "items",
            ..orders
        })
        .await;
    worker.stop().await;
}

async fn more_partitions(topic: &str, count: usize) {
    use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
    let admin: AdminClient<_> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", crate::harness::brokers())
        .create()
        .unwrap();
    let answers = admin
        .create_partitions([&NewPartitions::new(topic, count)], &AdminOptions::new())
        .await;
    assert!(answers.unwrap().iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_in_which_rows_could_vanish_stops_its_table_only() {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    let database = Database::with_table(Engine::Postgres).await;
    database.create("items").await;
    database.insert("orders", 10).await;
    database.insert("items", 10).await;
    let pipeline = Pipeline::new().source(
        &database,
        "orders: { mode: incrementing }, items: { mode: incrementing }",
    );
    let orders = Table::of(&database);
    let topic = pipeline.topic(orders);
    let admin: AdminClient<_> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", crate::harness::brokers())
        .create()
        .unwrap();
    let new = NewTopic::new(&topic, 3, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    assert!(
        admin
            .create_topics([&new], &AdminOptions::new())
            .await
            .unwrap()[0]
            .is_ok()
    );

    let mut worker = pipeline.follow();
    worker.says("cleanup.policy=compact").await;

    pipeline
        .topic_is_exact(Table {
            name: "items",
            ..orders
        })
        .await;
    assert!(pipeline.records(orders).is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_topic_in_which_records_could_vanish_is_refused() {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    let admin: AdminClient<_> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", crate::harness::brokers())
        .create()
        .unwrap();
    for (partitions, policy, said) in [
        (16, "delete", "cleanup.policy=delete"),
        (4, "compact", "4 partitions"),
    ] {
        let (_database, pipeline) = shop().await;
        let topic = pipeline.names().state_topic;
        let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1))
            .set("cleanup.policy", policy);
        assert!(
            admin
                .create_topics([&new], &AdminOptions::new())
                .await
                .unwrap()[0]
                .is_ok()
        );

        pipeline.run(&["follow"]).await.expect(78, &[said]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_table_stops_alone() {
    for engine in Engine::BOTH {
        let database = Database::with_table(engine).await;
        let table = Table::of(&database);
        database.insert(table.name, 10).await;
        let tables = format!(
            "{}: {{ mode: incrementing }}, ghosts: {{ mode: incrementing }}",
            table.name
        );
        let pipeline = Pipeline::new().source(&database, &tables);

        let mut worker = pipeline.follow();
        worker.says("ghosts").await;
        pipeline.topic_is_exact(table).await;
        database.insert(table.name, 10).await;
        pipeline.topic_is_exact(table).await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_stops_its_source_only() {
    for wrong in Engine::BOTH {
        let ec = Database::with_table(Engine::Postgres).await;
        let pos = Database::with_table(Engine::MariaDb).await;
        let pipeline = Pipeline::new()
            .following(&ec, "incrementing")
            .following(&pos, "incrementing");
        let (sick, well) = if wrong == Engine::Postgres {
            (&ec, &pos)
        } else {
            (&pos, &ec)
        };
        well.insert(well.engine.table(), 10).await;
        let mut url = url::Url::parse(&sick.url()).unwrap();
        url.set_password(Some("not-the-secret-word")).unwrap();
        let pipeline = pipeline.with_url(wrong, url.as_str());

        let mut worker = pipeline.follow();
        worker.says("this source cannot be read").await;
        pipeline.topic_is_exact(Table::of(well)).await;
        well.insert(well.engine.table(), 10).await;
        pipeline.topic_is_exact(Table::of(well)).await;

        assert!(
            !worker.said().contains("not-the-secret-word"),
            "a secret was printed:\n{}",
            worker.said()
        );
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_dropped_while_it_is_followed_stops_alone_and_comes_back_only_when_asked() {
    for engine in Engine::BOTH {
        let database = Database::with_table(engine).await;
        let table = Table::of(&database);
        database.create("items").await;
        database.insert(table.name, 10).await;
        database.insert("items", 10).await;
        let tables = format!(
            "{}: {{ mode: incrementing }}, items: {{ mode: incrementing }}",
            table.name
        );
        let pipeline = Pipeline::new().source(&database, &tables);
        let items = Table {
            name: "items",
            ..table
        };
        let worker = pipeline.follow();
        pipeline.topic_is_exact(table).await;
        pipeline.topic_is_exact(items).await;

        database.run(&format!("DROP TABLE {}", table.name)).await;
        let state_topic = pipeline.names().state_topic;
        eventually(
            "its head says why it stands still",
            async || match compacted(&state_topic)[&table.head_key()]["failure"]["text"].as_str() {
                Some(why) if why.contains(table.name) => Ok(()),
                other => Err(format!("failure {other:?}")),
            },
        )
        .await;
        database.insert("items", 10).await;
        pipeline.topic_is_exact(items).await;

        // A table of the same name is another table: it is not read on in silence.
        database.create(table.name).await;
        database.insert(table.name, 20).await;
        let before = pipeline.records(table).len();
        pipeline.run(&["restart", table.name]).await;
        database.insert("items", 10).await;
        pipeline.topic_is_exact(items).await;
        if engine == Engine::Postgres {
            assert_eq!(
                pipeline.records(table).len(),
                before,
                "rows of another table are in its topic"
            );
        }
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_table_is_not_copied_again_unless_that_is_said() {
    let (database, pipeline) = shop().await;
    let table = Table::of(&database);
    pipeline
        .run(&["snapshot", "orders"])
        .await
        .expect(0, &["copied 10 rows"]);

    let words = [
        "cdc follow --once ec.orders",
        "cdc snapshot --again ec.orders",
    ];
    pipeline
        .run(&["snapshot", "orders"])
        .await
        .expect(1, &words);
    pipeline
        .run(&["snapshot", "--again", "orders"])
        .await
        .expect(2, &["--yes"]);
    pipeline.topic_is_exact(table).await;

    database.insert("orders", 10).await;
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    pipeline.topic_is_exact(table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_no_table_has_ends_with_2() {
    let (_database, pipeline) = shop().await;
    pipeline
        .run(&["snapshot", "ghosts"])
        .await
        .expect(2, &["ghosts"]);
}
