//! A table with all that its readers need, and what a poll reports.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::sync::mpsc::{Permit, Sender};

use super::bound::ColumnClock;
use super::chosen::{CursorColumns, resolve_columns};
use super::on_value::with_policies;
use super::query::Statements;
use super::{Described, Dialect, values};
use crate::config::TableSettings;
use crate::error::{Error, Kind, Result};
use crate::model::{BatchLimits, ColumnType, GuardClass, Mode, Step};

/// Rows of one page: a statement of some seconds, so that no snapshot stays open for long.
pub(super) const PAGE_ROWS: usize = 100_000;

/// A table, its statements, and the columns its cursor rests on.
#[derive(Clone, Debug)]
pub struct Readable {
    pub table: Arc<Described>,
    pub mode: Mode,
    pub columns: CursorColumns,
    pub statements: Statements,
    pub clock: ColumnClock,
    pub limits: BatchLimits,
    /// Rows of one page of a copy.
    pub page_rows: usize,
}

impl Readable {
    /// Resolves the cursor columns and what becomes of values that do not fit; `zone` is what timestamps without zone mean in this source.
    pub fn new(
        dialect: Dialect,
        table: Arc<Described>,
        settings: &TableSettings,
        zone: &jiff::tz::TimeZone,
    ) -> Result<Self> {
        let columns = resolve_columns(dialect, &table, settings)?;
        let table = Arc::unwrap_or_clone(table);
        let table = Arc::new(with_policies(dialect, table, &columns, settings)?);
        let statements = Statements::new(dialect, &table, &columns, settings.filter.as_deref())
            .map_err(|e| e.about(&table.name))?;
        let timestamp = columns.timestamp.and_then(|i| table.schema.columns.get(i));
        let clock = ColumnClock {
            zone: timestamp
                .filter(|column| column.column_type == ColumnType::Timestamp { utc: false })
                .map(|_| zone.clone()),
            precision: timestamp
                .and_then(|column| table.timestamp_precision.get(&column.name).copied())
                .unwrap_or(6),
        };
        Ok(Readable {
            table,
            mode: settings.mode,
            columns,
            statements,
            clock,
            limits: BatchLimits::default(),
            page_rows: PAGE_ROWS,
        })
    }

    /// The name of the column a guard watches: the timestamp where there is one, else the id.
    pub fn cursor_column(&self) -> Option<&str> {
        let index = self.columns.timestamp.or(self.columns.incrementing)?;
        self.table
            .schema
            .columns
            .get(index)
            .map(|column| column.name.as_str())
    }

    /// The names of the timestamp and the incrementing column, as far as it is read by them.
    pub fn cursor_column_names(&self) -> Vec<String> {
        let columns = [self.columns.timestamp, self.columns.incrementing];
        let of_table = &self.table.schema.columns;
        let names = columns
            .into_iter()
            .flatten()
            .filter_map(|index| of_table.get(index));
        names.map(|column| column.name.clone()).collect()
    }

    /// The smallest value the incrementing column's type has.
    pub(super) fn smallest_id(&self) -> i128 {
        let column = self
            .columns
            .incrementing
            .and_then(|i| self.table.schema.columns.get(i));
        match column.map(|column| &column.column_type) {
            Some(ColumnType::Int8) => i8::MIN.into(),
            Some(ColumnType::Int16) => i16::MIN.into(),
            Some(ColumnType::Int32) => i32::MIN.into(),
            Some(ColumnType::Decimal { precision, .. }) => {
                1 - 10_i128.pow(u32::from(*precision).min(38))
            }
            Some(
                ColumnType::UInt8 | ColumnType::UInt16 | ColumnType::UInt32 | ColumnType::UInt64,
            ) => 0,
            _ => i64::MIN.into(),
        }
    }

    /// The smallest and the largest value the incrementing column's type has.
    pub(super) fn ids(&self) -> (i128, i128) {
        let column = self
            .columns
            .incrementing
            .and_then(|i| self.table.schema.columns.get(i));
        let largest = match column.map(|column| &column.column_type) {
            Some(ColumnType::Int8) => i8::MAX.into(),
            Some(ColumnType::Int16) => i16::MAX.into(),
            Some(ColumnType::Int32) => i32::MAX.into(),
            Some(ColumnType::UInt8) => u8::MAX.into(),
            Some(ColumnType::UInt16) => u16::MAX.into(),
            Some(ColumnType::UInt32) => u32::MAX.into(),
            Some(ColumnType::UInt64) => u64::MAX.into(),
            Some(ColumnType::Decimal { precision, .. }) => {
                10_i128.pow(u32::from(*precision).min(38)) - 1
            }
            _ => i64::MAX.into(),
        };
        (self.smallest_id(), largest)
    }

    pub(super) fn incrementing(&self) -> Result<usize> {
        self.columns
            .incrementing
            .ok_or_else(|| self.bug("an incrementing column"))
    }

    pub(super) fn timestamp(&self) -> Result<usize> {
        self.columns
            .timestamp
            .ok_or_else(|| self.bug("a timestamp column"))
    }

    pub(super) fn no_rows(&self) -> RecordBatch {
        RecordBatch::new_empty(self.table.schema.arrow())
    }

    fn bug(&self, what: &str) -> Error {
        Error::new(Kind::Bug, format!("it is read without {what}")).about(&self.table.name)
    }
}

/// The ids of a batch of an incrementing table.
pub fn row_ids(readable: &Readable, batch: &RecordBatch) -> Result<Vec<i128>> {
    values::ids(batch, readable.incrementing()?)
}

/// What a poll did and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Rows sent.
    pub rows: u64,
    /// Ranges of missing ids, or rows above the safe bound, that are remembered.
    pub open: usize,
    /// It remembers as much as it may: nothing new is sent until some of it is closed.
    pub waiting: bool,
    /// What the guard's answers rest on now.
    pub class: GuardClass,
    /// Who holds the safe bound back, if anybody does for long.
    pub held_by: Option<String>,
    /// Poll again after this, whatever the table's pause is.
    pub again_after: Option<Duration>,
}

/// Room for one step. It is taken before the cursor moves in memory, so that a poll that is dropped while it
/// waits leaves memory and what was sent equal.
pub(super) async fn room(out: &Sender<Step>) -> Result<Permit<'_, Step>> {
    out.reserve()
        .await
        .map_err(|_| Error::new(Kind::TryLater, "reading was stopped"))
}
