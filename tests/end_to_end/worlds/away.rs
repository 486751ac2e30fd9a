//! A database, the broker or the store is away, at the start and in the middle.

use std::time::Duration;

use crate::harness::{
    Counter, Database, Engine, Line, Pipeline, Service, Table, brokers, eventually,
    on_both_databases, setting,
};

on_both_databases! {
    a_database_that_is_away_is_waited_for_and_followed_on_by_itself
    a_database_that_falls_silent_in_the_middle_is_found_out_and_followed_on
}

/// A database whose usual table has rows.
async fn stocked(engine: Engine) -> Database {
    let database = Database::with_table(engine).await;
    database.insert(engine.table(), 50).await;
    database
}

/// A pipeline that reaches the database by a line.
async fn by_line(database: &Database, mode: &str) -> (Line, Pipeline) {
    let url = url::Url::parse(&database.url()).expect("a url");
    let line = Line::to(&format!("127.0.0.1:{}", url.port().expect("a port"))).await;
    let pipeline = Pipeline::new().following_by(database, mode, &line);
    (line, pipeline)
}

/// A pipeline that reaches its store by way of a counter.
async fn by_counter(database: &Database, service: Service) -> (Counter, Pipeline) {
    let counter = Counter::open(service).await;
    let pipeline = Pipeline::on_s3()
        .following(database, "incrementing")
        .by_way_of(&setting("S3_ENDPOINT"), &counter.endpoint());
    (counter, pipeline)
}

/// Topic and lake hold what the database holds, and the table is followed without a complaint.
async fn all_is_well(pipeline: &Pipeline, table: Table<'_>) {
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    let name = format!("{}.{}", table.database.engine.source(), table.name);
    let words = ["\"error\":null", "\"stopped\":[]"];
    pipeline.is_shown(&name, "following", &words).await;
}

async fn a_database_that_is_away_is_waited_for_and_followed_on_by_itself(engine: Engine) {
    let database = stocked(engine).await;
    let table = Table::of(&database);
    let name = format!("{}.{}", engine.source(), table.name);
    let (line, pipeline) = by_line(&database, "incrementing").await;

    line.cut();
    let mut worker = pipeline.follow();
    worker.says("retry_in_ms").await;
    let shown = pipeline.is_shown(&name, "waiting", &["connecting"]).await;
    assert!(shown["next"].is_string(), "{shown}");
    line.mend();
    all_is_well(&pipeline, table).await;

    line.cut();
    database.insert(table.name, 50).await;
    pipeline.is_shown(&name, "waiting", &[]).await;
    line.mend();
    all_is_well(&pipeline, table).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_is_waited_for_and_nothing_is_sent_twice() {
    let database = stocked(Engine::Postgres).await;
    let table = Table::of(&database);
    let line = Line::to_broker(&brokers()).await;
    let pipeline = Pipeline::new()
        .following(&database, "timestamp+incrementing")
        .by_way_of(&brokers(), &line.address());

    line.cut();
    let mut worker = pipeline.follow();
    worker.says("trying again").await;
    let refused = pipeline.run(&["status"]).await;
    refused.expect(69, &["connecting to Kafka", "next:"]);
    line.mend();
    pipeline.topic_is_exact(table).await;

    for _ in 0..3 {
        line.cut();
        database.insert(table.name, 50).await;
        database.update(table.name, "id % 10 = 3").await;
        worker.says("a transaction failed").await;
        line.mend();
        pipeline.topic_is_current(table).await;
    }
    pipeline.lake_is_exact(table).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_holds_up_the_lake_and_not_the_topics() {
    let database = stocked(Engine::MariaDb).await;
    let table = Table::of(&database);
    let (counter, pipeline) = by_counter(&database, Service::Refuses(503, "SlowDown")).await;

    let mut worker = pipeline.follow();
    worker.says("trying again").await;
    counter.serves(Service::Works);
    all_is_well(&pipeline, table).await;

    for service in [
        Service::Refuses(500, "InternalError"),
        Service::LosesAnswersToPuts,
    ] {
        let before = counter.sabotaged();
        counter.serves(service);
        database.insert(table.name, 50).await;
        pipeline.topic_is_exact(table).await;
        eventually("the lake meets the trouble", async || {
            match counter.sabotaged() - before {
                2.. => Ok(()),
                few => Err(format!("{few} requests")),
            }
        })
        .await;
        counter.serves(Service::Works);
        pipeline.lake_is_exact(table).await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_of_the_store_that_is_taken_away_is_told_and_goes_on_when_it_is_back() {
    let database = stocked(Engine::Postgres).await;
    let table = Table::of(&database);
    let (counter, pipeline) = by_counter(&database, Service::Works).await;
    let worker = pipeline.follow();
    all_is_well(&pipeline, table).await;

    counter.serves(Service::ReadOnly);
    database.insert(table.name, 50).await;
    pipeline.topic_is_exact(table).await;
    let shown = pipeline
        .is_shown("ec.orders", "failed", &["AccessDenied", "s3:PutObject"])
        .await;
    assert!(!shown["lake"]["stopped"][0]["since"].is_null(), "{shown}");
    counter.serves(Service::Works);
    all_is_well(&pipeline, table).await;
    worker.stop().await;
}

/// No end of the connection is told: what was sent is swallowed, and nothing comes back.
async fn a_database_that_falls_silent_in_the_middle_is_found_out_and_followed_on(engine: Engine) {
    let database = stocked(engine).await;
    let table = Table::of(&database);
    let name = format!("{}.{}", engine.source(), table.name);
    let (line, pipeline) = by_line(&database, "timestamp+incrementing").await;
    let worker = pipeline.follow();
    pipeline.topic_is_exact(table).await;

    line.fall_silent();
    database.insert(table.name, 50).await;
    // Three questions in a row have to run out of time.
    let long = Duration::from_secs(150);
    pipeline
        .is_shown_within(long, &name, "waiting", &["next"])
        .await;
    // The old connections stay silent for ever; new ones are served.
    line.let_new_ones_pass();
    all_is_well(&pipeline, table).await;
    worker.stop().await;
}
