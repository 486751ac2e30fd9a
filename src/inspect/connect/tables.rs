//! The tables of a JDBC source connector: mode, columns, pace.

use super::expression::{duration, plain_query};
use super::jdbc_url::JdbcUrl;
use super::mapping;
use super::naming::{excluded, included, queried};
use super::reach::{is_glob, is_taken, takes_all};
use super::read::Connector;
use super::transforms::Columns;
use super::{Notes, Weight};
use Weight::{Differs, NoEqual};

/// One table or glob.
#[derive(Clone)]
pub(super) struct TableDraft {
    pub pattern: String,
    pub mode: String,
    pub timestamp: Option<String>,
    pub incrementing: Option<String>,
    pub every: Option<String>,
    pub schedule: Option<String>,
    pub lookback: Option<String>,
    pub filter: Option<String>,
    /// What a glob does not mean.
    pub exclude: Vec<String>,
    pub partition_by: Vec<(String, String)>,
    /// The sink that cuts it so, where that takes tables of several connectors, which may have other columns.
    pub shared_sink: Option<String>,
    pub keep: Vec<String>,
    pub drop: Vec<String>,
    pub rejects: bool,
    /// Its topic is the prefix itself.
    pub is_query: bool,
    /// What a person should read before this table.
    pub remark: Option<String>,
    /// The prefix of the connector it comes from.
    pub theirs: String,
    pub connector: String,
}

impl TableDraft {
    /// The same settings for a name or a glob, with what is kept away from that.
    pub fn like(&self, pattern: &str, excluded: &[String], default_schema: &str) -> Self {
        let concerns =
            |out: &&String| is_glob(out) || takes_all(pattern, out.as_str(), default_schema);
        let excluded = excluded.iter().filter(concerns).cloned();
        TableDraft {
            pattern: pattern.to_owned(),
            exclude: match is_glob(pattern) {
                true => excluded.collect(),
                false => Vec::new(),
            },
            ..self.clone()
        }
    }
}

/// Where Kafka Connect's own default of 5 s would load a table over and over.
const NIGHTLY: &str = "30 2 * * *";

/// The tables of a connector with their settings.
pub(super) fn tables(
    connector: &Connector,
    url: &JdbcUrl,
    columns: Columns,
    notes: &mut Notes,
) -> Vec<TableDraft> {
    let model = model(connector, columns, notes);
    let mut tables: Vec<TableDraft> = Vec::new();
    if let Some(query) = query(connector) {
        tables.push(by_query(connector, query, url, &model, notes));
        return tables;
    }
    let excluded = excluded(connector, url, notes);
    for pattern in included(connector, url, notes) {
        if is_taken(&pattern, &excluded, url.default_schema()) {
            let text = format!("all that `{pattern}` means is excluded: it is not written");
            notes.say(&connector.name, excluding(connector), Differs, text);
            continue;
        }
        let is_known = |known: &TableDraft| {
            let is_inside = takes_all(&known.pattern, &pattern, url.default_schema());
            known.pattern == pattern || is_glob(&pattern) && is_inside
        };
        if !tables.iter().any(is_known) {
            tables.push(model.like(&pattern, &excluded, url.default_schema()));
        }
    }
    mapping::give(connector, url, &excluded, &mut tables, notes);
    tables
}

/// The option that keeps tables away.
fn excluding(connector: &Connector) -> &'static str {
    match connector.option("table.exclude.list") {
        Some(_) => "table.exclude.list",
        None => "table.blacklist",
    }
}

/// What all tables of a connector have in common.
fn model(connector: &Connector, columns: Columns, notes: &mut Notes) -> TableDraft {
    let name = &connector.name;
    let mode = match connector.option("mode") {
        Some(mode @ ("bulk" | "incrementing" | "timestamp" | "timestamp+incrementing")) => mode,
        Some(_) | None => {
            notes.say(
                name,
                "mode",
                NoEqual,
                "it names no mode; `bulk` was taken, which is always right",
            );
            "bulk"
        }
    };
    let is_bulk = mode == "bulk";
    let milliseconds = |key: &str| {
        connector
            .option(key)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let every = milliseconds("poll.interval.ms").filter(|ms| *ms > 0);
    let (mut schedule, mut every) = (None, every.map(duration));
    if is_bulk && every.as_deref().is_none_or(|every| every == "5s") {
        let text = "the connector loads the whole table every 5 s; once a night was written, change `schedule` as you need it";
        notes.say(name, "poll.interval.ms", Differs, text);
        (schedule, every) = (Some(NIGHTLY.to_owned()), None);
    } else if !is_bulk && every.as_deref() == Some("5s") {
        every = None;
    }
    if is_bulk {
        let text = "a load is a directory of its own, and readers switch to it when it is whole: `cdc path TABLE`";
        notes.say(name, "mode", Differs, text);
    }
    let delay = milliseconds("timestamp.delay.interval.ms").filter(|ms| *ms > 0 && !is_bulk);
    if delay.is_some() {
        let text = "`lookback` counts only where the database gives no evidence of open transactions: docs/guarantees.md";
        notes.say(name, "timestamp.delay.interval.ms", Differs, text);
    }
    let times = connector.list("timestamp.column.name");
    if times.len() > 1 && mode.starts_with("timestamp") {
        let text = format!(
            "the newest of {} is not taken: one column drives a cursor; `{}` was written, and rows in which it is NULL are copied once. A generated column `COALESCE({})` with an index does what the connector did",
            times.join(", "),
            times.first().map_or("", String::as_str),
            times.join(", ")
        );
        notes.say(name, "timestamp.column.name", NoEqual, text);
    }
    if !columns.keep.is_empty() && !columns.drop.is_empty() {
        notes.say(
            name,
            "transforms",
            Differs,
            "`keep` says all: what it does not name is left out",
        );
    }
    let drops = columns.keep.is_empty();
    let keep: Vec<String> = columns
        .keep
        .into_iter()
        .filter(|name| !columns.drop.contains(name))
        .collect();
    TableDraft {
        pattern: String::new(),
        mode: mode.to_owned(),
        timestamp: times
            .into_iter()
            .next()
            .filter(|_| mode.starts_with("timestamp")),
        incrementing: connector
            .option("incrementing.column.name")
            .filter(|_| mode.ends_with("incrementing"))
            .map(str::to_owned),
        every,
        schedule,
        lookback: delay.map(duration),
        filter: None,
        exclude: Vec::new(),
        partition_by: Vec::new(),
        shared_sink: None,
        keep,
        drop: if drops { columns.drop } else { Vec::new() },
        rejects: connector.option("errors.tolerance") == Some("all"),
        is_query: false,
        remark: None,
        theirs: connector
            .option("topic.prefix")
            .unwrap_or_default()
            .to_owned(),
        connector: name.clone(),
    }
}

fn by_query(
    connector: &Connector,
    query: &str,
    url: &JdbcUrl,
    model: &TableDraft,
    notes: &mut Notes,
) -> TableDraft {
    let mut table = model.clone();
    table.is_query = true;
    if let Some((name, condition)) = plain_query(query) {
        table.pattern = queried(&name, url);
        table.filter = condition;
        let text = "the query is a table and a condition: `where`";
        notes.say(&connector.name, "query", Differs, text);
        return table;
    }
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    table.pattern = connector.name.chars().map(plain).collect::<String>() + "_view";
    table.mode = "bulk".to_owned();
    (
        table.timestamp,
        table.incrementing,
        table.lookback,
        table.every,
    ) = (None, None, None, None);
    table.schedule = Some(NIGHTLY.to_owned());
    table.remark = Some(format!(
        "CREATE VIEW {} AS {};",
        table.pattern,
        query.trim().trim_end_matches(';')
    ));
    let text = format!(
        "tables are read as they are: make a view `{}` of the query, which is read whole, or read the tables below it",
        table.pattern
    );
    notes.say(&connector.name, "query", NoEqual, text);
    table
}

/// What is read in the place of tables.
pub(super) fn query(connector: &Connector) -> Option<&str> {
    connector
        .option("query")
        .or(connector.option("query.masked"))
}
