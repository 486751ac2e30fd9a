//! One table as one file on stdout.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::Stdio;

use serde_json::json;

use super::{Desk, duckdb};
use crate::harness::{Database, Engine, Finished, on_both_databases};

on_both_databases! {
    one_table_goes_to_stdout_as_one_whole_file
    a_read_that_fails_writes_nothing_to_stdout
    a_reader_that_goes_away_is_told_and_is_no_success
    a_full_disk_behind_stdout_is_no_success
    a_file_that_stdout_is_appended_to_is_whole
    a_value_that_does_not_fit_has_the_fate_that_was_asked_for
}

/// Runs a copy to stdout; what arrived there.
async fn to_stdout(
    desk: &Desk,
    database: &Database,
    table: &str,
    flags: &[&str],
) -> (Finished, Vec<u8>) {
    let url = database.url();
    let mut arguments = vec!["snapshot", &url, table, "--to", "-"];
    arguments.extend(flags);
    let worker = desk.start(&arguments);
    let out = worker.log.with_extension("out");
    let finished = worker.finish().await;
    (finished, std::fs::read(out).expect("what it wrote"))
}

async fn one_table_goes_to_stdout_as_one_whole_file(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (table, desk) = (engine.table(), Desk::new());
    database.insert(table, 5_000).await;

    let (finished, bytes) = to_stdout(&desk, &database, table, &[]).await;

    finished.expect(0, &["5,000 rows", "1 file"]);
    let file = desk.directory.path().join("table.parquet");
    std::fs::write(&file, bytes).expect("written");
    let sums = format!(
        "SELECT count(*), sum(id)::bigint, count(DISTINCT note) FROM '{}'",
        file.display()
    );
    assert_eq!(duckdb(&sums), json!([[5_000, 12_502_500, 5_000]]));
    assert_eq!(desk.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// A table with one value that no Parquet type carries.
async fn misfit(database: &Database) {
    let (column, value) = match database.engine {
        Engine::Postgres => ("timestamptz", "'infinity'"),
        Engine::MariaDb => ("datetime", "'0000-00-00'"),
    };
    let statement = match database.engine {
        Engine::Postgres => String::new(),
        Engine::MariaDb => "SET STATEMENT sql_mode = '' FOR ".to_owned(),
    };
    database
        .run(&format!(
            "CREATE TABLE odd (id int PRIMARY KEY, at {column})"
        ))
        .await;
    database
        .run("INSERT INTO odd VALUES (1, '2026-01-01 00:00:00')")
        .await;
    database
        .run(&format!("{statement}INSERT INTO odd VALUES (2, {value})"))
        .await;
}

async fn a_read_that_fails_writes_nothing_to_stdout(engine: Engine) {
    let database = Database::open(engine).await;
    misfit(&database).await;
    let desk = Desk::new();

    let (finished, bytes) = to_stdout(&desk, &database, "odd", &[]).await;

    finished.expect(65, &["key id=2", "--on-value null"]);
    assert!(bytes.is_empty(), "{} bytes", bytes.len());
    assert_eq!(desk.leftovers(), Vec::<std::path::PathBuf>::new());
}

async fn a_value_that_does_not_fit_has_the_fate_that_was_asked_for(engine: Engine) {
    let database = Database::open(engine).await;
    misfit(&database).await;
    let desk = Desk::new();
    let url = database.url();

    let stopped = desk.run(&["snapshot", &url, "odd", "--to", &desk.to]).await;
    stopped.expect(
        65,
        &["odd", "key id=2", "--on-value null", "--on-value text"],
    );
    assert_eq!(desk.current(&database, "odd").await, None);

    let answer = desk
        .copy(&database, &["odd"], &["--on-value", "null"])
        .await;
    let table = &answer["tables"][0];
    assert_eq!(table["nulled"][0]["column"], "at");
    assert_eq!(table["nulled"][0]["values"], 1);
    let path = table["path"].as_str().expect("a path");
    let read = duckdb(&format!(
        "SELECT id, \"at\" IS NULL FROM read_parquet('{path}') ORDER BY id"
    ));
    assert_eq!(read, json!([[1, false], [2, true]]));

    let answer = desk
        .copy(&database, &["odd"], &["--on-value", "text"])
        .await;
    let path = answer["tables"][0]["path"].as_str().expect("a path");
    let read = duckdb(&format!(
        "SELECT \"at\" FROM read_parquet('{path}') WHERE id = 2"
    ));
    let text = match engine {
        Engine::Postgres => "infinity",
        Engine::MariaDb => "0000-00-00 00:00:00",
    };
    assert_eq!(read, json!([[text]]));
}

async fn a_reader_that_goes_away_is_told_and_is_no_success(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = engine.table();
    // More than a pipe holds, and nothing that packs well.
    let random = match engine {
        Engine::Postgres => "md5(random()::text)",
        Engine::MariaDb => "md5(rand())",
    };
    let numbers = engine.numbers(20_000);
    database
        .run(&format!(
            "INSERT INTO {table} (note) SELECT concat({random}, {random}) FROM {numbers}"
        ))
        .await;
    let (desk, url) = (Desk::new(), database.url());
    let mut child = desk
        .command(&["snapshot", &url, table, "--to", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut first = [0; 4];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut first).expect("the first bytes");
    assert_eq!(&first, b"PAR1");
    drop(stdout);
    let finished = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(74), "{said}");
    assert!(
        said.contains("its reader went away") && !said.contains("panicked"),
        "{said}"
    );
    assert_eq!(desk.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// Runs a copy of the table of the usual shape whose stdout is this file: its exit code, and what it said.
async fn into(file: File, rows: u64, engine: Engine) -> (Option<i32>, String) {
    let database = Database::with_table(engine).await;
    database.insert(engine.table(), rows).await;
    let (desk, url) = (Desk::new(), database.url());
    let child = desk
        .command(&["snapshot", &url, engine.table(), "--to", "-"])
        .stdout(file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let finished = child.wait_with_output().expect("it ends");
    assert_eq!(desk.leftovers(), Vec::<std::path::PathBuf>::new());
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    (finished.status.code(), said)
}

async fn a_full_disk_behind_stdout_is_no_success(engine: Engine) {
    // Of a file this small, nothing would be written before the exit.
    for rows in [1, 5_000] {
        let full = OpenOptions::new().write(true).open("/dev/full");
        let (code, said) = into(full.expect("a device"), rows, engine).await;
        assert_eq!(code, Some(74), "{rows} rows: {said}");
        assert!(said.contains("writing to stdout"), "{said}");
    }
}

async fn a_file_that_stdout_is_appended_to_is_whole(engine: Engine) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("table.parquet");
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let (code, said) = into(file.expect("a file"), 5_000, engine).await;
    assert_eq!(code, Some(0), "{said}");
    let count = duckdb(&format!("SELECT count(*) FROM '{}'", path.display()));
    assert_eq!(count, json!([[5_000]]));
}
