//! What goes on and what stops, change by change.

use super::*;

fn column(name: &str, source_type: &str, column_type: ColumnType) -> Column {
    Column {
        name: name.into(),
        source_type: source_type.into(),
        column_type,
        nullable: false,
    }
}

fn decimal(precision: u8, scale: u8) -> ColumnType {
    ColumnType::Decimal { precision, scale }
}

fn table(columns: Vec<Column>) -> TableSchema {
    TableSchema {
        columns,
        key: vec![0],
    }
}

/// The verdict on one column's change from one type to another.
fn retyped(was: (&str, ColumnType), is: (&str, ColumnType)) -> bool {
    let id = || column("id", "bigint", ColumnType::Int64);
    let old = table(vec![id(), column("v", was.0, was.1)]);
    let new = table(vec![id(), column("v", is.0, is.1)]);
    matches!(judge(&old, &new, &["id".into()]), Verdict::GoesOn(_))
}

#[test]
fn a_type_that_holds_every_old_value_as_the_same_value_goes_on() {
    use ColumnType::*;
    for (was, is) in [
        (("smallint", Int16), ("integer", Int32)),
        (("integer", Int32), ("bigint", Int64)),
        (("tinyint", Int8), ("int", Int32)),
        (("int unsigned", UInt32), ("bigint unsigned", UInt64)),
        (("int unsigned", UInt32), ("bigint", Int64)),
        (("real", Float32), ("double precision", Float64)),
        (
            ("numeric(6,2)", decimal(6, 2)),
            ("numeric(20,2)", decimal(20, 2)),
        ),
        (
            ("character varying(20)", Text),
            ("character varying(40)", Text),
        ),
        (("varchar(20)", Text), ("text", Text)),
        (("tinytext", Text), ("longtext", Text)),
        (("varbinary(9)", Binary), ("blob", Binary)),
        (("enum('a','b')", Text), ("enum('a','b','c')", Text)),
        (("int(11)", Int32), ("int(4)", Int32)),
        (
            ("timestamp(0) without time zone", Timestamp { utc: false }),
            ("timestamp without time zone", Timestamp { utc: false }),
        ),
    ] {
        assert!(retyped(was.clone(), is.clone()), "{was:?} → {is:?}");
    }
}

#[test]
fn a_type_that_could_bend_a_value_or_that_readers_cannot_join_stops() {
    use ColumnType::*;
    for (was, is) in [
        (("bigint", Int64), ("integer", Int32)),
        (("int", Int32), ("int unsigned", UInt32)),
        (("int unsigned", UInt32), ("int", Int32)),
        (("bigint unsigned", UInt64), ("bigint", Int64)),
        (("integer", Int32), ("text", Text)),
        (("integer", Int32), ("numeric(12,0)", decimal(12, 0))),
        (
            ("numeric(12,2)", decimal(12, 2)),
            ("numeric(12,4)", decimal(12, 4)),
        ),
        (
            ("numeric(12,2)", decimal(12, 2)),
            ("numeric(6,2)", decimal(6, 2)),
        ),
        (("double precision", Float64), ("real", Float32)),
        (("text", Text), ("jsonb", Text)),
        (("uuid", Text), ("text", Text)),
        (("enum('a','b')", Text), ("enum('a','c')", Text)),
        (("enum('a','b')", Text), ("varchar(9)", Text)),
        (
            ("timestamp without time zone", Timestamp { utc: false }),
            ("timestamp with time zone", Timestamp { utc: true }),
        ),
        (("date", Date), ("datetime", Timestamp { utc: false })),
    ] {
        assert!(!retyped(was.clone(), is.clone()), "{was:?} → {is:?}");
    }
}

#[test]
fn a_cursor_with_fewer_digits_stops_and_another_column_does_not() {
    let at = |digits: &str| {
        table(vec![
            column("id", "bigint", ColumnType::Int64),
            column("at", digits, ColumnType::Timestamp { utc: false }),
        ])
    };
    let (fine, coarse) = (at("datetime(6)"), at("datetime"));
    let stops =
        |old, new, cursor: &str| matches!(judge(old, new, &[cursor.into()]), Verdict::Stops(_));
    assert!(stops(&fine, &coarse, "at"));
    assert!(!stops(&fine, &coarse, "id"));
    assert!(!stops(&coarse, &fine, "at"));
}

#[test]
fn an_added_column_goes_on_wherever_it_stands() {
    let old = table(vec![
        column("id", "bigint", ColumnType::Int64),
        column("note", "text", ColumnType::Text),
    ]);
    let mut new = old.clone();
    new.columns
        .insert(1, column("mid", "integer", ColumnType::Int32));
    assert_eq!(
        judge(&old, &new, &["id".into()]),
        Verdict::GoesOn(vec!["column `mid` (integer) is new".into()])
    );
}

#[test]
fn a_column_that_is_gone_stops_and_its_new_name_is_guessed() {
    let old = table(vec![
        column("id", "bigint", ColumnType::Int64),
        column("note", "text", ColumnType::Text),
    ]);
    let mut renamed = old.clone();
    renamed.columns[1].name = "remark".into();
    let dropped = table(vec![column("id", "bigint", ColumnType::Int64)]);
    let texts = [renamed, dropped].map(|new| match judge(&old, &new, &[]) {
        Verdict::Stops(text) => text,
        Verdict::GoesOn(_) => "goes on".into(),
    });
    assert_eq!(
        texts,
        [
            "column `note` is gone; perhaps it is called `remark` now",
            "column `note` is gone"
        ]
    );
}

#[test]
fn another_key_stops() {
    let old = table(vec![
        column("id", "bigint", ColumnType::Int64),
        column("shop", "integer", ColumnType::Int32),
    ]);
    for key in [vec![], vec![1], vec![0, 1]] {
        let new = TableSchema { key, ..old.clone() };
        assert!(matches!(judge(&old, &new, &[]), Verdict::Stops(_)));
        assert!(matches!(judge(&new, &old, &[]), Verdict::Stops(_)));
    }
}

#[test]
fn a_column_that_admits_null_or_no_more_goes_on() {
    let old = table(vec![column("id", "bigint", ColumnType::Int64)]);
    let mut new = old.clone();
    new.columns[0].nullable = true;
    for (old, new) in [(&old, &new), (&new, &old)] {
        assert!(matches!(judge(old, new, &[]), Verdict::GoesOn(seen) if seen.len() == 1));
    }
}
