//! Incrementing: which ids below the highest one may still appear, and when that is ruled out. Pure.
//!
//! Ids are drawn before they are committed, so a higher one can be visible while a lower one is not. Each
//! missing id lies in an open *gap*. A gap has a *ticket*: the transactions that could still fill it, collected
//! after the read that opened it. A gap is closed only when every member of its ticket was seen gone *before*
//! a read that still did not see its ids.
//!
//! Why nothing is lost: a row's id is drawn by a transaction that holds a write lock from before the draw to
//! its end, and ids are drawn in ascending order. When a higher id was read, the lower one was drawn already;
//! so its transaction either had ended, and later reads see its rows, or it is in the ticket.
//! Why nothing comes twice: a row is sent while its id is above `highest` or in a gap, and leaves both then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Evidence;
use crate::model::{Gap, IncrementingCursor, Micros};

/// A ticket is taken this long after the read that opened the gap: MariaDB shows a transaction only once its
/// first row is written, microseconds after the id was drawn.
pub const TICKET_MARGIN: Duration = Duration::from_millis(100);

/// No more gaps than fit this many bytes of the cursor's record; the state topic takes 1 MiB records.
pub const LARGEST_CURSOR: usize = 900_000;

/// Now, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Of this process, never set back; since any fixed point.
    pub elapsed: Duration,
    /// The database server's clock: it is remembered beyond this process.
    pub server: Micros,
}

/// The gaps of one table and their tickets.
#[derive(Clone, Debug)]
pub struct Ledger {
    highest: Option<i128>,
    /// The smallest id there can be: where the first gap of a table that was empty begins.
    smallest: i128,
    gaps: Vec<OpenGap>,
    tickets: BTreeMap<u64, Ticket>,
    next_ticket: u64,
    /// Which server life and connection the identities in the tickets belong to.
    since: Option<String>,
    /// Holders that have joined the open tickets already.
    joined: BTreeSet<String>,
    largest: usize,
}

#[derive(Clone, Debug)]
struct OpenGap {
    lo: i128,
    hi: i128,
    first_seen: Micros,
    ticket: u64,
    /// A probe last saw some of it held then.
    last_held: Option<Micros>,
    /// The last evidence leaves nobody who could fill it: closed by the next complete read.
    drained: bool,
}

/// Shared by the gaps one read opened.
#[derive(Clone, Debug)]
struct Ticket {
    opened: Duration,
    /// `None` until it is taken.
    holders: Option<BTreeSet<String>>,
}

impl Ledger {
    /// Goes on from a cursor. Tickets are not remembered; all are taken anew.
    pub fn restore(cursor: &IncrementingCursor, smallest: i128, now: Moment) -> Self {
        let mut ledger = Ledger {
            highest: cursor.highest,
            smallest,
            gaps: Vec::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            since: None,
            joined: BTreeSet::new(),
            largest: LARGEST_CURSOR,
        };
        let ticket = ledger.new_ticket(now);
        ledger.gaps = cursor
            .gaps
            .iter()
            .map(|gap| OpenGap {
                lo: gap.lo,
                hi: gap.hi,
                first_seen: gap.first_seen,
                ticket,
                last_held: None,
                drained: false,
            })
            .collect();
        ledger
    }

    /// As [`Ledger::restore`], with another bound on the cursor's size.
    #[cfg(test)]
    pub fn with_largest(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }

    /// The cursor that is true once everything passed to this ledger was sent.
    pub fn cursor(&self) -> IncrementingCursor {
        let gaps = self
            .gaps
            .iter()
            .map(|g| Gap {
                lo: g.lo,
                hi: g.hi,
                first_seen: g.first_seen,
            })
            .collect();
        IncrementingCursor {
            highest: self.highest,
            gaps,
        }
    }

    pub fn highest(&self) -> Option<i128> {
        self.highest
    }

    /// The open gaps, ascending; each is a maximal run of missing ids.
    pub fn ranges(&self) -> Vec<(i128, i128)> {
        self.gaps.iter().map(|gap| (gap.lo, gap.hi)).collect()
    }

    pub fn is_without_gaps(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Whether nobody could fill any gap any more, by the last evidence.
    pub fn is_drained(&self) -> bool {
        self.gaps.iter().all(|gap| gap.drained)
    }

    /// Whether the gaps fill the cursor's record, so that `highest` must not advance for now.
    pub fn is_waiting(&self) -> bool {
        encoded_bytes(&self.gaps) >= self.largest
    }

    /// Takes in evidence that was collected before the next read.
    pub fn observe(&mut self, evidence: &Evidence, now: Moment) {
        match evidence {
            Evidence::Writers {
                holders,
                joins_all,
                since,
            } => {
                self.observe_writers(holders, joins_all, since, now);
            }
            Evidence::Probe { held, grace } => self.observe_probe(held, *grace, now),
        }
    }

    fn observe_writers(
        &mut self,
        holders: &BTreeSet<String>,
        joins_all: &BTreeSet<String>,
        since: &str,
        now: Moment,
    ) {
        if self.since.as_deref() != Some(since) {
            self.since = Some(since.to_owned());
            self.joined.clear();
            self.tickets
                .values_mut()
                .for_each(|ticket| ticket.holders = None);
        }
        for ticket in self.tickets.values_mut() {
            match &mut ticket.holders {
                Some(left) => {
                    left.retain(|holder| holders.contains(holder) || joins_all.contains(holder));
                    left.extend(joins_all.difference(&self.joined).cloned());
                }
                None if now.elapsed.saturating_sub(ticket.opened) >= TICKET_MARGIN => {
                    ticket.holders = Some(holders.union(joins_all).cloned().collect());
                }
                None => {}
            }
        }
        self.joined.clone_from(joins_all);
        for gap in &mut self.gaps {
            let holders = self
                .tickets
                .get(&gap.ticket)
                .and_then(|ticket| ticket.holders.as_ref());
            gap.drained = holders.is_some_and(BTreeSet::is_empty);
        }
    }

    /// A gap is judged whole: a statement that inserts many rows reserves their ids at once but holds only
    /// those it has written so far.
    fn observe_probe(&mut self, held: &[(i128, i128)], grace: Duration, now: Moment) {
        let grace = Micros::try_from(grace.as_micros()).unwrap_or(Micros::MAX);
        for gap in &mut self.gaps {
            if held.iter().any(|(lo, hi)| *lo <= gap.hi && gap.lo <= *hi) {
                gap.last_held = Some(now.server);
                gap.drained = false;
            } else {
                let clear_since = gap
                    .last_held
                    .map_or(gap.first_seen, |held| held.max(gap.first_seen));
                gap.drained = now.server.saturating_sub(clear_since) >= grace;
            }
        }
    }

    /// Takes ids out of their gaps that a read of [`Ledger::ranges`] found and that are sent with this.
    pub fn found(&mut self, ids: &[i128]) {
        for id in ids {
            let Ok(at) = self.gaps.binary_search_by(|gap| {
                use std::cmp::Ordering::*;
                if gap.hi < *id {
                    Less
                } else if gap.lo > *id {
                    Greater
                } else {
                    Equal
                }
            }) else {
                continue;
            };
            let gap = self.gaps.remove(at);
            if *id < gap.hi {
                self.gaps.insert(
                    at,
                    OpenGap {
                        lo: id + 1,
                        ..gap.clone()
                    },
                );
            }
            if gap.lo < *id {
                self.gaps.insert(at, OpenGap { hi: id - 1, ..gap });
            }
        }
    }

    /// Closes the gaps that were drained before a read of *all* ranges that has now ended and not seen them.
    /// After a read that was cut short it must not be called. Says whether any was closed.
    pub fn close_drained(&mut self) -> bool {
        let before = self.gaps.len();
        self.gaps.retain(|gap| !gap.drained);
        self.gaps.len() < before
    }

    fn drop_unused_tickets(&mut self) {
        let open: BTreeSet<u64> = self.gaps.iter().map(|gap| gap.ticket).collect();
        self.tickets.retain(|number, _| open.contains(number));
    }

    /// Begins a read of everything above [`Ledger::highest`]: the gaps it opens share the ticket this gives.
    pub fn begin_forward(&mut self, now: Moment) -> u64 {
        self.drop_unused_tickets();
        self.new_ticket(now)
    }

    /// Takes in ids, ascending, that are sent with this; missing ones between them become gaps. Answers how
    /// many of them it took: fewer where the gaps fill the cursor's record, and the rest must not be sent.
    pub fn forward(&mut self, ticket: u64, ids: &[i128], now: Moment) -> usize {
        if let Some(ticket) = self.tickets.get_mut(&ticket) {
            ticket.opened = now.elapsed;
        }
        let mut bytes = encoded_bytes(&self.gaps);
        for (taken, id) in ids.iter().enumerate() {
            let lo = self
                .highest
                .map_or(self.smallest, |highest| highest.saturating_add(1));
            if lo < *id {
                if bytes >= self.largest {
                    return taken;
                }
                let (hi, first_seen) = (id - 1, now.server);
                let gap = OpenGap {
                    lo,
                    hi,
                    first_seen,
                    ticket,
                    last_held: None,
                    drained: false,
                };
                bytes += gap_bytes(&gap);
                self.gaps.push(gap);
            }
            self.highest = Some(self.highest.map_or(*id, |highest| highest.max(*id)));
        }
        ids.len()
    }

    fn new_ticket(&mut self, now: Moment) -> u64 {
        self.next_ticket += 1;
        self.tickets.insert(
            self.next_ticket,
            Ticket {
                opened: now.elapsed,
                holders: None,
            },
        );
        self.next_ticket
    }
}

fn encoded_bytes(gaps: &[OpenGap]) -> usize {
    gaps.iter().map(gap_bytes).sum()
}

/// What one gap takes as JSON: names, quotes and commas, and its three numbers.
fn gap_bytes(gap: &OpenGap) -> usize {
    fn digits(number: i128) -> usize {
        let positive = number.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
        positive + usize::from(number < 0)
    }
    r#"{"lo":,"hi":,"first_seen":},"#.len()
        + digits(gap.lo)
        + digits(gap.hi)
        + digits(gap.first_seen.into())
}

#[cfg(test)]
#[path = "gaps_tests.rs"]
mod tests;
