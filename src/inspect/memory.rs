//! What the tables remember in Kafka: their heads.

use std::collections::BTreeMap;

use super::broker::Broker;
use super::named::must_be_some;
use super::patience::{READING, blocking};
use crate::config::{self, KafkaSettings, Settings};
use crate::error::Result;
use crate::model::TableName;
use crate::source::{Chosen, configured_tables};
use crate::state::{Head, PipelineNames, StateKey, Trouble, decode};
use crate::topic::Compacted;

/// A table that is remembered, or that the configuration names.
pub struct Remembered {
    pub name: TableName,
    /// `None`: nothing was read of it yet.
    pub head: Option<Result<Head>>,
    /// What keeps it from working now, beyond what its head says.
    pub trouble: Option<Trouble>,
}

/// Every table the state topic knows, then those the configuration names and nobody has read yet. Asks no
/// database.
pub async fn remembered(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
) -> Result<Vec<Remembered>> {
    let names = PipelineNames::new(&settings.pipeline);
    let mut tables = heads(kafka, client_id, names.state_topic).await?;
    for configured in configured_tables(settings, &kafka.topic_prefix) {
        if !tables.iter().any(|table| {
            is_same(&table.name, &configured.name) || is_meant(&configured, &table.name)
        }) {
            tables.push(Remembered {
                name: configured.name,
                head: None,
                trouble: None,
            });
        }
    }
    Ok(tables)
}

/// The tables that are meant and were read before. `Usage` where nothing is called so.
pub async fn heads_of(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    tables: &[String],
) -> Result<Vec<(TableName, Head)>> {
    Broker::reach(kafka, client_id).await?;
    let known = remembered(settings, kafka, client_id).await?;
    let all: Vec<String> = known.iter().map(|known| known.name.to_string()).collect();
    let mut meant = Vec::new();
    let mut is_known = false;
    for Remembered { name, head, .. } in known
        .into_iter()
        .filter(|known| config::is_meant(tables, &known.name))
    {
        is_known = true;
        if let Some(head) = head {
            meant.push((name, head?));
        }
    }
    must_be_some(tables, usize::from(is_known), &all)?;
    Ok(meant)
}

/// Whether a name that is written in the configuration means a table that is known: a dot can be part of it.
fn is_meant(configured: &Chosen, known: &TableName) -> bool {
    configured.name.source == known.source && configured.settings.means(known)
}

fn is_same(a: &TableName, b: &TableName) -> bool {
    (&a.source, &a.schema, &a.name) == (&b.source, &b.schema, &b.name)
}

async fn heads(kafka: &KafkaSettings, client_id: &str, topic: String) -> Result<Vec<Remembered>> {
    let Some(state) = compacted(kafka, client_id, topic).await? else {
        return Ok(Vec::new());
    };
    let mut tables = Vec::new();
    let mut troubles = BTreeMap::new();
    for (key, value) in state.iter() {
        let table = match StateKey::parse(key) {
            Some(StateKey::Head { table }) => table,
            Some(StateKey::Trouble { table }) => {
                // It is for people: one that cannot be read says nothing.
                let trouble = decode::<Trouble>("a table's trouble", value).ok();
                troubles.extend(trouble.map(|trouble| (table, trouble)));
                continue;
            }
            _ => continue,
        };
        let head = decode::<Head>("what the table remembers", value);
        let written = head.as_ref().map(|head| head.table.clone());
        // A head that cannot be read still has its key; most tables are in the default schema.
        let written = written.unwrap_or_else(|_| usual_spelling(&table));
        if let Some(name) = TableName::from_key_tail(&table, &written) {
            let head = Some(head.map_err(|error| error.about(&name)));
            tables.push(Remembered {
                name,
                head,
                trouble: None,
            });
        }
    }
    for table in &mut tables {
        table.trouble = troubles.remove(&table.name.key_tail());
    }
    // The others never got a head.
    for (tail, trouble) in troubles {
        if let Some(name) = TableName::from_key_tail(&tail, &trouble.table) {
            tables.push(Remembered {
                name,
                head: None,
                trouble: Some(trouble),
            });
        }
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

/// `<source>.<table>` of a key's `<source>/<schema>/<table>`.
fn usual_spelling(key_tail: &str) -> String {
    let parts: Vec<&str> = key_tail.split('/').collect();
    match parts.as_slice() {
        [source, _, name] => format!("{source}.{name}"),
        _ => String::new(),
    }
}

/// A whole compacted topic; `None` if it is not there yet.
pub async fn compacted(
    kafka: &KafkaSettings,
    client_id: &str,
    topic: String,
) -> Result<Option<Compacted>> {
    let doing = format!("reading topic `{topic}`");
    let (kafka, client_id) = (kafka.clone(), client_id.to_owned());
    blocking(READING, &doing, move || {
        Compacted::open_if_there(&kafka, &client_id, &topic)
    })
    .await
}
