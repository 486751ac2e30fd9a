//! Connections: how they are opened, set up, lent and closed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::poll_immediate;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::failed;
use super::tls;
use crate::config::{SourceSettings, TlsMode};
use crate::error::{Error, Kind, Result};

/// How long a host may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long connecting may take in all: several addresses, TLS, log-in, session settings.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// How long closing waits for the server to take a cancel request.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);
/// A peer that is gone without a word is noticed after 30 s + 3 × 10 s of silence.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long what was sent may stay unacknowledged before the connection counts as broken.
const UNANSWERED: Duration = Duration::from_secs(60);
/// How long the catalog and the guards may take to answer: what they ask is little.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A connection that reads rows may be silent for so long before another one asks whether the server is at it still.
const SILENCE: Duration = Duration::from_secs(30);
/// The oldest server whose catalog is understood (`pg_attribute.attgenerated`, `pg_partition_tree`).
const OLDEST_VERSION: i32 = 120_000;

/// What every session is set to. Read-only, so that nothing here can ever write; no time-outs of the server,
/// because they count the time it waits for us; row security off, so that a policy is an error and not a silent
/// filter; an empty search path, so that names mean the catalog's; and the text forms that do not depend on the
/// server's configuration.
const SETTINGS: &str = "
    SET timezone = 'UTC';
    SET default_transaction_read_only = on;
    SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = 0;
    SET lock_timeout = '5s';
    SET row_security = off;
    SET search_path = '';
    SET datestyle = 'ISO, YMD';
    SET intervalstyle = 'postgres';
    SET bytea_output = 'hex';
    SET extra_float_digits = 1";

/// Names this session in a way that no other session of the server ever shares, and tells the server's version.
const WHO_AM_I: &str = "
    SELECT pid::text || '/' || backend_start::text, pg_catalog.current_setting('server_version_num')::int4
    FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()";

/// Whether a session, as [`WHO_AM_I`] names it, runs a statement and does not merely wait for us to read.
const AT_WORK: &str = "
    SELECT state NOT LIKE 'idle%' AND coalesce(wait_event, '') <> 'ClientWrite'
    FROM pg_catalog.pg_stat_activity WHERE pid::text || '/' || backend_start::text = $1";

/// The way to one database: its settings, its idle connections and the permits for more.
pub(super) struct Database {
    /// The source's name in the configuration.
    pub source: String,
    /// The role that logs in, for the GRANTs that errors name.
    pub role: String,
    place: String,
    config: Config,
    tls: MakeRustlsConnect,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    ours: Arc<Mutex<BTreeSet<String>>>,
    catalog: Shared,
    guards: Shared,
}

/// One connection that many callers use at the same time, each statement a transaction of its own.
type Shared = tokio::sync::Mutex<Option<Arc<Connection>>>;

impl Database {
    pub fn new(settings: &SourceSettings) -> Result<Self> {
        let url = &settings.url;
        let mut config = Config::new();
        config
            .host(&url.host)
            .port(url.port)
            .user(&url.user)
            .dbname(&url.database)
            .application_name("cdc")
            .ssl_mode(if url.tls == TlsMode::Disable {
                SslMode::Disable
            } else {
                SslMode::Require
            })
            .connect_timeout(CONNECT_WITHIN)
            .tcp_user_timeout(UNANSWERED)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        if !url.password.is_empty() {
            config.password(url.password.reveal());
        }
        Ok(Database {
            source: settings.name.clone(),
            role: url.user.clone(),
            place: format!("{}:{}", url.host, url.port),
            config,
            tls: tls::connector(url).map_err(|error| error.about(&settings.name))?,
            permits: Arc::new(Semaphore::new(settings.connections.max(1))),
            idle: Mutex::default(),
            ours: Arc::default(),
            catalog: Shared::default(),
            guards: Shared::default(),
        })
    }

    /// Borrows a connection; waits while as many as allowed are lent.
    pub async fn borrow(self: &Arc<Self>) -> Result<(Connection, OwnedSemaphorePermit)> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit
            .map_err(|error| Error::new(Kind::Bug, "waiting for a connection").because(error))?;
        let idle = {
            let mut idle = locked(&self.idle);
            idle.retain(Connection::is_usable);
            idle.pop()
        };
        match idle {
            Some(connection) => Ok((connection, permit)),
            None => Ok((self.connect().await?, permit)),
        }
    }

    /// Takes back a connection that has nothing open. The permit is given up afterwards, so that there are
    /// never more connections than permits.
    pub fn give_back(&self, connection: Connection, permit: OwnedSemaphorePermit) {
        if connection.is_usable() {
            locked(&self.idle).push(connection);
        }
        drop(permit);
    }

    /// Closes a connection on which a statement may still run. Without the cancel the server would go on
    /// sending to the end of the table.
    pub fn close(&self, connection: Connection, permit: OwnedSemaphorePermit) {
        let (cancel, tls) = (connection.client.cancel_token(), self.tls.clone());
        // Outside a runtime the connection's own task is gone, and the socket with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if !matches!(
                    tokio::time::timeout(CANCEL_WITHIN, cancel.cancel_query(tls)).await,
                    Ok(Ok(()))
                ) {
                    tracing::debug!("the server did not take a cancel request");
                }
                drop(connection);
                drop(permit);
            });
        }
    }

    /// The connection for the catalog, beside those that are lent.
    pub async fn catalog(&self) -> Result<Arc<Connection>> {
        self.shared(&self.catalog).await
    }

    /// The connection of all guards of this source, beside those that are lent.
    pub async fn guards(&self) -> Result<Arc<Connection>> {
        self.shared(&self.guards).await
    }

    /// The sessions of this process, as [`WHO_AM_I`] names them.
    pub fn own_sessions(&self) -> Vec<String> {
        locked(&self.ours).iter().cloned().collect()
    }

    async fn shared(&self, shared: &Shared) -> Result<Arc<Connection>> {
        let mut slot = shared.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_usable()) {
            return Ok(connection.clone());
        }
        let connection = Arc::new(self.connect().await?);
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Waits for an answer that may take long, as rows may. A connection whose other side is gone without a word gives
    /// none: after some silence the server is asked, over another one, whether it is at work on it.
    pub async fn heard<T>(
        &self,
        connection: &Connection,
        answer: impl Future<Output = T>,
    ) -> Result<T> {
        let mut answer = std::pin::pin!(answer);
        // Most answers are there: no clock is asked for them.
        if let Some(answer) = poll_immediate(&mut answer).await {
            return Ok(answer);
        }
        loop {
            match tokio::time::timeout(SILENCE, &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(_) => self.is_at_work(connection).await?,
            }
        }
    }

    async fn is_at_work(&self, connection: &Connection) -> Result<()> {
        const DOING: &str = "waiting for an answer";
        let identity = (&connection.identity as _, Type::TEXT);
        let asked = self.connect().await?;
        let found = asked.query(DOING, AT_WORK, &[identity]).await?;
        match found.first().map(|row| cell(row, 0)).transpose()? {
            Some(Some(true) | None) => Ok(()),
            Some(Some(false)) | None => {
                connection.is_silent.store(true, Ordering::Relaxed);
                Err(silent(DOING).about(&self.source))
            }
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let doing = || format!("connecting to PostgreSQL at `{}`", self.place);
        match tokio::time::timeout(OPEN_WITHIN, self.open(&doing)).await {
            Ok(opened) => opened,
            Err(_) => Err(Error::new(Kind::Unavailable, doing())
                .code(crate::error::Code::DATABASE_UNREACHABLE)
                .because("no answer in time")),
        }
        .map_err(|error| error.about(&self.source))
    }

    async fn open(&self, doing: &impl Fn() -> String) -> Result<Connection> {
        let opened = self.config.connect(self.tls.clone()).await;
        let (client, connection) = opened.map_err(|error| failed(doing(), &error))?;
        tokio::spawn(async move {
            // Whoever waits for an answer is told by the client; this is for the log only.
            if let Err(error) = connection.await {
                tracing::debug!(reason = %failed("serving a connection", &error), "a connection to PostgreSQL ended");
            }
        });
        client
            .batch_execute(SETTINGS)
            .await
            .map_err(|error| failed(doing(), &error))?;
        let row = client
            .query_typed_one(WHO_AM_I, &[])
            .await
            .map_err(|error| failed(doing(), &error))?;
        let (identity, version): (String, i32) = (cell(&row, 0)?, cell(&row, 1)?);
        if version < OLDEST_VERSION {
            let found = format!(
                "it is version {}, and the oldest supported one is {}",
                version / 10_000,
                OLDEST_VERSION / 10_000
            );
            return Err(Error::new(Kind::Config, doing())
                .code(crate::error::Code::SOURCE_CHANGED)
                .because(found));
        }
        locked(&self.ours).insert(identity.clone());
        Ok(Connection {
            client,
            identity,
            is_silent: AtomicBool::new(false),
            ours: self.ours.clone(),
        })
    }
}

/// An open connection, set up for reading.
pub(super) struct Connection {
    pub client: Client,
    /// What [`WHO_AM_I`] answered.
    pub identity: String,
    /// An answer did not come: nothing is asked of it any more.
    is_silent: AtomicBool,
    ours: Arc<Mutex<BTreeSet<String>>>,
}

impl Connection {
    /// Runs a statement of the catalog or of a guard.
    pub async fn query(
        &self,
        doing: &str,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        let answer = self.client.query_typed(sql, params);
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(answer) => answer.map_err(|error| failed(doing, &error)),
            Err(_) => {
                self.is_silent.store(true, Ordering::Relaxed);
                Err(silent(doing))
            }
        }
    }

    /// Whether something may be asked of it.
    fn is_usable(&self) -> bool {
        !self.client.is_closed() && !self.is_silent.load(Ordering::Relaxed)
    }

    /// As [`Connection::query`], for a statement that always gives one row.
    pub async fn query_one(
        &self,
        doing: &str,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Row> {
        let mut rows = self.query(doing, sql, params).await?;
        rows.pop()
            .ok_or_else(|| Error::new(Kind::Bug, doing).because("the catalog gave no row"))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        locked(&self.ours).remove(&self.identity);
    }
}

/// The other side says nothing.
fn silent(doing: &str) -> Error {
    Error::new(Kind::Unavailable, doing)
        .code(crate::error::Code::NO_ANSWER)
        .because("no answer came")
        .hint("see that the server runs and that nothing on the way swallows what is sent; it is tried again by itself")
}

/// One value of a catalog row.
pub(super) fn cell<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index)
        .map_err(|error| failed("reading the catalog", &error))
}

/// What is behind these locks is whole after a panic too: single inserts, removes and pushes.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
