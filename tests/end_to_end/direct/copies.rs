//! What a copy holds, where it lies, and what becomes of the ones before it.

use serde_json::json;

use super::{Desk, duckdb, shown};
use crate::harness::{Database, Engine, Worker, agree, eventually, files_below, on_both_databases};

on_both_databases! {
    tables_of_a_url_are_exact_parquet_that_duckdb_reads
    each_copy_is_a_new_load_and_the_one_before_it_stays
    a_table_without_rows_is_a_file_with_its_columns
    a_large_table_is_read_in_pieces_that_hold_each_row_once
    only_the_rows_and_columns_that_are_asked_for_are_copied
    a_copy_on_s3_is_as_whole_as_one_on_disk
    a_configuration_without_kafka_copies_its_bulk_tables
    memory_holds_for_a_copy_that_is_many_times_larger
    more_directories_than_files_may_be_open_are_written
    a_name_that_means_nothing_is_told_before_anything_is_copied
}

async fn tables_of_a_url_are_exact_parquet_that_duckdb_reads(engine: Engine) {
    let database = Database::with_table(engine).await;
    let orders = engine.table();
    database.insert(orders, 20_000).await;
    database.update(orders, "id % 7 = 0").await;
    let (text, blob) = match engine {
        Engine::Postgres => ("text", "bytea"),
        Engine::MariaDb => ("varchar(40)", "varbinary(40)"),
    };
    let odd = match engine {
        Engine::Postgres => "\"sales order\"",
        Engine::MariaDb => "`sales order`",
    };
    database
        .run(&format!(
            "CREATE TABLE {odd} (id int PRIMARY KEY, total decimal(14,3), day date, note {text}, bytes {blob})"
        ))
        .await;
    let numbers = engine.numbers(500);
    database
        .run(&format!(
            "INSERT INTO {odd} SELECT n, n * 1.001, DATE '2026-02-28', CASE WHEN n % 3 = 0 THEN NULL ELSE concat('가 ', n) END, NULL FROM {numbers}"
        ))
        .await;
    let desk = Desk::new();

    let answer = desk.copy(&database, &[orders, "sales *"], &[]).await;

    assert_eq!(
        agree(
            &database.holds(orders).await,
            &desk.rows(&database, orders).await
        ),
        Ok(())
    );
    let tables = answer["tables"].as_array().expect("tables");
    assert_eq!(answer["rows"], 20_500, "{answer}");
    assert_eq!(
        tables[1]["table"],
        format!("{}.sales order", database.name())
    );
    let path = tables[1]["path"].as_str().expect("a path");
    assert!(path.contains("/sales-20-order/snapshot="), "{path}");
    let sql = |from: &str| format!("SELECT id, total, day, note FROM {from} ORDER BY id");
    let read = duckdb(&sql(&format!(
        "read_parquet('{path}', hive_partitioning = false)"
    )));
    assert_eq!(read, shown(&database, &sql(odd)).await);
    let loads = [&tables[0]["load"], &tables[1]["load"]];
    assert_eq!(
        loads[0], loads[1],
        "tables of one copy have one load's name"
    );
}

async fn each_copy_is_a_new_load_and_the_one_before_it_stays(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (table, desk) = (engine.table(), Desk::new());
    let mut loads = Vec::new();
    for number in 1..=3 {
        database.insert(table, 100).await;
        let answer = desk.copy(&database, &[table], &[]).await;
        loads.push(
            answer["tables"][0]["load"]
                .as_str()
                .expect("a load")
                .to_owned(),
        );
        let current = desk.current(&database, table).await.expect("a pointer");
        assert_eq!(current["load"], number);
        assert_eq!(current["rows"], number * 100);
        assert_eq!(current["ulid"].as_str(), loads.last().map(String::as_str));
        assert_eq!(
            agree(
                &database.holds(table).await,
                &desk.rows(&database, table).await
            ),
            Ok(())
        );
    }
    assert!(loads.is_sorted(), "{loads:?}");
    assert_eq!(desk.loads(&database, table).await, loads[1..]);
    assert_eq!(desk.leftovers(), Vec::<std::path::PathBuf>::new());
}

async fn a_table_without_rows_is_a_file_with_its_columns(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (table, desk) = (engine.table(), Desk::new());

    let answer = desk.copy(&database, &[table], &[]).await;

    let table = &answer["tables"][0];
    assert_eq!((&table["rows"], &table["files"]), (&json!(0), &json!(1)));
    let path = table["path"].as_str().expect("a path");
    let columns = duckdb(&format!(
        "SELECT column_name FROM (DESCRIBE SELECT * FROM read_parquet('{path}', hive_partitioning = false))"
    ));
    assert_eq!(
        columns,
        json!([["id"], ["version"], ["updated_at"], ["note"]])
    );
}

/// PostgreSQL's pieces are of 64 MiB, MariaDB's of 500,000 rows.
async fn a_large_table_is_read_in_pieces_that_hold_each_row_once(engine: Engine) {
    let database = Database::open(engine).await;
    let (rows, column, value) = match engine {
        Engine::Postgres => (200_000, "text", "repeat(md5(n::text), 24)"),
        Engine::MariaDb => (1_300_000, "int", "n % 1000"),
    };
    database
        .run(&format!(
            "CREATE TABLE large (id bigint PRIMARY KEY, v {column} NOT NULL)"
        ))
        .await;
    let numbers = engine.numbers(rows);
    database
        .run(&format!(
            "INSERT INTO large SELECT n * 3, {value} FROM {numbers}"
        ))
        .await;
    database
        .run(match engine {
            Engine::Postgres => "ANALYZE large",
            Engine::MariaDb => "ANALYZE TABLE large PERSISTENT FOR ALL",
        })
        .await;
    let desk = Desk::new();

    let answer = desk.copy(&database, &["large"], &[]).await;

    let table = &answer["tables"][0];
    assert_eq!(table["rows"], rows);
    if engine == Engine::Postgres {
        assert!(
            table["files"].as_u64() > Some(1),
            "it was read in one piece: {answer}"
        );
    }
    let path = table["path"].as_str().expect("a path");
    let sums = |from: &str| {
        format!("SELECT count(*), count(DISTINCT id), CAST(sum(id) AS bigint) FROM {from}")
    };
    let sums = match engine {
        Engine::Postgres => sums("large"),
        Engine::MariaDb => sums("large").replace("AS bigint", "AS signed"),
    };
    let expected = shown(&database, &sums).await;
    let read = sums
        .replace("AS signed", "AS bigint")
        .replace("FROM large", &format!("FROM read_parquet('{path}')"));
    assert_eq!(duckdb(&read), expected);
}

async fn only_the_rows_and_columns_that_are_asked_for_are_copied(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (table, desk) = (engine.table(), Desk::new());
    database.insert(table, 100).await;

    let some = desk
        .copy(
            &database,
            &[table],
            &["--where", "id <= 40", "--exclude", "note,vers*"],
        )
        .await;
    assert_eq!(some["rows"], 40);
    let path = some["tables"][0]["path"].as_str().expect("a path");
    let described = format!(
        "SELECT column_name FROM (DESCRIBE SELECT * FROM read_parquet('{path}', hive_partitioning = false))"
    );
    assert_eq!(duckdb(&described), json!([["id"], ["updated_at"]]));

    let named = desk
        .copy(
            &database,
            &[table],
            &["--columns", "id,note", "--source", "elsewhere"],
        )
        .await;
    let path = named["tables"][0]["path"].as_str().expect("a path");
    assert!(path.contains(&format!("/elsewhere/{table}/")), "{path}");
    let sums = duckdb(&format!(
        "SELECT sum(id)::bigint, count(note) FROM read_parquet('{path}')"
    ));
    assert_eq!(sums, json!([[5050, 100]]));
}

async fn a_copy_on_s3_is_as_whole_as_one_on_disk(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (table, desk) = (engine.table(), Desk::on_s3());
    for _ in 0..3 {
        database.insert(table, 2_000).await;
        desk.copy(&database, &[table], &[]).await;
        assert_eq!(
            agree(
                &database.holds(table).await,
                &desk.rows(&database, table).await
            ),
            Ok(())
        );
    }
    assert_eq!(desk.loads(&database, table).await.len(), 2);
    assert_eq!(desk.leftovers(), Vec::<std::path::PathBuf>::new());
}

async fn a_configuration_without_kafka_copies_its_bulk_tables(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (table, desk) = (engine.table(), Desk::new());
    database.create("items").await;
    database.insert(table, 300).await;
    database.insert("items", 10).await;
    let name = database.name();
    let file = desk.directory.path().join("cdc.yaml");
    let text = format!(
        "sources:\n  {name}:\n    url: \"{}\"\n    tables:\n      {table}: {{ mode: bulk, partition_by: {{ b: \"bucket(4, id)\" }}, null_partition: none }}\n      items: {{ mode: incrementing, incrementing: id }}\nlake: {{ url: \"{}\" }}\n",
        database.url(),
        desk.to
    );
    std::fs::write(&file, text).expect("written");

    desk.run(&["snapshot", table])
        .await
        .expect(0, &["300 rows", "4 files"]);
    assert_eq!(
        agree(
            &database.holds(table).await,
            &desk.rows(&database, table).await
        ),
        Ok(())
    );
    let refused = desk.run(&["snapshot", "items"]).await;
    refused.expect(78, &["cursor is kept in Kafka", "mode: bulk"]);
    let nothing = desk.run(&["snapshot", "nothing"]).await;
    nothing.expect(2, &["no table is called `nothing`"]);
    desk.run(&["follow"])
        .await
        .expect(78, &["has no `kafka:` block"]);
}

async fn more_directories_than_files_may_be_open_are_written(engine: Engine) {
    let database = Database::open(engine).await;
    let numbers = engine.numbers(60_000);
    database
        .run("CREATE TABLE many (id int PRIMARY KEY, note varchar(200))")
        .await;
    database
        .run(&format!(
            "INSERT INTO many SELECT n, repeat('x', 200) FROM {numbers}"
        ))
        .await;
    let (desk, name) = (Desk::new(), database.name());
    let text = format!(
        "memory: 16MiB\nsources:\n  {name}:\n    url: \"{}\"\n    tables:\n      many: {{ mode: bulk, partition_by: {{ b: \"bucket(300, id)\" }} }}\nlake: {{ url: \"{}\" }}\n",
        database.url(),
        desk.to
    );
    std::fs::write(desk.directory.path().join("cdc.yaml"), text).expect("written");
    let limited = "ulimit -n 150; exec \"$0\" snapshot many -o json";
    let mut command = desk.dressed(std::process::Command::new("sh"));
    command.args(["-c", limited, env!("CARGO_BIN_EXE_cdc")]);
    let worker = Worker::start(command, desk.directory.path().join("limited.log"));
    worker.finish().await.expect(0, &["\"rows\": 60000"]);
    let current = desk.current(&database, "many").await.expect("a load");
    let path = current["path"].as_str().expect("a path");
    let files = files_below(&desk.lake, path).await;
    let rows = files
        .iter()
        .flat_map(|file| &file.batches)
        .map(|batch| batch.num_rows());
    assert_eq!(rows.sum::<usize>(), 60_000);
    let directories = files.iter().filter_map(|file| file.path.rsplit('/').nth(1));
    assert_eq!(
        directories.collect::<std::collections::BTreeSet<_>>().len(),
        300
    );
}

async fn a_name_that_means_nothing_is_told_before_anything_is_copied(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (table, desk, name) = (engine.table(), Desk::new(), database.name());
    database.insert(table, 10).await;
    let text = format!(
        "sources:\n  {name}:\n    url: \"{}\"\n    tables: {{ {table}: {{ mode: bulk }}, gone: {{ mode: bulk }} }}\nlake: {{ url: \"{}\" }}\n",
        database.url(),
        desk.to
    );
    std::fs::write(desk.directory.path().join("cdc.yaml"), text).expect("written");
    let misspelt = desk.run(&["snapshot", table, "odrers"]).await;
    misspelt.expect(2, &["CDC-0507", "no table is called `odrers`"]);
    let gone = desk.run(&["snapshot", table, "go*"]).await;
    gone.expect(78, &["gone", "there is no such table"]);
    assert_eq!(desk.current(&database, table).await, None);
    desk.run(&["snapshot", table]).await.expect(0, &["10 rows"]);
}

/// With 32 MiB, a table of some 150 MiB is read over four connections.
async fn memory_holds_for_a_copy_that_is_many_times_larger(engine: Engine) {
    const MEMORY: u64 = 32 << 20;
    const BESIDE: u64 = 64 << 20;
    let database = Database::open(engine).await;
    let note = match engine {
        Engine::Postgres => "md5(n::text)",
        Engine::MariaDb => "md5(n)",
    };
    let kind = match engine {
        Engine::Postgres => "text",
        Engine::MariaDb => "varchar(400)",
    };
    database
        .run(&format!(
            "CREATE TABLE large (id int PRIMARY KEY, a {kind}, b {kind})"
        ))
        .await;
    let numbers = engine.numbers(400_000);
    let long = format!("concat({note}, {note}, {note}, {note}, {note})");
    database
        .run(&format!(
            "INSERT INTO large SELECT n, {long}, {long} FROM {numbers}"
        ))
        .await;
    let (desk, url) = (Desk::new(), database.url());
    let mut worker = desk.start(&[
        "snapshot", &url, "large", "--to", &desk.to, "--memory", "32MiB",
    ]);
    let mut peak = 0;
    eventually("the process has ended", async || {
        peak = worker.peak_memory().unwrap_or(peak);
        match worker.is_running() {
            true => Err("it runs".to_owned()),
            false => Ok(()),
        }
    })
    .await;
    worker.finish().await.expect(0, &["400,000 rows"]);
    assert!(
        peak > 0 && peak <= MEMORY + BESIDE,
        "it held {} MiB",
        peak >> 20
    );
}
