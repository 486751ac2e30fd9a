//! The journey from topic to lake: plan, put, share, commit.
//!
//! `chunk.rs`, `resume.rs` and `judge.rs` are the decisions, pure. `partition.rs` turns one partition's
//! records into closed chunks (`open.rs`), `publish.rs` brings a chunk into the lake, `take_over.rs` finds
//! where a partition goes on, `loads.rs` settles bulk loads. `poll.rs` is the one thread that talks to the
//! group, `writer.rs` the threads that decode and write, `desk.rs` the task that watches over loads, `stops.rs` the one that tells
//! others what stands still.

mod book;
mod budget;
mod chunk;
mod desk;
mod judge;
mod loads;
mod open;
mod owner;
mod partition;
mod poll;
mod progress;
mod publish;
mod records;
mod remedy;
mod resume;
mod run;
mod schemas;
mod sent;
mod skip;
mod stops;
mod stored;
mod take_over;
mod taking;
mod writer;

use jiff::tz::TimeZone;

use crate::model::{Mode, PartitionBy, TableName, TopicName};

pub use loads::FailedLoad;
pub use owner::look_for_other;
pub use progress::{PartitionProgress, SinkProgress};
pub use records::PartitionId;
pub use run::{SinkHandle, SinkOptions, start};
pub use skip::{Skipper, Skipping};
pub use stored::SkipPlan;

/// A table whose topic goes into the lake.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkTable {
    pub name: TableName,
    pub topic: TopicName,
    pub mode: Mode,
    pub partition_by: Vec<PartitionBy>,
    /// The partition value for NULL and empty text.
    pub null_partition: Option<String>,
    /// What timestamps without zone mean in the source.
    pub source_zone: TimeZone,
    /// The guard class now, for the footers.
    pub guard: String,
}

/// The table's directory in the lake, relative to its root: `<source>/<table>`.
pub fn table_path(name: &TableName) -> String {
    format!("{}/{}", name.source, name.escaped())
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod whole_tests;
