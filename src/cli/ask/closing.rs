//! The last lines of a command that ends by itself: what is done, and what was left. Pure.

use std::time::Duration;

use crate::error::Code;
use crate::inspect::{counted, listed};
use crate::model::TableName;
use crate::supervisor::Results;

/// What a command came to. `place` is where the rows of what is done are now. Of one table that is not done its own
/// line has said everything.
pub(super) fn closing(results: &Results, place: &str, took: Duration) -> Vec<String> {
    let (mut done, mut rows) = (0, Some(0));
    let (mut copied, mut left) = (Vec::new(), Vec::new());
    for (table, result) in &results.tables {
        match result {
            Ok(outcome) if outcome.exit == 0 => {
                done += 1;
                rows = rows.zip(outcome.rows).map(|(sum, more)| sum + more);
            }
            Ok(outcome) if outcome.code == Some(Code::COPIED_ALREADY.to_string()) => {
                copied.push(table)
            }
            Ok(_) | Err(_) => left.push(table),
        }
    }
    let mut lines = Vec::new();
    if done > 0 {
        let tables = counted(done, "table", "tables");
        // An owner of an earlier version does not say how many.
        let rows = rows.map(|rows| format!(", {}", counted(rows, "row", "rows")));
        let took = took.as_secs_f64();
        let rows = rows.unwrap_or_default();
        lines.push(format!("{place}: {tables}{rows} ({took:.1} s)"));
    }
    if results.tables.len() > 1 {
        lines.extend(names(&copied).map(|names| {
            format!(
                "copied before, and left as they are: {names}; `cdc follow --once` brings what is new, \
                 `cdc snapshot --again TABLE` copies a table anew"
            )
        }));
        lines.extend(names(&left).map(|names| format!("not done: {names}")));
    }
    lines
}

fn names(tables: &[&TableName]) -> Option<String> {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| listed(&names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind, Result};
    use crate::state::Outcome;

    fn outcome(exit: u8, rows: Option<u64>, code: Option<Code>) -> Result<Outcome> {
        Ok(Outcome {
            code: code.map(|code| code.to_string()),
            rows,
            ..Outcome::new(exit, "", 0)
        })
    }

    fn closed(tables: Vec<(&str, Result<Outcome>)>) -> String {
        let name = |name: &str| TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: name.into(),
            in_default_schema: true,
        };
        let tables = tables
            .into_iter()
            .map(|(table, result)| (name(table), result));
        let results = Results {
            tables: tables.collect(),
            problems: Vec::new(),
        };
        closing(&results, "in the lake", Duration::from_millis(5_240)).join("\n")
    }

    #[test]
    fn what_is_done_is_summed_and_what_was_left_is_named() {
        let copied = || outcome(1, None, Some(Code::COPIED_ALREADY));
        let failed = Err(Error::new(Kind::Data, "a value"));
        let told = closed(vec![
            ("items", copied()),
            ("orders", copied()),
            ("prices", outcome(0, Some(1_200), None)),
            ("products", outcome(0, Some(40), None)),
            ("sales", failed),
            ("stores", outcome(1, None, None)),
        ]);
        insta::assert_snapshot!(told, @"
        in the lake: 2 tables, 1,240 rows (5.2 s)
        copied before, and left as they are: ec.items, ec.orders; `cdc follow --once` brings what is new, `cdc snapshot --again TABLE` copies a table anew
        not done: ec.sales, ec.stores
        ");
        assert_eq!(closed(vec![("orders", copied())]), "");
    }

    #[test]
    fn rows_are_left_out_where_an_answer_does_not_tell_them() {
        let told = closed(vec![
            ("orders", outcome(0, Some(7), None)),
            ("prices", outcome(0, None, None)),
        ]);
        assert_eq!(told, "in the lake: 2 tables (5.2 s)");
    }
}
