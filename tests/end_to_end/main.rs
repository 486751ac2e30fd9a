//! The binary itself on the real parts: databases that are written to, topics and files that are read back,
//! processes that are stopped, killed and frozen. The database is the oracle: what it holds is what must have
//! arrived, every version once.
//!
//! Needs everything that `eval "$(scripts/stack env)"` names; what is missing is a failure. Each test has its
//! own pipeline, databases and lake.

mod beginnings;
mod changes;
mod completion;
mod crashes;
mod direct;
mod encryption;
mod exit_codes;
mod grants;
mod handover;
mod harness;
mod hostile_names;
mod lake;
mod loads;
mod looks;
mod memory;
mod modes;
mod moves;
mod offsets;
mod pages;
mod readers;
mod refusals;
mod requests;
mod schema_changes;
mod secrets;
mod service;
mod shapes;
mod sharing;
mod summaries;
mod taking_over;
mod values;
mod worlds;
