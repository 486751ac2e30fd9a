//! What the guards prove, and when they say that they cannot.

use std::time::Instant;

use cdc::error::Kind;
use cdc::model::GuardClass;
use cdc::source::{Evidence, Guard};

use crate::shop::{DEADLINE, OPTIONS, Shop, table};

async fn holders(guard: &mut Box<dyn Guard>) -> (Vec<String>, Vec<String>) {
    match guard.evidence(&[]).await.unwrap() {
        Evidence::Writers {
            holders, joins_all, ..
        } => (
            holders.into_iter().collect(),
            joins_all.into_iter().collect(),
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_transaction_that_holds_a_lower_id_is_in_evidence_until_it_ends() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE sales (id bigserial, n int) PARTITION BY RANGE (n); CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM (0) TO (9)").await;
    let source = shop.source();
    let described = source.describe(&table("sales")).await.unwrap();
    let mut guard = source.guard(&described, "id", OPTIONS).await.unwrap();
    assert_eq!(guard.class(), GuardClass::Proven);
    assert_eq!(holders(&mut guard).await.0.len(), 0);

    let writer = shop.another().await;
    writer.batch_execute("BEGIN; SELECT 1").await.unwrap();
    assert_eq!(holders(&mut guard).await.0.len(), 0);
    // Written to the partition itself, which locks nothing above it.
    writer
        .batch_execute("INSERT INTO sales_1 VALUES (1, 1)")
        .await
        .unwrap();
    shop.run("INSERT INTO sales (n) VALUES (2)").await;
    let held = holders(&mut guard).await.0;
    assert_eq!(held.len(), 1);
    assert_eq!(holders(&mut guard).await.0, held);
    writer.batch_execute("COMMIT").await.unwrap();
    assert_eq!(holders(&mut guard).await.0.len(), 0);
}

#[tokio::test]
async fn a_prepared_transaction_joins_every_ticket_and_holds_the_bound() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (id bigserial PRIMARY KEY, updated_at timestamptz DEFAULT now())")
        .await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    let mut ids = source.guard(&described, "id", OPTIONS).await.unwrap();
    let mut times = source
        .guard(&described, "updated_at", OPTIONS)
        .await
        .unwrap();
    let before = times.safe_bound().await.unwrap().unwrap().at;

    let name = &shop.url.database;
    shop.another()
        .await
        .batch_execute(&format!(
            "BEGIN; INSERT INTO t DEFAULT VALUES; PREPARE TRANSACTION '{name}'"
        ))
        .await
        .unwrap();
    let (held, joins_all) = holders(&mut ids).await;
    assert_eq!((held.len(), &held), (1, &joins_all));
    assert_eq!(times.safe_bound().await.unwrap().unwrap().at, before);
    let mut late = source
        .guard(&described, "updated_at", OPTIONS)
        .await
        .unwrap();
    assert_eq!(late.safe_bound().await.unwrap(), None);

    shop.run(&format!("COMMIT PREPARED '{name}'")).await;
    assert_eq!(holders(&mut ids).await.0.len(), 0);
    assert!(times.safe_bound().await.unwrap().unwrap().at > before);
    assert!(late.safe_bound().await.unwrap().is_some());
}

#[tokio::test]
async fn the_bound_does_not_pass_the_start_of_an_open_transaction_that_has_written_nothing_yet() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (id bigserial PRIMARY KEY, updated_at timestamptz DEFAULT now())")
        .await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    let mut guard = source
        .guard(&described, "updated_at", OPTIONS)
        .await
        .unwrap();
    assert_eq!(guard.class(), GuardClass::Proven);

    let writer = shop.another().await;
    writer.batch_execute("BEGIN").await.unwrap();
    let start: String = writer
        .query_one(
            "SELECT (extract(epoch FROM now()) * 1000000)::int8::text",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let start: i64 = start.parse().unwrap();
    // The clock must pass the margin, or the bound would stay below the start for that reason alone.
    let past_the_margin = format!(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000 > {})::text",
        start + 500_000
    );
    while shop.text(&past_the_margin).await.unwrap() != "true" {}
    assert!(guard.safe_bound().await.unwrap().unwrap().at < start);
    writer
        .batch_execute("INSERT INTO t DEFAULT VALUES; COMMIT")
        .await
        .unwrap();
    assert!(guard.safe_bound().await.unwrap().unwrap().at > start);
}

#[tokio::test]
async fn our_own_long_snapshot_does_not_hold_the_bound() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (updated_at timestamptz)").await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    let mut guard = source
        .guard(&described, "updated_at", OPTIONS)
        .await
        .unwrap();
    let mut session = source.session().await.unwrap();
    session.begin_snapshot().await.unwrap();
    let start = session.server_time().await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while guard.safe_bound().await.unwrap().unwrap().at <= start {
        assert!(Instant::now() < deadline, "the bound stands still");
    }
}

#[tokio::test]
async fn without_the_right_to_see_all_sessions_the_bound_is_assumed() {
    let shop = Shop::open().await;
    let role = shop.role().await;
    shop.run(&format!(
        "CREATE TABLE t (updated_at timestamptz); GRANT SELECT ON t TO {role}"
    ))
    .await;
    let source = shop.source_as(&role, "secret");
    let described = source.describe(&table("t")).await.unwrap();
    let mut guard = source
        .guard(&described, "updated_at", OPTIONS)
        .await
        .unwrap();
    let GuardClass::Assumed(why) = guard.class() else {
        panic!("{}", guard.class())
    };
    assert_eq!(
        why,
        format!(
            "no transaction stays open for longer than 10 min; not all sessions can be seen: GRANT pg_read_all_stats TO \"{role}\""
        )
    );
    let assumed = guard.safe_bound().await.unwrap().unwrap().at;

    shop.run(&format!("GRANT pg_read_all_stats TO {role}"))
        .await;
    let proven = guard.safe_bound().await.unwrap().unwrap().at;
    assert_eq!(guard.class(), GuardClass::Proven);
    assert!(proven > assumed + 500_000_000);

    shop.run(&format!("REVOKE pg_read_all_stats FROM {role}"))
        .await;
    assert_eq!(guard.safe_bound().await.unwrap().unwrap().at, proven);
    assert!(matches!(guard.class(), GuardClass::Assumed(_)));
    drop((guard, source));
    shop.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn sequences_that_hand_out_numbers_out_of_order_are_unsafe() {
    let shop = Shop::open().await;
    shop.run(
        "CREATE TABLE cached (id bigserial PRIMARY KEY); ALTER SEQUENCE cached_id_seq CACHE 20;
         CREATE SEQUENCE down INCREMENT -1; CREATE TABLE falling (id bigint DEFAULT nextval('down') PRIMARY KEY);
         CREATE TABLE given (id bigint PRIMARY KEY)",
    )
    .await;
    let source = shop.source();
    let class = async |name: &str| {
        let described = source.describe(&table(name)).await.unwrap();
        source
            .guard(&described, "id", OPTIONS)
            .await
            .unwrap()
            .class()
    };
    assert!(
        matches!(class("cached").await, GuardClass::Unsafe(why) if why.contains("20 numbers at a time"))
    );
    assert!(
        matches!(class("falling").await, GuardClass::Unsafe(why) if why.contains("counts down"))
    );
    assert!(matches!(class("given").await, GuardClass::Assumed(_)));
}

#[tokio::test]
async fn a_guard_of_a_dropped_table_proves_nothing() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (id bigserial)").await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    let mut guard = source.guard(&described, "id", OPTIONS).await.unwrap();
    shop.run("DROP TABLE t; CREATE TABLE t (id bigserial)")
        .await;
    assert_eq!(guard.evidence(&[]).await.unwrap_err().kind(), Kind::Config);
}

#[tokio::test]
async fn what_is_below_a_view_is_never_taken_for_proof() {
    let shop = Shop::open().await;
    shop.run(
        "CREATE TABLE t (id bigserial, updated_at timestamptz DEFAULT now());
         CREATE VIEW v AS SELECT * FROM t; CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
    )
    .await;
    let source = shop.source();
    let view = source.describe(&table("v")).await.unwrap();
    let mut ids = source.guard(&view, "id", OPTIONS).await.unwrap();
    assert!(matches!(ids.class(), GuardClass::Unsafe(why) if why.contains("a view")));
    let probe = Evidence::Probe {
        held: Vec::new(),
        grace: OPTIONS.lookback,
    };
    assert_eq!(ids.evidence(&[(1, 9)]).await.unwrap(), probe);
    let mut times = source.guard(&view, "updated_at", OPTIONS).await.unwrap();
    let now = source.session().await.unwrap().server_time().await.unwrap();
    assert!(times.safe_bound().await.unwrap().unwrap().at < now - 500_000_000);
    let stored = source.describe(&table("m")).await.unwrap();
    assert!(matches!(
        source.guard(&stored, "id", OPTIONS).await.unwrap().class(),
        GuardClass::Unsafe(_)
    ));
}
