//! One try: look at the table, check or make its head, then read until the goal, a failure or a restart.

use std::time::Instant;

use ulid::Ulid;

use super::super::sending::Sending;
use super::super::sighting::{self, Definition};
use super::super::{bulk_table, cursor_table, first, topics};
use super::{End, Found, Goal, Unit, moving};
use crate::error::{Error, Kind, Result};
use crate::model::{CopyPhase, Mode};
use crate::source::{Described, Readable, readable_from};
use crate::state::{EndOffset, EpochRecord, Head, LoadHead, Outcome, Sighting};
use crate::topic::PartitionReader;

impl Unit {
    /// One try: look at the table, check or make its head, then read until the goal, a failure or a restart.
    pub(super) async fn try_once(&mut self) -> Result<End> {
        self.take_up_again();
        self.leave_paused_as_it_is();
        self.drop_expired_move().await;
        self.take_up_move();
        let (look, described) = self.describe().await?;
        for note in &described.notes {
            tracing::warn!(table = %self.chosen.name, "{note}");
        }
        self.check_known(&described).await?;
        let definition = Definition::new(&self.source, &self.chosen.name, &look);
        let readable = self.readable(described).await?;
        let sighting = self.sight(&readable, look).await?;
        let (partitions, rejected_topic) = self.prepare_topics().await?;
        let found = Found {
            readable,
            definition,
        };
        let schema = &found.readable.table.schema;
        let fingerprint = tokio::task::block_in_place(|| self.shared.schemas.announce(schema))?;
        let (head, beginning) = match self.beginning(&found, partitions, sighting).await {
            Err(error) if self.moving.is_some() => {
                // The table goes on as it was.
                self.refuse_move(error).await?;
                return Ok(End::Restart);
            }
            beginning => beginning?,
        };
        let mut sending = Sending::new(
            self.berth.clone(),
            self.tenure.clone(),
            self.shared.committer.clone(),
            self.shared.budget.clone(),
            self.shared.permits,
            head,
            schema,
            fingerprint,
            rejected_topic,
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

    /// Whether what is remembered is about this table. One that is begun anew may be any; one whose cursor is put
    /// elsewhere may be another one, but goes on in its topic.
    async fn check_known(&self, described: &Described) -> Result<()> {
        let Some(head) = self.head.as_ref().filter(|_| !self.again) else {
            return Ok(());
        };
        first::check_topic(head, &self.chosen)?;
        if self.moving.is_none() {
            first::check_identity(head, &self.chosen, described)?;
        }
        if head.mode != Mode::Bulk {
            sighting::check_kind(head, described)?;
        }
        self.check_topic(&head.next).await
    }

    /// The table with all that reading it needs.
    async fn readable(&self, described: Described) -> Result<Readable> {
        let schema = described.schema.clone();
        let source = self.source.as_ref();
        let readable = readable_from(source, &self.chosen, &self.zone, described).await;
        if let Some(head) = self.head.as_ref().filter(|_| !self.again) {
            // What was changed says more than what cannot be read because of it.
            let now = readable.as_ref().map(|readable| &readable.table.schema);
            self.check_shape(head, now.unwrap_or(&schema))?;
        }
        let mut readable = readable?;
        readable.limits = self.shared.limits;
        Ok(readable)
    }

    /// How many partitions the table's topic has, and the name of its rejected topic.
    async fn prepare_topics(&self) -> Result<(i32, String)> {
        let (admin, kafka) = (&self.shared.admin, &self.shared.kafka);
        let partitions = topics::prepare_data_topic(admin, kafka, &self.chosen.topic).await?;
        let rejected_name = self.chosen.name_of_rejected_topic();
        let rejected_name = rejected_name.map_or(String::new(), |name| name.to_string());
        if rejected_name.is_empty() && self.chosen.settings.on_value.rejects() {
            let text = format!("`{}.rejected` is too long for a topic", self.chosen.topic);
            return Err(Error::new(Kind::Config, text)
                .hint("write a shorter name of its own below the table: `topic: …`"));
        }
        if let Some(topic) = &self.chosen.rejected_topic() {
            topics::prepare_rejected_topic(admin, kafka, topic).await?;
        }
        Ok((partitions, rejected_name))
    }

    /// The head this try begins with, and what must become durable before the first row.
    async fn beginning(
        &self,
        found: &Found,
        partitions: i32,
        sighting: Sighting,
    ) -> Result<(Head, Beginning)> {
        let names = found.readable.cursor_column_names();
        let described = &found.readable.table;
        if let Some((id, request)) = &self.moving {
            let moved = self
                .moved(request, found, names, partitions, sighting)
                .await?;
            let start = self.ends_of_topic(partitions)?;
            let announced = Box::new(self.announcement(request, &moved, start)?);
            let answer = moving::told(request.verb, &moved.head);
            let answer = Box::new((*id, answer));
            return Ok((moved.head, Beginning::Moved { announced, answer }));
        }
        let now = jiff::Timestamp::now().as_millisecond().unsigned_abs();
        match &self.head {
            Some(old) if self.again => {
                let fixed = cursor_table::fix_bound(self, found).await?;
                let epoch = now.max(old.epoch + 1);
                let mut head = first::first_head(
                    &self.chosen,
                    described,
                    names,
                    partitions,
                    epoch,
                    fixed,
                    sighting,
                );
                head.load = old.load.clone().map(|load| LoadHead { void: true, ..load });
                // A bulk table is loaded on request while it is paused, and stays so.
                head.paused = old.paused;
                let (topic, start) = (
                    self.chosen.topic.to_string(),
                    self.ends_of_topic(partitions)?,
                );
                let announced = Box::new(EpochRecord::begun_anew(topic, epoch, start));
                Ok((head, Beginning::Again { announced }))
            }
            Some(old) => {
                first::check_head(old, &self.chosen, &names, partitions)?;
                let mut head = old.clone();
                head.identity = described.identity.clone();
                head.sighting = Some(sighting);
                Ok((head, Beginning::Known))
            }
            None => {
                let (admin, store) = (&self.shared.admin, self.shared.store.as_ref());
                first::refuse_leftovers(admin, store, &self.chosen, partitions).await?;
                let fixed = cursor_table::fix_bound(self, found).await?;
                let head = first::first_head(
                    &self.chosen,
                    described,
                    names,
                    partitions,
                    now,
                    fixed,
                    sighting,
                );
                Ok((head, Beginning::New))
            }
        }
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
            Beginning::Again { announced } => {
                sending.begin_epoch(&announced, None).await?;
                // Only then are there files of an earlier epoch to wait for.
                self.began_again = true;
                self.again = false;
                self.was_copied = false;
            }
            Beginning::Moved { announced, answer } => {
                sending.begin_epoch(&announced, Some(*answer)).await?;
                let reason = &announced.reason;
                let by = self.moving.take().map(|(_, request)| request.by);
                tracing::info!(table = %self.chosen.name, epoch = announced.epoch, by, "{reason}");
                let copy = sending.head.copy.as_ref();
                self.was_copied = copy.is_some_and(|copy| copy.phase == CopyPhase::Done);
            }
        }
        // A table that was never read has nothing to begin anew.
        self.again = false;
        if let Goal::Answer(id) = self.goal {
            return self.answer_only(sending, id).await;
        }
        match self.chosen.settings.mode {
            Mode::Bulk => bulk_table::drive(self, sending, found).await,
            Mode::Incrementing | Mode::Timestamp | Mode::TimestampIncrementing => {
                cursor_table::drive(self, sending, found).await
            }
        }
    }

    /// The end of each partition of the table's topic, open transactions included.
    pub(super) fn ends_of_topic(&self, partitions: i32) -> Result<Vec<u64>> {
        let (admin, topic) = (&self.shared.admin, self.chosen.topic.as_str());
        tokio::task::block_in_place(|| {
            (0..partitions)
                .map(|partition| Ok(admin.bounds(topic, partition)?.1.unsigned_abs()))
                .collect()
        })
    }

    /// How far the sink must come so that everything sent of this table is in the lake: what this unit
    /// committed, and for other partitions all their topic holds.
    pub(in crate::capture) fn ends(&self, sending: &Sending) -> Result<Vec<EndOffset>> {
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
}

/// How a try begins.
pub(super) enum Beginning {
    /// With a head that is durable already.
    Known,
    /// With the table's first head.
    New,
    /// With a new epoch that retires everything before it.
    Again { announced: Box<EpochRecord> },
    /// With a new epoch that retires nothing, and the answer to who asked for it.
    Moved {
        announced: Box<EpochRecord>,
        answer: Box<(Ulid, Outcome)>,
    },
}
