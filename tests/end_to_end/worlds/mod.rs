//! Worlds that go wrong: what is away, refused, full, late or not what it was. Everything is said, nothing is lost or
//! written twice, and what comes back is found again without a restart.

mod away;
mod brokers;
mod clocks;
mod commits;
mod disks;
mod fifty;
mod grants;
mod refused;
mod stores;
mod topics;

pub use disks::Disk;
