use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::Int64Type;
use jiff::Timestamp;

use super::*;
use crate::model::{Column, ColumnType};

mod random;

/// Column types of the test table, in order; each column is called after its type.
const COLUMNS: [(&str, ColumnType); 9] = [
    ("id", ColumnType::Int64),
    ("at", ColumnType::Timestamp { utc: true }),
    ("naive", ColumnType::Timestamp { utc: false }),
    ("date", ColumnType::Date),
    ("text", ColumnType::Text),
    ("flag", ColumnType::Bool),
    (
        "price",
        ColumnType::Decimal {
            precision: 12,
            scale: 2,
        },
    ),
    ("big", ColumnType::UInt64),
    ("bytes", ColumnType::Binary),
];

fn table() -> TableSchema {
    let column = |(name, column_type): (&str, ColumnType)| Column {
        name: name.into(),
        source_type: String::new(),
        column_type,
        nullable: name != "id",
    };
    TableSchema {
        columns: COLUMNS.map(column).into(),
        key: vec![0],
    }
}

/// One row's values; `None` is NULL.
#[derive(Clone, Debug, Default)]
struct Row {
    at: Option<i64>,
    date: Option<i32>,
    text: Option<String>,
    flag: Option<bool>,
    price: Option<i128>,
    big: Option<u64>,
}

fn batch(rows: &[Row]) -> RecordBatch {
    let price: Decimal128Array = rows.iter().map(|row| row.price).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..rows.len() as i64)),
        Arc::new(
            rows.iter()
                .map(|row| row.at)
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        Arc::new(
            rows.iter()
                .map(|row| row.at)
                .collect::<TimestampMicrosecondArray>(),
        ),
        Arc::new(rows.iter().map(|row| row.date).collect::<Date32Array>()),
        Arc::new(
            rows.iter()
                .map(|row| row.text.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(rows.iter().map(|row| row.flag).collect::<BooleanArray>()),
        Arc::new(price.with_precision_and_scale(12, 2).expect("a decimal")),
        Arc::new(rows.iter().map(|row| row.big).collect::<UInt64Array>()),
        Arc::new(
            rows.iter()
                .map(|row| row.text.as_deref().map(str::as_bytes))
                .collect::<BinaryArray>(),
        ),
    ];
    RecordBatch::try_new(table().arrow(), columns).expect("rows")
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone")
}

fn spec(
    by: &[(&str, &str)],
    source_zone: &str,
    day_in: &str,
    null_partition: Option<&str>,
) -> LayoutSpec {
    let by: Vec<_> = by
        .iter()
        .map(|(name, transform)| PartitionBy {
            name: (*name).into(),
            transform: Transform::parse(transform).expect("a transform"),
        })
        .collect();
    Layout::spec(&by, &zone(source_zone), &zone(day_in), null_partition)
}

fn layout(by: &[(&str, &str)], day_in: &str, null_partition: Option<&str>) -> Layout {
    Layout::bind(&spec(by, "UTC", day_in, null_partition), &table()).expect("a layout")
}

fn directories(layout: &Layout, rows: &[Row]) -> Vec<String> {
    layout
        .cut(&batch(rows))
        .expect("cut")
        .into_iter()
        .map(|(directory, _)| directory)
        .collect()
}

fn micros(text: &str) -> Option<i64> {
    Some(
        text.parse::<Timestamp>()
            .expect("a timestamp")
            .as_microsecond(),
    )
}

fn at(text: &str) -> Row {
    Row {
        at: micros(text),
        ..Row::default()
    }
}

fn text(text: &str) -> Row {
    Row {
        text: Some(text.into()),
        ..Row::default()
    }
}

#[test]
fn a_day_begins_at_midnight_where_days_are_cut() {
    let rows = [
        at("2026-09-30T14:59:59.999999Z"),
        at("2026-09-30T15:00:00Z"),
        at("2026-10-01T14:59:59.999999Z"),
    ];
    let layout = layout(&[("dt", "day(at)")], "Asia/Seoul", None);
    assert_eq!(
        directories(&layout, &rows),
        ["dt=2026-09-30", "dt=2026-10-01"]
    );
    let cut = layout.cut(&batch(&rows)).expect("cut");
    assert_eq!(
        cut.iter()
            .map(|(_, rows)| rows.num_rows())
            .collect::<Vec<_>>(),
        [1, 2]
    );
}

#[test]
fn times_are_cut_into_years_months_days_and_hours_before_1970_too() {
    let rows = [
        at("1969-12-31T23:59:59.999999Z"),
        at("1900-02-28T09:30:00Z"),
        at("0001-01-01T00:00:00Z"),
    ];
    let cut = |transform| directories(&layout(&[("p", transform)], "UTC", None), &rows);
    assert_eq!(cut("year(at)"), ["p=1969", "p=1900", "p=0001"]);
    assert_eq!(cut("month(at)"), ["p=1969-12", "p=1900-02", "p=0001-01"]);
    assert_eq!(
        cut("day(at)"),
        ["p=1969-12-31", "p=1900-02-28", "p=0001-01-01"]
    );
    assert_eq!(
        cut("hour(at)"),
        ["p=1969-12-31-23", "p=1900-02-28-09", "p=0001-01-01-00"]
    );
}

#[test]
fn hours_follow_daylight_saving() {
    let layout = layout(&[("h", "hour(at)")], "Europe/Berlin", None);
    let spring = [at("2026-03-29T00:59:59Z"), at("2026-03-29T01:00:00Z")];
    assert_eq!(
        directories(&layout, &spring),
        ["h=2026-03-29-01", "h=2026-03-29-03"]
    );
    let autumn = [
        at("2026-10-25T00:30:00Z"),
        at("2026-10-25T01:30:00Z"),
        at("2026-10-25T02:00:00Z"),
    ];
    assert_eq!(
        directories(&layout, &autumn),
        ["h=2026-10-25-02", "h=2026-10-25-03"]
    );
}

#[test]
fn a_naive_timestamp_is_cut_as_it_reads_unless_it_is_meant_in_another_zone() {
    let rows = [at("2026-10-01T20:00:00Z")];
    for (source_zone, day_in, day) in [
        ("Asia/Seoul", "Asia/Seoul", "dt=2026-10-01"),
        ("UTC", "Asia/Seoul", "dt=2026-10-02"),
        ("Asia/Seoul", "America/New_York", "dt=2026-10-01"),
        ("America/New_York", "UTC", "dt=2026-10-02"),
    ] {
        let layout = Layout::bind(
            &spec(&[("dt", "day(naive)")], source_zone, day_in, None),
            &table(),
        )
        .expect("bound");
        assert_eq!(
            directories(&layout, &rows),
            [day],
            "{source_zone} in {day_in}"
        );
    }
}

#[test]
fn a_date_is_never_moved_by_a_zone() {
    let rows = [
        Row {
            date: Some(20_727),
            ..Row::default()
        },
        Row {
            date: Some(-1),
            ..Row::default()
        },
    ];
    let layout = layout(
        &[("dt", "day(date)"), ("y", "year(date)"), ("d", "date")],
        "Pacific/Apia",
        None,
    );
    let expected = [
        "dt=2026-10-01/y=2026/d=2026-10-01",
        "dt=1969-12-31/y=1969/d=1969-12-31",
    ];
    assert_eq!(directories(&layout, &rows), expected);
}

#[test]
fn a_time_that_is_null_counts_as_1970_and_is_counted() {
    let layout = layout(
        &[("dt", "day(at)"), ("h", "hour(naive)"), ("y", "year(date)")],
        "Asia/Seoul",
        None,
    );
    let rows = [
        Row::default(),
        at("2026-10-01T00:00:00Z"),
        at("1970-01-01T00:00:00Z"),
    ];
    let cut = layout.cut(&batch(&rows)).expect("cut");
    assert_eq!(cut[0].0, "dt=1970-01-01/h=1970-01-01-00/y=1970");
    assert_eq!(layout.null_rows(), 5);
}

#[test]
fn values_are_percent_encoded_and_keep_every_digit() {
    let row = Row {
        text: Some("a/b=ü ..".into()),
        flag: Some(true),
        price: Some(-105),
        big: Some(u64::MAX),
        ..Row::default()
    };
    let layout = layout(
        &[
            ("t", "text"),
            ("f", "flag"),
            ("p", "price"),
            ("n", "big"),
            ("i", "id"),
        ],
        "UTC",
        None,
    );
    let expected = "t=a%2Fb%3D%C3%BC%20../f=true/p=-1.05/n=18446744073709551615/i=0";
    assert_eq!(directories(&layout, &[row]), [expected]);
}

#[test]
fn a_null_or_empty_value_goes_where_the_table_says_or_stops_it() {
    let rows = [text(""), Row::default(), text("x"), text("none")];
    let named = layout(&[("t", "text")], "UTC", Some("none"));
    assert_eq!(directories(&named, &rows), ["t=none", "t=x"]);
    assert_eq!(named.null_rows(), 2);
    for rows in [&rows[..1], &rows[1..2]] {
        let error = layout(&[("t", "text")], "UTC", None)
            .cut(&batch(rows))
            .expect_err("no value");
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.to_string().contains("`text`"), "{error}");
        assert!(
            error
                .next_step()
                .is_some_and(|hint| hint.contains("`null_partition:`"))
        );
    }
    let bucket = layout(&[("b", "bucket(4, text)")], "UTC", None);
    assert_eq!(
        directories(&bucket, &rows[..1]),
        ["b=0"],
        "empty text has a bucket"
    );
    assert_eq!(
        bucket
            .cut(&batch(&rows[1..2]))
            .expect_err("NULL has none")
            .kind(),
        Kind::Data
    );
}

#[test]
fn buckets_are_icebergs() {
    let mut row = text("iceberg");
    row.price = Some(1420);
    row.big = Some(34);
    row.at = micros("2017-11-16T22:31:08Z");
    let rows = [row];
    let by = [
        ("t", "bucket(100, text)"),
        ("p", "bucket(100, price)"),
        ("n", "bucket(100, big)"),
        ("a", "bucket(100, at)"),
        ("x", "bucket(100, bytes)"),
    ];
    let hash = |hash: i32| (hash as u32 & 0x7fff_ffff) % 100;
    let [t, p, n, a] = [1_210_000_089, -500_754_589, 2_017_239_379, -2_047_944_441].map(hash);
    assert_eq!(
        directories(&layout(&by, "UTC", None), &rows),
        [format!("t={t}/p={p}/n={n}/a={a}/x={t}")]
    );
}

#[test]
fn a_value_too_long_for_a_directory_stops_the_table_and_is_not_shown() {
    let error = layout(&[("t", "text")], "UTC", None)
        .cut(&batch(&[text(&"é".repeat(50))]))
        .expect_err("too long");
    assert_eq!(error.kind(), Kind::Data);
    assert!(!error.to_string().contains("%C3"), "{error}");
    assert_eq!(
        error.next_step(),
        Some("partition by `bucket(n, text)` instead")
    );
}

#[test]
fn a_layout_that_does_not_fit_the_table_is_a_configuration_error() {
    for (by, word) in [
        ([("id", "day(at)")], "`id`"),
        ([("AT", "day(at)")], "`at`"),
        ([("dt", "day(nothing)")], "`dt: day(nothing)`"),
        ([("dt", "day(text)")], "timestamp"),
        ([("dt", "hour(date)")], "a date has no hour"),
        ([("dt", "at")], "directory"),
        ([("b", "bytes")], "bucket"),
        ([("b", "bucket(4, flag)")], "bucket"),
    ] {
        let error = Layout::bind(&spec(&by, "UTC", "UTC", None), &table())
            .map(|_| ())
            .expect_err("refused");
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains(word), "{error}");
    }
    let twice = spec(&[("p", "day(at)"), ("P", "id")], "UTC", "UTC", None);
    assert_eq!(
        Layout::bind(&twice, &table())
            .map(|_| ())
            .expect_err("refused")
            .kind(),
        Kind::Config
    );
    let empty = spec(&[("p", "id")], "UTC", "UTC", Some(""));
    assert_eq!(
        Layout::bind(&empty, &table())
            .map(|_| ())
            .expect_err("refused")
            .kind(),
        Kind::Config
    );
}

#[test]
fn another_hash_or_time_zone_database_than_the_plans_waits_for_another_worker() {
    let kind = |spec: &LayoutSpec| {
        Layout::bind(spec, &table())
            .map(|_| ())
            .map_err(|error| error.kind())
    };
    let days = spec(&[("dt", "day(at)")], "UTC", "Asia/Seoul", None);
    assert_eq!(
        kind(&LayoutSpec {
            bucket_hash: "xxh3".into(),
            ..days.clone()
        }),
        Err(Kind::TryLater)
    );
    assert_eq!(
        kind(&LayoutSpec {
            tzdb: "other".into(),
            ..days.clone()
        }),
        Err(Kind::TryLater)
    );
    let plain = spec(&[("b", "bucket(4, id)")], "UTC", "Asia/Seoul", None);
    assert_eq!(
        kind(&LayoutSpec {
            tzdb: "other".into(),
            ..plain
        }),
        Ok(()),
        "no day is cut"
    );
    let json = serde_json::to_string(&days).expect("json");
    assert_eq!(
        serde_json::from_str::<LayoutSpec>(&json).expect("a spec"),
        days
    );
}

#[test]
fn rows_that_lie_together_are_not_copied() {
    let rows = batch(&[
        at("2026-10-01T00:00:00Z"),
        at("2026-10-01T01:00:00Z"),
        at("2026-10-02T00:00:00Z"),
    ]);
    let address = |rows: &RecordBatch| rows.column(0).as_primitive::<Int64Type>().values().as_ptr();
    let one = layout(&[("y", "year(at)")], "UTC", None)
        .cut(&rows)
        .expect("cut");
    assert_eq!((one.len(), address(&one[0].1)), (1, address(&rows)));
    let days = layout(&[("dt", "day(at)")], "UTC", None)
        .cut(&rows)
        .expect("cut");
    assert_eq!((days.len(), address(&days[0].1)), (2, address(&rows)));
    let whole = layout(&[], "UTC", None).cut(&rows).expect("cut");
    assert_eq!(
        (whole[0].0.as_str(), address(&whole[0].1)),
        ("", address(&rows))
    );
    assert!(
        layout(&[], "UTC", None)
            .cut(&rows.slice(0, 0))
            .expect("cut")
            .is_empty()
    );
}

#[test]
fn a_column_that_is_not_where_the_schema_has_it_is_our_bug() {
    let rows = batch(&[at("2026-10-01T00:00:00Z")])
        .project(&[1, 0])
        .expect("two columns");
    let error = layout(&[("dt", "day(at)")], "UTC", None)
        .cut(&rows)
        .expect_err("moved");
    assert_eq!(error.kind(), Kind::Bug);
    let floats = Float64Array::from(vec![1.0]);
    assert!(
        values::group(
            &Rule::Value(ColumnType::Int64),
            &Zones::parse("UTC", "UTC").expect("zones"),
            &(Arc::new(floats) as ArrayRef),
            &None
        )
        .is_err()
    );
}
