//! Random rows under random layouts, against each row's value worked out alone.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use jiff::Timestamp;
use proptest::prelude::*;

use super::{Row, batch, bucket, layout, percent_encode, zone};

fn any_row() -> impl Strategy<Value = Row> {
    // Few distinct values, so that groups have several rows that do not lie together.
    let times = prop_oneof![
        Just(None),
        (-3_i64..3).prop_map(|day| Some(day * 43_200_000_000 - 1))
    ];
    let texts = prop_oneof![Just(None), "[a/=é]{0,2}".prop_map(Some)];
    (
        times,
        texts,
        any::<Option<bool>>(),
        prop::option::of(-200_i128..200),
        any::<Option<bool>>(),
    )
        .prop_map(|(at, text, flag, price, big)| Row {
            at,
            date: at.map(|at| at.div_euclid(86_400_000_000) as i32),
            text,
            flag,
            price,
            big: big.map(u64::from),
        })
}

const TRANSFORMS: [&str; 9] = [
    "year(at)",
    "month(naive)",
    "day(at)",
    "hour(naive)",
    "day(date)",
    "text",
    "price",
    "bucket(3, text)",
    "flag",
];

proptest! {
    #[test]
    fn no_row_is_lost_doubled_or_reordered_and_directories_say_what_they_hold(
        rows in prop::collection::vec(any_row(), 0..80),
        picked in prop::sample::subsequence(TRANSFORMS.to_vec(), 0..4),
        day_in in prop::sample::select(vec!["UTC", "Asia/Seoul", "America/New_York"]),
    ) {
        let names = ["p0", "p1", "p2", "p3"];
        let by: Vec<_> = names.into_iter().zip(picked).collect();
        let whole = batch(&rows);
        let cut = layout(&by, day_in, Some("none")).cut(&whole).expect("cut");
        let mut seen = vec![false; rows.len()];
        let mut directories = std::collections::BTreeSet::new();
        for (directory, part) in &cut {
            prop_assert!(directories.insert(directory.clone()), "`{}` comes once", directory);
            prop_assert!(part.num_rows() > 0);
            let ids = part.column(0).as_primitive::<Int64Type>().values().to_vec();
            prop_assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
            for (i, id) in ids.into_iter().enumerate() {
                let row = id as usize;
                prop_assert!(!std::mem::replace(&mut seen[row], true));
                prop_assert_eq!(part.slice(i, 1), whole.slice(row, 1));
                let levels: Vec<_> = directory.split('/').filter(|level| !level.is_empty()).collect();
                prop_assert_eq!(levels.len(), by.len());
                for (level, (name, transform)) in levels.into_iter().zip(&by) {
                    let (read, value) = level.split_once('=').expect("name=value");
                    prop_assert_eq!(read, *name);
                    prop_assert_eq!(value, expected(transform, &whole, row, day_in), "{}", transform);
                }
            }
        }
        prop_assert!(seen.into_iter().all(|seen| seen));
    }
}

/// The partition value of one row, worked out one by one with jiff.
fn expected(transform: &str, rows: &RecordBatch, row: usize, day_in: &str) -> String {
    let (at, zone) = (
        rows.column(1).as_primitive::<TimestampMicrosecondType>(),
        zone(day_in),
    );
    let civil = |format: &str, null: &str| match at.is_null(row) {
        true => null.to_owned(),
        false => {
            let at = Timestamp::from_microsecond(at.value(row)).expect("in range");
            at.to_zoned(zone.clone()).strftime(format).to_string()
        }
    };
    let texts = rows.column(4).as_string::<i32>();
    match transform {
        "year(at)" => civil("%Y", "1970"),
        "month(naive)" => civil("%Y-%m", "1970-01"),
        "day(at)" => civil("%Y-%m-%d", "1970-01-01"),
        "hour(naive)" => civil("%Y-%m-%d-%H", "1970-01-01-00"),
        "day(date)" => match rows.column(3).is_null(row) {
            true => "1970-01-01".into(),
            false => {
                let day = at.value(row).div_euclid(86_400_000_000);
                let date = jiff::civil::date(1970, 1, 1)
                    .checked_add(jiff::Span::new().days(day))
                    .expect("in range");
                date.to_string()
            }
        },
        "text" if texts.is_null(row) || texts.value(row).is_empty() => "none".into(),
        "text" => percent_encode(texts.value(row)),
        "bucket(3, text)" if texts.is_null(row) => "none".into(),
        "bucket(3, text)" => {
            bucket::bucket(bucket::hash_bytes(texts.value(row).as_bytes()), 3).to_string()
        }
        "flag" if rows.column(5).is_null(row) => "none".into(),
        "flag" => rows.column(5).as_boolean().value(row).to_string(),
        _ if rows.column(6).is_null(row) => "none".into(),
        _ => {
            let cents = rows
                .column(6)
                .as_primitive::<arrow::datatypes::Decimal128Type>()
                .value(row);
            let sign = if cents < 0 { "-" } else { "" };
            format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
        }
    }
}
