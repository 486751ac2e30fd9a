//! A worker tells others what keeps its tables from working: `troubles.rs` says what there is to tell, this says
//! what it follows from, and writes it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;

use super::capturing::Capture;
use super::troubles::Due;
use super::worker::Worker;
use crate::capture::{Committer, Parcel, StateRecord, commit};
use crate::config::is_meant;
use crate::error::{Error, Kind};
use crate::model::TableName;
use crate::source::configured_tables;
use crate::state::{StateKey, encode};

/// After so many failures in a row a part that does not answer is news for others: a hiccup is none.
pub const WORTH_TELLING: u32 = 2;
/// How long writing the last news may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Worker {
    /// A source does not answer: what that means for its tables whose units say nothing themselves.
    pub(super) fn source_failed(&mut self, source: &str, error: &Error) {
        let is_retried = error.kind() == Kind::Unavailable;
        if is_retried && self.sources.failures(source) < WORTH_TELLING {
            return;
        }
        let configured = configured_tables(&self.settings, &self.kafka.topic_prefix);
        let names = configured.into_iter().map(|chosen| chosen.name);
        for table in names.chain(self.remembered.iter().cloned()) {
            if table.source == source
                && is_meant(&self.only, &table)
                && !self.units.contains_key(&table)
            {
                self.troubles.met(&table, error, is_retried);
            }
        }
    }

    /// A table that the configuration names and that cannot be followed as it stands there.
    pub(super) fn problem_of(&mut self, source: &str, problem: &Error) {
        let configured = configured_tables(&self.settings, &self.kafka.topic_prefix);
        let about = |table: &TableName| {
            table.source == source && problem.subject() == Some(table.to_string().as_str())
        };
        let found = configured.into_iter().map(|chosen| chosen.name).find(about);
        if let Some(table) = found.filter(|table| is_meant(&self.only, table)) {
            self.troubles.met(&table, problem, false);
        }
    }

    /// What was written about tables that nobody means any more goes.
    pub(super) fn forget_strangers(&mut self) {
        if !self.only.is_empty() || !self.sources.all_are_known() {
            return;
        }
        let configured = configured_tables(&self.settings, &self.kafka.topic_prefix);
        let meant: BTreeSet<String> = configured
            .iter()
            .chain(self.sources.chosen())
            .map(|chosen| chosen.name.key_tail())
            .collect();
        self.troubles
            .keep_only(|table| meant.contains(&table.key_tail()));
    }

    /// Writes what others do not know yet, in transactions like any other work.
    pub(super) fn tell_troubles(&mut self, committer: &Committer) {
        let roster = &self.roster;
        for due in self.troubles.due(|table| roster.place_of(table)) {
            let Due {
                place,
                table,
                trouble,
            } = due;
            let key = StateKey::Trouble {
                table: table.key_tail(),
            };
            let record = StateRecord {
                key: key.to_string(),
                value: trouble.as_ref().map(encode),
            };
            let parcel = Arc::new(Parcel {
                state: vec![record],
                ..Parcel::default()
            });
            self.told.push(commit(committer, place, None, parcel));
        }
        // What was answered is done; what was dropped is written again in the next life.
        self.told
            .retain_mut(|answer| matches!(answer.try_recv(), Err(TryRecvError::Empty)));
    }

    /// Waits until the last of it is written, if it can be.
    pub(super) async fn settle_troubles(&mut self, capture: &Option<Capture>) {
        if let Some(capture) = capture {
            self.tell_troubles(&capture.committer);
        }
        let answers = futures_util::future::join_all(std::mem::take(&mut self.told));
        if tokio::time::timeout(LAST_WORDS, answers).await.is_err() {
            tracing::warn!("what keeps tables from working could not be written into the state");
        }
    }
}
