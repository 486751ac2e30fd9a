//! Kafka Connect's connectors, translated by the program itself. Each document stands beside the file that comes of
//! it and what is said on stderr; `CDC_UPDATE=1` writes both anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cdc::config;
use cdc::model::TableName;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connect/documents")
}

/// The names of the documents.
fn documents() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("a folder");
    let names = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        Some(name.strip_suffix(".json")?.to_owned())
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn init(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cdc"))
        .arg("init")
        .args(arguments)
        .current_dir(folder())
        .env_remove("CDC_CONFIG")
        .env("NO_COLOR", "1")
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Translates documents to stdout.
fn translated(documents: &[&str]) -> (String, String) {
    let arguments = [&["--from-connect"], documents, &["--file", "-"]].concat();
    let run = init(&arguments);
    let (out, err) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{documents:?}\n{err}");
    (out, err)
}

#[test]
fn each_document_becomes_the_file_beside_it_and_says_what_has_no_equal() {
    let names = documents();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let (file, said) = translated(&[&format!("{name}.json")]);
        for (ending, text) in [("yaml", file), ("stderr", said)] {
            let path = folder().join(format!("{name}.{ending}"));
            if std::env::var_os("CDC_UPDATE").is_some() {
                fs::write(&path, &text).expect("it can be written");
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(text, expected, "{}", path.display());
        }
    }
}

#[test]
fn what_comes_of_a_document_is_a_configuration_without_problems() {
    for name in documents() {
        let (file, _) = translated(&[&format!("{name}.json")]);
        // Where the references lead is not known here.
        let file = without_references(&file);
        let settings = config::parse(&file, "cdc.yaml")
            .unwrap_or_else(|problems| panic!("{name}:\n{problems}\n{file}"));
        assert!(
            settings
                .sources
                .iter()
                .all(|source| !source.tables.is_empty()),
            "{name}"
        );
    }
}

/// A file with a word in the place of each reference.
fn without_references(file: &str) -> String {
    let mut parts = file.split("${");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, after) = part.split_once('}').expect("a reference ends");
        text.push_str("word");
        text.push_str(after);
    }
    text
}

#[test]
fn no_password_of_a_document_is_written_or_said() {
    for name in documents() {
        let (file, said) = translated(&[&format!("{name}.json")]);
        assert!(!file.to_lowercase().contains("hunter2"), "{file}");
        assert!(!said.to_lowercase().contains("hunter2"), "{said}");
    }
}

#[test]
fn every_option_of_a_document_is_translated_or_named() {
    for name in documents() {
        let (file, said) = translated(&[&format!("{name}.json")]);
        let document = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let mut keys = Vec::new();
        options(&document, &mut keys);
        for key in keys {
            let is_named = said.contains(&format!("`{key}`")) && file.contains(&key);
            assert!(
                is_named || TRANSLATED.contains(&key.as_str()),
                "{name}: `{key}`"
            );
        }
    }
}

/// Options whose values stand in the file.
const TRANSLATED: [&str; 31] = [
    "name",
    "connector.class",
    "tasks.max",
    "connection.url",
    "connection.user",
    "connection.password",
    "mode",
    "timestamp.column.name",
    "incrementing.column.name",
    "timestamp.columns.mapping",
    "table.whitelist",
    "table.include.list",
    "table.exclude.list",
    "table.blacklist",
    "schema.pattern",
    "topic.prefix",
    "poll.interval.ms",
    "transforms",
    "topics",
    "topics.regex",
    "s3.bucket.name",
    "s3.region",
    "store.url",
    "s3.path.style.access.enabled",
    "format.class",
    "parquet.codec",
    "flush.size",
    "timezone",
    "partitioner.class",
    "partition.duration.ms",
    "timestamp.field",
];

/// More of them, of Aiven's connectors and of topics.
const ALSO: [&str; 13] = [
    "topics.dir",
    "timestamp.extractor",
    "topic.creation.default.partitions",
    "topic.creation.default.replication.factor",
    "aws.s3.bucket.name",
    "aws.s3.region",
    "aws.s3.endpoint",
    "aws.s3.prefix",
    "file.name.timestamp.timezone",
    "file.compression.type",
    "format.output.type",
    "rotate.interval.ms",
    "path.format",
];

/// The options of every connector below a value; those of a transform go by its name.
fn options(value: &serde_json::Value, keys: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| options(item, keys)),
        serde_json::Value::Object(object) if object.contains_key("connector.class") => {
            for key in object.keys() {
                let mut parts = key.split('.');
                let key = match (parts.next(), parts.next()) {
                    (Some("transforms"), Some(alias)) => format!("transforms.{alias}"),
                    _ => key.clone(),
                };
                if !ALSO.contains(&key.as_str()) {
                    keys.push(key);
                }
            }
        }
        serde_json::Value::Object(object) => object.values().for_each(|below| options(below, keys)),
        _ => {}
    }
}

/// `column` of each table that is read, as `schema.table=column`.
fn read_by(document: &str, source: &str, tables: &[(&str, &str)]) -> String {
    let (file, _) = translated(&[document]);
    let settings = config::parse(&without_references(&file), "cdc.yaml").expect("no problems");
    let column = |(schema, name): &(&str, &str)| {
        let table = TableName {
            source: source.to_owned(),
            schema: (*schema).to_owned(),
            name: (*name).to_owned(),
            in_default_schema: *schema == "public",
        };
        let found = settings.table_settings(&table)?;
        let column = found.timestamp.as_ref().or(found.incrementing.as_ref());
        let column = column.map_or("?", String::as_str);
        Some(format!("{schema}.{name}={column}"))
    };
    tables
        .iter()
        .filter_map(column)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn what_one_connector_keeps_away_is_read_where_another_reads_it() {
    let tables = [
        ("public", "log_app"),
        ("public", "log_tmp"),
        ("public", "orders"),
        ("sales", "log_web_1"),
        ("sales", "log_app"),
    ];
    assert_eq!(
        read_by("neighbours.json", "shop", &tables),
        "public.log_app=log_id public.orders=id sales.log_web_1=web_id sales.log_app=id"
    );
}

#[test]
fn no_table_is_read_that_the_connector_did_not_read() {
    let tables = [
        ("public", "orders"),
        ("public", "secrets"),
        ("public", "visits"),
        ("archive", "items"),
        ("archive", "orders_tmp"),
        ("archive", "other"),
        ("sales", "other"),
    ];
    assert_eq!(
        read_by("schemas.json", "shop", &tables),
        "public.orders=id public.visits=id"
    );
    assert_eq!(
        read_by("schemas.json", "erp", &tables),
        "public.orders=id archive.items=id sales.other=id"
    );
    assert_eq!(
        read_by("schemas.json", "crm", &tables),
        "public.orders=id public.visits=id archive.items=id archive.orders_tmp=id archive.other=id sales.other=id"
    );
}

#[test]
fn a_column_is_that_of_the_tables_own_entry() {
    let tables = [
        ("public", "orders"),
        ("sales", "orders"),
        ("public", "visits"),
        ("sales", "log_web"),
        ("public", "secrets"),
    ];
    assert_eq!(
        read_by("columns.json", "shop", &tables),
        "public.orders=updated_at sales.orders=changed_at"
    );
    assert_eq!(
        read_by("columns.json", "erp", &tables),
        "public.orders=? sales.orders=? public.visits=seen_at sales.log_web=logged_at"
    );
}

#[test]
fn documents_may_stand_in_several_files() {
    let one = serde_json::from_str::<serde_json::Value>(
        &fs::read_to_string(folder().join("shop.json")).unwrap(),
    )
    .unwrap();
    let place = tempfile::tempdir().unwrap();
    let paths: Vec<String> = one
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(number, connector)| {
            let path = place.path().join(format!("{number}.json"));
            fs::write(&path, connector.to_string()).unwrap();
            path.display().to_string()
        })
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    assert_eq!(translated(&paths).0, translated(&["shop.json"]).0);
}

#[test]
fn flags_say_what_connectors_do_not() {
    let arguments = [
        "--from-connect",
        "shop.json",
        "--file",
        "-",
        "--kafka",
        "kafka-1:9093",
        "--topic-prefix",
        "new.",
        "--lake",
        "./elsewhere",
        "--pipeline",
        "retail",
    ];
    let run = init(&arguments);
    let settings = text(&run.stdout);
    for line in [
        "pipeline: retail",
        "brokers: \"kafka-1:9093\"",
        "topic_prefix: new.",
        "url: ./elsewhere",
    ] {
        assert!(settings.contains(line), "{line}\n{settings}");
    }
}

#[test]
fn what_cannot_be_translated_is_refused_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    let jdbc = "\"connector.class\": \"io.confluent.connect.jdbc.JdbcSourceConnector\"";
    let said = [
        "{",
        "[]",
        "[1]",
        "{\"name\": \"x\", \"config\": {}}",
        "{\"connector.class\": \"io.debezium.connector.postgresql.PostgresConnector\"}",
        &format!("{{{jdbc}, \"connection.url\": \"jdbc:oracle:thin:hunter2@db\"}}"),
        &format!("{{{jdbc}, \"connection.url\": \"jdbc:postgresql://a,b/shop?password=hunter2\"}}"),
        &format!("{{{jdbc}, \"connection.url\": \"jdbc:postgresql://a/shop\", \"table.include.list\": \"x[0-9]\"}}"),
        &format!("{{{jdbc}, \"mode\": [1]}}"),
        "{\"connector.class\": \"io.confluent.connect.s3.S3SinkConnector\", \"topics\": \"a\"}",
    ]
    .map(|document| {
        let path = place.path().join("it.json");
        fs::write(&path, document).unwrap();
        let run = init(&["--from-connect", &path.display().to_string(), "--file", "-"]);
        let said = text(&run.stderr).replace(&path.display().to_string(), "it.json");
        assert!(run.stdout.is_empty() && !said.contains("hunter2"), "{said}");
        format!("{} {said}", run.status.code().unwrap())
    });
    insta::assert_snapshot!(said.concat());
}
