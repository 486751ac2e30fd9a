//! The MariaDB room against a real server, named by `POS_ADMIN_URL`. Each test makes a database of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use cdc::config::{DatabaseKind, DatabaseUrl, Secret, SourceSettings, TlsMode};
use cdc::error::{Error, Kind};
use cdc::model::{BatchLimits, ColumnType, GuardClass, TableName};
use cdc::source::{
    Described, Evidence, Guard, GuardOptions, Param, RelationKind, Select, Session, Source, mariadb,
};
use futures_util::TryStreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);
const OPTIONS: GuardOptions = GuardOptions {
    lookback: Duration::from_secs(600),
};

/// Guards of several sources read one server's INNODB_TRX; run side by side they would keep it from being renewed.
static ONE_HORIZON: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A database of its own, dropped with the accounts made for it.
struct Database {
    admin: DatabaseUrl,
    name: String,
}

impl Database {
    async fn new() -> Self {
        let url =
            std::env::var("POS_ADMIN_URL").expect("POS_ADMIN_URL names the server to test against");
        let url = url::Url::parse(&url).expect("POS_ADMIN_URL is a URL");
        let name = format!("cdc_{}", ulid::Ulid::new().to_string().to_lowercase());
        let admin = DatabaseUrl {
            kind: DatabaseKind::MariaDb,
            host: url.host_str().unwrap().into(),
            port: url.port().unwrap_or(3306),
            user: url.username().into(),
            password: Secret::new(url.password().unwrap_or_default()),
            database: String::new(),
            tls: TlsMode::Disable,
            tls_ca: None,
        };
        let database = Database { admin, name };
        let mut conn = database.connect("").await;
        conn.query_drop(format!(
            "CREATE DATABASE {} CHARACTER SET utf8mb4",
            database.name
        ))
        .await
        .unwrap();
        database
    }

    async fn connect(&self, database: &str) -> Conn {
        let options = OptsBuilder::default()
            .ip_or_hostname(&self.admin.host)
            .tcp_port(self.admin.port)
            .user(Some(&self.admin.user))
            .pass(Some(self.admin.password.reveal()))
            .db_name(Some(database).filter(|name| !name.is_empty()))
            .prefer_socket(false);
        Conn::new(options)
            .await
            .expect("the server of POS_ADMIN_URL answers")
    }

    async fn admin(&self) -> Conn {
        let mut conn = self.connect(&self.name).await;
        conn.query_drop("SET time_zone = '+00:00', NAMES utf8mb4")
            .await
            .unwrap();
        conn
    }

    fn url(&self) -> DatabaseUrl {
        DatabaseUrl {
            database: self.name.clone(),
            ..self.admin.clone()
        }
    }

    fn source(&self) -> Arc<dyn Source> {
        source(self.url())
    }

    /// A source of an account with these grants; `{db}` in them is the database.
    async fn source_of_account(&self, grants: &[&str]) -> Arc<dyn Source> {
        let user = self.account();
        let mut conn = self.admin().await;
        conn.query_drop(format!("CREATE USER {user} IDENTIFIED BY 'secret'"))
            .await
            .unwrap();
        for grant in grants {
            conn.query_drop(format!(
                "GRANT {} TO {user}",
                grant.replace("{db}", &self.name)
            ))
            .await
            .unwrap();
        }
        source(DatabaseUrl {
            user,
            password: Secret::new("secret"),
            ..self.url()
        })
    }

    fn account(&self) -> String {
        format!("u{}", &self.name[4..])
    }

    fn table(&self, name: &str) -> TableName {
        TableName {
            source: "pos".into(),
            schema: self.name.clone(),
            name: name.into(),
            in_default_schema: true,
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (admin, name, user) = (self.admin.clone(), self.name.clone(), self.account());
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let database = std::mem::ManuallyDrop::new(Database { admin, name });
                let mut conn = database.connect("").await;
                // An open transaction of the test would keep its tables locked.
                let left = format!(
                    "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}'",
                    database.name
                );
                for connection in conn.query::<u64, _>(left).await.unwrap() {
                    let _ = conn.query_drop(format!("KILL {connection}")).await;
                }
                conn.query_drop("SET lock_wait_timeout = 10").await.unwrap();
                conn.query_drop(format!("DROP DATABASE {}", database.name))
                    .await
                    .unwrap();
                conn.query_drop(format!("DROP USER IF EXISTS {user}"))
                    .await
                    .unwrap();
            });
        });
        let _ = cleaning.join();
    }
}

fn source(url: DatabaseUrl) -> Arc<dyn Source> {
    let settings = SourceSettings {
        name: "pos".into(),
        url,
        time_zone: jiff::tz::TimeZone::UTC,
        connections: 4,
        tables: Vec::new(),
    };
    mariadb::open(&settings).unwrap()
}

/// An error of a call that must fail; what succeeds need not be printable.
fn failed<T>(result: Result<T, Error>) -> Error {
    result.err().expect("the call fails")
}

fn all_of(table: &Described) -> Select {
    let sql = format!(
        "SELECT {} FROM `{}`.`{}`",
        table.selects.join(", "),
        table.name.schema,
        table.name.name
    );
    Select {
        sql,
        params: Vec::new(),
    }
}

async fn read(
    source: &Arc<dyn Source>,
    table: &Described,
    select: &Select,
) -> Result<Vec<RecordBatch>, Error> {
    let mut session = source.session().await?;
    session
        .rows(table, select, BatchLimits::default())
        .try_collect()
        .await
}

async fn integer(session: &mut Box<dyn Session>, sql: &str) -> i128 {
    let select = Select {
        sql: sql.into(),
        params: Vec::new(),
    };
    session.integer(&select).await.unwrap().unwrap()
}

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
            format!("pos.{table}: column `born` holds {what}")
        );
    }
}

#[tokio::test]
async fn rows_arrive_in_bounded_batches_and_in_order() {
    let database = Database::new().await;
    database
        .admin()
        .await
        .query_drop("CREATE TABLE t (id int PRIMARY KEY, note varchar(100)) AS SELECT seq AS id, repeat('n', 100) AS note FROM seq_1_to_20000")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let select = Select {
        sql: format!("{} ORDER BY id", all_of(&table).sql),
        params: Vec::new(),
    };
    for (limits, most) in [
        (
            BatchLimits {
                rows: 1000,
                bytes: usize::MAX,
            },
            1000,
        ),
        // 108 bytes per row: the limit is reached with the tenth.
        (
            BatchLimits {
                rows: usize::MAX,
                bytes: 1000,
            },
            10,
        ),
    ] {
        let mut session = source.session().await.unwrap();
        let batches: Vec<RecordBatch> = session
            .rows(&table, &select, limits)
            .try_collect()
            .await
            .unwrap();
        assert!(batches.iter().all(|batch| batch.num_rows() <= most));
        let ids = batches.iter().flat_map(|batch| {
            batch
                .column(0)
                .as_primitive::<Int32Type>()
                .values()
                .to_vec()
        });
        assert!(ids.eq(1..=20_000));
    }
}

#[tokio::test]
async fn a_session_goes_back_after_its_stream_ended_and_is_closed_when_it_was_left() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop("CREATE TABLE t (id int PRIMARY KEY) AS SELECT seq AS id FROM seq_1_to_200000")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let select = all_of(&table);
    let connection = "SELECT CONNECTION_ID()";

    let mut session = source.session().await.unwrap();
    let first = integer(&mut session, connection).await;
    let rows: Vec<RecordBatch> = session
        .rows(&table, &select, BatchLimits::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        rows.iter().map(RecordBatch::num_rows).sum::<usize>(),
        200_000
    );
    drop(session);

    let mut session = source.session().await.unwrap();
    assert_eq!(integer(&mut session, connection).await, first);
    assert!(
        session
            .rows(
                &table,
                &select,
                BatchLimits {
                    rows: 10,
                    bytes: 1000
                }
            )
            .try_next()
            .await
            .unwrap()
            .is_some()
    );
    drop(session);

    let mut session = source.session().await.unwrap();
    assert_ne!(integer(&mut session, connection).await, first);
    let deadline = Instant::now() + DEADLINE;
    let alive = format!("SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID = {first}");
    while admin.query_first::<u64, _>(&alive).await.unwrap() != Some(0) {
        assert!(
            Instant::now() < deadline,
            "the abandoned connection is still reading"
        );
    }
}

#[tokio::test]
async fn a_snapshot_shows_one_moment_until_it_ends() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop("CREATE TABLE t (id int PRIMARY KEY)")
        .await
        .unwrap();
    let source = database.source();
    let count = format!("SELECT count(*) FROM {}.t", database.name);
    let mut session = source.session().await.unwrap();
    session.begin_snapshot().await.unwrap();
    admin.query_drop("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(integer(&mut session, &count).await, 0);
    session.end_snapshot().await.unwrap();
    assert_eq!(integer(&mut session, &count).await, 1);
    admin.query_drop("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(integer(&mut session, &count).await, 2);
}

#[tokio::test]
async fn a_session_cannot_write_and_lives_in_utc() {
    let database = Database::new().await;
    database
        .admin()
        .await
        .query_drop("CREATE TABLE t (id int PRIMARY KEY)")
        .await
        .unwrap();
    let mut session = database.source().session().await.unwrap();
    let write = Select {
        sql: format!("INSERT INTO {}.t VALUES (1)", database.name),
        params: Vec::new(),
    };
    assert!(
        session
            .integer(&write)
            .await
            .unwrap_err()
            .to_string()
            .contains("READ ONLY")
    );
    let here = jiff::Timestamp::now().as_microsecond();
    assert!((session.server_time().await.unwrap() - here).abs() < 60_000_000);
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

#[tokio::test]
async fn a_table_is_described_with_its_key_cursors_and_peculiarities() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop(
            "CREATE TABLE sales (store int, sale_id bigint unsigned NOT NULL AUTO_INCREMENT, note json, \
             sold_at datetime, updated_at timestamp(3) NOT NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3), \
             PRIMARY KEY (store, sale_id), KEY by_id (sale_id), KEY by_time (updated_at, store))",
        )
        .await
        .unwrap();
    admin
        .query_drop("CREATE TABLE old (id int PRIMARY KEY, place point) ENGINE = MyISAM")
        .await
        .unwrap();
    admin
        .query_drop("CREATE VIEW recent AS SELECT sale_id, note FROM sales")
        .await
        .unwrap();
    let source = database.source();

    let listed = source.list().await.unwrap();
    let own: Vec<_> = listed
        .iter()
        .filter(|l| l.name.in_default_schema)
        .map(|l| (l.name.name.as_str(), l.kind))
        .collect();
    let (table, view) = (RelationKind::Table, RelationKind::View);
    assert_eq!(own, [("old", table), ("recent", view), ("sales", table)]);

    let sales = source.describe(&database.table("sales")).await.unwrap();
    let types: Vec<_> = sales
        .schema
        .columns
        .iter()
        .map(|c| (c.source_type.as_str(), c.nullable))
        .collect();
    assert_eq!(
        types,
        [
            ("int", false),
            ("bigint unsigned", false),
            ("json", true),
            ("datetime", true),
            ("timestamp(3)", false)
        ]
    );
    assert_eq!(sales.schema.key, [0, 1]);
    assert_eq!(sales.incrementing_candidates, ["sale_id"]);
    assert_eq!(sales.timestamp_candidates, ["updated_at"]);
    assert_eq!(
        sales
            .timestamp_precision
            .iter()
            .map(|(name, digits)| (name.as_str(), *digits))
            .collect::<Vec<_>>(),
        [("sold_at", 0), ("updated_at", 3)]
    );
    assert_eq!(
        sales.indexed.iter().collect::<Vec<_>>(),
        ["sale_id", "store", "updated_at"]
    );
    assert_eq!(sales.identity["database"], database.name);
    assert_eq!(
        sales.identity["server_id"],
        admin
            .query_first::<u64, _>("SELECT @@server_id")
            .await
            .unwrap()
            .unwrap()
            .to_string()
    );
    assert_eq!(sales.notes, [""; 0]);

    let old = source.describe(&database.table("old")).await.unwrap();
    assert_eq!(old.notes.len(), 2, "{:?}", old.notes);
    let guard = source.guard(&old, "id", OPTIONS).await.unwrap();
    assert!(matches!(guard.class(), GuardClass::Unsafe(why) if why.contains("MyISAM")));

    let recent = source.describe(&database.table("recent")).await.unwrap();
    assert_eq!(
        (recent.kind, recent.schema.columns[1].source_type.as_str()),
        (RelationKind::View, "longtext")
    );
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_with_what_to_do() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin.query_drop("CREATE TABLE t (id int PRIMARY KEY, name text); CREATE TABLE other (id int PRIMARY KEY)").await.unwrap();

    let wrong_password = source(DatabaseUrl {
        password: Secret::new("wr0ng"),
        ..database.url()
    });
    let error = failed(wrong_password.list().await);
    assert_eq!(error.kind(), Kind::Permission);
    assert!(!format!("{error:?}").contains("wr0ng"));

    let no_database = source(DatabaseUrl {
        database: "nowhere".into(),
        ..database.url()
    });
    let error = failed(no_database.session().await);
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("nowhere"), "{error}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let nobody = source(DatabaseUrl {
        port,
        ..database.url()
    });
    let error = failed(nobody.list().await);
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(
        error
            .to_string()
            .starts_with(&format!("mariadb at 127.0.0.1:{port}: connecting: ")),
        "{error}"
    );

    let error = failed(database.source().describe(&database.table("missing")).await);
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("missing"), "{error}");

    let narrow = database.source_of_account(&["SELECT ON {db}.t"]).await;
    assert!(narrow.describe(&database.table("t")).await.is_ok());
    let error = failed(narrow.describe(&database.table("other")).await);
    assert_eq!(error.kind(), Kind::Permission);
    let grant = format!(
        "GRANT SELECT ON `{}`.`other` TO `{}`@`%`",
        database.name,
        database.account()
    );
    assert_eq!(error.next_step(), Some(grant.as_str()));
}

async fn holders(guard: &mut Box<dyn Guard>) -> BTreeSet<String> {
    match guard.evidence(&[(1, 1)]).await.unwrap() {
        Evidence::Writers { holders, .. } => holders,
        Evidence::Probe { .. } => panic!("the account has PROCESS, class {:?}", guard.class()),
    }
}

/// The id of the transaction `conn` has open.
async fn own_transaction(conn: &mut Conn) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let sql = "SELECT CAST(trx_id AS CHAR) FROM information_schema.INNODB_TRX \
                   WHERE trx_mysql_thread_id = CONNECTION_ID() AND trx_id > 0";
        if let Some(id) = conn.query_first(sql).await.unwrap() {
            return id;
        }
        assert!(
            Instant::now() < deadline,
            "the list of transactions was never renewed"
        );
        conn.query_drop("DO sleep(0.15)").await.unwrap();
    }
}

#[tokio::test]
async fn a_transaction_that_drew_a_lower_id_stays_in_evidence_until_it_ends() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let (mut early, mut late) = (database.admin().await, database.admin().await);
    early
        .query_drop("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, n int)")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "id", OPTIONS).await.unwrap();

    early.query_drop("START TRANSACTION").await.unwrap();
    early
        .query_drop("INSERT INTO t (n) VALUES (1)")
        .await
        .unwrap();
    late.query_drop("INSERT INTO t (n) VALUES (2)")
        .await
        .unwrap();
    let transaction = own_transaction(&mut early).await;
    for _ in 0..3 {
        assert!(holders(&mut guard).await.contains(&transaction));
    }
    assert_eq!(guard.class(), GuardClass::Proven);
    early.query_drop("COMMIT").await.unwrap();
    assert!(!holders(&mut guard).await.contains(&transaction));
}

#[tokio::test]
async fn a_prepared_transaction_stays_in_evidence_after_its_connection_is_gone() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let (mut writer, mut other) = (database.admin().await, database.admin().await);
    writer
        .query_drop("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, n int)")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "id", OPTIONS).await.unwrap();
    let xid = format!("'{}'", database.name);
    writer.query_drop(format!("XA START {xid}")).await.unwrap();
    writer
        .query_drop("INSERT INTO t (n) VALUES (1)")
        .await
        .unwrap();
    let transaction = own_transaction(&mut writer).await;
    writer.query_drop(format!("XA END {xid}")).await.unwrap();
    writer
        .query_drop(format!("XA PREPARE {xid}"))
        .await
        .unwrap();
    writer.disconnect().await.unwrap();
    assert!(holders(&mut guard).await.contains(&transaction));
    let deadline = Instant::now() + DEADLINE;
    // The server detaches it only when it has noticed that the connection ended.
    while other.query_drop(format!("XA COMMIT {xid}")).await.is_err() {
        assert!(Instant::now() < deadline);
    }
    assert!(!holders(&mut guard).await.contains(&transaction));
}

/// What was visible below a bound, right after the guard gave it.
struct Promise {
    bound: i64,
    ids: BTreeSet<u64>,
}

async fn visible_below(conn: &mut Conn, bound: i64) -> BTreeSet<u64> {
    let sql = "SELECT id FROM t WHERE made < FROM_UNIXTIME(CAST(? AS DECIMAL(20, 6)))";
    let seconds = format!(
        "{}.{:06}",
        bound.div_euclid(1_000_000),
        bound.rem_euclid(1_000_000)
    );
    conn.exec(sql, (seconds,))
        .await
        .unwrap()
        .into_iter()
        .collect()
}

/// Asks the guard until `done`, and gives every bound with what was visible below it.
async fn promises(
    guard: &mut Box<dyn Guard>,
    reader: &mut Conn,
    done: impl Fn() -> bool,
) -> Vec<Promise> {
    let mut promises = Vec::new();
    while !done() {
        if let Some(bound) = guard.safe_bound().await.unwrap() {
            assert!(
                promises
                    .last()
                    .is_none_or(|last: &Promise| last.bound <= bound.at),
                "the bound went back"
            );
            promises.push(Promise {
                bound: bound.at,
                ids: visible_below(reader, bound.at).await,
            });
        }
        assert_eq!(guard.class(), GuardClass::Proven);
    }
    promises
}

async fn all_are_kept(promises: &[Promise], reader: &mut Conn) {
    for promise in promises {
        assert_eq!(
            visible_below(reader, promise.bound).await,
            promise.ids,
            "a row appeared below a safe bound"
        );
    }
}

const TIMED: &str = "CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, \
     made timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6), n int)";

#[tokio::test]
async fn the_safe_bound_does_not_pass_a_row_of_an_open_transaction() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let (mut writer, mut reader) = (database.admin().await, database.admin().await);
    writer.query_drop(TIMED).await.unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();

    writer.query_drop("START TRANSACTION").await.unwrap();
    writer
        .query_drop("INSERT INTO t (n) VALUES (1)")
        .await
        .unwrap();
    let made: String = writer
        .query_first("SELECT UNIX_TIMESTAMP(made) FROM t")
        .await
        .unwrap()
        .unwrap();
    let made: i64 = made.replace('.', "").parse().unwrap();
    for _ in 0..5 {
        assert!(
            guard
                .safe_bound()
                .await
                .unwrap()
                .is_none_or(|bound| bound.at <= made)
        );
    }
    writer.query_drop("COMMIT").await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while guard
        .safe_bound()
        .await
        .unwrap()
        .is_none_or(|bound| bound.at <= made)
    {
        assert!(Instant::now() < deadline, "the bound never passed the row");
    }
    assert_eq!(visible_below(&mut reader, made + 1).await.len(), 1);
}

#[tokio::test]
async fn the_safe_bound_does_not_pass_a_statement_that_has_not_written_yet() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let (mut writer, mut reader) = (database.admin().await, database.admin().await);
    writer.query_drop(TIMED).await.unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();
    let writing = tokio::spawn(async move {
        writer
            .query_drop("INSERT INTO t (n) VALUES (sleep(2) + 1)")
            .await
            .unwrap()
    });
    let promises = promises(&mut guard, &mut reader, || writing.is_finished()).await;
    writing.await.unwrap();
    all_are_kept(&promises, &mut reader).await;
    assert_eq!(
        reader
            .query_first::<u64, _>("SELECT count(*) FROM t")
            .await
            .unwrap(),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_appears_below_a_safe_bound_while_writers_come_and_go() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let mut reader = database.admin().await;
    reader.query_drop(TIMED).await.unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();

    let end = Instant::now() + Duration::from_secs(5);
    let mut writers = Vec::new();
    for kind in 0..4_u32 {
        let mut conn = database.admin().await;
        writers.push(tokio::spawn(async move {
            let statements: &[&str] = match kind {
                0 => &["INSERT INTO t (n) VALUES (0)"],
                1 => &[
                    "START TRANSACTION",
                    "INSERT INTO t (n) VALUES (1)",
                    "DO sleep(0.3)",
                    "COMMIT",
                ],
                2 => &[
                    "INSERT INTO t (n) VALUES (sleep(0.4)), (2)",
                    "INSERT INTO t (n) SELECT sleep(0.2)",
                ],
                _ => &[
                    "START TRANSACTION",
                    "DO sleep(0.1)",
                    "UPDATE t SET n = n + 10 ORDER BY id DESC LIMIT 1",
                    "DO sleep(0.05)",
                    "COMMIT",
                ],
            };
            while Instant::now() < end {
                for statement in statements {
                    // A deadlock's victim is rolled back and goes on.
                    if conn.query_drop(*statement).await.is_err() {
                        break;
                    }
                }
            }
        }));
    }
    let mut promised = Vec::new();
    while Instant::now() < end {
        if let Some(bound) = guard.safe_bound().await.unwrap() {
            // An update moves a row up: what counts is that none comes to lie below the bound.
            promised.push(Promise {
                bound: bound.at,
                ids: visible_below(&mut reader, bound.at).await,
            });
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(
        promised
            .windows(2)
            .any(|pair| pair[0].bound < pair[1].bound),
        "the bound advances under load"
    );
    for promise in &promised {
        let now = visible_below(&mut reader, promise.bound).await;
        assert!(
            now.is_subset(&promise.ids),
            "{:?} appeared below a safe bound",
            now.difference(&promise.ids)
        );
    }
}

#[tokio::test]
async fn a_long_read_of_our_own_does_not_hold_the_bound_back() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    database.admin().await.query_drop(TIMED).await.unwrap();
    let source = database
        .source_of_account(&["SELECT ON {db}.t", "PROCESS ON *.*"])
        .await;
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();
    let mut session = source.session().await.unwrap();
    session.begin_snapshot().await.unwrap();
    let slow = Select {
        sql: "SELECT sleep(20)".into(),
        params: Vec::new(),
    };
    let reading = tokio::spawn(async move { session.integer(&slow).await });
    let began = jiff::Timestamp::now().as_microsecond();
    let deadline = Instant::now() + Duration::from_secs(15);
    while guard
        .safe_bound()
        .await
        .unwrap()
        .is_none_or(|bound| bound.at < began + 2_000_000)
    {
        assert!(
            Instant::now() < deadline && !reading.is_finished(),
            "the bound waits for our own read"
        );
    }
    reading.abort();
}

#[tokio::test]
async fn without_the_process_privilege_ids_are_probed_and_the_class_is_assumed() {
    let database = Database::new().await;
    let (mut early, mut late) = (database.admin().await, database.admin().await);
    early
        .query_drop("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, n int)")
        .await
        .unwrap();
    let source = database.source_of_account(&["SELECT ON {db}.t"]).await;
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "id", OPTIONS).await.unwrap();
    early.query_drop("START TRANSACTION").await.unwrap();
    // One statement draws three ids; a second transaction takes the fourth.
    early
        .query_drop("INSERT INTO t (n) VALUES (1), (2), (3)")
        .await
        .unwrap();
    late.query_drop("INSERT INTO t (n) VALUES (4)")
        .await
        .unwrap();

    let grace = Duration::from_secs(60);
    let gaps = [(1, 3), (100, 200)];
    assert_eq!(
        guard.evidence(&gaps).await.unwrap(),
        Evidence::Probe {
            held: vec![(1, 3)],
            grace
        }
    );
    assert!(matches!(guard.class(), GuardClass::Assumed(why) if why.contains("GRANT PROCESS")));
    early.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(
        guard.evidence(&gaps).await.unwrap(),
        Evidence::Probe {
            held: vec![],
            grace
        }
    );
}

#[tokio::test]
async fn without_the_process_privilege_a_moment_is_past_after_the_lookback() {
    let database = Database::new().await;
    database.admin().await.query_drop(TIMED).await.unwrap();
    let source = database.source_of_account(&["SELECT ON {db}.t"]).await;
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();
    let now = source.session().await.unwrap().server_time().await.unwrap();
    let bound = guard.safe_bound().await.unwrap().unwrap();
    assert!((bound.at - (now - 600_000_000)).abs() < 60_000_000);
    assert_eq!(
        guard.class(),
        GuardClass::Assumed("no transaction stays open for longer than 10 min; `GRANT PROCESS ON *.*` to the account proves it".into())
    );
}

#[tokio::test]
async fn a_list_of_transactions_that_is_never_renewed_is_not_believed() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let mut writer = database.admin().await;
    writer
        .query_drop("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, n int)")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "id", OPTIONS).await.unwrap();
    let mut monitor = database.admin().await;
    let monitoring = tokio::spawn(async move {
        loop {
            let _: Vec<Row> = monitor
                .query("SELECT * FROM information_schema.INNODB_TRX")
                .await
                .unwrap();
        }
    });
    writer.query_drop("START TRANSACTION").await.unwrap();
    writer
        .query_drop("INSERT INTO t (n) VALUES (1)")
        .await
        .unwrap();
    let grace = Duration::from_secs(60);
    assert_eq!(
        guard.evidence(&[(1, 1)]).await.unwrap(),
        Evidence::Probe {
            held: vec![(1, 1)],
            grace
        }
    );
    assert!(matches!(guard.class(), GuardClass::Assumed(why) if why.contains("INNODB_TRX")));
    monitoring.abort();
}
