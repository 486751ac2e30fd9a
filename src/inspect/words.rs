//! Facts as people read them. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{ColumnType, Copy, CopyPhase, Cursor, Micros, Mode};

/// `12,345`.
pub fn number(n: impl ToString) -> String {
    let digits = n.to_string();
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.as_str()),
    };
    let mut out = sign.to_owned();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `1,200 rows`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{} {many}", number(count)),
    }
}

/// Names one after the other; of many the first ones, and how many more there are.
pub fn listed(names: &[String]) -> String {
    const MOST: usize = 12;
    let shown = names.get(..MOST).unwrap_or(names).join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {} more", number(more)),
    }
}

/// Bytes in the largest unit that leaves a digit before the point: `712 B`, `3.4 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for larger in units {
        if tenths < 10 * 1024 {
            break;
        }
        tenths /= 1024;
        unit = larger;
    }
    match tenths {
        0..100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", tenths / 10),
    }
}

/// A duration in its largest unit that keeps it exact: `90 s`, `2 min`, `7 d`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        s if s.is_multiple_of(86_400) => format!("{} d", s / 86_400),
        s if s.is_multiple_of(3_600) => format!("{} h", s / 3_600),
        s if s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// How long ago a moment was, roughly: `now`, `12 s ago`, `3 h ago`. Both in milliseconds.
pub fn ago(then: i64, now: i64) -> String {
    match (now - then) / 1000 {
        ..=0 => "now".to_owned(),
        s @ 1..=119 => format!("{s} s ago"),
        s @ 120..=7_199 => format!("{} min ago", s / 60),
        s @ 7_200..=172_799 => format!("{} h ago", s / 3_600),
        s => format!("{} d ago", s / 86_400),
    }
}

/// How far ahead a moment is, roughly: `now`, `in 12 s`, `in 3 h`. Both in milliseconds.
pub fn ahead(moment: i64, now: i64) -> String {
    match ago(now, moment).strip_suffix(" ago") {
        Some(distance) => format!("in {distance}"),
        None => "now".to_owned(),
    }
}

/// The type in the lake: `int64`, `decimal(12,2)`, `timestamp utc`, `list<text>`.
pub fn lake_type(column: &ColumnType) -> String {
    let plain = match column {
        ColumnType::Bool => "bool",
        ColumnType::Int8 => "int8",
        ColumnType::Int16 => "int16",
        ColumnType::Int32 => "int32",
        ColumnType::Int64 => "int64",
        ColumnType::UInt8 => "uint8",
        ColumnType::UInt16 => "uint16",
        ColumnType::UInt32 => "uint32",
        ColumnType::UInt64 => "uint64",
        ColumnType::Float32 => "float32",
        ColumnType::Float64 => "float64",
        ColumnType::Decimal { precision, scale } => return format!("decimal({precision},{scale})"),
        ColumnType::Text => "text",
        ColumnType::Binary => "binary",
        ColumnType::Date => "date",
        ColumnType::Timestamp { utc: true } => "timestamp utc",
        ColumnType::Timestamp { utc: false } => "timestamp",
        ColumnType::List(element) => return format!("list<{}>", lake_type(element)),
    };
    plain.to_owned()
}

/// Where a cursor stands: `order_id ≤ 1,234, 2 gaps open` or `updated_at < 2026-11-20 17:10:02`.
pub fn cursor(columns: &[String], cursor: &Cursor) -> String {
    let column = columns.first().map_or("?", String::as_str);
    match cursor {
        Cursor::Incrementing(cursor) => {
            let gaps = match cursor.gaps.len() {
                0 => String::new(),
                1 => ", 1 gap open".to_owned(),
                open => format!(", {} gaps open", number(open)),
            };
            match cursor.highest {
                Some(highest) => format!("{column} ≤ {}{gaps}", number(highest)),
                None => "the table was empty".to_owned(),
            }
        }
        Cursor::Timestamp(cursor) => match &cursor.low {
            Some(low) => format!("{column} < {}", moment(low.at)),
            None => "the table was empty".to_owned(),
        },
    }
}

/// How much of an initial copy is done, in percent, where ids say so: timestamps have no known beginning.
pub fn copied_percent(mode: Mode, copy: &Copy) -> Option<u8> {
    if mode != Mode::Incrementing || copy.phase != CopyPhase::Rows {
        return None;
    }
    let (bound, after) = (copy.bound?, copy.after.as_ref()?);
    let at: i128 = after.first()?.parse().ok()?;
    let percent = at.max(0).saturating_mul(100).checked_div(bound)?;
    // It is not done while it says so.
    u8::try_from(percent.clamp(0, 99)).ok()
}

/// To the second, without zone: an instant in UTC, or a wall clock's reading.
fn moment(micros: Micros) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(at) => at.strftime("%F %T").to_string(),
        Err(_) => format!("{micros} µs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gap, IncrementingCursor, Position, TimestampCursor};

    #[test]
    fn numbers_durations_and_ages_read_as_people_say_them() {
        let numbers = [0, 999, 1_000, -1_234_567].map(number).join(" ");
        insta::assert_snapshot!(numbers, @"0 999 1,000 -1,234,567");
        let rows = [0, 1, 1_200].map(|count| counted(count, "row", "rows"));
        insta::assert_snapshot!(rows.join(", "), @"0 rows, 1 row, 1,200 rows");
        let sizes = [
            0,
            1023,
            1024,
            1536,
            10_239,
            10_240,
            3_600_000,
            u64::MAX / 16,
        ]
        .map(bytes);
        insta::assert_snapshot!(sizes.join(", "), @"0 B, 1023 B, 1.0 KiB, 1.5 KiB, 9.9 KiB, 10 KiB, 3.4 MiB, 1048575 TiB");
        let durations = [1, 90, 120, 7_200, 604_800].map(|s| duration(Duration::from_secs(s)));
        insta::assert_snapshot!(durations.join(", "), @"1 s, 90 s, 2 min, 2 h, 7 d");
        let ages = [-5, 0, 12_000, 300_000, 10_800_000, 900_000_000].map(|then| ago(-then, 0));
        insta::assert_snapshot!(ages.join(", "), @"now, now, 12 s ago, 5 min ago, 3 h ago, 10 d ago");
    }

    #[test]
    fn a_cursor_is_one_short_fact() {
        let ids = Cursor::Incrementing(IncrementingCursor {
            highest: Some(41_234),
            gaps: vec![Gap {
                lo: 7,
                hi: 9,
                first_seen: 0,
            }],
        });
        assert_eq!(
            cursor(&["order_id".into()], &ids),
            "order_id ≤ 41,234, 1 gap open"
        );
        let times = Cursor::Timestamp(TimestampCursor {
            low: Some(Position {
                at: 1_790_000_000_000_000,
                key: None,
            }),
        });
        assert_eq!(
            cursor(&["updated_at".into()], &times),
            "updated_at < 2026-09-21 14:13:20"
        );
    }

    #[test]
    fn a_copy_by_id_knows_its_percentage_and_one_by_time_does_not() {
        let copy = |bound, after: &str| Copy {
            bound: Some(bound),
            after: Some(vec![after.into()]),
            phase: CopyPhase::Rows,
            rows: 1,
            null_cursors: 0,
        };
        let by = |mode, copy| copied_percent(mode, &copy);
        assert_eq!(by(Mode::Incrementing, copy(200, "50")), Some(25));
        assert_eq!(by(Mode::Incrementing, copy(200, "200")), Some(99));
        assert_eq!(by(Mode::Incrementing, copy(0, "0")), None);
        assert_eq!(by(Mode::Timestamp, copy(200, "50")), None);
    }
}
