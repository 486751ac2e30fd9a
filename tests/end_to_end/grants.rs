//! The grants of `docs/grants.md` are enough, and each of them is needed for what the page says.

use futures_util::future::join_all;
use serde_json::Value;

use crate::harness::{Database, Engine, Pipeline, Table, eventually, grants, setting};

/// What must be found about a source when one statement of the page was left out: of which name (all, if none), at
/// which level, and which words.
type Expected = (&'static str, &'static str, &'static str);

fn without(engine: Engine) -> Vec<(&'static str, Expected)> {
    match engine {
        Engine::Postgres => vec![
            ("nothing", ("orders", "ok", "guard: proven")),
            (
                "GRANT CONNECT",
                ("login", "fail", "permission denied for database"),
            ),
            (
                "GRANT pg_read_all_stats",
                ("orders", "warn", "guard: assumed"),
            ),
            ("GRANT USAGE", ("orders", "fail", "GRANT USAGE ON SCHEMA")),
            ("GRANT SELECT", ("orders", "fail", "GRANT SELECT ON")),
            (
                "ALTER DEFAULT PRIVILEGES",
                ("later", "fail", "GRANT SELECT ON"),
            ),
        ],
        Engine::MariaDb => vec![
            ("nothing", ("sales", "ok", "guard: proven")),
            ("GRANT SELECT", ("login", "fail", "GRANT SELECT")),
            ("GRANT PROCESS", ("sales", "warn", "guard: assumed")),
        ],
    }
}

async fn each_grant_of_the_page_is_needed_and_all_are_enough(engine: Engine) {
    let database = Database::with_table(engine).await;
    let name = database.name().to_owned();
    if engine == Engine::Postgres {
        // What everybody may do unless it is taken away would hide what the page must grant.
        database
            .run(&format!(
                "REVOKE ALL ON DATABASE {name} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC"
            ))
            .await;
    }
    let ca = format!("sslrootcert={}/ca.pem", setting("CDC_CERTIFICATES"));
    let mut sources = String::new();
    let (mut accounts, mut cases) = (Vec::new(), Vec::new());
    for (number, (left_out, expected)) in without(engine).into_iter().enumerate() {
        let account = format!("role_{}_{number}", &name[name.len() - 12..]);
        let statements = grants::statements(engine, &name, &account);
        let granted = statements
            .iter()
            .filter(|statement| !statement.starts_with(left_out));
        assert_eq!(
            granted.clone().count(),
            statements.len() - usize::from(left_out != "nothing"),
            "{left_out} is one statement of the page"
        );
        for statement in granted {
            database.run(statement).await;
        }
        let url = database.url_of(&format!("{account}:a%20long%20random%20one"), None, &ca);
        sources += &format!(
            "  s{number}:\n    url: {url}\n    defaults: {{ mode: timestamp, timestamp: updated_at }}\n    tables: {{ {}: {{}}, later: {{}} }}\n",
            engine.table()
        );
        accounts.push(account);
        cases.push((left_out, expected));
    }
    database.create("later").await;
    let pipeline = Pipeline::new();
    let text = pipeline
        .text()
        .replace("sources:\n", &format!("sources:\n{sources}"));
    let file = pipeline.file("cdc.yaml", &text);
    let host = pipeline.temporary("host");

    // A part that had no time to answer, or a guard that could not look, finds less.
    eventually("`check` finds what each grant is for", async || {
        let check = pipeline.start_with(&file, &host, &["check", "-o", "json"]);
        let finished = check.finish().await;
        let answer: Value = serde_json::from_str(&finished.stdout).expect("an answer");
        let findings = answer["findings"].as_array().expect("findings");
        for (number, (left_out, (about, level, words))) in cases.iter().enumerate() {
            let of_source: Vec<&Value> = findings
                .iter()
                .filter(|finding| finding["part"] == format!("s{number}"))
                .collect();
            let found = of_source.iter().any(|finding| {
                finding["name"] == *about
                    && finding["level"] == *level
                    && finding.to_string().contains(words)
            });
            let fails = of_source.iter().any(|finding| finding["level"] == "fail");
            if !found || *left_out == "nothing" && fails {
                assert!(finished.may_pass(), "without {left_out}: {of_source:#?}");
                return Err(format!("without {left_out}: {of_source:#?}"));
            }
        }
        Ok(())
    })
    .await;
    for account in accounts {
        database
            .run(&match engine {
                Engine::Postgres => format!("DROP OWNED BY {account}; DROP ROLE {account}"),
                Engine::MariaDb => format!("DROP USER {account}@'%'"),
            })
            .await;
    }
}

crate::harness::on_both_databases! { each_grant_of_the_page_is_needed_and_all_are_enough }

/// Which grants of Kafka are left out, and how a run ends without them: the exit code, and what is said.
const WITHOUT: [(&str, i32, &str); 6] = [
    ("nothing", 0, ""),
    ("_cdc_state.", 77, "_cdc_state."),
    ("_cdc_schemas.", 77, "_cdc_schemas."),
    ("_cdc_loads.", 77, "_cdc_loads."),
    ("cdc.GROUP", 77, "group"),
    ("cdc.ID", 77, "transaction"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_grant_of_the_page_for_kafka_is_needed_and_all_are_enough() {
    let database = Database::with_table(Engine::Postgres).await;
    database.insert("orders", 10).await;
    let pipelines: Vec<Pipeline> = WITHOUT
        .iter()
        .map(|_| {
            Pipeline::new()
                .following(&database, "incrementing")
                .with_login()
        })
        .collect();
    let runs = WITHOUT
        .iter()
        .zip(&pipelines)
        .map(|((left_out, _, _), pipeline)| {
            let mut acls = grants::acls(&pipeline.name, &pipeline.topic_prefix());
            acls.retain(|acl| match *left_out {
                "cdc.GROUP" => !acl.is_group() || acl.name == "cdc.reader",
                "cdc.ID" => !acl.is_transactional_id(),
                name => !acl.name.starts_with(name),
            });
            grants::allow(&setting("KAFKA_SASL_USER"), &acls);
            pipeline.run(&["follow", "--once"])
        });

    let finished = join_all(runs).await;

    for ((left_out, code, words), finished) in WITHOUT.iter().zip(finished) {
        println!(
            "without {left_out}: {:?}\n{}",
            finished.code, finished.stderr
        );
        finished.expect(*code, &[words]);
    }
    pipelines[0].lake_is_exact(Table::of(&database)).await;
}
