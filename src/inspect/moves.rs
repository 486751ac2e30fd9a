//! What putting a table's cursor elsewhere would read again, and what it would never read: found out before it
//! is done.

use std::time::Duration;

use serde::Serialize;

use super::memory::heads_of;
use super::named::must_be_some;
use super::patience::within;
use super::words;
use crate::config::{KafkaSettings, Settings, is_meant_by};
use crate::error::{Error, Kind, Result};
use crate::model::{Copy, CopyPhase, Cursor, Mode, TableName};
use crate::source::{
    Chosen, Fixed, Readable, Select, choose, largest_id, open_source, placed_as, placed_at,
    readable_of, refuse_unreached, without_cursor,
};
use crate::state::{Head, Placement};

/// How long counting may take: what cannot be counted in time is said not to be known.
const COUNTING: Duration = Duration::from_secs(10);

/// Where a reading is to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// From the beginning, copy and all.
    Reset,
    To(Placement),
}

/// What a move comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForeseenMove {
    pub table: String,
    pub mode: Mode,
    /// The cursor, in words; `None` for a table that remembers nothing.
    pub now: Option<String>,
    /// Which rows are read then.
    pub then: String,
    /// Rows in the database that were passed and will be read again; `None` where they could not be counted.
    pub read_again: Option<u64>,
    /// Rows in the database that were not read, and never will be.
    pub never_read: Option<u64>,
    /// Rejected rows that cannot be replayed any more.
    pub given_up: u64,
    /// It stands where the document says, so that nothing is to be done.
    pub stands_there: bool,
    pub remarks: Vec<String>,
    #[serde(skip)]
    pub name: TableName,
}

impl ForeseenMove {
    /// Whether a name or glob of the command line means this table.
    pub fn is_meant_by(&self, pattern: &str) -> bool {
        is_meant_by(pattern, &self.name)
    }
}

/// Finds out what moves come to. `Usage` for a table nobody knows or a place that it cannot have.
pub async fn foresee(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    moves: &[(String, Move)],
) -> Result<Vec<ForeseenMove>> {
    let (chosen, mut unread) = chosen_tables(settings, kafka).await;
    let heads = heads_of(settings, kafka, client_id, &[]).await?;
    let mut foreseen = Vec::new();
    for (pattern, to) in moves {
        let is_meant = |chosen: &&(Chosen, usize)| is_meant_by(pattern, &chosen.0.name);
        let meant: Vec<_> = chosen.iter().filter(is_meant).collect();
        if meant.is_empty() {
            // It may be in a database that does not answer.
            if let Some(error) = unread.take() {
                return Err(error);
            }
            let all: Vec<String> = chosen.iter().map(|(one, _)| one.name.to_string()).collect();
            must_be_some(std::slice::from_ref(pattern), 0, &all)?;
        }
        if let ([_, _, ..], Move::To(_)) = (meant.as_slice(), to) {
            let names: Vec<String> = meant.iter().map(|(one, _)| one.name.to_string()).collect();
            return Err(Error::new(
                Kind::Usage,
                format!("`{pattern}` could be `{}`", names.join("` or `")),
            )
            .hint("name one table, with its source"));
        }
        for (one, source) in meant {
            let head = heads.iter().find(|(name, _)| *name == one.name);
            let head = head.map(|(_, head)| head);
            foreseen.push(foresee_one(settings, *source, one, head, to).await?);
        }
    }
    Ok(foreseen)
}

/// Every table of the sources that answer, with the number of its source, and why another one did not.
async fn chosen_tables(
    settings: &Settings,
    kafka: &KafkaSettings,
) -> (Vec<(Chosen, usize)>, Option<Error>) {
    let (mut tables, mut unread) = (Vec::new(), None);
    for (number, source) in settings.sources.iter().enumerate() {
        let choice = async {
            let open = open_source(source)?;
            choose(source, open.as_ref(), &kafka.topic_prefix).await
        };
        match choice.await {
            Ok(choice) => tables.extend(choice.tables.into_iter().map(|chosen| (chosen, number))),
            Err(error) => unread = unread.or(Some(error)),
        }
    }
    (tables, unread)
}

async fn foresee_one(
    settings: &Settings,
    source: usize,
    chosen: &Chosen,
    head: Option<&Head>,
    to: &Move,
) -> Result<ForeseenMove> {
    let source = settings
        .sources
        .get(source)
        .ok_or_else(|| Error::new(Kind::Bug, "a table without a source"))?;
    let open = open_source(source)?;
    let readable = readable_of(open.as_ref(), chosen, &source.time_zone).await?;
    if readable.mode == Mode::Bulk {
        return Err(without_cursor(&readable));
    }
    let mut session = open.session().await?;
    let fixed = match to {
        Move::Reset => None,
        Move::To(Placement::Value(value)) => Some(placed_at(&readable, value)?),
        Move::To(Placement::Offsets(offsets)) => {
            check_document(offsets.mode, &offsets.cursor_columns, chosen, head)?;
            let (cursor, copy) = (offsets.cursor.clone(), offsets.copy.clone());
            Some(placed_as(&readable, &offsets.cursor_columns, cursor, copy)?)
        }
    };
    if let Some(fixed) = &fixed {
        let is_written = matches!(to, Move::To(Placement::Value(_)));
        refuse_unreached(&readable, &fixed.cursor, is_written, session.as_mut()).await?;
    }
    let now = head.and_then(|head| head.cursor.as_ref());
    if let (Move::To(Placement::Offsets(_)), Some(head), Some(fixed)) = (to, head, &fixed)
        && stands_at(head, fixed)
    {
        return Ok(ForeseenMove {
            table: chosen.name.to_string(),
            mode: readable.mode,
            now: now.map(|now| words::cursor(&column_names(&readable), now)),
            then: "it stands there already, and is left as it is".to_owned(),
            read_again: Some(0),
            never_read: Some(0),
            given_up: 0,
            stands_there: true,
            remarks: Vec::new(),
            name: chosen.name.clone(),
        });
    }
    let target = fixed.as_ref().map(|fixed| &fixed.cursor);
    let statements = &readable.statements;
    // Rows behind the target that lie before the present cursor, and the other way round.
    let mut count = async |select: Result<Select>| {
        let select = select.ok()?;
        let counted = within(COUNTING, "counting", session.integer(&select)).await;
        u64::try_from(counted.ok()??).ok()
    };
    let read_again = match now {
        // Rows of the cursor's own moment were sent, too, where it is put back.
        Some(now) if is_earlier(target, now) => count(statements.up_to(target, now)).await,
        Some(now) => count(statements.between(target, Some(now))).await,
        None => Some(0),
    };
    let never_read = match (now, target) {
        (_, None) => Some(0),
        (Some(now), target) => count(statements.between(Some(now), target)).await,
        (None, Some(_)) => count(statements.between(None, target)).await,
    };
    let mut remarks = remarks(chosen, head, to, fixed.as_ref(), read_again);
    if let (Move::To(Placement::Offsets(_)), Some(Cursor::Incrementing(cursor))) = (to, target)
        && let Some(highest) = cursor.highest
    {
        let largest = largest_id(&readable, session.as_mut());
        let largest = within(COUNTING, "looking for the largest id", largest).await;
        remarks.extend(largest.ok().and_then(|largest| above(highest, largest)));
    }
    Ok(ForeseenMove {
        table: chosen.name.to_string(),
        mode: readable.mode,
        now: now.map(|now| words::cursor(&column_names(&readable), now)),
        then: then(&readable, to, fixed.as_ref()),
        remarks,
        read_again,
        never_read,
        given_up: head.map_or(0, |head| head.rejected),
        stands_there: false,
        name: chosen.name.clone(),
    })
}

/// A document may be of before its newest rows were deleted, or of before the database was restored.
fn above(highest: i128, largest: Option<i128>) -> Option<String> {
    let is_above = largest.is_none_or(|largest| largest < highest);
    let largest = match largest {
        Some(largest) => format!("the table's largest id is {largest} now"),
        None => "no row has an id now".to_owned(),
    };
    is_above.then(|| format!("{largest}: rows that come with {highest} or less are never read"))
}

/// Whether a table stands where a document says. One that stands still because of a failure may be mended by the move.
fn stands_at(head: &Head, fixed: &Fixed) -> bool {
    let is_done = |copy: &Copy| copy.phase == CopyPhase::Done;
    let is_same_copy = match &head.copy {
        Some(copy) => *copy == fixed.copy || (is_done(copy) && is_done(&fixed.copy)),
        None => is_done(&fixed.copy),
    };
    head.failure.is_none() && head.cursor.as_ref() == Some(&fixed.cursor) && is_same_copy
}

/// Whether a timestamp cursor would be put back.
fn is_earlier(target: Option<&Cursor>, now: &Cursor) -> bool {
    let at = |cursor: &Cursor| match cursor {
        Cursor::Timestamp(cursor) => cursor.low.as_ref().map(|low| low.at),
        Cursor::Incrementing(_) => None,
    };
    let (Cursor::Timestamp(_), Some(now)) = (now, at(now)) else {
        return false;
    };
    target.and_then(at).is_none_or(|target| target < now)
}

/// A document is about a table as it is configured and was read.
fn check_document(
    mode: Mode,
    columns: &[String],
    chosen: &Chosen,
    head: Option<&Head>,
) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::new(Kind::Usage, what)
            .about(&chosen.name)
            .hint("a document fits a table that is read in the same mode by the same columns"))
    };
    if mode != chosen.settings.mode {
        return refuse(format!(
            "the document is of mode `{mode}`, and the table's is `{}`",
            chosen.settings.mode
        ));
    }
    match head {
        Some(head) if head.cursor_columns != columns => refuse(format!(
            "the document's cursor is `{}`, and the table's is `{}`",
            columns.join("`, `"),
            head.cursor_columns.join("`, `")
        )),
        _ => Ok(()),
    }
}

fn column_names(readable: &Readable) -> Vec<String> {
    let column = readable.cursor_column().map(str::to_owned);
    column.into_iter().collect()
}

fn then(readable: &Readable, to: &Move, fixed: Option<&Fixed>) -> String {
    let column = readable.cursor_column().unwrap_or_default();
    match (to, fixed) {
        (Move::To(Placement::Value(value)), _) => {
            format!("rows with {column} > {} are read", value.trim())
        }
        (Move::To(Placement::Offsets(_)), Some(fixed)) => {
            let at = words::cursor(&column_names(readable), &fixed.cursor);
            format!("it goes on from {at}")
        }
        _ => "the whole table is read, as if for the first time".to_owned(),
    }
}

/// What else is to be known before somebody says yes.
fn remarks(
    chosen: &Chosen,
    head: Option<&Head>,
    to: &Move,
    fixed: Option<&Fixed>,
    read_again: Option<u64>,
) -> Vec<String> {
    let name = &chosen.name;
    let mut remarks = Vec::new();
    let Some(head) = head else {
        remarks.push("nothing is remembered of it: it begins there".to_owned());
        return remarks;
    };
    let is_copying = head
        .copy
        .as_ref()
        .is_some_and(|copy| copy.phase != CopyPhase::Done);
    if is_copying {
        remarks.push(match to {
            Move::Reset => "its initial copy is not complete, and begins anew".to_owned(),
            Move::To(Placement::Value(_)) => {
                "its initial copy is not complete, and ends: of what it did not reach, rows up to that place are \
                 never read"
                    .to_owned()
            }
            Move::To(Placement::Offsets(_)) => {
                "its initial copy is not complete: the document says where it goes on".to_owned()
            }
        });
    }
    if let (Some(Cursor::Incrementing(now)), Some(Cursor::Incrementing(then))) =
        (&head.cursor, fixed.map(|fixed| &fixed.cursor))
    {
        let is_dropped = |lo: i128| {
            let is_kept = |gap: &crate::model::Gap| gap.lo <= lo && lo <= gap.hi;
            then.highest.is_some_and(|highest| lo <= highest) && !then.gaps.iter().any(is_kept)
        };
        let mut dropped = now.gaps.iter().filter(|gap| is_dropped(gap.lo));
        if let Some(first) = dropped.next() {
            let more = dropped.count() + 1;
            remarks.push(format!(
                "{} ranges of ids are still awaited and lie below that place: rows that come there are never read; \
                 {} or less keeps them",
                words::number(more),
                first.lo - 1
            ));
        }
    }
    if head.mode.has_versions() && matches!(to, Move::To(_)) {
        remarks.push("rows behind that place that were sent already are sent again".to_owned());
    }
    if read_again != Some(0) {
        let each = match head.mode.has_versions() {
            true => "; the view of `cdc sql` shows each row once where the table has a key",
            false => "",
        };
        remarks.push(format!(
            "the lake keeps what it has, so that it holds rows twice that are read again{each}; `cdc snapshot \
             --again {name}` copies the table anew instead, and removes its old files"
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IncrementingCursor;
    use crate::state::{Failure, decode};

    #[test]
    fn a_table_stands_at_its_own_cursor_and_copy_unless_it_failed() {
        let text = r#"{"v":1,"table":"ec.orders","topic":"orders","mode":"incrementing","epoch":1,"identity":{},"cursor_columns":["id"],"partitions":1,"next":[1],"batches":0,"rows":0,"written_at":6,"worker":"till-1"}"#;
        let mut head: Head = decode("a head", text.as_bytes()).unwrap();
        let cursor = |highest| {
            Cursor::Incrementing(IncrementingCursor {
                highest: Some(highest),
                gaps: Vec::new(),
            })
        };
        let copy = |phase, rows| Copy {
            bound: Some(9),
            after: None,
            phase,
            rows,
            null_cursors: 0,
        };
        let place = |highest, phase, rows| Fixed {
            copy: copy(phase, rows),
            cursor: cursor(highest),
        };
        assert!(!stands_at(&head, &place(9, CopyPhase::Done, 9)));
        head.cursor = Some(cursor(9));
        head.copy = Some(copy(CopyPhase::Done, 9));
        assert!(stands_at(&head, &place(9, CopyPhase::Done, 0)));
        assert!(!stands_at(&head, &place(8, CopyPhase::Done, 9)));
        assert!(!stands_at(&head, &place(9, CopyPhase::Rows, 9)));
        head.copy = Some(copy(CopyPhase::Rows, 4));
        assert!(stands_at(&head, &place(9, CopyPhase::Rows, 4)));
        assert!(!stands_at(&head, &place(9, CopyPhase::Rows, 3)));
        head.failure = Some(Failure {
            text: "another server".to_owned(),
            code: None,
            next_step: None,
            at: 1,
        });
        assert!(!stands_at(&head, &place(9, CopyPhase::Rows, 4)));
    }
}
