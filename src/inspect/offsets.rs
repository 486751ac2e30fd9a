//! `offsets list`, `get` and `export`: the tables' cursors, and how far the lake is, from Kafka alone.

use serde::Serialize;

use super::broker::Broker;
use super::memory::heads_of;
use super::status::{Logs, logs, still_stopped, topics_there};
use super::stops::{Stops, stops};
use super::words;
use crate::config::{KafkaSettings, Settings};
use crate::error::Result;
use crate::model::{CopyPhase, Cursor, Mode, TableName};
use crate::state::{Head, Offsets, PipelineNames};

/// Where a table stands.
#[derive(Clone, Debug, Serialize)]
pub struct TableOffsets {
    pub table: String,
    pub mode: Mode,
    /// Raised by every reset.
    pub epoch: u64,
    /// The cursor in words; `None` for a table without one.
    pub cursor: Option<String>,
    /// Ranges of ids that are missing and still awaited.
    pub gaps: usize,
    /// Rows sent in this epoch.
    pub rows: u64,
    pub copy: Option<CopyState>,
    pub paused: bool,
    pub topic: String,
    pub partitions: Vec<PartitionOffsets>,
    /// The same as `cdc offsets get` writes.
    pub offsets: Option<Offsets>,
    #[serde(skip)]
    pub name: TableName,
}

/// How far an initial copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CopyState {
    pub phase: CopyPhase,
    pub rows: u64,
    pub percent: Option<u8>,
}

/// How far the sink is with a partition of the table's topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionOffsets {
    pub partition: i32,
    /// Every record below it is in the lake; `None` before the first.
    pub committed: Option<u64>,
    /// The log's end, marks of transactions included.
    pub end: Option<u64>,
    /// Why it does not get into the lake, if it does not.
    pub stopped: Option<String>,
}

/// Where the named tables stand, or all that were read before.
pub async fn offsets(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    tables: &[String],
) -> Result<Vec<TableOffsets>> {
    let names = PipelineNames::new(&settings.pipeline);
    let broker = Broker::reach(kafka, client_id).await?;
    let (heads, stops, there) = tokio::try_join!(
        heads_of(settings, kafka, client_id, tables),
        stops(kafka, client_id, names.loads_topic.clone()),
        topics_there(&broker),
    )?;
    let named: Vec<(&TableName, &Head)> = heads.iter().map(|(name, head)| (name, head)).collect();
    let logs = logs(&broker, there, &names, &named).await?;
    let all = heads
        .iter()
        .map(|(name, head)| of(name, head, &logs, &stops));
    Ok(all.collect())
}

/// The documents of the named tables; those without a cursor are left out.
pub async fn offsets_of(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    tables: &[String],
) -> Result<Vec<(TableName, Option<Offsets>)>> {
    let heads = heads_of(settings, kafka, client_id, tables).await?;
    let all = heads
        .into_iter()
        .map(|(name, head)| (name, Offsets::of(&head)));
    Ok(all.collect())
}

fn of(name: &TableName, head: &Head, logs: &Logs, stops: &Stops) -> TableOffsets {
    let stopped = still_stopped(name, head, stops, logs);
    let partitions = (0..head.partitions).map(|partition| {
        let place = (head.topic.clone(), partition);
        let stop = stopped.iter().find(|stop| stop.partition == partition);
        PartitionOffsets {
            partition,
            committed: logs.committed.get(&place).copied(),
            end: logs.bounds.get(&place).map(|(_, end)| *end),
            stopped: stop.map(|stop| stop.error.clone()),
        }
    });
    let columns = &head.cursor_columns;
    let cursor = head.cursor.as_ref();
    TableOffsets {
        table: name.to_string(),
        mode: head.mode,
        epoch: head.epoch,
        cursor: cursor.map(|cursor| words::cursor(columns, cursor)),
        gaps: match cursor {
            Some(Cursor::Incrementing(cursor)) => cursor.gaps.len(),
            _ => 0,
        },
        rows: head.rows,
        copy: head.copy.as_ref().map(|copy| CopyState {
            phase: copy.phase,
            rows: copy.rows,
            percent: words::copied_percent(head.mode, copy),
        }),
        paused: head.paused,
        topic: head.topic.clone(),
        partitions: partitions.collect(),
        offsets: Offsets::of(head),
        name: name.clone(),
    }
}
