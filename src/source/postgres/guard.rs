//! What proves that no late row can still appear behind a cursor.
//!
//! Incrementing: whoever inserts a row holds a write lock on the table before it draws an id, and lets go of it
//! only once the row can be seen. So the holders, collected after the highest id was read, are all that can still
//! fill a gap below it.
//!
//! Timestamps: a row's time is not before its transaction's start. Below the oldest start of *all* sessions no row
//! can still appear; the writers of the table alone would not do, because a transaction that began long ago may
//! write to it only now.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connect::{Connection, Database, cell};
use super::decode::Raw;
use super::describe;
use super::horizon::{Activity, Horizon};
use super::read;
use crate::error::{Error, Kind, Result};
use crate::model::{ColumnType, GuardClass, Micros, TableName};
use crate::source::{Described, Evidence, Guard, GuardOptions, RelationKind, SafeBound};

const DOING: &str = "collecting evidence";
pub(super) const FOREIGN_IDS: &str = "its ids are not drawn from a sequence by the INSERT itself";
pub(super) const STANDBY: &str =
    "a standby shows neither the locks nor the sessions of its primary";

/// The relation `$1`, all above it and all below it. A row may be written through any of them.
macro_rules! tree {
    () => {
        "WITH RECURSIVE
            up AS (SELECT $1::oid AS oid UNION SELECT i.inhparent FROM pg_inherits i JOIN up ON i.inhrelid = up.oid),
            down AS (SELECT $1::oid AS oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN down ON i.inhparent = down.oid),
            tree AS (SELECT oid FROM up UNION SELECT oid FROM down)"
    };
}

/// Who holds a write on the tree. A prepared transaction has no process.
const WRITERS: &str = concat!(
    tree!(),
    ", writers AS (
        SELECT DISTINCT virtualtransaction AS holder, pid IS NULL AS prepared FROM pg_locks
        WHERE locktype = 'relation' AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND relation IN (SELECT oid FROM tree)
          AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
    SELECT EXISTS (SELECT FROM pg_class WHERE oid = $1), pg_is_in_recovery(), pg_postmaster_start_time()::text,
           ARRAY(SELECT holder FROM writers)::text[], ARRAY(SELECT holder FROM writers WHERE prepared)::text[]"
);

/// What all sessions do. The server's time is the statement's own, taken before the sessions are looked at.
/// `$2`: this process's sessions; they are read-only, as is a role that has no right to write here.
const ACTIVITY: &str = concat!(
    tree!(),
    ", own AS (
        SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user
          AND NOT EXISTS (SELECT FROM tree WHERE has_table_privilege(oid, 'INSERT, UPDATE, DELETE')
                                              OR has_any_column_privilege(oid, 'INSERT, UPDATE'))),
    session AS MATERIALIZED (
        SELECT pid, usename::text, application_name, state,
               coalesce(query = '<insufficient privilege>' OR state = 'disabled', false) AS hidden,
               least(xact_start, CASE WHEN state IN ('active', 'fastpath function call') THEN query_start END) AS since
        FROM pg_stat_activity
        WHERE datname = current_database() AND NOT coalesce(usesysid IN (SELECT oid FROM own), false)
          AND coalesce(pid::text || '/' || backend_start::text <> ALL ($2), true)
          AND (backend_type IS NULL
               OR backend_type NOT IN ('autovacuum worker', 'walsender', 'checkpointer', 'walwriter', 'background writer')))
    SELECT statement_timestamp(), pg_is_in_recovery(), pg_last_xact_replay_timestamp(),
           pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AND NOT EXISTS (SELECT FROM session WHERE hidden),
           oldest.since, oldest.pid, oldest.usename, oldest.application_name, oldest.state
    FROM (SELECT) one
    LEFT JOIN (SELECT * FROM session WHERE since IS NOT NULL ORDER BY since LIMIT 1) oldest ON true"
);

/// Whether rows arrive by logical replication, and whether they lie on another server: both are written where
/// nothing of it can be seen here.
const ELSEWHERE: &str = concat!(
    tree!(),
    " SELECT EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid IN (SELECT oid FROM tree)),
             EXISTS (SELECT FROM pg_class c JOIN tree ON tree.oid = c.oid WHERE c.relkind = 'f')"
);

/// The guard of one table and cursor column.
pub(super) struct PostgresGuard {
    database: Arc<Database>,
    table: TableName,
    relation: u32,
    lookback: Duration,
    /// What is known to be wrong for as long as the table is what it is.
    flaw: Option<String>,
    /// Why neither locks nor sessions tell who writes.
    blind: Option<&'static str>,
    /// The column is not filled by a sequence of its own.
    foreign_ids: bool,
    class: GuardClass,
    horizon: Horizon,
}

impl PostgresGuard {
    pub async fn open(
        database: &Arc<Database>,
        table: &Described,
        column: &str,
        options: GuardOptions,
    ) -> Result<Self> {
        Self::opened(database, table, column, options)
            .await
            .map_err(|error| error.about(&table.name))
    }

    async fn opened(
        database: &Arc<Database>,
        table: &Described,
        column: &str,
        options: GuardOptions,
    ) -> Result<Self> {
        let found = table
            .schema
            .position(column)
            .and_then(|at| table.schema.columns.get(at));
        let Some(found) = found else {
            return Err(
                Error::new(Kind::Config, DOING).because(format!("there is no column `{column}`"))
            );
        };
        let is_time = matches!(
            found.column_type,
            ColumnType::Timestamp { .. } | ColumnType::Date
        );
        let relation = table
            .identity
            .get("relation")
            .and_then(|oid| oid.parse().ok());
        let relation = relation.ok_or_else(|| {
            Error::new(Kind::Bug, DOING).because("the relation's oid is not known")
        })?;
        let mut guard = PostgresGuard {
            database: database.clone(),
            table: table.name.clone(),
            relation,
            lookback: options.lookback,
            flaw: None,
            blind: matches!(table.kind, RelationKind::View | RelationKind::ForeignTable)
                .then_some("the writers of what is below a view are not looked for"),
            foreign_ids: false,
            class: GuardClass::Proven,
            horizon: Horizon::new(options.lookback),
        };
        let connection = database.guards().await?;
        guard.inspect(&connection, table, column, is_time).await?;
        // The first look settles the class, and for timestamps it is the base of what is prepared later.
        match is_time {
            true => drop(guard.look_for_bound(&connection).await?),
            false => drop(guard.look_for_writers(&connection).await?),
        }
        Ok(guard)
    }

    /// Finds what no evidence can make up for.
    async fn inspect(
        &mut self,
        connection: &Connection,
        table: &Described,
        column: &str,
        is_time: bool,
    ) -> Result<()> {
        let elsewhere = connection
            .query_one(DOING, ELSEWHERE, &[(&self.relation, Type::OID)])
            .await?;
        self.flaw = flaw(table.kind, cell(&elsewhere, 0)?, cell(&elsewhere, 1)?);
        if self.flaw.is_none() && !is_time {
            const NUMBER: &str =
                "SELECT attnum FROM pg_attribute WHERE attrelid = $1 AND attname = $2";
            let params = [(&self.relation as _, Type::OID), (&column as _, Type::TEXT)];
            let number: i16 = cell(&connection.query_one(DOING, NUMBER, &params).await?, 0)?;
            let sequences = describe::sequences(connection, self.relation).await?;
            let mut drawn = sequences
                .iter()
                .filter(|sequence| sequence.column == number)
                .peekable();
            self.foreign_ids = drawn.peek().is_none();
            self.flaw = drawn.find_map(|sequence| sequence.unsafe_because());
        }
        Ok(())
    }

    async fn look_for_writers(&mut self, connection: &Connection) -> Result<Evidence> {
        let row = connection
            .query_one(DOING, WRITERS, &[(&self.relation, Type::OID)])
            .await?;
        self.still_there(cell(&row, 0)?)?;
        if let Some(reason) = self.blind.or(cell::<bool>(&row, 1)?.then_some(STANDBY)) {
            self.classify(Some(self.assuming(reason)));
            return Ok(Evidence::Probe {
                held: Vec::new(),
                grace: self.lookback,
            });
        }
        self.classify(self.foreign_ids.then(|| FOREIGN_IDS.to_owned()));
        let (started, holders, prepared): (String, Vec<String>, Vec<String>) =
            (cell(&row, 2)?, cell(&row, 3)?, cell(&row, 4)?);
        Ok(Evidence::Writers {
            holders: holders.into_iter().collect(),
            joins_all: prepared.into_iter().collect(),
            since: format!("{started} {}", connection.identity),
        })
    }

    /// Activity first, then locks: a transaction that is prepared in between is seen as a holder.
    async fn look_for_bound(&mut self, connection: &Connection) -> Result<Option<SafeBound>> {
        let own = self.database.own_sessions();
        let params = [
            (&self.relation as _, Type::OID),
            (&own as _, Type::TEXT_ARRAY),
        ];
        let mut activity = read_activity(&connection.query_one(DOING, ACTIVITY, &params).await?)?;
        let row = connection
            .query_one(DOING, WRITERS, &[(&self.relation, Type::OID)])
            .await?;
        self.still_there(cell(&row, 0)?)?;
        let prepared: Vec<String> = cell(&row, 4)?;
        let reason = self
            .blind
            .map(str::to_owned)
            .or(activity.standby.then(|| STANDBY.to_owned()))
            .or_else(|| (!activity.complete).then(|| unseen_sessions(&self.database.role)));
        activity.complete &= self.blind.is_none();
        self.classify(reason.map(|reason| self.assuming(&reason)));
        Ok(self
            .horizon
            .advance(&activity, prepared.into_iter().collect()))
    }

    fn assuming(&self, reason: &str) -> String {
        assuming(self.lookback, reason)
    }

    fn classify(&mut self, assumption: Option<String>) {
        self.class = match (&self.flaw, assumption) {
            (Some(flaw), _) => GuardClass::Unsafe(flaw.clone()),
            (None, Some(assumption)) => GuardClass::Assumed(assumption),
            (None, None) => GuardClass::Proven,
        };
    }

    /// A table that was dropped or made anew has no writers, which would prove everything.
    fn still_there(&self, there: bool) -> Result<()> {
        match there {
            true => Ok(()),
            false => Err(Error::new(Kind::Config, DOING)
                .because("the table was dropped or made anew")
                .about(&self.table)
                .hint("describe it again")),
        }
    }
}

/// What no evidence can make up for, whatever the column.
pub(super) fn flaw(kind: RelationKind, is_replicated: bool, is_foreign: bool) -> Option<String> {
    let flaw = if kind == RelationKind::MaterializedView {
        "the rows of a materialized view appear when it is refreshed"
    } else if is_replicated {
        "rows arrive by logical replication, with ids and times from elsewhere"
    } else if is_foreign {
        "rows of a foreign table are written on another server"
    } else if kind == RelationKind::View {
        "rows of a view appear when what it joins and filters changes, whatever their own ids and times"
    } else {
        return None;
    };
    Some(flaw.to_owned())
}

/// What must be true instead of a proof, and why there is none.
pub(super) fn assuming(lookback: Duration, reason: &str) -> String {
    let lookback = match lookback.as_secs() {
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    };
    format!("no transaction stays open for longer than {lookback}; {reason}")
}

/// Why the sessions prove nothing to a role that does not see them all.
pub(super) fn unseen_sessions(role: &str) -> String {
    let role = super::quoted(role);
    format!("not all sessions can be seen: GRANT pg_read_all_stats TO {role}")
}

#[async_trait]
impl Guard for PostgresGuard {
    fn class(&self) -> GuardClass {
        self.class.clone()
    }

    async fn evidence(&mut self, _gaps: &[(i128, i128)]) -> Result<Evidence> {
        let connection = self.database.guards().await?;
        self.look_for_writers(&connection)
            .await
            .map_err(|error| error.about(&self.table))
    }

    async fn safe_bound(&mut self) -> Result<Option<SafeBound>> {
        let connection = self.database.guards().await?;
        self.look_for_bound(&connection)
            .await
            .map_err(|error| error.about(&self.table))
    }
}

fn read_activity(row: &Row) -> Result<Activity> {
    let time = |at: usize| -> Result<Option<Micros>> {
        let Raw(bytes) = cell(row, at)?;
        bytes
            .map(read::timestamp)
            .transpose()
            .map_err(|kind| Error::new(Kind::Data, DOING).because(kind))
    };
    let now = time(0)?
        .ok_or_else(|| Error::new(Kind::Bug, DOING).because("the server did not tell its time"))?;
    let oldest = match time(4)? {
        None => None,
        Some(since) => {
            let word = |at| Ok::<_, Error>(cell::<Option<String>>(row, at)?.unwrap_or_default());
            let pid: Option<i32> = cell(row, 5)?;
            let who = format!(
                "session {} of user `{}`, application `{}`, {}",
                pid.unwrap_or_default(),
                word(6)?,
                word(7)?,
                word(8)?
            );
            Some((since, who))
        }
    };
    Ok(Activity {
        now,
        standby: cell(row, 1)?,
        replayed: time(2)?,
        complete: cell(row, 3)?,
        oldest,
    })
}
