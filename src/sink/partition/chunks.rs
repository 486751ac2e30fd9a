//! The chunk that takes a partition's runs: when it is opened and closed, and what shapes its files.

use super::super::SinkTable;
use super::super::chunk::{Border, Close, due};
use super::super::open::{Begin, OpenChunk};
use super::{Ground, PartitionWriter, RunInHand};
use crate::error::Result;
use crate::lake::{FilePlan, Layout, OFFSET_COLUMN, Plan, compression_name};
use crate::model::TableSchema;
use crate::state::LoadRecord;

impl PartitionWriter {
    pub(super) fn open_chunk(
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
    pub(super) fn close_if_due(&mut self, now: i64) {
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

    pub(super) fn close(&mut self, why: Close) {
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
}

/// What shapes the files of a chunk that begins now.
pub(super) fn file_plan(
    table: &SinkTable,
    ground: &Ground,
    fingerprint: String,
    load: Option<&str>,
) -> FilePlan {
    let mut table_path = super::super::table_path(&table.name);
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
