//! A canary: a password that goes through every path, and must come out of none.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::harness::{Database, Engine, Finished, Pipeline, Table, brokers, grants, setting};

/// Everything is logged, also by the libraries.
const ALL: &str = "trace";
/// What the Kafka client tells of itself: everything but each message and request, of which there are too many to get
/// anything else done on a busy machine.
const DEBUG: &str = "debug: generic,broker,security,conf,feature,admin,cgrp,eos,metadata";

/// Every file below a directory but the configurations, which hold secrets where people wrote them.
fn files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(below).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_none_or(|extension| extension != "secret")
            && !path.to_string_lossy().contains(".yaml")
        {
            found.push(path);
        }
    }
}

/// Fails if the canary is in the bytes, as it is or percent-encoded or in Base64.
fn is_silent(canary: &str, what: &str, bytes: &[u8]) {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(canary);
    // The last characters depend on what follows.
    for sought in [canary, &encoded[..encoded.len() - 2]] {
        let at = bytes
            .windows(sought.len())
            .position(|part| part == sought.as_bytes());
        if let Some(at) = at {
            let around = &bytes[at.saturating_sub(300)..bytes.len().min(at + 100)];
            panic!(
                "the canary is in {what}: …{}…",
                String::from_utf8_lossy(around)
            );
        }
    }
}

/// Every byte of every record of the topics whose names hold this.
fn records(part_of_name: &str) -> Vec<(String, Vec<u8>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", "test.reader")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let patience = Duration::from_secs(30);
    let metadata = consumer.fetch_metadata(None, patience).expect("metadata");
    let mut list = TopicPartitionList::new();
    for topic in metadata
        .topics()
        .iter()
        .filter(|topic| topic.name().contains(part_of_name))
    {
        for partition in topic.partitions() {
            list.add_partition_offset(topic.name(), partition.id(), Offset::Beginning)
                .expect("an offset");
        }
    }
    consumer.assign(&list).expect("an assignment");
    let (mut at_the_end, mut read) = (0, Vec::new());
    while at_the_end < list.count() {
        match consumer
            .poll(patience)
            .expect("records before the deadline")
        {
            Err(KafkaError::PartitionEOF(_)) => at_the_end += 1,
            Err(error) => panic!("{error}"),
            Ok(message) => {
                let mut bytes = message.key().unwrap_or_default().to_vec();
                bytes.extend(message.payload().unwrap_or_default());
                for header in message.headers().iter().flat_map(|headers| headers.iter()) {
                    bytes.extend(header.key.as_bytes());
                    bytes.extend(header.value.unwrap_or_default());
                }
                read.push((message.topic().to_owned(), bytes));
            }
        }
    }
    read
}

/// An account on this database whose password is the canary.
async fn account(database: &Database, canary: &str) -> String {
    let account = format!("canary_{}", &database.name()[database.name().len() - 12..]);
    for statement in grants::statements(database.engine, database.name(), &account) {
        let statement = statement
            .replace("a long random one", &format!("{canary}@/#%"))
            .replace(" REQUIRE SSL", "");
        database.run(&statement).await;
    }
    account
}

async fn forget(database: &Database, account: &str) {
    database
        .run(&match database.engine {
            Engine::Postgres => format!("DROP OWNED BY {account}; DROP ROLE {account}"),
            Engine::MariaDb => format!("DROP USER {account}@'%'"),
        })
        .await;
}

struct Scene {
    canary: String,
    pipeline: Pipeline,
}

impl Scene {
    /// Runs a command in a world where secrets come from everywhere, and says how it ended.
    fn run(&self, name: &str, text: &str, arguments: &[&str]) -> Option<i32> {
        self.finished(name, text, arguments).code
    }

    fn finished(&self, name: &str, text: &str, arguments: &[&str]) -> Finished {
        let file = self.pipeline.file(&format!("{name}.yaml"), text);
        let output = self
            .command(&file, name)
            .args(arguments)
            .output()
            .expect("the binary starts");
        for (what, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            is_silent(
                &self.canary,
                &format!("{what} of {name} {arguments:?}"),
                bytes,
            );
            assert!(
                !String::from_utf8_lossy(bytes).contains("panicked"),
                "{name} {arguments:?}"
            );
        }
        println!(
            "{name} {arguments:?}: {:?}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout)
        );
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, which must end with `code`; once more, a few times, only where the machine was too busy for it.
    fn comes_to(&self, name: &str, text: &str, arguments: &[&str], code: i32) {
        let mut finished = self.finished(name, text, arguments);
        for _ in 0..5 {
            if finished.code == Some(code) || !finished.may_pass() {
                break;
            }
            finished = self.finished(name, text, arguments);
        }
        finished.expect(code, &[]);
    }

    fn command(&self, file: &Path, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command
            .arg("--config")
            .arg(file)
            .env("CDC_LOG", ALL)
            .env("TMPDIR", self.pipeline.temporary(name))
            .env("SECRET", &self.canary)
            .env("SECRET_WITH_SIGNS", format!("{}@/#%", self.canary))
            .env("AWS_ACCESS_KEY_ID", "cdc-access-key")
            .env("AWS_SECRET_ACCESS_KEY", &self.canary)
            .env("AWS_SESSION_TOKEN", &self.canary)
            .env("AWS_REGION", "us-east-1");
        command
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_goes_through_every_path_comes_out_of_none() {
    let canary = format!("canary{}", ulid::Ulid::new());
    let (shop, tills) = (
        Database::with_table(Engine::Postgres).await,
        Database::with_table(Engine::MariaDb).await,
    );
    shop.insert("orders", 100).await;
    tills.insert("sales", 100).await;
    let (in_shop, in_tills) = (
        account(&shop, &canary).await,
        account(&tills, &canary).await,
    );
    let pipeline = Pipeline::new()
        .following(&shop, "timestamp+incrementing")
        .following(&tills, "incrementing");
    let scene = Scene {
        canary: canary.clone(),
        pipeline,
    };
    let pipeline = &scene.pipeline;
    let secret_file = pipeline.directory.path().join("password.secret");
    std::fs::write(&secret_file, format!("{canary}@/#%\n")).unwrap();

    // The client's key, with the canary as its pass phrase.
    let certificates = setting("CDC_CERTIFICATES");
    let key = pipeline.directory.path().join("client.secret");
    let encrypted = Command::new("openssl")
        .args([
            "pkcs8",
            "-topk8",
            "-passout",
            &format!("pass:{canary}"),
            "-in",
        ])
        .arg(format!("{certificates}/client.key"))
        .arg("-out")
        .arg(&key)
        .status();
    assert!(encrypted.unwrap().success());
    let acls = grants::acls(&pipeline.name, &pipeline.topic_prefix());
    grants::allow("cdc_certificate", &acls);
    let client = format!(
        "  client:\n    security.protocol: ssl\n    ssl.ca.location: {certificates}/ca.pem\n    \
         ssl.certificate.location: {certificates}/client.pem\n    ssl.key.location: {}\n    \
         ssl.key.password: \"${{env:SECRET}}\"\n    sasl.password: \"${{env:SECRET}}\"\n    {DEBUG}\n  topic_prefix:",
        key.display()
    );
    let ec = shop.url_of(
        &format!("{in_shop}:${{env:SECRET_WITH_SIGNS}}"),
        None,
        "sslmode=disable",
    );
    let pos = tills.url_of(
        &format!("{in_tills}:{canary}%40%2F%23%25"),
        None,
        "sslmode=disable",
    );
    let text = pipeline
        .text()
        .replace(&brokers(), &setting("KAFKA_MUTUAL_BROKERS"))
        .replace("  topic_prefix:", &client)
        .replace("${env:TEST_EC_URL}", &ec)
        .replace("${env:TEST_POS_URL}", &pos);

    // All goes well.
    let commands: [&[&str]; 10] = [
        &["check"],
        &["check", "-o", "json"],
        &["plan"],
        &["plan", "-o", "json"],
        &["snapshot"],
        &["follow", "--once", "--log-format", "json"],
        &["status"],
        &["status", "-o", "json"],
        &["sql", "orders"],
        &["path", "sales"],
    ];
    for arguments in commands {
        scene.comes_to("well", &text, arguments, 0);
    }
    let file = pipeline.file("well.yaml", &text);
    // As on one host: two processes in one temporary directory take names that differ.
    let mut command = scene.command(&file, "well");
    command.arg("follow");
    let worker =
        crate::harness::Worker::start(command, pipeline.directory.path().join("following.log"));
    shop.insert("orders", 100).await;
    pipeline.topic_is_exact(Table::of(&shop)).await;
    scene.run("well", &text, &["resume", "orders"]);
    shop.insert("orders", 100).await;
    pipeline.topic_is_exact(Table::of(&shop)).await;
    let arguments = std::fs::read(format!("/proc/{}/cmdline", worker.id())).unwrap();
    is_silent(&canary, "the arguments of the process", &arguments);
    worker.stop().await;

    // Nothing goes well.
    let kafka = setting("KAFKA_MUTUAL_BROKERS");
    let wrong_password = ec.replace("${env:SECRET_WITH_SIGNS}", "${env:SECRET}");
    let file_password = format!("${{file:{}}}", secret_file.display());
    let sasl = text
        .replace(&kafka, &setting("KAFKA_SASL_BROKERS"))
        .replace("protocol: ssl", "protocol: sasl_ssl")
        .replace(
            "    sasl.password",
            "    sasl.username: cdc\n    sasl.mechanism: SCRAM-SHA-512\n    sasl.password",
        );
    let own_lake = |text: &str| {
        let (before, rest) = text.split_once("lake:\n").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        let endpoint = setting("S3_ENDPOINT");
        format!("{before}lake:\n  url: s3://retail-lake/canary\n  endpoint: {endpoint}\n{after}")
    };
    let lake = own_lake(&text);
    let worlds = [
        (
            "password-from-a-file",
            text.replace("${env:SECRET_WITH_SIGNS}", &file_password),
            0,
        ),
        ("wrong-password", text.replace(&ec, &wrong_password), 1),
        (
            "wrong-host",
            text.replace(&ec, &ec.replace("@127.0.0.1:", "@there.is.none.invalid:")),
            1,
        ),
        (
            "wrong-port",
            text.replace(
                &pos,
                &tills.url_of(&format!("{in_tills}:{canary}"), Some("127.0.0.1:1"), ""),
            ),
            1,
        ),
        (
            "wrong-pass-phrase",
            text.replace(
                "ssl.key.password: \"${env:SECRET}\"",
                "ssl.key.password: \"${env:SECRET_WITH_SIGNS}\"",
            ),
            1,
        ),
        ("wrong-sasl-password", sasl, 1),
        ("wrong-secret-key", lake, 1),
    ];
    for (name, text, code) in &worlds {
        scene.comes_to(name, text, &["check"], *code);
        scene.run(name, text, &["check", "-o", "json", "--log-format", "json"]);
        scene.run(name, text, &["plan"]);
    }

    // The secret stands where it does not belong. With this sign it is nothing that is wanted anywhere.
    let misplaced = "\"${env:SECRET_WITH_SIGNS}\"";
    for (name, line) in [
        ("pipeline", format!("pipeline: {}", pipeline.name)),
        ("brokers", format!("brokers: {kafka}")),
        (
            "prefix",
            format!("topic_prefix: {}", pipeline.topic_prefix()),
        ),
        ("every", "every: 100ms".to_owned()),
        ("mode", "mode: incrementing".to_owned()),
        ("age", "age: 1s".to_owned()),
        ("version", "version: 1".to_owned()),
        ("partitions", "partitions: 3".to_owned()),
        ("protocol", "security.protocol: ssl".to_owned()),
        ("debug", DEBUG.to_owned()),
        ("url", format!("url: {ec}")),
    ] {
        let (key, _) = line.split_once(": ").unwrap();
        assert!(text.contains(&line), "{line}");
        let ended = scene.run(
            name,
            &text.replace(&line, &format!("{key}: {misplaced}")),
            &["check"],
        );
        assert!(ended.is_some_and(|code| code != 0), "{name}: {ended:?}");
    }
    for property in [
        "ssl.key.pem",
        "ssl.certificate.pem",
        "ssl.ca.pem",
        "compression.codec",
        "there.is.none",
    ] {
        let added = text.replace(
            &format!("    {DEBUG}\n"),
            &format!("    {property}: {misplaced}\n"),
        );
        let ended = scene.run(property, &added, &["check"]);
        assert!(ended.is_some_and(|code| code != 0), "{property}: {ended:?}");
    }

    // What is left behind: topics, files of the lake, spool, locks, logs.
    let records = tokio::task::block_in_place(|| records(&pipeline.name));
    assert!(records.len() > 300, "only {} records", records.len());
    for (topic, bytes) in records {
        is_silent(&canary, &format!("topic {topic}"), &bytes);
    }
    let mut left = Vec::new();
    files(pipeline.directory.path(), &mut left);
    assert!(
        left.iter()
            .any(|path| path.extension().is_some_and(|e| e == "parquet")),
        "{left:?}"
    );
    for path in left {
        is_silent(
            &canary,
            &path.display().to_string(),
            &std::fs::read(&path).unwrap(),
        );
        is_silent(&canary, "a file's name", path.to_string_lossy().as_bytes());
    }
    forget(&shop, &in_shop).await;
    forget(&tills, &in_tills).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_image_of_the_memory_can_be_left_behind() {
    let database = Database::with_table(Engine::Postgres).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let mut worker = pipeline.follow();
    database.insert("orders", 10).await;
    pipeline.topic_is_exact(Table::of(&database)).await;
    assert!(worker.is_running());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", worker.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = line.expect("a limit").split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    worker.stop().await;
}
