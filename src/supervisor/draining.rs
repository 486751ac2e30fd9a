//! When a command that ends by itself is done: its units are, and the lake holds what they sent.

use super::news::News;
use super::worker::Worker;
use crate::capture::Goal;
use crate::error::Result;
use crate::model::TopicName;
use crate::sink::SinkHandle;
use crate::topic::{Admin, PartitionReader};

impl Worker {
    /// Whether a goal that ends is reached. The sink alone has nothing to wait for but the lake.
    pub(super) fn is_done(&self, captures: bool) -> bool {
        let is_settled = |table| !captures || self.results.tables.contains_key(table);
        self.goal != Goal::Follow
            && self.sources.all_are_known()
            && self.chosen.keys().all(is_settled)
    }

    /// Waits until the lake holds what this command was about.
    pub(super) async fn await_lake(&self, sink: &SinkHandle) -> Result<()> {
        let targets = tokio::task::block_in_place(|| self.targets())?;
        let _ = self.news.send(News::Draining {
            partitions: targets.len(),
        });
        sink.drain_to(targets).await?;
        let (mut loads, mut epochs) = (Vec::new(), Vec::new());
        for (table, result) in &self.results.tables {
            let (Ok(outcome), Some(chosen)) = (result, self.chosen.get(table)) else {
                continue;
            };
            loads.extend(outcome.load_number.map(|load| (chosen.topic.clone(), load)));
            epochs.extend(outcome.epoch.map(|epoch| (chosen.topic.clone(), epoch)));
        }
        // The rows are there; now readers must see them, and nothing that is void.
        sink.await_loads(loads).await?;
        sink.await_swept(epochs).await
    }

    /// How far the lake must come: as the units say, and where none ran, all that the topics hold.
    fn targets(&self) -> Result<Vec<(TopicName, i32, u64)>> {
        let admin = Admin::new(&self.kafka, &self.me.client_id())?;
        let there = admin.partition_counts()?;
        let (mut targets, mut unsaid) = (Vec::new(), Vec::new());
        for (table, chosen) in &self.chosen {
            let topic = chosen.topic.as_str();
            let said = match self.results.tables.get(table) {
                Some(Err(_)) => continue,
                Some(Ok(outcome)) => outcome.end_offsets.as_slice(),
                None => &[],
            };
            // A topic that nobody has made yet holds nothing.
            for partition in 0..there.get(topic).copied().unwrap_or_default() {
                let mut said = said.iter();
                match said.find(|end| end.partition == partition && end.topic == topic) {
                    Some(end) => targets.push((chosen.topic.clone(), partition, end.offset)),
                    None => unsaid.push((chosen.topic.clone(), partition)),
                }
            }
        }
        let places: Vec<(String, i32)> = unsaid
            .iter()
            .map(|(topic, partition)| (topic.to_string(), *partition))
            .collect();
        let bounds = admin.bounds_of(&places, &there)?;
        let mut reader: Option<PartitionReader> = None;
        for ((topic, partition), place) in unsaid.into_iter().zip(places) {
            let target = match bounds.get(&place) {
                Some((low, high)) if low == high => low.unsigned_abs(),
                _ => {
                    let here = match reader.take() {
                        Some(reader) => reader.of(topic.as_str()),
                        None => {
                            PartitionReader::new(&self.kafka, &self.me.client_id(), topic.as_str())?
                        }
                    };
                    let end = here.end_of_records(partition)?.unsigned_abs();
                    reader = Some(here);
                    end
                }
            };
            targets.push((topic, partition, target));
        }
        Ok(targets)
    }
}
