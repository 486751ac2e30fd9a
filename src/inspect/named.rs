//! Which tables are meant on a command line. Pure.

use crate::config::{nearest_table, no_table_is_called};
use crate::error::{Error, Result};

/// Fails where names were given and nothing is left of the tables they were to mean.
pub fn must_be_some(names: &[String], left: usize, all: &[String]) -> Result<()> {
    if names.is_empty() || left > 0 {
        return Ok(());
    }
    Err(no_such_table(names, all))
}

/// None of `all` is meant by the names; the hint says which may have been.
pub fn no_such_table<T: AsRef<str>>(names: &[T], all: &[String]) -> Error {
    let error = no_table_is_called(names);
    let mut names = names.iter().map(AsRef::as_ref);
    match (names.find_map(|name| nearest_table(name, all)), all) {
        (Some(near), _) => error.hint(format!("did you mean `{near}`?")),
        (None, []) => {
            error.hint("this pipeline has no tables yet; `cdc plan` lists those it would have")
        }
        (None, few) if few.len() <= 12 => error.hint(format!("there are {}", few.join(", "))),
        (None, many) => error.hint(format!(
            "there are {} tables; `cdc plan` lists them",
            many.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn names_that_mean_nothing_are_answered_with_what_there_is() {
        let names = ["sales".to_owned()];
        let all = ["ec.orders".to_owned()];
        let error = must_be_some(&names, 0, &all).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.next_step(), Some("there are ec.orders"));
        let misspelt = ["sales".to_owned(), "odrers".to_owned()];
        let error = must_be_some(&misspelt, 0, &all).unwrap_err();
        assert_eq!(error.next_step(), Some("did you mean `ec.orders`?"));
        assert!(must_be_some(&names, 1, &all).is_ok());
        assert!(must_be_some(&[], 0, &[]).is_ok());
    }
}
