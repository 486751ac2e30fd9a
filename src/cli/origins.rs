//! `cdc plan --show-origin`: each setting, its value, and where it comes from.

use super::aligned::aligned;
use crate::config::{Origin, Setting, Written, glob_matches};

/// Without the settings of tables that `names` do not mean.
pub fn of_tables(settings: Vec<Setting>, names: &[String]) -> Vec<Setting> {
    let means = |name: &String, source: &str, pattern: &str| {
        let whole = format!("{source}.{pattern}");
        [pattern, whole.as_str()]
            .iter()
            .any(|table| glob_matches(name, table) || glob_matches(table, name))
    };
    let is_meant = |setting: &Setting| match table_of(&setting.path) {
        Some((source, pattern)) if !names.is_empty() => {
            names.iter().any(|name| means(name, source, pattern))
        }
        _ => true,
    };
    settings.into_iter().filter(is_meant).collect()
}

/// Source and pattern in `sources.NAME.tables.PATTERN.key`. A pattern may hold dots, and keys do not matter here.
fn table_of(path: &str) -> Option<(&str, &str)> {
    let (source, rest) = path.strip_prefix("sources.")?.split_once(".tables.")?;
    let key = |start: &str| {
        let below = ["columns.", "partition_by.", "on_value.", "decimal."];
        below
            .iter()
            .find_map(|block| start.find(&format!(".{block}")))
    };
    let end = key(rest).or_else(|| rest.rfind('.'))?;
    Some((source, rest.get(..end)?))
}

pub fn in_text(settings: &[Setting]) -> Vec<String> {
    let row = |setting: &Setting| {
        vec![
            setting.path.clone(),
            setting.value.clone(),
            in_words(&setting.origin),
        ]
    };
    let rows: Vec<Vec<String>> = settings.iter().map(row).collect();
    aligned(&rows)
}

fn in_words(origin: &Origin) -> String {
    match origin {
        Origin::File(written) => place(written),
        Origin::Defaults(written) => format!("{} (defaults)", place(written)),
        Origin::BuiltIn { because: None } => "built in".to_owned(),
        Origin::BuiltIn { because: Some(why) } => format!("built in: {why}"),
    }
}

fn place(written: &Written) -> String {
    let Written {
        file,
        line,
        column,
        references,
    } = written;
    let reference = |reference: &String| match reference.split_once(':') {
        Some(("env", name)) => format!(", from the environment variable {name}"),
        Some((_, path)) => format!(", from the file {path}"),
        None => String::new(),
    };
    let references: String = references.iter().map(reference).collect();
    format!("{file}:{line}:{column}{references}")
}
