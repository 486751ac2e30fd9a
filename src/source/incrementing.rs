//! Incrementing mode: one poll = evidence, the ids that were missing, the ids that are new.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;

use super::gaps::{Ledger, Moment, TICKET_MARGIN};
use super::readable::{Polled, Readable, room};
use super::{Guard, Session, values};
use crate::error::Result;
use crate::model::{Cursor, IncrementingCursor, Step};

/// Ranges of one gap read: few enough for the planner, many enough that a thousand gaps are five statements.
const RANGES_PER_STATEMENT: usize = 200;

/// Up to where an empty table is read: no column's type has it, so no database is asked for it.
const NO_ROW: i128 = i128::MIN;

/// Reads one table by its growing id.
///
/// Each batch goes out as a [`Step`] with the cursor after it. An error may end a poll anywhere; what was sent
/// before it stands, and the next poll goes on from there.
#[derive(Debug)]
pub struct IncrementingReader {
    readable: Readable,
    ledger: Ledger,
    started: Instant,
    /// The cursor has moved since the last step.
    moved: bool,
}

impl IncrementingReader {
    /// Goes on from a cursor; `server_now` is the server's clock.
    pub fn new(readable: Readable, cursor: &IncrementingCursor, server_now: i64) -> Self {
        let now = Moment {
            elapsed: Duration::ZERO,
            server: server_now,
        };
        let ledger = Ledger::restore(cursor, readable.smallest_id(), now);
        IncrementingReader {
            readable,
            ledger,
            started: Instant::now(),
            moved: false,
        }
    }

    /// As if it had begun earlier.
    #[cfg(test)]
    pub fn age(&mut self, by: Duration) {
        self.started -= by;
    }

    /// The cursor after everything that was sent.
    pub fn cursor(&self) -> Cursor {
        Cursor::Incrementing(self.ledger.cursor())
    }

    /// One poll: everything visible now goes out.
    pub async fn poll(
        &mut self,
        session: &mut dyn Session,
        guard: &mut dyn Guard,
        out: &Sender<Step>,
    ) -> Result<Polled> {
        self.poll_up_to(session, guard, out, None).await
    }

    /// Polls until everything that was visible at the start is sent, and closes the gaps that can be proven
    /// closed by then; those that stay open do not delay it.
    pub async fn once(
        &mut self,
        session: &mut dyn Session,
        guard: &mut dyn Guard,
        out: &Sender<Step>,
    ) -> Result<Polled> {
        let target = session
            .integer(&self.readable.statements.highest_id()?)
            .await?;
        let up_to = target.unwrap_or(NO_ROW);
        let mut polled = self.poll_up_to(session, guard, out, Some(up_to)).await?;
        let mut rows = polled.rows;
        let mut rounds_for_gaps = 2;
        while polled.waiting || (rounds_for_gaps > 0 && !self.ledger.is_without_gaps()) {
            rounds_for_gaps -= i32::from(!polled.waiting);
            tokio::time::sleep(TICKET_MARGIN).await;
            polled = self.poll_up_to(session, guard, out, Some(up_to)).await?;
            rows += polled.rows;
        }
        Ok(Polled { rows, ..polled })
    }

    async fn poll_up_to(
        &mut self,
        session: &mut dyn Session,
        guard: &mut dyn Guard,
        out: &Sender<Step>,
        up_to: Option<i128>,
    ) -> Result<Polled> {
        let offset = ServerClock {
            server: session.server_time().await?,
            elapsed: self.started.elapsed(),
        };
        let mut rows = 0;
        if !self.ledger.is_without_gaps() {
            let evidence = guard.evidence(&self.ledger.ranges()).await?;
            self.ledger
                .observe(&evidence, offset.at(self.started.elapsed()));
            rows += self.read_gaps(session, out).await?;
        }
        if !self.ledger.is_waiting()
            && up_to != Some(NO_ROW)
            && up_to.is_none_or(|up_to| self.ledger.highest() < Some(up_to))
        {
            rows += self.read_forward(session, out, up_to, offset).await?;
        }
        if self.moved {
            let room = room(out).await?;
            room.send(self.step(self.readable.no_rows()));
            self.moved = false;
        }
        let waiting = self.ledger.is_waiting();
        Ok(Polled {
            rows,
            open: self.ledger.ranges().len(),
            waiting,
            class: guard.class(),
            held_by: None,
            again_after: waiting.then_some(TICKET_MARGIN),
        })
    }

    async fn read_gaps(&mut self, session: &mut dyn Session, out: &Sender<Step>) -> Result<u64> {
        let column = self.readable.incrementing()?;
        let table = self.readable.table.clone();
        let mut sent = 0;
        for ranges in self.ledger.ranges().chunks(RANGES_PER_STATEMENT) {
            let select = self.readable.statements.gaps(ranges)?;
            let mut batches = session.rows(&table, &select, self.readable.limits);
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let ids = values::ids(&batch, column)?;
                if ids.is_empty() {
                    continue;
                }
                let room = room(out).await?;
                self.ledger.found(&ids);
                sent += ids.len() as u64;
                room.send(self.step(batch));
                self.moved = false;
            }
        }
        // Only here, after every range was read to its end: a read cut short proves nothing.
        self.moved |= self.ledger.close_drained();
        Ok(sent)
    }

    async fn read_forward(
        &mut self,
        session: &mut dyn Session,
        out: &Sender<Step>,
        up_to: Option<i128>,
        offset: ServerClock,
    ) -> Result<u64> {
        let column = self.readable.incrementing()?;
        let table = self.readable.table.clone();
        let select = self
            .readable
            .statements
            .forward(self.ledger.highest(), up_to)?;
        let ticket = self.ledger.begin_forward(offset.at(self.started.elapsed()));
        let mut batches = session.rows(&table, &select, self.readable.limits);
        let mut sent = 0;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let ids = values::ids(&batch, column)?;
            let room = room(out).await?;
            let taken = self
                .ledger
                .forward(ticket, &ids, offset.at(self.started.elapsed()));
            sent += taken as u64;
            if taken > 0 {
                room.send(self.step(batch.slice(0, taken)));
                self.moved = false;
            }
            if taken < ids.len() {
                break;
            }
        }
        Ok(sent)
    }

    fn step(&self, rows: RecordBatch) -> Step {
        Step {
            rows,
            cursor: Some(self.cursor()),
            seen: Vec::new(),
            copy: None,
        }
    }
}

/// The server's clock as it was at one moment of ours, carried on by ours.
#[derive(Clone, Copy)]
struct ServerClock {
    server: i64,
    elapsed: Duration,
}

impl ServerClock {
    fn at(self, elapsed: Duration) -> Moment {
        let since = i64::try_from(elapsed.saturating_sub(self.elapsed).as_micros()).unwrap_or(0);
        Moment {
            elapsed,
            server: self.server.saturating_add(since),
        }
    }
}

#[cfg(test)]
#[path = "incrementing_tests.rs"]
mod tests;
