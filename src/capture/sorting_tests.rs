use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::{Column, ColumnType};
use crate::wire::partition_for;

fn schema() -> TableSchema {
    let column = |name: &str, nullable| Column {
        name: name.into(),
        source_type: "bigint".into(),
        column_type: ColumnType::Int64,
        nullable,
    };
    TableSchema {
        columns: vec![column("id", false), column("at", false)],
        key: vec![0],
    }
}

fn misfit(rejects: bool) -> Misfits {
    Misfits(vec![Misfit {
        column: "at".into(),
        kind: "a timestamp of infinity".into(),
        rejects,
        wire: Wire::Text("infinity".into()),
    }])
}

/// Rows 1, 2, …: each fits, was nulled (`Some(false)`) or is to be rejected (`Some(true)`).
fn batch(rows: &[Option<bool>]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=rows.len() as i64));
    let at: ArrayRef = Arc::new(Int64Array::from_iter(
        rows.iter().map(|row| row.is_none().then_some(7)),
    ));
    let misfits: ArrayRef =
        Arc::new(StringArray::from_iter(rows.iter().map(|row| {
            row.map(|rejects| serde_json::to_string(&misfit(rejects)).unwrap())
        })));
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("at", DataType::Int64, true),
        Field::new(Misfits::COLUMN, DataType::Utf8, true),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![ids, at, misfits]).unwrap()
}

fn sorting(nullable: bool) -> Sorting {
    let mut schema = schema();
    schema.columns[1].nullable = nullable;
    Sorting::new("ec.orders".into(), &schema, 3)
}

fn ids(batch: &RecordBatch) -> Vec<i64> {
    batch
        .column(0)
        .as_primitive::<Int64Type>()
        .values()
        .to_vec()
}

proptest! {
    #[test]
    fn every_row_is_sent_or_rejected_and_none_is_both(
        rows in prop::collection::vec(prop::option::of(any::<bool>()), 1..40),
    ) {
        let sorted = sorting(true).sort(batch(&rows)).unwrap();
        let (sent, rejected) = (ids(&sorted.fitting), ids(&sorted.rejected));
        let of = |wanted: bool| (1..).zip(&rows).filter(|(_, row)| (**row == Some(true)) == wanted)
            .map(|(id, _)| id).collect::<Vec<i64>>();
        prop_assert_eq!(sent, of(false));
        prop_assert_eq!(&rejected, &of(true));
        prop_assert_eq!(sorted.reasons.len(), rejected.len());
        let nulled = rows.iter().filter(|row| **row == Some(false)).count() as u64;
        prop_assert_eq!(sorted.nulled.values().sum::<u64>(), nulled);
        prop_assert_eq!(sorted.fitting.num_columns(), 2);
    }
}

#[test]
fn a_batch_whose_rows_are_all_rejected_sends_none() {
    let sorted = sorting(false)
        .sort(batch(&[Some(true), Some(true)]))
        .unwrap();
    assert_eq!(
        (sorted.fitting.num_rows(), sorted.rejected.num_rows()),
        (0, 2)
    );
}

#[test]
fn rows_that_fit_have_the_tables_own_schema_again() {
    let own = schema().arrow();
    for rows in [&[None, None][..], &[None, Some(true)][..]] {
        let sorted = sorting(false).sort(batch(rows)).unwrap();
        assert_eq!(sorted.fitting.schema(), own);
    }
}

#[test]
fn a_rejected_row_is_a_record_with_its_key_its_reasons_and_everything_else() {
    let mut sorting = sorting(false);
    let sorted = sorting
        .sort(batch(&[None, Some(true), Some(true)]))
        .unwrap();
    let fingerprint = Fingerprint::parse("0123456789abcdef").unwrap();
    let load = Ulid::from_string("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
    let rejection = Rejection {
        epoch: 5,
        load: Some(load),
        fingerprint: &fingerprint,
        at: "2026-10-01T12:34:56.789Z".parse().unwrap(),
    };
    let records = sorting
        .records(&sorted.rejected, &sorted.reasons, &rejection)
        .unwrap();
    assert_eq!(records.len(), 2);
    let (partition, record) = &records[0];
    assert_eq!(record.key.as_deref(), Some(&br#"{"id":2}"#[..]));
    assert_eq!(*partition, partition_for(br#"{"id":2}"#, 3));
    let value: Value = serde_json::from_slice(&record.value).unwrap();
    assert_eq!(
        value,
        json!({
            "v": 1,
            "table": "ec.orders",
            "column": "at",
            "kind": "a timestamp of infinity",
            "key": {"id": 2},
            "epoch": 5,
            "load": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "fingerprint": "0123456789abcdef",
            "rejected_at": "2026-10-01T12:34:56.789000Z",
            "row": {"id": 2, "at": null},
            "bad": {"at": {"kind": "a timestamp of infinity", "text": "infinity"}},
        })
    );
}
