//! Records become runs, and whole runs rows of a chunk.

use arrow::array::{Int64Array, RecordBatch};

use super::super::chunk::{
    Border, Close, Fault, OpenRun, completes_plan, place, step, within_plan,
};
use super::super::open::OpenChunk;
use super::super::records::{Head, Record, Records};
use super::{Decoder, PartitionWriter, RunInHand};
use crate::error::{Error, Kind, Result};
use crate::lake::append_offsets;
use crate::model::Fingerprint;
use crate::wire::{JsonDecoder, RunHeader};

impl PartitionWriter {
    /// Takes records from `next` on, until one run is written or none is left. Returns the first record not
    /// taken.
    pub(super) fn take_from(
        &mut self,
        records: &Records,
        mut next: usize,
    ) -> Result<usize, (usize, Error)> {
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

    pub(super) fn take(&mut self, record: &Record, value: &[u8]) -> Result<()> {
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
    pub(super) fn begin_run(&mut self, header: &RunHeader, record: &Record) -> Result<()> {
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

    pub(super) fn prepare_decoder(&mut self, fingerprint: &Fingerprint) -> Result<()> {
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
    pub(super) fn finish_run(&mut self) -> Result<()> {
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
}

/// The rows with each record's offset as their last column, if the chunk's files have it.
pub(super) fn with_offsets(
    chunk: &OpenChunk,
    rows: RecordBatch,
    offsets: Vec<i64>,
) -> Result<RecordBatch> {
    if chunk.has_offsets() {
        append_offsets(&rows, Int64Array::from(offsets))
    } else {
        Ok(rows)
    }
}
