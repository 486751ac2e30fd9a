//! The initial copy of a cursor table: pages from the beginning to a bound, resumable after each batch, while
//! polls go on behind the bound.
//!
//! Why nothing is lost or sent twice: the bound is safe before the first page is read. A page may then be read
//! in any later snapshot: each row yields its version below the bound, or nothing because it has moved above,
//! where the polls find it. By id the bound is the highest id; the first page waits until every transaction
//! that could still add a lower one has ended, because polls open no gap at or below the bound.
//!
//! Rows whose cursor column is NULL come last, by key. They belong to no poll: what is changed or added there
//! later is not seen. A table without key gets them in one pass that cannot be resumed.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;

use super::gaps::{Ledger, Moment, TICKET_MARGIN};
use super::groups::Groups;
use super::readable::{Readable, room};
use super::{Evidence, Guard, Select, Session, values};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Copy, CopyPhase, Cursor, Gap, IncrementingCursor, Micros, Mode, Position, Step, TimestampCursor,
};

/// How many ids below the bound are looked at where only a probe can tell what is pending: more than are
/// drawn while one statement runs.
const PROBED_IDS: i128 = 10_000;

/// The pause while transactions below the bound are open.
const DRAIN_PAUSE: Duration = Duration::from_millis(250);

/// The bound of a copy, and the cursor at which the polls begin. Both must be durable before the first row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    pub copy: Copy,
    pub cursor: Cursor,
}

/// What became of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Transactions below the bound are still open; ask again after this.
    Waiting(Duration),
    /// This many rows went out, and there may be more.
    Copied(u64),
    /// The copy is complete.
    Done,
}

/// Fixes the bound of a copy. `None`: the guard has proven no bound yet; ask again soon.
pub async fn fix_bound(
    readable: &Readable,
    session: &mut dyn Session,
    guard: &mut dyn Guard,
) -> Result<Option<Fixed>> {
    let (bound, cursor) = match readable.mode {
        Mode::Incrementing => {
            let highest = session.integer(&readable.statements.highest_id()?).await?;
            (
                highest,
                Cursor::Incrementing(IncrementingCursor {
                    highest,
                    gaps: Vec::new(),
                }),
            )
        }
        Mode::Timestamp | Mode::TimestampIncrementing => {
            let Some(safe) = guard.safe_bound().await? else {
                return Ok(None);
            };
            let at = readable.clock.bound(safe.at);
            let low = Some(Position { at, key: None });
            (
                Some(i128::from(at)),
                Cursor::Timestamp(TimestampCursor { low }),
            )
        }
        Mode::Bulk => {
            return Err(
                Error::new(Kind::Bug, "a bulk table has no bound to copy to")
                    .about(&readable.table.name),
            );
        }
    };
    let copy = Copy {
        bound,
        after: None,
        phase: CopyPhase::Rows,
        rows: 0,
        null_cursors: 0,
    };
    Ok(Some(Fixed { copy, cursor }))
}

/// Copies one table page by page.
#[derive(Debug)]
pub struct CopyReader {
    readable: Readable,
    copy: Copy,
    drain: Drain,
    started: Instant,
}

/// Whether a transaction that began before the bound was fixed may still add a row at or below it.
#[derive(Debug)]
enum Drain {
    Unknown,
    /// One ticket for everything up to the bound.
    Writers(Ledger),
    /// The missing ids just below the bound.
    Probe(Ledger),
    Drained,
}

impl CopyReader {
    /// Begins or resumes a copy whose bound is durable.
    pub fn new(readable: Readable, copy: Copy) -> Self {
        // A first row was copied, so the wait was over before.
        let waits = readable.mode == Mode::Incrementing && copy.bound.is_some() && copy.rows == 0;
        let drain = if waits {
            Drain::Unknown
        } else {
            Drain::Drained
        };
        CopyReader {
            readable,
            copy,
            drain,
            started: Instant::now(),
        }
    }

    /// As if it had begun earlier.
    #[cfg(test)]
    pub fn age(&mut self, by: Duration) {
        self.started -= by;
    }

    /// How far the copy is.
    pub fn copy(&self) -> &Copy {
        &self.copy
    }

    /// Copies the next page. Each batch goes out as a [`Step`] with the copy's progress and `cursor`, the
    /// present cursor of the polls. After an error the next page goes on behind what was sent.
    pub async fn next_page(
        &mut self,
        session: &mut dyn Session,
        guard: &mut dyn Guard,
        out: &Sender<Step>,
        cursor: &Cursor,
    ) -> Result<Page> {
        if self.copy.phase == CopyPhase::Rows && !self.is_drained(session, guard).await? {
            return Ok(Page::Waiting(DRAIN_PAUSE.max(TICKET_MARGIN)));
        }
        match self.copy.phase {
            CopyPhase::Done => Ok(Page::Done),
            CopyPhase::Rows => self.rows_page(session, out, cursor).await,
            CopyPhase::Nulls => self.nulls_page(session, out, cursor).await,
        }
    }

    async fn rows_page(
        &mut self,
        session: &mut dyn Session,
        out: &Sender<Step>,
        cursor: &Cursor,
    ) -> Result<Page> {
        let next_phase = match self.readable.statements.cursor_admits_null() {
            true => CopyPhase::Nulls,
            false => CopyPhase::Done,
        };
        let Some(bound) = self.copy.bound else {
            return self.enter(next_phase, 0, out, cursor).await;
        };
        let (select, is_last) = self.rows_select(bound)?;
        let keyless =
            self.readable.mode.has_versions() && !self.readable.statements.has_tie_break();
        let mut groups = match keyless {
            true => Some(Groups::new(self.readable.timestamp()?)),
            false => None,
        };
        let table = self.readable.table.clone();
        let (mut read, mut copied) = (0_usize, 0);
        let mut batches = session.rows(&table, &select, self.readable.limits);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            read += batch.num_rows();
            let batch = match &mut groups {
                None => Some(batch),
                Some(groups) => groups.push(batch, Micros::MAX)?,
            };
            if let Some(batch) = batch {
                copied += self.send(batch, out, cursor).await?;
            }
        }
        if let Some(last) = groups
            .map(|mut groups| groups.finish())
            .transpose()?
            .flatten()
        {
            copied += self.send(last, out, cursor).await?;
        }
        drop(batches);
        if is_last || read < self.readable.page_rows {
            return self.enter(next_phase, copied, out, cursor).await;
        }
        Ok(Page::Copied(copied))
    }

    /// The statement of the next page, and whether it reads to the bound.
    fn rows_select(&self, bound: i128) -> Result<(Select, bool)> {
        let statements = &self.readable.statements;
        if self.readable.mode == Mode::Incrementing {
            let after = self.copy.after.as_deref().and_then(|after| after.first());
            let after = after
                .map(|id| id.parse().map_err(|_| self.unreadable()))
                .transpose()?;
            return Ok((
                statements.copy_by_id(after, bound, self.readable.page_rows)?,
                false,
            ));
        }
        let bound = Micros::try_from(bound).map_err(|_| self.unreadable())?;
        let after = match self.copy.after.as_deref() {
            None => None,
            Some([at, key @ ..]) => Some(Position {
                at: at.parse().map_err(|_| self.unreadable())?,
                key: (!key.is_empty()).then(|| key.to_vec()),
            }),
            Some([]) => return Err(self.unreadable()),
        };
        let page = statements
            .has_tie_break()
            .then_some(self.readable.page_rows);
        Ok((
            statements.copy_by_time(after.as_ref(), bound, page)?,
            page.is_none(),
        ))
    }

    async fn nulls_page(
        &mut self,
        session: &mut dyn Session,
        out: &Sender<Step>,
        cursor: &Cursor,
    ) -> Result<Page> {
        let has_key = self.readable.statements.has_tie_break();
        if !has_key && self.copy.null_cursors > 0 {
            return Err(Error::new(
                Kind::No,
                "the copy broke off among rows whose cursor is NULL, and without a key it cannot go on there",
            )
            .about(&self.readable.table.name)
            .hint("copy it anew with `cdc snapshot --again`, or give the table a primary key"));
        }
        let select = self.readable.statements.copy_nulls(
            self.copy.after.as_deref(),
            has_key.then_some(self.readable.page_rows),
        )?;
        let table = self.readable.table.clone();
        let (mut read, mut copied) = (0, 0);
        let mut batches = session.rows(&table, &select, self.readable.limits);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            read += batch.num_rows();
            copied += self.send(batch, out, cursor).await?;
        }
        drop(batches);
        if !has_key || read < self.readable.page_rows {
            return self.enter(CopyPhase::Done, copied, out, cursor).await;
        }
        Ok(Page::Copied(copied))
    }

    async fn send(
        &mut self,
        rows: RecordBatch,
        out: &Sender<Step>,
        cursor: &Cursor,
    ) -> Result<u64> {
        let count = rows.num_rows() as u64;
        let Some(last) = rows.num_rows().checked_sub(1) else {
            return Ok(0);
        };
        let after = self.place_of(&rows, last)?;
        let room = room(out).await?;
        self.copy.after = after;
        self.copy.rows += count;
        if self.copy.phase == CopyPhase::Nulls {
            self.copy.null_cursors += count;
        }
        room.send(self.step(rows, cursor));
        Ok(count)
    }

    /// The keyset values after which the next page begins.
    fn place_of(&self, rows: &RecordBatch, last: usize) -> Result<Option<Vec<String>>> {
        let columns = &self.readable.columns;
        if self.copy.phase == CopyPhase::Nulls {
            let key = values::key(rows, &columns.tie_break, last)?;
            return Ok((!key.is_empty()).then_some(key));
        }
        if self.readable.mode == Mode::Incrementing {
            return Ok(values::ids(rows, self.readable.incrementing()?)?
                .last()
                .map(|id| vec![id.to_string()]));
        }
        let at = values::instants(rows, self.readable.timestamp()?)?
            .last()
            .copied()
            .unwrap_or(Micros::MIN);
        if columns.tie_break.is_empty() {
            // Whole instants only: the next one begins at the next microsecond.
            return Ok(Some(vec![at.saturating_add(1).to_string()]));
        }
        let key = values::key(rows, &columns.tie_break, last)?;
        Ok(Some(std::iter::once(at.to_string()).chain(key).collect()))
    }

    async fn enter(
        &mut self,
        phase: CopyPhase,
        copied: u64,
        out: &Sender<Step>,
        cursor: &Cursor,
    ) -> Result<Page> {
        let room = room(out).await?;
        (self.copy.phase, self.copy.after) = (phase, None);
        room.send(self.step(self.readable.no_rows(), cursor));
        Ok(if phase == CopyPhase::Done && copied == 0 {
            Page::Done
        } else {
            Page::Copied(copied)
        })
    }

    fn step(&self, rows: RecordBatch, cursor: &Cursor) -> Step {
        Step {
            rows,
            cursor: Some(cursor.clone()),
            seen: Vec::new(),
            copy: Some(self.copy.clone()),
        }
    }

    async fn is_drained(
        &mut self,
        session: &mut dyn Session,
        guard: &mut dyn Guard,
    ) -> Result<bool> {
        let Some(bound) = self.copy.bound else {
            return Ok(true);
        };
        if matches!(self.drain, Drain::Drained) {
            return Ok(true);
        }
        let server = session.server_time().await?;
        let now = Moment {
            elapsed: self.started.elapsed(),
            server,
        };
        match &mut self.drain {
            Drain::Drained => {}
            Drain::Unknown => {
                self.drain = match guard.evidence(&[]).await? {
                    Evidence::Writers { .. } => Drain::Writers(self.one_ticket(bound, now)),
                    Evidence::Probe { .. } => {
                        Drain::Probe(self.gaps_below(bound, session, now).await?)
                    }
                };
            }
            Drain::Writers(ledger) => {
                ledger.observe(&guard.evidence(&[]).await?, now);
                if ledger.is_drained() {
                    self.drain = Drain::Drained;
                }
            }
            Drain::Probe(ledger) => {
                let ranges = ledger.ranges();
                ledger.observe(&guard.evidence(&ranges).await?, now);
                if !ranges.is_empty() {
                    let ids = ids(
                        &self.readable,
                        session,
                        &self.readable.statements.gaps(&ranges)?,
                    )
                    .await?;
                    ledger.found(&ids);
                    ledger.close_drained();
                }
            }
        }
        if let Drain::Probe(ledger) = &self.drain
            && ledger.is_without_gaps()
        {
            self.drain = Drain::Drained;
        }
        Ok(matches!(self.drain, Drain::Drained))
    }

    /// Everything up to the bound as one gap: who holds the table after the bound was fixed could fill it.
    fn one_ticket(&self, bound: i128, now: Moment) -> Ledger {
        let smallest = self.readable.smallest_id().min(bound);
        let gap = Gap {
            lo: smallest,
            hi: bound,
            first_seen: now.server,
        };
        Ledger::restore(
            &IncrementingCursor {
                highest: Some(bound),
                gaps: vec![gap],
            },
            smallest,
            now,
        )
    }

    async fn gaps_below(
        &self,
        bound: i128,
        session: &mut dyn Session,
        now: Moment,
    ) -> Result<Ledger> {
        let below = bound
            .saturating_sub(PROBED_IDS)
            .max(self.readable.smallest_id());
        let select = self.readable.statements.forward(Some(below), Some(bound))?;
        let ids = ids(&self.readable, session, &select).await?;
        let cursor = IncrementingCursor {
            highest: Some(below),
            gaps: Vec::new(),
        };
        let mut ledger = Ledger::restore(&cursor, below, now);
        let ticket = ledger.begin_forward(now);
        ledger.forward(ticket, &ids, now);
        Ok(ledger)
    }

    fn unreadable(&self) -> Error {
        Error::new(
            Kind::Data,
            "the remembered place of its copy cannot be read",
        )
        .about(&self.readable.table.name)
    }
}

/// The ids a statement gives; the rows are dropped.
async fn ids(readable: &Readable, session: &mut dyn Session, select: &Select) -> Result<Vec<i128>> {
    let column = readable.incrementing()?;
    let mut all = Vec::new();
    let mut batches = session.rows(&readable.table, select, readable.limits);
    while let Some(batch) = batches.next().await {
        all.extend(values::ids(&batch?, column)?);
    }
    Ok(all)
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
