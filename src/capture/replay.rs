//! Rejected rows of an incrementing table are read again, and those that fit now are sent.
//!
//! The rows and the records that say so of them are in one transaction: a second replay, also one after a crash,
//! finds only what was not sent. Only incrementing tables: their polls never come back to an id. A timestamp
//! table's corrected row has a new timestamp, and a load reads everything.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use ulid::Ulid;

use super::sending::Sending;
use super::unit::{Found, Unit, outcome, refused, rows_of};
use crate::error::{Error, Kind, Result};
use crate::model::Mode;
use crate::source::row_ids;
use crate::state::{Outcome, Rejected};
use crate::topic::PartitionReader;

/// Ids of one statement.
const IDS_PER_STATEMENT: usize = 200;

/// Rejected rows that were not sent since: of each id, the offset of its record and its key.
type Outstanding = BTreeMap<i128, (u64, Vec<u8>)>;

/// Carries a request out and answers it. A failure of the database is the table's; what is wrong with the request is
/// its answer.
pub(super) async fn answer(
    unit: &Unit,
    sending: &mut Sending,
    found: &Found,
    id: Ulid,
) -> Result<()> {
    let answer = match refusal(unit, sending, found) {
        Some(why) => outcome(Kind::No.exit_code(), why, Vec::new()),
        None => match replay(unit, sending, found).await {
            // A value that still does not fit, under a policy that stops at it: the table itself is well.
            Err(error) if error.kind() == Kind::Data && !sending.is_refused() => refused(&error),
            replayed => replayed?,
        },
    };
    sending.answer(id, &answer).await
}

/// Why the rows of this table are not replayed.
pub(super) fn refusal(unit: &Unit, sending: &Sending, found: &Found) -> Option<String> {
    let name = &unit.chosen.name;
    match found.readable.mode {
        Mode::Bulk => Some(format!(
            "a load reads every row: `cdc snapshot {name}` brings those that fit now"
        )),
        Mode::Timestamp | Mode::TimestampIncrementing => Some(
            "a corrected row comes by itself, because its timestamp is new; where it is not, set it".to_owned(),
        ),
        Mode::Incrementing if found.readable.table.schema.key.is_empty() => Some(
            "the table has no key, so nothing tells which of its rows were rejected".to_owned(),
        ),
        Mode::Incrementing if sending.head.paused => {
            Some(format!("it is paused: `cdc resume {name}` lets it go on"))
        }
        Mode::Incrementing => None,
    }
}

async fn replay(unit: &Unit, sending: &mut Sending, found: &Found) -> Result<Outcome> {
    // What this unit has sent and rejected so far is in the topic before it is read.
    sending.settle().await?;
    let outstanding = tokio::task::block_in_place(|| outstanding(unit, sending, found))?;
    let ids: Vec<(i128, i128)> = outstanding.keys().map(|id| (*id, *id)).collect();
    let (mut sent, mut seen) = (0, BTreeSet::new());
    let readable = &found.readable;
    let mut session = unit.source.session().await?;
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let select = readable.statements.gaps(ids)?;
        let mut batches = session.rows(&readable.table, &select, readable.limits);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            seen.extend(row_ids(readable, &batch)?);
            sent += sending
                .replay(batch, |rows, row, key| {
                    let id = row_ids(readable, &rows.slice(row, 1))
                        .ok()?
                        .first()
                        .copied()?;
                    let (offset, of) = outstanding.get(&id)?;
                    (of == key).then_some(*offset)
                })
                .await?;
        }
    }
    sending.settle().await?;
    let gone = outstanding.keys().filter(|id| !seen.contains(*id)).count() as u64;
    let still = (outstanding.len() as u64).saturating_sub(sent + gone);
    tracing::info!(table = %unit.chosen.name, sent, still, gone, "rejected rows were read again");
    let text = format!(
        "{} sent, {still} still rejected, {gone} gone from the table",
        rows_of(sent)
    );
    Ok(Outcome {
        rows: Some(sent),
        ..outcome(0, text, unit.ends(sending)?)
    })
}

/// Reads the rejected topic to its present end.
fn outstanding(unit: &Unit, sending: &Sending, found: &Found) -> Result<Outstanding> {
    let mut outstanding = Outstanding::new();
    let Some(topic) = unit.chosen.name_of_rejected_topic() else {
        return Ok(outstanding);
    };
    let shared = &unit.shared;
    let reader = PartitionReader::new(&shared.kafka, &shared.client_id, topic.as_str())?;
    let partitions = match reader.partitions() {
        // Nothing was ever rejected.
        Err(error) if error.kind() == Kind::Config => return Ok(outstanding),
        partitions => partitions?,
    };
    let id_column = found.readable.cursor_column().unwrap_or_default();
    let (epoch, mut id_at, mut failed) = (sending.head.epoch, BTreeMap::new(), None);
    let marks = reader.marks(&(0..partitions).collect::<Vec<_>>())?;
    reader.read_placed(&marks, |_, offset, key, value| {
        let offset = offset.unsigned_abs();
        match value.map(Rejected::parse) {
            Some(Ok(Rejected::Replayed(of))) => {
                if let Some(id) = id_at.remove(&of) {
                    outstanding.remove(&id);
                }
            }
            Some(Ok(Rejected::Row(row))) if row.epoch == epoch => {
                let id = row.row.get(id_column).map(ToString::to_string);
                if let Some(id) = id.and_then(|id| id.parse::<i128>().ok()) {
                    id_at.insert(offset, id);
                    outstanding.insert(id, (offset, key.to_vec()));
                }
            }
            Some(Ok(Rejected::Row(_))) | None => {}
            Some(Err(error)) => drop(failed.get_or_insert(error)),
        }
    })?;
    match failed {
        Some(error) => Err(Error::new(error.kind(), error.to_string()).about(&topic)),
        None => Ok(outstanding),
    }
}
