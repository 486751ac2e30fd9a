//! How far a copy is, for whoever shows it. Written by readers and writers, looked at whenever somebody likes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// How far all tables of a copy are.
#[derive(Default)]
pub struct Progress {
    tables: OnceLock<Vec<TableProgress>>,
    stage: AtomicU8,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Connecting,
    Reading,
    Publishing,
}

/// How far one table is.
#[derive(Default)]
pub struct TableProgress {
    pub name: String,
    /// The catalog's estimate of its rows; `None` where it has none, or only some rows are wanted.
    pub estimated_rows: Option<u64>,
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Statements that are not read to their end.
    open: AtomicU64,
}

impl Progress {
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Connecting,
            1 => Stage::Reading,
            _ => Stage::Publishing,
        }
    }

    /// Empty while they are not known.
    pub fn tables(&self) -> &[TableProgress] {
        self.tables.get().map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn reading(&self, tables: Vec<TableProgress>) {
        let _ = self.tables.set(tables);
        self.stage.store(1, Ordering::Relaxed);
    }

    pub(super) fn publishing(&self) {
        self.stage.store(2, Ordering::Relaxed);
    }
}

impl TableProgress {
    pub(super) fn new(name: String, estimated_rows: Option<u64>, statements: u64) -> Self {
        TableProgress {
            name,
            estimated_rows,
            open: statements.into(),
            ..TableProgress::default()
        }
    }

    /// Rows read.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes their values take in memory.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether all of it was read.
    pub fn is_read(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }

    pub(super) fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn ended_statement(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
