//! The commands that only look: what they show of a pipeline whose parts are there, or half of them.

use std::process::Stdio;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use crate::harness::{
    Database, Engine, Pipeline, Table, brokers, eventually, on_both_databases, setting,
};

on_both_databases! {
    peek_shows_the_same_row_to_the_last_digit_in_the_database_the_topic_and_the_lake
    check_looks_at_everything_and_at_one_table_where_one_is_named
    plan_says_what_would_be_made_and_how_large_it_is
}

/// A table whose values break wherever they are not carried exactly.
async fn hostile(engine: Engine) -> Database {
    let database = Database::open(engine).await;
    let table = engine.table();
    let (decimal, time) = match engine {
        Engine::Postgres => ("numeric(38,18)", "timestamptz"),
        Engine::MariaDb => ("decimal(38,18)", "timestamp(6)"),
    };
    let text = match engine {
        Engine::Postgres => "E'a\\x1b[2J\\n매장'",
        Engine::MariaDb => "'a\\Z\\n매장'",
    };
    database
        .run(&format!(
            "CREATE TABLE {table} (id bigint PRIMARY KEY, amount {decimal}, at {time} NOT NULL, note text)"
        ))
        .await;
    database
        .run(&format!(
            "INSERT INTO {table} VALUES (1, NULL, '2026-01-01 00:00:00', 'old'),
             (9007199254740993, 12345678901234567890.123456789012345678, '2026-10-25 00:30:00.000001', {text})"
        ))
        .await;
    database
}

fn lines(stdout: &str) -> Vec<Value> {
    let parsed = stdout.lines().map(serde_json::from_str);
    parsed.map(|line| line.expect("a line of JSON")).collect()
}

async fn peek_shows_the_same_row_to_the_last_digit_in_the_database_the_topic_and_the_lake(
    engine: Engine,
) {
    let database = hostile(engine).await;
    let name = engine.table();
    let tables = format!("{name}: {{ mode: bulk }}");
    let pipeline = Pipeline::new().source(&database, &tables);
    let table = Table {
        database: &database,
        name,
    };
    pipeline.run(&["snapshot"]).await.expect(0, &[]);

    let full = format!("{}.{name}", engine.source());
    let in_database = pipeline.run(&["peek", &full, "-o", "json"]).await;
    let in_database = in_database.expect(0, &[]).stdout;
    let (first, old) = in_database.split_once('\n').expect("two lines");
    for exact in [
        "9007199254740993",
        "12345678901234567890.123456789012345678",
        "00:30:00.000001",
        "\\n매장",
    ] {
        assert!(first.contains(exact), "`{exact}` is not in {first}");
    }
    assert!(old.contains("\"amount\":null"), "{old}");

    let in_text = pipeline.run(&["peek", &full]).await;
    in_text.expect(0, &["ordered by `id`", "NULL"]);

    let in_lake = pipeline
        .run(&["peek", name, "--at", "lake", "-o", "json"])
        .await;
    let in_lake = lines(&in_lake.expect(0, &[]).stdout);
    let in_topic = pipeline
        .run(&["peek", name, "--at", "topic", "-o", "json"])
        .await;
    let in_topic = lines(&in_topic.expect(0, &[]).stdout);
    let values: Vec<&Value> = in_topic.iter().map(|record| &record["value"]).collect();
    for row in lines(&in_database) {
        assert!(values.contains(&&row), "{row} is not among {values:?}");
    }
    // A file holds the rows of one partition.
    assert!(!in_lake.is_empty());
    for row in &in_lake {
        assert!(values.contains(&row), "{row} is not among {values:?}");
    }
    for (record, seen) in pipeline.records(table).iter().zip(0..) {
        let shown = in_topic
            .iter()
            .find(|shown| shown["value"] == record.value)
            .unwrap_or_else(|| panic!("record {seen} is not among {in_topic:?}"));
        assert_eq!(shown["offset"], record.offset);
        assert_eq!(shown["run"]["epoch"], record.epoch);
        assert_eq!(shown["run"]["load"].as_str(), record.load.as_deref());
        assert_eq!(shown["key"]["id"], record.value["id"]);
        assert!(shown["run"]["sequence"].as_u64() >= Some(1));
    }

    // On a terminal or not, a text of a row moves no cursor.
    let shown = pipeline
        .run(&["peek", name, "-n", "1"])
        .await
        .expect(0, &[]);
    assert!(!shown.stdout.contains('\u{1b}') && !shown.stdout.contains('\u{1a}'));
    assert_eq!(shown.stdout.lines().count(), 2, "{}", shown.stdout);
    let oldest = pipeline
        .run(&["peek", name, "-n", "1", "--from-start", "-o", "json"])
        .await;
    assert_eq!(lines(&oldest.expect(0, &[]).stdout)[0]["note"], "old");

    let topic = pipeline.topic(table);
    let schema = pipeline
        .run(&["peek", &topic, "--schema", "-o", "json"])
        .await;
    let schema: Value = serde_json::from_str(&schema.expect(0, &[]).stdout).expect("JSON");
    assert_eq!(schema["is_ours"], true);
    assert_eq!(
        schema["columns"][1],
        json!({"name": "amount", "type": "decimal(38,18)", "nullable": true})
    );
    pipeline
        .run(&["peek", name, "--at", "lake", "--schema"])
        .await
        .expect(0, &["cdc.fingerprint", "decimal(38,18)", "row groups"]);
}

async fn check_looks_at_everything_and_at_one_table_where_one_is_named(engine: Engine) {
    let database = Database::with_table(engine).await;
    let name = engine.table();
    database.create("later").await;
    let tables = format!(
        "{name}: {{ mode: incrementing, incrementing: id }}, later: {{ mode: bulk }}, nowhere: {{ mode: bulk }}"
    );
    let pipeline = Pipeline::new().source(&database, &tables);
    let source = engine.source();

    let words = [
        "login",
        "clock",
        "guard: proven",
        "transactions",
        "groups",
        "own topics",
        "honours conditional writes",
        "nowhere",
        "1 to mend",
    ];
    let said = pipeline.comes_to(&["check"], 1, &words).await;
    assert!(!said.stdout.contains('\u{1b}'), "a pipe has no colours");
    let table = format!("{source}.{name}");
    let one = pipeline
        .comes_to(&["check", &table, "-o", "json"], 0, &[])
        .await;
    let one: Value = serde_json::from_str(&one.stdout).expect("JSON");
    let mut names: Vec<&str> = one["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["part"] == source)
        .filter_map(|finding| finding["name"].as_str())
        .collect();
    // Of a table there may be a remark besides.
    names.dedup();
    assert_eq!(names, ["login", "clock", name]);
    assert_eq!(one["counts"]["fail"], 0);
    let words = ["no table is called `orderz`", name];
    pipeline.comes_to(&["check", "orderz"], 2, &words).await;
}

async fn plan_says_what_would_be_made_and_how_large_it_is(engine: Engine) {
    let database = Database::with_table(engine).await;
    let name = engine.table();
    database.insert(name, 1_000).await;
    database
        .run(&match engine {
            Engine::Postgres => format!("ANALYZE {name}"),
            Engine::MariaDb => format!("ANALYZE TABLE {name} PERSISTENT FOR ALL"),
        })
        .await;
    let tables =
        format!("{name}: {{ mode: incrementing, incrementing: id }}, nowhere: {{ mode: bulk }}");
    let pipeline = Pipeline::new().source(&database, &tables);
    let topic = pipeline.topic(Table::of(&database));

    let plan = pipeline.run(&["plan", "-o", "json"]).await.expect(1, &[]);
    let plan: Value = serde_json::from_str(&plan.stdout).expect("JSON");
    let table = &plan["tables"][0];
    // An estimate, if a good one.
    let rows = table["estimated_rows"].as_u64();
    assert!(rows > Some(500) && rows < Some(2_000), "{table}");
    assert!(table["estimated_bytes"].as_u64() > Some(8_000), "{table}");
    // A chunk a second, in three partitions: the test's pipelines close files soon.
    assert_eq!(table["files_per_day"]["at_most"], 3 * 86_400);
    let creates = plan["creates"].as_array().expect("creates");
    for topic in [topic.as_str(), pipeline.names().state_topic.as_str()] {
        assert!(
            creates.contains(&json!(format!("topic {topic}"))),
            "{creates:?}"
        );
    }
    assert!(
        plan["problems"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("nowhere"))
    );
    pipeline.run(&["plan", name]).await.expect(
        0,
        &[
            "files    at most",
            "would create: topic _cdc_state",
            "nothing was changed",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_answers_while_half_of_the_parts_are_silent_and_says_which() {
    let well = Database::with_table(Engine::Postgres).await;
    let silent = Database::with_table(Engine::MariaDb).await;
    // Whoever connects there is taken, and never answered.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("an address");
    let mut url = url::Url::parse(&silent.url()).expect("a url");
    url.set_port(Some(address.port())).expect("a port");
    let pipeline = Pipeline::new()
        .following(&well, "incrementing")
        .following(&silent, "incrementing")
        .with_url(Engine::MariaDb, url.as_str())
        .by_way_of(&brokers(), &address.to_string());

    let answer = pipeline.run(&["check", "-o", "json"]).await.expect(1, &[]);

    let answer: Value = serde_json::from_str(&answer.stdout).expect("JSON");
    let level = |part: &str, name: &str| {
        let findings = answer["findings"].as_array().expect("findings");
        let mut of_part = findings.iter().filter(|finding| finding["part"] == part);
        let found = of_part.find(|finding| finding["name"] == name);
        found.unwrap_or_else(|| panic!("{part} {name} in {answer:#}"))["level"].clone()
    };
    assert_eq!(level("ec", "orders"), "ok");
    assert_eq!(level("pos", "login"), "fail");
    assert_eq!(level("kafka", "brokers"), "fail");
    assert_eq!(level("lake", "store"), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_needs_kafka_alone_and_watches_in_blocks_where_there_is_no_terminal() {
    let database = Database::with_table(Engine::Postgres).await;
    database.create("later").await;
    database.insert("orders", 10).await;
    let tables =
        "orders: { mode: incrementing, incrementing: id }, later: { mode: bulk, every: 1h }";
    let pipeline = Pipeline::new().source(&database, tables);
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);

    // Neither the database nor the lake can be reached from here.
    let text = pipeline
        .text()
        .replace("${env:TEST_EC_URL}", "postgres://cdc@127.0.0.1:1/nowhere")
        .replace("lake:\n  url: ", "lake:\n  url: /proc/nowhere");
    let elsewhere = pipeline.file("elsewhere.yaml", &text);
    let host = pipeline.temporary("elsewhere");
    let status = pipeline
        .start_with(&elsewhere, &host, &["status"])
        .finish()
        .await;
    status.expect(
        0,
        &[
            "ec.orders",
            "0 behind",
            "how far the lake is follows from Kafka alone",
        ],
    );

    let one = pipeline
        .run(&["status", "orders", "--wide"])
        .await
        .expect(0, &["EVERYTHING UNTIL", "files, 10 rows"]);
    assert!(!one.stdout.contains("ec.later"), "{}", one.stdout);
    pipeline
        .run(&["status", "orderz"])
        .await
        .expect(2, &["no table is called `orderz`"]);

    let watching = pipeline.start(&["status", "--watch=100ms"]);
    eventually("a second look is printed", async || {
        let printed = watching.answered();
        match printed.matches("every 100 ms").count() {
            looks if looks >= 2 && printed.matches("pipeline ").count() >= 2 => Ok(()),
            looks => Err(format!("{looks} looks")),
        }
    })
    .await;
    assert!(
        !watching.answered().contains('\u{1b}'),
        "a pipe is not redrawn"
    );
    watching.kill();
    let line = pipeline.start(&["status", "--watch", "-o", "json"]);
    eventually("a look is printed as a line of JSON", async || {
        let printed = line.answered();
        let first = printed.lines().next().unwrap_or_default();
        match serde_json::from_str::<Value>(first) {
            Ok(status) if status["tables"].is_array() => Ok(()),
            _ => Err(printed),
        }
    })
    .await;
    line.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peek_shows_a_foreign_topic_as_it_is_and_a_file_of_anothers_without_a_configuration() {
    let database = Database::with_table(Engine::Postgres).await;
    let pipeline = Pipeline::new().source(&database, "orders: { mode: bulk }");
    let topic = format!("{}foreign", pipeline.topic_prefix());
    let admin: AdminClient<_> = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .unwrap();
    let new = NewTopic::new(&topic, 2, TopicReplication::Fixed(1));
    admin
        .create_topics([&new], &AdminOptions::new())
        .await
        .unwrap();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .unwrap();
    let values: [&[u8]; 3] = [
        b"\xff\x00\x1b[2J",
        b"plain \x1b]0;title\x07",
        b"{\"a\":1.10}",
    ];
    for (value, partition) in values.iter().zip([0, 1, 0]) {
        let record = BaseRecord::to(&topic)
            .partition(partition)
            .key("k")
            .payload(*value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(30)).unwrap();

    let shown = pipeline.run(&["peek", &topic]).await.expect(
        0,
        &[
            "0xff001b5b324a",
            "plain \\u{1b}]0;title\\u{7}",
            "{\"a\":1.10}",
        ],
    );
    assert!(!shown.stdout.contains('\u{1b}'), "{}", shown.stdout);
    let json = lines(
        &pipeline
            .run(&["peek", &topic, "-o", "json"])
            .await
            .expect(0, &[])
            .stdout,
    );
    let values: Vec<&Value> = json.iter().map(|record| &record["value"]).collect();
    for value in [
        json!({"base64": "/wAbWzJK"}),
        json!("plain \u{1b}]0;title\u{7}"),
    ] {
        assert!(values.contains(&&value), "{value} is not among {values:?}");
    }
    pipeline
        .run(&["peek", "no.such.topic"])
        .await
        .expect(2, &["there is no table and no topic"]);

    let script = "import duckdb; duckdb.sql(\"COPY (SELECT range AS n, TIME '12:34:56.789' AS t, {'a': range} AS s, \
                  12345678901234567890123.45::DECIMAL(25,2) AS d FROM range(5000)) TO 'foreign.parquet' (FORMAT parquet)\")";
    let directory = pipeline.temporary("files");
    let made = std::process::Command::new(setting("CDC_PYTHON"))
        .args(["-c", script])
        .current_dir(&directory)
        .status();
    assert!(
        made.is_ok_and(|made| made.success()),
        "DuckDB writes a file"
    );
    let cdc = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cdc"));
        command.current_dir(&directory).env_remove("CDC_CONFIG");
        command
    };
    let said = |output: std::process::Output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let arguments = [
        "peek",
        "foreign.parquet",
        "-n",
        "2",
        "--from-end",
        "-o",
        "json",
    ];
    let last = said(cdc().args(arguments).output().unwrap());
    insta::assert_snapshot!(last, @r#"
    {"n":4998,"t":"12:34:56.789","s":"{a: 4998}","d":12345678901234567890123.45}
    {"n":4999,"t":"12:34:56.789","s":"{a: 4999}","d":12345678901234567890123.45}
    "#);
    let file = std::fs::File::open(directory.join("foreign.parquet")).unwrap();
    let piped = cdc()
        .args(["peek", "-", "-n", "1"])
        .stdin(Stdio::from(file))
        .output()
        .unwrap();
    insta::assert_snapshot!(said(piped), @r"
    n  t             s       d
    0  12:34:56.789  {a: 0}  12345678901234567890123.45
    ");
    let refused = cdc().args(["peek", "./nothing.parquet"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(74));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedule_tells_the_last_load_and_the_next_and_a_timer_runs_the_same_command() {
    let database = Database::with_table(Engine::Postgres).await;
    database.insert("orders", 10).await;
    database.create("prices").await;
    let tables = "orders: { mode: bulk, schedule: 30 2 * * * Asia/Seoul }, \"pri*\": { mode: bulk, every: 6h }";
    let pipeline = Pipeline::new().source(&database, tables);
    pipeline.run(&["snapshot", "orders"]).await.expect(0, &[]);

    let shown = pipeline.run(&["schedule"]).await;
    shown.expect(
        0,
        &[
            "load 1, 10 rows",
            "+09:00 Asia/Seoul",
            "17:30 UTC",
            "ec.prices",
            "no load yet",
            "none is late",
        ],
    );
    let told = pipeline
        .run(&["schedule", "orders", "-n", "2", "-o", "json"])
        .await
        .expect(0, &[]);
    let told: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(told["tables"][0]["next"].as_array().map(Vec::len), Some(2));
    assert_eq!(told["tables"][0]["last"]["number"], 1);

    let script = pipeline.run(&["schedule", "--systemd"]).await.expect(
        0,
        &["Persistent=true", "OnCalendar=*-*-* 02:30:00 Asia/Seoul"],
    );
    let command = script
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart="))
        .find(|command| command.ends_with("snapshot ec.orders"))
        .unwrap_or_else(|| panic!("{}", script.stdout))
        .to_owned();
    let crontab = pipeline
        .run(&["schedule", "--crontab"])
        .await
        .expect(0, &["CRON_TZ=Asia/Seoul"]);
    assert!(
        crontab.stdout.contains(&format!("30 2 * * * {command}")),
        "{}",
        crontab.stdout
    );
    let words: Vec<&str> = command.split(' ').skip(3).collect();
    pipeline.run(&words).await.expect(0, &[]);
    pipeline
        .run(&["schedule", "orders"])
        .await
        .expect(0, &["load 2, 10 rows"]);
}
