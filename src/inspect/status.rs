//! `status`: one line per table, read from Kafka and the lake alone, so that it works while databases are down
//! and no worker runs. It only reads.
//!
//! Kafka is asked a handful of questions, however many tables there are. The lake takes some requests per table, so
//! that of many tables only those are looked up there about which Kafka leaves a question.

use std::collections::BTreeMap;

use serde::Serialize;

use super::broker::Broker;
use super::memory::remembered;
use super::named::must_be_some;
use super::patience::{PATIENCE, within};
use super::stops::{StoppedPartition, Stops, stops};
use crate::config::{KafkaSettings, Settings, is_meant};
use crate::error::Result;
use crate::lake::{Store, open_to_read};
use crate::model::{GuardClass, Mode, TableName};
use crate::state::{ENDS_BY_ITSELF, Head, PipelineNames};
use crate::topic::{Admin, Member};

mod in_lake;
mod logs;
mod table;

use in_lake::{InLake, in_lake};
pub(super) use logs::{Logs, logs, topics_there};
pub(super) use table::still_stopped;
use table::{AtWork, sort_worst_first, table_status};

/// How a pipeline fares.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineStatus {
    pub pipeline: String,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Worst first.
    pub tables: Vec<TableStatus>,
    /// Tables that were not looked up in the lake: of many, only those are that are behind.
    pub not_looked_up: usize,
    /// Names of the workers that capture, and of those that write the lake.
    pub capture_workers: Vec<String>,
    pub sink_workers: Vec<String>,
    /// How old the oldest row of a file may be when the file is closed and goes into the lake.
    pub files_age_seconds: u64,
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
    /// Kept in step; a bulk table by its schedule.
    Following,
    /// Nobody is at work on it now.
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
    /// Milliseconds since 1970: when the next load of a bulk table is due, while somebody follows it.
    pub next_load_at: Option<i64>,
    pub lake: LakeStatus,
    pub error: Option<String>,
    /// By what `cdc explain` knows the error.
    pub code: Option<String>,
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

/// Tables that are looked up in the lake: all of a pipeline that has no more, else those that are behind.
const IN_LAKE: usize = 32;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusOf<'a> {
    /// Names and globs; none: all tables.
    pub tables: &'a [String],
    /// Look every table up in the lake, however many there are.
    pub in_full: bool,
}

/// Finds out how the pipeline fares. Fails only where Kafka does not answer, or no table is meant.
pub async fn status(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    asked: StatusOf<'_>,
) -> Result<PipelineStatus> {
    let names = PipelineNames::new(&settings.pipeline);
    let opening = within(
        PATIENCE,
        "opening the lake",
        open_to_read(&settings.lake.place),
    );
    // Everything that needs nothing else begins at once. A broker that is silent ends all of it.
    let at_broker = async {
        let broker = Broker::reach(kafka, client_id).await?;
        let (capture, sink, topics) = tokio::try_join!(
            members(&broker, names.capture_group.clone()),
            members(&broker, names.sink_group.clone()),
            topics_there(&broker),
        )?;
        Ok((broker, capture, sink, topics))
    };
    let (at_broker, known, stops, store) = tokio::try_join!(
        at_broker,
        remembered(settings, kafka, client_id),
        async { Ok(stops(kafka, client_id, names.loads_topic.clone()).await) },
        async { Ok(opening.await) },
    )?;
    let (broker, capture, sink, there) = at_broker;
    let mut known = known;
    let all: Vec<String> = known.iter().map(|table| table.name.to_string()).collect();
    known.retain(|table| is_meant(asked.tables, &table.name));
    must_be_some(asked.tables, known.len(), &all)?;
    let mut notes = Vec::new();
    let stops = stops.unwrap_or_else(|error| {
        notes.push(error.to_string());
        Stops::new()
    });
    let at_work = AtWork {
        captures: !capture.is_empty(),
        follows: capture
            .iter()
            .any(|member| !member.client_id.ends_with(ENDS_BY_ITSELF)),
        writes: !sink.is_empty(),
    };
    let heads: Vec<(&TableName, &Head)> = known
        .iter()
        .filter_map(|table| Some((&table.name, table.head.as_ref()?.as_ref().ok()?)))
        .collect();
    let asking = logs(&broker, there, &names, &heads);
    let everything = asked.in_full || heads.len() <= IN_LAKE;
    let mut not_looked_up = 0;
    let (logs, chunks) = if everything {
        let (logs, chunks) = tokio::join!(asking, look_up(store, &heads));
        let logs = logs.unwrap_or_else(|error| nothing_of(error, &mut notes));
        (logs, chunks)
    } else {
        let logs = asking
            .await
            .unwrap_or_else(|error| nothing_of(error, &mut notes));
        let behind = logs.most_behind(&heads, IN_LAKE);
        not_looked_up = heads.len() - behind.len();
        (logs, look_up(store, &behind).await)
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
            let written = settings.table_settings(&table.name);
            table_status(table, written, found, &logs, &stops, at_work, now)
        })
        .collect();
    sort_worst_first(&mut tables);
    Ok(PipelineStatus {
        pipeline: settings.pipeline.clone(),
        at: now,
        not_looked_up,
        tables,
        capture_workers: names_of(capture),
        sink_workers: names_of(sink),
        files_age_seconds: settings.lake.files.age.as_secs(),
        notes,
    })
}

async fn look_up(
    store: Result<std::sync::Arc<dyn Store>>,
    heads: &[(&TableName, &Head)],
) -> Result<BTreeMap<TableName, InLake>> {
    let store = store?;
    let looking = in_lake(store.as_ref(), heads);
    within(PATIENCE, "looking at the lake", looking).await
}

fn nothing_of(error: crate::error::Error, notes: &mut Vec<String>) -> Logs {
    notes.push(error.to_string());
    Logs::default()
}

/// The names of a group's members: the third part of their `client.id`, `cdc.<pipeline>.<worker>.…`.
async fn members(broker: &Broker, group: String) -> Result<Vec<Member>> {
    let question = move |admin: &Admin| admin.members(&group);
    broker.ask("asking who is at work", question).await
}

fn names_of(members: Vec<Member>) -> Vec<String> {
    let name = |member: Member| match member.client_id.split('.').nth(2) {
        Some(worker) => worker.to_owned(),
        None => member.client_id,
    };
    let mut names: Vec<String> = members.into_iter().map(name).collect();
    names.sort();
    names
}
