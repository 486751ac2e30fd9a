//! What works but should not stay so, table by table. Pure.

use serde::Serialize;

use crate::error::Result;
use crate::model::{Mode, TableName};
use crate::source::{Dialect, Readable, RelationKind, quote};

/// A remark and, where there is one, the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What is to be said about reading a table in its mode: no index, no key, NULL cursors, and what describing it
/// came across.
pub fn advice(dialect: Dialect, readable: &Readable) -> Vec<Advice> {
    let table = &readable.table;
    let mut list = Vec::new();
    let mut say = |text: String, next: Option<String>| list.push(Advice { text, next });
    if let Some(column) = readable.cursor_column() {
        if table.kind == RelationKind::Table && !table.indexed.contains(column) {
            say(
                format!("no index begins with `{column}`, so every poll reads the whole table"),
                create_index(dialect, readable).ok(),
            );
        }
        if readable.statements.cursor_admits_null() {
            say(
                format!(
                    "`{column}` may be NULL: such rows are copied once, and later ones are not seen"
                ),
                None,
            );
        }
    }
    if readable.mode == Mode::Incrementing
        && let Some(time) = table.timestamp_candidates.first()
    {
        say(
            format!(
                "`{time}` seems to tell when a row was changed, and this mode sees new rows alone: a changed row stays in the lake as it was"
            ),
            Some(format!(
                "if rows are changed: `mode: timestamp+incrementing` with `timestamp: {time}`"
            )),
        );
    }
    if table.schema.key.is_empty() && readable.mode.has_versions() {
        say(
            "it has no primary key, so nothing tells which versions in the lake are of one row"
                .to_owned(),
            Some("add a primary key, or read it in mode `bulk`".to_owned()),
        );
    }
    if table.schema.key.is_empty() && readable.mode == Mode::Bulk {
        say(
            "it has no primary key: its rows are spread over the partitions by turns".to_owned(),
            None,
        );
    }
    for note in &table.notes {
        say(note.clone(), None);
    }
    list
}

/// The statement that makes polls quick: an index on the cursor and what orders rows of one instant.
fn create_index(dialect: Dialect, readable: &Readable) -> Result<String> {
    let (columns, table) = (&readable.columns, &readable.table);
    let first = columns.timestamp.or(columns.incrementing);
    let rest = columns.tie_break.iter().copied();
    let mut names = Vec::new();
    for index in first.into_iter().chain(rest.filter(|i| Some(*i) != first)) {
        if let Some(column) = table.schema.columns.get(index) {
            names.push(column.name.as_str());
        }
    }
    index_on(dialect, &table.name, &names)
}

/// The statement that makes an index on these columns, without holding up those who write.
pub fn index_on(dialect: Dialect, table: &TableName, columns: &[&str]) -> Result<String> {
    let quoted: Vec<String> = columns
        .iter()
        .map(|column| quote(dialect, column))
        .collect::<Result<_>>()?;
    let on = format!(
        "{}.{} ({})",
        quote(dialect, &table.schema)?,
        quote(dialect, &table.name)?,
        quoted.join(", ")
    );
    Ok(match dialect {
        Dialect::Postgres => format!("CREATE INDEX CONCURRENTLY ON {on};"),
        Dialect::MariaDb => {
            let column = columns.first().copied().unwrap_or_default();
            let name = quote(dialect, &format!("{}_{column}", table.name))?;
            format!("CREATE INDEX {name} ON {on};")
        }
    })
}
