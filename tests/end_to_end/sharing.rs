//! Two workers share the tables of a pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cdc::state::PipelineNames;
use cdc::wire::partition_for;

use crate::harness::{
    Database, Engine, Pipeline, Record, Row, Table, Worker, agree, compacted, eventually, within,
};

const TABLES: [&str; 8] = ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"];

/// How long a killed worker's tables may stand still.
const AFTER_KILL: Duration = Duration::from_secs(30);
/// How long a stopped worker's tables may stand still: less than the 10 s it takes to miss a silent worker.
const AFTER_STOP: Duration = Duration::from_secs(8);

/// Whether each of two workers gets some of the tables: one has the lower half of the state topic's
/// partitions, the other the upper half.
fn are_shared(database: &Database) -> bool {
    let partitions = PipelineNames::STATE_PARTITIONS;
    let halves: BTreeSet<bool> = TABLES
        .into_iter()
        .map(|name| Table { database, name }.head_key())
        .map(|key| partition_for(key.as_bytes(), partitions) < partitions / 2)
        .collect();
    halves.len() == 2
}

/// Eight tables and the pipeline that follows them.
struct Shared {
    database: Database,
    pipeline: Pipeline,
}

impl Shared {
    async fn open(engine: Engine) -> Shared {
        let mut database = Database::open(engine).await;
        // A table's partition follows from its database's name, which is another one each time: two workers
        // share eight tables only where they do not all fall to one of them.
        while !are_shared(&database) {
            database = Database::open(engine).await;
        }
        let mut tables = Vec::new();
        for table in TABLES {
            database.create(table).await;
            tables.push(format!("{table}: {{ mode: incrementing }}"));
        }
        let pipeline = Pipeline::new().source(&database, &tables.join(", "));
        Shared { database, pipeline }
    }

    fn tables(&self) -> impl Iterator<Item = Table<'_>> {
        TABLES.into_iter().map(|name| Table {
            database: &self.database,
            name,
        })
    }

    async fn write(&self) {
        for table in self.tables() {
            self.database.insert(table.name, 5).await;
        }
    }

    /// Which worker wrote which table's newest state.
    fn owners(&self) -> BTreeMap<&'static str, String> {
        let state = compacted(&self.pipeline.names().state_topic);
        let owner =
            |table: Table<'_>| Some(state.get(&table.head_key())?["worker"].as_str()?.to_owned());
        self.tables()
            .zip(TABLES)
            .filter_map(|(table, name)| Some((name, owner(table)?)))
            .collect()
    }

    /// Two workers, each of which has written for some of the tables.
    async fn two_workers(&self) -> [Worker; 2] {
        let first = self.pipeline.start(&["follow", "--only", "capture"]);
        self.everything_is_there().await;
        let second = self.pipeline.start(&["follow", "--only", "capture"]);
        eventually("both workers write", async || {
            self.write().await;
            let mut owners: Vec<String> = self.owners().into_values().collect();
            owners.sort();
            owners.dedup();
            if owners.len() == 2 {
                Ok(())
            } else {
                Err(format!("only {owners:?} write"))
            }
        })
        .await;
        self.everything_is_there().await;
        [first, second]
    }

    async fn everything_is_there(&self) {
        for table in self.tables() {
            self.pipeline.topic_is_exact(table).await;
        }
    }

    async fn everything_is_there_within(&self, deadline: Duration, what: &str) {
        within(deadline, what, async || {
            for table in self.tables() {
                let rows: Vec<Row> = self
                    .pipeline
                    .records(table)
                    .iter()
                    .map(Record::row)
                    .collect();
                agree(&self.database.holds(table.name).await, &rows)
                    .map_err(|e| format!("{}: {e}", table.name))?;
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_of_a_killed_worker_go_on_within_30_seconds() {
    let shared = Shared::open(Engine::Postgres).await;
    let [first, second] = shared.two_workers().await;

    first.kill();
    shared.write().await;

    shared
        .everything_is_there_within(
            AFTER_KILL,
            "the other worker has the tables of the killed one",
        )
        .await;
    second.stop().await;
    shared.everything_is_there().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_of_a_stopped_worker_go_on_at_once() {
    let shared = Shared::open(Engine::MariaDb).await;
    let [first, second] = shared.two_workers().await;

    first.stop().await;
    shared.write().await;

    shared
        .everything_is_there_within(
            AFTER_STOP,
            "the other worker has the tables of the stopped one",
        )
        .await;
    second.stop().await;
    shared.everything_is_there().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_frozen_past_its_session_sends_nothing_twice_when_it_wakes() {
    for engine in Engine::BOTH {
        let shared = Shared::open(engine).await;
        let [mut first, second] = shared.two_workers().await;

        // What is in flight when it freezes is the more dangerous the more there is.
        for table in shared.tables() {
            shared.database.insert(table.name, 3_000).await;
        }
        first.freeze();
        shared.write().await;
        shared
            .everything_is_there_within(
                AFTER_KILL * 2,
                "the other worker has the tables of the frozen one",
            )
            .await;
        shared.write().await;
        let before = first.said().matches("tables were assigned").count();
        first.thaw();
        eventually("the thawed worker takes part again", async || {
            shared.write().await;
            assert!(first.is_running(), "it ended:\n{}", first.said());
            match first.said().matches("tables were assigned").count() {
                now if now > before => Ok(()),
                _ => Err("it was assigned nothing".to_owned()),
            }
        })
        .await;
        shared.write().await;

        shared.everything_is_there().await;
        first.stop().await;
        second.stop().await;
        shared.everything_is_there().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_leaves_its_tables_to_a_follower_that_joins_and_ends_when_they_are_copied() {
    let shared = Shared::open(Engine::Postgres).await;
    shared.write().await;
    // The copy cannot end before the follower is there.
    let mut other = shared.database.another().await;
    other.run("BEGIN; LOCK TABLE t8").await;
    let mut copy = shared.pipeline.start(&["-v", "snapshot"]);
    for table in shared.tables().filter(|table| table.name != "t8") {
        shared.pipeline.topic_is_exact(table).await;
    }
    let follower = shared.pipeline.follow();
    copy.says("asking the worker that has the tables").await;
    other.run("COMMIT").await;
    copy.finish().await.expect(0, &["t8"]);
    shared.everything_is_there().await;
    for table in shared.tables() {
        shared.pipeline.lake_is_exact(table).await;
    }
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_begin_in_one_moment_do_not_wait_for_each_others_tables() {
    let shared = Shared::open(Engine::MariaDb).await;
    shared.write().await;
    let all: Vec<&str> = ["snapshot"].into_iter().chain(TABLES).collect();
    let mut follower = shared.pipeline.follow();
    let mut commands = [
        shared.pipeline.start(&all),
        shared.pipeline.start(&["snapshot"]),
        shared.pipeline.start(&["follow", "--once"]),
    ];
    eventually("the commands end", async || {
        // Refused beside a command that serves only some tables, it is started again, as systemd would.
        if !follower.is_running() {
            follower = shared.pipeline.follow();
        }
        match commands
            .iter_mut()
            .find_map(|one| one.is_running().then(|| one.said()))
        {
            Some(said) => Err(said),
            None => Ok(()),
        }
    })
    .await;
    for command in commands {
        let finished = command.finish().await;
        // What another had copied before it was asked is told so.
        let was_done = finished.stderr.contains("it was copied already");
        let code = i32::from(finished.code == Some(1) && was_done);
        finished.expect(code, &["t1", "t8"]);
    }
    shared.everything_is_there().await;
    for table in shared.tables() {
        shared.pipeline.lake_is_exact(table).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_killed_goes_on_where_the_command_is_typed_again_at_once() {
    let shared = Shared::open(Engine::Postgres).await;
    shared.write().await;
    let mut other = shared.database.another().await;
    other.run("BEGIN; LOCK TABLE t8").await;
    let killed = shared.pipeline.start(&["snapshot", "t1", "t8"]);
    let [first, .., last] = TABLES.map(|name| Table {
        database: &shared.database,
        name,
    });
    shared.pipeline.topic_is_exact(first).await;
    killed.kill();
    other.run("COMMIT").await;
    // Kafka takes the killed one for a member until its session ends; it is asked, and does not answer.
    let again = shared.pipeline.run(&["snapshot", "t8"]).await;
    again.expect(0, &["copied 5 rows"]);
    shared.pipeline.topic_is_exact(last).await;
    shared.pipeline.lake_is_exact(last).await;
}
