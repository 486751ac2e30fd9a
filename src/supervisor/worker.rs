//! One worker's loop: what the group, the committer, the databases and the units say, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::capturing::{Capture, CaptureEvents, next};
use super::discovery::{Discovered, SourceTables, discover};
use super::member::Introduction;
use super::news::News;
use super::roster::{Event, Roster};
use super::run::{Ended, Results};
use super::troubles::Troubles;
use super::units::Running;
use crate::capture::{
    Committed, CommitterEvent, Goal, GroupEvent, Life, Recovered, UnitReport,
    state_topic_is_the_same,
};
use crate::config::{KafkaSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::model::TableName;
use crate::sink::{SinkHandle, SinkTable};
use crate::source::Chosen;
use crate::state::{PipelineNames, Request, StateKey};
use crate::topic::Member;

/// How often the state topic and the group are looked at: they must stay what they are.
const STATE_TOPIC_CHECK: Duration = Duration::from_secs(15);
/// How often it is told that the worker lives.
const PULSE: Duration = Duration::from_secs(5);

pub(super) struct Worker {
    pub(super) settings: Settings,
    pub(super) goal: Goal,
    pub(super) only: Vec<String>,
    /// Whether it was told that some of them mean no table.
    pub(super) told_unknown: bool,
    pub(super) names: PipelineNames,
    pub(super) kafka: KafkaSettings,
    pub(super) me: Introduction,
    pub(super) sources: SourceTables,
    pub(super) roster: Roster,
    pub(super) units: BTreeMap<TableName, Running>,
    pub(super) chosen: BTreeMap<TableName, Chosen>,
    pub(super) guards: BTreeMap<TableName, String>,
    /// The ends of the partitions of the state topic that were taken over, as last seen.
    pub(super) state_ends: BTreeMap<i32, i64>,
    /// The tables of the partitions that were taken over.
    pub(super) remembered: Vec<TableName>,
    /// What keeps tables from working, for others to see.
    pub(super) troubles: Troubles,
    /// What was written of it and is not answered yet.
    pub(super) told: Vec<oneshot::Receiver<Result<Committed>>>,
    pub(super) results: Results,
    /// Tables and patterns that the configuration means and that cannot be followed as they stand there.
    pub(super) wrong: BTreeSet<String>,
    /// Why its tables are left to another worker, where one joined that they cannot be shared with.
    pub(super) left_to: Option<Error>,
    /// Asks who else shares the tables.
    pub(super) looking: Option<JoinHandle<()>>,
    pub(super) tables: watch::Sender<Vec<SinkTable>>,
    pub(super) news: UnboundedSender<News>,
}

/// What the worker's loop waits for, beside the group and the committer.
pub(super) enum Incoming {
    Discovered(Discovered),
    TakenOver {
        life: Life,
        recovered: Result<Recovered>,
    },
    Unit(UnitReport),
    Members(Result<Vec<Member>>),
}

impl Worker {
    pub(super) async fn run(
        mut self,
        mut capture: Option<Capture>,
        mut events: CaptureEvents,
        sink: Option<&SinkHandle>,
        stop: &CancellationToken,
    ) -> Result<Ended> {
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
            (Some(sink), Ok(()))
                if self.goal != Goal::Follow && self.left_to.is_none() && !stop.is_cancelled() =>
            {
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
        match (drained, self.left_to) {
            (Err(error), _) => Ok(Ended::NotInLake(self.results, error)),
            (Ok(()), None) => Ok(Ended::Done(self.results)),
            // It has no tables left, and nobody to ask for what it was to do.
            (Ok(()), Some(error)) if self.goal == Goal::Follow => Err(error),
            (Ok(()), Some(error)) => Ok(Ended::LeftTo(self.results, error)),
        }
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
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.tick().await;
        let mut pulse = tokio::time::interval(PULSE);
        loop {
            if let Some(capture) = capture {
                self.tell_troubles(&capture.committer);
            }
            if self.is_done(capture.is_some()) || self.left_to.is_some() {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // What ended it is said by whoever waits for it.
                () = ended(sink) => return Ok(()),
                Some(event) = inbox.recv() => self.handle(event, capture, incoming).await?,
                Some(event) = next(&mut events.group) => self.handle_group(event, capture, incoming).await?,
                Some(event) = next(&mut events.committer) => self.handle_committer(event, capture, incoming).await?,
                _ = check.tick() => {
                    self.check_state_topic(capture).await?;
                    self.look_for_others(capture, incoming);
                }
                _ = pulse.tick() => drop(self.news.send(News::Alive)),
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
            Incoming::Members(members) => self.take_members(members),
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
                self.look_for_others(capture, incoming);
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
            CommitterEvent::Refused { error } => {
                self.check_state_topic(capture).await?;
                Err(error)
            }
        }
    }

    /// Asks who else shares the tables; a broker that is away takes its time to be silent.
    fn look_for_others(&mut self, capture: &Option<Capture>, incoming: &UnboundedSender<Incoming>) {
        let Some(capture) = capture else {
            return;
        };
        let is_busy = self
            .looking
            .as_ref()
            .is_some_and(|look| !look.is_finished());
        if is_busy {
            return;
        }
        let (shared, group) = (capture.shared.clone(), self.names.capture_group.clone());
        let out = incoming.clone();
        self.looking = Some(tokio::task::spawn_blocking(move || {
            // A worker that has ended asks nothing more.
            let _ = out.send(Incoming::Members(shared.admin.members(&group)));
        }));
    }

    /// Finds out whether another joined that this one cannot share the tables with, and has to leave them to.
    fn take_members(&mut self, members: Result<Vec<Member>>) {
        match members {
            Ok(members) => self.left_to = self.me.check_shared(&members).err(),
            Err(error) => {
                tracing::debug!(%error, "who else follows this pipeline cannot be asked; it is asked again");
            }
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
