//! A JDBC source connector as a source with its tables.

use super::expression::is_utc;
use super::jdbc_url::JdbcUrl;
use super::reach::{is_glob, is_taken, takes_all};
use super::read::Connector;
use super::tables::{self, TableDraft, query};
use super::transforms;
use super::{Notes, Weight, options};
use crate::config::DatabaseKind;
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
    pub default_schema: String,
    /// As the first connector names it.
    pub user: Option<String>,
    pub tls: Vec<(&'static str, String)>,
    /// `UTC` too, where a connector says so or says none.
    pub time_zone: Option<String>,
    pub connections: Option<u64>,
    pub tables: Vec<TableDraft>,
    /// Connectors that read from it.
    pub connectors: Vec<String>,
}

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
    for (name, why) in &url.lost {
        let text = format!("the driver's `{name}` {why}");
        notes.say(&connector.name, "connection.url", NoEqual, text);
    }
    around(connector, capture, notes);
    let columns = transforms::read(connector, notes);
    let tables = tables::tables(connector, &url, columns, notes);
    let source = source_of(connector, &url, capture, notes);
    source.connectors.push(connector.name.clone());
    in_zone(connector, source, notes);
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
        add(table, source, notes);
    }
    Ok(())
}

/// Adds a table to those of other connectors: a table has one mode and one topic here.
fn add(table: TableDraft, source: &mut SourceDraft, notes: &mut Notes) {
    let same = |known: &&mut TableDraft| known.pattern == table.pattern;
    if let Some(known) = source.tables.iter_mut().find(same) {
        let text = format!(
            "`{}` is read by connector `{}` already; a table has one mode and one topic here",
            table.pattern, known.connector
        );
        known.exclude = both(&known.exclude, &table.exclude, &source.default_schema);
        notes.say(&table.connector, "mode", NoEqual, text);
        return;
    }
    let default_schema = &source.default_schema;
    let is_part = |narrow: &TableDraft, wide: &TableDraft| {
        is_glob(&wide.pattern)
            && narrow.connector != wide.connector
            && takes_all(&wide.pattern, &narrow.pattern, default_schema)
            && !is_taken(&narrow.pattern, &wide.exclude, default_schema)
    };
    let mut say = |narrow: &TableDraft, wide: &TableDraft| {
        let text = format!(
            "`{}` of connector `{}` is part of `{}` of connector `{}`; a table has one mode and one topic here, those of the former",
            narrow.pattern, narrow.connector, wide.pattern, wide.connector
        );
        notes.say(&table.connector, "mode", NoEqual, text);
    };
    for known in &source.tables {
        if is_part(known, &table) {
            say(known, &table);
        }
    }
    let wider = source
        .tables
        .iter()
        .position(|known| is_part(&table, known));
    if let Some(at) = wider {
        say(&table, &source.tables[at]);
    }
    // Of globs the first that means a table counts.
    let at = wider.filter(|_| is_glob(&table.pattern));
    source
        .tables
        .insert(at.unwrap_or(source.tables.len()), table);
}

/// What both of two lists keep away: whatever one connector reads is read.
fn both(one: &[String], other: &[String], default_schema: &str) -> Vec<String> {
    let of = |list: &[String], all: &[String]| -> Vec<String> {
        let is_out = |out: &&String| is_taken(out.as_str(), all, default_schema);
        list.iter().filter(is_out).cloned().collect()
    };
    let mut out = of(one, other);
    for more in of(other, one) {
        if !out.contains(&more) {
            out.push(more);
        }
    }
    out
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
    let firsts = [
        (&mut capture.partitions, "topic.creation.default.partitions"),
        (
            &mut capture.replication,
            "topic.creation.default.replication.factor",
        ),
        (&mut capture.brokers, "producer.override.bootstrap.servers"),
    ];
    for (slot, key) in firsts {
        let Some(value) = connector.option(key) else {
            continue;
        };
        let known = slot.get_or_insert_with(|| value.to_owned());
        if known.as_str() != value {
            let text = format!("`{known}` of another connector was written: there is one for all");
            notes.say(&connector.name, key, NoEqual, text);
        }
    }
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

/// What times without a zone mean: as the first connector says.
fn in_zone(connector: &Connector, source: &mut SourceDraft, notes: &mut Notes) {
    let Some(zone) = time_zone(connector, notes) else {
        return;
    };
    let known = source.time_zone.get_or_insert_with(|| zone.clone());
    let (weight, text) = match known.as_str() {
        known if known != zone => (
            NoEqual,
            format!(
                "it is `{zone}`, and that of a connector before it `{known}`, which counts: `{}` has one `time_zone`",
                source.name
            ),
        ),
        "UTC" if connector.option("db.timezone").is_none() => return,
        "UTC" => (NotNeeded, "`time_zone` is UTC where none is written".to_owned()),
        _ => (
            Differs,
            "`time_zone` says what times without a zone mean, to compare them and to cut days; their values are not changed".to_owned(),
        ),
    };
    notes.say(&connector.name, "db.timezone", weight, text);
}

/// The zone of a connector, `UTC` where it says none; `None` where there is no such zone.
fn time_zone(connector: &Connector, notes: &mut Notes) -> Option<String> {
    let zone = connector.option("db.timezone").unwrap_or("UTC");
    if is_utc(zone) {
        return Some("UTC".to_owned());
    }
    if jiff::tz::TimeZone::get(zone).is_err() {
        let text =
            format!("`{zone}` is no IANA time zone; write one as `time_zone`, e.g. `Asia/Seoul`");
        notes.say(&connector.name, "db.timezone", NoEqual, text);
        return None;
    }
    Some(zone.to_owned())
}

/// Says where a connector comes to a database in another way than the first did.
fn same_way(connector: &Connector, url: &JdbcUrl, known: &SourceDraft, notes: &mut Notes) {
    let first = known.connectors.first().map_or("", String::as_str);
    let user = connector.option("connection.user").or(url.user.as_deref());
    if user != known.user.as_deref() {
        let text = format!(
            "a source has one login: that of connector `{first}` was written, which must be able to read these tables too"
        );
        notes.say(&connector.name, "connection.user", NoEqual, text);
    }
    if url.tls != known.tls {
        let text = format!(
            "how it is encrypted was taken from connector `{first}`, which says another way"
        );
        notes.say(&connector.name, "connection.url", NoEqual, text);
    }
}

/// The database a connector reads: one that is known already, or a new one.
fn source_of<'c>(
    connector: &Connector,
    url: &JdbcUrl,
    capture: &'c mut Capture,
    notes: &mut Notes,
) -> &'c mut SourceDraft {
    let written_user = connector.option("connection.user").or(url.user.as_deref());
    let (address, database) = (&url.address, &url.database);
    let same = |source: &SourceDraft| {
        let place = source.url.rsplit_once('@').map_or("", |(_, place)| place);
        let place = place.split('?').next().unwrap_or(place);
        source.kind == url.kind && place == format!("{address}/{database}")
    };
    if let Some(known) = capture.sources.iter().position(same) {
        same_way(connector, url, &capture.sources[known], notes);
        return &mut capture.sources[known];
    }
    let name = free_name(&database_name(database), &capture.sources);
    let upper = variable_part(&name);
    let user = match written_user {
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
        default_schema: url.default_schema().to_owned(),
        user: written_user.map(str::to_owned),
        tls: url.tls.clone(),
        time_zone: None,
        connections: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_lists_what_both_keep_away_is_kept_away() {
        let list = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let one = list(&["log_*", "secrets", "sales.tmp"]);
        let other = list(&["log_web", "*.tmp", "people"]);
        let expected = list(&["sales.tmp", "log_web"]);
        assert_eq!(both(&one, &other, "public"), expected);
        assert_eq!(both(&one, &[], "public"), list(&[]));
    }
}
