use proptest::prelude::*;
use tokio::sync::mpsc::channel;

use super::super::fake::{Database, FakeGuard, row};
use super::super::{IncrementingReader, TimestampReader};
use super::*;
use crate::model::Gap;

fn readable(mode: Mode) -> Readable {
    Database::with([]).readable(mode)
}

fn highest(fixed: &Fixed) -> Option<i128> {
    match &fixed.cursor {
        Cursor::Incrementing(cursor) => cursor.highest,
        Cursor::Timestamp(_) => None,
    }
}

fn low(fixed: &Fixed) -> Option<Position> {
    match &fixed.cursor {
        Cursor::Incrementing(_) => None,
        Cursor::Timestamp(cursor) => cursor.low.clone(),
    }
}

#[test]
fn a_value_is_a_number_or_a_moment_as_the_mode_has_it() {
    let ids = readable(Mode::Incrementing);
    assert_eq!(highest(&placed_at(&ids, "12").unwrap()), Some(12));
    assert_eq!(highest(&placed_at(&ids, " 1_200 ").unwrap()), Some(1_200));
    for wrong in ["", "x", "1.5", "99999999999999999999", "2026-10-01"] {
        let error = placed_at(&ids, wrong).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{wrong}");
        assert!(error.next_step().is_some());
    }
    let times = readable(Mode::TimestampIncrementing);
    let at = |text: &str| low(&placed_at(&times, text).unwrap()).unwrap();
    let position = |at, key: Option<&str>| Position {
        at,
        key: key.map(|key| vec![key.to_owned()]),
    };
    let zoned = times.clock.zone.is_none();
    let noon = if zoned {
        "1970-01-01T00:00:01Z"
    } else {
        "1970-01-01 00:00:01"
    };
    assert_eq!(at(noon), position(1_000_001, None));
    assert_eq!(at(&format!("{noon},7")), position(1_000_000, Some("7")));
    for wrong in ["", "7", "yesterday", "1970-13-01T00:00:00Z", ",7"] {
        assert_eq!(
            placed_at(&times, wrong).unwrap_err().kind(),
            Kind::Usage,
            "{wrong}"
        );
    }
    let wrong = format!("{noon},x");
    assert_eq!(placed_at(&times, &wrong).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn a_bulk_table_has_nothing_to_put_elsewhere() {
    let error = placed_at(&readable(Mode::Bulk), "1").unwrap_err();
    assert_eq!(error.kind(), Kind::No);
}

#[test]
fn a_moment_the_database_has_not_come_to_is_refused() {
    let times = readable(Mode::Timestamp);
    let cursor = |at| {
        Cursor::Timestamp(TimestampCursor {
            low: Some(Position { at, key: None }),
        })
    };
    let now = times.clock.bound(5_000_000);
    assert!(refuse_future(&times, &cursor(now), 5_000_000).is_ok());
    let refused = refuse_future(&times, &cursor(now + 1), 5_000_000).unwrap_err();
    assert_eq!(refused.kind(), Kind::Usage);
}

#[test]
fn a_document_must_fit_the_table() {
    let ids = readable(Mode::Incrementing);
    let cursor = |highest, gaps: &[(i128, i128)]| {
        let gap = |(lo, hi): &(i128, i128)| Gap {
            lo: *lo,
            hi: *hi,
            first_seen: 0,
        };
        Cursor::Incrementing(IncrementingCursor {
            highest,
            gaps: gaps.iter().map(gap).collect(),
        })
    };
    let own = ids.cursor_column_names();
    let fits = |cursor| placed_as(&ids, &own, cursor, None).is_ok();
    assert!(fits(cursor(None, &[])));
    assert!(fits(cursor(Some(9), &[(1, 2), (4, 8)])));
    assert!(!fits(cursor(Some(9), &[(1, 2), (3, 8)])), "adjacent gaps");
    assert!(!fits(cursor(Some(9), &[(4, 8), (1, 2)])), "out of order");
    assert!(
        !fits(cursor(Some(9), &[(4, 9)])),
        "the cursor itself was sent"
    );
    assert!(!fits(cursor(None, &[(4, 9)])));
    assert!(!fits(cursor(Some(i128::MAX), &[])));
    let low = Some(Position { at: 0, key: None });
    let other = Cursor::Timestamp(TimestampCursor { low });
    assert!(placed_as(&ids, &own, other, None).is_err(), "another mode");
    let others = ["legacy_no".to_owned()];
    let refused = placed_as(&ids, &others, cursor(Some(9), &[]), None).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("its cursor is `legacy_no`, and the table's is `id`"),
        "{refused}"
    );
    let open = |bound| Copy {
        bound,
        after: Some(vec!["3".into()]),
        phase: CopyPhase::Rows,
        rows: 3,
        null_cursors: 0,
    };
    let copying = |cursor, bound| placed_as(&ids, &own, cursor, Some(open(bound))).is_ok();
    assert!(copying(cursor(Some(9), &[(7, 8)]), Some(6)));
    assert!(!copying(cursor(Some(9), &[(5, 8)]), Some(6)));
    assert!(!copying(cursor(Some(5), &[]), Some(6)));
}

proptest! {
    #[test]
    fn no_value_ends_the_program(value in ".*") {
        for mode in Mode::ALL {
            let _ = placed_at(&readable(mode), &value);
        }
    }

    #[test]
    fn rows_with_a_greater_id_are_read_and_no_others(
        ids in proptest::collection::btree_set(1i64..60, 0..30),
        value in 0i64..70,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sent = runtime.block_on(async {
            let database = Database::with(ids.iter().map(|id| row(*id, None)));
            let readable = database.readable(Mode::Incrementing);
            let fixed = placed_at(&readable, &value.to_string()).unwrap();
            let Cursor::Incrementing(cursor) = &fixed.cursor else { panic!("an id") };
            let mut reader = IncrementingReader::new(readable, cursor, 0);
            let (out, mut steps) = channel(1_000);
            let mut guard = FakeGuard::default();
            reader.poll(&mut database.session(), &mut guard, &out).await.unwrap();
            let mut sent = Vec::new();
            while let Ok(step) = steps.try_recv() {
                sent.extend(database.ids(&step.rows));
            }
            sent
        });
        let expected: Vec<i64> = ids.into_iter().filter(|id| *id > value).collect();
        prop_assert_eq!(sent, expected);
    }

    #[test]
    fn rows_with_a_later_timestamp_are_read_and_no_others(
        times in proptest::collection::vec(0i64..40, 0..30),
        value in 0i64..45,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let rows = (1..).zip(&times).map(|(id, at)| row(id, Some(*at * 1_000_000)));
        let database = Database::with(rows);
        let readable = database.readable(Mode::TimestampIncrementing);
        let mark = match readable.clock.zone {
            None => format!("1970-01-01T00:00:{value:02}Z"),
            Some(_) => format!("1970-01-01 00:00:{value:02}"),
        };
        let sent = runtime.block_on(async {
            let fixed = placed_at(&readable, &mark).unwrap();
            let Cursor::Timestamp(cursor) = fixed.cursor else { panic!("a moment") };
            let mut reader = TimestampReader::new(readable, cursor, Vec::new());
            let (out, mut steps) = channel(1_000);
            let mut guard = FakeGuard { safe: Some(100_000_000), ..FakeGuard::default() };
            reader.poll(&mut database.session(), &mut guard, &out).await.unwrap();
            let mut sent = Vec::new();
            while let Ok(step) = steps.try_recv() {
                sent.extend(database.ids(&step.rows));
            }
            sent.sort_unstable();
            sent
        });
        let expected: Vec<i64> = (1..).zip(&times).filter(|(_, at)| **at > value).map(|(id, _)| id).collect();
        prop_assert_eq!(sent, expected);
    }
}
