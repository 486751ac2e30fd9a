//! A table whose cursor is put elsewhere by hand: a new epoch, in one decision with the answer to who asked.
//!
//! Nothing is void by it: what the lake has stays, so that rows which are read again are in it twice. The table is
//! taken as it is now; only what its topic and its files rest on must be as it was.

use ulid::Ulid;

use super::super::cursor_table;
use super::super::first;
use super::{Found, Unit, outcome};
use crate::error::{Error, Fate, Kind, Result};
use crate::model::Mode;
use crate::source::{Fixed, Readable, placed_as, placed_at, refuse_unreached};
use crate::state::{EpochRecord, Head, Outcome, Placement, Request, Sighting, Verb};
use crate::topic::Compacted;

/// What the table's new epoch is, besides its number.
pub(super) struct Moved {
    pub head: Head,
    /// The head before it; `None` for a table that remembered nothing.
    pub before: Option<Head>,
}

impl Unit {
    /// The first request that puts the cursor elsewhere is carried out before the table is compared with what was
    /// remembered of it: it may stand still for a reason that this mends.
    pub(super) fn take_up_move(&mut self) {
        self.take_asked();
        if self.moving.is_some() || self.again || self.chosen.settings.mode == Mode::Bulk {
            return;
        }
        let now = jiff::Timestamp::now().as_millisecond();
        let moves =
            |(_, request): &(Ulid, Request)| request.verb.moves() && !request.is_expired(now);
        if let Some(index) = self.asked.iter().position(moves) {
            self.moving = self.asked.remove(index);
        }
    }

    /// A move that could not be carried out in its time never is: who asked for it has long gone.
    pub(super) async fn drop_expired_move(&mut self) {
        let now = jiff::Timestamp::now().as_millisecond();
        let expired = self.moving.take_if(|(_, request)| request.is_expired(now));
        if let Some((id, _)) = expired {
            let text = "the request expired before it could be carried out";
            let answer = outcome(Kind::TryLater.exit_code(), text, Vec::new());
            self.answer_without_sending(vec![id], &answer).await;
        }
    }

    /// The head that the request asks for. Errors that do not pass are the answer to it.
    pub(super) async fn moved(
        &self,
        request: &Request,
        found: &Found,
        cursor_columns: Vec<String>,
        partitions: i32,
        sighting: Sighting,
    ) -> Result<Moved> {
        let before = self.head.clone();
        if let Some(head) = &before {
            first::check_head(head, &self.chosen, &cursor_columns, partitions)?;
        }
        let fixed = match request.verb {
            Verb::OffsetsReset => {
                if before.is_none() {
                    // It is an initial copy like any other.
                    let (admin, store) = (&self.shared.admin, self.shared.store.as_ref());
                    first::refuse_leftovers(admin, store, &self.chosen, partitions).await?;
                }
                cursor_table::fix_bound(self, found).await?
            }
            _ => Some(self.placed(request, &found.readable).await?),
        };
        let now = jiff::Timestamp::now().as_millisecond().unsigned_abs();
        let earlier = match &before {
            Some(head) => head.epoch,
            // Its memory was lost, and its topic and its files may be there.
            None => {
                let store = self.shared.store.as_ref();
                first::newest_epoch_in_lake(store, &self.chosen).await?
            }
        };
        let mut head = first::first_head(
            &self.chosen,
            &found.readable.table,
            cursor_columns,
            partitions,
            now.max(earlier + 1),
            fixed,
            sighting,
        );
        if let Some(before) = &before {
            head.load.clone_from(&before.load);
            head.paused = before.paused;
        }
        Ok(Moved { head, before })
    }

    async fn placed(&self, request: &Request, readable: &Readable) -> Result<Fixed> {
        let Some(place) = &request.place else {
            return Err(Error::new(Kind::Usage, "the request names no place"));
        };
        let fixed = match place {
            Placement::Value(value) => placed_at(readable, value)?,
            Placement::Offsets(offsets) => {
                let (cursor, copy) = (offsets.cursor.clone(), offsets.copy.clone());
                placed_as(readable, &offsets.cursor_columns, cursor, copy)?
            }
        };
        let mut session = self.source.session().await?;
        let is_written = matches!(place, Placement::Value(_));
        refuse_unreached(readable, &fixed.cursor, is_written, session.as_mut()).await?;
        Ok(fixed)
    }

    /// What announces the new epoch to the sink. What was void before it stays void.
    pub(super) fn announcement(
        &self,
        request: &Request,
        moved: &Moved,
        start: Vec<u64>,
    ) -> Result<EpochRecord> {
        let shared = &self.shared;
        let key = EpochRecord::key(&self.chosen.name.head_key());
        let loads_topic = &shared.names.loads_topic;
        let loads = tokio::task::block_in_place(|| {
            Compacted::open_if_there(&shared.kafka, &shared.client_id, loads_topic)
        })?;
        if loads.is_none() && moved.before.is_some() {
            // It was made before the table was read first.
            return Err(Error::new(
                Kind::Unavailable,
                format!("topic `{loads_topic}` is not there"),
            ));
        }
        let announced = loads.as_ref().and_then(|loads| loads.get(key.as_bytes()));
        let earlier = announced
            .map(serde_json::from_slice::<EpochRecord>)
            .transpose()
            .map_err(|e| Error::new(Kind::Data, "reading a table's epoch").because(e))?;
        let before = moved.before.as_ref();
        let before = before.map(|head| (head.epoch, head.next.as_slice()));
        let reason = match request.verb {
            Verb::OffsetsReset => "offsets reset",
            _ => "offsets set",
        };
        Ok(EpochRecord::moved(
            earlier.as_ref(),
            before,
            self.chosen.topic.to_string(),
            moved.head.epoch,
            start,
            reason.to_owned(),
        ))
    }

    /// Answers a move that cannot be, and leaves the table as it is. Gives back what passes by itself.
    pub(super) async fn refuse_move(&mut self, error: Error) -> Result<()> {
        if error.kind().fate() == Fate::Retry || error.kind() == Kind::TryLater {
            return Err(error);
        }
        let Some((id, _)) = self.moving.take() else {
            return Err(error);
        };
        let hint = error.next_step().map(|hint| format!("; {hint}"));
        let text = format!("{error}{}", hint.unwrap_or_default());
        let answer = outcome(error.kind().exit_code(), text, Vec::new());
        self.answer_without_sending(vec![id], &answer).await;
        Ok(())
    }
}

/// What whoever asked for a move is told.
pub(super) fn told(verb: Verb, head: &Head) -> Outcome {
    let what = match verb {
        Verb::OffsetsReset => "it is read from the beginning again",
        _ => "its cursor goes on from there",
    };
    let mut answer = outcome(0, format!("{what}, in epoch {}", head.epoch), Vec::new());
    answer.epoch = Some(head.epoch);
    answer
}
