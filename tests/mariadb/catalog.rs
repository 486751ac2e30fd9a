//! The catalog, and the messages when something stands in the way.

use cdc::config::{DatabaseUrl, Secret};
use cdc::error::Kind;
use cdc::model::{GuardClass, TopicName};
use cdc::source::{Chosen, RelationKind, readable_of};
use mysql_async::prelude::Queryable;

use crate::database::{Database, OPTIONS, failed, read, source};

#[tokio::test]
async fn a_table_is_described_with_its_key_cursors_and_peculiarities() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop(
            "CREATE TABLE sales (store int, sale_id bigint unsigned NOT NULL AUTO_INCREMENT, note json, \
             sold_at datetime, updated_at timestamp(3) NOT NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3), \
             PRIMARY KEY (store, sale_id), KEY by_id (sale_id), KEY by_time (updated_at, store))",
        )
        .await
        .unwrap();
    admin
        .query_drop("CREATE TABLE old (id int PRIMARY KEY, place point) ENGINE = MyISAM")
        .await
        .unwrap();
    admin
        .query_drop("CREATE VIEW recent AS SELECT sale_id, note FROM sales")
        .await
        .unwrap();
    let source = database.source();

    let listed = source.list().await.unwrap();
    let own: Vec<_> = listed
        .iter()
        .filter(|l| l.name.in_default_schema)
        .map(|l| (l.name.name.as_str(), l.kind))
        .collect();
    let (table, view) = (RelationKind::Table, RelationKind::View);
    assert_eq!(own, [("old", table), ("recent", view), ("sales", table)]);

    let sales = source.describe(&database.table("sales")).await.unwrap();
    let types: Vec<_> = sales
        .schema
        .columns
        .iter()
        .map(|c| (c.source_type.as_str(), c.nullable))
        .collect();
    assert_eq!(
        types,
        [
            ("int", false),
            ("bigint unsigned", false),
            ("json", true),
            ("datetime", true),
            ("timestamp(3)", false)
        ]
    );
    assert_eq!(sales.schema.key, [0, 1]);
    assert_eq!(sales.incrementing_candidates, ["sale_id"]);
    assert_eq!(sales.timestamp_candidates, ["updated_at"]);
    assert_eq!(
        sales
            .timestamp_precision
            .iter()
            .map(|(name, digits)| (name.as_str(), *digits))
            .collect::<Vec<_>>(),
        [("sold_at", 0), ("updated_at", 3)]
    );
    assert_eq!(
        sales.indexed.iter().collect::<Vec<_>>(),
        ["sale_id", "store", "updated_at"]
    );
    assert_eq!(sales.identity["database"], database.name);
    assert_eq!(
        sales.identity["server_id"],
        admin
            .query_first::<u64, _>("SELECT @@server_id")
            .await
            .unwrap()
            .unwrap()
            .to_string()
    );
    assert_eq!(sales.notes, [""; 0]);

    let old = source.describe(&database.table("old")).await.unwrap();
    assert_eq!(old.notes.len(), 2, "{:?}", old.notes);
    let guard = source.guard(&old, "id", OPTIONS).await.unwrap();
    assert!(matches!(guard.class(), GuardClass::Unsafe(why) if why.contains("MyISAM")));

    let recent = source.describe(&database.table("recent")).await.unwrap();
    assert_eq!(
        (recent.kind, recent.schema.columns[1].source_type.as_str()),
        (RelationKind::View, "longtext")
    );
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_with_what_to_do() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin.query_drop("CREATE TABLE t (id int PRIMARY KEY, name text); CREATE TABLE other (id int PRIMARY KEY)").await.unwrap();

    let wrong_password = source(DatabaseUrl {
        password: Secret::new("wr0ng"),
        ..database.url()
    });
    let error = failed(wrong_password.list().await);
    assert_eq!(error.kind(), Kind::Permission);
    assert!(!format!("{error:?}").contains("wr0ng"));

    let no_database = source(DatabaseUrl {
        database: "nowhere".into(),
        ..database.url()
    });
    let error = failed(no_database.session().await);
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("nowhere"), "{error}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let nobody = source(DatabaseUrl {
        port,
        ..database.url()
    });
    let error = failed(nobody.list().await);
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(
        error
            .to_string()
            .starts_with(&format!("mariadb at 127.0.0.1:{port}: connecting: ")),
        "{error}"
    );

    let error = failed(database.source().describe(&database.table("missing")).await);
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("missing"), "{error}");

    let narrow = database.source_of_account(&["SELECT ON {db}.t"]).await;
    assert!(narrow.describe(&database.table("t")).await.is_ok());
    let error = failed(narrow.describe(&database.table("other")).await);
    assert_eq!(error.kind(), Kind::Permission);
    let grant = format!(
        "GRANT SELECT ON `{}`.`other` TO `{}`@`%`",
        database.name,
        database.account()
    );
    assert_eq!(error.next_step(), Some(grant.as_str()));
}

#[tokio::test]
async fn columns_without_a_grant_are_told_and_can_be_left_out() {
    let database = Database::new().await;
    let mut admin = database.admin().await;
    admin
        .query_drop(
            "CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, note text, card_token text);
             INSERT INTO t (note, card_token) VALUES ('a', 'secret')",
        )
        .await
        .unwrap();
    let source = database
        .source_of_account(&["SELECT (id, note) ON {db}.t"])
        .await;
    let error = failed(source.describe(&database.table("t")).await);
    assert_eq!(error.kind(), Kind::Permission);
    let said = error.next_step().unwrap_or_default();
    assert!(
        said.ends_with("say which columns are read: `columns: { keep: […] }`"),
        "{said}"
    );

    for choice in ["drop: [card_token]", "keep: [id, note]"] {
        let yaml = format!(
            "kafka: {{ brokers: b }}\nlake: {{ url: ./lake }}\nsources: {{ pos: {{ url: \"mariadb://u@localhost/d\", \
             tables: {{ t: {{ mode: bulk, columns: {{ {choice} }} }} }} }} }}"
        );
        let settings = cdc::config::parse(&yaml, "test").unwrap();
        let chosen = Chosen {
            name: database.table("t"),
            settings: settings.sources[0].tables[0].clone(),
            topic: TopicName::new("t").unwrap(),
        };
        let zone = jiff::tz::TimeZone::UTC;
        let readable = readable_of(source.as_ref(), &chosen, &zone).await.unwrap();
        let mut session = source.session().await.unwrap();
        let counted = session.integer(&readable.statements.count()).await.unwrap();
        assert_eq!(counted, Some(1));
        let select = readable.statements.everything();
        let rows = read(&source, &readable.table, &select).await.unwrap();
        assert_eq!(rows[0].num_columns(), 2);
    }
}
