//! Types: which there are, what does not fit them, and what is not known.

use arrow::array::{Array, AsArray};
use cdc::error::Kind;
use cdc::model::ColumnType;

use crate::shop::{Shop, read, refusal, table};

#[tokio::test]
async fn bits_beyond_64_are_bytes_from_the_highest() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (c bit(68)); INSERT INTO t VALUES (B'1' || 0::bit(66) || B'1')")
        .await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    assert_eq!(described.schema.columns[0].column_type, ColumnType::Binary);
    let batches = read(&source, &described, "").await.unwrap();
    assert_eq!(
        batches[0].column(0).as_binary::<i32>().value(0),
        [0x80, 0, 0, 0, 0, 0, 0, 0, 0x10]
    );
}

#[tokio::test]
async fn a_value_that_cannot_be_carried_stops_the_table_without_being_named() {
    let shop = Shop::open().await;
    let source = shop.source();
    let bad = [
        ("timestamptz", "'infinity'", "a timestamp of infinity"),
        ("timestamp", "'294276-12-31'", "a timestamp out of range"),
        ("date", "'-infinity'", "a date of infinity"),
        ("numeric(5,2)", "'NaN'", "a numeric NaN"),
        (
            "int[]",
            "'{{1,2},{3,4}}'",
            "an array of more than one dimension",
        ),
        (
            "int[]",
            "'[0:1]={1,2}'",
            "an array that does not begin at 1",
        ),
        (
            "text[]",
            "'[2:3]={a,NULL}'",
            "an array that does not begin at 1",
        ),
        (
            "int[][]",
            "'{1,2}'",
            "an array of another number of dimensions than its column declares",
        ),
        (
            "int[][]",
            "'{{{1}}}'",
            "an array of another number of dimensions than its column declares",
        ),
        (
            "int[][]",
            "'[1:1][0:1]={{1,2}}'",
            "an array that does not begin at 1",
        ),
        (
            "timestamp",
            "'294247-01-10 04:00:54.775807'",
            "a timestamp out of range",
        ),
    ];
    for (number, (source_type, value, kind)) in bad.into_iter().enumerate() {
        let name = format!("t{number}");
        shop.run(&format!(
            "CREATE TABLE {name} (c {source_type}); INSERT INTO {name} VALUES ({value})"
        ))
        .await;
        let described = source.describe(&table(&name)).await.unwrap();
        let error = refusal(read(&source, &described, "").await);
        assert_eq!(error.kind(), Kind::Data);
        let text = error.to_string();
        assert!(
            text.contains(&format!("ec.{name}"))
                && text.contains("column `c`")
                && text.contains(kind),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_unknown_type_is_read_as_text_and_remarked_upon() {
    let shop = Shop::open().await;
    shop.run("CREATE EXTENSION seg; CREATE TABLE t (c seg); INSERT INTO t VALUES ('1.50 .. 2')")
        .await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    assert_eq!(
        described.notes,
        ["column `c`: type `seg` is not known and is read in its text form"]
    );
    assert_eq!(
        read(&source, &described, "").await.unwrap()[0]
            .column(0)
            .as_string::<i32>()
            .value(0),
        "1.50 .. 2"
    );
}

/// Every type a column can have, of the server's own schemas: not pseudo-types, nor arrays or rows of them.
const CATALOG: &str = "
    SELECT format_type(t.oid, NULL), t.typname::text, t.typtype::text,
           t.typcategory = 'A' AND t.typlen = -1 AND t.typname NOT IN ('int2vector', 'oidvector')
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_type e ON e.oid = t.typelem
    WHERE n.nspname IN ('pg_catalog', 'information_schema') AND t.typtype <> 'p'
      AND (t.typcategory <> 'A' OR e.typtype IS DISTINCT FROM 'p')
      AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_type p ON p.oid = a.atttypid
                      WHERE a.attrelid IN (t.typrelid, e.typrelid) AND (p.typtype = 'p' OR p.typname = '_pg_statistic'))
    ORDER BY t.oid";

#[tokio::test]
async fn every_type_of_the_catalog_has_its_line_or_its_class_and_none_vanishes() {
    let shop = Shop::open().await;
    let page = include_str!("../../src/source/postgres/TYPES.md");
    let named: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| cell.split(", "))
        .filter_map(|name| name.strip_prefix('`')?.strip_suffix('`'))
        .collect();
    let rows = shop.another().await.query(CATALOG, &[]).await.unwrap();
    let (mut columns, mut lists) = (Vec::new(), Vec::new());
    for row in &rows {
        let (sql, name, sort, is_array): (String, String, String, bool) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        // What composites, domains and arrays become is said in sentences below the table.
        let class = is_array || matches!(sort.as_str(), "c" | "d");
        assert!(
            class || named.contains(&name.as_str()),
            "`{name}` has no line in TYPES.md"
        );
        columns.push(format!("c{} {sql}", columns.len()));
        lists.push(is_array);
    }
    assert!(columns.len() > 500, "{} types", columns.len());
    shop.run(&format!(
        "CREATE TABLE t ({}); INSERT INTO t VALUES ({})",
        columns.join(", "),
        vec!["NULL"; columns.len()].join(", ")
    ))
    .await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    assert_eq!(described.notes, Vec::<String>::new());
    assert_eq!(described.schema.columns.len(), columns.len());
    for (column, is_array) in described.schema.columns.iter().zip(lists) {
        let is_list = matches!(column.column_type, ColumnType::List(_));
        assert_eq!(is_list, is_array, "{}", column.source_type);
    }
    let batches = read(&source, &described, "").await.unwrap();
    assert!(
        batches[0]
            .columns()
            .iter()
            .all(|column| column.null_count() == 1)
    );
}

#[tokio::test]
async fn bits_of_no_declared_length_keep_the_zeros_they_begin_with() {
    let shop = Shop::open().await;
    shop.run("CREATE VIEW v AS SELECT B'001' || B'01' AS c")
        .await;
    let source = shop.source();
    let described = source.describe(&table("v")).await.unwrap();
    assert_eq!(described.schema.columns[0].column_type, ColumnType::Text);
    let batches = read(&source, &described, "").await.unwrap();
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "00101");
}
