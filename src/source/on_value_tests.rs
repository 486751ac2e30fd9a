use super::super::chosen::resolve_columns;
use super::super::fake::{Database, settings};
use super::*;
use crate::config::OnValues;
use crate::model::Mode;

fn policies(words: &[(&str, OnValue)], others: OnValue) -> OnValues {
    OnValues {
        others,
        columns: words.iter().map(|(n, on)| ((*n).to_owned(), *on)).collect(),
    }
}

fn described(mode: Mode, on_value: &OnValues) -> Result<Described> {
    let table = Database::default().described();
    let cursor = resolve_columns(Dialect::Postgres, &table, &settings(mode)).unwrap();
    let settings = TableSettings {
        on_value: on_value.clone(),
        ..settings(mode)
    };
    with_policies(Dialect::Postgres, table, &cursor, &settings)
}

#[test]
fn a_word_for_all_columns_means_those_whose_type_has_values_that_do_not_fit() {
    for (others, wanted) in [
        (OnValue::Stop, [OnValue::Stop; 3]),
        (
            OnValue::Reject,
            [OnValue::Stop, OnValue::Reject, OnValue::Reject],
        ),
        (OnValue::Null, [OnValue::Stop, OnValue::Null, OnValue::Null]),
        // A cast to text mends no text.
        (OnValue::Text, [OnValue::Stop, OnValue::Text, OnValue::Stop]),
    ] {
        let table = described(Mode::Incrementing, &policies(&[], others)).unwrap();
        assert_eq!(table.on_value, wanted, "{others:?}");
    }
}

#[test]
fn a_named_column_goes_its_own_way_and_the_cursor_only_stops() {
    let named = policies(&[("note", OnValue::Null)], OnValue::Reject);
    let table = described(Mode::Timestamp, &named).unwrap();
    assert_eq!(
        table.on_value,
        [OnValue::Stop, OnValue::Stop, OnValue::Null]
    );
    assert!(table.schema.columns[2].nullable, "it may be NULL now");
}

#[test]
fn a_column_as_text_is_cast_and_has_another_fingerprint() {
    let text = policies(&[("at", OnValue::Text)], OnValue::Stop);
    let table = described(Mode::Incrementing, &text).unwrap();
    assert_eq!(table.schema.columns[1].column_type, ColumnType::Text);
    assert_eq!(table.selects[1], "\"at\"::pg_catalog.text");
    let plain = Database::default().described();
    assert_ne!(table.schema.fingerprint(), plain.schema.fingerprint());
}

#[test]
fn a_policy_that_cannot_be_is_refused_with_the_reason() {
    for (column, mode, wanted) in [
        ("id", Mode::Bulk, "column `id` is part of the key"),
        ("at", Mode::Timestamp, "column `at` is a cursor column"),
        ("notes", Mode::Bulk, "a column `notes`, which there is not"),
    ] {
        let named = policies(&[(column, OnValue::Reject)], OnValue::Stop);
        let error = described(mode, &named).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains(wanted), "{error}");
        if column == "notes" {
            assert_eq!(error.next_step(), Some("did you mean `note`?"));
        }
    }
    let stops = policies(&[("id", OnValue::Stop)], OnValue::Reject);
    assert!(
        described(Mode::Bulk, &stops).is_ok(),
        "`stop` is no other policy"
    );
}

#[test]
fn bytes_and_floats_of_mariadb_have_no_text_form() {
    for column_type in [ColumnType::Binary, ColumnType::Float32, ColumnType::Float64] {
        let mut table = Database::default().described();
        table.schema.columns[2].column_type = column_type;
        let text = TableSettings {
            on_value: policies(&[("note", OnValue::Text)], OnValue::Stop),
            ..settings(Mode::Bulk)
        };
        let cursor = CursorColumns::default();
        let error = with_policies(Dialect::MariaDb, table.clone(), &cursor, &text).unwrap_err();
        assert!(error.to_string().contains("no text form"), "{error}");
        assert!(with_policies(Dialect::Postgres, table, &cursor, &text).is_ok());
    }
}

#[test]
fn a_glob_may_name_columns_that_only_some_of_its_tables_have() {
    let glob = TableSettings {
        pattern: "ord*".into(),
        on_value: policies(&[("discount", OnValue::Null)], OnValue::Stop),
        ..settings(Mode::Bulk)
    };
    let table = Database::default().described();
    let cursor = CursorColumns::default();
    assert!(with_policies(Dialect::Postgres, table, &cursor, &glob).is_ok());
}
