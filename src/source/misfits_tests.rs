use arrow::array::{Int64Array, StringArray};

use super::super::fake::Database;
use super::*;

fn table(on_value: [OnValue; 3]) -> Described {
    let mut table = Database::default().described();
    table.on_value = on_value.to_vec();
    table
}

fn text(text: &str) -> Wire {
    Wire::Text(text.to_owned())
}

#[test]
fn a_table_that_only_stops_has_batches_of_its_own_columns() {
    for on in [OnValue::Stop, OnValue::Text] {
        let table = table([OnValue::Stop, on, OnValue::Stop]);
        assert_eq!(table.batch_schema(), table.schema.arrow());
        assert!(Growing::new(&table).finish().is_none());
    }
}

#[test]
fn what_does_not_fit_stands_in_the_last_column_of_its_row() {
    let table = table([OnValue::Stop, OnValue::Reject, OnValue::Null]);
    let mut growing = Growing::new(&table);
    assert_eq!(growing.end_row(), None);
    growing.add(&table, 2, "text that is not UTF-8", || {
        Wire::Base64("/w==".into())
    });
    growing.add(&table, 1, "a timestamp of infinity", || text("infinity"));
    assert_eq!(growing.end_row(), None);
    assert_eq!(growing.end_row(), None);
    let column = growing.finish().unwrap();
    let column = column.as_string::<i32>();
    assert!(column.is_null(0) && column.is_null(2));
    let misfits: Misfits = serde_json::from_str(column.value(1)).unwrap();
    assert!(misfits.rejects());
    assert_eq!(misfits.reason().unwrap().column, "at");
    assert_eq!(misfits.0[0].wire, Wire::Base64("/w==".into()));
    let fields = table.batch_schema();
    assert_eq!(fields.fields().len(), 4);
    assert!(
        fields.field(1).is_nullable(),
        "NULL is there until the row is told apart"
    );
}

#[test]
fn one_value_that_stops_stops_whatever_the_others_do() {
    let table = table([OnValue::Stop, OnValue::Reject, OnValue::Stop]);
    let mut growing = Growing::new(&table);
    growing.add(&table, 1, "a timestamp of infinity", || text("infinity"));
    growing.add(&table, 2, "text that is not UTF-8", || text(""));
    assert_eq!(growing.end_row(), Some((2, "text that is not UTF-8")));
    let key: ArrayRef = Arc::new(Int64Array::from(vec![6, 7]));
    let error = stopped(&table, 2, "text that is not UTF-8", &[key]);
    assert_eq!(
        error.to_string(),
        "ec.orders: reading rows: column `note` (text) holds text that is not UTF-8, which cannot be carried exactly, \
         in the row with key id=7"
    );
    assert!(
        error
            .next_step()
            .unwrap()
            .contains("`on_value: { note: reject }`")
    );
}

#[test]
fn a_long_key_is_cut_and_a_table_without_one_says_so() {
    let mut table = table([OnValue::Stop; 3]);
    table.schema.key = vec![2];
    let key: ArrayRef = Arc::new(StringArray::from(vec!["k".repeat(1_000)]));
    let error = stopped(&table, 1, "a timestamp of infinity", &[key]).to_string();
    assert!(error.len() < 400 && error.ends_with('…'), "{error}");
    table.schema.key.clear();
    let error = stopped(&table, 1, "a timestamp of infinity", &[]).to_string();
    assert!(error.ends_with("no key (the table has none)"), "{error}");
}

#[test]
fn rows_that_differ_only_in_what_does_not_fit_are_two_versions_and_others_keep_their_hashes() {
    let table = table([OnValue::Stop, OnValue::Reject, OnValue::Stop]);
    let mut growing = Growing::new(&table);
    for value in [None, Some("infinity"), Some("-infinity")] {
        if let Some(value) = value {
            growing.add(&table, 1, "a timestamp of infinity", || text(value));
        }
        growing.end_row();
    }
    let column = growing.finish().unwrap();
    let batch =
        RecordBatch::try_from_iter_with_nullable([(Misfits::COLUMN, column, true)]).unwrap();
    let mut hashes = vec![5; 3];
    distinguish(&batch, 0, &mut hashes).unwrap();
    assert_eq!(
        hashes[0], 5,
        "remembered by this very hash before there was a policy"
    );
    assert!(hashes[1] != 5 && hashes[2] != 5 && hashes[1] != hashes[2]);
    insta::assert_snapshot!(format!("{:032x}", hashes[1]), @"0f1ab8656f0f98056d61e93dccc131d4");
}
