//! A table as it is now, compared with what is remembered of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::change::{self, Verdict};
use super::super::sending::Sending;
use super::super::sighting::{self, Compared};
use super::super::topics::check_known_topic;
use super::{Found, Unit};
use crate::error::{Code, Error, Kind, Result};
use crate::model::{Mode, TableSchema};
use crate::source::{Depth, Described, Look, Readable, Session, describe_chosen};
use crate::state::{Head, Sighting, Verb};

/// How often a table that is polled is looked at. What a look finds in addition to the one before each batch is
/// a table without new rows that was changed, emptied, or is gone.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the topic of a table that rests is looked at.
const TOPIC_EVERY: Duration = Duration::from_secs(20);
/// The pause before a topic that is gone is asked for once more.
const TOPIC_AGAIN: Duration = Duration::from_secs(5);

impl Unit {
    /// The table as the catalog has it, and a look taken before that: a change in between is noticed when the
    /// next look differs.
    pub(super) async fn describe(&self) -> Result<(Look, Described)> {
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
    pub(super) async fn sight(&self, readable: &Readable, look: Look) -> Result<Sighting> {
        if self.chosen.settings.mode == Mode::Bulk {
            // Every load is whole: what the table was before is nothing to it.
            return Ok(Sighting {
                storage: look.storage,
                ..Sighting::default()
            });
        }
        let mut session = self.source.session().await?;
        let mut now = sighting::sight(readable, look, session.as_mut()).await?;
        if let Some(head) = self
            .head
            .as_ref()
            .filter(|_| !self.again && self.moving.is_none())
        {
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
    pub(in crate::capture) async fn has_changed(
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

    /// Looks now and then whether the topic is still the one that the rows were sent to. Rows that come while it is being
    /// deleted are taken, and go with it: of a table without later rows nothing else would tell.
    pub(in crate::capture) async fn look_at_topic(&mut self, sending: &mut Sending) -> Result<()> {
        let last = *self.looked_at_topic.get_or_insert_with(Instant::now);
        if last.elapsed() < TOPIC_EVERY {
            return Ok(());
        }
        // What is on its way is counted in the head, and not in the log yet.
        sending.settle().await?;
        let shared = self.shared.clone();
        let Ok(_turn) = shared.looks.try_acquire() else {
            return Ok(());
        };
        let checked = self.check_topic(&sending.head.next).await;
        self.looked_at_topic = Some(Instant::now());
        match checked {
            Err(error) if !is_lost(&error) => {
                tracing::debug!(table = %self.chosen.name, %error, "its topic cannot be looked at");
                Ok(())
            }
            checked => checked,
        }
    }

    /// Whether the topic is the one that the rows were sent to. What is gone is asked for once more: a broker that has
    /// just come back does not know all topics yet.
    pub(super) async fn check_topic(&self, next: &[u64]) -> Result<()> {
        let check = async || {
            let (shared, topic, next) = (
                self.shared.clone(),
                self.chosen.topic.clone(),
                next.to_vec(),
            );
            let state_topic = shared.names.state_topic.clone();
            let look = move || check_known_topic(&shared.admin, &topic, &state_topic, &next);
            tokio::task::spawn_blocking(look)
                .await
                .map_err(|e| Error::new(Kind::Bug, "looking at a topic").because(e))?
        };
        match check().await {
            Err(error) if error.stable_code() == Code::TOPIC_GONE => {
                tokio::time::sleep(TOPIC_AGAIN).await;
                check().await
            }
            checked => checked,
        }
    }

    /// Whether the table's present columns go on from those that were sent.
    pub(super) fn check_shape(&self, head: &Head, schema: &TableSchema) -> Result<()> {
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
}

/// Whether a topic is gone, or another one. Anything else that goes wrong with asking for it passes, or is said by the
/// next row.
fn is_lost(error: &Error) -> bool {
    [Code::TOPIC_GONE, Code::TOPIC_MADE_ANEW].contains(&error.stable_code())
}
