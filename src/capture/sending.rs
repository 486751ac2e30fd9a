//! One table's way to the committer: steps become batches, at most two ahead of the commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use ulid::Ulid;

use super::Life;
use super::committer::{
    Batch, Command, Committed, Committer, KeyedRecord, Parcel, Rejections, Run, StateRecord,
};
use super::runs::runs_of;
use super::sorting::{Rejection, Sorted, Sorting};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Copy, Cursor, Fingerprint, Minute, SeenChange, Step, TableName, TableSchema, TopicName, Witness,
};
use crate::state::{
    EndOffset, EpochRecord, Head, LoadPartition, LoadRecord, Outcome, Rejected, SeenMinute,
    StateKey, encode,
};
use crate::wire::JsonEncoder;

/// A unit may be this many batches ahead of the commit: one is being committed while the next is made.
const AHEAD: usize = 2;
/// A cursor that moves over nothing is made durable this often. Until then a restart reads a little more of
/// what it has seen, and sends none of it again.
const IDLE_STATE: Duration = Duration::from_secs(15);
/// How often a head is written while nothing changes: how much older than the truth its freshness may be.
const STILL_FRESH: Duration = Duration::from_secs(60);
/// How long an answer stands for its asker to read.
const ANSWERS_STAND_MS: i64 = 24 * 3600 * 1000;
/// A permit of the memory budget stands for this many bytes.
pub const PERMIT_BYTES: usize = 64 << 10;
/// What the Kafka client keeps for each record in its queue, beside the record itself.
const QUEUED_RECORD: usize = 256;
/// How many bytes of records are expected of one byte as it was read, before the first batch says.
const FIRST_GROWTH: f64 = 2.0;

/// A table's place in one life: its partition of the state topic, and the offset at which the life took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub life: Life,
    pub state_partition: i32,
    pub state_offset: i64,
}

/// Where a table stands in the world of topics. Its place changes when it is taken over again.
#[derive(Clone, Debug)]
pub struct Berth {
    pub table: TableName,
    pub topic: TopicName,
    pub place: Place,
    pub worker: String,
}

/// How a unit learns that its table is this worker's again, and tells what it knows to be durable.
#[derive(Clone)]
pub struct Tenure {
    /// The table's place in the present life.
    pub lives: watch::Receiver<Place>,
    /// The last head this unit knows to be committed: the unit goes on in a later life if nobody wrote another.
    pub durable: Arc<Mutex<Option<Head>>>,
}

/// What a table remembers when a try ends.
pub struct Remembered {
    pub berth: Berth,
    pub head: Option<Head>,
    pub seen: BTreeMap<Minute, SeenMinute>,
    pub answers: BTreeMap<Ulid, i64>,
}

/// How many bytes of records came of one byte as it was read.
fn growth(runs: &[Run], rejected: &[(i32, KeyedRecord)], read_bytes: usize) -> f64 {
    let buffers = runs.iter().map(|run| run.records.buffer.capacity());
    let rejected = rejected.iter().map(|(_, record)| record.value.capacity());
    buffers.chain(rejected).sum::<usize>() as f64 / read_bytes.max(1) as f64
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

/// What is sent of a batch.
struct Encoded {
    runs: Vec<Run>,
    /// Records of rejected rows, and the partition of the table's own topic that each would have gone to.
    rejected: Vec<(i32, KeyedRecord)>,
}

/// The table is another's now, who goes on from what is durable.
fn given_up() -> Error {
    Error::new(Kind::TryLater, "the table was handed over")
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

    /// The runs of the rows that fit and the records of those that do not, counted in `head`.
    fn encode(
        &mut self,
        rows: RecordBatch,
        head: &mut Head,
        load: Option<Ulid>,
    ) -> Result<Encoded> {
        let sorted = self.sorting.sort(rows)?;
        self.remark(&sorted);
        head.rejected += sorted.reasons.len() as u64;
        head.nulled += sorted.nulled.values().sum::<u64>();
        let rejection = Rejection {
            epoch: head.epoch,
            load,
            fingerprint: &self.fingerprint,
            at: jiff::Timestamp::now(),
        };
        let rejected = self
            .sorting
            .records(&sorted.rejected, &sorted.reasons, &rejection)?;
        let runs = match sorted.fitting.num_rows() {
            0 => Vec::new(),
            _ => {
                let fingerprint = &self.fingerprint;
                runs_of(&sorted.fitting, &mut self.encoder, head, fingerprint, load)?
            }
        };
        Ok(Encoded { runs, rejected })
    }

    /// Says once of each column and sort of value that it does not fit, and what becomes of it.
    fn remark(&mut self, sorted: &Sorted) {
        let rejected = sorted.reasons.iter().filter_map(|reasons| reasons.reason());
        for reason in rejected {
            let (column, kind) = (&reason.column, &reason.kind);
            if self.remarked.insert((column.clone(), kind.clone())) {
                tracing::warn!(table = %self.berth.table, column, kind, "a value cannot be carried exactly: its row is rejected");
            }
        }
        for (column, kind) in sorted.nulled.keys() {
            if self.remarked.insert((column.clone(), kind.clone())) {
                tracing::warn!(table = %self.berth.table, column, kind, "a value cannot be carried exactly: NULL is sent in its place");
            }
        }
    }

    /// Sends those rows that fit now and that `offset_of` knows (rows, row, key → the offset of the record that
    /// rejected it), with the records that say so. How many they are.
    pub async fn replay(
        &mut self,
        rows: RecordBatch,
        offset_of: impl Fn(&RecordBatch, usize, &[u8]) -> Option<u64>,
    ) -> Result<u64> {
        while self.pending.len() >= AHEAD {
            self.settle_one().await?;
        }
        let permit = self.permit(&rows).await?;
        let mut head = self.head.clone();
        let table = self.berth.table.to_string();
        let mut markers = Vec::new();
        let fitting = self.sorting.sort(rows)?.fitting;
        let mut is_meant = Vec::with_capacity(fitting.num_rows());
        let at = jiff::Timestamp::now();
        for (row, key) in self.sorting.keys(&fitting)?.into_iter().enumerate() {
            let offset = offset_of(&fitting, row, key.as_deref().unwrap_or_default());
            is_meant.push(offset.is_some());
            if let Some(offset) = offset {
                let value = Rejected::replayed(&table, offset, head.epoch, at);
                markers.push(KeyedRecord { key, value });
            }
        }
        let sent = markers.len() as u64;
        if sent == 0 {
            return Ok(0);
        }
        let meant = filter_record_batch(&fitting, &BooleanArray::from(is_meant))
            .map_err(|e| Error::new(Kind::Bug, "choosing the rows to replay").because(e))?;
        let fingerprint = &self.fingerprint;
        let runs = runs_of(&meant, &mut self.encoder, &mut head, fingerprint, None)
            .map_err(|error| error.about(&self.berth.table))?;
        head.rejected = head.rejected.saturating_sub(sent);
        self.head = head;
        self.hand_over_all(runs, markers, Vec::new(), Vec::new(), false, Some(permit));
        Ok(sent)
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

    /// Begins the epoch of `head`, in one decision with the announcement that everything before it is void.
    pub async fn begin_again(&mut self, start: Vec<u64>) -> Result<()> {
        self.unsent
            .extend(self.seen.keys().map(|minute| (*minute, None)));
        let record = EpochRecord {
            v: 1,
            topic: self.berth.topic.to_string(),
            epoch: self.head.epoch,
            retired_below: Some(self.head.epoch),
            start,
            reason: "snapshot --again".to_owned(),
        };
        let key = EpochRecord::key(&self.berth.table.head_key());
        let announcement = StateRecord {
            key,
            value: serde_json::to_vec(&record).ok(),
        };
        self.write(Vec::new(), vec![announcement]).await
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

    /// Hands records of the state topic and the loads topic to the committer.
    fn hand_over(&mut self, more: Vec<StateRecord>, loads: Vec<StateRecord>) {
        self.hand_over_all(Vec::new(), Vec::new(), more, loads, false, None);
    }

    /// Hands rows and everything that must be durable with them to the committer.
    fn hand_over_all(
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
    fn old_answers(&mut self) -> Vec<StateRecord> {
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

    async fn settle_one(&mut self) -> Result<()> {
        let answer = Self::front(&mut self.pending).await;
        self.take_answer(answer).await
    }

    async fn take_answer(&mut self, answer: Option<Result<Committed>>) -> Result<()> {
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
    async fn take_up_again(&mut self) -> Result<()> {
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
    async fn permit(&mut self, rows: &RecordBatch) -> Result<OwnedSemaphorePermit> {
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
    async fn front(pending: &mut VecDeque<Pending>) -> Option<Result<Committed>> {
        match pending.front_mut() {
            Some(pending) => (&mut pending.done).await.ok(),
            None => std::future::pending().await,
        }
    }

    /// Takes the oldest batch off the list and notes where its rows are.
    fn note(&mut self, committed: Committed) {
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

/// The record of a table's head, stamped.
pub fn head_record(berth: &Berth, head: &mut Head) -> StateRecord {
    head.written_at = jiff::Timestamp::now().as_millisecond();
    head.worker.clone_from(&berth.worker);
    StateRecord {
        key: StateKey::head(&berth.table).to_string(),
        value: Some(encode(head)),
    }
}

/// A request's tombstone and the answer to it.
pub fn answer_records(table: &TableName, id: Ulid, outcome: &Outcome) -> Vec<StateRecord> {
    let table = table.key_tail();
    let request = StateKey::Request {
        table: table.clone(),
        id,
    };
    vec![
        StateRecord {
            key: request.to_string(),
            value: None,
        },
        StateRecord {
            key: StateKey::Outcome { table, id }.to_string(),
            value: Some(encode(outcome)),
        },
    ]
}
