//! Live traffic: what a reader of the tables has to cope with, at a steady rate, until the time is over.
//!
//! Several connections write at once and some transactions stay open for a while, so rows become visible out of the order of
//! their numbers and timestamps; some are rolled back and leave holes in the numbers for ever.

use std::ops::AddAssign;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{Outcome, shop_traffic, tills_traffic};

pub struct Plan {
    pub lasting: Duration,
    /// Transactions per second, both databases together.
    pub rate: u32,
    /// Connections to each database.
    pub connections: u32,
    pub seed: u64,
}

/// What was committed, and what was not.
#[derive(Default)]
pub struct Tally {
    pub orders: u64,
    pub order_items: u64,
    pub status_changes: u64,
    pub customer_changes: u64,
    pub sales: u64,
    pub sale_lines: u64,
    pub held_open: u64,
    pub rolled_back: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.orders += other.orders;
        self.order_items += other.order_items;
        self.status_changes += other.status_changes;
        self.customer_changes += other.customer_changes;
        self.sales += other.sales;
        self.sale_lines += other.sale_lines;
        self.held_open += other.held_open;
        self.rolled_back += other.rolled_back;
    }
}

/// How one transaction ends.
pub enum Ending {
    Commit,
    /// The rows are written, and become visible only after this time.
    CommitAfter(Duration),
    RollBack,
}

impl Ending {
    pub fn any(random: &mut StdRng) -> Ending {
        // An open transaction keeps its connection from working: more of them would set the rate.
        match random.random_range(0..100) {
            0 => Ending::CommitAfter(Duration::from_millis(random.random_range(200..2_500))),
            1..6 => Ending::RollBack,
            _ => Ending::Commit,
        }
    }

    /// Waits as long as the transaction stays open; whether it is committed then.
    pub async fn arrives(self, tally: &mut Tally) -> bool {
        match self {
            Ending::Commit => true,
            Ending::CommitAfter(open) => {
                sleep(open).await;
                tally.held_open += 1;
                true
            }
            Ending::RollBack => {
                tally.rolled_back += 1;
                false
            }
        }
    }
}

/// Paces one connection: answers `true` at each tick until the time is over or the program is told to stop.
pub struct Pace {
    ticks: tokio::time::Interval,
    end: Instant,
    stop: watch::Receiver<bool>,
}

impl Pace {
    pub async fn goes_on(&mut self) -> bool {
        tokio::select! {
            _ = self.ticks.tick() => Instant::now() < self.end && !*self.stop.borrow(),
            _ = self.stop.changed() => false,
        }
    }
}

pub async fn play(ec: &str, pos: &str, plan: Plan) -> Outcome<()> {
    let (stop, stopped) = watch::channel(false);
    let end = Instant::now() + plan.lasting;
    let each = Duration::from_secs_f64(f64::from(plan.connections * 2) / f64::from(plan.rate));
    let mut connections = JoinSet::new();
    for number in 0..plan.connections {
        let pace = || {
            let mut ticks = interval(each);
            // A transaction that stays open makes up for it afterwards, so that the rate holds.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            Pace {
                ticks,
                end,
                stop: stopped.clone(),
            }
        };
        let seed = plan
            .seed
            .wrapping_mul(1_000)
            .wrapping_add(u64::from(number));
        connections.spawn(shop_traffic::play(
            ec.to_owned(),
            StdRng::seed_from_u64(seed),
            pace(),
        ));
        connections.spawn(tills_traffic::play(
            pos.to_owned(),
            StdRng::seed_from_u64(!seed),
            pace(),
        ));
    }

    let mut terminate = signal(SignalKind::terminate())?;
    let mut total = Tally::default();
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(tally) => total += tally??,
                None => break,
            },
            // Open transactions are finished first: what was counted was written.
            _ = tokio::signal::ctrl_c() => { stop.send_replace(true); }
            _ = terminate.recv() => { stop.send_replace(true); }
        }
    }
    println!(
        "shop:  {} orders with {} items, {} changes of status, {} changes of customers",
        total.orders, total.order_items, total.status_changes, total.customer_changes
    );
    println!(
        "tills: {} receipts with {} lines",
        total.sales, total.sale_lines
    );
    println!(
        "both:  {} transactions were held open for a while, {} rolled back",
        total.held_open, total.rolled_back
    );
    Ok(())
}
