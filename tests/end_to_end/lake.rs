//! From the databases into the lake: what the topics hold is in the files, each record once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;

use crate::crashes::{Retail, Traffic};
use crate::harness::{
    DEADLINE, Database, Engine, Pipeline, Record, Row, STARVED, Table, agree, eventually,
    files_rows, on_both_databases, random_moment,
};

on_both_databases! {
    every_record_of_a_topic_is_in_the_lake_once
    a_snapshot_has_ended_when_its_rows_are_in_the_lake
    readers_of_a_bulk_table_see_one_whole_load_at_any_moment
    an_empty_table_is_one_file_of_no_rows
    a_copy_begun_anew_leaves_nothing_of_the_old_one_in_the_lake
    a_table_that_was_never_copied_may_be_begun_anew
    footers_say_what_proved_that_no_row_is_missing
}

async fn every_record_of_a_topic_is_in_the_lake_once(engine: Engine) {
    for mode in ["incrementing", "timestamp"] {
        let database = Database::with_table(engine).await;
        let table = Table::of(&database);
        database.insert(table.name, 3_000).await;
        let pipeline = Pipeline::new().following(&database, mode);
        let follower = pipeline.follow();
        pipeline.topic_is_current(table).await;
        pipeline.lake_is_exact(table).await;

        database.insert(table.name, 500).await;
        if mode == "timestamp" {
            database.update(table.name, "id % 5 = 0").await;
        }
        pipeline.topic_is_current(table).await;
        pipeline.lake_is_exact(table).await;
        follower.stop().await;

        pipeline.lake_is_exact(table).await;
        if mode == "timestamp" {
            // Two versions may share an instant: the record's offset decides between them.
            let offsets: BTreeSet<(i64, i64, u64)> = pipeline
                .files(table)
                .await
                .iter()
                .flat_map(offsets_of)
                .collect();
            let expected = pipeline
                .records(table)
                .iter()
                .map(|record| {
                    let row = record.row();
                    (row.id, row.version, record.offset as u64)
                })
                .collect();
            assert_eq!(offsets, expected);
        }
    }
}

/// Id, version and `cdc_offset` of each row of a file.
fn offsets_of(file: &crate::harness::File) -> Vec<(i64, i64, u64)> {
    let of = |batch: &arrow::array::RecordBatch| {
        let column = batch
            .column_by_name("cdc_offset")
            .expect("files of a timestamp table have `cdc_offset`");
        let offsets =
            arrow::compute::cast(column, &arrow::datatypes::DataType::UInt64).expect("a number");
        let offsets: Vec<u64> = offsets.as_primitive::<UInt64Type>().values().to_vec();
        let rows = crate::harness::rows_of(batch);
        rows.into_iter()
            .zip(offsets)
            .map(|(row, offset)| (row.id, row.version, offset))
            .collect::<Vec<_>>()
    };
    file.batches.iter().flat_map(of).collect()
}

async fn a_snapshot_has_ended_when_its_rows_are_in_the_lake(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 20_000).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");

    pipeline
        .run(&["snapshot", table.name])
        .await
        .expect(0, &["copied 20000 rows"]);
    let held = database.holds(table.name).await;
    assert_eq!(
        agree(&held, &files_rows(&pipeline.files(table).await)),
        Ok(())
    );

    database.insert(table.name, 500).await;
    pipeline
        .run(&["follow", "--once"])
        .await
        .expect(0, &["caught up"]);
    let held = database.holds(table.name).await;
    assert_eq!(
        agree(&held, &files_rows(&pipeline.files(table).await)),
        Ok(())
    );
}

async fn readers_of_a_bulk_table_see_one_whole_load_at_any_moment(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    let tables = format!(
        "{}: {{ mode: bulk, schedule: \"0 0 1 1 * UTC\" }}",
        table.name
    );
    let pipeline = Arc::new(Pipeline::new().source(&database, &tables));
    database.insert(table.name, 8_000).await;
    let mut held = vec![database.holds(table.name).await];
    let follower = pipeline.follow();
    eventually("the first load is there", async || {
        opened(&pipeline, table).await.map(|_| ())
    })
    .await;

    let mut seen = BTreeSet::new();
    for round in 1..=3 {
        database
            .update(table.name, &format!("id % {} = 0", round + 1))
            .await;
        database.insert(table.name, 500).await;
        held.push(database.holds(table.name).await);
        let mut loading = pipeline.start(&["snapshot", table.name]);
        // A reader that opens the table again and again while the load goes on.
        let began = Instant::now();
        while loading.is_running() {
            assert!(
                began.elapsed() < DEADLINE,
                "the load that was asked for does not end"
            );
            let Ok((number, rows)) = opened(&pipeline, table).await else {
                panic!("nothing is there to open")
            };
            assert_eq!(
                agree(&held[number - 1], &rows),
                Ok(()),
                "load {number} is not whole"
            );
            seen.insert(number);
        }
        loading.finish().await.expect(0, &["loaded"]);
        let (number, rows) = opened(&pipeline, table).await.expect("a load");
        assert_eq!(
            number,
            round + 1,
            "the load that was asked for is the current one when the command ends"
        );
        assert_eq!(agree(&held[round], &rows), Ok(()));
        seen.insert(number);
    }
    assert_eq!(seen, BTreeSet::from([1, 2, 3, 4]));
    follower.stop().await;
}

/// What a reader of a bulk table opens: the current load's number and rows.
pub async fn opened(pipeline: &Pipeline, table: Table<'_>) -> Result<(usize, Vec<Row>), String> {
    let pointer = pipeline
        .object(&format!("{}/_current.json", table.path()))
        .await
        .ok_or("no load is current")?;
    let (path, number) = (
        pointer["path"].as_str().expect("a path"),
        pointer["load"].as_u64().expect("a number"),
    );
    let files = pipeline.files_below(path).await;
    let rows = files_rows(&files);
    assert_eq!(
        pointer["rows"].as_u64(),
        Some(rows.len() as u64),
        "{pointer}"
    );
    assert!(!files.is_empty(), "{pointer}");
    Ok((number as usize, rows))
}

async fn an_empty_table_is_one_file_of_no_rows(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    let pipeline = Pipeline::new().following(&database, "bulk");

    pipeline
        .run(&["snapshot", table.name])
        .await
        .expect(0, &["loaded 0 rows"]);

    let (number, rows) = opened(&pipeline, table).await.expect("a load");
    assert_eq!((number, rows.len()), (1, 0));
    let files = pipeline.files(table).await;
    assert_eq!(files.len(), 1);
    let columns = files[0]
        .columns
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>();
    assert_eq!(columns, ["id", "version", "updated_at", "note"]);
}

async fn a_table_that_was_never_copied_may_be_begun_anew(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 100).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    pipeline
        .run(&["snapshot", "--again", "--yes", table.name])
        .await
        .expect(0, &["copied 100 rows"]);
    pipeline.lake_is_exact(table).await;
}

async fn a_copy_begun_anew_leaves_nothing_of_the_old_one_in_the_lake(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 1_000).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    pipeline.run(&["snapshot"]).await.expect(0, &[]);

    database
        .run(&format!("DELETE FROM {} WHERE id <= 400", table.name))
        .await;
    pipeline
        .run(&["snapshot", "--again", "--yes", table.name])
        .await
        .expect(0, &["copied 600 rows"]);

    let held = database.holds(table.name).await;
    let follower = pipeline.follow();
    eventually(
        "the lake holds the new epoch and nothing else",
        async || {
            let files = pipeline.files(table).await;
            let rows = files_rows(&files).len();
            let (old, new): (Vec<_>, Vec<_>) = files_rows(&files)
                .into_iter()
                .partition(|row| row.id <= 400);
            match (old.len(), new.len()) {
                (0, 600) => Ok(()),
                _ => Err(format!(
                    "{rows} rows, {} of them of the old epoch",
                    old.len()
                )),
            }
        },
    )
    .await;
    assert_eq!(
        agree(&held, &files_rows(&pipeline.files(table).await)),
        Ok(())
    );
    database.insert(table.name, 10).await;
    pipeline.topic_has(table, 1_610).await;
    eventually("the lake goes on", async || {
        agree(
            &database.holds(table.name).await,
            &files_rows(&pipeline.files(table).await),
        )
    })
    .await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lake_on_s3_is_exact_in_every_mode() {
    let (ec, pos) = (
        Database::with_table(Engine::Postgres).await,
        Database::with_table(Engine::MariaDb).await,
    );
    ec.create("products").await;
    ec.insert("orders", 2_000).await;
    ec.insert("products", 300).await;
    pos.insert("sales", 2_000).await;
    let pipeline = Pipeline::on_s3()
        .source(
            &ec,
            "orders: { mode: timestamp+incrementing, timestamp: updated_at, incrementing: id, \
             partition_by: { dt: day(updated_at) } }, products: { mode: bulk, schedule: \"0 0 1 1 * UTC\" }",
        )
        .following(&pos, "incrementing");
    let (orders, sales) = (Table::of(&ec), Table::of(&pos));
    let products = Table {
        name: "products",
        ..orders
    };
    let follower = pipeline.follow();
    for table in [orders, sales] {
        pipeline.topic_is_current(table).await;
        table.database.insert(table.name, 200).await;
    }
    ec.update("orders", "id <= 100").await;
    for table in [orders, sales] {
        pipeline.topic_is_current(table).await;
        pipeline.lake_is_exact(table).await;
    }
    let held = ec.holds("products").await;
    let (_, rows) = eventually("a load is current", async || {
        opened(&pipeline, products).await
    })
    .await;
    assert_eq!(agree(&held, &rows), Ok(()));
    follower.stop().await;
    pipeline.lake_is_exact(orders).await;
    pipeline.lake_is_exact(sales).await;
    assert!(
        pipeline
            .files(orders)
            .await
            .iter()
            .all(|file| file.path.contains("/dt="))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_everything_under_load_again_and_again_leaves_the_lake_exact() {
    let retail = Retail::open().await;
    let traffic = Traffic::start([&retail.ec, &retail.pos]);
    let mut worker = retail.pipeline.follow();
    for _ in 0..5 {
        let before = retail.progress();
        let files = retail.files().await;
        retail.has_grown(&before).await;
        eventually("the lake has grown", async || match retail.files().await {
            now if now > files => Ok(()),
            now => Err(format!("{now} files, {files} before")),
        })
        .await;
        random_moment(Duration::from_millis(1_200)).await;
        worker.kill();
        worker = retail.pipeline.follow();
    }
    traffic.stop().await;
    retail.everything_is_there().await;
    for table in retail.tables() {
        retail.pipeline.lake_is_exact(table).await;
    }
    worker.stop().await;
    for table in retail.tables() {
        retail.pipeline.lake_is_exact(table).await;
        let records: Vec<Row> = retail
            .pipeline
            .records(table)
            .iter()
            .map(Record::row)
            .collect();
        assert!(!records.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sink_goes_on_with_the_partitions_of_a_killed_one() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert(table.name, 1_000).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let capture = pipeline.start(&["follow", "--only", "capture"]);
    let first = pipeline.start(&["follow", "--only", "sink"]);
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    let second = pipeline.start(&["follow", "--only", "sink"]);
    database.insert(table.name, 1_000).await;
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;

    database.insert(table.name, 5_000).await;
    random_moment(Duration::from_millis(1_500)).await;
    first.kill();
    database.insert(table.name, 5_000).await;

    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    second.stop().await;
    capture.stop().await;
    pipeline.lake_is_exact(table).await;
}

async fn footers_say_what_proved_that_no_row_is_missing(engine: Engine) {
    let database = Database::open(engine).await;
    for table in ["loaded", "counted"] {
        database.create(table).await;
        database.insert(table, 10).await;
    }
    let pipeline = Pipeline::new().source(
        &database,
        "loaded: { mode: bulk }, counted: { mode: incrementing, incrementing: id }",
    );
    pipeline.run(&["snapshot"]).await.expect(0, &[]);
    for (table, guard) in [("loaded", "counted"), ("counted", "proven")] {
        let path = format!("{}/{table}", engine.source());
        eventually("the guard stands in the footers", async || {
            let files = pipeline.files_below(&path).await;
            assert!(!files.is_empty(), "`{table}` has no file");
            let found = files.iter().map(|file| &file.footer["cdc.guard"]);
            let Some(other) = found.into_iter().find(|found| *found != guard) else {
                return Ok(());
            };
            // What others do on the server may keep the guard from looking: then it says so.
            assert!(other.contains(STARVED), "`{table}`: {other}");
            let again = ["snapshot", "--again", "--yes", table];
            pipeline.run(&again).await.expect(0, &[]);
            Err(other.clone())
        })
        .await;
    }
}
