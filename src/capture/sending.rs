//! One table's way to the committer: steps become batches, at most two ahead of the commit.

mod committing;
mod encoding;
mod load;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use ulid::Ulid;

pub use super::berth::Place;
use super::berth::{Berth, Tenure, answer_records, head_record};
use super::committer::{Committed, Committer, Parcel, StateRecord};
use super::sorting::Sorting;
use crate::error::Result;
use crate::model::{Copy, Cursor, Fingerprint, Minute, SeenChange, Step, TableSchema, Witness};
use crate::state::{EndOffset, EpochRecord, Head, Outcome, SeenMinute};
use crate::wire::JsonEncoder;
pub use committing::commit;
use encoding::{Encoded, growth};

/// A unit may be this many batches ahead of the commit: one is being committed while the next is made.
const AHEAD: usize = 2;
/// A cursor that moves over nothing is made durable this often. Until then a restart reads a little more of
/// what it has seen, and sends none of it again.
const IDLE_STATE: Duration = Duration::from_secs(15);
/// How often a head is written while nothing changes: how much older than the truth its freshness may be.
const STILL_FRESH: Duration = Duration::from_secs(60);
/// A permit of the memory budget stands for this many bytes.
pub const PERMIT_BYTES: usize = 64 << 10;
/// How many bytes of records are expected of one byte as it was read, before the first batch says.
const FIRST_GROWTH: f64 = 2.0;

/// What a table remembers when a try ends.
pub struct Remembered {
    pub berth: Berth,
    pub head: Option<Head>,
    pub seen: BTreeMap<Minute, SeenMinute>,
    pub answers: BTreeMap<Ulid, i64>,
}

/// Sends steps and keeps what must be durable with them.
pub struct Sending {
    berth: Berth,
    tenure: Tenure,
    committer: Committer,
    budget: Arc<Semaphore>,
    permits_in_all: u32,
    /// The state after the last batch handed over.
    pub head: Head,
    encoder: JsonEncoder,
    /// How many bytes of records came of one byte of the last batch.
    growth: f64,
    sorting: Sorting,
    /// Where rejected rows go.
    rejected_topic: String,
    /// Columns and sorts of values that were remarked upon.
    remarked: BTreeSet<(String, String)>,
    fingerprint: Fingerprint,
    pending: VecDeque<Pending>,
    /// A batch was refused: what was read after it has no place, and reading goes on from what is durable.
    refused: bool,
    /// The seen window as it is durable.
    seen: BTreeMap<Minute, SeenMinute>,
    /// Changes of the seen window that no batch has carried yet.
    unsent: BTreeMap<Minute, Option<SeenMinute>>,
    /// Answers given, and when (ms since 1970): they are removed after a day.
    answers: BTreeMap<Ulid, i64>,
    head_moved: bool,
    /// The newest row sent since the table was last seen to be whole.
    newest: Option<Witness>,
    written: Instant,
    /// The offset after the last record committed, by partition of the topic.
    ends: BTreeMap<i32, u64>,
    /// Of the open load: first offset, end and rows, by partition.
    load_ranges: BTreeMap<i32, (u64, u64)>,
    load_rows: BTreeMap<i32, u64>,
    /// Rows of the open load that were rejected, by the partition they would have gone to.
    load_rejected: BTreeMap<i32, u64>,
}

struct Pending {
    parcel: Arc<Parcel>,
    /// The head after this batch.
    head: Head,
    /// The minutes of the seen window that this batch changes.
    seen: BTreeMap<Minute, Option<SeenMinute>>,
    done: oneshot::Receiver<Result<Committed>>,
    is_load: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Sending {
    #[allow(clippy::too_many_arguments)] // One call, where every part has its name.
    pub fn new(
        berth: Berth,
        tenure: Tenure,
        committer: Committer,
        budget: Arc<Semaphore>,
        permits_in_all: u32,
        head: Head,
        schema: &TableSchema,
        fingerprint: Fingerprint,
        rejected_topic: String,
        seen: BTreeMap<Minute, SeenMinute>,
        answers: BTreeMap<Ulid, i64>,
    ) -> Self {
        let encoder = JsonEncoder::new(schema, head.partitions);
        let sorting = Sorting::new(berth.table.to_string(), schema, head.partitions);
        Sending {
            berth,
            tenure,
            committer,
            budget,
            permits_in_all,
            head,
            encoder,
            growth: FIRST_GROWTH,
            sorting,
            rejected_topic,
            remarked: BTreeSet::new(),
            fingerprint,
            pending: VecDeque::new(),
            refused: false,
            seen,
            unsent: BTreeMap::new(),
            answers,
            head_moved: false,
            newest: None,
            written: Instant::now(),
            ends: BTreeMap::new(),
            load_ranges: BTreeMap::new(),
            load_rows: BTreeMap::new(),
            load_rejected: BTreeMap::new(),
        }
    }

    /// Hands a step over. Waits while two batches are on their way, or the memory budget is used up. The state
    /// moves on only together with the rows: after an error it is as it was before the step.
    pub async fn step(&mut self, step: Step, load: Option<Ulid>) -> Result<()> {
        if step.rows.num_rows() == 0 {
            // The end of a copy is news, even without rows.
            let is_news = step.copy.is_some();
            self.move_on(step.cursor, step.copy, step.seen);
            return match is_news || self.head_moved && self.written.elapsed() >= IDLE_STATE {
                true => self.write_state().await,
                false => Ok(()),
            };
        }
        while self.pending.len() >= AHEAD {
            self.settle_one().await?;
        }
        let read_bytes = step.rows.get_array_memory_size();
        let permit = self.permit(&step.rows).await?;
        let mut head = self.head.clone();
        let Encoded { runs, rejected } =
            tokio::task::block_in_place(|| self.encode(step.rows, &mut head, load))
                .map_err(|error| error.about(&self.berth.table))?;
        self.growth = growth(&runs, &rejected, read_bytes);
        self.head = head;
        self.move_on(step.cursor, step.copy, step.seen);
        if load.is_some() {
            for run in &runs {
                *self.load_rows.entry(run.records.partition).or_default() +=
                    run.records.spans.len() as u64;
            }
            for (partition, _) in &rejected {
                *self.load_rejected.entry(*partition).or_default() += 1;
            }
        }
        let rejected = rejected.into_iter().map(|(_, record)| record).collect();
        self.hand_over_all(
            runs,
            rejected,
            Vec::new(),
            Vec::new(),
            load.is_some(),
            Some(permit),
        );
        Ok(())
    }

    fn move_on(&mut self, cursor: Option<Cursor>, copy: Option<Copy>, seen: Vec<SeenChange>) {
        self.head_moved |= copy.is_some() || cursor.is_some() && cursor != self.head.cursor;
        if cursor.is_some() {
            self.head.cursor = cursor;
        }
        if copy.is_some() {
            self.head.copy = copy;
        }
        for SeenChange { minute, hashes } in seen {
            let fingerprint = self.fingerprint.to_string();
            let seen = hashes.map(|hashes| SeenMinute {
                fingerprint,
                hashes,
            });
            self.unsent.insert(minute, seen);
        }
    }

    /// Remembers a row that is about to be sent, to be asked for when the rows were written anew. A row that was
    /// read while nobody saw where the rows lie counts only after that was seen: it may be of a table that was
    /// emptied and filled.
    pub fn remember(&mut self, witness: Option<Witness>, storage_was_seen: bool) {
        self.newest = witness.or(self.newest.take());
        if storage_was_seen && let Some(sighting) = &mut self.head.sighting {
            sighting.witness = self.newest.take().or(sighting.witness.take());
        }
    }

    /// The table was seen whole after everything that was sent: its newest row may be asked for.
    pub fn is_whole(&mut self) {
        self.head_moved |= self.newest.is_some();
        self.remember(None, true);
    }

    /// A failure is over: `status` hears of it with the next record.
    pub fn clear_failure(&mut self) {
        self.head_moved |= self.head.failure.take().is_some();
    }

    /// Writes the state without rows, and waits until it is durable.
    pub async fn write_state(&mut self) -> Result<()> {
        self.write(Vec::new(), Vec::new()).await
    }

    /// Writes the state if anything of it is not handed over yet.
    pub async fn flush(&mut self) -> Result<()> {
        match self.head_moved || !self.unsent.is_empty() {
            true => self.write_state().await,
            false => Ok(()),
        }
    }

    /// Writes the state with further records of the state topic and the loads topic in one transaction, after
    /// everything handed over before, and waits until it is durable.
    pub async fn write(&mut self, state: Vec<StateRecord>, loads: Vec<StateRecord>) -> Result<()> {
        self.hand_over(state, loads);
        self.settle().await
    }

    /// Begins the epoch of `head`, in one decision with its announcement and, where it was asked for, the answer.
    pub async fn begin_epoch(
        &mut self,
        announced: &EpochRecord,
        answer: Option<(Ulid, Outcome)>,
    ) -> Result<()> {
        self.unsent
            .extend(self.seen.keys().map(|minute| (*minute, None)));
        let key = EpochRecord::key(&self.berth.table.head_key());
        let announcement = StateRecord {
            key,
            value: serde_json::to_vec(announced).ok(),
        };
        let mut state = Vec::new();
        if let Some((id, outcome)) = answer {
            self.answers.insert(id, outcome.at);
            state = answer_records(&self.berth.table, id, &outcome);
        }
        self.write(state, vec![announcement]).await
    }

    /// Whether a request was answered.
    pub fn has_answered(&self, id: Ulid) -> bool {
        self.answers.contains_key(&id)
    }

    /// What the table remembers: after everything was settled, all of it; after a refusal, what is durable.
    pub fn into_memory(self) -> Remembered {
        let durable = || {
            let durable = self.tenure.durable.lock();
            durable.unwrap_or_else(PoisonError::into_inner).clone()
        };
        Remembered {
            head: match self.refused {
                true => durable(),
                false => Some(self.head),
            },
            berth: self.berth,
            seen: self.seen,
            answers: self.answers,
        }
    }

    /// Whether a batch was refused, so that nothing after it can be sent.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// The seen window as it is durable, for a reader to begin with.
    pub fn seen(&self) -> &BTreeMap<Minute, SeenMinute> {
        &self.seen
    }

    /// The schema the rows are sent in.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Answers a request: its tombstone, the answer and the state in one transaction.
    pub async fn answer(&mut self, id: Ulid, outcome: &Outcome) -> Result<()> {
        self.answers.insert(id, outcome.at);
        let records = answer_records(&self.berth.table, id, outcome);
        self.write(records, Vec::new()).await
    }

    /// Waits until everything handed over is committed.
    pub async fn settle(&mut self) -> Result<()> {
        while !self.pending.is_empty() {
            self.settle_one().await?;
        }
        Ok(())
    }

    /// Before a pause: everything handed over is committed, and the head says now and then how far it was read,
    /// also while nothing changes.
    pub async fn rest(&mut self) -> Result<()> {
        match self.written.elapsed() >= STILL_FRESH {
            true => self.write_state().await,
            false => self.settle().await,
        }
    }

    /// The end of what this unit committed, by partition.
    pub fn end_offsets(&self) -> Vec<EndOffset> {
        let topic = self.berth.topic.to_string();
        self.ends
            .iter()
            .map(|(partition, offset)| EndOffset {
                topic: topic.clone(),
                partition: *partition,
                offset: *offset,
            })
            .collect()
    }
}
