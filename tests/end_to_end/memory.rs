//! `memory` holds: what the process held at its fullest, as the kernel counted it, is `memory` and no more than
//! 64 MiB beside it, whatever the tables are like.

use crate::harness::{
    Database, Engine, Finished, Pipeline, Table, Worker, eventually, on_both_databases,
};

/// Bytes `memory` is set to.
const MEMORY: u64 = 128 << 20;
/// What the process itself, its connections and its threads may take beside it.
const BESIDE: u64 = 64 << 20;

on_both_databases! {
    memory_holds_for_a_table_that_is_many_times_larger
    memory_holds_for_rows_of_a_mebibyte
    memory_holds_for_five_hundred_open_directories
}

async fn memory_holds_for_a_table_that_is_many_times_larger(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    let numbers = engine.numbers(600_000);
    let note = "concat('a row among very many others, as long as rows mostly are: ', n, md5(n))";
    let note = match engine {
        Engine::Postgres => note.replace("md5(n)", "md5(n::text)"),
        Engine::MariaDb => note.to_owned(),
    };
    database
        .run(&format!(
            "INSERT INTO {} (note) SELECT {note} FROM {numbers}",
            table.name
        ))
        .await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    copied_within(&pipeline, "copied 600000 rows").await;
}

async fn memory_holds_for_rows_of_a_mebibyte(engine: Engine) {
    let database = Database::open(engine).await;
    let table = engine.table();
    let (random, text) = match engine {
        Engine::Postgres => ("md5(random()::text)", "text"),
        Engine::MariaDb => ("md5(rand())", "longtext"),
    };
    database
        .run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, note {text} NOT NULL)"
        ))
        .await;
    let numbers = engine.numbers(200);
    database
        .run(&format!(
            "INSERT INTO {table} SELECT n, repeat({random}, 32768) FROM {numbers}"
        ))
        .await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    copied_within(&pipeline, "copied 200 rows").await;
}

async fn memory_holds_for_five_hundred_open_directories(engine: Engine) {
    let database = Database::with_table(engine).await;
    database.insert(engine.table(), 100_000).await;
    let pipeline = Pipeline::new().source(
        &database,
        &format!(
            "{}: {{ mode: incrementing, incrementing: id, partition_by: {{ b: \"bucket(500, id)\" }}, \
             null_partition: none }}",
            engine.table()
        ),
    );
    copied_within(&pipeline, "copied 100000 rows").await;
    let directories = std::fs::read_dir(
        pipeline
            .directory
            .path()
            .join("lake")
            .join(Table::of(&database).path()),
    );
    let directories = directories.expect("the table's directory").count();
    assert_eq!(directories, 500);
}

/// Copies all tables with little memory and large files, and looks at what that took.
async fn copied_within(pipeline: &Pipeline, words: &str) {
    let text = pipeline.text();
    let text = text.replace("files: { age: 1s }", "files: { age: 10m }");
    let file = pipeline.file(
        "little.yaml",
        &format!("memory: {}MiB\n{text}", MEMORY >> 20),
    );
    let worker = pipeline.start_with(&file, &pipeline.temporary("little"), &["snapshot"]);
    let (finished, peak) = peak_of(worker).await;
    finished.expect(0, &[words]);
    println!("at its fullest it held {} MiB", peak >> 20);
    assert!(
        peak <= MEMORY + BESIDE,
        "at its fullest it held {} MiB, with `memory: {} MiB`",
        peak >> 20,
        MEMORY >> 20
    );
}

/// What a process said, and the most bytes it ever held in memory.
async fn peak_of(mut worker: Worker) -> (Finished, u64) {
    let mut peak = 0;
    eventually("the process has ended", async || {
        // Once it has ended, there is nothing to read.
        peak = worker.peak_memory().unwrap_or(peak);
        match worker.is_running() {
            true => Err(format!("it runs, and held {} MiB", peak >> 20)),
            false => Ok(()),
        }
    })
    .await;
    assert!(peak > 0, "it ended before it could be looked at");
    (worker.finish().await, peak)
}
