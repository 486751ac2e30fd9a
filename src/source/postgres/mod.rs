//! PostgreSQL 12 and newer: describes tables, streams rows as Arrow batches, and proves what lies behind a cursor.
//!
//! `connect.rs` opens connections, `describe.rs` reads the catalog, `mapping.rs` says what becomes of each type
//! (for people: `TYPES.md`), `decode.rs`, `read.rs` and `numeric.rs` turn a row's bytes into columns, `misfit.rs` tells which values
//! do not fit, `session.rs` streams, `moment.rs` opens sessions of one moment, `guard.rs` and `horizon.rs` prove.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::look::{Rounds, Turn};
use super::{
    Depth, Described, Dialect, Guard, GuardOptions, Listed, Look, Outline, Session, Source,
};
use crate::config::SourceSettings;
use crate::error::Result;
use crate::model::TableName;

mod catalog;
mod connect;
mod decode;
mod describe;
mod failure;
mod guard;
mod horizon;
mod look;
mod mapping;
mod misfit;
mod moment;
mod numeric;
mod outline;
mod read;
mod session;
mod tls;

use connect::Database;

/// The schema whose tables are written without it. Fixed, so that a table's name does not depend on the
/// `search_path` of whoever logs in.
const DEFAULT_SCHEMA: &str = "public";

/// One PostgreSQL database.
pub struct Postgres {
    database: Arc<Database>,
    looks: Rounds,
}

/// Prepares a source. Connects to nothing yet.
///
/// Errors: `Config` if the certificate authorities cannot be read.
pub fn open(settings: &SourceSettings) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(Postgres {
        database: Arc::new(Database::new(settings)?),
        looks: Rounds::default(),
    }))
}

#[async_trait]
impl Source for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn list(&self) -> Result<Vec<Listed>> {
        describe::list(&self.database).await
    }

    async fn outlines(&self) -> Result<Vec<Outline>> {
        let outlines = outline::outlines(&self.database).await;
        outlines.map_err(|error| error.about(&self.database.source))
    }

    async fn survey(&self, table: &TableName) -> Result<Described> {
        describe::describe(&self.database, table).await
    }

    async fn look(&self, table: &TableName, depth: Depth) -> Result<Option<Look>> {
        match self.looks.join(table, depth).await {
            Turn::Answered(answer) => answer,
            Turn::Lead(round) => {
                let looks = look::looks(&self.database, &round.tables()).await;
                round.tell(looks.map_err(|error| error.about(&self.database.source)))
            }
        }
    }

    async fn moved_to(
        &self,
        identity: &BTreeMap<String, String>,
        _storage: &BTreeMap<String, String>,
    ) -> Result<Option<String>> {
        look::moved_to(&self.database, identity).await
    }

    async fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(
            session::PostgresSession::open(&self.database).await?,
        ))
    }

    async fn snapshot(&self, most: usize) -> Result<Vec<Box<dyn Session>>> {
        let sessions = moment::sessions(&self.database, most).await?;
        let boxed = sessions.into_iter().map(|one| Box::new(one) as _);
        Ok(boxed.collect())
    }

    async fn guard(
        &self,
        table: &Described,
        column: &str,
        options: GuardOptions,
    ) -> Result<Box<dyn Guard>> {
        Ok(Box::new(
            guard::PostgresGuard::open(&self.database, table, column, options).await?,
        ))
    }
}

/// A name as SQL writes it: in double quotes, with those inside doubled.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
