//! No row is lost and none is written twice, wherever a worker dies and whoever else believes to own the
//! partition.

use std::sync::Arc;

use proptest::prelude::*;

use super::fake_store::{FakeStore, Trouble};
use super::world::{Did, Log, Worker, block_on, rows_in_lake};

/// What becomes of commits: they are hints, and the outcome may not depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commits {
    Kept,
    Lost,
    /// Only the first one arrives.
    Old,
}

fn log() -> Log {
    let mut log = Log::new();
    for (records, columns) in [(3, 1), (1, 1), (4, 1), (2, 2), (5, 2), (1, 2)] {
        log.run(records, columns, None);
    }
    // The table was copied anew: the epoch is raised, the sequence starts over.
    log.epoch += 1;
    log.next_sequence = 1;
    for records in [2, 3] {
        log.run(records, 2, None);
    }
    log
}

/// Runs workers one after another, each with other file sizes than the one before, until everything is in
/// the lake. Returns how many operations the store saw.
fn run_to_the_end(log: &Log, trouble: Option<(usize, Trouble)>, commits: Commits) -> usize {
    let store = Arc::new(FakeStore::default());
    let spool = tempfile::tempdir().expect("a folder");
    if let Some((at, trouble)) = trouble {
        store.plan_trouble(at, trouble);
    }
    let mut hint = None;
    // What one worker would cut at 2 rows, the next cuts at 4 or 7.
    for rows in [2, 4, 7, 3, 5, 4] {
        store.restart();
        let worker = block_on(Worker::start(&store, log, hint, rows, spool.path()));
        let Ok(worker) = worker else {
            continue;
        };
        let mut worker = worker.unwrap_or_else(|why| panic!("{trouble:?} {commits:?}: {why}"));
        loop {
            match worker.step(log, 4) {
                Did::Something => {}
                Did::InLake(end) => {
                    if commits == Commits::Kept || (commits == Commits::Old && hint.is_none()) {
                        hint = Some(end);
                    }
                }
                Did::Died => break,
                Did::Stopped(why) => panic!("{trouble:?} {commits:?}: {why}"),
                Did::Nothing => {
                    assert_eq!(rows_in_lake(&store), log.rows(), "{trouble:?} {commits:?}");
                    return store.operations();
                }
            }
        }
    }
    panic!("{trouble:?} {commits:?}: never came to an end");
}

#[test]
fn whichever_operation_a_worker_dies_at_every_row_is_in_the_lake_exactly_once() {
    let log = log();
    for commits in [Commits::Kept, Commits::Lost, Commits::Old] {
        let operations = run_to_the_end(&log, None, commits);
        assert!(operations > 12, "{operations}");
        for at in 1..=operations {
            for trouble in [
                Trouble::CrashBefore,
                Trouble::CrashAfter,
                Trouble::AnswerLost,
                Trouble::Refused,
            ] {
                run_to_the_end(&log, Some((at, trouble)), commits);
            }
        }
    }
}

/// What one of several workers does next.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// It does one step, reading so many records if it reads.
    Step(usize, usize),
    /// It dies, and another with files of so many rows takes its place.
    Replace(usize, u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        9 => (0..3_usize, 1..9_usize).prop_map(|(who, records)| Move::Step(who, records)),
        1 => (0..3_usize, 1..9_u64).prop_map(|(who, rows)| Move::Replace(who, rows)),
    ];
    prop::collection::vec(one, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Three workers hold the same partition at once, none fenced, with commits in any order: the plans alone
    /// keep them from writing a row twice.
    #[test]
    fn workers_that_do_not_know_of_each_other_write_every_row_exactly_once(moves in moves()) {
        let log = log();
        let store = Arc::new(FakeStore::default());
        let spool = tempfile::tempdir().expect("a folder");
        let mut hint = None;
        let start = |hint, rows| {
            let started = block_on(Worker::start(&store, &log, hint, rows, spool.path()));
            started.expect("the store answers").unwrap_or_else(|why| panic!("{why}"))
        };
        let mut workers = [start(hint, 4), start(hint, 2), start(hint, 7)];
        for next in moves {
            match next {
                Move::Step(who, records) => match workers[who].step(&log, records) {
                    Did::InLake(end) => hint = Some(end),
                    Did::Stopped(why) => panic!("{why}"),
                    _ => {}
                },
                Move::Replace(who, rows) => workers[who] = start(hint, rows),
            }
        }
        for worker in &mut workers {
            loop {
                match worker.step(&log, 5) {
                    Did::Nothing => break,
                    Did::Stopped(why) => panic!("{why}"),
                    _ => {}
                }
            }
        }
        prop_assert_eq!(rows_in_lake(&store), log.rows());
    }
}
