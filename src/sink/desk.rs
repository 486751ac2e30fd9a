//! The desk where bulk loads are settled: it reads the loads topic, and looks at each table's loads whenever
//! something about them changed, and hourly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::SinkTable;
use super::book::Book;
use super::loads::TableLoads;
use super::partition::Ground;
use super::progress::Reporter;
use crate::config::KafkaSettings;
use crate::error::{Error, Fate, Kind, Result};
use crate::lake::{Plan, Store};
use crate::model::Mode;
use crate::retry::Backoff;
use crate::topic::Compacted;

/// How often the loads topic is read on: how late an ended load may be noticed.
const READ_EVERY: Duration = Duration::from_millis(500);
/// How often garbage is looked for again: a frozen worker may have put a file late.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// How long after a retired epoch was swept its files are looked for once more: a put that was given up may
/// still be on its way.
const LATE_PUT: Duration = Duration::from_secs(60);

/// The newest state of the loads topic; `None` until it was read once.
pub type Books = watch::Receiver<Option<Arc<Book>>>;

/// Reads the loads topic on and on. Blocking: it has a thread of its own. Ends when stopped, or with an error
/// that does not pass.
pub fn read_loads(
    kafka: &KafkaSettings,
    client_id: &str,
    topic: &str,
    books: &watch::Sender<Option<Arc<Book>>>,
    stop: &CancellationToken,
) -> Result<()> {
    let mut reading = Reading::default();
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        match reading.go_on(kafka, client_id, topic) {
            Ok(changed) => {
                backoff.after_success();
                if changed || books.borrow().is_none() {
                    books.send_replace(Some(Arc::new(reading.book.clone())));
                }
                pause(READ_EVERY, stop);
            }
            // No load was ever begun; the topic appears with the first one.
            Err(error) if error.kind() == Kind::Config && reading.topic.is_none() => {
                books.send_if_modified(|book| {
                    let first = book.is_none();
                    book.get_or_insert_with(Arc::default);
                    first
                });
                pause(READ_EVERY, stop);
            }
            Err(error) if error.kind().fate() == Fate::Retry => {
                tracing::warn!(%error, "the loads topic cannot be read now");
                pause(backoff.after_failure(), stop);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits, and no longer than until the stop.
fn pause(mut left: Duration, stop: &CancellationToken) {
    const SLICE: Duration = Duration::from_millis(100);
    while !left.is_zero() && !stop.is_cancelled() {
        std::thread::sleep(left.min(SLICE));
        left = left.saturating_sub(SLICE);
    }
}

#[derive(Default)]
struct Reading {
    topic: Option<Compacted>,
    book: Book,
}

impl Reading {
    fn go_on(&mut self, kafka: &KafkaSettings, client_id: &str, name: &str) -> Result<bool> {
        let keys = match &mut self.topic {
            Some(topic) => topic.refresh()?,
            None => {
                let topic = Compacted::open(kafka, client_id, name)?;
                let keys = topic.iter().map(|(key, _)| key.to_vec()).collect();
                self.topic = Some(topic);
                keys
            }
        };
        let Some(topic) = &self.topic else {
            return Ok(false);
        };
        for key in &keys {
            if let Some(value) = topic.get(key) {
                self.book.apply(key, value)?;
            }
        }
        Ok(!keys.is_empty())
    }
}

/// Settles the loads of all tables, for the partitions this worker owns.
pub struct Desk {
    pub store: Arc<dyn Store>,
    pub ground: Arc<Ground>,
    pub books: Books,
    pub tables: watch::Receiver<Vec<SinkTable>>,
    pub reporter: Reporter,
    pub bell: Arc<Bell>,
    /// Where it says what ends the whole sink.
    pub failures: Sender<Error>,
}

/// Calls the desk: a partition was taken over, or records of a load reached the lake.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Notify,
    sweep: AtomicBool,
}

impl Bell {
    /// Loads may be settled.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// A partition is new here: its tables' garbage is looked at, too.
    pub fn ring_for_sweeping(&self) {
        self.sweep.store(true, Ordering::Relaxed);
        self.rung.notify_one();
    }
}

impl Desk {
    /// Works until stopped. What fails now is tried again: nothing here is lost by waiting.
    pub async fn work(mut self, stop: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut backoff = Backoff::default();
        loop {
            let sweeping = self.bell.sweep.swap(false, Ordering::Relaxed);
            let pause = match self.settle_all(sweeping).await {
                Ok(()) => {
                    backoff.after_success();
                    None
                }
                // Another `cdc` is at work in this lake.
                Err(error) if error.kind() == Kind::TryLater => {
                    let _ = self.failures.send(error);
                    return;
                }
                Err(error) => {
                    self.bell.sweep.fetch_or(sweeping, Ordering::Relaxed);
                    tracing::warn!(%error, "bulk loads cannot be settled now");
                    Some(backoff.after_failure())
                }
            };
            let again = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                _ = sweep.tick() => self.bell.ring_for_sweeping(),
                () = self.bell.rung.notified() => {}
                changed = self.books.changed() => if changed.is_err() { return },
                () = again => {}
            }
        }
    }

    async fn settle_all(&self, sweeping: bool) -> Result<()> {
        let Some(book) = self.books.borrow().clone() else {
            return Ok(());
        };
        let tables = self.tables.borrow().clone();
        let mut failed: Option<Error> = None;
        for table in &tables {
            let own = self.reporter.owned(&table.topic);
            // One sick table does not keep the others' loads from becoming current.
            if let Err(error) = self.settle(table, &book, &own, sweeping).await {
                let error = error.about(&table.name);
                if error.kind() == Kind::TryLater {
                    return Err(error);
                }
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn settle(
        &self,
        table: &SinkTable,
        book: &Book,
        own: &BTreeMap<i32, u64>,
        sweeping: bool,
    ) -> Result<()> {
        let loads = TableLoads {
            store: self.store.as_ref(),
            ground: &self.ground,
            table,
            book,
            own,
        };
        self.sweep_retired(&loads, sweeping && !own.is_empty())
            .await?;
        if own.is_empty() {
            return Ok(());
        }
        if table.mode != Mode::Bulk {
            return Ok(());
        }
        let current = loads.settle().await?;
        let switched = match &current {
            Some(current) => self.reporter.load(&table.topic, current),
            None => false,
        };
        if sweeping || switched {
            loads.sweep(current.as_ref()).await?;
        }
        Ok(())
    }

    /// Sweeps epochs that are void: when asked to, and until it was done with all own partitions past them.
    async fn sweep_retired(&self, loads: &TableLoads<'_>, asked: bool) -> Result<()> {
        let Some((below, start)) = loads.retired() else {
            return Ok(());
        };
        let topic = &loads.table.topic;
        let known = self.reporter.is_swept(topic, below);
        if known && !asked {
            return Ok(());
        }
        // Before the listing: what is put from here on is of the new epoch.
        let past = self.reporter.is_past(topic, start);
        loads.sweep_retired().await?;
        if past && !known {
            self.reporter.swept(topic, below);
            let bell = self.bell.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LATE_PUT).await;
                bell.ring_for_sweeping();
            });
        }
        Ok(())
    }
}

/// SHARE: between the last file of a load and the commit, this worker says how many rows its files hold.
/// Where the load has not ended yet, the desk does so when it has.
pub async fn share(
    store: &dyn Store,
    ground: &Ground,
    table: &SinkTable,
    books: &Books,
    plan: &Plan,
) -> Result<()> {
    let book = books.borrow().clone();
    let (Some(book), Some(ulid)) = (book, &plan.load) else {
        return Ok(());
    };
    let own = BTreeMap::from([(plan.partition, plan.end)]);
    let loads = TableLoads {
        store,
        ground,
        table,
        book: &book,
        own: &own,
    };
    loads.state_shares_of(ulid).await
}
