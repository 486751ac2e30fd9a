//! What a plain account can find out: whether a range of ids is held by a transaction right now.
//!
//! A writer locks the row it inserts, so a locking read of missing ids fails at once while one of them is being
//! written. The range must be a whole run of missing ids: a multi-row INSERT draws 9, 10 and 11 and locks 9
//! alone until it writes the others. The read locks no row that others can see, as there is none.

use mysql_async::Value;
use mysql_async::prelude::Queryable;

use super::connect::{ANSWER_WITHIN, Line};
use super::failure::{self, LOCK_WAIT, failure};
use super::{params, quoted, quoted_table};
use crate::error::{Error, Kind, Result};
use crate::model::TableName;

/// Under REPEATABLE READ the read would lock the space between rows too, and make inserts wait.
pub(super) const SET_UP: &[&str] = &["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"];

/// The locking read of one column.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    sql: String,
}

impl Probe {
    /// Through `index`, which begins with `column`: without one the read would lock the whole table.
    pub(super) fn new(table: &TableName, column: &str, index: &str) -> Self {
        let (table, column, index) = (quoted_table(table), quoted(column), quoted(index));
        Probe {
            sql: format!(
                "SELECT {column} FROM {table} FORCE INDEX ({index}) WHERE {column} BETWEEN ? AND ? \
                 LOCK IN SHARE MODE NOWAIT"
            ),
        }
    }

    /// Of `gaps`, those a transaction holds right now.
    pub(super) async fn held(
        &self,
        line: &Line,
        gaps: &[(i128, i128)],
    ) -> Result<Vec<(i128, i128)>> {
        let doing = "asking which ids are held";
        let mut held = Vec::new();
        let mut line = line.lock().await;
        for (lo, hi) in gaps {
            let range = |id| params::integer(id).ok_or_else(|| out_of_range(doing));
            let range: Vec<Value> = vec![range(*lo)?, range(*hi)?];
            let asked = async {
                let conn = line.open().await?;
                Ok(conn.exec_drop(self.sql.as_str(), range).await)
            };
            let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
            match line.answered(answer, doing)? {
                Ok(()) => {}
                Err(error) if failure::code(&error) == Some(LOCK_WAIT) => held.push((*lo, *hi)),
                Err(error) => return Err(failure(error, doing)),
            }
        }
        Ok(held)
    }
}

fn out_of_range(doing: &str) -> Error {
    Error::new(Kind::Bug, doing).because("an id outside every integer type")
}
