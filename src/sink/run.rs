//! Starting the sink, waiting for it, ending it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use jiff::tz::TimeZone;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::desk::{Bell, Desk, read_loads};
use super::owner;
use super::partition::Ground;
use super::poll::{Poll, Polling, Targets};
use super::progress::Reporter;
use super::records::PartitionId;
use super::schemas::KafkaSchemas;
use super::sent::Memories;
use super::stops::Stops;
use super::writer::{Shop, Writer};
use super::{SinkProgress, SinkTable};
use crate::config::{FileSettings, KafkaSettings};
use crate::error::{Error, Fate, Kind, Result};
use crate::lake::Store;
use crate::model::TopicName;
use crate::retry::Backoff;
use crate::state::PipelineNames;
use crate::topic::GroupConsumer;

/// Chunks on their way into the lake at one time: enough to hide the store's answers, few enough for its
/// limits.
const UPLOADS: usize = 8;
/// Writer threads: decoding and writing is all they do, and more than the cores gain nothing.
const MOST_WRITERS: usize = 8;

/// What the sink needs.
pub struct SinkOptions {
    pub kafka: KafkaSettings,
    pub pipeline: String,
    pub client_id: String,
    pub store: Arc<dyn Store>,
    /// A folder of this process alone. What an earlier one left in its `sink` folder is deleted at start.
    pub spool: PathBuf,
    pub files: FileSettings,
    /// The zone in which days are cut.
    pub day_in: TimeZone,
    /// Bytes of records and open files held at one time.
    pub memory: u64,
}

/// A sink that runs.
pub struct SinkHandle {
    pub progress: watch::Receiver<SinkProgress>,
    targets: Sender<Targets>,
    bell: Arc<Bell>,
    finished: oneshot::Receiver<Result<()>>,
}

/// Starts the sink for the tables there are; they may change. Must be called within a runtime.
///
/// It ends when `stop` is cancelled or with an error that concerns all tables (the lake is another's, a newer
/// `cdc` wrote a record). A partition that stops alone says so in the progress, and the others go on.
///
/// Ending cleanly, chunks on their way get a moment to arrive. Open chunks are dropped, as when a partition
/// goes to another worker: their records are still in the log and are read again. To have them in the lake,
/// [`SinkHandle::drain_to`] comes first.
pub fn start(
    options: SinkOptions,
    tables: watch::Receiver<Vec<SinkTable>>,
    stop: CancellationToken,
) -> SinkHandle {
    let (reporter, progress) = Reporter::new();
    let (targets, asked) = channel();
    let (ended, finished) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let bell = Arc::new(Bell::default());
    let rung = bell.clone();
    let watched = progress.clone();
    let spawned = spawn("cdc sink", move || {
        let sink = Sink {
            options,
            tables,
            reporter,
            progress: watched,
            runtime,
            bell: rung,
        };
        // Nobody may wait for the end.
        let _ = ended.send(sink.run(asked, &stop));
    });
    // Without its thread the sink has ended: the channel says so to whoever waits.
    if let Err(error) = spawned {
        tracing::error!(%error, "the sink cannot be started");
    }
    SinkHandle {
        progress,
        targets,
        bell,
        finished,
    }
}

impl SinkHandle {
    /// Closes chunks as soon as they reach these offsets, and waits until everything below them is in the
    /// lake. Partitions of other workers are waited for, too, by their committed offsets. Fails when one of
    /// them stops, or the sink ends.
    pub async fn drain_to(&self, targets: Vec<(TopicName, i32, u64)>) -> Result<()> {
        let targets: Targets = targets
            .into_iter()
            .filter(|(_, _, offset)| *offset > 0)
            .map(|(topic, number, offset)| (PartitionId { topic, number }, offset))
            .collect();
        self.targets.send(targets.clone()).map_err(|_| over())?;
        self.until(|progress| drained(progress, &targets)).await
    }

    /// Waits until each topic's current bulk load has this number or a higher one, whichever worker switches
    /// to it. Fails with `Data` when one never will (its rows in the lake are not what was sent, or it was
    /// abandoned), and when the sink ends.
    pub async fn await_loads(&self, wanted: Vec<(TopicName, u64)>) -> Result<()> {
        let _waiting = self.bell.wait();
        self.until(|progress| progress.loaded(&wanted)).await
    }

    /// Waits until the files of these topics that are of epochs below the given ones are deleted. Fails when
    /// the sink ends.
    pub async fn await_swept(&self, wanted: Vec<(TopicName, u64)>) -> Result<()> {
        self.until(|progress| progress.swept_below(&wanted)).await
    }

    /// Waits until something is known of the progress.
    async fn until(&self, known: impl Fn(&SinkProgress) -> Option<Result<()>>) -> Result<()> {
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(|progress| known(progress).is_some());
        let reached = reached.await.map_err(|_| over())?;
        known(&reached).unwrap_or(Ok(()))
    }

    /// Waits for the end: after `stop`, or with the error that ended it.
    pub async fn finished(self) -> Result<()> {
        self.finished.await.unwrap_or_else(|_| {
            Err(Error::new(
                Kind::Bug,
                "running the sink: its thread ended without a word",
            ))
        })
    }
}

fn over() -> Error {
    Error::new(
        Kind::Unavailable,
        "waiting for the lake, and the sink has ended",
    )
}

/// Whether all targets are reached, or one of them never will be; `None` while neither is known.
fn drained(progress: &SinkProgress, targets: &Targets) -> Option<Result<()>> {
    let mut all = true;
    for (id, offset) in targets {
        let partition = progress.partitions.get(id);
        if partition.is_some_and(|p| p.committed >= *offset) {
            continue;
        }
        if let Some(why) = partition.and_then(|p| p.stopped.as_ref()) {
            let doing = format!("bringing {id} into the lake up to offset {offset}: {why}");
            return Some(Err(Error::new(Kind::Data, doing)));
        }
        all = false;
    }
    all.then_some(Ok(()))
}

struct Sink {
    options: SinkOptions,
    tables: watch::Receiver<Vec<SinkTable>>,
    reporter: Reporter,
    progress: watch::Receiver<SinkProgress>,
    runtime: tokio::runtime::Handle,
    bell: Arc<Bell>,
}

impl Sink {
    /// Runs to the end, on the thread that polls.
    fn run(
        self,
        targets: std::sync::mpsc::Receiver<Targets>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let names = PipelineNames::new(&self.options.pipeline);
        let options = &self.options;
        let spool = options.spool.join("sink");
        sweep_spool(&spool)?;
        let consumer = GroupConsumer::new(&options.kafka, &options.client_id, &names.sink_group)?;
        self.claim(&consumer, stop)?;
        let (shelf, books) = watch::channel(None);
        let schemas = KafkaSchemas::new(&options.kafka, &options.client_id, &names.schemas_topic);
        let ground = Arc::new(Ground {
            spool,
            files: options.files,
            day_in: options.day_in.clone(),
            schemas: Arc::new(schemas),
        });
        let writers = std::thread::available_parallelism().map_or(1, |n| n.get().min(MOST_WRITERS));
        let shop = Arc::new(Shop {
            ground: ground.clone(),
            store: options.store.clone(),
            books: books.clone(),
            memories: Memories {
                kafka: options.kafka.clone(),
                client_id: options.client_id.clone(),
                state_topic: names.state_topic.clone(),
            },
            budget: Arc::new(Budget::new(options.memory)),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            runtime: self.runtime.clone(),
            lives: AtomicU64::new(1),
            working: AtomicUsize::new(writers),
        });
        // Everything beside the polling ends with it, however it ends.
        let beside = stop.child_token();
        let _ends = beside.clone().drop_guard();
        let bell = self.bell.clone();
        let (failures_in, failures) = channel();
        let desk = Desk {
            store: options.store.clone(),
            ground,
            books,
            tables: self.tables.clone(),
            reporter: self.reporter.clone(),
            bell: bell.clone(),
            failures: failures_in,
        };
        self.runtime.spawn(desk.work(beside.clone()));
        let stops = Stops {
            kafka: options.kafka.clone(),
            client_id: options.client_id.clone(),
            loads_topic: names.loads_topic.clone(),
            books: shop.books.clone(),
            tables: self.tables.clone(),
            progress: self.progress.clone(),
        };
        let telling = self.runtime.spawn(stops.work(beside.clone()));
        let failed = Arc::new(AtomicBool::new(false));
        let reader = self.spawn_reader(shelf, names.loads_topic, beside.clone(), failed.clone())?;
        let (orders_in, orders) = channel();
        let mut tasks = Vec::new();
        for number in 0..writers {
            let (own, received) = channel();
            let writer = Writer::new(shop.clone(), received, own.clone(), orders_in.clone());
            spawn(&format!("cdc writer {number}"), move || writer.run())?;
            tasks.push(own);
        }
        let polling = Polling::new(Poll {
            consumer,
            shop,
            reporter: self.reporter.clone(),
            tables: self.tables.clone(),
            writers: tasks,
            orders,
            taken: channel(),
            targets,
            skips: channel(),
            failures,
            bell,
        });
        let polled = polling.run(stop, || failed.load(Ordering::Relaxed));
        beside.cancel();
        // What stands still is told to those who come later; it has a limit of its own.
        let _ = self.runtime.block_on(telling);
        // A reader that waits for a broker ends by itself later; one that failed says why.
        if !reader.is_finished() {
            return polled;
        }
        match reader.join() {
            Ok(read) => polled.and(read),
            Err(_) => Err(Error::new(
                Kind::Bug,
                "reading the loads topic: its thread died",
            )),
        }
    }

    /// Makes sure whose lake it is, as soon as broker and store answer.
    fn claim(&self, consumer: &GroupConsumer, stop: &CancellationToken) -> Result<()> {
        let options = &self.options;
        let mut backoff = Backoff::default();
        loop {
            let claimed = consumer.questions().cluster_id().and_then(|cluster| {
                let claim = owner::claim(options.store.as_ref(), &cluster, &options.pipeline);
                self.runtime.block_on(claim)
            });
            match claimed {
                Err(error) if error.kind().fate() == Fate::Retry && !stop.is_cancelled() => {
                    tracing::warn!(%error, "the sink cannot begin now");
                    let pause = backoff.after_failure();
                    self.runtime.block_on(async {
                        // Stopped or not, the question is asked once more.
                        let _ = tokio::time::timeout(pause, stop.cancelled()).await;
                    });
                }
                settled => return settled,
            }
        }
    }

    /// The thread that reads the loads topic. Its failure ends the sink.
    fn spawn_reader(
        &self,
        shelf: watch::Sender<Option<Arc<super::book::Book>>>,
        topic: String,
        stop: CancellationToken,
        failed: Arc<AtomicBool>,
    ) -> Result<JoinHandle<Result<()>>> {
        let (kafka, client_id) = (self.options.kafka.clone(), self.options.client_id.clone());
        let bell = self.bell.clone();
        spawn("cdc loads", move || {
            let read = read_loads(&kafka, &client_id, &topic, &shelf, &bell, &stop);
            failed.store(read.is_err(), Ordering::Relaxed);
            read
        })
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|e| {
            Error::new(Kind::LocalIo, "starting a thread")
                .about(name)
                .because(e)
        })
}

/// Deletes what a process that died left behind: none of it is in a plan that needs it.
fn sweep_spool(spool: &std::path::Path) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::new(Kind::LocalIo, "clearing the spool")
            .about(spool.display())
            .because(e)
    };
    match std::fs::remove_dir_all(spool) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(failed(e)),
    }
    std::fs::create_dir_all(spool).map_err(failed)?;
    // It holds rows: they are nobody else's on this machine.
    std::fs::set_permissions(spool, Permissions::from_mode(0o700)).map_err(failed)
}
