//! The settings: what the configuration file means, checked and typed.
//!
//! The way of a file: `tree.rs` reads YAML into a tree of text with places, following references
//! (`reference.rs`) inside values; `shape.rs` checks the tree against the keys there are; `resolve/` turns it into
//! the [`Settings`] below. Every problem is reported at once, and no message holds a secret.
//!
//! `keys/` is the one source of what there is: each key with its meaning, form, default and example. The check, the
//! JSON Schema (`schema.rs`), the page of the configuration (`listing.rs`) and where each setting comes from
//! (`origin.rs`) follow from it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Code, Error, Kind, Result};
use crate::model::{Mode, OnValue, PartitionBy};

mod asked;
mod bare;
mod checkable;
mod client;
mod columns;
mod condition;
mod database_url;
pub mod defaults;
mod digits;
mod hash;
mod keys;
mod lake_url;
mod listing;
mod load;
mod names;
mod nearest;
mod origin;
mod pattern;
mod peer;
mod problem;
mod reference;
mod resolve;
mod schedule;
mod schema;
mod secret;
mod shape;
mod shown;
mod tls;
mod tree;
mod units;
mod words;

#[cfg(test)]
mod tests;

pub use asked::{Asked, asked_memory};
pub use bare::check_written;
pub use checkable::{Checkable, Mistake};
pub use columns::{ColumnChoice, NoSuchColumn};
pub use digits::Digits;
pub use listing::{KnownKey, Standing, known_keys};
pub use load::{load, load_to_check, origins, parse};
pub use names::{WrittenSource, written_names};
pub use nearest::nearest;
pub use origin::{Origin, Setting, Written};
pub use pattern::{
    from_like, glob_matches, is_meant, is_meant_by, is_problem_meant, meaningless, nearest_table,
    no_table_is_called, pattern_means,
};
pub use problem::Problems;
pub use schema::schema;
pub use secret::Secret;
pub use shown::duration as written_duration;
pub use units::duration;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[A-Za-z0-9_-]+`; names the state topic and the groups.
    pub pipeline: String,
    /// This worker's name, where the configuration gives one.
    pub worker: Option<String>,
    pub kafka: Option<KafkaSettings>,
    /// In the order of the file.
    pub sources: Vec<SourceSettings>,
    pub lake: LakeSettings,
    /// Bytes of rows and open files held at one time.
    pub memory: u64,
    /// 16 hexadecimal digits over everything that must be equal in all workers of a pipeline: the resolved
    /// configuration without secrets, memory and worker.
    pub hash: String,
    /// What works but should not stay so, each with its place: a password in the file, a check left out.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The `kafka:` block, or why there is no way on without it.
    pub fn needed_kafka(&self) -> Result<&KafkaSettings> {
        self.kafka.as_ref().ok_or_else(|| {
            Error::new(
                Kind::Config,
                "the configuration has no `kafka:` block, which this command needs",
            )
            .code(Code::NO_KAFKA_BLOCK)
            .hint("add `kafka: { brokers: …, topic_prefix: … }`; `cdc snapshot` copies bulk tables without")
        })
    }
}

/// The `kafka:` block.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    pub brokers: String,
    pub topic_prefix: String,
    /// Partitions of a data topic that `cdc` creates.
    pub partitions: i32,
    /// Replicas of a topic that `cdc` creates; −1 is the broker's default.
    pub replication: i32,
    pub retention: Duration,
    /// Further librdkafka properties; values may be secrets.
    pub client: BTreeMap<String, Secret>,
}

/// One database.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    pub name: String,
    pub url: DatabaseUrl,
    /// What timestamps without zone mean here.
    pub time_zone: jiff::tz::TimeZone,
    /// Connections to this database at one time.
    pub connections: usize,
    /// What its topics' names begin with, instead of `kafka.topic_prefix`.
    pub topic_prefix: Option<String>,
    /// The only tables that globs may mean; empty: all.
    pub include: Vec<String>,
    /// Tables that no glob means.
    pub exclude: Vec<String>,
    /// In the order of the file; for a table that several patterns match, an exact name wins over globs and
    /// an earlier glob over a later one.
    pub tables: Vec<TableSettings>,
}

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    Postgres,
    MariaDb,
}

/// Where a database is and how to log in, taken apart from its URL.
#[derive(Clone, Debug)]
pub struct DatabaseUrl {
    pub kind: DatabaseKind,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Secret,
    pub database: String,
    pub tls: TlsMode,
    /// A PEM file with the certificate authorities to trust instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// What this client shows of itself, where the server asks for it.
    pub tls_identity: Option<TlsIdentity>,
}

/// A client's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// A PEM file: the certificate, then those between it and its authority.
    pub certificate: PathBuf,
    /// A PEM file with the private key, not encrypted.
    pub key: PathBuf,
}

/// How far the database's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS; the default for peers on loopback.
    Disable,
    /// TLS, the certificate is not checked.
    RequireNoVerify,
    /// TLS, only the chain is checked: any server that the authority signed is accepted.
    VerifyCa,
    /// TLS, chain and host name checked; the default for every other peer.
    VerifyFull,
}

/// The settings of one table, or of all tables a glob matches.
#[derive(Clone, Debug)]
pub struct TableSettings {
    /// A table name or a glob (`*`, `?`), optionally with a schema before a dot.
    pub pattern: String,
    /// Globs of tables the pattern does not mean.
    pub exclude: Vec<String>,
    pub mode: Mode,
    /// Which of its columns are read.
    pub columns: ColumnChoice,
    /// The condition its rows must meet, as SQL that was checked to be one condition.
    pub filter: Option<String>,
    /// The timestamp column, where the configuration names it.
    pub timestamp: Option<String>,
    /// The incrementing column, where the configuration names it.
    pub incrementing: Option<String>,
    /// The pause between polls; for a bulk table between loads (never inherited there).
    pub every: Option<Duration>,
    pub schedule: Option<Schedule>,
    pub topic: Option<String>,
    pub partition_by: Vec<PartitionBy>,
    /// What becomes of values that their column cannot carry exactly.
    pub on_value: OnValues,
    /// The partition value for NULL and empty text in non-time partitions; none: such a row stops the table.
    pub null_partition: Option<String>,
    /// Columns that are carried as decimals of so many digits, by name.
    pub decimal: BTreeMap<String, Digits>,
    /// Read although the guard is known not to hold.
    pub allow_unsafe: bool,
    /// Where the database gives no evidence: no transaction is expected to stay open for longer.
    pub lookback: Duration,
}

/// What becomes of values that their column cannot carry exactly, column by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnValues {
    /// For every column that is not named, keys and cursors aside.
    pub others: OnValue,
    pub columns: BTreeMap<String, OnValue>,
}

impl OnValues {
    /// Whether rows of this table may be rejected.
    pub fn rejects(&self) -> bool {
        self.others == OnValue::Reject || self.columns.values().any(|on| *on == OnValue::Reject)
    }
}

/// A cron expression of five fields and the zone it is meant in.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// As written, e.g. `30 2 * * * Asia/Seoul`.
    pub text: String,
    pub cron: croner::Cron,
    pub zone: jiff::tz::TimeZone,
}

/// The `lake:` block.
#[derive(Clone, Debug)]
pub struct LakeSettings {
    pub place: LakePlace,
    /// The zone in which `day(…)` and its kin cut instants.
    pub day_in: jiff::tz::TimeZone,
    pub files: FileSettings,
}

/// Where the lake is.
#[derive(Clone, Debug)]
pub enum LakePlace {
    S3 {
        bucket: String,
        /// Without slashes at its ends; may be empty.
        prefix: String,
        endpoint: Option<String>,
        region: Option<String>,
        path_style: bool,
        /// A PEM file with the certificate authorities to trust instead of the system's.
        ca_file: Option<PathBuf>,
    },
    Local(PathBuf),
}

/// When a chunk of files is closed, and how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// Rows of the chunk's largest file.
    pub rows: u64,
    /// Bytes of the chunk's largest file.
    pub size: u64,
    /// Age of the chunk's oldest record.
    pub age: Duration,
    pub compression: Compression,
}

/// How Parquet pages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Zstd,
    Snappy,
    Lz4,
    None,
}
