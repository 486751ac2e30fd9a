//! One worker: joins the pipeline, runs the units it owns, and the sink beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::capturing::{Capture, CaptureEvents, Room, next};
use super::discovery::{Discovered, SourceTables, discover};
use super::joining::{check_schedules, may_join, patiently};
use super::member::Introduction;
use super::roster::{Effect, Event, Roster, state_partition};
use super::telling::WORTH_TELLING;
use super::troubles::Troubles;
use super::worker_name::WorkerName;
use crate::capture::{
    Berth, Command, Committed, Committer, CommitterEvent, Doing, Goal, GroupEvent, Life, Parcel,
    Place, Recovered, Recovery, Shared, StateRecord, TableMemory, Tenure, Unit, UnitReport, commit,
    prepare_pipeline, state_topic_is_the_same,
};
use crate::config::{KafkaSettings, Settings, glob_matches};
use crate::error::{Error, Kind, Result};
use crate::lake::open_store;
use crate::model::{TableName, TopicName};
use crate::retry::Backoff;
use crate::sink::{SinkHandle, SinkOptions, SinkTable};
use crate::source::{Chosen, configured_tables};
use crate::state::{Head, Outcome, PipelineNames, Request, StateKey, encode};
use crate::topic::{Admin, PartitionReader};

/// How often the state topic is looked at: it must stay what it is.
const STATE_TOPIC_CHECK: Duration = Duration::from_secs(15);

/// What a worker is to do.
pub struct WorkerOptions {
    pub settings: Settings,
    pub goal: Goal,
    pub capture: bool,
    pub sink: bool,
    /// Names or globs from the command line; empty: all tables.
    pub only: Vec<String>,
    pub stop: CancellationToken,
    /// What happens, for whoever shows it.
    pub news: UnboundedSender<News>,
}

/// What happens in a worker, for people.
#[derive(Debug)]
pub enum News {
    Joined {
        worker: String,
    },
    Doing {
        table: TableName,
        what: Doing,
    },
    Finished {
        table: TableName,
        outcome: Outcome,
    },
    Failed {
        table: TableName,
        text: String,
        next_step: Option<String>,
    },
    /// All that was asked for is in Kafka; the lake is awaited.
    Draining {
        partitions: usize,
    },
}

/// How each table of a goal that ends fared.
#[derive(Debug, Default)]
pub struct Results {
    pub tables: BTreeMap<TableName, Result<Outcome>>,
    /// Kinds of problems of tables that the configuration means and the databases do not give.
    pub problems: Vec<Kind>,
}

/// Runs until the goal is reached or `stop` is cancelled.
///
/// Errors: what keeps the whole worker from running; a table's own failure is in the results.
pub async fn run(options: WorkerOptions) -> Result<Results> {
    let settings = &options.settings;
    let kafka = settings.kafka.clone().ok_or_else(|| {
        Error::new(
            Kind::Config,
            "the configuration has no `kafka:` block, and direct mode is not there yet",
        )
        .code(crate::error::Code::NO_KAFKA_BLOCK)
        .hint("add `kafka: { brokers: \"…\", topic_prefix: \"…\" }`")
    })?;
    if options.capture && !matches!(options.goal, Goal::Snapshot { .. }) {
        check_schedules(settings, &options.only)?;
    }
    let name = WorkerName::take(&settings.pipeline, settings.worker.as_deref())?;
    let me = Introduction {
        pipeline: settings.pipeline.clone(),
        worker: name.as_str().to_owned(),
        hash: settings.hash.clone(),
        serves_all: options.only.is_empty(),
    };
    let names = PipelineNames::new(&settings.pipeline);
    let client_id = me.client_id();
    let one_shot = options.goal != Goal::Follow;
    let sources = SourceTables::open(settings)?;

    let admin = Admin::new(&kafka, &client_id)?;
    let joined = async {
        patiently(&options.stop, one_shot, async || {
            tokio::task::block_in_place(|| admin.cluster_id())
        })
        .await?;
        patiently(&options.stop, one_shot, async || {
            prepare_pipeline(&admin, &kafka, &names, &client_id).await
        })
        .await?;
        let store = patiently(&options.stop, one_shot, async || {
            open_store(&settings.lake.place).await
        })
        .await?;
        may_join(&me, &admin, &names, &options).await?;
        Ok::<_, Error>(store)
    };
    let store = match joined.await {
        // Told to stop while it waited: nothing had begun, so nothing failed.
        Err(error)
            if options.stop.is_cancelled()
                && matches!(error.kind(), Kind::Unavailable | Kind::TryLater) =>
        {
            return Ok(Results::default());
        }
        joined => joined?,
    };
    let (tables, sink_tables) = watch::channel(Vec::new());
    let sink_stop = CancellationToken::new();
    let sink = options.sink.then(|| {
        crate::sink::start(
            SinkOptions {
                kafka: kafka.clone(),
                pipeline: settings.pipeline.clone(),
                client_id: client_id.clone(),
                store: store.clone(),
                spool: name.spool(&settings.pipeline),
                files: settings.lake.files,
                day_in: settings.lake.day_in.clone(),
                // Half for rows on their way into Kafka, half for files on their way into the lake.
                memory: if options.capture {
                    settings.memory / 2
                } else {
                    settings.memory
                },
            },
            sink_tables,
            sink_stop.clone(),
        )
    });
    let (capture, events) = match options.capture {
        true => {
            let room = Room {
                memory: match options.sink {
                    true => settings.memory / 2,
                    false => settings.memory,
                },
                readers: settings.sources.iter().map(|s| s.connections).sum(),
            };
            let (capture, events) = Capture::start(
                &kafka,
                &names,
                &client_id,
                name.as_str(),
                store.clone(),
                admin,
                room,
            )
            .await?;
            (Some(capture), events)
        }
        false => (None, CaptureEvents::default()),
    };
    let _ = options.news.send(News::Joined {
        worker: name.as_str().to_owned(),
    });
    let worker = Worker {
        settings: settings.clone(),
        goal: options.goal,
        only: options.only.clone(),
        names,
        kafka,
        client_id,
        sources,
        roster: Roster::default(),
        units: BTreeMap::new(),
        chosen: BTreeMap::new(),
        guards: BTreeMap::new(),
        troubles: Troubles::new(name.as_str()),
        remembered: Vec::new(),
        state_ends: BTreeMap::new(),
        told: Vec::new(),
        results: Results::default(),
        tables,
        news: options.news.clone(),
    };
    let outcome = worker
        .run(capture, events, sink.as_ref(), &options.stop)
        .await;
    sink_stop.cancel();
    match sink {
        // What ended the sink is the cause of whatever else failed because of it.
        Some(sink) => sink.finished().await.and(outcome),
        None => outcome,
    }
}

/// A running unit.
pub(super) struct Running {
    lives: watch::Sender<Place>,
    durable: Arc<Mutex<Option<Head>>>,
    stop: CancellationToken,
    asks: UnboundedSender<(Ulid, Request)>,
    task: JoinHandle<()>,
}

pub(super) struct Worker {
    pub(super) settings: Settings,
    goal: Goal,
    pub(super) only: Vec<String>,
    names: PipelineNames,
    pub(super) kafka: KafkaSettings,
    client_id: String,
    pub(super) sources: SourceTables,
    pub(super) roster: Roster,
    pub(super) units: BTreeMap<TableName, Running>,
    chosen: BTreeMap<TableName, Chosen>,
    guards: BTreeMap<TableName, String>,
    /// The ends of the partitions of the state topic that were taken over, as last seen.
    state_ends: BTreeMap<i32, i64>,
    /// The tables of the partitions that were taken over.
    pub(super) remembered: Vec<TableName>,
    /// What keeps tables from working, for others to see.
    pub(super) troubles: Troubles,
    /// What was written of it and is not answered yet.
    pub(super) told: Vec<oneshot::Receiver<Result<Committed>>>,
    results: Results,
    tables: watch::Sender<Vec<SinkTable>>,
    news: UnboundedSender<News>,
}

/// What the worker's loop waits for, beside the group and the committer.
enum Incoming {
    Discovered(Discovered),
    TakenOver {
        life: Life,
        recovered: Result<Recovered>,
    },
    Unit(UnitReport),
}

impl Worker {
    async fn run(
        mut self,
        mut capture: Option<Capture>,
        mut events: CaptureEvents,
        sink: Option<&SinkHandle>,
        stop: &CancellationToken,
    ) -> Result<Results> {
        let (incoming, mut inbox) = unbounded_channel();
        let mut discovering = Vec::new();
        for source in self.sources.all() {
            let out = incoming.clone();
            let work = discover(source, self.kafka.topic_prefix.clone(), move |found| {
                out.send(Incoming::Discovered(found)).is_ok()
            });
            discovering.push(tokio::spawn(work));
        }
        self.publish_tables();
        let looped = self
            .listen(&mut capture, &mut events, sink, &incoming, &mut inbox, stop)
            .await;
        discovering.iter().for_each(JoinHandle::abort);
        self.stop_units(|_| true).await;
        self.settle_troubles(&capture).await;
        let drained = match (sink, &looped) {
            (Some(sink), Ok(())) if self.goal != Goal::Follow && !stop.is_cancelled() => {
                tokio::select! {
                    drained = self.await_lake(sink) => drained,
                    () = stop.cancelled() => Ok(()),
                }
            }
            _ => Ok(()),
        };
        if let Some(capture) = capture {
            capture.leave().await;
        }
        looped?;
        drained?;
        Ok(self.results)
    }

    /// Waits until the lake holds what this command was about.
    async fn await_lake(&self, sink: &SinkHandle) -> Result<()> {
        let targets = tokio::task::block_in_place(|| self.targets())?;
        let _ = self.news.send(News::Draining {
            partitions: targets.len(),
        });
        sink.drain_to(targets).await?;
        let (mut loads, mut epochs) = (Vec::new(), Vec::new());
        for (table, result) in &self.results.tables {
            let (Ok(outcome), Some(chosen)) = (result, self.chosen.get(table)) else {
                continue;
            };
            loads.extend(outcome.load_number.map(|load| (chosen.topic.clone(), load)));
            epochs.extend(outcome.epoch.map(|epoch| (chosen.topic.clone(), epoch)));
        }
        // The rows are there; now readers must see them, and nothing that is void.
        sink.await_loads(loads).await?;
        sink.await_swept(epochs).await
    }

    async fn listen(
        &mut self,
        capture: &mut Option<Capture>,
        events: &mut CaptureEvents,
        sink: Option<&SinkHandle>,
        incoming: &UnboundedSender<Incoming>,
        inbox: &mut UnboundedReceiver<Incoming>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let mut check = tokio::time::interval(STATE_TOPIC_CHECK);
        check.tick().await;
        loop {
            if let Some(capture) = capture {
                self.tell_troubles(&capture.committer);
            }
            if self.is_done(capture.is_some()) {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // What ended it is said by whoever waits for it.
                () = ended(sink) => return Ok(()),
                Some(event) = inbox.recv() => self.handle(event, capture, incoming).await?,
                Some(event) = next(&mut events.group) => self.handle_group(event, capture, incoming).await?,
                Some(event) = next(&mut events.committer) => self.handle_committer(event, capture, incoming).await?,
                _ = check.tick() => self.check_state_topic(capture).await?,
            }
        }
    }

    async fn handle(
        &mut self,
        event: Incoming,
        capture: &mut Option<Capture>,
        incoming: &UnboundedSender<Incoming>,
    ) -> Result<()> {
        match event {
            Incoming::Discovered(found) => {
                let tables = self.take_discovered(found)?;
                if let Some((source, tables)) = tables {
                    self.act(Event::Tables { source, tables }, capture, incoming)
                        .await;
                }
            }
            Incoming::TakenOver { life, recovered } => {
                let recovered = match recovered {
                    Ok(recovered) => recovered,
                    // What the topic is now may say more than what reading it came to.
                    Err(error) => {
                        self.check_state_topic(capture).await?;
                        return Err(error);
                    }
                };
                self.state_ends.clone_from(&recovered.positions);
                let offsets = recovered.positions.iter().map(|(p, o)| (*p, *o)).collect();
                if let Some(capture) = capture {
                    capture.group.read_from(life, offsets);
                }
                let (troubles, remembered) = (recovered.troubles(), recovered.names());
                self.act(Event::TakenOver { life, recovered }, capture, incoming)
                    .await;
                if self.roster.is_taken_over(life) {
                    self.remembered = remembered;
                    self.troubles.taken_over(troubles);
                    self.forget_strangers();
                }
            }
            Incoming::Unit(report) => self.take_report(report),
        }
        Ok(())
    }

    async fn handle_group(
        &mut self,
        event: GroupEvent,
        capture: &mut Option<Capture>,
        incoming: &UnboundedSender<Incoming>,
    ) -> Result<()> {
        match event {
            GroupEvent::Assigned { life, partitions } => {
                tracing::info!(
                    life,
                    partitions = partitions.len(),
                    "tables were assigned to this worker"
                );
                self.act(Event::Assigned { life, partitions }, capture, incoming)
                    .await;
            }
            GroupEvent::Revoked => {
                tracing::info!("tables were taken from this worker");
                self.act(Event::Revoked, capture, incoming).await;
            }
            GroupEvent::Record { key, value, .. } => {
                if let (Some(StateKey::Request { table, id }), Some(value)) =
                    (StateKey::parse(&key), value)
                {
                    match crate::state::decode::<Request>("a request", &value) {
                        Ok(request) => {
                            self.act(Event::Requested { table, id, request }, capture, incoming)
                                .await
                        }
                        Err(error) => tracing::error!(%error, table, "a request cannot be read"),
                    }
                }
            }
            GroupEvent::Failed(error) => {
                self.check_state_topic(capture).await?;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn handle_committer(
        &mut self,
        event: CommitterEvent,
        capture: &mut Option<Capture>,
        incoming: &UnboundedSender<Incoming>,
    ) -> Result<()> {
        match event {
            CommitterEvent::Failed { life, error } => {
                tracing::warn!(%error, life, "taking over anew after a failed transaction");
                self.check_state_topic(capture).await?;
                if let Some(renewed) = capture.as_ref().map(|capture| capture.group.next_life()) {
                    self.act(Event::Failed { life, renewed }, capture, incoming)
                        .await;
                }
                Ok(())
            }
            CommitterEvent::Fenced { error } => Err(error
                .while_doing("another process writes under this worker's name")
                .code(crate::error::Code::FENCED)
                .hint("give each worker of the pipeline its own `worker:`")),
        }
    }

    async fn check_state_topic(&mut self, capture: &Option<Capture>) -> Result<()> {
        let Some(capture) = capture else {
            return Ok(());
        };
        let (admin, ends) = (&capture.shared.admin, &mut self.state_ends);
        match state_topic_is_the_same(admin, &self.names, ends).await {
            Err(error) if error.kind() == Kind::Unavailable => {
                tracing::warn!(%error, "the state topic cannot be checked");
                Ok(())
            }
            checked => checked,
        }
    }

    /// Steps the roster and carries out what it says, in order.
    async fn act(
        &mut self,
        event: Event,
        capture: &mut Option<Capture>,
        incoming: &UnboundedSender<Incoming>,
    ) {
        let Some(capture) = capture else { return };
        for effect in self.roster.step(event) {
            match effect {
                Effect::KeepOnly { partitions } => {
                    self.stop_units(|table| !partitions.contains(&state_partition(table)))
                        .await;
                }
                Effect::Renew { of, life } => capture.committer.send(Command::Renew { of, life }),
                Effect::TakeOver { life, partitions } => self.take_over(life, partitions, incoming),
                Effect::Start {
                    table,
                    life,
                    state_partition,
                    state_offset,
                    memory,
                } => {
                    let place = Place {
                        life,
                        state_partition,
                        state_offset,
                    };
                    self.start(&capture.shared, table, place, *memory, incoming)
                        .await;
                }
                Effect::Deliver { table, id, request } => {
                    if let Some(running) = self.units.get(&table) {
                        let _ = running.asks.send((id, request));
                    }
                }
                Effect::AnswerUnknown {
                    table,
                    id,
                    life,
                    state_partition,
                    state_offset,
                } => {
                    answer_unknown(
                        &capture.committer,
                        table,
                        id,
                        life,
                        state_partition,
                        state_offset,
                    );
                }
            }
        }
    }

    /// Runs a table. A unit that a life left behind goes on if nobody wrote about its table meanwhile: else
    /// every rebalance would begin a long load anew.
    async fn start(
        &mut self,
        shared: &Arc<Shared>,
        table: TableName,
        place: Place,
        memory: TableMemory,
        incoming: &UnboundedSender<Incoming>,
    ) {
        if self.results.tables.contains_key(&table) {
            return;
        }
        if let Some(running) = self.units.get(&table) {
            let durable = running
                .durable
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if durable == memory.head && !running.task.is_finished() {
                running.lives.send_replace(place);
                return;
            }
            self.stop_units(|other| *other == table).await;
        }
        let (Some(chosen), Some((source, zone))) =
            (self.chosen.get(&table).cloned(), self.sources.of(&table))
        else {
            return;
        };
        let berth = Berth {
            table: table.clone(),
            topic: chosen.topic.clone(),
            place,
            worker: shared.worker.clone(),
        };
        let (lives, heard) = watch::channel(place);
        let durable = Arc::new(Mutex::new(memory.head.clone()));
        let tenure = Tenure {
            lives: heard,
            durable: durable.clone(),
        };
        let (asks, asked) = unbounded_channel();
        let (reports, mut from_unit) = unbounded_channel();
        let to_loop = incoming.clone();
        tokio::spawn(async move {
            while let Some(report) = from_unit.recv().await {
                if to_loop.send(Incoming::Unit(report)).is_err() {
                    return;
                }
            }
        });
        let stop = CancellationToken::new();
        let unit = Unit::new(
            shared.clone(),
            chosen,
            source,
            zone,
            berth,
            tenure,
            self.goal,
            memory,
            asked,
            reports,
        );
        let task = tokio::spawn(unit.run(stop.clone()));
        self.units.insert(
            table,
            Running {
                lives,
                durable,
                stop,
                asks,
                task,
            },
        );
    }

    fn take_over(&self, life: Life, partitions: Vec<i32>, incoming: &UnboundedSender<Incoming>) {
        let (kafka, names, client_id) = (
            self.kafka.clone(),
            self.names.clone(),
            self.client_id.clone(),
        );
        let out = incoming.clone();
        tokio::task::spawn_blocking(move || {
            let mut backoff = Backoff::default();
            let recovered = loop {
                let taken = Recovery::open(&kafka, &names, &client_id)
                    .and_then(|recovery| recovery.take_over(&partitions));
                match taken {
                    Err(error) if error.kind() == Kind::Unavailable && !out.is_closed() => {
                        let pause = backoff.after_failure();
                        tracing::warn!(%error, retry_in_ms = pause.as_millis() as u64, "taking over again");
                        std::thread::park_timeout(pause);
                    }
                    taken => break taken,
                }
            };
            let _ = out.send(Incoming::TakenOver { life, recovered });
        });
    }

    async fn stop_units(&mut self, which: impl Fn(&TableName) -> bool) {
        let units: Vec<_> = self.units.extract_if(.., |table, _| which(table)).collect();
        units.iter().for_each(|(_, unit)| unit.stop.cancel());
        for (table, unit) in units {
            if let Err(error) = unit.task.await
                && error.is_panic()
            {
                tracing::error!(%table, "this table's task ended by a fault of cdc itself");
            }
        }
    }

    /// Takes in what a database holds. The tables that are wanted here, unless the database did not answer.
    fn take_discovered(
        &mut self,
        found: Discovered,
    ) -> Result<Option<(String, BTreeSet<TableName>)>> {
        let Discovered { source, outcome } = found;
        let choice = match outcome {
            Ok(choice) => choice,
            Err(error) => {
                self.sources.failed(&source, &error);
                self.source_failed(&source, &error);
                if self.goal != Goal::Follow && self.sources.has_given_up(&source) {
                    return Err(error);
                }
                return Ok(None);
            }
        };
        for problem in &choice.problems {
            self.problem_of(&source, problem);
            tracing::error!(code = %problem.stable_code(), error = %problem, next = problem.next_step(), "this table cannot be followed");
            // A command with a table list is not about all of them.
            if self.only.is_empty() {
                self.results.problems.push(problem.kind());
            }
        }
        let collisions = self
            .sources
            .found(&source, choice, &self.kafka.topic_prefix);
        for (table, error) in &collisions {
            self.troubles.met(table, error, false);
        }
        self.forget_strangers();
        self.chosen = self
            .sources
            .chosen()
            .filter(|chosen| is_meant(&self.only, &chosen.name))
            .map(|chosen| (chosen.name.clone(), chosen.clone()))
            .collect();
        if self.sources.all_are_known() && self.chosen.is_empty() {
            return Err(self.nothing_is_meant());
        }
        self.publish_tables();
        let tables = self
            .chosen
            .keys()
            .filter(|table| table.source == source)
            .cloned()
            .collect();
        Ok(Some((source, tables)))
    }

    fn nothing_is_meant(&self) -> Error {
        let known: Vec<String> = self
            .sources
            .chosen()
            .map(|chosen| chosen.name.to_string())
            .collect();
        match (self.only.as_slice(), known.as_slice()) {
            ([], _) => Error::new(Kind::Config, "the configuration names no table that exists")
                .code(crate::error::Code::NO_TABLES)
                .hint("`cdc check` says what each source holds"),
            (only, known) => Error::new(
                Kind::Usage,
                format!("no table is called `{}`", only.join("`, `")),
            )
            .hint(format!("the configuration has {}", known.join(", ")))
            .code(crate::error::Code::NOT_CONFIGURED),
        }
    }

    fn take_report(&mut self, report: UnitReport) {
        let news = match report {
            UnitReport::Doing { table, what } => {
                match &what {
                    Doing::Following { guard, .. } => self.guarded_by(&table, guard.clone()),
                    Doing::Waiting {
                        why,
                        code,
                        next_step,
                        failures,
                    } if *failures >= WORTH_TELLING => {
                        self.troubles.met_as(
                            &table,
                            why.clone(),
                            Some(code.clone()),
                            next_step.clone(),
                            true,
                        );
                    }
                    _ => {}
                }
                if !matches!(what, Doing::Waiting { .. }) {
                    self.troubles.over(&table);
                }
                News::Doing { table, what }
            }
            UnitReport::Guarded { table, class } => {
                return self.guarded_by(&table, class.to_string());
            }
            UnitReport::Finished { table, outcome } => {
                self.troubles.over(&table);
                self.results
                    .tables
                    .insert(table.clone(), Ok(outcome.clone()));
                News::Finished { table, outcome }
            }
            UnitReport::Failed {
                table,
                error,
                is_told,
            } => {
                match is_told {
                    true => self.troubles.over(&table),
                    false => self.troubles.met(&table, &error, false),
                }
                let news = News::Failed {
                    table: table.clone(),
                    text: error.to_string(),
                    next_step: error.next_step().map(str::to_owned),
                };
                if self.goal != Goal::Follow {
                    self.results.tables.insert(table, Err(error));
                }
                news
            }
        };
        let _ = self.news.send(news);
    }

    fn guarded_by(&mut self, table: &TableName, guard: String) {
        if self.guards.get(table) != Some(&guard) {
            self.guards.insert(table.clone(), guard);
            self.publish_tables();
        }
    }

    /// Tells the sink which topics there are.
    fn publish_tables(&self) {
        let mut tables: BTreeMap<TableName, SinkTable> = BTreeMap::new();
        // A table that is gone from its database is not gone from its topic.
        let known = self.tables.borrow().clone();
        let mut configured = configured_tables(&self.settings, &self.kafka.topic_prefix);
        // What a name means may be another table than it seems: a dot can be part of it.
        configured.retain(|written| {
            let is_found = |found: &Chosen| {
                found.name.source == written.name.source && written.settings.means(&found.name)
            };
            !self.sources.chosen().any(is_found)
        });
        let found = self.sources.chosen().cloned().chain(configured);
        for chosen in found.filter(|chosen| is_meant(&self.only, &chosen.name)) {
            let Some((_, zone)) = self.sources.of(&chosen.name) else {
                continue;
            };
            tables
                .entry(chosen.name.clone())
                .or_insert_with(|| SinkTable {
                    guard: self
                        .guards
                        .get(&chosen.name)
                        .cloned()
                        .unwrap_or_else(|| "unknown".to_owned()),
                    name: chosen.name,
                    topic: chosen.topic,
                    mode: chosen.settings.mode,
                    partition_by: chosen.settings.partition_by,
                    null_partition: chosen.settings.null_partition,
                    source_zone: zone,
                });
        }
        for table in known {
            tables.entry(table.name.clone()).or_insert(table);
        }
        self.tables.send_replace(tables.into_values().collect());
    }

    /// Whether a goal that ends is reached. The sink alone has nothing to wait for but the lake.
    fn is_done(&self, captures: bool) -> bool {
        let is_settled = |table| !captures || self.results.tables.contains_key(table);
        self.goal != Goal::Follow
            && self.sources.all_are_known()
            && self.chosen.keys().all(is_settled)
    }

    /// How far the lake must come: as the units say, and where none ran, all that the topics hold.
    fn targets(&self) -> Result<Vec<(TopicName, i32, u64)>> {
        let mut targets = Vec::new();
        for (table, chosen) in &self.chosen {
            let known = match self.results.tables.get(table) {
                Some(Err(_)) => continue,
                Some(Ok(outcome)) => outcome.end_offsets.as_slice(),
                None => &[],
            };
            let topic = chosen.topic.as_str();
            let reader = PartitionReader::new(&self.kafka, &self.client_id, topic)?;
            let partitions = match reader.partitions() {
                // Nobody has made it yet, so there is nothing in it.
                Err(error) if error.kind() == Kind::Config => continue,
                partitions => partitions?,
            };
            for partition in 0..partitions {
                let known = known
                    .iter()
                    .find(|end| end.partition == partition && end.topic == topic);
                let target = match known {
                    Some(end) => end.offset,
                    None => reader.end_of_records(partition)?.unsigned_abs(),
                };
                targets.push((chosen.topic.clone(), partition, target));
            }
        }
        Ok(targets)
    }
}

/// Whether a table is meant by the names on the command line: `orders`, `ec.orders`, or globs of them.
pub fn is_meant(only: &[String], table: &TableName) -> bool {
    let (full, short) = (table.to_string(), table.short());
    only.is_empty()
        || only
            .iter()
            .any(|name| glob_matches(name, &full) || glob_matches(name, &short))
}

/// Answers a request about a table that no source holds, in a transaction like any other work.
fn answer_unknown(
    committer: &Committer,
    key: String,
    id: Ulid,
    life: Life,
    state_partition: i32,
    state_offset: i64,
) {
    let outcome = Outcome {
        exit: Kind::No.exit_code(),
        text: "no source of this pipeline has such a table".to_owned(),
        end_offsets: Vec::new(),
        load: None,
        load_number: None,
        epoch: None,
        at: jiff::Timestamp::now().as_millisecond(),
    };
    let records = vec![
        StateRecord {
            key: StateKey::Request {
                table: key.clone(),
                id,
            }
            .to_string(),
            value: None,
        },
        StateRecord {
            key: StateKey::Outcome { table: key, id }.to_string(),
            value: Some(encode(&outcome)),
        },
    ];
    let place = Place {
        life,
        state_partition,
        state_offset,
    };
    drop(commit(
        committer,
        place,
        None,
        Arc::new(Parcel {
            state: records,
            ..Parcel::default()
        }),
    ));
}

/// Returns when the sink has ended by itself.
async fn ended(sink: Option<&SinkHandle>) {
    match sink {
        Some(sink) => {
            let mut progress = sink.progress.clone();
            while progress.changed().await.is_ok() {}
        }
        None => std::future::pending().await,
    }
}
