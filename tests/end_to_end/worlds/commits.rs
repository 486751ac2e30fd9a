//! Commits of the sink that do not arrive.

use crate::harness::{Database, Engine, Line, Pipeline, Table, brokers, committed, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_the_sink_that_got_lost_is_made_again_without_a_new_row() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert("orders", 10).await;
    let line = Line::to_broker(&brokers()).await;
    let pipeline = Pipeline::new()
        .following(&database, "incrementing")
        .by_way_of("partitions: 3", "partitions: 1")
        .by_way_of(&brokers(), &line.address());
    let topic = pipeline.topic(table);
    let follower = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    all_is_committed(&pipeline, table).await;

    line.lose_commits(Some(&topic));
    database.insert("orders", 10).await;
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    eventually("the chunk's commit got lost", async || {
        match line.lost_commits() {
            0 => Err("none was sent".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    // What was sent in its place is on its way.
    let group = pipeline.names().sink_group;
    eventually("nothing is committed", async || {
        match committed(&group, &topic, 0) {
            Some(0) => Ok(()),
            now => Err(format!("{now:?} is committed")),
        }
    })
    .await;
    line.lose_commits(None);

    all_is_committed(&pipeline, table).await;
    follower.stop().await;
    pipeline.lake_is_exact(table).await;
}

/// Waits until the end of the records is committed.
async fn all_is_committed(pipeline: &Pipeline, table: Table<'_>) {
    let offsets = pipeline.records(table).into_iter().map(|r| r.offset);
    let end = offsets.max().map(|last| last + 1);
    let (group, topic) = (pipeline.names().sink_group, pipeline.topic(table));
    eventually(
        "all that is in the topic is committed",
        async || match committed(&group, &topic, 0) {
            now if now == end => Ok(()),
            now => Err(format!(
                "{now:?} is committed, and the records end at {end:?}"
            )),
        },
    )
    .await;
}
