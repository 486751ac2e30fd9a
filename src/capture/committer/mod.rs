//! The one thread that owns the transactional producer: rows, state and the group's offsets in one decision.
//!
//! Everything reaches it through one ordered channel: lives as they begin and end, and batches. A batch of a
//! life that is over is dropped before the new life's metadata is installed: the broker checks member and
//! generation, not ownership, so an old batch under new metadata would be let through.

mod blame;
mod parcel;
mod transaction;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use tokio::sync::mpsc::UnboundedSender;

pub use parcel::{Batch, Committed, KeyedRecord, Parcel, Rejections, Run, StateRecord};

use self::blame::{Failed, told_again};
use self::transaction::Transaction;
use super::Life;
use super::topics::log_is_gone;
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::model::TopicName;
use crate::retry::Backoff;
use crate::state::PipelineNames;
use crate::topic::{Admin, TRANSACTION_TIMEOUT, Transactional};

/// A transaction takes what has gathered, up to this many rows …
const TRANSACTION_ROWS: usize = 100_000;
/// … or this many bytes.
const TRANSACTION_BYTES: usize = 64 << 20;

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
                tracing::warn!(error = %failed.error, "a transaction failed; reading again what is durable");
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
    fn commit(&self, batches: &[Batch]) -> std::result::Result<Vec<Committed>, Failed> {
        let (Some(producer), Some((_, group))) = (&self.producer, &self.current) else {
            return Err(Error::new(Kind::Bug, "committing without a producer").into());
        };
        let names = &self.names;
        Transaction {
            producer,
            names,
            group,
        }
        .commit(batches)
    }
}
