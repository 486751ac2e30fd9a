//! Records become batches again.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use super::column::Column;
use super::reader::{Fault, Reader};
use super::{Opening, openings};
use crate::error::{Error, Kind, Result};
use crate::model::TableSchema;

/// Reads records of one schema back into batches.
pub struct JsonDecoder {
    schema: TableSchema,
    arrow: SchemaRef,
    /// What stands before each value in records of our own, so that one comparison reads a column's name.
    openings: Vec<Opening>,
    columns: Vec<Column>,
    rows: usize,
    scratch: Vec<u8>,
}

/// What is wrong with a record; columns by their position.
enum Wrong {
    Record(Fault),
    Value(usize, Fault),
    Unknown { at: usize },
    Twice(usize),
    Missing(usize),
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Wrong::Record(fault)
    }
}

impl JsonDecoder {
    pub fn new(schema: &TableSchema) -> Self {
        JsonDecoder {
            arrow: schema.arrow(),
            openings: openings(schema.columns.iter()),
            columns: schema
                .columns
                .iter()
                .map(|column| Column::new(&column.column_type, column.nullable))
                .collect(),
            rows: 0,
            scratch: Vec::new(),
            schema: schema.clone(),
        }
    }

    /// Reads one record's value: an object of the schema's columns, in any order. A nullable column that is
    /// missing is NULL. On an error nothing of this record is kept, and those before it stand.
    ///
    /// Errors: `Data`, naming the column and what was found (kind, never the value).
    pub fn push(&mut self, value: &[u8]) -> Result<()> {
        match self.read(value) {
            Ok(()) => {
                self.rows += 1;
                Ok(())
            }
            Err(wrong) => {
                for column in &mut self.columns {
                    column.truncate(self.rows);
                }
                Err(self.explain(&wrong))
            }
        }
    }

    /// Rows gathered.
    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes of values gathered.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Column::bytes).sum()
    }

    /// The rows gathered so far as a batch; the decoder starts over.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let options =
            RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        let arrays = self
            .columns
            .iter_mut()
            .map(Column::finish)
            .collect::<std::result::Result<_, _>>();
        let batch = arrays.and_then(|arrays| {
            RecordBatch::try_new_with_options(self.arrow.clone(), arrays, &options)
        });
        batch.map_err(|e| Error::new(Kind::Bug, "making a batch of records").because(e))
    }

    fn read(&mut self, value: &[u8]) -> std::result::Result<(), Wrong> {
        let JsonDecoder {
            schema,
            openings,
            columns,
            rows,
            scratch,
            ..
        } = self;
        let mut reader = Reader::new(value, scratch);
        let (mut next, mut read) = (0, 0);
        loop {
            let as_expected = openings
                .get(next)
                .is_some_and(|opening| reader.eat(&opening.text));
            let index = if as_expected {
                next
            } else {
                match read_name(&mut reader, schema, read == 0, next)? {
                    Some(index) => index,
                    None => break,
                }
            };
            let Some(column) = columns
                .get_mut(index)
                .filter(|column| column.len() == *rows)
            else {
                return Err(Wrong::Twice(index));
            };
            reader.skip_space();
            column
                .read(&mut reader)
                .map_err(|fault| Wrong::Value(index, fault))?;
            next = index + 1;
            read += 1;
        }
        reader.skip_space();
        if reader.peek().is_some() {
            return Err(Wrong::Record(reader.fault("the end of the record")));
        }
        if read < columns.len() {
            fill(columns, *rows)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn explain(&self, wrong: &Wrong) -> Error {
        let name = |index: &usize| {
            self.schema
                .columns
                .get(*index)
                .map_or("", |column| column.name.as_str())
        };
        let what = match wrong {
            Wrong::Record(fault) => said(fault),
            Wrong::Value(index, fault) => format!("column `{}`: {}", name(index), said(fault)),
            // Its name is not repeated: in a foreign record it may be anything, a row's value too.
            Wrong::Unknown { at } => format!("a column at byte {at} is not in the schema"),
            Wrong::Twice(index) => format!("column `{}` appears twice", name(index)),
            Wrong::Missing(index) => {
                format!("column `{}` is missing and not nullable", name(index))
            }
        };
        Error::new(Kind::Data, format!("reading a record: {what}"))
            .hint("only `cdc` may write to this topic: look at the record and at who wrote it")
    }
}

fn said(fault: &Fault) -> String {
    format!(
        "expected {}, found {} at byte {}",
        fault.wanted, fault.found, fault.at
    )
}

/// Reads the way to the next value as any JSON writer may lay it out; `None` at the end of the object.
/// Looks for the column from `next` on, where it stands in all but the strangest records.
fn read_name(
    reader: &mut Reader,
    schema: &TableSchema,
    first: bool,
    next: usize,
) -> std::result::Result<Option<usize>, Wrong> {
    reader.skip_space();
    if first {
        if !reader.eat_byte(b'{') {
            return Err(reader.fault("an object").into());
        }
        reader.skip_space();
        if reader.eat_byte(b'}') {
            return Ok(None);
        }
    } else if reader.eat_byte(b'}') {
        return Ok(None);
    } else if !reader.eat_byte(b',') {
        return Err(reader.fault("`,` or `}` after a column").into());
    }
    reader.skip_space();
    let at = reader.at;
    let name = reader.string("a column's name")?;
    let (before, after) = schema.columns.split_at(next.min(schema.columns.len()));
    let place = |column: &crate::model::Column| column.name.as_bytes() == name;
    let index = after
        .iter()
        .position(place)
        .map(|i| i + before.len())
        .or_else(|| before.iter().position(place));
    let index = index.ok_or(Wrong::Unknown { at })?;
    reader.skip_space();
    if !reader.eat_byte(b':') {
        return Err(reader.fault("`:` after a column's name").into());
    }
    Ok(Some(index))
}

/// Puts NULL where the record said nothing.
fn fill(columns: &mut [Column], rows: usize) -> std::result::Result<(), Wrong> {
    for (index, column) in columns.iter_mut().enumerate() {
        if column.len() == rows {
            if !column.nullable() {
                return Err(Wrong::Missing(index));
            }
            column.push_null();
        }
    }
    Ok(())
}
