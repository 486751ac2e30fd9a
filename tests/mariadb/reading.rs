//! Sessions: streams, snapshots, and what becomes of their connections.

use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use cdc::model::BatchLimits;
use cdc::source::Select;
use futures_util::TryStreamExt;
use mysql_async::prelude::Queryable;

use crate::database::{DEADLINE, Database, all_of, integer};

#[tokio::test]
async fn rows_arrive_in_bounded_batches_and_in_order() {
    let database = Database::new().await;
    database
        .admin()
        .await
        .query_drop("CREATE TABLE t (id int PRIMARY KEY, note varchar(100)) AS SELECT seq AS id, repeat('n', 100) AS note FROM seq_1_to_20000")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let select = Select {
        sql: format!("{} ORDER BY id", all_of(&table).sql),
        params: Vec::new(),
    };
    for (limits, most) in [
        (
            BatchLimits {
                rows: 1000,
                bytes: usize::MAX,
            },
            1000,
        ),
        // 108 bytes per row: the limit is reached with the tenth.
        (
            BatchLimits {
                rows: usize::MAX,
                bytes: 1000,
            },
            10,
        ),
    ] {
        let mut session = source.session().await.unwrap();
        let batches: Vec<RecordBatch> = session
            .rows(&table, &select, limits)
            .try_collect()
            .await
            .unwrap();
        assert!(batches.iter().all(|batch| batch.num_rows() <= most));
        let ids = batches.iter().flat_map(|batch| {
            batch
                .column(0)
                .as_primitive::<Int32Type>()
                .values()
                .to_vec()
        });
        assert!(ids.eq(1..=20_000));
    }
}

#[tokio::test]
async fn a_session_goes_back_after_its_stream_ended_and_is_closed_when_it_was_left() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop("CREATE TABLE t (id int PRIMARY KEY) AS SELECT seq AS id FROM seq_1_to_200000")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let select = all_of(&table);
    let connection = "SELECT CONNECTION_ID()";

    let mut session = source.session().await.unwrap();
    let first = integer(&mut session, connection).await;
    let rows: Vec<RecordBatch> = session
        .rows(&table, &select, BatchLimits::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        rows.iter().map(RecordBatch::num_rows).sum::<usize>(),
        200_000
    );
    drop(session);

    let mut session = source.session().await.unwrap();
    assert_eq!(integer(&mut session, connection).await, first);
    assert!(
        session
            .rows(
                &table,
                &select,
                BatchLimits {
                    rows: 10,
                    bytes: 1000
                }
            )
            .try_next()
            .await
            .unwrap()
            .is_some()
    );
    drop(session);

    let mut session = source.session().await.unwrap();
    assert_ne!(integer(&mut session, connection).await, first);
    let deadline = Instant::now() + DEADLINE;
    let alive = format!("SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID = {first}");
    while admin.query_first::<u64, _>(&alive).await.unwrap() != Some(0) {
        assert!(
            Instant::now() < deadline,
            "the abandoned connection is still reading"
        );
    }
}

#[tokio::test]
async fn a_snapshot_shows_one_moment_until_it_ends() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop("CREATE TABLE t (id int PRIMARY KEY)")
        .await
        .unwrap();
    let source = database.source();
    let count = format!("SELECT count(*) FROM {}.t", database.name);
    let mut session = source.session().await.unwrap();
    session.begin_snapshot().await.unwrap();
    admin.query_drop("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(integer(&mut session, &count).await, 0);
    session.end_snapshot().await.unwrap();
    assert_eq!(integer(&mut session, &count).await, 1);
    admin.query_drop("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(integer(&mut session, &count).await, 2);
}

#[tokio::test]
async fn a_session_cannot_write_and_lives_in_utc() {
    let database = Database::new().await;
    database
        .admin()
        .await
        .query_drop("CREATE TABLE t (id int PRIMARY KEY)")
        .await
        .unwrap();
    let mut session = database.source().session().await.unwrap();
    let write = Select {
        sql: format!("INSERT INTO {}.t VALUES (1)", database.name),
        params: Vec::new(),
    };
    assert!(
        session
            .integer(&write)
            .await
            .unwrap_err()
            .to_string()
            .contains("READ ONLY")
    );
    let here = jiff::Timestamp::now().as_microsecond();
    assert!((session.server_time().await.unwrap() - here).abs() < 60_000_000);
}
