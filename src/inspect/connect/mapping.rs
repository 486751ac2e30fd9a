//! Maps of columns by table: which entry is whose. Every entry is given to a table or said.

use super::expression::column_map;
use super::jdbc_url::JdbcUrl;
use super::naming::meant;
use super::reach::{is_glob, is_taken, narrower, parts, takes_all};
use super::read::Connector;
use super::tables::TableDraft;
use super::{Notes, Weight};
use Weight::{NoEqual, NotNeeded};

const TIMES: &str = "timestamp.columns.mapping";
const IDS: &str = "incrementing.column.mapping";

/// One entry: which tables, and their columns.
struct Entry {
    key: &'static str,
    regex: String,
    globs: Vec<String>,
    columns: Vec<String>,
}

/// Gives the tables of a connector their columns. What an entry means inside a glob is written before it.
pub(super) fn give(
    connector: &Connector,
    url: &JdbcUrl,
    excluded: &[String],
    tables: &mut Vec<TableDraft>,
    notes: &mut Notes,
) {
    let Some(mode) = tables.first().map(|table| table.mode.clone()) else {
        return;
    };
    let is_used = |key: &str| match key {
        TIMES => mode.starts_with("timestamp"),
        _ => mode.ends_with("incrementing"),
    };
    let default_schema = url.default_schema();
    let mut entries = Vec::new();
    for key in [TIMES, IDS] {
        if is_used(key) {
            entries.extend(read(connector, key, url, notes));
        } else if connector.option(key).is_some() {
            let text = format!("mode `{mode}` asks for no such column");
            notes.say(&connector.name, key, NotNeeded, text);
        }
    }
    for glob in entries.iter().flat_map(|entry| &entry.globs) {
        stand_alone(glob, excluded, default_schema, tables);
    }
    for entry in &entries {
        let mut is_given = false;
        let fits = |table: &TableDraft| is_taken(&table.pattern, &entry.globs, default_schema);
        for table in tables.iter_mut().filter(|table| fits(table)) {
            // Of two entries that mean a table the first counts.
            let is_first = |other: &&Entry| {
                other.key == entry.key && is_taken(&table.pattern, &other.globs, default_schema)
            };
            let first = entries.iter().find(is_first);
            if first.is_some_and(|first| std::ptr::eq(first, entry)) {
                is_given = true;
                take(connector, entry, table, notes);
            }
        }
        if !is_given {
            let text = format!("`{}`: no table that is read is meant by it", entry.regex);
            notes.say(&connector.name, entry.key, NoEqual, text);
        }
    }
}

fn read(connector: &Connector, key: &'static str, url: &JdbcUrl, notes: &mut Notes) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (regex, columns) in column_map(connector.option(key).unwrap_or_default()) {
        match meant(&regex, connector, url) {
            Some(meant) => entries.push(Entry {
                key,
                regex,
                globs: meant.globs,
                columns,
            }),
            None => {
                let text = format!(
                    "`{regex}` has no glob that means the same: write the column to each table"
                );
                notes.say(&connector.name, key, NoEqual, text);
            }
        }
    }
    entries
}

/// Lets what an entry means inside globs stand by itself, before them.
fn stand_alone(
    glob: &str,
    excluded: &[String],
    default_schema: &str,
    tables: &mut Vec<TableDraft>,
) {
    let wider: Vec<TableDraft> = tables
        .iter()
        .filter(|table| is_glob(&table.pattern))
        .cloned()
        .collect();
    for table in wider {
        let Some(inside) = inside(&table.pattern, glob, default_schema) else {
            continue;
        };
        let is_known = tables.iter().any(|known| known.pattern == inside);
        if is_known || is_taken(&inside, excluded, default_schema) {
            continue;
        }
        let takes = |known: &TableDraft| {
            is_glob(&known.pattern) && takes_all(&known.pattern, &inside, default_schema)
        };
        if let Some(at) = tables.iter().position(takes) {
            tables.insert(at, table.like(&inside, excluded, default_schema));
        }
    }
}

/// What lies in both, where that is less than the pattern.
fn inside(pattern: &str, glob: &str, default_schema: &str) -> Option<String> {
    if takes_all(glob, pattern, default_schema) {
        return None;
    }
    let (wide, own) = (parts(pattern, default_schema), parts(glob, default_schema));
    let schema = narrower(wide.0, own.0)?;
    let name = narrower(wide.1, own.1)?;
    Some(match schema == default_schema {
        true => name.to_owned(),
        false => format!("{schema}.{name}"),
    })
}

fn take(connector: &Connector, entry: &Entry, table: &mut TableDraft, notes: &mut Notes) {
    let first = entry.columns.first().cloned();
    if entry.key == IDS {
        table.incrementing = first.or(table.incrementing.take());
        return;
    }
    if entry.columns.len() > 1 {
        let text = format!(
            "one column drives a cursor: of {} the first was written for `{}`",
            entry.columns.join(", "),
            table.pattern
        );
        notes.say(&connector.name, TIMES, NoEqual, text);
    }
    table.timestamp = first;
}

#[cfg(test)]
mod tests {
    use super::super::read::Sort;
    use super::super::tables::tables;
    use super::super::transforms::Columns;
    use super::*;

    /// `table=column` of each, and the keys of what has no equal.
    fn given(options: &[(&str, &str)]) -> (String, Vec<String>) {
        let all = [("mode", "timestamp"), ("topic.prefix", "t.")];
        let options = all.iter().chain(options);
        let connector = Connector {
            name: "c".to_owned(),
            sort: Sort::ConfluentSource,
            options: options
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let url = JdbcUrl::parse("jdbc:postgresql://db/shop").unwrap();
        let mut notes = Notes::default();
        let tables = tables(&connector, &url, Columns::default(), &mut notes);
        let shown = tables.iter().map(|table| {
            let column = table.timestamp.as_deref().unwrap_or("-");
            format!("{}={column}", table.pattern)
        });
        let unequal = notes.remarks.iter().filter(|said| said.weight == NoEqual);
        (
            shown.collect::<Vec<_>>().join(" "),
            unequal.map(|said| said.text.clone()).collect(),
        )
    }

    #[test]
    fn a_column_goes_to_the_table_of_its_own_schema() {
        let (shown, said) = given(&[
            ("table.whitelist", "public.orders,sales.orders"),
            (
                TIMES,
                "sales.orders:[changed_at],public.orders:[updated_at]",
            ),
        ]);
        assert_eq!(shown, "orders=updated_at sales.orders=changed_at");
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn a_table_of_the_map_that_a_glob_means_is_written_by_itself() {
        let (shown, said) = given(&[(
            TIMES,
            "sales.orders:[changed_at],sales\\.log_.*:[logged_at],public.orders:[updated_at]",
        )]);
        assert_eq!(
            shown,
            "sales.orders=changed_at sales.log_*=logged_at orders=updated_at *.*=-"
        );
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn an_entry_of_no_table_is_said_and_an_excluded_table_is_not_written() {
        let (shown, said) = given(&[
            ("table.include.list", "sales\\..*"),
            ("table.exclude.list", "sales\\.secrets"),
            (
                TIMES,
                "old.orders:[a],sales.secrets:[b],.*\\.items:[c],sales.*:[d]",
            ),
        ]);
        assert_eq!(shown, "sales.items=c sales.*=d");
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("`old.orders`") && said[1].contains("`sales.secrets`"));
    }
}
