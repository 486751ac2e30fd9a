//! What the commands that only look find out, what a move of a cursor would come to, and what `init` writes. Nothing
//! here moves data.
//!
//! `database.rs`, `broker.rs` and `memory.rs` look at a database, at Kafka, and at what the tables remember
//! there; `check.rs`, `plan.rs`, `status.rs`, `schedule.rs`, `peek.rs`, `rejected.rs`, `offsets.rs`,
//! `moves.rs` and `readers.rs` make an answer of it. No part that is silent holds up the others: each has a few seconds.
//!
//! `discover.rs` lists what databases hold, `proposal.rs` (pure) proposes a mode for each table, and `first.rs` (pure)
//! writes the first configuration from that, line by line with `draft.rs`. `connect/` (pure) writes one from Kafka
//! Connect's connectors.

mod advice;
mod broker;
mod check;
mod connect;
mod database;
mod discover;
mod draft;
mod first;
mod memory;
mod moves;
mod named;
mod names;
mod offsets;
mod patience;
mod peek;
mod plan;
mod proposal;
mod readers;
mod rejected;
mod schedule;
mod size;
mod status;
mod stops;
mod words;

pub use check::{Finding, Level, check};
pub use connect::{Around, Remark, Translation, Weight, translate};
pub use discover::{CursorColumn, Discovered, DiscoveredSource, DiscoveredTable, discover};
pub use first::{FirstFile, FirstSource, Wishes, first_file};
pub use moves::{ForeseenMove, Move, foresee};
pub use named::{must_all_mean_some, no_such_table};
pub use names::table_names;
pub use offsets::{CopyState, PartitionOffsets, TableOffsets, offsets, offsets_of};
pub use peek::{
    At, Content, FilePlace, Ordered, Peeked, PeekedColumn, PeekedFile, PeekedRecord, PeekedTable,
    PeekedTopic, Row, RunPlace, Slice, peek, peek_file,
};
pub use plan::{
    ColumnPlan, FilesPerDay, PartitionLevel, PipelinePlan, Problem, Statement, TablePlan,
    TopicPlan, plan,
};
pub use proposal::{Proposal, Verdict};
pub use readers::{files_of, view_of};
pub use rejected::{Reason, RejectedRecord, RejectedRows, newest_rejected, rejected_rows};
pub use schedule::{LastLoad, PipelineSchedule, TableSchedule, Tick, schedule};
pub use status::{LakeStatus, PipelineStatus, StatusOf, TableState, TableStatus, status};
pub use stops::StoppedPartition;
pub use words::{ago, ahead, bytes, counted, duration, listed, number};
