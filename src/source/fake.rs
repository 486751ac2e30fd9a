//! A table in memory that answers the statements of `query.rs`, for the readers' tests.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{
    Array, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::*;
use crate::config::TableSettings;
use crate::error::{Error, Kind};
use crate::model::{Column, Mode};

/// A row of the table: `id`, `at`, `note`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub id: i64,
    pub at: Option<Micros>,
    pub note: String,
}

pub fn row(id: i64, at: Option<Micros>) -> Row {
    Row {
        id,
        at,
        note: String::new(),
    }
}

#[derive(Clone, Default)]
pub struct Database {
    pub state: Arc<Mutex<State>>,
    keyless: bool,
}

#[derive(Default)]
pub struct State {
    pub rows: Vec<Row>,
    pub clock: Micros,
    /// The next stream ends with an error after this many batches.
    pub fail_after: Option<usize>,
    pub asked: Vec<Select>,
}

impl Database {
    pub fn with(rows: impl IntoIterator<Item = Row>) -> Self {
        let database = Database::default();
        database.state.lock().unwrap().rows.extend(rows);
        database
    }

    pub fn without_key(mut self) -> Self {
        self.keyless = true;
        self
    }

    pub fn insert(&self, row: Row) {
        self.state.lock().unwrap().rows.push(row);
    }

    pub fn update(&self, row: Row) {
        let mut state = self.state.lock().unwrap();
        state.rows.retain(|old| old.id != row.id);
        state.rows.push(row);
    }

    pub fn fail_after(&self, batches: usize) {
        self.state.lock().unwrap().fail_after = Some(batches);
    }

    pub fn session(&self) -> FakeSession {
        FakeSession {
            database: self.clone(),
        }
    }

    pub fn described(&self) -> Described {
        let column = |name: &str, source_type: &str, column_type, nullable| Column {
            name: name.into(),
            source_type: source_type.into(),
            column_type,
            nullable,
        };
        Described {
            name: TableName {
                source: "ec".into(),
                schema: "public".into(),
                name: "orders".into(),
                in_default_schema: true,
            },
            kind: RelationKind::Table,
            schema: TableSchema {
                columns: vec![
                    column("id", "bigint", ColumnType::Int64, false),
                    column(
                        "at",
                        "timestamp with time zone",
                        ColumnType::Timestamp { utc: true },
                        true,
                    ),
                    column("note", "text", ColumnType::Text, false),
                ],
                key: if self.keyless { vec![] } else { vec![0] },
            },
            selects: ["id", "at", "note"]
                .map(|name| format!("\"{name}\""))
                .to_vec(),
            identity: BTreeMap::new(),
            incrementing_candidates: vec!["id".into()],
            timestamp_candidates: vec!["at".into()],
            timestamp_precision: BTreeMap::from([("at".into(), 6)]),
            indexed: BTreeSet::new(),
            estimated_rows: None,
            collations: BTreeMap::new(),
            counters: BTreeMap::new(),
            notes: vec![],
            withheld: Default::default(),
            left_out: vec![],
            on_value: vec![],
        }
    }

    pub fn readable(&self, mode: Mode) -> Readable {
        let zone = jiff::tz::TimeZone::UTC;
        let table = Arc::new(self.described());
        let mut readable = Readable::new(Dialect::Postgres, table, &settings(mode), &zone).unwrap();
        // One row to a batch: every border between batches is tried.
        readable.limits.rows = 1;
        readable
    }

    pub fn ids(&self, rows: &RecordBatch) -> Vec<i64> {
        rows.column(0).as_primitive::<Int64Type>().values().to_vec()
    }
}

pub fn settings(mode: Mode) -> TableSettings {
    TableSettings {
        pattern: "orders".into(),
        exclude: vec![],
        columns: Default::default(),
        filter: None,
        mode,
        timestamp: None,
        incrementing: None,
        on_value: Default::default(),
        every: None,
        schedule: None,
        topic: None,
        partition_by: vec![],
        null_partition: None,
        decimal: Default::default(),
        allow_unsafe: false,
        lookback: Duration::from_secs(600),
    }
}

pub struct FakeSession {
    database: Database,
}

#[async_trait]
impl Session for FakeSession {
    fn rows<'a>(
        &'a mut self,
        table: &'a Described,
        select: &'a Select,
        limits: BatchLimits,
    ) -> BoxStream<'a, Result<RecordBatch>> {
        let mut state = self.database.state.lock().unwrap();
        state.asked.push(select.clone());
        let answer = answer(&state.rows, select);
        let mut batches: Vec<Result<RecordBatch>> = answer
            .chunks(limits.rows)
            .map(|rows| Ok(batch(table, rows)))
            .collect();
        if let Some(batches_left) = state.fail_after.take() {
            batches.truncate(batches_left);
            batches.push(Err(Error::new(Kind::Unavailable, "reading rows")));
        }
        stream::iter(batches).boxed()
    }

    async fn integer(&mut self, select: &Select) -> Result<Option<i128>> {
        let state = self.database.state.lock().unwrap();
        Ok(match select.sql.contains("count(*)") {
            true => Some(state.rows.len() as i128),
            false => state.rows.iter().map(|row| row.id.into()).max(),
        })
    }

    async fn server_time(&mut self) -> Result<Micros> {
        Ok(self.database.state.lock().unwrap().clock)
    }

    async fn begin_snapshot(&mut self) -> Result<()> {
        Ok(())
    }

    async fn end_snapshot(&mut self) -> Result<()> {
        Ok(())
    }
}

fn batch(table: &Described, rows: &[Row]) -> RecordBatch {
    let at =
        TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.at)).with_timezone("UTC");
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))),
        Arc::new(at),
        Arc::new(StringArray::from_iter_values(
            rows.iter().map(|row| &row.note),
        )),
    ];
    RecordBatch::try_new(table.schema.arrow(), columns).unwrap()
}

/// Understands the PostgreSQL statements of `query.rs` by their conditions.
fn answer(rows: &[Row], select: &Select) -> Vec<Row> {
    let mut params: VecDeque<i64> = select
        .params
        .iter()
        .map(|param| param.value.parse().unwrap())
        .collect();
    let mut rows = rows.to_vec();
    let condition = select
        .sql
        .split_once(" WHERE ")
        .map_or("", |(_, condition)| condition);
    let condition = condition.split(" ORDER BY ").next().unwrap();
    if condition.contains("\"id\" = ") || condition.contains("BETWEEN") {
        let ranges: Vec<(i64, i64)> = condition
            .split(" OR ")
            .map(|range| {
                let lo = params.pop_front().unwrap();
                (
                    lo,
                    if range.contains("BETWEEN") {
                        params.pop_front().unwrap()
                    } else {
                        lo
                    },
                )
            })
            .collect();
        rows.retain(|row| ranges.iter().any(|(lo, hi)| (lo..=hi).contains(&&row.id)));
    } else {
        for part in condition.split(" AND ").filter(|part| !part.is_empty()) {
            let mut param = || params.pop_front().unwrap();
            if part.starts_with("(t.\"at\", t.\"id\") > ") {
                let after = (Some(param()), param());
                rows.retain(|row| row.at.is_some() && (row.at, row.id) > after);
            } else if part.starts_with("t.\"at\" IS NULL") {
                rows.retain(|row| row.at.is_none());
            } else if part.starts_with("t.\"at\" IS NOT NULL") {
                rows.retain(|row| row.at.is_some());
            } else if part.starts_with("t.\"at\" >= ") {
                let low = param();
                rows.retain(|row| row.at.is_some_and(|at| at >= low));
            } else if part.starts_with("t.\"at\" < ") {
                let below = param();
                rows.retain(|row| row.at.is_some_and(|at| at < below));
            } else if part.starts_with("t.\"id\" > ") {
                let after = param();
                rows.retain(|row| row.id > after);
            } else if part.starts_with("t.\"id\" <= ") {
                let up_to = param();
                rows.retain(|row| row.id <= up_to);
            } else {
                assert!(
                    part.starts_with("t.\"id\" IS NOT NULL"),
                    "unknown condition: {part}"
                );
            }
        }
    }
    if select.sql.contains("ORDER BY t.\"at\"") {
        rows.sort_by_key(|row| (row.at, row.id));
    } else {
        rows.sort_by_key(|row| row.id);
    }
    if let Some((_, limit)) = select.sql.rsplit_once(" LIMIT ") {
        rows.truncate(limit.parse().unwrap());
    }
    rows
}

/// A guard that says what it was told to.
#[derive(Clone, Default)]
pub struct FakeGuard {
    pub holders: BTreeSet<String>,
    pub held: Option<Vec<(i128, i128)>>,
    pub safe: Option<Micros>,
}

#[async_trait]
impl Guard for FakeGuard {
    fn class(&self) -> GuardClass {
        GuardClass::Proven
    }

    async fn evidence(&mut self, _gaps: &[(i128, i128)]) -> Result<Evidence> {
        Ok(match &self.held {
            Some(held) => Evidence::Probe {
                held: held.clone(),
                grace: Duration::ZERO,
            },
            None => Evidence::Writers {
                holders: self.holders.clone(),
                joins_all: BTreeSet::new(),
                since: "1".into(),
            },
        })
    }

    async fn safe_bound(&mut self) -> Result<Option<SafeBound>> {
        Ok(self.safe.map(|at| SafeBound { at, held_by: None }))
    }
}
