//! The desk where bulk loads are settled: it reads the loads topic, and looks at each table's loads whenever
//! something about them changed, and hourly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::SinkTable;
use super::book::Book;
use super::loads::{FailedLoad, TableLoads};
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
/// How often loads are looked at while somebody waits for one: other workers' shares ring no bell here.
const LOOK_EVERY: Duration = Duration::from_secs(1);
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
    bell: &Bell,
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
                bell.pause(READ_EVERY, stop);
            }
            // No load was ever begun; the topic appears with the first one.
            Err(error) if error.kind() == Kind::Config && reading.topic.is_none() => {
                books.send_if_modified(|book| {
                    let first = book.is_none();
                    book.get_or_insert_with(Arc::default);
                    first
                });
                bell.pause(READ_EVERY, stop);
            }
            Err(error) if error.kind().fate() == Fate::Retry => {
                tracing::warn!(%error, "the loads topic cannot be read now");
                bell.pause(backoff.after_failure(), stop);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
            match topic.get(key) {
                Some(value) => self.book.apply(key, value)?,
                None => self.book.remove(key),
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
    /// The loads topic is to be read on at once: what is settled may have ended a moment ago.
    read: AtomicBool,
    waiting: AtomicUsize,
}

/// Somebody who waits for a load.
pub struct Waiting<'a>(&'a Bell);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Bell {
    /// Loads may be settled.
    pub fn ring(&self) {
        self.read.store(true, Ordering::Relaxed);
        self.rung.notify_one();
    }

    /// A partition is new here: its tables' garbage is looked at, too.
    pub fn ring_for_sweeping(&self) {
        self.sweep.store(true, Ordering::Relaxed);
        self.rung.notify_one();
    }

    /// Says that somebody waits for a load, until what is returned is dropped.
    pub fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.ring();
        Waiting(self)
    }

    fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits, and no longer than until the bell or the stop.
    fn pause(&self, mut left: Duration, stop: &CancellationToken) {
        const SLICE: Duration = Duration::from_millis(50);
        while !left.is_zero() && !stop.is_cancelled() && !self.read.swap(false, Ordering::Relaxed) {
            std::thread::sleep(left.min(SLICE));
            left = left.saturating_sub(SLICE);
        }
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
                    self.bell.is_waited_for().then_some(LOOK_EVERY)
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
        // The partitions of others are no matter of this worker, but for whoever waits here.
        if own.is_empty() && !self.bell.is_waited_for() {
            return Ok(());
        }
        if table.mode != Mode::Bulk {
            return Ok(());
        }
        let settled = match loads.settle().await {
            Ok(settled) => settled,
            Err(error) => {
                if let Some(number) = loads.newest()
                    && error.kind().fate() == Fate::Stop
                {
                    let why = error.to_string();
                    let failed = FailedLoad {
                        number,
                        why,
                        was_cut_off: false,
                    };
                    self.say_failed(table, Some(failed));
                }
                return Err(error);
            }
        };
        self.say_failed(table, settled.failed);
        let current = settled.current.as_ref();
        let switched = current.is_some_and(|current| self.reporter.load(&table.topic, current));
        if !own.is_empty() && (sweeping || switched) {
            loads.sweep(current).await?;
        }
        Ok(())
    }

    fn say_failed(&self, table: &SinkTable, failed: Option<FailedLoad>) {
        let news = self.reporter.failed_load(&table.topic, failed.clone());
        let Some(failed) = failed.filter(|_| news) else {
            return;
        };
        let FailedLoad {
            number,
            why,
            was_cut_off,
        } = failed;
        // A table that goes to another worker is no failure.
        if was_cut_off {
            tracing::info!(
                table = %table.name, load = number,
                "a bulk load was cut off: its worker ended or lost the table; the next load is read in its place"
            );
        } else {
            let stays = match number {
                1 => "",
                _ => "; the one before it stays",
            };
            tracing::error!(
                table = %table.name, load = number,
                "a bulk load will not become the current one: {why}{stays}"
            );
        }
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
