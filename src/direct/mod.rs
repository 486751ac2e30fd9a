//! The journey from database to lake without a broker: whole tables of one moment, published whole.
//!
//! `tables.rs` finds out which tables are meant and holds them still, `reading.rs` reads them over the sessions of
//! one snapshot, `parts.rs` writes what was read into part files, `spool.rs` is where those grow, `publishing.rs`
//! gives them to the lake and switches, `progress.rs` says how far all of it is.
//!
//! The order is what makes a crash harmless. Nothing of a load is in the lake before all of its tables were read
//! and counted; nothing of it is read there before all of its files are there; and each table's pointer goes from
//! the old load to the new one in a single step. Whatever a crash leaves behind is older than the next load, which
//! sweeps it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::config::{FileSettings, LakePlace, SourceSettings};
use crate::error::{Error, Kind, Result};
use crate::model::{Micros, TableName};
use crate::source::{Chosen, Session, Source, open_source};

mod parts;
mod progress;
mod publishing;
mod reading;
mod spool;
mod tables;

/// How often a snapshot is opened before tables that others are changing are given up.
const OPENINGS: u32 = 5;

pub use progress::{Progress, Stage, TableProgress};

use parts::Part;
use publishing::Lake;
use spool::Spool;
use tables::Table;

/// What is to be copied, and where to.
pub struct Order {
    /// The database and the tables that are meant, each in mode bulk.
    pub source: SourceSettings,
    /// Names or globs from the command line that choose among them; empty: all.
    pub only: Vec<String>,
    /// Whether a glob that matches nothing is a mistake.
    pub globs_must_match: bool,
    pub target: Target,
    /// When a part is closed, and how it is written.
    pub files: FileSettings,
    /// Where days are cut.
    pub day_in: TimeZone,
    /// Bytes of rows and open files held at one time.
    pub memory: u64,
    /// Cancelled: nothing more is published.
    pub stop: CancellationToken,
}

/// Where rows go.
pub enum Target {
    Lake(LakePlace),
    /// One file of the one table, for whoever hands it on.
    File,
}

/// A copy that is done.
pub struct Done {
    pub tables: Vec<TableDone>,
    /// Of all its tables.
    pub load: String,
    /// When the snapshot was opened, by the database's clock: everything that was committed by then is in it.
    pub read_at: jiff::Timestamp,
    /// Over how many connections it was read.
    pub connections: usize,
    /// The file of [`Target::File`]; it is gone once this is dropped.
    pub file: Option<SpooledFile>,
}

/// A finished file in the spool.
pub struct SpooledFile {
    pub path: PathBuf,
    /// Keeps the file.
    _spool: Arc<Spool>,
}

/// What was copied of one table.
#[derive(Clone, Debug)]
pub struct TableDone {
    pub name: TableName,
    /// As many as the database counted in the same snapshot.
    pub rows: u64,
    pub files: usize,
    pub bytes: u64,
    /// What a reader opens; empty where there is no lake.
    pub location: String,
    /// Values in whose place NULL stands, by column and sort of value.
    pub nulled: BTreeMap<(String, String), u64>,
}

/// Copies the tables of an order, all as they are at one moment; `None` if it means no table.
///
/// Errors: `Config` and `Permission` before anything is read; `Unavailable` if a part of it does not answer: it can
/// simply be asked for again; `Data` for a value that does not fit and for unequal counts; `TryLater` where it was
/// stopped, or a newer load is current already. After any of them the lake shows the loads it showed before, unless
/// the error says otherwise.
pub async fn snapshot(order: &Order, progress: &Arc<Progress>) -> Result<Option<Done>> {
    let mut settings = order.source.clone();
    // One more than are read over: a condition is tried over a connection of its own.
    settings.connections = order.connections() + 1;
    let source = open_source(&settings)?;
    let stopped = || stopped(&order.stop);
    let chosen = unless(stopped(), tables::choose(order, source.as_ref())).await?;
    if chosen.is_empty() {
        return Ok(None);
    }
    // The lake first: a load takes its name before its moment, so that it is never older than what had been read when
    // the name was taken.
    let lake = async {
        match &order.target {
            Target::Lake(place) => Lake::open(place, &chosen).await.map(Some),
            Target::File => Ok(None),
        }
    };
    let lake = unless(stopped(), lake).await?;
    let opening = opened(order, source.as_ref(), &chosen);
    let (at, sessions, tables) = unless(stopped(), opening).await?;
    let spool = Arc::new(match lake.as_ref().and_then(Lake::spool) {
        Some(directory) => Spool::within(directory),
        None => Spool::temporary()?,
    });
    let load = match &lake {
        Some(lake) => lake.ulid(),
        None => ulid::Ulid::new(),
    };
    let reading = reading::Reading {
        tables,
        at: jiff::Timestamp::from_microsecond(at)
            .map_err(|error| Error::new(Kind::Data, "reading the server's clock").because(error))?,
        load: load.to_string(),
        files: order.files,
        memory: order.memory,
        stop: order.stop.clone(),
    };
    let read = reading.run(sessions, &spool, progress).await?;
    let mut done = Done {
        tables: read
            .tables()
            .iter()
            .map(|table| table.done(&read.parts))
            .collect(),
        load: load.to_string(),
        read_at: read.at,
        connections: read.connections,
        file: None,
    };
    match lake {
        Some(lake) => {
            lake.publish(&read, order.memory, &order.stop, progress)
                .await?;
            for (done, table) in done.tables.iter_mut().zip(read.tables()) {
                done.location = lake.location(&table.chosen.name);
            }
        }
        None => done.file = only_file(read.parts, spool),
    }
    Ok(Some(done))
}

/// Sessions in one snapshot, the tables that they hold still, and when it was opened. Begins anew where somebody else
/// is changing a table: whoever waits for it is let through.
async fn opened(
    order: &Order,
    source: &dyn Source,
    chosen: &[Chosen],
) -> Result<(Micros, Vec<Box<dyn Session>>, Vec<Table>)> {
    let mut tries = 1;
    loop {
        // Asked before the snapshot is opened: everything that was committed by then is in it.
        let at = source.session().await?.server_time().await?;
        let mut sessions = source.snapshot(order.connections()).await?;
        match tables::hold(order, source, chosen, &mut sessions).await {
            Ok(tables) => return Ok((at, sessions, tables)),
            Err(error) if error.kind() == Kind::Unavailable && tries < OPENINGS => {
                tracing::info!(%error, "opening the snapshot anew");
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Order {
    /// Over how many connections the tables are read: one file has rows of one.
    fn connections(&self) -> usize {
        match self.target {
            Target::Lake(_) => self.source.connections.max(1),
            Target::File => 1,
        }
    }
}

fn only_file(mut parts: Vec<Part>, spool: Arc<Spool>) -> Option<SpooledFile> {
    parts.pop().map(|part| SpooledFile {
        path: part.file.path,
        _spool: spool,
    })
}

/// Fails once `stop` does; what was begun is dropped.
async fn unless<T>(
    stop: impl Future<Output = Error>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        error = stop => Err(error),
    }
}

/// What ends the work once it was stopped.
async fn stopped(stop: &CancellationToken) -> Error {
    stop.cancelled().await;
    was_stopped()
}

fn was_stopped() -> Error {
    Error::new(
        Kind::TryLater,
        "it was stopped before anything was published",
    )
    .hint("the lake shows what it showed before; the same command begins anew")
}

impl Table {
    fn done(&self, parts: &[Part]) -> TableDone {
        let mut done = TableDone {
            name: self.chosen.name.clone(),
            rows: 0,
            files: 0,
            bytes: 0,
            location: String::new(),
            nulled: BTreeMap::new(),
        };
        for part in parts.iter().filter(|part| part.table == self.number) {
            done.rows += part.file.rows;
            done.bytes += part.file.bytes;
            done.files += 1;
            for (what, count) in &part.nulled {
                *done.nulled.entry(what.clone()).or_default() += count;
            }
        }
        done
    }
}
