//! The writer of one partition: runs in, closed chunks out.
//!
//! It knows neither Kafka nor the store: records are pushed, chunks are taken, and what became of them is
//! told. Rows of a run enter a chunk only when the whole run is there, so that a chunk always ends at a
//! border of runs, whatever happens.

mod chunks;
mod runs;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::SinkTable;
use super::chunk::{Close, Expected, Fault, OpenRun};
use super::open::{ClosedChunk, OpenChunk};
use super::records::{PartitionId, Records};
use super::resume::Resume;
use super::skip::way_out;
use super::stored::Stored;
use crate::config::FileSettings;
use crate::error::{Error, Kind, Result};
use crate::lake::Plan;
use crate::model::{Fingerprint, TableSchema};
use crate::wire::JsonDecoder;
pub use chunks::empty_plan;

/// Gives the schema a run's header names. Blocking.
pub trait Schemas: Send + Sync {
    /// `Data` if there is none: it is acknowledged before the first run that names it.
    fn schema(&self, fingerprint: &Fingerprint) -> Result<Arc<TableSchema>>;
}

/// What all partitions of a sink share.
pub struct Ground {
    pub spool: PathBuf,
    pub files: FileSettings,
    pub day_in: jiff::tz::TimeZone,
    pub schemas: Arc<dyn Schemas>,
}

/// Where a partition stopped, and why.
#[derive(Debug)]
pub struct Stopped {
    /// Offset of the first record that was not taken.
    pub at: u64,
    pub error: Error,
}

/// The writer of one partition.
pub struct PartitionWriter {
    ground: Arc<Ground>,
    table: Arc<SinkTable>,
    id: PartitionId,
    waiting: VecDeque<(Records, usize)>,
    expected: Expected,
    /// The plan that must be executed before anything else.
    redo: Option<Box<Plan>>,
    run: Option<RunInHand>,
    decoder: Option<Decoder>,
    chunk: Option<OpenChunk>,
    closed: Option<ClosedChunk>,
    /// Offset behind the last whole run.
    position: u64,
    caught_up: bool,
    /// Chunks are closed as soon as they reach this offset.
    drain: Option<u64>,
    stopped: Option<Stopped>,
    chunks: u64,
}

/// A run whose records are being decoded.
struct RunInHand {
    open: OpenRun,
    accepted: Expected,
    offsets: Vec<i64>,
    appended: i64,
}

struct Decoder {
    fingerprint: Fingerprint,
    schema: Arc<TableSchema>,
    json: JsonDecoder,
}

impl PartitionWriter {
    /// A writer that begins where `begin` says; `None` if it says not to.
    pub fn new(
        ground: Arc<Ground>,
        table: Arc<SinkTable>,
        id: PartitionId,
        begin: Resume,
    ) -> Option<Self> {
        let (position, expected, redo) = match begin {
            Resume::Read { at, expected } => (at, expected, None),
            Resume::Redo(plan) => (plan.start, before(&plan), Some(plan)),
            Resume::Stop(_) => return None,
        };
        Some(PartitionWriter {
            ground,
            table,
            id,
            waiting: VecDeque::new(),
            expected,
            redo,
            run: None,
            decoder: None,
            chunk: None,
            closed: None,
            position,
            caught_up: false,
            drain: None,
            stopped: None,
            chunks: 0,
        })
    }

    /// The offset behind the last whole run.
    #[cfg(test)]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of memory its chunk and its decoder hold.
    pub fn memory(&self) -> u64 {
        let decoding = self.decoder.as_ref().map_or(0, |d| d.json.bytes() as u64);
        decoding + self.chunk.as_ref().map_or(0, OpenChunk::memory)
    }

    /// Takes over changed settings of the table; chunks begun before keep theirs.
    pub fn set_table(&mut self, table: Arc<SinkTable>) {
        self.table = table;
    }

    /// Adds records behind those that wait.
    pub fn push(&mut self, records: Records) {
        self.caught_up = false;
        self.waiting.push_back((records, 0));
    }

    /// Says that no further records wait in the log.
    pub fn set_caught_up(&mut self) {
        self.caught_up = true;
    }

    /// Closes chunks as soon as they reach this offset.
    pub fn drain_to(&mut self, offset: u64) {
        self.drain = Some(self.drain.map_or(offset, |known| known.max(offset)));
    }

    /// Where and why it stopped, once every chunk before that place was taken.
    pub fn stopped(&self) -> Option<&Stopped> {
        self.stopped
            .as_ref()
            .filter(|_| self.closed.is_none() && self.chunk.is_none())
    }

    /// The same, once: the writer has nothing more to say afterwards.
    pub fn take_stopped(&mut self) -> Option<Stopped> {
        self.stopped()?;
        let at = self.position;
        let known = self.stopped.as_mut()?;
        let told = Error::new(known.error.kind(), "this was told before");
        Some(std::mem::replace(known, Stopped { at, error: told }))
    }

    /// Stops because a closed chunk that began at `start` cannot be brought into the lake.
    pub fn fail(&mut self, start: u64, error: Error) {
        self.chunk = None;
        self.closed = None;
        self.position = start;
        self.stopped = None;
        self.stop(error);
    }

    /// The next chunk to publish. Further chunks are closed only after it was taken.
    pub fn take_closed(&mut self) -> Option<ClosedChunk> {
        self.closed.take()
    }

    /// Leaves everything that is open and executes what another wrote into the lake first. Returns the offset
    /// from which records must be pushed again.
    pub fn adopt(&mut self, stored: Stored) -> u64 {
        self.waiting.clear();
        self.run = None;
        self.decoder = None;
        self.chunk = None;
        self.closed = None;
        self.stopped = None;
        self.caught_up = false;
        match stored {
            Stored::Chunk(plan) => {
                self.expected = before(&plan);
                self.position = plan.start;
                self.redo = Some(plan);
            }
            Stored::Skip(_) => {
                self.expected = stored.expected_behind();
                self.position = stored.end();
                self.redo = None;
            }
        }
        self.position
    }

    /// Works on what waits, until a chunk is closed or nothing is left; `now` is in ms since 1970.
    ///
    /// Errors pass by themselves (a schema cannot be read now): nothing has changed, and the call is made
    /// again. What does not pass stops the partition instead, behind the last whole run before it.
    pub fn pump(&mut self, now: i64) -> Result<()> {
        while self.closed.is_none() && self.stopped.is_none() {
            let Some((records, next)) = self.waiting.pop_front() else {
                break;
            };
            match self.take_from(&records, next) {
                Ok(next) if next < records.records.len() => {
                    self.waiting.push_front((records, next));
                }
                Ok(_) => {}
                Err((next, error)) if error.kind() == Kind::Unavailable => {
                    self.waiting.push_front((records, next));
                    return Err(error);
                }
                Err((_, error)) => self.stop(error),
            }
            self.close_if_due(now);
        }
        self.close_if_due(now);
        Ok(())
    }

    /// Closes the open chunk, so that its memory comes back; one that executes a plan spills instead.
    pub fn relieve(&mut self) {
        let planned = self.chunk.as_ref().is_some_and(|c| c.plan.is_some());
        if self.closed.is_some() || planned {
            if let Some(Err(error)) = self.chunk.as_mut().map(OpenChunk::flush) {
                self.chunk = None;
                self.stop(error);
            }
        } else {
            self.close(Close::Memory);
        }
    }

    /// Stops behind the last whole run. What an unfinished plan has so far is of no use.
    fn stop(&mut self, error: Error) {
        self.run = None;
        self.decoder = None;
        self.waiting.clear();
        if let Some(plan) = self.chunk.as_ref().and_then(|c| c.plan.as_ref()) {
            self.position = plan.start;
            self.chunk = None;
        }
        let error = match (error.kind(), error.next_step()) {
            (Kind::Data, None) => error.hint(way_out(&self.table.name, self.id.number)),
            _ => error,
        };
        self.stopped.get_or_insert(Stopped {
            at: self.position,
            error,
        });
    }

    fn fault(&self, fault: Fault) -> Error {
        Error::new(
            Kind::Data,
            format!("{} behind offset {}: {fault}", self.id, self.position),
        )
        .about(&self.table.name)
        .hint(way_out(&self.table.name, self.id.number))
    }
}

/// What the log must hold where a plan begins.
fn before(plan: &Plan) -> Expected {
    Expected {
        epoch: plan.epoch,
        sequence: Some(plan.first_sequence),
    }
}
