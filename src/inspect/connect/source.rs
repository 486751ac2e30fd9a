//! A JDBC source connector as a source with its tables.

use std::collections::BTreeMap;

use super::expression::{column_map, duration, globs, plain_query};
use super::jdbc_url::JdbcUrl;
use super::read::Connector;
use super::transforms::{self, Columns};
use super::{Notes, Weight, options};
use crate::config::{DatabaseKind, glob_matches};
use crate::error::{Error, Kind, Result};
use crate::model::percent_encode;
use Weight::{Differs, NoEqual, NotNeeded};

/// What the source connectors say, all of them.
#[derive(Default)]
pub(super) struct Capture {
    pub sources: Vec<SourceDraft>,
    /// Of the first connector: what stands before the names of all topics.
    pub topic_prefix: Option<String>,
    pub partitions: Option<String>,
    pub replication: Option<String>,
    pub brokers: Option<String>,
}

/// One database.
pub(super) struct SourceDraft {
    pub name: String,
    pub url: String,
    pub kind: DatabaseKind,
    pub time_zone: Option<String>,
    pub connections: Option<u64>,
    pub exclude: Vec<String>,
    pub tables: Vec<TableDraft>,
    /// Connectors that read from it.
    pub connectors: Vec<String>,
}

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
    pub partition_by: Vec<(String, String)>,
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

/// Where Kafka Connect's own default of 5 s would load a table over and over.
const NIGHTLY: &str = "30 2 * * *";

pub(super) fn translate(
    connector: &Connector,
    capture: &mut Capture,
    notes: &mut Notes,
) -> Result<()> {
    options::tell(connector, notes);
    let written = connector.option("connection.url").unwrap_or_default();
    let url = JdbcUrl::parse(written).map_err(|why| {
        Error::new(Kind::Config, format!("`connection.url` {why}"))
            .about(format!("connector `{}`", connector.name))
            .hint("mend it in the document, or leave the connector out")
    })?;
    for dropped in &url.dropped {
        let text =
            format!("the driver's `{dropped}` is left out: the drivers here have other settings");
        notes.say(&connector.name, "connection.url", NotNeeded, text);
    }
    around(connector, capture, notes);
    let columns = transforms::read(connector, notes);
    let tables = tables(connector, &url, columns, notes);
    let source = source_of(connector, &url, capture, notes);
    source.connectors.push(connector.name.clone());
    source.exclude.extend(excluded(connector, &url, notes));
    source.time_zone = source
        .time_zone
        .take()
        .or_else(|| time_zone(connector, notes));
    let tasks = connector
        .option("tasks.max")
        .and_then(|text| text.parse::<u64>().ok());
    let tasks = tasks.filter(|tasks| (2..=1000).contains(tasks));
    source.connections = source.connections.max(tasks);
    if tables.is_empty() {
        return Err(Error::new(Kind::No, "none of its tables can be named here")
            .about(format!("connector `{}`", connector.name))
            .hint("write `table.whitelist` with their names in the place of the expression"));
    }
    for table in tables {
        match source
            .tables
            .iter()
            .find(|known| known.pattern == table.pattern)
        {
            Some(known) => {
                let text = format!(
                    "`{}` is read by connector `{}` already; a table has one mode and one topic here",
                    table.pattern, known.connector
                );
                notes.say(&connector.name, "mode", NoEqual, text);
            }
            None => source.tables.push(table),
        }
    }
    Ok(())
}

/// What is said once for all tables.
fn around(connector: &Connector, capture: &mut Capture, notes: &mut Notes) {
    // In query mode the prefix is the topic itself.
    if query(connector).is_none() {
        let prefix = connector.option("topic.prefix").unwrap_or_default();
        capture
            .topic_prefix
            .get_or_insert_with(|| prefix.to_owned());
    }
    let number = |key: &str| connector.option(key).map(str::to_owned);
    let first = |slot: &mut Option<String>, key: &str| *slot = slot.take().or_else(|| number(key));
    first(&mut capture.partitions, "topic.creation.default.partitions");
    first(
        &mut capture.replication,
        "topic.creation.default.replication.factor",
    );
    first(&mut capture.brokers, "producer.override.bootstrap.servers");
    for key in ["key.converter", "value.converter"] {
        let Some(class) = connector.option(key) else {
            continue;
        };
        let (weight, text) = match class.rsplit('.').next().unwrap_or(class) {
            "JsonConverter" => (
                Differs,
                "records are JSON objects of the row alone: no `schema`, no `payload`",
            ),
            "StringConverter" if key == "key.converter" => (Differs, "keys are JSON too"),
            _ => (
                NoEqual,
                "records are JSON; Avro, Protobuf and a schema registry are not there yet: whoever else reads these topics must be able to",
            ),
        };
        notes.say(&connector.name, key, weight, text);
    }
    if connector.option("errors.tolerance") == Some("all") {
        let text = "`on_value: reject`: rows that cannot be carried go to the topic `….rejected`, and none vanishes";
        notes.say(&connector.name, "errors.tolerance", Differs, text);
    }
}

fn time_zone(connector: &Connector, notes: &mut Notes) -> Option<String> {
    let zone = connector.option("db.timezone")?;
    if matches!(zone, "UTC" | "Etc/UTC" | "GMT" | "Z") {
        return None;
    }
    match jiff::tz::TimeZone::get(zone) {
        Ok(_) => {
            let text = "`time_zone` says what times without a zone mean, to compare them and to cut days; their values are not changed";
            notes.say(&connector.name, "db.timezone", Differs, text);
            Some(zone.to_owned())
        }
        Err(_) => {
            let text = format!(
                "`{zone}` is no IANA time zone; write one as `time_zone`, e.g. `Asia/Seoul`"
            );
            notes.say(&connector.name, "db.timezone", NoEqual, text);
            None
        }
    }
}

fn query(connector: &Connector) -> Option<&str> {
    connector
        .option("query")
        .or(connector.option("query.masked"))
}

/// The database a connector reads: one that is known already, or a new one.
fn source_of<'c>(
    connector: &Connector,
    url: &JdbcUrl,
    capture: &'c mut Capture,
    notes: &mut Notes,
) -> &'c mut SourceDraft {
    let user = connector.option("connection.user").or(url.user.as_deref());
    let (address, database) = (&url.address, &url.database);
    let same = |source: &SourceDraft| {
        let place = source.url.rsplit_once('@').map_or("", |(_, place)| place);
        let place = place.split('?').next().unwrap_or(place);
        source.kind == url.kind && place == format!("{address}/{database}")
    };
    if let Some(known) = capture.sources.iter().position(same) {
        return &mut capture.sources[known];
    }
    let name = free_name(&database_name(database), &capture.sources);
    let upper = variable_part(&name);
    let user = match user {
        Some(user) => login(
            connector,
            "connection.user",
            user,
            &format!("{upper}_USER"),
            notes,
        )
        .unwrap_or_else(|| percent_encode(user)),
        None => "cdc".to_owned(),
    };
    let variable = format!("{upper}_PASSWORD");
    let key = "connection.password";
    let by_variable = format!("${{env:{variable}}}");
    let login = match (connector.option(key), url.has_password) {
        (Some(password), _) => {
            let found = login(connector, key, password, &variable, notes).unwrap_or_else(|| {
                let text = format!(
                    "the password is not written: `{by_variable}` takes it from the environment"
                );
                notes.say(&connector.name, key, Differs, text);
                notes.variables.insert(variable.clone());
                by_variable.clone()
            });
            format!("{user}:{found}")
        }
        (None, true) => {
            let text = format!(
                "the password in it is not written: `{by_variable}` takes it from the environment"
            );
            notes.say(&connector.name, "connection.url", Differs, text);
            notes.variables.insert(variable.clone());
            format!("{user}:{by_variable}")
        }
        (None, false) => user,
    };
    capture.sources.push(SourceDraft {
        name,
        url: url.written(&login),
        kind: url.kind,
        time_zone: None,
        connections: None,
        exclude: Vec::new(),
        tables: Vec::new(),
        connectors: Vec::new(),
    });
    let last = capture.sources.len() - 1;
    &mut capture.sources[last]
}

/// `DatabaseUrl` allows letters, digits, `_` and `-` in a source's name.
fn database_name(database: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            c
        } else {
            '_'
        }
    };
    database.chars().map(plain).collect()
}

fn free_name(wanted: &str, sources: &[SourceDraft]) -> String {
    let is_taken = |name: &str| sources.iter().any(|source| source.name == name);
    let mut number = 1;
    let mut name = wanted.to_owned();
    while is_taken(&name) {
        number += 1;
        name = format!("{wanted}-{number}");
    }
    name
}

fn variable_part(name: &str) -> String {
    let upper = name.to_ascii_uppercase().replace('-', "_");
    match upper.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("DB_{upper}"),
        false => upper,
    }
}

/// A reference of Kafka Connect's config providers as one of ours; `None` for a plain value.
fn login(
    connector: &Connector,
    key: &str,
    written: &str,
    variable: &str,
    notes: &mut Notes,
) -> Option<String> {
    let inside = written.strip_prefix("${")?.strip_suffix('}')?;
    let (provider, rest) = inside.split_once(':')?;
    let by_variable = |name: &str| (format!("${{env:{name}}}"), Some(name.to_owned()));
    let (found, variable) = match (provider, rest.rsplit_once(':')) {
        ("env" | "envVar", Some((_, name))) => by_variable(name),
        ("env" | "envVar", None) => by_variable(rest),
        ("dir" | "directory", Some((path, file))) if path.starts_with('/') => {
            (format!("${{file:{path}/{file}}}"), None)
        }
        _ => {
            let text = format!(
                "there is no provider `{provider}` here: `${{env:{variable}}}` takes the value from the environment, `${{file:/path}}` from a file that holds nothing else"
            );
            notes.say(&connector.name, key, Differs, text);
            by_variable(variable)
        }
    };
    notes.variables.extend(variable);
    Some(found)
}

/// The tables of a connector with their settings.
fn tables(
    connector: &Connector,
    url: &JdbcUrl,
    columns: Columns,
    notes: &mut Notes,
) -> Vec<TableDraft> {
    let model = model(connector, columns, notes);
    let mut tables: Vec<TableDraft> = Vec::new();
    if let Some(query) = query(connector) {
        tables.push(by_query(connector, query, &model, notes));
        return tables;
    }
    let names = included(connector, url, notes);
    let mut by_name: BTreeMap<String, TableDraft> = BTreeMap::new();
    for pattern in names {
        let mut table = model.clone();
        table.pattern = pattern.clone();
        mapped_columns(connector, &mut table, notes);
        if by_name.insert(pattern, table.clone()).is_none() {
            tables.push(table);
        }
    }
    tables
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
        partition_by: Vec::new(),
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
    model: &TableDraft,
    notes: &mut Notes,
) -> TableDraft {
    let mut table = model.clone();
    table.is_query = true;
    if let Some((name, condition)) = plain_query(query) {
        table.pattern = name;
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

/// Names and globs of the tables that are read.
fn included(connector: &Connector, url: &JdbcUrl, notes: &mut Notes) -> Vec<String> {
    let mut names = Vec::new();
    for name in connector.list("table.whitelist") {
        names.push(qualified(&name.replace(['"', '`'], ""), connector, url));
    }
    for regex in connector.list("table.include.list") {
        match globs(&regex) {
            Some(globs) => names.extend(globs.iter().map(|glob| without_catalog(glob, url))),
            None => {
                let text = format!(
                    "`{regex}` has no glob that means the same; `*` and `?` are all there is"
                );
                notes.say(&connector.name, "table.include.list", NoEqual, text);
            }
        }
    }
    let types = connector.list("table.types");
    if types
        .iter()
        .any(|sort| sort.to_ascii_uppercase().contains("VIEW"))
    {
        let text = "no glob means a view: name each one, and read it in mode `bulk`";
        notes.say(&connector.name, "table.types", Differs, text);
    }
    let names_some = |key: &str| connector.option(key).is_some();
    if !names_some("table.whitelist") && !names_some("table.include.list") {
        names.push(match (schema(connector, url), url.kind) {
            (Some(schema), _) => format!("{schema}.*"),
            (None, DatabaseKind::Postgres) => "*.*".to_owned(),
            (None, DatabaseKind::MariaDb) => "*".to_owned(),
        });
    }
    names
}

/// The schema a connector stays in, as a glob: of JDBC's pattern `%` and `_`.
fn schema(connector: &Connector, url: &JdbcUrl) -> Option<String> {
    let key = match url.kind {
        DatabaseKind::Postgres => "schema.pattern",
        DatabaseKind::MariaDb => "catalog.pattern",
    };
    let pattern = connector.option(key).or(url.schema.as_deref())?;
    let glob = match pattern.contains('%') {
        true => pattern.replace('%', "*").replace("\\_", "_"),
        false => pattern.replace("\\_", "_"),
    };
    let default = match url.kind {
        DatabaseKind::Postgres => "public",
        DatabaseKind::MariaDb => url.database.as_str(),
    };
    (glob != default || glob.contains('*')).then_some(glob)
}

/// A name of a list, which may be bare: then it stands in the schema the connector stays in.
fn qualified(name: &str, connector: &Connector, url: &JdbcUrl) -> String {
    match (name.contains('.'), schema(connector, url)) {
        (true, _) => without_catalog(name, url),
        (false, Some(schema)) if !schema.contains('*') => format!("{schema}.{name}"),
        (false, _) => name.to_owned(),
    }
}

/// Without the database, which the URL names, and without the schema that need not be named.
fn without_catalog(name: &str, url: &JdbcUrl) -> String {
    let catalog = format!("{}.", url.database);
    let name = match url.kind {
        DatabaseKind::Postgres if name.matches('.').count() >= 2 => {
            name.strip_prefix(&catalog).unwrap_or(name)
        }
        DatabaseKind::Postgres => name,
        DatabaseKind::MariaDb => name.strip_prefix(&catalog).unwrap_or(name),
    };
    match url.kind {
        DatabaseKind::Postgres => name.strip_prefix("public.").unwrap_or(name).to_owned(),
        DatabaseKind::MariaDb => name.to_owned(),
    }
}

/// What no glob means.
fn excluded(connector: &Connector, url: &JdbcUrl, notes: &mut Notes) -> Vec<String> {
    let mut names: Vec<String> = connector
        .list("table.blacklist")
        .iter()
        .map(|name| qualified(&name.replace(['"', '`'], ""), connector, url))
        .collect();
    for regex in connector.list("table.exclude.list") {
        match globs(&regex) {
            Some(globs) => names.extend(globs.iter().map(|glob| without_catalog(glob, url))),
            None => {
                let text = format!(
                    "`{regex}` has no glob that means the same: name what it means in `exclude`"
                );
                notes.say(&connector.name, "table.exclude.list", NoEqual, text);
            }
        }
    }
    names
}

/// Columns by table, where the connector has a map of them.
fn mapped_columns(connector: &Connector, table: &mut TableDraft, notes: &mut Notes) {
    let mut of = |key: &str, fits: bool| -> Option<Vec<String>> {
        if !fits {
            return None;
        }
        for (regex, columns) in column_map(connector.option(key)?) {
            let Some(globs) = globs(&regex) else {
                let text = format!(
                    "`{regex}` has no glob that means the same: write the column to each table"
                );
                notes.say(&connector.name, key, NoEqual, text);
                continue;
            };
            let name = &table.pattern;
            let with_schema = format!("public.{name}");
            let is_meant = |glob: &String| {
                glob == name
                    || glob_matches(glob, name)
                    || glob_matches(glob, &with_schema)
                    || glob.rsplit('.').next().is_some_and(|last| last == name)
            };
            if globs.iter().any(is_meant) {
                return Some(columns);
            }
        }
        None
    };
    let times = of(
        "timestamp.columns.mapping",
        table.mode.starts_with("timestamp"),
    );
    let ids = of(
        "incrementing.column.mapping",
        table.mode.ends_with("incrementing"),
    );
    if let Some(times) = times {
        if times.len() > 1 {
            let text = format!(
                "one column drives a cursor: of {} the first was written for `{}`",
                times.join(", "),
                table.pattern
            );
            notes.say(&connector.name, "timestamp.columns.mapping", NoEqual, text);
        }
        table.timestamp = times.into_iter().next();
    }
    if let Some(id) = ids.and_then(|ids| ids.into_iter().next()) {
        table.incrementing = Some(id);
    }
}
