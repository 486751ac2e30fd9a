//! Rows become records: those that fit for the table's topic, the others for its rejected topic.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use ulid::Ulid;

use super::super::committer::{KeyedRecord, Run};
use super::super::runs::runs_of;
use super::super::sorting::{Rejection, Sorted};
use super::{AHEAD, Sending};
use crate::error::{Error, Kind, Result};
use crate::state::{Head, Rejected};

impl Sending {
    /// The runs of the rows that fit and the records of those that do not, counted in `head`.
    pub(super) fn encode(
        &mut self,
        rows: RecordBatch,
        head: &mut Head,
        load: Option<Ulid>,
    ) -> Result<Encoded> {
        let sorted = self.sorting.sort(rows)?;
        self.remark(&sorted);
        head.rejected += sorted.reasons.len() as u64;
        head.nulled += sorted.nulled.values().sum::<u64>();
        let rejection = Rejection {
            epoch: head.epoch,
            load,
            fingerprint: &self.fingerprint,
            at: jiff::Timestamp::now(),
        };
        let rejected = self
            .sorting
            .records(&sorted.rejected, &sorted.reasons, &rejection)?;
        let runs = match sorted.fitting.num_rows() {
            0 => Vec::new(),
            _ => {
                let fingerprint = &self.fingerprint;
                runs_of(&sorted.fitting, &mut self.encoder, head, fingerprint, load)?
            }
        };
        Ok(Encoded { runs, rejected })
    }

    /// Says once of each column and sort of value that it does not fit, and what becomes of it.
    pub(super) fn remark(&mut self, sorted: &Sorted) {
        let rejected = sorted.reasons.iter().filter_map(|reasons| reasons.reason());
        for reason in rejected {
            let (column, kind) = (&reason.column, &reason.kind);
            if self.remarked.insert((column.clone(), kind.clone())) {
                tracing::warn!(table = %self.berth.table, column, kind, "a value cannot be carried exactly: its row is rejected");
            }
        }
        for (column, kind) in sorted.nulled.keys() {
            if self.remarked.insert((column.clone(), kind.clone())) {
                tracing::warn!(table = %self.berth.table, column, kind, "a value cannot be carried exactly: NULL is sent in its place");
            }
        }
    }

    /// Sends those rows that fit now and that `offset_of` knows (rows, row, key → the offset of the record that
    /// rejected it), with the records that say so. How many they are.
    pub async fn replay(
        &mut self,
        rows: RecordBatch,
        offset_of: impl Fn(&RecordBatch, usize, &[u8]) -> Option<u64>,
    ) -> Result<u64> {
        while self.pending.len() >= AHEAD {
            self.settle_one().await?;
        }
        let permit = self.permit(&rows).await?;
        let mut head = self.head.clone();
        let table = self.berth.table.to_string();
        let mut markers = Vec::new();
        let fitting = self.sorting.sort(rows)?.fitting;
        let mut is_meant = Vec::with_capacity(fitting.num_rows());
        let at = jiff::Timestamp::now();
        for (row, key) in self.sorting.keys(&fitting)?.into_iter().enumerate() {
            let offset = offset_of(&fitting, row, key.as_deref().unwrap_or_default());
            is_meant.push(offset.is_some());
            if let Some(offset) = offset {
                let value = Rejected::replayed(&table, offset, head.epoch, at);
                markers.push(KeyedRecord { key, value });
            }
        }
        let sent = markers.len() as u64;
        if sent == 0 {
            return Ok(0);
        }
        let meant = filter_record_batch(&fitting, &BooleanArray::from(is_meant))
            .map_err(|e| Error::new(Kind::Bug, "choosing the rows to replay").because(e))?;
        let fingerprint = &self.fingerprint;
        let runs = runs_of(&meant, &mut self.encoder, &mut head, fingerprint, None)
            .map_err(|error| error.about(&self.berth.table))?;
        head.rejected = head.rejected.saturating_sub(sent);
        self.head = head;
        self.hand_over_all(runs, markers, Vec::new(), Vec::new(), false, Some(permit));
        Ok(sent)
    }
}

/// How many bytes of records came of one byte as it was read.
pub(super) fn growth(runs: &[Run], rejected: &[(i32, KeyedRecord)], read_bytes: usize) -> f64 {
    let buffers = runs.iter().map(|run| run.records.buffer.capacity());
    let rejected = rejected.iter().map(|(_, record)| record.value.capacity());
    buffers.chain(rejected).sum::<usize>() as f64 / read_bytes.max(1) as f64
}

/// What is sent of a batch.
pub(super) struct Encoded {
    pub(super) runs: Vec<Run>,
    /// Records of rejected rows, and the partition of the table's own topic that each would have gone to.
    pub(super) rejected: Vec<(i32, KeyedRecord)>,
}
