//! One connection at work: rows as a stream of batches, single numbers, consistent snapshots.

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use mysql_async::prelude::Queryable;
use mysql_async::{BinaryProtocol, Conn, QueryResult, Row, Value};

use super::super::{Described, Select, Session};
use super::calendar;
use super::cells::Batch;
use super::connect::{Borrowed, Watch};
use super::failure::failure;
use super::params;
use crate::error::{Error, Kind, Result};
use crate::model::{BatchLimits, Micros};

pub(super) struct MariaDbSession {
    connection: Borrowed,
}

impl MariaDbSession {
    pub(super) fn new(connection: Borrowed) -> Self {
        MariaDbSession { connection }
    }

    /// Runs a fixed statement; `reusable` says whether the connection is as it was found once it succeeded.
    async fn run(
        &mut self,
        statement: &'static str,
        doing: &'static str,
        reusable: bool,
    ) -> Result<()> {
        let watch = self.connection.watch();
        let (conn, may_go_back) = self.connection.parts()?;
        *may_go_back = false;
        watch
            .heard(conn.query_drop(statement))
            .await?
            .map_err(|error| failure(error, doing))?;
        *may_go_back = reusable;
        Ok(())
    }

    /// The first value of the first row, as text.
    pub(super) async fn text(&mut self, sql: &str, doing: &'static str) -> Result<Option<String>> {
        let value = self.first(sql, Vec::new(), doing).await?;
        Ok(match value {
            Some(Value::Bytes(bytes)) => String::from_utf8(bytes).ok(),
            _ => None,
        })
    }

    /// The first value of the first row.
    async fn first(
        &mut self,
        sql: &str,
        values: Vec<Value>,
        doing: &'static str,
    ) -> Result<Option<Value>> {
        let watch = self.connection.watch();
        let (conn, may_go_back) = self.connection.parts()?;
        let was_reusable = std::mem::replace(may_go_back, false);
        let row: Option<Row> = watch
            .heard(conn.exec_first(sql, values))
            .await?
            .map_err(|error| failure(error, doing))?;
        *may_go_back = was_reusable;
        Ok(row.and_then(|row| row.as_ref(0).cloned()))
    }
}

#[async_trait]
impl Session for MariaDbSession {
    fn rows<'a>(
        &'a mut self,
        table: &'a Described,
        select: &'a Select,
        limits: BatchLimits,
    ) -> BoxStream<'a, Result<RecordBatch>> {
        let reading = Reading {
            session: Some(self),
            table,
            select,
            limits,
            running: None,
        };
        Box::pin(stream::try_unfold(reading, |mut reading| async move {
            let batch = reading
                .next()
                .await
                .map_err(|error| error.about(&reading.table.name))?;
            Ok(batch.map(|batch| (batch, reading)))
        }))
    }

    async fn integer(&mut self, select: &Select) -> Result<Option<i128>> {
        let doing = "reading one number";
        let value = self
            .first(&select.sql, params::values(&select.params)?, doing)
            .await?;
        let number = match &value {
            None | Some(Value::NULL) => return Ok(None),
            Some(Value::Int(number)) => Some(i128::from(*number)),
            Some(Value::UInt(number)) => Some(i128::from(*number)),
            // Sums and extremes of DECIMAL arrive as digits.
            Some(Value::Bytes(digits)) => std::str::from_utf8(digits)
                .ok()
                .and_then(|text| text.parse().ok()),
            Some(_) => None,
        };
        number
            .map(Some)
            .ok_or_else(|| Error::new(Kind::Data, doing).because("the answer is no integer"))
    }

    async fn server_time(&mut self) -> Result<Micros> {
        let doing = "reading the server's clock";
        let value = self.first("SELECT NOW(6)", Vec::new(), doing).await?;
        value
            .as_ref()
            .and_then(instant)
            .ok_or_else(|| Error::new(Kind::Bug, doing).because("the answer is no time"))
    }

    async fn begin_snapshot(&mut self) -> Result<()> {
        self.run(
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            "opening a snapshot",
            false,
        )
        .await
    }

    async fn end_snapshot(&mut self) -> Result<()> {
        self.run("COMMIT", "ending a snapshot", true).await
    }
}

/// The instant in a value that `NOW(6)` or a TIMESTAMP gave; sessions are in UTC.
pub(super) fn instant(value: &Value) -> Option<Micros> {
    match value {
        Value::Date(year, month, day, hour, minute, second, fraction) => {
            calendar::micros((*year, *month, *day), (*hour, *minute, *second), *fraction)
        }
        _ => None,
    }
}

/// A SELECT being read: not begun, running, or at its end.
struct Reading<'a> {
    session: Option<&'a mut MariaDbSession>,
    table: &'a Described,
    select: &'a Select,
    limits: BatchLimits,
    running: Option<Running<'a>>,
}

struct Running<'a> {
    result: QueryResult<'a, 'static, BinaryProtocol>,
    watch: Watch,
    /// Set once the last row was read: until then nobody else may use the connection.
    reusable: &'a mut bool,
    was_reusable: bool,
    batch: Batch,
}

impl<'a> Reading<'a> {
    /// The next batch; `None` after the last one.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(session) = self.session.take() {
            self.running = Some(self.begin(session).await?);
        }
        let Some(running) = &mut self.running else {
            return Ok(None);
        };
        loop {
            match running
                .watch
                .heard(running.result.next())
                .await?
                .map_err(|error| failure(error, "reading rows"))?
            {
                Some(row) => {
                    running.batch.append(self.table, &row)?;
                    if running.batch.is_full(self.limits) {
                        return running.batch.finish().map(Some);
                    }
                }
                None => {
                    *running.reusable = running.was_reusable;
                    let batch = if running.batch.is_empty() {
                        None
                    } else {
                        Some(running.batch.finish()?)
                    };
                    self.running = None;
                    return Ok(batch);
                }
            }
        }
    }

    async fn begin(&self, session: &'a mut MariaDbSession) -> Result<Running<'a>> {
        let batch = Batch::new(self.table, self.limits)?;
        let values = params::values(&self.select.params)?;
        let watch = session.connection.watch();
        let (conn, reusable): (&'a mut Conn, &'a mut bool) = session.connection.parts()?;
        let was_reusable = std::mem::replace(reusable, false);
        let result = conn.exec_iter(self.select.sql.as_str(), values);
        let result = watch
            .heard(result)
            .await?
            .map_err(|error| failure(error, "reading rows"))?;
        Ok(Running {
            result,
            watch,
            reusable,
            was_reusable,
            batch,
        })
    }
}
