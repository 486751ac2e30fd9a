//! What is looked at besides a table's columns: whether its rows are still those that were followed.
//!
//! The catalog shows that rows were written anew, not why: VACUUM FULL and an ALTER look like TRUNCATE. The
//! newest row that was sent tells them apart.

use std::sync::Arc;

use super::cursor_table::columns_of;
use super::unit::Unit;
use crate::error::{Error, Kind, Result};
use crate::model::{CopyPhase, Cursor, Position, TableName};
use crate::source::{Depth, Described, Look, Readable, RelationKind, Session, Source, Testimony};
use crate::state::{Head, Sighting};

/// The definition that a try reads under.
#[derive(Clone)]
pub(super) struct Definition {
    source: Arc<dyn Source>,
    table: TableName,
    look: Look,
}

/// How a table looks, compared with how it looked when it was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// Another definition, or none.
    Redefined,
    /// The same, and its rows lie somewhere else.
    Rewritten,
    /// The same; where its rows lie was not shown.
    SameDefinition,
    /// The same.
    Same,
}

impl Definition {
    pub fn new(source: &Arc<dyn Source>, table: &TableName, look: &Look) -> Self {
        Definition {
            source: source.clone(),
            table: table.clone(),
            look: look.clone(),
        }
    }

    /// Asked after rows were read and before they are sent: whoever changes a table waits for the statement
    /// that reads it, so rows read under another definition are noticed here.
    pub async fn compare(&self, depth: Depth) -> Result<Compared> {
        let Some(now) = self.source.look(&self.table, depth).await? else {
            return Ok(Compared::Redefined);
        };
        Ok(if now.definition != self.look.definition {
            Compared::Redefined
        } else if now.storage == self.look.storage {
            Compared::Same
        } else if now.storage.is_empty() {
            Compared::SameDefinition
        } else {
            Compared::Rewritten
        })
    }

    /// Whether rows still read as they did.
    pub async fn still_holds(&self) -> Result<bool> {
        let compared = self.compare(Depth::Definition).await?;
        Ok(compared != Compared::Redefined)
    }
}

/// What is seen of a table now.
pub(super) async fn sight(
    readable: &Readable,
    look: Look,
    session: &mut dyn Session,
) -> Result<Sighting> {
    Ok(Sighting {
        kind: kind(&readable.table).to_owned(),
        storage: look.storage,
        counter: counter(readable, session).await?,
        collations: order_of_texts(readable),
        witness: None,
    })
}

/// The newest number drawn for the id that is followed, where it can be read.
pub(super) async fn counter(
    readable: &Readable,
    session: &mut dyn Session,
) -> Result<Option<i128>> {
    let id = readable.columns.incrementing;
    let id = id.filter(|_| readable.columns.timestamp.is_none());
    let column = id.and_then(|id| readable.table.schema.columns.get(id));
    match column.and_then(|column| readable.table.counters.get(&column.name)) {
        Some(select) => session.integer(select).await,
        None => Ok(None),
    }
}

fn kind(table: &Described) -> &'static str {
    match table.kind {
        RelationKind::Table => "table",
        RelationKind::View => "view",
        RelationKind::ForeignTable => "foreign table",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::Sequence => "sequence",
    }
}

fn order_of_texts(readable: &Readable) -> std::collections::BTreeMap<String, String> {
    let table = &readable.table;
    let columns = readable.columns.tie_break.iter();
    let names = columns.filter_map(|i| Some(&table.schema.columns.get(*i)?.name));
    names
        .filter_map(|name| Some((name.clone(), table.collations.get(name)?.clone())))
        .collect()
}

/// Whether it is still the sort of relation it was.
pub(super) fn check_kind(head: &Head, table: &Described) -> Result<()> {
    let (was, is) = match &head.sighting {
        Some(was) if was.kind != kind(table) => (&was.kind, kind(table)),
        _ => return Ok(()),
    };
    let name = &table.name;
    Err(
        Error::new(Kind::Config, format!("it was a {was} and is a {is}")).hint(format!(
            "`cdc snapshot --again {name}` copies it anew; or put it back, then `cdc restart {name}`"
        )),
    )
}

/// Compares what was seen with what is seen now. `may_be_emptied`: somebody who was told has said to go on.
pub(super) async fn compare(
    unit: &Unit,
    head: &Head,
    now: &Sighting,
    readable: &Readable,
    session: &mut dyn Session,
    may_be_emptied: bool,
) -> Result<()> {
    let Some(was) = &head.sighting else {
        return Ok(());
    };
    let name = &unit.chosen.name;
    let stop = |text: String, hint: String| Err(Error::new(Kind::Config, text).hint(hint));
    let again = format!("`cdc snapshot --again {name}` copies it anew");
    let mut orders = now.collations.iter().filter_map(|(column, is)| {
        let before = was.collations.get(column).filter(|before| *before != is)?;
        Some((column, before, is))
    });
    if let Some((column, before, is)) = orders.next()
        && rests_on_a_key(head)
    {
        return stop(
            format!("the order of key column `{column}` was `{before}` and is `{is}`"),
            format!("{again}; or put the collation back, then `cdc restart {name}`"),
        );
    }
    if let (Some(before), Some(counter), Some(highest)) = (was.counter, now.counter, highest(head))
        && counter < before
        && counter < highest
    {
        return stop(
            format!(
                "its ids go on from {counter}, and ids up to {highest} were sent: it was truncated or restored, or \
                 its counter was set back; new rows would lie behind the cursor"
            ),
            format!("{again}; or set the counter to {highest} or more, then `cdc restart {name}`"),
        );
    }
    if may_be_emptied || !was_rewritten(was, now) {
        return Ok(());
    }
    if head.rows == 0 {
        return Ok(());
    }
    let found = match &was.witness {
        Some(witness) => {
            let columns = columns_of(unit, readable, &witness.fingerprint)?;
            match readable.hear(session, witness, &columns).await? {
                Testimony::Stands => {
                    return came_with_rows(head, was, now, readable, session).await;
                }
                Testimony::Gone => "the newest row that was sent is not there any more",
                Testimony::Differs => "the newest row that was sent is another one now",
            }
        }
        None => "no row that was sent can be asked for",
    };
    stop(
        format!(
            "its rows were written anew, and {found}: it was truncated, or what it holds was replaced"
        ),
        format!(
            "{again}; `cdc restart {name}` goes on behind the cursor if no row that is in the table now was there \
             before"
        ),
    )
}

/// Whether the rows lie somewhere else than they did.
fn was_rewritten(was: &Sighting, now: &Sighting) -> bool {
    if was.storage.is_empty() || now.storage.is_empty() {
        return false;
    }
    was.storage != now.storage
}

/// A part of the table that is new, or holds other rows than it did while other parts stayed, must hold no
/// row that the cursor has passed: nobody would read it.
async fn came_with_rows(
    head: &Head,
    was: &Sighting,
    now: &Sighting,
    readable: &Readable,
    session: &mut dyn Session,
) -> Result<()> {
    let table = &readable.table.name;
    let is_known = |part: &String, file: &String| was.storage.get(part) == Some(file);
    if !now.storage.iter().any(|(part, file)| is_known(part, file)) {
        tracing::info!(table = %table, "its rows were written anew, and the newest one sent is there");
        return Ok(());
    }
    let Some(cursor) = &head.cursor else {
        return Ok(());
    };
    for (part, _) in now
        .storage
        .iter()
        .filter(|(part, file)| !is_known(part, file))
    {
        if readable.has_passed_rows_of(session, part, cursor).await? {
            return Err(Error::new(
                Kind::Config,
                "a partition was attached, exchanged or written anew, and holds rows behind the cursor",
            )
            .hint(format!(
                "`cdc snapshot --again {table}` copies it anew; `cdc restart {table}` goes on behind the cursor if \
                 these rows were sent before"
            )));
        }
    }
    Ok(())
}

fn highest(head: &Head) -> Option<i128> {
    match &head.cursor {
        Some(Cursor::Incrementing(cursor)) => cursor.highest,
        _ => None,
    }
}

/// Whether the reading goes on behind a key, whose order then matters.
fn rests_on_a_key(head: &Head) -> bool {
    let in_copy = head
        .copy
        .as_ref()
        .is_some_and(|copy| copy.phase != CopyPhase::Done && copy.after.is_some());
    let behind = matches!(&head.cursor, Some(Cursor::Timestamp(cursor))
        if matches!(&cursor.low, Some(Position { key: Some(_), .. })));
    in_copy || behind
}
