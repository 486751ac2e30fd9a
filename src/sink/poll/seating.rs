//! Partitions come and go: they are taken over, read from where that says, and given back.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::super::records::{PartitionId, Records};
use super::super::resume::Resume;
use super::super::skip::{only_anew, way_out};
use super::super::take_over::Bounds;
use super::super::taking::Taking;
use super::super::writer::Task;
use super::Polling;
use super::seat::{Seat, State};
use crate::error::{Error, Kind};
use crate::model::TopicName;
use crate::retry::Backoff;
use crate::topic::{Ownership, TopicPartition};

/// A client that refuses to go to an offset so often has given the partition up.
const OFTEN: u32 = 3;

impl Polling {
    /// Follows assignments and revocations.
    pub(super) fn take_changes(&mut self) {
        for change in self.poll.consumer.changes() {
            match change {
                Ownership::Assigned(places) => self.assigned(places),
                Ownership::Revoked(places) => places.iter().for_each(|place| self.revoked(place)),
            }
        }
    }

    pub(super) fn assigned(&mut self, places: Vec<TopicPartition>) {
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
                newest: None,
                troubles: Backoff::default(),
                again_at: None,
                in_lake: None,
                refused: 0,
                place: place.clone(),
            };
            self.begin_taking_over(&seat);
            self.seats.entry(place.0).or_default().insert(place.1, seat);
        }
    }

    pub(super) fn begin_taking_over(&self, seat: &Seat) {
        let head_key = self.tables.get(&seat.place.0).map(|t| t.name.head_key());
        let taking = Taking {
            id: seat.id.clone(),
            life: seat.life,
            head_key: head_key.unwrap_or_default(),
            store: self.poll.shop.store.clone(),
            books: self.poll.shop.books.clone(),
            memories: self.poll.shop.memories.clone(),
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

    pub(super) fn revoked(&mut self, place: &TopicPartition) {
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
    pub(super) fn take_taken(&mut self) {
        while let Ok(taken) = self.poll.taken.1.try_recv() {
            let seat = self.seat(&taken.id);
            let Some(seat) = seat.filter(|seat| seat.life == taken.life) else {
                continue;
            };
            (seat.epoch, seat.newest) = (taken.epoch, taken.newest);
            // The lake may not have what the group says it has.
            let is_doubtful =
                matches!(&taken.resume, Ok((Resume::Stop(stop), _)) if !stop.may_be_skipped);
            if let Some(offset) = taken.group_offset {
                self.poll.reporter.of(&taken.id, |p| {
                    (p.group_offset, p.committed) = match is_doubtful {
                        true => (offset, p.committed),
                        false => (0, p.committed.max(offset)),
                    };
                });
            }
            match taken.resume {
                Ok((Resume::Stop(stop), _)) => {
                    let error = Error::new(Kind::Data, stop.why);
                    let table = self.tables.get(taken.id.topic.as_str());
                    let error = match table {
                        Some(table) if stop.may_be_skipped => {
                            error.hint(way_out(&table.name, taken.id.number))
                        }
                        Some(table) => error.hint(only_anew(&table.name)),
                        None => error,
                    };
                    self.stopped(&taken.id, error, None);
                }
                Ok((begin, bounds)) => self.begin(&taken.id, begin, bounds),
                Err(error) => self.stopped(&taken.id, error, None),
            }
        }
    }

    pub(super) fn begin(&mut self, id: &PartitionId, begin: Resume, bounds: Bounds) {
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

    pub(super) fn read_from(&mut self, id: &PartitionId, place: &TopicPartition, at: u64) {
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

    pub(super) fn take_over_again(&mut self, id: &PartitionId) {
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
}
