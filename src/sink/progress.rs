//! How far the sink is, for everybody who waits for it or shows it.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::loads::FailedLoad;
use super::records::PartitionId;
use crate::error::{Error, Kind, Result};
use crate::lake::CurrentLoad;
use crate::model::TopicName;

/// How far the sink is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SinkProgress {
    pub partitions: BTreeMap<PartitionId, PartitionProgress>,
    /// The current bulk load of each topic that this worker looked at.
    pub loads: BTreeMap<TopicName, CurrentLoad>,
    /// The newest load of each topic that will never become the current one, and why, while no newer one is.
    pub failed_loads: BTreeMap<TopicName, FailedLoad>,
    /// The epoch below which this worker deleted a topic's files, its own partitions being past them.
    pub swept: BTreeMap<TopicName, u64>,
}

impl SinkProgress {
    /// Whether all these topics' current loads have these numbers or higher ones, or one of them never will;
    /// `None` while neither is known.
    pub(super) fn loaded(&self, wanted: &[(TopicName, u64)]) -> Option<Result<()>> {
        let mut all = true;
        for (topic, number) in wanted {
            let current = self.loads.get(topic).map(|current| current.load);
            if current >= Some(*number) {
                continue;
            }
            if let Some(failed) = self.failed_loads.get(topic)
                && failed.number >= *number
            {
                let doing = format!(
                    "load {} of `{topic}` will not become the current one: {}",
                    failed.number, failed.why
                );
                let error = Error::new(Kind::Data, doing)
                    .hint("the load before it stays; `cdc snapshot` copies the table again");
                return Some(Err(error));
            }
            all = false;
        }
        all.then_some(Ok(()))
    }

    /// Whether the files of all these topics below these epochs are deleted; `None` while they are not.
    pub(super) fn swept_below(&self, wanted: &[(TopicName, u64)]) -> Option<Result<()>> {
        let done = |(topic, below): &(TopicName, u64)| self.swept.get(topic) >= Some(below);
        wanted.iter().all(done).then_some(Ok(()))
    }
}

/// How far one partition is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionProgress {
    /// Every record below this offset is in the lake.
    pub committed: u64,
    /// What the group had committed when the lake did not have it.
    pub group_offset: u64,
    /// The log's end, as last seen.
    pub high: u64,
    /// Rows this worker wrote since it started.
    pub rows: u64,
    /// The last file it wrote, relative to the lake's root.
    pub last_file: Option<String>,
    /// What holds it up now; it is tried again by itself.
    pub held_up: Option<String>,
    /// Why it stopped and is not read any further.
    pub stopped: Option<String>,
    /// The offset of the first record that was not taken, where it stopped at one.
    pub stopped_at: Option<u64>,
    /// The same for people, while it stands still or is held up.
    pub trouble: Option<Trouble>,
    /// Whether this worker owns it.
    pub assigned: bool,
    /// Whether it was taken over, and is read.
    pub is_read: bool,
}

/// What keeps a partition out of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub text: String,
    /// By what `cdc explain` knows it.
    pub code: String,
    pub next_step: Option<String>,
    /// Whether it is tried again by itself.
    pub is_retried: bool,
    /// Whether something in the log or a plan made for it is at fault.
    pub is_skippable: bool,
    /// Milliseconds since 1970 when it began.
    pub since: i64,
}

impl PartitionProgress {
    /// Nothing is known to keep it out of the lake.
    pub fn forget_trouble(&mut self) {
        (self.stopped, self.stopped_at, self.held_up) = (None, None, None);
        self.trouble = None;
    }

    /// Something keeps it out of the lake: since when it does so is kept while it does.
    pub fn note_trouble(&mut self, error: &Error, is_retried: bool) {
        let since = self.trouble.as_ref().map(|trouble| trouble.since);
        self.is_read = false;
        self.trouble = Some(Trouble {
            text: error.to_string(),
            code: error.stable_code().to_string(),
            next_step: error.next_step().map(str::to_owned),
            is_retried,
            is_skippable: error.kind() == Kind::Data && !is_retried,
            since: since.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond()),
        });
    }
}

/// The side that reports.
#[derive(Clone, Debug)]
pub struct Reporter(watch::Sender<SinkProgress>);

impl Reporter {
    pub fn new() -> (Self, watch::Receiver<SinkProgress>) {
        let (sender, receiver) = watch::channel(SinkProgress::default());
        (Reporter(sender), receiver)
    }

    /// Changes what is reported of one partition.
    pub fn of(&self, id: &PartitionId, change: impl FnOnce(&mut PartitionProgress)) {
        self.0.send_modify(|progress| {
            if let Some(known) = progress.partitions.get_mut(id) {
                change(known);
            } else {
                change(progress.partitions.entry(id.clone()).or_default());
            }
        });
    }

    /// Reports the current load of a topic; tells whether it is another one than before.
    pub fn load(&self, topic: &TopicName, current: &CurrentLoad) -> bool {
        self.0.send_if_modified(|progress| {
            let changed = progress.loads.get(topic) != Some(current);
            if changed {
                progress.loads.insert(topic.clone(), current.clone());
            }
            changed
        })
    }

    /// Reports the load of a topic that failed, if one did; tells whether that is news.
    pub fn failed_load(&self, topic: &TopicName, failed: Option<FailedLoad>) -> bool {
        self.0.send_if_modified(|progress| {
            let changed = progress.failed_loads.get(topic) != failed.as_ref();
            if changed {
                match failed {
                    Some(failed) => progress.failed_loads.insert(topic.clone(), failed),
                    None => progress.failed_loads.remove(topic),
                };
            }
            changed
        })
    }

    /// The offset below which everything of each owned partition of a topic is in the lake.
    pub fn owned(&self, topic: &TopicName) -> BTreeMap<i32, u64> {
        let progress = self.0.borrow();
        let owned = progress
            .partitions
            .iter()
            .filter(|(id, p)| id.topic == *topic && p.assigned);
        owned.map(|(id, p)| (id.number, p.committed)).collect()
    }

    /// Whether nothing below these offsets is on its way into the lake any more, in the partitions owned.
    pub fn is_past(&self, topic: &TopicName, start: &[u64]) -> bool {
        let progress = self.0.borrow();
        let mut owned = progress
            .partitions
            .iter()
            .filter(|(id, p)| id.topic == *topic && p.assigned);
        owned.all(|(id, p)| {
            let start = usize::try_from(id.number).ok().and_then(|n| start.get(n));
            // One that stands still puts nothing.
            p.stopped.is_some() || p.committed >= start.copied().unwrap_or(0)
        })
    }

    /// Whether a topic's files below an epoch were deleted.
    pub fn is_swept(&self, topic: &TopicName, below: u64) -> bool {
        let progress = self.0.borrow();
        progress.swept.get(topic).is_some_and(|at| *at >= below)
    }

    /// Reports that a topic's files below an epoch were deleted.
    pub fn swept(&self, topic: &TopicName, below: u64) {
        self.0.send_modify(|progress| {
            progress.swept.insert(topic.clone(), below);
        });
    }

    /// Whether a partition is in the lake up to an offset.
    pub fn reached(&self, id: &PartitionId, offset: u64) -> bool {
        let progress = self.0.borrow();
        progress
            .partitions
            .get(id)
            .is_some_and(|p| p.committed >= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_load_ends_with_it_a_later_one_or_the_reason_why_there_is_none() {
        let topic = TopicName::new("retail.orders").expect("a name");
        let mut progress = SinkProgress::default();
        let loaded = |progress: &SinkProgress, number| {
            let known = progress.loaded(&[(topic.clone(), number)]);
            known.map(|known| known.map_err(|error| error.to_string()))
        };
        assert_eq!(loaded(&progress, 3), None);
        let failed = FailedLoad {
            number: 3,
            why: "rows are missing".to_owned(),
            was_cut_off: false,
        };
        progress.failed_loads.insert(topic.clone(), failed);
        let error = loaded(&progress, 3).expect("known").expect_err("it failed");
        assert!(error.contains("rows are missing"), "{error}");
        assert_eq!(loaded(&progress, 4), None);
        let current = CurrentLoad {
            v: 1,
            load: 4,
            ulid: String::new(),
            path: String::new(),
            rows: 0,
            switched_at: String::new(),
        };
        progress.loads.insert(topic.clone(), current);
        assert_eq!(loaded(&progress, 3), Some(Ok(())));
        assert_eq!(loaded(&progress, 4), Some(Ok(())));
        assert_eq!(loaded(&progress, 5), None);
    }

    #[test]
    fn a_topic_is_past_an_epoch_when_no_partition_of_this_worker_can_put_a_file_of_it() {
        let (reporter, _progress) = Reporter::new();
        let topic = TopicName::new("retail.orders").expect("a name");
        let id = |number| PartitionId {
            topic: topic.clone(),
            number,
        };
        let past = || reporter.is_past(&topic, &[8, 8, 8]);
        assert!(past());
        reporter.of(&id(0), |p| (p.assigned, p.committed) = (true, 8));
        reporter.of(&id(1), |p| (p.assigned, p.committed) = (true, 7));
        assert!(!past());
        reporter.of(&id(1), |p| p.stopped = Some("a hole".to_owned()));
        reporter.of(&id(2), |p| p.committed = 1);
        assert!(past());
    }
}
