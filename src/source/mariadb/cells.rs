//! Cells: values of the wire appended to Arrow builders, one builder per column.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, RecordBatch,
    StringBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt16Builder, UInt32Builder,
    UInt64Builder,
};
use arrow::datatypes::SchemaRef;
use mysql_async::{Row, Value};

use super::calendar;
use super::decode::{self, Wire};
use super::misfit::{self, Refusal};
use crate::error::{Error, Kind, Result};
use crate::model::{BatchLimits, ColumnType};
use crate::source::Described;
use crate::source::misfits::{Growing, stopped};

/// Rows a builder reserves room for in advance, however large a batch may grow.
const MOST_RESERVED: usize = 16_384;

/// Rows of one table while they gather.
pub(super) struct Batch {
    schema: SchemaRef,
    columns: Vec<Cells>,
    misfits: Growing,
    rows: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn new(table: &Described, limits: BatchLimits) -> Result<Self> {
        let columns = table.schema.columns.iter().map(|column| {
            Cells::new(
                &column.source_type,
                &column.column_type,
                limits.rows.min(MOST_RESERVED),
            )
            .ok_or_else(|| {
                let what = format!(
                    "column `{}` of type `{}` cannot be read",
                    column.name, column.source_type
                );
                Error::new(Kind::Bug, what)
            })
        });
        Ok(Batch {
            schema: table.batch_schema(),
            columns: columns.collect::<Result<_>>()?,
            misfits: Growing::new(table),
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds a row. After an error the batch is unusable.
    pub(super) fn append(&mut self, table: &Described, row: &Row) -> Result<()> {
        if row.len() != self.columns.len() {
            let counts = format!(
                "{} columns came where {} are known",
                row.len(),
                self.columns.len()
            );
            return Err(Error::new(Kind::Bug, "reading rows").because(counts));
        }
        for (i, cells) in self.columns.iter_mut().enumerate() {
            let value = row.as_ref(i).unwrap_or(&Value::NULL);
            match cells.append(value) {
                Ok(bytes) => self.bytes += bytes,
                Err(refusal) => {
                    let kind = misfit::kind(table, i, refusal)?;
                    self.misfits
                        .add(table, i, kind, || misfit::wire(table, i, value));
                    cells.append_null();
                }
            }
        }
        if let Some((column, kind)) = self.misfits.end_row() {
            return Err(stopped(table, column, kind, &self.key(table)));
        }
        self.rows += 1;
        Ok(())
    }

    /// The columns of the key so far; the batch is of no further use.
    fn key(&mut self, table: &Described) -> Vec<ArrayRef> {
        let key = table.schema.key.iter();
        key.filter_map(|i| Some(self.columns.get_mut(*i)?.finish()))
            .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn is_full(&self, limits: BatchLimits) -> bool {
        self.rows >= limits.rows || self.bytes >= limits.bytes
    }

    /// Gives the rows gathered so far and begins anew.
    pub(super) fn finish(&mut self) -> Result<RecordBatch> {
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Cells::finish).collect();
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let batch = self.misfits.batch(Arc::clone(&self.schema), arrays, rows);
        batch.map_err(|error| {
            // The catalog said NOT NULL, or the table changed since: describing it again settles it.
            Error::new(Kind::Data, "the rows do not fit the table's description")
                .because(error)
                .hint("the table was probably changed: restart it so that it is described again")
        })
    }
}

/// The values of one column while they gather.
enum Cells {
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt8(UInt8Builder),
    UInt16(UInt16Builder),
    UInt32(UInt32Builder),
    UInt64(UInt64Builder),
    Bits(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal {
        builder: Decimal128Builder,
        precision: u8,
        scale: u8,
    },
    Text(StringBuilder),
    /// With the digits after the second that the column keeps.
    TimeOfDay(StringBuilder, usize),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

macro_rules! each_builder {
    ($cells:expr, $builder:ident => $body:expr) => {
        match $cells {
            Cells::Int8($builder) => $body,
            Cells::Int16($builder) => $body,
            Cells::Int32($builder) => $body,
            Cells::Int64($builder) => $body,
            Cells::UInt8($builder) => $body,
            Cells::UInt16($builder) => $body,
            Cells::UInt32($builder) => $body,
            Cells::UInt64($builder) | Cells::Bits($builder) => $body,
            Cells::Float32($builder) => $body,
            Cells::Float64($builder) => $body,
            Cells::Decimal {
                builder: $builder, ..
            } => $body,
            Cells::Text($builder) | Cells::TimeOfDay($builder, _) => $body,
            Cells::Binary($builder) => $body,
            Cells::Date($builder) => $body,
            Cells::Timestamp($builder) => $body,
        }
    };
}

impl Cells {
    /// `None` where the column type is not what the source type becomes.
    fn new(source_type: &str, column_type: &ColumnType, rows: usize) -> Option<Self> {
        let (mapping, becomes) = decode::mapping(source_type);
        let told = matches!(column_type, ColumnType::Decimal { .. })
            && matches!(mapping.source, "decimal" | "decimal over 38");
        if becomes != *column_type && !told {
            // A column that travels as the server's own text.
            return (*column_type == ColumnType::Text).then(|| Cells::Text(StringBuilder::new()));
        }
        Some(match (mapping.wire, column_type) {
            (Wire::Integer, ColumnType::Int8) => Cells::Int8(Int8Builder::with_capacity(rows)),
            (Wire::Integer, ColumnType::Int16) => Cells::Int16(Int16Builder::with_capacity(rows)),
            (Wire::Integer, ColumnType::Int32) => Cells::Int32(Int32Builder::with_capacity(rows)),
            (Wire::Integer, ColumnType::Int64) => Cells::Int64(Int64Builder::with_capacity(rows)),
            (Wire::Integer, ColumnType::UInt8) => Cells::UInt8(UInt8Builder::with_capacity(rows)),
            (Wire::Integer, ColumnType::UInt16) => {
                Cells::UInt16(UInt16Builder::with_capacity(rows))
            }
            (Wire::Integer, ColumnType::UInt32) => {
                Cells::UInt32(UInt32Builder::with_capacity(rows))
            }
            (Wire::Integer, ColumnType::UInt64) => {
                Cells::UInt64(UInt64Builder::with_capacity(rows))
            }
            (Wire::Bits, ColumnType::UInt64) => Cells::Bits(UInt64Builder::with_capacity(rows)),
            (Wire::Float, ColumnType::Float32) => {
                Cells::Float32(Float32Builder::with_capacity(rows))
            }
            (Wire::Float, ColumnType::Float64) => {
                Cells::Float64(Float64Builder::with_capacity(rows))
            }
            // Digits that are carried as text by themselves may be told to be a decimal.
            (Wire::Digits | Wire::Characters, ColumnType::Decimal { precision, scale }) => {
                Cells::Decimal {
                    builder: Decimal128Builder::with_capacity(rows)
                        .with_data_type(column_type.arrow()),
                    precision: *precision,
                    scale: *scale,
                }
            }
            (Wire::Characters, ColumnType::Text) => Cells::Text(StringBuilder::new()),
            (Wire::TimeOfDay, ColumnType::Text) => {
                let digits = decode::arguments(source_type).0.unwrap_or(0).min(6);
                Cells::TimeOfDay(StringBuilder::new(), usize::from(digits))
            }
            (Wire::Bytes, ColumnType::Binary) => Cells::Binary(BinaryBuilder::new()),
            (Wire::Date, ColumnType::Date) => Cells::Date(Date32Builder::with_capacity(rows)),
            (Wire::Timestamp, ColumnType::Timestamp { .. }) => Cells::Timestamp(
                TimestampMicrosecondBuilder::with_capacity(rows)
                    .with_data_type(column_type.arrow()),
            ),
            _ => return None,
        })
    }

    /// Appends a value; gives its size in bytes.
    fn append(&mut self, value: &Value) -> Result<usize, Refusal> {
        if matches!(value, Value::NULL) {
            self.append_null();
            return Ok(1);
        }
        match self {
            Cells::Int8(builder) => builder.append_value(integer(value)?),
            Cells::Int16(builder) => builder.append_value(integer(value)?),
            Cells::Int32(builder) => builder.append_value(integer(value)?),
            Cells::Int64(builder) => builder.append_value(integer(value)?),
            Cells::UInt8(builder) => builder.append_value(integer(value)?),
            Cells::UInt16(builder) => builder.append_value(integer(value)?),
            Cells::UInt32(builder) => builder.append_value(integer(value)?),
            Cells::UInt64(builder) => builder.append_value(integer(value)?),
            Cells::Bits(builder) => builder.append_value(bits(bytes(value)?)?),
            Cells::Float32(builder) => builder.append_value(match value {
                Value::Float(number) => *number,
                _ => return Err(Refusal::Unexpected),
            }),
            Cells::Float64(builder) => builder.append_value(match value {
                Value::Double(number) => *number,
                _ => return Err(Refusal::Unexpected),
            }),
            Cells::Decimal {
                builder,
                precision,
                scale,
            } => builder.append_value(unscaled(bytes(value)?, *precision, *scale)?),
            Cells::Text(builder) => {
                let text = std::str::from_utf8(bytes(value)?).map_err(|_| Refusal::NotUtf8)?;
                builder.append_value(text);
                return Ok(4 + text.len());
            }
            Cells::TimeOfDay(builder, digits) => return time_of_day(builder, value, *digits),
            Cells::Binary(builder) => {
                let bytes = bytes(value)?;
                builder.append_value(bytes);
                return Ok(4 + bytes.len());
            }
            Cells::Date(builder) => builder.append_value(days(value)?),
            Cells::Timestamp(builder) => builder.append_value(micros(value)?),
        }
        Ok(self.width())
    }

    fn append_null(&mut self) {
        each_builder!(self, builder => builder.append_null());
    }

    /// Bytes of one value of fixed width.
    fn width(&self) -> usize {
        match self {
            Cells::Int8(_) | Cells::UInt8(_) => 1,
            Cells::Int16(_) | Cells::UInt16(_) => 2,
            Cells::Int32(_) | Cells::UInt32(_) | Cells::Float32(_) | Cells::Date(_) => 4,
            Cells::Decimal { .. } => 16,
            _ => 8,
        }
    }

    fn finish(&mut self) -> ArrayRef {
        each_builder!(self, builder => ArrayBuilder::finish(builder))
    }
}

fn bytes(value: &Value) -> Result<&[u8], Refusal> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(Refusal::Unexpected),
    }
}

fn integer<T: TryFrom<i64> + TryFrom<u64>>(value: &Value) -> Result<T, Refusal> {
    match value {
        Value::Int(number) => T::try_from(*number).map_err(|_| Refusal::OutOfRange),
        Value::UInt(number) => T::try_from(*number).map_err(|_| Refusal::OutOfRange),
        _ => Err(Refusal::Unexpected),
    }
}

fn bits(bytes: &[u8]) -> Result<u64, Refusal> {
    if bytes.len() > 8 {
        return Err(Refusal::OutOfRange);
    }
    Ok(bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A decimal's digits without the point, as an integer with exactly `scale` digits of fraction. Zeros at the end of
/// a longer fraction are no digits of the value.
fn unscaled(digits: &[u8], precision: u8, scale: u8) -> Result<i128, Refusal> {
    let (negative, digits) = match digits.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, digits),
    };
    if digits.is_empty() {
        return Err(Refusal::Unexpected);
    }
    let (mut number, mut fraction) = (0_i128, None::<u8>);
    for byte in digits {
        match byte {
            b'0' if fraction.is_some_and(|digits| digits >= scale) => {}
            b'0'..=b'9' if fraction.is_some_and(|digits| digits >= scale) => {
                return Err(Refusal::TooManyDigits);
            }
            b'0'..=b'9' => {
                let ten_times = number
                    .checked_mul(10)
                    .and_then(|n| n.checked_add(i128::from(byte - b'0')));
                number = ten_times.ok_or(Refusal::TooManyDigits)?;
                fraction = fraction.map(|digits| digits.saturating_add(1));
            }
            b'.' if fraction.is_none() => fraction = Some(0),
            _ => return Err(Refusal::Unexpected),
        }
    }
    let filled = 10_i128
        .checked_pow(u32::from(scale.saturating_sub(fraction.unwrap_or(0))))
        .and_then(|factor| number.checked_mul(factor));
    let number = filled
        .filter(|number| Some(*number) < 10_i128.checked_pow(u32::from(precision)))
        .ok_or(Refusal::TooManyDigits)?;
    Ok(if negative { -number } else { number })
}

fn days(value: &Value) -> Result<i32, Refusal> {
    match value {
        Value::Date(0, 0, 0, ..) => Err(Refusal::ZeroDate),
        Value::Date(year, month, day, ..) => {
            calendar::days(*year, *month, *day).ok_or(Refusal::NoSuchDay)
        }
        _ => Err(Refusal::Unexpected),
    }
}

fn micros(value: &Value) -> Result<i64, Refusal> {
    match value {
        Value::Date(0, 0, 0, ..) => Err(Refusal::ZeroDate),
        Value::Date(year, month, day, hour, minute, second, fraction) => {
            calendar::micros((*year, *month, *day), (*hour, *minute, *second), *fraction)
                .ok_or(Refusal::NoSuchDay)
        }
        _ => Err(Refusal::Unexpected),
    }
}

/// Writes a TIME as the server does: `-838:59:59.000000`, with as many digits as the column keeps.
fn time_of_day(
    builder: &mut StringBuilder,
    value: &Value,
    digits: usize,
) -> Result<usize, Refusal> {
    let Value::Time(negative, days, hours, minutes, seconds, fraction) = value else {
        return Err(Refusal::Unexpected);
    };
    let sign = if *negative { "-" } else { "" };
    let hours = u64::from(*days) * 24 + u64::from(*hours);
    // Writing into a builder cannot fail.
    let _ = write!(builder, "{sign}{hours:02}:{minutes:02}:{seconds:02}");
    if digits > 0 {
        let shown = fraction / 10_u32.pow(6 - digits.min(6) as u32);
        let _ = write!(builder, ".{shown:0digits$}");
    }
    builder.append_value("");
    Ok(4 + 9 + digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(unscaled(b"1234.50", 12, 2), Ok(123_450));
        assert_eq!(unscaled(b"-0.01", 12, 2), Ok(-1));
        assert_eq!(unscaled(b"7", 12, 3), Ok(7000));
        assert_eq!(
            unscaled(b"99999999999999999999999999999999999999", 38, 0),
            Ok(10_i128.pow(38) - 1)
        );
        assert_eq!(unscaled(b"1.234", 12, 2), Err(Refusal::TooManyDigits));
        assert_eq!(unscaled(b"1.2300", 12, 2), Ok(123));
        assert_eq!(unscaled(b"1.2301", 12, 2), Err(Refusal::TooManyDigits));
        assert_eq!(unscaled(b"12345", 4, 0), Err(Refusal::TooManyDigits));
        for not_a_number in [&b""[..], b"-", b"1e5", b"1.2.3", b"NaN"] {
            assert!(unscaled(not_a_number, 12, 2).is_err());
        }
    }

    #[test]
    fn zero_dates_and_days_that_do_not_exist_are_told_apart() {
        assert_eq!(
            days(&Value::Date(0, 0, 0, 0, 0, 0, 0)),
            Err(Refusal::ZeroDate)
        );
        assert_eq!(
            days(&Value::Date(2026, 0, 1, 0, 0, 0, 0)),
            Err(Refusal::NoSuchDay)
        );
        assert_eq!(
            micros(&Value::Date(2026, 2, 31, 1, 0, 0, 0)),
            Err(Refusal::NoSuchDay)
        );
    }

    #[test]
    fn an_integer_outside_its_type_is_refused_not_wrapped() {
        assert_eq!(integer::<i8>(&Value::Int(128)), Err(Refusal::OutOfRange));
        assert_eq!(integer::<u64>(&Value::Int(-1)), Err(Refusal::OutOfRange));
        assert_eq!(integer::<u64>(&Value::UInt(u64::MAX)), Ok(u64::MAX));
    }

    proptest! {
        #[test]
        fn digits_of_any_bytes_are_read_or_refused_but_never_panic(digits in proptest::collection::vec(any::<u8>(), 0..60), scale in 0_u8..=38) {
            let _ = unscaled(&digits, 38, scale);
        }

        #[test]
        fn every_decimal_comes_back_from_its_digits(number in -(10_i128.pow(38))+1..10_i128.pow(38)) {
            prop_assert_eq!(unscaled(number.to_string().as_bytes(), 38, 0), Ok(number));
        }
    }
}
