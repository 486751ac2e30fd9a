//! The journey database → topic: exactly once, fenced by the group that shares the tables.
//!
//! `group.rs` holds the membership: one assignment is one *life*. `recovery.rs` takes over the partitions of
//! a life, `unit.rs` reads one table, `committer.rs` puts rows, state and group offsets into one transaction.
//! `docs/protocol.md` states the rules these follow.

mod berth;
mod bulk_table;
mod change;
mod committer;
mod cursor_table;
mod first;
mod group;
mod recovery;
mod replay;
mod runs;
mod schemas;
mod sending;
mod sighting;
mod sorting;
mod told;
mod topics;
mod unit;

pub use berth::{Berth, Place, Tenure};
pub use committer::{
    Batch, Command, Committed, Committer, CommitterEvent, KeyedRecord, Parcel, Rejections, Run,
    StateRecord,
};
pub use first::table_path;
pub use group::{Group, GroupEvent, GroupOptions};
pub use recovery::{Recovered, Recovery, TableMemory};
pub use schemas::Schemas;
pub use sending::{PERMIT_BYTES, commit};
pub use topics::{
    check_state_topic, prepare_data_topic, prepare_pipeline, state_topic_is_the_same,
};
pub use unit::{Doing, Goal, Shared, Unit, UnitReport};

/// One assignment of state partitions to this worker, or its renewal after a failed transaction. Numbers only
/// grow; work of an older life is dropped.
pub type Life = u64;
