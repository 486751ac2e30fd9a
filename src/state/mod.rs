//! What a table remembers, and the formats in which it is remembered. Formats only: no I/O.

mod load;

pub use load::{LoadPartition, LoadRecord, LoadState};
