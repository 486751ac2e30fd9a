//! Every type, to the end of the way, with the server as the oracle: listed values, and random ones that the server
//! makes itself.

use cdc::model::{Column, ColumnType, TableSchema};
use cdc::source::Select;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::database::{Database, all_of, failed, read};
use crate::families::{self, Sort};
use crate::way;

#[tokio::test]
async fn numbers_arrive_as_the_server_shows_them() {
    every(families::numbers()).await;
}

#[tokio::test]
async fn naive_times_stay_naive_and_microseconds_stay() {
    every(families::times()).await;
}

#[tokio::test]
async fn text_of_every_character_set_arrives_as_the_server_shows_it() {
    every(families::texts()).await;
}

#[tokio::test]
async fn bytes_bits_shapes_and_addresses_arrive_as_the_server_shows_them() {
    every(families::bytes()).await;
}

/// A table with a column of each sort: first the listed values and a row of NULLs, then random ones.
async fn every(sorts: Vec<Sort>) {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    let columns: Vec<String> = (0..sorts.len())
        .map(|i| format!("c{i} {} NULL", sorts[i].name))
        .collect();
    admin
        .query_drop(format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, {})",
            columns.join(", ")
        ))
        .await
        .unwrap();
    let longest = sorts
        .iter()
        .map(|sort| sort.listed.len())
        .max()
        .unwrap_or(0);
    for id in 0..=longest {
        let value = |sort: &Sort| {
            id.checked_sub(1)
                .and_then(|n| sort.listed.get(n))
                .copied()
                .unwrap_or("NULL")
        };
        let row: Vec<&str> = sorts.iter().map(value).collect();
        let insert = format!("INSERT INTO t VALUES ({id}, {})", row.join(", "));
        admin
            .query_drop(&insert)
            .await
            .unwrap_or_else(|e| panic!("{insert}: {e}"));
    }
    compare(&database, &mut admin, &sorts).await;

    let seed = way::seed();
    let mut first = 1;
    for (round, count) in way::rounds(1).into_iter().enumerate() {
        admin.query_drop("TRUNCATE t").await.unwrap();
        admin
            .query_drop(format!(
                "SET rand_seed1 = {}, rand_seed2 = {}",
                seed % 1_000_000_007,
                round + 1
            ))
            .await
            .unwrap();
        let random: Vec<String> = sorts
            .iter()
            .map(|sort| format!("IF(RAND() < 0.02, NULL, {})", sort.random))
            .collect();
        let insert = format!(
            "INSERT INTO t SELECT seq, {} FROM seq_{first}_to_{}",
            random.join(", "),
            first + count - 1
        );
        admin
            .query_drop(&insert)
            .await
            .unwrap_or_else(|e| panic!("{insert}: {e}"));
        compare(&database, &mut admin, &sorts).await;
        first += count;
    }
}

async fn compare(database: &Database, admin: &mut Conn, sorts: &[Sort]) {
    let source = database.source();
    let described = database.described(&told(sorts)).await;
    let schema = &described.schema;
    for (i, sort) in sorts.iter().enumerate() {
        assert_eq!(
            schema.columns[i + 1].column_type,
            sort.becomes,
            "{}",
            sort.name
        );
    }
    let select = Select {
        sql: format!("{} ORDER BY id", all_of(&described).sql),
        params: Vec::new(),
    };
    let batches = read(&source, &described, &select).await.unwrap();
    let fields: Vec<String> = schema
        .columns
        .iter()
        .map(|column| format!("IFNULL({}, 'NULL')", shown(column)))
        .collect();
    let oracle = format!(
        "SELECT CONCAT_WS('|', {}) FROM t ORDER BY id",
        fields.join(", ")
    );
    let lines: Vec<String> = admin.query(oracle).await.unwrap();
    let lines: Vec<String> = lines
        .into_iter()
        .map(|line| with_bits(schema, line))
        .collect();
    way::compare(schema, &batches, &lines);
}

/// The setting that makes decimals of columns that would be text by themselves.
fn told(sorts: &[Sort]) -> String {
    let told = sorts
        .iter()
        .enumerate()
        .filter_map(|(i, sort)| match sort.becomes {
            ColumnType::Decimal { precision, scale } if sort.name == "decimal(65,30)" => {
                Some(format!("c{i}: [{precision}, {scale}]"))
            }
            _ => None,
        });
    format!("decimal: {{ {} }}", told.collect::<Vec<_>>().join(", "))
}

/// How the server writes a value in a line. Zero filling is no part of a value, and goes with `+ 0`; `%f` is
/// all six digits.
fn shown(column: &Column) -> String {
    let name = &column.name;
    match &column.column_type {
        ColumnType::Binary => format!("LOWER(HEX({name}))"),
        ColumnType::Timestamp { utc: true } => {
            format!("DATE_FORMAT({name}, '%Y-%m-%d %H:%i:%s.%f+00')")
        }
        ColumnType::Timestamp { utc: false } => {
            format!("DATE_FORMAT({name}, '%Y-%m-%d %H:%i:%s.%f')")
        }
        ColumnType::Date => format!("CAST({name} AS CHAR)"),
        // A FLOAT is shown with six digits only; as a DOUBLE it shows what it is.
        ColumnType::Float32 | ColumnType::Float64 => {
            format!("CAST(CAST({name} AS DOUBLE) AS CHAR)")
        }
        ColumnType::Text => format!("LOWER(HEX(CAST({name} AS CHAR CHARACTER SET utf8mb4)))"),
        ColumnType::Decimal { precision, scale } => {
            format!("CAST(CAST({name} AS DECIMAL({precision},{scale})) AS CHAR)")
        }
        _ => format!("CAST({name} + 0 AS CHAR)"),
    }
}

/// The server cannot show the bits of a float, but enough digits of it to make them again.
fn with_bits(schema: &TableSchema, line: String) -> String {
    let is_float = |column: &Column| {
        matches!(
            column.column_type,
            ColumnType::Float32 | ColumnType::Float64
        )
    };
    if !schema.columns.iter().any(is_float) {
        return line;
    }
    let fields = line.split('|').zip(&schema.columns).map(|(field, column)| {
        let double = || {
            field
                .parse::<f64>()
                .unwrap_or_else(|_| panic!("`{field}` is no float"))
        };
        match column.column_type {
            ColumnType::Float32 if field != "NULL" => {
                let single = double() as f32;
                assert_eq!(f64::from(single), double());
                format!("{:08x}", single.to_bits())
            }
            ColumnType::Float64 if field != "NULL" => format!("{:016x}", double().to_bits()),
            _ => field.to_owned(),
        }
    });
    fields.collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn a_decimal_that_was_told_its_digits_is_one_or_does_not_fit() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    for value in ["1e30", "0.0000000001"] {
        for statement in [
            "DROP TABLE IF EXISTS t".to_owned(),
            "CREATE TABLE t (price decimal(65,30))".to_owned(),
            format!("INSERT INTO t VALUES ({value})"),
        ] {
            admin.query_drop(statement).await.unwrap();
        }
        let described = database.described("decimal: { price: [38, 9] }").await;
        let error =
            failed(read(&database.source(), &described, &all_of(&described)).await).to_string();
        assert!(
            error.contains("column `price`")
                && error.contains("holds a number with more digits than"),
            "{error}"
        );
    }
}
