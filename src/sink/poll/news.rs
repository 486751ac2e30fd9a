//! What the polling thread looks at now and then: commits, the loads topic, the ends of the logs.

use std::time::{Duration, Instant};

use super::super::records::PartitionId;
use super::super::writer::Task;
use super::Polling;
use super::seat::{InLake, Seat, State};
use crate::topic::TopicPartition;

/// How often offsets are committed, and others' partitions looked at that somebody waits for here.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How often the ends of the logs are asked for, and whether what was committed arrived.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A commit that the client lost while the group was shared out anew, without a word: less is committed than is in the
/// lake, and whoever waits for the offset would wait for the next chunk.
pub(super) struct LostCommit {
    id: PartitionId,
    in_lake: InLake,
}

impl Polling {
    pub(super) fn now_and_then(&mut self) {
        if self.committed_at.elapsed() >= COMMIT_EVERY {
            self.committed_at = Instant::now();
            // A table that was begun anew has a new life before an old commit could be repeated.
            self.look_at_epochs();
            self.repeat_lost_commits();
            self.poll.consumer.send_commits();
            self.news.mark_changed();
        }
        if self.news.has_changed().unwrap_or(false) {
            self.news.mark_unchanged();
            self.look_at_epochs();
            self.look_at_loads();
        }
        // One look at a time: a slow broker is not asked ever more.
        if self
            .looking
            .as_ref()
            .is_some_and(|look| !look.is_finished())
        {
            return;
        }
        let is_due = |at: Option<Instant>, every| at.is_none_or(|at| at.elapsed() >= every);
        if is_due(self.looked_at, LOOK_EVERY) {
            self.looked_at = Some(Instant::now());
            self.look_at_logs(true);
        } else if self.waits_for_others() && is_due(self.looked_at_others, COMMIT_EVERY) {
            self.looked_at_others = Some(Instant::now());
            self.look_at_logs(false);
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
        self.drains.keys().any(|id| self.is_others(id))
    }

    fn is_others(&self, id: &PartitionId) -> bool {
        let seats = self.seats.get(id.topic.as_str());
        seats.is_none_or(|seats| !seats.contains_key(&id.number))
    }

    /// Notes them once more, where the partition is in the same life and no further by now.
    fn repeat_lost_commits(&mut self) {
        while let Ok(LostCommit { id, in_lake }) = self.lost.1.try_recv() {
            let is_newest =
                |seat: &&mut Seat| seat.life == in_lake.0 && seat.in_lake == Some(in_lake);
            let seat = self.seat(&id).filter(is_newest);
            if let Some(place) = seat.map(|seat| seat.place.clone()) {
                tracing::debug!(partition = %id, offset = in_lake.1, "a commit was lost; it is sent again");
                self.poll.consumer.note_commit(&place, in_lake.1);
            }
        }
    }

    /// Asks how far others are with what somebody waits for here; of the partitions that are `owned`, too, where their
    /// logs end, and whether what was committed arrived.
    pub(super) fn look_at_logs(&mut self, owned: bool) {
        let own: Vec<(PartitionId, TopicPartition, Option<InLake>)> = self
            .seats()
            .filter(|_| owned)
            .map(|seat| (seat.id.clone(), seat.place.clone(), seat.in_lake))
            .collect();
        let others: Vec<PartitionId> = self
            .drains
            .keys()
            .filter(|id| self.is_others(id))
            .cloned()
            .collect();
        let (questions, reporter) = (self.poll.consumer.questions(), self.poll.reporter.clone());
        let lost = self.lost.0.clone();
        self.looking = Some(self.poll.shop.runtime.spawn_blocking(move || {
            let mut places: Vec<TopicPartition> = others
                .iter()
                .map(|id| (id.topic.to_string(), id.number))
                .collect();
            let mut in_lakes = Vec::new();
            for (id, place, in_lake) in own {
                let Ok((low, high)) = questions.bounds(&place) else {
                    continue;
                };
                reporter.of(&id, |p| p.high = high);
                // A topic that was made anew does not reach as far.
                if let Some(in_lake) = in_lake.filter(|(_, end)| (low..=high).contains(end)) {
                    places.push(place.clone());
                    in_lakes.push((id, place, in_lake));
                }
            }
            if places.is_empty() {
                return;
            }
            let Ok(committed) = questions.committed(&places) else {
                return;
            };
            let offset = |place: &TopicPartition| committed.get(place).copied().flatten();
            for (id, place) in others.iter().zip(&places) {
                let offset = offset(place).unwrap_or(0);
                reporter.of(id, |p| p.committed = p.committed.max(offset));
            }
            for (id, place, in_lake) in in_lakes {
                if offset(&place).is_none_or(|offset| offset < in_lake.1) {
                    // A sink that ended has nothing more to commit.
                    let _ = lost.send(LostCommit { id, in_lake });
                }
            }
        }));
    }
}
