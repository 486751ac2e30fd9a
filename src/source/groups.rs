//! Tables without a key: rows of one instant have no order, so they go out together or not at all. Pure.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::values;
use crate::error::{Error, Kind, Result};
use crate::model::Micros;

/// How much of one instant's rows is held back: they must go out as one step.
pub const LARGEST_GROUP_BYTES: usize = 64 << 20;

/// Cuts a stream ordered by timestamp into pieces that end where an instant ends.
#[derive(Debug)]
pub struct Groups {
    column: usize,
    held: Vec<RecordBatch>,
    held_at: Option<Micros>,
    held_bytes: usize,
    largest_bytes: usize,
}

impl Groups {
    pub fn new(column: usize) -> Self {
        Groups {
            column,
            held: Vec::new(),
            held_at: None,
            held_bytes: 0,
            largest_bytes: LARGEST_GROUP_BYTES,
        }
    }

    /// Takes a batch and gives what may go out; rows of the last instant are held back while it is below
    /// `bound`, as more of them may follow.
    pub fn push(&mut self, batch: RecordBatch, bound: Micros) -> Result<Option<RecordBatch>> {
        let instants = values::instants(&batch, self.column)?;
        let Some(last) = instants.last().copied() else {
            return Ok(None);
        };
        if last >= bound {
            self.held.push(batch);
            return self.finish();
        }
        let cut = instants.partition_point(|at| *at < last);
        if self.held_at == Some(last) && cut == 0 {
            self.hold(batch, last)?;
            return Ok(None);
        }
        // The rows before the last instant complete every group that was held.
        if cut > 0 {
            self.held.push(batch.slice(0, cut));
        }
        let complete = self.finish()?;
        self.hold(batch.slice(cut, batch.num_rows() - cut), last)?;
        Ok(complete)
    }

    /// Gives what was held back, at the end of the stream.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        (self.held_at, self.held_bytes) = (None, 0);
        let held = std::mem::take(&mut self.held);
        let Some(first) = held.first() else {
            return Ok(None);
        };
        if held.len() == 1 {
            return Ok(held.into_iter().next());
        }
        let whole = concat_batches(first.schema_ref(), &held);
        whole
            .map(Some)
            .map_err(|e| Error::new(Kind::Bug, "joining rows of one instant").because(e))
    }

    fn hold(&mut self, batch: RecordBatch, at: Micros) -> Result<()> {
        // A slice's size is that of its rows, not of the buffers it shares.
        let bytes = batch
            .columns()
            .iter()
            .map(|a| a.to_data().get_slice_memory_size().unwrap_or(0));
        self.held_bytes += bytes.sum::<usize>();
        self.held_at = Some(at);
        self.held.push(batch);
        if self.held_bytes > self.largest_bytes {
            return Err(Error::new(
                Kind::Data,
                format!("more than {} MiB of rows share one timestamp, and the table has no key to order them", LARGEST_GROUP_BYTES >> 20),
            )
            .hint("give the table a primary key, or use `timestamp+incrementing`, or `bulk`"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
    use arrow::datatypes::TimestampMicrosecondType;
    use proptest::prelude::*;

    fn batch(instants: &[i64]) -> RecordBatch {
        let column = Arc::new(TimestampMicrosecondArray::from(instants.to_vec())) as ArrayRef;
        RecordBatch::try_from_iter([("at", column)]).unwrap()
    }

    fn instants(batch: &RecordBatch) -> Vec<i64> {
        batch
            .column(0)
            .as_primitive::<TimestampMicrosecondType>()
            .values()
            .to_vec()
    }

    proptest! {
        #[test]
        fn every_row_goes_out_once_in_order_and_no_instant_below_the_bound_is_torn(
            mut all in prop::collection::vec(0i64..6, 0..40),
            size in 1usize..9,
            bound in 0i64..7,
        ) {
            all.sort_unstable();
            let mut groups = Groups::new(0);
            let mut pieces: Vec<Vec<i64>> = Vec::new();
            for chunk in all.chunks(size) {
                pieces.extend(groups.push(batch(chunk), bound).unwrap().map(|b| instants(&b)));
            }
            pieces.extend(groups.finish().unwrap().map(|b| instants(&b)));
            prop_assert_eq!(pieces.concat(), all);
            for pair in pieces.windows(2) {
                let (last, first) = (pair[0].last().unwrap(), pair[1].first().unwrap());
                prop_assert!(last < first || *last >= bound, "{:?}", pieces);
            }
        }
    }

    #[test]
    fn rows_of_one_instant_that_fit_no_step_are_an_error() {
        let mut groups = Groups {
            largest_bytes: 100,
            ..Groups::new(0)
        };
        assert!(groups.push(batch(&[1; 10]), 9).unwrap().is_none());
        assert_eq!(
            groups.push(batch(&[1; 10]), 9).unwrap_err().kind(),
            Kind::Data
        );
    }
}
