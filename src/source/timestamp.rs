//! Timestamp modes: one poll = the safe bound, then one read of everything from the low mark on.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;

use super::groups::Groups;
use super::misfits::distinguish;
use super::readable::{Polled, Readable, room};
use super::row_hash::hash_rows;
use super::window::{Swept, Window, end_of, minute_of};
use super::{Guard, SafeBound, Session, values};
use crate::error::{Error, Kind, Result};
use crate::model::{Cursor, Micros, Minute, Position, RowHash, Step, TimestampCursor};

/// A bound that only moved is recorded this often: an idle table shall not cost a transaction per poll.
/// Nothing depends on it, since no row lies between the recorded bound and the present one.
const RECORD_BOUND_EVERY: Micros = 60_000_000;

/// How far the server's clock may be behind the cursor: clocks of a cluster differ by less. More means that
/// the database was restored to the past.
const CLOCK_TOLERANCE: Micros = 60_000_000;

/// The pause between polls while the window is full.
const WAITING_PAUSE: Duration = Duration::from_millis(250);

/// A minute of the seen window as the state remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedMinute {
    pub minute: Minute,
    pub hashes: Vec<RowHash>,
    /// Where the record was made under another schema: its columns, as indexes into the present one.
    pub columns: Option<Vec<usize>>,
}

/// Reads one table by the time of its rows' last change.
///
/// Each batch goes out as a [`Step`] with the cursor and the changes of the seen window after it. An error may
/// end a poll anywhere; what was sent before it stands, and the next poll goes on from there.
#[derive(Debug)]
pub struct TimestampReader {
    readable: Readable,
    low: Option<Position>,
    /// The low mark of the last step.
    recorded: Option<Position>,
    window: Window,
    /// Minutes remembered under another schema.
    foreign: BTreeMap<Minute, Foreign>,
    /// The window is as the state remembered it: hashes without the keys they belong to.
    is_restored: bool,
    waiting: bool,
    all_columns: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Foreign {
    columns: Vec<usize>,
    counts: HashMap<RowHash, u32>,
}

/// One poll's fixed points.
struct Sweep {
    /// Below it no row can still appear; not below the low mark.
    bound: Micros,
    passed: Vec<(Minute, RowHash)>,
    rows: u64,
    is_full: bool,
}

impl TimestampReader {
    /// Goes on from a cursor and the minutes of its seen window.
    pub fn new(readable: Readable, cursor: TimestampCursor, seen: Vec<RememberedMinute>) -> Self {
        let is_restored = !seen.is_empty();
        let (mut foreign, mut own) = (BTreeMap::new(), Vec::new());
        for RememberedMinute {
            minute,
            hashes,
            columns,
        } in seen
        {
            match columns {
                None => own.push((minute, hashes)),
                Some(columns) => {
                    let mut counts = HashMap::new();
                    hashes
                        .into_iter()
                        .for_each(|hash| *counts.entry(hash).or_default() += 1);
                    foreign.insert(minute, Foreign { columns, counts });
                }
            }
        }
        let all_columns = (0..readable.table.schema.columns.len()).collect();
        let (low, recorded) = (cursor.low.clone(), cursor.low);
        TimestampReader {
            readable,
            low,
            recorded,
            window: Window::restore(own),
            foreign,
            is_restored,
            waiting: false,
            all_columns,
        }
    }

    /// With other bounds on the seen window than its own.
    #[cfg(test)]
    pub fn with_largest(mut self, minute: usize, window: usize) -> Self {
        self.window = self.window.with_largest(minute, window);
        self
    }

    /// The cursor after everything that was sent.
    pub fn cursor(&self) -> Cursor {
        Cursor::Timestamp(TimestampCursor {
            low: self.low.clone(),
        })
    }

    /// One poll: everything visible now goes out, unless the seen window is full.
    pub async fn poll(
        &mut self,
        session: &mut dyn Session,
        guard: &mut dyn Guard,
        out: &Sender<Step>,
    ) -> Result<Polled> {
        let safe = guard.safe_bound().await?;
        let bound = self.bound(session, safe.as_ref()).await?;
        if self.is_restored {
            self.recognize(session, out).await?;
        }
        self.waiting = self.waiting && self.window.is_crowded();
        let below = self.waiting.then_some(bound);
        let mut sweep = Sweep {
            bound,
            passed: Vec::new(),
            rows: 0,
            is_full: false,
        };
        self.read(session, out, below, &mut sweep).await?;
        if bound > Micros::MIN {
            self.low = Some(Position {
                at: bound,
                key: None,
            })
            .max_by_time(self.low.take());
        }
        self.window
            .end_read(bound, &sweep.passed, below.is_none() && !sweep.is_full);
        self.waiting |= sweep.is_full;
        if self.window.has_changes() || self.bound_is_due() {
            let room = room(out).await?;
            room.send(self.step(self.readable.no_rows()));
        }
        Ok(Polled {
            rows: sweep.rows,
            open: self.window.rows(),
            waiting: self.waiting,
            class: guard.class(),
            held_by: safe.and_then(|safe| safe.held_by),
            again_after: self.waiting.then_some(WAITING_PAUSE),
        })
    }

    /// Polls until everything that was visible at the start is sent; the safe bound may lag behind.
    pub async fn once(
        &mut self,
        session: &mut dyn Session,
        guard: &mut dyn Guard,
        out: &Sender<Step>,
    ) -> Result<Polled> {
        let start = self.readable.clock.bound(session.server_time().await?);
        let mut polled = self.poll(session, guard, out).await?;
        let mut rows = polled.rows;
        while polled.waiting && self.low.as_ref().is_none_or(|low| low.at < start) {
            tokio::time::sleep(WAITING_PAUSE).await;
            polled = self.poll(session, guard, out).await?;
            rows += polled.rows;
        }
        Ok(Polled { rows, ..polled })
    }

    /// The column reading below which nothing can still appear, never below the low mark. Without a proven
    /// bound that is the low mark itself.
    async fn bound(&self, session: &mut dyn Session, safe: Option<&SafeBound>) -> Result<Micros> {
        let safe = safe.map(|safe| self.readable.clock.bound(safe.at));
        let low = self.low.as_ref().map(|low| low.at);
        if let Some(low) = low
            && safe.is_none_or(|safe| safe < low)
        {
            let present = self.readable.clock.bound(session.server_time().await?);
            if present.saturating_add(CLOCK_TOLERANCE) < low {
                return Err(Error::new(Kind::Data, "the database's clock is behind the table's cursor")
                    .about(&self.readable.table.name)
                    .hint("the database was restored or failed over; compare, then `cdc snapshot --again` begins the table anew"));
            }
        }
        Ok(safe.max(low).unwrap_or(Micros::MIN))
    }

    async fn read(
        &mut self,
        session: &mut dyn Session,
        out: &Sender<Step>,
        below: Option<Micros>,
        sweep: &mut Sweep,
    ) -> Result<()> {
        let table = self.readable.table.clone();
        let select = self.readable.statements.window(self.low.as_ref(), below)?;
        let mut groups = match self.readable.statements.has_tie_break() {
            true => None,
            false => Some(Groups::new(self.readable.timestamp()?)),
        };
        self.window.begin_read();
        let mut batches = session.rows(&table, &select, self.readable.limits);
        while let Some(batch) = batches.next().await {
            let batch = match &mut groups {
                None => Some(batch?),
                Some(groups) => groups.push(batch?, sweep.bound)?,
            };
            if let Some(batch) = batch {
                self.send_new(batch, out, sweep).await?;
            }
            if sweep.is_full {
                return Ok(());
            }
        }
        if let Some(last) = groups
            .map(|mut groups| groups.finish())
            .transpose()?
            .flatten()
        {
            self.send_new(last, out, sweep).await?;
        }
        Ok(())
    }

    /// Sends the rows of a batch that are new, with the low mark behind those below the bound.
    async fn send_new(
        &mut self,
        batch: RecordBatch,
        out: &Sender<Step>,
        sweep: &mut Sweep,
    ) -> Result<()> {
        let instants = values::instants(&batch, self.readable.timestamp()?)?;
        let Some(last) = instants.last().copied() else {
            return Ok(());
        };
        let low = self.low_after(&batch, last, sweep.bound)?;
        // Below the bound nothing is remembered, so with an empty window every row is new, unseen.
        let all_are_new = last < sweep.bound && self.window.rows() == 0;
        let (hashes, keys) = match all_are_new {
            true => (Vec::new(), Vec::new()),
            false => (
                self.hashes(&batch, &self.all_columns)?,
                self.key_hashes(&batch)?,
            ),
        };
        let room = room(out).await?;
        let Swept { is_new, passed } = match all_are_new {
            true => Swept {
                is_new: vec![true; batch.num_rows()],
                passed: Vec::new(),
            },
            false => self.window.sweep(instants, &hashes, &keys, sweep.bound),
        };
        sweep.passed.extend(passed);
        sweep.is_full = is_new.len() < batch.num_rows();
        self.low = Some(low).max_by_time(self.low.take());
        let rows = only(batch, is_new)?;
        if rows.num_rows() > 0 {
            sweep.rows += rows.num_rows() as u64;
            room.send(self.step(rows));
        }
        Ok(())
    }

    /// The low mark after a batch that ends at `last`.
    fn low_after(&self, batch: &RecordBatch, last: Micros, bound: Micros) -> Result<Position> {
        if last >= bound {
            return Ok(Position {
                at: bound,
                key: None,
            });
        }
        if !self.readable.statements.has_tie_break() {
            // Whole instants only: the next one begins at the next microsecond.
            return Ok(Position {
                at: last.saturating_add(1),
                key: None,
            });
        }
        let key = values::key(
            batch,
            &self.readable.columns.tie_break,
            batch.num_rows().saturating_sub(1),
        )?;
        Ok(Position {
            at: last,
            key: Some(key),
        })
    }

    /// Finds the rows of a restored window among those of its minutes, and sends none. Learns which key each hash
    /// belongs to, forgets versions that are there no more, and remembers rows by the present columns that
    /// were remembered by those of another schema. The new records replace the old ones in one step.
    async fn recognize(&mut self, session: &mut dyn Session, out: &Sender<Step>) -> Result<()> {
        let table = self.readable.table.clone();
        let column = self.readable.timestamp()?;
        let last = self
            .foreign
            .keys()
            .next_back()
            .copied()
            .max(self.window.last_minute());
        let select = self
            .readable
            .statements
            .window(self.low.as_ref(), last.map(end_of))?;
        let mut left = self.foreign.clone();
        let mut found = Vec::new();
        self.window.begin_read();
        let mut batches = session.rows(&table, &select, self.readable.limits);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let instants = values::instants(&batch, column)?;
            let hashes = self.hashes(&batch, &self.all_columns)?;
            let keys = self.key_hashes(&batch)?;
            self.window.recognize(instants, &hashes, &keys);
            for (row, at) in instants.iter().enumerate() {
                let Some(foreign) = left.get_mut(&minute_of(*at)) else {
                    continue;
                };
                let old = self.hashes(&batch.slice(row, 1), &foreign.columns)?;
                let count = old.first().and_then(|old| foreign.counts.get_mut(old));
                if let Some(count) = count.filter(|count| **count > 0) {
                    *count -= 1;
                    found.extend(
                        hashes
                            .get(row)
                            .map(|hash| (*at, *hash, keys.get(row).copied())),
                    );
                }
            }
        }
        drop(batches);
        let room = room(out).await?;
        let low = self.low.as_ref().map_or(Micros::MIN, |low| low.at);
        self.window.end_read(low, &[], true);
        for minute in std::mem::take(&mut self.foreign).into_keys() {
            self.window.rewrite(minute);
        }
        for (at, hash, key) in found {
            self.window.remember_sent(at, hash, key.as_ref());
        }
        self.is_restored = false;
        if self.window.has_changes() {
            room.send(self.step(self.readable.no_rows()));
        }
        Ok(())
    }

    /// The hashes of the rows over some of their columns, with what did not fit.
    fn hashes(&self, batch: &RecordBatch, columns: &[usize]) -> Result<Vec<RowHash>> {
        let mut hashes = hash_rows(batch, columns)?;
        distinguish(batch, self.all_columns.len(), &mut hashes)?;
        Ok(hashes)
    }

    /// The hashes of the rows' keys; none for a table without key.
    fn key_hashes(&self, batch: &RecordBatch) -> Result<Vec<RowHash>> {
        match self.readable.statements.has_tie_break() {
            true => hash_rows(batch, &self.readable.columns.tie_break),
            false => Ok(Vec::new()),
        }
    }

    fn bound_is_due(&self) -> bool {
        match (&self.low, &self.recorded) {
            (Some(low), Some(recorded)) => low.at.saturating_sub(recorded.at) >= RECORD_BOUND_EVERY,
            (low, recorded) => low != recorded,
        }
    }

    fn step(&mut self, rows: RecordBatch) -> Step {
        self.recorded = self.low.clone();
        Step {
            rows,
            cursor: Some(self.cursor()),
            seen: self.window.take_changes(),
            copy: None,
        }
    }
}

/// The rows that are `wanted`, of those it speaks about.
fn only(batch: RecordBatch, wanted: Vec<bool>) -> Result<RecordBatch> {
    let spoken_about = batch.slice(0, wanted.len().min(batch.num_rows()));
    if wanted.iter().all(|wanted| *wanted) {
        return Ok(spoken_about);
    }
    filter_record_batch(&spoken_about, &BooleanArray::from(wanted))
        .map_err(|e| Error::new(Kind::Bug, "leaving out rows that were sent").because(e))
}

/// The low mark never goes back.
trait MaxByTime {
    fn max_by_time(self, before: Option<Position>) -> Option<Position>;
}

impl MaxByTime for Option<Position> {
    /// `self`, unless `before` is later; at one instant a position with a key is behind more rows.
    fn max_by_time(self, before: Option<Position>) -> Option<Position> {
        match (self, before) {
            (Some(now), Some(before)) if before.at > now.at => Some(before),
            (Some(now), Some(before)) if before.at == now.at && now.key.is_none() => Some(before),
            (now, before) => now.or(before),
        }
    }
}

#[cfg(test)]
#[path = "timestamp_tests.rs"]
mod tests;
