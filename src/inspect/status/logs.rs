//! Where the topics begin and end, and how far the sink is.

use std::collections::BTreeMap;

use super::super::broker::Broker;
use crate::config::KafkaSettings;
use crate::error::Result;
use crate::model::TableName;
use crate::state::Head;
use crate::topic::Admin;

/// Where the topics begin and end, and how far the sink has committed.
#[derive(Default)]
pub struct Logs {
    pub committed: BTreeMap<(String, i32), u64>,
    pub bounds: BTreeMap<(String, i32), (u64, u64)>,
}

pub async fn logs(
    kafka: &KafkaSettings,
    broker: &Broker,
    client_id: &str,
    group: &str,
    heads: &[(&TableName, &Head)],
) -> Result<Logs> {
    let partitions: Vec<(String, i32)> = heads
        .iter()
        .flat_map(|(_, head)| (0..head.partitions).map(|partition| (head.topic.clone(), partition)))
        .collect();
    let (kafka, client_id, group) = (kafka.clone(), client_id.to_owned(), group.to_owned());
    let question = move |admin: &Admin| {
        let mut bounds = BTreeMap::new();
        for (topic, partition) in &partitions {
            // A topic that is gone is the table's affair, not this answer's.
            if let Ok((low, high)) = admin.bounds(topic, *partition) {
                bounds.insert(
                    (topic.clone(), *partition),
                    (low.unsigned_abs(), high.unsigned_abs()),
                );
            }
        }
        let committed = Admin::committed(&kafka, &client_id, &group, &partitions)?;
        Ok(Logs { committed, bounds })
    };
    broker.ask("asking how far the lake is", question).await
}
