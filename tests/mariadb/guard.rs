//! Guards: no row appears behind what they gave.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cdc::model::GuardClass;
use cdc::source::{Evidence, Guard, Select};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use crate::database::{DEADLINE, Database, OPTIONS};

/// Guards of several sources read one server's INNODB_TRX; run side by side they would keep it from being renewed.
static ONE_HORIZON: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn holders(guard: &mut Box<dyn Guard>) -> BTreeSet<String> {
    match guard.evidence(&[(1, 1)]).await.unwrap() {
        Evidence::Writers { holders, .. } => holders,
        Evidence::Probe { .. } => panic!("the account has PROCESS, class {:?}", guard.class()),
    }
}

/// The id of the transaction `conn` has open.
async fn own_transaction(conn: &mut Conn) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let sql = "SELECT CAST(trx_id AS CHAR) FROM information_schema.INNODB_TRX \
                   WHERE trx_mysql_thread_id = CONNECTION_ID() AND trx_id > 0";
        if let Some(id) = conn.query_first(sql).await.unwrap() {
            return id;
        }
        assert!(
            Instant::now() < deadline,
            "the list of transactions was never renewed"
        );
        conn.query_drop("DO sleep(0.15)").await.unwrap();
    }
}

#[tokio::test]
async fn a_transaction_that_drew_a_lower_id_stays_in_evidence_until_it_ends() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let (mut early, mut late) = (database.admin().await, database.admin().await);
    early
        .query_drop("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, n int)")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "id", OPTIONS).await.unwrap();

    early.query_drop("START TRANSACTION").await.unwrap();
    early
        .query_drop("INSERT INTO t (n) VALUES (1)")
        .await
        .unwrap();
    late.query_drop("INSERT INTO t (n) VALUES (2)")
        .await
        .unwrap();
    let transaction = own_transaction(&mut early).await;
    for _ in 0..3 {
        assert!(holders(&mut guard).await.contains(&transaction));
    }
    assert_eq!(guard.class(), GuardClass::Proven);
    early.query_drop("COMMIT").await.unwrap();
    assert!(!holders(&mut guard).await.contains(&transaction));
}

#[tokio::test]
async fn a_prepared_transaction_stays_in_evidence_after_its_connection_is_gone() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let (mut writer, mut other) = (database.admin().await, database.admin().await);
    writer
        .query_drop("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, n int)")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "id", OPTIONS).await.unwrap();
    let xid = format!("'{}'", database.name);
    writer.query_drop(format!("XA START {xid}")).await.unwrap();
    writer
        .query_drop("INSERT INTO t (n) VALUES (1)")
        .await
        .unwrap();
    let transaction = own_transaction(&mut writer).await;
    writer.query_drop(format!("XA END {xid}")).await.unwrap();
    writer
        .query_drop(format!("XA PREPARE {xid}"))
        .await
        .unwrap();
    writer.disconnect().await.unwrap();
    assert!(holders(&mut guard).await.contains(&transaction));
    let deadline = Instant::now() + DEADLINE;
    // The server detaches it only when it has noticed that the connection ended.
    while other.query_drop(format!("XA COMMIT {xid}")).await.is_err() {
        assert!(Instant::now() < deadline);
    }
    assert!(!holders(&mut guard).await.contains(&transaction));
}

/// What was visible below a bound, right after the guard gave it.
struct Promise {
    bound: i64,
    ids: BTreeSet<u64>,
}

async fn visible_below(conn: &mut Conn, bound: i64) -> BTreeSet<u64> {
    let sql = "SELECT id FROM t WHERE made < FROM_UNIXTIME(CAST(? AS DECIMAL(20, 6)))";
    let seconds = format!(
        "{}.{:06}",
        bound.div_euclid(1_000_000),
        bound.rem_euclid(1_000_000)
    );
    conn.exec(sql, (seconds,))
        .await
        .unwrap()
        .into_iter()
        .collect()
}

/// Asks the guard until `done`, and gives every bound with what was visible below it.
async fn promises(
    guard: &mut Box<dyn Guard>,
    reader: &mut Conn,
    done: impl Fn() -> bool,
) -> Vec<Promise> {
    let mut promises = Vec::new();
    while !done() {
        if let Some(bound) = guard.safe_bound().await.unwrap() {
            assert!(
                promises
                    .last()
                    .is_none_or(|last: &Promise| last.bound <= bound.at),
                "the bound went back"
            );
            promises.push(Promise {
                bound: bound.at,
                ids: visible_below(reader, bound.at).await,
            });
        }
        assert_eq!(guard.class(), GuardClass::Proven);
    }
    promises
}

async fn all_are_kept(promises: &[Promise], reader: &mut Conn) {
    for promise in promises {
        assert_eq!(
            visible_below(reader, promise.bound).await,
            promise.ids,
            "a row appeared below a safe bound"
        );
    }
}

const TIMED: &str = "CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, \
     made timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6), n int)";

#[tokio::test]
async fn the_safe_bound_does_not_pass_a_row_of_an_open_transaction() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let (mut writer, mut reader) = (database.admin().await, database.admin().await);
    writer.query_drop(TIMED).await.unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();

    writer.query_drop("START TRANSACTION").await.unwrap();
    writer
        .query_drop("INSERT INTO t (n) VALUES (1)")
        .await
        .unwrap();
    let made: String = writer
        .query_first("SELECT UNIX_TIMESTAMP(made) FROM t")
        .await
        .unwrap()
        .unwrap();
    let made: i64 = made.replace('.', "").parse().unwrap();
    for _ in 0..5 {
        assert!(
            guard
                .safe_bound()
                .await
                .unwrap()
                .is_none_or(|bound| bound.at <= made)
        );
    }
    writer.query_drop("COMMIT").await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while guard
        .safe_bound()
        .await
        .unwrap()
        .is_none_or(|bound| bound.at <= made)
    {
        assert!(Instant::now() < deadline, "the bound never passed the row");
    }
    assert_eq!(visible_below(&mut reader, made + 1).await.len(), 1);
}

#[tokio::test]
async fn the_safe_bound_does_not_pass_a_statement_that_has_not_written_yet() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let (mut writer, mut reader) = (database.admin().await, database.admin().await);
    writer.query_drop(TIMED).await.unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();
    let writing = tokio::spawn(async move {
        writer
            .query_drop("INSERT INTO t (n) VALUES (sleep(2) + 1)")
            .await
            .unwrap()
    });
    let promises = promises(&mut guard, &mut reader, || writing.is_finished()).await;
    writing.await.unwrap();
    all_are_kept(&promises, &mut reader).await;
    assert_eq!(
        reader
            .query_first::<u64, _>("SELECT count(*) FROM t")
            .await
            .unwrap(),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_appears_below_a_safe_bound_while_writers_come_and_go() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let mut reader = database.admin().await;
    reader.query_drop(TIMED).await.unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();

    let end = Instant::now() + Duration::from_secs(5);
    let mut writers = Vec::new();
    for kind in 0..4_u32 {
        let mut conn = database.admin().await;
        writers.push(tokio::spawn(async move {
            let statements: &[&str] = match kind {
                0 => &["INSERT INTO t (n) VALUES (0)"],
                1 => &[
                    "START TRANSACTION",
                    "INSERT INTO t (n) VALUES (sleep(0.2) + 1)",
                    "DO sleep(0.5)",
                    "COMMIT",
                ],
                2 => &[
                    "INSERT INTO t (n) VALUES (sleep(0.4)), (2)",
                    "INSERT INTO t (n) SELECT sleep(0.2)",
                ],
                _ => &[
                    "START TRANSACTION",
                    "DO sleep(0.1)",
                    "UPDATE t SET n = n + 10 ORDER BY id DESC LIMIT 1",
                    "DO sleep(0.05)",
                    "COMMIT",
                ],
            };
            while Instant::now() < end {
                for statement in statements {
                    // A deadlock's victim is rolled back and goes on.
                    if conn.query_drop(*statement).await.is_err() {
                        break;
                    }
                }
            }
        }));
    }
    let mut promised = Vec::new();
    while Instant::now() < end {
        if let Some(bound) = guard.safe_bound().await.unwrap() {
            // An update moves a row up: what counts is that none comes to lie below the bound.
            promised.push(Promise {
                bound: bound.at,
                ids: visible_below(&mut reader, bound.at).await,
            });
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(
        promised
            .windows(2)
            .any(|pair| pair[0].bound < pair[1].bound),
        "the bound advances under load"
    );
    for promise in &promised {
        let now = visible_below(&mut reader, promise.bound).await;
        assert!(
            now.is_subset(&promise.ids),
            "{:?} appeared below a safe bound",
            now.difference(&promise.ids)
        );
    }
}

#[tokio::test]
async fn a_long_read_of_our_own_does_not_hold_the_bound_back() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    database.admin().await.query_drop(TIMED).await.unwrap();
    let source = database
        .source_of_account(&["SELECT ON {db}.t", "PROCESS ON *.*"])
        .await;
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();
    let mut session = source.session().await.unwrap();
    session.begin_snapshot().await.unwrap();
    let slow = Select {
        sql: "SELECT sleep(20)".into(),
        params: Vec::new(),
    };
    let reading = tokio::spawn(async move { session.integer(&slow).await });
    let began = jiff::Timestamp::now().as_microsecond();
    let deadline = Instant::now() + Duration::from_secs(15);
    while guard
        .safe_bound()
        .await
        .unwrap()
        .is_none_or(|bound| bound.at < began + 2_000_000)
    {
        assert!(
            Instant::now() < deadline && !reading.is_finished(),
            "the bound waits for our own read"
        );
    }
    reading.abort();
}

#[tokio::test]
async fn without_the_process_privilege_ids_are_probed_and_the_class_is_assumed() {
    let database = Database::new().await;
    let (mut early, mut late) = (database.admin().await, database.admin().await);
    early
        .query_drop("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, n int)")
        .await
        .unwrap();
    let source = database.source_of_account(&["SELECT ON {db}.t"]).await;
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "id", OPTIONS).await.unwrap();
    early.query_drop("START TRANSACTION").await.unwrap();
    // One statement draws three ids; a second transaction takes the fourth.
    early
        .query_drop("INSERT INTO t (n) VALUES (1), (2), (3)")
        .await
        .unwrap();
    late.query_drop("INSERT INTO t (n) VALUES (4)")
        .await
        .unwrap();

    let grace = Duration::from_secs(60);
    let gaps = [(1, 3), (100, 200)];
    assert_eq!(
        guard.evidence(&gaps).await.unwrap(),
        Evidence::Probe {
            held: vec![(1, 3)],
            grace
        }
    );
    assert!(matches!(guard.class(), GuardClass::Assumed(why) if why.contains("GRANT PROCESS")));
    early.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(
        guard.evidence(&gaps).await.unwrap(),
        Evidence::Probe {
            held: vec![],
            grace
        }
    );
}

#[tokio::test]
async fn without_the_process_privilege_a_moment_is_past_after_the_lookback() {
    let database = Database::new().await;
    database.admin().await.query_drop(TIMED).await.unwrap();
    let source = database.source_of_account(&["SELECT ON {db}.t"]).await;
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "made", OPTIONS).await.unwrap();
    let now = source.session().await.unwrap().server_time().await.unwrap();
    let bound = guard.safe_bound().await.unwrap().unwrap();
    assert!((bound.at - (now - 600_000_000)).abs() < 60_000_000);
    assert_eq!(
        guard.class(),
        GuardClass::Assumed("no transaction stays open for longer than 10 min; `GRANT PROCESS ON *.*` to the account proves it".into())
    );
}

#[tokio::test]
async fn a_list_of_transactions_that_is_never_renewed_is_not_believed() {
    let _alone = ONE_HORIZON.lock().await;
    let database = Database::new().await;
    let mut writer = database.admin().await;
    writer
        .query_drop("CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, n int)")
        .await
        .unwrap();
    let source = database.source();
    let table = source.describe(&database.table("t")).await.unwrap();
    let mut guard = source.guard(&table, "id", OPTIONS).await.unwrap();
    let mut monitor = database.admin().await;
    let monitoring = tokio::spawn(async move {
        loop {
            let _: Vec<Row> = monitor
                .query("SELECT * FROM information_schema.INNODB_TRX")
                .await
                .unwrap();
        }
    });
    writer.query_drop("START TRANSACTION").await.unwrap();
    writer
        .query_drop("INSERT INTO t (n) VALUES (1)")
        .await
        .unwrap();
    let grace = Duration::from_secs(60);
    assert_eq!(
        guard.evidence(&[(1, 1)]).await.unwrap(),
        Evidence::Probe {
            held: vec![(1, 1)],
            grace
        }
    );
    assert!(matches!(guard.class(), GuardClass::Assumed(why) if why.contains("INNODB_TRX")));
    monitoring.abort();
}
