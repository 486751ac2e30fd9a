//! One table, read by one task: a unit starts, pauses, fails and restarts by itself.
//!
//! What it remembers between tries is its head and seen window after the last batch handed over. A failure
//! that can pass is tried again after a growing pause; any other stops this table alone, with its reason.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::change::{self, Verdict};
use super::committer::{Committer, Parcel, StateRecord};
use super::recovery::TableMemory;
use super::schemas::Schemas;
use super::sending::{Berth, Sending, Tenure, answer_records, commit, head_record};
use super::sighting::{self, Compared, Definition};
use super::{cursor_table, first};
use crate::config::KafkaSettings;
use crate::error::{Error, Fate, Kind, Result};
use crate::lake::Store;
use crate::model::{BatchLimits, CopyPhase, GuardClass, Minute, Mode, TableName, TableSchema};
use crate::retry::Backoff;
use crate::source::{
    Chosen, Depth, Described, Look, Readable, Session, Source, describe_chosen, readable_from,
};
use crate::state::{EndOffset, Failure, Head, Outcome, Request, SeenMinute, Sighting, Verb};
use crate::topic::{Admin, PartitionReader};

/// How long a command that ends by itself waits for a part that does not answer.
const ONE_SHOT_PATIENCE: Duration = Duration::from_secs(60);
/// A statement that fails because of the table's shape is answered with one fresh look, if the last look is
/// older than this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a table is looked at again whose grant is missing: it goes on within a minute of the GRANT.
const UNTIL_GRANTED: Duration = Duration::from_secs(30);
/// How long writing the reason of a failure may take.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// How often a table that is polled is looked at. What a look finds in addition to the one before each batch is
/// a table without new rows that was changed, emptied, or is gone.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What all units of a worker share.
pub struct Shared {
    pub kafka: KafkaSettings,
    pub admin: Admin,
    pub committer: Committer,
    pub schemas: Schemas,
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
    /// When this try began to read.
    driven_since: Option<Instant>,
    /// Requests that were taken up: a later life hears of those that were not answered yet once more.
    taken_up: HashSet<Ulid>,
    /// The table was copied before this command began.
    pub(super) was_copied: bool,
}

/// How a try begins.
enum Beginning {
    /// With a head that is durable already.
    Known,
    /// With the table's first head.
    New,
    /// With a new epoch that retires everything before it.
    Again,
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
            began_again: false,
            after_copy: Vec::new(),
            after_catching_up: Vec::new(),
            asked_again: Vec::new(),
            looked_at: None,
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
                tracing::warn!(table = %self.chosen.name, code = %error.stable_code(), %error, retry_in_ms = pause.as_millis() as u64, "trying again");
                self.doing(Doing::Waiting {
                    why: error.to_string(),
                    code: error.stable_code().to_string(),
                    next_step: error.next_step().map(str::to_owned),
                    failures: backoff.failures(),
                });
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

    /// Stands still, writes the reason into the state so that `status` shows it from anywhere, and answers
    /// whoever waits for this table.
    async fn failed(&mut self, error: Error) {
        tracing::error!(table = %self.chosen.name, code = %error.stable_code(), %error, next = error.next_step(), "this table stands still");
        let now = jiff::Timestamp::now().as_millisecond();
        if let Some(head) = &mut self.head {
            head.failure = Some(Failure {
                text: error.to_string(),
                code: Some(error.stable_code().to_string()),
                next_step: error.next_step().map(str::to_owned),
                at: now,
            });
        }
        if tokio::time::timeout(LAST_WORDS, self.write_failure(&error))
            .await
            .is_err()
        {
            tracing::warn!(table = %self.chosen.name, "the reason could not be written into the state");
        }
        self.report(UnitReport::Failed {
            table: self.chosen.name.clone(),
            error,
            is_told: self.head.is_some(),
        });
    }

    /// Writes the head as it is and the answers to everything asked, in this life or the next.
    async fn write_failure(&mut self, error: &Error) {
        self.take_asked();
        let answer = outcome(error.kind().exit_code(), error.to_string(), Vec::new());
        // Who is told that the table was not begun anew does not find it so later.
        self.again &= self.asked_again.is_empty();
        let lists = [
            &mut self.after_copy,
            &mut self.after_catching_up,
            &mut self.asked_again,
        ];
        let mut asked: Vec<Ulid> = lists.into_iter().flat_map(std::mem::take).collect();
        asked.extend(
            std::mem::take(&mut self.asked)
                .into_iter()
                .map(|(id, _)| id),
        );
        let mut state: Vec<StateRecord> = Vec::new();
        for id in asked {
            self.answers.insert(id, answer.at);
            state.extend(answer_records(&self.chosen.name, id, &answer));
        }
        if let Some(head) = &mut self.head {
            state.push(head_record(&self.berth, head));
        }
        if state.is_empty() {
            return;
        }
        let parcel = Arc::new(Parcel {
            state,
            ..Parcel::default()
        });
        loop {
            self.berth.place = *self.tenure.lives.borrow_and_update();
            let committer = &self.shared.committer;
            match commit(committer, self.berth.place, None, parcel.clone()).await {
                Ok(Ok(_)) => {
                    if let Some(head) = &self.head {
                        let durable = self.tenure.durable.lock();
                        *durable.unwrap_or_else(PoisonError::into_inner) = Some(head.clone());
                    }
                    return;
                }
                Ok(Err(error)) => {
                    tracing::warn!(table = %self.chosen.name, %error, "the reason could not be written into the state");
                    return;
                }
                // The life is over; the next one may be this worker's again.
                Err(_) if self.tenure.lives.changed().await.is_err() => return,
                Err(_) => {}
            }
        }
    }

    /// What stands still for a reason that beginning anew mends must hear of it before it looks at the table.
    fn take_up_again(&mut self) {
        self.take_asked();
        let now = jiff::Timestamp::now().as_millisecond();
        let is_again = |(_, request): &(Ulid, Request)| {
            request.verb == Verb::SnapshotAgain && request.expires_at >= now
        };
        if self.head.is_some()
            && let Some(index) = self.asked.iter().position(is_again)
            && let Some((id, _)) = self.asked.remove(index)
        {
            self.begin_again_for(id);
        }
    }

    /// One try: look at the table, check or make its head, then read until the goal, a failure or a restart.
    async fn try_once(&mut self) -> Result<End> {
        self.take_up_again();
        let (look, described) = self.describe().await?;
        for note in &described.notes {
            tracing::warn!(table = %self.chosen.name, "{note}");
        }
        let known = self.head.as_ref().filter(|_| !self.again);
        if let Some(head) = known {
            first::check_topic(head, &self.chosen)?;
            first::check_identity(head, &self.chosen, &described)?;
            if head.mode != Mode::Bulk {
                sighting::check_kind(head, &described)?;
            }
            let (admin, topic) = (&self.shared.admin, &self.chosen.topic);
            super::topics::check_known_topic(admin, topic, &head.next).await?;
        }
        let definition = Definition::new(&self.source, &self.chosen.name, &look);
        let schema = described.schema.clone();
        let source = self.source.as_ref();
        let readable = readable_from(source, &self.chosen, &self.zone, described).await;
        if let Some(head) = known {
            // What was changed says more than what cannot be read because of it.
            let now = readable.as_ref().map(|readable| &readable.table.schema);
            self.check_shape(head, now.unwrap_or(&schema))?;
        }
        let mut readable = readable?;
        readable.limits = self.shared.limits;
        let sighting = self.sight(&readable, look).await?;
        let partitions = super::topics::prepare_data_topic(
            &self.shared.admin,
            &self.shared.kafka,
            &self.chosen.topic,
        )
        .await?;
        let rejected_name = self.chosen.name_of_rejected_topic();
        let rejected_name = rejected_name.map_or(String::new(), |name| name.to_string());
        if rejected_name.is_empty() && self.chosen.settings.on_value.rejects() {
            let text = format!("`{}.rejected` is too long for a topic", self.chosen.topic);
            return Err(Error::new(Kind::Config, text)
                .hint("write a shorter name of its own below the table: `topic: …`"));
        }
        if let Some(topic) = &self.chosen.rejected_topic() {
            super::topics::prepare_rejected_topic(&self.shared.admin, &self.shared.kafka, topic)
                .await?;
        }
        let names = cursor_column_names(&readable);
        let found = Found {
            readable,
            definition,
        };
        let described = found.readable.table.clone();
        let fingerprint =
            tokio::task::block_in_place(|| self.shared.schemas.announce(&described.schema))?;
        let now = jiff::Timestamp::now().as_millisecond().unsigned_abs();
        let (head, beginning) = match &self.head {
            Some(old) if self.again => {
                let fixed = cursor_table::fix_bound(self, &found).await?;
                let epoch = now.max(old.epoch + 1);
                let mut head = first::first_head(
                    &self.chosen,
                    &described,
                    names,
                    partitions,
                    epoch,
                    fixed,
                    sighting,
                );
                head.load = old.load.clone();
                (head, Beginning::Again)
            }
            Some(old) => {
                first::check_head(old, &self.chosen, &names, partitions)?;
                let mut head = old.clone();
                head.identity = described.identity.clone();
                head.sighting = Some(sighting);
                (head, Beginning::Known)
            }
            None => {
                first::refuse_leftovers(
                    &self.shared.admin,
                    self.shared.store.as_ref(),
                    &self.chosen,
                    partitions,
                )
                .await?;
                let fixed = cursor_table::fix_bound(self, &found).await?;
                let head = first::first_head(
                    &self.chosen,
                    &described,
                    names,
                    partitions,
                    now,
                    fixed,
                    sighting,
                );
                (head, Beginning::New)
            }
        };
        let mut sending = Sending::new(
            self.berth.clone(),
            self.tenure.clone(),
            self.shared.committer.clone(),
            self.shared.budget.clone(),
            self.shared.permits,
            head,
            &described.schema,
            fingerprint,
            rejected_name,
            std::mem::take(&mut self.seen),
            std::mem::take(&mut self.answers),
        );
        sending.clear_failure();
        self.driven_since = Some(Instant::now());
        let mut driven = self.drive(&mut sending, &found, beginning).await;
        if !sending.is_refused() && !matches!(&driven, Err(error) if error.kind() == Kind::TryLater)
        {
            // A cursor that moved over nothing, and minutes that were closed, are not forgotten with this try.
            let flushed = sending.flush().await;
            driven = driven.and_then(|end| flushed.map(|()| end));
        }
        // What is on its way is settled before anything else happens to this table.
        let settled = match sending.is_refused() {
            true => Ok(()),
            false => sending.settle().await,
        };
        let remembered = sending.into_memory();
        (self.berth, self.head) = (remembered.berth, remembered.head);
        (self.seen, self.answers) = (remembered.seen, remembered.answers);
        settled?;
        driven
    }

    async fn drive(
        &mut self,
        sending: &mut Sending,
        found: &Found,
        beginning: Beginning,
    ) -> Result<End> {
        match beginning {
            Beginning::Known => {}
            // The first head is durable before the first row: from now on the table is known.
            Beginning::New => sending.write_state().await?,
            Beginning::Again => {
                let start = self.ends_of_topic(sending.head.partitions)?;
                sending.begin_again(start).await?;
                // Only then are there files of an earlier epoch to wait for.
                self.began_again = true;
            }
        }
        if self.again {
            self.again = false;
            self.was_copied = false;
        }
        match self.chosen.settings.mode {
            Mode::Bulk => super::bulk_table::drive(self, sending, found).await,
            Mode::Incrementing | Mode::Timestamp | Mode::TimestampIncrementing => {
                cursor_table::drive(self, sending, found).await
            }
        }
    }

    /// The end of each partition of the table's topic, open transactions included.
    fn ends_of_topic(&self, partitions: i32) -> Result<Vec<u64>> {
        let (admin, topic) = (&self.shared.admin, self.chosen.topic.as_str());
        tokio::task::block_in_place(|| {
            (0..partitions)
                .map(|partition| Ok(admin.bounds(topic, partition)?.1.unsigned_abs()))
                .collect()
        })
    }

    /// The table as the catalog has it, and a look taken before that: a change in between is noticed when the
    /// next look differs.
    async fn describe(&self) -> Result<(Look, Described)> {
        let look = self.source.look(&self.chosen.name, Depth::Storage).await?;
        let described = describe_chosen(self.source.as_ref(), &self.chosen).await;
        let error = match (look, described) {
            (Some(look), Ok(described)) => return Ok((look, described)),
            (None, Ok(_)) => Error::new(Kind::Unavailable, "the table comes and goes"),
            (_, Err(error)) if error.kind() == Kind::Config => error,
            (_, Err(error)) => return Err(error),
        };
        let Some(head) = &self.head else {
            return Err(error);
        };
        let nothing = BTreeMap::new();
        let storage = head.sighting.as_ref().map_or(&nothing, |s| &s.storage);
        let name = &self.chosen.name;
        match self.source.moved_to(&head.identity, storage).await? {
            Some(now) => Err(Error::new(
                Kind::Config,
                format!("the table is called `{now}` now"),
            )
            .hint(format!(
                "give it its name back, then `cdc restart {name}`; or name `{now}` in the configuration: it is \
                 copied into a topic of its own"
            ))),
            None => Err(error.hint(format!(
                "if it was dropped, take it out of the configuration; what was sent of it stays. If it was put \
                 back, `cdc restart {name}`; if it was made anew, `cdc snapshot --again {name}`"
            ))),
        }
    }

    /// What is seen of the table besides its columns, compared with what was seen of it.
    async fn sight(&self, readable: &Readable, look: Look) -> Result<Sighting> {
        if self.chosen.settings.mode == Mode::Bulk {
            // Every load is whole: what the table was before is nothing to it.
            return Ok(Sighting {
                storage: look.storage,
                ..Sighting::default()
            });
        }
        let mut session = self.source.session().await?;
        let mut now = sighting::sight(readable, look, session.as_mut()).await?;
        if let Some(head) = self.head.as_ref().filter(|_| !self.again) {
            let told = self.asked.iter().any(|(_, r)| r.verb == Verb::Restart);
            sighting::compare(self, head, &now, readable, session.as_mut(), told).await?;
            let was = head.sighting.as_ref();
            now.witness = was
                .filter(|was| !told || was.storage == now.storage)
                .and_then(|was| was.witness.clone());
        }
        Ok(now)
    }

    /// Whether the table is not as it was when this try began: another definition, other storage, or a counter
    /// that went back. Asked now and then; the next try finds out what it means.
    pub(super) async fn has_changed(
        &mut self,
        sending: &mut Sending,
        found: &Found,
        session: &mut dyn Session,
    ) -> Result<bool> {
        let last = self.looked_at.get_or_insert_with(Instant::now);
        if last.elapsed() < LOOK_EVERY {
            return Ok(false);
        }
        *last = Instant::now();
        let name = &self.chosen.name;
        match found.definition.compare(Depth::Storage).await? {
            Compared::Redefined => {
                tracing::info!(table = %name, "its definition has changed");
                return Ok(true);
            }
            Compared::Rewritten => {
                tracing::info!(table = %name, "its rows were written anew");
                return Ok(true);
            }
            Compared::Same => sending.is_whole(),
            Compared::SameDefinition => {}
        }
        let counter = sighting::counter(&found.readable, session).await?;
        let Some(sighting) = sending.head.sighting.as_mut().filter(|_| counter.is_some()) else {
            return Ok(false);
        };
        if counter < sighting.counter {
            return Ok(true);
        }
        sighting.counter = counter;
        Ok(false)
    }

    /// Whether the table's present columns go on from those that were sent.
    fn check_shape(&self, head: &Head, schema: &TableSchema) -> Result<()> {
        let Some(old) = head
            .fingerprint
            .as_deref()
            .filter(|old| *old != schema.fingerprint().as_str())
            .filter(|_| head.mode != Mode::Bulk)
        else {
            return Ok(());
        };
        let Some(old) = tokio::task::block_in_place(|| self.shared.schemas.find(old))? else {
            return Ok(());
        };
        let name = &self.chosen.name;
        match change::judge(&old, schema, &head.cursor_columns) {
            Verdict::GoesOn(seen) => {
                for seen in seen {
                    tracing::info!(table = %name, "it goes on: {seen}");
                }
                Ok(())
            }
            Verdict::Stops(seen) => Err(Error::new(
                Kind::Config,
                format!("the table has changed: {seen}"),
            )
            .code(crate::error::Code::TABLE_CHANGED)
            .hint(format!(
                "`cdc snapshot --again {name}` begins it anew as it is now; or undo the change, then `cdc restart \
                 {name}` goes on"
            ))),
        }
    }

    /// How far the sink must come so that everything sent of this table is in the lake: what this unit
    /// committed, and for other partitions all their topic holds.
    pub(super) fn ends(&self, sending: &Sending) -> Result<Vec<EndOffset>> {
        let mut ends = sending.end_offsets();
        let topic = self.chosen.topic.as_str();
        tokio::task::block_in_place(|| {
            let reader = PartitionReader::new(&self.shared.kafka, &self.shared.client_id, topic)?;
            for partition in 0..sending.head.partitions {
                if !ends.iter().any(|end| end.partition == partition) {
                    let offset = reader.end_of_records(partition)?.unsigned_abs();
                    let topic = topic.to_owned();
                    ends.push(EndOffset {
                        topic,
                        partition,
                        offset,
                    });
                }
            }
            Ok(ends)
        })
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

    /// The next try begins the table anew and answers this request when it is copied.
    pub(super) fn begin_again_for(&mut self, id: Ulid) {
        self.again = true;
        self.was_copied = false;
        self.asked_again.push(id);
    }

    /// Moves what has been asked meanwhile from the inbox to the list.
    pub(super) fn take_asked(&mut self) {
        while let Ok(asked) = self.inbox.try_recv() {
            self.take_up(asked);
        }
    }

    /// Waits for `pause`, or until something is asked.
    pub(super) async fn wait(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Some(asked) = self.inbox.recv() => self.take_up(asked),
        }
    }

    fn take_up(&mut self, asked: (Ulid, Request)) {
        if self.taken_up.insert(asked.0) {
            self.asked.push_back(asked);
        }
    }

    /// Answers what every table answers in the same way; gives back what depends on its mode.
    pub(super) async fn answer_plain(
        &mut self,
        sending: &mut Sending,
        id: Ulid,
        request: Request,
    ) -> Result<Option<(Ulid, Request)>> {
        let now = jiff::Timestamp::now().as_millisecond();
        let text = if request.expires_at < now {
            return sending
                .answer(
                    id,
                    &outcome(75, "the request expired before it was seen", Vec::new()),
                )
                .await
                .map(|()| None);
        } else {
            match request.verb {
                Verb::Pause => {
                    sending.head.paused = true;
                    "paused"
                }
                Verb::Resume => {
                    sending.head.paused = false;
                    "resumed"
                }
                Verb::Restart => {
                    sending.head.paused = false;
                    "restarted"
                }
                Verb::Once | Verb::Snapshot | Verb::SnapshotAgain | Verb::Replay => {
                    return Ok(Some((id, request)));
                }
            }
        };
        tracing::info!(table = %self.chosen.name, by = request.by, "{text}");
        sending
            .answer(id, &outcome(0, text, Vec::new()))
            .await
            .map(|()| None)
    }
}

/// An answer.
pub(super) fn outcome(exit: u8, text: impl Into<String>, end_offsets: Vec<EndOffset>) -> Outcome {
    Outcome {
        exit,
        text: text.into(),
        end_offsets,
        load: None,
        load_number: None,
        epoch: None,
        at: jiff::Timestamp::now().as_millisecond(),
    }
}

fn cursor_column_names(readable: &Readable) -> Vec<String> {
    let indexes = readable
        .columns
        .timestamp
        .iter()
        .chain(readable.columns.incrementing.iter());
    indexes
        .filter_map(|i| readable.table.schema.columns.get(*i))
        .map(|column| column.name.clone())
        .collect()
}
