//! Bulk mode: the whole table from one snapshot, with the database's own count of it.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;

use super::readable::{Readable, room};
use super::{Described, Session};
use crate::error::{Error, Kind, Result};
use crate::model::Step;

/// How a load went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The database's own count inside the snapshot.
    pub source_rows: u64,
    /// Rows sent.
    pub rows: u64,
}

/// Sends every row of a table as it was at one moment. The load is complete only if the two counts agree,
/// with what was rejected on the way added; after an error it has to begin anew.
pub async fn load(
    readable: &Readable,
    session: &mut dyn Session,
    out: &Sender<Step>,
) -> Result<Loaded> {
    session.begin_snapshot().await?;
    let counted = session.integer(&readable.statements.count()).await?;
    let source_rows = counted
        .and_then(|count| u64::try_from(count).ok())
        .ok_or_else(|| {
            Error::new(Kind::Data, "the database gave no count of the rows")
                .about(&readable.table.name)
        })?;
    let rows = stream(readable, session, out).await?;
    session.end_snapshot().await?;
    Ok(Loaded { source_rows, rows })
}

async fn stream(readable: &Readable, session: &mut dyn Session, out: &Sender<Step>) -> Result<u64> {
    let table: Arc<Described> = readable.table.clone();
    let select = readable.statements.everything();
    let mut batches = session.rows(&table, &select, readable.limits);
    let mut sent = 0;
    while let Some(batch) = batches.next().await {
        let rows = batch?;
        sent += rows.num_rows() as u64;
        room(out).await?.send(Step {
            rows,
            cursor: None,
            seen: Vec::new(),
            copy: None,
        });
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Database, row};
    use super::*;
    use crate::model::Mode;

    #[tokio::test]
    async fn a_load_sends_every_row_and_the_count_of_the_same_moment() {
        let database = Database::with([row(1, Some(10)), row(2, None), row(3, Some(5))]);
        let (out, mut steps) = tokio::sync::mpsc::channel(8);
        let mut session = database.session();
        let loaded = load(&database.readable(Mode::Bulk), &mut session, &out)
            .await
            .unwrap();
        assert_eq!(
            loaded,
            Loaded {
                source_rows: 3,
                rows: 3
            }
        );
        drop(out);
        let mut ids = Vec::new();
        while let Some(step) = steps.recv().await {
            assert_eq!((step.cursor, step.copy), (None, None));
            ids.extend(database.ids(&step.rows));
        }
        assert_eq!(ids, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_load_that_breaks_off_is_an_error() {
        let database = Database::with([row(1, Some(10)), row(2, Some(11))]);
        database.fail_after(1);
        let (out, _steps) = tokio::sync::mpsc::channel(8);
        let error = load(
            &database.readable(Mode::Bulk),
            &mut database.session(),
            &out,
        )
        .await
        .unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
    }
}
