//! Every statement of every mode in both dialects, as `cdc plan` prints it.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::placeholder;
use super::*;
use crate::model::{Mode, TableName, TableSchema};
use crate::source::RelationKind;
use crate::source::listing::listing;

fn orders(dialect: Dialect) -> Described {
    let column = |name: &str, postgres: &str, mariadb: &str, column_type, nullable| Column {
        name: name.into(),
        source_type: if dialect == Dialect::Postgres {
            postgres.into()
        } else {
            mariadb.into()
        },
        column_type,
        nullable,
    };
    let (schema, quote) = match dialect {
        Dialect::Postgres => ("public", '"'),
        Dialect::MariaDb => ("shop", '`'),
    };
    Described {
        on_value: Vec::new(),
        name: TableName {
            source: "ec".into(),
            schema: schema.into(),
            name: "orders".into(),
            in_default_schema: true,
        },
        kind: RelationKind::Table,
        schema: TableSchema {
            columns: vec![
                column("shop", "text", "varchar(20)", ColumnType::Text, false),
                column("id", "bigint", "bigint(20)", ColumnType::Int64, false),
                column(
                    "at",
                    "timestamp with time zone",
                    "timestamp(6)",
                    ColumnType::Timestamp { utc: true },
                    true,
                ),
            ],
            key: vec![0, 1],
        },
        selects: ["shop", "id", "at"]
            .map(|name| format!("{quote}{name}{quote}"))
            .to_vec(),
        identity: BTreeMap::new(),
        incrementing_candidates: vec![],
        timestamp_candidates: vec![],
        timestamp_precision: BTreeMap::new(),
        indexed: BTreeSet::new(),
        estimated_rows: None,
        collations: BTreeMap::new(),
        counters: BTreeMap::new(),
        notes: vec![],
        withheld: Default::default(),
        left_out: vec![],
    }
}

fn printed(dialect: Dialect, mode: Mode) -> String {
    let table = orders(dialect);
    let statements = statements(dialect, &table, mode, None);
    let lines = listing(mode, &statements).unwrap();
    lines
        .into_iter()
        .map(|line| format!("{}\n  {}\n", line.purpose, line.select.sql))
        .collect()
}

#[test]
fn bulk_statements() {
    insta::assert_snapshot!(printed(Dialect::Postgres, Mode::Bulk), @r#"
    load: count the rows, inside the snapshot
      SELECT count(*) FROM "public"."orders" AS t
    load: every row, inside the same snapshot
      SELECT "shop", "id", "at" FROM "public"."orders" AS t
    "#);
    insta::assert_snapshot!(printed(Dialect::MariaDb, Mode::Bulk), @r#"
    load: count the rows, inside the snapshot
      SELECT count(*) FROM `shop`.`orders` AS t
    load: every row, inside the same snapshot
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t
    "#);
}

#[test]
fn incrementing_statements() {
    insta::assert_snapshot!(printed(Dialect::Postgres, Mode::Incrementing), @r#"
    copy: fix the bound
      SELECT max(t."id") FROM "public"."orders" AS t
    copy: a page up to the bound
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE t."id" > $1::text::bigint AND t."id" <= $2::text::bigint ORDER BY t."id" LIMIT 100000
    poll: ids that were missing
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE t."id" = $1::text::bigint OR t."id" BETWEEN $2::text::bigint AND $3::text::bigint ORDER BY t."id"
    poll: new rows
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE t."id" > $1::text::bigint ORDER BY t."id"
    "#);
    insta::assert_snapshot!(printed(Dialect::MariaDb, Mode::Incrementing), @r#"
    copy: fix the bound
      SELECT max(t.`id`) FROM `shop`.`orders` AS t
    copy: a page up to the bound
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`id` > ? AND t.`id` <= ? ORDER BY t.`id` LIMIT 100000
    poll: ids that were missing
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`id` = ? OR t.`id` BETWEEN ? AND ? ORDER BY t.`id`
    poll: new rows
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`id` > ? ORDER BY t.`id`
    "#);
}

#[test]
fn timestamp_statements() {
    insta::assert_snapshot!(printed(Dialect::Postgres, Mode::Timestamp), @r#"
    copy: a page up to the bound
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE (t."at", t."shop", t."id") > ((('epoch'::timestamp + $1::text::bigint / 86400000000 * interval '1 day' + $1::text::bigint % 86400000000 * interval '1 microsecond') AT TIME ZONE 'UTC'), $2::text::text, $3::text::bigint) AND t."at" < (('epoch'::timestamp + $4::text::bigint / 86400000000 * interval '1 day' + $4::text::bigint % 86400000000 * interval '1 microsecond') AT TIME ZONE 'UTC') ORDER BY t."at", t."shop", t."id" LIMIT 100000
    poll: new and changed rows
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE t."at" >= (('epoch'::timestamp + $1::text::bigint / 86400000000 * interval '1 day' + $1::text::bigint % 86400000000 * interval '1 microsecond') AT TIME ZONE 'UTC') ORDER BY t."at", t."shop", t."id"
    poll: the same, after a stop among rows of one instant
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE (t."at", t."shop", t."id") > ((('epoch'::timestamp + $1::text::bigint / 86400000000 * interval '1 day' + $1::text::bigint % 86400000000 * interval '1 microsecond') AT TIME ZONE 'UTC'), $2::text::text, $3::text::bigint) ORDER BY t."at", t."shop", t."id"
    copy: rows whose cursor is NULL
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE t."at" IS NULL ORDER BY t."shop", t."id" LIMIT 100000
    "#);
    insta::assert_snapshot!(printed(Dialect::MariaDb, Mode::Timestamp), @r#"
    copy: a page up to the bound
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`at` >= ? AND (t.`at` > ? OR (t.`at` = ? AND t.`shop` >= ? AND (t.`shop` > ? OR (t.`shop` = ? AND t.`id` > ?)))) AND t.`at` < ? ORDER BY t.`at`, t.`shop`, t.`id` LIMIT 100000
    poll: new and changed rows
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`at` >= ? ORDER BY t.`at`, t.`shop`, t.`id`
    poll: the same, after a stop among rows of one instant
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`at` >= ? AND (t.`at` > ? OR (t.`at` = ? AND t.`shop` >= ? AND (t.`shop` > ? OR (t.`shop` = ? AND t.`id` > ?)))) ORDER BY t.`at`, t.`shop`, t.`id`
    copy: rows whose cursor is NULL
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`at` IS NULL ORDER BY t.`shop`, t.`id` LIMIT 100000
    "#);
}

#[test]
fn timestamp_and_incrementing_statements() {
    insta::assert_snapshot!(printed(Dialect::Postgres, Mode::TimestampIncrementing), @r#"
    copy: a page up to the bound
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE (t."at", t."id", t."shop") > ((('epoch'::timestamp + $1::text::bigint / 86400000000 * interval '1 day' + $1::text::bigint % 86400000000 * interval '1 microsecond') AT TIME ZONE 'UTC'), $2::text::bigint, $3::text::text) AND t."at" < (('epoch'::timestamp + $4::text::bigint / 86400000000 * interval '1 day' + $4::text::bigint % 86400000000 * interval '1 microsecond') AT TIME ZONE 'UTC') ORDER BY t."at", t."id", t."shop" LIMIT 100000
    poll: new and changed rows
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE t."at" >= (('epoch'::timestamp + $1::text::bigint / 86400000000 * interval '1 day' + $1::text::bigint % 86400000000 * interval '1 microsecond') AT TIME ZONE 'UTC') ORDER BY t."at", t."id", t."shop"
    poll: the same, after a stop among rows of one instant
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE (t."at", t."id", t."shop") > ((('epoch'::timestamp + $1::text::bigint / 86400000000 * interval '1 day' + $1::text::bigint % 86400000000 * interval '1 microsecond') AT TIME ZONE 'UTC'), $2::text::bigint, $3::text::text) ORDER BY t."at", t."id", t."shop"
    copy: rows whose cursor is NULL
      SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE t."at" IS NULL ORDER BY t."id", t."shop" LIMIT 100000
    "#);
    insta::assert_snapshot!(printed(Dialect::MariaDb, Mode::TimestampIncrementing), @r#"
    copy: a page up to the bound
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`at` >= ? AND (t.`at` > ? OR (t.`at` = ? AND t.`id` >= ? AND (t.`id` > ? OR (t.`id` = ? AND t.`shop` > ?)))) AND t.`at` < ? ORDER BY t.`at`, t.`id`, t.`shop` LIMIT 100000
    poll: new and changed rows
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`at` >= ? ORDER BY t.`at`, t.`id`, t.`shop`
    poll: the same, after a stop among rows of one instant
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`at` >= ? AND (t.`at` > ? OR (t.`at` = ? AND t.`id` >= ? AND (t.`id` > ? OR (t.`id` = ? AND t.`shop` > ?)))) ORDER BY t.`at`, t.`id`, t.`shop`
    copy: rows whose cursor is NULL
      SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`at` IS NULL ORDER BY t.`id`, t.`shop` LIMIT 100000
    "#);
}

#[test]
fn a_table_without_key_is_read_by_whole_instants() {
    let table = orders(Dialect::MariaDb);
    let cursor = CursorColumns {
        timestamp: Some(2),
        incrementing: None,
        tie_break: vec![],
    };
    let statements = Statements::new(Dialect::MariaDb, &table, &cursor, None).unwrap();
    let low = Position { at: 5, key: None };
    let select = statements.copy_by_time(Some(&low), 9, None).unwrap();
    insta::assert_snapshot!(select.sql, @"SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`at` >= ? AND t.`at` < ? ORDER BY t.`at`");
    assert_eq!(
        select
            .params
            .iter()
            .map(|p| p.value.as_str())
            .collect::<Vec<_>>(),
        ["5", "9"]
    );
    // A bound behind the last day that the database can name is none.
    let behind_all = 253_402_300_800_000_000;
    let select = statements.window(Some(&low), Some(behind_all)).unwrap();
    assert!(!select.sql.contains("`at` <"), "{}", select.sql);
    let select = statements.window(Some(&low), Some(behind_all - 1)).unwrap();
    assert!(select.sql.contains("`at` < ?"), "{}", select.sql);
    let stale = Position {
        at: 5,
        key: Some(vec!["1".into()]),
    };
    assert_eq!(
        statements.window(Some(&stale), None).unwrap_err().kind(),
        Kind::Data
    );
}

#[test]
fn values_are_bound_in_the_order_of_their_placeholders() {
    let table = orders(Dialect::MariaDb);
    let cursor = CursorColumns {
        timestamp: Some(2),
        incrementing: None,
        tie_break: vec![0, 1],
    };
    let statements = Statements::new(Dialect::MariaDb, &table, &cursor, None).unwrap();
    let low = Position {
        at: 7,
        key: Some(vec!["x' OR 1".into(), "3".into()]),
    };
    let select = statements.window(Some(&low), None).unwrap();
    let values: Vec<_> = select.params.iter().map(|p| p.value.as_str()).collect();
    assert_eq!(
        values,
        ["7", "7", "7", "x' OR 1", "x' OR 1", "x' OR 1", "3"]
    );
    assert_eq!(select.sql.matches('?').count(), values.len());
    assert!(!select.sql.contains("x' OR 1"));
}

#[test]
fn names_are_quoted_and_their_quotes_doubled() {
    assert_eq!(
        quote(Dialect::Postgres, "a\"; drop table x; --").unwrap(),
        "\"a\"\"; drop table x; --\""
    );
    assert_eq!(quote(Dialect::MariaDb, "a`b").unwrap(), "`a``b`");
    for name in ["", "a\0b"] {
        assert_eq!(
            quote(Dialect::Postgres, name).unwrap_err().kind(),
            Kind::Config
        );
    }
}

#[test]
fn placeholders_give_the_value_the_type_of_the_column() {
    let term = |source_type: &str, column_type| Term {
        sql: "t.c".into(),
        source_type: source_type.into(),
        column_type,
    };
    let decimal = term(
        "numeric(20,0)",
        ColumnType::Decimal {
            precision: 20,
            scale: 0,
        },
    );
    let naive = term(
        "timestamp(3) without time zone",
        ColumnType::Timestamp { utc: false },
    );
    assert_eq!(
        placeholder(Dialect::Postgres, &decimal, 2),
        "$2::text::numeric(20,0)"
    );
    assert_eq!(
        placeholder(Dialect::MariaDb, &decimal, 2),
        "CAST(? AS DECIMAL(20,0))"
    );
    assert!(placeholder(Dialect::Postgres, &naive, 1).starts_with("('epoch'::timestamp + "));
    assert_eq!(placeholder(Dialect::MariaDb, &naive, 1), "?");
    assert_eq!(
        placeholder(Dialect::Postgres, &term("bytea", ColumnType::Binary), 1),
        "decode($1::text, 'hex')"
    );
}

#[test]
fn a_column_that_orders_unlike_it_compares_breaks_no_ties() {
    let column = |source_type: &str, column_type| Column {
        name: "c".into(),
        source_type: source_type.into(),
        column_type,
        nullable: false,
    };
    let sizes = column("enum('s','m')", ColumnType::Text);
    assert!(!is_keyset_column(Dialect::MariaDb, &sizes));
    assert!(is_keyset_column(
        Dialect::Postgres,
        &column("size", ColumnType::Text)
    ));
    assert!(!is_keyset_column(
        Dialect::Postgres,
        &column("double precision", ColumnType::Float64)
    ));
}

#[test]
fn one_row_is_asked_for_by_its_name_and_nothing_else_will_do() {
    let name = ["3".to_owned(), "7".to_owned()];
    let columns = CursorColumns {
        timestamp: Some(2),
        incrementing: None,
        tie_break: vec![0, 1],
    };
    let statements =
        Statements::new(Dialect::MariaDb, &orders(Dialect::MariaDb), &columns, None).unwrap();
    let select = statements.one_row(&name).unwrap().unwrap();
    assert!(
        select.sql.ends_with(" WHERE t.`shop` = ? AND t.`id` = ?"),
        "{}",
        select.sql
    );
    assert_eq!(statements.one_row(&name[..1]).unwrap(), None);
}

#[test]
fn a_filter_stands_in_every_statement_beside_its_conditions() {
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        let table = orders(dialect);
        for mode in [
            Mode::Bulk,
            Mode::Incrementing,
            Mode::Timestamp,
            Mode::TimestampIncrementing,
        ] {
            let plain = statements(dialect, &table, mode, None);
            let filtered = statements(dialect, &table, mode, Some("a = 1 OR b"));
            let pairs = listing(mode, &plain).unwrap().into_iter();
            for (plain, filtered) in pairs.zip(listing(mode, &filtered).unwrap()) {
                let (plain, filtered) = (plain.select, filtered.select);
                assert_eq!(plain.params, filtered.params);
                let without = filtered
                    .sql
                    .replace(" WHERE (a = 1 OR b) AND ", " WHERE ")
                    .replace(" WHERE (a = 1 OR b)", "");
                let same = without == plain.sql
                    // Several ranges of ids are one condition beside the filter.
                    || (plain.sql.contains(" OR ") && without.replace(['(', ')'], "") == plain.sql.replace(['(', ')'], ""));
                assert!(same, "{}\n{}", plain.sql, filtered.sql);
                assert_eq!(filtered.sql.matches("(a = 1 OR b)").count(), 1);
            }
            assert_eq!(plain.trial(), None);
        }
        let trial = statements(dialect, &table, Mode::Bulk, Some("a = 1 OR b")).trial();
        assert!(
            trial
                .unwrap()
                .sql
                .ends_with(" AS t WHERE (a = 1 OR b) LIMIT 0")
        );
    }
    let filtered = statements(
        Dialect::MariaDb,
        &orders(Dialect::MariaDb),
        Mode::Timestamp,
        Some("paid"),
    );
    let one = filtered
        .one_row(&["a".into(), "1".into()])
        .unwrap()
        .unwrap();
    insta::assert_snapshot!(one.sql, @"SELECT `shop`, `id`, `at` FROM `shop`.`orders` AS t WHERE t.`shop` = ? AND t.`id` = ?");
    let filtered = statements(
        Dialect::Postgres,
        &orders(Dialect::Postgres),
        Mode::Incrementing,
        Some("paid"),
    );
    insta::assert_snapshot!(filtered.gaps(&[(1, 1), (3, 4)]).unwrap().sql, @r#"SELECT "shop", "id", "at" FROM "public"."orders" AS t WHERE (paid) AND (t."id" = $1::text::bigint OR t."id" BETWEEN $2::text::bigint AND $3::text::bigint) ORDER BY t."id""#);
}

fn statements(dialect: Dialect, table: &Described, mode: Mode, filter: Option<&str>) -> Statements {
    let tie_break = match mode {
        Mode::Bulk => vec![],
        Mode::TimestampIncrementing => vec![1, 0],
        _ => vec![0, 1],
    };
    let cursor = CursorColumns {
        timestamp: mode.has_versions().then_some(2),
        incrementing: matches!(mode, Mode::Incrementing | Mode::TimestampIncrementing).then_some(1),
        tie_break,
    };
    Statements::new(dialect, table, &cursor, filter).unwrap()
}
