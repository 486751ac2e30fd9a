//! Bulk loads: counted, numbered, announced, and abandoned when they were cut off.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{
    Database, Engine, Pipeline, Record, Row, Table, agree, compacted, ends, eventually,
    on_both_databases, random_moment,
};

on_both_databases! {
    each_load_is_numbered_counted_and_whole
    a_load_that_was_killed_is_abandoned_and_the_next_one_is_whole
    an_empty_table_is_a_load_of_no_rows
}

/// The records of the loads of a table, by number.
pub fn loads(pipeline: &Pipeline, table: Table<'_>) -> Vec<Value> {
    let prefix = format!("{}/", table.head_key());
    let all = compacted(&pipeline.names().loads_topic);
    all.into_iter()
        .filter(|(key, _)| {
            key.strip_prefix(&prefix)
                .is_some_and(|number| number.len() == 20)
        })
        .map(|(_, load)| load)
        .collect()
}

fn rows_of(records: &[Record], load: &Value) -> Vec<Row> {
    let ulid = load["ulid"].as_str().expect("a ULID");
    records
        .iter()
        .filter(|record| record.load.as_deref() == Some(ulid))
        .map(Record::row)
        .collect()
}

/// Fails unless an ended load says truly what is in the topic.
fn check_ended(load: &Value, records: &[Record], expected: &[Row]) {
    assert_eq!(load["state"], "ended", "{load}");
    let rows = rows_of(records, load);
    assert_eq!(agree(expected, &rows), Ok(()));
    assert_eq!(load["source_rows"].as_u64(), Some(expected.len() as u64));
    let partitions = load["partitions"].as_array().expect("partitions");
    assert_eq!(partitions.len(), 3);
    for (number, partition) in partitions.iter().enumerate() {
        let of = |name: &str| partition[name].as_u64().expect("a number");
        let inside = records.iter().filter(|record| {
            record.partition == number as i32 && record.load.as_deref() == load["ulid"].as_str()
        });
        let offsets: Vec<u64> = inside.map(|record| record.offset as u64).collect();
        assert_eq!(of("rows"), offsets.len() as u64, "{load}");
        assert!(
            offsets
                .iter()
                .all(|offset| (of("start")..of("end")).contains(offset)),
            "{load}"
        );
    }
}

async fn each_load_is_numbered_counted_and_whole(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    let pipeline = Pipeline::new().following(&database, "bulk");
    let mut held = Vec::new();
    for count in [3_000, 40_000] {
        database.insert(table.name, count).await;
        database.update(table.name, "id % 3 = 0").await;
        held.push(database.holds(table.name).await);
        pipeline
            .run(&["snapshot", table.name])
            .await
            .expect(0, &["loaded"]);
    }
    // Rows that go are not in the next load.
    database
        .run(&format!("DELETE FROM {} WHERE id > 1000", table.name))
        .await;
    held.push(database.holds(table.name).await);
    pipeline
        .run(&["snapshot", table.name])
        .await
        .expect(0, &["loaded"]);

    let (loads, records) = (loads(&pipeline, table), pipeline.records(table));
    assert_eq!(loads.len(), 3);
    for (load, expected) in loads.iter().zip(&held) {
        check_ended(load, &records, expected);
    }
    let mut ulids: Vec<&str> = loads
        .iter()
        .filter_map(|load| load["ulid"].as_str())
        .collect();
    assert_eq!(ulids.len(), 3);
    assert!(ulids.is_sorted(), "loads are ordered by time: {ulids:?}");
    ulids.dedup();
    assert_eq!(ulids.len(), 3);
}

async fn a_load_that_was_killed_is_abandoned_and_the_next_one_is_whole(engine: Engine) {
    // A fast machine may have ended the load, or be committing its end, when the kill arrives.
    let mut rows = 200_000;
    while !a_killed_load_is_abandoned(engine, rows).await {
        rows *= 2;
        assert!(rows <= 1_600_000, "no kill came while a load was open");
    }
}

/// Kills a worker during a load of so many rows and checks what the next one makes of it. False: the load was
/// whole before the kill.
async fn a_killed_load_is_abandoned(engine: Engine, rows: u64) -> bool {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, rows).await;
    let tables = format!(
        "{}: {{ mode: bulk, schedule: \"0 0 1 1 * UTC\" }}",
        table.name
    );
    let pipeline = Pipeline::new().source(&database, &tables);
    let follower = pipeline.start(&["follow", "--only", "capture"]);
    eventually("the load has begun", async || {
        match ends(&pipeline.topic(table)) {
            0 => Err("nothing is in the topic".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    random_moment(Duration::from_millis(200)).await;
    follower.kill();

    let follower = pipeline.start(&["follow", "--only", "capture"]);
    let ended = eventually("a load has ended", async || {
        let loads = loads(&pipeline, table);
        match loads.last() {
            Some(last) if last["state"] == "ended" => Ok(loads),
            other => Err(format!("the newest load is {other:?}")),
        }
    })
    .await;
    follower.stop().await;

    let (last, killed) = ended.split_last().expect("a load");
    check_ended(
        last,
        &pipeline.records(table),
        &database.holds(table.name).await,
    );
    assert!(killed.len() < 2, "{killed:?}");
    for load in killed {
        assert_eq!(load["state"], "abandoned");
        assert!(load["reason"].is_string());
    }
    !killed.is_empty()
}

async fn an_empty_table_is_a_load_of_no_rows(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    let pipeline = Pipeline::new().following(&database, "bulk");

    pipeline
        .run(&["snapshot", table.name])
        .await
        .expect(0, &["loaded 0 rows"]);

    let loads = loads(&pipeline, table);
    assert_eq!(loads.len(), 1);
    check_ended(&loads[0], &pipeline.records(table), &[]);
}
