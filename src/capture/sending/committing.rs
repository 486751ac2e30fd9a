//! Batches on their way to the committer, and what comes back of them.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use arrow::array::RecordBatch;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::super::berth::Place;
use super::super::committer::{
    Batch, Command, Committed, Committer, KeyedRecord, Parcel, Rejections, Run, StateRecord,
};
use super::{PERMIT_BYTES, Pending, Sending, head_record};
use crate::error::{Error, Kind, Result};
use crate::model::TopicName;
use crate::state::{StateKey, encode};

/// How long an answer stands for its asker to read.
const ANSWERS_STAND_MS: i64 = 24 * 3600 * 1000;
/// What the Kafka client keeps for each record in its queue, beside the record itself.
const QUEUED_RECORD: usize = 256;

impl Sending {
    /// Hands records of the state topic and the loads topic to the committer.
    pub(super) fn hand_over(&mut self, more: Vec<StateRecord>, loads: Vec<StateRecord>) {
        self.hand_over_all(Vec::new(), Vec::new(), more, loads, false, None);
    }

    /// Hands rows and everything that must be durable with them to the committer.
    pub(super) fn hand_over_all(
        &mut self,
        runs: Vec<Run>,
        rejected: Vec<KeyedRecord>,
        more: Vec<StateRecord>,
        loads: Vec<StateRecord>,
        is_load: bool,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        self.head.fingerprint = Some(self.fingerprint.to_string());
        let mut state = vec![head_record(&self.berth, &mut self.head)];
        let seen = std::mem::take(&mut self.unsent);
        for (minute, seen) in &seen {
            let (table, minute) = (self.berth.table.key_tail(), *minute);
            state.push(StateRecord {
                key: StateKey::Seen { table, minute }.to_string(),
                value: seen.as_ref().map(encode),
            });
        }
        state.extend(more);
        state.extend(self.old_answers());
        self.head_moved = false;
        self.written = Instant::now();
        let topic = match rejected.is_empty() {
            true => String::new(),
            false => self.rejected_topic.clone(),
        };
        let rejections = Rejections {
            topic,
            records: rejected,
        };
        let parcel = Arc::new(Parcel {
            runs,
            rejections,
            state,
            loads,
        });
        let topic = Some(&self.berth.topic);
        let done = commit(&self.committer, self.berth.place, topic, parcel.clone());
        self.pending.push_back(Pending {
            parcel,
            head: self.head.clone(),
            seen,
            done,
            is_load,
            _permit: permit,
        });
    }

    /// Tombstones for the answers that nobody waits for any more.
    pub(super) fn old_answers(&mut self) -> Vec<StateRecord> {
        let before = jiff::Timestamp::now().as_millisecond() - ANSWERS_STAND_MS;
        let table = self.berth.table.key_tail();
        let old = self.answers.extract_if(.., |_, at| *at < before);
        old.map(|(id, _)| {
            let key = StateKey::Outcome {
                table: table.clone(),
                id,
            }
            .to_string();
            StateRecord { key, value: None }
        })
        .collect()
    }

    pub(super) async fn settle_one(&mut self) -> Result<()> {
        let answer = Self::front(&mut self.pending).await;
        self.take_answer(answer).await
    }

    pub(super) async fn take_answer(&mut self, answer: Option<Result<Committed>>) -> Result<()> {
        match answer {
            Some(Ok(committed)) => {
                self.note(committed);
                Ok(())
            }
            Some(Err(refusal)) => {
                // Its successors would leave a hole where it was.
                self.refused = true;
                self.pending.clear();
                self.unsent.clear();
                Err(refusal)
            }
            None => self.take_up_again().await,
        }
    }

    /// The life is over. If the table is taken over by this worker again and nobody else wrote about it, what
    /// was on its way is handed over again under the new life; else whoever owns this unit ends it.
    pub(super) async fn take_up_again(&mut self) -> Result<()> {
        loop {
            let place = *self.tenure.lives.borrow_and_update();
            if place != self.berth.place {
                self.berth.place = place;
                break;
            }
            self.tenure.lives.changed().await.map_err(|_| given_up())?;
        }
        tracing::debug!(table = %self.berth.table, life = self.berth.place.life, "going on in a later life");
        for pending in &mut self.pending {
            pending.done = commit(
                &self.committer,
                self.berth.place,
                Some(&self.berth.topic),
                pending.parcel.clone(),
            );
        }
        Ok(())
    }

    /// A share of the memory budget for the records of a batch; while it is used up, this waits. A batch larger
    /// than the whole budget takes all of it.
    pub(super) async fn permit(&mut self, rows: &RecordBatch) -> Result<OwnedSemaphorePermit> {
        // Records exist twice for a while: here, and in the queue of the Kafka client.
        let records = (rows.get_array_memory_size() as f64 * self.growth) as usize;
        let permits = (2 * records + rows.num_rows() * QUEUED_RECORD)
            .div_ceil(PERMIT_BYTES)
            .clamp(1, self.permits_in_all as usize) as u32;
        loop {
            tokio::select! {
                biased;
                permit = self.budget.clone().acquire_many_owned(permits) => {
                    return permit.map_err(|_| given_up());
                }
                // The budget may be held by this unit's own batches.
                answer = Self::front(&mut self.pending), if !self.pending.is_empty() => {
                    self.take_answer(answer).await?;
                }
            }
        }
    }

    /// The answer to the oldest batch on its way; `None` if its life ended before it was decided. Cancel-safe:
    /// the batch stays until [`Sending::note`].
    pub(super) async fn front(pending: &mut VecDeque<Pending>) -> Option<Result<Committed>> {
        match pending.front_mut() {
            Some(pending) => (&mut pending.done).await.ok(),
            None => std::future::pending().await,
        }
    }

    /// Takes the oldest batch off the list and notes where its rows are.
    pub(super) fn note(&mut self, committed: Committed) {
        let Some(pending) = self.pending.pop_front() else {
            return;
        };
        let is_load = pending.is_load;
        for (minute, seen) in pending.seen {
            match seen {
                Some(seen) => self.seen.insert(minute, seen),
                None => self.seen.remove(&minute),
            };
        }
        *self
            .tenure
            .durable
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(pending.head);
        for (partition, (start, end)) in committed.ranges {
            let known = self.ends.entry(partition).or_default();
            *known = (*known).max(end);
            if is_load {
                let range = self.load_ranges.entry(partition).or_insert((start, end));
                *range = (range.0.min(start), range.1.max(end));
            }
        }
    }
}

/// The table is another's now, who goes on from what is durable.
pub(super) fn given_up() -> Error {
    Error::new(Kind::TryLater, "the table was handed over")
}

/// Hands a parcel to the committer. A parcel with rows names their topic.
pub fn commit(
    committer: &Committer,
    place: Place,
    topic: Option<&TopicName>,
    parcel: Arc<Parcel>,
) -> oneshot::Receiver<Result<Committed>> {
    let (done, answer) = oneshot::channel();
    committer.send(Command::Batch(Batch {
        place,
        topic: topic.cloned(),
        parcel,
        done,
    }));
    answer
}
