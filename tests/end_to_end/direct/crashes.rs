//! What a copy that is killed, stopped or overtaken leaves to readers, and what the next one makes of it.

use std::path::PathBuf;
use std::time::Instant;

use super::Desk;
use crate::harness::{
    Counter, Database, Engine, Row, Service, Worker, agree, eventually, on_both_databases,
    random_moment,
};

on_both_databases! {
    kill_9_at_any_moment_leaves_the_old_load_or_the_new_one_whole
    kill_9_in_the_middle_of_reading_leaves_the_old_load_and_the_next_copy_sweeps
    a_copy_that_is_stopped_publishes_nothing_and_leaves_nothing
    a_copy_that_began_earlier_and_ends_later_does_not_replace_a_newer_one
}

/// Kills copies of several tables at moments spread over their whole time.
///
/// On S3 they are killed behind a counter, which hands on whole requests: the test's server keeps an object and its
/// checksum in two files, and one whose client goes away in between stays torn there.
async fn kill_9_at_any_moment_leaves_the_old_load_or_the_new_one_whole(engine: Engine) {
    let counter = Counter::open(Service::Works).await;
    for desk in [Desk::new(), Desk::on_s3().by_way_of(&counter)] {
        let database = Database::with_table(engine).await;
        let tables = [engine.table(), "one", "two", "three", "four"];
        for table in &tables[1..] {
            database.create(table).await;
        }
        for table in tables {
            database.insert(table, 1_500).await;
        }
        let began = Instant::now();
        desk.copy(&database, &tables, &[]).await;
        let whole = began.elapsed();
        let mut loads: Vec<Vec<Row>> = vec![database.holds(engine.table()).await];
        let url = database.url();
        for _ in 0..6 {
            for table in tables {
                database.insert(table, 10).await;
            }
            loads.push(database.holds(engine.table()).await);
            let mut arguments = vec!["snapshot", &url];
            arguments.extend(tables);
            arguments.extend(["--to", &desk.to]);
            let worker = desk.start(&arguments);
            random_moment(whole).await;
            // Killed here, unless it was faster.
            drop(worker);
            for table in tables {
                let rows = desk.rows(&database, table).await;
                let is_one_of = loads.iter().any(|load| load.len() == rows.len());
                assert!(is_one_of, "`{table}` has {} rows", rows.len());
                if table == engine.table() {
                    let same = loads.iter().any(|load| agree(load, &rows) == Ok(()));
                    assert!(same, "the current load is none that the database had");
                }
            }
        }
        for _ in 0..2 {
            desk.copy(&database, &tables, &[]).await;
        }
        for table in tables {
            assert_eq!(desk.loads(&database, table).await.len(), 2, "`{table}`");
            let rows = desk.rows(&database, table).await;
            assert_eq!(agree(&database.holds(table).await, &rows), Ok(()));
        }
        assert_eq!(desk.leftovers(), Vec::<PathBuf>::new());
    }
}

/// Starts a copy that takes its time with each row, and waits until the server is at it.
async fn slow_copy(desk: &Desk, database: &Database, table: &str) -> Worker {
    let (condition, at_work) = match database.engine {
        Engine::Postgres => (
            "pg_catalog.pg_sleep(0.005) IS NOT NULL",
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT \"id\"%pg_sleep%' AND state = 'active'",
        ),
        Engine::MariaDb => (
            "sleep(0.005) = 0",
            "SELECT count(*) FROM information_schema.PROCESSLIST WHERE DB = database() AND INFO LIKE 'SELECT `id`%sleep%'",
        ),
    };
    // A server goes on with the statement of a process that is gone until it writes to it.
    eventually("nobody reads slowly any more", async || {
        let found = database.rows(at_work).await;
        match found[0][0].as_deref() {
            Some("0") => Ok(()),
            _ => Err("a statement of an earlier copy still runs".to_owned()),
        }
    })
    .await;
    let url = database.url();
    let mut worker = desk.start(&[
        "snapshot", &url, table, "--to", &desk.to, "--where", condition,
    ]);
    eventually("the server reads for the copy", async || {
        assert!(worker.is_running(), "it ended:\n{}", worker.said());
        let found = database.rows(at_work).await;
        match found[0][0].as_deref() {
            Some("0") => Err("no statement of it runs".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    worker
}

async fn kill_9_in_the_middle_of_reading_leaves_the_old_load_and_the_next_copy_sweeps(
    engine: Engine,
) {
    let database = Database::with_table(engine).await;
    let (table, desk) = (engine.table(), Desk::new());
    database.insert(table, 2_000).await;
    desk.copy(&database, &[table], &[]).await;
    let old = database.holds(table).await;
    database.insert(table, 100).await;

    let worker = slow_copy(&desk, &database, table).await;
    worker.kill();

    assert_eq!(agree(&old, &desk.rows(&database, table).await), Ok(()));
    desk.copy(&database, &[table], &[]).await;
    assert_eq!(
        agree(
            &database.holds(table).await,
            &desk.rows(&database, table).await
        ),
        Ok(())
    );
    assert_eq!(desk.leftovers(), Vec::<PathBuf>::new());
}

async fn a_copy_that_is_stopped_publishes_nothing_and_leaves_nothing(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = engine.table();
    database.insert(table, 2_000).await;
    for desk in [Desk::new(), Desk::on_s3()] {
        let worker = slow_copy(&desk, &database, table).await;
        worker.terminate();
        let stopped = worker.finish().await;
        stopped.expect(75, &["stopped before anything was published"]);
        assert_eq!(desk.current(&database, table).await, None);
        assert_eq!(desk.loads(&database, table).await, Vec::<String>::new());
        assert_eq!(desk.leftovers(), Vec::<PathBuf>::new());
    }
}

async fn a_copy_that_began_earlier_and_ends_later_does_not_replace_a_newer_one(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (table, desk) = (engine.table(), Desk::new());
    database.insert(table, 1_500).await;
    let slow = slow_copy(&desk, &database, table).await;
    database.insert(table, 50).await;
    desk.copy(&database, &[table], &[]).await;

    let slow = slow.finish().await;

    slow.expect(75, &["a newer load of", "its load stays the current one"]);
    assert_eq!(
        agree(
            &database.holds(table).await,
            &desk.rows(&database, table).await
        ),
        Ok(())
    );
    assert_eq!(desk.loads(&database, table).await.len(), 1);
    assert_eq!(desk.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_whose_put_was_answered_to_nobody_is_whole() {
    for lost in [".parquet", "_current.json"] {
        let database = Database::with_table(Engine::Postgres).await;
        database.insert("orders", 500).await;
        let counter = Counter::open(Service::LosesOneAnswerTo(lost)).await;
        let desk = Desk::on_s3().by_way_of(&counter);

        let answer = desk.copy(&database, &["orders"], &[]).await;

        assert_eq!(counter.sabotaged(), 1, "no answer to `{lost}` was lost");
        assert_eq!(answer["rows"], 500);
        let rows = desk.rows(&database, "orders").await;
        assert_eq!(agree(&database.holds("orders").await, &rows), Ok(()));
    }
}
