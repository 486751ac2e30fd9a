//! Types: which there are, what does not fit them, and what is not known.

use arrow::array::AsArray;
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
    shop.run("CREATE SCHEMA other; CREATE TYPE other.uuid AS (n int); CREATE TABLE t (c other.uuid); INSERT INTO t VALUES (ROW(7))").await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    assert_eq!(
        described.notes,
        ["column `c`: type `uuid` is not known and is read in its text form"]
    );
    assert_eq!(
        read(&source, &described, "").await.unwrap()[0]
            .column(0)
            .as_string::<i32>()
            .value(0),
        "(7)"
    );
}
