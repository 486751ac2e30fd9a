//! One table, read by one task: a unit starts, pauses, fails and restarts by itself.
//!
//! What it remembers between tries is its head and seen window after the last batch handed over. A failure
//! that can pass is tried again after a growing pause; any other stops this table alone, with its reason.

mod asked;
mod failing;
mod looking;
mod moving;
mod trying;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::berth::{Berth, Tenure};
use super::committer::Committer;
use super::recovery::TableMemory;
use super::schemas::Schemas;
use super::sighting::Definition;
use super::told::ToldOnce;
use crate::config::KafkaSettings;
use crate::error::{Error, Fate, Kind};
use crate::lake::Store;
use crate::model::{BatchLimits, CopyPhase, GuardClass, Minute, TableName};
use crate::retry::Backoff;
use crate::source::{Chosen, Readable, Source};
use crate::state::{Head, Outcome, PipelineNames, Request, SeenMinute};
use crate::topic::Admin;
pub(super) use asked::{outcome, refused, rows_of};

/// How long a command that ends by itself waits for a part that does not answer.
const ONE_SHOT_PATIENCE: Duration = Duration::from_secs(60);
/// A statement that fails because of the table's shape is answered with one fresh look, if the last look is
/// older than this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a table is looked at again whose grant is missing: it goes on within a minute of the GRANT.
const UNTIL_GRANTED: Duration = Duration::from_secs(30);

/// What all units of a worker share.
pub struct Shared {
    pub kafka: KafkaSettings,
    pub admin: Admin,
    pub names: PipelineNames,
    pub committer: Committer,
    pub schemas: Schemas,
    /// How many tables look at their topics at one time.
    pub looks: Semaphore,
    pub store: Arc<dyn Store>,
    /// The memory budget, in permits of `PERMIT_BYTES`, and how many there are in all.
    pub budget: Arc<Semaphore>,
    pub permits: u32,
    /// How large a batch may grow before it is handed over.
    pub limits: BatchLimits,
    pub worker: String,
    pub client_id: String,
}

/// How far a unit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// For ever.
    Follow,
    /// To the present bound; a bulk table loads if a load is due.
    Once,
    /// One full copy.
    Snapshot { again: bool },
    /// To the answer to one request; nothing is read.
    Answer(Ulid),
}

/// What a unit tells.
#[derive(Debug)]
pub enum UnitReport {
    /// It is doing this now.
    Doing { table: TableName, what: Doing },
    /// Its goal is reached.
    Finished { table: TableName, outcome: Outcome },
    /// It stands still until somebody acts. `is_told` says whether its head says so, too.
    Failed {
        table: TableName,
        error: Error,
        is_told: bool,
    },
    /// What proves that no row of it is missed.
    Guarded { table: TableName, class: GuardClass },
}

/// What a unit is doing, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    Copying {
        rows: u64,
    },
    Following {
        rows: u64,
        guard: String,
    },
    Loading {
        rows: u64,
        of: u64,
    },
    /// Until the next tick of its schedule.
    Idle {
        until: Option<jiff::Timestamp>,
    },
    Paused,
    /// A part does not answer; it is tried again.
    Waiting {
        why: String,
        /// By what `cdc explain` knows it.
        code: String,
        next_step: Option<String>,
        /// Tries that failed in a row.
        failures: u32,
    },
}

/// One table's task.
pub struct Unit {
    pub shared: Arc<Shared>,
    pub chosen: Chosen,
    pub source: Arc<dyn Source>,
    /// What the source's timestamps without zone mean.
    pub zone: TimeZone,
    pub berth: Berth,
    pub tenure: Tenure,
    pub goal: Goal,
    pub inbox: UnboundedReceiver<(Ulid, Request)>,
    pub reports: UnboundedSender<UnitReport>,
    head: Option<Head>,
    seen: BTreeMap<Minute, SeenMinute>,
    answers: BTreeMap<Ulid, i64>,
    /// Requests taken from the inbox and not answered yet.
    pub(super) asked: VecDeque<(Ulid, Request)>,
    /// The table is to be begun anew before anything else happens to it.
    pub(super) again: bool,
    /// The request that puts its cursor elsewhere, until it is carried out.
    moving: Option<(Ulid, Request)>,
    /// It was begun anew here.
    pub(super) began_again: bool,
    /// Requests that are answered once the copy is done …
    pub(super) after_copy: Vec<Ulid>,
    /// … and once everything visible then is sent.
    pub(super) after_catching_up: Vec<Ulid>,
    /// Requests for a copy anew: answered when it is done.
    pub(super) asked_again: Vec<Ulid>,
    /// When the table was last looked at.
    looked_at: Option<Instant>,
    /// When its topic was.
    looked_at_topic: Option<Instant>,
    /// When this try began to read.
    driven_since: Option<Instant>,
    /// Requests that were taken up: a later life hears of those that were not answered yet once more.
    taken_up: HashSet<Ulid>,
    /// The table was copied before this command began.
    pub(super) was_copied: bool,
    /// Whether it was told that the safe bound is held back.
    pub(super) held_back: ToldOnce,
    /// Whether it was told that it remembers as much as it may.
    pub(super) full: ToldOnce,
}

/// A table as this try finds it.
pub(super) struct Found {
    pub readable: Readable,
    pub definition: Definition,
}

/// Why a try ended without a failure.
pub(super) enum End {
    /// The goal is reached.
    Reached(Outcome),
    /// Look at the table anew.
    Restart,
}

impl Unit {
    #[allow(clippy::too_many_arguments)] // One call, in the supervisor, where every part has its name.
    pub fn new(
        shared: Arc<Shared>,
        chosen: Chosen,
        source: Arc<dyn Source>,
        zone: TimeZone,
        berth: Berth,
        tenure: Tenure,
        goal: Goal,
        memory: TableMemory,
        inbox: UnboundedReceiver<(Ulid, Request)>,
        reports: UnboundedSender<UnitReport>,
    ) -> Self {
        let copied = memory.head.as_ref().and_then(|head| head.copy.as_ref());
        Unit {
            was_copied: copied.is_some_and(|copy| copy.phase == CopyPhase::Done),
            held_back: ToldOnce::default(),
            full: ToldOnce::default(),
            moving: None,
            began_again: false,
            after_copy: Vec::new(),
            after_catching_up: Vec::new(),
            asked_again: Vec::new(),
            looked_at: None,
            looked_at_topic: None,
            driven_since: None,
            taken_up: HashSet::new(),
            shared,
            chosen,
            source,
            zone,
            berth,
            tenure,
            goal,
            inbox,
            reports,
            head: memory.head,
            seen: memory.seen,
            answers: memory.outcomes,
            asked: VecDeque::new(),
            again: goal == Goal::Snapshot { again: true },
        }
    }

    /// Runs until the goal is reached or `stop` is cancelled. What was handed over stays with the committer.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut failing_since: Option<Instant> = None;
        let mut looked_again_for: Option<String> = None;
        loop {
            let rows_before = self.head.as_ref().map(|head| head.rows);
            let tried = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                tried = self.try_once() => tried,
            };
            if self.head.as_ref().map(|head| head.rows) != rows_before {
                backoff.after_success();
                failing_since = None;
                looked_again_for = None;
            }
            let error = match tried {
                Ok(End::Reached(outcome)) => {
                    self.report(UnitReport::Finished {
                        table: self.chosen.name.clone(),
                        outcome,
                    });
                    return;
                }
                Ok(End::Restart) => continue,
                Err(error) => error.about(&self.chosen.name),
            };
            let driven_for = self.driven_since.take().map(|since| since.elapsed());
            if error.kind() == Kind::Config
                && driven_for.is_some_and(|driven_for| driven_for > LOOK_AGAIN)
                && looked_again_for.as_deref() != Some(error.to_string().as_str())
            {
                // The table may have changed since it was looked at; only a fresh look can tell.
                tracing::info!(table = %self.chosen.name, %error, "looking at the table anew");
                looked_again_for = Some(error.to_string());
                continue;
            }
            let since = *failing_since.get_or_insert_with(Instant::now);
            let patient = self.goal == Goal::Follow || since.elapsed() < ONE_SHOT_PATIENCE;
            if error.kind().fate() == Fate::Retry && patient {
                let pause = backoff.after_failure();
                self.tell_retry(&error, pause, backoff.failures());
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                continue;
            }
            if error.kind() == Kind::TryLater {
                // The life is over: the supervisor stops this unit and makes another from what is durable.
                stop.cancelled().await;
                return;
            }
            let until_granted = (error.kind() == Kind::Permission).then_some(UNTIL_GRANTED);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.failed(error) => {}
            }
            if self.goal != Goal::Follow {
                return;
            }
            // It stands still until somebody asks for something, e.g. `cdc restart`; a bulk table until its
            // next tick; one without a grant until that may have been given.
            let head = self.head.as_ref();
            let tick = head.and_then(|head| super::bulk_table::next_try(&self, head));
            let next_try = [tick, until_granted].into_iter().flatten().min();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(next_try.unwrap_or(Duration::MAX)) => {}
                asked = self.inbox.recv() => match asked {
                    Some(asked) => self.take_up(asked),
                    None => return,
                }
            }
        }
    }

    /// Tells what proves that no row is missed, before the first one is read.
    pub(super) fn guarded(&self, class: GuardClass) {
        self.report(UnitReport::Guarded {
            table: self.chosen.name.clone(),
            class,
        });
    }

    pub(super) fn doing(&self, what: Doing) {
        self.report(UnitReport::Doing {
            table: self.chosen.name.clone(),
            what,
        });
    }

    fn report(&self, report: UnitReport) {
        let _ = self.reports.send(report);
    }
}
