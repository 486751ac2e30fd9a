//! Looks at one database: whether it lets us in, and what it says of each chosen table.

use std::time::Instant;

use futures_util::StreamExt;
use jiff::Timestamp;

use super::advice::{Advice, advice};
use super::patience::Patience;
use super::size::bytes_of;
use crate::config::{self, DatabaseKind, LakeSettings, SourceSettings, is_problem_meant};
use crate::error::{Error, Kind, Result};
use crate::lake::Layout;
use crate::model::GuardClass;
use crate::source::{
    Choice, Chosen, GuardOptions, Readable, Select, Source, choose, class_of, configured_in,
    describe_chosen, open_source, readable_of,
};

/// Tables looked at side by side.
const AT_ONCE: usize = 8;

/// What a database says of itself.
#[derive(Clone, Debug)]
pub struct Login {
    pub version: String,
    pub took_ms: u128,
    /// How far its clock is ahead of ours, in milliseconds.
    pub clock_ahead_ms: i64,
}

/// A chosen table and what was found of it.
pub struct Examined {
    pub chosen: Chosen,
    pub found: Result<Found>,
}

/// A table that can be read.
pub struct Found {
    pub readable: Readable,
    /// `None` for a bulk table.
    pub guard: Result<Option<GuardClass>>,
    pub advice: Vec<Advice>,
    /// What it takes in its database, where that was asked and is known.
    pub bytes: Option<u64>,
}

/// A database and its tables.
pub struct Look {
    pub source: String,
    pub login: Result<Login>,
    /// Choices that mean no table.
    pub problems: Vec<Error>,
    /// Blocks that count for nothing.
    pub doubles: Vec<Error>,
    /// Every table that is chosen, also those that were not looked at.
    pub names: Vec<String>,
    /// In the order of the choices.
    pub tables: Vec<Examined>,
}

/// What is looked at, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Narrow<'a> {
    /// Names and globs; none: every table.
    pub tables: &'a [String],
    pub patience: Patience,
    /// Whether it is asked how large each table is.
    pub with_sizes: bool,
}

/// Looks at a database. Never fails as a whole, and never takes long.
pub async fn look_at(
    settings: &SourceSettings,
    topic_prefix: &str,
    lake: &LakeSettings,
    narrow: Narrow<'_>,
) -> Look {
    let patience = narrow.patience;
    let mut look = Look {
        source: settings.name.clone(),
        login: Err(Error::new(Kind::Bug, "it was not asked")),
        problems: Vec::new(),
        doubles: Vec::new(),
        names: Vec::new(),
        tables: Vec::new(),
    };
    let source = match open_source(settings) {
        Ok(source) => source,
        Err(error) => {
            look.login = Err(error);
            return look;
        }
    };
    let source = source.as_ref();
    let login = patience.wait("logging in", log_in(settings, source)).await;
    look.login = login.map_err(|error| match (error.kind(), error.next_step()) {
        (Kind::Unavailable, None) => error.hint(
            "check host and port of the source's `url`, and that the server runs and listens there",
        ),
        _ => error,
    });
    if look.login.is_err() {
        return look;
    }
    let listing = choose(settings, source, topic_prefix);
    match patience.wait("listing tables", listing).await {
        Ok(mut choice) => {
            let configured = configured_in(settings, topic_prefix);
            add_hidden(&mut choice, &configured, source, patience).await;
            let names = choice.tables.iter().map(|table| table.name.to_string());
            look.names = names.collect();
            choice
                .tables
                .retain(|table| config::is_meant(narrow.tables, &table.name));
            // What is wrong with other tables is no answer to a question about one.
            let is_meant = |problem: &Error| match problem.subject() {
                Some(subject) => is_problem_meant(narrow.tables, subject),
                None => true,
            };
            (look.problems, look.doubles) = (choice.problems, choice.doubles);
            look.problems.retain(is_meant);
            look.doubles.retain(is_meant);
            let examined = choice.tables.into_iter().map(|chosen| async move {
                let doing = "looking at the table";
                let found = examine(settings, source, lake, &chosen, narrow.with_sizes);
                let found = patience.wait(doing, found).await;
                let found = found.map_err(|error| error.about(&chosen.name));
                Examined { chosen, found }
            });
            look.tables = futures_util::stream::iter(examined)
                .buffered(AT_ONCE)
                .collect()
                .await;
        }
        Err(error) => look.problems.push(error.about(&settings.name)),
    }
    look
}

/// A database may leave out what the role cannot read, and then the table seems not to exist. Asked by its name,
/// it says which GRANT is missing: such tables are looked at like the others.
async fn add_hidden(
    choice: &mut Choice,
    configured: &[Chosen],
    source: &dyn Source,
    patience: Patience,
) {
    for hidden in configured {
        // What a name means may be another table than it seems: a dot can be part of it.
        let mut found = choice.tables.iter();
        if found.any(|table| hidden.settings.means(&table.name)) {
            continue;
        }
        let described = describe_chosen(source, hidden);
        let described = patience.wait("looking at the table", described).await;
        if described.is_err_and(|error| error.kind() == Kind::Permission) {
            let about = format!("{}.{}: ", hidden.name.source, hidden.settings.pattern);
            let is_other = |problem: &Error| !problem.to_string().starts_with(&about);
            choice.problems.retain(is_other);
            choice.tables.push(hidden.clone());
        }
    }
}

async fn log_in(settings: &SourceSettings, source: &dyn Source) -> Result<Login> {
    let began = Instant::now();
    let mut session = source.session().await?;
    let took_ms = began.elapsed().as_millis();
    let before = Timestamp::now().as_microsecond();
    let theirs = session.server_time().await?;
    let ours = (before + Timestamp::now().as_microsecond()) / 2;
    let version = session.integer(&version_select(settings.url.kind)).await?;
    Ok(Login {
        version: version_in_words(settings.url.kind, version.unwrap_or_default()),
        took_ms,
        clock_ahead_ms: (theirs - ours) / 1000,
    })
}

/// The server's version as one number.
fn version_select(kind: DatabaseKind) -> Select {
    let sql = match kind {
        DatabaseKind::Postgres => "SELECT pg_catalog.current_setting('server_version_num')::int8",
        // 10.11.6-MariaDB-… is 101106.
        DatabaseKind::MariaDb => {
            "SELECT CAST(SUBSTRING_INDEX(v, '.', 1) * 10000 \
             + SUBSTRING_INDEX(SUBSTRING_INDEX(v, '.', 2), '.', -1) * 100 \
             + SUBSTRING_INDEX(SUBSTRING_INDEX(v, '.', 3), '.', -1) AS SIGNED) \
             FROM (SELECT SUBSTRING_INDEX(VERSION(), '-', 1) AS v) AS t"
        }
    };
    Select {
        sql: sql.to_owned(),
        params: Vec::new(),
    }
}

fn version_in_words(kind: DatabaseKind, version: i128) -> String {
    let (major, rest) = (version / 10_000, version % 10_000);
    match kind {
        DatabaseKind::Postgres => format!("PostgreSQL {major}.{rest}"),
        DatabaseKind::MariaDb => format!("MariaDB {major}.{}.{}", rest / 100, rest % 100),
    }
}

async fn examine(
    settings: &SourceSettings,
    source: &dyn Source,
    lake: &LakeSettings,
    chosen: &Chosen,
    with_size: bool,
) -> Result<Found> {
    let table = &chosen.settings;
    let dialect = source.dialect();
    let readable = readable_of(source, chosen, &settings.time_zone).await?;
    let null_partition = table.null_partition.as_deref();
    let (by, zone) = (&table.partition_by, &settings.time_zone);
    let spec = Layout::spec(by, zone, &lake.day_in, null_partition);
    Layout::bind(&spec, &readable.table.schema)?;
    let bytes = match with_size {
        // It is for people: where it is not told, the plan stands without it.
        true => bytes_of(source, &chosen.name).await.unwrap_or_default(),
        false => None,
    };
    Ok(Found {
        bytes,
        guard: guard_class(source, chosen, &readable).await,
        advice: advice(dialect, &readable),
        readable,
    })
}

/// Asks the guard once: only then does it know what it can rest on.
async fn guard_class(
    source: &dyn Source,
    chosen: &Chosen,
    readable: &Readable,
) -> Result<Option<GuardClass>> {
    let Some(column) = readable.cursor_column() else {
        return Ok(None);
    };
    let lookback = chosen.settings.lookback;
    let options = GuardOptions { lookback };
    let mut guard = source.guard(&readable.table, column, options).await?;
    class_of(guard.as_mut(), readable.mode).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_as_its_makers_write_it() {
        let postgres = version_in_words(DatabaseKind::Postgres, 150_018);
        let mariadb = version_in_words(DatabaseKind::MariaDb, 101_119);
        assert_eq!(
            (postgres.as_str(), mariadb.as_str()),
            ("PostgreSQL 15.18", "MariaDB 10.11.19")
        );
    }
}
