//! Connections: how they are made, what each of them is set to, and how many there may be.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::poll_immediate;
use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, Opts, OptsBuilder, SslOpts};
use tokio::sync::{MutexGuard, OwnedSemaphorePermit, Semaphore};

use super::failure::failure;
use crate::certificates::{names_presented, read_certificates, read_identity, refusal};
use crate::config::{DatabaseUrl, TlsMode};
use crate::error::{Error, Kind, Result};

/// How long a server may take to accept a connection and log it in.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long the catalog, the horizon and the probes may take to answer: what they ask is little.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A connection that reads rows may be silent for so long before another one asks whether the server is at it still.
const SILENCE: Duration = Duration::from_secs(30);
/// A silent connection is probed after this: shorter than the usual 350 s of a cloud load balancer.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// A connection unused for longer may have been closed by the server and is asked first.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// The largest packet a server can be set to send, in bytes.
const LARGEST_PACKET: usize = 1 << 30;
/// How long the server keeps an unused connection, in seconds.
const WAIT_TIMEOUT_SECONDS: usize = 28_800;
/// Prepared statements kept per connection: a handful per table.
const PREPARED_STATEMENTS: usize = 64;

/// What every connection is set to, whatever the server's own defaults are.
const SET_UP: [&str; 3] = [
    "SET NAMES utf8mb4",
    // A consumer that is slow for an hour does not lose its stream. An open transaction from `autocommit = 0`
    // would hide new rows for ever, and `sql_select_limit` would cut results short in silence.
    "SET SESSION time_zone = '+00:00', autocommit = 1, sql_select_limit = 18446744073709551615, sql_big_selects = 1, \
     sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
     net_write_timeout = 3600, net_read_timeout = 3600, wait_timeout = 28800, lock_wait_timeout = 60, \
     max_statement_time = 0",
    // Under READ COMMITTED a consistent snapshot is none, without a warning.
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
];

/// Makes connections to one server.
pub(super) struct Connector {
    options: OptsBuilder,
    tls: Option<SslOpts>,
    /// A name that the server's certificate carries, where any name is accepted.
    accepted_name: Mutex<Option<String>>,
    accepts_any_name: bool,
    /// Host and port, for messages.
    place: String,
}

impl Connector {
    pub(super) fn new(url: &DatabaseUrl) -> Result<Self> {
        let options = OptsBuilder::default()
            .ip_or_hostname(url.host.as_str())
            .tcp_port(url.port)
            .user(Some(url.user.as_str()))
            .pass(Some(url.password.reveal()))
            .db_name(Some(url.database.as_str()).filter(|name| !name.is_empty()))
            .connect_attribute("program_name", "cdc")
            .tcp_keepalive(Some(KEEPALIVE))
            // A unix socket found through a TCP connection would leave TLS and the host name aside.
            .prefer_socket(false)
            .max_allowed_packet(Some(LARGEST_PACKET))
            .wait_timeout(Some(WAIT_TIMEOUT_SECONDS))
            .stmt_cache_size(PREPARED_STATEMENTS);
        Ok(Connector {
            options,
            tls: tls(url)?,
            accepted_name: Mutex::default(),
            accepts_any_name: url.tls == TlsMode::VerifyCa,
            place: format!("{}:{}", url.host, url.port),
        })
    }

    /// A connection set up for reading, then by `more`.
    ///
    /// Errors: `Unavailable` (host and port named), `Permission` (wrong credentials), `Config` (no such
    /// database, TLS not to be had).
    pub(super) async fn connect(&self, more: &[&str]) -> Result<Conn> {
        let made = tokio::time::timeout(CONNECT_WITHIN, async {
            let mut conn = self.admitted().await?;
            for statement in SET_UP.iter().chain(more) {
                conn.query_drop(*statement).await?;
            }
            Ok(conn)
        });
        match made.await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(self.explained(error)),
            Err(_) => {
                let within = format!("no answer within {} s", CONNECT_WITHIN.as_secs());
                Err(self.unreachable(Error::new(Kind::Unavailable, "connecting").because(within)))
            }
        }
    }

    /// A connection that is logged in. The driver checks a certificate's name or nothing of it; where any name
    /// is accepted, it is told to expect one that a certificate with a sound chain was found to carry.
    async fn admitted(&self) -> Result<Conn, mysql_async::Error> {
        let error = match Conn::new(self.options()).await {
            Err(error) if self.accepts_any_name => error,
            answer => return answer,
        };
        let names = refusal(&error).and_then(names_presented);
        let Some(name) = names.and_then(|names| names.into_iter().next()) else {
            return Err(error);
        };
        *self.accepted_name() = Some(name.replace('*', "any"));
        Conn::new(self.options()).await
    }

    fn options(&self) -> Opts {
        let tls = self
            .tls
            .clone()
            .map(|tls| match self.accepted_name().clone() {
                Some(name) => tls.with_danger_tls_hostname_override(Some(name)),
                None => tls,
            });
        self.options.clone().ssl_opts(tls).into()
    }

    fn accepted_name(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.accepted_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn explained(&self, error: mysql_async::Error) -> Error {
        let error = failure(error, "connecting");
        if error.kind() == Kind::Unavailable && error.next_step().is_none() {
            return self.unreachable(error);
        }
        error.about(format_args!("mariadb at {}", self.place))
    }

    fn unreachable(&self, error: Error) -> Error {
        error.about(format_args!("mariadb at {}", self.place)).hint(
            "check host and port of the source's `url`, and that the server runs and listens there",
        )
    }
}

/// How TLS is spoken; `None` where it is not.
fn tls(url: &DatabaseUrl) -> Result<Option<SslOpts>> {
    if url.tls == TlsMode::Disable {
        return Ok(None);
    }
    // rustls takes the process's provider; whoever installed one before has chosen it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut options = SslOpts::default();
    if let Some(identity) = &url.tls_identity {
        // Looked at here for the message's sake; the driver reads them again for each connection.
        read_identity(&identity.certificate, &identity.key)?;
        let (certificate, key) = (identity.certificate.clone(), identity.key.clone());
        options =
            options.with_client_identity(Some(ClientIdentity::new(certificate.into(), key.into())));
    }
    if url.tls == TlsMode::RequireNoVerify {
        return Ok(Some(
            options
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        ));
    }
    let authorities = match &url.tls_ca {
        Some(path) => {
            read_certificates(path, "certificate authorities")?;
            vec![path.clone().into()]
        }
        None => rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|cert| cert.to_vec().into())
            .collect(),
    };
    // Without a system store (a bare container image) the authorities compiled in are the next best.
    let keep_built_in = authorities.is_empty();
    Ok(Some(
        options
            .with_root_certs(authorities)
            .with_disable_built_in_roots(!keep_built_in),
    ))
}

/// Closes a connection at once, even in the middle of a result: the server notices when it writes on.
pub(super) fn close(conn: Conn) {
    // Waiting would read the rest of the result first. Begun and let go, the socket closes with the future.
    let _ = conn.disconnect().now_or_never();
}

/// The connection, if it still stands: one that was not used for a while is asked.
async fn standing(mut conn: Conn, unused_since: Instant) -> Option<Conn> {
    let fresh = unused_since.elapsed() < FRESH_FOR;
    let answers = async |conn: &mut Conn| {
        let answer = tokio::time::timeout(CONNECT_WITHIN, conn.ping()).await;
        matches!(answer, Ok(Ok(())))
    };
    if !conn.is_disconnected() && (fresh || answers(&mut conn).await) {
        return Some(conn);
    }
    close(conn);
    None
}

/// The connections sessions share.
pub(super) struct Pool {
    connector: Arc<Connector>,
    permits: Arc<Semaphore>,
    /// The most recently used last: it is taken first, so that the others can be closed by the server.
    idle: Mutex<Vec<(Conn, Instant)>>,
}

impl Pool {
    pub(super) fn new(connector: Arc<Connector>, connections: usize) -> Self {
        Pool {
            connector,
            permits: Arc::new(Semaphore::new(connections.max(1))),
            idle: Mutex::default(),
        }
    }

    /// A connection of its own until it is dropped; waits until one is free.
    pub(super) async fn borrow(self: &Arc<Self>) -> Result<Borrowed> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit
            .map_err(|error| Error::new(Kind::Bug, "waiting for a connection").because(error))?;
        while let Some((conn, unused_since)) = self.pop_idle() {
            if let Some(conn) = standing(conn, unused_since).await {
                return Ok(self.lend(conn, permit));
            }
        }
        let conn = self.connector.connect(&[]).await?;
        Ok(self.lend(conn, permit))
    }

    fn lend(self: &Arc<Self>, conn: Conn, permit: OwnedSemaphorePermit) -> Borrowed {
        Borrowed {
            conn: Some(conn),
            pool: Arc::clone(self),
            reusable: true,
            _permit: permit,
        }
    }

    fn pop_idle(&self) -> Option<(Conn, Instant)> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn put_back(&self, conn: Conn) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((conn, Instant::now()));
    }
}

/// A connection of the pool. Goes back when it is dropped, or is closed if it is not `reusable`.
pub(super) struct Borrowed {
    conn: Option<Conn>,
    pool: Arc<Pool>,
    reusable: bool,
    // Declared last: the next one may only connect when this one is back or closed.
    _permit: OwnedSemaphorePermit,
}

impl Borrowed {
    /// The connection, and whether it may be used by somebody else afterwards.
    pub(super) fn parts(&mut self) -> Result<(&mut Conn, &mut bool)> {
        match &mut self.conn {
            Some(conn) => Ok((conn, &mut self.reusable)),
            None => Err(Error::new(
                Kind::Bug,
                "using a connection that was given back",
            )),
        }
    }
}

/// Asks, over another connection, whether the server is at work on one that says nothing.
pub(super) struct Watch {
    connector: Arc<Connector>,
    connection: u32,
}

impl Borrowed {
    /// Who watches over this connection.
    pub(super) fn watch(&self) -> Watch {
        Watch {
            connector: Arc::clone(&self.pool.connector),
            connection: self.conn.as_ref().map_or(0, Conn::id),
        }
    }
}

impl Watch {
    /// Waits for an answer that may take long, as rows may. A connection whose other side is gone without a word gives
    /// none.
    pub(super) async fn heard<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        let mut answer = std::pin::pin!(answer);
        // Most answers are there: no clock is asked for them.
        if let Some(answer) = poll_immediate(&mut answer).await {
            return Ok(answer);
        }
        loop {
            match tokio::time::timeout(SILENCE, &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(_) => self.is_at_work().await?,
            }
        }
    }

    async fn is_at_work(&self) -> Result<()> {
        let doing = "waiting for an answer";
        let mut conn = self.connector.connect(&[]).await?;
        let own = conn.id();
        let asked = conn.exec_first(AT_WORK, (self.connection,));
        let found: Option<(u32, Option<i32>)> = tokio::time::timeout(ANSWER_WITHIN, asked)
            .await
            .map_err(|_| silent(doing))?
            .map_err(|error| failure(error, doing))?;
        close(conn);
        match found {
            // What stands between gives connections numbers of its own: nothing can be said.
            Some((number, _)) if number != own => Ok(()),
            Some((_, Some(1))) => Ok(()),
            _ => Err(silent(doing)),
        }
    }
}

/// The number of this connection, and whether that one runs a statement and does not merely wait for us to read.
const AT_WORK: &str = "SELECT CONNECTION_ID(), \
     (SELECT COMMAND <> 'Sleep' AND COALESCE(STATE, '') <> 'Writing to net' \
      FROM information_schema.PROCESSLIST WHERE ID = ?)";

/// The other side says nothing.
pub(super) fn silent(doing: &str) -> Error {
    Error::new(Kind::Unavailable, doing)
        .code(crate::error::Code::NO_ANSWER)
        .because("no answer came")
        .hint("see that the server runs and that nothing on the way swallows what is sent; it is tried again by itself")
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            if self.reusable && !conn.is_disconnected() {
                self.pool.put_back(conn);
            } else {
                close(conn);
            }
        }
    }
}

/// One connection that several users take turns with; it is made anew when it was lost.
pub(super) struct Line {
    connector: Arc<Connector>,
    set_up: &'static [&'static str],
    state: tokio::sync::Mutex<LineState>,
}

struct LineState {
    conn: Option<Conn>,
    used: Instant,
}

impl Line {
    /// `set_up` runs on each new connection, after what all connections are set to.
    pub(super) fn new(connector: Arc<Connector>, set_up: &'static [&'static str]) -> Self {
        Line {
            connector,
            set_up,
            state: tokio::sync::Mutex::new(LineState {
                conn: None,
                used: Instant::now(),
            }),
        }
    }

    /// Waits for its turn. A user that stops half-way leaves at most a small result, which the next one skips.
    pub(super) async fn lock(&self) -> HeldLine<'_> {
        HeldLine {
            connector: &self.connector,
            set_up: self.set_up,
            state: self.state.lock().await,
        }
    }
}

/// A turn with a [`Line`].
pub(super) struct HeldLine<'a> {
    connector: &'a Connector,
    set_up: &'static [&'static str],
    state: MutexGuard<'a, LineState>,
}

impl HeldLine<'_> {
    /// An answer that was waited for with [`ANSWER_WITHIN`]. If it did not come, the connection is not used again.
    pub(super) fn answered<T>(
        &mut self,
        answer: std::result::Result<Result<T>, tokio::time::error::Elapsed>,
        doing: &str,
    ) -> Result<T> {
        answer.unwrap_or_else(|_| {
            if let Some(conn) = self.state.conn.take() {
                close(conn);
            }
            Err(silent(doing))
        })
    }

    /// The connection, made if there is none.
    pub(super) async fn open(&mut self) -> Result<&mut Conn> {
        let kept = match self.state.conn.take() {
            Some(conn) => standing(conn, self.state.used).await,
            None => None,
        };
        let conn = match kept {
            Some(conn) => conn,
            None => self.connector.connect(self.set_up).await?,
        };
        self.state.used = Instant::now();
        Ok(self.state.conn.insert(conn))
    }
}
