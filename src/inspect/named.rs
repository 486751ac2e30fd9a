//! Which tables are meant on a command line. Pure.

use crate::config::glob_matches;
use crate::error::{Code, Error, Kind, Result};

/// As `config::is_meant`, of what a problem is about: a table, or a pattern of tables, behind its source.
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
    )
    .code(Code::NOT_CONFIGURED);
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
    fn a_problem_of_a_pattern_is_meant_with_and_without_its_source() {
        let meant = |name: &str| means(&[name.to_owned()], "ec.log_*");
        for name in ["log_*", "ec.log_*", "ec.*", "*"] {
            assert!(meant(name), "{name}");
        }
        assert!(!meant("log_web"));
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
