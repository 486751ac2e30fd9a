//! A worker from its joining to its end.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::capturing::{Capture, CaptureEvents, Room};
use super::discovery::SourceTables;
use super::joining::{check_schedules, may_join, patiently};
use super::member::Introduction;
use super::news::News;
use super::roster::Roster;
use super::troubles::Troubles;
use super::worker::Worker;
use super::worker_name::WorkerName;
use crate::capture::{Goal, prepare_pipeline};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::lake::open_store;
use crate::model::TableName;
use crate::sink::{SinkOptions, look_for_other};
use crate::state::{Outcome, PipelineNames};
use crate::topic::Admin;

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

impl WorkerOptions {
    /// Both halves, and what happens in them.
    pub fn new(
        settings: Settings,
        goal: Goal,
        only: Vec<String>,
        stop: CancellationToken,
    ) -> (Self, UnboundedReceiver<News>) {
        let (news, inbox) = unbounded_channel();
        let options = WorkerOptions {
            settings,
            goal,
            capture: true,
            sink: true,
            only,
            stop,
            news,
        };
        (options, inbox)
    }
}

/// How each table of a goal that ends fared.
#[derive(Debug, Default)]
pub struct Results {
    pub tables: BTreeMap<TableName, Result<Outcome>>,
    /// Kinds of problems of tables that the configuration means and the databases do not give.
    pub problems: Vec<Kind>,
}

impl Results {
    /// Takes in what was done after it.
    pub fn add(&mut self, later: Results) {
        self.tables.extend(later.tables);
        self.problems.extend(later.problems);
    }
}

/// How a worker ended.
#[derive(Debug)]
pub enum Ended {
    /// Its goal is reached, or it was told to stop.
    Done(Results),
    /// Another one joined that the tables cannot be shared with: what was done until then, and why the rest is left.
    LeftTo(Results, Error),
    /// What was done, in Kafka, and why the lake, or its readers, will not have it all.
    NotInLake(Results, Error),
}

/// Runs until the goal is reached or `stop` is cancelled.
///
/// Errors: what keeps the whole worker from running; a table's own failure is in the results.
pub async fn run(options: WorkerOptions) -> Result<Ended> {
    let settings = &options.settings;
    let kafka = settings.needed_kafka()?.clone();
    if options.capture && matches!(options.goal, Goal::Follow | Goal::Once) {
        check_schedules(settings, &options.only)?;
    }
    let name = WorkerName::take(&settings.pipeline, settings.worker.as_deref())?;
    let me = Introduction {
        pipeline: settings.pipeline.clone(),
        worker: name.as_str().to_owned(),
        hash: settings.hash.clone(),
        serves_all: options.only.is_empty(),
        ends: options.goal != Goal::Follow,
    };
    let names = PipelineNames::new(&settings.pipeline);
    let client_id = me.client_id();
    let one_shot = options.goal != Goal::Follow;
    let sources = SourceTables::open(settings)?;

    let admin = Admin::new(&kafka, &client_id)?;
    let joined = async {
        let cluster = patiently(&options.stop, one_shot, async || {
            tokio::task::block_in_place(|| admin.cluster_id())
        })
        .await?;
        patiently(&options.stop, one_shot, async || {
            prepare_pipeline(&admin, &kafka, &names, &client_id).await
        })
        .await?;
        let store = patiently(&options.stop, one_shot, async || {
            let store = open_store(&settings.lake.place).await?;
            if options.sink {
                look_for_other(store.as_ref(), &cluster, &settings.pipeline).await?;
            }
            Ok(store)
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
            return Ok(Ended::Done(Results::default()));
        }
        joined => joined?,
    };
    let share = share_of_each_half(settings.memory, options.capture && options.sink);
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
                memory: share,
            },
            sink_tables,
            sink_stop.clone(),
        )
    });
    let (capture, events) = match options.capture {
        true => {
            let room = Room {
                memory: share,
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
        told_unknown: false,
        names,
        kafka,
        me,
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
        wrong: BTreeSet::new(),
        left_to: None,
        looking: None,
        tables,
        news: options.news.clone(),
    };
    let outcome = worker
        .run(capture, events, sink.as_ref(), &options.stop)
        .await;
    sink_stop.cancel();
    let sunk = match sink {
        Some(sink) => sink.finished().await,
        None => Ok(()),
    };
    match (sunk, outcome) {
        (Ok(()), outcome) => outcome,
        // What ended the sink is the cause of whatever else failed because of it.
        (
            Err(error),
            Ok(Ended::Done(results) | Ended::LeftTo(results, _) | Ended::NotInLake(results, _)),
        ) if one_shot => Ok(Ended::NotInLake(results, error)),
        (Err(error), _) => Err(error),
    }
}

/// Bytes for rows on their way into Kafka, and as many for files on their way into the lake. An eighth of all is for what
/// neither counts: what a row exceeds its batch by, the buffers of the clients between two looks at their size.
fn share_of_each_half(memory: u64, both: bool) -> u64 {
    let counted = memory / 8 * 7;
    match both {
        true => counted / 2,
        false => counted,
    }
}
