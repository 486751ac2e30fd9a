//! How long a row takes on its way into a record and back: `cargo bench --bench wire`.
//!
//! One thread, buffers warm, the least of several rounds, because other work on the machine only adds time.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use cdc::model::{Column, ColumnType, TableSchema};
use cdc::wire::{JsonDecoder, JsonEncoder, PartitionRecords};

const ROWS: usize = 16_384;
const ROUNDS: usize = 100;
const PARTITIONS: i32 = 12;
const LARGEST: usize = 16 << 20;

fn main() -> cdc::error::Result<()> {
    let schema = orders();
    let batch = rows(&schema)
        .map_err(|e| cdc::error::Error::new(cdc::error::Kind::Bug, "making rows").because(e))?;
    let mut encoder = JsonEncoder::new(&schema, PARTITIONS);
    let mut decoder = JsonDecoder::new(&schema);
    let mut records = encoder.encode(&batch, 0, LARGEST)?;
    let bytes: usize = records.iter().map(|records| records.buffer.len()).sum();

    let (mut encoding, mut decoding) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        encoder.recycle(std::mem::take(&mut records));
        let start = Instant::now();
        records = black_box(encoder.encode(black_box(&batch), 0, LARGEST)?);
        encoding = encoding.min(nanoseconds_per_row(start));

        let start = Instant::now();
        for (_, value) in records.iter().flat_map(PartitionRecords::records) {
            decoder.push(black_box(value))?;
        }
        black_box(decoder.finish()?);
        decoding = decoding.min(nanoseconds_per_row(start));
    }
    println!(
        "{} columns, {} bytes per record with its key",
        schema.columns.len(),
        bytes / ROWS
    );
    println!("encode {encoding:6.1} ns per row");
    println!("decode {decoding:6.1} ns per row");
    Ok(())
}

fn nanoseconds_per_row(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64 / ROWS as f64
}

fn orders() -> TableSchema {
    let column = |name: &str, source_type: &str, column_type, nullable| Column {
        name: name.into(),
        source_type: source_type.into(),
        column_type,
        nullable,
    };
    let instant = ColumnType::Timestamp { utc: true };
    TableSchema {
        columns: vec![
            column("order_id", "bigint", ColumnType::Int64, false),
            column("customer_id", "bigint", ColumnType::Int64, false),
            column("status", "text", ColumnType::Text, false),
            column(
                "total",
                "numeric(12,2)",
                ColumnType::Decimal {
                    precision: 12,
                    scale: 2,
                },
                false,
            ),
            column("gift", "boolean", ColumnType::Bool, true),
            column("note", "text", ColumnType::Text, true),
            column("ordered_at", "timestamptz", instant.clone(), false),
            column("updated_at", "timestamptz", instant, false),
        ],
        key: vec![0],
    }
}

fn rows(schema: &TableSchema) -> Result<RecordBatch, arrow::error::ArrowError> {
    let ids = || 0..ROWS as i64;
    let scattered = |i: i64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) as u64 >> 20) as i64;
    let statuses = ["new", "paid", "shipped", "delivered", "returned"];
    let instants = |offset: i64| {
        let values =
            ids().map(move |i| 1_790_000_000_000_000 + offset + scattered(i) % 86_400_000_000);
        TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC")
    };
    let note = |i: i64| {
        (i % 3 > 0).then(|| format!("leave it at the door, parcel {}", scattered(i) % 1000))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids().map(|i| 10_000_000 + i))),
        Arc::new(Int64Array::from_iter_values(
            ids().map(|i| scattered(i) % 1_000_000),
        )),
        Arc::new(StringArray::from_iter_values(
            ids().map(|i| statuses[scattered(i) as usize % statuses.len()]),
        )),
        Arc::new(
            Decimal128Array::from_iter_values(ids().map(|i| i128::from(scattered(i) % 10_000_000)))
                .with_precision_and_scale(12, 2)?,
        ),
        Arc::new(
            ids()
                .map(|i| (i % 7 > 0).then_some(i % 2 == 0))
                .collect::<BooleanArray>(),
        ),
        Arc::new(ids().map(note).collect::<StringArray>()),
        Arc::new(instants(0)),
        Arc::new(instants(3_600_000_000)),
    ];
    RecordBatch::try_new(schema.arrow(), columns)
}
