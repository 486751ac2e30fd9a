//! Questions about many topics at once: one round trip for all of them, however many there are.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::admin::ResourceSpecifier;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::{Admin, PATIENCE, TopicFacts, options};
use crate::error::Result;
use crate::topic::{TopicPartition, kafka_error};

/// Topics whose settings are asked for in one request: an answer has some 3 kB for each.
const AT_ONCE: usize = 200;

impl Admin {
    /// Partition count and settings of each topic that exists.
    pub async fn topics(&self, names: &[String]) -> Result<BTreeMap<String, TopicFacts>> {
        let there = tokio::task::block_in_place(|| self.partition_counts())?;
        let wanted: BTreeSet<&String> = names.iter().collect();
        let mut found: BTreeMap<String, TopicFacts> = wanted
            .into_iter()
            .filter_map(|name| Some((name, *there.get(name)?)))
            .map(|(name, partitions)| {
                let facts = TopicFacts {
                    partitions,
                    ..TopicFacts::default()
                };
                (name.clone(), facts)
            })
            .collect();
        let asked: Vec<String> = found.keys().cloned().collect();
        for some in asked.chunks(AT_ONCE) {
            self.add_settings(some, &mut found).await?;
        }
        Ok(found)
    }

    async fn add_settings(
        &self,
        names: &[String],
        found: &mut BTreeMap<String, TopicFacts>,
    ) -> Result<()> {
        let doing = || "asking for the settings of topics".to_owned();
        let topics: Vec<ResourceSpecifier<'_>> = names
            .iter()
            .map(|name| ResourceSpecifier::Topic(name))
            .collect();
        let answers = self
            .admin()?
            .describe_configs(&topics, &options())
            .await
            .map_err(|e| kafka_error(doing(), e))?;
        // Answers come in the order of the questions.
        for (name, answer) in names.iter().zip(answers) {
            let resource = answer.map_err(|code| {
                let doing = format!("asking for the settings of topic `{name}`");
                kafka_error(doing, KafkaError::AdminOp(code))
            })?;
            if let Some(facts) = found.get_mut(name) {
                let told = resource.entries.into_iter();
                facts.settings = told
                    .filter_map(|entry| Some((entry.name, entry.value?)))
                    .collect();
            }
        }
        Ok(())
    }

    /// Every topic there is, with its number of partitions.
    pub fn partition_counts(&self) -> Result<BTreeMap<String, i32>> {
        let metadata = self
            .reader
            .fetch_metadata(None, PATIENCE)
            .map_err(|e| kafka_error("asking for the list of topics", e))?;
        let topics = metadata.topics().iter();
        Ok(topics
            .filter(|topic| topic.error().is_none())
            .map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32))
            .collect())
    }

    /// First and next offset of partitions, open transactions included. Partitions that are not in `there`
    /// ([`Admin::partition_counts`]) are left out.
    pub fn bounds_of(
        &self,
        partitions: &[TopicPartition],
        there: &BTreeMap<String, i32>,
    ) -> Result<BTreeMap<TopicPartition, (i64, i64)>> {
        let known: Vec<&TopicPartition> = partitions
            .iter()
            .filter(|(topic, partition)| there.get(topic).is_some_and(|count| partition < count))
            .collect();
        if known.is_empty() {
            return Ok(BTreeMap::new());
        }
        let lows = self.offsets_at(&known, Offset::Beginning)?;
        let highs = self.offsets_at(&known, Offset::End)?;
        let both = lows.into_iter().filter_map(|(partition, low)| {
            let high = *highs.get(&partition)?;
            Some((partition, (low, high)))
        });
        Ok(both.collect())
    }

    /// One question for all: a time of −2 is the log's beginning, and −1 its end, as `Offset` writes both.
    fn offsets_at(
        &self,
        partitions: &[&TopicPartition],
        place: Offset,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        let doing = || "asking for the bounds of topics".to_owned();
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, *partition, place)
                .map_err(|e| kafka_error(doing(), e))?;
        }
        let answer = self
            .reader
            .offsets_for_times(list, PATIENCE)
            .map_err(|e| kafka_error(doing(), e))?;
        let mut found = BTreeMap::new();
        for element in answer.elements() {
            if let (Ok(()), Offset::Offset(offset)) = (element.error(), element.offset()) {
                found.insert((element.topic().to_owned(), element.partition()), offset);
            }
        }
        Ok(found)
    }
}
