//! The sink's heart against a simulated log and a store that fails, loses answers and outlives crashes.

mod crashes;
mod fake_store;
mod faults;
mod world;

pub use fake_store::{FakeStore, Trouble};
pub use world::{Did, Log, TOPIC, Worker, block_on, ground, schema, table};
