//! Tickets of the timestamp modes: which moments are past for every writer. Pure.
//!
//! A ticket is a moment, and everybody who could still write a row stamped before it. A statement takes its
//! time when it starts, and is in no list of transactions until it writes: so the running statements are
//! collected first, the transactions after them. A statement that ended hands the ticket over to the
//! transaction it belongs to, which may stay open. When nobody is left, the moment is a safe bound.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::Micros;

/// Two clocks of the server are compared here, read some microseconds apart; milliseconds when it is busy.
const CLOCKS_APART: Micros = 20_000;
/// Tickets kept while somebody holds the bound back. When there are more, every second one goes.
const MOST_TICKETS: usize = 128;

/// What the server showed, in this order: its clock, the running statements, the transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) at: Micros,
    /// Threads with a running statement, and when it started. Never later than it really did.
    pub(super) running: BTreeMap<u64, Micros>,
    /// Transactions that have written, and the thread each belongs to; 0 for a prepared one without a thread.
    pub(super) writers: BTreeMap<u64, u64>,
    /// Changes when transactions cannot be compared with those seen before.
    pub(super) since: String,
}

#[derive(Clone, Debug)]
struct Ticket {
    at: Micros,
    threads: BTreeSet<u64>,
    writers: BTreeSet<u64>,
}

/// Who holds the bound back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocker {
    /// The moment that cannot be passed.
    pub(super) at: Micros,
    pub(super) writer: Option<u64>,
    pub(super) thread: u64,
}

/// The tickets of one table, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    open: VecDeque<Ticket>,
    bound: Option<Micros>,
    since: String,
}

impl Tickets {
    /// Takes a ticket for this sighting's moment, works off the others, and gives the newest moment that is
    /// past for everybody. Never goes back.
    pub(super) fn advance(&mut self, seen: &Sighting) -> Option<Micros> {
        if self.since != seen.since {
            self.open.clear();
            self.since.clone_from(&seen.since);
        }
        for ticket in &mut self.open {
            ticket.work_off(seen);
        }
        self.open.push_back(Ticket {
            at: seen.at,
            threads: seen.running.keys().copied().collect(),
            writers: seen.writers.keys().copied().collect(),
        });
        // Whoever could write before an older moment could write before this one too.
        if let Some(newest) = self.open.iter().rposition(Ticket::is_drained) {
            let drained = self.open.drain(..=newest).next_back();
            self.bound = self.bound.max(drained.map(|ticket| ticket.at));
        }
        self.thin_out();
        self.bound
    }

    /// A bound found otherwise; never goes back either.
    pub(super) fn at_least(&mut self, at: Micros) -> Option<Micros> {
        self.bound = self.bound.max(Some(at));
        self.bound
    }

    /// Who keeps the oldest ticket open.
    pub(super) fn blocker(&self, seen: &Sighting) -> Option<Blocker> {
        let oldest = self.open.front()?;
        match (oldest.writers.first(), oldest.threads.first()) {
            (Some(writer), _) => {
                let thread = seen.writers.get(writer).copied().unwrap_or(0);
                Some(Blocker {
                    at: oldest.at,
                    writer: Some(*writer),
                    thread,
                })
            }
            (None, Some(thread)) => Some(Blocker {
                at: oldest.at,
                writer: None,
                thread: *thread,
            }),
            (None, None) => None,
        }
    }

    fn thin_out(&mut self) {
        if self.open.len() > MOST_TICKETS {
            let mut keep = false;
            self.open.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }
}

impl Ticket {
    fn work_off(&mut self, seen: &Sighting) {
        let latest_start = self.at + CLOCKS_APART;
        let (mut left, writers) = (BTreeSet::new(), &mut self.writers);
        self.threads.retain(|thread| {
            let stays = seen
                .running
                .get(thread)
                .is_some_and(|start| *start <= latest_start);
            if !stays {
                left.insert(*thread);
            }
            stays
        });
        writers.retain(|writer| seen.writers.contains_key(writer));
        if !left.is_empty() {
            // A prepared transaction whose thread is gone may be that of a statement that left.
            let handed_over = seen
                .writers
                .iter()
                .filter(|(_, thread)| **thread == 0 || left.contains(thread));
            writers.extend(handed_over.map(|(writer, _)| *writer));
        }
    }

    fn is_drained(&self) -> bool {
        self.threads.is_empty() && self.writers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn seen(at: Micros, running: &[(u64, Micros)], writers: &[(u64, u64)]) -> Sighting {
        Sighting {
            at: at * SECOND,
            running: running
                .iter()
                .map(|(thread, start)| (*thread, start * SECOND))
                .collect(),
            writers: writers.iter().copied().collect(),
            since: "one server".into(),
        }
    }

    #[test]
    fn a_quiet_server_is_safe_up_to_now() {
        let mut tickets = Tickets::default();
        assert_eq!(tickets.advance(&seen(5, &[], &[])), Some(5 * SECOND));
    }

    #[test]
    fn an_open_writer_holds_the_bound_until_it_ends() {
        let mut tickets = Tickets::default();
        assert_eq!(tickets.advance(&seen(1, &[], &[(70, 7)])), None);
        assert_eq!(tickets.advance(&seen(2, &[], &[(70, 7)])), None);
        assert_eq!(tickets.advance(&seen(3, &[], &[])), Some(3 * SECOND));
    }

    #[test]
    fn the_bound_advances_although_somebody_always_writes() {
        let mut tickets = Tickets::default();
        assert_eq!(tickets.advance(&seen(1, &[], &[(1, 7)])), None);
        assert_eq!(tickets.advance(&seen(2, &[], &[(2, 7)])), Some(SECOND));
        assert_eq!(tickets.advance(&seen(3, &[], &[(3, 7)])), Some(2 * SECOND));
    }

    #[test]
    fn a_statement_that_has_not_written_yet_hands_over_to_its_transaction() {
        let mut tickets = Tickets::default();
        assert_eq!(tickets.advance(&seen(1, &[(7, 0)], &[])), None);
        // Still the same statement, which has written by now.
        assert_eq!(tickets.advance(&seen(2, &[(7, 0)], &[(70, 7)])), None);
        // The statement has ended, its transaction has not.
        assert_eq!(tickets.advance(&seen(3, &[], &[(70, 7)])), None);
        assert_eq!(tickets.advance(&seen(4, &[], &[])), Some(4 * SECOND));
    }

    #[test]
    fn a_thread_that_runs_a_later_statement_has_left_the_ticket() {
        let mut tickets = Tickets::default();
        assert_eq!(tickets.advance(&seen(1, &[(7, 0)], &[])), None);
        assert_eq!(tickets.advance(&seen(3, &[(7, 2)], &[])), Some(SECOND));
    }

    #[test]
    fn a_prepared_transaction_without_a_thread_is_waited_for() {
        let mut tickets = Tickets::default();
        assert_eq!(tickets.advance(&seen(1, &[(7, 0)], &[])), None);
        assert_eq!(tickets.advance(&seen(2, &[], &[(70, 0)])), None);
        assert_eq!(
            tickets.blocker(&seen(2, &[], &[(70, 0)])).unwrap().writer,
            Some(70)
        );
        assert_eq!(tickets.advance(&seen(3, &[], &[])), Some(3 * SECOND));
    }

    #[test]
    fn another_server_makes_earlier_tickets_worthless_but_the_bound_never_goes_back() {
        let mut tickets = Tickets::default();
        tickets.advance(&seen(5, &[], &[]));
        let elsewhere = Sighting {
            since: "another server".into(),
            ..seen(4, &[], &[])
        };
        assert_eq!(tickets.advance(&elsewhere), Some(5 * SECOND));
        assert_eq!(tickets.at_least(0), Some(5 * SECOND));
    }

    #[test]
    fn a_long_wait_keeps_a_bounded_number_of_tickets_and_forgets_nobody() {
        let mut tickets = Tickets::default();
        for at in 0..10_000 {
            assert_eq!(tickets.advance(&seen(at, &[], &[(1, 7)])), None);
            assert!(tickets.open.len() <= MOST_TICKETS);
        }
        assert_eq!(
            tickets.blocker(&seen(10_000, &[], &[(1, 7)])).unwrap().at,
            0
        );
        assert_eq!(
            tickets.advance(&seen(10_001, &[], &[(2, 7)])),
            Some(9_999 * SECOND)
        );
    }
}
