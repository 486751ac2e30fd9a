//! Whether the database has come to a place that somebody wrote: rows that come below it later would be lost.

use super::placing::refuse_future;
use super::{Readable, Session};
use crate::error::{Error, Kind, Result};
use crate::model::Cursor;

/// Refuses a moment that the database's clock has not reached, and an id above the largest one where somebody wrote it.
/// One that a document has was reached once: its rows may be deleted since.
pub async fn refuse_unreached(
    readable: &Readable,
    cursor: &Cursor,
    is_written: bool,
    session: &mut dyn Session,
) -> Result<()> {
    match cursor {
        Cursor::Timestamp(_) => refuse_future(readable, cursor, session.server_time().await?),
        Cursor::Incrementing(cursor) if is_written => {
            let largest = largest_id(readable, session).await?;
            refuse_above(readable, cursor.highest, largest)
        }
        Cursor::Incrementing(_) => Ok(()),
    }
}

/// The largest id that can be seen; `None` where no row has one.
pub async fn largest_id(readable: &Readable, session: &mut dyn Session) -> Result<Option<i128>> {
    let select = readable.statements.highest_id()?;
    session.integer(&select).await
}

/// The largest id itself is a place: all rows that are there are passed then.
fn refuse_above(readable: &Readable, id: Option<i128>, largest: Option<i128>) -> Result<()> {
    let (name, column) = (
        &readable.table.name,
        readable.cursor_column().unwrap_or_default(),
    );
    // Ids mostly begin with 1.
    let last = largest.unwrap_or(0);
    let Some(id) = id.filter(|id| *id > last) else {
        return Ok(());
    };
    let (what, then) = match largest {
        Some(largest) => (
            format!("{id} is above the largest {column} in the table, which is {largest}"),
            "passes all rows that are there now",
        ),
        None => (
            format!("{id} is above every {column}: no row has one yet"),
            "reads every row that comes",
        ),
    };
    Err(Error::new(Kind::Usage, what).about(name).hint(format!(
        "rows that come with {id} or less would never be read; `cdc offsets set {name} {last}` {then}"
    )))
}

#[cfg(test)]
mod tests {
    use super::super::fake::Database;
    use super::*;
    use crate::model::Mode;

    #[test]
    fn an_id_above_the_largest_one_is_refused_and_the_largest_one_is_named() {
        let ids = Database::with([]).readable(Mode::Incrementing);
        let refused = |id, largest| {
            let error = refuse_above(&ids, Some(id), largest).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            format!("{error}; {}", error.next_step().unwrap())
        };
        assert!(refuse_above(&ids, Some(12), Some(12)).is_ok());
        assert!(refuse_above(&ids, Some(-3), Some(12)).is_ok());
        assert!(refuse_above(&ids, Some(0), None).is_ok());
        assert!(refuse_above(&ids, None, Some(12)).is_ok());
        let all = [
            refused(120, Some(12)),
            refused(-2, Some(-3)),
            refused(1, None),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        ec.orders: 120 is above the largest id in the table, which is 12; rows that come with 120 or less would never be read; `cdc offsets set ec.orders 12` passes all rows that are there now
        ec.orders: -2 is above the largest id in the table, which is -3; rows that come with -2 or less would never be read; `cdc offsets set ec.orders -3` passes all rows that are there now
        ec.orders: 1 is above every id: no row has one yet; rows that come with 1 or less would never be read; `cdc offsets set ec.orders 0` reads every row that comes
        ");
    }
}
