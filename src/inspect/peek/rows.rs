//! Rows of a batch as the JSON that records have. What that form does not know, as a file of another's may hold, is
//! written as its text.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::super::words::lake_type;
use super::{PeekedColumn, Row};
use crate::error::{Error, Kind, Result};
use crate::model::{Column, ColumnType, TableSchema};
use crate::wire::JsonEncoder;

/// The columns of a schema as people call them.
pub fn columns_of(schema: &Schema) -> Vec<PeekedColumn> {
    let column = |field: &Arc<Field>| PeekedColumn {
        name: field.name().clone(),
        column_type: match column_type(field.data_type()) {
            Some(known) => lake_type(&known),
            None => field.data_type().to_string(),
        },
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}

/// Every row as an object.
pub fn rows_of(batches: &[RecordBatch]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        let (schema, batch) = in_our_types(batch).map_err(|error| {
            Error::new(Kind::Data, "reading the values of a column").because(error)
        })?;
        let mut encoder = JsonEncoder::new(&schema, 1);
        for records in encoder.encode(&batch, 0, usize::MAX)? {
            for (_, value) in records.records() {
                let row = serde_json::from_slice(value).map_err(|error| {
                    Error::new(Kind::Bug, "reading a row that was written as JSON").because(error)
                })?;
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// The same rows in columns of types that records have.
fn in_our_types(batch: &RecordBatch) -> Result<(TableSchema, RecordBatch), ArrowError> {
    let mut schema = TableSchema {
        columns: Vec::new(),
        key: Vec::new(),
    };
    let mut arrays = Vec::new();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        let (known, array) = match column_type(array.data_type()) {
            // A list's element may be called otherwise.
            Some(known) => (known.clone(), cast(array, &known.arrow())?),
            None => (ColumnType::Text, as_text(array)?),
        };
        schema.columns.push(Column {
            name: field.name().clone(),
            source_type: String::new(),
            column_type: known,
            nullable: true,
        });
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(schema.arrow(), arrays, &options)?;
    Ok((schema, batch))
}

fn as_text(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let mut texts = StringBuilder::new();
    for row in 0..array.len() {
        match array.is_null(row) {
            true => texts.append_null(),
            false => texts.append_value(formatter.value(row).try_to_string()?),
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// The type whose values are exactly those of an Arrow type; `None` where there is none.
fn column_type(arrow: &DataType) -> Option<ColumnType> {
    Some(match arrow {
        DataType::Boolean => ColumnType::Bool,
        DataType::Int8 => ColumnType::Int8,
        DataType::Int16 => ColumnType::Int16,
        DataType::Int32 => ColumnType::Int32,
        DataType::Int64 => ColumnType::Int64,
        DataType::UInt8 => ColumnType::UInt8,
        DataType::UInt16 => ColumnType::UInt16,
        DataType::UInt32 => ColumnType::UInt32,
        DataType::UInt64 => ColumnType::UInt64,
        DataType::Float32 => ColumnType::Float32,
        DataType::Float64 => ColumnType::Float64,
        DataType::Decimal128(precision, scale) => ColumnType::Decimal {
            precision: *precision,
            scale: u8::try_from(*scale).ok()?,
        },
        DataType::Utf8 => ColumnType::Text,
        DataType::Binary => ColumnType::Binary,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(TimeUnit::Microsecond, None) => ColumnType::Timestamp { utc: false },
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if **zone == *"UTC" => {
            ColumnType::Timestamp { utc: true }
        }
        DataType::List(element) => ColumnType::List(Box::new(column_type(element.data_type())?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, LargeStringArray, Time64MicrosecondArray, UInt64Array};

    use super::*;

    #[test]
    fn values_are_written_to_the_last_digit_and_strange_types_as_text() {
        let decimals =
            Decimal128Array::from(vec![Some(12345678901234567890123456789012345678), None])
                .with_precision_and_scale(38, 18)
                .unwrap();
        let times = Time64MicrosecondArray::from(vec![Some(1), None]);
        let batch = RecordBatch::try_from_iter_with_nullable([
            (
                "n",
                Arc::new(UInt64Array::from(vec![u64::MAX, 0])) as ArrayRef,
                false,
            ),
            ("d", Arc::new(decimals) as ArrayRef, true),
            ("t", Arc::new(times) as ArrayRef, true),
            (
                "s",
                Arc::new(LargeStringArray::from(vec!["a\u{1b}", "매장"])) as ArrayRef,
                false,
            ),
        ])
        .unwrap();
        let rows = rows_of(std::slice::from_ref(&batch)).unwrap();
        let lines: Vec<String> = rows
            .iter()
            .map(|row| serde_json::to_string(row).unwrap())
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"n":18446744073709551615,"d":12345678901234567890.123456789012345678,"t":"00:00:00.000001","s":"a\u001b"}
        {"n":0,"d":null,"t":null,"s":"매장"}
        "#);
        let types: Vec<String> = columns_of(&batch.schema())
            .into_iter()
            .map(|column| column.column_type)
            .collect();
        insta::assert_snapshot!(types.join(", "), @"uint64, decimal(38,18), Time64(µs), LargeUtf8");
    }
}
