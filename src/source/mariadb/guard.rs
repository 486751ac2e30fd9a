//! The guard of one table: what proves here that no late row can still appear behind its cursor.
//!
//! With the PROCESS privilege both kinds of cursor rest on the [`Horizon`]. Incrementing: the transactions that
//! have written, collected after the gaps were seen. An id is drawn microseconds before its row makes the
//! transaction a writer, so **the caller asks for evidence no sooner than 100 ms after the read whose gaps it
//! will ticket**. Timestamp modes: [`Tickets`].
//!
//! Without the privilege, or while another monitor starves the list, ids are probed, and timestamps are believed
//! after the lookback; either class is assumed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::super::{Described, Evidence, Guard, GuardOptions, SafeBound};
use super::connect::Line;
use super::describe::Ground;
use super::horizon::{Horizon, Reading, Sight};
use super::probe::Probe;
use super::tickets::Tickets;
use crate::error::Result;
use crate::model::{GuardClass, Micros};

/// How long a range of ids must stay unheld without better evidence. A probe sees every written row; what it
/// cannot see is a statement between two rows of its own, and none is expected to pause for longer.
const PROBE_GRACE: Duration = Duration::from_secs(60);
/// Why there is no proof: what a user can do about it.
const DENIED: &str = "`GRANT PROCESS ON *.*` to the account proves it";
const STARVED: &str = "another monitor reads INNODB_TRX so often that the server never renews it";
/// A bound held back for longer is reported with who holds it.
const REPORTED_AFTER: Micros = 60_000_000;

pub(super) struct MariaDbGuard {
    horizon: Arc<Horizon>,
    probes: Arc<Line>,
    /// None where no index begins with the cursor column.
    probe: Option<Probe>,
    ground: Ground,
    lookback: Duration,
    tickets: Tickets,
    class: GuardClass,
}

impl MariaDbGuard {
    pub(super) fn new(
        table: &Described,
        column: &str,
        options: GuardOptions,
        ground: Ground,
        horizon: Arc<Horizon>,
        probes: Arc<Line>,
    ) -> Self {
        let probe = ground
            .index
            .as_deref()
            .map(|index| Probe::new(&table.name, column, index));
        let class = match &ground.unsound {
            Some(why) => GuardClass::Unsafe(why.clone()),
            None => GuardClass::Assumed("nothing was asked yet".into()),
        };
        let (lookback, tickets) = (options.lookback, Tickets::default());
        MariaDbGuard {
            horizon,
            probes,
            probe,
            ground,
            lookback,
            tickets,
            class,
        }
    }

    /// Unsound ground stays unsafe, whatever was seen on it.
    fn set_class(&mut self, class: GuardClass) {
        if self.ground.unsound.is_none() {
            self.class = class;
        }
    }

    /// Evidence without the list of transactions.
    async fn probed(&self, gaps: &[(i128, i128)], grace: Duration) -> Result<Evidence> {
        let held = match &self.probe {
            Some(probe) => probe.held(&self.probes, gaps).await?,
            None => Vec::new(),
        };
        Ok(Evidence::Probe { held, grace })
    }

    fn is_replica(&self, sight: &Sight) -> bool {
        self.ground.is_replica || matches!(sight, Sight::Seen(reading) if reading.is_replica)
    }

    fn seen(&mut self, reading: &Reading) -> Option<SafeBound> {
        let at = self.tickets.advance(&reading.sighting)?;
        Some(SafeBound {
            at,
            held_by: self.held_by(reading, at),
        })
    }

    fn held_by(&self, reading: &Reading, bound: Micros) -> Option<String> {
        if reading.sighting.at - bound <= REPORTED_AFTER {
            return None;
        }
        self.tickets
            .blocker(&reading.sighting)
            .map(|blocker| reading.words(blocker))
    }

    async fn looked_back(&mut self) -> Result<Option<SafeBound>> {
        let lookback = i64::try_from(self.lookback.as_micros()).unwrap_or(i64::MAX);
        let at = self.horizon.now().await?.saturating_sub(lookback);
        Ok(self
            .tickets
            .at_least(at)
            .map(|at| SafeBound { at, held_by: None }))
    }
}

#[async_trait]
impl Guard for MariaDbGuard {
    fn class(&self) -> GuardClass {
        self.class.clone()
    }

    async fn evidence(&mut self, gaps: &[(i128, i128)]) -> Result<Evidence> {
        let sight = self.horizon.look().await?;
        let is_replica = self.is_replica(&sight);
        let has_probe = self.probe.is_some();
        self.set_class(class_of_id(&sight, is_replica, has_probe, self.lookback));
        if is_replica {
            return self.probed(gaps, self.lookback.max(PROBE_GRACE)).await;
        }
        match sight {
            Sight::Seen(reading) => {
                let holders = reading
                    .sighting
                    .writers
                    .keys()
                    .map(u64::to_string)
                    .collect();
                let since = reading.sighting.since.clone();
                // A prepared transaction keeps its id when its connection ends: nobody ever has to join.
                Ok(Evidence::Writers {
                    holders,
                    joins_all: BTreeSet::new(),
                    since,
                })
            }
            Sight::Denied | Sight::Starved => {
                self.probed(gaps, grace(has_probe, self.lookback)).await
            }
        }
    }

    async fn safe_bound(&mut self) -> Result<Option<SafeBound>> {
        let sight = self.horizon.look().await?;
        let is_replica = self.is_replica(&sight);
        self.set_class(class_of_time(&sight, is_replica, self.lookback));
        match sight {
            Sight::Seen(reading) if !is_replica => Ok(self.seen(&reading)),
            _ => self.looked_back().await,
        }
    }
}

/// What evidence about ids rests on, on sound ground.
pub(super) fn class_of_id(
    sight: &Sight,
    is_replica: bool,
    has_probe: bool,
    lookback: Duration,
) -> GuardClass {
    let Some(why) = unproven(sight, is_replica) else {
        return GuardClass::Proven;
    };
    let assumption = match (is_replica, has_probe) {
        (true, _) => return GuardClass::Assumed(replica(lookback)),
        (false, true) => "no statement pauses between two of its rows",
        (false, false) => "no transaction stays open",
    };
    let grace = words(grace(has_probe, lookback));
    GuardClass::Assumed(format!("{assumption} for longer than {grace}; {why}"))
}

/// What a bound of timestamps rests on, on sound ground.
pub(super) fn class_of_time(sight: &Sight, is_replica: bool, lookback: Duration) -> GuardClass {
    match (unproven(sight, is_replica), is_replica) {
        (None, _) => GuardClass::Proven,
        (Some(_), true) => GuardClass::Assumed(replica(lookback)),
        (Some(why), false) => {
            let lookback = words(lookback);
            let assumption = format!("no transaction stays open for longer than {lookback}; {why}");
            GuardClass::Assumed(assumption)
        }
    }
}

/// Why a look proves nothing, if so.
fn unproven(sight: &Sight, is_replica: bool) -> Option<&'static str> {
    match sight {
        _ if is_replica => Some("this server is a replica"),
        Sight::Seen(_) => None,
        Sight::Denied => Some(DENIED),
        Sight::Starved => Some(STARVED),
    }
}

fn replica(lookback: Duration) -> String {
    format!(
        "this server is a replica, and no transaction of its primary and no lag outlives {}",
        words(lookback)
    )
}

/// How long a range of ids must stay unheld without the list of transactions.
fn grace(has_probe: bool, lookback: Duration) -> Duration {
    match has_probe {
        true => PROBE_GRACE,
        false => lookback.max(PROBE_GRACE),
    }
}

fn words(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
