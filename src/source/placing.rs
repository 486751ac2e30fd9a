//! Where a table's reading is put by hand, understood with the table's columns at hand. Pure.
//!
//! Rows with a value greater than the one that was written are read, and no others: ids that were awaited at or
//! below it are awaited no more, and rows above it are sent again, also those that were sent before.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Fixed, Readable};
use crate::error::{Error, Kind, Result};
use crate::model::{
    ColumnType, Copy, CopyPhase, Cursor, IncrementingCursor, Micros, Mode, Position,
    TimestampCursor,
};

/// The first and the last moment that can be written: years of four digits.
const YEARS: (Micros, Micros) = (-62_135_596_800_000_000, 253_402_300_799_999_999);

/// Reading goes on behind `value`: a whole number, or an instant and perhaps `,id`.
pub fn placed_at(readable: &Readable, value: &str) -> Result<Fixed> {
    let value = value.trim();
    let cursor = match readable.mode {
        Mode::Bulk => return Err(without_cursor(readable)),
        Mode::Incrementing => Cursor::Incrementing(IncrementingCursor {
            highest: Some(id(readable, value)?),
            gaps: Vec::new(),
        }),
        Mode::Timestamp | Mode::TimestampIncrementing => {
            let (instant, tie) = match value.split_once(',') {
                Some((instant, tie)) => (instant.trim(), Some(tie.trim())),
                None => (value, None),
            };
            let at = reading(readable, instant)?;
            let low = match tie {
                None => Position {
                    at: at.saturating_add(1),
                    key: None,
                },
                Some(tie) => Position {
                    at,
                    key: Some(vec![only_tie(readable, tie)?]),
                },
            };
            Cursor::Timestamp(TimestampCursor { low: Some(low) })
        }
    };
    let copy = done(&cursor);
    Ok(Fixed { copy, cursor })
}

/// Reading goes on exactly there: a cursor of these columns and the progress of a copy that were written down before.
pub fn placed_as(
    readable: &Readable,
    columns: &[String],
    cursor: Cursor,
    copy: Option<Copy>,
) -> Result<Fixed> {
    let refuse = |what: &str| {
        Err(Error::new(
            Kind::Usage,
            format!("the document does not fit the table: {what}"),
        )
        .about(&readable.table.name))
    };
    if readable.mode == Mode::Bulk {
        return Err(without_cursor(readable));
    }
    let own = readable.cursor_column_names();
    if columns != own {
        let (theirs, own) = (columns.join("`, `"), own.join("`, `"));
        return refuse(&format!(
            "its cursor is `{theirs}`, and the table's is `{own}`"
        ));
    }
    match (&cursor, readable.mode) {
        (Cursor::Incrementing(cursor), Mode::Incrementing) => {
            if let Some(why) = unfit_ids(readable, cursor) {
                return refuse(why);
            }
        }
        (Cursor::Timestamp(cursor), Mode::Timestamp | Mode::TimestampIncrementing) => {
            let low = cursor.low.as_ref();
            let key = low.and_then(|low| low.key.as_ref());
            let ties = readable.columns.tie_break.len();
            if key.is_some_and(|key| key.len() != ties) {
                return refuse("its cursor has another number of key columns");
            }
            if low.is_some_and(|low| !is_moment(low.at)) {
                return refuse("its cursor lies outside the years 1 to 9999");
            }
        }
        _ => return refuse("its cursor is of another mode"),
    }
    let copy = copy.unwrap_or_else(|| done(&cursor));
    match unfit_copy(readable, &cursor, &copy) {
        Some(why) => refuse(why),
        None => Ok(Fixed { copy, cursor }),
    }
}

/// A place that the database's clock has not reached would be taken for a clock that went back.
pub fn refuse_future(readable: &Readable, cursor: &Cursor, server_now: Micros) -> Result<()> {
    let low = match cursor {
        Cursor::Timestamp(cursor) => cursor.low.as_ref(),
        Cursor::Incrementing(_) => None,
    };
    match low.is_some_and(|low| low.at > readable.clock.bound(server_now)) {
        true => Err(Error::new(
            Kind::Usage,
            "the database's clock has not come to that moment yet",
        )
        .about(&readable.table.name)
        .hint(
            "write a moment that has passed; `cdc pause` lets the table stand still until later",
        )),
        false => Ok(()),
    }
}

/// A table of this mode has nothing to put elsewhere.
pub fn without_cursor(readable: &Readable) -> Error {
    let name = &readable.table.name;
    Error::new(
        Kind::No,
        "a bulk table has no cursor: each load reads every row",
    )
    .about(name)
    .hint(format!("`cdc snapshot {name}` loads it now"))
}

/// A copy that is over, at a cursor.
fn done(cursor: &Cursor) -> Copy {
    let bound = match cursor {
        Cursor::Incrementing(cursor) => cursor.highest,
        Cursor::Timestamp(cursor) => cursor.low.as_ref().map(|low| low.at.into()),
    };
    Copy {
        bound,
        after: None,
        phase: CopyPhase::Done,
        rows: 0,
        null_cursors: 0,
    }
}

fn id(readable: &Readable, value: &str) -> Result<i128> {
    let refuse = |what: String, hint: String| {
        Err(Error::new(Kind::Usage, what)
            .about(&readable.table.name)
            .hint(hint))
    };
    let digits: String = value.chars().filter(|c| *c != '_').collect();
    let (smallest, largest) = readable.ids();
    match digits.parse::<i128>() {
        Ok(id) if (smallest..=largest).contains(&id) => Ok(id),
        Ok(_) => refuse(
            format!("`{value}` is outside the column's type: {smallest} to {largest}"),
            "`cdc offsets reset` reads from the beginning".to_owned(),
        ),
        Err(_) => refuse(
            format!("`{value}` is no whole number, and the table is read by an id"),
            "rows with a greater id are read".to_owned(),
        ),
    }
}

/// The value that orders rows of one instant, where it is one.
fn only_tie(readable: &Readable, tie: &str) -> Result<String> {
    let refuse = |what: String| {
        Err(Error::new(Kind::Usage, what)
            .about(&readable.table.name)
            .hint("write the instant alone: rows after it are read"))
    };
    if readable.mode != Mode::TimestampIncrementing || readable.columns.tie_break.len() != 1 {
        return refuse("rows of one instant are not ordered by an id alone here".to_owned());
    }
    match tie.parse::<i128>() {
        Ok(id) if (readable.ids().0..=readable.ids().1).contains(&id) => Ok(id.to_string()),
        _ => refuse(format!("`{tie}` is no id of the column's type")),
    }
}

/// What the timestamp column reads at the moment that is written.
fn reading(readable: &Readable, text: &str) -> Result<Micros> {
    let refuse = |hint: &str| {
        Err(Error::new(
            Kind::Usage,
            format!("`{text}` is no moment the timestamp column could hold"),
        )
        .about(&readable.table.name)
        .hint(hint.to_owned()))
    };
    let is_instant = readable.timestamp().is_ok_and(|index| {
        let column = readable.table.schema.columns.get(index);
        column.is_some_and(|column| column.column_type == ColumnType::Timestamp { utc: true })
    });
    let at = match (text.parse::<Timestamp>(), &readable.clock.zone) {
        (Ok(at), None) if is_instant => at.as_microsecond(),
        (Ok(at), Some(zone)) => read_in(zone, at),
        _ if is_instant => {
            return refuse("write an instant with its zone, e.g. `2026-10-01T12:00:00Z`");
        }
        _ => match text
            .parse::<DateTime>()
            .map(|at| at.to_zoned(TimeZone::UTC))
        {
            Ok(Ok(at)) => at.timestamp().as_microsecond(),
            _ => return refuse("write what the column holds, e.g. `2026-10-01 12:00:00`"),
        },
    };
    match is_moment(at) {
        true => Ok(at),
        false => refuse("write a moment of the years 1 to 9999"),
    }
}

fn read_in(zone: &TimeZone, at: Timestamp) -> Micros {
    let offset = i64::from(zone.to_offset(at).seconds());
    at.as_microsecond()
        .saturating_add(offset.saturating_mul(1_000_000))
}

fn is_moment(at: Micros) -> bool {
    (YEARS.0..=YEARS.1).contains(&at)
}

fn unfit_ids(readable: &Readable, cursor: &IncrementingCursor) -> Option<&'static str> {
    let (smallest, largest) = readable.ids();
    let mut above = smallest;
    for gap in &cursor.gaps {
        if gap.lo < above || gap.hi < gap.lo {
            return Some("its gaps are not ascending and apart");
        }
        // Between two gaps lies an id that was sent.
        above = gap.hi.saturating_add(2);
    }
    match cursor.highest {
        Some(highest) if !(smallest..=largest).contains(&highest) => {
            Some("its cursor is outside the column's type")
        }
        highest if cursor.gaps.last().map(|gap| gap.hi) >= highest && !cursor.gaps.is_empty() => {
            Some("a gap lies above its cursor")
        }
        _ => None,
    }
}

/// Why copying and following would not fit together: what one of them reads, the other must not.
fn unfit_copy(readable: &Readable, cursor: &Cursor, copy: &Copy) -> Option<&'static str> {
    let ties = readable.columns.tie_break.len();
    if copy.phase == CopyPhase::Done {
        return None;
    }
    let after = copy.after.as_deref().unwrap_or_default();
    let follows_from = match cursor {
        Cursor::Incrementing(cursor) => {
            let is_below = |lo: i128| copy.bound.is_some_and(|bound| lo <= bound);
            if cursor.gaps.first().is_some_and(|gap| is_below(gap.lo)) {
                return Some("a gap lies below the bound of its unfinished copy");
            }
            cursor.highest
        }
        Cursor::Timestamp(cursor) => cursor.low.as_ref().map(|low| low.at.into()),
    };
    if copy.bound > follows_from {
        return Some("the bound of its unfinished copy lies above its cursor");
    }
    let is_number = |text: &String| text.parse::<i128>().is_ok();
    let (fits, numbers) = match (copy.phase, readable.mode) {
        (_, _) if after.is_empty() => (true, 0),
        (CopyPhase::Nulls, _) => (after.len() == ties, 0),
        (_, Mode::Incrementing) => (after.len() == 1, 1),
        _ => (after.len() == 1 || after.len() == ties + 1, 1),
    };
    let fits = fits && after.iter().take(numbers).all(is_number);
    (!fits).then_some("the place of its unfinished copy cannot be understood")
}

#[cfg(test)]
#[path = "placing_tests.rs"]
mod tests;
