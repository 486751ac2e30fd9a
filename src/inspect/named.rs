//! Which tables are meant on a command line. Pure.

use crate::config::{from_like, is_problem_meant, meaningless, nearest_table, no_table_is_called};
use crate::error::{Code, Error, Kind, Result};
use crate::model::TableName;

/// Fails where names were given and nothing is left of the tables they were to mean.
pub fn must_be_some(names: &[String], left: usize, all: &[String]) -> Result<()> {
    if names.is_empty() || left > 0 {
        return Ok(());
    }
    Err(no_such_table(names, all))
}

/// Fails where a name means none of the tables that were found, and where nothing is there to be meant. Of tables
/// and patterns that something is `wrong` with it was told: a name of such a one means something.
pub fn must_all_mean_some<'w>(
    names: &[String],
    found: &[TableName],
    wrong: impl Iterator<Item = &'w str> + Clone,
) -> Result<()> {
    if names.is_empty() && found.is_empty() {
        return Err(
            Error::new(Kind::Config, "the configuration names no table that exists")
                .code(Code::NO_TABLES)
                .hint("`cdc check` says what each source holds"),
        );
    }
    let mut unknown = meaningless(names, found);
    unknown.retain(|name| {
        let name = [(*name).to_owned()];
        !wrong
            .clone()
            .any(|subject| is_problem_meant(&name, subject))
    });
    if unknown.is_empty() {
        return Ok(());
    }
    let found: Vec<String> = found.iter().map(TableName::to_string).collect();
    Err(no_such_table(&unknown, &found))
}

/// None of `all` is meant by the names; the hint says which may have been.
pub fn no_such_table<T: AsRef<str>>(names: &[T], all: &[String]) -> Error {
    let error = no_table_is_called(names);
    if let Some(glob) = names.iter().find_map(|name| from_like(name.as_ref())) {
        return error.hint(format!(
            "did you mean `{glob}`? `*` stands for any characters"
        ));
    }
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
    fn each_name_must_mean_a_table_or_one_that_something_is_wrong_with() {
        let orders = TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: "orders".into(),
            in_default_schema: true,
        };
        let check = |names: &[&str], found: &[TableName], wrong: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let checked = must_all_mean_some(&names, found, wrong.iter().copied());
            checked.map_err(|error| error.kind())
        };
        let found = [orders];
        assert_eq!(check(&[], &found, &[]), Ok(()));
        assert_eq!(check(&["orders", "ec.*"], &found, &[]), Ok(()));
        assert_eq!(check(&["orders", "sales"], &found, &[]), Err(Kind::Usage));
        assert_eq!(check(&["orders", "sales"], &found, &["ec.sales"]), Ok(()));
        assert_eq!(check(&["sales"], &[], &["ec.sales"]), Ok(()));
        assert_eq!(check(&[], &[], &[]), Err(Kind::Config));
    }

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
        let error = must_be_some(&["ord%".to_owned()], 0, &all).unwrap_err();
        let next = error.next_step().unwrap_or_default();
        assert!(next.starts_with("did you mean `ord*`?"), "{next}");
        assert!(must_be_some(&names, 1, &all).is_ok());
        assert!(must_be_some(&[], 0, &[]).is_ok());
    }
}
