//! Each mode on each database: what the tables hold is what the topics hold, each version once.

use crate::harness::{
    Database, Engine, Pipeline, Record, Row, Table, eventually, on_both_databases,
};

on_both_databases! {
    incrementing_tables_reach_their_topic_exactly
    timestamp_tables_reach_their_topic_exactly
    timestamp_and_incrementing_tables_reach_their_topic_exactly
    bulk_tables_reach_their_topic_exactly
    a_lower_id_that_is_committed_later_is_not_missed
    an_earlier_timestamp_that_is_committed_later_is_not_missed
    an_id_drawn_before_the_copy_and_committed_during_it_arrives_once
    rows_of_one_instant_survive_the_border_of_a_batch
    each_version_written_while_following_arrives_once
    following_once_catches_up_and_ends
}

async fn incrementing_tables_reach_their_topic_exactly(engine: Engine) {
    copied_then_followed(engine, "incrementing").await;
}

async fn timestamp_tables_reach_their_topic_exactly(engine: Engine) {
    copied_then_followed(engine, "timestamp").await;
}

async fn timestamp_and_incrementing_tables_reach_their_topic_exactly(engine: Engine) {
    copied_then_followed(engine, "timestamp+incrementing").await;
}

/// Rows from before, rows that come while it follows, rows that came while nobody followed.
async fn copied_then_followed(engine: Engine, mode: &str) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 2_000).await;
    let pipeline = Pipeline::new().following(&database, mode);

    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    database.insert(table.name, 300).await;
    pipeline.topic_is_exact(table).await;
    follower.stop().await;

    database.insert(table.name, 200).await;
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    follower.stop().await;
    pipeline.topic_is_exact(table).await;
}

async fn bulk_tables_reach_their_topic_exactly(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 5_000).await;
    let pipeline = Pipeline::new().following(&database, "bulk");

    pipeline
        .run(&["snapshot", table.name])
        .await
        .expect(0, &["loaded 5000 rows"]);

    pipeline.topic_is_exact(table).await;
}

async fn a_lower_id_that_is_committed_later_is_not_missed(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 10).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;

    let (mut slow, mut never) = (database.another().await, database.another().await);
    let insert = |note: &str| format!("INSERT INTO {} (note) VALUES ('{note}')", table.name);
    slow.run("BEGIN").await;
    slow.run(&insert("slow")).await;
    never.run("BEGIN").await;
    never.run(&insert("rolled back")).await;
    database.insert(table.name, 10).await;
    pipeline.topic_is_exact(table).await;
    // Further polls see the higher ids, and the lower one still open.
    database.insert(table.name, 10).await;
    pipeline.topic_is_exact(table).await;
    slow.run("COMMIT").await;
    never.run("ROLLBACK").await;

    pipeline.topic_is_exact(table).await;
    assert_eq!(database.holds(table.name).await.len(), 31);
    follower.stop().await;
    pipeline.topic_is_exact(table).await;
}

async fn an_earlier_timestamp_that_is_committed_later_is_not_missed(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 10).await;
    let pipeline = Pipeline::new().following(&database, "timestamp+incrementing");
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;

    let (mut insert, mut update) = (database.another().await, database.another().await);
    insert.run("BEGIN").await;
    insert
        .run(&format!(
            "INSERT INTO {} (note) VALUES ('slow')",
            table.name
        ))
        .await;
    update.run("BEGIN").await;
    let now = engine.now();
    let sql = format!(
        "UPDATE {} SET version = 2, updated_at = {now} WHERE id = 3",
        table.name
    );
    update.run(&sql).await;
    for _ in 0..3 {
        database.insert(table.name, 10).await;
        pipeline.topic_is_current(table).await;
    }
    update.run("COMMIT").await;
    insert.run("COMMIT").await;

    let rows = pipeline.topic_is_current(table).await;
    assert_eq!(rows.len(), 42, "41 rows, one of them in two versions");
    follower.stop().await;
    assert_eq!(pipeline.topic_is_current(table).await.len(), 42);
}

async fn an_id_drawn_before_the_copy_and_committed_during_it_arrives_once(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 100).await;
    let mut slow = database.another().await;
    slow.run("BEGIN").await;
    slow.run(&format!(
        "INSERT INTO {} (note) VALUES ('slow')",
        table.name
    ))
    .await;
    database.insert(table.name, 100).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");

    let mut follower = pipeline.follow();
    follower.says("copying").await;
    // What is behind the bound is followed although the copy has to wait for the open transaction.
    database
        .run(&format!(
            "INSERT INTO {} (note) VALUES ('behind the bound')",
            table.name
        ))
        .await;
    eventually("the row behind the bound is there", async || {
        let rows: Vec<Row> = pipeline.records(table).iter().map(Record::row).collect();
        match rows.iter().any(|row| row.note == "behind the bound") {
            true => Ok(()),
            false => Err(format!("{} rows are there", rows.len())),
        }
    })
    .await;
    slow.run("COMMIT").await;

    pipeline.topic_is_exact(table).await;
    follower.stop().await;
    pipeline.topic_is_exact(table).await;
}

async fn rows_of_one_instant_survive_the_border_of_a_batch(engine: Engine) {
    for mode in ["timestamp", "timestamp+incrementing"] {
        let database = Database::with_table(engine).await;
        let table = Table::of(&database);
        // One statement, one instant, three batches.
        let (now, numbers) = (same_instant(engine), engine.numbers(40_000));
        let sql = format!(
            "INSERT INTO {} (updated_at, note) SELECT {now}, '' FROM {numbers}",
            table.name
        );
        database.run(&sql).await;
        let pipeline = Pipeline::new().following(&database, mode);

        let follower = pipeline.follow();
        pipeline.topic_is_exact(table).await;
        database.run(&sql).await;
        pipeline.topic_is_exact(table).await;

        follower.stop().await;
        pipeline.topic_is_exact(table).await;
        assert_eq!(pipeline.records(table).len(), 80_000);
    }
}

/// The present instant, the same for all rows of a statement.
fn same_instant(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "now()",
        Engine::MariaDb => "current_timestamp(6)",
    }
}

async fn each_version_written_while_following_arrives_once(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 200).await;
    let pipeline = Pipeline::new().following(&database, "timestamp");
    let follower = pipeline.follow();
    pipeline.topic_is_current(table).await;

    for round in 2..=6 {
        database.update(table.name, "id % 2 = 0").await;
        let rows = pipeline.topic_is_current(table).await;
        assert_eq!(rows.len(), 200 + (round - 1) * 100);
    }

    follower.stop().await;
    assert_eq!(pipeline.topic_is_current(table).await.len(), 700);
}

async fn following_once_catches_up_and_ends(engine: Engine) {
    for mode in ["incrementing", "timestamp+incrementing"] {
        let database = Database::with_table(engine).await;
        let table = Table::of(&database);
        database.insert(table.name, 1_000).await;
        let pipeline = Pipeline::new().following(&database, mode);

        for rows in [1_000, 1_050, 1_050] {
            pipeline
                .run(&["follow", "--once"])
                .await
                .expect(0, &["caught up"]);
            let records = pipeline.records(table);
            assert_eq!(records.len(), rows, "{mode}");
            pipeline.topic_is_exact(table).await;
            if rows == 1_000 {
                database.insert(table.name, 50).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_by_timestamp_ends_at_the_present_and_following_brings_what_lies_in_the_future() {
    let database = Database::with_table(Engine::Postgres).await;
    database.create("items").await;
    let orders = Table::of(&database);
    let tables = [
        orders,
        Table {
            name: "items",
            ..orders
        },
    ];
    for table in tables {
        let hours = "generate_series(-10, 5) AS hours(n) WHERE n <> 0";
        let sql = format!(
            "INSERT INTO {} (updated_at, note) SELECT now() + n * interval '1 hour', '' FROM {hours}",
            table.name
        );
        database.run(&sql).await;
    }
    let pipeline = Pipeline::new().source(
        &database,
        "orders: { mode: timestamp, timestamp: updated_at }, \
         items: { mode: timestamp+incrementing, timestamp: updated_at, incrementing: id }",
    );

    let copied = ["ec.orders: copied 10 rows", "ec.items: copied 10 rows"];
    pipeline.run(&["snapshot"]).await.expect(0, &copied);
    for table in tables {
        let mut ids: Vec<i64> = pipeline.records(table).iter().map(|r| r.row().id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=10).collect::<Vec<_>>(), "`{}`", table.name);
        pipeline.lake_is_exact(table).await;
    }

    for rows in [5, 0] {
        let caught_up =
            ["ec.orders", "ec.items"].map(|name| format!("{name}: caught up, {rows} rows sent"));
        let words = caught_up.each_ref().map(String::as_str);
        pipeline.run(&["follow", "--once"]).await.expect(0, &words);
        for table in tables {
            pipeline.topic_is_exact(table).await;
            pipeline.lake_is_exact(table).await;
        }
    }
}
