//! Values that no column can carry exactly: the table stops, NULL stands in their place, the column is text, or the
//! row is rejected, and the counts balance.

use std::collections::BTreeSet;
use std::time::Duration;

use arrow::array::AsArray;
use serde_json::Value;

use crate::harness::{
    Database, Engine, Pipeline, Table, compacted, ends, eventually, on_both_databases,
    plain_records, random_moment,
};

on_both_databases! {
    a_value_that_does_not_fit_stops_its_table_naming_column_key_and_kind
    rejected_rows_of_an_incrementing_table_and_the_others_are_all_of_it
    rejected_rows_of_a_timestamp_table_and_the_others_are_all_of_it
    rejected_rows_of_a_timestamp_and_incrementing_table_and_the_others_are_all_of_it
    a_load_balances_rows_sent_and_rejected_with_the_databases_own_count
    killing_while_rows_are_rejected_loses_and_repeats_nothing_in_either_topic
    null_takes_the_place_of_what_does_not_fit_and_is_counted
    as_text_every_value_is_exact
    a_corrected_row_of_a_timestamp_table_comes_by_itself
    a_table_without_key_rejects_without_key
    a_row_over_the_limit_stops_its_table_with_key_and_limit
    a_corrected_row_of_an_incrementing_table_is_replayed_once
    killing_a_replay_sends_no_row_twice_and_the_request_stands
    tables_that_need_no_replay_say_why
}

/// A value of a `date` column that no date of the lake can be.
fn bad(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "infinity",
        Engine::MariaDb => "0000-00-00",
    }
}

fn kind(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "a date of infinity",
        Engine::MariaDb => "a zero date",
    }
}

/// A database whose usual table has one more column, `shipped_on date`.
async fn shop(engine: Engine) -> Database {
    let database = Database::with_table(engine).await;
    if engine == Engine::MariaDb {
        // Zero dates are written by sessions like this one.
        database.run("SET sql_mode = ''").await;
    }
    let table = engine.table();
    database
        .run(&format!(
            "ALTER TABLE {table} ADD COLUMN shipped_on date NOT NULL DEFAULT '2026-10-01'"
        ))
        .await;
    database
}

/// Adds `count` rows, of which every `nth` has a value that does not fit.
async fn insert(database: &Database, count: u64, nth: u64) {
    let (engine, table) = (database.engine, database.engine.table());
    let (numbers, bad) = (engine.numbers(count), bad(engine));
    let cast = match engine {
        Engine::Postgres => "::date",
        Engine::MariaDb => "",
    };
    database
        .run(&format!(
            "INSERT INTO {table} (note, shipped_on) SELECT concat('비밀 ', n), \
             CASE WHEN n % {nth} = 0 THEN '{bad}'{cast} ELSE '2026-10-02'{cast} END FROM {numbers}"
        ))
        .await;
}

fn following(database: &Database, mode: &str, on_value: &str) -> Pipeline {
    let cursor = match mode {
        "timestamp" => ", timestamp: updated_at",
        "incrementing" => ", incrementing: id",
        "timestamp+incrementing" => ", timestamp: updated_at, incrementing: id",
        _ => "",
    };
    let table = database.engine.table();
    Pipeline::new().source(
        database,
        &format!("{table}: {{ mode: {mode}{cursor}, on_value: {on_value} }}"),
    )
}

fn id(value: &Value) -> i64 {
    value["id"].as_i64().expect("an id")
}

/// The ids in a table's topic and in its rejected topic, each as often as it is there.
fn sent_and_rejected(pipeline: &Pipeline, table: Table<'_>) -> (Vec<i64>, Vec<i64>) {
    let mut sent: Vec<i64> = pipeline
        .records(table)
        .iter()
        .map(|record| id(&record.value))
        .collect();
    let topic = format!("{}.rejected", pipeline.topic(table));
    let mut rejected: Vec<i64> = plain_records(&topic)
        .iter()
        .map(|(_, value)| id(&value["row"]))
        .collect();
    sent.sort_unstable();
    rejected.sort_unstable();
    (sent, rejected)
}

/// The ids the database holds, those that fit and those that do not.
async fn held(database: &Database) -> (Vec<i64>, Vec<i64>) {
    let (table, bad) = (database.engine.table(), bad(database.engine));
    let ids = async |comparison: &str| -> Vec<i64> {
        let sql =
            format!("SELECT id FROM {table} WHERE shipped_on {comparison} '{bad}' ORDER BY id");
        let rows = database.rows(&sql).await.into_iter();
        rows.map(|row| row[0].as_deref().expect("an id").parse().expect("a number"))
            .collect()
    };
    (ids("<>").await, ids("=").await)
}

/// Waits until each row is in the one topic or in the other, once.
async fn counts_balance(pipeline: &Pipeline, database: &Database) {
    let table = Table::of(database);
    let (fitting, others) = held(database).await;
    eventually("every row is sent or rejected, once", async || {
        let (sent, rejected) = sent_and_rejected(pipeline, table);
        let (no_repeat, all) = (BTreeSet::from_iter(&sent), BTreeSet::from_iter(&rejected));
        assert_eq!(no_repeat.len(), sent.len(), "a row was sent twice");
        assert_eq!(all.len(), rejected.len(), "a row was rejected twice");
        match (&sent, &rejected) == (&fitting, &others) {
            true => Ok(()),
            false => Err(format!(
                "{} of {} are sent, {} of {} rejected",
                sent.len(),
                fitting.len(),
                rejected.len(),
                others.len()
            )),
        }
    })
    .await;
}

async fn a_value_that_does_not_fit_stops_its_table_naming_column_key_and_kind(engine: Engine) {
    for mode in ["incrementing", "bulk"] {
        let database = shop(engine).await;
        insert(&database, 7, 7).await;
        let pipeline = Pipeline::new().following(&database, mode);
        let said = pipeline.run(&["snapshot", engine.table()]).await.expect(
            65,
            &[
                "column `shipped_on`",
                "key id=7",
                kind(engine),
                "shipped_on: reject",
            ],
        );
        let said = format!("{}{}", said.stdout, said.stderr);
        assert!(!said.contains("비밀"), "a value was printed:\n{said}");
        if engine == Engine::MariaDb {
            assert!(
                !said.contains("0000-00-00"),
                "the value was printed:\n{said}"
            );
        }
        let head = &compacted(&pipeline.names().state_topic)[&Table::of(&database).head_key()];
        let failure = head["failure"]["text"].as_str().expect("a failure");
        assert!(failure.contains("key id=7"), "{failure}");
    }
}

async fn rejected_rows_of_an_incrementing_table_and_the_others_are_all_of_it(engine: Engine) {
    rejected_and_sent(engine, "incrementing").await;
}

async fn rejected_rows_of_a_timestamp_table_and_the_others_are_all_of_it(engine: Engine) {
    rejected_and_sent(engine, "timestamp").await;
}

async fn rejected_rows_of_a_timestamp_and_incrementing_table_and_the_others_are_all_of_it(
    engine: Engine,
) {
    rejected_and_sent(engine, "timestamp+incrementing").await;
}

/// The copy, the following, and rows that came while nobody followed.
async fn rejected_and_sent(engine: Engine, mode: &str) {
    let database = shop(engine).await;
    let table = Table::of(&database);
    insert(&database, 2_000, 10).await;
    let pipeline = following(&database, mode, "reject");

    let follower = pipeline.follow();
    counts_balance(&pipeline, &database).await;
    insert(&database, 30, 3).await;
    counts_balance(&pipeline, &database).await;
    // A batch of which nothing is left.
    insert(&database, 5, 1).await;
    counts_balance(&pipeline, &database).await;
    follower.stop().await;

    insert(&database, 30, 3).await;
    let follower = pipeline.follow();
    counts_balance(&pipeline, &database).await;
    pipeline_list_says(&pipeline, &database, 225).await;
    follower.stop().await;
    counts_balance(&pipeline, &database).await;

    let head = &compacted(&pipeline.names().state_topic)[&table.head_key()];
    assert_eq!(head["rejected"].as_u64(), Some(225), "{head}");
    assert_eq!(head["rows"].as_u64(), Some(2_065 - 225), "{head}");
    let topic = format!("{}.rejected", pipeline.topic(table));
    for (key, record) in plain_records(&topic) {
        assert_eq!(key, Some(record["key"].clone()));
        assert_eq!(record["v"], 1);
        assert_eq!(record["kind"], kind(engine));
        assert_eq!(record["row"]["shipped_on"], Value::Null);
        assert_eq!(record["bad"]["shipped_on"]["text"], bad(engine), "{record}");
        assert!(
            record["row"]["note"]
                .as_str()
                .is_some_and(|note| note.contains("비밀"))
        );
    }
}

async fn pipeline_list_says(pipeline: &Pipeline, database: &Database, rows: u64) {
    let table = database.engine.table();
    let list = pipeline
        .run(&["rejected", "list", "-o", "json"])
        .await
        .expect(0, &[]);
    let list: Value = serde_json::from_str(&list.stdout).expect("JSON");
    assert_eq!(list[0]["rows"].as_u64(), Some(rows), "{list}");
    assert_eq!(list[0]["reasons"][0]["column"], "shipped_on");
    pipeline
        .run(&["rejected", "show", table, "--limit", "1"])
        .await
        .expect(
            0,
            &[
                "shipped_on",
                kind(database.engine),
                bad(database.engine),
                "비밀",
            ],
        );
}

async fn a_load_balances_rows_sent_and_rejected_with_the_databases_own_count(engine: Engine) {
    let database = shop(engine).await;
    let table = Table::of(&database);
    insert(&database, 500, 10).await;
    let pipeline = following(&database, "bulk", "{ shipped_on: reject }");
    pipeline
        .run(&["snapshot", table.name])
        .await
        .expect(0, &["loaded 450 rows, 50 rejected"]);
    counts_balance(&pipeline, &database).await;

    let key = format!("{}/{:020}", table.head_key(), 1);
    let load = &compacted(&pipeline.names().loads_topic)[&key];
    let sum = |name: &str| -> u64 {
        let partitions = load["partitions"].as_array().expect("partitions").iter();
        partitions
            .map(|partition| partition[name].as_u64().expect("a number"))
            .sum()
    };
    assert_eq!((sum("rows"), sum("rejected")), (450, 50), "{load}");
    assert_eq!(load["source_rows"].as_u64(), Some(500));
    let files = pipeline.files_below(&table.path()).await;
    let rows: usize = files
        .iter()
        .flat_map(|file| &file.batches)
        .map(|b| b.num_rows())
        .sum();
    assert_eq!(rows, 450);

    // Nothing is left of this load, and the pointer still goes on to it.
    let keep = format!(
        "DELETE FROM {} WHERE shipped_on <> '{}'",
        table.name,
        bad(engine)
    );
    database.run(&keep).await;
    pipeline
        .run(&["snapshot", table.name])
        .await
        .expect(0, &["loaded 0 rows, 50 rejected"]);
    pipeline_list_says(&pipeline, &database, 50).await;
}

async fn killing_while_rows_are_rejected_loses_and_repeats_nothing_in_either_topic(engine: Engine) {
    let mode = match engine {
        Engine::Postgres => "timestamp+incrementing",
        Engine::MariaDb => "incrementing",
    };
    let database = shop(engine).await;
    insert(&database, 120_000, 7).await;
    let pipeline = following(&database, mode, "reject");
    let topic = pipeline.topic(Table::of(&database));
    let mut before = 0;
    let mut kills = 0;
    // A fast machine may be done before the last kill.
    while kills < 3 && before < 100_000 {
        let worker = pipeline.start(&["follow", "--only", "capture"]);
        eventually("the topic has grown", async || match ends(&topic) {
            now if now > before => Ok(()),
            now => Err(format!("still {now}")),
        })
        .await;
        random_moment(Duration::from_millis(150)).await;
        worker.kill();
        before = ends(&topic);
        kills += 1;
    }
    let worker = pipeline.start(&["follow", "--only", "capture"]);
    counts_balance(&pipeline, &database).await;
    worker.stop().await;
    counts_balance(&pipeline, &database).await;
}

async fn null_takes_the_place_of_what_does_not_fit_and_is_counted(engine: Engine) {
    let database = shop(engine).await;
    let table = Table::of(&database);
    insert(&database, 100, 10).await;
    let pipeline = following(&database, "timestamp", "{ shipped_on: null }");
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    insert(&database, 10, 5).await;
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    assert!(follower.said().contains("NULL is sent in its place"));
    follower.stop().await;
    pipeline.topic_is_exact(table).await;
    let records = pipeline.records(table);
    let nulls = records
        .iter()
        .filter(|record| record.value["shipped_on"].is_null());
    assert_eq!(nulls.count(), 12);
    let head = &compacted(&pipeline.names().state_topic)[&table.head_key()];
    assert_eq!(head["nulled"].as_u64(), Some(12), "{head}");
}

async fn as_text_every_value_is_exact(engine: Engine) {
    let database = shop(engine).await;
    let table = Table::of(&database);
    insert(&database, 50, 10).await;
    let pipeline = following(&database, "incrementing", "{ shipped_on: text }");
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    pipeline.topic_is_exact(table).await;
    let text = match engine {
        Engine::Postgres => "shipped_on::text",
        Engine::MariaDb => "CAST(shipped_on AS CHAR)",
    };
    let rows = database
        .rows(&format!("SELECT id, {text} FROM {}", table.name))
        .await;
    let expected: BTreeSet<(i64, String)> = rows
        .into_iter()
        .map(|row| {
            (
                row[0].as_deref().unwrap().parse().unwrap(),
                row[1].clone().unwrap(),
            )
        })
        .collect();
    assert!(expected.iter().any(|(_, text)| text == bad(engine)));
    let sent: BTreeSet<(i64, String)> = pipeline
        .records(table)
        .iter()
        .map(|record| {
            (
                id(&record.value),
                record.value["shipped_on"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(sent, expected);
    let mut in_lake = BTreeSet::new();
    for batch in pipeline
        .files(table)
        .await
        .iter()
        .flat_map(|file| &file.batches)
    {
        let ids = batch.column_by_name("id").unwrap();
        let ids = ids.as_primitive::<arrow::datatypes::Int64Type>();
        let texts = batch
            .column_by_name("shipped_on")
            .unwrap()
            .as_string::<i32>();
        in_lake.extend((0..ids.len()).map(|i| (ids.value(i), texts.value(i).to_owned())));
    }
    assert_eq!(in_lake, expected);
}

async fn a_corrected_row_of_a_timestamp_table_comes_by_itself(engine: Engine) {
    let database = shop(engine).await;
    let table = Table::of(&database);
    insert(&database, 10, 10).await;
    let pipeline = following(&database, "timestamp", "reject");
    let follower = pipeline.follow();
    counts_balance(&pipeline, &database).await;
    let (name, now) = (table.name, engine.now());
    database
        .run(&format!(
            "UPDATE {name} SET shipped_on = '2026-10-03', updated_at = {now} WHERE id = 10"
        ))
        .await;
    pipeline.topic_is_exact(table).await;
    follower.stop().await;
    let (sent, rejected) = sent_and_rejected(&pipeline, table);
    assert_eq!((sent.len(), rejected.as_slice()), (10, &[10][..]));
}

async fn a_table_without_key_rejects_without_key(engine: Engine) {
    let database = shop(engine).await;
    let bad = bad(engine);
    let sql = format!(
        "CREATE TABLE visits (at date NOT NULL, who varchar(9)); \
         INSERT INTO visits VALUES ('{bad}', 'a'), ('{bad}', 'a'), ('2026-10-01', 'b')"
    );
    for statement in sql.split("; ") {
        database.run(statement).await;
    }
    let tables = "visits: { mode: bulk, on_value: reject }";
    let pipeline = Pipeline::new().source(&database, tables);
    pipeline
        .run(&["snapshot", "visits"])
        .await
        .expect(0, &["loaded 1 row, 2 rejected"]);
    let visits = Table {
        database: &database,
        name: "visits",
    };
    let records = plain_records(&format!("{}.rejected", pipeline.topic(visits)));
    assert_eq!(records.len(), 2, "equal rows are each rejected");
    for (key, record) in records {
        assert_eq!((key, &record["key"]), (None, &Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_topic_that_is_another_tables_topic_is_refused() {
    let database = shop(Engine::Postgres).await;
    let pipeline = Pipeline::new();
    let taken = format!("{}orders.rejected", pipeline.topic_prefix());
    database.create("items").await;
    let tables = format!(
        "orders: {{ mode: incrementing, on_value: reject }}, items: {{ mode: incrementing, topic: {taken} }}"
    );
    let pipeline = pipeline.source(&database, &tables);
    pipeline.run(&["plan"]).await.expect(
        1,
        &[
            "its rejected topic",
            "is already that of `ec.items`",
            "topic:",
        ],
    );
}

async fn a_row_over_the_limit_stops_its_table_with_key_and_limit(engine: Engine) {
    let database = shop(engine).await;
    let table = Table::of(&database);
    let text = match engine {
        Engine::Postgres => "text",
        Engine::MariaDb => "longtext",
    };
    database
        .run(&format!(
            "ALTER TABLE {} ADD COLUMN body {text}, ADD COLUMN more {text}",
            table.name
        ))
        .await;
    database.insert(table.name, 3).await;
    // 20 MB in two columns: MariaDB takes no value of more than 16 MiB unless it is told to.
    database
        .run(&format!(
            "INSERT INTO {} (note, body, more) VALUES ('large', repeat('long', 3000000), repeat('long', 2000000))",
            table.name
        ))
        .await;
    let pipeline = following(&database, "incrementing", "reject");
    let said = pipeline
        .run(&["snapshot", table.name])
        .await
        .expect(65, &["key {\"id\":4}", "16711680", "`body`"]);
    assert!(!said.stderr.contains("longlong"));
    assert!(sent_and_rejected(&pipeline, table).1.is_empty());
}

/// Corrects the rows that `condition` names.
async fn correct(database: &Database, condition: &str) {
    let table = database.engine.table();
    database
        .run(&format!(
            "UPDATE {table} SET shipped_on = '2026-10-04' WHERE {condition}"
        ))
        .await;
}

async fn a_corrected_row_of_an_incrementing_table_is_replayed_once(engine: Engine) {
    let database = shop(engine).await;
    let table = Table::of(&database);
    insert(&database, 12, 3).await;
    let pipeline = following(&database, "incrementing", "reject");
    let follower = pipeline.follow();
    counts_balance(&pipeline, &database).await;

    // Of four rejected rows one is corrected, one is gone, two stay as they are.
    correct(&database, "id = 3").await;
    database
        .run(&format!("DELETE FROM {} WHERE id = 6", table.name))
        .await;
    let replay = ["rejected", "replay", table.name];
    let words = "1 row sent, 2 still rejected, 1 gone from the table";
    pipeline.run(&replay).await.expect(0, &[words]);
    let again = "0 rows sent, 2 still rejected, 1 gone from the table";
    pipeline.run(&replay).await.expect(0, &[again]);
    follower.stop().await;

    let ids: Vec<i64> = pipeline
        .records(table)
        .iter()
        .map(|record| id(&record.value))
        .collect();
    assert_eq!(ids.len(), 9);
    assert_eq!(ids.iter().filter(|id| **id == 3).count(), 1);
    let list = pipeline
        .run(&["rejected", "list", "-o", "json"])
        .await
        .expect(0, &[]);
    let list: Value = serde_json::from_str(&list.stdout).expect("JSON");
    assert_eq!(
        (list[0]["rows"].as_u64(), list[0]["replayed"].as_u64()),
        (Some(3), Some(1))
    );
    let head = &compacted(&pipeline.names().state_topic)[&table.head_key()];
    assert_eq!(
        (head["rows"].as_u64(), head["rejected"].as_u64()),
        (Some(9), Some(3))
    );
}

async fn killing_a_replay_sends_no_row_twice_and_the_request_stands(engine: Engine) {
    let database = shop(engine).await;
    let table = Table::of(&database);
    insert(&database, 30_000, 2).await;
    let pipeline = following(&database, "incrementing", "reject");
    let mut follower = pipeline.start(&["follow", "--only", "capture"]);
    counts_balance(&pipeline, &database).await;
    correct(&database, "id > 0").await;
    let before = ends(&pipeline.topic(table));
    let asker = pipeline.start(&["rejected", "replay", table.name]);
    eventually("some rows were replayed", async || {
        match ends(&pipeline.topic(table)) {
            now if now > before => Ok(()),
            now => Err(format!("still {now}")),
        }
    })
    .await;
    follower.kill();
    follower = pipeline.start(&["follow", "--only", "capture"]);
    asker.finish().await.expect(0, &["0 still rejected"]);
    pipeline.topic_is_exact(table).await;
    follower.stop().await;
    pipeline.topic_is_exact(table).await;
}

async fn tables_that_need_no_replay_say_why(engine: Engine) {
    let database = shop(engine).await;
    let table = Table::of(&database);
    insert(&database, 3, 3).await;
    let pipeline = following(&database, "timestamp", "reject");
    let follower = pipeline.follow();
    counts_balance(&pipeline, &database).await;
    pipeline
        .run(&["rejected", "replay", table.name])
        .await
        .expect(1, &["comes by itself"]);
    follower.stop().await;
}
