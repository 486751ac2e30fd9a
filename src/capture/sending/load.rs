//! What a bulk load put into each partition.

use std::collections::BTreeMap;

use super::super::committer::StateRecord;
use super::Sending;
use crate::state::{LoadPartition, LoadRecord};

impl Sending {
    /// Forgets what was counted of an earlier load.
    pub fn begin_load(&mut self) {
        self.load_ranges.clear();
        self.load_rows.clear();
        self.load_rejected.clear();
    }

    /// What the load put into each partition, zeros where it put nothing, and what was rejected of it.
    pub fn load_partitions(&self) -> Vec<LoadPartition> {
        (0..self.head.partitions)
            .map(|partition| {
                let (start, end) = self
                    .load_ranges
                    .get(&partition)
                    .copied()
                    .unwrap_or_default();
                let of = |counts: &BTreeMap<i32, u64>| counts.get(&partition).copied();
                LoadPartition {
                    start,
                    end,
                    rows: of(&self.load_rows).unwrap_or_default(),
                    rejected: of(&self.load_rejected).unwrap_or_default(),
                }
            })
            .collect()
    }

    /// The record of a load, keyed by its number.
    pub fn load_record(&self, number: u64, record: &LoadRecord) -> StateRecord {
        let key = LoadRecord::key(&self.berth.table.head_key(), number);
        StateRecord {
            key,
            value: serde_json::to_vec(record).ok(),
        }
    }
}
