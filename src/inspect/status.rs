//! `status`: one line per table, read from Kafka and the lake alone, so that it works while databases are down
//! and no worker runs. It only reads.

use std::collections::BTreeMap;

use serde::Serialize;

use super::broker::Broker;
use super::memory::remembered;
use super::patience::{PATIENCE, within};
use super::stops::{StoppedPartition, Stops, stops};
use crate::config::{KafkaSettings, Settings};
use crate::error::Result;
use crate::lake::open_to_read;
use crate::model::{GuardClass, Mode, TableName};
use crate::state::{Head, PipelineNames};
use crate::topic::{Admin, Member};

mod in_lake;
mod logs;
mod table;

use in_lake::in_lake;
use logs::{Logs, logs};
use table::{AtWork, sort_worst_first, table_status};

/// How a pipeline fares.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineStatus {
    pub pipeline: String,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Worst first.
    pub tables: Vec<TableStatus>,
    /// Names of the workers that capture, and of those that write the lake.
    pub capture_workers: Vec<String>,
    pub sink_workers: Vec<String>,
    /// What could not be found out.
    pub notes: Vec<String>,
}

/// What a table is doing. In the order in which it wants attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TableState {
    /// It stands still until somebody acts, or until its next tick.
    Failed,
    /// What it remembers cannot be read.
    Unknown,
    /// A part does not answer, and it is tried again by itself.
    Waiting,
    Paused,
    /// Nothing was read of it yet.
    New,
    /// Its initial copy is not complete.
    Copying,
    Loading,
    Following,
    /// Nobody is at work on it now, or it waits for its next load.
    Idle,
}

/// How a table fares.
#[derive(Clone, Debug, Serialize)]
pub struct TableStatus {
    pub table: String,
    pub state: TableState,
    pub mode: Option<Mode>,
    /// How much of the initial copy is done, where that is known.
    pub percent: Option<u8>,
    /// Where its reading stands, in short.
    pub cursor: Option<String>,
    pub guard: Option<GuardClass>,
    /// Rows sent since the table was begun.
    pub rows: u64,
    /// Rows rejected since then and not replayed, and values sent as NULL, because they cannot be carried exactly.
    pub rejected: u64,
    pub nulled: u64,
    /// Milliseconds since 1970: every row the database had committed by then is in Kafka. Written with rows, and
    /// once a minute while nothing changes.
    pub captured_at: Option<i64>,
    pub capture_lag_seconds: Option<i64>,
    pub lake: LakeStatus,
    pub error: Option<String>,
    pub next: Option<String>,
    /// Milliseconds since 1970 when that began.
    pub error_since: Option<i64>,
}

/// How far the lake is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LakeStatus {
    /// Records in Kafka that are not in the lake yet.
    pub records_behind: Option<u64>,
    /// Milliseconds since 1970, of the newest chunk of files or the current load.
    pub newest_at: Option<i64>,
    /// The newest chunk's rows, or the current load's.
    pub newest_rows: Option<u64>,
    /// The number of a bulk table's current load.
    pub load: Option<u64>,
    /// Partitions of its topic that do not get into the lake.
    pub stopped: Vec<StoppedPartition>,
}

/// Finds out how the pipeline fares. Fails only where Kafka does not answer.
pub async fn status(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
) -> Result<PipelineStatus> {
    let names = PipelineNames::new(&settings.pipeline);
    let broker = Broker::reach(kafka, client_id).await?;
    let opening = within(
        PATIENCE,
        "opening the lake",
        open_to_read(&settings.lake.place),
    );
    let (known, stops, capture, sink, store) = tokio::join!(
        remembered(settings, kafka, &broker, client_id),
        stops(kafka, &broker, client_id, names.loads_topic.clone()),
        workers(&broker, names.capture_group.clone()),
        workers(&broker, names.sink_group.clone()),
        opening,
    );
    let (known, capture_workers, sink_workers) = (known?, capture?, sink?);
    let mut notes = Vec::new();
    let stops = stops.unwrap_or_else(|error| {
        notes.push(error.to_string());
        Stops::new()
    });
    let at_work = AtWork {
        captures: !capture_workers.is_empty(),
        writes: !sink_workers.is_empty(),
    };
    let heads: Vec<(&TableName, &Head)> = known
        .iter()
        .filter_map(|table| Some((&table.name, table.head.as_ref()?.as_ref().ok()?)))
        .collect();
    let logs = logs(kafka, &broker, client_id, &names.sink_group, &heads)
        .await
        .unwrap_or_else(|error| {
            notes.push(error.to_string());
            Logs::default()
        });
    let chunks = match store {
        Ok(store) => {
            within(
                PATIENCE,
                "looking at the lake",
                in_lake(store.as_ref(), &heads),
            )
            .await
        }
        Err(error) => Err(error),
    };
    let chunks = chunks.unwrap_or_else(|error| {
        notes.push(format!(
            "{error}; how far the lake is follows from Kafka alone"
        ));
        BTreeMap::new()
    });
    let now = jiff::Timestamp::now().as_millisecond();
    let mut tables: Vec<TableStatus> = known
        .iter()
        .map(|table| {
            let found = chunks.get(&table.name);
            table_status(table, found, &logs, &stops, at_work, now)
        })
        .collect();
    sort_worst_first(&mut tables);
    Ok(PipelineStatus {
        pipeline: settings.pipeline.clone(),
        at: now,
        tables,
        capture_workers,
        sink_workers,
        notes,
    })
}

/// The names of a group's members: the third part of their `client.id`, `cdc.<pipeline>.<worker>.…`.
async fn workers(broker: &Broker, group: String) -> Result<Vec<String>> {
    let question = move |admin: &Admin| admin.members(&group);
    let members = broker.ask("asking who is at work", question).await?;
    let name = |member: Member| match member.client_id.split('.').nth(2) {
        Some(worker) => worker.to_owned(),
        None => member.client_id,
    };
    let mut names: Vec<String> = members.into_iter().map(name).collect();
    names.sort();
    Ok(names)
}
