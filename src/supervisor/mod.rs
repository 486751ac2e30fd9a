//! Which tables run here, and how they fare.

mod roster;
mod worker_name;

pub use roster::{Effect, Event, Roster, state_partition};
pub use worker_name::WorkerName;
