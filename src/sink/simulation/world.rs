//! A log, a lake, and workers that take over from each other.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::Int64Array;
use arrow::array::cast::AsArray;
use arrow::datatypes::Int64Type;
use futures_util::task::noop_waker;
use jiff::tz::TimeZone;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ulid::Ulid;

use super::fake_store::FakeStore;
use crate::config::{Compression, FileSettings};
use crate::error::{Kind, Result};
use crate::model::{
    Column, ColumnType, Fingerprint, Mode, PartitionBy, TableName, TableSchema, TopicName,
    Transform,
};
use crate::sink::SinkTable;
use crate::sink::open::ClosedChunk;
use crate::sink::partition::{Ground, PartitionWriter, Schemas};
use crate::sink::publish::{Outcome, publish};
use crate::sink::records::{Head, PartitionId, Records};
use crate::sink::take_over::{Bounds, plan_keys, take_over};
use crate::wire::RunHeader;

pub const TOPIC: &str = "retail.orders";

/// The one table: an id, and the store it belongs to, which cuts its directories.
pub fn schema(columns: usize) -> TableSchema {
    let column = |i: usize| Column {
        name: if i == 0 { "id".into() } else { format!("c{i}") },
        source_type: "bigint".into(),
        column_type: ColumnType::Int64,
        nullable: i > 0,
    };
    TableSchema {
        columns: (0..columns).map(column).collect(),
        key: vec![0],
    }
}

pub fn table(mode: Mode) -> Arc<SinkTable> {
    Arc::new(SinkTable {
        name: TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: "orders".into(),
            in_default_schema: true,
        },
        topic: TopicName::new(TOPIC).expect("a name"),
        mode,
        partition_by: vec![PartitionBy {
            name: "half".into(),
            transform: Transform::Bucket(2, "id".into()),
        }],
        null_partition: None,
        source_zone: TimeZone::UTC,
        guard: "proven".into(),
    })
}

/// Knows the schemas of two to four columns.
struct Known;

impl Schemas for Known {
    fn schema(&self, fingerprint: &Fingerprint) -> Result<Arc<TableSchema>> {
        let found = (1..5).map(schema).find(|s| s.fingerprint() == *fingerprint);
        found
            .map(Arc::new)
            .ok_or_else(|| crate::error::Error::new(Kind::Data, "no schema"))
    }
}

/// One record of the log.
#[derive(Clone, Debug)]
pub struct Logged {
    pub offset: u64,
    pub value: String,
    pub header: Option<String>,
}

/// A partition's log: runs with control records between them, as transactions leave them.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub records: Vec<Logged>,
    pub next_offset: u64,
    pub epoch: u64,
    pub next_sequence: u64,
    pub next_id: i64,
    pub low: u64,
}

impl Log {
    pub fn new() -> Self {
        Log {
            epoch: 7,
            next_sequence: 1,
            ..Log::default()
        }
    }

    /// Adds a run of `records` rows, and a control record behind it.
    pub fn run(&mut self, records: u64, columns: usize, load: Option<Ulid>) {
        let header = RunHeader {
            fingerprint: schema(columns).fingerprint(),
            epoch: self.epoch,
            first: self.next_sequence,
            records,
            load,
        };
        for i in 0..records {
            self.records.push(Logged {
                offset: self.next_offset,
                value: format!(r#"{{"id":{}}}"#, self.next_id),
                header: (i == 0).then(|| header.to_string()),
            });
            self.next_offset += 1;
            self.next_id += 1;
        }
        self.next_sequence += records;
        self.next_offset += 1;
    }

    pub fn rows(&self) -> Vec<(u64, i64)> {
        (0..)
            .zip(&self.records)
            .map(|(id, record)| (record.offset, id))
            .collect()
    }

    pub fn end(&self) -> u64 {
        self.records.last().map_or(0, |record| record.offset + 1)
    }

    pub fn bounds(&self, hint: Option<u64>) -> Bounds {
        Bounds {
            hint,
            low: self.low,
            high: self.next_offset,
        }
    }
}

/// Offset and id of every row in the lake, sorted; a row that lies there twice is there twice.
pub fn rows_in_lake(store: &FakeStore) -> Vec<(u64, i64)> {
    let mut rows = Vec::new();
    for (_, body) in store
        .objects()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".parquet"))
    {
        let reader = ParquetRecordBatchReaderBuilder::try_new(body).expect("a parquet file");
        for batch in reader.build().expect("a reader") {
            let batch = batch.expect("rows");
            let column = |name| -> Int64Array {
                batch
                    .column_by_name(name)
                    .expect("a column")
                    .as_primitive::<Int64Type>()
                    .clone()
            };
            let (offsets, ids) = (column("cdc_offset"), column("id"));
            rows.extend((0..offsets.len()).map(|i| (offsets.value(i) as u64, ids.value(i))));
        }
    }
    rows.sort_unstable();
    rows
}

type Publishing = Pin<Box<dyn Future<Output = (ClosedChunk, Result<Outcome>)>>>;

/// What a step of a worker came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Did {
    Something,
    /// Everything that is in the log was read, and nothing is under way.
    Nothing,
    /// A chunk that ends here is in the lake.
    InLake(u64),
    Died,
    Stopped(String),
}

/// A worker that holds the partition, or believes it does.
pub struct Worker {
    pub writer: PartitionWriter,
    store: Arc<FakeStore>,
    publishing: Option<Publishing>,
    retry: Option<ClosedChunk>,
    at: u64,
}

fn settings(rows: u64) -> FileSettings {
    FileSettings {
        rows,
        size: 1 << 30,
        age: Duration::from_secs(3_600),
        compression: Compression::None,
    }
}

pub fn ground(rows: u64, spool: &std::path::Path) -> Arc<Ground> {
    Arc::new(Ground {
        spool: spool.to_owned(),
        files: settings(rows),
        day_in: TimeZone::UTC,
        schemas: Arc::new(Known),
    })
}

impl Worker {
    /// Takes over with files of `rows` rows.
    pub async fn start(
        store: &Arc<FakeStore>,
        log: &Log,
        hint: Option<u64>,
        rows: u64,
        spool: &std::path::Path,
    ) -> Result<Result<Self, String>> {
        let id = PartitionId {
            topic: TopicName::new(TOPIC).expect("a name"),
            number: 0,
        };
        let keys = plan_keys(store.as_ref(), TOPIC).await?;
        let resume = take_over(store.as_ref(), &id, &keys, log.bounds(hint), None, None).await?;
        let why = format!("{resume:?}");
        let ground = ground(rows, &spool.join(Ulid::new().to_string()));
        let Some(writer) = PartitionWriter::new(ground, table(Mode::Timestamp), id, resume) else {
            return Ok(Err(why));
        };
        let at = writer.position();
        Ok(Ok(Worker {
            writer,
            store: store.clone(),
            publishing: None,
            retry: None,
            at,
        }))
    }

    /// Does one thing: an operation of an upload, or reading up to `records` records.
    pub fn step(&mut self, log: &Log, records: usize) -> Did {
        if let Some(publishing) = &mut self.publishing {
            let mut context = Context::from_waker(std::task::Waker::noop());
            let Poll::Ready((chunk, outcome)) = publishing.as_mut().poll(&mut context) else {
                return Did::Something;
            };
            self.publishing = None;
            return self.published(chunk, outcome);
        }
        if let Some(chunk) = self.retry.take().or_else(|| self.writer.take_closed()) {
            let store = self.store.clone();
            self.publishing = Some(Box::pin(async move {
                let outcome = publish(store.as_ref(), &chunk).await;
                (chunk, outcome)
            }));
            return Did::Something;
        }
        if let Some(stopped) = self.writer.stopped() {
            return Did::Stopped(stopped.error.to_string());
        }
        let batch: Vec<_> = log
            .records
            .iter()
            .filter(|r| r.offset >= self.at)
            .take(records)
            .collect();
        let Some(last) = batch.last() else {
            let before = self.writer.position();
            self.writer.drain_to(log.end());
            self.writer.pump(0).expect("pumped");
            let closed = self.writer.take_closed();
            self.retry = closed;
            let idle = self.retry.is_none() && self.writer.stopped().is_none();
            return if idle && before == self.writer.position() {
                Did::Nothing
            } else {
                Did::Something
            };
        };
        self.at = last.offset + 1;
        let mut pushed = Records::default();
        for record in batch {
            let head = Head::parse(record.header.as_deref().map(str::as_bytes));
            pushed.push(record.offset, 0, record.value.as_bytes(), head);
        }
        self.writer.push(pushed);
        self.writer.pump(0).expect("pumped");
        Did::Something
    }

    fn published(&mut self, chunk: ClosedChunk, outcome: Result<Outcome>) -> Did {
        match outcome {
            Ok(Outcome::InLake) => {
                self.writer.pump(0).expect("pumped");
                Did::InLake(chunk.plan.end)
            }
            Ok(Outcome::Adopt(stored)) => {
                self.at = self.writer.adopt(stored);
                Did::Something
            }
            Err(_) if self.store.is_dead() => Did::Died,
            Err(error) if error.kind() == Kind::Unavailable => {
                self.retry = Some(chunk);
                Did::Something
            }
            Err(error) => Did::Stopped(error.to_string()),
        }
    }
}

/// Runs a future that waits for nothing but the fake store.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = noop_waker();
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}
