//! What a shell offers: the script of `cdc completion`, really run by bash.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Database, Engine, Pipeline, Table, eventually};

/// Loads the script as the line in the help says, then asks for the last of the words as the key would.
const PRESS_THE_KEY: &str = r#"
source <("$CDC" completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
"$(complete -p cdc | grep -o '_clap[a-z_]*')" cdc "${@: -1}" ""
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash offers for the last word; nothing may be said beside it.
fn offered(environment: &[(String, String)], words: &[&str]) -> Vec<String> {
    let run = Command::new("bash")
        .args(["-c", PRESS_THE_KEY, "bash"])
        .args(words)
        .env("CDC", env!("CARGO_BIN_EXE_cdc"))
        .env_remove("CDC_CONFIG")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.is_empty(), "{words:?}: something was said: {said}");
    let offered = String::from_utf8(run.stdout).expect("text");
    let lines = offered.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// Presses the key until all of it is offered: on a busy machine one press may wait in vain.
async fn sooner_or_later(expected: &[&str], press: impl Fn() -> Vec<String>) {
    eventually(&format!("{expected:?} are offered"), async || {
        match press() {
            offered if offered == expected => Ok(()),
            offered => Err(format!("offered were {offered:?}")),
        }
    })
    .await;
}

#[test]
fn a_shell_completes_commands_flags_and_files() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("retail.yaml"), "").expect("a file");
    let begun = format!("{}/ret", directory.path().display());
    let whole = format!("{}/retail.yaml", directory.path().display());
    for (words, expected) in [
        (&["cdc", "sna"][..], "snapshot"),
        (&["cdc", "rejected", "re"], "replay"),
        (&["cdc", "follow", "--on"], "--once"),
        (&["cdc", "follow", "--only", "c"], "capture"),
        (&["cdc", "-c", &begun], &whole),
        (&["cdc", "man", "sna"], "snapshot"),
    ] {
        let offered = offered(&[], words);
        assert!(
            offered.iter().any(|one| one == expected),
            "{words:?}: {offered:?}"
        );
    }
    // Nothing is completed where nothing fits.
    assert!(offered(&[], &["cdc", "sna", "zzz"]).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_tables_are_completed_from_the_configuration_kafka_and_the_databases() {
    let database = Database::with_table(Engine::Postgres).await;
    database.create("log_a").await;
    let pipeline = Pipeline::new().source(
        &database,
        "orders: { mode: incrementing }, 'log_*': { mode: incrementing }",
    );
    let press = |file: &Path, environment: &[(String, String)], words: &[&str]| {
        let file = file.to_str().expect("a path");
        let line = [&["cdc", "--config", file][..], words].concat();
        offered(environment, &line)
    };
    let file = pipeline.file("cdc.yaml", &pipeline.text());
    let with = pipeline.environment();

    // From the database: nothing was read yet, and the glob names none.
    let all = ["ec.log_a", "ec.orders"];
    sooner_or_later(&all, || press(&file, with, &["follow", "ec."])).await;
    assert_eq!(press(&file, with, &["path", "or"]), ["orders"]);

    // From Kafka: the database is out of reach now, and the glob still names none.
    database.insert("log_a", 3).await;
    pipeline.run(&["snapshot"]).await.expect(0, &[]);
    pipeline
        .topic_is_exact(Table {
            database: &database,
            name: "log_a",
        })
        .await;
    let nowhere = "postgres://cdc:cdc@127.0.0.1:1/shop?sslmode=disable".to_owned();
    let away = [(database.engine.variable().to_owned(), nowhere)];
    sooner_or_later(&["ec.log_a"], || press(&file, &away, &["pause", "ec.l"])).await;

    // From the file alone: the secret is out of reach, as it is at most prompts.
    assert_eq!(
        press(&file, &[], &["pause", "orders", "ec."]),
        ["ec.orders"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_silent_does_not_hold_up_the_key() {
    // It accepts, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let database = Database::with_table(Engine::Postgres).await;
    let pipeline = Pipeline::new()
        .source(&database, "orders: { mode: incrementing }")
        .by_way_of(&crate::harness::brokers(), &address);
    let file = pipeline.file("cdc.yaml", &pipeline.text());
    let file = file.to_str().expect("a path");
    // The promise is a second; asking the broker in earnest takes four. The fastest counts: others share the machine.
    let pressed = || {
        let began = Instant::now();
        let words = ["cdc", "-c", file, "resume", "ec."];
        assert_eq!(offered(pipeline.environment(), &words), ["ec.orders"]);
        began.elapsed()
    };
    let took = [pressed(), pressed(), pressed()];
    assert!(
        took.iter().min() < Some(&Duration::from_secs(3)),
        "{took:?}"
    );
}

#[test]
fn each_shell_gets_its_script_and_another_is_refused() {
    let script = |shell: &str| {
        let run = Command::new(env!("CARGO_BIN_EXE_cdc"))
            .args(["completion", shell])
            .output()
            .expect("it runs");
        (
            run.status.code(),
            String::from_utf8_lossy(&run.stdout).into_owned(),
        )
    };
    for (shell, words) in [
        ("bash", "complete -o nospace"),
        ("zsh", "#compdef cdc"),
        ("fish", "complete --keep-order"),
    ] {
        let (code, text) = script(shell);
        assert!(code == Some(0) && text.contains(words), "{shell}: {text}");
        assert!(text.contains("CDC_COMPLETE"), "{shell}: {text}");
    }
    assert_eq!(script("tcsh"), (Some(2), String::new()));
}
