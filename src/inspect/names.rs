//! The tables that are there now, by name: from what the pipeline remembers and from the databases, in a hurry.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use super::broker::Broker;
use super::memory::remembered;
use crate::config::{KafkaSettings, Settings, SourceSettings};
use crate::error::Result;
use crate::model::TableName;
use crate::source::{choose, configured_in, open_source};

/// Every table that is known, whoever knows it. Who has not answered after `patience` is left out, and so is who
/// cannot: this is for a person who is typing, not for a decision.
pub async fn table_names(
    settings: &Settings,
    client_id: &str,
    patience: Duration,
) -> BTreeSet<TableName> {
    let deadline = Instant::now() + patience;
    let sources = settings.sources.iter();
    let mut names: BTreeSet<TableName> = sources
        .flat_map(|source| configured_in(source, ""))
        .map(|chosen| chosen.name)
        .collect();
    let mut looks: FuturesUnordered<BoxFuture<'_, Result<Vec<TableName>>>> = settings
        .sources
        .iter()
        .filter(|source| source.tables.iter().any(|table| table.is_glob()))
        .map(|source| Box::pin(in_database(source)) as BoxFuture<'_, _>)
        .collect();
    if let Some(kafka) = &settings.kafka {
        looks.push(Box::pin(in_memory(settings, kafka, client_id)));
    }
    while let Ok(Some(found)) = timeout_at(deadline, looks.next()).await {
        names.extend(found.unwrap_or_default());
    }
    names
}

async fn in_memory(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
) -> Result<Vec<TableName>> {
    Broker::reach(kafka, client_id).await?;
    let known = remembered(settings, kafka, client_id).await?;
    Ok(known.into_iter().map(|table| table.name).collect())
}

async fn in_database(source: &SourceSettings) -> Result<Vec<TableName>> {
    let choice = choose(source, open_source(source)?.as_ref(), "").await?;
    Ok(choice
        .tables
        .into_iter()
        .map(|chosen| chosen.name)
        .collect())
}
