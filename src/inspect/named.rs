//! Which tables are meant on a command line. Pure.

use crate::config::no_table_is_called;
use crate::error::Result;

/// Fails where names were given and nothing is left of the tables they were to mean.
pub fn must_be_some(names: &[String], left: usize, all: &[String]) -> Result<()> {
    if names.is_empty() || left > 0 {
        return Ok(());
    }
    let error = no_table_is_called(names);
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
    use crate::error::Kind;

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
