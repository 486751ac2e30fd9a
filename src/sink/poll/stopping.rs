//! A partition that is not read any further: who hears of it, and when it is tried again.

use std::time::Instant;

use super::super::records::PartitionId;
use super::super::remedy::Remedy;
use super::Polling;
use super::seat::{Seat, State};
use crate::error::Error;

impl Polling {
    /// Says why a partition is not read any further, and does about it what helps. The others go on, unless
    /// it concerns them all.
    pub(super) fn stopped(&mut self, id: &PartitionId, error: Error, at: Option<u64>) {
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

    pub(super) fn say_stopped(
        &self,
        id: &PartitionId,
        error: &Error,
        at: Option<u64>,
        remedy: Remedy,
    ) {
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
    pub(super) fn try_again(&mut self) {
        let now = Instant::now();
        let due = |seat: &&Seat| seat.again_at.is_some_and(|at| at <= now);
        let due: Vec<_> = self.seats().filter(due).map(|s| s.id.clone()).collect();
        for id in due {
            self.take_over_again(&id);
        }
    }
}
