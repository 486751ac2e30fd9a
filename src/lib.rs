//! `cdc` keeps a data lake in step with relational databases.
//!
//! The modules stand in floor order: a module imports only modules listed above it, and rooms of one
//! floor never import each other. `tests/floor_law.rs` holds every `use crate::…` line to that.

// Floor 0: words. No I/O, no clock, no async.
pub mod error;
pub mod model;

// Floor 1: settings and tools.
pub mod certificates;
pub mod config;
pub mod retry;

// Floor 2: rooms that do not know each other.
pub mod lake;
pub mod source;
pub mod state;
pub mod topic;
pub mod wire;

// Floor 3: the journeys, the only places where rooms meet.
pub mod capture;
pub mod direct;
pub mod inspect;
pub mod sink;

// Floor 4: which tables run here, and how they fare.
pub mod supervisor;

// Floor 5: the doors.
pub mod cli;
