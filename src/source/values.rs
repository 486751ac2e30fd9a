//! Cursor values read out of batches: ids, instants, and keys as text. Pure.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::error::{Error, Kind, Result};
use crate::model::Micros;

fn no_cursor(batch: &RecordBatch, column: usize, why: &str) -> Error {
    let name = batch
        .schema_ref()
        .fields()
        .get(column)
        .map_or("?".to_owned(), |field| field.name().clone());
    Error::new(
        Kind::Data,
        format!("column `{name}` cannot be a cursor: {why}"),
    )
}

/// The ids of a batch, for any integer column or a decimal without fraction.
pub fn ids(batch: &RecordBatch, column: usize) -> Result<Vec<i128>> {
    macro_rules! widen {
        ($array:expr, $type:ty) => {
            $array
                .as_primitive::<$type>()
                .values()
                .iter()
                .map(|v| i128::from(*v))
                .collect()
        };
    }
    let array = batch
        .columns()
        .get(column)
        .ok_or_else(|| no_cursor(batch, column, "it was not read"))?;
    if array.null_count() > 0 {
        return Err(no_cursor(
            batch,
            column,
            "it is NULL where the statement excludes NULL",
        ));
    }
    Ok(match array.data_type() {
        DataType::Int8 => widen!(array, Int8Type),
        DataType::Int16 => widen!(array, Int16Type),
        DataType::Int32 => widen!(array, Int32Type),
        DataType::Int64 => widen!(array, Int64Type),
        DataType::UInt8 => widen!(array, UInt8Type),
        DataType::UInt16 => widen!(array, UInt16Type),
        DataType::UInt32 => widen!(array, UInt32Type),
        DataType::UInt64 => widen!(array, UInt64Type),
        DataType::Decimal128(_, 0) => array.as_primitive::<Decimal128Type>().values().to_vec(),
        _ => return Err(no_cursor(batch, column, "it is no integer")),
    })
}

/// The timestamps of a batch.
pub fn instants(batch: &RecordBatch, column: usize) -> Result<&[Micros]> {
    let array = batch
        .columns()
        .get(column)
        .ok_or_else(|| no_cursor(batch, column, "it was not read"))?;
    match array.data_type() {
        _ if array.null_count() > 0 => Err(no_cursor(
            batch,
            column,
            "it is NULL where the statement excludes NULL",
        )),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(array.as_primitive::<TimestampMicrosecondType>().values())
        }
        _ => Err(no_cursor(batch, column, "it is no timestamp")),
    }
}

/// The key of one row as text, in the form bound values have.
pub fn key(batch: &RecordBatch, columns: &[usize], row: usize) -> Result<Vec<String>> {
    columns
        .iter()
        .map(|column| text(batch, *column, row))
        .collect()
}

fn text(batch: &RecordBatch, column: usize, row: usize) -> Result<String> {
    macro_rules! digits {
        ($array:expr, $type:ty) => {
            $array.as_primitive::<$type>().value(row).to_string()
        };
    }
    let array = batch
        .columns()
        .get(column)
        .ok_or_else(|| no_cursor(batch, column, "it was not read"))?;
    if row >= array.len() || array.is_null(row) {
        return Err(no_cursor(batch, column, "a part of the key is NULL"));
    }
    Ok(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => digits!(array, Int8Type),
        DataType::Int16 => digits!(array, Int16Type),
        DataType::Int32 => digits!(array, Int32Type),
        DataType::Int64 => digits!(array, Int64Type),
        DataType::UInt8 => digits!(array, UInt8Type),
        DataType::UInt16 => digits!(array, UInt16Type),
        DataType::UInt32 => digits!(array, UInt32Type),
        DataType::UInt64 => digits!(array, UInt64Type),
        DataType::Timestamp(TimeUnit::Microsecond, _) => digits!(array, TimestampMicrosecondType),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => array
            .as_binary::<i32>()
            .value(row)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        DataType::Date32 => date(array.as_primitive::<Date32Type>().value(row))
            .ok_or_else(|| no_cursor(batch, column, "a date in the key is out of range"))?,
        _ => return Err(no_cursor(batch, column, "its type has no exact order")),
    })
}

/// ISO 8601 from days since 1970-01-01.
fn date(days: i32) -> Option<String> {
    let day = jiff::civil::Date::constant(1970, 1, 1);
    day.checked_add(jiff::Span::new().try_days(days).ok()?)
        .ok()
        .map(|day| day.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringArray,
        UInt64Array,
    };

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
            .unwrap()
    }

    #[test]
    fn ids_of_every_width_keep_their_value() {
        let rows = batch(vec![
            ("unsigned", Arc::new(UInt64Array::from(vec![u64::MAX]))),
            (
                "decimal",
                Arc::new(
                    Decimal128Array::from(vec![-7])
                        .with_precision_and_scale(20, 0)
                        .unwrap(),
                ),
            ),
            (
                "money",
                Arc::new(
                    Decimal128Array::from(vec![-7])
                        .with_precision_and_scale(20, 2)
                        .unwrap(),
                ),
            ),
            ("null", Arc::new(Int64Array::from(vec![None]))),
        ]);
        assert_eq!(ids(&rows, 0).unwrap(), [i128::from(u64::MAX)]);
        assert_eq!(ids(&rows, 1).unwrap(), [-7]);
        assert!(ids(&rows, 2).unwrap_err().to_string().contains("`money`"));
        assert!(ids(&rows, 3).is_err());
        assert!(ids(&rows, 9).is_err());
    }

    #[test]
    fn a_key_is_written_as_bound_values_are() {
        let rows = batch(vec![
            ("t", Arc::new(StringArray::from(vec!["a'b"]))),
            ("b", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
            ("d", Arc::new(Date32Array::from(vec![-1]))),
            (
                "n",
                Arc::new(
                    Decimal128Array::from(vec![-1205])
                        .with_precision_and_scale(12, 2)
                        .unwrap(),
                ),
            ),
            ("y", Arc::new(BooleanArray::from(vec![true]))),
        ]);
        assert_eq!(
            key(&rows, &[0, 1, 2, 3, 4], 0).unwrap(),
            ["a'b", "00ff", "1969-12-31", "-12.05", "true"]
        );
    }
}
