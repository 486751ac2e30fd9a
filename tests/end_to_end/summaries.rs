//! What a command that ends by itself says last, and what it keeps quiet about.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Database, Engine, Finished, Pipeline, Table};

/// A table that is loaded whole once an hour, and one that is followed.
async fn shop(engine: Engine) -> (Database, Pipeline) {
    let database = Database::open(engine).await;
    for (table, rows) in [("prices", 3), ("orders", 5)] {
        database.create(table).await;
        database.insert(table, rows).await;
    }
    let tables =
        "prices: { mode: bulk, every: 1h }, orders: { mode: incrementing, incrementing: id }";
    let pipeline = Pipeline::new().source(&database, tables);
    (database, pipeline)
}

fn answers(finished: &Finished) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    answer["tables"].as_array().expect("tables").clone()
}

/// Fails unless the load that readers see has so many rows: what was awaited is not looked for any more.
async fn readers_see(pipeline: &Pipeline, database: &Database, rows: u64) {
    let name = "prices";
    let path = format!("{}/_current.json", Table { database, name }.path());
    let current = pipeline.object(&path).await.expect("a load");
    assert_eq!(current["rows"], rows, "{current}");
}

/// What a second snapshot of everything says, whoever carries it out.
fn is_told_apart(second: Finished) {
    let second = second.expect(
        1,
        &[
            "in the lake: 1 table, 4 rows (",
            "copied before, and left as they are: ",
            ".orders; `cdc follow --once` brings what is new",
        ],
    );
    let answers = answers(&second);
    let of = |name: &str| {
        let mut answers = answers.iter();
        let is_of = |answer: &&Value| answer["table"].as_str().is_some_and(|t| t.ends_with(name));
        answers.find(is_of).expect("an answer")
    };
    let (orders, prices) = (of(".orders"), of(".prices"));
    assert_eq!(orders["code"], "CDC-0503", "{orders}");
    assert_eq!(orders["exit"], 1);
    assert_eq!((&prices["exit"], &prices["rows"]), (&0.into(), &4.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_ends_with_what_is_in_the_lake_and_what_was_left() {
    let (database, pipeline) = shop(Engine::Postgres).await;
    let first = pipeline.run(&["snapshot"]).await;
    let first = first.expect(
        0,
        &["waiting for the lake", "in the lake: 2 tables, 8 rows ("],
    );
    // Topics that were made a moment ago are not known everywhere at once, which is nobody's concern.
    let mut lines = first.stderr.lines();
    let noise = lines.find(|line| line.contains("WARN") && line.contains("nknown"));
    assert_eq!(noise, None, "{}", first.stderr);

    database.insert("prices", 1).await;
    is_told_apart(pipeline.run(&["snapshot", "-o", "json"]).await);
    readers_see(&pipeline, &database, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_others_carry_out_awaits_its_loads_although_a_table_was_left() {
    let (database, pipeline) = shop(Engine::MariaDb).await;
    let [orders, prices] =
        ["orders", "prices"].map(|name| format!("{}.{name}", database.engine.source()));
    let worker = pipeline.follow();
    pipeline.is_shown(&orders, "following", &[]).await;
    let shown = pipeline.is_shown(&prices, "following", &[]).await;
    let next = shown["next_load_at"].as_i64().expect("a moment");
    let hour = jiff::Timestamp::now() + Duration::from_secs(3_600);
    assert!(hour.as_millisecond() - next < 300_000, "{shown}");

    database.insert("prices", 1).await;
    is_told_apart(pipeline.run(&["snapshot", "-o", "json"]).await);
    readers_see(&pipeline, &database, 4).await;
    worker.stop().await;
    pipeline.is_shown(&prices, "idle", &[]).await;
}
