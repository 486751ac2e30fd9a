//! Values that are refused, and values that are bound.

use arrow::array::AsArray;
use cdc::error::Kind;
use cdc::model::ColumnType;
use cdc::source::{Param, Select};
use mysql_async::prelude::Queryable;

use crate::database::{Database, all_of, failed, read};

#[tokio::test]
async fn a_character_without_a_counterpart_is_refused_and_never_replaced() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    for (set, bytes) in [
        ("euckr", "C9A1"),
        ("sjis", "F040"),
        ("cp1251", "98"),
        ("tis620", "DB"),
    ] {
        let statements = [
            format!(
                "CREATE TABLE {set} (id int PRIMARY KEY, name varchar(9) CHARACTER SET {set}, note text CHARACTER SET {set})"
            ),
            format!("INSERT INTO {set} VALUES (1, 'a?b', '?'), (2, _{set} x'{bytes}', 'a')"),
        ];
        for statement in statements {
            admin.query_drop(statement).await.unwrap();
        }
        let source = database.source();
        let described = source.describe(&database.table(set)).await.unwrap();
        let mut first = all_of(&described);
        first.sql.push_str(" WHERE id = 1");
        let batches = read(&source, &described, &first).await.unwrap();
        assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "a?b");
        let error = failed(read(&source, &described, &all_of(&described)).await);
        assert_eq!(
            error.to_string(),
            format!(
                "pos.{set}: reading rows: column `name` (varchar(9)) holds text that is not UTF-8, which cannot be \
                 carried exactly, in the row with key id=2"
            )
        );
    }
}

#[tokio::test]
async fn a_date_that_does_not_exist_stops_the_reading_and_names_the_column_but_not_the_value() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop("SET sql_mode = 'ALLOW_INVALID_DATES'")
        .await
        .unwrap();
    for (table, column, value, what) in [
        ("zero", "date", "'0000-00-00'", "a zero date"),
        (
            "part",
            "datetime",
            "'2026-00-10 00:00:00'",
            "a date that does not exist",
        ),
        ("day", "date", "'2026-02-31'", "a date that does not exist"),
        ("stamp", "timestamp", "0", "a zero date"),
    ] {
        admin
            .query_drop(format!(
                "CREATE TABLE {table} (id int PRIMARY KEY, born {column} NULL)"
            ))
            .await
            .unwrap();
        admin
            .query_drop(format!("INSERT INTO {table} VALUES (1, {value})"))
            .await
            .unwrap();
        let source = database.source();
        let described = source.describe(&database.table(table)).await.unwrap();
        let error = failed(read(&source, &described, &all_of(&described)).await);
        assert_eq!(error.kind(), Kind::Data);
        assert_eq!(
            error.to_string(),
            format!(
                "pos.{table}: reading rows: column `born` ({column}) holds {what}, which cannot be carried exactly, \
                 in the row with key id=1"
            )
        );
    }
}

#[tokio::test]
async fn bound_values_compare_exactly() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop(
            "CREATE TABLE t (big bigint unsigned, at datetime(6), instant timestamp(6) NULL, day date, \
             price decimal(38,10), name varchar(20), code varbinary(8))",
        )
        .await
        .unwrap();
    admin
        .query_drop(
            "INSERT INTO t VALUES (18446744073709551615, '2026-10-01 00:00:00.000001', '2026-10-01 00:00:00.000001', \
             '2026-10-01', 1234567890123456789012345678.0000000001, 'é', x'00ff80')",
        )
        .await
        .unwrap();
    let mut session = database.source().session().await.unwrap();
    let decimal = ColumnType::Decimal {
        precision: 38,
        scale: 10,
    };
    for (condition, column_type, value) in [
        ("big = ?", ColumnType::UInt64, "18446744073709551615"),
        ("big > ?", ColumnType::UInt64, "18446744073709551614"),
        (
            "at = ?",
            ColumnType::Timestamp { utc: false },
            "1790812800000001",
        ),
        (
            "at > ?",
            ColumnType::Timestamp { utc: false },
            "1790812800000000",
        ),
        (
            "instant = ?",
            ColumnType::Timestamp { utc: true },
            "1790812800000001",
        ),
        ("day = ?", ColumnType::Date, "2026-10-01"),
        (
            "price = CAST(? AS DECIMAL(38,10))",
            decimal,
            "1234567890123456789012345678.0000000001",
        ),
        ("name = ?", ColumnType::Text, "é"),
        ("code = ?", ColumnType::Binary, "00ff80"),
        ("code > ?", ColumnType::Binary, "00ff7f"),
    ] {
        let sql = format!("SELECT count(*) FROM {}.t WHERE {condition}", database.name);
        let params = vec![Param {
            column_type,
            value: value.into(),
        }];
        assert_eq!(
            session.integer(&Select { sql, params }).await.unwrap(),
            Some(1),
            "{condition}"
        );
    }
}

/// Every word the server takes for a type, its own and those of others.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "bool", "boolean", "tinyint", "int1", "smallint", "int2", "mediumint", "int3", "middleint", "int", "integer", "int4", "bigint", "int8",
    "serial", "decimal", "dec", "numeric", "fixed", "float", "float4", "real", "double", "double precision", "float8", "bit", "year", "date", "time",
    "datetime", "timestamp", "char", "character", "nchar", "national char", "national character", "char byte", "varchar(9)", "character varying(9)",
    "nvarchar(9)", "nchar varchar(9)", "national varchar(9)", "binary", "varbinary(9)", "tinyblob", "blob", "mediumblob", "longblob", "long varbinary",
    "tinytext", "text", "mediumtext", "longtext", "long", "long varchar", "json", "enum('a')", "set('a')", "uuid", "inet4", "inet6",
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
    "varchar(9) compressed", "blob compressed", "date /* a comment */",
];

#[tokio::test]
async fn every_word_for_a_type_has_its_line_and_no_column_vanishes() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    let page = include_str!("../../src/source/mariadb/TYPES.md");
    let types: Vec<String> = admin
        .query(
            "SELECT LOWER(PLUGIN_NAME) FROM information_schema.ALL_PLUGINS \
             WHERE PLUGIN_TYPE = 'DATA TYPE' AND PLUGIN_NAME <> 'MYSQL_JSON'",
        )
        .await
        .unwrap();
    assert!(types.len() >= 3, "{types:?}");
    for name in types {
        assert!(
            page.contains(&format!("| `{name}` |")),
            "`{name}` has no line in TYPES.md"
        );
    }
    let columns: Vec<String> = (0..WORDS.len())
        .map(|i| format!("c{i} {}", WORDS[i]))
        .collect();
    let table = format!(
        "CREATE TABLE words ({}) CHARACTER SET utf8mb4",
        columns.join(", ")
    );
    admin
        .query_drop(&table)
        .await
        .unwrap_or_else(|e| panic!("{table}: {e}"));
    // Other names of the same types, which only this mode knows.
    admin.query_drop("SET sql_mode = 'ORACLE'").await.unwrap();
    admin
        .query_drop(
            "CREATE TABLE borrowed (a number(12,2), b varchar2(9), c clob, d raw(9), e date)",
        )
        .await
        .unwrap();
    for (table, count) in [("words", WORDS.len()), ("borrowed", 5)] {
        let described = database
            .source()
            .describe(&database.table(table))
            .await
            .unwrap();
        assert_eq!(described.schema.columns.len(), count);
        let unknown: Vec<_> = described
            .notes
            .iter()
            .filter(|note| note.contains("not known"))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
