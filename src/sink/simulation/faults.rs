//! What stops a partition, and that what came before it is in the lake.

use std::sync::Arc;

use ulid::Ulid;

use super::fake_store::{FakeStore, Trouble};
use super::world::{Did, Log, TOPIC, Worker, block_on, rows_in_lake};
use crate::lake::Plan;
use crate::sink::stored::SkipPlan;

struct Stage {
    store: Arc<FakeStore>,
    spool: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Stage {
            store: Arc::new(FakeStore::default()),
            spool: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Runs one worker until it has nothing to do, or stops; the sentence says why.
    fn run(&self, log: &Log, hint: Option<u64>, rows: u64) -> Result<(), String> {
        let started = block_on(Worker::start(
            &self.store,
            log,
            hint,
            rows,
            self.spool.path(),
        ));
        let mut worker = started.expect("the store answers")?;
        loop {
            match worker.step(log, 4) {
                Did::Nothing => return Ok(()),
                Did::Stopped(why) => return Err(why),
                _ => {}
            }
        }
    }

    /// The same; a worker that dies is no fault.
    fn run_or_die(&self, log: &Log, hint: Option<u64>, rows: u64) -> Result<(), String> {
        let path = self.spool.path();
        let Ok(started) = block_on(Worker::start(&self.store, log, hint, rows, path)) else {
            return Ok(());
        };
        let mut worker = started?;
        loop {
            match worker.step(log, 4) {
                Did::Nothing | Did::Died => return Ok(()),
                Did::Stopped(why) => return Err(why),
                _ => {}
            }
        }
    }
}

fn three_runs() -> Log {
    let mut log = Log::new();
    for _ in 0..3 {
        log.run(3, 1, None);
    }
    log
}

/// The log without the records of its `n`-th run.
fn without_run(log: &Log, n: usize) -> Log {
    let mut cut = log.clone();
    let borders: Vec<usize> = (0..cut.records.len())
        .filter(|i| cut.records[*i].header.is_some())
        .collect();
    let end = borders.get(n + 1).copied().unwrap_or(cut.records.len());
    cut.records.drain(borders[n]..end);
    cut
}

#[test]
fn a_hole_stops_the_partition_and_what_came_before_it_is_in_the_lake() {
    let stage = Stage::new();
    let whole = three_runs();
    let why = stage
        .run(&without_run(&whole, 1), None, 100)
        .expect_err("stopped");
    assert!(why.contains("records are missing"), "{why}");
    assert_eq!(rows_in_lake(&stage.store), whole.rows()[..3]);
    // Nothing was passed over: with the records back, all of it arrives.
    assert_eq!(stage.run(&whole, None, 100), Ok(()));
    assert_eq!(rows_in_lake(&stage.store), whole.rows());
}

#[test]
fn a_log_whose_beginning_is_gone_before_anything_was_read_stops() {
    let stage = Stage::new();
    let mut log = without_run(&three_runs(), 0);
    log.low = 4;
    let why = stage.run(&log, None, 100).expect_err("stopped");
    assert!(why.contains("sequence number 1"), "{why}");
    assert!(stage.store.objects().is_empty());
}

#[test]
fn a_repeated_run_stops_and_nothing_of_it_is_dropped_or_written() {
    let stage = Stage::new();
    let mut log = three_runs();
    let before = log.rows();
    log.next_sequence = 4;
    log.run(3, 1, None);
    let why = stage.run(&log, None, 100).expect_err("stopped");
    assert!(why.contains("records repeat"), "{why}");
    assert_eq!(rows_in_lake(&stage.store), before);
}

#[test]
fn a_run_of_a_lower_epoch_stops() {
    let stage = Stage::new();
    let mut log = three_runs();
    log.epoch = 6;
    log.next_sequence = 1;
    log.run(1, 1, None);
    let why = stage.run(&log, None, 100).expect_err("stopped");
    assert!(why.contains("epoch 6"), "{why}");
}

#[test]
fn a_torn_run_and_records_of_nobody_stop_without_half_a_run_in_the_lake() {
    let whole = three_runs();
    for (taken, says) in [(4, "torn"), (3, "belongs to no run")] {
        let stage = Stage::new();
        let mut log = whole.clone();
        log.records.remove(taken);
        let why = stage.run(&log, None, 100).expect_err("stopped");
        assert!(why.contains(says), "{why}");
        assert_eq!(rows_in_lake(&stage.store), whole.rows()[..3]);
    }
}

#[test]
fn a_record_that_cannot_be_read_stops_and_is_not_left_out() {
    let stage = Stage::new();
    let mut log = three_runs();
    log.records[4].value = r#"{"id":"seven"}"#.into();
    assert!(stage.run(&log, None, 100).is_err());
    assert_eq!(rows_in_lake(&stage.store), log.rows()[..3]);
}

#[test]
fn a_plan_that_does_not_fit_the_log_stops_and_nothing_is_put() {
    let whole = three_runs();
    let stage = Stage::new();
    assert_eq!(stage.run(&whole, None, 100), Ok(()));
    let path = Plan::path(TOPIC, 7, 0, 0);
    let text = stage.store.objects()[&path].clone();
    let plan = Plan::from_json(&text).expect("a plan");
    let changes: [fn(&mut Plan); 4] = [
        |plan| plan.end -= 1,
        |plan| plan.first_sequence = 2,
        |plan| plan.next_sequence += 1,
        |plan| plan.file.fingerprint = "0123456789abcdef".into(),
    ];
    for change in changes {
        let stage = Stage::new();
        let mut other = plan.clone();
        change(&mut other);
        let body = bytes::Bytes::from(other.to_json());
        use crate::lake::Store;
        block_on(stage.store.put_new(&path, body)).expect("put");
        assert!(stage.run(&whole, None, 100).is_err(), "{other:?}");
        assert_eq!(rows_in_lake(&stage.store), []);
    }
}

#[test]
fn a_file_that_is_there_already_with_another_number_of_rows_stops_and_is_not_replaced() {
    let stage = Stage::new();
    let log = three_runs();
    assert_eq!(stage.run(&log, None, 100), Ok(()));
    let files: Vec<_> = stage
        .store
        .objects()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".parquet"))
        .collect();
    let [(first, _), (_, other)] = &files[..] else {
        panic!("two files: {files:?}");
    };
    assert_ne!(files[0].1, *other);
    stage.store.remove(first);
    use crate::lake::Store;
    block_on(stage.store.put_new(first, other.clone())).expect("put");
    let before = stage.store.objects();
    // Without a commit the newest plan is executed again and finds the file.
    let why = stage.run(&log, None, 100).expect_err("stopped");
    assert!(why.contains("rows"), "{why}");
    assert_eq!(stage.store.objects(), before);
}

#[test]
fn without_a_commit_the_newest_plan_is_put_again_and_not_passed_over() {
    let stage = Stage::new();
    let log = three_runs();
    assert_eq!(stage.run(&log, None, 100), Ok(()));
    // The worker died after PLAN: no file of it is there.
    for path in stage
        .store
        .objects()
        .keys()
        .filter(|path| path.ends_with(".parquet"))
    {
        stage.store.remove(path);
    }
    assert_eq!(stage.run(&log, None, 2), Ok(()));
    assert_eq!(rows_in_lake(&stage.store), log.rows());
}

#[test]
fn a_stretch_given_up_by_hand_is_passed_over() {
    let stage = Stage::new();
    let whole = three_runs();
    let cut = without_run(&whole, 1);
    assert!(stage.run(&cut, None, 100).is_err());
    let skip = SkipPlan {
        v: 1,
        skip: true,
        epoch: 7,
        start: 3,
        end: 8,
        next_sequence: None,
        reason: "three rows were deleted by retention".into(),
    };
    use crate::lake::Store;
    let body = serde_json::to_vec(&skip).expect("json");
    block_on(
        stage
            .store
            .put_new(&Plan::path(TOPIC, 7, 0, 3), body.into()),
    )
    .expect("put");
    assert_eq!(stage.run(&cut, Some(3), 100), Ok(()));
    let mut rows = whole.rows();
    rows.drain(3..6);
    assert_eq!(
        rows_in_lake(&stage.store)
            .iter()
            .map(|r| r.0)
            .collect::<Vec<_>>(),
        rows.iter().map(|r| r.0).collect::<Vec<_>>()
    );
}

/// A hole whose next run begins where the skip ends: the skip has the name of that run's plan.
#[test]
fn behind_a_skip_of_no_record_reading_goes_on_and_its_chunk_takes_the_skips_place() {
    use crate::lake::Store;
    let whole = three_runs();
    let cut = without_run(&whole, 1);
    let begins = whole.records[6].offset;
    let skip = SkipPlan {
        v: 1,
        skip: true,
        epoch: 7,
        start: begins,
        end: begins,
        next_sequence: None,
        reason: "three rows were deleted by retention".into(),
    };
    let path = Plan::path(TOPIC, 7, 0, begins);
    let body = bytes::Bytes::from(serde_json::to_vec(&skip).expect("json"));
    let mut rows = whole.rows();
    rows.drain(3..6);
    let offsets = |rows: &[(u64, i64)]| rows.iter().map(|row| row.0).collect::<Vec<_>>();
    // Whatever becomes of an operation, and with whatever hint: the whole chunk, once.
    let troubles = [
        Trouble::CrashBefore,
        Trouble::CrashAfter,
        Trouble::AnswerLost,
    ];
    let cases = (1..=12).flat_map(|at| troubles.map(|trouble| Some((at, trouble))));
    for case in std::iter::once(None).chain(cases) {
        let stage = Stage::new();
        let why = stage.run(&cut, None, 100).expect_err("stopped");
        assert!(why.contains("records are missing"), "{why}");
        block_on(stage.store.put_new(&path, body.clone())).expect("put");
        if let Some((at, trouble)) = case {
            stage
                .store
                .plan_trouble(stage.store.operations() + at, trouble);
            let ended = stage.run_or_die(&cut, Some(begins), 2);
            assert_eq!(ended, Ok(()), "{case:?}");
            stage.store.restart();
            stage.store.calm();
        }
        assert_eq!(stage.run(&cut, Some(begins), 100), Ok(()), "{case:?}");
        assert_eq!(
            offsets(&rows_in_lake(&stage.store)),
            offsets(&rows),
            "{case:?}"
        );
        let plan = Plan::from_json(&stage.store.objects()[&path]).expect("the chunk's plan");
        assert_eq!((plan.start, plan.first_sequence), (begins, 7), "{case:?}");
    }
}

#[test]
fn a_hole_inside_a_load_does_not_stop_the_partition() {
    let stage = Stage::new();
    let mut log = Log::new();
    for load in [1, 2, 3] {
        log.run(3, 1, Some(Ulid::from_parts(load, 1)));
    }
    let cut = without_run(&log, 1);
    assert_eq!(stage.run(&cut, None, 100), Ok(()));
    assert_eq!(rows_in_lake(&stage.store).len(), 6);
    let below = |load| format!("ec/orders/snapshot={}/", Ulid::from_parts(load, 1));
    let objects = stage.store.objects();
    assert!(objects.keys().any(|path| path.starts_with(&below(1))));
    assert!(!objects.keys().any(|path| path.starts_with(&below(2))));
}
