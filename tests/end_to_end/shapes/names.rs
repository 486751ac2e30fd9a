//! Names of tables and of topics.

use cdc::model::TableName;
use serde_json::Value;

use super::{arrives, arrives_in, named, same};
use crate::harness::{Database, Engine, Pipeline, Table, eventually, on_both_databases};

on_both_databases! {
    any_name_of_a_table_and_of_a_column_is_carried
    a_name_too_long_for_a_topic_is_refused_with_the_line_to_write
    a_renamed_topic_is_refused_until_the_table_is_begun_anew
}

/// Names that topics, paths, keys and SQL each stumble over in their own way.
fn odd_names(engine: Engine) -> Vec<String> {
    let mut names: Vec<String> = [
        "sales order",
        "odd\"quote",
        "odd`tick",
        "it's",
        "select",
        "Orders",
        "orders",
        "ORDERS",
        "a.b",
        "a_b",
        "a-b",
        "주문 내역",
        "100%",
        "semi;colon -- /*",
        "slash/back\\slash",
        "{brace}",
        "x=1",
    ]
    .map(str::to_owned)
    .into();
    match engine {
        // Limits of the catalogs: 63 bytes, 64 characters.
        Engine::Postgres => names.extend(["😀 emoji".to_owned(), "n".repeat(63), "주".repeat(21)]),
        Engine::MariaDb => names.extend(["n".repeat(64), "주".repeat(40)]),
    }
    names
}

fn quoted(engine: Engine, name: &str) -> String {
    match engine {
        Engine::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
        Engine::MariaDb => format!("`{}`", name.replace('`', "``")),
    }
}

/// A name as a key of the configuration.
fn key(name: &str) -> String {
    serde_json::to_string(name).expect("a text is JSON")
}

async fn any_name_of_a_table_and_of_a_column_is_carried(engine: Engine) {
    let database = Database::open(engine).await;
    let mut tables = Vec::new();
    for name in odd_names(engine) {
        let quoted = quoted(engine, &name);
        let id = match engine {
            Engine::Postgres => "bigint GENERATED ALWAYS AS IDENTITY",
            Engine::MariaDb => "bigint AUTO_INCREMENT",
        };
        database
            .run(&format!(
                "CREATE TABLE {quoted} (id {id} PRIMARY KEY, {quoted} varchar(99) NOT NULL)"
            ))
            .await;
        let insert = format!(
            "INSERT INTO {quoted} ({quoted}) SELECT 'v' FROM {}",
            engine.numbers(20)
        );
        database.run(&insert).await;
        let topic = match TableName::escaped(&named(&database, &name)) {
            // `a.b` is escaped, and so differs from `a_b`.
            escaped if escaped.len() > 190 => Some("of-a-long-name".to_owned()),
            _ => None,
        };
        tables.push((name, quoted, topic));
    }
    let mut pipeline = Pipeline::new();
    let prefix = pipeline.topic_prefix();
    let entries: Vec<String> = tables
        .iter()
        .map(|(name, _, topic)| {
            let topic = topic
                .as_ref()
                .map(|topic| format!(", topic: \"{prefix}{topic}\""));
            // A dot may belong to the name.
            let schema = match (engine, name.contains('.')) {
                (Engine::Postgres, true) => "public.",
                _ => "",
            };
            format!(
                "{}: {{ mode: incrementing{} }}",
                key(&format!("{schema}{name}")),
                topic.unwrap_or_default()
            )
        })
        .collect();
    pipeline = pipeline.source(&database, &entries.join(", "));
    pipeline
        .run(&["plan"])
        .await
        .expect(0, &["nothing was changed"]);
    let follower = pipeline.follow();
    for round in 0..2 {
        for (name, quoted, topic) in &tables {
            if round == 1 {
                database
                    .run(&format!("INSERT INTO {quoted} ({quoted}) VALUES ('later')"))
                    .await;
            }
            let table = named(&database, name);
            let topic = match topic {
                Some(topic) => format!("{prefix}{topic}"),
                None => format!("{prefix}{}", table.escaped()),
            };
            let sql = format!("SELECT id, {quoted} FROM {quoted}");
            arrives_in(&pipeline, &table, &topic, &["id", name], &database, &sql).await;
        }
    }
    follower.stop().await;
}

async fn a_name_too_long_for_a_topic_is_refused_with_the_line_to_write(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    let (name, sql) = match engine {
        Engine::Postgres => {
            let (schema, name) = ("a ".repeat(31), "b ".repeat(31));
            let user = "cdc";
            let sql = format!(
                "CREATE SCHEMA \"{schema}\"; GRANT USAGE ON SCHEMA \"{schema}\" TO {user};
                 CREATE TABLE \"{schema}\".\"{name}\" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
                 GRANT SELECT ON \"{schema}\".\"{name}\" TO {user}"
            );
            (format!("{schema}.{name}"), sql)
        }
        Engine::MariaDb => {
            let name = "테".repeat(50);
            (
                name.clone(),
                format!("CREATE TABLE `{name}` (id bigint AUTO_INCREMENT PRIMARY KEY)"),
            )
        }
    };
    database.run(&sql).await;
    let well = format!("{}: {{ mode: incrementing }}", table.name);
    let pipeline = Pipeline::new().source(
        &database,
        &format!("{well}, {}: {{ mode: incrementing }}", key(&name)),
    );
    for command in ["plan", "check"] {
        let said = ["a topic name has at most 249", "`topic: "];
        pipeline.comes_to(&[command], 1, &said).await;
    }
    let mut follower = pipeline.follow();
    follower.says("a topic name has at most 249").await;
    database.insert(table.name, 10).await;
    pipeline.topic_is_exact(table).await;
    follower.stop().await;
}

async fn a_renamed_topic_is_refused_until_the_table_is_begun_anew(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 20).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    pipeline
        .run(&["snapshot"])
        .await
        .expect(0, &["copied 20 rows"]);
    let (old, new) = (
        pipeline.topic(table),
        format!("{}renamed", pipeline.topic_prefix()),
    );
    let text = pipeline.text().replace(
        "incrementing: id }",
        &format!("incrementing: id, topic: {new} }}"),
    );
    let file = pipeline.file("renamed.yaml", &text);
    let run = async |arguments: &[&str]| {
        let worker = pipeline.start_with(&file, &pipeline.temporary("host"), arguments);
        worker.finish().await
    };
    let again = format!("cdc snapshot --again {}.{}", engine.source(), table.name);
    let said = [
        &*format!("its rows are in topic `{old}`"),
        &format!("write `topic: {old}`"),
        &again,
    ];
    run(&["follow", "--once", "--only", "capture"])
        .await
        .expect(78, &said);
    assert!(pipeline.records_of(&new).is_empty());

    run(&["snapshot", "--again", "--yes", table.name])
        .await
        .expect(0, &["copied 20 rows"]);
    database.insert(table.name, 5).await;
    run(&["follow", "--once"]).await.expect(0, &["caught up"]);
    let name = named(&database, table.name);
    let columns = ["id", "version", "note"];
    let found = pipeline.records_of(&new).into_iter().map(|record| {
        columns
            .iter()
            .map(|column| match &record.value[*column] {
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            })
            .collect()
    });
    let sql = format!("SELECT id, version, note FROM {}", table.name);
    same(database.rows(&sql).await, found.collect()).unwrap();
    // The files of the old topic go, those of the new one stay.
    eventually("the lake holds the new copy alone", async || {
        let files = pipeline.files_below(&name.directory()).await;
        let rows: usize = files
            .iter()
            .flat_map(|file| &file.batches)
            .map(|batch| batch.num_rows())
            .sum();
        match files.iter().all(|file| file.path.contains("renamed+")) && rows == 25 {
            true => Ok(()),
            false => Err(format!(
                "{rows} rows in {:?}",
                files.iter().map(|file| &file.path).collect::<Vec<_>>()
            )),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sources_with_one_tables_name_both_arrive_once_plans_topic_is_written() {
    let ec = Database::open(Engine::Postgres).await;
    let pos = Database::open(Engine::MariaDb).await;
    for (database, rows) in [(&ec, 30), (&pos, 20)] {
        database.create("orders").await;
        database.insert("orders", rows).await;
    }
    let orders = "orders: { mode: incrementing, incrementing: id, columns: { keep: [id, note] } }";
    let pipeline = Pipeline::new().source(&ec, orders).source(&pos, orders);
    let prefix = pipeline.topic_prefix();
    let topic = format!("topic: {prefix}pos.orders");
    let said = [
        &*format!("its topic `{prefix}orders` is already that of `ec.orders`"),
        &format!("write `{topic}` below this table"),
    ];
    for command in ["plan", "check"] {
        pipeline.comes_to(&[command], 1, &said).await;
    }
    // Unheeded, the first of them is followed and the other is not, whichever database answers first.
    let columns = ["id", "note"];
    let (ec_orders, pos_orders) = (named(&ec, "orders"), named(&pos, "orders"));
    let sql = "SELECT id, note FROM orders";
    pipeline.run(&["snapshot"]).await.expect(78, &said[..1]);
    let mut follower = pipeline.follow();
    follower.says(said[0]).await;
    arrives(&pipeline, &ec_orders, &columns, &ec, sql).await;
    follower.stop().await;
    let strange = pipeline.files_below(&pos_orders.directory()).await;
    assert!(
        strange.is_empty(),
        "rows of `ec.orders` are those of `pos.orders`"
    );

    let text = pipeline.text();
    let (before, after) = text.rsplit_once("incrementing: id,").expect("a table");
    let heeded = pipeline.file(
        "heeded.yaml",
        &format!("{before}incrementing: id, {topic},{after}"),
    );
    let start =
        |arguments: &[&str]| pipeline.start_with(&heeded, &pipeline.temporary("host"), arguments);
    start(&["plan"]).finish().await.expect(0, &[]);
    let follower = start(&["follow"]);
    for database in [&ec, &pos] {
        database.insert("orders", 10).await;
    }
    arrives(&pipeline, &ec_orders, &columns, &ec, sql).await;
    let topic = format!("{prefix}pos.orders");
    arrives_in(&pipeline, &pos_orders, &topic, &columns, &pos, sql).await;
    follower.stop().await;
    let both = ["`orders` could be `ec.orders` or `pos.orders`"];
    start(&["path", "orders"]).finish().await.expect(2, &both);
    let path = start(&["path", "pos.orders"]).finish().await.expect(0, &[]);
    assert!(path.stdout.contains("/pos/orders/"), "{}", path.stdout);
}
