//! The horizon: what the server shows of its writers, read once for all tables of a source.
//!
//! `INNODB_TRX` is a cache that the server renews only after 100 ms in which nobody read it: readers that come
//! more often, ours or a monitor's, see the same old list for ever. So one reader per source asks for all
//! guards, at a pace, and believes a list only if its own statement, marked by a fresh word, is in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use rand::Rng;
use tokio::sync::Mutex;

use super::calendar::instant_text;
use super::connect::{ANSWER_WITHIN, HeldLine, Line};
use super::describe::get;
use super::failure::{self, NEEDS_PRIVILEGE, failure};
use super::session::instant;
use super::tickets::{Blocker, Sighting};
use crate::error::{Error, Kind, Result};
use crate::model::Micros;

/// The shortest pause between two readings: twice what the cache needs.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest pause, when others read the list as well.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The pause before an old list is asked for again; the cache is renewed after 100 ms.
const STALE_PAUSE: Duration = Duration::from_millis(120);
/// A list that is still old after this is not to be had.
const STARVED_AFTER: Duration = Duration::from_secs(3);
/// How long a starved list is left alone, so that guards do not wait for it at every poll.
const LEFT_ALONE: Duration = Duration::from_secs(15);
/// Ids from here on were made up for read-only transactions by old servers.
const NO_WRITER_FROM: u64 = 1 << 48;

/// The clock is taken when the statement starts, before the list is made: a start computed from it is never
/// later than the real one.
const RUNNING: &str = "SELECT NOW(6), ID, COMMAND, USER, HOST, DB, CAST(TIME_MS * 1000 AS SIGNED) \
     FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()";
/// The clock, and what makes transactions of two readings comparable, beside the connection.
const WHEN_AND_WHERE: &str = "SELECT NOW(6), CONCAT(@@hostname, ':', @@port, '/', @@server_id)";

/// What a reading found out.
#[derive(Clone, Debug)]
pub(super) enum Sight {
    Seen(Arc<Reading>),
    /// The account has no PROCESS privilege.
    Denied,
    /// Somebody else reads the list so often that it is never renewed.
    Starved,
}

/// One look at the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) sighting: Sighting,
    /// The server applies changes of another one.
    pub(super) is_replica: bool,
    /// Each thread's user, host and database, in words.
    who: BTreeMap<u64, String>,
    /// When each writing transaction began, in whole seconds.
    began: BTreeMap<u64, Micros>,
}

impl Reading {
    /// The blocker in words for people.
    pub(super) fn words(&self, blocker: Blocker) -> String {
        let who = match blocker.thread {
            0 => "a prepared transaction without a connection".to_owned(),
            thread => {
                let who = self.who.get(&thread).map_or("", String::as_str);
                format!("connection {thread}{who}")
            }
        };
        match blocker.writer.and_then(|writer| self.began.get(&writer)) {
            Some(began) => format!("{who}, in a transaction since {}", instant_text(*began)),
            None => format!(
                "{who}, in a statement since before {}",
                instant_text(blocker.at)
            ),
        }
    }
}

/// The one reader of a source.
pub(super) struct Horizon {
    line: Line,
    /// The account `cdc` logs in with.
    user: String,
    state: Mutex<State>,
}

struct State {
    last: Option<(Instant, Sight)>,
    ended: Option<Instant>,
    pause: Duration,
}

impl Horizon {
    pub(super) fn new(line: Line, user: String) -> Self {
        Horizon {
            line,
            user,
            state: Mutex::new(State {
                last: None,
                ended: None,
                pause: PAUSE,
            }),
        }
    }

    /// A reading that began after this call; several callers share one.
    pub(super) async fn look(&self) -> Result<Sight> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some((began, sight)) = &state.last {
            let left_alone = matches!(sight, Sight::Starved) && began.elapsed() < LEFT_ALONE;
            if *began >= asked || left_alone {
                return Ok(sight.clone());
            }
        }
        let pause = state.pause.mul_f64(rand::rng().random_range(1.0..1.5));
        if let Some(ended) = state.ended {
            tokio::time::sleep(pause.saturating_sub(ended.elapsed())).await;
        }
        let began = Instant::now();
        let (sight, tries) = self.read().await?;
        state.pause = if tries > 1 {
            state.pause.mul_f64(1.5)
        } else {
            state.pause.mul_f64(0.9)
        };
        state.pause = state.pause.clamp(PAUSE, LONGEST_PAUSE);
        if matches!(sight, Sight::Starved) {
            tracing::warn!("another reader of INNODB_TRX keeps the server from renewing it");
        }
        state.ended = Some(Instant::now());
        state.last = Some((began, sight.clone()));
        Ok(sight)
    }

    /// The server's clock.
    pub(super) async fn now(&self) -> Result<Micros> {
        let doing = "reading the server's clock";
        let mut held = self.line.lock().await;
        let answer = async {
            let asked = held.open().await?.exec_first("SELECT NOW(6)", ());
            asked.await.map_err(|error| failure(error, doing))
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        let now: Option<Value> = held.answered(answer, doing)?;
        now.as_ref()
            .and_then(instant)
            .ok_or_else(|| Error::new(Kind::Bug, doing))
    }

    /// Reads statements, then transactions, and how often the latter took.
    async fn read(&self) -> Result<(Sight, u32)> {
        let mut held = self.line.lock().await;
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.read_by(&mut held)).await;
        held.answered(answer, "listing open transactions")
    }

    async fn read_by(&self, held: &mut HeldLine<'_>) -> Result<(Sight, u32)> {
        let conn = held.open().await?;
        let mut reading = Reading::default();
        running(conn, &mut reading).await?;
        let started = Instant::now();
        for tries in 1.. {
            match transactions(conn, &self.user, &mut reading).await? {
                Listing::Fresh => return Ok((Sight::Seen(Arc::new(reading)), tries)),
                Listing::Denied => return Ok((Sight::Denied, tries)),
                Listing::Old if started.elapsed() > STARVED_AFTER => break,
                Listing::Old => {
                    let jitter = rand::rng().random_range(1.0..2.0);
                    tokio::time::sleep(STALE_PAUSE.mul_f64(jitter)).await;
                }
            }
        }
        Ok((Sight::Starved, u32::MAX))
    }
}

/// Reads the clock, then every session that does something.
async fn running(conn: &mut Conn, reading: &mut Reading) -> Result<()> {
    let doing = "listing running statements";
    let first: Option<Row> = conn
        .exec_first(WHEN_AND_WHERE, ())
        .await
        .map_err(|error| failure(error, doing))?;
    let first = first.ok_or_else(|| Error::new(Kind::Bug, doing))?;
    let (at, place): (Value, String) = (get(&first, 0, doing)?, get(&first, 1, doing)?);
    reading.sighting.at = instant(&at).ok_or_else(|| Error::new(Kind::Bug, doing))?;
    reading.sighting.since = format!("{place} by connection {}", conn.id());
    let rows: Vec<Row> = conn
        .exec(RUNNING, ())
        .await
        .map_err(|error| failure(error, doing))?;
    for row in &rows {
        let at = row
            .as_ref(0)
            .and_then(instant)
            .unwrap_or(reading.sighting.at);
        let thread: u64 = get(row, 1, doing)?;
        let command: String = get::<Option<String>>(row, 2, doing)?.unwrap_or_default();
        let (user, host): (Option<String>, Option<String>) =
            (get(row, 3, doing)?, get(row, 4, doing)?);
        let database: Option<String> = get(row, 5, doing)?;
        let (user, host) = (user.unwrap_or_default(), host.unwrap_or_default());
        let database = database.map_or(String::new(), |name| format!(", database `{name}`"));
        reading
            .who
            .insert(thread, format!(" of `{user}` from `{host}`{database}"));
        match command.as_str() {
            // Waiting for a client, or serving the server itself or its replicas; none of them writes a row.
            "Sleep" | "Daemon" | "Binlog Dump" | "Slave_IO" => {}
            "Slave_SQL" | "Slave_worker" => reading.is_replica = true,
            _ => {
                let running_for: Option<i64> = get(row, 6, doing)?;
                reading
                    .sighting
                    .running
                    .insert(thread, at - running_for.unwrap_or(0).max(0));
            }
        }
    }
    Ok(())
}

enum Listing {
    Fresh,
    Old,
    Denied,
}

/// Reads the list of transactions, and proves that it was made for this very statement.
async fn transactions(conn: &mut Conn, user: &str, reading: &mut Reading) -> Result<Listing> {
    let doing = "listing open transactions";
    let nonce: u64 = rand::rng().random();
    // Only a transaction is listed. A comment cannot be bound, so this statement is sent as text; what is
    // spliced is a number of ours.
    let sql = format!(
        "SELECT /*cdc:{nonce:016x}*/ CAST(trx_id AS UNSIGNED), trx_mysql_thread_id, trx_is_read_only, trx_started, \
         IF(trx_mysql_thread_id = CONNECTION_ID(), trx_query, NULL) FROM information_schema.INNODB_TRX"
    );
    conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        .await
        .map_err(|e| failure(e, doing))?;
    let rows: std::result::Result<Vec<Row>, mysql_async::Error> = conn.query(sql).await;
    let warnings = conn.get_warnings();
    conn.query_drop("COMMIT")
        .await
        .map_err(|error| failure(error, doing))?;
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) if failure::code(&error) == Some(NEEDS_PRIVILEGE) => return Ok(Listing::Denied),
        Err(error) => return Err(failure(error, doing)),
    };
    let (own, mark) = (u64::from(conn.id()), format!("cdc:{nonce:016x}"));
    let (mut fresh, mut writers, mut began, mut readers) =
        (false, BTreeMap::new(), BTreeMap::new(), Vec::new());
    for row in &rows {
        let (id, thread): (u64, u64) = (get(row, 0, doing)?, get(row, 1, doing)?);
        let query: Option<String> = get(row, 4, doing)?;
        fresh |= thread == own && query.is_some_and(|query| query.contains(&mark));
        if get::<u64>(row, 2, doing)? != 0 {
            readers.push(thread);
        }
        if id > 0 && id < NO_WRITER_FROM {
            writers.insert(id, thread);
            let text: Option<String> = get(row, 3, doing)?;
            began.extend(
                text.and_then(|text| parse_instant(&text))
                    .map(|at| (id, at)),
            );
        }
    }
    // A list of many thousand transactions is cut short, with a warning.
    if !fresh || warnings > 0 {
        return Ok(Listing::Old);
    }
    // Our own readers, here and in other workers: a load of an hour must not hold the bound back. Whoever is in
    // a read-only transaction now is past every statement it ran before.
    readers.retain(|thread| {
        reading
            .who
            .get(thread)
            .is_some_and(|who| who.starts_with(&format!(" of `{user}` ")))
    });
    for thread in readers {
        reading.sighting.running.remove(&thread);
    }
    (reading.sighting.writers, reading.began) = (writers, began);
    Ok(Listing::Fresh)
}

/// `2026-10-01 14:03:59`, as the text protocol gives it.
fn parse_instant(text: &str) -> Option<Micros> {
    let mut numbers = text
        .split(['-', ' ', ':'])
        .map(|part| part.parse::<u16>().ok());
    let mut next = || numbers.next().flatten();
    let (year, month, day) = (next()?, next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let small = |number: u16| u8::try_from(number).ok();
    super::calendar::micros(
        (year, small(month)?, small(day)?),
        (small(hour)?, small(minute)?, small(second)?),
        0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocker_is_named_with_who_where_and_since_when() {
        let mut reading = Reading::default();
        reading.who.insert(
            7,
            " of `till` from `10.0.0.7:5000`, database `tills`".into(),
        );
        reading
            .began
            .extend(parse_instant("2026-10-01 14:03:59").map(|at| (70, at)));
        let blocker = Blocker {
            at: 0,
            writer: Some(70),
            thread: 7,
        };
        assert_eq!(
            reading.words(blocker),
            "connection 7 of `till` from `10.0.0.7:5000`, database `tills`, in a transaction since 2026-10-01 14:03:59 UTC"
        );
        let blocker = Blocker {
            at: 0,
            writer: Some(71),
            thread: 0,
        };
        assert_eq!(
            reading.words(blocker),
            "a prepared transaction without a connection, in a statement since before 1970-01-01 00:00:00 UTC"
        );
    }
}
