//! What stands still, for everybody to see: a record of the loads topic for each partition that does not get into
//! the lake, written by its owner and removed when it is read again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::SinkTable;
use super::book::Book;
use super::desk::Books;
use super::progress::{PartitionProgress, SinkProgress};
use super::records::PartitionId;
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::state::StopRecord;
use crate::topic::Appender;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is tried again by itself is told once it lasts longer than this.
const WORTH_TELLING_MS: i64 = 3_000;
/// How long the last words of a sink that ends may take.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What was handed to the broker for a partition, until the loads topic shows it.
type Sent = HashMap<PartitionId, Option<StopRecord>>;

/// The task that tells.
pub struct Stops {
    pub kafka: KafkaSettings,
    pub client_id: String,
    pub loads_topic: String,
    pub books: Books,
    pub tables: watch::Receiver<Vec<SinkTable>>,
    pub progress: watch::Receiver<SinkProgress>,
}

impl Stops {
    /// Tells until stopped, and once more then: what ended a command is told, too.
    pub async fn work(self, stop: CancellationToken) {
        let mut sent = Sent::new();
        let mut appender = None;
        loop {
            let stopped = tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => false,
                () = stop.cancelled() => true,
            };
            let due = self.due(&mut sent);
            if !due.is_empty() {
                let writing = self.write(due, &mut sent, &mut appender);
                if tokio::time::timeout(LAST_WORDS, writing).await.is_err() {
                    tracing::debug!("what stands still could not be told in time");
                }
            }
            if stopped {
                return;
            }
        }
    }

    /// The records that are to be written (`None`: removed), by partition.
    fn due(&self, sent: &mut Sent) -> Vec<(PartitionId, String, Option<StopRecord>)> {
        let Some(book) = self.books.borrow().clone() else {
            return Vec::new();
        };
        let tables = self.tables.borrow();
        let keys: BTreeMap<&str, String> = tables
            .iter()
            .map(|table| (table.topic.as_str(), table.name.head_key()))
            .collect();
        let now = jiff::Timestamp::now().as_millisecond();
        let worker = self.client_id.split('.').nth(2).unwrap_or_default();
        let progress = self.progress.borrow();
        let mut due = Vec::new();
        for (id, partition) in progress.partitions.iter().filter(|(_, p)| p.assigned) {
            let Some(head_key) = keys.get(id.topic.as_str()) else {
                continue;
            };
            let Some(wanted) = wanted(id, partition, worker, now) else {
                continue;
            };
            if is_news(&book, head_key, id, wanted.as_ref(), sent) {
                due.push((id.clone(), StopRecord::key(head_key, id.number), wanted));
            }
        }
        due
    }

    async fn write(
        &self,
        due: Vec<(PartitionId, String, Option<StopRecord>)>,
        sent: &mut Sent,
        appender: &mut Option<Arc<Appender>>,
    ) {
        let open = match appender.clone() {
            Some(open) => Ok(open),
            None => Appender::open(&self.kafka, &self.client_id).map(Arc::new),
        };
        let topic = self.loads_topic.clone();
        let written = match open {
            Err(error) => Err(error),
            Ok(open) => {
                *appender = Some(open.clone());
                let writing = due.clone();
                let task = tokio::task::spawn_blocking(move || append(&open, &topic, &writing));
                task.await
                    .unwrap_or_else(|_| Err(Error::new(Kind::Bug, "telling what stands still")))
            }
        };
        match written {
            Ok(()) => sent.extend(due.into_iter().map(|(id, _, record)| (id, record))),
            Err(error) => tracing::warn!(%error, "what stands still cannot be told now"),
        }
    }
}

/// What should be written about a partition; `None` while nothing is known of it.
fn wanted(
    id: &PartitionId,
    partition: &PartitionProgress,
    worker: &str,
    now: i64,
) -> Option<Option<StopRecord>> {
    let Some(trouble) = &partition.trouble else {
        // One that is being taken over may meet the same trouble again.
        return partition.is_read.then_some(None);
    };
    if trouble.is_retried && now - trouble.since < WORTH_TELLING_MS {
        return None;
    }
    Some(Some(StopRecord {
        v: 1,
        topic: id.topic.to_string(),
        offset: partition.committed,
        group_offset: Some(partition.group_offset).filter(|at| *at > partition.committed),
        text: trouble.text.clone(),
        code: Some(trouble.code.clone()),
        next_step: trouble.next_step.clone(),
        is_retried: trouble.is_retried,
        is_skippable: trouble.is_skippable,
        since: trouble.since,
        worker: worker.to_owned(),
    }))
}

/// Whether neither the topic nor what is on its way there says it already.
fn is_news(
    book: &Book,
    head_key: &str,
    id: &PartitionId,
    wanted: Option<&StopRecord>,
    sent: &mut Sent,
) -> bool {
    let known = book.stop(head_key, id.number);
    if let Some(on_its_way) = sent.get(id) {
        if is_same(on_its_way.as_ref(), known) {
            sent.remove(id);
        } else {
            return !is_same(on_its_way.as_ref(), wanted);
        }
    }
    !is_same(known, wanted)
}

/// Whether people learn the same from both.
fn is_same(a: Option<&StopRecord>, b: Option<&StopRecord>) -> bool {
    let told = |record: &StopRecord| {
        (
            record.text.clone(),
            record.code.clone(),
            record.next_step.clone(),
            record.is_retried,
            record.is_skippable,
            record.stands_at(),
        )
    };
    a.map(told) == b.map(told)
}

fn append(
    appender: &Appender,
    topic: &str,
    records: &[(PartitionId, String, Option<StopRecord>)],
) -> Result<()> {
    for (_, key, record) in records {
        let value = record
            .as_ref()
            .and_then(|record| serde_json::to_vec(record).ok());
        appender.append(topic, 0, key.as_bytes(), value.as_deref())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicName;

    fn id() -> PartitionId {
        PartitionId {
            topic: TopicName::new("retail.orders").expect("a name"),
            number: 2,
        }
    }

    fn failing(kind: Kind, is_retried: bool) -> PartitionProgress {
        let mut progress = PartitionProgress::default();
        progress.note_trouble(&Error::new(kind, "putting a file"), is_retried);
        progress
    }

    #[test]
    fn what_passes_is_told_once_it_lasts_and_what_does_not_at_once() {
        let stopped = failing(Kind::Data, false);
        let since = stopped.trouble.as_ref().expect("a trouble").since;
        let told = wanted(&id(), &stopped, "till-1", since).flatten();
        assert_eq!(told.expect("told").text, "putting a file");

        let held_up = failing(Kind::Unavailable, true);
        let since = held_up.trouble.as_ref().expect("a trouble").since;
        assert_eq!(wanted(&id(), &held_up, "till-1", since), None);
        let later = wanted(&id(), &held_up, "till-1", since + WORTH_TELLING_MS);
        assert!(later.flatten().expect("told").is_retried);
    }

    #[test]
    fn what_stands_still_from_the_beginning_is_told_of_the_offset_that_the_group_has() {
        let stopped = PartitionProgress {
            group_offset: 500,
            ..failing(Kind::Data, false)
        };
        let told = wanted(&id(), &stopped, "till-1", i64::MAX).flatten();
        let told = told.expect("told");
        assert_eq!((told.offset, told.stands_at()), (0, 500));
    }

    #[test]
    fn a_record_is_removed_when_the_partition_is_read_again_and_not_before() {
        let mut progress = failing(Kind::Data, false);
        let record = wanted(&id(), &progress, "till-1", i64::MAX).flatten();
        let record = record.expect("told");
        let head_key = "t/ec/public/orders";
        let mut book = Book::default();
        let mut sent = Sent::new();
        assert!(is_news(&book, head_key, &id(), Some(&record), &mut sent));
        // On its way: it is not written twice.
        sent.insert(id(), Some(record.clone()));
        assert!(!is_news(&book, head_key, &id(), Some(&record), &mut sent));
        let key = StopRecord::key(head_key, 2);
        let value = serde_json::to_vec(&record).expect("JSON");
        book.apply(key.as_bytes(), &value).expect("a record");
        assert!(!is_news(&book, head_key, &id(), Some(&record), &mut sent));

        progress.forget_trouble();
        assert_eq!(wanted(&id(), &progress, "till-1", i64::MAX), None);
        progress.is_read = true;
        assert_eq!(wanted(&id(), &progress, "till-1", i64::MAX), Some(None));
        assert!(is_news(&book, head_key, &id(), None, &mut sent));
        book.remove(key.as_bytes());
        assert!(!is_news(&book, head_key, &id(), None, &mut sent));
    }
}
