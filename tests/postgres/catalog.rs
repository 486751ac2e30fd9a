//! What is found out about tables, and what is said when they cannot be read.

use cdc::config::DatabaseUrl;
use cdc::error::Kind;
use cdc::model::{TableName, TopicName};
use cdc::source::{Chosen, RelationKind, readable_of};

use crate::shop::{Shop, open, read, refusal, table};

#[tokio::test]
async fn a_table_is_described_with_key_candidates_indexes_and_identity() {
    let shop = Shop::open().await;
    shop.run(
        "CREATE TABLE orders (
            order_id bigint GENERATED ALWAYS AS IDENTITY, shop_id int NOT NULL, total numeric(12,2),
            created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz(3) NOT NULL DEFAULT now(),
            \"odd\"\"name\" text, PRIMARY KEY (shop_id, order_id));
         CREATE INDEX ON orders (updated_at, order_id); CREATE INDEX ON orders (created_at) WHERE total > 0;
         ALTER TABLE orders DROP COLUMN total",
    )
    .await;
    let described = shop.source().describe(&table("orders")).await.unwrap();
    let names: Vec<_> = described
        .schema
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.source_type.as_str(), c.nullable))
        .collect();
    assert_eq!(
        names,
        [
            ("order_id", "bigint", false),
            ("shop_id", "integer", false),
            ("created_at", "timestamp with time zone", false),
            ("updated_at", "timestamp(3) with time zone", false),
            ("odd\"name", "text", true),
        ]
    );
    assert_eq!(described.schema.key, [1, 0]);
    assert_eq!(described.selects.last().unwrap(), "\"odd\"\"name\"");
    assert_eq!(described.incrementing_candidates, ["order_id"]);
    assert_eq!(described.timestamp_candidates, ["updated_at"]);
    assert_eq!(described.timestamp_precision["updated_at"], 3);
    assert_eq!(described.timestamp_precision["created_at"], 6);
    assert_eq!(
        described.indexed.iter().collect::<Vec<_>>(),
        ["shop_id", "updated_at"]
    );
    assert_eq!(described.identity["database"], shop.url.database);
    assert_eq!(described.identity["timeline"], "00000001");
    assert!(
        described.identity["system"].parse::<u64>().is_ok()
            && described.identity["relation"].parse::<u32>().is_ok()
    );
    assert_eq!(described.notes, Vec::<String>::new());
}

#[tokio::test]
async fn tables_are_listed_once_and_partitions_are_not() {
    let shop = Shop::open().await;
    shop.run(
        "CREATE TABLE sales (id int) PARTITION BY RANGE (id); CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM (1) TO (9);
         CREATE VIEW v AS SELECT 1 AS n; CREATE SCHEMA archive; CREATE TABLE archive.old (id int)",
    )
    .await;
    let listed = shop.source().list().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|l| (l.name.short(), l.kind)).collect();
    let expected = [
        ("archive.old", RelationKind::Table),
        ("sales", RelationKind::Table),
        ("v", RelationKind::View),
    ];
    assert_eq!(listed, expected.map(|(name, kind)| (name.to_owned(), kind)));
}

#[tokio::test]
async fn refusals_say_what_is_wrong_and_what_to_do() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE secret (id int); CREATE SCHEMA closed; CREATE TABLE closed.t (id int)")
        .await;
    let role = shop.role().await;

    let error = refusal(shop.source_as("postgres", "wrong").list().await);
    assert_eq!(error.kind(), Kind::Permission);
    assert!(
        error.next_step().unwrap().contains("wrong credentials"),
        "{error:?}"
    );

    let error = refusal(
        open(DatabaseUrl {
            database: "no_such".into(),
            ..shop.url.clone()
        })
        .list()
        .await,
    );
    assert_eq!(error.kind(), Kind::Config, "{error:?}");

    let error = refusal(
        open(DatabaseUrl {
            port: 1,
            ..shop.url.clone()
        })
        .list()
        .await,
    );
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error:?}");

    let error = refusal(shop.source().describe(&table("nothing")).await);
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().starts_with("ec.nothing: "), "{error}");

    let reader = shop.source_as(&role, "secret");
    let error = refusal(reader.describe(&table("secret")).await);
    assert_eq!(error.kind(), Kind::Permission);
    assert_eq!(
        error.next_step().unwrap(),
        format!("GRANT SELECT ON \"public\".\"secret\" TO \"{role}\"")
    );

    let closed = TableName {
        schema: "closed".into(),
        in_default_schema: false,
        ..table("t")
    };
    let error = refusal(reader.describe(&closed).await);
    assert_eq!(
        error.next_step().unwrap(),
        format!("GRANT USAGE ON SCHEMA \"closed\" TO \"{role}\"")
    );
    shop.run(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn row_security_is_an_error_and_never_a_filter() {
    let shop = Shop::open().await;
    let role = shop.role().await;
    shop.run(&format!(
        "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2); GRANT SELECT ON t TO {role};
         CREATE POLICY one ON t USING (id = 1); ALTER TABLE t ENABLE ROW LEVEL SECURITY"
    ))
    .await;
    let reader = shop.source_as(&role, "secret");
    let described = reader.describe(&table("t")).await.unwrap();
    assert!(
        described.notes[0].contains("row security"),
        "{:?}",
        described.notes
    );
    assert_eq!(
        refusal(read(&reader, &described, "").await).kind(),
        Kind::Permission
    );
    drop(reader);
    shop.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn a_table_that_changed_since_it_was_described_is_an_error_and_never_misread() {
    let shop = Shop::open().await;
    shop.run("CREATE TABLE t (id int, gone int); INSERT INTO t VALUES (1, 2)")
        .await;
    let source = shop.source();
    let described = source.describe(&table("t")).await.unwrap();
    shop.run("ALTER TABLE t ALTER id TYPE bigint").await;
    assert_eq!(
        refusal(read(&source, &described, "").await).kind(),
        Kind::Config
    );
    shop.run("ALTER TABLE t DROP gone").await;
    assert_eq!(
        refusal(read(&source, &described, "").await).kind(),
        Kind::Config
    );
}

#[tokio::test]
async fn columns_without_a_grant_are_told_and_can_be_left_out() {
    let shop = Shop::open().await;
    let role = shop.role().await;
    shop.run(&format!(
        "CREATE TABLE t (id bigserial PRIMARY KEY, note text, card_token text);
         INSERT INTO t (note, card_token) VALUES ('a', 'secret'); GRANT SELECT (id, note) ON t TO {role}"
    ))
    .await;
    let source = shop.source_as(&role, "secret");
    let error = refusal(source.describe(&table("t")).await);
    assert_eq!(error.kind(), Kind::Permission);
    let said = error.next_step().unwrap_or_default();
    assert!(
        said.ends_with("leave it out: `columns: { drop: [card_token] }`"),
        "{said}"
    );

    let chosen = chosen(
        "t: { mode: bulk, columns: { drop: [card_token] } }",
        &table("t"),
    );
    let zone = jiff::tz::TimeZone::UTC;
    let readable = readable_of(source.as_ref(), &chosen, &zone).await.unwrap();
    assert_eq!(readable.table.left_out, ["card_token"]);
    let mut session = source.session().await.unwrap();
    let counted = session.integer(&readable.statements.count()).await.unwrap();
    assert_eq!(counted, Some(1));
    let rows = read(&source, &readable.table, "").await.unwrap();
    assert_eq!(rows[0].num_columns(), 2);
}

/// A table as a configuration's entry means it.
fn chosen(entry: &str, name: &TableName) -> Chosen {
    let yaml = format!(
        "kafka: {{ brokers: b }}\nlake: {{ url: ./lake }}\nsources: {{ ec: {{ url: \"postgres://u@localhost/d\", tables: {{ {entry} }} }} }}"
    );
    let settings = cdc::config::parse(&yaml, "test").unwrap();
    Chosen {
        name: name.clone(),
        settings: settings.sources[0].tables[0].clone(),
        topic: TopicName::new("t").unwrap(),
    }
}
