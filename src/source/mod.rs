//! Databases: what they hold, how their rows become Arrow batches, and what proves that no late row can
//! still appear behind a cursor.
//!
//! `postgres/` and `mariadb/` are two rooms with the same doors: the traits below. What does not depend on
//! the database lives beside them and is pure: `query.rs` (the SQL of each mode), `gaps.rs` (incrementing),
//! `window.rs` (timestamp modes). `incrementing.rs`, `timestamp.rs`, `copy.rs` and `load.rs` put the two
//! together: one poll = guard, query, batches, and the cursor after each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::error::Result;
use crate::model::{
    BatchLimits, ColumnType, GuardClass, Micros, Mode, OnValue, TableName, TableSchema,
};

pub mod mariadb;
pub mod postgres;

mod bound;
mod chosen;
mod configured;
mod copy;
mod decimals;
mod gaps;
mod groups;
mod incrementing;
mod listing;
mod load;
mod look;
mod misfits;
mod narrowed;
mod on_value;
mod outline;
mod pieces;
mod placing;
mod query;
mod reached;
mod readable;
mod row_hash;
mod timestamp;
mod values;
mod window;
mod witness;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod type_page;

pub use bound::ColumnClock;
pub use chosen::{Choice, Chosen, CursorColumns, choose, choose_from, collisions, resolve_columns};
pub use configured::{configured_in, configured_tables, open_source};
pub use copy::{CopyReader, Fixed, Page, fix_bound};
pub use incrementing::IncrementingReader;
pub use listing::{Purposed, listing};
pub use load::{Loaded, load};
pub use look::{Depth, Look};
pub use narrowed::{Withheld, describe_chosen, readable_from, readable_of};
pub use outline::{Changes, ExpectedGuards, Outline};
pub use pieces::pieces;
pub use placing::{placed_as, placed_at, without_cursor};
pub use query::{Statements, quote};
pub use reached::{largest_id, refuse_unreached};
pub use readable::{Polled, Readable, row_ids};
pub use row_hash::hash_rows;
pub use timestamp::{RememberedMinute, TimestampReader};
pub use window::minute_of;
pub use witness::Testimony;

/// How a database writes SQL. [`query`](self) builds every statement of the modes from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    MariaDb,
}

/// A relation the catalog lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: TableName,
    pub kind: RelationKind,
    /// The database's own estimate; `None` where it has none, or none that costs nothing.
    pub estimated_rows: Option<u64>,
    /// Whether the role may read it, as far as the catalog tells. Patterns leave out what may not be read; one that
    /// is named exactly says which grant is missing when it is described.
    pub is_readable: bool,
}

/// What sort of relation it is. Only `Table` is matched by a glob; the others must be named exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// An ordinary or a partitioned table (its partitions are not listed).
    Table,
    View,
    MaterializedView,
    /// Rows of another server.
    ForeignTable,
    /// No rows of its own.
    Sequence,
}

impl RelationKind {
    /// As people call it.
    pub fn in_words(self) -> &'static str {
        match self {
            RelationKind::Table => "a table",
            RelationKind::View => "a view",
            RelationKind::MaterializedView => "a materialized view",
            RelationKind::ForeignTable => "a foreign table",
            RelationKind::Sequence => "a sequence",
        }
    }
}

/// All that is known of a table before its first row is read.
#[derive(Clone, Debug)]
pub struct Described {
    pub name: TableName,
    pub kind: RelationKind,
    pub schema: TableSchema,
    /// How each column of `schema` is written in a SELECT list: the quoted name, with a cast where the type
    /// travels as text. Same order as `schema.columns`.
    pub selects: Vec<String>,
    /// What becomes of a value that does not fit, column by column; empty: it stops the table.
    pub on_value: Vec<OnValue>,
    /// What this table *is*, beyond its name; another identity stops the table. PostgreSQL: system
    /// identifier, timeline, database, relation oid. MariaDB: server_id, database, table.
    pub identity: BTreeMap<String, String>,
    /// Columns that could drive `incrementing`: integer columns that are auto-increment, identity, serial, or
    /// the whole primary key; most plausible first. "Unambiguous" = exactly one.
    pub incrementing_candidates: Vec<String>,
    /// Columns that could drive the timestamp modes, by type and name (`updated_at`, `modified`, `ON UPDATE`).
    pub timestamp_candidates: Vec<String>,
    /// Digits after the second that a timestamp column keeps (0–6), by column name.
    pub timestamp_precision: BTreeMap<String, u8>,
    /// Columns that lead an index.
    pub indexed: BTreeSet<String>,
    pub estimated_rows: Option<u64>,
    /// The order of each text column, by column name, as the database names it.
    pub collations: BTreeMap<String, String>,
    /// What reads the newest number that was drawn for a column, by column name; without an entry where no
    /// counter fills it, or the role may not read it.
    pub counters: BTreeMap<String, Select>,
    /// What `describe` found that a user should know, as sentences: a type that falls back to text, row
    /// security, an engine that is not transactional.
    pub notes: Vec<String>,
    /// Columns the role may not read.
    pub withheld: Withheld,
    /// Columns that the configuration leaves out.
    pub left_out: Vec<String>,
}

/// One database. Cheap to clone through an `Arc`; connections are made on demand.
#[async_trait]
pub trait Source: Send + Sync {
    fn dialect(&self) -> Dialect;

    /// Every relation the role can see outside the system schemas.
    ///
    /// Errors: `Unavailable` (host and port named), `Permission` (wrong credentials), `Config` (no such database).
    async fn list(&self) -> Result<Vec<Listed>>;

    /// Every relation that [`Source::list`] gives, sequences aside, with what its catalog says of it: a few questions,
    /// however many tables there are. Errors as [`Source::list`].
    async fn outlines(&self) -> Result<Vec<Outline>>;

    /// Describes one relation. Errors as [`Source::list`]; `Config` if it does not exist, `Permission` if it
    /// cannot be read, naming the GRANT that is missing.
    async fn describe(&self, table: &TableName) -> Result<Described> {
        self.survey(table).await?.whole()
    }

    /// As [`Source::describe`], also where some columns cannot be read: `withheld` names them.
    async fn survey(&self, table: &TableName) -> Result<Described>;

    /// A short look at a table; `None` if there is none of this name. Callers of one moment share the question.
    async fn look(&self, table: &TableName, depth: Depth) -> Result<Option<Look>>;

    /// Where a table is now that was remembered with this identity and storage and is not there under its
    /// name: its new name, as people write it.
    async fn moved_to(
        &self,
        identity: &BTreeMap<String, String>,
        storage: &BTreeMap<String, String>,
    ) -> Result<Option<String>>;

    /// A connection set up for reading: UTC, no statement time-out, long write time-outs, application name
    /// `cdc`, read-only, REPEATABLE READ capable. At most `connections` exist at one time; the call waits for
    /// one. It goes back when the session is dropped, or is closed if a stream was not read to its end.
    async fn session(&self) -> Result<Box<dyn Session>>;

    /// Opens up to `most` sessions, at least one, in snapshots of one and the same moment: nothing that is committed is
    /// seen by some of them and not by others. Fewer where the server gives no more, or cannot show that the moment
    /// is the same. Asks for that many connections; the source's `connections` must allow them.
    async fn snapshot(&self, most: usize) -> Result<Vec<Box<dyn Session>>>;

    /// The guard of one table and cursor column. It keeps its own memory (tickets, horizons) and takes
    /// connections of its own, so that a long read never delays it.
    async fn guard(
        &self,
        table: &Described,
        column: &str,
        options: GuardOptions,
    ) -> Result<Box<dyn Guard>>;
}

/// One connection.
#[async_trait]
pub trait Session: Send {
    /// Runs `select` and gives its rows as batches in the order of the SELECT list, which must be
    /// `table.selects`. Streamed: memory is bounded by `limits`, whatever the table's size. Nothing is lost or
    /// reordered; an error ends the stream, and rows given before it stand. A value that cannot be carried
    /// exactly follows `table.on_value`: it stops the stream with a `Data` error naming table, column, key and
    /// kind of value, never the value; or it is NULL, and stands in one more column after the table's own
    /// ([`Misfits`](crate::model::Misfits)), which batches of a table with such a policy always have.
    fn rows<'a>(
        &'a mut self,
        table: &'a Described,
        select: &'a Select,
        limits: BatchLimits,
    ) -> BoxStream<'a, Result<RecordBatch>>;

    /// Runs `select`, which gives one integer or NULL in one row (`count(*)`, `max(id)`), or none.
    async fn integer(&mut self, select: &Select) -> Result<Option<i128>>;

    /// The server's clock now.
    async fn server_time(&mut self) -> Result<Micros>;

    /// Opens one consistent snapshot for all statements until [`Session::end_snapshot`].
    async fn begin_snapshot(&mut self) -> Result<()>;

    /// Ends the snapshot.
    async fn end_snapshot(&mut self) -> Result<()>;
}

/// A statement and its bound values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    pub sql: String,
    pub params: Vec<Param>,
}

/// A bound value: text, and the column type and source type it stands for. PostgreSQL binds the text and the
/// SQL casts it; MariaDB binds it as the wire type that compares exactly. Timestamps are microseconds as an
/// integer in text; integers and decimals are decimal digits; binary is hexadecimal; dates are ISO 8601.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub column_type: ColumnType,
    pub value: String,
}

/// What a guard may rely on.
#[derive(Clone, Copy, Debug)]
pub struct GuardOptions {
    /// Where the database gives no evidence: how long a transaction may stay open.
    pub lookback: Duration,
}

/// What can still fill a gap, as the database shows it at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The transactions that hold a write on the table. A ticket is such a set; it is drained when each
    /// member was seen gone. `since` changes when identities cannot be compared with earlier ones (the
    /// server was restarted, the connection is new): all tickets are then taken anew. `joins_all` are
    /// holders that must be added to every open ticket when first seen (prepared transactions).
    Writers {
        holders: BTreeSet<String>,
        joins_all: BTreeSet<String>,
        since: String,
    },
    /// No identities to be had: of the asked ranges, those a transaction holds right now. A range that is
    /// never held is closed `grace` after it was first seen.
    Probe {
        held: Vec<(i128, i128)>,
        grace: Duration,
    },
}

/// The newest moment below which no row can still appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafeBound {
    /// An instant, by the server's clock.
    pub at: Micros,
    /// Who holds it back and since when, in words for people (process id, user, application), if anybody
    /// holds it back for more than a minute.
    pub held_by: Option<String>,
}

/// Proves, for one table and cursor column, what lies behind the cursor. See `docs/protocol.md`.
#[async_trait]
pub trait Guard: Send {
    /// What its answers rest on. May change between calls (a grant is taken away); asked after each.
    fn class(&self) -> GuardClass;

    /// Incrementing: collects the evidence *now*. `gaps` are the ranges the caller has open.
    async fn evidence(&mut self, gaps: &[(i128, i128)]) -> Result<Evidence>;

    /// Timestamp modes: a bound that is safe for every read that begins after this call returned. Never
    /// goes back. `None` while no bound is proven yet (ask again after `poll`).
    async fn safe_bound(&mut self) -> Result<Option<SafeBound>>;
}

/// What a guard's answers rest on. Asks it once: only then does it know.
pub async fn class_of(guard: &mut dyn Guard, mode: Mode) -> Result<GuardClass> {
    match mode.has_versions() {
        true => guard.safe_bound().await.map(|_| ())?,
        false => guard.evidence(&[]).await.map(|_| ())?,
    }
    Ok(guard.class())
}
