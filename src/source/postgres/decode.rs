//! Turns the bytes of a row into Arrow columns. Nothing is allocated per row here.

use std::sync::Arc;

use arrow::array::builder::{
    BinaryBuilder, BooleanBuilder, Decimal128Builder, NullBufferBuilder, PrimitiveBuilder,
    StringBuilder,
};
use arrow::array::{ArrayRef, ListArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use tokio_postgres::types::{FromSql, Kind as TypeKind, Type};

use super::mapping::{self, Form};
use super::numeric;
use super::read::{self, Outcome};
use crate::model::ColumnType;

/// A field of a row as it came, of whatever type.
pub(super) struct Raw<'a>(pub Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A column that grows value by value.
pub(super) enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    UInt32(PrimitiveBuilder<UInt32Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Decimal {
        builder: Decimal128Builder,
        precision: u8,
        scale: u8,
    },
    Text(StringBuilder),
    Jsonb(StringBuilder),
    Uuid(StringBuilder),
    Inet(StringBuilder),
    Binary(BinaryBuilder),
    BitNumber(PrimitiveBuilder<UInt64Type>),
    BitBytes(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Timestamp {
        builder: PrimitiveBuilder<TimestampMicrosecondType>,
        utc: bool,
    },
    List(Box<ListBuilder>),
}

/// A list column: the elements one after another, and where each list ends.
pub(super) struct ListBuilder {
    element: ColumnBuilder,
    field: FieldRef,
    ends: Vec<i32>,
    elements: i32,
    present: NullBufferBuilder,
}

impl ColumnBuilder {
    /// A builder of `column_type` for values that the result announces as `wire`; `None` if the two do not go
    /// together, because the table has changed since it was described.
    pub fn new(column_type: &ColumnType, wire: &Type) -> Option<Self> {
        if let ColumnType::List(element) = column_type {
            let TypeKind::Array(wire_element) = wire.kind() else {
                return None;
            };
            // An array of arrays is announced as an array of its elements, whatever its dimensions.
            let wire_element = match **element {
                ColumnType::List(_) => wire,
                _ => wire_element,
            };
            return Some(ColumnBuilder::List(Box::new(ListBuilder {
                element: ColumnBuilder::new(element, wire_element)?,
                field: Arc::new(Field::new("element", element.arrow(), true)),
                ends: vec![0],
                elements: 0,
                present: NullBufferBuilder::new(0),
            })));
        }
        Some(match (mapping::form(wire.name())?, column_type) {
            (Form::Bool, ColumnType::Bool) => ColumnBuilder::Bool(BooleanBuilder::new()),
            (Form::Int16, ColumnType::Int16) => ColumnBuilder::Int16(PrimitiveBuilder::new()),
            (Form::Int32, ColumnType::Int32) => ColumnBuilder::Int32(PrimitiveBuilder::new()),
            (Form::Int64, ColumnType::Int64) => ColumnBuilder::Int64(PrimitiveBuilder::new()),
            (Form::UInt32, ColumnType::UInt32) => ColumnBuilder::UInt32(PrimitiveBuilder::new()),
            (Form::Float32, ColumnType::Float32) => ColumnBuilder::Float32(PrimitiveBuilder::new()),
            (Form::Float64, ColumnType::Float64) => ColumnBuilder::Float64(PrimitiveBuilder::new()),
            (Form::Numeric, ColumnType::Decimal { precision, scale }) => {
                let (precision, scale) = (*precision, *scale);
                let data_type = DataType::Decimal128(precision, scale.cast_signed());
                let builder = Decimal128Builder::new().with_data_type(data_type);
                ColumnBuilder::Decimal {
                    builder,
                    precision,
                    scale,
                }
            }
            (Form::Text, ColumnType::Text) => ColumnBuilder::Text(StringBuilder::new()),
            (Form::Jsonb, ColumnType::Text) => ColumnBuilder::Jsonb(StringBuilder::new()),
            (Form::Uuid, ColumnType::Text) => ColumnBuilder::Uuid(StringBuilder::new()),
            (Form::Inet, ColumnType::Text) => ColumnBuilder::Inet(StringBuilder::new()),
            (Form::Bytes, ColumnType::Binary) => ColumnBuilder::Binary(BinaryBuilder::new()),
            (Form::Bits, ColumnType::UInt64) => ColumnBuilder::BitNumber(PrimitiveBuilder::new()),
            (Form::Bits, ColumnType::Binary) => ColumnBuilder::BitBytes(BinaryBuilder::new()),
            (Form::Date, ColumnType::Date) => ColumnBuilder::Date(PrimitiveBuilder::new()),
            (Form::Timestamp, ColumnType::Timestamp { utc })
                if *utc == (wire == &Type::TIMESTAMPTZ) =>
            {
                ColumnBuilder::Timestamp {
                    builder: PrimitiveBuilder::new(),
                    utc: *utc,
                }
            }
            _ => return None,
        })
    }

    /// Appends one value. The error names the kind of value that cannot be carried; a NULL must then take its
    /// place.
    pub fn append(&mut self, raw: Option<&[u8]>) -> Outcome<()> {
        let Some(bytes) = raw else {
            self.append_null();
            return Ok(());
        };
        match self {
            ColumnBuilder::Bool(builder) => builder.append_value(read::boolean(bytes)?),
            ColumnBuilder::Int16(builder) => {
                builder.append_value(i16::from_be_bytes(read::fixed(bytes)?))
            }
            ColumnBuilder::Int32(builder) => {
                builder.append_value(i32::from_be_bytes(read::fixed(bytes)?))
            }
            ColumnBuilder::Int64(builder) => {
                builder.append_value(i64::from_be_bytes(read::fixed(bytes)?))
            }
            ColumnBuilder::UInt32(builder) => {
                builder.append_value(u32::from_be_bytes(read::fixed(bytes)?))
            }
            ColumnBuilder::Float32(builder) => {
                builder.append_value(f32::from_be_bytes(read::fixed(bytes)?))
            }
            ColumnBuilder::Float64(builder) => {
                builder.append_value(f64::from_be_bytes(read::fixed(bytes)?))
            }
            ColumnBuilder::Decimal {
                builder,
                precision,
                scale,
            } => {
                builder.append_value(numeric::decimal(bytes, *precision, *scale)?);
            }
            ColumnBuilder::Text(builder) => builder.append_value(read::text(bytes)?),
            ColumnBuilder::Jsonb(builder) => builder.append_value(read::jsonb(bytes)?),
            ColumnBuilder::Uuid(builder) => read::uuid(bytes, builder)?,
            ColumnBuilder::Inet(builder) => read::inet(bytes, builder)?,
            ColumnBuilder::Binary(builder) => builder.append_value(bytes),
            ColumnBuilder::BitNumber(builder) => builder.append_value(read::bit_number(bytes)?),
            ColumnBuilder::BitBytes(builder) => builder.append_value(read::bits(bytes)?.1),
            ColumnBuilder::Date(builder) => builder.append_value(read::date(bytes)?),
            ColumnBuilder::Timestamp { builder, .. } => {
                builder.append_value(read::timestamp(bytes)?)
            }
            ColumnBuilder::List(list) => list.append(bytes)?,
        }
        Ok(())
    }

    pub fn append_null(&mut self) {
        match self {
            ColumnBuilder::Bool(builder) => builder.append_null(),
            ColumnBuilder::Int16(builder) => builder.append_null(),
            ColumnBuilder::Int32(builder) => builder.append_null(),
            ColumnBuilder::Int64(builder) => builder.append_null(),
            ColumnBuilder::UInt32(builder) => builder.append_null(),
            ColumnBuilder::Float32(builder) => builder.append_null(),
            ColumnBuilder::Float64(builder) => builder.append_null(),
            ColumnBuilder::Decimal { builder, .. } => builder.append_null(),
            ColumnBuilder::Text(builder)
            | ColumnBuilder::Jsonb(builder)
            | ColumnBuilder::Uuid(builder)
            | ColumnBuilder::Inet(builder) => builder.append_null(),
            ColumnBuilder::Binary(builder) | ColumnBuilder::BitBytes(builder) => {
                builder.append_null()
            }
            ColumnBuilder::BitNumber(builder) => builder.append_null(),
            ColumnBuilder::Date(builder) => builder.append_null(),
            ColumnBuilder::Timestamp { builder, .. } => builder.append_null(),
            ColumnBuilder::List(list) => {
                list.seal();
                list.ends.push(list.elements);
                list.present.append_null();
            }
        }
    }

    /// The column so far; the builder starts over.
    pub fn finish(&mut self) -> Outcome<ArrayRef> {
        Ok(match self {
            ColumnBuilder::Bool(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Int16(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Int32(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Int64(builder) => Arc::new(builder.finish()),
            ColumnBuilder::UInt32(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Float32(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Float64(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Decimal { builder, .. } => Arc::new(builder.finish()),
            ColumnBuilder::Text(builder)
            | ColumnBuilder::Jsonb(builder)
            | ColumnBuilder::Uuid(builder)
            | ColumnBuilder::Inet(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Binary(builder) | ColumnBuilder::BitBytes(builder) => {
                Arc::new(builder.finish())
            }
            ColumnBuilder::BitNumber(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Date(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Timestamp { builder, utc } => {
                let array = builder.finish();
                Arc::new(if *utc {
                    array.with_timezone("UTC")
                } else {
                    array
                })
            }
            ColumnBuilder::List(list) => list.finish()?,
        })
    }
}

impl ListBuilder {
    /// Closes what a refused list has left in the lists within it, so that it lies below the NULL that takes its
    /// place, and in no list after it.
    fn seal(&mut self) {
        if let ColumnBuilder::List(inner) = &mut self.element {
            inner.seal();
            if inner.ends.last() != Some(&inner.elements) {
                inner.ends.push(inner.elements);
                inner.present.append_null();
                self.elements = self.elements.saturating_add(1);
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Outcome<()> {
        let mut elements = read::Elements::new(bytes, self.depth())?;
        self.fill(0, &mut elements)
    }

    /// How many lists stand in each other.
    fn depth(&self) -> usize {
        match &self.element {
            ColumnBuilder::List(inner) => 1 + inner.depth(),
            _ => 1,
        }
    }

    /// Takes the next elements as one list, which stands `level` deep in the array.
    fn fill(&mut self, level: usize, elements: &mut read::Elements) -> Outcome<()> {
        for _ in 0..elements.length(level) {
            match &mut self.element {
                ColumnBuilder::List(inner) => inner.fill(level + 1, elements)?,
                element => {
                    let value = elements.next()?.ok_or("a malformed array")?;
                    element.append(value)?;
                }
            }
            self.elements = self
                .elements
                .checked_add(1)
                .ok_or("more list elements than a batch can hold")?;
        }
        self.ends.push(self.elements);
        self.present.append_non_null();
        Ok(())
    }

    fn finish(&mut self) -> Outcome<ArrayRef> {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        self.elements = 0;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        let list = ListArray::try_new(
            self.field.clone(),
            offsets,
            self.element.finish()?,
            self.present.finish(),
        );
        Ok(Arc::new(
            list.map_err(|_| "a list that Arrow does not accept")?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    /// The binary form of a one-dimensional array of dates, in days since 2000-01-01.
    fn dates(days: &[i32]) -> Vec<u8> {
        let head = [1, 0, 1082, days.len() as i32, 1];
        let values = days.iter().flat_map(|day| [4, *day]);
        head.into_iter()
            .chain(values)
            .flat_map(i32::to_be_bytes)
            .collect()
    }

    #[test]
    fn a_refused_list_leaves_nothing_in_the_lists_after_it() {
        let column_type = ColumnType::List(Box::new(ColumnType::Date));
        let mut column = ColumnBuilder::new(&column_type, &Type::DATE_ARRAY).unwrap();
        column.append(Some(&dates(&[1]))).unwrap();
        assert!(column.append(Some(&dates(&[2, 3, i32::MAX]))).is_err());
        column.append_null();
        column.append(Some(&dates(&[4, 5]))).unwrap();
        column.append(None).unwrap();
        let lists = column.finish().unwrap();
        let lists = lists.as_list::<i32>();
        let list = |row: usize| {
            let days = lists.value(row);
            let days = days.as_primitive::<Date32Type>().values().to_vec();
            days.into_iter().map(|day| day - 10_957).collect::<Vec<_>>()
        };
        assert_eq!(lists.len(), 4);
        assert_eq!((list(0), list(2)), (vec![1], vec![4, 5]));
        assert!(lists.is_null(1) && lists.is_null(3));
    }
}
