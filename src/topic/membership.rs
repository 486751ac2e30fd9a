//! Taking part in the rebalances of the sink's group, and the offsets that are to be committed in it.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::Logged;

/// How long joining a group may take: a member that is gone is waited for until its session ends.
pub(super) const JOINING: Duration = Duration::from_secs(15);

/// A topic and one of its partitions.
pub type TopicPartition = (String, i32);

/// A change of what is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    Assigned(Vec<TopicPartition>),
    /// They are another's from now on.
    Revoked(Vec<TopicPartition>),
}

/// Takes part in the group's rebalances, on the polling thread.
pub(super) struct Membership {
    pub changes: Mutex<Sender<Ownership>>,
    pub commits: Arc<Commits>,
    pub joining: Arc<Joining>,
}

/// How far this member is on its way into the group.
///
/// To change what it is joined for before it is known to the group can end the process: librdkafka asserts that nobody
/// does. Once it is, such a change is put off until the rebalance is over. A member that left may join for anything.
#[derive(Default)]
pub(super) struct Joining(Mutex<Standing>);

#[derive(Clone, Copy, Default)]
enum Standing {
    /// It is no member, and does not want to be.
    #[default]
    Out,
    /// On its way since then.
    OnItsWay(Instant),
    /// It was assigned its part.
    In,
}

/// What may be done about what a member is joined for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Allowed,
    NotYet,
    /// It took too long; only after leaving.
    AfterLeaving,
}

impl Joining {
    fn locked(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It asks to be taken into the group. Nothing changes for one that is in.
    pub fn joins(&self) {
        let mut standing = self.locked();
        if matches!(*standing, Standing::Out) {
            *standing = Standing::OnItsWay(Instant::now());
        }
    }

    pub fn leaves(&self) {
        *self.locked() = Standing::Out;
    }

    fn is_assigned(&self) {
        let mut standing = self.locked();
        if !matches!(*standing, Standing::Out) {
            *standing = Standing::In;
        }
    }

    /// The part it had is taken: it joins again, unless it left.
    fn is_revoked(&self) {
        let mut standing = self.locked();
        if !matches!(*standing, Standing::Out) {
            *standing = Standing::OnItsWay(Instant::now());
        }
    }

    pub fn may_change(&self, patience: Duration) -> Change {
        match *self.locked() {
            Standing::Out | Standing::In => Change::Allowed,
            Standing::OnItsWay(since) if since.elapsed() > patience => Change::AfterLeaving,
            Standing::OnItsWay(_) => Change::NotYet,
        }
    }
}

/// Offsets to commit, by partition.
#[derive(Default)]
pub(super) struct Commits(Mutex<BTreeMap<TopicPartition, i64>>);

impl Commits {
    pub fn locked(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the offsets of all partitions, or of those named.
    pub fn take(&self, of: Option<&[TopicPartition]>) -> TopicPartitionList {
        let mut due = self.locked();
        let taken: Vec<_> = match of {
            None => std::mem::take(&mut *due).into_iter().collect(),
            Some(named) => named.iter().filter_map(|p| due.remove_entry(p)).collect(),
        };
        let mut list = TopicPartitionList::with_capacity(taken.len());
        for ((topic, partition), offset) in taken {
            // A topic's name was checked long ago, and the offset is not negative.
            let _ = list.add_partition_offset(&topic, partition, Offset::Offset(offset));
        }
        list
    }

    /// Puts offsets back whose commit failed, unless newer ones wait.
    pub fn put_back(&self, list: &TopicPartitionList) {
        let mut due = self.locked();
        for element in list.elements() {
            if let Offset::Offset(offset) = element.offset() {
                due.entry((element.topic().to_owned(), element.partition()))
                    .or_insert(offset);
            }
        }
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logged.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logged.error(error, reason);
    }
}

impl Membership {
    fn tell(&self, change: Ownership) {
        // The polling thread holds the other end for as long as it polls.
        let _ = self
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(change);
    }

    fn assigned(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        // A place that needs no committed offset: nothing is read before the seek that follows.
        list.set_all_offsets(Offset::Beginning)?;
        consumer.incremental_assign(list)?;
        consumer.pause(list)?;
        self.joining.is_assigned();
        self.tell(Ownership::Assigned(partitions(list)));
        Ok(())
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let gone = partitions(list);
        let last = self.commits.take(Some(&gone));
        if last.count() > 0 && !consumer.assignment_lost() {
            // The next owner starts sooner with it, and correctly without it.
            if let Err(error) = consumer.commit(&last, CommitMode::Sync) {
                tracing::debug!(%error, "the last offsets were not committed");
            }
        }
        self.joining.is_revoked();
        self.tell(Ownership::Revoked(gone));
        consumer.incremental_unassign(list)
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            _ => self.revoked(consumer, list),
        };
        if let Err(error) = done {
            tracing::error!(%error, "taking part in a rebalance failed");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => {
                tracing::debug!(%error, "offsets were not committed; they are sent again");
                self.commits.put_back(offsets);
            }
        }
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        rdkafka::util::Timeout::After(Duration::from_millis(100))
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    let named = elements
        .iter()
        .map(|e| (e.topic().to_owned(), e.partition()));
    named.collect()
}

pub(super) fn list_of(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}
