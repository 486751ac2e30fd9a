//! The page of the configuration has the keys the parser has: no more, no fewer, with its defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cdc::config::defaults;

use super::{blocks, pages, read, rows, spans};

const PAGE: &str = "docs/configuration.md";

/// What the parser says stands under each key: `kafka.brokers` → `Value`, in full paths.
fn known() -> BTreeMap<String, String> {
    let shapes = shapes(&read("src/config/file.rs"));
    let mut known = BTreeMap::new();
    gather(&shapes, "FILE", "", &mut known);
    known
}

/// The tables of the parser's own file: the name of each, and its pairs of key and what stands under it.
fn shapes(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut shapes = BTreeMap::new();
    let mut name = None;
    for line in text.lines().map(str::trim) {
        if let Some((_, rest)) = line
            .split_once("static ")
            .filter(|(_, rest)| rest.contains(": Shape"))
        {
            name = rest.split(':').next().map(str::to_owned);
        } else if line == "]);" {
            name = None;
        } else if let (Some(name), Some(pair)) = (&name, line.strip_prefix("(\"")) {
            let (key, is) = pair.split_once("\",").unwrap_or_else(|| panic!("{line}"));
            let is = is.trim().trim_end_matches("),").to_owned();
            shapes
                .entry(name.clone())
                .or_insert_with(Vec::new)
                .push((key.to_owned(), is));
        }
    }
    shapes
}

fn gather(
    shapes: &BTreeMap<String, Vec<(String, String)>>,
    shape: &str,
    path: &str,
    known: &mut BTreeMap<String, String>,
) {
    for (key, is) in &shapes[shape] {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let below = is
            .split_once("(&")
            .map(|(kind, shape)| (kind, shape.trim_end_matches(')')));
        match below {
            Some(("Block", shape)) => gather(shapes, shape, &path, known),
            Some(("Named", shape)) => {
                let name = if key == "tables" { "TABLE" } else { "NAME" };
                gather(shapes, shape, &format!("{path}.{name}"), known);
            }
            _ => drop(known.insert(path, is.split('(').next().unwrap_or(is).to_owned())),
        }
    }
}

/// The keys of the page's tables whose header ends in `last`.
fn on_the_page(last: &str) -> BTreeSet<String> {
    let page = read(PAGE);
    let first = |row: &Vec<&str>| {
        spans(row[0])
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    rows(&page, last).iter().flat_map(first).collect()
}

#[test]
fn every_key_the_parser_knows_is_on_the_page_and_no_other() {
    let known = known();
    let of = |kinds: &[&str]| -> BTreeSet<String> {
        let named = known.iter().filter(|(_, is)| kinds.contains(&is.as_str()));
        named.map(|(path, _)| path.clone()).collect()
    };
    let there = of(&["Value", "List", "Lists", "Pairs", "Word", "Words"]);
    assert!(there.len() > 30, "{there:?}");
    assert_eq!(on_the_page("Example"), there);
    assert_eq!(on_the_page("Instead"), of(&["Later", "Refused"]));
}

#[test]
fn the_defaults_on_the_page_are_those_of_the_program() {
    let page = read(PAGE);
    let rows = rows(&page, "Example");
    for (key, default) in [
        ("pipeline", defaults::PIPELINE.to_owned()),
        ("memory", mebibytes(defaults::MEMORY_BYTES)),
        (
            "kafka.topics.partitions",
            defaults::TOPIC_PARTITIONS.to_string(),
        ),
        (
            "kafka.topics.replication",
            defaults::TOPIC_REPLICATION.to_string(),
        ),
        (
            "kafka.topics.retention",
            duration(defaults::TOPIC_RETENTION),
        ),
        (
            "sources.NAME.connections",
            defaults::CONNECTIONS.to_string(),
        ),
        ("sources.NAME.tables.TABLE.every", duration(defaults::EVERY)),
        (
            "sources.NAME.tables.TABLE.lookback",
            duration(defaults::LOOKBACK),
        ),
        ("lake.files.rows", defaults::FILE_ROWS.to_string()),
        ("lake.files.size", mebibytes(defaults::FILE_SIZE_BYTES)),
        ("lake.files.age", duration(defaults::FILE_AGE)),
        (
            "lake.files.compression",
            format!("{:?}", defaults::FILE_COMPRESSION).to_lowercase(),
        ),
    ] {
        let row = rows
            .iter()
            .find(|row| row[0] == format!("`{key}`"))
            .unwrap_or_else(|| panic!("{key}"));
        let shown = row[row.len() - 2];
        assert!(
            spans(shown).contains(&default.as_str()),
            "{key}: `{default}` is not in {shown}"
        );
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{}MiB", bytes >> 20)
}

fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Parses a file of the page; references lead to what a page can have.
fn parsed(yaml: &str) -> cdc::config::Settings {
    let yaml = yaml
        .replace("${env:EC_URL}", "postgres://cdc@127.0.0.1/shop")
        .replace(
            "${file:/run/secrets/pos_url}",
            "mariadb://cdc@127.0.0.1/tills",
        )
        .replace("${file:/run/secrets/kafka}", "secret")
        .replace(
            "${file:/run/secrets/cdc/ec_url}",
            "postgres://cdc@127.0.0.1/shop",
        )
        .replace("${env:POS_URL}", "mariadb://cdc@127.0.0.1/tills")
        .replace("${env:KAFKA_BROKERS}", "127.0.0.1:9092");
    cdc::config::parse(&yaml, PAGE).unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
}

/// The configuration in a block: all of it, or what a manifest of Kubernetes holds.
fn file_in(yaml: &str) -> Option<String> {
    let Some((_, held)) = yaml.split_once("  cdc.yaml: |\n") else {
        return yaml.contains("sources:").then(|| yaml.to_owned());
    };
    let lines = held.lines().map_while(|line| line.strip_prefix("    "));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_files_a_page_shows_are_accepted_and_one_of_them_has_every_key() {
    let mut whole = 0;
    for page in pages() {
        let written = ["yaml", "yaml cdc.yaml"].map(|kind| blocks(&page.text, kind));
        for yaml in written.concat() {
            if let Some(file) = file_in(&yaml) {
                parsed(&file);
                whole += 1;
            }
        }
    }
    assert!(whole >= 8, "only {whole} files were found");
    let fullest = blocks(&read(PAGE), "yaml")
        .into_iter()
        .max_by_key(String::len)
        .unwrap();
    for (path, is) in known() {
        let key = path.rsplit('.').next().unwrap_or(&path);
        let is_there = fullest.contains(&format!("{key}:"));
        assert!(
            is_there || matches!(is.as_str(), "Later" | "Refused"),
            "`{path}` is not in the full file"
        );
    }
}

#[test]
fn the_names_of_kafka_connect_that_the_parser_knows_are_side_by_side_with_ours() {
    let text = read("src/config/file.rs");
    let page = read("docs/kafka-connect.md");
    let table = text
        .split("const KAFKA_CONNECT")
        .nth(1)
        .and_then(|rest| rest.split("];").next());
    let mut checked = 0;
    for pair in table
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\""))
    {
        let (theirs, ours) = pair.split_once("\",").unwrap();
        let ours = ours.trim().trim_start_matches('"').trim_end_matches("\"),");
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{theirs}` |")));
        let row = row.unwrap_or_else(|| panic!("`{theirs}` is not on the page"));
        for name in spans(ours) {
            assert!(
                row.contains(&format!("`{name}`")),
                "{theirs}: {ours}\n{row}"
            );
        }
        checked += 1;
    }
    assert!(checked > 15, "only {checked} names were found");
}
