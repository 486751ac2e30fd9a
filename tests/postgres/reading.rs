//! Sessions: rows as batches, single numbers, snapshots, and what becomes of the connection.

use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use cdc::model::{BatchLimits, ColumnType};
use cdc::source::{Param, Select};
use futures_util::TryStreamExt;

use crate::shop::{DEADLINE, Shop, refusal, select, table};

#[tokio::test]
async fn a_large_table_comes_in_batches_of_bounded_size_and_in_order() {
    let shop = Shop::open().await;
    // 100 MB, where a batch may hold 1 MiB.
    shop.run("CREATE TABLE t AS SELECT i::int8 AS id, repeat(md5(i::text), 31) AS pad FROM generate_series(1, 100000) i").await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    let select = select(&described, "ORDER BY id");
    let mut session = source.session().await.unwrap();
    let limits = BatchLimits {
        rows: 10_000,
        bytes: 1 << 20,
    };
    let mut batches = session.rows(&described, &select, limits);
    let (mut next, mut largest) = (1, 0);
    while let Some(batch) = batches.try_next().await.unwrap() {
        largest = largest.max(batch.get_array_memory_size());
        for id in batch.column(0).as_primitive::<Int64Type>().values() {
            assert_eq!(*id, next);
            next += 1;
        }
    }
    assert_eq!(next, 100_001);
    assert!(largest < 4 << 20, "a batch holds {largest} bytes");
}

#[tokio::test]
async fn parameters_are_bound_as_text_and_cast_by_the_statement() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (id int8, at timestamptz); INSERT INTO t VALUES (1, '2026-01-01Z'), (2, '2026-01-02Z'), (3, '2026-01-03Z')").await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    let mut select = select(
        &described,
        "WHERE id > $1::text::bigint AND at < 'epoch'::timestamptz + $2::text::bigint * interval '1 microsecond'",
    );
    let param = |column_type, value: &str| Param {
        column_type,
        value: value.into(),
    };
    select.params = vec![
        param(ColumnType::Int64, "1"),
        param(ColumnType::Timestamp { utc: true }, "1767398400000000"),
    ];
    let mut session = source.session().await.unwrap();
    let batches: Vec<_> = session
        .rows(&described, &select, BatchLimits::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        batches[0].column(0).as_primitive::<Int64Type>().values(),
        &[2]
    );
}

#[tokio::test]
async fn single_numbers_of_every_width_and_none_are_read() {
    let shop = Shop::open().await;
    let mut session = shop.source().session().await.unwrap();
    for (sql, number) in [
        ("SELECT count(*) FROM (SELECT) one", Some(1)),
        ("SELECT max(id) FROM (SELECT 1 WHERE false) none(id)", None),
        ("SELECT 1 WHERE false", None),
        ("SELECT -7::smallint", Some(-7)),
        (
            "SELECT 99999999999999999999::numeric",
            Some(99_999_999_999_999_999_999),
        ),
    ] {
        let select = Select {
            sql: sql.into(),
            params: Vec::new(),
        };
        assert_eq!(session.integer(&select).await.unwrap(), number, "{sql}");
    }
    let server: i64 = shop
        .text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8::text")
        .await
        .unwrap()
        .parse()
        .unwrap();
    assert!((session.server_time().await.unwrap() - server).abs() < 60_000_000);
}

#[tokio::test]
async fn a_snapshot_shows_the_table_as_it_was_when_it_was_opened() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
        .await;
    let mut session = shop.source().session().await.unwrap();
    let count = Select {
        sql: "SELECT count(*) FROM public.t".into(),
        params: Vec::new(),
    };
    session.begin_snapshot().await.unwrap();
    shop.run("INSERT INTO t VALUES (2)").await;
    assert_eq!(session.integer(&count).await.unwrap(), Some(1));
    session.end_snapshot().await.unwrap();
    assert_eq!(session.integer(&count).await.unwrap(), Some(2));
}

#[tokio::test]
async fn nothing_can_be_written() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (id int)").await;
    let mut session = shop.source().session().await.unwrap();
    let select = Select {
        sql: "INSERT INTO public.t VALUES (1) RETURNING id".into(),
        params: Vec::new(),
    };
    assert!(
        refusal(session.integer(&select).await)
            .to_string()
            .contains("read-only")
    );
}

#[tokio::test]
async fn a_session_that_was_read_to_its_end_is_lent_again_and_another_is_closed() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (id int)").await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    let process = Select {
        sql: "SELECT pg_backend_pid()".into(),
        params: Vec::new(),
    };
    // Far more rows than could be read to the end before the deadline.
    let whole = Select {
        sql: "SELECT generate_series(1, 2000000000)".into(),
        params: Vec::new(),
    };
    let first = source
        .session()
        .await
        .unwrap()
        .integer(&process)
        .await
        .unwrap();

    let mut session = source.session().await.unwrap();
    assert_eq!(session.integer(&process).await.unwrap(), first);
    let limits = BatchLimits {
        rows: 10,
        bytes: usize::MAX,
    };
    assert_eq!(
        session
            .rows(&described, &whole, limits)
            .try_next()
            .await
            .unwrap()
            .unwrap()
            .num_rows(),
        10
    );
    drop(session);

    let mut session = source.session().await.unwrap();
    assert_ne!(session.integer(&process).await.unwrap(), first);
    let gone = format!(
        "SELECT count(*)::text FROM pg_stat_activity WHERE pid = {}",
        first.unwrap()
    );
    let started = Instant::now();
    while shop.text(&gone).await.unwrap() != "0" {
        assert!(
            started.elapsed() < DEADLINE,
            "the abandoned statement still runs"
        );
    }
}

#[tokio::test]
async fn no_more_sessions_than_allowed_exist_at_one_time() {
    let shop = Shop::open().await;
    let source = shop.source();
    let (first, _second) = (
        source.session().await.unwrap(),
        source.session().await.unwrap(),
    );
    let third = source.session();
    tokio::pin!(third);
    assert!(futures_util::poll!(&mut third).is_pending());
    drop(first);
    assert!(tokio::time::timeout(DEADLINE, third).await.unwrap().is_ok());
}
