//! The bound of the timestamp modes, from what the server shows at each look. No I/O and no clock of our own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::Micros;
use crate::source::SafeBound;

/// How much later than its start a transaction may become visible to others: the server takes the time before it
/// publishes it. 5 ms were enough under 16 clients on 2 cores; without any, 1 row in 1,000 was missed.
const MARGIN: Micros = 250_000;
/// Who holds the bound back for longer is named.
const LONG: Micros = 60_000_000;

/// What all sessions do, in one look.
pub(super) struct Activity {
    /// The server's time before the look.
    pub now: Micros,
    pub standby: bool,
    /// On a standby, the time of the last transaction it has replayed.
    pub replayed: Option<Micros>,
    /// Whether every session showed what it does.
    pub complete: bool,
    /// The oldest start of a transaction or of a running statement, and whose it is.
    pub oldest: Option<(Micros, String)>,
}

/// What is remembered from look to look.
pub(super) struct Horizon {
    lookback: Micros,
    /// The bound that the look before this one proved, were it not for prepared transactions.
    before: Option<Micros>,
    /// Each prepared transaction on the table: when it was first seen, and the bound of the look before. It was not
    /// prepared then, so it was either running, and that bound respects it, or it began later.
    prepared: BTreeMap<String, (Micros, Option<Micros>)>,
    last: Option<Micros>,
}

impl Horizon {
    pub fn new(lookback: Duration) -> Self {
        let lookback = Micros::try_from(lookback.as_micros()).unwrap_or(Micros::MAX);
        Horizon {
            lookback,
            before: None,
            prepared: BTreeMap::new(),
            last: None,
        }
    }

    /// The bound after this look. `None` as long as a prepared transaction of unknown age is the oldest thing known.
    pub fn advance(
        &mut self,
        activity: &Activity,
        prepared: BTreeSet<String>,
    ) -> Option<SafeBound> {
        self.prepared.retain(|holder, _| prepared.contains(holder));
        for holder in prepared {
            self.prepared
                .entry(holder)
                .or_insert((activity.now, self.before));
        }
        let candidate = self.candidate(activity)?;
        let proven = activity.complete && !activity.standby;
        self.before = proven.then_some(candidate);
        let bound = match proven {
            true => self
                .prepared
                .values()
                .try_fold(candidate, |bound, (_, limit)| {
                    limit.map(|limit| bound.min(limit))
                }),
            // The assumption speaks of prepared transactions too.
            false => Some(candidate),
        };
        // A bound that held once holds for ever.
        self.last = self.last.max(bound);
        self.last.map(|at| SafeBound {
            at,
            held_by: self.held_by(activity),
        })
    }

    fn candidate(&self, activity: &Activity) -> Option<Micros> {
        if activity.standby {
            return Some(
                activity
                    .replayed?
                    .min(activity.now)
                    .saturating_sub(self.lookback),
            );
        }
        if !activity.complete {
            return Some(activity.now.saturating_sub(self.lookback));
        }
        let oldest = activity
            .oldest
            .as_ref()
            .map_or(activity.now, |(since, _)| *since);
        Some(oldest.min(activity.now).saturating_sub(MARGIN))
    }

    fn held_by(&self, activity: &Activity) -> Option<String> {
        let mut names = Vec::new();
        if let Some((since, who)) = activity
            .oldest
            .as_ref()
            .filter(|(since, _)| activity.now.saturating_sub(*since) > LONG)
        {
            names.push(format!(
                "{who}, for {} s",
                activity.now.saturating_sub(*since) / 1_000_000
            ));
        }
        for (holder, (seen, _)) in &self.prepared {
            let age = activity.now.saturating_sub(*seen);
            if age > LONG {
                names.push(format!(
                    "prepared transaction {holder} (see pg_prepared_xacts), seen for {} s",
                    age / 1_000_000
                ));
            }
        }
        (!names.is_empty()).then(|| names.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn look(now: Micros, oldest: Option<Micros>) -> Activity {
        let oldest = oldest.map(|since| (since, "session 7 of user `app`".to_owned()));
        Activity {
            now,
            standby: false,
            replayed: None,
            complete: true,
            oldest,
        }
    }

    fn holders(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn at(bound: Option<SafeBound>) -> Option<Micros> {
        bound.map(|bound| bound.at)
    }

    #[test]
    fn the_bound_stays_a_margin_below_the_oldest_start_and_never_goes_back() {
        let mut horizon = Horizon::new(Duration::from_secs(600));
        assert_eq!(
            at(horizon.advance(&look(100 * SECOND, Some(90 * SECOND)), holders(&[]))),
            Some(90 * SECOND - MARGIN)
        );
        assert_eq!(
            at(horizon.advance(&look(101 * SECOND, None), holders(&[]))),
            Some(101 * SECOND - MARGIN)
        );
        assert_eq!(
            at(horizon.advance(&look(90 * SECOND, None), holders(&[]))),
            Some(101 * SECOND - MARGIN)
        );
    }

    #[test]
    fn a_prepared_transaction_holds_the_bound_where_it_was_before_it_was_seen() {
        let mut horizon = Horizon::new(Duration::from_secs(600));
        horizon.advance(&look(100 * SECOND, Some(99 * SECOND)), holders(&[]));
        let held = Some(99 * SECOND - MARGIN);
        assert_eq!(
            at(horizon.advance(&look(101 * SECOND, None), holders(&["1/1"]))),
            held
        );
        // A second one is held to the bound without the first, so that a stream of them does not hold it for ever.
        assert_eq!(
            at(horizon.advance(&look(102 * SECOND, None), holders(&["1/1", "2/1"]))),
            held
        );
        assert_eq!(
            at(horizon.advance(&look(103 * SECOND, None), holders(&["2/1"]))),
            Some(101 * SECOND - MARGIN)
        );
        assert_eq!(
            at(horizon.advance(&look(104 * SECOND, None), holders(&[]))),
            Some(104 * SECOND - MARGIN)
        );
    }

    #[test]
    fn nothing_is_proven_while_a_prepared_transaction_is_older_than_the_guard() {
        let mut horizon = Horizon::new(Duration::from_secs(600));
        assert_eq!(
            at(horizon.advance(&look(100 * SECOND, None), holders(&["1/1"]))),
            None
        );
        assert_eq!(
            at(horizon.advance(&look(101 * SECOND, None), holders(&["1/1"]))),
            None
        );
        assert_eq!(
            at(horizon.advance(&look(102 * SECOND, None), holders(&[]))),
            Some(102 * SECOND - MARGIN)
        );
    }

    #[test]
    fn without_a_full_view_the_bound_keeps_the_whole_lookback() {
        let mut horizon = Horizon::new(Duration::from_secs(10));
        let hidden = Activity {
            complete: false,
            ..look(100 * SECOND, None)
        };
        assert_eq!(
            at(horizon.advance(&hidden, holders(&[]))),
            Some(90 * SECOND)
        );
    }

    #[test]
    fn a_standby_is_bounded_by_what_it_has_replayed() {
        let mut horizon = Horizon::new(Duration::from_secs(10));
        let standby = |replayed| Activity {
            standby: true,
            replayed,
            ..look(100 * SECOND, None)
        };
        assert_eq!(at(horizon.advance(&standby(None), holders(&[]))), None);
        assert_eq!(
            at(horizon.advance(&standby(Some(50 * SECOND)), holders(&[]))),
            Some(40 * SECOND)
        );
    }

    #[test]
    fn whoever_holds_the_bound_for_more_than_a_minute_is_named() {
        let mut horizon = Horizon::new(Duration::from_secs(600));
        let bound = horizon
            .advance(&look(200 * SECOND, Some(100 * SECOND)), holders(&[]))
            .unwrap();
        assert_eq!(
            bound.held_by.as_deref(),
            Some("session 7 of user `app`, for 100 s")
        );
    }
}
