//! Which tables are meant on a command line. Pure.

use crate::config::glob_matches;
use crate::error::{Error, Kind, Result};
use crate::model::TableName;

/// Whether a table is among those named, by `orders`, `ec.orders` or a glob; no name means all.
pub fn is_named(names: &[String], table: &TableName) -> bool {
    means(names, &table.to_string())
}

/// The same of a table, or of a pattern of tables, as people write it behind its source.
pub fn means(names: &[String], full: &str) -> bool {
    let short = full.split_once('.').map_or(full, |(_, short)| short);
    let is_meant = |name: &String| glob_matches(name, full) || glob_matches(name, short);
    names.is_empty() || names.iter().any(is_meant)
}

/// Fails where names were given and nothing is left of the tables they were to mean.
pub fn must_be_some(names: &[String], left: usize, all: &[String]) -> Result<()> {
    if names.is_empty() || left > 0 {
        return Ok(());
    }
    let error = Error::new(
        Kind::Usage,
        format!("no table is called `{}`", names.join("`, `")),
    );
    Err(match all {
        [] => error.hint("this pipeline has no tables yet; `cdc plan` lists those it would have"),
        few if few.len() <= 12 => error.hint(format!("there are {}", few.join(", "))),
        many => error.hint(format!(
            "there are {} tables; `cdc status` lists them",
            many.len()
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_meant_by_its_name_with_or_without_source_and_by_globs() {
        let table = TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: "orders".into(),
            in_default_schema: true,
        };
        let meant = |name: &str| is_named(&[name.to_owned()], &table);
        assert!(is_named(&[], &table));
        for name in ["orders", "ec.orders", "ec.*", "ord?rs", "*"] {
            assert!(meant(name), "{name}");
        }
        for name in ["order", "pos.orders", "pos.*", "Orders"] {
            assert!(!meant(name), "{name}");
        }
    }

    #[test]
    fn names_that_mean_nothing_are_answered_with_what_there_is() {
        let names = ["order".to_owned()];
        let all = ["ec.orders".to_owned()];
        let error = must_be_some(&names, 0, &all).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.next_step(), Some("there are ec.orders"));
        assert!(must_be_some(&names, 1, &all).is_ok());
        assert!(must_be_some(&[], 0, &[]).is_ok());
    }
}
