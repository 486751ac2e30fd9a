//! Which tables run here, and how they fare.

mod capturing;
mod discovery;
mod joining;
mod member;
mod roster;
mod telling;
mod troubles;
mod worker;
mod worker_name;

pub use crate::config::is_meant;
pub use member::Introduction;
pub use roster::state_partition;
pub use worker::{News, Results, WorkerOptions, run};
pub use worker_name::WorkerName;
