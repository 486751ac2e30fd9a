//! Every type, to the end of the way, with the server as the oracle: listed values, and random ones that the server
//! makes itself.

use cdc::model::ColumnType;
use futures_util::TryStreamExt;

use crate::families::{self, Sort};
use crate::shop::{Shop, read, refusal};
use crate::way;

#[tokio::test]
async fn numbers_arrive_as_the_server_shows_them() {
    all_of(families::numbers(), 1).await;
}

#[tokio::test]
async fn naive_times_stay_naive_and_microseconds_stay() {
    all_of(families::times(), 1).await;
}

#[tokio::test]
async fn text_and_bytes_arrive_as_the_server_shows_them() {
    all_of(families::texts(), 1).await;
}

#[tokio::test]
async fn addresses_and_identifiers_arrive_as_the_server_shows_them() {
    all_of(families::addresses(), 1).await;
}

#[tokio::test]
async fn documents_and_shapes_arrive_as_the_server_shows_them() {
    all_of(families::documents(), 1).await;
}

#[tokio::test]
async fn ranges_and_types_of_the_system_arrive_as_the_server_shows_them() {
    all_of(families::system(), 1).await;
}

#[tokio::test]
async fn arrays_arrive_as_the_server_shows_them() {
    // An array holds two values and more.
    all_of(families::arrays(), 2).await;
}

/// A table with a column of each sort: first the listed values and a row of NULLs, then random ones.
async fn all_of(sorts: Vec<Sort>, values_in_a_row: u64) {
    let shop = Shop::open().await;
    let seed = way::seed();
    shop.run(&families::set_up(seed)).await;
    let columns: Vec<String> = (0..sorts.len())
        .map(|i| format!("c{i} {}", sorts[i].name))
        .collect();
    shop.run(&format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, {})",
        columns.join(", ")
    ))
    .await;
    let longest = sorts
        .iter()
        .map(|sort| sort.listed.len())
        .max()
        .unwrap_or(0);
    let mut rows = vec![vec!["NULL"; sorts.len()]];
    rows.extend((0..longest).map(|row| {
        sorts
            .iter()
            .map(|sort| sort.listed.get(row).copied().unwrap_or("NULL"))
            .collect()
    }));
    for (id, row) in rows.iter().enumerate() {
        shop.run(&format!("INSERT INTO t VALUES ({id}, {})", row.join(", ")))
            .await;
    }
    compare(&shop, &sorts).await;

    let mut first = 1;
    for count in way::rounds(values_in_a_row) {
        // A column's numbers are its own: none goes with its neighbours'.
        let random: Vec<String> = sorts
            .iter()
            .enumerate()
            .map(|(i, sort)| {
                let n = format!("(n + {})", i * 1_000_000_007);
                let value = sort.random.replace("$n", &n);
                format!("CASE WHEN u({n}, 63, 50) > 0 THEN {value} END")
            })
            .collect();
        shop.run(&format!(
            "TRUNCATE t; INSERT INTO t SELECT n, {} FROM generate_series({first}, {first} + {count} - 1) AS numbers(n)",
            random.join(", ")
        ))
        .await;
        compare(&shop, &sorts).await;
        first += count;
    }
}

async fn compare(shop: &Shop, sorts: &[Sort]) {
    let source = shop.source();
    let described = shop.described(&told(sorts)).await;
    let mut fields = vec!["id::text".to_owned()];
    for (i, sort) in sorts.iter().enumerate() {
        let column = &described.schema.columns[i + 1];
        assert_eq!(column.column_type, sort.becomes, "{}", sort.name);
        let name = format!("c{i}");
        fields.push(format!(
            "CASE WHEN num_nulls({name}) = 0 THEN {} ELSE 'NULL' END",
            shown(&name, &sort.becomes, sort.name.starts_with("bit("))
        ));
    }
    let batches = read(&source, &described, "ORDER BY id").await.unwrap();
    let oracle = format!(
        "COPY (SELECT {} FROM public.t ORDER BY id) TO STDOUT",
        fields.join(" || '|' || ")
    );
    let client = shop.another().await;
    client
        .batch_execute(
            "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET search_path = ''",
        )
        .await
        .unwrap();
    let chunks = client.copy_out(&oracle).await.unwrap();
    let text: Vec<u8> = chunks
        .try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
        .unwrap();
    let lines: Vec<String> = String::from_utf8(text)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    way::compare(&described.schema, &batches, &lines);
}

/// The setting that makes decimals of columns that would be text by themselves.
fn told(sorts: &[Sort]) -> String {
    let told = sorts
        .iter()
        .enumerate()
        .filter_map(|(i, sort)| match sort.becomes {
            ColumnType::Decimal { precision, scale }
                if matches!(sort.name, "numeric" | "numeric(50,20)") =>
            {
                Some(format!("c{i}: [{precision}, {scale}]"))
            }
            _ => None,
        });
    format!("decimal: {{ {} }}", told.collect::<Vec<_>>().join(", "))
}

/// How the server writes a value in a line. Texts go through the type's own output function, which is not always
/// what `::text` gives (`inet`, `char`).
fn shown(value: &str, column_type: &ColumnType, bits: bool) -> String {
    match column_type {
        ColumnType::Bool => format!("CASE WHEN {value} THEN 't' ELSE 'f' END"),
        ColumnType::Float32 => format!("encode(float4send({value}), 'hex')"),
        ColumnType::Float64 => format!("encode(float8send({value}), 'hex')"),
        ColumnType::Binary if bits => format!("encode(substring(bit_send({value}) FROM 5), 'hex')"),
        ColumnType::Binary => format!("encode({value}, 'hex')"),
        // Bits below 64 are never negative; 64 of them wrap round.
        ColumnType::UInt64 => {
            format!(
                "mod({value}::bigint::numeric + 18446744073709551616, 18446744073709551616)::text"
            )
        }
        ColumnType::Decimal { precision, scale } => {
            format!("{value}::numeric({precision},{scale})::text")
        }
        ColumnType::Text => format!("encode(convert_to(format('%s', {value}), 'UTF8'), 'hex')"),
        ColumnType::List(element) => list(value, element, 1, ""),
        _ => format!("{value}::text"),
    }
}

fn list(array: &str, element: &ColumnType, depth: usize, indexes: &str) -> String {
    if depth == 1 && is_plain(element) {
        return format!("{array}::text");
    }
    let or_null = |value: &str, element| {
        let shown = shown(value, element, false);
        format!("CASE WHEN num_nulls({value}) = 0 THEN {shown} ELSE 'NULL' END")
    };
    let (inner, from) = match element {
        ColumnType::List(element) => {
            let indexes = format!("{indexes}[i{depth}]");
            let inner = list(array, element, depth + 1, &indexes);
            (
                inner,
                format!("generate_subscripts({array}, {depth}) AS s{depth}(i{depth})"),
            )
        }
        // In a SELECT list, because in FROM a composite value would be taken apart.
        element if depth == 1 => (
            or_null("x", element),
            format!("(SELECT unnest({array}) AS x) AS elements"),
        ),
        element => (
            or_null(&format!("({array}){indexes}[i{depth}]"), element),
            format!("generate_subscripts({array}, {depth}) AS s{depth}(i{depth})"),
        ),
    };
    format!("(SELECT '{{' || coalesce(string_agg({inner}, ','), '') || '}}' FROM {from})")
}

/// Whether the server writes an array of it as a line has it: without quotes.
fn is_plain(element: &ColumnType) -> bool {
    use ColumnType::*;
    match element {
        Bool | Int16 | Int32 | Int64 | UInt32 | Decimal { .. } => true,
        List(element) => is_plain(element),
        _ => false,
    }
}

#[tokio::test]
async fn a_numeric_that_was_told_its_digits_is_a_decimal_or_does_not_fit() {
    let shop = Shop::open().await;
    for (value, kind) in [
        ("1e30", "a numeric with more digits than the column admits"),
        (
            "0.0000000001",
            "a numeric with more digits than the column admits",
        ),
        ("'NaN'", "a numeric NaN"),
        ("'-Infinity'", "a numeric infinity"),
    ] {
        shop.run(&format!(
            "DROP TABLE IF EXISTS t; CREATE TABLE t (price numeric); INSERT INTO t VALUES ({value})"
        ))
        .await;
        let described = shop.described("decimal: { price: [38, 9] }").await;
        let error = refusal(read(&shop.source(), &described, "").await).to_string();
        assert!(
            error.contains("column `price`") && error.contains(kind),
            "{error}"
        );
    }
}
