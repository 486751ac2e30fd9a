//! Every shape of table: what is left out, odd names, views, partitions, keys that are none. Topic and lake are
//! compared with what the database itself renders.

use std::collections::BTreeMap;

use arrow::util::display::array_value_to_string;
use cdc::model::TableName;
use serde_json::Value;

use crate::harness::{Database, Engine, Pipeline, Table, compacted, eventually, on_both_databases};

on_both_databases! {
    columns_and_rows_that_are_left_out_are_in_no_record_and_no_file
    what_columns_and_where_get_wrong_is_told_by_plan_and_stops_that_table_only
    any_name_of_a_table_and_of_a_column_is_carried
    a_name_too_long_for_a_topic_is_refused_with_the_line_to_write
    every_sort_of_relation_is_read_whole_or_refused_with_the_reason
    partitions_attached_and_detached_meanwhile_lose_and_repeat_nothing
    rows_without_a_cursor_are_copied_once_and_counted
    thousands_of_rows_of_one_second_arrive_once
    a_renamed_topic_is_refused_until_the_table_is_begun_anew
    wide_tables_and_large_rows_arrive
}

/// Rows as text, in order.
type Texts = Vec<Vec<Option<String>>>;

/// A table under any name in the default schema.
fn named(database: &Database, name: &str) -> TableName {
    let schema = match database.engine {
        Engine::Postgres => "public".to_owned(),
        Engine::MariaDb => database.name().to_owned(),
    };
    TableName {
        source: database.engine.source().to_owned(),
        schema,
        name: name.to_owned(),
        in_default_schema: true,
    }
}

/// Waits until topic and lake hold what `sql` gives under these columns, each row once, and nothing else.
async fn arrives(
    pipeline: &Pipeline,
    table: &TableName,
    columns: &[&str],
    database: &Database,
    sql: &str,
) {
    let topic = format!("{}{}", pipeline.topic_prefix(), table.escaped());
    arrives_in(pipeline, table, &topic, columns, database, sql).await;
}

async fn arrives_in(
    pipeline: &Pipeline,
    table: &TableName,
    topic: &str,
    columns: &[&str],
    database: &Database,
    sql: &str,
) {
    eventually(
        &format!("topic `{topic}` holds what `{sql}` gives"),
        async || {
            let records = pipeline.records_of(topic);
            let found = records
                .iter()
                .map(|record| of_record(&record.value, columns));
            same(database.rows(sql).await, found.collect())
        },
    )
    .await;
    let path = table.directory();
    eventually(&format!("`{path}` holds what `{sql}` gives"), async || {
        let mut found = Texts::new();
        for batch in pipeline
            .files_below(&path)
            .await
            .iter()
            .flat_map(|file| &file.batches)
        {
            let schema = batch.schema();
            let names: Vec<&str> = schema
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect();
            let names: Vec<&str> = names
                .into_iter()
                .filter(|name| *name != "cdc_offset")
                .collect();
            assert_eq!(names, columns, "the columns in the lake");
            for row in 0..batch.num_rows() {
                let cell = |name: &&str| {
                    let column = batch.column_by_name(name)?;
                    (!column.is_null(row)).then(|| array_value_to_string(column, row).unwrap())
                };
                found.push(columns.iter().map(cell).collect());
            }
        }
        same(database.rows(sql).await, found)
    })
    .await;
}

fn of_record(value: &Value, columns: &[&str]) -> Vec<Option<String>> {
    let object = value.as_object().expect("a record is an object");
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    let (mut sorted, mut wanted) = (names, columns.to_vec());
    sorted.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted, "the columns of a record");
    let text = |name: &&str| match &object[*name] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    columns.iter().map(text).collect()
}

fn same(mut expected: Texts, mut found: Texts) -> Result<(), String> {
    expected.sort();
    found.sort();
    match expected == found {
        true => Ok(()),
        false => {
            let count = |rows: &Texts| {
                let mut counts: BTreeMap<Vec<Option<String>>, usize> = BTreeMap::new();
                rows.iter()
                    .for_each(|row| *counts.entry(row.clone()).or_default() += 1);
                counts
            };
            let (wanted, there) = (count(&expected), count(&found));
            let missing = wanted.iter().find(|(row, n)| there.get(*row) != Some(n));
            let strange = there.iter().find(|(row, n)| wanted.get(*row) != Some(n));
            Err(format!(
                "{} rows of {}; wanted e.g. {missing:?}, there e.g. {strange:?}",
                found.len(),
                expected.len()
            ))
        }
    }
}

async fn columns_and_rows_that_are_left_out_are_in_no_record_and_no_file(engine: Engine) {
    let database = Database::open(engine).await;
    let (id, instant) = match engine {
        Engine::Postgres => ("bigint GENERATED BY DEFAULT AS IDENTITY", "timestamptz"),
        Engine::MariaDb => ("bigint AUTO_INCREMENT", "timestamp(6)"),
    };
    let (now, numbers) = (engine.now(), engine.numbers(400));
    for table in ["bulked", "counted", "timed"] {
        database
            .run(&format!(
                "CREATE TABLE {table} (id {id} PRIMARY KEY, card_token varchar(40) NOT NULL, status varchar(10),
                                       note text, updated_at {instant} NOT NULL DEFAULT {now})"
            ))
            .await;
        database
            .run(&format!(
                "INSERT INTO {table} (card_token, status, note)
                 SELECT 'secret', CASE n % 4 WHEN 0 THEN 'paid' WHEN 1 THEN NULL ELSE 'draft' END, 'x' FROM {numbers}"
            ))
            .await;
    }
    // An OR shows whether the condition stays in its parentheses.
    let filter = "status = 'paid' OR status = 'sent'";
    let pipeline = Pipeline::new().source(
        &database,
        &format!(
            "bulked: {{ mode: bulk, every: 1h, where: \"{filter}\", columns: {{ keep: [id, status] }} }}, \
             counted: {{ mode: incrementing, where: \"{filter}\", columns: {{ drop: [card_token, updated_at] }} }}, \
             timed: {{ mode: timestamp+incrementing, where: \"{filter}\", columns: {{ drop: [\"card_*\", note] }} }}"
        ),
    );
    let plan = pipeline
        .run(&["plan"])
        .await
        .expect(0, &["without  card_token"]);
    assert_eq!(
        plan.stdout.matches(&format!("where    {filter}")).count(),
        3
    );
    pipeline
        .run(&["snapshot", "bulked"])
        .await
        .expect(0, &["loaded 100 rows"]);
    let (bulked, counted) = (named(&database, "bulked"), named(&database, "counted"));
    let select = |columns: &str, table: &str| {
        format!("SELECT {columns} FROM {table} WHERE status IN ('paid', 'sent')")
    };
    arrives(
        &pipeline,
        &bulked,
        &["id", "status"],
        &database,
        &select("id, status", "bulked"),
    )
    .await;

    let follower = pipeline.follow();
    let left = ["id", "status", "note"];
    let sql = select("id, status, note", "counted");
    arrives(&pipeline, &counted, &left, &database, &sql).await;
    for status in ["draft", "sent", "draft", "paid"] {
        for table in ["counted", "timed"] {
            let insert = format!(
                "INSERT INTO {table} (card_token, status) SELECT 'secret', '{status}' FROM {}",
                engine.numbers(30)
            );
            database.run(&insert).await;
        }
        arrives(&pipeline, &counted, &left, &database, &sql).await;
    }
    // What comes to meet the condition is seen by its timestamp.
    database
        .run(&format!("UPDATE timed SET status = 'paid', updated_at = {now} WHERE status = 'draft' AND id <= 40"))
        .await;
    let timed = format!("{}timed", pipeline.topic_prefix());
    let expected = database.rows(&select("id, status", "timed")).await;
    eventually(
        "the newest versions that meet the condition are there",
        async || {
            let columns = ["id", "status", "updated_at"];
            let records = pipeline.records_of(&timed);
            let found = records
                .iter()
                .map(|record| of_record(&record.value, &columns)[..2].to_vec());
            same(expected.clone(), found.collect())
        },
    )
    .await;
    follower.stop().await;
    // Ids that the filter hides are gaps that close.
    pipeline
        .run(&["follow", "--once"])
        .await
        .expect(0, &["caught up"]);
    let head = &compacted(&pipeline.names().state_topic)[&counted.head_key()];
    let cursor = &head["cursor"]["incrementing"];
    assert!(
        cursor["gaps"].as_array().is_none_or(Vec::is_empty),
        "{cursor}"
    );
    for table in ["bulked", "counted", "timed"] {
        let topic = format!("{}{table}", pipeline.topic_prefix());
        for record in pipeline.records_of(&topic) {
            assert!(!record.value.to_string().contains("secret"), "in `{topic}`");
        }
    }
}

async fn what_columns_and_where_get_wrong_is_told_by_plan_and_stops_that_table_only(
    engine: Engine,
) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 10).await;
    database.create("items").await;
    let well = format!("{}: {{ mode: incrementing }}", table.name);
    for (wrong, said) in [
        (
            "where: \"nothing = 1\"",
            "the database does not take the condition `nothing = 1`",
        ),
        (
            "where: \"id >\"",
            "the database does not take the condition `id >`",
        ),
        ("columns: { drop: [nota] }", "did you mean `note`?"),
        (
            "columns: { drop: [id] }",
            "leaves out `id`, which is part of the primary key",
        ),
        (
            "columns: { keep: [note, id] }, timestamp: updated_at",
            "which is the cursor column",
        ),
        (
            "columns: { keep: [id, updated_at] }, partition_by: { n: note }",
            "`partition_by` cuts by",
        ),
    ] {
        let mode = if wrong.contains("timestamp:") {
            "timestamp"
        } else {
            "incrementing"
        };
        let tables = format!("{well}, items: {{ mode: {mode}, {wrong} }}");
        let pipeline = Pipeline::new().source(&database, &tables);
        pipeline.run(&["plan"]).await.expect(1, &[said]);
        if wrong.contains("nothing") {
            let mut follower = pipeline.follow();
            follower.says(said).await;
            pipeline.topic_is_exact(table).await;
            assert!(
                pipeline
                    .records(Table {
                        name: "items",
                        ..table
                    })
                    .is_empty()
            );
            follower.stop().await;
        }
    }
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
        pipeline
            .run(&[command])
            .await
            .expect(1, &["a topic name has at most 249", "`topic: "]);
    }
    let mut follower = pipeline.follow();
    follower.says("a topic name has at most 249").await;
    database.insert(table.name, 10).await;
    pipeline.topic_is_exact(table).await;
    follower.stop().await;
}

async fn every_sort_of_relation_is_read_whole_or_refused_with_the_reason(engine: Engine) {
    let database = Database::open(engine).await;
    // Each: its name, what stands below it in the configuration, what it is made of, its columns.
    let bulk = "mode: bulk, every: 1h";
    let by_id = "mode: incrementing";
    let unsafe_id = "mode: incrementing, incrementing: id, allow_unsafe: true, lookback: 1s";
    let tables: Vec<(&str, &str, String, &[&str])> = match engine {
        Engine::Postgres => vec![
            ("keyless", bulk, "CREATE TABLE keyless (id int, note text); INSERT INTO keyless SELECT i % 3, 'x' FROM generate_series(1, 50) i".into(), &["id", "note"]),
            ("nothing", bulk, "CREATE TABLE nothing (id int)".into(), &["id"]),
            ("nothing_yet", by_id, "CREATE TABLE nothing_yet (id bigserial PRIMARY KEY)".into(), &["id"]),
            ("nullable_key", bulk, "CREATE TABLE nullable_key (id int UNIQUE, note text); INSERT INTO nullable_key VALUES (1, 'a'), (NULL, 'b'), (NULL, 'b')".into(), &["id", "note"]),
            ("tree", by_id, "CREATE TABLE tree (id bigint GENERATED ALWAYS AS IDENTITY, region text NOT NULL, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
                CREATE TABLE tree_a PARTITION OF tree FOR VALUES IN ('a') PARTITION BY RANGE (id);
                CREATE TABLE tree_a_1 PARTITION OF tree_a FOR VALUES FROM (1) TO (1000); CREATE TABLE tree_a_2 PARTITION OF tree_a DEFAULT;
                CREATE TABLE tree_rest PARTITION OF tree DEFAULT;
                INSERT INTO tree (region) SELECT (ARRAY['a', 'b', 'c'])[1 + i % 3] FROM generate_series(1, 300) i".into(), &["id", "region"]),
            ("parent", by_id, "CREATE TABLE parent (id bigserial PRIMARY KEY, note text); CREATE TABLE child (extra int) INHERITS (parent);
                INSERT INTO parent (note) VALUES ('p'); INSERT INTO child (note, extra) VALUES ('c', 1)".into(), &["id", "note"]),
            ("made", by_id, "CREATE TABLE made (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, net numeric(10,2), gross numeric(12,2) GENERATED ALWAYS AS (net * 1.1) STORED);
                INSERT INTO made (net) SELECT i FROM generate_series(1, 20) i".into(), &["id", "net", "gross"]),
            ("seen", bulk, "CREATE VIEW seen AS SELECT id, note FROM keyless WHERE id > 0".into(), &["id", "note"]),
            ("kept", bulk, "CREATE MATERIALIZED VIEW kept AS SELECT id, note FROM keyless".into(), &["id", "note"]),
            ("seen_by_id", unsafe_id, "CREATE VIEW seen_by_id AS SELECT id, note FROM parent".into(), &["id", "note"]),
            ("far", bulk, "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
                CREATE FOREIGN TABLE far (id int, note text) SERVER files OPTIONS (program 'printf \"1,a\\n2,b\\n\"', format 'csv')".into(), &["id", "note"]),
            ("unlogged", by_id, "CREATE UNLOGGED TABLE unlogged (id bigserial PRIMARY KEY); INSERT INTO unlogged DEFAULT VALUES".into(), &["id"]),
        ],
        Engine::MariaDb => vec![
            ("keyless", bulk, "CREATE TABLE keyless (id int, note text); INSERT INTO keyless SELECT seq % 3, 'x' FROM seq_1_to_50".into(), &["id", "note"]),
            ("nothing", bulk, "CREATE TABLE nothing (id int)".into(), &["id"]),
            ("nothing_yet", by_id, "CREATE TABLE nothing_yet (id bigint AUTO_INCREMENT PRIMARY KEY)".into(), &["id"]),
            ("nullable_key", bulk, "CREATE TABLE nullable_key (id int UNIQUE, note text); INSERT INTO nullable_key VALUES (1, 'a'), (NULL, 'b'), (NULL, 'b')".into(), &["id", "note"]),
            ("tree", by_id, "CREATE TABLE tree (id bigint AUTO_INCREMENT, region int NOT NULL, PRIMARY KEY (id, region)) PARTITION BY RANGE (id) SUBPARTITION BY HASH (region) SUBPARTITIONS 2
                (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN MAXVALUE); INSERT INTO tree (region) SELECT seq % 3 FROM seq_1_to_300".into(), &["id", "region"]),
            ("made", by_id, "CREATE TABLE made (id int AUTO_INCREMENT PRIMARY KEY, net decimal(10,2), gross decimal(12,2) AS (net * 1.1) STORED, words varchar(40) AS (concat('n', net)) VIRTUAL);
                INSERT INTO made (net) SELECT seq FROM seq_1_to_20".into(), &["id", "net", "gross", "words"]),
            ("hidden", by_id, "CREATE TABLE hidden (id int AUTO_INCREMENT PRIMARY KEY, shown int, unseen int INVISIBLE DEFAULT 7); INSERT INTO hidden (shown) VALUES (1), (2)".into(), &["id", "shown", "unseen"]),
            ("versioned", by_id, "CREATE TABLE versioned (id int AUTO_INCREMENT PRIMARY KEY, note varchar(9)) WITH SYSTEM VERSIONING; INSERT INTO versioned (note) VALUES ('a'), ('b'), ('c');
                UPDATE versioned SET note = 'changed' WHERE id = 2; DELETE FROM versioned WHERE id = 3".into(), &["id", "note"]),
            ("seen", bulk, "CREATE VIEW seen AS SELECT id, note FROM keyless WHERE id > 0".into(), &["id", "note"]),
            ("seen_by_id", unsafe_id, "CREATE VIEW seen_by_id AS SELECT id, net FROM made".into(), &["id", "net"]),
            ("old", unsafe_id, "CREATE TABLE old (id int AUTO_INCREMENT PRIMARY KEY, note text) ENGINE = MyISAM; INSERT INTO old (note) VALUES ('a'), ('b')".into(), &["id", "note"]),
            ("safer", bulk, "CREATE TABLE safer (id int PRIMARY KEY) ENGINE = Aria; INSERT INTO safer VALUES (1), (2)".into(), &["id"]),
            ("brief", bulk, "CREATE TABLE brief (id int PRIMARY KEY) ENGINE = MEMORY; INSERT INTO brief VALUES (1), (2)".into(), &["id"]),
        ],
    };
    // Each refused alone, with its reason.
    let refused: Vec<(&str, &str, &str, &str)> = match engine {
        Engine::Postgres => vec![
            (
                "no_columns",
                "mode: bulk, every: 1h",
                "CREATE TABLE no_columns ()",
                "it has no columns",
            ),
            (
                "v",
                "mode: incrementing",
                "CREATE VIEW v AS SELECT 1 AS id",
                "a view is not read in mode `incrementing`",
            ),
            (
                "m",
                "mode: incrementing",
                "CREATE MATERIALIZED VIEW m AS SELECT 1 AS id",
                "a materialized view is not read in mode `incrementing`",
            ),
        ],
        Engine::MariaDb => vec![
            (
                "v",
                "mode: incrementing",
                "CREATE VIEW v AS SELECT 1 AS id",
                "a view is not read in mode `incrementing`",
            ),
            (
                "counter",
                "mode: bulk, every: 1h",
                "CREATE SEQUENCE counter",
                "it is a sequence",
            ),
            (
                "my",
                "mode: incrementing",
                "CREATE TABLE my (id int AUTO_INCREMENT PRIMARY KEY) ENGINE = MyISAM",
                "its engine is MyISAM",
            ),
            (
                "aria",
                "mode: incrementing",
                "CREATE TABLE aria (id int AUTO_INCREMENT PRIMARY KEY) ENGINE = Aria",
                "its engine is Aria",
            ),
            (
                "memory",
                "mode: incrementing",
                "CREATE TABLE memory (id int AUTO_INCREMENT PRIMARY KEY) ENGINE = MEMORY",
                "its engine is MEMORY",
            ),
        ],
    };
    let mut entries = Vec::new();
    for (name, settings, sql, _) in &tables {
        database.run(sql).await;
        entries.push(format!("{name}: {{ {settings} }}"));
    }
    for (name, settings, sql, _) in &refused {
        database.run(sql).await;
        entries.push(format!("{name}: {{ {settings} }}"));
    }
    if engine == Engine::Postgres {
        database
            .run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO cdc")
            .await;
    }
    let pipeline = Pipeline::new().source(&database, &entries.join(", "));
    pipeline
        .run(&["plan"])
        .await
        .expect(1, &["unsafe: rows could be missed"]);
    let check = pipeline.run(&["check"]).await.expect(1, &[]);
    for (name, _, _, said) in &refused {
        let words = format!("{}{}", check.stdout, check.stderr);
        assert!(
            words.contains(said),
            "check does not say of `{name}` that {said}:\n{words}"
        );
    }
    let mut follower = pipeline.follow();
    for (name, settings, _, columns) in &tables {
        let list: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let sql = format!("SELECT {} FROM {name}", list.join(", "));
        let table = named(&database, name);
        if settings.contains("bulk") {
            // Of what is read as a load only the newest counts.
            let pointer = format!("{}/_current.json", table.directory());
            eventually(&format!("`{name}` is loaded"), async || {
                pipeline
                    .object(&pointer)
                    .await
                    .map(|_| ())
                    .ok_or("there is no pointer".to_owned())
            })
            .await;
        }
        arrives(&pipeline, &table, columns, &database, &sql).await;
    }
    for (name, settings, _, said) in &refused {
        if !settings.contains("bulk") || *name == "no_columns" {
            follower.says(said).await;
        }
    }
    follower.stop().await;
}

async fn partitions_attached_and_detached_meanwhile_lose_and_repeat_nothing(engine: Engine) {
    let database = Database::open(engine).await;
    let create = match engine {
        Engine::Postgres => {
            "(id bigint GENERATED BY DEFAULT AS IDENTITY, span int NOT NULL, updated_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (id, span)) PARTITION BY RANGE (span)"
        }
        Engine::MariaDb => {
            "(id bigint AUTO_INCREMENT, span int NOT NULL, updated_at timestamp(6) NOT NULL DEFAULT current_timestamp(6), PRIMARY KEY (id, span), KEY (updated_at)) \
             PARTITION BY RANGE (span) (PARTITION p1 VALUES LESS THAN (2))"
        }
    };
    let names = ["counted", "timed"];
    for name in names {
        database.run(&format!("CREATE TABLE {name} {create}")).await;
        if engine == Engine::Postgres {
            database
                .run(&format!(
                    "CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES FROM (1) TO (2)"
                ))
                .await;
        }
    }
    let insert = |name: &str, day: i32| {
        format!(
            "INSERT INTO {name} (span) SELECT {day} FROM {}",
            engine.numbers(50)
        )
    };
    let pipeline = Pipeline::new().source(
        &database,
        "counted: { mode: incrementing, incrementing: id }, timed: { mode: timestamp, timestamp: updated_at }",
    );
    let follower = pipeline.follow();
    let mut sent = 0;
    for day in 1..=4 {
        for name in names {
            if day > 1 {
                let add = match engine {
                    // Filled beforehand with ids and times that the polls have passed, or not at all.
                    Engine::Postgres => format!(
                        "CREATE TABLE {name}_{day} (LIKE {name} INCLUDING DEFAULTS); ALTER TABLE {name} ATTACH PARTITION {name}_{day} FOR VALUES FROM ({day}) TO ({})",
                        day + 1
                    ),
                    Engine::MariaDb => format!(
                        "ALTER TABLE {name} ADD PARTITION (PARTITION p{day} VALUES LESS THAN ({}))",
                        day + 1
                    ),
                };
                database.run(&add).await;
            }
            database.run(&insert(name, day)).await;
        }
        sent += 50;
        for name in names {
            let topic = format!("{}{name}", pipeline.topic_prefix());
            eventually(&format!("`{name}` has {sent} records"), async || {
                let records = pipeline.records_of(&topic);
                let ids: std::collections::BTreeSet<i64> = records
                    .iter()
                    .filter_map(|r| r.value["id"].as_i64())
                    .collect();
                assert_eq!(ids.len(), records.len(), "a row is there twice");
                match records.len() {
                    now if now == sent => Ok(()),
                    now => Err(format!("there are {now}")),
                }
            })
            .await;
            // What goes with its partition stays in the topic and in the lake. A table whose newest row goes was emptied,
            // as far as anybody can tell: that row must be known to be another one by then.
            if day == 3 {
                let table = Table {
                    database: &database,
                    name,
                };
                let records = pipeline.records_of(&topic);
                let ids = records.iter().filter_map(|r| r.value["id"].as_i64());
                let id = ids.max().expect("rows were sent").to_string();
                eventually("the newest row is remembered", async || {
                    let state = compacted(&pipeline.names().state_topic);
                    let newest = &state[&table.head_key()]["sighting"]["witness"]["key"][0];
                    match newest.as_str() == Some(&id) {
                        true => Ok(()),
                        false => Err(format!("it is {newest}")),
                    }
                })
                .await;
                let remove = match engine {
                    Engine::Postgres => format!("ALTER TABLE {name} DETACH PARTITION {name}_1"),
                    Engine::MariaDb => format!("ALTER TABLE {name} DROP PARTITION p1"),
                };
                database.run(&remove).await;
            }
        }
    }
    follower.stop().await;
}

async fn rows_without_a_cursor_are_copied_once_and_counted(engine: Engine) {
    let database = Database::open(engine).await;
    let (id, instant) = match engine {
        Engine::Postgres => ("bigint GENERATED BY DEFAULT AS IDENTITY", "timestamptz"),
        Engine::MariaDb => ("bigint AUTO_INCREMENT", "timestamp(6) NULL"),
    };
    let now = engine.now();
    for name in ["keyed", "keyless"] {
        let key = if name == "keyed" {
            "PRIMARY KEY"
        } else {
            "UNIQUE"
        };
        database
            .run(&format!(
                "CREATE TABLE {name} (id {id} {key}, updated_at {instant} DEFAULT NULL);
                 INSERT INTO {name} (updated_at) SELECT CASE WHEN n % 10 = 0 THEN NULL ELSE {now} END FROM {}",
                engine.numbers(500)
            ))
            .await;
    }
    let pipeline = Pipeline::new().source(
        &database,
        "keyed: { mode: timestamp, timestamp: updated_at }, keyless: { mode: timestamp, timestamp: updated_at }",
    );
    let index = match engine {
        Engine::Postgres => {
            "CREATE INDEX CONCURRENTLY ON \"public\".\"keyed\" (\"updated_at\", \"id\");".to_owned()
        }
        Engine::MariaDb => format!(
            "CREATE INDEX `keyed_updated_at` ON `{}`.`keyed` (`updated_at`, `id`);",
            database.name()
        ),
    };
    let said = [
        "`updated_at` may be NULL",
        "no index begins with `updated_at`",
        &index,
    ];
    pipeline.run(&["plan"]).await.expect(0, &said);
    pipeline.run(&["check"]).await.expect(0, &said);
    database.run(&index).await;
    pipeline.run(&["snapshot"]).await.expect(
        0,
        &["copied 500 rows, 50 of them without a cursor: they are not followed"],
    );
    let follower = pipeline.follow();
    for name in ["keyed", "keyless"] {
        database
            .run(&format!(
                "INSERT INTO {name} (updated_at) VALUES ({now}), (NULL)"
            ))
            .await;
        let table = named(&database, name);
        let sql = format!("SELECT id FROM {name} WHERE id <= 501");
        let topic = format!("{}{name}", pipeline.topic_prefix());
        eventually(&format!("`{name}` is followed"), async || {
            let records = pipeline.records_of(&topic);
            let found = records
                .iter()
                .map(|record| vec![Some(record.value["id"].to_string())]);
            same(database.rows(&sql).await, found.collect())
        })
        .await;
        let head = &compacted(&pipeline.names().state_topic)[&table.head_key()];
        assert_eq!(head["copy"]["null_cursors"].as_u64(), Some(50), "{head}");
    }
    follower.stop().await;
}

async fn thousands_of_rows_of_one_second_arrive_once(engine: Engine) {
    let database = Database::open(engine).await;
    let (id, instant, second) = match engine {
        Engine::Postgres => (
            "bigint GENERATED BY DEFAULT AS IDENTITY",
            "timestamp(0)",
            "date_trunc('second', localtimestamp)",
        ),
        Engine::MariaDb => ("bigint AUTO_INCREMENT", "datetime", "utc_timestamp()"),
    };
    for name in ["keyed", "keyless"] {
        let key = if name == "keyed" {
            "PRIMARY KEY"
        } else {
            "UNIQUE"
        };
        database
            .run(&format!(
                "CREATE TABLE {name} (id {id} {key}, updated_at {instant} NOT NULL)"
            ))
            .await;
    }
    if engine == Engine::Postgres {
        database.run("SET timezone = 'UTC'").await;
    }
    let mode = "{ mode: timestamp, timestamp: updated_at }";
    let pipeline = Pipeline::new().source(&database, &format!("keyed: {mode}, keyless: {mode}"));
    let follower = pipeline.follow();
    let mut rows = 0;
    for _ in 0..5 {
        for name in ["keyed", "keyless"] {
            // Several statements within a second, seen by polls in between.
            for _ in 0..3 {
                database
                    .run(&format!(
                        "INSERT INTO {name} (updated_at) SELECT {second} FROM {}",
                        engine.numbers(1_000)
                    ))
                    .await;
            }
        }
        rows += 3_000;
        for name in ["keyed", "keyless"] {
            let topic = format!("{}{name}", pipeline.topic_prefix());
            eventually(&format!("`{name}` has {rows} rows"), async || {
                let mut ids: Vec<i64> = pipeline
                    .records_of(&topic)
                    .iter()
                    .filter_map(|r| r.value["id"].as_i64())
                    .collect();
                let count = ids.len();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), count, "a row is there twice");
                match count {
                    count if count == rows => Ok(()),
                    count => Err(format!("there are {count}")),
                }
            })
            .await;
        }
    }
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

async fn wide_tables_and_large_rows_arrive(engine: Engine) {
    let database = Database::open(engine).await;
    let columns: Vec<String> = (1..1_000).map(|i| format!("c{i}")).collect();
    let (id, text) = match engine {
        Engine::Postgres => ("bigint GENERATED BY DEFAULT AS IDENTITY", "text"),
        Engine::MariaDb => ("bigint AUTO_INCREMENT", "longtext"),
    };
    let declared: Vec<String> = columns
        .iter()
        .map(|column| format!("{column} int"))
        .collect();
    database
        .run(&format!(
            "CREATE TABLE wide (id {id} PRIMARY KEY, {})",
            declared.join(", ")
        ))
        .await;
    database
        .run(&format!(
            "INSERT INTO wide (c1, c999) SELECT n, n FROM {}",
            engine.numbers(200)
        ))
        .await;
    database
        .run(&format!(
            "CREATE TABLE large (id {id} PRIMARY KEY, body {text})"
        ))
        .await;
    // A megabyte each, more than may be in memory at one time.
    database
        .run(&format!(
            "INSERT INTO large (body) SELECT repeat('x', 1000000) FROM {}",
            engine.numbers(60)
        ))
        .await;
    let pipeline = Pipeline::new().source(
        &database,
        "wide: { mode: incrementing }, large: { mode: incrementing }",
    );
    let small = pipeline.file("small.yaml", &format!("memory: 32MiB\n{}", pipeline.text()));
    let worker = pipeline.start_with(&small, &pipeline.temporary("host"), &["snapshot"]);
    worker
        .finish()
        .await
        .expect(0, &["copied 200 rows", "copied 60 rows"]);
    let wide = named(&database, "wide");
    let mut names = vec!["id"];
    names.extend(columns.iter().map(String::as_str));
    arrives(&pipeline, &wide, &names, &database, "SELECT * FROM wide").await;
    let files = pipeline
        .files_below(&named(&database, "large").directory())
        .await;
    let mut rows = 0;
    for batch in files.iter().flat_map(|file| &file.batches) {
        let body = batch.column_by_name("body").expect("a column");
        rows += batch.num_rows();
        assert!(
            (0..batch.num_rows())
                .all(|row| array_value_to_string(body, row).unwrap().len() == 1_000_000)
        );
    }
    assert_eq!(rows, 60);
}
