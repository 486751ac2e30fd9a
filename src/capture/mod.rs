//! The journey database → topic: exactly once, fenced by the group that shares the tables.
//!
//! `group.rs` holds the membership: one assignment is one *life*. `recovery.rs` takes over the partitions of
//! a life, `unit.rs` reads one table, `committer.rs` puts rows, state and group offsets into one transaction.
//! `docs/protocol.md` states the rules these follow.

mod committer;
mod group;
mod recovery;
mod runs;
mod schemas;
mod sending;
mod topics;

pub use committer::{Batch, Committed, Committer, CommitterEvent, Command, Run, StateRecord};
pub use group::{Group, GroupEvent, GroupOptions};
pub use recovery::{Recovered, Recovery, TableMemory};
pub use schemas::Schemas;
pub use topics::{check_state_topic, data_topic_problem, prepare_data_topic, prepare_pipeline};

/// One assignment of state partitions to this worker, or its renewal after a failed transaction. Numbers only
/// grow; work of an older life is dropped.
pub type Life = u64;
