//! Where reading a partition goes on: from the committed offset, the plans in the lake and the bounds of the
//! log. Pure: no I/O, no clock.
//!
//! The plans are the truth. A plan is made only after all files of the plan before it are in the lake, so
//! only the newest may be unfinished; the committed offset is a hint that it is not. Reading never begins by
//! a reset policy: where neither a plan nor the beginning of the log says where, the partition stops.

use std::collections::BTreeMap;

use super::chunk::Expected;
use super::stored::{PlanKey, Stored};
use crate::lake::Plan;

/// A table's announcement that everything below an epoch is void: it was copied anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// Plans and files of epochs below this one are void.
    pub below: u64,
    /// Where the first epoch that counts begins in this partition.
    pub start: u64,
}

/// A table's announcement that an epoch began which counts beside the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised {
    pub epoch: u64,
    /// The last epoch before it that had records in this partition, and the sequence number that would have come next.
    pub before: Option<(u64, u64)>,
}

/// Which plans must be read to decide; the listing gives only their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// The newest one.
    pub newest: Option<PlanKey>,
    /// The last one that starts below the hint, if the newest does not.
    pub before_hint: Option<PlanKey>,
    /// Whether one starts exactly at the hint.
    pub at_hint: bool,
}

/// Picks the plans to read from the names of one partition's plans.
pub fn needed(keys: &[PlanKey], hint: Option<u64>, retired: Option<Retirement>) -> Needed {
    let below = retired.map_or(0, |r| r.below);
    let mut ordered: BTreeMap<(u64, u64), PlanKey> = BTreeMap::new();
    for key in keys.iter().filter(|key| key.epoch >= below) {
        ordered.insert((key.epoch, key.start), *key);
    }
    let newest = ordered.values().next_back().copied();
    let before = hint.and_then(|hint| {
        let earlier = ordered.values().filter(|key| key.start < hint);
        earlier.max_by_key(|key| key.start).copied()
    });
    Needed {
        newest,
        before_hint: before.filter(|key| Some(*key) != newest),
        at_hint: hint.is_some_and(|hint| ordered.values().any(|key| key.start == hint)),
    }
}

/// Everything the decision rests on.
#[derive(Clone, Debug)]
pub struct Found {
    /// The group's committed offset.
    pub hint: Option<u64>,
    pub newest: Option<Stored>,
    pub before_hint: Option<Stored>,
    pub at_hint: bool,
    /// Offset of the log's first record that is still there.
    pub low: u64,
    /// The log's end.
    pub high: u64,
    pub retired: Option<Retirement>,
    pub raised: Option<Raised>,
}

/// How a partition goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Resume {
    /// Read from `at`; everything before it is in the lake.
    Read { at: u64, expected: Expected },
    /// Execute this plan again, exactly, then go on behind it.
    Redo(Box<Plan>),
    /// Do not read.
    Stop(Stop),
}

/// Why a partition cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The sentence that says it.
    pub why: String,
    /// Whether giving records up may help.
    pub may_be_skipped: bool,
}

impl Stop {
    /// Plans, committed offset and log contradict each other, or nothing says what is lost.
    fn contradiction(why: String) -> Resume {
        Resume::Stop(Stop {
            why,
            may_be_skipped: false,
        })
    }

    /// The log begins behind records that are not in the lake.
    fn hole(why: String) -> Resume {
        Resume::Stop(Stop {
            why,
            may_be_skipped: true,
        })
    }
}

/// Decides how a partition goes on.
pub fn resume(found: &Found) -> Resume {
    let start = found.retired.map(|r| r.start);
    let Some(newest) = &found.newest else {
        if let Some(lost) = lost_before_the_first_plan(found) {
            return lost;
        }
        return match (found.hint, start) {
            // The epoch that counts begins here; what lies before it is retired.
            (hint, Some(start)) if hint.is_none_or(|hint| hint <= start) => Resume::Read {
                at: start.max(found.low),
                expected: Expected {
                    epoch: found.retired.map_or(0, |r| r.below),
                    sequence: Some(1),
                },
            },
            (None, _) => Resume::Read {
                at: found.low,
                expected: Expected::FIRST,
            },
            (Some(hint), _) => Stop::contradiction(format!(
                "offset {hint} is committed, and the lake holds no plan for this partition: \
                 the lake was emptied, or this is another lake"
            )),
        };
    };
    if newest.end() > found.high {
        return Stop::contradiction(format!(
            "the lake holds records up to offset {}, and the log ends at {}: the topic was made anew or cut",
            newest.end(),
            found.high
        ));
    }
    match found.hint {
        Some(hint) if hint > newest.end() => Stop::contradiction(format!(
            "offset {hint} is committed, and the newest plan in the lake ends at {}: plans are missing",
            newest.end()
        )),
        Some(hint) if hint == newest.end() => behind(newest, found),
        Some(hint) if !on_chain(hint, found, newest) => Stop::contradiction(format!(
            "offset {hint} is committed, and no plan in the lake begins or ends there, while a later one \
             begins at {}: plans are missing",
            newest.start()
        )),
        _ => redo(newest, found),
    }
}

/// Where numbers start over in a new epoch, a log that begins with it looks whole. The end that was announced for the
/// epoch before it tells whether that one had records here, and no plan says that they are in the lake.
fn lost_before_the_first_plan(found: &Found) -> Option<Resume> {
    let (epoch, next) = found.raised?.before?;
    let (below, start) = found.retired.map_or((0, 0), |r| (r.below, r.start));
    let is_lost = found.low > start && next > 1 && epoch >= below;
    is_lost.then(|| {
        Stop::contradiction(format!(
            "the lake holds no plan for this partition, and the log begins at {}: retention deleted what the \
             table's epoch before the present one had there",
            found.low
        ))
    })
}

/// Whether the hint is a border between two plans.
fn on_chain(hint: u64, found: &Found, newest: &Stored) -> bool {
    // A retired chain's last commit is no statement about the chain that replaced it.
    let retired = found.retired.is_some_and(|r| hint <= r.start);
    let ends_there = found.before_hint.as_ref().is_some_and(|p| p.end() == hint);
    retired || found.at_hint || newest.start() == hint || ends_there
}

/// Reads on behind a plan whose files are all in the lake. What retention deleted since shows as a hole in
/// the sequence numbers, if it was anything; but where the numbers start over in a new epoch, only the end that
/// was announced for the one before it shows it.
fn behind(plan: &Stored, found: &Found) -> Resume {
    let expected = plan.expected_behind();
    if let Some(raised) = found.raised
        && found.low > plan.end()
        && raised.epoch > expected.epoch
        && let Some(sequence) = expected.sequence
        && raised.before != Some((expected.epoch, sequence))
    {
        return Stop::hole(format!(
            "the lake holds records up to offset {}, and the log begins at {}: retention deleted what the \
             table's epoch before the present one had there",
            plan.end(),
            found.low
        ));
    }
    Resume::Read {
        at: plan.end().max(found.low),
        expected,
    }
}

fn redo(newest: &Stored, found: &Found) -> Resume {
    match newest {
        Stored::Skip(_) => behind(newest, found),
        Stored::Chunk(plan) if plan.start < found.low => Stop::hole(format!(
            "the chunk of offsets {} to {} may not be in the lake completely, and the log begins at {}: \
             retention deleted its records",
            plan.start, plan.end, found.low
        )),
        Stored::Chunk(plan) => Resume::Redo(plan.clone()),
    }
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
