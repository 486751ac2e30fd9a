//! What databases hold, table by table, and what is proposed for each: a few questions to each database.

use std::collections::BTreeSet;

use serde::Serialize;

use super::proposal::{Verdict, propose};
use crate::config::{SourceSettings, is_meant};
use crate::error::{Error, Result};
use crate::model::{Column, ColumnType, GuardClass, TableName};
use crate::source::{Changes, Dialect, Outline, open_source};

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Discovered {
    pub sources: Vec<DiscoveredSource>,
}

/// One database.
#[derive(Debug, Serialize)]
pub struct DiscoveredSource {
    pub source: String,
    /// Without the password.
    pub url: String,
    #[serde(skip)]
    pub dialect: Dialect,
    pub tables: Vec<DiscoveredTable>,
}

impl DiscoveredSource {
    /// The tables that names or globs mean. Without any: those of the URL's own database, and of all schemas of a
    /// PostgreSQL database.
    pub fn asked_for(&self, names: &[String]) -> BTreeSet<TableName> {
        let is_asked_for = |table: &&DiscoveredTable| {
            let is_usual = self.dialect == Dialect::Postgres || table.name.in_default_schema;
            is_meant(names, &table.name) && (is_usual || !names.is_empty())
        };
        let meant = self.tables.iter().filter(is_asked_for);
        meant.map(|table| table.name.clone()).collect()
    }
}

/// One table.
#[derive(Clone, Debug, Serialize)]
pub struct DiscoveredTable {
    /// With its source.
    pub table: String,
    #[serde(skip)]
    pub name: TableName,
    pub kind: &'static str,
    pub estimated_rows: Option<u64>,
    /// Rows and indexes on disk.
    pub bytes: Option<u64>,
    pub key: Vec<String>,
    /// What could drive a cursor.
    pub cursors: Vec<CursorColumn>,
    /// Since the database's statistics began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Timestamps without a time zone, of which nobody but a person knows what they mean.
    #[serde(skip)]
    pub has_wall_clocks: bool,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A column that could drive a cursor.
#[derive(Clone, Debug, Serialize)]
pub struct CursorColumn {
    pub column: String,
    /// `incrementing` or `timestamp`.
    pub drives: &'static str,
    pub indexed: bool,
    pub nullable: bool,
    /// What a guard would rest on.
    pub guard: GuardClass,
}

/// Asks each database; one that does not answer is told apart from the others.
pub async fn discover(sources: &[SourceSettings]) -> (Discovered, Vec<Error>) {
    let asked = sources.iter().map(look);
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for answer in futures_util::future::join_all(asked).await {
        match answer {
            Ok(source) => found.push(source),
            Err(error) => errors.push(error),
        }
    }
    (Discovered { sources: found }, errors)
}

async fn look(settings: &SourceSettings) -> Result<DiscoveredSource> {
    let source = open_source(settings)?;
    let outlines = source.outlines().await;
    let outlines = outlines.map_err(|error| match error.next_step() {
        Some(_) => error.about(&settings.name),
        None => error
            .about(&settings.name)
            .hint("check host, port, user and password of its URL, and that the server runs"),
    })?;
    let dialect = source.dialect();
    Ok(DiscoveredSource {
        source: settings.name.clone(),
        url: settings.url.to_string(),
        dialect,
        tables: outlines
            .iter()
            .map(|outline| table(dialect, outline))
            .collect(),
    })
}

fn table(dialect: Dialect, outline: &Outline) -> DiscoveredTable {
    let described = &outline.described;
    let schema = &described.schema;
    let key = schema.key.iter().filter_map(|i| schema.columns.get(*i));
    let cursor = |name: &String, drives, guard| {
        let position = schema.position(name);
        let column = position.and_then(|position| schema.columns.get(position));
        CursorColumn {
            column: name.clone(),
            drives,
            indexed: described.indexed.contains(name),
            nullable: column.is_none_or(|column| column.nullable),
            guard,
        }
    };
    let by_time = described.timestamp_candidates.iter();
    let by_time = by_time.map(|name| cursor(name, "timestamp", outline.guards.by_time.clone()));
    let by_id = described.incrementing_candidates.iter();
    let by_id = by_id.map(|name| cursor(name, "incrementing", outline.guards.of_id(name)));
    let is_wall_clock =
        |column: &Column| matches!(column.column_type, ColumnType::Timestamp { utc: false });
    DiscoveredTable {
        table: described.name.to_string(),
        name: described.name.clone(),
        kind: described.kind.in_words(),
        estimated_rows: described.estimated_rows,
        bytes: outline.bytes,
        key: key.map(|column| column.name.clone()).collect(),
        cursors: by_time.chain(by_id).collect(),
        changes: outline.changes,
        has_wall_clocks: schema.columns.iter().any(is_wall_clock),
        verdict: propose(dialect, outline),
    }
}
