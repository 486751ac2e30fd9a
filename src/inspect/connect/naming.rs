//! Names of tables: lists, patterns and expressions of a connector as names and globs.

use super::expression::globs;
use super::jdbc_url::JdbcUrl;
use super::read::Connector;
use super::{Notes, Weight};
use crate::config::DatabaseKind;
use Weight::{Differs, NoEqual};

/// Names and globs of the tables that are read.
pub(super) fn included(connector: &Connector, url: &JdbcUrl, notes: &mut Notes) -> Vec<String> {
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
pub(super) fn excluded(connector: &Connector, url: &JdbcUrl, notes: &mut Notes) -> Vec<String> {
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
