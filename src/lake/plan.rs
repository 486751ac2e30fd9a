//! The durable decision which offsets of a partition make one chunk of files. Format version 1.

use serde::{Deserialize, Serialize};

use super::partition::LayoutSpec;
use crate::error::{Error, Kind, Result};

/// A plan: everything that shapes the files of the chunk `[start, end)`, so that whoever executes it writes
/// the same rows into the same names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub v: u32,
    pub topic: String,
    pub partition: i32,
    pub epoch: u64,
    /// Offset of the first record; a run begins there.
    pub start: u64,
    /// Offset of the last record + 1.
    pub end: u64,
    /// Sequence number of the record at `start`.
    pub first_sequence: u64,
    /// Sequence number the next chunk begins with.
    pub next_sequence: u64,
    /// The load these rows belong to, for a bulk table.
    pub load: Option<String>,
    pub file: FilePlan,
}

/// How the files of a chunk are laid out and written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlan {
    /// `<source>/<table>`, or `<source>/<table>/snapshot=<ULID>`, relative to the lake's root.
    pub table_path: String,
    /// The table as people write it, for the footer.
    pub table: String,
    pub fingerprint: String,
    pub layout: LayoutSpec,
    /// `zstd`, `snappy`, `lz4` or `none`.
    pub compression: String,
    /// Metadata columns appended to the table's own: `cdc_offset` or none.
    pub metadata_columns: Vec<String>,
    /// The guard class when the plan was made, for the footer.
    pub guard: String,
}

impl Plan {
    /// `_cdc/plan/<topic>/<epoch>/<partition>/<start, 20 digits>`.
    pub fn path(_topic: &str, _epoch: u64, _partition: i32, _start: u64) -> String {
        String::new()
    }

    /// `<table path>/<directory>/<topic>+<epoch>+<partition>+<s>-<e>.parquet`.
    pub fn file_path(&self, _directory: &str) -> String {
        String::new()
    }

    pub fn to_json(&self) -> String {
        String::new()
    }

    /// Reads a plan. `TryLater` for an unknown version (a newer `cdc` wrote it), `Data` for anything else.
    pub fn from_json(_text: &[u8]) -> Result<Plan> {
        Err(Error::new(Kind::Bug, "reading a plan"))
    }
}
