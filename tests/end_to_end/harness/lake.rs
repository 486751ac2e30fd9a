//! The lake, read back by the Parquet crate.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatchReader;
use cdc::config::LakePlace;
use cdc::lake::open_store;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Row;

/// A Parquet file of a table.
pub struct File {
    /// Relative to the lake's root.
    pub path: String,
    pub columns: Vec<String>,
    /// The footer's own entries.
    pub footer: BTreeMap<String, String>,
    pub batches: Vec<RecordBatch>,
}

/// All Parquet files below a directory.
pub async fn files(place: &LakePlace, below: &str) -> Vec<File> {
    let store = open_store(place).await.expect("the lake");
    let mut files = Vec::new();
    for entry in store
        .list(&format!("{below}/"))
        .await
        .expect("the lake can be listed")
    {
        if !entry.path.ends_with(".parquet") {
            continue;
        }
        // A file may be swept between the listing and the reading.
        let Some((body, _)) = store.get(&entry.path).await.expect("a file can be read") else {
            continue;
        };
        let builder = ParquetRecordBatchReaderBuilder::try_new(body)
            .unwrap_or_else(|e| panic!("`{}`: {e}", entry.path));
        let footer = builder.metadata().file_metadata().key_value_metadata();
        let footer = footer.into_iter().flatten();
        let footer = footer
            .filter_map(|entry| Some((entry.key.clone(), entry.value.clone()?)))
            .collect();
        let reader = builder
            .build()
            .unwrap_or_else(|e| panic!("`{}`: {e}", entry.path));
        let columns = reader
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let batches = reader
            .collect::<Result<Vec<_>, _>>()
            .unwrap_or_else(|e| panic!("`{}`: {e}", entry.path));
        files.push(File {
            path: entry.path,
            columns,
            footer,
            batches,
        });
    }
    files
}

/// A JSON object of the lake; `None` if it is not there.
pub async fn object(place: &LakePlace, path: &str) -> Option<serde_json::Value> {
    let store = open_store(place).await.expect("the lake");
    let (body, _) = store.get(path).await.expect("the lake can be read")?;
    Some(serde_json::from_slice(&body).expect("JSON"))
}

/// The rows of files of a test table.
pub fn rows(files: &[File]) -> Vec<Row> {
    files
        .iter()
        .flat_map(|file| &file.batches)
        .flat_map(rows_of)
        .collect()
}

/// The rows of a batch of a test table.
pub fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| {
        batch
            .column_by_name(name)
            .unwrap_or_else(|| panic!("no column `{name}` in the lake"))
    };
    let id = column("id").as_primitive::<Int64Type>();
    let version = column("version").as_primitive::<Int32Type>();
    let updated_at = column("updated_at").as_primitive::<TimestampMicrosecondType>();
    let note = column("note").as_string::<i32>();
    let row = |i: usize| Row {
        id: id.value(i),
        version: version.value(i).into(),
        updated_at: updated_at.value(i),
        note: note.value(i).to_owned(),
    };
    (0..id.len()).map(row).collect()
}
