//! Reads some rows of a Parquet file, whoever wrote it, and what its footer says.

use std::collections::BTreeMap;
use std::fs::File;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;
use serde::Serialize;

use crate::error::{Error, Kind, Result};

/// What holds the Arrow schema for Arrow's readers; it says nothing to people.
const ARROW_SCHEMA: &str = "ARROW:schema";

/// Where the bytes are.
pub enum Contents {
    File(File),
    Memory(Bytes),
}

/// Some rows, and the whole file's facts.
pub struct SomeRows {
    pub rows: u64,
    pub row_groups: Vec<RowGroup>,
    pub created_by: Option<String>,
    /// The footer's own pairs.
    pub metadata: BTreeMap<String, String>,
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

/// A stretch of rows that is read at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowGroup {
    pub rows: u64,
    /// In the file, and unpacked.
    pub compressed_bytes: u64,
    pub bytes: u64,
    pub compression: String,
}

/// Reads `count` rows from the file's beginning, or its last ones.
pub fn read_some(contents: Contents, count: usize, from_end: bool) -> Result<SomeRows> {
    match contents {
        Contents::File(file) => read(file, count, from_end),
        Contents::Memory(bytes) => read(bytes, count, from_end),
    }
    .map_err(|error| {
        Error::new(Kind::Data, "reading it as Parquet")
            .because(error)
            .hint("is it a Parquet file, and whole? the last four bytes of one are `PAR1`")
    })
}

fn read(
    contents: impl ChunkReader + 'static,
    count: usize,
    from_end: bool,
) -> Result<SomeRows, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(contents)?;
    let metadata = builder.metadata().clone();
    let footer = metadata.file_metadata();
    let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
    let row_groups: Vec<RowGroup> = metadata
        .row_groups()
        .iter()
        .map(|group| RowGroup {
            rows: unsigned(group.num_rows()),
            compressed_bytes: unsigned(group.compressed_size()),
            bytes: unsigned(group.total_byte_size()),
            compression: match group.columns().first() {
                Some(column) => format!("{:?}", column.compression()).to_lowercase(),
                None => "none".to_owned(),
            },
        })
        .collect();
    let pairs = footer.key_value_metadata().into_iter().flatten();
    let pairs = pairs.filter(|pair| pair.key != ARROW_SCHEMA);
    let (rows, created_by) = (unsigned(footer.num_rows()), footer.created_by());
    let created_by = created_by.map(str::to_owned);
    let pairs = pairs
        .map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default()))
        .collect();
    let schema = builder.schema().clone();
    let builder = builder
        .with_batch_size(count.clamp(1, 8_192))
        .with_limit(count);
    let builder = match from_end {
        true => {
            let (groups, skipped) = last_groups(&row_groups, count);
            builder.with_row_groups(groups).with_offset(skipped)
        }
        false => builder,
    };
    let batches = builder.build()?.collect::<Result<_, _>>()?;
    Ok(SomeRows {
        rows,
        row_groups,
        created_by,
        metadata: pairs,
        schema,
        batches,
    })
}

/// The row groups that hold the last `count` rows, and how many rows of the first of them are others.
fn last_groups(groups: &[RowGroup], count: usize) -> (Vec<usize>, usize) {
    let (mut first, mut held) = (groups.len(), 0_u64);
    let wanted = count as u64;
    for (i, group) in groups.iter().enumerate().rev() {
        if held >= wanted {
            break;
        }
        held += group.rows;
        first = i;
    }
    let skipped = usize::try_from(held.saturating_sub(wanted)).unwrap_or(0);
    ((first..groups.len()).collect(), skipped)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    /// 25 rows in groups of 10.
    fn file() -> Bytes {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(10))
            .build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).unwrap();
        let ids = Int64Array::from_iter_values(0..25);
        let rows = RecordBatch::try_new(schema, vec![Arc::new(ids)]).unwrap();
        writer.write(&rows).unwrap();
        writer.into_inner().unwrap().into()
    }

    fn ids(count: usize, from_end: bool) -> Vec<i64> {
        let some = read_some(Contents::Memory(file()), count, from_end).unwrap();
        assert_eq!((some.rows, some.row_groups.len()), (25, 3));
        let ids = some.batches.iter().flat_map(|batch| {
            let column = batch.column(0).as_primitive::<Int64Type>();
            column.values().to_vec()
        });
        ids.collect()
    }

    #[test]
    fn the_first_and_the_last_rows_are_read_across_row_groups() {
        assert_eq!(ids(3, false), [0, 1, 2]);
        assert_eq!(ids(12, false), (0..12).collect::<Vec<_>>());
        assert_eq!(ids(3, true), [22, 23, 24]);
        assert_eq!(ids(7, true), (18..25).collect::<Vec<_>>());
        assert_eq!(ids(100, true), (0..25).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_parquet_file_is_an_error_whatever_its_bytes() {
        let whole = file();
        let cut = whole.slice(..whole.len() - 9);
        for bytes in [Bytes::new(), Bytes::from_static(b"PAR1PAR1"), cut] {
            let error = read_some(Contents::Memory(bytes), 1, false)
                .err()
                .expect("an error");
            assert_eq!(error.kind(), Kind::Data);
        }
    }
}
