//! The columns of a batch, ready to write any cell as JSON.

use arrow::array::{Array, AsArray, BinaryArray, BooleanArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::number::{write_decimal, write_float};
use super::{text, time};
use crate::model::ColumnType;

/// One column of a batch.
pub(super) struct Cells<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Bool(&'a BooleanArray),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt8(&'a [u8]),
    UInt16(&'a [u16]),
    UInt32(&'a [u32]),
    UInt64(&'a [u64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Decimal {
        values: &'a [i128],
        scale: usize,
    },
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a [i32]),
    Timestamp {
        values: &'a [i64],
        utc: bool,
    },
    List {
        offsets: &'a [i32],
        elements: Box<Cells<'a>>,
    },
}

/// Why a column cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The array is not of the column's type.
    Type,
    /// A decimal has more digits than its column's precision, so that no reader could take it back.
    Digits,
}

impl<'a> Cells<'a> {
    pub fn new(array: &'a dyn Array, column_type: &ColumnType) -> Result<Self, Unfit> {
        let values = match column_type {
            ColumnType::Bool => Values::Bool(array.as_boolean_opt().ok_or(Unfit::Type)?),
            ColumnType::Int8 => Values::Int8(primitive::<Int8Type>(array)?),
            ColumnType::Int16 => Values::Int16(primitive::<Int16Type>(array)?),
            ColumnType::Int32 => Values::Int32(primitive::<Int32Type>(array)?),
            ColumnType::Int64 => Values::Int64(primitive::<Int64Type>(array)?),
            ColumnType::UInt8 => Values::UInt8(primitive::<UInt8Type>(array)?),
            ColumnType::UInt16 => Values::UInt16(primitive::<UInt16Type>(array)?),
            ColumnType::UInt32 => Values::UInt32(primitive::<UInt32Type>(array)?),
            ColumnType::UInt64 => Values::UInt64(primitive::<UInt64Type>(array)?),
            ColumnType::Float32 => Values::Float32(primitive::<Float32Type>(array)?),
            ColumnType::Float64 => Values::Float64(primitive::<Float64Type>(array)?),
            ColumnType::Decimal { precision, scale } => {
                let values = primitive::<Decimal128Type>(array)?;
                fits(values, array.nulls(), *precision)?;
                Values::Decimal {
                    values,
                    scale: (*scale).into(),
                }
            }
            ColumnType::Text => Values::Text(array.as_string_opt().ok_or(Unfit::Type)?),
            ColumnType::Binary => Values::Binary(array.as_binary_opt().ok_or(Unfit::Type)?),
            ColumnType::Date => Values::Date(primitive::<Date32Type>(array)?),
            ColumnType::Timestamp { utc } => Values::Timestamp {
                values: primitive::<TimestampMicrosecondType>(array)?,
                utc: *utc,
            },
            ColumnType::List(element) => {
                let lists = array.as_list_opt::<i32>().ok_or(Unfit::Type)?;
                let elements = Cells::new(lists.values().as_ref(), element)?;
                Values::List {
                    offsets: lists.value_offsets(),
                    elements: Box::new(elements),
                }
            }
        };
        Ok(Cells {
            nulls: array.nulls(),
            values,
        })
    }

    /// Appends the cell of a row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.values {
            Values::Bool(values) => {
                out.extend_from_slice(if values.value(row) { b"true" } else { b"false" })
            }
            Values::Int8(values) => write_integer(values[row], out),
            Values::Int16(values) => write_integer(values[row], out),
            Values::Int32(values) => write_integer(values[row], out),
            Values::Int64(values) => write_integer(values[row], out),
            Values::UInt8(values) => write_integer(values[row], out),
            Values::UInt16(values) => write_integer(values[row], out),
            Values::UInt32(values) => write_integer(values[row], out),
            Values::UInt64(values) => write_integer(values[row], out),
            Values::Float32(values) => write_float(values[row], out),
            Values::Float64(values) => write_float(values[row], out),
            Values::Decimal { values, scale } => write_decimal(values[row], *scale, out),
            Values::Text(values) => text::write(values.value(row).as_bytes(), out),
            Values::Binary(values) => write_base64(values.value(row), out),
            Values::Date(values) => {
                out.push(b'"');
                time::write_date(values[row], out);
                out.push(b'"');
            }
            Values::Timestamp { values, utc } => {
                out.push(b'"');
                time::write_timestamp(values[row], *utc, out);
                out.push(b'"');
            }
            Values::List { offsets, elements } => {
                out.push(b'[');
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                for element in start..end {
                    if element > start {
                        out.push(b',');
                    }
                    elements.write(element, out);
                }
                out.push(b']');
            }
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &dyn Array) -> Result<&[T::Native], Unfit> {
    Ok(array.as_primitive_opt::<T>().ok_or(Unfit::Type)?.values())
}

/// Arrow does not hold decimals to their precision.
fn fits(values: &[i128], nulls: Option<&NullBuffer>, precision: u8) -> Result<(), Unfit> {
    let limit = 10_u128.checked_pow(precision.into()).ok_or(Unfit::Type)?;
    let is_null = |i| nulls.is_some_and(|nulls| nulls.is_null(i));
    match values
        .iter()
        .enumerate()
        .any(|(i, value)| value.unsigned_abs() >= limit && !is_null(i))
    {
        true => Err(Unfit::Digits),
        false => Ok(()),
    }
}

fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    // Four characters for each three bytes begun; the engine writes exactly as many.
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .unwrap_or_default();
    out.truncate(start + written);
    out.push(b'"');
}
