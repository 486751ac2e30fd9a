//! Names that are SQL. A name that were not quoted would take a lock that everybody can see, or stop its table.

use std::collections::BTreeSet;

use crate::harness::{Database, Engine, Pipeline};

/// Taken by whatever part of a name comes to be executed.
const TRAP: i64 = 4711;

/// Names of tables and of their id columns, which end in SQL wherever a quote could end.
fn names(engine: Engine) -> Vec<(String, String)> {
    let lock = match engine {
        Engine::Postgres => format!("pg_advisory_lock({TRAP})"),
        Engine::MariaDb => format!("get_lock('{TRAP}', 0)"),
    };
    let quote = match engine {
        Engine::Postgres => '"',
        Engine::MariaDb => '`',
    };
    vec![
        (
            format!("a{quote}; SELECT {lock}; -- "),
            format!("id{quote}, {lock} AS {quote}x"),
        ),
        (
            format!("b' OR {lock} IS NULL OR '"),
            format!("id' OR {lock} OR '"),
        ),
        (
            format!("c\\{quote}; SELECT {lock}; -- "),
            format!("id\\{quote}, {lock}, {quote}x"),
        ),
        (format!("d\\' OR {lock} IS NULL OR \\'"), "id\\".to_owned()),
        (format!("e */ {lock} /* "), "id /* ".to_owned()),
        (
            format!("f$$; SELECT {lock}; $$"),
            "$1 ? :id {} %s".to_owned(),
        ),
    ]
    .into_iter()
    // A blank at the end is no name for MariaDB.
    .map(|(table, id)| (format!("{table}z"), id.trim_end().to_owned()))
    .collect()
}

fn quoted(engine: Engine, name: &str) -> String {
    match engine {
        Engine::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
        Engine::MariaDb => format!("`{}`", name.replace('`', "``")),
    }
}

/// A key or a text of the configuration.
fn yaml(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

async fn names_that_are_sql_are_names_and_nothing_else(engine: Engine) {
    let database = Database::open(engine).await;
    let hostile = match engine {
        Engine::Postgres => format!("s\"; SELECT pg_advisory_lock({TRAP}); --"),
        Engine::MariaDb => format!("{}`; DO get_lock('{TRAP}', 0); -- z", database.name()),
    };
    let schema = quoted(engine, &hostile);
    let account = "cdc";
    database
        .run(&match engine {
            Engine::Postgres => format!(
                "CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {account};
                 ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {account}"
            ),
            Engine::MariaDb => format!("CREATE DATABASE {schema}"),
        })
        .await;
    if engine == Engine::MariaDb {
        // The underscores of a name in a grant stand for any character, unless they are escaped.
        let pattern = schema.replace('_', "\\_");
        database
            .run(&format!("GRANT SELECT ON {pattern}.* TO {account}@'%'"))
            .await;
    }
    let modes = ["incrementing", "timestamp+incrementing", "bulk"];
    let (mut tables, mut topics) = (Vec::new(), Vec::new());
    for (number, (name, id)) in names(engine).into_iter().enumerate() {
        for (place, prefix) in [("plain", String::new()), ("hostile", format!("{hostile}."))] {
            let table = match place {
                "plain" => quoted(engine, &name),
                _ => format!("{schema}.{}", quoted(engine, &name)),
            };
            let (key, at) = (quoted(engine, &id), quoted(engine, "at'; -- "));
            let at = at.replace("-- ", "--");
            let (serial, instant, now) = match engine {
                Engine::Postgres => ("bigserial", "timestamptz", "clock_timestamp()"),
                Engine::MariaDb => (
                    "bigint AUTO_INCREMENT",
                    "timestamp(6)",
                    "current_timestamp(6)",
                ),
            };
            database
                .run(&format!(
                    "CREATE TABLE {table} ({key} {serial} PRIMARY KEY, {at} {instant} NOT NULL DEFAULT {now}, note int)"
                ))
                .await;
            let numbers = engine.numbers(20);
            database
                .run(&format!(
                    "INSERT INTO {table} (note) SELECT n FROM {numbers}"
                ))
                .await;
            let mode = modes[number % modes.len()];
            let topic = format!("{place}-{number}");
            let mut settings = format!("mode: {mode}, topic: TOPIC.{topic}");
            if mode == "bulk" {
                settings += ", every: 1h";
            }
            if mode.contains("incrementing") {
                settings += &format!(", incrementing: {}", yaml(&id));
            }
            if mode.contains("timestamp") {
                settings += &format!(", timestamp: {}", yaml("at'; --"));
            }
            tables.push(format!(
                "{}: {{ {settings} }}",
                yaml(&format!("{prefix}{name}"))
            ));
            topics.push((topic, id.clone()));
        }
    }
    let pipeline = Pipeline::new();
    let prefix = pipeline.name.clone();
    let pipeline = pipeline.source(&database, &tables.join(", ").replace("TOPIC", &prefix));

    pipeline.comes_to(&["check"], 0, &["guard: proven"]).await;
    pipeline.run(&["plan"]).await.expect(0, &[]);
    pipeline.run(&["snapshot"]).await.expect(0, &[]);
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);

    for (topic, id) in topics {
        let records = pipeline.records_of(&format!("{prefix}.{topic}"));
        let values = |name: &str| -> BTreeSet<i64> {
            let value = |record: &crate::harness::Record| record.value[name].as_i64();
            records.iter().filter_map(value).collect()
        };
        let all: BTreeSet<i64> = (1..=20).collect();
        assert_eq!(values(&id), all, "{topic}");
        assert_eq!(values("note"), all, "{topic}");
    }
    let taken = match engine {
        Engine::Postgres => format!(
            "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND objid = {TRAP}"
        ),
        Engine::MariaDb => format!("SELECT CAST(is_used_lock('{TRAP}') IS NOT NULL AS char)"),
    };
    assert_eq!(database.rows(&taken).await, [[Some("0".to_owned())]]);
    if engine == Engine::MariaDb {
        database.run(&format!("DROP DATABASE {schema}")).await;
    }
}

crate::harness::on_both_databases! { names_that_are_sql_are_names_and_nothing_else }
