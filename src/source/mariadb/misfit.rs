//! Values that their column cannot carry: which refusals are about the value, and how people write it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mysql_async::Value;

use super::decode;
use crate::error::{Error, Kind, Result};
use crate::model::{ColumnType, Wire};
use crate::source::Described;

/// A value that cannot be carried exactly: what kind of value it is, never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Year, month and day are all zero.
    ZeroDate,
    /// Month or day is zero, or the month has no such day.
    NoSuchDay,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// A number outside the column's type.
    OutOfRange,
    /// A decimal with more digits than the column is told to have.
    TooManyDigits,
    /// A value of another sort than the description says.
    Unexpected,
}

/// What sort of value does not fit. An error where the refusal is a sign that the table has changed since it was
/// described: under every policy a fresh look at it comes first.
pub(super) fn kind(table: &Described, index: usize, refusal: Refusal) -> Result<&'static str> {
    match refusal {
        Refusal::ZeroDate => Ok("a zero date"),
        Refusal::NoSuchDay => Ok("a date that does not exist"),
        Refusal::NotUtf8 => Ok("text that is not UTF-8"),
        // Its own declaration holds every value, until it is altered; what it was told to be does not.
        Refusal::TooManyDigits if is_declared(table, index) => {
            Err(fault(table, index, "a number outside its type"))
        }
        Refusal::TooManyDigits => Ok("a number with more digits than its decimal has"),
        Refusal::OutOfRange => Err(fault(table, index, "a number outside its type")),
        Refusal::Unexpected => Err(fault(table, index, "a value of another type")),
    }
}

/// Whether the column has the type that its declaration stands for.
fn is_declared(table: &Described, index: usize) -> bool {
    let column = table.schema.columns.get(index);
    column.is_none_or(|column| decode::mapping(&column.source_type).1 == column.column_type)
}

fn fault(table: &Described, index: usize, what: &str) -> Error {
    let column = table.schema.columns.get(index);
    let name = column.map_or("?", |column| column.name.as_str());
    Error::new(Kind::Config, format!("column `{name}` holds {what}"))
        .about(&table.name)
        .hint("the table was probably changed: `cdc restart` lets it be described again")
}

/// The value as the server writes it, where that is plain, else its bytes.
pub(super) fn wire(table: &Described, index: usize, value: &Value) -> Wire {
    match value {
        Value::Date(year, month, day, hour, minute, second, micros) => {
            let mut text = format!("{year:04}-{month:02}-{day:02}");
            let column = table.schema.columns.get(index);
            if let Some(column) = column.filter(|column| column.column_type != ColumnType::Date) {
                text += &format!(" {hour:02}:{minute:02}:{second:02}");
                let digits = usize::from(decode::arguments(&column.source_type).0.unwrap_or(0));
                if digits > 0 {
                    let fraction = format!("{micros:06}");
                    text += &format!(".{}", fraction.get(..digits.min(6)).unwrap_or_default());
                }
            }
            Wire::Text(text)
        }
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Wire::Text(text.to_owned()),
            Err(_) => Wire::Base64(STANDARD.encode(bytes)),
        },
        other => Wire::Text(other.as_sql(false).trim_matches('\'').to_owned()),
    }
}
