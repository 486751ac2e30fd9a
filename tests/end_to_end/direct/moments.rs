//! All tables of a copy show one moment, whoever writes meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Desk, duckdb};
use crate::harness::{Database, Engine, on_both_databases};

on_both_databases! {
    tables_of_one_copy_show_one_moment_while_others_write
    a_table_that_is_changed_meanwhile_is_copied_as_it_was_described
}

/// Two tables between which money goes back and forth: its sum is the same at every moment, and at no two moments
/// is it in the same places.
async fn tables_of_one_copy_show_one_moment_while_others_write(engine: Engine) {
    let database = Arc::new(Database::open(engine).await);
    for table in ["tills", "safes"] {
        database
            .run(&format!(
                "CREATE TABLE {table} (id int PRIMARY KEY, money bigint NOT NULL)"
            ))
            .await;
        let numbers = engine.numbers(1_000);
        database
            .run(&format!("INSERT INTO {table} SELECT n, 100 FROM {numbers}"))
            .await;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let writing = {
        let (database, is_over) = (Arc::clone(&database), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut session = database.another().await;
            let mut moved = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                let (id, amount) = (moved % 1_000 + 1, moved % 13 + 1);
                for sql in [
                    "BEGIN".to_owned(),
                    format!("UPDATE tills SET money = money - {amount} WHERE id = {id}"),
                    format!("UPDATE safes SET money = money + {amount} WHERE id = {id}"),
                    "COMMIT".to_owned(),
                ] {
                    session.run(&sql).await;
                }
                moved += 1;
            }
            moved
        })
    };
    let desk = Desk::new();
    let mut seen = Vec::new();
    for _ in 0..6 {
        let answer = desk.copy(&database, &["tills", "safes"], &[]).await;
        let path = |table: usize| {
            answer["tables"][table]["path"]
                .as_str()
                .expect("a path")
                .to_owned()
        };
        let sums = duckdb(&format!(
            "SELECT (SELECT sum(money)::bigint FROM read_parquet('{}')), (SELECT sum(money)::bigint FROM read_parquet('{}'))",
            path(0),
            path(1)
        ));
        let money = |i: usize| sums[0][i].as_i64().expect("a sum");
        assert_eq!(money(0) + money(1), 200_000, "{sums}");
        seen.push(money(0));
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(
        writing.await.expect("no panic") > 100,
        "hardly anything was written"
    );
    seen.dedup();
    assert!(
        seen.len() > 1,
        "nothing was written between two copies: {seen:?}"
    );
}

/// Columns come and go in a hurry: whatever a copy shows is whole, or it says why not.
async fn a_table_that_is_changed_meanwhile_is_copied_as_it_was_described(engine: Engine) {
    let database = Arc::new(Database::with_table(engine).await);
    let table = engine.table();
    database.insert(table, 5_000).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let changing = {
        let (database, is_over) = (Arc::clone(&database), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut session = database.another().await;
            // A table of PostgreSQL has no more than 1,600 columns, those that were dropped among them.
            let mut rounds = 0..1_500;
            while !is_over.load(Ordering::Relaxed) && rounds.next().is_some() {
                session
                    .run(&format!(
                        "ALTER TABLE {table} ADD COLUMN extra int NOT NULL DEFAULT 7"
                    ))
                    .await;
                session
                    .run(&format!("ALTER TABLE {table} DROP COLUMN extra"))
                    .await;
            }
        })
    };
    let (desk, url) = (Desk::new(), database.url());
    let mut whole = 0;
    // MariaDB's catalog waits behind whoever waits to change the table, for seconds with each snapshot that is opened.
    let copies = match engine {
        Engine::Postgres => 10,
        Engine::MariaDb => 2,
    };
    for _ in 0..copies {
        let done = desk.run(&["snapshot", &url, table, "--to", &desk.to]).await;
        if done.code == Some(0) {
            whole += 1;
            assert_eq!(desk.rows(&database, table).await.len(), 5_000);
        } else {
            assert!(matches!(done.code, Some(69 | 78)), "{done:?}");
        }
    }
    is_over.store(true, Ordering::Relaxed);
    changing.await.expect("no panic");
    println!("{whole} of {copies} copies were whole");
    desk.copy(&database, &[table], &[]).await;
    assert_eq!(desk.rows(&database, table).await.len(), 5_000);
}

/// Somebody empties the tables and fills them anew without a pause: a snapshot that is older than what they wrote sees
/// nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_emptied_and_filled_meanwhile_is_not_copied_as_empty() {
    let database = Arc::new(Database::open(Engine::Postgres).await);
    for sql in [
        "CREATE TABLE weeks (id int NOT NULL)",
        "CREATE TABLE days (id int NOT NULL) PARTITION BY RANGE (id)",
        "CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (1000)",
    ] {
        database.run(sql).await;
    }
    let fill = |table| format!("INSERT INTO {table} SELECT n FROM generate_series(1, 300) AS n");
    for table in ["weeks", "days"] {
        database.run(&fill(table)).await;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let filling = {
        let (database, is_over) = (Arc::clone(&database), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut session = database.another().await;
            while !is_over.load(Ordering::Relaxed) {
                for table in ["weeks", "days"] {
                    session.run("BEGIN").await;
                    session.run(&format!("TRUNCATE {table}")).await;
                    session.run(&fill(table)).await;
                    session.run("COMMIT").await;
                }
            }
        })
    };
    let (desk, url) = (Desk::new(), database.url());
    for _ in 0..10 {
        let copied = ["snapshot", &url, "weeks", "days", "--to", &desk.to];
        let done = desk.run(&copied).await;
        match done.code {
            Some(0) => {
                done.expect(0, &["600 rows"]);
            }
            _ => {
                done.expect(69, &[]);
            }
        }
    }
    is_over.store(true, Ordering::Relaxed);
    filling.await.expect("no panic");
    desk.copy(&database, &["weeks", "days"], &[]).await;
}
