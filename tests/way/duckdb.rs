//! A Parquet file as DuckDB reads it.

use std::fs;
use std::path::Path;
use std::process::Command;

use cdc::model::{ColumnType, TableSchema};

/// Reads on one statement; lines hold neither tabs nor quotes.
const SCRIPT: &str = r#"
import duckdb, sys
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'; SET threads = 2")
connection.execute(open(sys.argv[1]).read())
"#;

/// The rows of a file, in its order, as lines.
pub fn read(schema: &TableSchema, directory: &Path, file: &Path) -> Vec<String> {
    let fields: Vec<String> = schema
        .columns
        .iter()
        .map(|column| {
            let name = format!("\"{}\"", column.name.replace('"', "\"\""));
            format!("coalesce({}, 'NULL')", field(&name, &column.column_type, 0))
        })
        .collect();
    let (statement, lines) = (directory.join("read.sql"), directory.join("lines.txt"));
    let sql = format!(
        "COPY (SELECT {} FROM read_parquet('{}')) TO '{}' (FORMAT csv, HEADER false, DELIMITER '\t')",
        fields.join(" || '|' || "),
        file.display(),
        lines.display(),
    );
    fs::write(&statement, sql).expect("a file");
    let python =
        std::env::var("CDC_PYTHON").expect("CDC_PYTHON is not set: eval \"$(scripts/stack env)\"");
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(&statement)
        .output()
        .expect("Python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(&lines).expect("lines");
    text.lines().map(str::to_owned).collect()
}

/// How a value is written: `CAST … AS VARCHAR` is exact for whole numbers, decimals, dates and times, but not for
/// floats (their bits are), text and bytes (which may hold anything).
fn field(value: &str, column_type: &ColumnType, depth: usize) -> String {
    match column_type {
        ColumnType::Bool => format!("CASE WHEN {value} THEN 't' WHEN NOT {value} THEN 'f' END"),
        ColumnType::Float32 | ColumnType::Float64 => format!("lower(hex({value}::BIT::BLOB))"),
        ColumnType::Text | ColumnType::Binary => format!("lower(hex({value}))"),
        ColumnType::List(element) => {
            let inner = format!("x{depth}");
            let element = field(&inner, element, depth + 1);
            format!(
                "CASE WHEN {value} IS NOT NULL THEN '{{' || coalesce(array_to_string(list_transform({value}, \
                 lambda {inner}: coalesce({element}, 'NULL')), ','), '') || '}}' END"
            )
        }
        _ => format!("{value}::VARCHAR"),
    }
}
