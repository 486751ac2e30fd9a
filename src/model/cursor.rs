//! A table's cursor: all that must be remembered so that no row is lost or sent twice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01 00:00, of an instant or of a wall-clock reading, as the column has it.
pub type Micros = i64;

/// A minute since 1970-01-01 00:00 of a timestamp column's reading: `micros.div_euclid(60_000_000)`.
pub type Minute = i64;

/// XXH3-128 over the values of one row, in the column order of the schema.
pub type RowHash = u128;

/// A row that was sent, to be looked for again when a table's rows were written anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Its id or its key, in the form bound values have.
    pub key: Vec<String>,
    /// When it was last changed, where a timestamp drives the reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Micros>,
    /// The hash of its values in 32 hexadecimal digits …
    pub hash: String,
    /// … in the column order of this schema.
    pub fingerprint: String,
}

/// How a table is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// The whole table at each tick of a schedule.
    #[serde(rename = "bulk")]
    Bulk,
    /// New rows by a strictly growing id.
    #[serde(rename = "incrementing")]
    Incrementing,
    /// New and changed rows by the time of their last change.
    #[serde(rename = "timestamp")]
    Timestamp,
    /// As `timestamp`, with the id to order rows of one instant.
    #[serde(rename = "timestamp+incrementing")]
    TimestampIncrementing,
}

impl Mode {
    /// All modes, in the order the documentation lists them.
    pub const ALL: [Mode; 4] = [
        Mode::Bulk,
        Mode::Incrementing,
        Mode::Timestamp,
        Mode::TimestampIncrementing,
    ];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Bulk => "bulk",
            Mode::Incrementing => "incrementing",
            Mode::Timestamp => "timestamp",
            Mode::TimestampIncrementing => "timestamp+incrementing",
        }
    }

    /// Whether a timestamp column drives the reading, so that the lake holds versions of a row.
    pub fn has_versions(self) -> bool {
        matches!(self, Mode::Timestamp | Mode::TimestampIncrementing)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Mode::ALL
            .into_iter()
            .find(|m| m.as_str() == text)
            .ok_or(format!("`{text}` is no mode"))
    }
}

/// What proves that no late row can still appear behind a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "class", content = "why")]
pub enum GuardClass {
    /// Evidence from the database itself.
    Proven,
    /// True as long as the stated assumption holds, e.g. "no transaction outlives 10 minutes".
    Assumed(String),
    /// Known not to hold; refused unless the configuration allows it.
    Unsafe(String),
}

impl fmt::Display for GuardClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuardClass::Proven => f.write_str("proven"),
            GuardClass::Assumed(why) => write!(f, "assumed ({why})"),
            GuardClass::Unsafe(why) => write!(f, "unsafe ({why})"),
        }
    }
}

/// Ids from `lo` to `hi` inclusive that were missing when a higher id was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub lo: i128,
    pub hi: i128,
    /// When it was first seen, by the database server's clock.
    pub first_seen: Micros,
}

/// Incrementing: everything up to `highest` was sent, except what lies in the open `gaps`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncrementingCursor {
    /// The highest id sent, or the copy's bound; `None` for a table that was empty.
    pub highest: Option<i128>,
    /// Open gaps, ascending, disjoint, never adjacent.
    pub gaps: Vec<Gap>,
}

/// A place in the order (timestamp, key): every row at or before it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub at: Micros,
    /// The tie-breaking key values, as text, of the last row at `at`; `None`: no row at `at` was sent yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<String>>,
}

/// Timestamp modes: everything before `low` was sent and closed; rows at or above it that were sent
/// already are in the seen window, which is kept beside the cursor minute by minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampCursor {
    /// `None` for a table that was empty.
    pub low: Option<Position>,
}

/// The cursor of a table in one of the three cursor modes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    Incrementing(IncrementingCursor),
    Timestamp(TimestampCursor),
}

/// The initial copy of a cursor table: keyset pages from the beginning to a bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Incrementing: the highest id to copy (inclusive). Timestamp modes: copy rows strictly below it, in µs.
    /// `None`: the table was empty when the bound was fixed.
    pub bound: Option<i128>,
    /// The keyset values of the last row copied, as text, in the order of the page's columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    pub phase: CopyPhase,
    /// Rows copied so far.
    pub rows: u64,
    /// Rows whose cursor column is NULL, among them.
    #[serde(default)]
    pub null_cursors: u64,
}

/// What the initial copy reads next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyPhase {
    /// Rows with a cursor value, in cursor order.
    Rows,
    /// Rows whose cursor column is NULL, in key order.
    Nulls,
    Done,
}
