//! Rows of a table in its database: read-only, few of them, and in an order only where an index gives it.

use futures_util::TryStreamExt;
use serde::Serialize;

use super::super::patience::Patience;
use super::super::words::lake_type;
use super::rows::rows_of;
use super::{PeekedColumn, Row, Slice};
use crate::config::SourceSettings;
use crate::error::{Error, Result};
use crate::model::BatchLimits;
use crate::source::{Chosen, Readable, Select, open_source, quote, readable_of};

/// A table that is no larger is sorted without an index: that takes a moment.
const FEW_ROWS: u64 = 100_000;

/// Rows of a table, as they are now.
#[derive(Clone, Debug, Serialize)]
pub struct PeekedTable {
    pub table: String,
    /// The column whose newest values these rows have; `None`: they come as the database gives them.
    pub newest_by: Option<String>,
    pub estimated_rows: Option<u64>,
    pub key: Vec<String>,
    pub columns: Vec<PeekedColumn>,
    /// What the database's own types are, in the order of the columns.
    pub source_types: Vec<String>,
    pub rows: Vec<Row>,
}

/// Reads the newest rows.
pub async fn newest_rows(
    settings: &SourceSettings,
    chosen: &Chosen,
    slice: Slice,
) -> Result<PeekedTable> {
    let reading = async {
        let source = open_source(settings)?;
        let source = source.as_ref();
        let readable = readable_of(source, chosen, &settings.time_zone).await?;
        let order = order(&readable);
        let mut sql = select(&readable, chosen.settings.filter.as_deref(), source)?;
        if let Some(column) = &order {
            let column = quote(source.dialect(), column)?;
            // NULLs would come first, and keep an index from serving.
            let also = if chosen.settings.filter.is_some() {
                "AND"
            } else {
                "WHERE"
            };
            let direction = if slice.from_end { "DESC" } else { "ASC" };
            sql.push_str(&format!(
                " {also} t.{column} IS NOT NULL ORDER BY t.{column} {direction}"
            ));
        }
        sql.push_str(&format!(" LIMIT {}", slice.rows));
        let select = Select {
            sql,
            params: Vec::new(),
        };
        let mut session = source.session().await?;
        let batches: Vec<_> = session
            .rows(&readable.table, &select, BatchLimits::default())
            .try_collect()
            .await?;
        let schema = &readable.table.schema;
        let own: Vec<usize> = (0..schema.columns.len()).collect();
        // Behind the table's own columns may stand one about values that do not fit.
        let batches = batches
            .iter()
            .map(|batch| batch.project(&own))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::new(crate::error::Kind::Bug, "reading rows").because(error))?;
        Ok(PeekedTable {
            table: chosen.name.to_string(),
            newest_by: order,
            estimated_rows: readable.table.estimated_rows,
            key: schema
                .key
                .iter()
                .filter_map(|i| schema.columns.get(*i))
                .map(|column| column.name.clone())
                .collect(),
            columns: schema
                .columns
                .iter()
                .map(|column| PeekedColumn {
                    name: column.name.clone(),
                    column_type: lake_type(&column.column_type),
                    nullable: column.nullable,
                })
                .collect(),
            source_types: schema
                .columns
                .iter()
                .map(|column| column.source_type.clone())
                .collect(),
            rows: rows_of(&batches)?,
        })
    };
    let found = Patience::each().wait("reading some rows", reading).await;
    found.map_err(|error| error.about(&chosen.name))
}

/// The column that says which rows are the newest, where the database need not read the whole table for it.
fn order(readable: &Readable) -> Option<String> {
    let table = &readable.table;
    let first_of_key = table.schema.key.first();
    let first_of_key = first_of_key.and_then(|i| table.schema.columns.get(*i));
    let column = match readable.cursor_column() {
        Some(column) => column,
        None => first_of_key.map(|column| column.name.as_str())?,
    };
    let is_small = table.estimated_rows.is_some_and(|rows| rows <= FEW_ROWS);
    let is_quick = table.indexed.contains(column)
        || is_small
        || first_of_key.is_some_and(|key| key.name == column);
    is_quick.then(|| column.to_owned())
}

fn select(
    readable: &Readable,
    filter: Option<&str>,
    source: &dyn crate::source::Source,
) -> Result<String> {
    let (table, dialect) = (&readable.table, source.dialect());
    let condition = filter.map(|filter| format!(" WHERE ({filter})"));
    Ok(format!(
        "SELECT {} FROM {}.{} AS t{}",
        table.selects.join(", "),
        quote(dialect, &table.name.schema)?,
        quote(dialect, &table.name.name)?,
        condition.unwrap_or_default()
    ))
}
