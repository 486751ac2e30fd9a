//! Values that their column cannot carry exactly: what becomes of them, and what is told of them.

use serde::{Deserialize, Serialize};

/// What becomes of a value that its column cannot carry exactly.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum OnValue {
    /// The table stops.
    #[default]
    Stop,
    /// The row goes to the rejected topic instead of the table's.
    Reject,
    /// NULL stands in its place.
    Null,
    /// The whole column travels as the database's own text, so that there is no such value.
    Text,
}

/// A value that does not fit, as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfit {
    pub column: String,
    /// What sort of value it is, in words: `a timestamp of infinity`.
    pub kind: String,
    /// Why the row may not be sent: the column's own policy is to reject.
    pub rejects: bool,
    #[serde(flatten)]
    pub wire: Wire,
}

/// The value itself: as people write it, where that is known, else the bytes that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    Text(String),
    Base64(String),
}

/// The values of one row that do not fit, in column order. NULL stands in their places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfits(pub Vec<Misfit>);

impl Misfits {
    /// The column of a batch that holds them, as JSON; NULL for a row in which every value fits. It stands
    /// after the table's own columns, in the batches of a table that may have such rows.
    pub const COLUMN: &str = "cdc misfits";

    /// Whether the row goes to the rejected topic.
    pub fn rejects(&self) -> bool {
        self.0.iter().any(|misfit| misfit.rejects)
    }

    /// The value that rejected the row, before the others.
    pub fn reason(&self) -> Option<&Misfit> {
        self.0.iter().find(|misfit| misfit.rejects)
    }
}
