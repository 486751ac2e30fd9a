//! What a unit is asked for: requests come through its inbox, wait on a list, and are answered.

use std::time::{Duration, Instant};

use ulid::Ulid;

use super::super::sending::Sending;
use super::{End, Goal, Unit};
use crate::error::{Error, Kind, Result};
use crate::model::Mode;
use crate::state::{EndOffset, Outcome, Request, Verb};

/// How long a command that only answers waits for what it was started to answer.
const ANSWERING: Duration = Duration::from_secs(30);

impl Unit {
    /// What stands still for a reason that beginning anew mends must hear of it before it looks at the table.
    pub(super) fn take_up_again(&mut self) {
        self.take_asked();
        if matches!(self.goal, Goal::Answer(_)) {
            return;
        }
        let now = jiff::Timestamp::now().as_millisecond();
        let is_again = |(_, request): &(Ulid, Request)| {
            request.verb == Verb::SnapshotAgain && !request.is_expired(now)
        };
        if self.head.is_some()
            && let Some(index) = self.asked.iter().position(is_again)
            && let Some((id, _)) = self.asked.remove(index)
        {
            self.begin_again_for(id);
        }
    }

    /// A paused table with a cursor is not begun anew: whoever asks is told that it is paused.
    pub(super) fn leave_paused_as_it_is(&mut self) {
        let is_paused = self.head.as_ref().is_some_and(|head| head.paused);
        if is_paused && self.chosen.settings.mode != Mode::Bulk {
            self.again = false;
        }
    }

    /// The next try begins the table anew and answers this request when it is copied.
    pub(in crate::capture) fn begin_again_for(&mut self, id: Ulid) {
        self.again = true;
        self.was_copied = false;
        self.asked_again.push(id);
    }

    /// Moves what has been asked meanwhile from the inbox to the list.
    pub(in crate::capture) fn take_asked(&mut self) {
        while let Ok(asked) = self.inbox.try_recv() {
            self.take_up(asked);
        }
    }

    /// Waits for `pause`, or until something is asked.
    pub(in crate::capture) async fn wait(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Some(asked) = self.inbox.recv() => self.take_up(asked),
        }
    }

    pub(super) fn take_up(&mut self, asked: (Ulid, Request)) {
        if self.taken_up.insert(asked.0) {
            self.asked.push_back(asked);
        }
    }

    /// Answers what every table answers in the same way; gives back what depends on its mode.
    pub(in crate::capture) async fn answer_plain(
        &mut self,
        sending: &mut Sending,
        id: Ulid,
        request: Request,
    ) -> Result<Option<(Ulid, Request)>> {
        let now = jiff::Timestamp::now().as_millisecond();
        let text = if request.is_expired(now) {
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
                Verb::OffsetsReset | Verb::OffsetsSet
                    if self.chosen.settings.mode == Mode::Bulk =>
                {
                    return self.refuse_bulk_move(sending, id).await;
                }
                Verb::Once
                | Verb::Snapshot
                | Verb::SnapshotAgain
                | Verb::Replay
                | Verb::OffsetsReset
                | Verb::OffsetsSet => {
                    return Ok(Some((id, request)));
                }
                Verb::Unknown => {
                    let text = "this worker does not know what is asked of it: update it";
                    let answer = outcome(Kind::TryLater.exit_code(), text, Vec::new());
                    return sending.answer(id, &answer).await.map(|()| None);
                }
            }
        };
        tracing::info!(table = %self.chosen.name, by = request.by, "{text}");
        sending
            .answer(id, &outcome(0, text, Vec::new()))
            .await
            .map(|()| None)
    }

    async fn refuse_bulk_move(
        &self,
        sending: &mut Sending,
        id: Ulid,
    ) -> Result<Option<(Ulid, Request)>> {
        let name = &self.chosen.name;
        let text = format!(
            "a bulk table has no cursor: each load reads every row; `cdc snapshot {name}` loads it now"
        );
        let answer = outcome(Kind::No.exit_code(), text, Vec::new());
        sending.answer(id, &answer).await.map(|()| None)
    }

    /// Answers what can be answered at once, up to one request, and reads nothing. What would be work is left for
    /// whoever follows.
    pub(super) async fn answer_only(&mut self, sending: &mut Sending, id: Ulid) -> Result<End> {
        let began = Instant::now();
        loop {
            self.take_asked();
            while let Some((of, request)) = self.asked.pop_front() {
                let moves = request.verb.moves() && self.chosen.settings.mode != Mode::Bulk;
                if moves && !request.is_expired(jiff::Timestamp::now().as_millisecond()) {
                    self.asked.push_front((of, request));
                    return Ok(End::Restart);
                }
                if request.verb.is_at_once() {
                    self.answer_plain(sending, of, request).await?;
                }
            }
            if sending.has_answered(id) {
                return Ok(End::Reached(outcome(0, "answered", Vec::new())));
            }
            if began.elapsed() > ANSWERING {
                let text = "nothing was asked of it";
                return Ok(End::Reached(outcome(
                    Kind::No.exit_code(),
                    text,
                    Vec::new(),
                )));
            }
            self.wait(Duration::from_secs(1)).await;
        }
    }
}

/// An answer that says why not.
pub(in crate::capture) fn refused(error: &Error) -> Outcome {
    Outcome {
        code: Some(error.stable_code().to_string()),
        next_step: error.next_step().map(str::to_owned),
        ..outcome(error.kind().exit_code(), error.to_string(), Vec::new())
    }
}

/// A number of rows in words.
pub(in crate::capture) fn rows_of(count: u64) -> String {
    match count {
        1 => "1 row".to_owned(),
        count => format!("{count} rows"),
    }
}

/// An answer.
pub(in crate::capture) fn outcome(
    exit: u8,
    text: impl Into<String>,
    end_offsets: Vec<EndOffset>,
) -> Outcome {
    let at = jiff::Timestamp::now().as_millisecond();
    Outcome {
        end_offsets,
        ..Outcome::new(exit, text, at)
    }
}
