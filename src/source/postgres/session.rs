//! One borrowed connection: rows as batches, single numbers, snapshots.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt, try_unfold};
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::types::Type;
use tokio_postgres::{Row, RowStream};

use super::connect::{Connection, Database, cell};
use super::decode::{ColumnBuilder, Raw};
use super::failure::failed;
use super::{misfit, numeric, read};
use crate::error::{Error, Kind, Result};
use crate::model::{BatchLimits, Micros};
use crate::source::misfits::{Growing, stopped};
use crate::source::{Described, Select, Session};

/// A connection on loan.
pub(super) struct PostgresSession {
    database: Arc<Database>,
    /// Taken out only by `drop`.
    loan: Option<(Connection, OwnedSemaphorePermit)>,
    /// Whether every answer was read to its end.
    settled: bool,
    in_snapshot: bool,
}

impl PostgresSession {
    pub async fn open(database: &Arc<Database>) -> Result<Self> {
        let loan = Some(database.borrow().await?);
        Ok(PostgresSession {
            database: database.clone(),
            loan,
            settled: true,
            in_snapshot: false,
        })
    }

    fn connection(&self) -> Result<&Connection> {
        match &self.loan {
            Some((connection, _)) => Ok(connection),
            None => Err(Error::new(Kind::Bug, "using a session that was given back")),
        }
    }

    /// Runs statements without rows; until they are answered the connection counts as unsettled.
    async fn run(&mut self, doing: &'static str, sql: &str) -> Result<()> {
        self.settled = false;
        let connection = self.connection()?;
        let answer = connection.client.batch_execute(sql);
        self.database
            .heard(connection, answer)
            .await?
            .map_err(|error| failed(doing, &error))?;
        self.settled = true;
        Ok(())
    }

    /// What other sessions join this one's open snapshot by.
    pub async fn export_snapshot(&mut self) -> Result<String> {
        const DOING: &str = "exporting a snapshot";
        self.settled = false;
        let row = self
            .connection()?
            .query_one(DOING, "SELECT pg_catalog.pg_export_snapshot()", &[])
            .await?;
        self.settled = true;
        cell(&row, 0)
    }

    /// Opens a snapshot of the moment that another session exported and still holds open.
    pub async fn join_snapshot(&mut self, exported: &str) -> Result<()> {
        self.in_snapshot = true;
        let exported = exported.replace('\'', "''");
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{exported}'; SELECT 1"
        );
        self.run("joining a snapshot", &sql).await
    }

    async fn start(&mut self, table: &Described, select: &Select) -> Result<Pin<Box<RowStream>>> {
        self.settled = false;
        let params = select
            .params
            .iter()
            .map(|param| (param.value.as_str(), Type::TEXT));
        let connection = self.connection()?;
        let started = connection.client.query_typed_raw(&select.sql, params);
        let started = self.database.heard(connection, started).await?;
        Ok(Box::pin(
            started.map_err(|error| reading_failed(table, &error))?,
        ))
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        if let Some((connection, permit)) = self.loan.take() {
            match self.settled && !self.in_snapshot {
                true => self.database.give_back(connection, permit),
                false => self.database.close(connection, permit),
            }
        }
    }
}

#[async_trait]
impl Session for PostgresSession {
    fn rows<'a>(
        &'a mut self,
        table: &'a Described,
        select: &'a Select,
        limits: BatchLimits,
    ) -> BoxStream<'a, Result<RecordBatch>> {
        let reading = Reading {
            session: self,
            table,
            select,
            limits,
            rows: None,
            batch: None,
        };
        try_unfold(Some(reading), |reading| async {
            match reading {
                Some(reading) => reading.next().await,
                None => Ok(None),
            }
        })
        .boxed()
    }

    async fn integer(&mut self, select: &Select) -> Result<Option<i128>> {
        const DOING: &str = "reading a number";
        self.settled = false;
        let params = select
            .params
            .iter()
            .map(|param| (param.value.as_str(), Type::TEXT));
        let connection = self.connection()?;
        let started = connection.client.query_typed_raw(&select.sql, params);
        let started = self.database.heard(connection, started).await?;
        let mut rows = Box::pin(started.map_err(|error| failed(DOING, &error))?);
        let mut number = None;
        while let Some(row) = self.database.heard(connection, rows.next()).await? {
            number = single_integer(&row.map_err(|error| failed(DOING, &error))?)?;
        }
        self.settled = true;
        Ok(number)
    }

    async fn server_time(&mut self) -> Result<Micros> {
        const DOING: &str = "asking the server for the time";
        self.settled = false;
        let row = self
            .connection()?
            .query_one(DOING, "SELECT pg_catalog.clock_timestamp()", &[])
            .await?;
        self.settled = true;
        let Raw(bytes) = row.try_get(0).map_err(|error| failed(DOING, &error))?;
        read::timestamp(bytes.unwrap_or_default())
            .map_err(|kind| Error::new(Kind::Data, DOING).because(kind))
    }

    async fn begin_snapshot(&mut self) -> Result<()> {
        // The server takes the snapshot at the first SELECT; this one makes it now.
        self.in_snapshot = true;
        self.run(
            "opening a snapshot",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1",
        )
        .await
    }

    async fn end_snapshot(&mut self) -> Result<()> {
        self.run("ending a snapshot", "COMMIT").await?;
        self.in_snapshot = false;
        Ok(())
    }
}

/// A statement whose rows are being read.
struct Reading<'a> {
    session: &'a mut PostgresSession,
    table: &'a Described,
    select: &'a Select,
    limits: BatchLimits,
    rows: Option<Pin<Box<RowStream>>>,
    batch: Option<Batch>,
}

impl<'a> Reading<'a> {
    /// The next batch, and what is left to read after it.
    async fn next(mut self) -> Result<Option<(RecordBatch, Option<Reading<'a>>)>> {
        let mut rows = match self.rows.take() {
            Some(rows) => rows,
            None => self.session.start(self.table, self.select).await?,
        };
        let session = &*self.session;
        let connection = session.connection()?;
        while let Some(row) = session.database.heard(connection, rows.next()).await? {
            let row = row.map_err(|error| reading_failed(self.table, &error))?;
            let batch = match &mut self.batch {
                Some(batch) => batch,
                None => self.batch.insert(Batch::new(self.table, &row)?),
            };
            batch.append(self.table, &row)?;
            if batch.rows >= self.limits.rows || batch.bytes >= self.limits.bytes {
                let full = batch.finish(self.table)?;
                self.rows = Some(rows);
                return Ok(Some((full, Some(self))));
            }
        }
        self.session.settled = true;
        match &mut self.batch {
            Some(batch) if batch.rows > 0 => Ok(Some((batch.finish(self.table)?, None))),
            _ => Ok(None),
        }
    }
}

/// A batch that grows row by row.
struct Batch {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    misfits: Growing,
    rows: usize,
    bytes: usize,
}

impl Batch {
    fn new(table: &Described, row: &Row) -> Result<Self> {
        if row.len() != table.schema.columns.len() {
            let counts = format!(
                "it gives {} columns, and the table has {}",
                row.len(),
                table.schema.columns.len()
            );
            return Err(Error::new(Kind::Bug, "reading rows")
                .because(counts)
                .about(&table.name));
        }
        let columns = table
            .schema
            .columns
            .iter()
            .zip(row.columns())
            .map(|(column, sent)| {
                ColumnBuilder::new(&column.column_type, sent.type_()).ok_or_else(|| {
                    let text = format!(
                        "column `{}` is sent as {} and was described as {}",
                        column.name,
                        sent.type_(),
                        column.source_type
                    );
                    Error::new(Kind::Config, "reading rows")
                        .because(text)
                        .about(&table.name)
                        .hint("the table has changed; describe it again")
                })
            });
        Ok(Batch {
            schema: table.batch_schema(),
            columns: columns.collect::<Result<_>>()?,
            misfits: Growing::new(table),
            rows: 0,
            bytes: 0,
        })
    }

    fn append(&mut self, table: &Described, row: &Row) -> Result<()> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            let Raw(bytes) = row
                .try_get(index)
                .map_err(|error| reading_failed(table, &error))?;
            if let Err(kind) = column.append(bytes) {
                misfit::is_one(table, index, kind)?;
                let wire = || misfit::wire(table, index, bytes.unwrap_or_default());
                self.misfits.add(table, index, kind, wire);
                column.append_null();
            }
        }
        if let Some((index, kind)) = self.misfits.end_row() {
            return Err(stopped(table, index, kind, &self.key(table)?));
        }
        self.rows += 1;
        self.bytes += row.raw_size_bytes();
        Ok(())
    }

    /// The columns of the key so far; the batch is of no further use.
    fn key(&mut self, table: &Described) -> Result<Vec<ArrayRef>> {
        let mut key = Vec::new();
        for index in &table.schema.key {
            if let Some(column) = self.columns.get_mut(*index) {
                let values = column.finish();
                key.push(values.map_err(|kind| misfit::fault(table, *index, kind))?);
            }
        }
        Ok(key)
    }

    fn finish(&mut self, table: &Described) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter_mut().enumerate() {
            let values = column.finish();
            columns.push(values.map_err(|kind| misfit::fault(table, index, kind))?);
        }
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let batch = self.misfits.batch(self.schema.clone(), columns, rows);
        batch.map_err(|error| {
            Error::new(Kind::Data, "reading rows")
                .because(error)
                .about(&table.name)
        })
    }
}

fn reading_failed(table: &Described, error: &tokio_postgres::Error) -> Error {
    failed("reading rows", error).about(&table.name)
}

/// The number in the first column of a row.
fn single_integer(row: &Row) -> Result<Option<i128>> {
    const DOING: &str = "reading a number";
    let column = row.columns().first().map(|column| column.type_().clone());
    let Raw(bytes) = row.try_get(0).map_err(|error| failed(DOING, &error))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let number = match column {
        Some(Type::INT2) => read::fixed(bytes).map(|b| i128::from(i16::from_be_bytes(b))),
        Some(Type::INT4) => read::fixed(bytes).map(|b| i128::from(i32::from_be_bytes(b))),
        Some(Type::INT8) => read::fixed(bytes).map(|b| i128::from(i64::from_be_bytes(b))),
        Some(Type::OID) => read::fixed(bytes).map(|b| i128::from(u32::from_be_bytes(b))),
        Some(Type::NUMERIC) => numeric::decimal(bytes, 38, 0),
        _ => Err("no integer"),
    };
    number
        .map(Some)
        .map_err(|kind| Error::new(Kind::Data, DOING).because(format!("the answer is {kind}")))
}
