//! Values: what arrives is what the database itself shows.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use cdc::error::Kind;
use cdc::model::ColumnType;
use cdc::source::{Param, Select};
use mysql_async::prelude::Queryable;

use crate::database::{Database, all_of, failed, read};

/// A cell as the comparison queries below render it.
fn rendered(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    let timestamp = |format: &str| {
        let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
        let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
        let at = epoch
            .checked_add(jiff::Span::new().microseconds(micros))
            .unwrap();
        at.strftime(format).to_string()
    };
    Some(match array.data_type() {
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Float32 => f64::from(array.as_primitive::<Float32Type>().value(row)).to_string(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => array
            .as_binary::<i32>()
            .value(row)
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect(),
        DataType::Date32 => {
            let days = i64::from(array.as_primitive::<Date32Type>().value(row));
            jiff::civil::date(1970, 1, 1)
                .checked_add(jiff::Span::new().days(days))
                .unwrap()
                .to_string()
        }
        DataType::Timestamp(_, Some(_)) => timestamp("%Y-%m-%d %H:%M:%S.%6fZ"),
        DataType::Timestamp(_, None) => timestamp("%Y-%m-%d %H:%M:%S.%6f"),
        other => panic!("no column becomes {other}"),
    })
}

/// How the database is asked to show a column the way `rendered` does.
fn shown(name: &str, column_type: &ColumnType, source_type: &str) -> String {
    match column_type {
        ColumnType::Binary => format!("HEX({name})"),
        ColumnType::Timestamp { utc: true } => {
            format!("DATE_FORMAT({name}, '%Y-%m-%d %H:%i:%s.%fZ')")
        }
        ColumnType::Timestamp { utc: false } => {
            format!("DATE_FORMAT({name}, '%Y-%m-%d %H:%i:%s.%f')")
        }
        ColumnType::UInt64 if source_type.starts_with("bit") => format!("CAST({name} + 0 AS CHAR)"),
        ColumnType::Float32 | ColumnType::Float64 => {
            format!("CAST(CAST({name} AS DOUBLE) AS CHAR)")
        }
        _ => format!("CAST({name} AS CHAR)"),
    }
}

/// Every type: its declaration, then values as SQL.
#[rustfmt::skip]
const TYPES: &[(&str, &[&str], DataType)] = &[
    ("tinyint", &["-128", "127", "0"], DataType::Int8),
    ("tinyint(1)", &["0", "1", "-1"], DataType::Int8),
    ("tinyint unsigned", &["0", "255"], DataType::UInt8),
    ("smallint", &["-32768", "32767"], DataType::Int16),
    ("smallint unsigned", &["0", "65535"], DataType::UInt16),
    ("mediumint", &["-8388608", "8388607"], DataType::Int32),
    ("mediumint unsigned", &["0", "16777215"], DataType::UInt32),
    ("int", &["-2147483648", "2147483647"], DataType::Int32),
    ("int unsigned zerofill", &["7", "4294967295"], DataType::UInt32),
    ("bigint", &["-9223372036854775808", "9223372036854775807"], DataType::Int64),
    ("bigint unsigned", &["0", "18446744073709551615"], DataType::UInt64),
    ("decimal(12,2)", &["0", "-0.01", "9999999999.99"], DataType::Decimal128(12, 2)),
    ("decimal(38,38)", &["0.12345678901234567890123456789012345678", "-0.5"], DataType::Decimal128(38, 38)),
    ("decimal(38,0)", &["99999999999999999999999999999999999999"], DataType::Decimal128(38, 0)),
    ("decimal(65,30)", &["-12345678901234567890123456789012345.123456789012345678901234567890"], DataType::Utf8),
    ("float", &["1.5", "-3.4e38", "0.1"], DataType::Float32),
    ("double", &["0.1", "1.7976931348623157e308", "-2.2250738585072014e-308"], DataType::Float64),
    ("bit(1)", &["b'0'", "b'1'"], DataType::UInt64),
    ("bit(64)", &["b'1111111111111111111111111111111111111111111111111111111111111111'", "b'101'"], DataType::UInt64),
    ("year", &["1901", "2155", "0"], DataType::Int16),
    ("date", &["'1000-01-01'", "'2024-02-29'", "'9999-12-31'"], DataType::Date32),
    ("datetime", &["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"], DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)),
    ("datetime(6)", &["'1969-12-31 23:59:59.999999'", "'2026-03-29 02:30:00.000001'"], DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)),
    ("time", &["'838:59:59'", "'-838:59:59'", "'00:00:00'"], DataType::Utf8),
    ("time(3)", &["'-12:01:02.5'", "'00:00:00.007'"], DataType::Utf8),
    ("time(6)", &["'-00:00:00.000001'", "'100:00:00.120000'"], DataType::Utf8),
    ("char(5)", &["'a'", "'한국어'", "''"], DataType::Utf8),
    ("varchar(20) character set latin1", &["'café'", "''"], DataType::Utf8),
    ("varchar(20)", &["'🛒 cart'", "'\\0'"], DataType::Utf8),
    ("tinytext", &["'t'"], DataType::Utf8),
    ("text", &["repeat('x', 65535)"], DataType::Utf8),
    ("mediumtext", &["repeat('y', 100000)"], DataType::Utf8),
    ("longtext", &["'z'"], DataType::Utf8),
    ("json", &["'{\"a\": [1, 2.50, null]}'", "'\"\"'"], DataType::Utf8),
    ("enum('small','large')", &["'small'", "'large'"], DataType::Utf8),
    ("set('a','b','c')", &["'a,c'", "''"], DataType::Utf8),
    ("uuid", &["'123e4567-e89b-12d3-a456-426655440000'"], DataType::Utf8),
    ("inet4", &["'10.0.0.1'"], DataType::Utf8),
    ("inet6", &["'2001:db8::ff00:42:8329'", "'::1'"], DataType::Utf8),
    ("binary(4)", &["x'00ff'", "x'01020304'"], DataType::Binary),
    ("varbinary(9)", &["x''", "x'00ff80'"], DataType::Binary),
    ("tinyblob", &["x'00'"], DataType::Binary),
    ("blob", &["x'fffe'"], DataType::Binary),
    ("mediumblob", &["repeat(x'80', 70000)"], DataType::Binary),
    ("longblob", &["x'c328'"], DataType::Binary),
    ("geometry", &["point(1, 2)"], DataType::Binary),
    ("point", &["point(-1.5, 2)"], DataType::Binary),
    ("linestring", &["linestring(point(0, 0), point(1, 1))"], DataType::Binary),
    ("polygon", &["ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')"], DataType::Binary),
    ("multipoint", &["multipoint(point(0, 0))"], DataType::Binary),
    ("multilinestring", &["multilinestring(linestring(point(0, 0), point(1, 1)))"], DataType::Binary),
    ("multipolygon", &["ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))')"], DataType::Binary),
    ("geometrycollection", &["geometrycollection(point(1, 2))"], DataType::Binary),
];

#[tokio::test]
async fn every_type_reads_as_the_database_shows_it() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    let columns: Vec<String> = (0..TYPES.len())
        .map(|i| format!("c{i} {} NULL", TYPES[i].0))
        .collect();
    admin
        .query_drop(format!(
            "CREATE TABLE everything (id int PRIMARY KEY, {}, instant timestamp(6) NULL)",
            columns.join(", ")
        ))
        .await
        .unwrap();
    // One row of NULLs, then rows with the first, second and third value of each type.
    for row in 0..4_usize {
        let value = |values: &&[&str]| match row.checked_sub(1) {
            None => "NULL".to_owned(),
            Some(n) => values[n % values.len()].to_owned(),
        };
        let mut values: Vec<String> = TYPES.iter().map(|(_, values, _)| value(values)).collect();
        values.push(value(
            &&[
                "'1970-01-01 00:00:01'",
                "'2038-01-19 03:14:07.999999'",
                "'2026-10-25 01:30:00.5'",
            ][..],
        ));
        admin
            .query_drop(format!(
                "INSERT INTO everything VALUES ({row}, {})",
                values.join(", ")
            ))
            .await
            .unwrap();
    }

    let source = database.source();
    let table = source
        .describe(&database.table("everything"))
        .await
        .unwrap();
    for (i, (name, _, wanted)) in TYPES.iter().enumerate() {
        assert_eq!(
            table.schema.columns[i + 1].column_type.arrow(),
            *wanted,
            "{name}"
        );
    }
    let select = Select {
        sql: format!("{} ORDER BY id", all_of(&table).sql),
        params: Vec::new(),
    };
    let batches = read(&source, &table, &select).await.unwrap();
    let [batch] = &batches[..] else {
        panic!("one batch")
    };
    assert_eq!(batch.num_rows(), 4);

    for (i, column) in table.schema.columns.iter().enumerate() {
        let show = shown(&column.name, &column.column_type, &column.source_type);
        let wanted: Vec<Option<String>> = admin
            .query(format!("SELECT {show} FROM everything ORDER BY id"))
            .await
            .unwrap();
        for (row, wanted) in wanted.into_iter().enumerate() {
            let got = rendered(batch.column(i), row);
            let number =
                |text: &Option<String>| text.as_deref().map(|text| text.parse::<f64>().unwrap());
            match column.column_type {
                ColumnType::Float32 | ColumnType::Float64 => {
                    assert_eq!(number(&got), number(&wanted), "{}", column.source_type)
                }
                ColumnType::Int16 if column.source_type == "year" => {
                    assert_eq!(number(&got), number(&wanted))
                }
                ColumnType::UInt32 => assert_eq!(
                    number(&got),
                    number(&wanted),
                    "zero filling is not part of the value"
                ),
                _ => assert_eq!(got, wanted, "{} in row {row}", column.source_type),
            }
        }
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
