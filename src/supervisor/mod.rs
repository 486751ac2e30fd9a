//! Which tables run here, and how they fare.

mod capturing;
mod discovery;
mod draining;
mod joining;
mod member;
mod news;
mod roster;
mod run;
mod tables;
mod telling;
mod troubles;
mod units;
mod worker;
mod worker_name;

pub use member::Introduction;
pub use news::News;
pub use roster::state_partition;
pub use run::{Ended, Results, WorkerOptions, run};
pub use worker_name::WorkerName;
