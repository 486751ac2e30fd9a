//! A partition that is not read any further: who hears of it, and when it is tried again.

use std::time::{Duration, Instant};

use super::super::records::PartitionId;
use super::super::remedy::Remedy;
use super::super::skip::skipped_since;
use super::super::writer::Life;
use super::Polling;
use super::seat::{Seat, State};
use crate::error::{Code, Error};

/// How often it is looked whether somebody gave up what is in a stopped partition's way.
const LOOK_FOR_SKIP: Duration = Duration::from_secs(2);

/// A partition that can go on, and its life when it stopped.
pub type Skipped = (PartitionId, Life);

impl Polling {
    /// Says why a partition is not read any further, and does about it what helps. The others go on, unless
    /// it concerns them all.
    pub(super) fn stopped(&mut self, id: &PartitionId, error: Error, at: Option<u64>) {
        let Some(seat) = self.seat(id) else {
            return;
        };
        let error = match error.has_own_code() {
            true => error,
            // Only `Data` takes this code.
            false => error.code(Code::PARTITION_STOPPED),
        };
        let remedy = Remedy::of(error.kind(), &mut seat.troubles);
        seat.state = State::Stopped;
        seat.again_at = remedy.pause().map(|pause| Instant::now() + pause);
        let place = seat.place.clone();
        let _ = self.poll.consumer.pause(&[place]);
        self.say_stopped(id, &error, at, remedy);
        if remedy == Remedy::Stay {
            self.look_for_skip(id);
        }
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

    /// A partition that nothing but a decision by hand moves goes on when that was made.
    fn look_for_skip(&self, id: &PartitionId) {
        let seats = self.seats.get(id.topic.as_str());
        let Some(seat) = seats.and_then(|seats| seats.get(&id.number)) else {
            return;
        };
        let (id, life, known) = (seat.id.clone(), seat.life, seat.newest);
        let (token, store) = (seat.token.clone(), self.poll.shop.store.clone());
        let answer = self.poll.skips.0.clone();
        let looking = async move {
            loop {
                tokio::time::sleep(LOOK_FOR_SKIP).await;
                match skipped_since(store.as_ref(), &id, known).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(error) => tracing::debug!(partition = %id, %error, "looking for a skip"),
                }
            }
            let _ = answer.send((id, life));
        };
        self.poll.shop.runtime.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = looking => {}
            }
        });
    }

    /// Goes on with partitions whose hindrance was given up.
    pub(super) fn take_skips(&mut self) {
        while let Ok((id, life)) = self.poll.skips.1.try_recv() {
            if self.seat(&id).is_some_and(|seat| seat.life == life) {
                tracing::warn!(partition = %id, "what was in its way is skipped");
                self.poll.reporter.of(&id, |p| p.forget_trouble());
                self.take_over_again(&id);
            }
        }
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
