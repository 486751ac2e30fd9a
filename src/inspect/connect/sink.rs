//! An S3 sink connector as the lake, and as partitions of the tables it takes.

use std::collections::BTreeSet;

use super::expression::{day_path, duration, globs, is_utc};
use super::reach::{is_glob, is_taken, takes_all};
use super::read::{Connector, Sort};
use super::source::Capture;
use super::tables::TableDraft;
use super::{Notes, Weight, options};
use crate::config::{LakePlace, glob_matches};
use Weight::{Differs, NoEqual, NotNeeded};

/// The `lake:` block.
#[derive(Default)]
pub(super) struct Lake {
    pub url: Option<String>,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// Only where it is not what is assumed anyway.
    pub path_style: Option<bool>,
    /// `UTC` too, where a sink says so.
    pub day_in: Option<String>,
    pub days: Vec<Days>,
    pub rows: Option<u64>,
    pub age: Option<u64>,
    /// `zstd` too, where a sink says so.
    pub compression: Option<&'static str>,
    pub connectors: Vec<String>,
}

/// What a sink cuts by time, to be said when the zone of all is known.
pub(super) struct Days {
    connector: String,
    unit: &'static str,
    label: String,
}

pub(super) fn translate(
    connector: &Connector,
    lake: &mut Lake,
    capture: &mut Capture,
    notes: &mut Notes,
) {
    options::tell(connector, notes);
    lake.connectors.push(connector.name.clone());
    let brokers = connector.option("consumer.override.bootstrap.servers");
    capture.brokers = capture
        .brokers
        .take()
        .or_else(|| brokers.map(str::to_owned));
    if connector.option("transforms").is_some() {
        let text = "transforms of a sink change what is written; here a file holds what the topic holds. What has an equal stands at the table: `columns`, `where`";
        notes.say(&connector.name, "transforms", NoEqual, text);
    }
    if connector.option("errors.tolerance") == Some("all") {
        let text = "a record of the pipeline that cannot be read stops its partition, with the reason; none is skipped in silence";
        notes.say(&connector.name, "errors.tolerance", Differs, text);
    }
    place(connector, lake, notes);
    format(connector, lake, notes);
    files(connector, lake, notes);
    let levels = levels(connector, lake, notes);
    take_tables(connector, levels, capture, notes);
}

/// Where the lake is: that of the first sink.
fn place(connector: &Connector, lake: &mut Lake, notes: &mut Notes) {
    let is_aiven = connector.sort == Sort::AivenSink;
    let option = |key: &str| connector.option(key).map(str::to_owned);
    let (bucket, prefix) = match is_aiven {
        true => (
            option("aws.s3.bucket.name").or_else(|| option("aws.s3.bucket")),
            option("aws.s3.prefix").unwrap_or_default(),
        ),
        false => (
            option("s3.bucket.name"),
            option("topics.dir").unwrap_or_else(|| "topics".to_owned()),
        ),
    };
    let Some(bucket) = bucket else {
        notes.say(
            &connector.name,
            "s3.bucket.name",
            NoEqual,
            "it names no bucket: write `lake.url`",
        );
        return;
    };
    let prefix = prefix.trim_matches('/');
    let url = match prefix.is_empty() {
        true => format!("s3://{bucket}"),
        false => format!("s3://{bucket}/{prefix}"),
    };
    if LakePlace::parse(&url).is_err() {
        let text = format!("`{url}` is no place for a lake: write `lake.url`");
        notes.say(&connector.name, "s3.bucket.name", NoEqual, text);
        return;
    }
    match &lake.url {
        Some(first) if *first != url => {
            let text = format!(
                "a pipeline has one lake, `{first}`; for `{url}` write a second file with another `pipeline`"
            );
            notes.say(&connector.name, "s3.bucket.name", NoEqual, text);
            return;
        }
        Some(_) => {
            same_place(connector, lake, notes);
            return;
        }
        None => lake.url = Some(url),
    }
    let (region, endpoint) = where_it_is(connector);
    lake.region = option(region);
    lake.endpoint = option(endpoint);
    let path_style = connector.option("s3.path.style.access.enabled");
    lake.path_style = match (path_style, &lake.endpoint) {
        (Some("false"), Some(_)) => Some(false),
        _ => None,
    };
    let text = "files lie below `SOURCE/TABLE/`, beside those of the connector: point readers to them by `cdc path TABLE`";
    let key = match is_aiven {
        true => "aws.s3.bucket.name",
        false => "s3.bucket.name",
    };
    notes.say(&connector.name, key, Differs, text);
}

/// The options of region and endpoint.
fn where_it_is(connector: &Connector) -> (&'static str, &'static str) {
    match connector.sort {
        Sort::AivenSink => ("aws.s3.region", "aws.s3.endpoint"),
        _ => ("s3.region", "store.url"),
    }
}

/// Says where a later sink finds the bucket elsewhere.
fn same_place(connector: &Connector, lake: &Lake, notes: &mut Notes) {
    let (region, endpoint) = where_it_is(connector);
    for (key, known) in [(region, &lake.region), (endpoint, &lake.endpoint)] {
        if connector.option(key) != known.as_deref() {
            let text = "a sink before this one says another, which was written: a lake has one";
            notes.say(&connector.name, key, NoEqual, text);
        }
    }
}

fn format(connector: &Connector, lake: &mut Lake, notes: &mut Notes) {
    let key = match connector.sort {
        Sort::AivenSink => "format.output.type",
        _ => "format.class",
    };
    let format = connector.option(key).unwrap_or("csv").to_ascii_lowercase();
    if !format.contains("parquet") {
        let text = "files are Parquet, whatever they were";
        notes.say(&connector.name, key, Differs, text);
    }
    for key in ["parquet.codec", "file.compression.type"] {
        let Some(codec) = connector.option(key) else {
            continue;
        };
        let codec = match codec.to_ascii_lowercase().as_str() {
            "zstd" => "zstd",
            "snappy" => "snappy",
            "lz4" | "lz4_raw" => "lz4",
            "none" | "uncompressed" => "none",
            other => {
                let text = format!(
                    "`{other}` is not there; files are compressed by zstd, which is smaller"
                );
                notes.say(&connector.name, key, Differs, text);
                "zstd"
            }
        };
        let known = *lake.compression.get_or_insert(codec);
        if known != codec {
            let text = format!("a lake has one: it is `{known}`, as a sink before this one says");
            notes.say(&connector.name, key, NoEqual, text);
        }
    }
}

/// When a file is closed. Of several sinks, and several rules of one, the sooner.
fn files(connector: &Connector, lake: &mut Lake, notes: &mut Notes) {
    let number = |key: &str| {
        let number = connector
            .option(key)
            .and_then(|text| text.parse::<u64>().ok());
        number.filter(|number| *number > 0)
    };
    let sooner = |known: Option<u64>, new: Option<u64>| match (known, new) {
        (Some(known), Some(new)) => Some(known.min(new)),
        (known, new) => known.or(new),
    };
    for key in ["flush.size", "file.max.records"] {
        let rows = number(key);
        lake.rows = sooner(lake.rows, rows);
        if rows.is_some_and(|rows| rows < 10_000) {
            let text = "files of so few rows are slow to read: `lake.files.rows` is a million unless it is written";
            notes.say(&connector.name, key, Differs, text);
        }
    }
    for key in ["rotate.interval.ms", "rotate.schedule.interval.ms"] {
        let age = number(key);
        lake.age = sooner(lake.age, age);
        if age.is_some() {
            let text = "`lake.files.age` is the age of a chunk's oldest record by the wall clock, and what is written stays exactly once";
            notes.say(&connector.name, key, Differs, text);
        }
    }
    for key in ["timezone", "file.name.timestamp.timezone"] {
        let Some(zone) = connector.option(key) else {
            continue;
        };
        let zone = if is_utc(zone) { "UTC" } else { zone };
        if jiff::tz::TimeZone::get(zone).is_err() {
            let text = format!("`{zone}` is no IANA time zone; write one as `lake.day_in`");
            notes.say(&connector.name, key, NoEqual, text);
            continue;
        }
        let known = lake.day_in.get_or_insert_with(|| zone.to_owned());
        if known.as_str() != zone {
            let text = format!(
                "a lake has one `day_in`: it is `{known}`, as a sink before this one says, and not `{zone}`"
            );
            notes.say(&connector.name, key, NoEqual, text);
        }
    }
}

/// The levels of directories the connector cuts its records into.
fn levels(connector: &Connector, lake: &mut Lake, notes: &mut Notes) -> Vec<(String, String)> {
    if connector.sort == Sort::AivenSink {
        let template = connector.option("file.name.template").unwrap_or_default();
        if template.contains("timestamp") {
            let text = "the time in the path is when the file was written; here days are cut by a column: `partition_by: { dt: day(COLUMN) }`";
            notes.say(&connector.name, "file.name.template", NoEqual, text);
        } else if !template.is_empty() {
            notes.say(
                &connector.name,
                "file.name.template",
                NotNeeded,
                "the names of files are given",
            );
        }
        return Vec::new();
    }
    let class = connector
        .option("partitioner.class")
        .unwrap_or("DefaultPartitioner");
    let class = class.rsplit('.').next().unwrap_or(class);
    let mut levels = Vec::new();
    match class {
        "DefaultPartitioner" => {
            let text = "directories by Kafka partition mean nothing to readers: `partition_by` cuts by columns";
            notes.say(&connector.name, "partitioner.class", NotNeeded, text);
        }
        "FieldPartitioner" => {
            for field in connector.list("partition.field.name") {
                levels.push((free(&format!("by_{}", directory(&field)), &levels), field));
            }
            let text = "a directory may not be named like a column, which stays in the file: `by_…=` was written. NULL in such a column stops the table unless `null_partition` is set";
            notes.say(&connector.name, "partition.field.name", Differs, text);
        }
        "TimeBasedPartitioner" | "DailyPartitioner" | "HourlyPartitioner" => {
            levels.extend(by_time(connector, class, lake, notes));
        }
        other => {
            let text = format!(
                "`{other}` is not known; `partition_by` cuts by columns: year, month, day, hour, bucket, or the value itself"
            );
            notes.say(&connector.name, "partitioner.class", NoEqual, text);
        }
    }
    levels
}

fn by_time(
    connector: &Connector,
    class: &str,
    lake: &mut Lake,
    notes: &mut Notes,
) -> Option<(String, String)> {
    let name = &connector.name;
    let extractor = connector
        .option("timestamp.extractor")
        .unwrap_or("Wallclock");
    let extractor = extractor.rsplit('.').next().unwrap_or(extractor);
    if !extractor.starts_with("RecordField") {
        let text = format!(
            "`{extractor}` cuts by when a record was written, which nobody can repeat; here days are cut by a column: `partition_by: {{ dt: day(COLUMN) }}`"
        );
        notes.say(name, "timestamp.extractor", NoEqual, text);
        return None;
    }
    let field = connector
        .option("timestamp.field")
        .unwrap_or("timestamp")
        .to_owned();
    let format = connector.option("path.format").unwrap_or(match class {
        "HourlyPartitioner" => "'hour'=HH",
        _ => "'day'=dd",
    });
    let Some((unit, label)) = day_path(format) else {
        let text =
            format!("`{format}` names no year, month, day or hour: write `partition_by` yourself");
        notes.say(name, "path.format", NoEqual, text);
        return None;
    };
    let label = match directory(&label).as_str() {
        "" => "dt".to_owned(),
        label if label.eq_ignore_ascii_case(&field) => "dt".to_owned(),
        label => label.to_owned(),
    };
    lake.days.push(Days {
        connector: name.clone(),
        unit,
        label: label.clone(),
    });
    Some((label, format!("{unit}({field})")))
}

/// Says how days are cut, after all sinks were read.
pub(super) fn tell_days(lake: &Lake, notes: &mut Notes) {
    let zone = lake.day_in.as_deref().unwrap_or("UTC");
    for days in &lake.days {
        let text = format!(
            "one directory by {} in {zone}, `{}=…`, whatever the format says; a reader that prunes by several levels is to be changed",
            days.unit, days.label
        );
        notes.say(&days.connector, "path.format", Differs, text);
    }
}

/// A name that a directory may have.
fn directory(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '_'
        }
    };
    name.chars().map(plain).collect()
}

fn free(wanted: &str, levels: &[(String, String)]) -> String {
    let mut name = wanted.to_owned();
    while levels
        .iter()
        .any(|(taken, _)| taken.eq_ignore_ascii_case(&name))
    {
        name.push('_');
    }
    name
}

/// Gives the tables whose topics this sink takes its levels.
fn take_tables(
    connector: &Connector,
    levels: Vec<(String, String)>,
    capture: &mut Capture,
    notes: &mut Notes,
) {
    let topics = connector.list("topics");
    let by_regex = connector
        .option("topics.regex")
        .and_then(globs)
        .unwrap_or_default();
    if connector.option("topics.regex").is_some() && by_regex.is_empty() {
        let text =
            "it has no glob that means the same: write `partition_by` to the tables it takes";
        notes.say(&connector.name, "topics.regex", NoEqual, text);
    }
    for topic in &topics {
        if !provided(topic, &connector.name, &levels, capture) {
            let text = format!("`{topic}`: no source connector that was given fills it");
            notes.say(&connector.name, "topics", NoEqual, text);
        }
    }
    let mut found = by_regex.is_empty();
    for source in &mut capture.sources {
        for table in &mut source.tables {
            let topic = topic_of(table);
            if by_regex.iter().any(|glob| glob_matches(glob, &topic)) {
                give(table, &connector.name, &levels);
                found = true;
            }
        }
    }
    if !found {
        let text = "no topic of a table is surely meant by it: write `partition_by` to the tables it takes";
        notes.say(&connector.name, "topics.regex", NoEqual, text);
    }
    forget_unless_shared(&connector.name, capture);
}

/// The tables of one connector are taken to have the columns that their sink cuts by.
fn forget_unless_shared(sink: &str, capture: &mut Capture) {
    let tables = capture
        .sources
        .iter_mut()
        .flat_map(|source| &mut source.tables);
    let mut of_sink: Vec<&mut TableDraft> = tables
        .filter(|table| table.shared_sink.as_deref() == Some(sink))
        .collect();
    let connectors: BTreeSet<String> = of_sink
        .iter()
        .map(|table| table.connector.clone())
        .collect();
    if connectors.len() < 2 {
        of_sink
            .iter_mut()
            .for_each(|table| table.shared_sink = None);
    }
}

/// What the connector calls the topic of a table: its bare name after the prefix.
fn topic_of(table: &TableDraft) -> String {
    let bare = table.pattern.rsplit('.').next().unwrap_or(&table.pattern);
    format!("{}{bare}", table.theirs)
}

fn give(table: &mut TableDraft, sink: &str, levels: &[(String, String)]) {
    if table.partition_by.is_empty() && !levels.is_empty() {
        table.partition_by = levels.to_vec();
        table.shared_sink = Some(sink.to_owned());
    }
}

/// Whether a table is behind a topic; a glob that means it lets it stand by itself.
fn provided(topic: &str, sink: &str, levels: &[(String, String)], capture: &mut Capture) -> bool {
    let mut found = false;
    for source in &mut capture.sources {
        let mut stands = false;
        for table in &mut source.tables {
            if topic_of(table) == topic {
                give(table, sink, levels);
                stands = true;
            }
        }
        found |= stands;
        if stands {
            continue;
        }
        let of_glob = |(at, table): (usize, &TableDraft)| {
            let pattern = behind(table, topic, &source.default_schema)?;
            Some((
                at,
                table.like(&pattern, &table.exclude, &source.default_schema),
            ))
        };
        let all: Vec<_> = source
            .tables
            .iter()
            .enumerate()
            .filter_map(of_glob)
            .collect();
        found |= !all.is_empty();
        for (at, mut table) in all.into_iter().rev().filter(|_| !levels.is_empty()) {
            let is_same = |known: &TableDraft| known.pattern == table.pattern;
            if source.tables.iter().any(is_same) {
                continue;
            }
            give(&mut table, sink, levels);
            // Of globs the first that means a table counts.
            match is_glob(&table.pattern) {
                true => source.tables.insert(at, table),
                false => source.tables.push(table),
            }
        }
    }
    found
}

/// The table of a topic inside a glob, in the schema, or the glob of schemas, that stands there.
fn behind(table: &TableDraft, topic: &str, default_schema: &str) -> Option<String> {
    let bare = topic.strip_prefix(&table.theirs)?;
    let pattern = match table.pattern.rsplit_once('.') {
        Some((schema, _)) => format!("{schema}.{bare}"),
        None => bare.to_owned(),
    };
    let is_meant = is_glob(&table.pattern)
        && takes_all(&table.pattern, &pattern, default_schema)
        && !is_taken(&pattern, &table.exclude, default_schema);
    is_meant.then_some(pattern)
}

/// The age of files as it is written.
pub(super) fn age(lake: &Lake) -> Option<String> {
    lake.age.map(duration)
}
