//! All tables read over the sessions of one snapshot: each session takes the next piece of work there is, and hands
//! rows on to a lane of its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use futures_util::StreamExt;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::parts::{Part, Writing, write, write_empty};
use super::progress::{Progress, TableProgress};
use super::spool::Spool;
use super::tables::Table;
use super::was_stopped;
use crate::config::FileSettings;
use crate::error::{Error, Kind, Result};
use crate::model::BatchLimits;
use crate::source::{Select, Session, pieces};

/// Batches between a session and its lane: while one is written the next is read.
const AHEAD: usize = 1;
/// Of a lane's memory its open files may hold one part in so many, and a batch one; what else there is are the
/// batches on their way, with the room that their builders keep.
const FILES_SHARE: u64 = 2;
const BATCH_SHARE: u64 = 16;

/// What is to be read.
pub struct Reading {
    pub tables: Vec<Table>,
    /// When the snapshot was opened.
    pub at: jiff::Timestamp,
    pub load: String,
    pub files: FileSettings,
    pub memory: u64,
    pub stop: CancellationToken,
}

/// What was read: all of every table, as it was at one moment.
pub struct Read {
    shared: Arc<Shared>,
    pub parts: Vec<Part>,
    pub at: jiff::Timestamp,
    pub connections: usize,
}

/// A statement that is to be run.
enum Work {
    Rows(usize, Select),
    Count(usize),
}

/// What all readers share.
struct Shared {
    work: Mutex<VecDeque<Work>>,
    /// The database's own count, table by table.
    counts: Mutex<Vec<u64>>,
    writing: Writing,
    limits: BatchLimits,
    stop: CancellationToken,
}

impl Read {
    pub fn tables(&self) -> &[Table] {
        &self.shared.writing.tables
    }
}

impl Reading {
    /// Reads, writes and counts.
    pub async fn run(
        self,
        mut sessions: Vec<Box<dyn Session>>,
        spool: &Arc<Spool>,
        progress: &Arc<Progress>,
    ) -> Result<Read> {
        let first = sessions
            .first_mut()
            .ok_or_else(|| Error::new(Kind::Bug, "there is no session to read over"))?;
        let work = planned(&self.tables, first.as_mut(), progress).await?;
        sessions.truncate(work.len());
        let connections = sessions.len();
        let memory = self.memory / connections.max(1) as u64;
        let shared = Arc::new(Shared {
            work: Mutex::new(work),
            counts: Mutex::new(vec![0; self.tables.len()]),
            limits: limits(memory),
            writing: Writing {
                tables: self.tables,
                load: self.load,
                read_at: self.at.to_string(),
                files: self.files,
                memory: memory / FILES_SHARE,
                is_abandoned: AtomicBool::new(false),
            },
            stop: self.stop,
        });
        let mut parts = over(sessions, &shared, spool, progress).await?;
        balance(&shared, &parts)?;
        for table in &shared.writing.tables {
            if !parts.iter().any(|part| part.table == table.number) {
                parts.push(write_empty(&shared.writing, spool, table)?);
            }
        }
        Ok(Read {
            shared,
            parts,
            at: self.at,
            connections,
        })
    }
}

fn limits(memory: u64) -> BatchLimits {
    let usual = BatchLimits::default();
    let bytes = usize::try_from(memory / BATCH_SHARE).unwrap_or(usual.bytes);
    BatchLimits {
        bytes: usual.bytes.min(bytes),
        ..usual
    }
}

/// All statements there are: the pieces of the tables in their order, then the counts, so that rows come first.
async fn planned(
    tables: &[Table],
    session: &mut dyn Session,
    progress: &Progress,
) -> Result<VecDeque<Work>> {
    let mut work = VecDeque::new();
    let mut shown = Vec::with_capacity(tables.len());
    for table in tables {
        let name = &table.chosen.name;
        let pieces = pieces(&table.readable, session).await;
        let pieces = pieces.map_err(|error| error.about(name))?;
        let is_whole = table.chosen.settings.filter.is_none();
        shown.push(TableProgress::new(
            name.to_string(),
            table
                .readable
                .table
                .estimated_rows
                .filter(|rows| is_whole && *rows > 0),
            pieces.len() as u64,
        ));
        let pieces = pieces.into_iter();
        work.extend(pieces.map(|select| Work::Rows(table.number, select)));
    }
    work.extend(tables.iter().map(|table| Work::Count(table.number)));
    progress.reading(shown);
    Ok(work)
}

/// Runs all work over the sessions. After a failure nothing is left running.
async fn over(
    sessions: Vec<Box<dyn Session>>,
    shared: &Arc<Shared>,
    spool: &Arc<Spool>,
    progress: &Arc<Progress>,
) -> Result<Vec<Part>> {
    let mut readers = JoinSet::new();
    let mut lanes = Vec::with_capacity(sessions.len());
    for session in sessions {
        let (out, rows) = channel(AHEAD);
        let (shared, spool) = (Arc::clone(shared), Arc::clone(spool));
        readers.spawn(reader(
            session,
            Arc::clone(&shared),
            Arc::clone(progress),
            out,
        ));
        lanes.push(tokio::task::spawn_blocking(move || {
            write(&shared.writing, &spool, rows)
        }));
    }
    let mut failure = ended(&mut readers, shared).await.err();
    let mut parts = Vec::new();
    for lane in lanes {
        match lane.await {
            Ok(Ok(written)) => parts.extend(written),
            // A reader whose lane failed only knows that it is gone.
            Ok(Err(error)) => failure = Some(error),
            Err(error) => {
                failure = Some(Error::new(Kind::Bug, "writing part files").because(error));
            }
        }
    }
    failure.map_or(Ok(parts), Err)
}

/// Waits until every reader has ended; the first failure, or being stopped, ends the others.
async fn ended(readers: &mut JoinSet<Result<()>>, shared: &Shared) -> Result<()> {
    let mut failure = None;
    loop {
        let ended = tokio::select! {
            ended = readers.join_next() => ended,
            () = shared.stop.cancelled(), if failure.is_none() => Some(Ok(Err(was_stopped()))),
        };
        let error = match ended {
            None => return failure.map_or(Ok(()), Err),
            Some(Ok(Ok(()))) => continue,
            Some(Ok(Err(error))) => error,
            Some(Err(join)) if join.is_cancelled() => continue,
            Some(Err(join)) => Error::new(Kind::Bug, "reading tables").because(join),
        };
        failure.get_or_insert(error);
        shared.writing.is_abandoned.store(true, Ordering::Relaxed);
        readers.abort_all();
    }
}

/// One session at work: pieces and counts, until there are none left.
async fn reader(
    mut session: Box<dyn Session>,
    shared: Arc<Shared>,
    progress: Arc<Progress>,
    out: Sender<(usize, RecordBatch)>,
) -> Result<()> {
    while let Some(work) = next(&shared) {
        match work {
            Work::Count(number) => {
                let count = count(session.as_mut(), shared.table(number)?).await?;
                let mut counts = shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(counted) = counts.get_mut(number) {
                    *counted = count;
                }
            }
            Work::Rows(number, select) => {
                let table = shared.table(number)?.readable.table.clone();
                let progress = progress.tables().get(number);
                let mut batches = session.rows(&table, &select, shared.limits);
                while let Some(batch) = batches.next().await {
                    let batch = batch?;
                    let bytes = batch.get_array_memory_size() as u64;
                    if let Some(progress) = progress {
                        progress.add(batch.num_rows() as u64, bytes);
                    }
                    let sent = out.send((number, batch)).await;
                    sent.map_err(|_| Error::new(Kind::Bug, "the lane of a reader is gone"))?;
                }
                if let Some(progress) = progress {
                    progress.ended_statement();
                }
            }
        }
    }
    session.end_snapshot().await
}

fn next(shared: &Shared) -> Option<Work> {
    let mut work = shared.work.lock().unwrap_or_else(PoisonError::into_inner);
    work.pop_front()
}

impl Shared {
    fn table(&self, number: usize) -> Result<&Table> {
        self.writing.table(number)
    }
}

/// The database's own count of the rows that are wanted.
async fn count(session: &mut dyn Session, table: &Table) -> Result<u64> {
    let name = &table.chosen.name;
    let counted = session.integer(&table.readable.statements.count()).await;
    counted
        .map_err(|error| error.about(name))?
        .and_then(|count| u64::try_from(count).ok())
        .ok_or_else(|| Error::new(Kind::Data, "the database gave no count of the rows").about(name))
}

/// Fails unless the files hold as many rows of every table as the database counted.
fn balance(shared: &Shared, parts: &[Part]) -> Result<()> {
    let counts = shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
    for (table, counted) in shared.writing.tables.iter().zip(counts.iter()) {
        let of_it = parts.iter().filter(|part| part.table == table.number);
        let rows: u64 = of_it.map(|part| part.file.rows).sum();
        if rows != *counted {
            return Err(Error::new(
                Kind::Data,
                format!("{rows} rows were read, and the database counted {counted} in the same snapshot"),
            )
            .about(&table.chosen.name)
            .hint("nothing was published; if the table's engine has no snapshots, copy it while nobody writes to it, and let no `where` say NOW(), which moves on between two statements"));
        }
    }
    Ok(())
}
