//! The one thread that owns the transactional producer: rows, state and the group's offsets in one decision.
//!
//! Everything reaches it through one ordered channel: lives as they begin and end, and batches. A batch of a
//! life that is over is dropped before the new life's metadata is installed: the broker checks member and
//! generation, not ownership, so an old batch under new metadata would be let through.

mod blame;
mod gathering;
mod parcel;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use tokio::sync::mpsc::UnboundedSender;

pub use parcel::{Batch, Committed, KeyedRecord, Parcel, Rejections, Run, StateRecord};

use self::blame::{Failed, told_again};
use self::gathering::{Suspects, gather};
use self::transaction::Transaction;
use super::Life;
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::retry::Backoff;
use crate::state::PipelineNames;
use crate::topic::{Admin, TRANSACTION_TIMEOUT, Transactional};

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
    /// Kafka refuses what all tables need.
    Refused { error: Error },
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
            suspects: Suspects::default(),
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

    /// Somebody to ask the broker.
    fn admin(&self) -> Option<Admin> {
        Admin::new(&self.kafka, &self.client_id).ok()
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
    suspects: Suspects,
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
                    let batches;
                    let is_alive = |life| self.is_alive(life);
                    (batches, self.waiting) = gather(first, &self.inbox, is_alive, &self.suspects);
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
                self.suspects.clear(&batches);
                for (batch, committed) in batches.into_iter().zip(committed) {
                    let _ = batch.done.send(Ok(committed));
                }
                true
            }
            Err(mut failed) => {
                failed.look_into(&batches, || self.open.admin());
                tracing::warn!(code = %crate::error::Code::TRANSACTION_FAILED, error = %failed.error, "a transaction failed; reading again what is durable");
                self.over.fetch_max(life, Ordering::SeqCst);
                self.tell_who_is_to_blame(&failed, batches);
                match self.refused_to_all(&failed) {
                    Some(error) => self.end(CommitterEvent::Refused { error }),
                    None => self.start_over(life, failed.error, begun.elapsed()),
                }
            }
        }
    }

    /// The tables whose topics refused the rows hear of it first, so that the next transaction goes without them.
    /// Where nobody says what was refused, each table has to go alone, and answers for itself.
    fn tell_who_is_to_blame(&mut self, failed: &Failed, batches: Vec<Batch>) {
        if failed.is_unexplained() {
            self.suspects.add(&batches);
        }
        let is_alone = failed.is_unexplained() && batches.len() == 1;
        for batch in batches {
            let fault = match is_alone && self.suspects.include(&batch) {
                true => Some(told_again(&failed.error)),
                false => failed.fault_of(&batch),
            };
            if let Some(error) = fault {
                let _ = batch.done.send(Err(error));
            }
        }
    }

    /// What is refused to this worker as a whole: a topic of the pipeline's own.
    fn refused_to_all(&self, failed: &Failed) -> Option<Error> {
        let own = [&self.names.state_topic, &self.names.loads_topic];
        let error = own.into_iter().find_map(|topic| failed.topics.get(topic))?;
        matches!(error.kind(), Kind::Permission | Kind::Config).then(|| told_again(error))
    }

    /// The last event; the thread ends.
    fn end(&mut self, event: CommitterEvent) -> bool {
        if let Some(producer) = self.producer.take() {
            producer.abandon();
        }
        let _ = self.events.send(event);
        false
    }

    fn start_over(&mut self, life: Life, error: Error, open_for: Duration) -> bool {
        if let Some(producer) = self.producer.take() {
            producer.abandon();
        }
        // A transaction that was open for longer than the broker allows (this process was frozen) was ended by
        // the broker, which looks like a twin. A real twin would fence the next producer, too.
        if error.kind() == Kind::TryLater && open_for < TRANSACTION_TIMEOUT {
            return self.end(CommitterEvent::Fenced { error });
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
                Err(error) if error.kind() == Kind::TryLater => {
                    return self.end(CommitterEvent::Fenced { error });
                }
                Err(error) => return self.end(CommitterEvent::Refused { error }),
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
