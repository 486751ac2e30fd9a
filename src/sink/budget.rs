//! One byte-bounded budget from the consumer to the open files.
//!
//! Two kinds of bytes are counted: records on their way to a writer, and what open chunks hold in memory.
//! Consumption pauses before the budget is exceeded; when the open chunks grow too large, the one with the
//! most bytes is closed, whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::records::PartitionId;
use crate::topic::LARGEST_MESSAGE;

/// A run's worth of room, kept free so that what is being read always fits.
const ONE_RUN: u64 = LARGEST_MESSAGE as u64;

/// The bytes a sink may hold.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    waiting: Arc<AtomicU64>,
    open: Mutex<HashMap<PartitionId, u64>>,
}

impl Budget {
    /// A budget of `limit` bytes, and of at least a few runs: with less nothing could move.
    pub fn new(limit: u64) -> Self {
        Budget {
            limit: limit.max(4 * ONE_RUN),
            waiting: Arc::default(),
            open: Mutex::default(),
        }
    }

    /// Counts bytes of one partition on their way, until the permit is dropped. `of_partition` counts the same
    /// bytes for that partition alone.
    pub fn take(&self, bytes: u64, of_partition: &Arc<AtomicU64>) -> Permit {
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        of_partition.fetch_add(bytes, Ordering::Relaxed);
        Permit {
            bytes,
            counters: [self.waiting.clone(), of_partition.clone()],
        }
    }

    /// States how many bytes a partition's chunk holds in memory.
    pub fn set_open(&self, partition: &PartitionId, bytes: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes == 0 {
            open.remove(partition);
        } else if let Some(known) = open.get_mut(partition) {
            *known = bytes;
        } else {
            open.insert(partition.clone(), bytes);
        }
    }

    fn open_bytes(&self) -> u64 {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().sum()
    }

    /// Whether reading must pause: a further run might not fit.
    pub fn is_full(&self) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        waiting + ONE_RUN > self.limit / 2 || waiting + self.open_bytes() + ONE_RUN > self.limit
    }

    /// Whether reading may go on after a pause. Lower than where it paused, so that it does not flutter.
    pub fn has_room(&self) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        waiting <= self.limit / 8 && waiting + self.open_bytes() + 2 * ONE_RUN <= self.limit
    }

    /// With nothing on its way any more, the partition that holds the most: half a run in its decoder keeps
    /// its bytes until the other half is read.
    pub fn stuck_with(&self) -> Option<PartitionId> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let heaviest = open.iter().max_by_key(|(id, bytes)| (**bytes, *id))?;
        Some(heaviest.0.clone())
    }

    /// Whether one partition has its fair share of what is on its way, so that a slow store for one table does
    /// not hold back the others.
    pub fn is_greedy(&self, of_partition: u64) -> bool {
        of_partition > (self.limit / 8).max(ONE_RUN)
    }

    /// Whether the open chunks hold more than their half and this partition's chunk has the most bytes.
    pub fn must_close(&self, partition: &PartitionId) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mine) = open.get(partition) else {
            return false;
        };
        open.values().sum::<u64>() > self.limit / 2 && open.values().all(|bytes| bytes <= mine)
    }
}

/// Bytes counted until it is dropped.
#[derive(Debug)]
pub struct Permit {
    bytes: u64,
    counters: [Arc<AtomicU64>; 2],
}

impl Drop for Permit {
    fn drop(&mut self) {
        for counter in &self.counters {
            counter.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicName;

    fn partition(number: i32) -> PartitionId {
        PartitionId {
            topic: TopicName::new("retail.orders").expect("a name"),
            number,
        }
    }

    #[test]
    fn reading_pauses_before_the_budget_is_exceeded_and_goes_on_when_bytes_are_given_back() {
        let budget = Budget::new(8 * ONE_RUN);
        let of_partition = Arc::default();
        let permit = budget.take(3 * ONE_RUN, &of_partition);
        assert!(!budget.is_full());
        let another = budget.take(1, &of_partition);
        assert!(budget.is_full() && !budget.has_room());
        drop((permit, another));
        assert!(budget.has_room());
        assert_eq!(of_partition.load(Ordering::Relaxed), 0);
        budget.set_open(&partition(0), 7 * ONE_RUN + 1);
        assert!(budget.is_full());
    }

    #[test]
    fn under_pressure_the_chunk_with_the_most_bytes_is_closed_and_no_other() {
        let budget = Budget::new(8 * ONE_RUN);
        budget.set_open(&partition(0), 2 * ONE_RUN);
        budget.set_open(&partition(1), ONE_RUN);
        assert!(!budget.must_close(&partition(0)));
        budget.set_open(&partition(2), 3 * ONE_RUN);
        assert!(budget.must_close(&partition(2)));
        assert!(!budget.must_close(&partition(0)) && !budget.must_close(&partition(1)));
        budget.set_open(&partition(2), 0);
        assert!(!budget.must_close(&partition(2)) && !budget.must_close(&partition(0)));
    }
}
