//! `status`: one line per table, read from Kafka and the lake alone, so that it works while databases are down
//! and no worker runs. It only reads.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::broker::Broker;
use super::memory::{Remembered, remembered};
use super::patience::{PATIENCE, within};
use super::stops::{StoppedPartition, Stops, stops};
use super::words;
use crate::config::{KafkaSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::lake::{Plan, Store, open_to_read};
use crate::model::{CopyPhase, GuardClass, Mode, TableName};
use crate::state::{Head, PipelineNames};
use crate::topic::{Admin, Member};

/// Tables whose plans are looked at side by side.
const AT_ONCE: usize = 16;

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

/// Where the topics begin and end, and how far the sink has committed.
#[derive(Default)]
struct Logs {
    committed: BTreeMap<(String, i32), u64>,
    bounds: BTreeMap<(String, i32), (u64, u64)>,
}

async fn logs(
    kafka: &KafkaSettings,
    broker: &Broker,
    client_id: &str,
    group: &str,
    heads: &[(&TableName, &Head)],
) -> Result<Logs> {
    let partitions: Vec<(String, i32)> = heads
        .iter()
        .flat_map(|(_, head)| (0..head.partitions).map(|partition| (head.topic.clone(), partition)))
        .collect();
    let (kafka, client_id, group) = (kafka.clone(), client_id.to_owned(), group.to_owned());
    let question = move |admin: &Admin| {
        // A topic that is gone is the table's affair, not this answer's.
        let bounds = admin.bounds_of(&partitions)?;
        let committed = Admin::committed(&kafka, &client_id, &group, &partitions)?;
        Ok(Logs { committed, bounds })
    };
    broker.ask("asking how far the lake is", question).await
}

/// What the lake says of a table.
#[derive(Default)]
struct InLake {
    /// The newest chunk of each partition in the head's epoch.
    chunks: BTreeMap<i32, Chunk>,
    /// When the newest of them was planned, in milliseconds since 1970.
    newest_at: Option<i64>,
    current: Option<CurrentLoad>,
}

/// Offsets and sequence numbers of a chunk of files.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    end: u64,
    first_sequence: u64,
    next_sequence: u64,
}

async fn in_lake(
    store: &dyn Store,
    heads: &[(&TableName, &Head)],
) -> Result<BTreeMap<TableName, InLake>> {
    let looks = heads.iter().map(|(name, head)| async move {
        let found = look(store, name, head)
            .await
            .map_err(|error| error.about(name))?;
        Ok::<_, Error>(((*name).clone(), found))
    });
    let mut found = BTreeMap::new();
    let mut looks = futures_util::stream::iter(looks).buffer_unordered(AT_ONCE);
    while let Some(one) = looks.next().await {
        let (name, one) = one?;
        found.insert(name, one);
    }
    Ok(found)
}

async fn look(store: &dyn Store, name: &TableName, head: &Head) -> Result<InLake> {
    let mut found = InLake::default();
    if head.mode == Mode::Bulk {
        found.current = CurrentLoad::read(store, name).await?;
    }
    for partition in 0..head.partitions {
        let plans = store
            .list(&Plan::directory(&head.topic, head.epoch, partition))
            .await?;
        let Some(newest) = plans.last() else { continue };
        found.newest_at = found.newest_at.max(Some(newest.modified));
        let text = store.get(&newest.path).await?;
        // A stretch that was given up by hand is no chunk; Kafka says how far such a partition is.
        if let Some(plan) = text.and_then(|(text, _)| Plan::from_json(&text).ok()) {
            let chunk = Chunk {
                end: plan.end,
                first_sequence: plan.first_sequence,
                next_sequence: plan.next_sequence,
            };
            found.chunks.insert(partition, chunk);
        }
    }
    Ok(found)
}

/// `_current.json`: the load a reader opens.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct CurrentLoad {
    v: u32,
    load: u64,
    /// The load's directory, relative to the lake's root.
    pub path: String,
    rows: u64,
    switched_at: String,
}

impl CurrentLoad {
    /// The current load of a bulk table; `None` while none is complete.
    pub async fn read(store: &dyn Store, table: &TableName) -> Result<Option<Self>> {
        let path = format!("{}/_current.json", table.directory());
        let Some((text, _)) = store.get(&path).await? else {
            return Ok(None);
        };
        let doing =
            || Error::new(Kind::Data, "reading the current load").about(store.location(&path));
        let current: CurrentLoad =
            serde_json::from_slice(&text).map_err(|error| doing().because(error))?;
        match current.v {
            1 => Ok(Some(current)),
            _ => Err(Error::new(
                Kind::TryLater,
                format!("`_current.json` has format version {}", current.v),
            )
            .hint("a newer `cdc` wrote it; use that version here too")),
        }
    }
}

/// Whether anybody is at work on the two halves.
#[derive(Clone, Copy, Default)]
struct AtWork {
    captures: bool,
    writes: bool,
}

fn table_status(
    table: &Remembered,
    found: Option<&InLake>,
    logs: &Logs,
    stops: &Stops,
    at_work: AtWork,
    now: i64,
) -> TableStatus {
    let mut status = TableStatus {
        table: table.name.to_string(),
        state: TableState::New,
        mode: None,
        percent: None,
        cursor: None,
        guard: None,
        rows: 0,
        rejected: 0,
        nulled: 0,
        captured_at: None,
        capture_lag_seconds: None,
        lake: LakeStatus::default(),
        error: None,
        next: None,
        error_since: None,
    };
    let head = match &table.head {
        None => {
            status.take_trouble(table, at_work);
            return status;
        }
        Some(Err(error)) => {
            status.state = TableState::Unknown;
            status.error = Some(error.to_string());
            status.next = error.next_step().map(str::to_owned);
            return status;
        }
        Some(Ok(head)) => head,
    };
    status.state = state_of(head, at_work.captures);
    status.mode = Some(head.mode);
    status.cursor = cursor_of(head);
    status.guard = head.guard.clone();
    status.rows = head.rows;
    (status.rejected, status.nulled) = (head.rejected, head.nulled);
    if status.state == TableState::Copying {
        status.percent = head
            .copy
            .as_ref()
            .and_then(|copy| words::copied_percent(head.mode, copy));
    }
    status.captured_at = match (&head.load, head.fresh_to) {
        (Some(load), _) => Some(load.began_at),
        (None, fresh_to) => fresh_to.map(|micros| micros / 1000),
    };
    status.capture_lag_seconds = status.captured_at.map(|at| ((now - at) / 1000).max(0));
    status.lake = lake_status(head, found, logs);
    status.lake.stopped = still_stopped(table, head, stops, logs);
    if let Some(failure) = &head.failure {
        status.error = Some(failure.text.clone());
        status.next = failure.next_step.clone();
        status.error_since = Some(failure.at);
    } else {
        status.take_trouble(table, at_work);
    }
    let is_left = |stop: &StoppedPartition| !stop.is_retried;
    if status.lake.stopped.iter().any(is_left) {
        status.state = TableState::Failed;
    } else if !status.lake.stopped.is_empty() && at_work.writes {
        status.state = status.state.min(TableState::Waiting);
    }
    status
}

impl TableStatus {
    /// What keeps the table from working beyond what its head says. What is tried again is news only while somebody
    /// tries.
    fn take_trouble(&mut self, table: &Remembered, at_work: AtWork) {
        let trouble = table.trouble.as_ref();
        let Some(trouble) = trouble.filter(|trouble| !trouble.is_retried || at_work.captures)
        else {
            return;
        };
        self.state = match trouble.is_retried {
            true => TableState::Waiting,
            false => TableState::Failed,
        };
        self.error = Some(trouble.text.clone());
        self.next = trouble.next_step.clone();
        self.error_since = Some(trouble.since);
    }
}

/// The partitions that stand still where they stood when that was written.
fn still_stopped(
    table: &Remembered,
    head: &Head,
    stops: &Stops,
    logs: &Logs,
) -> Vec<StoppedPartition> {
    let of = (table.name.head_key(), head.topic.clone());
    let stopped = stops.get(&of).into_iter().flatten();
    let stands = |stop: &&StoppedPartition| {
        let committed = logs.committed.get(&(head.topic.clone(), stop.partition));
        committed.is_none_or(|committed| *committed <= stop.offset)
    };
    stopped.filter(stands).cloned().collect()
}

fn state_of(head: &Head, is_followed: bool) -> TableState {
    let copy_is_open = head
        .copy
        .as_ref()
        .is_some_and(|copy| copy.phase != CopyPhase::Done);
    let load_is_open = head.load.as_ref().is_some_and(|load| load.open);
    match head {
        Head {
            failure: Some(_), ..
        } => TableState::Failed,
        Head { paused: true, .. } => TableState::Paused,
        _ if copy_is_open => TableState::Copying,
        _ if load_is_open => TableState::Loading,
        Head {
            mode: Mode::Bulk, ..
        } => TableState::Idle,
        _ if is_followed => TableState::Following,
        _ => TableState::Idle,
    }
}

fn cursor_of(head: &Head) -> Option<String> {
    match (&head.copy, &head.load, &head.cursor) {
        (_, Some(load), _) => Some(format!("load {}", load.number)),
        (Some(copy), _, _) if copy.phase != CopyPhase::Done => {
            Some(format!("{} rows copied", words::number(copy.rows)))
        }
        (_, None, Some(cursor)) => Some(words::cursor(&head.cursor_columns, cursor)),
        (_, None, None) => None,
    }
}

fn lake_status(head: &Head, found: Option<&InLake>, logs: &Logs) -> LakeStatus {
    let mut behind = Some(0);
    for (partition, next) in (0..).zip(&head.next) {
        let of = (head.topic.clone(), partition);
        let committed = logs.committed.get(&of).copied();
        let bounds = logs.bounds.get(&of).copied();
        let chunk = found
            .and_then(|found| found.chunks.get(&partition))
            .copied();
        let of_partition =
            records_behind(*next, found.is_some().then_some(chunk), committed, bounds);
        behind = behind.zip(of_partition).map(|(sum, more)| sum + more);
    }
    let current = found.and_then(|found| found.current.as_ref());
    let switched_at =
        current.and_then(|current| current.switched_at.parse::<jiff::Timestamp>().ok());
    let chunks = found
        .map(|found| found.chunks.values())
        .into_iter()
        .flatten();
    let rows: u64 = chunks
        .map(|chunk| chunk.next_sequence - chunk.first_sequence)
        .sum();
    LakeStatus {
        records_behind: behind,
        newest_at: match head.mode {
            Mode::Bulk => switched_at.map(jiff::Timestamp::as_millisecond),
            _ => found.and_then(|found| found.newest_at),
        },
        newest_rows: match head.mode {
            Mode::Bulk => current.map(|current| current.rows),
            _ => Some(rows).filter(|rows| *rows > 0),
        },
        load: current.map(|current| current.load),
        stopped: Vec::new(),
    }
}

/// How many records of a partition are not in the lake yet.
///
/// The log's end counts control records, which are in no file, so that the difference of two offsets never
/// becomes 0. Sequence numbers count records alone: the head knows the next one that will be sent, the newest
/// plan the next one that will be planned. That plan's files are all in the lake once the offset behind them is
/// committed; before that none of it is counted. Offsets bound the answer from above where plans say less, e.g.
/// while the lake does not answer (`chunk` is `None` then, and `Some(None)` where there is no plan).
fn records_behind(
    next: u64,
    chunk: Option<Option<Chunk>>,
    committed: Option<u64>,
    bounds: Option<(u64, u64)>,
) -> Option<u64> {
    let by_sequence = chunk.map(|chunk| match chunk {
        Some(chunk) if committed.is_some_and(|at| at >= chunk.end) => {
            next.saturating_sub(chunk.next_sequence)
        }
        Some(chunk) => next.saturating_sub(chunk.first_sequence),
        None => next.saturating_sub(1),
    });
    let by_offset = bounds.map(|(low, end)| end.saturating_sub(committed.unwrap_or(low)));
    match (by_sequence, by_offset) {
        (Some(by_sequence), Some(by_offset)) => Some(by_sequence.min(by_offset)),
        (one, other) => one.or(other),
    }
}

fn sort_worst_first(tables: &mut [TableStatus]) {
    tables.sort_by(|a, b| {
        let late =
            |table: &TableStatus| std::cmp::Reverse(table.lake.records_behind.unwrap_or(u64::MAX));
        (a.state, late(a), &a.table).cmp(&(b.state, late(b), &b.table))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: Chunk = Chunk {
        end: 100,
        first_sequence: 41,
        next_sequence: 91,
    };

    #[test]
    fn a_lake_that_holds_every_record_is_0_behind_although_the_log_ends_later() {
        let behind = |next, committed| {
            records_behind(next, Some(Some(CHUNK)), Some(committed), Some((0, 105)))
        };
        assert_eq!(behind(91, 100), Some(0));
        assert_eq!(behind(94, 100), Some(3));
        // Planned, and perhaps not put: none of the chunk counts.
        assert_eq!(behind(91, 50), Some(50));
    }

    #[test]
    fn without_plans_the_offsets_say_it_and_without_either_nothing_does() {
        assert_eq!(
            records_behind(11, Some(None), None, Some((0, 12))),
            Some(10)
        );
        assert_eq!(records_behind(11, None, Some(7), Some((0, 12))), Some(5));
        assert_eq!(records_behind(11, None, None, None), None);
        // Retention took what the sink never saw: what is gone is not waited for.
        assert_eq!(
            records_behind(11, Some(None), None, Some((10, 12))),
            Some(2)
        );
    }

    fn table(name: &str, state: TableState, behind: u64) -> TableStatus {
        let name = TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: name.into(),
            in_default_schema: true,
        };
        let mut status = table_status(
            &Remembered {
                name,
                head: None,
                trouble: None,
            },
            None,
            &Logs::default(),
            &Stops::new(),
            AtWork::default(),
            0,
        );
        status.state = state;
        status.lake.records_behind = Some(behind);
        status
    }

    #[test]
    fn what_wants_attention_stands_first() {
        use TableState::*;
        let mut tables = vec![
            table("a", Idle, 0),
            table("b", Following, 0),
            table("c", Following, 900),
            table("d", Failed, 0),
            table("e", Copying, 5),
            table("f", Following, 0),
            table("g", Unknown, 0),
        ];
        sort_worst_first(&mut tables);
        let order: Vec<&str> = tables
            .iter()
            .filter_map(|table| table.table.strip_prefix("ec."))
            .collect();
        assert_eq!(order, ["d", "g", "e", "c", "b", "f", "a"]);
    }
}
