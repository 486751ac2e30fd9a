//! Which statements a table gets, and what each is for: what `cdc plan` prints.

use super::Select;
use super::query::Statements;
use super::readable::PAGE_ROWS;
use crate::error::Result;
use crate::model::{Mode, Position};

/// A statement and what it is for.
#[derive(Clone, Debug)]
pub struct Purposed {
    pub purpose: &'static str,
    pub select: Select,
}

/// Every statement `mode` runs on a table, in the order they first run. The bound values are examples.
pub fn listing(mode: Mode, statements: &Statements) -> Result<Vec<Purposed>> {
    let mut list = Vec::new();
    let mut add = |purpose, select| list.push(Purposed { purpose, select });
    match mode {
        Mode::Bulk => {
            add(
                "load: count the rows, inside the snapshot",
                statements.count(),
            );
            add(
                "load: every row, inside the same snapshot",
                statements.everything(),
            );
        }
        Mode::Incrementing => {
            add("copy: fix the bound", statements.highest_id()?);
            add(
                "copy: a page up to the bound",
                statements.copy_by_id(Some(0), 0, PAGE_ROWS)?,
            );
            add(
                "poll: ids that were missing",
                statements.gaps(&[(0, 0), (0, 1)])?,
            );
            add("poll: new rows", statements.forward(Some(0), None)?);
        }
        Mode::Timestamp | Mode::TimestampIncrementing => {
            let start = Position { at: 0, key: None };
            let within = match statements.has_tie_break() {
                true => Position {
                    at: 0,
                    key: Some(vec![String::new(); statements.tie_breaks()]),
                },
                false => start.clone(),
            };
            let page = statements.has_tie_break().then_some(PAGE_ROWS);
            add(
                "copy: a page up to the bound",
                statements.copy_by_time(Some(&within), 0, page)?,
            );
            add(
                "poll: new and changed rows",
                statements.window(Some(&start), None)?,
            );
            if statements.has_tie_break() {
                add(
                    "poll: the same, after a stop among rows of one instant",
                    statements.window(Some(&within), None)?,
                );
            }
        }
    }
    if mode != Mode::Bulk && statements.cursor_admits_null() {
        let page = statements.has_tie_break().then_some(PAGE_ROWS);
        add(
            "copy: rows whose cursor is NULL",
            statements.copy_nulls(None, page)?,
        );
    }
    Ok(list)
}
