//! Giving up what is in a stopped partition's way: which stretch of the log, what is lost with it, and the plan
//! that says so. The plan is the decision; whoever owns the partition finds it and goes on behind it.

use bytes::Bytes;
use serde::Serialize;

use super::book::Book;
use super::chunk::{Expected, REPEATS, step};
use super::owner;
use super::records::{Head, PartitionId};
use super::resume::{Resume, Retirement, needed};
use super::sent::may_lack_its_end;
use super::stored::{PlanKey, SkipPlan, Stored};
use super::take_over::{Bounds, own_keys, plan_keys, read, take_over};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::lake::{Plan, PutOutcome, Store};
use crate::model::{TableName, TopicName};
use crate::state::{PipelineNames, StopRecord};
use crate::topic::{Admin, Compacted, PartitionReader};
use crate::wire::RUN_HEADER;

/// What would be given up so that a partition goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipping {
    pub topic: String,
    pub partition: i32,
    pub epoch: u64,
    /// Reading goes on at `end`; records of `[start, end)` are not brought into the lake.
    pub start: u64,
    pub end: u64,
    /// Records of the log that are given up.
    pub records: u64,
    /// Rows of a chunk that was decided and cannot be finished: some of them may be in the lake.
    pub unfinished_rows: u64,
    /// Sequence numbers of the table that the lake will not have: the first, and the one behind the last.
    pub missing: Option<(u64, u64)>,
    /// The number that must come next, where no record of the table is given up.
    #[serde(skip)]
    pub next_sequence: Option<u64>,
    /// Why the partition stands still.
    pub because: String,
}

/// The search for the first run with which reading can go on. Pure.
#[derive(Clone, Debug)]
struct Search {
    expected: Expected,
    /// The run that may come next is itself at fault.
    is_suspect: bool,
    lost: u64,
    /// Whether what was given up holds, or may hold, a run of the table.
    has_lost_run: bool,
    /// The first run that was looked at is the one that must come.
    goes_on_as_it_should: bool,
    /// Behind the last record that was looked at.
    end: u64,
    found: Option<(u64, u64)>,
}

impl Search {
    fn new(expected: Expected, is_suspect: bool, from: u64) -> Self {
        Search {
            expected,
            is_suspect,
            lost: 0,
            has_lost_run: false,
            goes_on_as_it_should: false,
            end: from,
            found: None,
        }
    }

    /// Looks at the next record.
    fn take(&mut self, offset: u64, head: &Head) {
        if self.found.is_some() {
            return;
        }
        if let Head::Run(run) = head {
            let is_next = step(self.expected, run).is_ok();
            self.goes_on_as_it_should |= is_next && self.lost == 0;
            let goes_on = run.epoch > self.expected.epoch
                || run.epoch == self.expected.epoch && Some(run.first) >= self.expected.sequence;
            if goes_on && !(is_next && self.is_suspect) {
                self.found = Some((run.epoch, run.first));
                self.end = offset;
                return;
            }
            self.has_lost_run = true;
        }
        // It may be a run that a newer version wrote.
        self.has_lost_run |= matches!(head, Head::Unreadable);
        self.is_suspect = false;
        self.lost += 1;
        self.end = offset + 1;
    }

    /// The number that must come next: known while nothing but records of others was given up.
    fn next_sequence(&self) -> Option<u64> {
        let is_known = self.found.is_none() && !self.has_lost_run;
        self.expected.sequence.filter(|_| is_known)
    }

    /// The sequence numbers that are missing before the run that was found, where they can be told.
    fn missing(&self) -> Option<(u64, u64)> {
        let (epoch, first) = self.found?;
        let expected = self.expected.sequence?;
        (epoch == self.expected.epoch && first > expected).then_some((expected, first))
    }
}

/// Where the search begins.
struct Place {
    /// Where the skip begins: the start of a plan that does not exist yet.
    start: u64,
    /// The first record that is looked at.
    from: u64,
    expected: Expected,
    is_suspect: bool,
    unfinished_rows: u64,
}

/// Everything that is needed to look, and to decide.
pub struct Skipper<'a> {
    pub kafka: &'a KafkaSettings,
    pub client_id: &'a str,
    pub pipeline: &'a str,
    pub store: &'a dyn Store,
    pub table: &'a TableName,
    pub topic: TopicName,
    pub partition: i32,
}

impl Skipper<'_> {
    fn id(&self) -> PartitionId {
        PartitionId {
            topic: self.topic.clone(),
            number: self.partition,
        }
    }

    /// Finds out what is in the partition's way. `No` if it does not stand still, or skipping does not help.
    pub async fn look(&self) -> Result<Skipping> {
        let (book, bounds) =
            tokio::task::block_in_place(|| Ok::<_, Error>((self.book()?, self.bounds()?)))?;
        let head_key = self.table.head_key();
        let stop = book.stop(&head_key, self.partition).cloned();
        let stop = stop.filter(|stop| stop.topic == self.topic.as_str());
        let stop = self.may_skip(stop)?;
        if bounds.hint.is_some_and(|hint| hint > stop.stands_at()) {
            return Err(self
                .no("it has gone on since it stood still")
                .hint("`cdc status` shows how it fares"));
        }
        let id = self.id();
        let keys = plan_keys(self.store, self.topic.as_str()).await?;
        let retired = book.retirement(&head_key, self.partition);
        let raised = book.raised(&head_key, self.partition);
        let resume = take_over(self.store, &id, &keys, bounds, retired, raised).await?;
        let place = match resume {
            // Nothing is left in the log that could tell.
            Resume::Read { .. } if may_lack_its_end(&bounds) => {
                match self.behind_retention(&keys, bounds, retired).await? {
                    Some(place) => place,
                    None => return Err(self.no(&stop.text).hint(only_anew(self.table))),
                }
            }
            Resume::Read { at, expected } if at >= stop.stands_at() => Place {
                start: at,
                from: at,
                expected,
                is_suspect: true,
                unfinished_rows: 0,
            },
            Resume::Redo(plan) if plan.start >= stop.stands_at() => {
                behind_unfinished(&plan, plan.end)
            }
            Resume::Read { .. } | Resume::Redo(_) => {
                return Err(
                    Error::new(Kind::TryLater, "a chunk is on its way into the lake")
                        .about(&id)
                        .hint("try again in a few seconds"),
                );
            }
            Resume::Stop(stop) => match self.behind_retention(&keys, bounds, retired).await? {
                Some(place) => place,
                None => return Err(self.no(&stop.why).hint(only_anew(self.table))),
            },
        };
        let search = tokio::task::block_in_place(|| self.search(&place, bounds.high))?;
        let looked_at_all = place.unfinished_rows == 0;
        if looked_at_all && search.goes_on_as_it_should && stop.text.contains(REPEATS) {
            return Err(self
                .no("what comes next in the log is in order")
                .hint("stop `cdc follow` and start it again: it goes on from there"));
        }
        let mut start = place.start;
        let is_taken = |key: &PlanKey| {
            (key.epoch, key.partition, key.start)
                == (place.expected.epoch, self.partition, place.start)
        };
        if keys.iter().any(is_taken) {
            // A skip that gave up no record: what comes behind it stands still again.
            start = search.end;
            if start == place.start {
                return Err(self.no("it was skipped already, and nothing is behind it yet"));
            }
        }
        Ok(Skipping {
            topic: self.topic.to_string(),
            partition: self.partition,
            epoch: place.expected.epoch,
            start,
            end: search.end.max(start),
            records: search.lost,
            unfinished_rows: place.unfinished_rows,
            missing: search.missing(),
            next_sequence: search.next_sequence(),
            because: stop.text,
        })
    }

    /// Where reading can go on after retention deleted records that were not in the lake. `None` where that is not
    /// what stops the partition: the plans and the committed offset must agree.
    async fn behind_retention(
        &self,
        keys: &[PlanKey],
        bounds: Bounds,
        retired: Option<Retirement>,
    ) -> Result<Option<Place>> {
        let id = self.id();
        let needed = needed(&own_keys(&id, keys), bounds.hint, retired);
        let Some(newest) = read(self.store, &id, needed.newest).await? else {
            return Ok(None);
        };
        let before = read(self.store, &id, needed.before_hint).await?;
        let is_border = |hint: u64| {
            let ends = [Some(&newest), before.as_ref()];
            needed.at_hint || ends.into_iter().flatten().any(|plan| plan.end() == hint)
        };
        let agree = newest.end() <= bounds.high && bounds.hint.is_none_or(is_border);
        Ok(match newest {
            Stored::Chunk(plan)
                if agree && plan.start < bounds.low && bounds.hint != Some(plan.end) =>
            {
                Some(behind_unfinished(&plan, plan.end.max(bounds.low)))
            }
            stored if agree && stored.end() < bounds.low => Some(Place {
                start: stored.end(),
                from: bounds.low,
                expected: Expected {
                    sequence: None,
                    ..stored.expected_behind()
                },
                is_suspect: false,
                unfinished_rows: 0,
            }),
            _ => None,
        })
    }

    /// Writes the plan. From then on the stretch is given up.
    pub async fn write(&self, skipping: &Skipping) -> Result<()> {
        let cluster =
            tokio::task::block_in_place(|| Admin::new(self.kafka, self.client_id)?.cluster_id())?;
        owner::claim(self.store, &cluster, self.pipeline).await?;
        let plan = SkipPlan {
            v: 1,
            skip: true,
            epoch: skipping.epoch,
            start: skipping.start,
            end: skipping.end,
            next_sequence: skipping.next_sequence,
            reason: skipping.because.clone(),
        };
        let path = Plan::path(&skipping.topic, plan.epoch, self.partition, plan.start);
        let body = serde_json::to_vec(&plan)
            .map_err(|e| Error::new(Kind::Bug, "writing a plan").because(e))?;
        match self.store.put_new(&path, Bytes::from(body)).await? {
            PutOutcome::Created => Ok(()),
            _ => Err(Error::new(
                Kind::TryLater,
                "somebody else has decided about these records",
            )
            .about(self.store.location(&path))
            .hint("`cdc status` shows whether the partition goes on")),
        }
    }

    /// Whether the record that tells of the stop is still there.
    pub fn stands_still(&self) -> Result<bool> {
        let head_key = self.table.head_key();
        Ok(self.book()?.stop(&head_key, self.partition).is_some())
    }

    fn may_skip(&self, stop: Option<StopRecord>) -> Result<StopRecord> {
        match stop {
            None => Err(self
                .no("it does not stand still, as far as anybody has told")
                .hint("`cdc status` shows the partitions that do")),
            Some(stop) if stop.is_retried || !stop.is_skippable => {
                let error = self.no(&format!("nothing in the log is at fault: {}", stop.text));
                Err(match stop.next_step {
                    Some(next) => error.hint(next),
                    None => error.hint("it goes on by itself once that is mended"),
                })
            }
            Some(stop) => Ok(stop),
        }
    }

    fn no(&self, why: &str) -> Error {
        Error::new(
            Kind::No,
            format!(
                "partition {} of {} is not skipped: {why}",
                self.partition, self.table
            ),
        )
    }

    fn book(&self) -> Result<Book> {
        let names = PipelineNames::new(self.pipeline);
        let mut book = Book::default();
        let topic = Compacted::open_if_there(self.kafka, self.client_id, &names.loads_topic)?;
        for (key, value) in topic.iter().flat_map(Compacted::iter) {
            book.apply(key, value)?;
        }
        Ok(book)
    }

    fn bounds(&self) -> Result<Bounds> {
        let names = PipelineNames::new(self.pipeline);
        let place = (self.topic.to_string(), self.partition);
        let admin = Admin::new(self.kafka, self.client_id)?;
        let (low, high) = admin.bounds(self.topic.as_str(), self.partition)?;
        let committed = admin.committed(&names.sink_group, std::slice::from_ref(&place))?;
        Ok(Bounds {
            hint: committed.get(&place).copied(),
            low: low.unsigned_abs(),
            high: high.unsigned_abs(),
        })
    }

    fn search(&self, place: &Place, high: u64) -> Result<Search> {
        let mut search = Search::new(place.expected, place.is_suspect, place.from);
        let reader = PartitionReader::new(self.kafka, self.client_id, self.topic.as_str())?;
        let range = (i64_of(place.from), i64_of(high));
        reader.read_headed(self.partition, range, RUN_HEADER, |offset, header| {
            search.take(offset.unsigned_abs(), &Head::parse(header));
            search.found.is_none()
        })?;
        Ok(search)
    }
}

fn i64_of(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// A chunk that cannot be finished is given up, and what comes behind it is good.
fn behind_unfinished(plan: &Plan, from: u64) -> Place {
    Place {
        start: plan.end,
        from,
        expected: Expected {
            epoch: plan.epoch,
            sequence: Some(plan.next_sequence),
        },
        is_suspect: false,
        unfinished_rows: plan.next_sequence - plan.first_sequence,
    }
}

/// What somebody can do about a partition whose log is at fault.
pub fn way_out(table: &TableName, partition: i32) -> String {
    format!(
        "nothing is dropped or guessed here; `cdc offsets skip {table} --partition {partition}` says what giving it \
         up would lose, and asks; `cdc snapshot --again {table}` copies the table anew"
    )
}

/// The same where no record could be given up that would mend it.
pub fn only_anew(table: &TableName) -> String {
    format!(
        "if `lake.url` names another lake than before, correct it; else `cdc snapshot --again {table}` copies the \
         table anew: no record can be skipped that would mend this"
    )
}

/// Whether the newest plan of a partition gives a stretch up and is another one than `known`.
pub async fn skipped_since(
    store: &dyn Store,
    id: &PartitionId,
    known: Option<PlanKey>,
) -> Result<bool> {
    let keys = own_keys(id, &plan_keys(store, id.topic.as_str()).await?);
    let newest = needed(&keys, None, None).newest;
    if newest == known {
        return Ok(false);
    }
    Ok(matches!(
        read(store, id, newest).await?,
        Some(Stored::Skip(_))
    ))
}

#[cfg(test)]
#[path = "skip_tests.rs"]
mod tests;
