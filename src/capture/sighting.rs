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
    text: String,
}

impl Definition {
    pub fn new(source: &Arc<dyn Source>, table: &TableName, look: &Look) -> Self {
        Definition {
            source: source.clone(),
            table: table.clone(),
            text: look.definition.clone(),
        }
    }

    /// Asked after rows were read and before they are sent: whoever changes a table waits for the statement
    /// that reads it, so rows read under another definition are noticed here.
    pub async fn still_holds(&self) -> Result<bool> {
        let look = self.source.look(&self.table, Depth::Definition).await?;
        Ok(look.is_some_and(|look| look.definition == self.text))
    }

    /// The look now, if it is of the same definition.
    pub async fn look_again(&self) -> Result<Option<Look>> {
        let look = self.source.look(&self.table, Depth::Storage).await?;
        Ok(look.filter(|look| look.definition == self.text))
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
        RelationKind::MaterializedView => "materialized view",
        RelationKind::ForeignTable => "foreign table",
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
    if was.kind != now.kind {
        return stop(
            format!("it was a {} and is a {}", was.kind, now.kind),
            format!("{again}; or put it back, then `cdc restart {name}`"),
        );
    }
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
    let Some(witness) = &was.witness else {
        // Nothing was sent that could be gone.
        return Ok(());
    };
    let columns = columns_of(unit, readable, &witness.fingerprint)?;
    let heard = readable.hear(session, witness, &columns).await?;
    let found = match heard {
        Testimony::Stands => {
            tracing::info!(table = %name, "its rows were written anew, and the newest one sent is there");
            return Ok(());
        }
        Testimony::Gone => "is not there any more",
        Testimony::Differs => "is another one now",
    };
    stop(
        format!(
            "its rows were written anew, and the newest row that was sent {found}: it was truncated, or what it \
             holds was replaced"
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
