//! Which record may come next, and when a chunk is closed. Pure: no I/O, no clock.
//!
//! Sequence numbers are dense per table, epoch and partition, so that nothing can be lost, repeated or
//! reordered between a database and a file without being noticed here.

use std::fmt;
use std::time::Duration;

use ulid::Ulid;

use crate::config::FileSettings;
use crate::model::Fingerprint;
use crate::wire::RunHeader;

/// What the next run of a partition must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// No run may be of a lower epoch; a higher one starts over at sequence 1.
    pub epoch: u64,
    /// The sequence number of the next run in this epoch; `None` after a stretch of the log that was given up
    /// by hand, when whatever comes is taken.
    pub sequence: Option<u64>,
}

impl Expected {
    /// At the beginning of a log: any epoch, sequence 1.
    pub const FIRST: Expected = Expected {
        epoch: 0,
        sequence: Some(1),
    };
}

/// Why a partition stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Records between two runs are missing.
    Hole { expected: u64, found: u64 },
    /// A run begins with a number that was seen already.
    Repeat { expected: u64, found: u64 },
    /// A run of an epoch that was left.
    LowerEpoch { current: u64, found: u64 },
    /// A run ended before all its records came.
    Torn { announced: u64, came: u64 },
    /// A record outside any run.
    Headless,
    /// A header that cannot be read.
    BadHeader,
    /// The log differs from the plan that must be executed.
    Unfit(String),
}

/// How the text of such a fault begins.
pub const REPEATS: &str = "records repeat";

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Hole { expected, found } => write!(
                f,
                "records are missing: the next one must have sequence number {expected}, and {found} came"
            ),
            Fault::Repeat { expected, found } => write!(
                f,
                "{REPEATS}: the next one must have sequence number {expected}, and {found} came"
            ),
            Fault::LowerEpoch { current, found } => write!(
                f,
                "a run of epoch {found} came after epoch {current}: two workers wrote this table"
            ),
            Fault::Torn { announced, came } => write!(
                f,
                "a run is torn: {announced} records were announced, and {came} came before the next run"
            ),
            Fault::Headless => write!(
                f,
                "a record belongs to no run: the beginning of its run was deleted, or another program wrote it"
            ),
            Fault::BadHeader => write!(
                f,
                "a run's header cannot be read: another program, or a newer `cdc`, wrote it"
            ),
            Fault::Unfit(why) => write!(f, "the log does not fit the plan made for it: {why}"),
        }
    }
}

/// A run that may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What must come after it.
    pub next: Expected,
    /// Records of a bulk load are missing before it. The count of that load will show it, so that only the
    /// load is given up and not the partition.
    pub hole_in_load: Option<(u64, u64)>,
}

/// Decides whether `run` may come now. Nothing is ever dropped as a repeat: a sequence that was restarted by
/// mistake would take new rows with it.
pub fn step(expected: Expected, run: &RunHeader) -> Result<Accepted, Fault> {
    if run.epoch < expected.epoch {
        return Err(Fault::LowerEpoch {
            current: expected.epoch,
            found: run.epoch,
        });
    }
    let wanted = match expected.sequence {
        None => run.first,
        Some(_) if run.epoch > expected.epoch => 1,
        Some(sequence) => sequence,
    };
    if run.first < wanted {
        return Err(Fault::Repeat {
            expected: wanted,
            found: run.first,
        });
    }
    let hole = run.first > wanted;
    if hole && run.load.is_none() {
        return Err(Fault::Hole {
            expected: wanted,
            found: run.first,
        });
    }
    let next = run.first.checked_add(run.records).ok_or(Fault::BadHeader)?;
    Ok(Accepted {
        next: Expected {
            epoch: run.epoch,
            sequence: Some(next),
        },
        hole_in_load: hole.then_some((wanted, run.first)),
    })
}

/// A run whose records are still coming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRun {
    pub header: RunHeader,
    pub first_offset: u64,
    pub last_offset: u64,
    pub came: u64,
}

impl OpenRun {
    /// Begins a run with its first record.
    pub fn begin(header: RunHeader, offset: u64) -> Self {
        OpenRun {
            header,
            first_offset: offset,
            last_offset: offset,
            came: 1,
        }
    }

    /// Takes a further record. Offsets grow but need not be dense: aborted transactions lie between.
    pub fn extend(&mut self, offset: u64) {
        self.last_offset = offset;
        self.came += 1;
    }

    /// Whether all announced records came.
    pub fn is_whole(&self) -> bool {
        self.came >= self.header.records
    }
}

/// Decides whether a record may stand where it does: one with a header only between runs, one without only
/// inside a run.
pub fn place(open: Option<&OpenRun>, has_header: bool) -> Result<(), Fault> {
    match (open, has_header) {
        (None, true) | (Some(_), false) => Ok(()),
        (None, false) => Err(Fault::Headless),
        (Some(run), true) => Err(Fault::Torn {
            announced: run.header.records,
            came: run.came,
        }),
    }
}

/// What all records of one chunk have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    pub epoch: u64,
    pub fingerprint: Fingerprint,
    pub load: Option<Ulid>,
}

impl Border {
    /// The chunk a run of this header belongs to.
    pub fn of(run: &RunHeader) -> Self {
        Border {
            epoch: run.epoch,
            fingerprint: run.fingerprint.clone(),
            load: run.load,
        }
    }
}

/// Why a chunk is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    Rows,
    Size,
    Age,
    /// The next run has another schema, epoch or load.
    Border,
    /// Too many bytes are open, and this chunk has the most.
    Memory,
    /// Somebody waits for it to be in the lake.
    Drain,
    /// The plan it executes ends here.
    Planned,
    /// The partition stops behind it.
    Fault,
}

/// How large and how old an open chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Rows of the largest file.
    pub rows: u64,
    /// Estimated bytes of the largest file.
    pub bytes: u64,
    /// Milliseconds since the oldest record was appended to the log, by wall clocks.
    pub oldest: u64,
    /// How long ago the chunk was opened here.
    pub open_for: Duration,
    /// Whether no further records wait in the log.
    pub caught_up: bool,
}

/// Whether a chunk is to be closed, and why. While records wait in the log a chunk is not closed for the age
/// of its records alone: everything in a backlog is old, and each run would become a file of its own.
pub fn due(measure: &Measure, limits: &FileSettings) -> Option<Close> {
    let age = limits.age;
    if measure.rows >= limits.rows {
        Some(Close::Rows)
    } else if measure.bytes >= limits.size {
        Some(Close::Size)
    } else if measure.open_for >= age
        || (measure.caught_up && u128::from(measure.oldest) >= age.as_millis())
    {
        Some(Close::Age)
    } else {
        None
    }
}

/// Whether a run lies within the plan that is being executed. `first` tells the chunk's first run.
pub fn within_plan(
    plan: &crate::lake::Plan,
    run: &RunHeader,
    offset: u64,
    first: bool,
) -> Result<(), Fault> {
    let unfit = |what: &str, planned: &str, found: &str| {
        Err(Fault::Unfit(format!(
            "planned was {what} {planned}, and {found} came at offset {offset}"
        )))
    };
    if first && offset != plan.start {
        return unfit("offset", &plan.start.to_string(), &offset.to_string());
    }
    if first && run.first != plan.first_sequence {
        return unfit(
            "sequence number",
            &plan.first_sequence.to_string(),
            &run.first.to_string(),
        );
    }
    if run.epoch != plan.epoch {
        return unfit("epoch", &plan.epoch.to_string(), &run.epoch.to_string());
    }
    if run.fingerprint.as_str() != plan.file.fingerprint {
        return unfit("schema", &plan.file.fingerprint, run.fingerprint.as_str());
    }
    let load = run.load.map(|ulid| ulid.to_string());
    if load != plan.load {
        return unfit(
            "load",
            plan.load.as_deref().unwrap_or("none"),
            load.as_deref().unwrap_or("none"),
        );
    }
    Ok(())
}

/// Whether the plan is complete after a run that ended before offset `end` and is followed by sequence
/// number `next`.
pub fn completes_plan(
    plan: &crate::lake::Plan,
    end: u64,
    next: Option<u64>,
) -> Result<bool, Fault> {
    if end < plan.end {
        return Ok(false);
    }
    if end > plan.end {
        return Err(Fault::Unfit(format!(
            "it ends at offset {}, inside the run that ends at {end}",
            plan.end
        )));
    }
    match next {
        Some(next) if next != plan.next_sequence => Err(Fault::Unfit(format!(
            "sequence number {} must follow it, and {next} does",
            plan.next_sequence
        ))),
        _ => Ok(true),
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
