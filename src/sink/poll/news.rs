//! What the polling thread looks at now and then: commits, the loads topic, the ends of the logs.

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

    /// Asks for the ends of the logs, and how far others are with what somebody waits for here.
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
}
