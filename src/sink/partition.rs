//! The writer of one partition: runs in, closed chunks out.
//!
//! It knows neither Kafka nor the store: records are pushed, chunks are taken, and what became of them is
//! told. Rows of a run enter a chunk only when the whole run is there, so that a chunk always ends at a
//! border of runs, whatever happens.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};

use super::SinkTable;
use super::chunk::{
    Border, Close, Expected, Fault, OpenRun, completes_plan, due, place, step, within_plan,
};
use super::open::{Begin, ClosedChunk, OpenChunk};
use super::records::{Head, PartitionId, Record, Records};
use super::resume::Resume;
use super::stored::Stored;
use crate::config::FileSettings;
use crate::error::{Error, Kind, Result};
use crate::lake::{FilePlan, Layout, OFFSET_COLUMN, Plan, append_offsets, compression_name};
use crate::model::{Fingerprint, TableSchema};
use crate::state::LoadRecord;
use crate::wire::{JsonDecoder, RunHeader};

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

    /// Takes records from `next` on, until one run is written or none is left. Returns the first record not
    /// taken.
    fn take_from(&mut self, records: &Records, mut next: usize) -> Result<usize, (usize, Error)> {
        while let Some(record) = records.records.get(next) {
            self.take(record, records.value(next))
                .map_err(|e| (next, e))?;
            next += 1;
            if self.run.as_ref().is_some_and(|run| run.open.is_whole()) {
                // A closed chunk waits: the run that follows belongs to the next one.
                self.finish_run().map_err(|e| (next, e))?;
                break;
            }
            if self.closed.is_some() {
                break;
            }
        }
        Ok(next)
    }

    fn take(&mut self, record: &Record, value: &[u8]) -> Result<()> {
        let open = self.run.as_ref().map(|run| &run.open);
        place(open, record.head != Head::None).map_err(|fault| self.fault(fault))?;
        match &record.head {
            Head::Unreadable => return Err(self.fault(Fault::BadHeader)),
            Head::Run(header) => self.begin_run(header, record)?,
            Head::None => {
                if let Some(run) = &mut self.run {
                    run.open.extend(record.offset);
                }
            }
        }
        if let (Some(run), Some(decoder)) = (&mut self.run, &mut self.decoder) {
            run.offsets.push(record.offset as i64);
            run.appended = run.appended.min(record.appended);
            decoder.json.push(value)?;
        }
        Ok(())
    }

    /// Decides whether a run may begin here. Nothing is changed if it may not.
    fn begin_run(&mut self, header: &RunHeader, record: &Record) -> Result<()> {
        let accepted = step(self.expected, header).map_err(|fault| self.fault(fault))?;
        if let Some(plan) = &self.redo {
            let first = self.chunk.is_none();
            within_plan(plan, header, record.offset, first).map_err(|fault| self.fault(fault))?;
        }
        self.prepare_decoder(&header.fingerprint)?;
        if let Some((expected, found)) = accepted.hole_in_load {
            tracing::error!(
                table = %self.table.name,
                partition = %self.id,
                expected,
                found,
                "records of a bulk load are missing; this load will never be complete, the next one can be"
            );
        }
        self.run = Some(RunInHand {
            open: OpenRun::begin(header.clone(), record.offset),
            accepted: accepted.next,
            offsets: Vec::with_capacity(usize::try_from(header.records.min(1 << 17)).unwrap_or(0)),
            appended: record.appended,
        });
        Ok(())
    }

    fn prepare_decoder(&mut self, fingerprint: &Fingerprint) -> Result<()> {
        if self
            .decoder
            .as_ref()
            .is_some_and(|decoder| decoder.fingerprint == *fingerprint)
        {
            return Ok(());
        }
        let schema = self.ground.schemas.schema(fingerprint)?;
        self.decoder = Some(Decoder {
            fingerprint: fingerprint.clone(),
            json: JsonDecoder::new(&schema),
            schema,
        });
        Ok(())
    }

    /// Writes the run in hand, which is whole, into the chunk it belongs to.
    fn finish_run(&mut self) -> Result<()> {
        let (Some(run), Some(mut decoder)) = (self.run.take(), self.decoder.take()) else {
            return Ok(());
        };
        let rows = decoder.json.finish()?;
        if rows.num_rows() as u64 != run.open.header.records {
            return Err(
                Error::new(Kind::Bug, "decoding gave another number of rows").about(&self.id),
            );
        }
        let border = Border::of(&run.open.header);
        if self.chunk.as_ref().is_some_and(|c| c.border != border) {
            self.close(Close::Border);
        }
        let mut chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => self.open_chunk(border, &run, &decoder.schema)?,
        };
        let cut = match with_offsets(&chunk, rows, run.offsets).and_then(|rows| chunk.cut(&rows)) {
            Ok(cut) => cut,
            Err(error) => {
                // What was written before this run stands.
                self.chunk = Some(chunk).filter(|chunk| !chunk.is_empty());
                return Err(error);
            }
        };
        let (start, end) = (chunk.start(), run.open.last_offset + 1);
        if let Err(error) = chunk.write(cut, end, run.accepted.sequence.unwrap_or(0)) {
            // Half a run is in a file: the chunk goes, and what it held is read again.
            self.position = start;
            return Err(error);
        }
        self.position = chunk.end();
        self.expected = run.accepted;
        self.decoder = Some(decoder);
        let plan = chunk.plan.as_ref();
        let complete = match plan.map(|p| completes_plan(p, self.position, self.expected.sequence))
        {
            None | Some(Ok(false)) => false,
            Some(Ok(true)) => true,
            Some(Err(fault)) => return Err(self.fault(fault)),
        };
        self.chunk = Some(chunk);
        if complete {
            self.close(Close::Planned);
        }
        Ok(())
    }

    fn open_chunk(
        &mut self,
        border: Border,
        run: &RunInHand,
        schema: &TableSchema,
    ) -> Result<OpenChunk> {
        let begin = Begin {
            offset: run.open.first_offset,
            sequence: run.open.header.first,
            appended: run.appended,
        };
        let plan = self.redo.clone();
        let file = match &plan {
            Some(plan) => plan.file.clone(),
            None => file_plan(
                &self.table,
                &self.ground,
                border.fingerprint.to_string(),
                border.load.map(|ulid| ulid.to_string()).as_deref(),
            ),
        };
        self.chunks += 1;
        let folder = self.ground.spool.join(format!(
            "{}-{}-{}-{}",
            self.id.topic, self.id.number, begin.offset, self.chunks
        ));
        OpenChunk::new(&self.id, border, file, schema, &folder, begin, plan)
    }

    /// Closes the open chunk if its time has come. One that executes a plan ends where the plan says.
    fn close_if_due(&mut self, now: i64) {
        let Some(chunk) = &self.chunk else {
            return;
        };
        if self.closed.is_some() || chunk.plan.is_some() {
            return;
        }
        let reached = |target: u64| chunk.start() < target && target <= chunk.end();
        let drained = self.drain.is_some_and(reached);
        let why = if self.stopped.is_some() {
            Some(Close::Fault)
        } else if drained {
            Some(Close::Drain)
        } else {
            due(&chunk.measure(now, self.caught_up), &self.ground.files)
        };
        if let Some(why) = why {
            self.close(why);
        }
    }

    fn close(&mut self, why: Close) {
        let Some(chunk) = self.chunk.take() else {
            return;
        };
        if chunk.plan.is_some() {
            self.redo = None;
        }
        match chunk.close() {
            Ok(closed) => {
                tracing::debug!(
                    partition = %self.id, start = closed.plan.start, end = closed.plan.end, ?why, "closed a chunk"
                );
                self.closed = Some(closed);
            }
            Err(error) => self.stop(error),
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
        .hint("nothing is dropped or guessed here; `cdc snapshot --again` copies the table anew")
    }
}

/// What shapes the files of a chunk that begins now.
fn file_plan(
    table: &SinkTable,
    ground: &Ground,
    fingerprint: String,
    load: Option<&str>,
) -> FilePlan {
    let mut table_path = super::table_path(&table.name);
    if let Some(load) = load {
        table_path.push_str(&format!("/snapshot={load}"));
    }
    let metadata = table.mode.has_versions().then(|| OFFSET_COLUMN.to_owned());
    FilePlan {
        table_path,
        table: table.name.to_string(),
        fingerprint,
        layout: Layout::spec(
            &table.partition_by,
            &table.source_zone,
            &ground.day_in,
            table.null_partition.as_deref(),
        ),
        compression: compression_name(ground.files.compression).to_owned(),
        metadata_columns: metadata.into_iter().collect(),
        guard: table.guard.clone(),
    }
}

/// What shapes the one file of a load without rows. No such plan is ever stored.
pub fn empty_plan(
    table: &SinkTable,
    ground: &Ground,
    record: &LoadRecord,
    fingerprint: String,
) -> Plan {
    let at = record
        .partitions
        .first()
        .map_or(0, |partition| partition.end);
    Plan {
        v: 1,
        topic: table.topic.to_string(),
        partition: 0,
        epoch: record.epoch,
        start: at,
        end: at,
        first_sequence: 0,
        next_sequence: 0,
        load: Some(record.ulid.clone()),
        file: file_plan(table, ground, fingerprint, Some(&record.ulid)),
    }
}

/// What the log must hold where a plan begins.
fn before(plan: &Plan) -> Expected {
    Expected {
        epoch: plan.epoch,
        sequence: Some(plan.first_sequence),
    }
}

/// The rows with each record's offset as their last column, if the chunk's files have it.
fn with_offsets(chunk: &OpenChunk, rows: RecordBatch, offsets: Vec<i64>) -> Result<RecordBatch> {
    if chunk.has_offsets() {
        append_offsets(&rows, Int64Array::from(offsets))
    } else {
        Ok(rows)
    }
}
