//! Bound values: from the text a cursor keeps to the wire type that compares exactly.

use mysql_async::Value;

use super::super::Param;
use super::calendar;
use crate::error::{Error, Kind, Result};
use crate::model::ColumnType;

/// The values of a statement's `?`, in their order.
pub(super) fn values(params: &[Param]) -> Result<Vec<Value>> {
    params
        .iter()
        .map(|param| value(param).ok_or_else(|| unbindable(&param.column_type)))
        .collect()
}

/// An integer of any column: signed where it fits, else unsigned; `None` where no column can hold it.
pub(super) fn integer(number: i128) -> Option<Value> {
    match i64::try_from(number) {
        Ok(signed) => Some(Value::Int(signed)),
        Err(_) => u64::try_from(number).ok().map(Value::UInt),
    }
}

fn value(param: &Param) -> Option<Value> {
    let text = param.value.as_str();
    match &param.column_type {
        ColumnType::Bool => match text {
            "true" => Some(Value::Int(1)),
            "false" => Some(Value::Int(0)),
            number => integer(number.parse().ok()?),
        },
        ColumnType::Int8
        | ColumnType::Int16
        | ColumnType::Int32
        | ColumnType::Int64
        | ColumnType::UInt8
        | ColumnType::UInt16
        | ColumnType::UInt32
        | ColumnType::UInt64 => integer(text.parse().ok()?),
        ColumnType::Float32 | ColumnType::Float64 => text.parse().ok().map(Value::Double),
        // The SQL casts it: a decimal has no wire type of its own.
        ColumnType::Decimal { .. } | ColumnType::Text => {
            Some(Value::Bytes(text.as_bytes().to_vec()))
        }
        ColumnType::Binary => from_hex(text).map(Value::Bytes),
        ColumnType::Date => date(text),
        ColumnType::Timestamp { .. } => {
            let (year, month, day, hour, minute, second, fraction) =
                calendar::parts(text.parse().ok()?)?;
            Some(Value::Date(
                year, month, day, hour, minute, second, fraction,
            ))
        }
        ColumnType::List(_) => None,
    }
}

fn date(text: &str) -> Option<Value> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    calendar::days(year, month, day)?;
    Some(Value::Date(year, month, day, 0, 0, 0, 0))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let (high, low) = (digit(pair.first()?)?, digit(pair.get(1)?)?);
            u8::try_from(high * 16 + low).ok()
        })
        .collect()
}

fn unbindable(column_type: &ColumnType) -> Error {
    Error::new(
        Kind::Bug,
        format!("binding a value of type {column_type:?} that is not written as such"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(column_type: ColumnType, value: &str) -> Option<Value> {
        values(&[Param {
            column_type,
            value: value.into(),
        }])
        .ok()?
        .pop()
    }

    #[test]
    fn each_value_travels_as_the_type_that_compares_exactly() {
        assert_eq!(bound(ColumnType::Int64, "-5"), Some(Value::Int(-5)));
        assert_eq!(
            bound(ColumnType::UInt64, "18446744073709551615"),
            Some(Value::UInt(u64::MAX))
        );
        assert_eq!(
            bound(
                ColumnType::Decimal {
                    precision: 38,
                    scale: 2
                },
                "1.50"
            ),
            Some(Value::Bytes(b"1.50".to_vec()))
        );
        assert_eq!(
            bound(ColumnType::Binary, "00ff"),
            Some(Value::Bytes(vec![0, 255]))
        );
        assert_eq!(
            bound(ColumnType::Date, "2026-02-28"),
            Some(Value::Date(2026, 2, 28, 0, 0, 0, 0))
        );
        assert_eq!(
            bound(ColumnType::Timestamp { utc: true }, "1760000000000001"),
            Some(Value::Date(2025, 10, 9, 8, 53, 20, 1))
        );
    }

    #[test]
    fn a_value_that_is_not_of_its_type_is_refused() {
        assert_eq!(bound(ColumnType::Int64, "five"), None);
        assert_eq!(bound(ColumnType::UInt64, "18446744073709551616"), None);
        assert_eq!(bound(ColumnType::Binary, "0"), None);
        assert_eq!(bound(ColumnType::Binary, "0é"), None);
        assert_eq!(bound(ColumnType::Date, "2026-02-30"), None);
        assert_eq!(
            bound(ColumnType::Timestamp { utc: false }, "9223372036854775807"),
            None
        );
    }
}
