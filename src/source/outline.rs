//! Every table of a database at once, as far as its catalog tells: no table is touched and no row is read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Described;
use crate::model::GuardClass;

/// One relation, and what would speak for or against a mode.
#[derive(Clone, Debug)]
pub struct Outline {
    /// As [`describe`](super::Source::describe) gives it, without `identity`. Where the server hides columns from
    /// the account it cannot be told here.
    pub described: Described,
    /// Whether the role may read any of it; if not, `described.withheld.grant` is the statement that is missing.
    pub is_readable: bool,
    /// Whether row security hides rows from the role: such a table is not read.
    pub hides_rows: bool,
    /// Rows and indexes on disk; `None` where there are none, or the database does not say.
    pub bytes: Option<u64>,
    /// `None` where the database does not count them.
    pub changes: Option<Changes>,
    /// Columns that the database itself sets anew with every change of their row.
    pub updates_itself: BTreeSet<String>,
    pub guards: ExpectedGuards,
}

/// Rows that were written since the database's statistics began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

/// What a guard would rest on, as far as the catalog tells: the guard itself is asked by `cdc check`.
#[derive(Clone, Debug)]
pub struct ExpectedGuards {
    /// By each column that could drive `incrementing`.
    pub by_id: BTreeMap<String, GuardClass>,
    /// By any timestamp.
    pub by_time: GuardClass,
}

impl ExpectedGuards {
    /// What the guard of this column would rest on.
    pub fn of_id(&self, column: &str) -> GuardClass {
        let found = self.by_id.get(column).cloned();
        found.unwrap_or_else(|| GuardClass::Assumed("nothing was found out about it".to_owned()))
    }
}
