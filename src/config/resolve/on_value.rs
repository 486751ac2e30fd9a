//! `on_value`: what becomes of values that their column cannot carry exactly.

use super::block::{Block, Report};
use crate::config::{OnValues, units, words};
use crate::error::Code;
use crate::model::OnValue;

/// Stands for every column that is not named.
const OTHERS: &str = "*";

fn on_value(text: &str) -> Result<OnValue, String> {
    units::choice(text, words::ON_VALUE)
}

/// The word of a source's `defaults`.
pub(super) fn of_defaults(block: &Block<'_>, report: &mut Report) -> OnValue {
    let word = report.parsed(block.word("on_value"), on_value);
    word.unwrap_or_default()
}

/// One word for all columns, or words column by column; what is not said is as in `defaults`.
pub(super) fn of_table(block: &Block<'_>, inherited: OnValue, report: &mut Report) -> OnValues {
    let word = report.parsed(block.word("on_value"), on_value);
    let mut settings = OnValues {
        others: word.unwrap_or(inherited),
        ..OnValues::default()
    };
    for (column, place, value) in block.words("on_value") {
        if column.is_empty() {
            report.problem(
                Code::WRONG_NAME,
                place,
                format!(
                    "`{}`: a column has a name, and `\"*\"` stands for the others",
                    value.path
                ),
            );
        }
        match report.parsed(Some(value), on_value) {
            Some(word) if column == OTHERS => settings.others = word,
            Some(word) => drop(settings.columns.insert(column.to_owned(), word)),
            None => {}
        }
    }
    settings
}
