//! Readings that are put elsewhere by hand, and partitions whose hindrance is given up.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use crate::harness::{
    DEADLINE, Database, Engine, Pipeline, Row, Table, brokers, compacted, eventually, files_rows,
    on_both_databases, random_moment,
};

on_both_databases! {
    a_cursor_that_is_put_back_sends_again_exactly_what_was_announced
    a_reset_reads_everything_again_and_the_lake_keeps_what_it_has
}

/// How often each id is among these rows.
fn times(rows: &[Row]) -> BTreeMap<i64, usize> {
    let mut times = BTreeMap::new();
    for row in rows {
        *times.entry(row.id).or_default() += 1;
    }
    times
}

/// Waits until the lake holds each id as often as `expected` says.
pub async fn lake_holds(pipeline: &Pipeline, table: Table<'_>, expected: &BTreeMap<i64, usize>) {
    let what = format!("the lake's `{}` holds what was announced", table.path());
    eventually(&what, async || {
        let found = times(&files_rows(&pipeline.files(table).await));
        match found == *expected {
            true => Ok(()),
            false => Err(format!(
                "{} ids, {} rows",
                found.len(),
                found.values().sum::<usize>()
            )),
        }
    })
    .await;
}

fn epochs(pipeline: &Pipeline, table: Table<'_>) -> Vec<u64> {
    let mut epochs: Vec<u64> = pipeline
        .records(table)
        .iter()
        .map(|record| record.epoch)
        .collect();
    epochs.sort_unstable();
    epochs.dedup();
    epochs
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The announced epoch of a table.
fn announced(pipeline: &Pipeline, table: Table<'_>) -> Value {
    let key = format!("{}/epoch", table.head_key());
    compacted(&pipeline.names().loads_topic)
        .remove(&key)
        .expect("an announcement")
}

async fn a_cursor_that_is_put_back_sends_again_exactly_what_was_announced(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 40).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;

    let dry = ["offsets", "set", table.name, "30", "--dry-run"];
    let seen = pipeline.run(&dry).await;
    seen.expect(
        0,
        &[
            "rows with id > 30 are read",
            "read again: 10 rows",
            "never read: 0 rows",
        ],
    );
    assert_eq!(
        pipeline.records(table).len(),
        40,
        "a dry run changes nothing"
    );
    let set = ["offsets", "set", table.name, "30"];
    pipeline
        .run(&set)
        .await
        .expect(2, &["add `--yes`", "read again: 10 rows"]);
    pipeline
        .run(&[&set[..], &["--yes"]].concat())
        .await
        .expect(0, &["its cursor goes on from there"]);

    // The sink takes the raised epoch without a word, and rows that come later go on behind it.
    database.insert(table.name, 5).await;
    let ids = |rows: Vec<Row>| rows.into_iter().map(|row| row.id);
    let held = ids(database.holds(table.name).await);
    let again = |id| 1 + usize::from((31..=40).contains(&id));
    let expected: BTreeMap<i64, usize> = held.map(|id| (id, again(id))).collect();
    pipeline.topic_has(table, 55).await;
    lake_holds(&pipeline, table, &expected).await;
    assert_eq!(epochs(&pipeline, table).len(), 2);
    assert_eq!(announced(&pipeline, table)["retired_below"], Value::Null);
    let name = format!("{}.{}", engine.source(), table.name);
    let shown = pipeline.status_of(&name).await;
    assert_eq!(
        shown["lake"]["stopped"],
        Value::Array(Vec::new()),
        "{shown}"
    );

    // No further than to the largest id: what comes below it would be lost.
    let highest = expected.keys().max().copied().unwrap_or_default();
    let ahead = (highest + 1).to_string();
    let largest = format!("the largest id in the table, which is {highest}");
    pipeline
        .run(&["offsets", "set", table.name, &ahead, "--yes"])
        .await
        .expect(2, &[&largest, "would never be read"]);
    assert_eq!(epochs(&pipeline, table).len(), 2, "nothing was changed");
    pipeline
        .run(&["offsets", "set", table.name, &highest.to_string(), "--yes"])
        .await
        .expect(0, &["read again: 0 rows", "never read: 0 rows"]);
    database.insert(table.name, 10).await;
    pipeline.topic_has(table, 65).await;
    assert_eq!(epochs(&pipeline, table).len(), 3);
    pipeline
        .run(&["offsets", "set", table.name, "later", "--yes"])
        .await
        .expect(2, &["is no whole number"]);
    follower.stop().await;
}

async fn a_reset_reads_everything_again_and_the_lake_keeps_what_it_has(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 20).await;
    let pipeline = Pipeline::new().following(&database, "timestamp+incrementing");
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;

    pipeline
        .run(&["offsets", "reset", table.name, "--yes"])
        .await
        .expect(
            0,
            &[
                "the whole table is read",
                "cdc snapshot --again",
                "from the beginning again",
            ],
        );
    pipeline.topic_has(table, 40).await;
    lake_holds(&pipeline, table, &(1..=20).map(|id| (id, 2)).collect()).await;
    database.update(table.name, "id <= 3").await;
    pipeline.topic_has(table, 43).await;
    let twice = |id| if id <= 3 { 3 } else { 2 };
    lake_holds(
        &pipeline,
        table,
        &(1..=20).map(|id| (id, twice(id))).collect(),
    )
    .await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_later_than_the_moment_that_is_set_are_read_and_no_others() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database
        .run(
            "INSERT INTO orders (updated_at, note) \
             SELECT timestamptz '2026-01-01 00:00:00Z' + n * interval '1 second', '' FROM generate_series(1, 30) AS s(n)",
        )
        .await;
    let pipeline = Pipeline::new().following(&database, "timestamp");
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;

    let set = |value| ["offsets", "set", "orders", value, "--yes"];
    pipeline
        .run(&set("2026-01-01T00:00:20Z"))
        .await
        .expect(0, &["read again: 10 rows"]);
    pipeline.topic_has(table, 40).await;
    let rows: Vec<Row> = pipeline
        .records(table)
        .iter()
        .map(|record| record.row())
        .collect();
    let twice: Vec<i64> = times(&rows)
        .into_iter()
        .filter(|(_, n)| *n == 2)
        .map(|(id, _)| id)
        .collect();
    assert_eq!(twice, (21..=30).collect::<Vec<i64>>());
    pipeline
        .run(&set("2226-01-01T00:00:00Z"))
        .await
        .expect(2, &["has not come to that moment yet"]);
    pipeline
        .run(&set("2026-01-01"))
        .await
        .expect(2, &["with its zone"]);
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_worker_runs_a_cursor_is_put_elsewhere_by_the_command_itself() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.create("items").await;
    database.insert(table.name, 10).await;
    let tables = "orders: { mode: incrementing }, items: { mode: incrementing }";
    let pipeline = Pipeline::new().source(&database, tables);
    pipeline
        .run(&["offsets", "reset", "orders", "--yes"])
        .await
        .expect(1, &["has read no table yet"]);
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);

    pipeline
        .run(&["pause", "orders"])
        .await
        .expect(0, &["it is done here", "paused"]);
    assert_eq!(pipeline.status_of("ec.orders").await["state"], "paused");
    pipeline
        .run(&["offsets", "set", "orders", "8", "--yes"])
        .await
        .expect(0, &["its cursor goes on from there"]);
    assert_eq!(
        pipeline.records(table).len(),
        10,
        "only what was asked was done"
    );
    assert_eq!(
        pipeline.status_of("ec.orders").await["state"],
        "paused",
        "it stays paused"
    );
    pipeline
        .run(&["resume", "orders"])
        .await
        .expect(0, &["resumed"]);
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    assert_eq!(pipeline.records(table).len(), 12);
    let expected: BTreeMap<i64, usize> = (1..=10).map(|id| (id, 1 + usize::from(id > 8))).collect();
    lake_holds(&pipeline, table, &expected).await;
    let open = compacted(&pipeline.names().state_topic);
    assert!(
        !open.keys().any(|key| key.starts_with("q/")),
        "{:?}",
        open.keys()
    );
}

async fn got_of(pipeline: &Pipeline) -> String {
    let got = pipeline.run(&["offsets", "get", "orders"]).await;
    got.expect(0, &[]).stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_exported_is_imported_and_read_from_there() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.create("products").await;
    database.insert(table.name, 10).await;
    let tables = "orders: { mode: incrementing }, products: { mode: bulk, every: 1h }";
    let pipeline = Pipeline::new().source(&database, tables);
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);

    let exported = pipeline
        .run(&["offsets", "export"])
        .await
        .expect(0, &[])
        .stdout;
    let document = json(&exported);
    assert_eq!(
        document["tables"].as_array().map(Vec::len),
        Some(1),
        "a bulk table has no cursor"
    );
    assert_eq!(
        document["tables"][0]["cursor"]["incrementing"]["highest"],
        10
    );
    assert_eq!(json(&got_of(&pipeline).await), document);
    let listed = pipeline
        .run(&["offsets", "list", "-o", "json"])
        .await
        .expect(0, &[])
        .stdout;
    let listed = json(&listed);
    assert_eq!(listed["tables"][0]["table"], "ec.orders");
    assert_eq!(
        listed["tables"][0]["partitions"].as_array().map(Vec::len),
        Some(3)
    );
    pipeline
        .run(&["offsets", "list", "--wide"])
        .await
        .expect(0, &["order", "id ≤ 10", "done"]);

    let file = pipeline.file("offsets.json", &exported);
    let file = file.to_str().expect("a path");
    let unmoved = pipeline.run(&["offsets", "import", file]).await;
    unmoved.expect(0, &["it stands there already"]);
    assert_eq!(json(&got_of(&pipeline).await), document, "no new epoch");

    database.insert(table.name, 10).await;
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    pipeline
        .run(&["offsets", "import", file, "--dry-run"])
        .await
        .expect(0, &["read again: 10 rows"]);
    pipeline
        .run(&["offsets", "import", file, "--yes"])
        .await
        .expect(0, &["goes on from there"]);
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    let expected: BTreeMap<i64, usize> =
        (1..=20).map(|id| (id, 1 + usize::from(id > 10))).collect();
    lake_holds(&pipeline, table, &expected).await;

    let other = exported.replace("\"incrementing\",", "\"timestamp\",");
    let other = pipeline.file("other.json", &other);
    let other = other.to_str().expect("a path");
    pipeline
        .run(&["offsets", "import", other, "--yes"])
        .await
        .expect(2, &["is of mode `timestamp`"]);
    pipeline
        .run(&["offsets", "reset", "products", "--yes"])
        .await
        .expect(1, &["a bulk table has no cursor"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_between_request_and_result_carries_it_out_once() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert(table.name, 30).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let mut expected: BTreeMap<i64, usize> = (1..=30).map(|id| (id, 1)).collect();
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    let mut follower = Some(follower);
    for _ in 0..3 {
        let asking = pipeline.start(&["offsets", "set", "orders", "20", "--yes"]);
        random_moment(Duration::from_millis(2_500)).await;
        // Before the request, between request and result, or behind it.
        follower.take().expect("a follower").kill();
        asking
            .finish()
            .await
            .expect(0, &["its cursor goes on from there"]);
        follower = Some(pipeline.follow());
        for id in 21..=30 {
            *expected.entry(id).or_default() += 1;
        }
        lake_holds(&pipeline, table, &expected).await;
    }
    assert_eq!(
        epochs(&pipeline, table).len(),
        4,
        "each request began one epoch"
    );
    follower.expect("a follower").stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_partition_goes_on_behind_what_is_skipped_and_the_others_are_not_touched() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert(table.name, 30).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    pipeline
        .run(&["offsets", "skip", "orders", "--partition", "1", "--yes"])
        .await
        .expect(1, &["does not stand still"]);

    foreign_records(&pipeline.topic(table), 1, 2);
    database.insert(table.name, 30).await;
    let words = [
        "\"partition\":1",
        "a record belongs to no run",
        "cdc offsets skip ec.orders --partition 1",
    ];
    pipeline.is_shown("ec.orders", "failed", &words).await;
    let before: Vec<_> = files_names(&pipeline, table).await;

    let skip = ["offsets", "skip", "orders", "--partition", "1"];
    let dry = [&skip[..], &["--dry-run", "-o", "json"]].concat();
    let seen = json(&pipeline.run(&dry).await.expect(0, &[]).stdout);
    assert_eq!(
        (&seen["records"], &seen["missing"]),
        (&Value::from(2), &Value::Null),
        "{seen}"
    );
    pipeline
        .run(&skip)
        .await
        .expect(2, &["2 records", "add `--yes`"]);
    pipeline
        .run(&[&skip[..], &["--yes"]].concat())
        .await
        .expect(0, &["skipped, and it goes on"]);

    lake_holds(&pipeline, table, &(1..=60).map(|id| (id, 1)).collect()).await;
    let after = files_names(&pipeline, table).await;
    assert!(
        before.iter().all(|name| after.contains(name)),
        "files of before are gone"
    );
    let shown = pipeline.status_of("ec.orders").await;
    assert_eq!(shown["state"], "following", "{shown}");
    follower.stop().await;

    // A new owner goes on behind it, too.
    database.insert(table.name, 30).await;
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    lake_holds(&pipeline, table, &(1..=90).map(|id| (id, 1)).collect()).await;
}

async fn files_names(pipeline: &Pipeline, table: Table<'_>) -> Vec<String> {
    let files = pipeline.files(table).await;
    files.iter().map(|file| file.path.clone()).collect()
}

/// Another program writes into a table's topic.
fn foreign_records(topic: &str, partition: i32, count: usize) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .expect("a producer");
    for _ in 0..count {
        let record: BaseRecord<'_, str, str> = BaseRecord::to(topic)
            .partition(partition)
            .key("{}")
            .payload("{}");
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("it is taken");
    }
    tokio::task::block_in_place(|| producer.flush(DEADLINE)).expect("it is written");
}
