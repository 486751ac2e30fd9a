//! Records are gathered, handed to the writers, and held back where memory is short.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::message::Message;

use super::super::writer::Task;
use super::Polling;
use super::seat::State;

/// The longest wait for a record. Far below any time-out of the group.
const WAIT: Duration = Duration::from_millis(50);
/// How long records are gathered before they are handed over, and how many bytes of them.
const GATHER: Duration = Duration::from_millis(20);
const GATHER_BYTES: usize = 1 << 20;

impl Polling {
    /// Gathers records for a moment.
    pub(super) fn gather(&mut self) {
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
    pub(super) fn hand_over(&mut self) {
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

    /// Pauses what must not be read now, and goes on with what may.
    pub(super) fn balance(&mut self) {
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
}
