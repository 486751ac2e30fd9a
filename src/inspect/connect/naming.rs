//! Names of tables: lists, patterns and expressions of a connector as names and globs.

use super::expression::globs;
use super::jdbc_url::JdbcUrl;
use super::reach::{narrower, parts};
use super::read::Connector;
use super::{Notes, Weight};
use crate::config::{DatabaseKind, glob_matches};
use Weight::{Differs, NoEqual};

/// Names and globs of the tables that are read.
pub(super) fn included(connector: &Connector, url: &JdbcUrl, notes: &mut Notes) -> Vec<String> {
    let mut names = Vec::new();
    for name in connector.list("table.whitelist") {
        names.push(qualified(&unquoted(&name), connector, url));
    }
    let key = "table.include.list";
    names.extend(by_expression(
        connector,
        key,
        "`*` and `?` are all there is",
        url,
        notes,
    ));
    let types = connector.list("table.types");
    if types
        .iter()
        .any(|sort| sort.to_ascii_uppercase().contains("VIEW"))
    {
        let text = "no glob means a view: name each one, and read it in mode `bulk`";
        notes.say(&connector.name, "table.types", Differs, text);
    }
    let names_some = |key: &str| connector.option(key).is_some();
    if !names_some("table.whitelist") && !names_some(key) {
        names.push(match (schema(connector, url), url.kind) {
            (Some(schema), _) => written(&schema, "*", url),
            (None, DatabaseKind::Postgres) => "*.*".to_owned(),
            (None, DatabaseKind::MariaDb) => "*".to_owned(),
        });
    }
    names
}

/// Names and globs of the tables that are not.
pub(super) fn excluded(connector: &Connector, url: &JdbcUrl, notes: &mut Notes) -> Vec<String> {
    let anywhere = url.kind == DatabaseKind::Postgres && schema(connector, url).is_none();
    let mut names = Vec::new();
    for name in connector.list("table.blacklist") {
        let name = unquoted(&name);
        // A bare name keeps that table of every schema away.
        names.push(match anywhere && !name.contains('.') {
            true => format!("*.{name}"),
            false => qualified(&name, connector, url),
        });
    }
    let instead = "name what it means in `exclude`";
    let key = "table.exclude.list";
    names.extend(by_expression(connector, key, instead, url, notes));
    names
}

/// The table of a query.
pub(super) fn queried(name: &str, url: &JdbcUrl) -> String {
    match (&url.schema, name.contains('.')) {
        (Some(schema), false) => written(schema, name, url),
        _ => without_catalog(name, url),
    }
}

/// What a list of expressions means; what it surely does not say is said.
fn by_expression(
    connector: &Connector,
    key: &str,
    instead: &str,
    url: &JdbcUrl,
    notes: &mut Notes,
) -> Vec<String> {
    let mut names = Vec::new();
    for regex in connector.list(key) {
        let mut say = |text: String| notes.say(&connector.name, key, NoEqual, text);
        match meant(&regex, connector, url) {
            Some(meant) => {
                meant.doubts.into_iter().for_each(&mut say);
                names.extend(meant.globs);
            }
            None => say(format!(
                "`{regex}` has no glob that means the same: {instead}"
            )),
        }
    }
    names
}

/// An expression as names and globs.
#[derive(Debug, Default)]
pub(super) struct Meant {
    pub globs: Vec<String>,
    /// Where the globs may mean other tables.
    pub doubts: Vec<String>,
}

/// An expression as a connector holds it against a table's whole name; `None` where it has no glob.
pub(super) fn meant(regex: &str, connector: &Connector, url: &JdbcUrl) -> Option<Meant> {
    let scope = schema(connector, url);
    let mut meant = Meant::default();
    for glob in globs(regex)? {
        let glob = one_star(&glob);
        let glob = behind_catalog(&glob, url);
        if glob.matches('.').count() > 1 {
            meant.doubts.push(format!(
                "`{regex}` has more parts than schema and table: look whether `{glob}` means what it did"
            ));
        }
        let mut names: Vec<String> = Vec::new();
        for (schema, name) in places(glob, url) {
            let inside = match &scope {
                Some(scope) => narrower(schema, scope),
                None => Some(schema),
            };
            if let Some(schema) = inside {
                names.push(written(schema, name, url));
            }
        }
        let begins_with_any = glob.trim_start_matches('?').starts_with('*');
        if names.is_empty() {
            meant.doubts.push(format!(
                "`{regex}` means no table of the schema that the connector stays in"
            ));
        } else if !glob.contains('.') && !begins_with_any {
            meant.doubts.push(format!(
                "`{regex}` is held against `schema.table` and has no dot between them: `{}` was written",
                names.join("`, `")
            ));
        }
        names.retain(|name| !meant.globs.contains(name));
        meant.globs.extend(names);
    }
    Some(meant)
}

/// Schema and name of a glob. Without a dot any `*` may hold it: `*orders*` means tables that are called so, and all
/// tables of schemas that are.
fn places<'g>(glob: &'g str, url: &'g JdbcUrl) -> Vec<(&'g str, &'g str)> {
    if glob.contains('.') {
        return vec![parts(glob, url.default_schema())];
    }
    let halves = glob
        .match_indices('*')
        .map(|(at, _)| (&glob[..=at], &glob[at..]));
    let found: Vec<_> = match url.kind {
        DatabaseKind::Postgres => halves.collect(),
        // Only the database of the URL is read.
        DatabaseKind::MariaDb => halves
            .filter(|(schema, _)| glob_matches(schema, &url.database))
            .map(|(_, name)| (url.default_schema(), name))
            .take(1)
            .collect(),
    };
    match found.is_empty() {
        true => vec![parts(glob, url.default_schema())],
        false => found,
    }
}

fn one_star(glob: &str) -> String {
    let mut one = glob.to_owned();
    while one.contains("**") {
        one = one.replace("**", "*");
    }
    one
}

/// Without the first of three parts, where that means the database of the URL.
fn behind_catalog<'g>(glob: &'g str, url: &JdbcUrl) -> &'g str {
    let has_one = url.kind == DatabaseKind::Postgres && glob.matches('.').count() > 1;
    match glob.split_once('.') {
        Some((catalog, rest)) if has_one && glob_matches(catalog, &url.database) => rest,
        _ => glob,
    }
}

/// The schema a connector stays in, as a glob: of JDBC's pattern `%` and `_`. `None` where it looks into all.
fn schema(connector: &Connector, url: &JdbcUrl) -> Option<String> {
    let key = match url.kind {
        DatabaseKind::Postgres => "schema.pattern",
        DatabaseKind::MariaDb => "catalog.pattern",
    };
    match connector.option(key) {
        Some(pattern) => Some(pattern.replace('%', "*").replace("\\_", "_")),
        None => url.schema.clone(),
    }
}

/// A name of a list, which may be bare: then it stands in the schema the connector stays in.
fn qualified(name: &str, connector: &Connector, url: &JdbcUrl) -> String {
    match (name.contains('.'), schema(connector, url)) {
        (true, _) => without_catalog(name, url),
        (false, Some(schema)) => written(&schema, name, url),
        (false, None) => name.to_owned(),
    }
}

/// Without the database, which the URL names, and without the schema that need not be named.
fn without_catalog(name: &str, url: &JdbcUrl) -> String {
    let catalog = format!("{}.", url.database);
    let may_have_one = url.kind == DatabaseKind::MariaDb || name.matches('.').count() >= 2;
    let name = match name.strip_prefix(&catalog) {
        Some(behind) if may_have_one => behind,
        _ => name,
    };
    let (schema, name) = parts(name, url.default_schema());
    written(schema, name, url)
}

/// The default schema need not be named.
fn written(schema: &str, name: &str, url: &JdbcUrl) -> String {
    match schema == url.default_schema() {
        true => name.to_owned(),
        false => format!("{schema}.{name}"),
    }
}

fn unquoted(name: &str) -> String {
    name.replace(['"', '`'], "")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::read::Sort;
    use super::*;

    const POSTGRES: &str = "jdbc:postgresql://db/shop";
    const MARIADB: &str = "jdbc:mysql://db/tills";

    fn connector(options: &[(&str, &str)]) -> Connector {
        let options = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Connector {
            name: "c".to_owned(),
            sort: Sort::ConfluentSource,
            options: options.collect::<BTreeMap<_, _>>(),
        }
    }

    fn read(url: &str, options: &[(&str, &str)]) -> String {
        let url = JdbcUrl::parse(url).unwrap();
        included(&connector(options), &url, &mut Notes::default()).join(" ")
    }

    #[test]
    fn without_a_list_the_schema_a_connector_stays_in_is_read_and_no_other() {
        let of = |pattern: &str| read(POSTGRES, &[("schema.pattern", pattern)]);
        assert_eq!(read(POSTGRES, &[]), "*.*");
        assert_eq!(of("public"), "*");
        assert_eq!(of("sales"), "sales.*");
        assert_eq!(of("sales\\_%"), "sales_*.*");
        assert_eq!(of("%"), "*.*");
        let in_url = format!("{POSTGRES}?currentSchema=public");
        assert_eq!(read(&in_url, &[]), "*");
        assert_eq!(read(MARIADB, &[]), "*");
        assert_eq!(read(MARIADB, &[("catalog.pattern", "tills")]), "*");
        assert_eq!(read(MARIADB, &[("catalog.pattern", "old")]), "old.*");
    }

    #[test]
    fn a_bare_name_stands_in_the_schema_the_connector_stays_in() {
        let names = ("table.whitelist", "orders,sales.items,shop.public.x");
        assert_eq!(read(POSTGRES, &[names]), "orders sales.items x");
        let of = |pattern| read(POSTGRES, &[names, ("schema.pattern", pattern)]);
        assert_eq!(of("old"), "old.orders sales.items x");
        assert_eq!(of("old%"), "old*.orders sales.items x");
    }

    #[test]
    fn an_expression_is_held_against_schema_and_table() {
        let shown = |url: &str, scope: Option<&str>, regex: &str| {
            let options: Vec<_> = scope
                .map(|schema| ("schema.pattern", schema))
                .into_iter()
                .collect();
            let url = JdbcUrl::parse(url).unwrap();
            let meant = meant(regex, &connector(&options), &url).unwrap();
            let doubts = if meant.doubts.is_empty() { "" } else { " ?" };
            format!("{}{doubts}", meant.globs.join(" "))
        };
        for (regex, expected) in [
            (".*", "*.*"),
            (".*orders.*", "*.*orders* *orders*.*"),
            (".*_log", "*.*_log"),
            (".*\\.orders", "*.orders"),
            (".*\\..*\\.orders", "*.orders"),
            ("shop\\.public\\.orders", "orders"),
            ("public\\..*", "*"),
            ("sales\\.(a|b)", "sales.a sales.b"),
            ("sales.*", "sales*.* ?"),
            ("orders", "orders ?"),
            ("other\\.public\\.orders", "other.public.orders ?"),
        ] {
            assert_eq!(shown(POSTGRES, None, regex), expected, "{regex}");
        }
        for (regex, expected) in [
            (".*", "sales.*"),
            (".*orders.*", "sales.*orders*"),
            (".*\\.orders", "sales.orders"),
            ("public\\.orders", " ?"),
        ] {
            assert_eq!(shown(POSTGRES, Some("sales"), regex), expected, "{regex}");
        }
        assert_eq!(shown(POSTGRES, Some("public"), ".*orders"), "*orders");
        for (regex, expected) in [
            (".*", "*"),
            (".*sales.*", "*sales*"),
            ("tills.*", "* ?"),
            ("tills\\..*", "*"),
            (".*\\.sales", "*.sales"),
            ("old\\.sales", "old.sales"),
            ("sales", "sales ?"),
        ] {
            assert_eq!(shown(MARIADB, None, regex), expected, "{regex}");
        }
    }

    #[test]
    fn a_bare_name_is_excluded_from_every_schema_that_is_read() {
        let url = JdbcUrl::parse(POSTGRES).unwrap();
        let out = |options: &[(&str, &str)]| {
            excluded(&connector(options), &url, &mut Notes::default()).join(" ")
        };
        let names = ("table.blacklist", "secrets,sales.tmp");
        assert_eq!(out(&[names]), "*.secrets sales.tmp");
        assert_eq!(
            out(&[names, ("schema.pattern", "public")]),
            "secrets sales.tmp"
        );
    }

    #[test]
    fn the_table_of_a_query_is_looked_for_where_the_connection_looks() {
        let url = |text: &str| JdbcUrl::parse(text).unwrap();
        assert_eq!(queried("public.orders", &url(POSTGRES)), "orders");
        assert_eq!(queried("orders", &url(POSTGRES)), "orders");
        let elsewhere = url(&format!("{POSTGRES}?currentSchema=sales"));
        assert_eq!(queried("orders", &elsewhere), "sales.orders");
        assert_eq!(queried("tills.orders", &url(MARIADB)), "orders");
    }
}
