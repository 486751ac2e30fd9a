//! Where the topics begin and end, and how far the sink is.

use std::collections::BTreeMap;

use super::super::broker::Broker;
use crate::error::Result;
use crate::model::TableName;
use crate::state::{Head, PipelineNames};
use crate::topic::Admin;

/// Where the topics begin and end, and how far the sink has committed.
#[derive(Default)]
pub struct Logs {
    pub committed: BTreeMap<(String, i32), u64>,
    pub bounds: BTreeMap<(String, i32), (u64, u64)>,
}

/// Every topic with its number of partitions.
pub async fn topics_there(broker: &Broker) -> Result<BTreeMap<String, i32>> {
    broker
        .ask("asking for the list of topics", Admin::partition_counts)
        .await
}

/// Asks both for all tables at once.
pub async fn logs(
    broker: &Broker,
    there: BTreeMap<String, i32>,
    names: &PipelineNames,
    heads: &[(&TableName, &Head)],
) -> Result<Logs> {
    let partitions: Vec<(String, i32)> = heads.iter().flat_map(|(_, head)| of(head)).collect();
    if partitions.is_empty() {
        return Ok(Logs::default());
    }
    let (asked, group) = (partitions.clone(), names.sink_group.clone());
    let bounds = broker.ask("asking how long the topics are", move |admin: &Admin| {
        admin.bounds_of(&asked, &there)
    });
    let committed = broker.ask("asking how far the lake is", move |admin: &Admin| {
        admin.committed(&group, &partitions)
    });
    let (bounds, committed) = tokio::join!(bounds, committed);
    let unsigned = |(low, high): (i64, i64)| (low.unsigned_abs(), high.unsigned_abs());
    Ok(Logs {
        committed: committed?,
        bounds: bounds?
            .into_iter()
            .map(|(partition, bounds)| (partition, unsigned(bounds)))
            .collect(),
    })
}

/// The partitions of a table's topic.
fn of(head: &Head) -> impl Iterator<Item = (String, i32)> {
    (0..head.partitions).map(|partition| (head.topic.clone(), partition))
}

impl Logs {
    /// How many offsets of a partition are not in the lake yet: at most so many records.
    ///
    /// A transaction's last mark is no record. Where nothing else follows what the sink has committed, nothing is
    /// behind: a transaction that holds a record is longer.
    pub fn behind(&self, partition: &(String, i32)) -> Option<u64> {
        let (low, end) = self.bounds.get(partition).copied()?;
        Some(match self.committed.get(partition).copied() {
            Some(at) if at + 1 == end => 0,
            at => end.saturating_sub(at.unwrap_or(low).max(low)),
        })
    }

    /// The tables that are behind, the most first; where that is not known, it may be much.
    pub fn most_behind<'a>(
        &self,
        heads: &[(&'a TableName, &'a Head)],
        at_most: usize,
    ) -> Vec<(&'a TableName, &'a Head)> {
        let mut behind: Vec<_> = heads
            .iter()
            .map(|(name, head)| {
                let each = of(head).map(|partition| self.behind(&partition).unwrap_or(u64::MAX));
                (each.fold(0, u64::saturating_add), *name, *head)
            })
            .filter(|(behind, ..)| *behind > 0)
            .collect();
        behind.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        behind.truncate(at_most);
        behind
            .into_iter()
            .map(|(_, name, head)| (name, head))
            .collect()
    }
}
