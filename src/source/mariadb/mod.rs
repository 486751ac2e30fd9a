//! Reads MariaDB.
//!
//! `connect.rs` makes connections and lends them, `describe.rs` reads the catalog, `session.rs` streams rows
//! and holds snapshots, `moment.rs` opens several of one moment, `decode.rs` is the one table of types `cells.rs` fills Arrow builders by it, and
//! `misfit.rs` tells which values do not fit.
//! The guard stands on `horizon.rs` (what the server shows of its writers), `tickets.rs` (what follows from
//! it, pure) and `probe.rs` (what a plain account can find out by itself).

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

mod calendar;
mod cells;
mod characters;
mod connect;
mod decode;
mod describe;
mod failure;
mod grants;
mod guard;
mod horizon;
mod look;
mod misfit;
mod moment;
mod outline;
mod params;
mod probe;
mod server;
mod session;
mod tickets;

use connect::{ANSWER_WITHIN, Connector, Line, Pool};
use horizon::Horizon;

/// One MariaDB server, logged in to one database.
///
/// Beside the `connections` that sessions share it holds at most three of its own, so that a long read never
/// delays them: one for the catalog, one for the horizon of all guards, one for their probes.
struct MariaDb {
    /// The source's name in the configuration, for table names.
    name: String,
    /// The database of the URL: its tables are named without it.
    database: String,
    pool: Arc<Pool>,
    catalog: Line,
    looks: Rounds,
    horizon: Arc<Horizon>,
    probes: Arc<Line>,
}

/// Opens a source without connecting: connections are made on demand.
///
/// Errors: `Config` if the certificate authorities of the settings cannot be read.
pub fn open(settings: &SourceSettings) -> Result<Arc<dyn Source>> {
    let connector = Arc::new(Connector::new(&settings.url)?);
    Ok(Arc::new(MariaDb {
        name: settings.name.clone(),
        database: settings.url.database.clone(),
        pool: Arc::new(Pool::new(Arc::clone(&connector), settings.connections)),
        catalog: Line::new(Arc::clone(&connector), &[]),
        looks: Rounds::default(),
        horizon: Arc::new(Horizon::new(
            Line::new(Arc::clone(&connector), &[]),
            settings.url.user.clone(),
        )),
        probes: Arc::new(Line::new(connector, probe::SET_UP)),
    }))
}

#[async_trait]
impl Source for MariaDb {
    fn dialect(&self) -> Dialect {
        Dialect::MariaDb
    }

    async fn list(&self) -> Result<Vec<Listed>> {
        let mut held = self.catalog.lock().await;
        let answer = async { describe::list(held.open().await?, &self.name, &self.database).await };
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        held.answered(answer, "listing tables")
    }

    async fn outlines(&self) -> Result<Vec<Outline>> {
        let sight = self.horizon.look().await?;
        let mut held = self.catalog.lock().await;
        let answer = async {
            let conn = held.open().await?;
            outline::outlines(conn, &self.name, &self.database, &sight).await
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        held.answered(answer, "looking at all tables")
    }

    async fn survey(&self, table: &TableName) -> Result<Described> {
        let mut held = self.catalog.lock().await;
        let answer = async { describe::describe(held.open().await?, table).await };
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        held.answered(answer, "describing the table")
            .map_err(|error| error.about(table))
    }

    async fn look(&self, table: &TableName, depth: Depth) -> Result<Option<Look>> {
        match self.looks.join(table, depth).await {
            Turn::Answered(answer) => answer,
            Turn::Lead(round) => {
                let looks = async {
                    let mut held = self.catalog.lock().await;
                    look::looks(held.open().await?, &round.tables(), round.depth()).await
                };
                let looks = looks.await;
                round.tell(looks)
            }
        }
    }

    async fn moved_to(
        &self,
        _identity: &BTreeMap<String, String>,
        storage: &BTreeMap<String, String>,
    ) -> Result<Option<String>> {
        let mut held = self.catalog.lock().await;
        look::moved_to(held.open().await?, storage).await
    }

    async fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(session::MariaDbSession::new(
            self.pool.borrow().await?,
        )))
    }

    async fn snapshot(&self, most: usize) -> Result<Vec<Box<dyn Session>>> {
        let sessions = moment::sessions(&self.pool, most).await?;
        let boxed = sessions.into_iter().map(|one| Box::new(one) as _);
        Ok(boxed.collect())
    }

    async fn guard(
        &self,
        table: &Described,
        column: &str,
        options: GuardOptions,
    ) -> Result<Box<dyn Guard>> {
        let ground = {
            let mut held = self.catalog.lock().await;
            let answer = async { describe::ground(held.open().await?, &table.name, column).await };
            let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
            held.answered(answer, "describing the table")
        };
        let ground = ground.map_err(|error| error.about(&table.name))?;
        let (horizon, probes) = (Arc::clone(&self.horizon), Arc::clone(&self.probes));
        Ok(Box::new(guard::MariaDbGuard::new(
            table, column, options, ground, horizon, probes,
        )))
    }
}

/// A name as SQL: in backticks, each backtick within doubled.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A table's name as SQL, with its database.
fn quoted_table(table: &TableName) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}
