//! What the pages for people (`TYPES.md`) say of the types, held to what the code does.
//!
//! `CDC_UPDATE=1 cargo test the_page_for_people` rewrites the tables in them.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::ConvertedType;

use crate::model::ColumnType;

const HEADING: &str = "| source type | Arrow | Parquet | JSON record | note |";

/// A line of the table: the types that become one of `becomes`, the usual one first.
pub(super) fn line(source_types: &[&str], becomes: &[ColumnType], note: &str) -> String {
    let names: Vec<String> = source_types
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let each = |word: fn(&ColumnType) -> String| {
        becomes.iter().map(word).collect::<Vec<_>>().join("; or ")
    };
    let (arrow, parquet, json) = (each(arrow), each(parquet), each(json));
    format!(
        "| {} | {arrow} | {parquet} | {json} | {note} |",
        names.join(", ")
    )
}

/// Holds the table of a page to these lines.
pub(super) fn hold(page: &str, lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(&path).expect("the page");
    let mut wanted = vec![HEADING.to_owned(), "|---|---|---|---|---|".to_owned()];
    wanted.extend_from_slice(lines);
    let found: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    if std::env::var_os("CDC_UPDATE").is_some() && found != wanted {
        let first = text.find("\n|").map_or(text.len(), |at| at + 1);
        let after = text.rfind("\n|").map_or(text.len(), |at| {
            text[at + 1..]
                .find('\n')
                .map_or(text.len(), |end| at + 1 + end + 1)
        });
        let table = wanted.join("\n");
        let new = format!("{}{table}\n{}", &text[..first], &text[after..]);
        std::fs::write(&path, new).expect("the page");
        return;
    }
    assert_eq!(found, wanted, "{page}; CDC_UPDATE=1 rewrites it");
}

fn arrow(column_type: &ColumnType) -> String {
    match column_type {
        ColumnType::Decimal { .. } => "Decimal128(p, s)".into(),
        ColumnType::Timestamp { utc: true } => "Timestamp(µs, UTC)".into(),
        ColumnType::Timestamp { utc: false } => "Timestamp(µs)".into(),
        other => other.arrow().to_string(),
    }
}

/// As the writer's own converter has it; older names of annotations say less than the newer ones about these two.
fn parquet(column_type: &ColumnType) -> String {
    let field = Arc::new(Field::new("c", column_type.arrow(), true));
    let schema = ArrowSchemaConverter::new()
        .convert(&Schema::new(vec![field]))
        .expect("a Parquet schema");
    let column = schema.column(0);
    let physical = column.physical_type();
    match (column_type, column.converted_type()) {
        (ColumnType::Decimal { .. }, _) => "DECIMAL(p, s)".into(),
        (ColumnType::Timestamp { utc: true }, _) => format!("{physical}, TIMESTAMP(MICROS, UTC)"),
        (ColumnType::Timestamp { utc: false }, _) => format!("{physical}, TIMESTAMP(MICROS)"),
        (_, ConvertedType::NONE) => physical.to_string(),
        (_, converted) => format!("{physical}, {converted}"),
    }
}

/// As `docs/records.md` has it in full.
fn json(column_type: &ColumnType) -> String {
    match column_type {
        ColumnType::Bool => "`true`",
        ColumnType::Float32 | ColumnType::Float64 => "`1.5`, `\"NaN\"`",
        ColumnType::Decimal { .. } => "`19.90`",
        ColumnType::Text => "`\"text\"`",
        ColumnType::Binary => "base64: `\"AAEC\"`",
        ColumnType::Date => "`\"2026-10-01\"`",
        ColumnType::Timestamp { utc: true } => "`\"2026-10-01T12:34:56.789000Z\"`",
        ColumnType::Timestamp { utc: false } => "`\"2026-10-01T12:34:56.789000\"`",
        ColumnType::List(_) => "`[1,null]`",
        _ => "`7`",
    }
    .into()
}
