//! The polling thread: the only one that talks to the group.
//!
//! It polls at least every 100 ms, whatever the store or the disk do, so that slowness never costs the
//! membership. A partition that is assigned is paused, taken over by a task, and read from where that task
//! says. What writers have to say comes back as orders.

mod news;
mod reading;
mod seat;
mod seating;
mod stopping;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::SinkTable;
use super::desk::{Bell, Books};
use super::progress::Reporter;
use super::records::{PartitionId, Records};
use super::taking::Taken;
use super::writer::{Life, Order, Shop, Task, writer_of};
use crate::error::{Error, Result};
use crate::model::Mode;
use crate::topic::{GroupConsumer, TopicPartition};
use news::LostCommit;
use seat::Seat;
pub use stopping::Skipped;

/// How often the group is joined anew at most.
const JOINED_EVERY: Duration = Duration::from_secs(1);

/// Offsets somebody waits for.
pub type Targets = Vec<(PartitionId, u64)>;

/// What the thread is given.
pub struct Poll {
    pub consumer: GroupConsumer,
    pub shop: Arc<Shop>,
    pub reporter: Reporter,
    pub tables: watch::Receiver<Vec<SinkTable>>,
    pub writers: Vec<Sender<Task>>,
    pub orders: Receiver<Order>,
    /// For the tasks that take partitions over.
    pub taken: (Sender<Taken>, Receiver<Taken>),
    pub targets: Receiver<Targets>,
    /// For the tasks that look for skips.
    pub skips: (Sender<Skipped>, Receiver<Skipped>),
    /// What ends the whole sink, from the tasks beside it.
    pub failures: Receiver<Error>,
    pub bell: Arc<Bell>,
}

/// The thread's own memory.
pub struct Polling {
    poll: Poll,
    tables: HashMap<String, Arc<SinkTable>>,
    /// Whether the group was joined for the tables as they are now, and when it last was for any.
    is_joined: bool,
    joined_at: Option<Instant>,
    seats: HashMap<String, HashMap<i32, Seat>>,
    drains: HashMap<PartitionId, u64>,
    full: bool,
    committed_at: Instant,
    looked_at: Option<Instant>,
    looked_at_others: Option<Instant>,
    looking: Option<JoinHandle<()>>,
    /// From the looks at what was committed.
    lost: (Sender<LostCommit>, Receiver<LostCommit>),
    /// Tells when the loads topic says something new.
    news: Books,
    /// What one partition found that concerns them all.
    ends: Option<Error>,
}

impl Polling {
    pub fn new(poll: Poll) -> Self {
        Polling {
            tables: HashMap::new(),
            is_joined: false,
            joined_at: None,
            seats: HashMap::new(),
            drains: HashMap::new(),
            full: false,
            committed_at: Instant::now(),
            looked_at: None,
            looked_at_others: None,
            looking: None,
            lost: channel(),
            news: poll.shop.books.clone(),
            ends: None,
            poll,
        }
    }

    /// Polls until stopped, then leaves the group. `failed` is asked for a failure of another part, which
    /// ends this one too.
    pub fn run(mut self, stop: &CancellationToken, failed: impl Fn() -> bool) -> Result<()> {
        self.take_tables(true)?;
        let mut ended = Ok(());
        while !stop.is_cancelled() && !failed() {
            self.take_tables(false)?;
            self.take_orders();
            self.take_taken();
            self.try_again();
            self.take_skips();
            self.take_targets();
            self.gather();
            self.take_changes();
            self.hand_over();
            self.balance();
            self.now_and_then();
            if let Some(error) = self.failure() {
                ended = Err(error);
                break;
            }
        }
        self.finish();
        ended
    }

    /// What ends the sink, if anything did.
    fn failure(&mut self) -> Option<Error> {
        self.ends
            .take()
            .or_else(|| self.poll.failures.try_recv().ok())
    }

    fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.values().flat_map(HashMap::values)
    }

    fn seat(&mut self, id: &PartitionId) -> Option<&mut Seat> {
        self.seats.get_mut(id.topic.as_str())?.get_mut(&id.number)
    }

    fn tell(&self, id: &PartitionId, task: Task) {
        let writers = &self.poll.writers;
        if let Some(writer) = writers.get(writer_of(&id.topic, id.number, writers.len())) {
            // A writer that is gone has finished, and so will this thread.
            let _ = writer.send(task);
        }
    }

    /// Joins for the tables there are. What is new of one of them may be that its topic was made: to join anew finds it
    /// at once, but thousands of tables are not to be joined for thousands of times.
    fn take_tables(&mut self, first: bool) -> Result<()> {
        if first || self.poll.tables.has_changed().unwrap_or(false) {
            self.compare_tables();
            self.is_joined = false;
        }
        let is_soon = self.joined_at.is_some_and(|at| at.elapsed() < JOINED_EVERY);
        if self.is_joined || (is_soon && !first) {
            return Ok(());
        }
        let mut topics: Vec<&str> = self.tables.keys().map(String::as_str).collect();
        topics.sort_unstable();
        self.is_joined = self.poll.consumer.subscribe(&topics)?;
        if self.is_joined && !topics.is_empty() {
            self.joined_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Tells the writers what is new of the tables.
    fn compare_tables(&mut self) {
        let tables = self.poll.tables.borrow_and_update().clone();
        let mut known = std::mem::take(&mut self.tables);
        for table in tables {
            let topic = table.topic.to_string();
            let table = match known.remove(&topic) {
                Some(before) if *before == table => before,
                _ => {
                    let table = Arc::new(table);
                    for writer in &self.poll.writers {
                        let _ = writer.send(Task::Table(table.clone()));
                    }
                    table
                }
            };
            self.tables.insert(topic, table);
        }
    }

    /// Does what writers ask for.
    fn take_orders(&mut self) {
        while let Ok(order) = self.poll.orders.try_recv() {
            match order {
                Order::Seek { id, life, next, at } => {
                    let Some(seat) = self.seat(&id).filter(|seat| seat.life == life) else {
                        continue;
                    };
                    seat.life = next;
                    seat.gathered = Records::default();
                    seat.told_quiet = false;
                    let place = seat.place.clone();
                    self.read_from(&id, &place, at);
                }
                Order::InLake {
                    id,
                    life,
                    end,
                    rows,
                    file,
                } => self.in_lake(&id, life, end, rows, file),
                Order::Stopped { id, life, stopped } => {
                    if self.seat(&id).is_some_and(|seat| seat.life == life) {
                        self.stopped(&id, stopped.error, Some(stopped.at));
                    }
                }
            }
        }
    }

    /// COMMIT: the last step, and only a hint.
    fn in_lake(&mut self, id: &PartitionId, life: Life, end: u64, rows: u64, file: Option<String>) {
        let Some(seat) = self.seat(id).filter(|seat| seat.life == life) else {
            return;
        };
        seat.troubles.after_success();
        seat.in_lake = Some((life, end));
        let place = seat.place.clone();
        self.poll.consumer.note_commit(&place, end);
        self.poll.reporter.of(id, |p| {
            p.committed = p.committed.max(end);
            p.high = p.high.max(end);
            p.rows += rows;
            p.last_file = file.or(p.last_file.take());
        });
        let table = self.tables.get(id.topic.as_str());
        if table.is_some_and(|table| table.mode == Mode::Bulk) {
            self.poll.bell.ring();
        }
    }

    /// Passes on what somebody waits for.
    fn take_targets(&mut self) {
        while let Ok(targets) = self.poll.targets.try_recv() {
            for (id, offset) in targets {
                let known = self.drains.entry(id.clone()).or_default();
                *known = offset.max(*known);
                let offset = *known;
                self.tell(
                    &id,
                    Task::Drain {
                        id: id.clone(),
                        offset,
                    },
                );
            }
            self.looked_at = None;
        }
        let reporter = &self.poll.reporter;
        self.drains
            .retain(|id, offset| !reporter.reached(id, *offset));
    }

    /// Leaves. Chunks on their way get a moment to arrive; open ones are dropped and read again by the next
    /// owner: nothing is planned in a hurry.
    fn finish(mut self) {
        const MOMENT: Duration = Duration::from_secs(5);
        for writer in &self.poll.writers {
            let _ = writer.send(Task::Finish);
        }
        let all: Vec<TopicPartition> = self.seats().map(|seat| seat.place.clone()).collect();
        let _ = self.poll.consumer.pause(&all);
        let started = Instant::now();
        while started.elapsed() < MOMENT && !self.poll.shop.all_finished() {
            let _ = self.poll.consumer.poll(Duration::from_millis(20));
            self.take_orders();
            self.take_changes();
        }
        self.take_orders();
        self.poll.consumer.leave();
    }
}
