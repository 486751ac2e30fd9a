//! A unit that stands still: its reason becomes durable, and whoever waits for the table hears it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ulid::Ulid;

use super::super::berth::{answer_records, head_record};
use super::super::committer::{Parcel, StateRecord};
use super::super::sending::commit;
use super::{Doing, Unit, UnitReport, refused};
use crate::error::Error;
use crate::state::{Failure, Outcome};
use crate::topic::is_not_known_yet;

/// How long writing the reason of a failure may take.
const LAST_WORDS: Duration = Duration::from_secs(20);

impl Unit {
    /// Says what is tried again. That a topic which was made a moment ago is not known everywhere yet is no news.
    pub(super) fn tell_retry(&self, error: &Error, pause: Duration, failures: u32) {
        let (table, code) = (&self.chosen.name, error.stable_code());
        let retry_in_ms = pause.as_millis() as u64;
        if self.has_new_topic() && is_not_known_yet(error) {
            tracing::debug!(%table, %code, %error, retry_in_ms, "trying again");
            return;
        }
        tracing::warn!(%table, %code, %error, retry_in_ms, "trying again");
        self.doing(Doing::Waiting {
            why: error.to_string(),
            code: code.to_string(),
            next_step: error.next_step().map(str::to_owned),
            failures,
        });
    }

    fn has_new_topic(&self) -> bool {
        let topics = [
            Some(self.chosen.topic.clone()),
            self.chosen.rejected_topic(),
        ];
        let mut topics = topics.into_iter().flatten();
        topics.any(|topic| self.shared.admin.has_just_created(topic.as_str()))
    }

    /// Stands still, writes the reason into the state so that `status` shows it from anywhere, and answers
    /// whoever waits for this table.
    pub(super) async fn failed(&mut self, error: Error) {
        tracing::error!(table = %self.chosen.name, code = %error.stable_code(), %error, next = error.next_step(), "this table stands still");
        let now = jiff::Timestamp::now().as_millisecond();
        if let Some(head) = &mut self.head {
            head.failure = Some(Failure {
                text: error.to_string(),
                code: Some(error.stable_code().to_string()),
                next_step: error.next_step().map(str::to_owned),
                at: now,
            });
        }
        if tokio::time::timeout(LAST_WORDS, self.write_failure(&error))
            .await
            .is_err()
        {
            tracing::warn!(table = %self.chosen.name, "the reason could not be written into the state");
        }
        self.report(UnitReport::Failed {
            table: self.chosen.name.clone(),
            error,
            is_told: self.head.is_some(),
        });
    }

    /// Writes the head as it is and the answers to everything asked, in this life or the next.
    pub(super) async fn write_failure(&mut self, error: &Error) {
        self.take_asked();
        let answer = refused(error);
        // Who is told that the table was not begun anew does not find it so later.
        self.again &= self.asked_again.is_empty();
        let lists = [
            &mut self.after_copy,
            &mut self.after_catching_up,
            &mut self.asked_again,
        ];
        let mut asked: Vec<Ulid> = lists.into_iter().flat_map(std::mem::take).collect();
        asked.extend(self.moving.take().map(|(id, _)| id));
        asked.extend(
            std::mem::take(&mut self.asked)
                .into_iter()
                .map(|(id, _)| id),
        );
        self.answer_without_sending(asked, &answer).await;
    }

    /// Answers requests while no batch is on its way, and writes the head as it is.
    pub(super) async fn answer_without_sending(&mut self, asked: Vec<Ulid>, answer: &Outcome) {
        let mut state: Vec<StateRecord> = Vec::new();
        for id in asked {
            self.answers.insert(id, answer.at);
            state.extend(answer_records(&self.chosen.name, id, answer));
        }
        if let Some(head) = &mut self.head {
            state.push(head_record(&self.berth, head));
        }
        if state.is_empty() {
            return;
        }
        let parcel = Arc::new(Parcel {
            state,
            ..Parcel::default()
        });
        loop {
            self.berth.place = *self.tenure.lives.borrow_and_update();
            let committer = &self.shared.committer;
            match commit(committer, self.berth.place, None, parcel.clone()).await {
                Ok(Ok(_)) => {
                    if let Some(head) = &self.head {
                        let durable = self.tenure.durable.lock();
                        *durable.unwrap_or_else(PoisonError::into_inner) = Some(head.clone());
                    }
                    return;
                }
                Ok(Err(error)) => {
                    tracing::warn!(table = %self.chosen.name, %error, "an answer could not be written into the state");
                    return;
                }
                // The life is over; the next one may be this worker's again.
                Err(_) if self.tenure.lives.changed().await.is_err() => return,
                Err(_) => {}
            }
        }
    }
}
