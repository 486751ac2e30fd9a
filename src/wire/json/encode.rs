//! Batches become records, keyed and placed.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cells::{Cells, Unfit};
use super::{Opening, openings};
use crate::error::{Error, Kind, Result};
use crate::model::{Column, TableSchema};
use crate::wire::{PartitionRecords, Span, partition_for};

/// Bytes of a key that a message shows.
const LONGEST_KEY_SHOWN: usize = 200;

/// Writes batches as JSON records, keyed and partitioned. Its buffers are reused between batches.
pub struct JsonEncoder {
    schema: TableSchema,
    arrow: SchemaRef,
    value_openings: Vec<Opening>,
    key_openings: Vec<Opening>,
    /// The records being written, by partition.
    partitions: Vec<PartitionRecords>,
    /// Empty buffers that came back.
    spare: Vec<PartitionRecords>,
    key: Vec<u8>,
}

impl JsonEncoder {
    /// For a table of this schema whose topic has `partitions` partitions.
    pub fn new(schema: &TableSchema, partitions: i32) -> Self {
        let empty = |partition| PartitionRecords {
            partition,
            ..PartitionRecords::default()
        };
        JsonEncoder {
            arrow: schema.arrow(),
            value_openings: openings(schema.columns.iter()),
            key_openings: openings(schema.key.iter().filter_map(|i| schema.columns.get(*i))),
            partitions: (0..partitions.max(1)).map(empty).collect(),
            spare: Vec::new(),
            key: Vec::new(),
            schema: schema.clone(),
        }
    }

    /// The records of `rows` by partition, in batch order within each; partitions without records are left
    /// out. Rows of a table without a key all go to `keyless_partition`.
    ///
    /// Errors: `Data` if a record (its key and value together) grows over `largest` bytes, naming its largest
    /// column, or if a decimal has more digits than its column; `Bug` if the batch is not of this schema.
    pub fn encode(
        &mut self,
        rows: &RecordBatch,
        keyless_partition: i32,
        largest: usize,
    ) -> Result<Vec<PartitionRecords>> {
        self.clear();
        let cells = self.cells(rows)?;
        let key_cells: Vec<&Cells> = self
            .schema
            .key
            .iter()
            .filter_map(|i| cells.get(*i))
            .collect();
        let count = self.partitions.len() as i32;
        for row in 0..rows.num_rows() {
            let partition = if key_cells.is_empty() {
                keyless_partition
            } else {
                self.key.clear();
                write_object(
                    &self.key_openings,
                    key_cells.iter().copied(),
                    row,
                    &mut self.key,
                );
                partition_for(&self.key, count)
            };
            let records = usize::try_from(partition)
                .ok()
                .and_then(|i| self.partitions.get_mut(i));
            let records = records.ok_or_else(|| no_such_partition(partition, count))?;
            let start = records.buffer.len();
            records.buffer.extend_from_slice(&self.key);
            let key_end = span_end(records.buffer.len())?;
            write_object(&self.value_openings, cells.iter(), row, &mut records.buffer);
            let value_end = span_end(records.buffer.len())?;
            if records.buffer.len() - start > largest {
                let size = records.buffer.len() - start;
                return Err(too_large(
                    &self.schema,
                    &cells,
                    row,
                    &self.key,
                    (size, largest),
                ));
            }
            records.spans.push(Span { key_end, value_end });
        }
        Ok(self.hand_out())
    }

    /// Takes back what [`JsonEncoder::encode`] handed out, so that its buffers serve again.
    pub fn recycle(&mut self, records: Vec<PartitionRecords>) {
        for mut records in records
            .into_iter()
            .take(self.partitions.len().saturating_sub(self.spare.len()))
        {
            records.buffer.clear();
            records.spans.clear();
            self.spare.push(records);
        }
    }

    /// Forgets what a failed batch left behind.
    fn clear(&mut self) {
        self.key.clear();
        for records in &mut self.partitions {
            records.buffer.clear();
            records.spans.clear();
        }
    }

    fn cells<'a>(&self, rows: &'a RecordBatch) -> Result<Vec<Cells<'a>>> {
        if rows.schema_ref().fields() != self.arrow.fields() {
            return Err(Error::new(
                Kind::Bug,
                "writing records: the batch's columns are not those of the schema",
            ));
        }
        let cells = |(array, column): (&'a arrow::array::ArrayRef, &Column)| {
            Cells::new(array.as_ref(), &column.column_type)
                .map_err(|unfit| cannot_write(column, unfit))
        };
        rows.columns()
            .iter()
            .zip(&self.schema.columns)
            .map(cells)
            .collect()
    }

    fn hand_out(&mut self) -> Vec<PartitionRecords> {
        let spare = &mut self.spare;
        let filled = self
            .partitions
            .iter_mut()
            .filter(|records| !records.spans.is_empty());
        let take = |records: &mut PartitionRecords| {
            let next = PartitionRecords {
                partition: records.partition,
                ..spare.pop().unwrap_or_default()
            };
            std::mem::replace(records, next)
        };
        filled.map(take).collect()
    }
}

fn write_object<'c, 'a: 'c>(
    openings: &[Opening],
    cells: impl Iterator<Item = &'c Cells<'a>>,
    row: usize,
    out: &mut Vec<u8>,
) {
    if openings.is_empty() {
        out.push(b'{');
    }
    for (opening, cells) in openings.iter().zip(cells) {
        opening.write(out);
        cells.write(row, out);
    }
    out.push(b'}');
}

/// Spans count in 32 bits, which a batch of a sane size never fills.
fn span_end(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| {
        Error::new(
            Kind::Bug,
            "writing records: one batch has more than 4 GiB of records for one partition",
        )
    })
}

fn no_such_partition(partition: i32, count: i32) -> Error {
    Error::new(
        Kind::Bug,
        format!("writing records: there is no partition {partition} among {count}"),
    )
}

fn cannot_write(column: &Column, unfit: Unfit) -> Error {
    let name = &column.name;
    match unfit {
        Unfit::Type => Error::new(
            Kind::Bug,
            format!("writing records: the batch's column `{name}` is not of its type"),
        ),
        Unfit::Digits => Error::new(
            Kind::Data,
            format!(
                "writing records: column `{name}` holds a decimal with more digits than `{}`",
                column.source_type
            ),
        ),
    }
}

#[cold]
fn too_large(
    schema: &TableSchema,
    cells: &[Cells],
    row: usize,
    key: &[u8],
    (size, largest): (usize, usize),
) -> Error {
    let width = |cells: &Cells| {
        let mut text = Vec::new();
        cells.write(row, &mut text);
        text.len()
    };
    let widest = schema
        .columns
        .iter()
        .zip(cells)
        .map(|(column, cells)| (width(cells), column.name.as_str()));
    let (bytes, column) = widest.max().unwrap_or_default();
    let keyed_by = match key.get(..LONGEST_KEY_SHOWN) {
        _ if key.is_empty() => "no key (the table has none)".to_owned(),
        None => format!("key {}", String::from_utf8_lossy(key)),
        Some(beginning) => format!("key {}…", String::from_utf8_lossy(beginning)),
    };
    Error::new(
        Kind::Data,
        format!(
            "writing records: the row with {keyed_by} has {size} bytes as a record, and at most {largest} \
             are allowed; its largest column is `{column}` with {bytes} bytes"
        ),
    )
    .code(crate::error::Code::ROW_TOO_LARGE)
    .hint(format!(
        "leave that column out with `columns: {{ drop: [{column}] }}`, or make the row smaller in the database"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::law::{Cell, batch};
    use super::*;
    use crate::model::ColumnType;

    fn photos() -> TableSchema {
        let column = |name: &str, column_type| Column {
            name: name.into(),
            source_type: "numeric(3,1)".into(),
            column_type,
            nullable: true,
        };
        let price = ColumnType::Decimal {
            precision: 3,
            scale: 1,
        };
        let columns = vec![
            column("id", ColumnType::Int64),
            column("photo", ColumnType::Text),
            column("price", price),
        ];
        TableSchema {
            columns,
            key: vec![0],
        }
    }

    fn rows(photos: &[&str], price: i128) -> RecordBatch {
        let ids = (0..photos.len()).map(|id| Cell::Int(id as i128)).collect();
        let texts = photos
            .iter()
            .map(|text| Cell::Text((*text).into()))
            .collect();
        batch(
            &self::photos(),
            &[ids, texts, vec![Cell::Int(price); photos.len()]],
            photos.len(),
        )
    }

    #[test]
    fn a_record_that_is_too_large_names_the_key_and_the_largest_column_and_leaves_nothing_behind() {
        let mut encoder = JsonEncoder::new(&photos(), 3);
        let fitting = "{\"id\":0}{\"id\":0,\"photo\":\"xyz\",\"price\":0.5}".len();
        let error = encoder
            .encode(&rows(&["a", "long secret"], 5), 0, fitting)
            .expect_err("too large");
        assert_eq!(error.kind(), Kind::Data);
        insta::assert_snapshot!(error.to_string());
        let records = encoder
            .encode(&rows(&["xyz"], 5), 0, fitting)
            .expect("encode");
        assert_eq!(
            records
                .iter()
                .map(|records| records.spans.len())
                .sum::<usize>(),
            1
        );
    }

    #[test]
    fn a_decimal_over_its_precision_is_refused_before_any_record_is_written() {
        let mut encoder = JsonEncoder::new(&photos(), 3);
        encoder
            .encode(&rows(&["a"], -999), 0, 1000)
            .expect("encode");
        let error = encoder
            .encode(&rows(&["a"], 1000), 0, 1000)
            .expect_err("too many digits");
        assert_eq!(error.kind(), Kind::Data);
        insta::assert_snapshot!(error.to_string());
    }

    #[test]
    fn a_batch_of_another_schema_and_a_partition_that_is_not_there_are_bugs() {
        let mut keyless = photos();
        keyless.key.clear();
        let mut encoder = JsonEncoder::new(&keyless, 3);
        for partition in [-1, 3] {
            let error = encoder
                .encode(&rows(&["a"], 5), partition, 1000)
                .expect_err("no such partition");
            assert_eq!(error.kind(), Kind::Bug);
        }
        keyless.columns.pop();
        let error = JsonEncoder::new(&keyless, 3)
            .encode(&rows(&["a"], 5), 0, 1000)
            .expect_err("another schema");
        assert_eq!(error.kind(), Kind::Bug);
        assert!(span_end(u32::MAX as usize).is_ok() && span_end(u32::MAX as usize + 1).is_err());
    }

    #[test]
    fn recycled_buffers_are_used_again() {
        let mut encoder = JsonEncoder::new(&photos(), 1);
        let first = encoder
            .encode(&rows(&["a", "b"], 5), 0, 1000)
            .expect("encode");
        let buffer = first[0].buffer.as_ptr();
        encoder.recycle(first);
        let second = encoder.encode(&rows(&["c"], 5), 0, 1000).expect("encode");
        let third = encoder.encode(&rows(&["d"], 5), 0, 1000).expect("encode");
        assert_ne!(second[0].buffer.as_ptr(), buffer);
        assert_eq!(third[0].buffer.as_ptr(), buffer);
        assert_eq!((second[0].spans.len(), third[0].spans.len()), (1, 1));
    }
}
