//! A record as serde_json reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cdc::model::{ColumnType, TableSchema};
use serde_json::Value;

use super::lines::hex;

/// The row of a record as a line.
pub fn line(schema: &TableSchema, record: &[u8]) -> String {
    let record: Value = serde_json::from_slice(record).expect("JSON");
    let object = record.as_object().expect("an object");
    assert_eq!(object.len(), schema.columns.len(), "columns of a record");
    let mut line = String::new();
    for column in &schema.columns {
        if !line.is_empty() {
            line.push('|');
        }
        write(&object[&column.name], &column.column_type, &mut line);
    }
    line
}

fn write(value: &Value, column_type: &ColumnType, line: &mut String) {
    match (value, column_type) {
        (Value::Null, _) => line.push_str("NULL"),
        (Value::Bool(value), ColumnType::Bool) => line.push(if *value { 't' } else { 'f' }),
        (value, ColumnType::Float32) => {
            line.push_str(&format!("{:08x}", float::<f32>(value).to_bits()));
        }
        (value, ColumnType::Float64) => {
            line.push_str(&format!("{:016x}", float::<f64>(value).to_bits()));
        }
        (Value::Number(number), _) => line.push_str(number.as_str()),
        (Value::String(text), ColumnType::Text) => hex(text.as_bytes(), line),
        (Value::String(text), ColumnType::Binary) => {
            hex(&STANDARD.decode(text).expect("base64"), line)
        }
        (Value::String(text), ColumnType::Date | ColumnType::Timestamp { .. }) => time(text, line),
        (Value::Array(elements), ColumnType::List(element)) => {
            line.push('{');
            for (i, value) in elements.iter().enumerate() {
                if i > 0 {
                    line.push(',');
                }
                write(value, element, line);
            }
            line.push('}');
        }
        (value, column_type) => panic!("{column_type:?} is written as {value}"),
    }
}

fn float<F: std::str::FromStr>(value: &Value) -> F {
    let text = match value {
        Value::Number(number) => number.as_str(),
        Value::String(text) => text,
        other => panic!("a float is written as {other}"),
    };
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is no float"))
}

/// ISO 8601 with years of any length and sign, as PostgreSQL shows it: an instant with `+00`, a reading without.
fn time(text: &str, line: &mut String) {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.trim_start_matches('+')),
    };
    let (year, rest) = unsigned.split_once('-').expect("a month");
    let year: i64 = year.parse().expect("a year");
    let (year, era) = match if negative { -year } else { year } {
        year @ 1.. => (year, ""),
        year => (1 - year, " BC"),
    };
    let (rest, zone) = match rest.strip_suffix('Z') {
        Some(rest) => (rest, "+00"),
        None => (rest, ""),
    };
    let rest = match rest.contains('.') {
        true => rest.trim_end_matches('0').trim_end_matches('.'),
        false => rest,
    };
    line.push_str(&format!("{year:04}-{}{zone}{era}", rest.replace('T', " ")));
}
