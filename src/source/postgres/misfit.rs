//! Values that their column cannot carry: which refusals are about the value, and how people write it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::numeric::TOO_MANY_DIGITS;
use crate::error::{Error, Kind, Result};
use crate::model::{ColumnType, Wire};
use crate::source::Described;

/// How a refusal begins that is no value's: the bytes are not what the column's type sends.
const NOT_UNDERSTOOD: &[&str] = &[
    "a malformed ",
    "a value of unexpected length",
    "a jsonb of an unknown version",
    "a bit string longer",
    "more list elements",
];

/// Whether `kind` is a value that does not fit its column, and not a sign that the table has changed since it
/// was described: under every policy a fresh look at it comes first.
pub(super) fn is_one(table: &Described, index: usize, kind: &'static str) -> Result<()> {
    let is_foreign = NOT_UNDERSTOOD.iter().any(|begin| kind.starts_with(begin));
    // A declared precision holds every value, until it is altered.
    let has_outgrown = kind == TOO_MANY_DIGITS && is_declared(table, index);
    match is_foreign || has_outgrown {
        true => Err(fault(table, index, kind)),
        false => Ok(()),
    }
}

/// Whether the column's own declaration says how many digits its values have, and the configuration nothing else.
fn is_declared(table: &Described, index: usize) -> bool {
    let column = table.schema.columns.get(index);
    column.is_some_and(|column| match column.column_type {
        ColumnType::Decimal { precision, scale } => {
            column.source_type == format!("numeric({precision},{scale})")
        }
        _ => true,
    })
}

/// A value that is not what it was described to be.
pub(super) fn fault(table: &Described, index: usize, kind: &str) -> Error {
    let column = table.schema.columns.get(index);
    let (name, source_type) =
        column.map_or(("?", "?"), |c| (c.name.as_str(), c.source_type.as_str()));
    Error::new(Kind::Config, "reading rows")
        .because(format!("column `{name}` ({source_type}) holds {kind}"))
        .about(&table.name)
        .hint("the table was probably changed: `cdc restart` lets it be described again")
}

/// The value as the server writes it, where that is plain, else the bytes it sent.
pub(super) fn wire(table: &Described, index: usize, bytes: &[u8]) -> Wire {
    let column_type = table.schema.columns.get(index).map(|c| &c.column_type);
    let text = match (column_type, bytes) {
        (Some(ColumnType::Date), [0x7f, 0xff, 0xff, 0xff])
        | (Some(ColumnType::Timestamp { .. }), [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => {
            "infinity"
        }
        (Some(ColumnType::Date), [0x80, 0, 0, 0])
        | (Some(ColumnType::Timestamp { .. }), [0x80, 0, 0, 0, 0, 0, 0, 0]) => "-infinity",
        // The sign of a numeric that is no number.
        (Some(ColumnType::Decimal { .. }), [_, _, _, _, 0xc0, 0, ..]) => "NaN",
        (Some(ColumnType::Decimal { .. }), [_, _, _, _, 0xd0, 0, ..]) => "Infinity",
        (Some(ColumnType::Decimal { .. }), [_, _, _, _, 0xf0, 0, ..]) => "-Infinity",
        _ => return Wire::Base64(STANDARD.encode(bytes)),
    };
    Wire::Text(text.to_owned())
}
