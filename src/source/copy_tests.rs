use std::collections::BTreeSet;

use tokio::sync::mpsc::channel;

use super::super::fake::{Database, FakeGuard, Row, row};
use super::*;

/// Copies to the end, starting the reader anew from its durable state after each page and each failure.
async fn copy_all(database: &Database, mode: Mode, guard: &mut FakeGuard) -> (Vec<i64>, Copy) {
    let readable = database.readable(mode);
    let mut session = database.session();
    let fixed = fix_bound(&readable, &mut session, guard)
        .await
        .unwrap()
        .unwrap();
    let (mut ids, mut copy) = (Vec::new(), fixed.copy);
    loop {
        let mut reader = CopyReader::new(readable.clone(), copy.clone());
        let (out, mut steps) = channel(1_000);
        let mut page = reader
            .next_page(&mut session, guard, &out, &fixed.cursor)
            .await;
        while let Ok(Page::Waiting(_)) = page {
            reader.age(TICKET_MARGIN);
            page = reader
                .next_page(&mut session, guard, &out, &fixed.cursor)
                .await;
        }
        while let Ok(step) = steps.try_recv() {
            ids.extend(database.ids(&step.rows));
            assert_eq!(step.cursor.as_ref(), Some(&fixed.cursor));
            copy = step.copy.unwrap();
        }
        if matches!(page, Ok(Page::Done)) {
            return (ids, copy);
        }
    }
}

fn sales() -> Database {
    Database::with([
        row(1, Some(30)),
        row(2, Some(10)),
        row(3, None),
        row(4, Some(10)),
        row(5, Some(99)),
        row(6, None),
        row(7, Some(10)),
    ])
}

#[tokio::test]
async fn a_copy_by_time_takes_what_lies_below_the_bound_and_nulls_last() {
    let mut guard = FakeGuard {
        safe: Some(50),
        ..FakeGuard::default()
    };
    let (ids, copy) = copy_all(&sales(), Mode::TimestampIncrementing, &mut guard).await;
    assert_eq!(ids, [2, 4, 7, 1, 3, 6]);
    assert_eq!(
        (copy.rows, copy.null_cursors, copy.phase),
        (6, 2, CopyPhase::Done)
    );
}

#[tokio::test]
async fn a_copy_resumes_behind_the_last_batch_among_equal_timestamps_and_nulls() {
    for batches in 0..7 {
        let database = sales();
        database.fail_after(batches);
        let mut guard = FakeGuard {
            safe: Some(50),
            ..FakeGuard::default()
        };
        let (ids, copy) = copy_all(&database, Mode::Timestamp, &mut guard).await;
        assert_eq!(ids, [2, 4, 7, 1, 3, 6], "after {batches} batches");
        assert_eq!(copy.rows, 6);
    }
}

#[tokio::test]
async fn a_copy_without_key_resumes_at_whole_instants() {
    for batches in 0..5 {
        let database = sales().without_key();
        database.fail_after(batches);
        let mut guard = FakeGuard {
            safe: Some(50),
            ..FakeGuard::default()
        };
        let (ids, _) = copy_all(&database, Mode::Timestamp, &mut guard).await;
        assert_eq!(ids, [2, 4, 7, 1, 3, 6], "after {batches} batches");
    }
}

#[tokio::test]
async fn without_a_key_a_copy_that_broke_off_among_nulls_is_refused() {
    let database = sales().without_key();
    let readable = database.readable(Mode::Timestamp);
    let copy = Copy {
        bound: Some(50),
        after: None,
        phase: CopyPhase::Nulls,
        rows: 5,
        null_cursors: 1,
    };
    let mut reader = CopyReader::new(readable, copy);
    let (out, _steps) = channel(10);
    let cursor = Cursor::Timestamp(TimestampCursor::default());
    let page = reader
        .next_page(
            &mut database.session(),
            &mut FakeGuard::default(),
            &out,
            &cursor,
        )
        .await;
    assert_eq!(page.unwrap_err().kind(), Kind::No);
}

#[tokio::test]
async fn a_copy_by_id_ends_at_the_highest_id_of_its_start() {
    let database = Database::with([row(1, None), row(2, None), row(5, None)]);
    let readable = database.readable(Mode::Incrementing);
    let (mut session, mut guard) = (database.session(), FakeGuard::default());
    let fixed = fix_bound(&readable, &mut session, &mut guard)
        .await
        .unwrap()
        .unwrap();
    let wanted = IncrementingCursor {
        highest: Some(5),
        gaps: vec![],
    };
    assert_eq!(fixed.cursor, Cursor::Incrementing(wanted));
    database.insert(row(6, None));
    let (ids, copy) = copy_all(&database, Mode::Incrementing, &mut guard).await;
    assert_eq!((ids, copy.rows), (vec![1, 2, 5, 6], 4));
    let mut reader = CopyReader::new(
        readable,
        Copy {
            rows: 1,
            ..fixed.copy
        },
    );
    let (out, mut steps) = channel(10);
    reader
        .next_page(&mut session, &mut guard, &out, &fixed.cursor)
        .await
        .unwrap();
    let mut ids = Vec::new();
    while let Ok(step) = steps.try_recv() {
        ids.extend(database.ids(&step.rows));
    }
    assert_eq!(ids, [1, 2, 5]);
}

#[tokio::test]
async fn no_page_by_id_is_read_while_a_writer_could_add_a_lower_id() {
    let database = Database::with([row(1, None), row(3, None)]);
    let readable = database.readable(Mode::Incrementing);
    let mut session = database.session();
    let mut guard = FakeGuard {
        holders: BTreeSet::from(["writer".into()]),
        ..FakeGuard::default()
    };
    let fixed = fix_bound(&readable, &mut session, &mut guard)
        .await
        .unwrap()
        .unwrap();
    let mut reader = CopyReader::new(readable, fixed.copy);
    let (out, mut steps) = channel(10);
    for _ in 0..4 {
        reader.age(TICKET_MARGIN);
        let page = reader
            .next_page(&mut session, &mut guard, &out, &fixed.cursor)
            .await
            .unwrap();
        assert!(matches!(page, Page::Waiting(_)));
    }
    database.insert(row(2, None));
    guard.holders = BTreeSet::from(["another".into()]);
    let page = reader
        .next_page(&mut session, &mut guard, &out, &fixed.cursor)
        .await
        .unwrap();
    assert_eq!(page, Page::Copied(3));
    let first = steps.try_recv().unwrap();
    assert_eq!(database.ids(&first.rows), [1]);
}

#[tokio::test]
async fn with_a_probe_the_missing_ids_below_the_bound_must_be_free() {
    let database = Database::with([row(1, None), row(2, None), row(4, None)]);
    let readable = database.readable(Mode::Incrementing);
    let mut session = database.session();
    let mut guard = FakeGuard {
        held: Some(vec![(3, 3)]),
        ..FakeGuard::default()
    };
    let fixed = fix_bound(&readable, &mut session, &mut guard)
        .await
        .unwrap()
        .unwrap();
    let mut reader = CopyReader::new(readable, fixed.copy);
    let (out, _steps) = channel(10);
    for _ in 0..3 {
        let page = reader
            .next_page(&mut session, &mut guard, &out, &fixed.cursor)
            .await
            .unwrap();
        assert!(matches!(page, Page::Waiting(_)));
    }
    database.insert(Row {
        id: 3,
        at: None,
        note: String::new(),
    });
    guard.held = Some(vec![]);
    let page = reader
        .next_page(&mut session, &mut guard, &out, &fixed.cursor)
        .await
        .unwrap();
    assert_eq!(page, Page::Copied(4));
}

#[tokio::test]
async fn an_empty_table_is_copied_at_once_and_remembers_that_no_id_was_there() {
    let database = Database::default();
    let (ids, copy) = copy_all(&database, Mode::Incrementing, &mut FakeGuard::default()).await;
    assert_eq!(
        (ids, copy.bound, copy.phase),
        (vec![], None, CopyPhase::Done)
    );
}

#[tokio::test]
async fn without_a_proven_bound_no_copy_begins() {
    let database = sales();
    let readable = database.readable(Mode::Timestamp);
    let fixed = fix_bound(
        &readable,
        &mut database.session(),
        &mut FakeGuard::default(),
    )
    .await
    .unwrap();
    assert_eq!(fixed, None);
}
