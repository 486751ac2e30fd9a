//! What a table remembers, and the formats in which it is remembered. Formats only: no I/O.

mod key;
mod load;
mod names;
mod offsets;
mod record;
mod rejected;

pub use key::StateKey;
pub use load::{EpochEnd, EpochRecord, LoadPartition, LoadRecord, LoadState, StopRecord};
pub use names::{ENDS_BY_ITSELF, PipelineNames};
pub use offsets::{Offsets, OffsetsDocument, Placement};
pub use record::{
    EndOffset, Failure, Head, LoadHead, Meta, Outcome, Request, SeenMinute, Sighting, Trouble,
    Verb, decode, encode,
};
pub use rejected::{Rejected, RejectedRow};
