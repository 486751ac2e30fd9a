//! Topics that take no rows: their table stops or waits, alone, and goes on by itself.

use std::time::Duration;

use crate::harness::grants::{self, Acl};
use crate::harness::{
    Database, Engine, Line, Pipeline, Record, Row, Table, agree, brokers, plain_records, setting,
    within,
};

/// How late the other tables may be.
const FRESH: Duration = Duration::from_secs(15);
const OTHERS: [&str; 2] = ["items", "shops"];

/// Three tables; `orders` is the one that is refused.
async fn three(on_orders: &str) -> (Database, Pipeline) {
    let database = Database::with_table(Engine::Postgres).await;
    database.insert("orders", 10).await;
    for table in OTHERS {
        database.create(table).await;
        database.insert(table, 10).await;
    }
    let mode = "mode: incrementing, incrementing: id";
    let tables =
        format!("orders: {{ {mode}{on_orders} }}, items: {{ {mode} }}, shops: {{ {mode} }}");
    let pipeline = Pipeline::new().source(&database, &tables);
    (database, pipeline)
}

fn user() -> String {
    setting("KAFKA_SASL_USER")
}

fn may_write(topic: &str) -> Acl {
    Acl::on_topic(topic, &["Write"])
}

/// Allows everything but to write into tables' topics, and that for some of them.
fn allow(pipeline: &Pipeline, topics: &[&str]) {
    let prefix = pipeline.topic_prefix();
    let mut acls = grants::acls(&pipeline.name, &prefix);
    for acl in acls.iter_mut().filter(|acl| acl.name == prefix) {
        acl.operations.retain(|operation| operation != "Write");
    }
    acls.extend(
        topics
            .iter()
            .map(|topic| may_write(&format!("{prefix}{topic}"))),
    );
    grants::allow(&user(), &acls);
}

/// Rows of the others arrive as if nothing were.
async fn others_stay_fresh(database: &Database, pipeline: &Pipeline) {
    for round in 0..3 {
        for table in OTHERS {
            database.insert(table, 10).await;
        }
        for name in OTHERS {
            let what = format!("round {round}: `{name}` has what was committed");
            within(FRESH, &what, async || {
                let records = pipeline.records(Table { database, name });
                let rows: Vec<Row> = records.iter().map(Record::row).collect();
                agree(&database.holds(name).await, &rows)
            })
            .await;
        }
    }
}

/// `status` names the table, the reason and the line to type.
async fn is_refused(pipeline: &Pipeline, topic: &str) {
    let why = format!("topic `{topic}` may not be written");
    let shown = pipeline.is_shown("ec.orders", "failed", &[&why]).await;
    let next = shown["next"].as_str().unwrap_or_default();
    let line =
        format!("kafka-acls --add --allow-principal User:NAME --topic {topic} --operation Write");
    assert!(next.contains(&line), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_without_the_right_to_write_stops_its_table_alone_until_it_is_granted() {
    let (database, pipeline) = three("").await;
    let pipeline = pipeline.with_login();
    allow(&pipeline, &OTHERS);
    let orders = Table::of(&database);
    let topic = pipeline.topic(orders);
    let line = format!("--topic {topic} --operation Write");
    let once = pipeline.run(&["follow", "--once"]).await;
    once.expect(77, &["may not be written", &line]);
    let mut worker = pipeline.follow();

    is_refused(&pipeline, &topic).await;
    others_stay_fresh(&database, &pipeline).await;
    grants::allow(&user(), &[may_write(&topic)]);
    pipeline.topic_is_exact(orders).await;
    let none = ["\"error\":null"];
    pipeline.is_shown("ec.orders", "following", &none).await;

    // Taken away in the middle, it is found out by a transaction in which other tables are too.
    grants::take_away(&user(), &may_write(&topic));
    database.insert("orders", 10).await;
    others_stay_fresh(&database, &pipeline).await;
    is_refused(&pipeline, &topic).await;
    others_stay_fresh(&database, &pipeline).await;
    grants::allow(&user(), &[may_write(&topic)]);
    pipeline.topic_is_exact(orders).await;
    pipeline.is_shown("ec.orders", "following", &none).await;
    pipeline.lake_is_exact(orders).await;
    assert!(worker.is_running());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_topic_without_the_right_to_write_stops_its_table_alone_until_it_is_granted() {
    let (database, pipeline) = three(", on_value: reject").await;
    let pipeline = pipeline.with_login();
    allow(&pipeline, &["orders", "items", "shops"]);
    let orders = Table::of(&database);
    let rejected = format!("{}.rejected", pipeline.topic(orders));
    let a_bad_one = "INSERT INTO orders (updated_at, note) VALUES ('infinity', 'x')";
    database.run(a_bad_one).await;
    let mut worker = pipeline.follow();

    is_refused(&pipeline, &rejected).await;
    others_stay_fresh(&database, &pipeline).await;
    grants::allow(&user(), &[may_write(&rejected)]);
    pipeline.topic_has(orders, 10).await;
    let none = ["\"error\":null"];
    pipeline.is_shown("ec.orders", "following", &none).await;
    assert_eq!(plain_records(&rejected).len(), 1);

    grants::take_away(&user(), &may_write(&rejected));
    database.run(a_bad_one).await;
    database.insert("orders", 10).await;
    is_refused(&pipeline, &rejected).await;
    others_stay_fresh(&database, &pipeline).await;
    grants::allow(&user(), &[may_write(&rejected)]);
    pipeline.topic_has(orders, 20).await;
    pipeline.is_shown("ec.orders", "following", &none).await;
    assert_eq!(plain_records(&rejected).len(), 2);
    assert!(worker.is_running());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_whose_rows_get_no_answer_holds_up_its_table_and_lets_the_others_through() {
    let (database, pipeline) = three("").await;
    let line = Line::to_broker(&brokers()).await;
    let pipeline = pipeline.by_way_of(&brokers(), &line.address());
    let orders = Table::of(&database);
    let mut worker = pipeline.follow();
    pipeline.topic_is_exact(orders).await;

    line.swallow(Some(&pipeline.topic(orders)));
    for table in ["orders", "items", "shops"] {
        database.insert(table, 10).await;
    }
    let why = ["writing to topic", "no answer within"];
    pipeline.is_shown("ec.orders", "waiting", &why).await;
    for name in OTHERS {
        database.insert(name, 10).await;
        let database = &database;
        pipeline.topic_is_exact(Table { database, name }).await;
    }
    line.swallow(None);
    pipeline.topic_is_exact(orders).await;
    pipeline
        .is_shown("ec.orders", "following", &["\"error\":null"])
        .await;
    pipeline.lake_is_exact(orders).await;
    assert!(worker.is_running());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_topic_that_may_not_be_written_any_more_ends_the_worker_with_the_grant_it_needs() {
    let (database, pipeline) = three("").await;
    let pipeline = pipeline.with_login();
    let state = pipeline.names().state_topic;
    let acls = grants::acls(&pipeline.name, &pipeline.topic_prefix());
    grants::allow(&user(), &acls);
    let worker = pipeline.follow();
    pipeline.topic_is_exact(Table::of(&database)).await;

    grants::take_away(&user(), &may_write(&state));
    database.insert("orders", 10).await;
    let line = format!("--topic {state} --operation Write");
    worker.finish().await.expect(77, &[&line]);
}
