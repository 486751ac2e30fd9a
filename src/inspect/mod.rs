//! What `check`, `plan` and `status` find out, and where a reader finds a table's rows. Nothing here moves data.
//!
//! `database.rs`, `broker.rs` and `memory.rs` look at a database, at Kafka, and at what the tables remember
//! there; `check.rs`, `plan.rs`, `status.rs`, `rejected.rs`, `offsets.rs`, `moves.rs` and `readers.rs` make an answer of it. No part that is silent holds
//! up the others: each has a few seconds.

mod advice;
mod broker;
mod check;
mod database;
mod memory;
mod moves;
mod offsets;
mod patience;
mod plan;
mod readers;
mod rejected;
mod status;
mod stops;
mod words;

pub use check::{Finding, Level, check};
pub use moves::{ForeseenMove, Move, foresee};
pub use offsets::{CopyState, PartitionOffsets, TableOffsets, offsets, offsets_of};
pub use plan::{
    ColumnPlan, PartitionLevel, PipelinePlan, Problem, Statement, TablePlan, TopicPlan, plan,
};
pub use readers::{files_of, view_of};
pub use rejected::{Reason, RejectedRecord, RejectedRows, newest_rejected, rejected_rows};
pub use status::{LakeStatus, PipelineStatus, TableState, TableStatus, status};
pub use stops::StoppedPartition;
pub use words::{ago, duration, number};
