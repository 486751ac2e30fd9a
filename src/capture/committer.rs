//! The one thread that owns the transactional producer: rows, state and the group's offsets in one decision.
//!
//! Everything reaches it through one ordered channel: lives as they begin and end, and batches. A batch of a
//! life that is over is dropped before the new life's metadata is installed: the broker checks member and
//! generation, not ownership, so an old batch under new metadata would be let through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::Life;
use super::sending::Place;
use super::topics::{another_log, log_is_gone};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::model::TopicName;
use crate::retry::Backoff;
use crate::state::PipelineNames;
use crate::topic::{Admin, Delivered, Outgoing, TRANSACTION_TIMEOUT, Transactional};
use crate::wire::{PartitionRecords, RUN_HEADER};

/// A transaction takes what has gathered, up to this many rows …
const TRANSACTION_ROWS: usize = 100_000;
/// … or this many bytes.
const TRANSACTION_BYTES: usize = 64 << 20;

/// Records of one partition that stand together: the first carries the header.
#[derive(Clone, Debug)]
pub struct Run {
    pub header: String,
    /// The sequence number of its first record: as many records of the epoch lie before it.
    pub first: u64,
    pub records: PartitionRecords,
}

/// One record of the state topic or of the loads topic; `None` is a tombstone.
#[derive(Clone, Debug)]
pub struct StateRecord {
    pub key: String,
    pub value: Option<Vec<u8>>,
}

/// One record of a rejected topic, keyed as in the table's own; no key for a table without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRecord {
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
}

/// What becomes known of rejected rows, in the order in which they were read. The topic has one partition.
#[derive(Clone, Debug, Default)]
pub struct Rejections {
    pub topic: String,
    pub records: Vec<KeyedRecord>,
}

/// Rows of one table and all that must become durable with them.
pub struct Batch {
    /// The life, and the offset of the table's partition of the state topic: a real one, as the group's offset
    /// is what fences this transaction.
    pub place: Place,
    /// The topic of its rows, if it has any.
    pub topic: Option<TopicName>,
    pub parcel: Arc<Parcel>,
    /// Answered once the transaction is committed. Dropped unanswered when the life is over.
    pub done: oneshot::Sender<Result<Committed>>,
}

impl Batch {
    /// The topics into which it puts rows, those that fit and those that are rejected.
    fn topics(&self) -> Vec<TopicName> {
        let rejected = &self.parcel.rejections;
        let rejected = (!rejected.records.is_empty())
            .then(|| TopicName::new(&rejected.topic).ok())
            .flatten();
        self.topic.clone().into_iter().chain(rejected).collect()
    }
}

/// What one batch writes. Its unit keeps it until it is committed, to hand it over again in a later life.
#[derive(Debug, Default)]
pub struct Parcel {
    pub runs: Vec<Run>,
    pub rejections: Rejections,
    pub state: Vec<StateRecord>,
    pub loads: Vec<StateRecord>,
}

impl Parcel {
    fn rows(&self) -> usize {
        let rows = self.runs.iter().map(|run| run.records.spans.len());
        rows.sum::<usize>() + self.rejections.records.len()
    }

    fn bytes(&self) -> usize {
        let rows = self.runs.iter().map(|run| run.records.buffer.len());
        let rejected = self
            .rejections
            .records
            .iter()
            .map(|record| record.value.len());
        rows.chain(rejected).sum()
    }
}

/// Where a batch's rows are now, by partition of the table's topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Partition → (offset of the first record, offset after the last).
    pub ranges: BTreeMap<i32, (u64, u64)>,
}

/// What reaches the committer, in order.
pub enum Command {
    /// A life begins: batches of this number are committed under this metadata.
    Begin {
        life: Life,
        group: ConsumerGroupMetadata,
    },
    /// The life `of` failed here and was taken over anew as `life`, under the same metadata.
    Renew {
        of: Life,
        life: Life,
    },
    /// The life is over; answered when nothing of it is open any more.
    End {
        ended: SyncSender<()>,
    },
    Batch(Batch),
    Stop,
}

/// What the committer reports.
#[derive(Debug)]
pub enum CommitterEvent {
    /// A transaction of this life failed; what is durable must be read anew.
    Failed { life: Life, error: Error },
    /// Another process uses this worker's name. There is no way on.
    Fenced { error: Error },
}

/// Sends commands to the committing thread.
#[derive(Clone)]
pub struct Committer {
    commands: Sender<Command>,
    /// Lives up to this one are over: their batches are not begun any more.
    over: Arc<AtomicU64>,
}

impl Committer {
    /// Opens the producer (which fences and settles an earlier one of the same name) and starts the thread.
    /// Blocking.
    pub fn start(
        kafka: KafkaSettings,
        names: PipelineNames,
        worker: &str,
        client_id: &str,
        events: UnboundedSender<CommitterEvent>,
    ) -> Result<(Committer, std::thread::JoinHandle<()>)> {
        let (commands, inbox) = channel();
        let over = Arc::new(AtomicU64::new(0));
        let open = Open {
            kafka,
            id: names.transactional_id(worker, 0),
            client_id: client_id.to_owned(),
        };
        let producer = open.producer()?;
        let mut thread = Thread {
            open,
            names,
            producer: Some(producer),
            current: None,
            over: over.clone(),
            inbox,
            waiting: None,
            events,
        };
        let handle = std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || thread.run())
            .map_err(|e| Error::new(Kind::LocalIo, "starting the committer's thread").because(e))?;
        Ok((Committer { commands, over }, handle))
    }

    /// Hands something down the ordered channel. Nothing happens if the thread has ended.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// From now on batches of `life` and of those before it are dropped instead of begun.
    pub fn is_over(&self, life: Life) {
        self.over.fetch_max(life, Ordering::SeqCst);
    }
}

/// How the producer is opened, and opened again after a failure.
struct Open {
    kafka: KafkaSettings,
    id: String,
    client_id: String,
}

impl Open {
    fn producer(&self) -> Result<Transactional> {
        Transactional::open(&self.kafka, &self.client_id, &self.id)
    }

    /// Topics of these batches that do not exist any more: the client waits for them in silence, and would let
    /// every other table wait with them.
    fn gone(&self, batches: &[Batch], failed: &Failed) -> BTreeSet<TopicName> {
        if failed.topic.is_some() || failed.error.kind() != Kind::Unavailable {
            return BTreeSet::new();
        }
        let topics: BTreeSet<TopicName> = batches.iter().flat_map(Batch::topics).collect();
        let Ok(admin) = Admin::new(&self.kafka, &self.client_id) else {
            return BTreeSet::new();
        };
        let mut gone = BTreeSet::new();
        for topic in topics {
            match admin.partitions(topic.as_str()) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    gone.insert(topic);
                }
                // The broker is away: nothing can be said of any topic.
                Err(_) => return BTreeSet::new(),
            }
        }
        gone
    }
}

struct Thread {
    open: Open,
    names: PipelineNames,
    producer: Option<Transactional>,
    /// The life whose batches are committed, and its metadata as the assignment gave it. It is held, never
    /// asked for anew: metadata of a later generation would let a batch of an earlier one through.
    current: Option<(Life, ConsumerGroupMetadata)>,
    over: Arc<AtomicU64>,
    inbox: Receiver<Command>,
    /// A command that was taken from the channel while a transaction gathered, to be handled after it.
    waiting: Option<Command>,
    events: UnboundedSender<CommitterEvent>,
}

impl Thread {
    fn run(&mut self) {
        loop {
            let Some(command) = self.waiting.take().or_else(|| self.inbox.recv().ok()) else {
                return;
            };
            match command {
                Command::Batch(first) => {
                    let batches = self.gather(first);
                    if !batches.is_empty() && !self.commit_or_start_over(batches) {
                        return;
                    }
                }
                Command::Stop => return,
                other => self.follow_lives(other),
            }
        }
    }

    /// Takes in how lives begin and end.
    fn follow_lives(&mut self, command: Command) {
        match command {
            Command::Begin { life, group } => self.current = Some((life, group)),
            Command::Renew { of, life } => {
                if let Some((current, _)) = &mut self.current
                    && *current == of
                {
                    *current = life;
                }
            }
            Command::End { ended } => {
                self.current = None;
                let _ = ended.send(());
            }
            Command::Batch(_) | Command::Stop => {}
        }
    }

    /// The batches for one transaction: what waits in the channel already, never what is still to come.
    fn gather(&mut self, first: Batch) -> Vec<Batch> {
        let (mut rows, mut bytes) = (0, 0);
        let mut batches = Vec::new();
        let mut next = Some(Command::Batch(first));
        while let Some(command) = next.take() {
            match command {
                Command::Batch(batch) => {
                    if self.is_alive(batch.place.life) {
                        rows += batch.parcel.rows();
                        bytes += batch.parcel.bytes();
                        batches.push(batch);
                    }
                    if rows < TRANSACTION_ROWS && bytes < TRANSACTION_BYTES {
                        next = self.inbox.try_recv().ok();
                    }
                }
                other => self.waiting = Some(other),
            }
        }
        batches
    }

    fn is_alive(&self, life: Life) -> bool {
        let current = self.current.as_ref().map(|(life, _)| *life);
        current == Some(life) && life > self.over.load(Ordering::SeqCst)
    }

    /// Commits, or takes the one path for every failure: the producer is dropped, the same id is opened anew,
    /// and whoever owns the tables reads again what is durable.
    ///
    /// Answers whether the thread goes on.
    fn commit_or_start_over(&mut self, batches: Vec<Batch>) -> bool {
        let Some((life, _)) = self.current else {
            return true;
        };
        let begun = Instant::now();
        match self.commit(&batches) {
            Ok(committed) => {
                for (batch, committed) in batches.into_iter().zip(committed) {
                    let _ = batch.done.send(Ok(committed));
                }
                true
            }
            Err(failed) => {
                let gone = self.open.gone(&batches, &failed);
                tracing::warn!(code = %crate::error::Code::TRANSACTION_FAILED, error = %failed.error, "a transaction failed; reading again what is durable");
                self.over.fetch_max(life, Ordering::SeqCst);
                // The table whose topic refused the rows hears of it first, so that the next transaction goes
                // without it.
                for batch in batches {
                    let topics = batch.topics();
                    let is_blamed =
                        |topic: &TopicName| failed.topic.as_deref() == Some(topic.as_str());
                    if topics.iter().any(is_blamed) {
                        let _ = batch.done.send(Err(told_again(&failed.error)));
                    } else if let Some(topic) = topics.iter().find(|topic| gone.contains(*topic)) {
                        let _ = batch.done.send(Err(log_is_gone(topic)));
                    }
                }
                self.start_over(life, failed.error, begun.elapsed())
            }
        }
    }

    fn start_over(&mut self, life: Life, error: Error, open_for: Duration) -> bool {
        if let Some(producer) = self.producer.take() {
            producer.abandon();
        }
        // A transaction that was open for longer than the broker allows (this process was frozen) was ended by
        // the broker, which looks like a twin. A real twin would fence the next producer, too.
        if error.kind() == Kind::TryLater && open_for < TRANSACTION_TIMEOUT {
            let _ = self.events.send(CommitterEvent::Fenced { error });
            return false;
        }
        let mut backoff = Backoff::default();
        loop {
            match self.open.producer() {
                Ok(producer) => {
                    self.producer = Some(producer);
                    let _ = self.events.send(CommitterEvent::Failed { life, error });
                    return true;
                }
                Err(error) if error.kind() == Kind::Unavailable => {
                    let pause = backoff.after_failure();
                    tracing::warn!(%error, retry_in_ms = pause.as_millis() as u64, "the producer cannot be opened");
                    if self.is_stopped_within(pause) {
                        return false;
                    }
                }
                Err(error) => {
                    let _ = self.events.send(CommitterEvent::Fenced { error });
                    return false;
                }
            }
        }
    }

    /// Waits without a producer: lives are followed, batches dropped, and an end is heard.
    fn is_stopped_within(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let heard = match self.waiting.take() {
                Some(command) => Ok(command),
                None => self.inbox.recv_timeout(left),
            };
            match heard {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(command) => self.follow_lives(command),
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// One transaction. After a crash anywhere before the commit is decided nothing of it is seen by anybody;
    /// after it, all of it is.
    fn commit(&self, batches: &[Batch]) -> std::result::Result<Vec<Committed>, Failed> {
        let (Some(producer), Some((_, group))) = (&self.producer, &self.current) else {
            return Err(Error::new(Kind::Bug, "committing without a producer").into());
        };
        producer.begin()?;
        let mut slots = Slots::default();
        for (index, batch) in batches.iter().enumerate() {
            self.send(producer, batch, index, &mut slots)?;
        }
        let offsets: BTreeMap<i32, i64> = batches
            .iter()
            .map(|b| (b.place.state_partition, b.place.state_offset))
            .collect();
        // An empty list would not be sent and would fence nothing: every batch names its partition.
        producer.send_offsets(&self.names.state_topic, offsets, group)?;
        let delivered = producer.drain()?;
        let committed = slots.committed(&delivered, batches.len())?;
        refuse_new_logs(batches, &committed)?;
        producer.commit()?;
        Ok(committed)
    }

    fn send(
        &self,
        producer: &Transactional,
        batch: &Batch,
        index: usize,
        slots: &mut Slots,
    ) -> std::result::Result<(), Failed> {
        let topic = batch.topic.as_ref().map_or("", TopicName::as_str);
        for run in &batch.parcel.runs {
            let slot = slots.add(index, run.records.partition, run.records.spans.len());
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
            let slot = slots.add_own(records.len());
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
            let slot = slots.add_own(records.len());
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
        for run in &batch.parcel.runs {
            let partition = run.records.partition;
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

/// The same failure for one more who waits: kind, words and next step.
fn told_again(error: &Error) -> Error {
    let again = Error::new(error.kind(), error.to_string());
    match error.next_step() {
        Some(next) => again.hint(next),
        None => again,
    }
}

/// Why a transaction failed, and the topic that refused it, if one did.
struct Failed {
    error: Error,
    topic: Option<String>,
}

impl Failed {
    /// Blames a topic only for what is the topic's: a broker that is away is nobody's fault.
    fn of(topic: &str, error: Error) -> Self {
        let is_its_own = matches!(error.kind(), Kind::Permission | Kind::Config | Kind::Data);
        Failed {
            topic: is_its_own.then(|| topic.to_owned()),
            error,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed { error, topic: None }
    }
}

/// Which records are noted under which slot of the producer.
#[derive(Default)]
struct Slots(Vec<Slot>);

struct Slot {
    /// Batch and partition of a run; none for the pipeline's own records.
    run: Option<(usize, i32)>,
    records: u64,
}

impl Slots {
    fn add(&mut self, batch: usize, partition: i32, records: usize) -> usize {
        self.0.push(Slot {
            run: Some((batch, partition)),
            records: records as u64,
        });
        self.0.len() - 1
    }

    fn add_own(&mut self, records: usize) -> usize {
        self.0.push(Slot {
            run: None,
            records: records as u64,
        });
        self.0.len() - 1
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
