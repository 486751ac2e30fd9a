use std::sync::Arc;

use ulid::Ulid;

use super::*;

use crate::sink::simulation::{
    Did, FakeStore, Log, Trouble, Worker, block_on, ground, schema, table,
};
use crate::state::{LoadPartition, LoadState};

/// A lake with the files of bulk loads, and the book that knows of them.
struct Stage {
    store: Arc<FakeStore>,
    spool: tempfile::TempDir,
    table: Arc<SinkTable>,
    book: Book,
    log: Log,
}

fn ulid(number: u64) -> Ulid {
    Ulid::from_parts(number, 1)
}

impl Stage {
    fn new() -> Self {
        Stage {
            store: Arc::new(FakeStore::default()),
            spool: tempfile::tempdir().expect("a folder"),
            table: table(Mode::Bulk),
            book: Book::default(),
            log: Log::new(),
        }
    }

    /// Sends a load of so many rows through the log into the lake, and notes how it ended.
    fn load(&mut self, number: u64, rows: u64, state: LoadState) {
        let start = self.log.next_offset;
        for _ in 0..rows {
            self.log.run(1, 1, Some(ulid(number)));
        }
        let end = if rows > 0 { self.log.end() } else { start };
        let record = LoadRecord {
            v: 1,
            state,
            ulid: ulid(number).to_string(),
            topic: self.table.topic.to_string(),
            epoch: 7,
            partitions: vec![LoadPartition {
                start,
                end,
                rows,
                rejected: 0,
            }],
            source_rows: rows,
            reason: None,
            cut_off: false,
            fingerprint: None,
        };
        self.note(number, &record);
        let started = block_on(Worker::start(
            &self.store,
            &self.log,
            None,
            3,
            self.spool.path(),
        ));
        let mut worker = started
            .expect("the store answers")
            .unwrap_or_else(|why| panic!("{why}"));
        while worker.step(&self.log, 4) != Did::Nothing {}
    }

    fn note(&mut self, number: u64, record: &LoadRecord) {
        let key = LoadRecord::key(&self.table.name.head_key(), number);
        let value = serde_json::to_vec(record).expect("json");
        self.book.apply(key.as_bytes(), &value).expect("a record");
    }

    fn with<T>(&self, run: impl AsyncFnOnce(&TableLoads<'_>) -> Result<T>) -> Result<T> {
        let ground = ground(3, self.spool.path());
        let own = BTreeMap::from([(0, self.log.end())]);
        let loads = TableLoads {
            store: self.store.as_ref(),
            ground: &ground,
            table: &self.table,
            book: &self.book,
            own: &own,
        };
        block_on(run(&loads))
    }

    fn settle(&self) -> Option<CurrentLoad> {
        self.with(async |loads| loads.settle().await)
            .expect("settled")
            .current
    }

    fn failed(&self) -> Option<FailedLoad> {
        self.with(async |loads| loads.settle().await)
            .expect("settled")
            .failed
    }

    fn has_files(&self, number: u64) -> bool {
        let below = format!("ec/orders/snapshot={}/", ulid(number));
        self.store
            .objects()
            .keys()
            .any(|path| path.starts_with(&below))
    }
}

#[test]
fn a_load_whose_counts_are_equal_becomes_the_current_one() {
    let mut stage = Stage::new();
    stage.load(1, 5, LoadState::Began);
    assert_eq!(stage.settle(), None);
    stage.load(2, 4, LoadState::Ended);
    let current = stage.settle().expect("a current load");
    assert_eq!((current.load, current.rows), (2, 4));
    assert_eq!(current.path, format!("ec/orders/snapshot={}", ulid(2)));
    assert_eq!(stage.settle(), Some(current));
}

#[test]
fn the_share_is_counted_in_the_files_and_a_plan_without_its_files_proves_nothing() {
    let mut stage = Stage::new();
    stage.load(1, 5, LoadState::Ended);
    let files = stage.store.objects();
    let file = files
        .keys()
        .find(|path| path.ends_with(".parquet"))
        .expect("a file");
    stage.store.remove(file);
    assert_eq!(stage.settle(), None);
    let share = files.keys().any(|path| path.starts_with("_cdc/done/"));
    assert!(!share);
}

#[test]
fn a_share_counts_the_files_of_its_own_partition_only() {
    let mut stage = Stage::new();
    stage.load(1, 5, LoadState::Ended);
    let files = stage.store.objects().into_iter();
    let (path, body) = files
        .filter(|(path, _)| path.ends_with(".parquet"))
        .last()
        .expect("a file");
    let of_another = path.replace("+7+0+", "+7+1+");
    assert_ne!(of_another, path);
    block_on(stage.store.put_new(&of_another, body)).expect("put");
    assert_eq!(stage.settle().map(|current| current.rows), Some(5));
}

#[test]
fn an_unequal_load_leaves_the_one_before_it_current() {
    let mut stage = Stage::new();
    stage.load(1, 5, LoadState::Ended);
    assert_eq!(stage.settle().map(|c| c.load), Some(1));
    stage.load(2, 5, LoadState::Ended);
    let key = stage.table.name.head_key();
    let mut record = stage.book.loads(&key, &stage.table.topic).expect("loads")[&2].clone();
    record.source_rows += 1;
    stage.note(2, &record);
    assert_eq!(stage.settle().map(|c| c.load), Some(1));
    assert_eq!(stage.failed().map(|failed| failed.number), Some(2));
    stage.load(3, 5, LoadState::Ended);
    assert_eq!(stage.failed(), None);
    assert_eq!(stage.settle().map(|c| c.load), Some(3));
}

#[test]
fn a_worker_that_looks_late_never_switches_back() {
    let mut stage = Stage::new();
    stage.load(1, 5, LoadState::Ended);
    let late = stage.book.clone();
    stage.load(2, 3, LoadState::Ended);
    assert_eq!(stage.settle().map(|c| c.load), Some(2));
    stage.book = late;
    assert_eq!(stage.settle().map(|c| c.load), Some(2));
}

#[test]
fn an_empty_load_gets_one_file_of_no_rows() {
    let mut stage = Stage::new();
    stage.load(1, 5, LoadState::Ended);
    stage.load(2, 0, LoadState::Ended);
    assert_eq!(stage.settle().map(|c| (c.load, c.rows)), Some((2, 0)));
    let below = format!("ec/orders/snapshot={}/", ulid(2));
    let files: Vec<_> = stage
        .store
        .objects()
        .into_keys()
        .filter(|p| p.starts_with(&below))
        .collect();
    assert_eq!(files.len(), 1);
    let rows = block_on(stored_rows(stage.store.as_ref(), &files[0])).expect("a footer");
    assert_eq!(rows.map(|(rows, _)| rows), Some(0));
}

#[test]
fn an_empty_table_that_was_never_loaded_waits_until_its_columns_are_known() {
    let mut stage = Stage::new();
    stage.load(1, 0, LoadState::Ended);
    assert_eq!(stage.settle(), None);
    let key = LoadRecord::key(&stage.table.name.head_key(), 1);
    let head_key = stage.table.name.head_key();
    let loads = stage.book.loads(&head_key, &stage.table.topic);
    let record = LoadRecord {
        fingerprint: Some(schema(2).fingerprint().to_string()),
        ..loads.expect("loads")[&1].clone()
    };
    let value = serde_json::to_vec(&record).expect("json");
    stage.book.apply(key.as_bytes(), &value).expect("a record");
    assert_eq!(stage.settle().map(|c| c.load), Some(1));
}

#[test]
fn the_current_load_and_the_complete_one_before_it_are_kept_and_others_deleted() {
    let mut stage = Stage::new();
    stage.load(1, 2, LoadState::Ended);
    stage.settle();
    stage.load(2, 2, LoadState::Ended);
    stage.settle();
    stage.load(3, 2, LoadState::Abandoned);
    stage.load(4, 2, LoadState::Ended);
    stage.load(5, 2, LoadState::Began);
    let current = stage.settle();
    assert_eq!(current.as_ref().map(|c| c.load), Some(4));
    stage
        .with(async |loads| loads.sweep(current.as_ref()).await)
        .expect("swept");
    let kept: Vec<u64> = (1..=5).filter(|number| stage.has_files(*number)).collect();
    assert_eq!(kept, [2, 4, 5]);
}

#[test]
fn whichever_operation_settling_dies_at_it_comes_to_the_same_end() {
    let build = || {
        let mut stage = Stage::new();
        stage.load(1, 2, LoadState::Ended);
        stage.settle();
        stage.load(2, 0, LoadState::Ended);
        stage
    };
    let end = |stage: &Stage| {
        let current = stage.settle();
        stage
            .with(async |loads| loads.sweep(current.as_ref()).await)
            .expect("swept");
        stage.store.objects().into_keys().collect::<Vec<_>>()
    };
    let calm = build();
    let before = calm.store.operations();
    let expected = end(&calm);
    for at in before + 1..=calm.store.operations() {
        for trouble in [
            Trouble::CrashBefore,
            Trouble::CrashAfter,
            Trouble::AnswerLost,
        ] {
            let stage = build();
            stage.store.plan_trouble(at, trouble);
            let _ = stage.with(async |loads| {
                let current = loads.settle().await?.current;
                loads.sweep(current.as_ref()).await
            });
            stage.store.calm();
            assert_eq!(end(&stage), expected, "{at} {trouble:?}");
        }
    }
}

#[test]
fn the_epoch_of_a_file_stands_in_its_name_and_other_files_have_none() {
    let file = |name: &str| epoch_of_file(&format!("ec/orders/dt=2026-10-01/{name}"));
    let digits = "00000000000000000000-00000000000000000011";
    assert_eq!(
        file(&format!("shop.orders+1795208430168+0+{digits}.parquet")),
        Some(1_795_208_430_168)
    );
    for other in [
        format!("shop.orders+x+0+{digits}.parquet"),
        format!("shop.orders+17+{digits}.parquet"),
        format!("shop.orders+17+0+{digits}.csv"),
        "mine+17+0+all.parquet".to_owned(),
        "part-00000.parquet".to_owned(),
    ] {
        assert_eq!(file(&other), None, "{other}");
    }
}

impl Stage {
    /// Makes void what is below this epoch, and sweeps.
    fn retire(&mut self, below: u64) {
        let text = format!(
            r#"{{"v":1,"topic":"t","epoch":{below},"retired_below":{below},"start":[0],"reason":"again"}}"#
        );
        let key = crate::state::EpochRecord::key(&self.table.name.head_key());
        self.book
            .apply(key.as_bytes(), text.as_bytes())
            .expect("a record");
        self.with(async |loads| loads.sweep_retired().await)
            .expect("swept");
    }
}

#[test]
fn files_of_retired_epochs_are_deleted_and_no_others() {
    let mut stage = Stage::new();
    stage.load(1, 2, LoadState::Ended);
    stage.retire(7);
    assert!(stage.has_files(1));
    stage.retire(8);
    assert!(!stage.has_files(1));
}

#[test]
fn the_load_that_readers_see_stays_until_another_is_switched_to() {
    let mut stage = Stage::new();
    stage.load(1, 2, LoadState::Ended);
    assert_eq!(stage.settle().map(|current| current.load), Some(1));
    stage.load(2, 2, LoadState::Ended);
    stage.retire(8);
    assert!(stage.has_files(1));
    assert!(!stage.has_files(2));
}
