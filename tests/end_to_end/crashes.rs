//! kill −9, again and again: what the databases hold is in the topics afterwards, each version once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;

use crate::harness::{Database, Engine, Pipeline, Table, ends, eventually, random_moment};

/// Both halves of each database's load: rows that are only added, and rows that change.
const ADDED: [&str; 2] = ["items", "receipts"];

fn added(engine: Engine) -> &'static str {
    ADDED[usize::from(engine == Engine::MariaDb)]
}

/// A pipeline over two databases with two tables each.
pub struct Retail {
    pub ec: Arc<Database>,
    pub pos: Arc<Database>,
    pub pipeline: Pipeline,
}

impl Retail {
    pub async fn open() -> Retail {
        let ec = Arc::new(Database::with_table(Engine::Postgres).await);
        let pos = Arc::new(Database::with_table(Engine::MariaDb).await);
        let mut pipeline = Pipeline::new();
        for database in [&ec, &pos] {
            let engine = database.engine;
            database.create(added(engine)).await;
            pipeline = pipeline.source(
                database,
                &format!(
                    "{}: {{ mode: timestamp+incrementing, timestamp: updated_at, incrementing: id }}, \
                     {}: {{ mode: incrementing }}",
                    engine.table(),
                    added(engine)
                ),
            );
        }
        Retail { ec, pos, pipeline }
    }

    pub fn tables(&self) -> Vec<Table<'_>> {
        let of = |database| {
            [
                Table::of(database),
                Table {
                    database,
                    name: added(database.engine),
                },
            ]
        };
        [of(&*self.ec), of(&*self.pos)].concat()
    }

    pub fn progress(&self) -> Vec<i64> {
        self.tables()
            .into_iter()
            .map(|table| ends(&self.pipeline.topic(table)))
            .collect()
    }

    /// How many files there are.
    pub async fn files(&self) -> usize {
        let mut count = 0;
        for table in self.tables() {
            count += self.pipeline.files(table).await.len();
        }
        count
    }

    /// Waits until every topic has grown since `before`.
    pub async fn has_grown(&self, before: &[i64]) {
        eventually("every topic has grown", async || {
            let now = self.progress();
            match now.iter().zip(before).all(|(now, before)| now > before) {
                true => Ok(()),
                false => Err(format!("{before:?}, now {now:?}")),
            }
        })
        .await;
    }

    pub async fn everything_is_there(&self) {
        for table in self.tables() {
            self.pipeline.topic_is_current(table).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_copy_again_and_again_loses_and_repeats_nothing() {
    let retail = Retail::open().await;
    for table in retail.tables() {
        table.database.insert(table.name, 200_000).await;
    }
    let mut before = vec![0; 4];
    let mut kills = 0;
    // A fast machine may be done before the fourth kill.
    while kills < 4 && before.iter().any(|end| *end < 200_000) {
        let worker = retail.pipeline.start(&["follow", "--only", "capture"]);
        eventually("some topic has grown", async || {
            let now = retail.progress();
            match now.iter().zip(&before).any(|(now, before)| now > before) {
                true => Ok(()),
                false => Err(format!("still {now:?}")),
            }
        })
        .await;
        random_moment(Duration::from_millis(200)).await;
        worker.kill();
        before = retail.progress();
        kills += 1;
    }
    assert!(kills > 1, "nothing was left to kill after the first time");
    let worker = retail.pipeline.start(&["follow", "--only", "capture"]);
    for table in retail.tables() {
        retail.pipeline.topic_is_exact(table).await;
    }
    worker.stop().await;
    for table in retail.tables() {
        retail.pipeline.topic_is_exact(table).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_told_to_stop_before_it_could_begin_ends_with_0() {
    let retail = Retail::open().await;
    let before = retail.progress();
    for table in retail.tables() {
        table.database.insert(table.name, 10).await;
    }
    let worker = retail.pipeline.start(&["follow", "--only", "capture"]);
    retail.has_grown(&before).await;
    worker.kill();
    // The killed one is still a member of the group; nothing can begin beside it.
    let mut worker = retail.pipeline.start(&["follow", "--only", "capture"]);
    worker.says("waiting for the end of that membership").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_follower_under_load_again_and_again_loses_and_repeats_nothing() {
    let retail = Retail::open().await;
    let traffic = Traffic::start([&retail.ec, &retail.pos]);
    let mut worker = retail.pipeline.start(&["follow", "--only", "capture"]);
    for _ in 0..10 {
        let before = retail.progress();
        retail.has_grown(&before).await;
        random_moment(Duration::from_millis(700)).await;
        worker.kill();
        worker = retail.pipeline.start(&["follow", "--only", "capture"]);
    }
    let before = retail.progress();
    retail.has_grown(&before).await;
    traffic.stop().await;
    retail.everything_is_there().await;
    worker.stop().await;
    retail.everything_is_there().await;
}

/// Sessions that write until they are told to stop.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    sessions: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    /// Three sessions for each database, on both of its tables.
    pub fn start<'a>(databases: impl IntoIterator<Item = &'a Arc<Database>>) -> Traffic {
        let stop = Arc::new(AtomicBool::new(false));
        let mut sessions = Vec::new();
        for database in databases {
            let rows = Arc::new(AtomicU64::new(0));
            for _ in 0..3 {
                sessions.push(tokio::spawn(write(
                    database.clone(),
                    stop.clone(),
                    rows.clone(),
                )));
            }
        }
        Traffic { stop, sessions }
    }

    pub async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        for session in self.sessions {
            session.await.expect("the traffic ran to its end");
        }
    }
}

/// Transactions of a few statements: rows that are added and changed, commits out of order, and roll-backs.
async fn write(database: Arc<Database>, stop: Arc<AtomicBool>, rows: Arc<AtomicU64>) {
    let engine = database.engine;
    let (changing, adding, now) = (engine.table(), added(engine), engine.now());
    let mut session = database.another().await;
    while !stop.load(Ordering::SeqCst) {
        let (inserts, statement_pause, rolls_back, changed) = {
            let mut random = rand::rng();
            let highest = rows.load(Ordering::SeqCst);
            (
                random.random_range(1..=4),
                Duration::from_millis(random.random_range(0..40)),
                random.random_bool(0.15),
                random.random_range(0..=highest),
            )
        };
        session.run("BEGIN").await;
        for _ in 0..inserts {
            for table in [changing, adding] {
                session
                    .run(&format!("INSERT INTO {table} (note) VALUES ('영수증')"))
                    .await;
            }
            // Open for a while, so that commits overtake each other.
            tokio::time::sleep(statement_pause).await;
        }
        session
            .run(&format!("UPDATE {changing} SET version = version + 1, updated_at = {now} WHERE id = {changed}"))
            .await;
        session
            .run(if rolls_back { "ROLLBACK" } else { "COMMIT" })
            .await;
        rows.fetch_add(inserts, Ordering::SeqCst);
    }
}
