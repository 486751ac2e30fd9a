//! The polling thread: the only one that talks to the group.
//!
//! It polls at least every 100 ms, whatever the store or the disk do, so that slowness never costs the
//! membership. A partition that is assigned is paused, taken over by a task, and read from where that task
//! says. What writers have to say comes back as orders.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::SinkTable;
use super::desk::{Bell, Books};
use super::progress::Reporter;
use super::records::{Head, PartitionId, Records};
use super::remedy::Remedy;
use super::resume::Resume;
use super::take_over::Bounds;
use super::taking::{Taken, Taking};
use super::writer::{Life, Order, Shop, Task, writer_of};
use crate::error::{Error, Kind, Result};
use crate::model::{Mode, TopicName};
use crate::retry::Backoff;
use crate::topic::{GroupConsumer, Ownership, TopicPartition};
use crate::wire::RUN_HEADER;

/// How often the group is joined anew at most.
const JOINED_EVERY: Duration = Duration::from_secs(1);
/// The longest wait for a record. Far below any time-out of the group.
const WAIT: Duration = Duration::from_millis(50);
/// How long records are gathered before they are handed over, and how many bytes of them.
const GATHER: Duration = Duration::from_millis(20);
const GATHER_BYTES: usize = 1 << 20;
/// A partition without a record for so long, while others were asked for, has none waiting.
const QUIET: Duration = Duration::from_millis(500);
/// How often offsets are committed, ends of logs asked for, and unowned targets looked at.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A client that refuses to go to an offset so often has given the partition up.
const OFTEN: u32 = 3;

/// Offsets somebody waits for.
pub type Targets = Vec<(PartitionId, u64)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    TakingOver,
    Reading,
    Stopped,
}

/// A partition that is ours.
struct Seat {
    id: PartitionId,
    place: TopicPartition,
    life: Life,
    state: State,
    /// Ends with the ownership: cancels what is done for it.
    token: CancellationToken,
    waiting: Arc<AtomicU64>,
    gathered: Records,
    last_record: Instant,
    told_quiet: bool,
    paused: bool,
    /// The epoch announced for its table when it was taken over.
    epoch: Option<u64>,
    /// Counts its troubles since it last got on.
    troubles: Backoff,
    /// When it is taken over again, if it stopped for a reason that may pass.
    again_at: Option<Instant>,
    /// How often in a row the client would not go to an offset.
    refused: u32,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

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

    /// Gathers records for a moment.
    fn gather(&mut self) {
        let started = Instant::now();
        let mut bytes = 0;
        let mut wait = WAIT;
        while bytes < GATHER_BYTES && started.elapsed() < GATHER.max(wait) {
            match self.poll.consumer.poll(wait) {
                Some(Ok(message)) => {
                    bytes += message.payload_len() + 64;
                    if let Some(seat) = self
                        .seats
                        .get_mut(message.topic())
                        .and_then(|seats| seats.get_mut(&message.partition()))
                        .filter(|seat| seat.state == State::Reading)
                    {
                        seat.take(&message);
                    }
                    wait = Duration::ZERO;
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "reading topics is held up");
                    break;
                }
                None => break,
            }
        }
    }

    /// Hands gathered records to the writers, and says which partitions have none waiting.
    fn hand_over(&mut self) {
        let mut tasks = Vec::new();
        for seat in self.seats.values_mut().flat_map(HashMap::values_mut) {
            if !seat.gathered.records.is_empty() {
                let mut records = std::mem::take(&mut seat.gathered);
                let bytes = records.bytes();
                records.permit = Some(self.poll.shop.budget.take(bytes, &seat.waiting));
                let (id, life) = (seat.id.clone(), seat.life);
                tasks.push((seat.id.clone(), Task::Records { id, life, records }));
            } else if seat.is_quiet() {
                seat.told_quiet = true;
                let (id, life) = (seat.id.clone(), seat.life);
                tasks.push((seat.id.clone(), Task::CaughtUp { id, life }));
            }
        }
        for (id, task) in tasks {
            self.tell(&id, task);
        }
    }

    /// Follows assignments and revocations.
    fn take_changes(&mut self) {
        for change in self.poll.consumer.changes() {
            match change {
                Ownership::Assigned(places) => self.assigned(places),
                Ownership::Revoked(places) => places.iter().for_each(|place| self.revoked(place)),
            }
        }
    }

    fn assigned(&mut self, places: Vec<TopicPartition>) {
        for place in places {
            let Ok(topic) = TopicName::new(place.0.clone()) else {
                continue;
            };
            let id = PartitionId {
                topic,
                number: place.1,
            };
            self.poll.reporter.of(&id, |p| {
                (p.assigned, p.is_read) = (true, false);
                p.forget_trouble();
            });
            let seat = Seat {
                id,
                life: self.poll.shop.new_life(),
                state: State::TakingOver,
                token: CancellationToken::new(),
                waiting: Arc::default(),
                gathered: Records::default(),
                last_record: Instant::now(),
                told_quiet: false,
                paused: false,
                epoch: None,
                troubles: Backoff::default(),
                again_at: None,
                refused: 0,
                place: place.clone(),
            };
            self.begin_taking_over(&seat);
            self.seats.entry(place.0).or_default().insert(place.1, seat);
        }
    }

    fn begin_taking_over(&self, seat: &Seat) {
        let head_key = self.tables.get(&seat.place.0).map(|t| t.name.head_key());
        let taking = Taking {
            id: seat.id.clone(),
            life: seat.life,
            head_key: head_key.unwrap_or_default(),
            store: self.poll.shop.store.clone(),
            books: self.poll.shop.books.clone(),
            questions: self.poll.consumer.questions(),
            answer: self.poll.taken.0.clone(),
            at_once: self.poll.shop.uploads.clone(),
        };
        let token = seat.token.clone();
        self.poll.shop.runtime.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = taking.run() => {}
            }
        });
    }

    fn revoked(&mut self, place: &TopicPartition) {
        let seats = self.seats.get_mut(&place.0);
        if let Some(seat) = seats.and_then(|seats| seats.remove(&place.1)) {
            self.poll
                .reporter
                .of(&seat.id, |p| (p.assigned, p.is_read) = (false, false));
            let id = seat.id.clone();
            self.tell(&seat.id, Task::Drop { id });
        }
    }

    /// Begins to read the partitions whose taking over is decided.
    fn take_taken(&mut self) {
        while let Ok(taken) = self.poll.taken.1.try_recv() {
            let seat = self.seat(&taken.id);
            let Some(seat) = seat.filter(|seat| seat.life == taken.life) else {
                continue;
            };
            seat.epoch = taken.epoch;
            match taken.resume {
                Ok((Resume::Stop(why), _)) => {
                    self.stopped(&taken.id, Error::new(Kind::Data, why), None);
                }
                Ok((begin, bounds)) => self.begin(&taken.id, begin, bounds),
                Err(error) => self.stopped(&taken.id, error, None),
            }
        }
    }

    fn begin(&mut self, id: &PartitionId, begin: Resume, bounds: Bounds) {
        let Some(table) = self.tables.get(id.topic.as_str()).cloned() else {
            return;
        };
        let at = match &begin {
            Resume::Read { at, .. } => *at,
            Resume::Redo(plan) => plan.start,
            Resume::Stop(_) => return,
        };
        tracing::info!(partition = %id, offset = at, "taking over");
        let drain = self.drains.get(id).copied();
        let Some(seat) = self.seat(id) else {
            return;
        };
        let (life, place) = (seat.life, seat.place.clone());
        seat.state = State::Reading;
        seat.last_record = Instant::now();
        let id = id.clone();
        self.poll.reporter.of(&id, |p| {
            p.committed = p.committed.max(at);
            p.high = bounds.high;
            p.is_read = true;
            p.forget_trouble();
        });
        let task = Task::Take {
            id: id.clone(),
            life,
            begin,
            table,
            drain,
        };
        self.tell(&id, task);
        self.read_from(&id, &place, at);
        self.poll.bell.ring_for_sweeping();
    }

    fn read_from(&mut self, id: &PartitionId, place: &TopicPartition, at: u64) {
        let tried = self.seat(id).map_or(0, |seat| seat.refused);
        let started = match tried < OFTEN {
            true => self.poll.consumer.start_at(place, at),
            false => self.poll.consumer.start_over_at(place, at),
        };
        if let Some(seat) = self.seat(id) {
            seat.refused = if started.is_ok() { 0 } else { tried + 1 };
        }
        if let Err(error) = started {
            // The client was not ready for it: the whole take-over is made again.
            tracing::warn!(partition = %id, %error, "cannot go to an offset now");
            self.take_over_again(id);
        }
    }

    fn take_over_again(&mut self, id: &PartitionId) {
        let life = self.poll.shop.new_life();
        self.tell(id, Task::Drop { id: id.clone() });
        let Some(seat) = self.seat(id) else {
            return;
        };
        seat.life = life;
        seat.state = State::TakingOver;
        seat.again_at = None;
        seat.gathered = Records::default();
        let Some(seat) = self
            .seats
            .get(id.topic.as_str())
            .and_then(|s| s.get(&id.number))
        else {
            return;
        };
        self.begin_taking_over(seat);
    }

    /// Says why a partition is not read any further, and does about it what helps. The others go on, unless
    /// it concerns them all.
    fn stopped(&mut self, id: &PartitionId, error: Error, at: Option<u64>) {
        let Some(seat) = self.seat(id) else {
            return;
        };
        let remedy = Remedy::of(error.kind(), &mut seat.troubles);
        seat.state = State::Stopped;
        seat.again_at = remedy.pause().map(|pause| Instant::now() + pause);
        let place = seat.place.clone();
        let _ = self.poll.consumer.pause(&[place]);
        self.say_stopped(id, &error, at, remedy);
        if remedy == Remedy::End {
            self.ends.get_or_insert(error);
        }
    }

    fn say_stopped(&self, id: &PartitionId, error: &Error, at: Option<u64>, remedy: Remedy) {
        let mut why = error.to_string();
        if let Some(hint) = error.next_step() {
            why = format!("{why} ({hint})");
        }
        let table = self.tables.get(id.topic.as_str());
        let table = table.map(|t| t.name.to_string());
        if let Remedy::Wait(pause) = remedy {
            // Whoever waits for this partition goes on waiting.
            tracing::warn!(table, partition = %id, offset = at, ?pause, "held up, and tried again: {why}");
            self.poll.reporter.of(id, |p| {
                p.held_up = Some(why);
                p.note_trouble(error, true);
            });
            return;
        }
        tracing::error!(table, partition = %id, offset = at, again_in = ?remedy.pause(), "stopped: {why}");
        self.poll.reporter.of(id, |p| {
            p.stopped = Some(why);
            p.stopped_at = at;
            // Tried again or not, somebody must do something.
            p.note_trouble(error, false);
        });
    }

    /// Takes over again what stopped for a reason that may have passed.
    fn try_again(&mut self) {
        let now = Instant::now();
        let due = |seat: &&Seat| seat.again_at.is_some_and(|at| at <= now);
        let due: Vec<_> = self.seats().filter(due).map(|s| s.id.clone()).collect();
        for id in due {
            self.take_over_again(&id);
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

    /// Pauses what must not be read now, and goes on with what may.
    fn balance(&mut self) {
        let budget = self.poll.shop.budget.clone();
        self.full = if self.full {
            !budget.has_room()
        } else {
            budget.is_full()
        };
        // With everything paused and nothing on its way, the budget is held by runs that are half here: the
        // heaviest may finish its run.
        let one = if self.full { budget.stuck_with() } else { None };
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for seat in self.seats.values_mut().flat_map(HashMap::values_mut) {
            if seat.state != State::Reading {
                seat.paused = false;
                continue;
            }
            let greedy = budget.is_greedy(seat.waiting.load(Ordering::Relaxed));
            let hold = greedy || (self.full && one.as_ref() != Some(&seat.id));
            if hold != seat.paused {
                seat.paused = hold;
                seat.last_record = Instant::now();
                if hold { &mut pause } else { &mut resume }.push(seat.place.clone());
            }
        }
        let done = [
            (!pause.is_empty()).then(|| self.poll.consumer.pause(&pause)),
            (!resume.is_empty()).then(|| self.poll.consumer.resume(&resume)),
        ];
        for error in done.into_iter().flatten().filter_map(Result::err) {
            tracing::warn!(%error, "reading cannot be held back");
        }
    }

    fn now_and_then(&mut self) {
        if self.committed_at.elapsed() >= COMMIT_EVERY {
            self.committed_at = Instant::now();
            self.poll.consumer.send_commits();
            self.news.mark_changed();
        }
        if self.news.has_changed().unwrap_or(false) {
            self.news.mark_unchanged();
            self.look_at_epochs();
            self.look_at_loads();
        }
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.looked_at = Some(Instant::now());
            self.look_at_logs();
        }
    }

    /// The partitions of a table that was begun anew are taken over again: what is open of them is void, and
    /// they go on where the new epoch begins.
    fn look_at_epochs(&mut self) {
        let Some(book) = self.poll.shop.books.borrow().clone() else {
            return;
        };
        let mut again = Vec::new();
        // One that is being taken over says which epoch it knew when it answers.
        for seat in self.seats().filter(|seat| seat.state != State::TakingOver) {
            let table = self.tables.get(&seat.place.0);
            let announced = table.and_then(|t| Some(book.epoch(&t.name.head_key())?.epoch));
            if announced.is_some() && announced != seat.epoch {
                again.push(seat.id.clone());
            }
        }
        for id in again {
            tracing::info!(partition = %id, "its table was begun anew");
            self.poll.reporter.of(&id, |p| p.forget_trouble());
            self.take_over_again(&id);
        }
    }

    /// A load that ended is not left waiting for the age of its last chunk.
    fn look_at_loads(&mut self) {
        let Some(book) = self.poll.shop.books.borrow().clone() else {
            return;
        };
        let mut due = Vec::new();
        for seat in self.seats() {
            let table = self.tables.get(&seat.place.0);
            let loads = table.and_then(|t| book.loads(&t.name.head_key(), &t.topic));
            let newest = loads.and_then(|loads| loads.values().next_back());
            if let Some(offset) =
                newest.and_then(|load| super::judge::drain_target(load, seat.id.number))
                && !self.poll.reporter.reached(&seat.id, offset)
                && self
                    .drains
                    .get(&seat.id)
                    .is_none_or(|known| *known < offset)
            {
                due.push((seat.id.clone(), offset));
            }
        }
        for (id, offset) in due {
            self.drains.insert(id.clone(), offset);
            self.tell(
                &id,
                Task::Drain {
                    id: id.clone(),
                    offset,
                },
            );
        }
    }

    /// Asks for the ends of the logs, and how far others are with what somebody waits for here.
    fn look_at_logs(&self) {
        let own: Vec<(PartitionId, TopicPartition)> = self
            .seats()
            .map(|seat| (seat.id.clone(), seat.place.clone()))
            .collect();
        let others: Vec<PartitionId> = self
            .drains
            .keys()
            .filter(|id| !own.iter().any(|(known, _)| known == *id))
            .cloned()
            .collect();
        let (questions, reporter) = (self.poll.consumer.questions(), self.poll.reporter.clone());
        self.poll.shop.runtime.spawn_blocking(move || {
            for (id, place) in own {
                if let Ok((_, high)) = questions.bounds(&place) {
                    reporter.of(&id, |p| p.high = high);
                }
            }
            let places: Vec<_> = others
                .iter()
                .map(|id| (id.topic.to_string(), id.number))
                .collect();
            if places.is_empty() {
                return;
            }
            let Ok(committed) = questions.committed(&places) else {
                return;
            };
            for (id, place) in others.iter().zip(&places) {
                let offset = committed.get(place).copied().flatten().unwrap_or(0);
                reporter.of(id, |p| p.committed = p.committed.max(offset));
            }
        });
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

impl Seat {
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Ok(offset) = u64::try_from(message.offset()) else {
            return;
        };
        let header = message.headers().and_then(|headers| {
            let mut named = headers.iter().filter(|header| header.key == RUN_HEADER);
            named.next().map(|header| header.value.unwrap_or_default())
        });
        let appended = match message.timestamp() {
            Timestamp::CreateTime(at) | Timestamp::LogAppendTime(at) => at,
            Timestamp::NotAvailable => i64::MAX,
        };
        let value = message.payload().unwrap_or_default();
        self.gathered
            .push(offset, appended, value, Head::parse(header));
        self.last_record = Instant::now();
        self.told_quiet = false;
    }

    fn is_quiet(&self) -> bool {
        self.state == State::Reading
            && !self.told_quiet
            && !self.paused
            && self.last_record.elapsed() >= QUIET
    }
}
