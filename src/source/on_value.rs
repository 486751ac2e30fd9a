//! What the configuration says of values that do not fit, column by column of one table. Pure.

use super::chosen::CursorColumns;
use super::query::quote;
use super::{Described, Dialect};
use crate::config::{TableSettings, nearest};
use crate::error::{Error, Kind, Result};
use crate::model::{Column, ColumnType, OnValue};

/// The table with the policy of each column: what may be NULL now, and what travels as text.
///
/// A key says which row a record is about, and a cursor where the reading stands: neither can be left out, so
/// that `"*"` does not mean their columns.
pub(super) fn with_policies(
    dialect: Dialect,
    mut table: Described,
    cursor: &CursorColumns,
    settings: &TableSettings,
) -> Result<Described> {
    let (others, named) = (settings.on_value.others, &settings.on_value.columns);
    let is_there = |name: &String| table.schema.position(name).is_some();
    // A glob may name columns that only some of its tables have.
    if let Some(unknown) = named.keys().find(|name| !is_there(name))
        && !settings.is_glob()
    {
        return Err(no_such_column(&table, unknown));
    }
    let mut policies = Vec::with_capacity(table.schema.columns.len());
    for (index, column) in table.schema.columns.iter().enumerate() {
        let named = named.get(&column.name).copied();
        let fixed = fixed_because(&table, cursor, index);
        policies.push(match (named, fixed) {
            (None | Some(OnValue::Stop), Some(_)) => OnValue::Stop,
            (Some(_), Some(why)) => {
                let text = format!("column `{}` {why}: its `on_value` can only be `stop`", column.name);
                return Err(Error::new(Kind::Config, text)
                    .about(&table.name)
                    .hint("take the column out of `on_value`"));
            }
            (Some(OnValue::Text), None) if !has_text(dialect, column) => {
                let text = format!(
                    "column `{}` ({}) has no text form that is exact, so its `on_value` cannot be `text`",
                    column.name, column.source_type
                );
                return Err(Error::new(Kind::Config, text)
                    .about(&table.name)
                    .hint("take the column out of `on_value`: every value of its type fits"));
            }
            (Some(named), None) => named,
            (None, None) if may_not_fit(dialect, column, others) => others,
            (None, None) => OnValue::Stop,
        });
    }
    for (index, policy) in policies.iter().enumerate() {
        let Some(column) = table.schema.columns.get_mut(index) else {
            continue;
        };
        match policy {
            OnValue::Stop | OnValue::Reject => {}
            OnValue::Null => column.nullable = true,
            // What is text already is selected so that every value of it is exact, or refused.
            OnValue::Text if column.column_type == ColumnType::Text => {}
            OnValue::Text => {
                column.column_type = ColumnType::Text;
                if let Some(select) = table.selects.get_mut(index) {
                    *select = as_text(dialect, &column.name)?;
                }
            }
        }
    }
    table.on_value = policies;
    Ok(table)
}

/// Why a column's values cannot be left out.
fn fixed_because(table: &Described, cursor: &CursorColumns, index: usize) -> Option<&'static str> {
    if table.schema.key.contains(&index) {
        Some("is part of the key")
    } else if cursor.timestamp == Some(index) || cursor.incrementing == Some(index) {
        Some("is a cursor column")
    } else {
        None
    }
}

/// Whether the policy says anything about a column of this type: the others hold no value that does not fit,
/// and stay as they are. A cast to text mends no text that is not UTF-8.
fn may_not_fit(dialect: Dialect, column: &Column, policy: OnValue) -> bool {
    match column.column_type {
        ColumnType::Date | ColumnType::Timestamp { .. } | ColumnType::List(_) => true,
        // PostgreSQL's may be NaN or an infinity; another declaration may have more digits.
        ColumnType::Decimal { precision, scale } => {
            let own = format!("decimal({precision},{scale})");
            dialect == Dialect::Postgres || !column.source_type.starts_with(&own)
        }
        ColumnType::Text => policy != OnValue::Text,
        _ => false,
    }
}

/// Whether the server writes every value of the column as text that says all of it.
fn has_text(dialect: Dialect, column: &Column) -> bool {
    let is_bits = column.column_type == ColumnType::Binary || column.source_type.starts_with("bit");
    // MariaDB shows a FLOAT with six digits.
    let is_float = matches!(
        column.column_type,
        ColumnType::Float32 | ColumnType::Float64
    );
    dialect == Dialect::Postgres || !(is_bits || is_float)
}

fn as_text(dialect: Dialect, column: &str) -> Result<String> {
    let name = quote(dialect, column)?;
    Ok(match dialect {
        Dialect::Postgres => format!("{name}::pg_catalog.text"),
        Dialect::MariaDb => format!("CAST({name} AS CHAR) AS {name}"),
    })
}

fn no_such_column(table: &Described, name: &str) -> Error {
    let columns = table.schema.columns.iter();
    let error = Error::new(
        Kind::Config,
        format!("`on_value` names a column `{name}`, which there is not"),
    )
    .code(crate::error::Code::NO_SUCH_COLUMN)
    .about(&table.name);
    match nearest(name, columns.map(|column| column.name.as_str())) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`cdc plan` lists the table's columns"),
    }
}

#[cfg(test)]
#[path = "on_value_tests.rs"]
mod tests;
