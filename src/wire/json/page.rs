//! `docs/records.md` says what the code does: its examples are read and written again, byte for byte.

use super::JsonEncoder;
use super::law::{decode, values_of};
use crate::model::{Column, ColumnType, TableSchema};
use crate::wire::{RunHeader, partition_for};

const PAGE: &str = include_str!("../../../docs/records.md");

fn column(name: &str, column_type: ColumnType) -> Column {
    Column {
        name: name.into(),
        source_type: "any".into(),
        column_type,
        nullable: true,
    }
}

/// The rows of the table below a heading, as cells without their code marks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let (_, section) = PAGE
        .split_once(&format!("\n## {heading}\n"))
        .expect("the section");
    let lines = section
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1);
    let cells = |line: &str| {
        line.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    lines
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

/// What stands in code marks at the beginning of a cell.
fn code(cell: &str) -> &str {
    cell.strip_prefix('`')
        .and_then(|rest| rest.split_once('`'))
        .expect("a word in code marks")
        .0
}

fn column_type(name: &str) -> ColumnType {
    let arguments = |function: &str| {
        name.strip_prefix(function)?
            .strip_prefix('(')?
            .strip_suffix(')')
    };
    if let Some(element) = arguments("list") {
        return ColumnType::List(Box::new(column_type(element)));
    }
    if let Some((precision, scale)) = arguments("decimal").and_then(|digits| digits.split_once(','))
    {
        let (precision, scale) = (
            precision.parse().expect("precision"),
            scale.parse().expect("scale"),
        );
        return ColumnType::Decimal { precision, scale };
    }
    match name {
        "timestamp" => ColumnType::Timestamp { utc: false },
        "timestamp(utc)" => ColumnType::Timestamp { utc: true },
        "uint8" => ColumnType::UInt8,
        "uint16" => ColumnType::UInt16,
        "uint32" => ColumnType::UInt32,
        "uint64" => ColumnType::UInt64,
        _ => serde_json::from_value(name.into()).expect("a type"),
    }
}

/// The page's word for a type: exhaustive, so that a new type needs a row.
fn all_names() -> Vec<&'static str> {
    let name = |column_type: &ColumnType| match column_type {
        ColumnType::Bool => "bool",
        ColumnType::Int8 => "int8",
        ColumnType::Int16 => "int16",
        ColumnType::Int32 => "int32",
        ColumnType::Int64 => "int64",
        ColumnType::UInt8 => "uint8",
        ColumnType::UInt16 => "uint16",
        ColumnType::UInt32 => "uint32",
        ColumnType::UInt64 => "uint64",
        ColumnType::Float32 => "float32",
        ColumnType::Float64 => "float64",
        ColumnType::Decimal { .. } => "decimal",
        ColumnType::Text => "text",
        ColumnType::Binary => "binary",
        ColumnType::Date => "date",
        ColumnType::Timestamp { utc: false } => "timestamp",
        ColumnType::Timestamp { utc: true } => "timestamp(utc)",
        ColumnType::List(_) => "list",
    };
    table("Values")
        .iter()
        .map(|row| name(&column_type(code(&row[0]))))
        .collect()
}

fn written_again(columns: Vec<Column>, record: &str) -> String {
    let schema = TableSchema {
        columns,
        key: Vec::new(),
    };
    let batch = decode(&schema, &[record.as_bytes().to_vec()]);
    let records = JsonEncoder::new(&schema, 1)
        .encode(&batch, 0, usize::MAX)
        .expect("encode");
    String::from_utf8(values_of(&records).concat()).expect("utf-8")
}

#[test]
fn every_example_of_a_value_is_what_the_encoder_writes() {
    let rows = table("Values");
    for row in &rows {
        let record = format!("{{\"value\":{}}}", code(&row[2]));
        assert_eq!(
            written_again(vec![column("value", column_type(code(&row[0])))], &record),
            record
        );
    }
    let null = "{\"value\":null}";
    assert_eq!(
        written_again(vec![column("value", ColumnType::Int8)], null),
        null
    );
}

#[test]
fn the_page_shows_every_type() {
    let shown: std::collections::BTreeSet<_> = all_names().into_iter().collect();
    assert_eq!(shown.len(), 18, "{shown:?}");
}

#[test]
fn the_whole_record_of_the_page_is_what_the_encoder_writes() {
    let columns = vec![
        column("order_id", ColumnType::Int64),
        column(
            "total",
            ColumnType::Decimal {
                precision: 12,
                scale: 2,
            },
        ),
        column("ordered_at", ColumnType::Timestamp { utc: true }),
        column("tags", ColumnType::List(Box::new(ColumnType::Text))),
        column("note", ColumnType::Text),
    ];
    let (_, record) = PAGE.split_once("```json\n").expect("a record");
    let record = record.lines().next().expect("a line");
    assert_eq!(written_again(columns, record), record);
}

#[test]
fn the_keys_of_the_page_lie_in_the_partitions_it_says() {
    let rows = table("Keys and partitions");
    assert!(rows.len() >= 3);
    for row in rows {
        let key = code(&row[0]).as_bytes();
        assert_eq!(partition_for(key, 3).to_string(), row[1]);
        assert_eq!(partition_for(key, 12).to_string(), row[2]);
    }
}

#[test]
fn a_key_is_written_as_the_page_writes_it() {
    let shown = code(&table("Keys and partitions")[1][0]).to_owned();
    let columns = vec![
        column("sale_no", ColumnType::Text),
        column("store_id", ColumnType::Int32),
    ];
    let schema = TableSchema {
        columns,
        key: vec![1, 0],
    };
    let batch = decode(&schema, &[shown.as_bytes().to_vec()]);
    let records = JsonEncoder::new(&schema, 1)
        .encode(&batch, 0, usize::MAX)
        .expect("encode");
    let (key, _) = records[0].records().next().expect("a record");
    assert_eq!(key, Some(shown.as_bytes()));
}

#[test]
fn the_headers_of_the_page_are_headers() {
    let headers: Vec<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with("0123456789abcdef."))
        .collect();
    assert_eq!(headers.len(), 2);
    for header in headers {
        let parsed = RunHeader::parse(header.as_bytes()).expect("a header");
        assert_eq!(parsed.to_string(), header);
        assert_eq!((parsed.first, parsed.first + parsed.records - 1), (7, 256));
    }
}
