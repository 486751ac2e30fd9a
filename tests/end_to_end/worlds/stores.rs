//! Buckets that are not what a lake needs: refused before the first row, with the reason.

use std::time::Duration;

use crate::harness::{Counter, Database, Engine, Pipeline, Service, Table, setting, within};

/// A pipeline whose processes meet the store at a counter.
async fn at_a_counter(service: Service) -> (Database, Pipeline, Counter) {
    let database = Database::with_table(Engine::Postgres).await;
    database.insert("orders", 10).await;
    let counter = Counter::open(service).await;
    let pipeline = Pipeline::on_s3()
        .following(&database, "incrementing")
        .by_way_of(&setting("S3_ENDPOINT"), &counter.endpoint());
    (database, pipeline, counter)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_missing_ends_the_start_with_the_choices() {
    let (_database, pipeline, _counter) = at_a_counter(Service::Works).await;
    let text = pipeline
        .text()
        .replace("s3://retail-lake/", "s3://no-such-bucket/");
    let file = pipeline.file("missing.yaml", &text);
    let worker = pipeline.start_with(&file, &pipeline.temporary("host"), &["follow"]);
    let words = ["no-such-bucket", "create the bucket, or correct `lake.url`"];
    worker.finish().await.expect(78, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_without_conditional_writes_is_refused_with_the_reason() {
    let (database, pipeline, _counter) = at_a_counter(Service::IgnoresConditions).await;
    let worker = pipeline.follow();
    worker.finish().await.expect(78, &["If-None-Match"]);
    assert!(pipeline.files(Table::of(&database)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_may_not_be_written_ends_the_start_with_the_grants_it_needs() {
    let (_database, pipeline, _counter) = at_a_counter(Service::ReadOnly).await;
    let worker = pipeline.follow();
    worker
        .finish()
        .await
        .expect(77, &["AccessDenied", "s3:PutObject"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_says_nothing_does_not_hold_up_the_topics() {
    let (database, pipeline, counter) = at_a_counter(Service::Works).await;
    let table = Table::of(&database);
    let worker = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    counter.serves(Service::Silent);
    database.insert("orders", 10).await;
    within(
        Duration::from_secs(15),
        "the topic has the new rows",
        async || match pipeline.records(table).len() {
            20 => Ok(()),
            now => Err(format!("{now} rows")),
        },
    )
    .await;
    counter.serves(Service::Works);
    database.insert("orders", 10).await;
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_that_was_emptied_stops_its_tables_and_a_copy_anew_fills_it() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert(table.name, 10).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    pipeline.run(&["snapshot"]).await.expect(0, &[]);
    pipeline.lake_is_exact(table).await;

    let lake = pipeline.directory.path().join("lake");
    std::fs::remove_dir_all(lake).expect("a lake to be emptied");
    database.insert(table.name, 10).await;
    let follower = pipeline.follow();
    let words = [
        "the lake was emptied, or this is another lake",
        "if `lake.url` names another lake",
        "CDC-0405",
    ];
    let shown = pipeline.is_shown("ec.orders", "failed", &words).await;
    let shown = shown.to_string();
    assert!(shown.contains("cdc snapshot --again ec.orders"), "{shown}");
    assert!(!shown.contains("offsets skip"), "{shown}");
    let skip = ["offsets", "skip", table.name, "--partition", "0", "--yes"];
    pipeline
        .run(&skip)
        .await
        .expect(1, &["is not skipped", "if `lake.url` names another lake"]);
    pipeline.topic_is_exact(table).await;

    pipeline
        .run(&["snapshot", "--again", "--yes", table.name])
        .await
        .expect(0, &[]);
    pipeline.lake_is_exact(table).await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_table_that_stands_still_is_begun_anew_by_its_follower() {
    let database = Database::with_table(Engine::Postgres).await;
    database.insert("orders", 10).await;
    let table = "orders: { mode: bulk, schedule: \"0 0 1 1 * UTC\" }";
    let pipeline = Pipeline::new().source(&database, table);
    pipeline.run(&["snapshot"]).await.expect(0, &[]);

    let lake = pipeline.directory.path().join("lake");
    std::fs::remove_dir_all(lake).expect("a lake to be emptied");
    let follower = pipeline.follow();
    let words = ["the lake was emptied, or this is another lake"];
    pipeline.is_shown("ec.orders", "failed", &words).await;
    pipeline
        .run(&["snapshot", "--again", "--yes", "orders"])
        .await
        .expect(0, &["in the lake: 1 table, 10 rows"]);
    pipeline.run(&["path", "orders"]).await.expect(0, &[]);
    follower.stop().await;
}
