//! The words everything else is said in: tables, their columns, cursors, batches, partitions.

mod batch;
mod cursor;
mod misfit;
mod name;
mod partition;
mod table;

pub use batch::{BatchLimits, Rows, SeenChange, Step};
pub use cursor::{
    Copy, CopyPhase, Cursor, Gap, GuardClass, IncrementingCursor, Micros, Minute, Mode, Position,
    RowHash, TimestampCursor, Witness,
};
pub use misfit::{Misfit, Misfits, OnValue, Wire};
pub use name::{TableName, TopicName, escape_part, percent_encode, unescape_part};
pub use partition::{PartitionBy, Transform};
pub use table::{Column, ColumnType, Fingerprint, TableSchema};
