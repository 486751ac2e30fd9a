//! Pages by key: the order is the database's own, whatever its type and collation.

use crate::shop::{Shop, table};
use crate::way::{WORDS, copied};

#[tokio::test]
async fn a_copy_by_any_key_has_every_row_once() {
    let shop = Shop::open().await;
    let source = shop.source();
    shop.run(
        "CREATE COLLATION ignoring (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TYPE size AS ENUM ('small', 'middle', 'large'); CREATE DOMAIN code AS varchar(9) COLLATE \"C\"",
    )
    .await;
    let texts = |collation: &str| format!("text {collation}");
    let words = format!("(SELECT DISTINCT word FROM unnest(ARRAY[{WORDS}]) AS u(word)) AS words");
    let numbers = "generate_series(1, 20) AS s(i)";
    for (number, (key, value, from)) in [
        (texts(""), "word", words.as_str()),
        (texts("COLLATE \"C\""), "word", &words),
        (texts("COLLATE \"en-x-icu\""), "word", &words),
        (texts("COLLATE \"ko-x-icu\""), "word", &words),
        (texts("COLLATE ignoring"), "word", &words),
        ("varchar(20) COLLATE \"de-x-icu\"".into(), "word", &words),
        ("char(8) COLLATE \"en-x-icu\"".into(), "word", &words),
        ("code".into(), "word", &words),
        ("uuid".into(), "md5(i::text)::uuid", numbers),
        ("numeric".into(), "(i - 10) / 7.0", numbers),
        (
            "numeric(38,10)".into(),
            "(i - 10) * 1234567890123456789.0123456789",
            numbers,
        ),
        ("date".into(), "date '2026-01-01' + i", numbers),
        (
            "timestamptz".into(),
            "timestamptz '2026-01-01Z' + i * interval '1 microsecond'",
            numbers,
        ),
        (
            "timestamp(0)".into(),
            "timestamp '2026-01-01' + i * interval '1 hour'",
            numbers,
        ),
        (
            "time".into(),
            "time '00:00' + i * interval '1 hour'",
            numbers,
        ),
        ("interval".into(), "i * interval '9 days 1 second'", numbers),
        ("bytea".into(), "decode(md5(i::text), 'hex')", numbers),
        ("inet".into(), "('10.0.0.' || i)::inet", numbers),
        ("smallint".into(), "i - 10", numbers),
        ("double precision".into(), "i / 3.0", numbers),
        ("boolean".into(), "i = 1", "generate_series(1, 2) AS s(i)"),
        (
            "size".into(),
            "(enum_range(NULL::size))[i]",
            "generate_series(1, 3) AS s(i)",
        ),
        ("integer[]".into(), "ARRAY[i % 3, i]", numbers),
        ("bit(5)".into(), "i::bit(5)", numbers),
        ("jsonb".into(), "to_jsonb(i)", numbers),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("t{number}");
        // Every row has the same time, so that only the key tells them apart; some have none at all.
        shop.run(&format!(
            "CREATE TABLE {name} (n int NOT NULL, at timestamptz, k {key} PRIMARY KEY);
             INSERT INTO {name} SELECT row_number() OVER (), CASE WHEN random() < 0.8 THEN timestamptz '2020-01-01Z' END, {value} FROM {from}
             ON CONFLICT DO NOTHING"
        ))
        .await;
        let wanted = shop
            .text(&format!(
                "SELECT string_agg(n::text, ' ' ORDER BY n) FROM {name}"
            ))
            .await;
        let mut copied = copied(&source, &table(&name)).await;
        copied.sort_unstable();
        let copied: Vec<String> = copied.iter().map(i32::to_string).collect();
        assert_eq!(Some(copied.join(" ")), wanted, "{key}");
    }
}

#[tokio::test]
async fn a_copy_by_several_columns_has_every_row_once() {
    let shop = Shop::open().await;
    shop.run(&format!(
        "CREATE TABLE t (n int NOT NULL, at timestamptz, shop text COLLATE \"en-x-icu\", day date, id numeric(20,2), PRIMARY KEY (shop, day, id));
         INSERT INTO t SELECT row_number() OVER (), CASE WHEN i = 1 THEN NULL ELSE timestamptz '2020-01-01Z' + (i % 2) * interval '1 second' END,
                word, date '2026-01-01' + i % 2, i / 2.0
         FROM (SELECT DISTINCT word FROM unnest(ARRAY[{WORDS}]) AS u(word)) AS words, generate_series(1, 5) i"
    ))
    .await;
    let count = shop.text("SELECT count(*)::text FROM t").await.unwrap();
    let mut copied = copied(&shop.source(), &table("t")).await;
    copied.sort_unstable();
    let wanted: Vec<i32> = (1..=count.parse().unwrap()).collect();
    assert_eq!(copied, wanted);
}

#[tokio::test]
async fn an_index_that_admits_null_or_half_the_rows_is_no_key() {
    let shop = Shop::open().await;
    shop.run(
        "CREATE TABLE a (id int UNIQUE, name text); CREATE TABLE b (id int NOT NULL UNIQUE);
         CREATE TABLE c (id int NOT NULL); CREATE UNIQUE INDEX ON c (id) WHERE id > 0",
    )
    .await;
    let source = shop.source();
    for name in ["a", "b", "c"] {
        let described = source.describe(&table(name)).await.unwrap();
        assert!(described.schema.key.is_empty(), "{name}");
    }
}
