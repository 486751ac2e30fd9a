//! The law: decode(encode(batch)) == batch, for batches of every type with every value.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{JsonDecoder, JsonEncoder};
use crate::model::{Column, ColumnType, TableSchema};
use crate::wire::{PartitionRecords, partition_for};

/// A value of any column, for tests alone.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    /// Every integer, date and timestamp, and the unscaled value of a decimal.
    Int(i128),
    Float32(f32),
    Float64(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Cell>),
}

pub(super) fn any_type() -> impl Strategy<Value = ColumnType> {
    let flat = prop_oneof![
        Just(ColumnType::Bool),
        Just(ColumnType::Int8),
        Just(ColumnType::Int16),
        Just(ColumnType::Int32),
        Just(ColumnType::Int64),
        Just(ColumnType::UInt8),
        Just(ColumnType::UInt16),
        Just(ColumnType::UInt32),
        Just(ColumnType::UInt64),
        Just(ColumnType::Float32),
        Just(ColumnType::Float64),
        (1..=38_u8).prop_flat_map(|precision| {
            (0..=precision).prop_map(move |scale| ColumnType::Decimal { precision, scale })
        }),
        Just(ColumnType::Text),
        Just(ColumnType::Binary),
        Just(ColumnType::Date),
        any::<bool>().prop_map(|utc| ColumnType::Timestamp { utc }),
    ];
    flat.prop_recursive(2, 4, 1, |inner| {
        inner.prop_map(|inner| ColumnType::List(Box::new(inner)))
    })
}

fn integers(lo: i128, hi: i128) -> BoxedStrategy<Cell> {
    let near = (lo.max(-1000), hi.min(1000));
    prop_oneof![lo..=hi, near.0..=near.1, Just(lo), Just(hi)]
        .prop_map(Cell::Int)
        .boxed()
}

fn values(column_type: &ColumnType) -> BoxedStrategy<Cell> {
    match column_type {
        ColumnType::Bool => any::<bool>().prop_map(Cell::Bool).boxed(),
        ColumnType::Int8 => integers(i8::MIN.into(), i8::MAX.into()),
        ColumnType::Int16 => integers(i16::MIN.into(), i16::MAX.into()),
        ColumnType::Int32 | ColumnType::Date => integers(i32::MIN.into(), i32::MAX.into()),
        ColumnType::Int64 | ColumnType::Timestamp { .. } => {
            integers(i64::MIN.into(), i64::MAX.into())
        }
        ColumnType::UInt8 => integers(0, u8::MAX.into()),
        ColumnType::UInt16 => integers(0, u16::MAX.into()),
        ColumnType::UInt32 => integers(0, u32::MAX.into()),
        ColumnType::UInt64 => integers(0, u64::MAX.into()),
        ColumnType::Decimal { precision, .. } => {
            let most = 10_i128.pow((*precision).into()) - 1;
            integers(-most, most)
        }
        // Any bit pattern: subnormals, infinities, -0.0. A NaN's payload is not kept, so there is one NaN.
        ColumnType::Float32 => {
            let one_nan = |f: f32| if f.is_nan() { f32::NAN } else { f };
            prop_oneof![
                any::<u32>().prop_map(f32::from_bits),
                (-9999..9999_i16).prop_map(f32::from),
                Just(-0.0),
                Just(f32::NAN),
                Just(f32::INFINITY),
                Just(f32::NEG_INFINITY),
                Just(f32::MAX),
                Just(f32::MIN_POSITIVE)
            ]
            .prop_map(move |f| Cell::Float32(one_nan(f)))
            .boxed()
        }
        ColumnType::Float64 => {
            let one_nan = |f: f64| if f.is_nan() { f64::NAN } else { f };
            prop_oneof![
                any::<u64>().prop_map(f64::from_bits),
                (-9999..9999_i16).prop_map(f64::from),
                Just(-0.0),
                Just(f64::NAN),
                Just(f64::INFINITY),
                Just(f64::NEG_INFINITY),
                Just(f64::MAX),
                Just(f64::MIN_POSITIVE)
            ]
            .prop_map(move |f| Cell::Float64(one_nan(f)))
            .boxed()
        }
        ColumnType::Text => {
            let characters = prop_oneof![
                any::<char>(),
                (0..0x20_u8).prop_map(char::from),
                Just('"'),
                Just('\\'),
                Just('\u{7f}'),
                Just('\u{2028}'),
                Just('\u{1f34e}'),
                Just('\u{10ffff}')
            ];
            prop_oneof![
                vec(characters, 0..12).prop_map(String::from_iter),
                "[a-z ]{0,40}"
            ]
            .prop_map(Cell::Text)
            .boxed()
        }
        ColumnType::Binary => vec(any::<u8>(), 0..12).prop_map(Cell::Bytes).boxed(),
        ColumnType::List(element) => vec(cells(element, true), 0..4).prop_map(Cell::List).boxed(),
    }
}

fn cells(column_type: &ColumnType, nullable: bool) -> BoxedStrategy<Cell> {
    let values = values(column_type);
    if nullable {
        prop_oneof![1 => Just(Cell::Null), 3 => values].boxed()
    } else {
        values
    }
}

/// A schema and rows of it, column by column.
pub(super) fn any_batch(
    rows: RangeInclusive<usize>,
) -> impl Strategy<Value = (TableSchema, RecordBatch)> {
    let name = prop_oneof!["[a-z_]{1,8}", any::<String>()];
    let columns = vec((name, any_type(), any::<bool>()), 0..6);
    (columns, rows, vec(any::<proptest::sample::Index>(), 0..3))
        .prop_flat_map(|(columns, rows, key)| {
            let columns: Vec<Column> = columns
                .into_iter()
                .enumerate()
                .map(|(i, (name, column_type, nullable))| Column {
                    name: format!("{name}{i}"),
                    source_type: "any".into(),
                    column_type,
                    nullable,
                })
                .collect();
            let mut key: Vec<usize> = if columns.is_empty() {
                Vec::new()
            } else {
                key.iter().map(|i| i.index(columns.len())).collect()
            };
            key.dedup();
            let cells: Vec<_> = columns
                .iter()
                .map(|c| vec(cells(&c.column_type, c.nullable), rows))
                .collect();
            (Just(TableSchema { columns, key }), cells, Just(rows))
        })
        .prop_map(|(schema, cells, rows)| {
            let batch = batch(&schema, &cells, rows);
            (schema, batch)
        })
}

pub(super) fn batch(schema: &TableSchema, cells: &[Vec<Cell>], rows: usize) -> RecordBatch {
    let arrays = schema
        .columns
        .iter()
        .zip(cells)
        .map(|(column, cells)| array(&column.column_type, cells))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.arrow(), arrays, &options).expect("a batch")
}

pub(super) fn array(column_type: &ColumnType, cells: &[Cell]) -> ArrayRef {
    match column_type {
        ColumnType::Bool => Arc::new(BooleanArray::from_iter(cells.iter().map(|c| {
            if let Cell::Bool(b) = c {
                Some(*b)
            } else {
                None
            }
        }))),
        ColumnType::Int8 => integers_of::<Int8Type>(column_type, cells),
        ColumnType::Int16 => integers_of::<Int16Type>(column_type, cells),
        ColumnType::Int32 => integers_of::<Int32Type>(column_type, cells),
        ColumnType::Int64 => integers_of::<Int64Type>(column_type, cells),
        ColumnType::UInt8 => integers_of::<UInt8Type>(column_type, cells),
        ColumnType::UInt16 => integers_of::<UInt16Type>(column_type, cells),
        ColumnType::UInt32 => integers_of::<UInt32Type>(column_type, cells),
        ColumnType::UInt64 => integers_of::<UInt64Type>(column_type, cells),
        ColumnType::Date => integers_of::<Date32Type>(column_type, cells),
        ColumnType::Timestamp { .. } => integers_of::<TimestampMicrosecondType>(column_type, cells),
        ColumnType::Decimal { .. } => integers_of::<Decimal128Type>(column_type, cells),
        ColumnType::Float32 => Arc::new(PrimitiveArray::<Float32Type>::from_iter(
            cells.iter().map(|c| {
                if let Cell::Float32(f) = c {
                    Some(*f)
                } else {
                    None
                }
            }),
        )),
        ColumnType::Float64 => Arc::new(PrimitiveArray::<Float64Type>::from_iter(
            cells.iter().map(|c| {
                if let Cell::Float64(f) = c {
                    Some(*f)
                } else {
                    None
                }
            }),
        )),
        ColumnType::Text => Arc::new(StringArray::from_iter(
            cells
                .iter()
                .map(|c| if let Cell::Text(t) = c { Some(t) } else { None }),
        )),
        ColumnType::Binary => Arc::new(BinaryArray::from_iter(cells.iter().map(|c| {
            if let Cell::Bytes(b) = c {
                Some(b)
            } else {
                None
            }
        }))),
        ColumnType::List(element) => {
            let lists: Vec<&[Cell]> = cells
                .iter()
                .map(|c| {
                    if let Cell::List(l) = c {
                        l.as_slice()
                    } else {
                        &[]
                    }
                })
                .collect();
            let nulls = NullBuffer::from_iter(cells.iter().map(|c| !matches!(c, Cell::Null)));
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.len()));
            let field = Arc::new(Field::new("element", element.arrow(), true));
            Arc::new(ListArray::new(
                field,
                offsets,
                array(element, &lists.concat()),
                Some(nulls),
            ))
        }
    }
}

fn integers_of<T: ArrowPrimitiveType>(column_type: &ColumnType, cells: &[Cell]) -> ArrayRef
where
    T::Native: TryFrom<i128>,
{
    let value = |cell: &Cell| {
        if let Cell::Int(value) = cell {
            T::Native::try_from(*value).ok()
        } else {
            None
        }
    };
    let data_type: DataType = column_type.arrow();
    Arc::new(PrimitiveArray::<T>::from_iter(cells.iter().map(value)).with_data_type(data_type))
}

/// All values of all partitions' records.
pub(super) fn values_of(records: &[PartitionRecords]) -> Vec<Vec<u8>> {
    records
        .iter()
        .flat_map(|records| records.records().map(|(_, value)| value.to_vec()))
        .collect()
}

pub(super) fn decode(schema: &TableSchema, values: &[Vec<u8>]) -> RecordBatch {
    let mut decoder = JsonDecoder::new(schema);
    for value in values {
        decoder.push(value).expect("a record of our own");
    }
    assert_eq!(decoder.len(), values.len());
    decoder.finish().expect("a batch")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_batch_comes_back_from_its_records((schema, batch) in any_batch(0..=6), from in 0..4_usize) {
        let mut encoder = JsonEncoder::new(&schema, 1);
        let from = from.min(batch.num_rows());
        for batch in [batch.slice(from, batch.num_rows() - from), batch] {
            let records = encoder.encode(&batch, 0, usize::MAX).expect("encode");
            prop_assert_eq!(decode(&schema, &values_of(&records)), batch);
            encoder.recycle(records);
        }
    }

    #[test]
    fn every_record_is_well_formed_and_its_key_is_an_object_of_the_key_columns((schema, batch) in any_batch(0..=4), partitions in 1..7) {
        let mut encoder = JsonEncoder::new(&schema, partitions);
        let records = encoder.encode(&batch, partitions - 1, usize::MAX).expect("encode");
        let count: usize = records.iter().map(|records| records.spans.len()).sum();
        prop_assert_eq!(count, batch.num_rows());
        for records in &records {
            for (key, value) in records.records() {
                let value: serde_json::Value = serde_json::from_slice(value).expect("well-formed");
                let Some(key) = key else {
                    prop_assert!(schema.key.is_empty());
                    prop_assert_eq!(records.partition, partitions - 1);
                    continue;
                };
                prop_assert_eq!(partition_for(key, partitions), records.partition);
                let key: serde_json::Value = serde_json::from_slice(key).expect("well-formed");
                let expected = schema.key.iter().map(|i| &schema.columns[*i].name);
                for name in expected {
                    prop_assert_eq!(&key[name], &value[name]);
                }
            }
        }
    }

    #[test]
    fn the_order_of_a_partition_is_the_order_of_the_batch(ids in vec(any::<i64>(), 0..200)) {
        let schema = TableSchema {
            columns: vec![Column { name: "id".into(), source_type: "bigint".into(), column_type: ColumnType::Int64, nullable: false }],
            key: vec![0],
        };
        let cells = vec![ids.iter().map(|id| Cell::Int((*id).into())).collect()];
        let records = JsonEncoder::new(&schema, 5).encode(&batch(&schema, &cells, ids.len()), 0, 100).expect("encode");
        for records in &records {
            let there = |id: &&i64| partition_for(format!("{{\"id\":{id}}}").as_bytes(), 5) == records.partition;
            let expected: Vec<_> = ids.iter().filter(there).map(|id| format!("{{\"id\":{id}}}")).collect();
            let written: Vec<_> = records.records().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
            prop_assert_eq!(written, expected);
        }
    }

    #[test]
    fn every_nan_comes_back_as_a_nan(payload in 1..(1_u64 << 52), negative in any::<bool>()) {
        let nan = f64::from_bits(0x7ff0_0000_0000_0000 | payload | u64::from(negative) << 63);
        let mut out = Vec::new();
        super::number::write_float(nan, &mut out);
        prop_assert_eq!(out, b"\"NaN\"");
    }
}
