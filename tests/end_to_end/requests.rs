//! What is asked of a follower while it follows.

use crate::harness::{Database, Engine, Pipeline, Table, compacted, eventually, on_both_databases};
use crate::lake::opened;

on_both_databases! {
    a_paused_table_stands_still_until_it_is_resumed
}

async fn a_paused_table_stands_still_until_it_is_resumed(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.create("items").await;
    let items = Table {
        name: "items",
        ..table
    };
    let tables = format!(
        "{}: {{ mode: incrementing }}, items: {{ mode: incrementing }}",
        table.name
    );
    let pipeline = Pipeline::new().source(&database, &tables);
    database.insert(table.name, 10).await;
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;

    pipeline
        .run(&["pause", table.name])
        .await
        .expect(0, &["paused"]);
    database.insert(table.name, 10).await;
    database.insert("items", 10).await;
    // The other table goes on: had this one, too, its rows would be there by then.
    pipeline.topic_is_exact(items).await;
    assert_eq!(pipeline.records(table).len(), 10);
    follower.stop().await;

    // It is remembered.
    let follower = pipeline.follow();
    database.insert("items", 10).await;
    pipeline.topic_is_exact(items).await;
    assert_eq!(pipeline.records(table).len(), 10);

    pipeline
        .run(&["resume", table.name])
        .await
        .expect(0, &["resumed"]);
    pipeline.topic_is_exact(table).await;
    pipeline
        .run(&["restart", table.name, "items"])
        .await
        .expect(0, &["restarted"]);
    database.insert(table.name, 10).await;
    database.insert("items", 10).await;
    pipeline.topic_is_exact(table).await;
    pipeline.topic_is_exact(items).await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_answers_snapshot_and_once_for_its_tables() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.create("products").await;
    database.insert(table.name, 10).await;
    database.insert("products", 7).await;
    let pipeline = Pipeline::new().source(
        &database,
        "orders: { mode: incrementing }, products: { mode: bulk, schedule: \"0 0 1 1 * UTC\" }",
    );
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    pipeline
        .topic_is_exact(Table {
            name: "products",
            ..table
        })
        .await;

    let only = ["--only", "capture"];
    let once = |table| [&["follow", "--once"][..], &only, &[table]].concat();
    pipeline
        .run(&["snapshot", "orders"])
        .await
        .expect(1, &["cdc follow --once", "cdc snapshot --again"]);
    pipeline
        .run(&once("orders"))
        .await
        .expect(0, &["caught up"]);
    pipeline
        .run(&once("products"))
        .await
        .expect(0, &["no load is due"]);
    pipeline
        .run(&["snapshot", "products"])
        .await
        .expect(0, &["loaded 7 rows"]);

    assert_eq!(
        pipeline
            .records(Table {
                name: "products",
                ..table
            })
            .len(),
        14,
        "two loads"
    );
    follower.stop().await;
    let state = compacted(&pipeline.names().state_topic);
    let (requests, answers) = (
        state.keys().filter(|key| key.starts_with("q/")),
        state.keys().filter(|key| key.starts_with("r/")),
    );
    assert_eq!(requests.count(), 0, "a request is open: {:?}", state.keys());
    assert_eq!(answers.count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_asks_for_a_paused_table_is_told_so_at_once() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.create("items").await;
    let items = Table {
        name: "items",
        ..table
    };
    let tables = "orders: { mode: incrementing }, items: { mode: incrementing }";
    let pipeline = Pipeline::new().source(&database, tables);
    database.insert("orders", 10).await;
    let is_told = async || {
        for command in [
            &["snapshot", "orders"][..],
            &["follow", "--once", "orders"],
            &["snapshot", "--again", "--yes", "orders"],
        ] {
            let told = pipeline.run(command).await;
            told.expect(1, &["it is paused", "cdc resume ec.orders"]);
        }
    };
    // The pipeline has read something, and nothing of this table.
    pipeline
        .run(&["follow", "--once", "items"])
        .await
        .expect(0, &[]);
    pipeline
        .run(&["pause", "orders"])
        .await
        .expect(0, &["paused"]);

    // Where nobody is at work, and by the one who follows.
    is_told().await;
    let follower = pipeline.follow();
    database.insert("items", 10).await;
    pipeline.topic_is_exact(items).await;
    is_told().await;

    assert_eq!(pipeline.records(table).len(), 0, "it was read");
    pipeline
        .run(&["resume", "orders"])
        .await
        .expect(0, &["resumed"]);
    pipeline
        .run(&["follow", "--once", "orders"])
        .await
        .expect(0, &["caught up"]);
    pipeline.topic_is_exact(table).await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_table_that_was_changed_is_begun_anew_by_its_follower_when_that_is_asked() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert(table.name, 10).await;
    let tables = "orders: { mode: bulk, schedule: \"0 0 1 1 * UTC\" }";
    let pipeline = Pipeline::new().source(&database, tables);
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    database
        .run("ALTER TABLE orders ADD COLUMN channel text")
        .await;
    database.insert(table.name, 5).await;

    pipeline
        .run(&["snapshot", "--again", "--yes", "orders"])
        .await
        .expect(0, &["loaded 15 rows"]);

    let (_, rows) = opened(&pipeline, table).await.expect("a load");
    assert_eq!(rows.len(), 15);
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_of_a_follower_that_died_is_done_by_a_run_for_a_scheduler() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert(table.name, 10).await;
    let tables = "orders: { mode: bulk, schedule: \"0 0 1 1 * UTC\" }";
    let pipeline = Pipeline::new().source(&database, tables);
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    eventually("readers see the first load", async || {
        opened(&pipeline, table).await.map(|_| ())
    })
    .await;
    let open = || {
        let state = compacted(&pipeline.names().state_topic);
        state.into_keys().find(|key| key.starts_with("q/"))
    };
    follower.freeze();
    let command = pipeline.start(&["snapshot", "--again", "--yes", "orders"]);
    eventually("it was asked", async || {
        open().map(|_| ()).ok_or("no request".to_owned())
    })
    .await;
    command.interrupt();
    command.finish().await.expect(75, &[]);
    follower.kill();
    database.insert(table.name, 5).await;

    eventually("what was asked is done", async || {
        let once = pipeline.run(&["follow", "--once", "orders"]).await;
        once.expect(0, &[]);
        open().map_or(Ok(()), |key| Err(format!("{key} is open")))
    })
    .await;

    let (number, rows) = opened(&pipeline, table).await.expect("a load");
    assert!(number > 1, "load {number}");
    assert_eq!(rows.len(), 15);
}
