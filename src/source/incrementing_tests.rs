use std::collections::BTreeSet;

use tokio::sync::mpsc::{Receiver, channel};

use super::super::fake::{Database, FakeGuard, row};
use super::*;
use crate::error::Kind;
use crate::model::{Gap, Mode};

struct Poller {
    database: Database,
    guard: FakeGuard,
    reader: IncrementingReader,
    out: Sender<Step>,
    steps: Receiver<Step>,
}

impl Poller {
    fn new(database: Database, cursor: IncrementingCursor) -> Self {
        let reader = IncrementingReader::new(database.readable(Mode::Incrementing), &cursor, 0);
        let (out, steps) = channel(1_000);
        Poller {
            database,
            guard: FakeGuard::default(),
            reader,
            out,
            steps,
        }
    }

    async fn poll(&mut self) -> Result<Polled> {
        let mut session = self.database.session();
        self.reader
            .poll(&mut session, &mut self.guard, &self.out)
            .await
    }

    /// The ids sent, and the cursor of the last step.
    fn sent(&mut self) -> (Vec<i64>, Option<IncrementingCursor>) {
        let (mut ids, mut last) = (Vec::new(), None);
        while let Ok(step) = self.steps.try_recv() {
            ids.extend(self.database.ids(&step.rows));
            if let Some(Cursor::Incrementing(cursor)) = step.cursor {
                last = Some(cursor);
            }
        }
        (ids, last)
    }
}

fn from(highest: i128) -> IncrementingCursor {
    IncrementingCursor {
        highest: Some(highest),
        gaps: vec![],
    }
}

fn ranges(cursor: &Option<IncrementingCursor>) -> Vec<(i128, i128)> {
    cursor
        .iter()
        .flat_map(|cursor| cursor.gaps.iter().map(|gap| (gap.lo, gap.hi)))
        .collect()
}

#[tokio::test]
async fn a_row_committed_late_is_sent_once_and_its_gap_is_gone() {
    let mut poller = Poller::new(Database::with([row(1, None), row(3, None)]), from(0));
    poller.guard.holders = BTreeSet::from(["writer".into()]);
    assert_eq!(poller.poll().await.unwrap().open, 1);
    let (ids, cursor) = poller.sent();
    assert_eq!((ids, ranges(&cursor)), (vec![1, 3], vec![(2, 2)]));
    poller.reader.age(TICKET_MARGIN);
    poller.poll().await.unwrap();
    assert_eq!(poller.sent(), (vec![], None), "its writer is still there");
    poller.database.insert(row(2, None));
    poller.guard.holders.clear();
    poller.poll().await.unwrap();
    assert_eq!(poller.sent(), (vec![2], Some(from(3))));
}

#[tokio::test]
async fn an_empty_table_is_caught_up_without_a_value_that_no_database_takes() {
    let empty = IncrementingCursor::default();
    let mut poller = Poller::new(Database::with([]), empty);
    let mut session = poller.database.session();
    let polled = poller
        .reader
        .once(&mut session, &mut poller.guard, &poller.out)
        .await;
    assert_eq!(polled.unwrap().rows, 0);
    let state = poller.database.state.lock().unwrap();
    let bound = state.asked.iter().flat_map(|select| &select.params);
    let smallest = i128::from(i64::MIN);
    assert!(
        bound
            .filter_map(|param| param.value.parse::<i128>().ok())
            .all(|value| value >= smallest)
    );
}

#[tokio::test]
async fn a_gap_that_nobody_can_fill_is_closed_in_a_step_without_rows() {
    let mut poller = Poller::new(Database::with([row(3, None)]), from(1));
    poller.poll().await.unwrap();
    poller.sent();
    poller.reader.age(TICKET_MARGIN);
    poller.poll().await.unwrap();
    assert_eq!(poller.sent(), (vec![], Some(from(3))));
}

#[tokio::test]
async fn a_gap_read_that_is_cut_short_closes_nothing() {
    let gaps = vec![Gap {
        lo: 2,
        hi: 5,
        first_seen: 0,
    }];
    let cursor = IncrementingCursor {
        highest: Some(6),
        gaps,
    };
    let mut poller = Poller::new(Database::with([row(3, None), row(4, None)]), cursor);
    poller.reader.age(TICKET_MARGIN);
    poller.database.fail_after(1);
    assert_eq!(poller.poll().await.unwrap_err().kind(), Kind::Unavailable);
    let (ids, cursor) = poller.sent();
    assert_eq!((ids, ranges(&cursor)), (vec![3], vec![(2, 2), (4, 5)]));
    poller.poll().await.unwrap();
    assert_eq!(poller.sent(), (vec![4], Some(from(6))));
}

#[tokio::test]
async fn a_forward_read_that_breaks_off_leaves_memory_as_the_last_step_says() {
    let mut poller = Poller::new(
        Database::with([row(1, None), row(2, None), row(3, None)]),
        from(0),
    );
    poller.database.fail_after(2);
    assert!(poller.poll().await.is_err());
    let (ids, cursor) = poller.sent();
    assert_eq!((ids, cursor), (vec![1, 2], Some(from(2))));
    assert_eq!(poller.reader.cursor(), Cursor::Incrementing(from(2)));
    poller.poll().await.unwrap();
    assert_eq!(poller.sent().0, [3]);
}

#[tokio::test]
async fn a_poll_that_finds_nothing_sends_nothing() {
    let mut poller = Poller::new(Database::with([row(1, None)]), from(1));
    let polled = poller.poll().await.unwrap();
    assert_eq!((polled.rows, polled.open, polled.waiting), (0, 0, false));
    assert_eq!(poller.sent(), (vec![], None));
}

#[tokio::test]
async fn once_closes_what_is_proven_and_does_not_wait_for_the_rest() {
    let mut poller = Poller::new(Database::with([row(2, None)]), from(0));
    let mut session = poller.database.session();
    let polled = poller
        .reader
        .once(&mut session, &mut poller.guard, &poller.out)
        .await
        .unwrap();
    assert_eq!((polled.rows, polled.open), (1, 0));
    poller.guard.holders = BTreeSet::from(["writer".into()]);
    poller.database.insert(row(4, None));
    let polled = poller
        .reader
        .once(&mut session, &mut poller.guard, &poller.out)
        .await
        .unwrap();
    assert_eq!((polled.rows, polled.open), (1, 1));
}

#[tokio::test]
async fn reading_ends_when_nobody_takes_the_rows() {
    let mut poller = Poller::new(Database::with([row(1, None)]), from(0));
    poller.steps.close();
    assert_eq!(poller.poll().await.unwrap_err().kind(), Kind::TryLater);
    assert_eq!(poller.reader.cursor(), Cursor::Incrementing(from(0)));
}
