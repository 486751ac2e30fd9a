//! Rows on their way, and the cursor they end at.

use arrow::array::RecordBatch;

use super::cursor::{Copy, Cursor, Minute, RowHash};

/// How large a batch may grow: it is closed by whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    pub rows: usize,
    /// Bytes of values in the batch's builders.
    pub bytes: usize,
}

impl Default for BatchLimits {
    /// 16,384 rows or 8 MiB: large enough that nothing per batch shows in a profile, and small enough that
    /// a few tables' batches fit the memory budget.
    fn default() -> Self {
        BatchLimits {
            rows: 16_384,
            bytes: 8 << 20,
        }
    }
}

/// Rows of one table, in the column order of its schema.
pub type Rows = RecordBatch;

/// A change of the seen window: the hashes now remembered of one minute, or `None` once it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenChange {
    pub minute: Minute,
    pub hashes: Option<Vec<RowHash>>,
}

/// Rows and the cursor once they are sent: both become durable in one decision, or neither.
#[derive(Clone, Debug)]
pub struct Step {
    /// May hold no rows, when only the cursor moved.
    pub rows: Rows,
    /// The cursor after these rows; `None` for a bulk load.
    pub cursor: Option<Cursor>,
    /// Minutes of the seen window that changed with these rows.
    pub seen: Vec<SeenChange>,
    /// The initial copy's progress after these rows, where this step belongs to it.
    pub copy: Option<Copy>,
}
