//! `columns:`: which columns of a table are read. Pure.

use super::nearest::nearest;
use super::pattern::{glob_matches, is_glob};

/// Which columns are read, by names and globs; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnChoice {
    /// The only ones, where it is not empty.
    pub keep: Vec<String>,
    /// Those left out.
    pub drop: Vec<String>,
    /// Those left out of every table of the source that has them.
    pub drop_if_there: Vec<String>,
}

/// A name that no column has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchColumn {
    pub name: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}

impl ColumnChoice {
    /// Whether every column is read.
    pub fn is_all(&self) -> bool {
        self.keep.is_empty() && self.drop.is_empty() && self.drop_if_there.is_empty()
    }

    /// For each of `columns`, whether it is read.
    pub fn reads<'c>(&self, columns: impl IntoIterator<Item = &'c str>) -> Vec<bool> {
        let is_in = |globs: &[String], name: &str| globs.iter().any(|g| glob_matches(g, name));
        let reads = |name: &str| {
            (self.keep.is_empty() || is_in(&self.keep, name))
                && !is_in(&self.drop, name)
                && !is_in(&self.drop_if_there, name)
        };
        columns.into_iter().map(reads).collect()
    }

    /// Names that none of `columns` has. A glob may match nothing.
    pub fn unknown(&self, columns: &[&str]) -> Vec<NoSuchColumn> {
        let named = self.keep.iter().chain(&self.drop);
        let missing = named.filter(|name| !is_glob(name) && !columns.contains(&name.as_str()));
        missing
            .map(|name| NoSuchColumn {
                name: name.clone(),
                nearest: nearest(name, columns.iter().copied()).map(str::to_owned),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 4] = ["id", "card_token", "card_type", "총액"];

    fn list(globs: &[&str]) -> Vec<String> {
        globs.iter().map(|glob| (*glob).to_owned()).collect()
    }

    #[test]
    fn what_is_kept_is_all_there_is_and_what_is_dropped_is_not_there() {
        let keep = ColumnChoice {
            keep: list(&["id", "총*"]),
            ..ColumnChoice::default()
        };
        assert_eq!(keep.reads(COLUMNS), [true, false, false, true]);
        let drop = ColumnChoice {
            drop: list(&["card_*"]),
            drop_if_there: list(&["총액", "elsewhere"]),
            ..ColumnChoice::default()
        };
        assert_eq!(drop.reads(COLUMNS), [true, false, false, false]);
        assert_eq!(ColumnChoice::default().reads(COLUMNS), [true; 4]);
    }

    #[test]
    fn a_name_that_no_column_has_is_told_with_the_one_that_was_meant() {
        let choice = ColumnChoice {
            drop: list(&["card_tokn", "nothing*", "card_type"]),
            drop_if_there: list(&["elsewhere"]),
            ..ColumnChoice::default()
        };
        let unknown = choice.unknown(&COLUMNS);
        let wanted = NoSuchColumn {
            name: "card_tokn".to_owned(),
            nearest: Some("card_token".to_owned()),
        };
        assert_eq!(unknown, [wanted]);
    }
}
