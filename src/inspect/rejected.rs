//! `rejected list` and `show`: the rows that could not be carried, read from Kafka alone.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use super::broker::Broker;
use super::memory::{Remembered, remembered};
use super::patience::{READING, blocking};
use crate::config::{KafkaSettings, Settings, glob_matches};
use crate::error::{Error, Kind, Result};
use crate::model::TableName;
use crate::state::{Head, Rejected};
use crate::topic::PartitionReader;

/// What a table's rejected topic has after the table's own.
const SUFFIX: &str = ".rejected";

/// A table's rejected rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedRows {
    pub table: String,
    pub topic: String,
    /// Rejected and not replayed: of the present epoch, and of the newest load of a bulk table.
    pub rows: u64,
    /// Rejected and sent since.
    pub replayed: u64,
    /// Of earlier epochs and loads, as long as the topic keeps them.
    pub earlier: u64,
    /// When the newest was rejected.
    pub newest_at: Option<String>,
    pub reasons: Vec<Reason>,
}

/// Why rows were rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub column: String,
    pub kind: String,
    pub rows: u64,
}

/// A rejected row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RejectedRecord {
    pub offset: u64,
    pub rejected_at: String,
    pub column: String,
    pub kind: String,
    pub row: Value,
    pub bad: Value,
}

/// The rejected rows of the named tables, or of all that have any.
pub async fn rejected_rows(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    tables: &[String],
) -> Result<Vec<RejectedRows>> {
    let mut list = Vec::new();
    for (name, head) in heads(settings, kafka, client_id, tables).await? {
        let topic = format!("{}{SUFFIX}", head.topic);
        let mut found = Found::default();
        read(kafka, client_id, &head, &topic, &mut found).await?;
        let named = !tables.is_empty();
        if found.is_there && (named || found.rows.len() + found.earlier > 0) {
            list.push(found.summed(&name, topic));
        }
    }
    list.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(list)
}

/// The newest rejected rows of one table, oldest of them first.
pub async fn newest_rejected(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    table: &str,
    limit: usize,
) -> Result<Vec<RejectedRecord>> {
    let heads = heads(settings, kafka, client_id, &[table.to_owned()]).await?;
    if let [(first, _), (second, _), ..] = heads.as_slice() {
        return Err(Error::new(
            Kind::Usage,
            format!("`{table}` could be `{first}` or `{second}`"),
        )
        .hint("write the source's name before it"));
    }
    let mut found = Found {
        keep: limit,
        ..Found::default()
    };
    for (_, head) in &heads {
        let topic = format!("{}{SUFFIX}", head.topic);
        read(kafka, client_id, head, &topic, &mut found).await?;
    }
    Ok(found.newest.into())
}

/// The tables that are meant and were read before.
async fn heads(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    tables: &[String],
) -> Result<Vec<(TableName, Head)>> {
    Broker::reach(kafka, client_id).await?;
    let known = remembered(settings, kafka, client_id).await?;
    let is_meant = |name: &TableName| {
        let (full, short) = (name.to_string(), name.short());
        let means = |wanted: &String| glob_matches(wanted, &full) || glob_matches(wanted, &short);
        tables.is_empty() || tables.iter().any(means)
    };
    let mut meant = Vec::new();
    let mut is_known = false;
    for Remembered { name, head, .. } in known.into_iter().filter(|known| is_meant(&known.name)) {
        is_known = true;
        if let Some(head) = head {
            meant.push((name, head?));
        }
    }
    match is_known || tables.is_empty() {
        true => Ok(meant),
        false => Err(Error::new(
            Kind::Usage,
            format!("no table is called `{}`", tables.join("`, `")),
        )
        .hint("`cdc status` lists the tables of this pipeline")),
    }
}

/// What was found in one topic.
#[derive(Default)]
struct Found {
    is_there: bool,
    /// Column and kind of each row that was not replayed, by its offset.
    rows: BTreeMap<u64, (String, String, String)>,
    replayed: u64,
    earlier: usize,
    /// How many of the newest records are kept.
    keep: usize,
    newest: VecDeque<RejectedRecord>,
}

impl Found {
    fn take(&mut self, head: &Head, offset: u64, record: Rejected) {
        let row = match record {
            Rejected::Replayed(of) => {
                if self.rows.remove(&of).is_some() {
                    self.replayed += 1;
                }
                self.newest.retain(|record| record.offset != of);
                return;
            }
            Rejected::Row(row) => row,
        };
        let load = head.load.as_ref().map(|load| load.ulid.as_str());
        if row.epoch != head.epoch || row.load.as_deref().is_some_and(|of| Some(of) != load) {
            self.earlier += 1;
            return;
        }
        let why = (
            row.column.clone(),
            row.kind.clone(),
            row.rejected_at.clone(),
        );
        self.rows.insert(offset, why);
        if self.keep > 0 {
            if self.newest.len() == self.keep {
                self.newest.pop_front();
            }
            self.newest.push_back(RejectedRecord {
                offset,
                rejected_at: row.rejected_at,
                column: row.column,
                kind: row.kind,
                row: row.row,
                bad: row.bad,
            });
        }
    }

    fn summed(self, table: &TableName, topic: String) -> RejectedRows {
        let newest_at = self.rows.values().next_back().map(|(_, _, at)| at.clone());
        let mut reasons: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (column, kind, _) in self.rows.values() {
            *reasons.entry((column.clone(), kind.clone())).or_default() += 1;
        }
        let reasons = reasons.into_iter();
        RejectedRows {
            table: table.to_string(),
            topic,
            rows: self.rows.len() as u64,
            replayed: self.replayed,
            earlier: self.earlier as u64,
            newest_at,
            reasons: reasons
                .map(|((column, kind), rows)| Reason { column, kind, rows })
                .collect(),
        }
    }
}

/// Reads a rejected topic from its beginning to its present end; a topic that is not there holds nothing.
async fn read(
    kafka: &KafkaSettings,
    client_id: &str,
    head: &Head,
    topic: &str,
    found: &mut Found,
) -> Result<()> {
    let (kafka, client_id) = (kafka.clone(), client_id.to_owned());
    let (head, topic) = (head.clone(), topic.to_owned());
    let mut taken = std::mem::take(found);
    let doing = format!("reading topic `{topic}`");
    let work = move || {
        let reader = PartitionReader::new(&kafka, &client_id, &topic)?;
        let partitions = match reader.partitions() {
            Ok(partitions) => partitions,
            Err(error) if error.kind() == Kind::Config => return Ok(taken),
            Err(error) => return Err(error),
        };
        taken.is_there = true;
        let marks = reader.marks(&(0..partitions).collect::<Vec<_>>())?;
        let mut failed = None;
        reader.read_placed(&marks, |_, offset, _, value| {
            match value.map(Rejected::parse) {
                Some(Ok(record)) => taken.take(&head, offset.unsigned_abs(), record),
                Some(Err(error)) => drop(failed.get_or_insert(error)),
                None => {}
            }
        })?;
        match failed {
            Some(error) => Err(error.about(&topic)),
            None => Ok(taken),
        }
    };
    *found = blocking(READING, &doing, work).await?;
    Ok(())
}
