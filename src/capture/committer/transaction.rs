//! One transaction: rows, state and the group's offsets.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::consumer::ConsumerGroupMetadata;

use super::blame::Failed;
use super::parcel::{Batch, Committed, KeyedRecord, Rejections};
use crate::capture::topics::{another_log, takes_nothing};
use crate::error::{Error, Kind};
use crate::model::TopicName;
use crate::state::PipelineNames;
use crate::topic::{Delivered, Outgoing, Transactional};
use crate::wire::RUN_HEADER;

/// What a transaction is written with.
pub struct Transaction<'a> {
    pub producer: &'a Transactional,
    pub names: &'a PipelineNames,
    /// The metadata of the life whose batches these are.
    pub group: &'a ConsumerGroupMetadata,
}

impl Transaction<'_> {
    /// One transaction. After a crash anywhere before the commit is decided nothing of it is seen by anybody;
    /// after it, all of it is.
    pub fn commit(&self, batches: &[Batch]) -> std::result::Result<Vec<Committed>, Failed> {
        self.write(batches)
            .map_err(|failed| failed.with_unwritable(self.producer.unwritable()))
    }

    fn write(&self, batches: &[Batch]) -> std::result::Result<Vec<Committed>, Failed> {
        let producer = self.producer;
        producer.begin()?;
        let mut slots = Slots::default();
        for (index, batch) in batches.iter().enumerate() {
            self.send(batch, index, &mut slots)?;
        }
        let offsets: BTreeMap<i32, i64> = batches
            .iter()
            .map(|b| (b.place.state_partition, b.place.state_offset))
            .collect();
        // An empty list would not be sent and would fence nothing: every batch names its partition.
        producer.send_offsets(&self.names.state_topic, offsets, self.group)?;
        let delivered = producer
            .drain()
            .map_err(|error| slots.without_answer(&producer.answered(), error))?;
        let committed = slots.committed(&delivered, batches.len())?;
        refuse_new_logs(batches, &committed)?;
        producer.commit()?;
        Ok(committed)
    }

    fn send<'a>(
        &'a self,
        batch: &'a Batch,
        index: usize,
        slots: &mut Slots<'a>,
    ) -> std::result::Result<(), Failed> {
        let producer = self.producer;
        let topic = batch.topic.as_ref().map_or("", TopicName::as_str);
        for run in &batch.parcel.runs {
            let slot = slots.add(
                topic,
                Some((index, run.records.partition)),
                run.records.spans.len(),
            );
            let mut header = Some((RUN_HEADER, run.header.as_bytes()));
            for (key, value) in run.records.records() {
                let record = Outgoing {
                    topic,
                    partition: run.records.partition,
                    key,
                    value: Some(value),
                    header: header.take(),
                    slot,
                };
                producer
                    .send(record)
                    .map_err(|error| Failed::of(topic, error))?;
            }
        }
        let Rejections { topic, records } = &batch.parcel.rejections;
        if !records.is_empty() {
            let slot = slots.add(topic, None, records.len());
            for KeyedRecord { key, value } in records {
                let record = Outgoing {
                    topic,
                    partition: 0,
                    key: key.as_deref(),
                    value: Some(value),
                    header: None,
                    slot,
                };
                producer
                    .send(record)
                    .map_err(|error| Failed::of(topic, error))?;
            }
        }
        let own = [
            (
                &self.names.state_topic,
                batch.place.state_partition,
                &batch.parcel.state,
            ),
            (&self.names.loads_topic, 0, &batch.parcel.loads),
        ];
        for (topic, partition, records) in own {
            if records.is_empty() {
                continue;
            }
            let slot = slots.add_own(topic, records.len());
            for record in records {
                producer.send(Outgoing {
                    topic,
                    partition,
                    key: Some(record.key.as_bytes()),
                    value: record.value.as_deref(),
                    header: None,
                    slot,
                })?;
            }
        }
        Ok(())
    }
}

/// A log that ends before the records it must hold is another one: its topic was deleted, and made anew by
/// somebody or by the broker. Nothing is committed into it.
fn refuse_new_logs(batches: &[Batch], committed: &[Committed]) -> std::result::Result<(), Failed> {
    for (batch, committed) in batches.iter().zip(committed) {
        // Of several runs of one partition, the first begins where the batch does.
        let mut begun = BTreeSet::new();
        for run in &batch.parcel.runs {
            let partition = run.records.partition;
            if !begun.insert(partition) {
                continue;
            }
            let at = committed.ranges.get(&partition).map(|(start, _)| *start);
            if let (Some(at), Some(topic)) = (at, &batch.topic)
                && at + 1 < run.first
            {
                return Err(Failed::of(topic.as_str(), another_log(topic, partition)));
            }
        }
    }
    Ok(())
}

/// Which records are noted under which slot of the producer.
#[derive(Default)]
struct Slots<'a>(Vec<Slot<'a>>);

struct Slot<'a> {
    topic: &'a str,
    is_own: bool,
    /// Batch and partition of a run; none for rejected rows and for the pipeline's own records.
    run: Option<(usize, i32)>,
    records: u64,
}

impl<'a> Slots<'a> {
    fn add(&mut self, topic: &'a str, run: Option<(usize, i32)>, records: usize) -> usize {
        self.0.push(Slot {
            topic,
            is_own: false,
            run,
            records: records as u64,
        });
        self.0.len() - 1
    }

    fn add_own(&mut self, topic: &'a str, records: usize) -> usize {
        self.0.push(Slot {
            topic,
            is_own: true,
            run: None,
            records: records as u64,
        });
        self.0.len() - 1
    }

    /// Not every record was answered in time. Where the pipeline's own were, the broker is there, and it is the
    /// topics that took nothing.
    fn without_answer(&self, delivered: &[Delivered], error: Error) -> Failed {
        let is_answered = |index: usize, slot: &Slot<'_>| {
            let answer = delivered.get(index);
            answer.is_some_and(|answer| answer.error.is_some() || answer.records == slot.records)
        };
        let (own, silent): (Vec<_>, Vec<_>) = self
            .0
            .iter()
            .enumerate()
            .filter(|(index, slot)| !is_answered(*index, slot))
            .map(|(_, slot)| slot)
            .partition(|slot| slot.is_own);
        let is_outage = !own.is_empty() || error.kind() != Kind::Unavailable;
        let why = error.to_string();
        let mut failed = Failed::from(error);
        for slot in silent.iter().filter(|_| !is_outage) {
            failed.blame(slot.topic, takes_nothing(slot.topic, why.clone()));
        }
        failed
    }

    /// Every record must have been acknowledged. The offsets of each batch, by partition.
    fn committed(
        &self,
        delivered: &[Delivered],
        batches: usize,
    ) -> std::result::Result<Vec<Committed>, Failed> {
        let mut committed = vec![Committed::default(); batches];
        for (index, slot) in self.0.iter().enumerate() {
            let answer = delivered.get(index).cloned().unwrap_or_default();
            if let Some((topic, error)) = answer.error {
                let error = crate::topic::kafka_error(format!("writing to topic `{topic}`"), error);
                return Err(Failed::of(&topic, error));
            }
            if answer.records != slot.records {
                return Err(
                    Error::new(Kind::Unavailable, "not every record was acknowledged").into(),
                );
            }
            if let (Some((batch, partition)), Some((first, last))) = (slot.run, answer.offsets)
                && let Some(committed) = committed.get_mut(batch)
            {
                let range = committed
                    .ranges
                    .entry(partition)
                    .or_insert((first as u64, 0));
                range.1 = range.1.max(last as u64 + 1);
            }
        }
        Ok(committed)
    }
}
