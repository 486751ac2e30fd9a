//! What is known of sources and tables without asking a database.

use std::sync::Arc;

use super::{Chosen, Source, mariadb, postgres};
use crate::config::{DatabaseKind, Settings, SourceSettings};
use crate::error::Result;
use crate::model::{TableName, TopicName};

/// Opens a database's room. Connects to nothing yet.
pub fn open_source(settings: &SourceSettings) -> Result<Arc<dyn Source>> {
    match settings.url.kind {
        DatabaseKind::Postgres => postgres::open(settings),
        DatabaseKind::MariaDb => mariadb::open(settings),
    }
}

/// The tables the configuration names one by one: known without asking a database, so that what does not
/// need one goes on while it is down.
pub fn configured_tables(settings: &Settings, topic_prefix: &str) -> Vec<Chosen> {
    let sources = settings.sources.iter();
    sources
        .flat_map(|source| configured_in(source, topic_prefix))
        .collect()
}

/// As [`configured_tables`], of one source.
pub fn configured_in(source: &SourceSettings, topic_prefix: &str) -> Vec<Chosen> {
    let default_schema = match source.url.kind {
        DatabaseKind::Postgres => "public",
        DatabaseKind::MariaDb => source.url.database.as_str(),
    };
    let topic_prefix = source.topics_begin_with(topic_prefix);
    let mut tables = Vec::new();
    for table in source.tables.iter().filter(|table| !table.is_glob()) {
        let (schema, name) = table
            .pattern
            .split_once('.')
            .unwrap_or((default_schema, &table.pattern));
        let name = TableName {
            source: source.name.clone(),
            schema: schema.to_owned(),
            name: name.to_owned(),
            in_default_schema: schema == default_schema,
        };
        let topic = table
            .topic
            .clone()
            .unwrap_or_else(|| format!("{topic_prefix}{}", name.escaped()));
        if let Ok(topic) = TopicName::new(topic) {
            tables.push(Chosen {
                name,
                settings: table.clone(),
                topic,
            });
        }
    }
    tables
}
