//! Several sessions that see one moment: one exports its snapshot, the others join it before the first row is read.

use std::sync::Arc;

use futures_util::future::join_all;

use super::connect::Database;
use super::session::PostgresSession;
use crate::error::{Kind, Result};
use crate::source::Session;

/// Up to `most` sessions in one snapshot; what keeps it from being more is no failure of the first.
pub(super) async fn sessions(
    database: &Arc<Database>,
    most: usize,
) -> Result<Vec<PostgresSession>> {
    let mut first = PostgresSession::open(database).await?;
    first.begin_snapshot().await?;
    if most <= 1 {
        return Ok(vec![first]);
    }
    let exported = match first.export_snapshot().await {
        Ok(exported) => exported,
        Err(error) if error.kind() == Kind::Unavailable => return Err(error),
        Err(error) => {
            tracing::info!(%error, "reading over one connection");
            // The refusal ended its transaction.
            drop(first);
            let mut only = PostgresSession::open(database).await?;
            only.begin_snapshot().await?;
            return Ok(vec![only]);
        }
    };
    let others = (1..most).map(|_| joined(database, &exported));
    let others = join_all(others).await;
    let mut sessions = vec![first];
    for other in others {
        match other {
            Ok(session) => sessions.push(session),
            Err(error) => tracing::info!(%error, "reading over fewer connections"),
        }
    }
    Ok(sessions)
}

async fn joined(database: &Arc<Database>, exported: &str) -> Result<PostgresSession> {
    let mut session = PostgresSession::open(database).await?;
    session.join_snapshot(exported).await?;
    Ok(session)
}
