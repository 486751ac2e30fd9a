//! The task that takes over one partition: it asks Kafka and the lake, and answers where to read.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::chunk::Expected;
use super::desk::Books;
use super::records::PartitionId;
use super::resume::{Resume, Stop, needed};
use super::sent::{Memories, may_lack_its_end, missing};
use super::stored::PlanKey;
use super::take_over::{Bounds, outlived_plans, own_keys, plan_keys, take_over};
use super::writer::Life;
use crate::error::{Error, Fate, Kind, Result};
use crate::lake::Store;
use crate::retry::Backoff;
use crate::topic::{FIRST_MOMENTS, Questions, is_not_known_yet};

/// A broker that has just become leader may not know its log's end yet: a stop is believed only when it is
/// found again.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// One partition that is being taken over.
pub struct Taking {
    pub id: PartitionId,
    pub life: Life,
    pub head_key: String,
    pub store: Arc<dyn Store>,
    pub books: Books,
    pub memories: Memories,
    pub questions: Questions,
    pub answer: Sender<Taken>,
    /// How many talk to the store at one time.
    pub at_once: Arc<Semaphore>,
}

/// What came of it.
pub struct Taken {
    pub id: PartitionId,
    pub life: Life,
    /// The epoch the loads topic announced for its table when it was looked at.
    pub epoch: Option<u64>,
    /// The newest plan it found.
    pub newest: Option<PlanKey>,
    /// What the group has committed, 0 for nothing; `None` where that was not heard.
    pub group_offset: Option<u64>,
    pub resume: Result<(Resume, Bounds)>,
}

/// What was known when it was decided.
#[derive(Default)]
struct Known {
    epoch: Option<u64>,
    newest: Option<PlanKey>,
    group_offset: Option<u64>,
}

impl Taking {
    /// Asks until there is an answer, or the reason is one that does not pass.
    pub async fn run(mut self) {
        let (began, mut backoff) = (Instant::now(), Backoff::default());
        let mut doubted = false;
        let mut found = Known::default();
        let resume = loop {
            match self.look(&mut found).await {
                Ok((Resume::Stop(_), _)) if !doubted => {
                    doubted = true;
                    tokio::time::sleep(SECOND_LOOK).await;
                }
                Err(error) if error.kind().fate() == Fate::Retry => {
                    let is_new = began.elapsed() < FIRST_MOMENTS && is_not_known_yet(&error);
                    match is_new {
                        true => tracing::debug!(partition = %self.id, %error, "is not known yet"),
                        false => {
                            tracing::warn!(partition = %self.id, %error, "cannot be taken over now")
                        }
                    }
                    tokio::time::sleep(backoff.after_failure()).await;
                }
                settled => break settled,
            }
        };
        let (id, life) = (self.id, self.life);
        let _ = self.answer.send(Taken {
            id,
            life,
            epoch: found.epoch,
            newest: found.newest,
            group_offset: found.group_offset,
            resume,
        });
    }

    async fn look(&mut self, known: &mut Known) -> Result<(Resume, Bounds)> {
        let (retired, raised) = {
            let read = self.books.wait_for(Option::is_some).await;
            let read =
                read.map_err(|_| Error::new(Kind::Unavailable, "reading the loads topic"))?;
            let book = read.as_ref();
            known.epoch = book.and_then(|book| Some(book.epoch(&self.head_key)?.epoch));
            let retired = book.and_then(|book| book.retirement(&self.head_key, self.id.number));
            let raised = book.and_then(|book| book.raised(&self.head_key, self.id.number));
            (retired, raised)
        };
        let _permit = self.at_once.clone().acquire_owned().await.ok();
        let bounds = self.bounds().await?;
        known.group_offset = Some(bounds.hint.unwrap_or_default());
        let store = self.store.as_ref();
        let keys = plan_keys(store, self.id.topic.as_str()).await?;
        known.newest = needed(&own_keys(&self.id, &keys), None, None).newest;
        let mut resume = take_over(store, &self.id, &keys, bounds, retired, raised).await?;
        if may_lack_its_end(&bounds)
            && let Resume::Read { expected, .. } = &resume
            && let Some(lost) = self.lost_at_the_end(*expected).await?
        {
            let why = format!(
                "the log is empty and begins at {}: retention deleted {lost} records that are not in the lake",
                bounds.low
            );
            let may_be_skipped = known.newest.is_some();
            resume = Resume::Stop(Stop {
                why,
                may_be_skipped,
            });
        }
        if !matches!(resume, Resume::Stop(_)) {
            for key in outlived_plans(&self.id, &keys, bounds.low) {
                store.delete(&key.path(self.id.topic.as_str())).await?;
            }
        }
        Ok((resume, bounds))
    }

    async fn bounds(&self) -> Result<Bounds> {
        let (questions, place) = (
            self.questions.clone(),
            (self.id.topic.to_string(), self.id.number),
        );
        let asked = tokio::task::spawn_blocking(move || {
            let committed = questions.committed(std::slice::from_ref(&place))?;
            let (low, high) = questions.bounds(&place)?;
            let hint = committed.get(&place).copied().flatten();
            Ok::<_, Error>(Bounds { hint, low, high })
        });
        asked
            .await
            .map_err(|e| Error::new(Kind::Bug, "asking for a partition").because(e))?
    }

    /// How many records are missing in a log that is empty, if any are. What its table remembers is read first: a log
    /// that is empty after that had all of it.
    async fn lost_at_the_end(&self, expected: Expected) -> Result<Option<u64>> {
        let (memories, head_key) = (self.memories.clone(), self.head_key.clone());
        let number = self.id.number;
        let sent = tokio::task::spawn_blocking(move || memories.sent(&head_key, number))
            .await
            .map_err(|e| Error::new(Kind::Bug, "reading what a table remembers").because(e))??;
        let lost = sent.map_or(0, |sent| missing(sent, expected));
        if lost == 0 || !may_lack_its_end(&self.bounds().await?) {
            return Ok(None);
        }
        Ok(Some(lost))
    }
}
