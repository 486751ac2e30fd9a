//! Bulk loads: whether one is complete, and what may be deleted. Pure: no I/O, no clock.
//!
//! Each partition's owner states in a share how many rows its files hold, read from their footers: a plan
//! proves intent, not files. A load becomes the current one when all shares are there and every count equals
//! what was sent, and what was sent equals the database's own count.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::{LoadRecord, LoadState};

/// The loads of one table by number.
pub type LoadsOfTable = BTreeMap<u64, LoadRecord>;

/// What is to be thought of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has not ended.
    Open,
    /// It will never be complete.
    Abandoned,
    /// Shares of these partitions are missing.
    Waiting(Vec<i32>),
    /// It ended, and the lake does not hold what was sent; the sentence says what.
    Unequal(String),
    /// The lake holds all of it.
    Complete { rows: u64 },
}

/// Judges a load by the shares there are: partition → rows in the lake.
pub fn judge(record: &LoadRecord, shares: &BTreeMap<i32, u64>) -> Verdict {
    match record.state {
        LoadState::Began => return Verdict::Open,
        LoadState::Abandoned => return Verdict::Abandoned,
        LoadState::Ended => {}
    }
    let sent: u64 = record.partitions.iter().map(|p| p.rows).sum();
    let rejected: u64 = record.partitions.iter().map(|p| p.rejected).sum();
    if sent + rejected != record.source_rows {
        return Verdict::Unequal(format!(
            "the database counted {} rows, and {sent} were sent and {rejected} rejected",
            record.source_rows
        ));
    }
    let mut missing = Vec::new();
    for (partition, sent) in (0..).zip(&record.partitions) {
        match shares.get(&partition) {
            None => missing.push(partition),
            Some(rows) if *rows != sent.rows => {
                return Verdict::Unequal(format!(
                    "partition {partition}: {} rows were sent, and the lake holds {rows}",
                    sent.rows
                ));
            }
            Some(_) => {}
        }
    }
    if missing.is_empty() {
        Verdict::Complete { rows: sent }
    } else {
        Verdict::Waiting(missing)
    }
}

/// Whether the owner of a partition, whose records up to `in_lake` are in the lake, can state its share.
/// Before the load ended its rows may still be on their way.
pub fn share_is_due(record: &LoadRecord, partition: i32, in_lake: u64) -> bool {
    let sent = usize::try_from(partition)
        .ok()
        .and_then(|partition| record.partitions.get(partition));
    record.state == LoadState::Ended
        && sent.is_some_and(|sent| sent.rows == 0 || in_lake >= sent.end)
}

/// The offset at which a partition's open chunk must be closed so that an ended load can be judged.
pub fn drain_target(record: &LoadRecord, partition: i32) -> Option<u64> {
    let sent = record.partitions.get(usize::try_from(partition).ok()?)?;
    (record.state == LoadState::Ended && sent.rows > 0).then_some(sent.end)
}

/// Whether the pointer may go from `current` to load `number`: only ever forward.
pub fn may_switch(current: Option<u64>, number: u64) -> bool {
    current.is_none_or(|current| number > current)
}

/// The loads whose files may be deleted once `current` is the current one and `previous` the complete one
/// before it: everything else below the current one, and what was abandoned. Loads above it are open.
pub fn garbage(
    loads: &LoadsOfTable,
    current: Option<u64>,
    previous: Option<u64>,
) -> BTreeSet<String> {
    let kept = |number: u64| Some(number) == current || Some(number) == previous;
    let keep: BTreeSet<&str> = loads
        .iter()
        .filter(|(number, _)| kept(**number))
        .map(|(_, record)| record.ulid.as_str())
        .collect();
    loads
        .iter()
        .filter(|(number, record)| {
            let replaced = current.is_some_and(|current| **number < current);
            (replaced || record.state == LoadState::Abandoned)
                && !keep.contains(record.ulid.as_str())
        })
        .map(|(_, record)| record.ulid.clone())
        .collect()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
