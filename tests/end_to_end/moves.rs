//! Cursors that are moved: what is said before, and moves that nobody carries out in their time. Chunks that are given up.

use std::time::{Duration, Instant};

use cdc::config::LakePlace;
use cdc::state::{PipelineNames, Placement, Request, Verb, encode};
use cdc::wire::partition_for;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use crate::harness::{
    Database, Engine, Line, Pipeline, Table, append, brokers, compacted, eventually, files_rows,
};
use crate::offsets::lake_holds;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_move_over_unread_rows_loses_is_said_before_it_is_asked_and_a_no_changes_nothing() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert("orders", 10).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    database.insert("orders", 10).await;
    let is_unmoved = async || {
        let listed = pipeline.run(&["offsets", "list", "--wide"]).await;
        listed.expect(0, &["id ≤ 10"]);
    };

    let set = ["offsets", "set", "orders", "15"];
    let refused = pipeline.run(&set).await.expect(
        2,
        &["read again: 0 rows", "nobody can be asked", "add `--yes`"],
    );
    let told = refused.stderr.find("never read: 5 rows");
    let ended = refused.stderr.find("nothing was changed");
    assert!(told.is_some() && told < ended, "{}", refused.stderr);
    is_unmoved().await;

    let mut terminal = pipeline.on_terminal(&set);
    terminal.sees("never read: 5 rows").await;
    terminal.sees("Type `yes` to go on:").await;
    terminal.types("y\r");
    terminal.sees("nothing was changed").await;
    assert_eq!(terminal.ends().await, Some(1));
    is_unmoved().await;

    let mut terminal = pipeline.on_terminal(&set);
    terminal.sees("never read: 5 rows").await;
    terminal.sees("Type `yes` to go on:").await;
    terminal.types("yes\r");
    terminal.sees("its cursor goes on from there").await;
    assert_eq!(terminal.ends().await, Some(0));

    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    let read = (1..=10).chain(16..=20);
    lake_holds(&pipeline, table, &read.map(|id| (id, 1)).collect()).await;
}

/// Asks the owner of a table to put its cursor to 3, in the name of somebody who waits for so many milliseconds. The
/// answer's key.
fn ask_to_move(pipeline: &Pipeline, table: Table<'_>, waits: i64) -> String {
    let head_key = table.head_key();
    let request = encode(&Request {
        verb: Verb::OffsetsSet,
        place: Some(Placement::Value("3".to_owned())),
        by: "somebody".to_owned(),
        expires_at: jiff::Timestamp::now().as_millisecond() + waits,
    });
    let tail = head_key.trim_start_matches("t/");
    let about = format!("{tail}/{}", ulid::Ulid::new());
    let partition = partition_for(head_key.as_bytes(), PipelineNames::STATE_PARTITIONS);
    let state = pipeline.names().state_topic;
    append(&state, partition, &format!("q/{about}"), &request);
    format!("r/{about}")
}

/// Waits until a request is answered with 75 and these words.
async fn is_expired(pipeline: &Pipeline, answer: &str, words: &str) {
    eventually("who asked is told that it is too late", async || {
        let state = compacted(&pipeline.names().state_topic);
        let Some(found) = state.get(answer) else {
            return Err("there is no answer".to_owned());
        };
        let text = found["text"].as_str().expect("a text");
        assert!(found["exit"] == 75 && text.contains(words), "{found}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_could_not_be_carried_out_in_its_time_never_is_and_who_asked_is_told() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert("orders", 10).await;
    let url = url::Url::parse(&database.url()).expect("a url");
    let line = Line::to(&format!("127.0.0.1:{}", url.port().expect("a port"))).await;
    let pipeline = Pipeline::new().following_by(&database, "incrementing", &line);
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);

    // While nobody was at work.
    let answer = ask_to_move(&pipeline, table, -1);
    let mut follower = pipeline.follow();
    is_expired(&pipeline, &answer, "expired before it was seen").await;

    // While the table cannot be looked at.
    line.cut();
    follower.says("trying again").await;
    let (asked, waits) = (Instant::now(), Duration::from_secs(3));
    let answer = ask_to_move(&pipeline, table, waits.as_millis() as i64);
    eventually("its time is over", async || match asked.elapsed() {
        elapsed if elapsed > waits + waits / 2 => Ok(()),
        elapsed => Err(format!("{elapsed:?} are")),
    })
    .await;
    line.mend();
    is_expired(&pipeline, &answer, "expired before it").await;

    database.insert("orders", 10).await;
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    follower.stop().await;
    pipeline.topic_is_exact(table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_cannot_be_finished_is_given_up_and_its_partition_goes_on_behind_it() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.create("items").await;
    database.insert("orders", 20).await;
    database.insert("items", 3).await;
    let tables = "orders: { mode: incrementing }, items: { mode: incrementing }";
    let pipeline = Pipeline::new()
        .source(&database, tables)
        .by_way_of("partitions: 3", "partitions: 1");
    pipeline.run(&["snapshot"]).await.expect(0, &[]);

    // Under the name of the newest chunk's file lies another one, and nothing says that the chunk is done.
    let LakePlace::Local(root) = &pipeline.lake else {
        panic!("the lake is a directory")
    };
    let newest = async |table| {
        let files = pipeline.files(table).await;
        let newest = files.into_iter().max_by(|a, b| a.path.cmp(&b.path));
        newest.expect("a file")
    };
    let items = Table {
        name: "items",
        ..table
    };
    let (given_up, other) = (newest(table).await, newest(items).await);
    let rows = files_rows(std::slice::from_ref(&given_up)).len();
    assert_ne!(rows, 3);
    std::fs::copy(root.join(&other.path), root.join(&given_up.path)).expect("a copy");
    forget_group(&pipeline.names().sink_group).await;

    let follower = pipeline.follow();
    let words = ["\"partition\":0", "is there already and differs"];
    pipeline.is_shown("ec.orders", "failed", &words).await;
    let skip = ["offsets", "skip", "orders", "--partition", "0"];
    let chunk = format!("a chunk of {rows} rows that cannot be finished");
    let told = [chunk.as_str(), "what of that chunk is not in the lake"];
    let dry = [&skip[..], &["--dry-run"]].concat();
    pipeline.run(&dry).await.expect(0, &told);
    let refused = pipeline.run(&skip).await.expect(2, &told);
    refused.expect_words(&["add `--yes`"]);
    let skipped = pipeline.run(&[&skip[..], &["--yes"]].concat()).await;
    skipped.expect(0, &["skipped, and it goes on"]);

    // What was put there stays as it is, and what comes later is written.
    let before = files_rows(&pipeline.files(table).await);
    database.insert("orders", 10).await;
    pipeline.topic_is_exact(table).await;
    eventually("the lake goes on behind the chunk", async || {
        let rows = files_rows(&pipeline.files(table).await);
        let later = rows.iter().filter(|row| row.id > 20).count();
        match (later, rows.len() - later == before.len()) {
            (10, true) => Ok(()),
            _ => Err(format!("{} rows, {later} of them later", rows.len())),
        }
    })
    .await;
    follower.stop().await;
}

/// Kafka forgets how far a group is.
async fn forget_group(group: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .expect("an admin client");
    let forgotten = admin.delete_groups(&[group], &AdminOptions::new()).await;
    let results = forgotten.expect("an answer");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}
