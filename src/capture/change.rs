//! What a change of a table's shape means for a table that is followed. Pure.
//!
//! A table goes on while what was sent before and what is sent from now on mean the same and can be read
//! together; anything else is for somebody to decide.

use crate::model::{Column, ColumnType, TableSchema};

/// What follows from a change of shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on; what changed, for the log.
    GoesOn(Vec<String>),
    /// It stops; what was seen.
    Stops(String),
}

/// Judges the step from the schema that was sent last to the present one. `cursor` names the columns that
/// drive the reading.
pub fn judge(old: &TableSchema, new: &TableSchema, cursor: &[String]) -> Verdict {
    let mut seen = Vec::new();
    for was in &old.columns {
        let Some(is) = new.columns.iter().find(|is| is.name == was.name) else {
            return Verdict::Stops(gone(was, old, new));
        };
        if let Some(why) = unfit(was, is, cursor.contains(&was.name)) {
            return Verdict::Stops(why);
        }
        seen.extend(difference(was, is));
    }
    let key = |schema: &TableSchema| -> Vec<String> {
        let columns = schema.key.iter().filter_map(|i| schema.columns.get(*i));
        columns.map(|column| column.name.clone()).collect()
    };
    let (was, is) = (key(old), key(new));
    if was != is {
        return Verdict::Stops(format!(
            "its primary key was {} and is {}",
            listed(&was),
            listed(&is)
        ));
    }
    for is in &new.columns {
        if old.position(&is.name).is_none() {
            seen.push(format!("column `{}` ({}) is new", is.name, is.source_type));
        }
    }
    Verdict::GoesOn(seen)
}

fn listed(columns: &[String]) -> String {
    match columns {
        [] => "none".to_owned(),
        columns => format!("({})", columns.join(", ")),
    }
}

fn gone(was: &Column, old: &TableSchema, new: &TableSchema) -> String {
    let text = format!("column `{}` is gone", was.name);
    let mut fresh = new
        .columns
        .iter()
        .filter(|is| old.position(&is.name).is_none() && is.source_type == was.source_type);
    match (fresh.next(), fresh.next()) {
        (Some(renamed), None) => format!("{text}; perhaps it is called `{}` now", renamed.name),
        _ => text,
    }
}

/// Why what was sent of a column and what would be sent now do not go together.
fn unfit(was: &Column, is: &Column, is_cursor: bool) -> Option<String> {
    let changed = || {
        Some(match was.source_type == is.source_type {
            false => format!(
                "column `{}` was {} and is {}",
                was.name, was.source_type, is.source_type
            ),
            // Its `on_value` or its `decimal`.
            true => format!(
                "column `{}` ({}) is to be carried in another way than before, as the configuration says now",
                was.name, was.source_type
            ),
        })
    };
    if was.source_type == is.source_type && was.column_type == is.column_type {
        return None;
    }
    let fits = match was.column_type == is.column_type {
        false => is_wider(&was.column_type, &is.column_type),
        true => is_same_family(&was.source_type, &is.source_type),
    };
    // A cursor with fewer digits would sort rows otherwise than they were read.
    let coarser = is_cursor
        && matches!(was.column_type, ColumnType::Timestamp { .. })
        && digits(&is.source_type) < digits(&was.source_type);
    match fits && !coarser {
        true => None,
        false => changed(),
    }
}

/// Whether every value of `old` is the same value in `new`, and all readers read both together.
fn is_wider(old: &ColumnType, new: &ColumnType) -> bool {
    use ColumnType::{Decimal, Float32, Float64, List};
    match (old, new) {
        (
            Decimal { precision, scale },
            Decimal {
                precision: wider,
                scale: same,
            },
        ) => scale == same && precision <= wider,
        (Float32, Float64) => true,
        (List(old), List(new)) => old == new,
        _ => match (whole_number(old), whole_number(new)) {
            (Some((was_signed, was)), Some((is_signed, is))) => match (was_signed, is_signed) {
                (false, true) => was < is,
                (true, false) => false,
                _ => was <= is,
            },
            _ => false,
        },
    }
}

/// Whether a whole number has a sign, and its bits.
fn whole_number(column_type: &ColumnType) -> Option<(bool, u8)> {
    Some(match column_type {
        ColumnType::Int8 => (true, 8),
        ColumnType::Int16 => (true, 16),
        ColumnType::Int32 => (true, 32),
        ColumnType::Int64 => (true, 64),
        ColumnType::UInt8 => (false, 8),
        ColumnType::UInt16 => (false, 16),
        ColumnType::UInt32 => (false, 32),
        ColumnType::UInt64 => (false, 64),
        _ => return None,
    })
}

/// Whether two source types of one type of ours write the same values in the same way.
fn is_same_family(was: &str, is: &str) -> bool {
    let (old, new) = (base(was), base(is));
    if let (Some(before), Some(after)) = (labels(was), labels(is)) {
        return after.starts_with(before);
    }
    old == new || family(&old).is_some_and(|family_of_old| family(&new) == Some(family_of_old))
}

/// A type's name without what stands in brackets.
fn base(source_type: &str) -> String {
    let mut name = String::new();
    let mut depth = 0;
    for letter in source_type.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => name.push(letter.to_ascii_lowercase()),
            _ => {}
        }
    }
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The labels of an ENUM or SET as the catalog writes them: more at the end change no row.
fn labels(source_type: &str) -> Option<&str> {
    let lower = source_type.to_ascii_lowercase();
    (lower.starts_with("enum(") || lower.starts_with("set("))
        .then(|| source_type.trim_end_matches(')'))
}

/// Types whose values read the same in any of them.
fn family(base: &str) -> Option<&'static str> {
    match base {
        "text" | "varchar" | "character varying" | "tinytext" | "mediumtext" | "longtext" => {
            Some("text")
        }
        "blob" | "tinyblob" | "mediumblob" | "longblob" | "varbinary" => Some("bytes"),
        // Display width and ZEROFILL are not values.
        _ => None,
    }
}

/// Digits after the second that a type's name declares; all six where it declares none and the database has six.
fn digits(source_type: &str) -> u8 {
    let declared = source_type
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .and_then(|(digits, _)| digits.parse().ok());
    match source_type.to_ascii_lowercase() {
        lower if lower.starts_with("datetime") || lower == "timestamp" => declared.unwrap_or(0),
        _ => declared.unwrap_or(6),
    }
}

/// What is different about a column that goes on.
fn difference(was: &Column, is: &Column) -> Option<String> {
    if was.source_type != is.source_type {
        return Some(format!(
            "column `{}` was {} and is {}",
            was.name, was.source_type, is.source_type
        ));
    }
    match (was.nullable, is.nullable) {
        (false, true) => Some(format!("column `{}` admits NULL now", was.name)),
        (true, false) => Some(format!("column `{}` admits no NULL now", was.name)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
