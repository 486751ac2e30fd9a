//! Writer threads: each owns whole partitions, decodes their records and writes their files.
//!
//! A thread never waits for the store: a closed chunk is published by a task, while the next one grows. If
//! that one is closed too before the first is in the lake, its partition waits, and reading pauses behind it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::SinkTable;
use super::budget::Budget;
use super::desk::{Books, share};
use super::open::ClosedChunk;
use super::partition::{Ground, PartitionWriter, Stopped};
use super::publish::{Outcome, publish};
use super::records::{PartitionId, Records};
use super::resume::Resume;
use super::sent::Memories;
use crate::error::{Fate, Result};
use crate::lake::Store;
use crate::model::TopicName;
use crate::retry::Backoff;

/// How often chunks are looked at for their age.
const TICK: Duration = Duration::from_millis(100);

/// Tells one holding of a partition from the next: what belongs to an earlier one is dropped.
pub type Life = u64;

/// What a writer thread is told.
pub enum Task {
    Take {
        id: PartitionId,
        life: Life,
        begin: Resume,
        table: Arc<SinkTable>,
        drain: Option<u64>,
    },
    Records {
        id: PartitionId,
        life: Life,
        records: Records,
    },
    CaughtUp {
        id: PartitionId,
        life: Life,
    },
    Drain {
        id: PartitionId,
        offset: u64,
    },
    Published {
        id: PartitionId,
        life: Life,
        chunk: Box<ClosedChunk>,
        outcome: Result<Outcome>,
    },
    Table(Arc<SinkTable>),
    /// The partition is another's now. Its open chunk is dropped: it is read again by the new owner.
    Drop {
        id: PartitionId,
    },
    /// Begin no more chunks; end when those on their way are in the lake.
    Finish,
}

/// What the polling thread is told.
pub enum Order {
    /// Read again from `at`; only records of life `next` are taken.
    Seek {
        id: PartitionId,
        life: Life,
        next: Life,
        at: u64,
    },
    /// Everything below `end` is in the lake.
    InLake {
        id: PartitionId,
        life: Life,
        end: u64,
        rows: u64,
        file: Option<String>,
    },
    Stopped {
        id: PartitionId,
        life: Life,
        stopped: Stopped,
    },
}

/// What all writer threads share.
pub struct Shop {
    pub ground: Arc<Ground>,
    pub store: Arc<dyn Store>,
    pub books: Books,
    pub memories: Memories,
    pub budget: Arc<Budget>,
    pub uploads: Arc<Semaphore>,
    pub runtime: Handle,
    /// Numbers lives, for all threads.
    pub lives: AtomicU64,
    /// Writer threads that have not ended.
    pub working: AtomicUsize,
}

impl Shop {
    /// A number that was never given before.
    pub fn new_life(&self) -> Life {
        self.lives.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether every writer thread has ended.
    pub fn all_finished(&self) -> bool {
        self.working.load(Ordering::Acquire) == 0
    }
}

struct Slot {
    life: Life,
    writer: PartitionWriter,
    table: Arc<SinkTable>,
    /// Cancels the upload that is under way.
    publishing: Option<CancellationToken>,
    told_stopped: bool,
    backoff: Backoff,
    wait_until: Option<Instant>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // What was put stays and is found by the next owner; the rest is theirs to put.
        if let Some(publishing) = &self.publishing {
            publishing.cancel();
        }
    }
}

/// One writer thread.
pub struct Writer {
    shop: Arc<Shop>,
    slots: HashMap<PartitionId, Slot>,
    tasks: Receiver<Task>,
    /// Where tasks of publishing answer.
    own: Sender<Task>,
    orders: Sender<Order>,
    finishing: bool,
}

impl Writer {
    pub fn new(
        shop: Arc<Shop>,
        tasks: Receiver<Task>,
        own: Sender<Task>,
        orders: Sender<Order>,
    ) -> Self {
        Writer {
            shop,
            slots: HashMap::new(),
            tasks,
            own,
            orders,
            finishing: false,
        }
    }

    /// Works until told to finish.
    pub fn run(mut self) {
        self.work();
        self.slots.clear();
        self.shop.working.fetch_sub(1, Ordering::Release);
    }

    fn work(&mut self) {
        let mut ticked = Instant::now();
        loop {
            match self.tasks.recv_timeout(TICK) {
                Ok(task) => {
                    if let Some(id) = self.take(task) {
                        self.advance(&id);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                let all: Vec<PartitionId> = self.slots.keys().cloned().collect();
                for id in all {
                    self.advance(&id);
                }
            }
            if self.finishing && self.slots.values().all(|slot| slot.publishing.is_none()) {
                return;
            }
        }
    }

    /// Takes one task; returns the partition that may have work now.
    fn take(&mut self, task: Task) -> Option<PartitionId> {
        match task {
            Task::Take {
                id,
                life,
                begin,
                table,
                drain,
            } => self.begin(id, life, begin, table, drain),
            Task::Records { id, life, records } => {
                self.slot(&id, life)?.writer.push(records);
                Some(id)
            }
            Task::CaughtUp { id, life } => {
                self.slot(&id, life)?.writer.set_caught_up();
                Some(id)
            }
            Task::Drain { id, offset } => {
                self.slots.get_mut(&id)?.writer.drain_to(offset);
                Some(id)
            }
            Task::Published {
                id,
                life,
                chunk,
                outcome,
            } => {
                self.published(&id, life, &chunk, outcome);
                Some(id)
            }
            Task::Table(table) => {
                let of_table = |slot: &&mut Slot| slot.table.topic == table.topic;
                for slot in self.slots.values_mut().filter(of_table) {
                    slot.writer.set_table(table.clone());
                    slot.table = table.clone();
                }
                None
            }
            Task::Drop { id } => {
                self.slots.remove(&id);
                self.shop.budget.set_open(&id, 0);
                None
            }
            Task::Finish => {
                self.finishing = true;
                None
            }
        }
    }

    fn slot(&mut self, id: &PartitionId, life: Life) -> Option<&mut Slot> {
        self.slots.get_mut(id).filter(|slot| slot.life == life)
    }

    fn begin(
        &mut self,
        id: PartitionId,
        life: Life,
        begin: Resume,
        table: Arc<SinkTable>,
        drain: Option<u64>,
    ) -> Option<PartitionId> {
        let ground = self.shop.ground.clone();
        let mut writer = PartitionWriter::new(ground, table.clone(), id.clone(), begin)?;
        if let Some(offset) = drain {
            writer.drain_to(offset);
        }
        let slot = Slot {
            life,
            writer,
            table,
            publishing: None,
            told_stopped: false,
            backoff: Backoff::default(),
            wait_until: None,
        };
        self.slots.insert(id.clone(), slot);
        Some(id)
    }

    /// Lets a partition work on what it has, and sends its closed chunks on their way.
    fn advance(&mut self, id: &PartitionId) {
        if self.finishing {
            return;
        }
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        if slot.wait_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        slot.wait_until = None;
        loop {
            if let Err(error) = slot.writer.pump(jiff::Timestamp::now().as_millisecond()) {
                tracing::warn!(partition = %id, %error, "records cannot be read now");
                slot.wait_until = Some(Instant::now() + slot.backoff.after_failure());
                break;
            }
            slot.backoff.after_success();
            self.shop.budget.set_open(id, slot.writer.memory());
            if self.shop.budget.must_close(id) {
                slot.writer.relieve();
                self.shop.budget.set_open(id, slot.writer.memory());
            }
            if slot.publishing.is_some() {
                break;
            }
            let Some(chunk) = slot.writer.take_closed() else {
                break;
            };
            let token = CancellationToken::new();
            slot.publishing = Some(token.clone());
            let job = Publishing {
                shop: self.shop.clone(),
                table: slot.table.clone(),
                id: id.clone(),
                life: slot.life,
                answer: self.own.clone(),
            };
            self.shop.runtime.spawn(job.run(chunk, token));
        }
        if !slot.told_stopped
            && slot.publishing.is_none()
            && let Some(stopped) = slot.writer.take_stopped()
        {
            slot.told_stopped = true;
            let (id, life) = (id.clone(), slot.life);
            let _ = self.orders.send(Order::Stopped { id, life, stopped });
        }
    }

    fn published(
        &mut self,
        id: &PartitionId,
        life: Life,
        chunk: &ClosedChunk,
        outcome: Result<Outcome>,
    ) {
        let next = self.shop.new_life();
        let Some(slot) = self.slot(id, life) else {
            return;
        };
        slot.publishing = None;
        let order = match outcome {
            Ok(Outcome::InLake) => {
                let last = chunk.files.last();
                Order::InLake {
                    id: id.clone(),
                    life,
                    end: chunk.plan.end,
                    rows: chunk.files.iter().map(|(_, file)| file.rows).sum(),
                    file: last.map(|(directory, _)| chunk.plan.file_path(directory)),
                }
            }
            Ok(Outcome::Adopt(stored)) => {
                tracing::warn!(
                    partition = %id, start = stored.start(), end = stored.end(),
                    "another worker planned these records first; its plan is executed"
                );
                slot.life = next;
                let at = slot.writer.adopt(stored);
                Order::Seek {
                    id: id.clone(),
                    life,
                    next,
                    at,
                }
            }
            Err(error) => {
                slot.writer.fail(chunk.plan.start, error);
                return;
            }
        };
        let _ = self.orders.send(order);
    }
}

/// A chunk on its way into the lake.
struct Publishing {
    shop: Arc<Shop>,
    table: Arc<SinkTable>,
    id: PartitionId,
    life: Life,
    answer: Sender<Task>,
}

impl Publishing {
    async fn run(self, chunk: ClosedChunk, token: CancellationToken) {
        let outcome = tokio::select! {
            () = token.cancelled() => return,
            outcome = self.until_done(&chunk) => outcome,
        };
        let task = Task::Published {
            id: self.id,
            life: self.life,
            chunk: Box::new(chunk),
            outcome,
        };
        let _ = self.answer.send(task);
    }

    /// PLAN, PUT and SHARE, again and again while only the store is at fault.
    async fn until_done(&self, chunk: &ClosedChunk) -> Result<Outcome> {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.once(chunk).await {
                Err(error) if error.kind().fate() == Fate::Retry => error,
                settled => return settled,
            };
            tracing::warn!(partition = %self.id, %error, "a chunk cannot be put now");
            tokio::time::sleep(backoff.after_failure()).await;
        }
    }

    async fn once(&self, chunk: &ClosedChunk) -> Result<Outcome> {
        // A closed semaphore lets everybody through, which is what the end of the process wants.
        let _permit = self.shop.uploads.acquire().await.ok();
        let store = self.shop.store.as_ref();
        let outcome = publish(store, chunk).await?;
        if matches!(outcome, Outcome::InLake) {
            let (ground, books) = (&self.shop.ground, &self.shop.books);
            share(store, ground, &self.table, books, &chunk.plan).await?;
        }
        Ok(outcome)
    }
}

/// Which of `writers` threads owns a partition.
pub fn writer_of(topic: &TopicName, number: i32, writers: usize) -> usize {
    let place = format!("{topic}/{number}");
    crate::wire::murmur2(place.as_bytes()) as usize % writers.max(1)
}
