//! One try: look at the table, check or make its head, then read until the goal, a failure or a restart.

use std::time::Instant;

use super::super::sending::Sending;
use super::super::sighting::{self, Definition};
use super::super::{cursor_table, first};
use super::{End, Found, Unit};
use crate::error::{Error, Kind, Result};
use crate::model::Mode;
use crate::source::{Readable, readable_from};
use crate::state::EndOffset;
use crate::topic::PartitionReader;

impl Unit {
    /// One try: look at the table, check or make its head, then read until the goal, a failure or a restart.
    pub(super) async fn try_once(&mut self) -> Result<End> {
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
            super::super::topics::check_known_topic(admin, topic, &head.next).await?;
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
        let partitions = super::super::topics::prepare_data_topic(
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
            super::super::topics::prepare_rejected_topic(
                &self.shared.admin,
                &self.shared.kafka,
                topic,
            )
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

    pub(super) async fn drive(
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
            Mode::Bulk => super::super::bulk_table::drive(self, sending, found).await,
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
    Again,
}

pub(super) fn cursor_column_names(readable: &Readable) -> Vec<String> {
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
