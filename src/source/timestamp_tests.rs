//! The reader against a table in memory: by hand, and with random transactions.

use proptest::prelude::*;
use tokio::sync::mpsc::{Receiver, channel};

use super::super::fake::{Database, FakeGuard, Row, row};
use super::*;
use crate::model::{Mode, SeenChange};

const MINUTE: Micros = 60_000_000;

/// A reader, and what its steps have made durable.
struct Poller {
    database: Database,
    guard: FakeGuard,
    reader: TimestampReader,
    largest: (usize, usize),
    out: Sender<Step>,
    steps: Receiver<Step>,
    cursor: TimestampCursor,
    seen: BTreeMap<Minute, Vec<RowHash>>,
}

impl Poller {
    fn new(database: Database, cursor: TimestampCursor) -> Self {
        Poller::with_largest(database, cursor, (usize::MAX / 4, usize::MAX / 4))
    }

    fn with_largest(database: Database, cursor: TimestampCursor, largest: (usize, usize)) -> Self {
        let readable = database.readable(Mode::Timestamp);
        let reader = TimestampReader::new(readable, cursor.clone(), vec![])
            .with_largest(largest.0, largest.1);
        let (out, steps) = channel(1_000);
        let guard = FakeGuard::default();
        Poller {
            database,
            guard,
            reader,
            largest,
            out,
            steps,
            cursor,
            seen: BTreeMap::new(),
        }
    }

    async fn poll(&mut self, safe: Option<Micros>) -> Result<Polled> {
        self.guard.safe = safe;
        let mut session = self.database.session();
        self.reader
            .poll(&mut session, &mut self.guard, &self.out)
            .await
    }

    /// The rows sent since the last call.
    fn sent(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        while let Ok(step) = self.steps.try_recv() {
            rows.extend(rows_of(&step.rows));
            if let Some(Cursor::Timestamp(cursor)) = step.cursor {
                self.cursor = cursor;
            }
            for SeenChange { minute, hashes } in step.seen {
                match hashes {
                    Some(hashes) => self.seen.insert(minute, hashes),
                    None => self.seen.remove(&minute),
                };
            }
        }
        rows
    }

    fn ids(&mut self) -> Vec<i64> {
        self.sent().iter().map(|row| row.id).collect()
    }

    /// A new process that knows what is durable.
    fn restart(&mut self) -> Vec<Row> {
        let rows = self.sent();
        let seen = self.seen.iter();
        let seen = seen.map(|(minute, hashes)| RememberedMinute {
            minute: *minute,
            hashes: hashes.clone(),
            columns: None,
        });
        let readable = self.database.readable(Mode::Timestamp);
        self.reader = TimestampReader::new(readable, self.cursor.clone(), seen.collect())
            .with_largest(self.largest.0, self.largest.1);
        rows
    }
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
    let ids = batch.column(0).as_primitive::<Int64Type>();
    let at = batch.column(1).as_primitive::<TimestampMicrosecondType>();
    let notes = batch.column(2).as_string::<i32>();
    (0..batch.num_rows())
        .map(|i| Row {
            id: ids.value(i),
            at: Some(at.value(i)),
            note: notes.value(i).into(),
        })
        .collect()
}

fn from(at: Micros) -> TimestampCursor {
    TimestampCursor {
        low: Some(Position { at, key: None }),
    }
}

#[tokio::test]
async fn rows_above_the_bound_go_out_at_once_and_only_once() {
    let mut poller = Poller::new(
        Database::with([row(1, Some(10)), row(2, Some(50))]),
        from(0),
    );
    poller.poll(Some(20)).await.unwrap();
    assert_eq!(poller.ids(), [1, 2]);
    assert_eq!(poller.cursor, from(20));
    poller.database.insert(row(3, Some(30)));
    poller.poll(Some(20)).await.unwrap();
    assert_eq!(poller.ids(), [3]);
    poller.restart();
    poller.poll(Some(60)).await.unwrap();
    assert_eq!(poller.ids(), [0_i64; 0]);
    assert_eq!((poller.cursor.clone(), poller.seen.len()), (from(60), 0));
}

#[tokio::test]
async fn a_stop_among_equal_timestamps_goes_on_behind_the_last_key() {
    let mut poller = Poller::new(
        Database::with([1, 2, 3].map(|id| row(id, Some(10)))),
        from(0),
    );
    poller.database.fail_after(2);
    assert!(poller.poll(Some(20)).await.is_err());
    assert_eq!(poller.ids(), [1, 2]);
    let low = Position {
        at: 10,
        key: Some(vec!["2".into()]),
    };
    assert_eq!(poller.cursor.low, Some(low));
    poller.restart();
    poller.poll(Some(20)).await.unwrap();
    assert_eq!(poller.ids(), [3]);
}

#[tokio::test]
async fn a_poll_of_an_idle_table_sends_nothing_until_a_minute_has_passed() {
    let mut poller = Poller::new(Database::default(), from(0));
    poller.poll(Some(MINUTE - 1)).await.unwrap();
    assert!(poller.steps.try_recv().is_err());
    poller.poll(Some(MINUTE)).await.unwrap();
    assert_eq!(
        poller.steps.try_recv().unwrap().cursor,
        Some(Cursor::Timestamp(from(MINUTE)))
    );
}

#[tokio::test]
async fn without_a_bound_everything_visible_goes_out_and_nothing_is_closed() {
    let mut poller = Poller::new(Database::with([row(1, Some(10))]), from(5));
    poller.poll(None).await.unwrap();
    poller.poll(None).await.unwrap();
    assert_eq!(poller.ids(), [1]);
    assert_eq!(poller.cursor, from(5));
}

#[tokio::test]
async fn a_full_window_waits_for_the_bound_and_then_goes_on() {
    let database = Database::with((1..=6).map(|id| row(id, Some(10 + id))));
    let mut poller = Poller::with_largest(database, from(0), (3, 3));
    assert!(poller.poll(Some(10)).await.unwrap().waiting);
    assert_eq!(poller.ids(), [1, 2, 3]);
    assert!(poller.poll(Some(12)).await.unwrap().waiting);
    assert_eq!(poller.ids(), [0_i64; 0]);
    poller.restart();
    poller.poll(Some(16)).await.unwrap();
    poller.poll(Some(16)).await.unwrap();
    assert_eq!(poller.ids(), [4, 5, 6]);
}

#[tokio::test]
async fn a_value_that_comes_back_within_one_tick_is_sent_again_whatever_broke_off_between() {
    let noted = |id, note: &str| Row {
        note: note.into(),
        ..row(id, Some(10))
    };
    let database = Database::with([noted(1, "a")]);
    let mut poller = Poller::with_largest(database, from(0), (2, 2));
    poller.poll(Some(5)).await.unwrap();
    assert_eq!(poller.restart(), [noted(1, "a")]);
    poller.database.update(noted(1, "b"));
    poller.database.insert(noted(2, ""));
    poller.database.insert(noted(3, ""));
    assert!(poller.poll(Some(5)).await.unwrap().waiting);
    assert_eq!(poller.sent(), [noted(1, "b"), noted(2, "")]);
    poller.database.update(noted(1, "a"));
    poller.poll(Some(11)).await.unwrap();
    assert_eq!(poller.sent(), [noted(1, "a"), noted(3, "")]);
}

#[tokio::test]
async fn after_a_schema_change_rows_are_compared_over_the_columns_they_were_remembered_with() {
    let mut poller = Poller::new(
        Database::with([row(1, Some(10)), row(2, Some(11))]),
        from(5),
    );
    poller.poll(Some(5)).await.unwrap();
    poller.sent();
    // As if `note` had been added since: the record was made over the first two columns.
    let batch = RecordBatch::new_empty(poller.database.described().schema.arrow());
    assert_eq!(hash_rows(&batch, &[0, 1]).unwrap(), []);
    let readable = poller.database.readable(Mode::Timestamp);
    let mut session = poller.database.session();
    let select = readable.statements.everything();
    let table = readable.table.clone();
    let rows: Vec<_> = crate::source::Session::rows(&mut session, &table, &select, readable.limits)
        .collect()
        .await;
    let old: Vec<RowHash> = rows
        .into_iter()
        .flat_map(|b| hash_rows(&b.unwrap(), &[0, 1]).unwrap())
        .collect();
    let remembered = RememberedMinute {
        minute: 0,
        hashes: old,
        columns: Some(vec![0, 1]),
    };
    poller.reader = TimestampReader::new(readable, from(5), vec![remembered]);
    poller.database.insert(row(3, Some(12)));
    let before = poller.seen.clone();
    poller.poll(Some(5)).await.unwrap();
    assert_eq!(poller.ids(), [3]);
    assert_eq!(poller.seen[&0].len(), 3);
    assert!(before[&0].iter().all(|hash| poller.seen[&0].contains(hash)));
}

#[tokio::test]
async fn a_clock_behind_the_cursor_stops_the_table() {
    let mut poller = Poller::new(Database::default(), from(10 * MINUTE));
    poller.database.state.lock().unwrap().clock = 2 * MINUTE;
    let error = poller.poll(Some(2 * MINUTE)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ec.orders: the database's clock is behind the table's cursor"
    );
}

#[tokio::test]
async fn a_bound_that_lags_behind_the_cursor_moves_it_neither_back_nor_forth() {
    let mut poller = Poller::new(Database::with([row(1, Some(30))]), from(20));
    poller.database.state.lock().unwrap().clock = 40;
    poller.poll(Some(10)).await.unwrap();
    poller.poll(Some(10)).await.unwrap();
    assert_eq!(poller.ids(), [1]);
    assert_eq!(poller.cursor, from(20));
}

#[tokio::test]
async fn once_is_done_when_everything_visible_is_sent_though_the_bound_lags() {
    let mut poller = Poller::new(
        Database::with([row(1, Some(30)), row(2, Some(10))]),
        from(0),
    );
    poller.guard.safe = Some(15);
    let mut session = poller.database.session();
    let polled = poller
        .reader
        .once(&mut session, &mut poller.guard, &poller.out)
        .await
        .unwrap();
    assert_eq!((polled.rows, polled.open), (2, 1));
}

/// One thing that happens to the table or its reader.
#[derive(Clone, Debug)]
enum Event {
    /// A transaction begins: its rows will carry this moment, as `now()` does.
    Begin,
    /// A transaction writes a row: key and note.
    Write(usize, i64, u8),
    Commit(usize),
    Rollback(usize),
    Delete(i64),
    Time(i64),
    Poll,
    PollBlind,
    /// The poll's stream breaks off after so many batches.
    PollCut(usize),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Begin),
        8 => (0..6usize, 0..5i64, 0..3u8).prop_map(|(t, id, note)| Event::Write(t, id, note)),
        4 => (0..6usize).prop_map(Event::Commit),
        1 => (0..6usize).prop_map(Event::Rollback),
        1 => (0..5i64).prop_map(Event::Delete),
        4 => prop_oneof![Just(1i64), Just(20_000_000), Just(MINUTE)].prop_map(Event::Time),
        6 => Just(Event::Poll),
        1 => Just(Event::PollBlind),
        2 => (0..4usize).prop_map(Event::PollCut),
        1 => Just(Event::Restart),
    ]
}

#[derive(Default)]
struct World {
    clock: Micros,
    open: Vec<(Micros, Vec<(i64, u8)>)>,
    /// Every version that was ever committed.
    committed: Vec<Row>,
    sent: Vec<Row>,
}

impl World {
    fn safe(&self) -> Micros {
        self.open
            .iter()
            .map(|(began, _)| *began)
            .min()
            .unwrap_or(self.clock)
    }

    fn commit(&mut self, database: &Database, i: usize, keyless: bool) {
        let (at, writes) = self.open.remove(i);
        for (id, note) in writes {
            let row = Row {
                id,
                at: Some(at),
                note: note.to_string(),
            };
            if keyless {
                database.insert(row.clone())
            } else {
                database.update(row.clone())
            }
            self.committed.push(row);
        }
    }
}

async fn simulate(events: Vec<Event>, largest: (usize, usize), keyless: bool) {
    let database = if keyless {
        Database::default().without_key()
    } else {
        Database::default()
    };
    let mut poller = Poller::with_largest(database.clone(), from(0), largest);
    let mut world = World::default();
    for event in events {
        database.state.lock().unwrap().clock = world.clock;
        let open = world.open.len().max(1);
        match event {
            Event::Begin => world.open.push((world.clock, vec![])),
            Event::Write(i, id, note) => {
                // A row belongs to one open transaction at a time, as row locks see to.
                let is_locked = world
                    .open
                    .iter()
                    .any(|(_, writes)| writes.iter().any(|w| w.0 == id));
                if let Some((_, writes)) = world
                    .open
                    .get_mut(i % open)
                    .filter(|_| keyless || !is_locked)
                {
                    writes.push((id, note));
                }
            }
            Event::Commit(i) if !world.open.is_empty() => {
                world.commit(&database, i % open, keyless)
            }
            Event::Rollback(i) if !world.open.is_empty() => drop(world.open.remove(i % open)),
            Event::Delete(id) if !keyless => database
                .state
                .lock()
                .unwrap()
                .rows
                .retain(|row| row.id != id),
            Event::Time(micros) => world.clock += micros,
            Event::Poll => drop(poller.poll(Some(world.safe())).await.unwrap()),
            Event::PollBlind => drop(poller.poll(None).await.unwrap()),
            Event::PollCut(batches) => {
                database.fail_after(batches);
                // A full window may end the poll before the stream breaks off.
                drop(poller.poll(Some(world.safe())).await);
            }
            Event::Restart => world.sent.extend(poller.restart()),
            _ => {}
        }
        world.sent.extend(poller.sent());
    }
    while !world.open.is_empty() {
        world.commit(&database, 0, keyless);
    }
    for _ in 0..3 {
        world.clock += 2 * MINUTE;
        database.state.lock().unwrap().clock = world.clock;
        assert!(!poller.poll(Some(world.safe())).await.unwrap().waiting || largest.0 < 10);
        world.sent.extend(poller.sent());
    }
    judge(&world, &database, keyless);
    assert!(
        poller.seen.is_empty(),
        "a minute stays open: {:?}",
        poller.seen
    );
}

fn judge(world: &World, database: &Database, keyless: bool) {
    for row in &database.state.lock().unwrap().rows {
        let newest = world
            .sent
            .iter()
            .rev()
            .find(|sent| keyless && *sent == row || !keyless && sent.id == row.id);
        assert_eq!(
            newest,
            Some(row),
            "lost, or an older version is the newest sent"
        );
    }
    let count = |rows: &[Row], wanted: &Row| rows.iter().filter(|row| *row == wanted).count();
    for row in &world.sent {
        let (sent, committed) = (count(&world.sent, row), count(&world.committed, row));
        assert!(
            sent <= committed,
            "{row:?} sent {sent} times, committed {committed} times"
        );
        assert!(
            !keyless || sent == committed,
            "{row:?} sent {sent} times, committed {committed} times"
        );
    }
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_version_that_stays_is_sent_and_none_twice(events in prop::collection::vec(event(), 1..80)) {
        run(simulate(events, (1_000, 1_000), false));
    }

    #[test]
    fn the_same_holds_with_a_window_of_a_few_rows(events in prop::collection::vec(event(), 1..80)) {
        run(simulate(events, (2, 3), false));
    }

    #[test]
    fn equal_rows_without_a_key_are_each_sent_once(events in prop::collection::vec(event(), 1..80)) {
        run(simulate(events, (1_000, 1_000), true));
    }
}

#[tokio::test]
async fn a_poller_that_only_remembers_the_latest_timestamp_loses_rows_here() {
    let database = Database::with([row(2, Some(20))]);
    let low = Position { at: 21, key: None };
    database.insert(row(1, Some(10)));
    let readable = database.readable(Mode::Timestamp);
    let select = readable.statements.window(Some(&low), None).unwrap();
    let mut session = database.session();
    let table = readable.table.clone();
    let late = crate::source::Session::rows(&mut session, &table, &select, readable.limits)
        .count()
        .await;
    assert_eq!(late, 0, "row 1 is lost");
}
