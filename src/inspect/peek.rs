//! `peek`: some rows of a table, a topic or a file, exactly as they are there, and what is known about them.
//!
//! Rows of databases and files become the JSON that records have ([`rows`]), records are shown as they came: no value
//! is rounded on the way.

use serde::Serialize;
use serde_json::Value;

use crate::config::{KafkaSettings, Settings, SourceSettings, nearest_table};
use crate::error::{Error, Kind, Result};
use crate::model::TableName;
use crate::source::{Chosen, choose, configured_in, open_source};

use super::broker::Broker;
use super::memory::{Remembered, remembered};
use super::patience::Patience;
use super::readers::pick;

mod file;
mod ordered;
mod rows;
mod table;
mod topic;

pub use file::{FilePlace, PeekedFile, peek_file};
pub use ordered::Ordered;
pub use table::PeekedTable;
pub use topic::{Content, PeekedRecord, PeekedTopic, RunPlace};

/// A column of what is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeekedColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: String,
    pub nullable: bool,
}

/// How much, and from which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub rows: usize,
    /// The newest records, the last rows.
    pub from_end: bool,
}

/// Where a table is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Database,
    Topic,
    Lake,
}

/// What was seen.
pub enum Peeked {
    Table(PeekedTable),
    Topic(PeekedTopic),
    File(PeekedFile),
}

/// A row or what stands in for one, as JSON.
pub type Row = Ordered<Value>;

/// Looks at what a name means: a table of the configuration, or else a topic.
pub async fn peek(
    settings: &Settings,
    client_id: &str,
    name: &str,
    at: Option<At>,
    slice: Slice,
) -> Result<Peeked> {
    let looked = Looked {
        settings,
        client_id,
        slice,
    };
    // Names that stand in the configuration need neither Kafka nor another database.
    let prefix = looked.topic_prefix();
    let configured: Vec<(&SourceSettings, Chosen)> = settings
        .sources
        .iter()
        .flat_map(|source| {
            configured_in(source, prefix)
                .into_iter()
                .map(move |chosen| (source, chosen))
        })
        .collect();
    let spelled: Vec<&(&SourceSettings, Chosen)> = configured
        .iter()
        .filter(|(_, chosen)| is_spelled(&chosen.name, name))
        .collect();
    if let ([(source, _)], None | Some(At::Database)) = (spelled.as_slice(), at) {
        return looked.database(source, name).await.map(Peeked::Table);
    }
    let silent = match looked.in_kafka(name, at).await {
        Ok(Some(peeked)) => return Ok(peeked),
        Ok(None) => None,
        // A database may still know the name.
        Err(error) if at.is_none() && error.kind() == Kind::Unavailable => Some(error),
        Err(error) => return Err(error),
    };
    match (looked.in_any_database(name).await, silent) {
        (Err(error), Some(silent)) if error.kind() == Kind::Usage => Err(silent),
        (found, _) => found,
    }
}

/// `orders`, `ec.orders`, or with its schema.
fn is_spelled(table: &TableName, name: &str) -> bool {
    let with_schema = format!("{}.{}", table.schema, table.name);
    name == table.to_string() || name == table.short() || name == with_schema
}

/// What is looked at, and by whom.
struct Looked<'a> {
    settings: &'a Settings,
    client_id: &'a str,
    slice: Slice,
}

impl<'a> Looked<'a> {
    fn topic_prefix(&self) -> &'a str {
        let kafka = self.settings.kafka.as_ref();
        kafka.map_or("", |kafka| &kafka.topic_prefix)
    }

    fn source_of(&self, table: &TableName) -> Result<&'a SourceSettings> {
        let mut sources = self.settings.sources.iter();
        let source = sources.find(|source| source.name == table.source);
        source.ok_or_else(|| {
            Error::new(
                Kind::Config,
                "its source is not in the configuration any more",
            )
            .about(table)
            .hint("look at it in Kafka or in the lake: `--at topic`, `--at lake`")
        })
    }

    /// What Kafka knows by this name: a table that was read, or a topic.
    async fn in_kafka(&self, name: &str, at: Option<At>) -> Result<Option<Peeked>> {
        if at == Some(At::Database) {
            return Ok(None);
        }
        let kafka = match (&self.settings.kafka, at) {
            (None, None) => return Ok(None),
            _ => self.settings.needed_kafka()?,
        };
        let broker = Broker::reach(kafka, self.client_id).await?;
        let known = remembered(self.settings, kafka, self.client_id).await?;
        match (pick(known, name), at) {
            (Ok(table), None) => {
                let source = self.source_of(&table.name)?;
                let rows = self.database(source, name).await?;
                return Ok(Some(Peeked::Table(rows)));
            }
            (Ok(table), Some(at)) => {
                return self.beyond(kafka, table, at).await.map(Some);
            }
            (Err(error), Some(_)) => return Err(error),
            (Err(_), None) => {}
        }
        if broker.topic(name).await?.is_none() {
            return Ok(None);
        }
        let topic = self.topic(kafka, name, None).await?;
        Ok(Some(Peeked::Topic(topic)))
    }

    /// A table of one source, as it is now.
    async fn database(&self, source: &SourceSettings, name: &str) -> Result<PeekedTable> {
        let chosen = self.chosen_in(source).await?;
        let meant = chosen.iter().find(|chosen| is_spelled(&chosen.name, name));
        match meant {
            Some(chosen) => table::newest_rows(source, chosen, self.slice).await,
            None => Err(no_such(name, &names_of(&chosen))),
        }
    }

    async fn chosen_in(&self, source: &SourceSettings) -> Result<Vec<Chosen>> {
        let opened = open_source(source)?;
        let listing = choose(source, opened.as_ref(), self.topic_prefix());
        let doing = format!("listing the tables of `{}`", source.name);
        Ok(Patience::each().wait(&doing, listing).await?.tables)
    }

    /// The table is in none of the names that are known without asking: the databases know the rest.
    async fn in_any_database(&self, name: &str) -> Result<Peeked> {
        let mut found = Vec::new();
        let mut known = Vec::new();
        let mut silent = None;
        for source in &self.settings.sources {
            match self.chosen_in(source).await {
                Ok(chosen) => {
                    known.extend(names_of(&chosen));
                    found.extend(
                        chosen
                            .into_iter()
                            .filter(|chosen| is_spelled(&chosen.name, name))
                            .map(|chosen| (source, chosen)),
                    );
                }
                Err(error) => silent = silent.or(Some(error)),
            }
        }
        match (found.as_slice(), silent) {
            ([(source, chosen)], _) => {
                let rows = table::newest_rows(source, chosen, self.slice).await?;
                Ok(Peeked::Table(rows))
            }
            ([], Some(error)) => Err(error),
            ([], None) => Err(no_such(name, &known)),
            (several, _) => {
                let names: Vec<String> = several
                    .iter()
                    .map(|(_, chosen)| format!("`{}`", chosen.name))
                    .collect();
                let text = format!("`{name}` could be {}", names.join(" or "));
                Err(Error::new(Kind::Usage, text).hint("write the source's name before it"))
            }
        }
    }

    /// A table in Kafka or in the lake.
    async fn beyond(&self, kafka: &KafkaSettings, table: Remembered, at: At) -> Result<Peeked> {
        let Remembered { name, head, .. } = table;
        let head = head.ok_or_else(|| super::readers::nothing_yet(&name))??;
        match at {
            At::Lake => file::newest_file(self.settings, &name, &head, self.slice)
                .await
                .map(Peeked::File),
            _ => self
                .topic(kafka, &head.topic, Some(&name))
                .await
                .map(Peeked::Topic),
        }
    }

    async fn topic(
        &self,
        kafka: &KafkaSettings,
        name: &str,
        table: Option<&TableName>,
    ) -> Result<PeekedTopic> {
        let pipeline = &self.settings.pipeline;
        let mut peeked =
            topic::peek_topic(kafka, (self.client_id, pipeline), name, self.slice).await?;
        peeked.table = table.map(TableName::to_string);
        Ok(peeked)
    }
}

fn names_of(chosen: &[Chosen]) -> Vec<String> {
    chosen
        .iter()
        .map(|chosen| chosen.name.to_string())
        .collect()
}

fn no_such(name: &str, known: &[String]) -> Error {
    let error = Error::new(
        Kind::Usage,
        format!("there is no table and no topic `{name}`"),
    );
    match nearest_table(name, known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(
            "`cdc status` and `cdc plan` list the tables; a file is written with a `/`, e.g. `./part.parquet`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_answered_with_the_nearest_table() {
        let known = ["ec.orders".to_owned()];
        let error = no_such("odrers", &known);
        assert_eq!(error.next_step(), Some("did you mean `ec.orders`?"));
        let error = no_such("sales.parquet", &known);
        assert!(
            error
                .next_step()
                .is_some_and(|next| next.contains("./part.parquet"))
        );
    }
}
