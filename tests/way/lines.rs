//! Lines: fields between `|`, and the small differences in how PostgreSQL, MariaDB and DuckDB write one value.

use std::borrow::Cow;
use std::fmt::Write;

use cdc::model::{ColumnType, TableSchema};

/// Holds a line to what the database shows, and says where they part.
pub fn agree(schema: &TableSchema, shown: &str, arrived: &str, reader: &str) {
    if shown == arrived {
        return;
    }
    let count = schema.columns.len();
    let (shown_fields, fields): (Vec<_>, Vec<_>) =
        (shown.split('|').collect(), arrived.split('|').collect());
    assert_eq!(
        (shown_fields.len(), fields.len()),
        (count, count),
        "{shown}\n{arrived}"
    );
    for ((column, shown), field) in schema.columns.iter().zip(shown_fields).zip(fields) {
        let (wanted, found) = (
            settled(shown, &column.column_type),
            settled(field, &column.column_type),
        );
        assert!(
            wanted == found,
            "column `{}` {}: the database shows {wanted}{}, {reader} has {found}{}\n{shown}\n{arrived}",
            column.name,
            column.source_type,
            readable(&wanted),
            readable(&found),
        );
    }
}

/// A value in the one spelling that all writers share.
fn settled<'a>(field: &'a str, column_type: &ColumnType) -> Cow<'a, str> {
    match innermost(column_type) {
        ColumnType::Date | ColumnType::Timestamp { .. } => each(field, time),
        ColumnType::Decimal { .. } => each(field, decimal),
        _ => Cow::Borrowed(field),
    }
}

fn innermost(column_type: &ColumnType) -> &ColumnType {
    match column_type {
        ColumnType::List(element) => innermost(element),
        other => other,
    }
}

/// Every element of a list, or the value itself.
fn each<'a>(field: &'a str, settle: impl Fn(&str) -> String) -> Cow<'a, str> {
    if field == "NULL" {
        return Cow::Borrowed(field);
    }
    let (mut all, mut rest) = (String::new(), field);
    loop {
        let end = rest.find(['{', '}', ',']).unwrap_or(rest.len());
        let (value, after) = rest.split_at(end);
        all.push_str(&if matches!(value, "" | "NULL") {
            value.to_owned()
        } else {
            settle(value)
        });
        let mut marks = after.chars();
        match marks.next() {
            Some(mark) => all.push(mark),
            None => return Cow::Owned(all),
        }
        rest = marks.as_str();
    }
}

/// DuckDB leaves the zero before the point out where a type has no room for another digit there.
fn decimal(text: &str) -> String {
    match text.strip_prefix("-.") {
        Some(fraction) => format!("-0.{fraction}"),
        None if text.starts_with('.') => format!("0{text}"),
        None => text.to_owned(),
    }
}

/// `2026-03-29 02:30:00.5+00 BC`: DuckDB has the era behind the day, MariaDB shows all digits of the fraction and
/// counts a year 0.
fn time(text: &str) -> String {
    let (text, mut before_christ) = match text.strip_suffix(" BC") {
        Some(text) => (text.to_owned(), true),
        None => (text.replace(" (BC)", ""), text.contains(" (BC)")),
    };
    let (text, zone) = match text.strip_suffix("+00") {
        Some(text) => (text.to_owned(), "+00"),
        None => (text, ""),
    };
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text.as_str(),
    };
    let (text, year_0) = match text.strip_prefix("0000-") {
        Some(rest) => (format!("0001-{rest}"), true),
        None => (text.to_owned(), false),
    };
    before_christ |= year_0;
    format!("{text}{zone}{}", if before_christ { " BC" } else { "" })
}

/// The text behind hexadecimal digits, for people who read a failure.
fn readable(digits: &str) -> String {
    let bytes: Option<Vec<u8>> = (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(digits.get(i * 2..i * 2 + 2)?, 16).ok())
        .collect();
    match bytes.map(String::from_utf8) {
        Some(Ok(text)) if !text.is_empty() => format!(" ({text:?})"),
        _ => String::new(),
    }
}

/// Appends bytes as hexadecimal digits.
pub fn hex(bytes: &[u8], line: &mut String) {
    for byte in bytes {
        let _ = write!(line, "{byte:02x}");
    }
}
