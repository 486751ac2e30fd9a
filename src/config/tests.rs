//! The files of `tests/config/`: each wrong one beside the message people get for it, and the good ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::load::parse_bytes;
use super::reference::References;
use super::*;
use crate::error::Code;

/// Parses in a world with a few variables and secret files of its own.
fn parse_in_test_world(text: &str) -> Result<Settings, Problems> {
    in_test_world(|references| parse_bytes(text.as_bytes(), "cdc.yaml", references))
}

/// Gives the references of that world to `use_them`.
pub(super) fn in_test_world<T>(use_them: impl FnOnce(&References<'_>) -> T) -> T {
    let variable = |name: &str| match name {
        "EC_URL" => Some(OsString::from("postgres://cdc:hunter2@db.example.com/shop")),
        "HUSH" => Some(OsString::from("hunter2!")),
        "EMPTY" => Some(OsString::new()),
        _ => None,
    };
    let file = |path: &Path| match path.to_str() {
        Some("/run/secrets/kafka") => Ok(b"hunter2\n".to_vec()),
        Some("/run/secrets/pos_url") => {
            Ok(b"mariadb://till:hunter2@pos.example.com:3307/pos\n".to_vec())
        }
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let references = References {
        variable: &variable,
        file: &file,
    };
    use_them(&references)
}

pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/config")
        .join(name)
}

/// The files of a folder of `tests/config`.
pub(super) fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    paths
}

pub(super) fn good(name: &str) -> Settings {
    let text = fs::read_to_string(folder("good").join(name)).unwrap();
    parse_in_test_world(&text).unwrap_or_else(|problems| panic!("{name}:\n{problems}"))
}

/// With `CDC_WRITE_EXPECTED` set, writes the messages instead of comparing them; read them before you commit.
#[test]
fn every_wrong_file_gets_the_message_that_stands_beside_it() {
    let mut compared = 0;
    for path in files("wrong") {
        let bytes = fs::read(&path).unwrap();
        let parsed = in_test_world(|references| parse_bytes(&bytes, "cdc.yaml", references));
        let message = match parsed {
            Ok(_) => panic!("{} was accepted", path.display()),
            Err(problems) => format!("{problems}\n"),
        };
        assert!(
            !message.contains("hunter2"),
            "{} shows a secret:\n{message}",
            path.display()
        );
        let has_code = |line: &str| line.ends_with(']') && line.contains(" [CDC-01");
        assert!(
            message.lines().all(has_code),
            "{}:\n{message}",
            path.display()
        );
        let beside = path.with_extension("txt");
        if std::env::var_os("CDC_WRITE_EXPECTED").is_some() {
            fs::write(&beside, &message).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(message, expected, "{}", path.display());
        compared += 1;
    }
    assert!(compared >= 100, "only {compared} wrong files were found");
}

/// Each example of the registry is a message that some wrong file gets.
#[test]
fn each_code_of_the_configuration_explains_a_message_that_there_is() {
    let texts = files("wrong").into_iter().map(|path| {
        let beside = path.with_extension("txt");
        fs::read_to_string(beside).unwrap_or_default()
    });
    let all: String = texts.collect();
    for known in Code::all() {
        let of_lines = known.code.number() / 100 == 1 && known.example.starts_with("cdc.yaml:");
        if of_lines {
            assert!(
                all.contains(&format!("{}\n", known.example)),
                "{}",
                known.example
            );
        }
    }
}

#[test]
fn every_good_file_is_taken_without_a_word() {
    for path in files("good") {
        let text = fs::read_to_string(&path).unwrap();
        let parsed = parse_in_test_world(&text);
        parsed.unwrap_or_else(|problems| panic!("{}:\n{problems}", path.display()));
    }
}

#[test]
fn a_file_of_ten_megabytes_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.sql");
    fs::write(&path, "# a comment\n".repeat(900_000)).unwrap();
    let error = load(Some(&path)).unwrap_err();
    assert_eq!(error.stable_code(), Code::CONFIGURATION_TOO_LARGE);
    assert!(error.to_string().contains("10800000 bytes"), "{error}");
}

#[test]
fn the_least_file_gets_every_default() {
    let settings = good("least.yaml");
    assert_eq!(settings.pipeline, "default");
    assert_eq!(settings.memory, 256 * 1024 * 1024);
    assert_eq!(settings.warnings, Vec::<String>::new());
    let kafka = settings.kafka.unwrap();
    assert_eq!((kafka.partitions, kafka.replication), (3, -1));
    assert_eq!(kafka.retention, Duration::from_secs(604_800));
    let [source] = settings.sources.as_slice() else {
        panic!("one source")
    };
    assert_eq!(
        (source.connections, source.url.tls),
        (4, TlsMode::VerifyFull)
    );
    assert_eq!(source.url.password.reveal(), "hunter2");
    let [orders] = source.tables.as_slice() else {
        panic!("one table")
    };
    assert_eq!(orders.mode, Mode::TimestampIncrementing);
    assert_eq!(orders.every, Some(Duration::from_secs(5)));
    assert_eq!(orders.lookback, Duration::from_secs(600));
    assert!(matches!(
        settings.lake.place,
        LakePlace::S3 {
            path_style: false,
            ..
        }
    ));
    let FileSettings {
        rows,
        size,
        age,
        compression,
    } = settings.lake.files;
    assert_eq!(
        (rows, size, age),
        (1_000_000, 256 << 20, Duration::from_secs(600))
    );
    assert_eq!(compression, Compression::Zstd);
}

#[test]
fn the_retailers_file_means_what_it_says() {
    let settings = good("retailer.yaml");
    assert_eq!(settings.worker.as_deref(), Some("till-1"));
    let kafka = settings.kafka.as_ref().unwrap();
    assert_eq!(kafka.brokers, "kafka-1:9093,kafka-2:9093");
    assert_eq!(
        kafka.client.get("sasl.password").map(Secret::reveal),
        Some("hunter2")
    );
    let names: Vec<&str> = settings
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(names, ["ec", "pos"]);
    let prefixes = settings.sources.iter();
    let prefixes: Vec<&str> = prefixes
        .map(|source| source.topics_begin_with(&kafka.topic_prefix))
        .collect();
    assert_eq!(prefixes, ["retail.", "retail.pos."]);
    let tables: BTreeMap<&str, &TableSettings> = settings
        .sources
        .iter()
        .flat_map(|source| &source.tables)
        .map(|table| (table.pattern.as_str(), table))
        .collect();
    assert_eq!(tables["orders"].every, Some(Duration::from_secs(2)));
    assert_eq!(tables["products"].every, None);
    assert_eq!(
        tables["products"].schedule.as_ref().unwrap().text,
        "30 2 * * * Asia/Seoul"
    );
    assert_eq!(tables["stores"].every, Some(Duration::from_secs(3_600)));
    assert_eq!(tables["sales"].null_partition.as_deref(), Some("none"));
    assert_eq!(tables["sales"].partition_by.len(), 2);
    assert_eq!(tables["sales"].every, Some(Duration::from_secs(5)));
    assert_eq!(tables["log_*"].exclude, ["log_tmp_*"]);
    assert!(tables["log_*"].allow_unsafe);
    match settings.lake.place {
        LakePlace::S3 {
            endpoint,
            path_style,
            ..
        } => {
            assert_eq!(endpoint.as_deref(), Some("https://minio.example.com:9000"));
            assert!(path_style);
        }
        LakePlace::Local(_) => panic!("not a directory"),
    }
}

#[test]
fn a_file_without_kafka_may_be_json_and_a_password_in_it_is_a_warning() {
    let settings = good("no-kafka.yaml");
    assert!(settings.kafka.is_none());
    let [source] = settings.sources.as_slice() else {
        panic!("one source")
    };
    let [orders, refunds] = source.tables.as_slice() else {
        panic!("two tables")
    };
    assert_eq!(
        (orders.mode, orders.incrementing.as_deref()),
        (Mode::Incrementing, Some("id"))
    );
    assert_eq!(
        (refunds.mode, refunds.incrementing.as_deref()),
        (Mode::Bulk, None)
    );
    let [password, encryption] = settings.warnings.as_slice() else {
        panic!("two warnings")
    };
    assert!(
        encryption.starts_with("cdc.yaml:4:14: `sources.shop.url` holds a password"),
        "{encryption}"
    );
    assert!(
        password.starts_with("cdc.yaml:4:14: `sources.shop.url` asks for no encryption"),
        "{password}"
    );
}

/// A file with these lines for Kafka, the database's URL and the lake's endpoint.
fn with_peers(kafka: &str, url: &str, endpoint: &str) -> Settings {
    let text = format!(
        "kafka: {{ {kafka} }}\nlake: {{ url: s3://lake, endpoint: \"{endpoint}\" }}\n\
         sources: {{ shop: {{ url: \"{url}\", tables: {{ t: {{ mode: bulk }} }} }} }}\n"
    );
    parse_in_test_world(&text).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

#[test]
fn peers_elsewhere_are_checked_in_full_unless_something_weaker_is_written_which_warns() {
    let safe = "postgres://cdc@127.0.0.1/shop";
    let protocol = |settings: &Settings| {
        let kafka = settings.kafka.as_ref().unwrap();
        let protocol = kafka.client.get("security.protocol").map(Secret::reveal);
        protocol.unwrap_or("none").to_owned()
    };
    for (brokers, expected) in [
        ("localhost:9092, 127.0.0.1:9093, \"[::1]:9094\"", "none"),
        ("kafka-1:9092", "ssl"),
        ("localhost:9092,kafka-1:9092", "ssl"),
        ("\"[2001:db8::1]:9092\"", "ssl"),
    ] {
        let brokers = brokers.replace(['"', ' '], "");
        let settings = with_peers(
            &format!("brokers: \"{brokers}\""),
            safe,
            "http://[::1]:9000",
        );
        assert_eq!(protocol(&settings), expected, "{brokers}");
        assert_eq!(settings.warnings, Vec::<String>::new(), "{brokers}");
    }
    for (kafka, url, endpoint, warning) in [
        (
            "brokers: \"kafka-1:9092\", client: { security.protocol: plaintext }",
            safe,
            "https://minio",
            "`kafka.client` asks for no encryption",
        ),
        (
            "brokers: \"kafka-1:9092\", client: { enable.ssl.certificate.verification: \"false\" }",
            safe,
            "https://minio",
            "`kafka.client` asks for no check of the certificate",
        ),
        (
            "brokers: \"kafka-1:9092\", client: { ssl.endpoint.identification.algorithm: none }",
            safe,
            "https://minio",
            "`kafka.client` asks for no check of the host's name",
        ),
        (
            "brokers: \"localhost:9092\"",
            "postgres://cdc@db/shop?sslmode=require",
            "https://minio",
            "`sources.shop.url` asks for no check of the certificate",
        ),
        (
            "brokers: \"localhost:9092\"",
            "mariadb://cdc@db/shop?sslmode=verify-ca&sslrootcert=/ca.pem",
            "https://minio",
            "`sources.shop.url` asks for no check of the host's name",
        ),
        (
            "brokers: \"localhost:9092\"",
            "mariadb://cdc@db/shop?sslmode=disable",
            "https://minio",
            "`sources.shop.url` asks for no encryption",
        ),
        (
            "brokers: \"localhost:9092\"",
            safe,
            "http://minio:9000",
            "`lake.endpoint` asks for no encryption",
        ),
    ] {
        let warnings = with_peers(kafka, url, endpoint).warnings;
        assert!(
            matches!(warnings.as_slice(), [one] if one.contains(warning)),
            "{warning}: {warnings:?}"
        );
    }
}

#[test]
fn no_secret_appears_in_the_settings_as_they_are_shown() {
    for name in ["least.yaml", "retailer.yaml", "no-kafka.yaml"] {
        let shown = format!("{:?}", good(name));
        assert!(!shown.contains("hunter2"), "{name}");
    }
}

/// The hash after `from` was replaced by `to` in the retailer's file.
fn hash_with(from: &str, to: &str) -> String {
    let text = fs::read_to_string(folder("good").join("retailer.yaml")).unwrap();
    assert!(text.contains(from), "{from}");
    parse_in_test_world(&text.replacen(from, to, 1))
        .unwrap()
        .hash
}

#[test]
fn workers_of_one_pipeline_have_one_hash_and_any_other_setting_changes_it() {
    let hash = good("retailer.yaml").hash;
    assert_eq!(hash.len(), 16);
    assert!(hash.chars().all(|c| c.is_ascii_hexdigit()));
    for (from, to) in [
        ("worker: till-1", "worker: till-2"),
        ("memory: 512MiB", "memory: 1GiB"),
        ("# the retailer", "# another comment"),
        ("${file:/run/secrets/kafka}", "${env:HUSH}"),
        ("every: 2s", "every: 2000ms"),
    ] {
        assert_eq!(hash_with(from, to), hash, "{from} → {to}");
    }
    for (from, to) in [
        ("pipeline: retail", "pipeline: other"),
        ("partitions: 12", "partitions: 13"),
        ("every: 2s", "every: 3s"),
        ("day(ordered_at)", "hour(ordered_at)"),
        ("day_in: Asia/Seoul", "day_in: Asia/Tokyo"),
        ("rows: 1000000", "rows: 1000001"),
        ("exclude: [log_tmp_*]", "exclude: [log_*_tmp]"),
        ("topic_prefix: retail.pos.", "topic_prefix: retail.tills."),
        ("30 2 * * * Asia/Seoul", "30 2 * * *"),
    ] {
        assert_ne!(hash_with(from, to), hash, "{from} → {to}");
    }
}

#[test]
fn a_missing_file_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = load(Some(&folder.path().join("cdc.yaml"))).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Config);
    assert!(error.next_step().unwrap().contains("--config"));
}

#[test]
fn a_wrong_file_is_an_error_with_a_line_for_each_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    fs::write(&path, "lake: { url: lake }\nsources: {}\n").unwrap();
    let error = load(Some(&path)).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Config);
    let message = error.to_string();
    let mut lines = message.lines();
    assert_eq!(lines.next(), Some("the configuration has 2 problems"));
    assert!(
        lines.next().unwrap().contains("shop.yaml:1:14: `lake.url`"),
        "{message}"
    );
    assert!(
        lines.next().unwrap().contains("shop.yaml:2:1: `sources`"),
        "{message}"
    );
}

#[test]
fn a_lake_in_a_directory_lies_beside_the_file_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cdc.yaml");
    let lake_of = |url: &str| {
        let text = format!(
            "kafka: {{ brokers: localhost }}\nlake: {{ url: {url} }}\nsources:\n  ec: {{ url: \"postgres://cdc@localhost/shop\", tables: {{ t: {{ mode: bulk }} }} }}"
        );
        fs::write(&path, text).unwrap();
        match super::load(Some(&path)).unwrap().lake.place {
            super::LakePlace::Local(directory) => directory,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(lake_of("./lake"), folder.path().join("lake"));
    assert_eq!(lake_of("/srv/lake"), std::path::Path::new("/srv/lake"));
}

proptest::proptest! {
    /// Whatever stands in the file, the answer is settings or problems.
    #[test]
    fn no_text_brings_the_reader_down(text in "[ -~\n]{0,200}") {
        let _ = parse_in_test_world(&text);
    }

    #[test]
    fn no_change_of_one_place_brings_the_reader_down(at in 0usize..1_700, with in "[ -~\n]{0,3}") {
        let mut text = fs::read_to_string(folder("good").join("retailer.yaml")).unwrap();
        if let Some((from, _)) = text.char_indices().nth(at) {
            text.insert_str(from, &with);
        }
        let _ = parse_in_test_world(&text);
    }
}
