//! Whether the newest row that was sent is still there: what tells a table that was written anew from one
//! that was emptied.

use arrow::array::RecordBatch;
use futures_util::StreamExt;

use super::readable::Readable;
use super::row_hash::hash_rows;
use super::{Session, values};
use crate::error::Result;
use crate::model::{Cursor, Mode, Witness};

/// What a table's newest row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Testimony {
    /// It is there as it was sent, or in a later version.
    Stands,
    /// It is there, and is not what was sent.
    Differs,
    /// It is not there.
    Gone,
}

impl Readable {
    /// The last row of what was sent, to be asked for later; `None` for a table whose rows have no name.
    pub fn witness(&self, rows: &RecordBatch) -> Option<Witness> {
        let last = rows.num_rows().checked_sub(1)?;
        let names = match self.mode {
            Mode::Bulk => return None,
            Mode::Incrementing => vec![self.columns.incrementing?],
            Mode::Timestamp | Mode::TimestampIncrementing => self.columns.tie_break.clone(),
        };
        let row = rows.slice(last, 1);
        let key = values::key(&row, &names, 0).ok()?;
        if key.is_empty() {
            return None;
        }
        let at = match self.columns.timestamp {
            Some(column) => Some(values::instants(&row, column).ok()?.first().copied()?),
            None => None,
        };
        let columns: Vec<usize> = (0..row.num_columns()).collect();
        let hash = hash_rows(&row, &columns).ok()?.first().copied()?;
        Some(Witness {
            key,
            at,
            hash: format!("{hash:032x}"),
            fingerprint: self.table.schema.fingerprint().to_string(),
        })
    }

    /// Whether a part of the table holds rows that lie behind the cursor.
    pub async fn has_passed_rows_of(
        &self,
        session: &mut dyn Session,
        part: &str,
        cursor: &Cursor,
    ) -> Result<bool> {
        let Some(select) = self.statements.passed_in(part, cursor)? else {
            return Ok(false);
        };
        Ok(session.integer(&select).await? > Some(0))
    }

    /// Asks for that row. `columns` are those it was sent with, as indexes into the present ones.
    pub async fn hear(
        &self,
        session: &mut dyn Session,
        witness: &Witness,
        columns: &[usize],
    ) -> Result<Testimony> {
        let Some(select) = self.statements.one_row(&witness.key)? else {
            return Ok(Testimony::Gone);
        };
        let table = self.table.clone();
        let mut testimony = Testimony::Gone;
        let mut batches = session.rows(&table, &select, self.limits);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let stands = match (witness.at, self.columns.timestamp) {
                (Some(at), Some(column)) => values::instants(&batch, column)
                    .is_ok_and(|instants| instants.iter().any(|now| *now >= at)),
                _ => hash_rows(&batch, columns)?
                    .iter()
                    .any(|hash| format!("{hash:032x}") == witness.hash),
            };
            testimony = match stands {
                true => Testimony::Stands,
                false => Testimony::Differs,
            };
        }
        Ok(testimony)
    }
}
