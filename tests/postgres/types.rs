//! Every type against the server's own rendering.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use cdc::error::Kind;
use cdc::model::ColumnType;

use crate::shop::{Shop, read, refusal, table};

/// How the server writes a value of this column, so that [`written`] gives the same text.
fn oracle(column_type: &ColumnType, value: &str) -> String {
    match column_type {
        ColumnType::Float32 => format!("encode(float4send({value}), 'hex')"),
        ColumnType::Float64 => format!("encode(float8send({value}), 'hex')"),
        ColumnType::Binary => format!("encode({value}, 'hex')"),
        ColumnType::UInt64 => format!("({value})::text"),
        ColumnType::Date => format!("({value} - date '1970-01-01')::text"),
        ColumnType::Timestamp { .. } => {
            format!("(extract(epoch FROM {value}) * 1000000)::int8::text")
        }
        ColumnType::List(element) => format!(
            "(SELECT coalesce(string_agg(CASE WHEN e IS NULL THEN 'NULL' ELSE {} END, '|' ORDER BY n), '') FROM unnest({value}) WITH ORDINALITY u(e, n))",
            oracle(element, "e")
        ),
        _ => format!("format('%s', {value})"),
    }
}

fn written(column_type: &ColumnType, array: &dyn Array, row: usize) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    if array.is_null(row) {
        return "NULL".into();
    }
    match column_type {
        ColumnType::Bool => if array.as_boolean().value(row) {
            "t"
        } else {
            "f"
        }
        .into(),
        ColumnType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        ColumnType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        ColumnType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        ColumnType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        ColumnType::UInt64 => format!("{:b}", array.as_primitive::<UInt64Type>().value(row)),
        ColumnType::Float32 => hex(&array.as_primitive::<Float32Type>().value(row).to_be_bytes()),
        ColumnType::Float64 => hex(&array.as_primitive::<Float64Type>().value(row).to_be_bytes()),
        ColumnType::Decimal { .. } => array.as_primitive::<Decimal128Type>().value_as_string(row),
        ColumnType::Text => array.as_string::<i32>().value(row).into(),
        ColumnType::Binary => hex(array.as_binary::<i32>().value(row)),
        ColumnType::Date => array.as_primitive::<Date32Type>().value(row).to_string(),
        ColumnType::Timestamp { .. } => array
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .to_string(),
        ColumnType::List(element) => {
            let list = array.as_list::<i32>().value(row);
            (0..list.len())
                .map(|i| written(element, &list, i))
                .collect::<Vec<_>>()
                .join("|")
        }
        other => panic!("PostgreSQL has no {other:?}"),
    }
}

/// A type, what it becomes, and values of it in SQL.
type Sample = (&'static str, ColumnType, &'static [&'static str]);

fn list(element: ColumnType) -> ColumnType {
    ColumnType::List(Box::new(element))
}

#[rustfmt::skip]
fn samples() -> Vec<Sample> {
    use ColumnType as To;
    vec![
        ("bool",             To::Bool,                  &["true", "false", "NULL"]),
        ("smallint",         To::Int16,                 &["-32768", "32767", "0"]),
        ("integer",          To::Int32,                 &["-2147483648", "2147483647"]),
        ("bigint",           To::Int64,                 &["'-9223372036854775808'", "9223372036854775807"]),
        ("oid",              To::UInt32,                &["0", "4294967295"]),
        ("real",             To::Float32,               &["'NaN'", "'-Infinity'", "1.1", "'-0'"]),
        ("double precision", To::Float64,               &["'NaN'", "'Infinity'", "0.1", "5e-324"]),
        ("numeric(12,2)",    To::Decimal { precision: 12, scale: 2 }, &["-1234567890.12", "0", "0.01", "NULL"]),
        ("numeric(38,0)",    To::Decimal { precision: 38, scale: 0 }, &["99999999999999999999999999999999999999", "-1"]),
        ("numeric(38,37)",   To::Decimal { precision: 38, scale: 37 }, &["1.2345678901234567890123456789012345678", "-0.5"]),
        ("numeric(38,38)",   To::Decimal { precision: 38, scale: 38 }, &["0.00000000000000000000000000000000000001"]),
        ("numeric",          To::Text,                  &["1e100", "'NaN'", "1.10", "-0.000001"]),
        ("numeric(40,2)",    To::Text,                  &["12345678901234567890123456789012345678.90"]),
        ("money",            To::Text,                  &["12.34", "-1234567.8"]),
        ("text",             To::Text,                  &["''", "'주문 ☕ 😀'", "E'tab\\tline\\nend'"]),
        ("varchar(5)",       To::Text,                  &["'abc'"]),
        ("char(5)",          To::Text,                  &["'abc'"]),
        ("name",             To::Text,                  &["'relname'"]),
        ("\"char\"",         To::Text,                  &["'x'"]),
        ("bytea",            To::Binary,                &["'\\x'", "'\\x00ff10'"]),
        ("bit(3)",           To::UInt64,                &["B'101'", "B'111'"]),
        ("bit(64)",          To::UInt64,                &["~ (0::bit(64))"]),
        ("varbit",           To::Text,                  &["B'0101'", "B''"]),
        ("date",             To::Date,                  &["'1970-01-01'", "'0044-03-15 BC'", "'9999-12-31'", "'5874897-12-31'"]),
        ("timestamp",        To::Timestamp { utc: false }, &["'2026-03-29 02:30:00.123456'", "'4713-01-01 BC'", "'1969-12-31 23:59:59.999999'"]),
        ("timestamp(0)",     To::Timestamp { utc: false }, &["'2026-03-29 02:30:00.6'"]),
        ("timestamptz",      To::Timestamp { utc: true }, &["'2026-03-29 02:30:00.123456+09'", "'294000-01-01Z'"]),
        ("time",             To::Text,                  &["'23:59:59.999999'", "'24:00'"]),
        ("timetz",           To::Text,                  &["'23:59:59+09:30'"]),
        ("interval",         To::Text,                  &["'1 year 2 days -03:04:05.678'", "'0'"]),
        ("uuid",             To::Text,                  &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
        ("json",             To::Text,                  &["'{\"a\":  1.10, \"a\": 2}'"]),
        ("jsonb",            To::Text,                  &["'{\"b\": 1e400, \"a\": null}'", "'\"x\"'"]),
        ("jsonpath",         To::Text,                  &["'$.a[*]'"]),
        ("xml",              To::Text,                  &["'<a>é</a>'"]),
        ("inet",             To::Text,                  &["'10.0.0.1'", "'10.0.0.1/8'", "'::1'", "'2001:db8::1/64'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'1:0:2:3:4:5:6:7'"]),
        ("cidr",             To::Text,                  &["'10.0.0.0/8'", "'10.0.0.1/32'", "'2001:db8::/32'", "'::/0'"]),
        ("macaddr",          To::Text,                  &["'08:00:2b:01:02:03'"]),
        ("macaddr8",         To::Text,                  &["'08:00:2b:01:02:03:04:05'"]),
        ("point",            To::Text,                  &["'(1.5,-2)'"]),
        ("line",             To::Text,                  &["'{1,2,3}'"]),
        ("lseg",             To::Text,                  &["'[(0,0),(1,1)]'"]),
        ("box",              To::Text,                  &["'(1,1),(0,0)'"]),
        ("path",             To::Text,                  &["'((0,0),(1,1))'"]),
        ("polygon",          To::Text,                  &["'((0,0),(1,1),(1,0))'"]),
        ("circle",           To::Text,                  &["'<(0,0),2>'"]),
        ("int4range",        To::Text,                  &["'[1,5)'", "'empty'"]),
        ("tstzrange",        To::Text,                  &["'[2026-01-01Z,)'"]),
        ("nummultirange",    To::Text,                  &["'{[1,2],[3.5,4)}'"]),
        ("tsvector",         To::Text,                  &["'a fat cat'"]),
        ("tsquery",          To::Text,                  &["'fat & rat'"]),
        ("pg_lsn",           To::Text,                  &["'16/B374D848'"]),
        ("xid",              To::Text,                  &["'4294967295'"]),
        ("regclass",         To::Text,                  &["'pg_class'"]),
        ("int2vector",       To::Text,                  &["'1 2'"]),
        ("mood",             To::Text,                  &["'glad'", "NULL"]),
        ("pair",             To::Text,                  &["'(1,\"a b\")'"]),
        ("price",            To::Decimal { precision: 9, scale: 3 }, &["12.345"]),
        ("dear_price",       To::Decimal { precision: 9, scale: 3 }, &["99.5"]),
        ("integer[]",        list(To::Int32),           &["'{}'", "'{1,NULL,3}'", "NULL"]),
        ("text[]",           list(To::Text),            &["'{a,\"b c\",NULL,\"\"}'"]),
        ("numeric(5,2)[]",   list(To::Decimal { precision: 5, scale: 2 }), &["'{1.5,-999.99}'"]),
        ("numeric[]",        list(To::Text),            &["'{1e50,NaN}'"]),
        ("timestamptz[]",    list(To::Timestamp { utc: true }), &["'{2026-01-01Z}'"]),
        ("uuid[]",           list(To::Text),            &["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"]),
        ("jsonb[]",          list(To::Text),            &["ARRAY['{\"a\": 1}'::jsonb, NULL]"]),
        ("inet[]",           list(To::Text),            &["'{10.0.0.1,::1}'"]),
        ("interval[]",       list(To::Text),            &["'{1 day}'"]),
        ("bit(3)[]",         list(To::Text),            &["'{101}'"]),
        ("mood[]",           list(To::Text),            &["'{glad,sad}'"]),
        ("price[]",          list(To::Decimal { precision: 9, scale: 3 }), &["'{1.125}'"]),
        ("bytea[]",          list(To::Binary),          &["ARRAY['\\x00ff'::bytea]"]),
        ("double precision[]", list(To::Float64),       &["'{0.1,NaN}'"]),
    ]
}

#[tokio::test]
async fn every_type_reads_as_the_server_renders_it() {
    let shop = Shop::open().await;
    shop.run(
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (n int, t text);
         CREATE DOMAIN price AS numeric(9,3); CREATE DOMAIN dear_price AS price CHECK (VALUE > 1)",
    )
    .await;
    let source = shop.source();
    for (number, (source_type, becomes, values)) in samples().into_iter().enumerate() {
        let name = format!("t{number}");
        shop.run(&format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, c {source_type})"
        ))
        .await;
        for (id, value) in values.iter().enumerate() {
            shop.run(&format!("INSERT INTO {name} VALUES ({id}, {value})"))
                .await;
        }
        let described = source.describe(&table(&name)).await.unwrap();
        assert_eq!(
            described.schema.columns[1].column_type, becomes,
            "{source_type}"
        );
        let batches = read(&source, &described, "ORDER BY id").await.unwrap();
        assert_eq!(batches[0].num_rows(), values.len(), "{source_type}");
        for (id, value) in values.iter().enumerate() {
            let rendered = shop
                .text(&format!(
                    "SELECT CASE WHEN c IS NOT NULL THEN {} END FROM {name} WHERE id = {id}",
                    oracle(&becomes, "c")
                ))
                .await;
            let mut rendered = rendered.unwrap_or("NULL".into());
            if becomes == ColumnType::UInt64 {
                rendered = rendered.trim_start_matches('0').to_owned();
            }
            assert_eq!(
                written(&becomes, batches[0].column(1), id),
                rendered,
                "{source_type}: {value}"
            );
        }
    }
}

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
