//! The way of a table's values without a broker between: batches, records, batches again, a Parquet file.
//!
//! At the end stand two readers that are not ours: serde_json reads the records, DuckDB the file. Each writes every
//! row as one line of text, the database writes the same lines itself, and all three must agree. How a value is
//! written there says [`ColumnType`]: numbers as digits (floats as the hexadecimal digits of their bits), text and
//! bytes as hexadecimal digits, dates and times as PostgreSQL shows them, lists in braces, NULL as `NULL`.

mod copy;
mod duckdb;
mod lines;
mod record;

use std::path::Path;

use arrow::array::RecordBatch;
use cdc::lake::{FileFooter, ParquetFile};
use cdc::model::TableSchema;
use cdc::wire::{JsonDecoder, JsonEncoder};

pub use copy::{WORDS, copied};

/// Carries rows to the end of the way and compares what arrived with what the database shows: a line per row, in
/// the order in which the rows were read.
pub fn compare(schema: &TableSchema, batches: &[RecordBatch], shown: &[String]) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rows.parquet");
    let from_records = carry(schema, batches, &file);
    let from_file = duckdb::read(schema, directory.path(), &file);
    assert_eq!(from_records.len(), shown.len(), "rows in records");
    assert_eq!(from_file.len(), shown.len(), "rows in the file");
    for (row, shown) in shown.iter().enumerate() {
        lines::agree(schema, shown, &from_records[row], "the JSON record");
        lines::agree(schema, shown, &from_file[row], "DuckDB in the file");
    }
}

/// Writes records and the file; gives the lines of the records.
fn carry(schema: &TableSchema, batches: &[RecordBatch], file: &Path) -> Vec<String> {
    let mut encoder = JsonEncoder::new(schema, 1);
    let mut decoder = JsonDecoder::new(schema);
    let mut parquet = ParquetFile::create(file, schema.arrow(), "zstd", &[]).expect("a file");
    let mut lines = Vec::new();
    for batch in batches {
        let runs = encoder.encode(batch, 0, usize::MAX).expect("records");
        for (_, value) in runs.iter().flat_map(|run| run.records()) {
            lines.push(record::line(schema, value));
            decoder.push(value).expect("our own record");
        }
        encoder.recycle(runs);
        let decoded = decoder.finish().expect("a batch");
        assert!(
            &decoded == batch,
            "a batch of {} changed on its way",
            batch.num_rows()
        );
        parquet.write(&decoded).expect("rows in a file");
    }
    parquet.finish(&footer()).expect("a finished file");
    lines
}

fn footer() -> FileFooter {
    FileFooter {
        table: "test".into(),
        fingerprint: "0123456789abcdef".into(),
        epoch: 1,
        topic: "test".into(),
        partition: 0,
        start: 0,
        end: 1,
        load: None,
        guard: "proven".into(),
        version: "0".into(),
    }
}

/// How many rows hold the random values of each type, in rounds of at most [`ROUND`]: `CDC_VALUES`, of which a row
/// holds so many.
pub fn rounds(in_a_row: u64) -> Vec<u64> {
    let all = number("CDC_VALUES").unwrap_or(100_000).div_ceil(in_a_row);
    (0..all.div_ceil(ROUND))
        .map(|round| ROUND.min(all - round * ROUND))
        .collect()
}

/// Rows that are held in memory at one time.
const ROUND: u64 = 100_000;

/// What the random values follow from: `CDC_SEED`, or a fixed number, so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = number("CDC_SEED").unwrap_or(20_261_120);
    println!("the same values again: CDC_SEED={seed}");
    seed
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}
