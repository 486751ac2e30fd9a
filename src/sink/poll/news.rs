//! What the polling thread looks at now and then: commits, the loads topic, the ends of the logs.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::super::records::PartitionId;
use super::super::writer::Task;
use super::Polling;
use super::seat::State;
use crate::topic::TopicPartition;

/// How often offsets are committed, ends of logs asked for, and unowned targets looked at.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(10);

impl Polling {
    pub(super) fn now_and_then(&mut self) {
        if self.committed_at.elapsed() >= COMMIT_EVERY {
            self.committed_at = Instant::now();
            self.note_lost_commits();
            self.poll.consumer.send_commits();
            self.news.mark_changed();
        }
        if self.news.has_changed().unwrap_or(false) {
            self.news.mark_unchanged();
            self.look_at_epochs();
            self.look_at_loads();
        }
        let every = if self.waits_for_others() {
            COMMIT_EVERY
        } else {
            LOOK_EVERY
        };
        if self.looked_at.is_none_or(|at| at.elapsed() >= every) {
            self.looked_at = Some(Instant::now());
            self.look_at_logs();
        }
    }

    /// The partitions of a table that was begun anew are taken over again: what is open of them is void, and
    /// they go on where the new epoch begins.
    pub(super) fn look_at_epochs(&mut self) {
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
            tracing::info!(partition = %id, "its table has a new epoch");
            self.poll.reporter.of(&id, |p| p.forget_trouble());
            self.take_over_again(&id);
        }
    }

    /// A load that ended is not left waiting for the age of its last chunk.
    pub(super) fn look_at_loads(&mut self) {
        let Some(book) = self.poll.shop.books.borrow().clone() else {
            return;
        };
        let mut due = Vec::new();
        for seat in self.seats() {
            let table = self.tables.get(&seat.place.0);
            let loads = table.and_then(|t| book.loads(&t.name.head_key(), &t.topic));
            let newest = loads.and_then(|loads| loads.values().next_back());
            if let Some(offset) =
                newest.and_then(|load| super::super::judge::drain_target(load, seat.id.number))
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

    /// Whether somebody here waits for a partition that another worker has.
    fn waits_for_others(&self) -> bool {
        self.drains.keys().any(|id| {
            let seats = self.seats.get(id.topic.as_str());
            seats.is_none_or(|seats| !seats.contains_key(&id.number))
        })
    }

    /// Notes once more what is in the lake of partitions whose commit did not arrive: the client may lose one while the
    /// group is shared out anew, without a word, and others wait for it.
    fn note_lost_commits(&self) {
        let lost = std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner));
        for id in lost {
            let seats = self.seats.get(id.topic.as_str());
            if let Some(seat) = seats.and_then(|seats| seats.get(&id.number)) {
                let mut in_lake = 0;
                self.poll.reporter.of(&id, |p| in_lake = p.committed);
                self.poll.consumer.note_commit(&seat.place, in_lake);
            }
        }
    }

    /// Asks for the ends of the logs, how far others are with what somebody waits for here, and whether what was
    /// committed here arrived.
    pub(super) fn look_at_logs(&self) {
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
        let lost = self.lost.clone();
        self.poll.shop.runtime.spawn_blocking(move || {
            let place = |id: &PartitionId| (id.topic.to_string(), id.number);
            let owned = own.iter().map(|(_, place)| place.clone());
            let places: Vec<_> = others.iter().map(place).chain(owned).collect();
            if places.is_empty() {
                return;
            }
            // What is in the lake now may be committed only later.
            let in_lake = |id: &PartitionId| {
                let mut in_lake = 0;
                reporter.of(id, |p| in_lake = p.committed);
                in_lake
            };
            let before: Vec<u64> = own.iter().map(|(id, _)| in_lake(id)).collect();
            if let Ok(committed) = questions.committed(&places) {
                let offset = |place| committed.get(place).copied().flatten().unwrap_or(0);
                for (id, place) in others.iter().zip(&places) {
                    reporter.of(id, |p| p.committed = p.committed.max(offset(place)));
                }
                let behind = own
                    .iter()
                    .zip(before)
                    .filter(|((_, place), before)| offset(place) < *before);
                let behind = behind.map(|((id, _), _)| id.clone());
                lost.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(behind);
            }
            for (id, place) in own {
                if let Ok((_, high)) = questions.bounds(&place) {
                    reporter.of(&id, |p| p.high = high);
                }
            }
        });
    }
}
