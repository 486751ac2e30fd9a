//! The translated file.

use std::collections::BTreeSet;

use super::expression::is_utc;
use super::sink::{self, Lake};
use super::source::{Capture, SourceDraft};
use super::tables::TableDraft;
use super::{Around, Notes, Weight};
use crate::inspect::draft::Draft;
use crate::model::{TopicName, escape_part};

/// What stands before the connectors' own prefix, so that no topic of theirs is written to.
const BEFORE: &str = "cdc.";

pub(super) fn file(capture: &Capture, lake: &Lake, around: &Around, notes: &mut Notes) -> String {
    let mut draft = Draft::default();
    let theirs = capture.topic_prefix.clone().unwrap_or_default();
    let prefix = around
        .topic_prefix
        .clone()
        .unwrap_or_else(|| format!("{BEFORE}{theirs}"));
    draft.comment("Written by `cdc init --from-connect` from Kafka Connect's connectors. It is yours to change.");
    draft.comment(
        "docs/configuration.md has every key; docs/migrate-from-kafka-connect.md the way over.",
    );
    draft.gap();
    draft.value("pipeline", &around.pipeline);
    draft.gap();
    kafka(capture, around, &prefix, &mut draft, notes);
    write_lake(lake, around, &mut draft, notes);
    draft.open("sources");
    let mut taken = BTreeSet::new();
    for source in &capture.sources {
        write_source(source, &prefix, &theirs, &mut taken, &mut draft, notes);
    }
    draft.text()
}

fn kafka(capture: &Capture, around: &Around, prefix: &str, draft: &mut Draft, notes: &mut Notes) {
    draft.open("kafka");
    let brokers = around.brokers.clone().or_else(|| capture.brokers.clone());
    if brokers.is_none() {
        draft.comment(
            "Connectors do not say where Kafka is; their worker does, in `bootstrap.servers`.",
        );
        let text = "the worker's file has it, no connector: `localhost:9092` was written; `--kafka` writes another";
        notes.say("all", "bootstrap.servers", Weight::NoEqual, text);
    }
    draft.value("brokers", brokers.as_deref().unwrap_or("localhost:9092"));
    if around.topic_prefix.is_none() {
        draft.comment("In the connectors' topics stand records that `cdc` did not write, so its own begin otherwise.");
        let text = format!(
            "topics begin with `{prefix}`: in the connectors' own stand records that `cdc` did not write. Consumers are to be pointed there"
        );
        notes.say("all", "topic.prefix", Weight::Differs, text);
    }
    draft.value("topic_prefix", prefix);
    if capture.partitions.is_some() || capture.replication.is_some() {
        draft.open("topics");
        if let Some(partitions) = &capture.partitions {
            draft.value("partitions", partitions);
        }
        if let Some(replication) = &capture.replication {
            draft.value("replication", replication);
        }
        draft.close();
    }
    draft.close();
    draft.gap();
}

fn write_lake(lake: &Lake, around: &Around, draft: &mut Draft, notes: &Notes) {
    draft.open("lake");
    remarks(&lake.connectors, draft, notes);
    let url = around.lake.as_deref().or(lake.url.as_deref());
    draft.value("url", url.unwrap_or("./lake"));
    let is_s3 = url.is_some_and(|url| url.starts_with("s3://"));
    let words = [("endpoint", &lake.endpoint), ("region", &lake.region)];
    for (key, word) in words {
        if let Some(word) = word.as_ref().filter(|_| is_s3) {
            draft.value(key, word);
        }
    }
    if let Some(path_style) = lake.path_style.filter(|_| is_s3) {
        draft.value("path_style", if path_style { "true" } else { "false" });
    }
    if let Some(zone) = lake.day_in.as_ref().filter(|zone| !is_utc(zone)) {
        draft.value("day_in", zone);
    }
    let age = sink::age(lake);
    let compression = lake
        .compression
        .filter(|compression| *compression != "zstd");
    if lake.rows.is_some() || age.is_some() || compression.is_some() {
        draft.open("files");
        if let Some(rows) = lake.rows {
            draft.value("rows", &rows.to_string());
        }
        if let Some(age) = age {
            draft.value("age", &age);
        }
        if let Some(compression) = compression {
            draft.value("compression", compression);
        }
        draft.close();
    }
    draft.close();
    draft.gap();
}

/// What became of the options of the connectors a block comes from.
fn remarks(connectors: &[String], draft: &mut Draft, notes: &Notes) {
    for connector in connectors {
        draft.comment(&format!("From connector `{connector}`."));
        for remark in notes.of(connector) {
            draft.comment(&format!(
                "{} {}: {}",
                remark.key,
                remark.weight.in_words(),
                remark.text
            ));
        }
    }
}

fn write_source(
    source: &SourceDraft,
    prefix: &str,
    theirs: &str,
    taken: &mut BTreeSet<String>,
    draft: &mut Draft,
    notes: &mut Notes,
) {
    draft.open(&source.name);
    remarks(&source.connectors, draft, notes);
    draft.reference("url", &source.url);
    if let Some(zone) = source.time_zone.as_ref().filter(|zone| !is_utc(zone)) {
        draft.value("time_zone", zone);
    }
    if let Some(connections) = source.connections {
        draft.value("connections", &connections.to_string());
    }
    let dropped = dropped_everywhere(source);
    if let Some(dropped) = dropped {
        draft.open("defaults");
        draft.open("columns");
        draft.list("drop", dropped);
        draft.close();
        draft.close();
    }
    draft.open("tables");
    for table in &source.tables {
        let topic = topic(table, &source.name, prefix, theirs, taken, notes);
        write_table(table, topic, dropped.is_none(), draft);
    }
    draft.close();
    draft.close();
    draft.gap();
}

/// Columns that no table is to have. A default leaves a column out where it is; at a table it must be there.
fn dropped_everywhere(source: &SourceDraft) -> Option<&[String]> {
    let first = &source.tables.first()?.drop;
    let is_same = |table: &TableDraft| table.drop == *first && table.keep.is_empty();
    (!first.is_empty() && source.tables.iter().all(is_same)).then_some(first)
}

/// A topic of its own where the connector has another prefix, or where another table has the usual one.
fn topic(
    table: &TableDraft,
    source: &str,
    prefix: &str,
    theirs: &str,
    taken: &mut BTreeSet<String>,
    notes: &mut Notes,
) -> Option<String> {
    let is_glob = table.pattern.contains(['*', '?']);
    if is_glob {
        if table.theirs != theirs {
            let text = format!(
                "`{}` of the first connector begins all topics: `{}` is a glob, and a topic of its own is for one table",
                theirs, table.pattern
            );
            notes.say(&table.connector, "topic.prefix", Weight::NoEqual, text);
        }
        return None;
    }
    let parts: Vec<String> = table.pattern.split('.').map(escape_part).collect();
    let usual = format!("{prefix}{}", parts.join("."));
    let bare = table.pattern.rsplit('.').next().unwrap_or(&table.pattern);
    let wanted = match table.theirs == theirs {
        _ if table.is_query => format!("{BEFORE}{}", table.theirs),
        true => usual.clone(),
        false => format!("{BEFORE}{}{}", table.theirs, escape_part(bare)),
    };
    let mut topic = wanted;
    if !taken.insert(topic.replace('.', "_")) {
        topic = format!("{prefix}{source}.{}", parts.join("."));
        taken.insert(topic.replace('.', "_"));
    }
    (topic != usual && TopicName::new(topic.as_str()).is_ok()).then_some(topic)
}

fn write_table(table: &TableDraft, topic: Option<String>, says_dropped: bool, draft: &mut Draft) {
    if let Some(remark) = &table.remark {
        draft.comment("This view is to be made first:");
        draft.line_to_type(remark);
    }
    draft.open(&table.pattern);
    if !table.exclude.is_empty() {
        draft.list("exclude", &table.exclude);
    }
    draft.value("mode", &table.mode);
    let words = [
        ("timestamp", &table.timestamp),
        ("incrementing", &table.incrementing),
        ("every", &table.every),
        ("schedule", &table.schedule),
        ("lookback", &table.lookback),
        ("topic", &topic),
        ("where", &table.filter),
    ];
    for (key, word) in words {
        if let Some(word) = word {
            draft.value(key, word);
        }
    }
    if !table.partition_by.is_empty() {
        if let Some(sink) = &table.shared_sink {
            draft.comment(&format!(
                "Sink `{sink}` cuts all its tables so: remove the line where a table has no such column."
            ));
        }
        draft.pairs("partition_by", &table.partition_by);
    }
    if table.rejects {
        draft.value("on_value", "reject");
    }
    let columns = match table.keep.is_empty() {
        true => ("drop", &table.drop),
        false => ("keep", &table.keep),
    };
    if !columns.1.is_empty() && (says_dropped || columns.0 == "keep") {
        draft.open("columns");
        draft.list(columns.0, columns.1);
        draft.close();
    }
    draft.close();
}
