//! The hash of a row's values: what the seen window remembers of it. Pure.
//!
//! XXH3-128 over canonical bytes: for each column a tag, then the value; for text and bytes the length before
//! it. It is remembered across processes and versions, so the canonical bytes can never change. A widened
//! integer, float or text column gives the same bytes, so that a schema change sends nothing again.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, Kind, Result};
use crate::model::RowHash;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const LARGE_INTEGER: u8 = 2;
const FLOAT: u8 = 3;
const DECIMAL: u8 = 4;
const BOOL: u8 = 5;
const TEXT: u8 = 6;
const BINARY: u8 = 7;
const DATE: u8 = 8;
const TIMESTAMP: u8 = 9;
const LIST: u8 = 10;

/// The hashes of all rows of a batch over the given columns, in their order.
pub fn hash_rows(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<RowHash>> {
    let arrays: Vec<&ArrayRef> = columns
        .iter()
        .filter_map(|i| batch.columns().get(*i))
        .collect();
    if arrays.len() < columns.len() {
        return Err(Error::new(
            Kind::Bug,
            "hashing rows over a column that was not read",
        ));
    }
    let mut bytes = Vec::with_capacity(256);
    let mut hashes = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        bytes.clear();
        for array in &arrays {
            write_value(array, row, &mut bytes)?;
        }
        hashes.push(xxh3_128(&bytes));
    }
    Ok(hashes)
}

fn write_value(array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<()> {
    if array.is_null(row) {
        out.push(NULL);
        return Ok(());
    }
    macro_rules! integer {
        ($type:ty) => {
            tagged(
                out,
                INTEGER,
                &i64::from(array.as_primitive::<$type>().value(row)).to_le_bytes(),
            )
        };
    }
    match array.data_type() {
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => {
            let value = array.as_primitive::<UInt64Type>().value(row);
            let tag = if i64::try_from(value).is_ok() {
                INTEGER
            } else {
                LARGE_INTEGER
            };
            tagged(out, tag, &value.to_le_bytes());
        }
        DataType::Float32 => float(
            out,
            f64::from(array.as_primitive::<Float32Type>().value(row)),
        ),
        DataType::Float64 => float(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            tagged(out, DECIMAL, &scale.to_le_bytes());
            out.extend_from_slice(
                &array
                    .as_primitive::<Decimal128Type>()
                    .value(row)
                    .to_le_bytes(),
            );
        }
        DataType::Boolean => tagged(out, BOOL, &[u8::from(array.as_boolean().value(row))]),
        DataType::Utf8 => sized(out, TEXT, array.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => sized(out, BINARY, array.as_binary::<i32>().value(row)),
        DataType::Date32 => {
            tagged(
                out,
                DATE,
                &array.as_primitive::<Date32Type>().value(row).to_le_bytes(),
            );
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let value = array.as_primitive::<TimestampMicrosecondType>().value(row);
            tagged(out, TIMESTAMP, &value.to_le_bytes());
        }
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            tagged(out, LIST, &(elements.len() as u64).to_le_bytes());
            for i in 0..elements.len() {
                write_value(&elements, i, out)?;
            }
        }
        other => {
            return Err(Error::new(
                Kind::Bug,
                format!("hashing a value of type `{other}`"),
            ));
        }
    }
    Ok(())
}

fn tagged(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    out.extend_from_slice(value);
}

fn sized(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    tagged(out, tag, &(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value);
}

/// All NaNs are one value.
fn float(out: &mut Vec<u8>, value: f64) {
    let bits = if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    };
    tagged(out, FLOAT, &bits.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{Int32Array, Int64Array, ListArray, StringArray};

    fn hashes(columns: Vec<ArrayRef>) -> Vec<RowHash> {
        let named = columns
            .into_iter()
            .enumerate()
            .map(|(i, array)| (format!("c{i}"), array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
        hash_rows(&batch, &(0..batch.num_columns()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_hash_never_changes() {
        let row = hashes(vec![
            Arc::new(Int64Array::from(vec![Some(7)])),
            Arc::new(StringArray::from(vec![Some("seven")])),
            Arc::new(StringArray::from(vec![None::<&str>])),
        ]);
        insta::assert_snapshot!(format!("{:032x}", row[0]), @"4bf9ec3ef8b0947d2dd32c55d8d729fd");
    }

    #[test]
    fn values_cannot_slide_between_columns() {
        let text = |values: [&str; 2]| -> Vec<ArrayRef> {
            values
                .iter()
                .map(|v| Arc::new(StringArray::from(vec![*v])) as ArrayRef)
                .collect()
        };
        assert_ne!(hashes(text(["ab", "c"])), hashes(text(["a", "bc"])));
    }

    #[test]
    fn null_is_not_zero_and_not_empty() {
        let texts = hashes(vec![Arc::new(StringArray::from(vec![None, Some("")]))]);
        assert_ne!(texts[0], texts[1]);
        let numbers = hashes(vec![Arc::new(Int64Array::from(vec![None, Some(0)]))]);
        assert_ne!(numbers[0], numbers[1]);
    }

    #[test]
    fn a_widened_integer_is_the_same_value() {
        let narrow = hashes(vec![Arc::new(Int32Array::from(vec![-7]))]);
        assert_eq!(narrow, hashes(vec![Arc::new(Int64Array::from(vec![-7]))]));
    }

    #[test]
    fn lists_are_told_apart_by_where_they_end() {
        let list = |rows: Vec<Vec<i64>>| -> ArrayRef {
            let rows = rows
                .into_iter()
                .map(|row| Some(row.into_iter().map(Some).collect::<Vec<_>>()));
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows))
        };
        let left = hashes(vec![list(vec![vec![1]]), list(vec![vec![2, 3]])]);
        assert_ne!(
            left,
            hashes(vec![list(vec![vec![1, 2]]), list(vec![vec![3]])])
        );
    }

    #[test]
    fn only_the_named_columns_count() {
        let batch = RecordBatch::try_from_iter([
            ("a", Arc::new(Int64Array::from(vec![1, 1])) as ArrayRef),
            ("b", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ])
        .unwrap();
        let hashes = hash_rows(&batch, &[0]).unwrap();
        assert_eq!(hashes[0], hashes[1]);
        assert!(hash_rows(&batch, &[2]).is_err());
    }
}
