//! A follower joins while a command is at work: the command leaves it the tables, asks it for what is not done, and
//! ends when that is.

use std::time::Duration;

use crate::harness::{
    Database, Engine, Pipeline, Session, Table, Worker, agree, compacted, ends, eventually,
    files_rows, random_moment,
};
use crate::lake::opened;
use crate::loads::loads;

/// More than one batch of each table lies before the gate.
const ROWS: u64 = 20_000;

/// A function that lets nobody pass at one row while the gate is closed. Who counts first passes `passes` times in a
/// transaction. It waits in short steps: a wait for a lock would be given up.
const GATE: &str =
    "CREATE FUNCTION gate(id bigint, passes int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE passed int;
BEGIN
    IF id = 18000 THEN
        passed := coalesce(nullif(current_setting('gate.passed', true), ''), '0')::int;
        IF passed < passes THEN
            PERFORM set_config('gate.passed', (passed + 1)::text, true);
            RETURN true;
        END IF;
        WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP
            PERFORM pg_sleep(0.05);
        END LOOP;
    END IF;
    RETURN true;
END $$";

/// A table that is copied and one that is loaded. Reading either stops at a gate.
struct Gated {
    database: Database,
    pipeline: Pipeline,
    gate: Session,
}

impl Gated {
    async fn open() -> Gated {
        let database = Database::with_table(Engine::Postgres).await;
        database.create("products").await;
        database.run(GATE).await;
        for table in ["orders", "products"] {
            database.insert(table, ROWS).await;
            // A page is read in the order of the key, and not sorted.
            database.run(&format!("ANALYZE {table}")).await;
        }
        let pipeline = Pipeline::new().source(
            &database,
            "orders: { mode: incrementing, where: \"public.gate(id, 0)\" }, \
             products: { mode: bulk, schedule: \"0 0 1 1 * UTC\", where: \"public.gate(id, 1)\" }",
        );
        let gate = database.another().await;
        Gated {
            database,
            pipeline,
            gate,
        }
    }

    async fn close(&mut self) {
        self.gate.run("SELECT pg_advisory_lock(1)").await;
    }

    async fn let_pass(&mut self) {
        self.gate.run("SELECT pg_advisory_unlock(1)").await;
    }

    fn table<'a>(&'a self, name: &'a str) -> Table<'a> {
        Table {
            database: &self.database,
            name,
        }
    }

    /// How much the topics of both tables hold.
    fn sent(&self) -> [i64; 2] {
        ["orders", "products"].map(|name| ends(&self.pipeline.topic(self.table(name))))
    }

    /// Starts a command that cannot end, waits until it has sent rows of both tables, and lets a follower join. What was
    /// done by then is left to it.
    async fn handed_over(&self, arguments: &[&str]) -> (Worker, Worker) {
        let before = self.sent();
        let mut command = self.pipeline.start(&[&["-v"], arguments].concat());
        eventually("rows of both tables were sent", async || {
            let now = self.sent();
            assert!(command.is_running(), "it ended:\n{}", command.said());
            match before.iter().zip(&now).all(|(before, now)| now > before) {
                true => Ok(()),
                false => Err(format!("{now:?} after {before:?}")),
            }
        })
        .await;
        let follower = self.pipeline.follow();
        command.says("asking the worker that has the tables").await;
        (command, follower)
    }

    /// The load that readers see, and whether it is what the database holds.
    async fn loaded(&self) -> Result<usize, String> {
        let products = self.table("products");
        let (number, rows) = opened(&self.pipeline, products).await?;
        let held = self.database.holds("products").await;
        agree(&held, &rows).map(|()| number)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_under_way_begins_once_more_at_a_follower_that_joins_and_a_copy_goes_on() {
    let mut gated = Gated::open().await;
    gated.close().await;
    let (command, follower) = gated.handed_over(&["snapshot"]).await;
    gated.let_pass().await;

    let done = command.finish().await;

    done.expect(0, &["ec.products: loaded 20000 rows", "ec.orders: "]);
    let number = gated.loaded().await.expect("the load that was asked for");
    let loads = loads(&gated.pipeline, gated.table("products"));
    assert_eq!(loads[0]["state"], "abandoned", "{loads:?}");
    assert_eq!(loads[number - 1]["state"], "ended", "{loads:?}");
    // The copy goes on where it was: no row is sent twice.
    let orders = gated.table("orders");
    gated.pipeline.topic_is_exact(orders).await;
    gated.pipeline.lake_is_exact(orders).await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_anew_under_way_begins_once_more_at_a_follower_and_the_lake_has_each_row_once() {
    let mut gated = Gated::open().await;
    gated.pipeline.run(&["snapshot"]).await.expect(0, &[]);
    for table in ["orders", "products"] {
        let sql = format!("DELETE FROM {table} WHERE id <= 400");
        gated.database.run(&sql).await;
    }
    gated.close().await;
    let again = ["snapshot", "--again", "--yes"];
    let (command, follower) = gated.handed_over(&again).await;
    gated.let_pass().await;

    let done = command.finish().await;

    let words = [
        "ec.orders: copied 19600 rows",
        "ec.products: loaded 19600 rows",
    ];
    done.expect(0, &words);
    let orders = gated.table("orders");
    let held = gated.database.holds("orders").await;
    let rows = files_rows(&gated.pipeline.files(orders).await);
    assert_eq!(agree(&held, &rows), Ok(()));
    gated.loaded().await.expect("the load that was asked for");
    // It is followed from there.
    gated.database.insert("orders", 10).await;
    eventually("the lake goes on", async || {
        let held = gated.database.holds("orders").await;
        agree(&held, &files_rows(&gated.pipeline.files(orders).await))
    })
    .await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_interrupted_while_it_hands_over_ends_with_75_and_the_follower_carries_on() {
    let mut gated = Gated::open().await;
    gated.close().await;
    let (command, follower) = gated.handed_over(&["snapshot"]).await;
    // Before it asks, while it does, or while it waits for the answers.
    random_moment(Duration::from_millis(1_500)).await;
    command.interrupt();

    let ended = command.finish().await;

    ended.expect(75, &["stopping: what is on its way is settled first"]);
    gated.let_pass().await;
    let orders = gated.table("orders");
    gated.pipeline.topic_is_exact(orders).await;
    gated.pipeline.lake_is_exact(orders).await;
    eventually("readers see a whole load", async || gated.loaded().await).await;
    eventually("what it asked for is answered", async || {
        let state = compacted(&gated.pipeline.names().state_topic);
        match state.keys().find(|key| key.starts_with("q/")) {
            None => Ok(()),
            Some(open) => Err(format!("{open} is open")),
        }
    })
    .await;
    gated.loaded().await.expect("a whole load");
    follower.stop().await;
}
