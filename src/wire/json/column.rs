//! A column being filled from records, cell by cell, that can forget its latest cells again.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, ListArray, NullBufferBuilder,
    PrimitiveArray, StringArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::reader::{Fault, Parsed, Reader};
use super::time;
use crate::model::ColumnType;

/// The cells of one column, or the elements of all lists of one.
pub(super) struct Column {
    nullable: bool,
    nulls: NullBufferBuilder,
    data_type: DataType,
    values: Values,
}

enum Values {
    Bool(BooleanBufferBuilder),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    UInt8(Vec<u8>),
    UInt16(Vec<u16>),
    UInt32(Vec<u32>),
    UInt64(Vec<u64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: u8,
    },
    Text(Bytes),
    Binary(Bytes),
    Date(Vec<i32>),
    Timestamp {
        values: Vec<i64>,
        utc: bool,
    },
    List {
        ends: Ends,
        element: Box<Column>,
    },
}

/// Values of any length, one after another.
struct Bytes {
    ends: Ends,
    bytes: Vec<u8>,
}

/// A zero, then where each value ends.
struct Ends(Vec<i32>);

impl Ends {
    fn new() -> Self {
        Ends(vec![0])
    }

    /// The end of the last value after only `count` of them are left.
    fn truncate(&mut self, count: usize) -> usize {
        self.0.truncate(count + 1);
        self.0.last().copied().unwrap_or_default() as usize
    }

    /// Arrow counts a column's bytes and elements in 31 bits.
    fn push(&mut self, end: usize, at: usize) -> Parsed<()> {
        let full = Fault {
            wanted: "the batch to be closed before this record",
            found: "2 GiB in one column",
            at,
        };
        self.0.push(i32::try_from(end).map_err(|_| full)?);
        Ok(())
    }

    fn push_empty(&mut self) {
        self.0.push(self.0.last().copied().unwrap_or_default());
    }

    fn finish(&mut self) -> OffsetBuffer<i32> {
        let mut next = Vec::with_capacity(self.0.len());
        next.push(0);
        OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.0, next)))
    }
}

impl Column {
    pub fn new(column_type: &ColumnType, nullable: bool) -> Self {
        let bytes = || Bytes {
            ends: Ends::new(),
            bytes: Vec::new(),
        };
        let values = match column_type {
            ColumnType::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            ColumnType::Int8 => Values::Int8(Vec::new()),
            ColumnType::Int16 => Values::Int16(Vec::new()),
            ColumnType::Int32 => Values::Int32(Vec::new()),
            ColumnType::Int64 => Values::Int64(Vec::new()),
            ColumnType::UInt8 => Values::UInt8(Vec::new()),
            ColumnType::UInt16 => Values::UInt16(Vec::new()),
            ColumnType::UInt32 => Values::UInt32(Vec::new()),
            ColumnType::UInt64 => Values::UInt64(Vec::new()),
            ColumnType::Float32 => Values::Float32(Vec::new()),
            ColumnType::Float64 => Values::Float64(Vec::new()),
            ColumnType::Decimal { precision, scale } => Values::Decimal {
                values: Vec::new(),
                precision: *precision,
                scale: *scale,
            },
            ColumnType::Text => Values::Text(bytes()),
            ColumnType::Binary => Values::Binary(bytes()),
            ColumnType::Date => Values::Date(Vec::new()),
            ColumnType::Timestamp { utc } => Values::Timestamp {
                values: Vec::new(),
                utc: *utc,
            },
            ColumnType::List(element) => Values::List {
                ends: Ends::new(),
                element: Box::new(Column::new(element, true)),
            },
        };
        Column {
            nullable,
            nulls: NullBufferBuilder::new(0),
            data_type: column_type.arrow(),
            values,
        }
    }

    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// Reads one cell. After a fault the column must be truncated.
    pub fn read(&mut self, reader: &mut Reader) -> Parsed<()> {
        if self.nullable && reader.eat(b"null") {
            self.push_null();
            return Ok(());
        }
        match &mut self.values {
            Values::Bool(values) => values.append(read_bool(reader)?),
            Values::Int8(values) => values.push(reader.integer("an integer of 8 bits")?),
            Values::Int16(values) => values.push(reader.integer("an integer of 16 bits")?),
            Values::Int32(values) => values.push(reader.integer("an integer of 32 bits")?),
            Values::Int64(values) => values.push(reader.integer("an integer of 64 bits")?),
            Values::UInt8(values) => values.push(reader.integer("an unsigned integer of 8 bits")?),
            Values::UInt16(values) => {
                values.push(reader.integer("an unsigned integer of 16 bits")?)
            }
            Values::UInt32(values) => {
                values.push(reader.integer("an unsigned integer of 32 bits")?)
            }
            Values::UInt64(values) => {
                values.push(reader.integer("an unsigned integer of 64 bits")?)
            }
            Values::Float32(values) => values.push(reader.float("a float of 32 bits")?),
            Values::Float64(values) => values.push(reader.float("a float of 64 bits")?),
            Values::Decimal {
                values,
                precision,
                scale,
            } => values.push(reader.decimal(*precision, *scale)?),
            Values::Text(Bytes { ends, bytes }) => {
                bytes.extend_from_slice(reader.string("text")?);
                ends.push(bytes.len(), reader.at)?;
            }
            Values::Binary(Bytes { ends, bytes }) => {
                read_base64(reader, bytes)?;
                ends.push(bytes.len(), reader.at)?;
            }
            Values::Date(values) => values.push(read_with(reader, "a date", time::parse_date)?),
            Values::Timestamp { values, utc: true } => {
                values.push(read_with(reader, "an instant with `Z`", |text| {
                    time::parse_timestamp(text, true)
                })?);
            }
            Values::Timestamp { values, utc: false } => {
                values.push(read_with(reader, "a timestamp without zone", |text| {
                    time::parse_timestamp(text, false)
                })?);
            }
            Values::List { ends, element } => {
                read_list(reader, element)?;
                ends.push(element.len(), reader.at)?;
            }
        }
        self.nulls.append_non_null();
        Ok(())
    }

    pub fn push_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.append(false),
            Values::Int8(values) => values.push(0),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) | Values::Date(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp { values, .. } => values.push(0),
            Values::UInt8(values) => values.push(0),
            Values::UInt16(values) => values.push(0),
            Values::UInt32(values) => values.push(0),
            Values::UInt64(values) => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Text(Bytes { ends, .. })
            | Values::Binary(Bytes { ends, .. })
            | Values::List { ends, .. } => {
                ends.push_empty();
            }
        }
        self.nulls.append_null();
    }

    /// Forgets all but the first `count` cells, and what a failed [`Column::read`] left.
    pub fn truncate(&mut self, count: usize) {
        match &mut self.values {
            Values::Bool(values) => values.truncate(count),
            Values::Int8(values) => values.truncate(count),
            Values::Int16(values) => values.truncate(count),
            Values::Int32(values) | Values::Date(values) => values.truncate(count),
            Values::Int64(values) | Values::Timestamp { values, .. } => values.truncate(count),
            Values::UInt8(values) => values.truncate(count),
            Values::UInt16(values) => values.truncate(count),
            Values::UInt32(values) => values.truncate(count),
            Values::UInt64(values) => values.truncate(count),
            Values::Float32(values) => values.truncate(count),
            Values::Float64(values) => values.truncate(count),
            Values::Decimal { values, .. } => values.truncate(count),
            Values::Text(Bytes { ends, bytes }) | Values::Binary(Bytes { ends, bytes }) => {
                bytes.truncate(ends.truncate(count));
            }
            Values::List { ends, element } => element.truncate(ends.truncate(count)),
        }
        self.nulls.truncate(count);
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        let width = match &self.values {
            Values::Bool(_) | Values::Int8(_) | Values::UInt8(_) => 1,
            Values::Int16(_) | Values::UInt16(_) => 2,
            Values::Int32(_) | Values::UInt32(_) | Values::Float32(_) | Values::Date(_) => 4,
            Values::Int64(_)
            | Values::UInt64(_)
            | Values::Float64(_)
            | Values::Timestamp { .. } => 8,
            Values::Decimal { .. } => 16,
            Values::Text(_) | Values::Binary(_) | Values::List { .. } => size_of::<i32>(),
        };
        let beside = match &self.values {
            Values::Text(Bytes { bytes, .. }) | Values::Binary(Bytes { bytes, .. }) => bytes.len(),
            Values::List { element, .. } => element.bytes(),
            _ => 0,
        };
        self.len() * width + beside
    }

    /// The cells as an array; the column starts over with room for as many.
    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.nulls.finish();
        let data_type = &self.data_type;
        Ok(match &mut self.values {
            Values::Bool(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int8(values) => primitive::<Int8Type>(values, nulls, data_type)?,
            Values::Int16(values) => primitive::<Int16Type>(values, nulls, data_type)?,
            Values::Int32(values) => primitive::<Int32Type>(values, nulls, data_type)?,
            Values::Int64(values) => primitive::<Int64Type>(values, nulls, data_type)?,
            Values::UInt8(values) => primitive::<UInt8Type>(values, nulls, data_type)?,
            Values::UInt16(values) => primitive::<UInt16Type>(values, nulls, data_type)?,
            Values::UInt32(values) => primitive::<UInt32Type>(values, nulls, data_type)?,
            Values::UInt64(values) => primitive::<UInt64Type>(values, nulls, data_type)?,
            Values::Float32(values) => primitive::<Float32Type>(values, nulls, data_type)?,
            Values::Float64(values) => primitive::<Float64Type>(values, nulls, data_type)?,
            Values::Decimal { values, .. } => {
                primitive::<Decimal128Type>(values, nulls, data_type)?
            }
            Values::Date(values) => primitive::<Date32Type>(values, nulls, data_type)?,
            Values::Timestamp { values, .. } => {
                primitive::<TimestampMicrosecondType>(values, nulls, data_type)?
            }
            Values::Text(Bytes { ends, bytes }) => Arc::new(StringArray::try_new(
                ends.finish(),
                Buffer::from_vec(renewed(bytes)),
                nulls,
            )?),
            Values::Binary(Bytes { ends, bytes }) => Arc::new(BinaryArray::try_new(
                ends.finish(),
                Buffer::from_vec(renewed(bytes)),
                nulls,
            )?),
            Values::List { ends, element } => {
                let elements = element.finish()?;
                let field = Field::new("element", elements.data_type().clone(), true);
                Arc::new(ListArray::try_new(
                    Arc::new(field),
                    ends.finish(),
                    elements,
                    nulls,
                )?)
            }
        })
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(renewed(values)), nulls)?;
    Ok(Arc::new(array.with_data_type(data_type.clone())))
}

/// Takes the values and leaves room for as many: batches of one table are of like size.
fn renewed<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len());
    std::mem::replace(values, next)
}

fn read_bool(reader: &mut Reader) -> Parsed<bool> {
    if reader.eat(b"true") {
        Ok(true)
    } else if reader.eat(b"false") {
        Ok(false)
    } else {
        Err(reader.fault("a boolean"))
    }
}

/// Reads a string that stands for something else.
fn read_with<T>(
    reader: &mut Reader,
    wanted: &'static str,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Parsed<T> {
    let at = reader.at;
    parse(reader.string(wanted)?).ok_or(Fault {
        wanted,
        found: "another string",
        at,
    })
}

fn read_base64(reader: &mut Reader, bytes: &mut Vec<u8>) -> Parsed<()> {
    const WANTED: &str = "bytes in base64";
    let at = reader.at;
    let decoded = STANDARD.decode_vec(reader.string(WANTED)?, bytes);
    decoded.map_err(|_| Fault {
        wanted: WANTED,
        found: "another string",
        at,
    })
}

fn read_list(reader: &mut Reader, element: &mut Column) -> Parsed<()> {
    const GOES_ON: &str = "`,` or `]` in a list";
    if !reader.eat_byte(b'[') {
        return Err(reader.fault("a list"));
    }
    reader.skip_space();
    if reader.eat_byte(b']') {
        return Ok(());
    }
    loop {
        element.read(reader)?;
        reader.skip_space();
        if reader.eat_byte(b']') {
            return Ok(());
        } else if !reader.eat_byte(b',') {
            return Err(reader.fault(GOES_ON));
        }
        reader.skip_space();
    }
}
