//! Each exit code through the binary, with the code of its error, and what is asked without a database.

use std::process::{Command, Output};

use crate::harness::{Database, Engine, Pipeline, Table};

/// A file whose peers do not answer: nothing listens at port 1.
const NOBODY: &str = "\
kafka: { brokers: \"127.0.0.1:1\", topic_prefix: retail. }
lake: { url: ./lake }
sources:
  ec:
    url: postgres://cdc@127.0.0.1:1/shop
    defaults: { every: 2s, lookback: 30m }
    tables:
      orders: { mode: timestamp+incrementing, partition_by: { dt: day(ordered_at) } }
      \"log_*\": { mode: incrementing }
";

/// Runs the binary beside a configuration.
fn cdc(configuration: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cdc.yaml"), configuration).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
    command.args(arguments).current_dir(folder.path());
    command.env_remove("CDC_CONFIG").output().unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn expect(output: &Output, exit: i32, words: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(exit), "{said}");
    assert!(
        said.contains(words),
        "`{words}` is not in what it said:\n{said}"
    );
}

// Only a build with debug assertions can be told to panic.
#[cfg(debug_assertions)]
#[test]
fn a_fault_of_cdc_itself_is_70_and_its_words_are_told_nobody() {
    let output = Command::new(env!("CARGO_BIN_EXE_cdc"))
        .args(["explain", "70"])
        .env("CDC_TEST_PANIC", "a value of a row")
        .env("CDC_LOG", "trace")
        .output()
        .unwrap();
    expect(
        &output,
        70,
        "error[CDC-0070]: a fault of cdc itself at src/cli/faults.rs:",
    );
    let said = said(&output);
    assert!(said.contains("  next: report this line"), "{said}");
    assert!(!said.contains("a value of a row"), "{said}");
}

#[test]
fn done_is_0_and_a_code_is_explained_without_a_configuration() {
    for asked in ["CDC-0103", "cdc-103", "103"] {
        let output = Command::new(env!("CARGO_BIN_EXE_cdc"))
            .args(["explain", asked])
            .output()
            .unwrap();
        expect(&output, 0, "CDC-0103: a key that there is not");
        assert!(output.stderr.is_empty());
    }
    let all = cdc("", &["explain", "-o", "json"]);
    let all: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    assert!(all.as_array().unwrap().len() > 80);
}

#[test]
fn an_explained_code_reads_as_cause_remedy_and_example() {
    let output = cdc("", &["explain", "CDC-0503"]);
    insta::assert_snapshot!("explained", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn no_is_1_and_an_unknown_code_gets_the_nearest() {
    let output = cdc("", &["explain", "CDC-0199"]);
    expect(&output, 1, "error[CDC-0509]: there is no code `CDC-0199`");
    expect(&output, 1, "the nearest is `CDC-0201`");
    expect(
        &cdc("", &["explain", "mode"]),
        1,
        "a code is written as `CDC-0103`",
    );
}

#[test]
fn a_command_line_that_cannot_be_understood_is_2() {
    expect(&cdc(NOBODY, &["snapshoot"]), 2, "unrecognized subcommand");
    expect(&cdc(NOBODY, &["snapshot", "--agian"]), 2, "--again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_cannot_be_carried_is_65() {
    let database = Database::with_table(Engine::Postgres).await;
    database
        .run("CREATE TABLE odd (id bigint PRIMARY KEY, at timestamptz)")
        .await;
    database.run("INSERT INTO odd VALUES (1, 'infinity')").await;
    let pipeline =
        Pipeline::new().source(&database, "odd: { mode: incrementing, incrementing: id }");
    let finished = pipeline.run(&["snapshot"]).await;
    finished.expect(65, &["which cannot be carried exactly"]);
}

#[test]
fn what_does_not_answer_is_69() {
    let output = cdc(NOBODY, &["status"]);
    expect(&output, 69, "error[CDC-0301]: ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_made_is_74() {
    let database = Database::with_table(Engine::Postgres).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let file = pipeline.file("no-room.yaml", &pipeline.text());
    let nowhere = pipeline.file("a-file", "");
    let worker = pipeline.start_with(&file, &nowhere, &["snapshot"]);
    worker.finish().await.expect(74, &["error[CDC-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_works_later_is_75() {
    let database = Database::with_table(Engine::Postgres).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let asked = pipeline
        .run(&["rejected", "replay", Table::of(&database).name])
        .await;
    asked.expect(75, &["error[CDC-0502]: nobody follows this pipeline"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_grant_is_77() {
    let database = Database::with_table(Engine::Postgres).await;
    let url = database.url();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, place) = rest.rsplit_once('@').unwrap();
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let wrong = format!("{scheme}://nobody-of-this-name:wrong@{place}");
    let text = pipeline
        .text()
        .replace(&format!("${{env:{}}}", Engine::Postgres.variable()), &wrong);
    let file = pipeline.file("stranger.yaml", &text);
    let worker = pipeline.start_with(&file, &pipeline.temporary("host"), &["snapshot"]);
    worker
        .finish()
        .await
        .expect(77, &["check user and password"]);
}

#[test]
fn a_wrong_configuration_is_78_with_the_code_of_its_problems() {
    let one_sort = NOBODY.replace("every:", "evry:");
    expect(
        &cdc(&one_sort, &["plan"]),
        78,
        "error[CDC-0103]: the configuration has one problem",
    );
    let two_sorts = one_sort.replace("30m", "30");
    expect(
        &cdc(&two_sorts, &["plan"]),
        78,
        "error[CDC-0100]: the configuration has 2 problems",
    );
    expect(
        &cdc(NOBODY, &["plan", "-c", "none.yaml"]),
        78,
        "error[CDC-0101]: `none.yaml`",
    );
}

#[test]
fn an_answer_that_could_not_be_written_is_74() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
    command.args(["explain", "CDC-0103"]).stdout(full.unwrap());
    let output = command.output().unwrap();
    expect(&output, 74, "writing the answer to stdout");
}

#[test]
fn of_a_file_that_is_wrong_about_a_table_the_rest_is_checked() {
    let wrong = NOBODY.replace("mode: incrementing }", "mode: incremental }");
    let output = cdc(&wrong, &["check", "-o", "json"]);
    expect(&output, 78, "incremental");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["ok"], false);
    let findings = answer["findings"].as_array().unwrap();
    let parts: Vec<&str> = findings.iter().filter_map(|f| f["part"].as_str()).collect();
    assert_eq!(parts[0], "configuration", "{answer}");
    for part in ["ec", "kafka", "lake"] {
        assert!(parts.contains(&part), "{answer}");
    }
    // Of another broker than is meant nobody asks anything.
    let wrong = NOBODY.replace("127.0.0.1:1\"", "127.0.0.1:x\"");
    let output = cdc(&wrong, &["check"]);
    expect(&output, 78, "the configuration has one problem");
    let output = cdc(&wrong, &["check", "-o", "json"]);
    expect(&output, 78, "is no list of brokers");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["counts"]["fail"], 1, "{answer}");
}

#[test]
fn plan_says_of_each_setting_where_it_comes_from_and_asks_nobody() {
    let output = cdc(NOBODY, &["plan", "--show-origin", "orders"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    insta::assert_snapshot!("origins", String::from_utf8_lossy(&output.stdout));
    let json = cdc(NOBODY, &["plan", "--show-origin", "-o", "json", "log_web"]);
    let settings: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let of = |path: &str| {
        settings
            .as_array()
            .unwrap()
            .iter()
            .find(|setting| setting["path"] == path)
    };
    let every = of("sources.ec.tables.log_*.every").unwrap();
    assert_eq!(every["value"], "2s");
    assert_eq!(every["origin"]["from"], "defaults");
    assert_eq!(
        (
            every["origin"]["line"].as_u64(),
            every["origin"]["column"].as_u64()
        ),
        (Some(6), Some(24))
    );
    assert!(of("sources.ec.tables.orders.every").is_none());
}
