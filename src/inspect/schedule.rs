//! `schedule`: when tables are due, when they were loaded last, and which are late.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use super::broker::Broker;
use super::memory::{Remembered, remembered};
use super::named::must_be_some;
use super::patience::Patience;
use crate::config::{KafkaSettings, Settings, SourceSettings, is_meant};
use crate::error::Result;
use crate::model::{Mode, TableName};
use crate::source::{Chosen, choose, configured_in, open_source};
use crate::state::Head;

/// A load that begins this long after its tick is not late: workers look around every few seconds.
const GRACE: Duration = Duration::from_secs(60);

/// When tables are due.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineSchedule {
    pub pipeline: String,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Late ones first, then by what comes next.
    pub tables: Vec<TableSchedule>,
    /// What could not be found out.
    pub notes: Vec<String>,
}

/// When one table is due.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableSchedule {
    pub table: String,
    pub mode: Mode,
    /// The cron expression with its zone.
    pub schedule: Option<String>,
    pub every_seconds: Option<f64>,
    pub next: Vec<Tick>,
    pub last: Option<LastLoad>,
    /// Milliseconds since 1970: the tick that no load has followed.
    pub late_since: Option<i64>,
    pub paused: bool,
    pub error: Option<String>,
    /// What is remembered of it could not be read: `error` says why, and whether it is late is not known.
    #[serde(skip)]
    pub is_unknown: bool,
}

/// A moment at which a load is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tick {
    /// As clocks in the schedule's zone show it: `2026-11-30 02:30 +09:00 Asia/Seoul`.
    pub local: String,
    /// `2026-11-29 17:30 UTC`.
    pub utc: String,
    /// Milliseconds since 1970.
    pub at: i64,
}

impl Tick {
    /// Whether both clocks are one: saying it twice would say no more.
    pub fn is_in_utc(&self) -> bool {
        let zone = self.local.rsplit([' ', '/']).next();
        self.local.contains(" +00:00 ") && zone == Some("UTC")
    }
}

/// The newest load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastLoad {
    pub number: u64,
    /// Milliseconds since 1970.
    pub began_at: i64,
    pub rows: u64,
    /// Whether it goes on.
    pub open: bool,
}

/// Finds out when the tables are due that are loaded by a schedule or so often, or those that are named. Fails only
/// where no table is meant.
pub async fn schedule(
    settings: &Settings,
    client_id: &str,
    tables: &[String],
    count: usize,
) -> Result<PipelineSchedule> {
    let mut notes = Vec::new();
    let (chosen, known) = tokio::join!(tables_of(settings), heads(settings, client_id),);
    let (chosen, problems) = chosen;
    notes.extend(problems);
    let unread = known.as_ref().err().map(ToString::to_string);
    if let Some(error) = &unread {
        notes.push(format!(
            "{error}; when tables were loaded last is not known"
        ));
    }
    let known = known.unwrap_or_default();
    let all: Vec<String> = chosen
        .iter()
        .map(|chosen| chosen.name.to_string())
        .collect();
    let now = Timestamp::now();
    let mut found = Vec::new();
    for chosen in &chosen {
        let is_loaded = chosen.settings.mode == Mode::Bulk;
        if is_meant(tables, &chosen.name) && (is_loaded || !tables.is_empty()) {
            let head = match &unread {
                Some(error) => Err(error.clone()),
                None => head_of(&known, &chosen.name),
            };
            found.push(table_schedule(chosen, head, now, count)?);
        }
    }
    must_be_some(tables, found.len(), &all)?;
    found.sort_by(|a: &TableSchedule, b| {
        let order = |table: &TableSchedule| {
            let next = table.next.first().map_or(i64::MAX, |tick| tick.at);
            (
                table.late_since.unwrap_or(i64::MAX),
                next,
                table.table.clone(),
            )
        };
        order(a).cmp(&order(b))
    });
    Ok(PipelineSchedule {
        pipeline: settings.pipeline.clone(),
        at: now.as_millisecond(),
        tables: found,
        notes,
    })
}

/// `None` where nothing was read of it yet, and why its head cannot be read.
fn head_of<'a>(known: &'a [Remembered], name: &TableName) -> Result<Option<&'a Head>, String> {
    let mut known = known.iter();
    let found = known.find(|table| table.name.head_key() == name.head_key());
    match found.and_then(|found| found.head.as_ref()) {
        None => Ok(None),
        Some(Ok(head)) => Ok(Some(head)),
        Some(Err(error)) => Err(error.to_string()),
    }
}

async fn heads(settings: &Settings, client_id: &str) -> Result<Vec<Remembered>> {
    let Some(kafka) = &settings.kafka else {
        return Ok(Vec::new());
    };
    let (_, known) = tokio::try_join!(
        Broker::reach(kafka, client_id),
        remembered(settings, kafka, client_id),
    )?;
    Ok(known)
}

/// The tables of all sources. Only globs need the database; of one that is silent, what is named one by one is known.
pub async fn tables_of(settings: &Settings) -> (Vec<Chosen>, Vec<String>) {
    let prefix = settings
        .kafka
        .as_ref()
        .map(|kafka: &KafkaSettings| kafka.topic_prefix.as_str());
    let prefix = prefix.unwrap_or_default();
    let looks = settings
        .sources
        .iter()
        .map(|source| chosen_in(source, prefix));
    let mut notes = Vec::new();
    let mut tables = Vec::new();
    let looks = futures_util::future::join_all(looks).await;
    for (source, look) in settings.sources.iter().zip(looks) {
        tables.extend(look.unwrap_or_else(|error| {
            notes.push(format!("{error}; the tables that globs mean are not known"));
            configured_in(source, prefix)
        }));
    }
    (tables, notes)
}

async fn chosen_in(source: &SourceSettings, prefix: &str) -> Result<Vec<Chosen>> {
    if !source.tables.iter().any(|table| table.is_glob()) {
        return Ok(configured_in(source, prefix));
    }
    let opened = open_source(source)?;
    let listing = choose(source, opened.as_ref(), prefix);
    let listed = Patience::each().wait("listing tables", listing).await;
    Ok(listed.map_err(|error| error.about(&source.name))?.tables)
}

fn table_schedule(
    chosen: &Chosen,
    head: Result<Option<&Head>, String>,
    now: Timestamp,
    count: usize,
) -> Result<TableSchedule> {
    let settings = &chosen.settings;
    let (head, unread) = match head {
        Ok(head) => (head, None),
        Err(error) => (None, Some(error)),
    };
    let last = head
        .and_then(|head| head.load.as_ref())
        .map(|load| LastLoad {
            number: load.number,
            began_at: load.began_at,
            rows: load.rows,
            open: load.open,
        });
    let began = last
        .as_ref()
        .and_then(|last| Timestamp::from_millisecond(last.began_at).ok());
    let due = match began {
        Some(began) => settings.load_after(began)?,
        None => None,
    };
    let next = match (&settings.schedule, settings.every) {
        (Some(schedule), _) => schedule.ticks_after(now, count)?,
        // It counts from the last load.
        (None, Some(_)) if unread.is_some() => Vec::new(),
        (None, Some(every)) => every_so_often(due.unwrap_or(now).max(now), every, count),
        (None, None) => Vec::new(),
    };
    let is_open = last.as_ref().is_some_and(|last| last.open);
    let is_over = |due: &Timestamp| due.checked_add(GRACE).is_ok_and(|end| end < now);
    let paused = head.is_some_and(|head| head.paused);
    let is_loaded = settings.mode == Mode::Bulk;
    let late = due.filter(|due| is_loaded && !is_open && !paused && is_over(due));
    Ok(TableSchedule {
        table: chosen.name.to_string(),
        mode: settings.mode,
        schedule: settings
            .schedule
            .as_ref()
            .map(|schedule| schedule.text.clone()),
        every_seconds: settings.every.map(|every| every.as_secs_f64()),
        next: match is_loaded {
            true => next.iter().map(tick).collect(),
            // Polled all the time: its next polls say nothing.
            false => Vec::new(),
        },
        last,
        late_since: late.map(Timestamp::as_millisecond),
        paused,
        is_unknown: unread.is_some(),
        error: unread.or_else(|| {
            let failure = head.and_then(|head| head.failure.as_ref());
            failure.map(|failure| failure.text.clone())
        }),
    })
}

/// From `first` on, in UTC: no zone is meant.
fn every_so_often(first: Timestamp, every: Duration, count: usize) -> Vec<Zoned> {
    let following = |at: &Timestamp| at.checked_add(every).ok();
    let moments = std::iter::successors(Some(first), following).take(count);
    moments.map(|at| at.to_zoned(TimeZone::UTC)).collect()
}

fn tick(at: &Zoned) -> Tick {
    let zone = at.time_zone().iana_name().unwrap_or("UTC");
    Tick {
        local: format!("{} {zone}", at.strftime("%F %H:%M %:z")),
        utc: at.timestamp().strftime("%F %H:%M UTC").to_string(),
        at: at.timestamp().as_millisecond(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::LoadHead;

    fn chosen(more: &str) -> Chosen {
        let text = format!(
            "version: 1\nkafka: {{ brokers: localhost }}\nlake: {{ url: /lake }}\nsources:\n  ec: {{ url: \"postgres://cdc@localhost/shop\", tables: {{ products: {{ mode: bulk{more} }} }} }}"
        );
        let settings = crate::config::parse(&text, "test");
        let settings = settings.unwrap_or_else(|problems| panic!("{problems}"));
        configured_in(&settings.sources[0], "").remove(0)
    }

    fn head(began: &str, open: bool) -> Head {
        let began: Timestamp = began.parse().unwrap();
        let text = r#"{"v":1,"table":"ec.products","topic":"products","mode":"bulk","epoch":1,"identity":{},"cursor_columns":[],"partitions":1,"next":[1],"batches":0,"rows":0,"written_at":6,"worker":"till-1"}"#;
        let mut head: Head = crate::state::decode("a head", text.as_bytes()).unwrap();
        head.load = Some(LoadHead {
            void: false,
            number: 7,
            ulid: String::new(),
            open,
            began_at: began.as_millisecond(),
            rows: 1_234,
        });
        head
    }

    fn told(more: &str, head: Option<Head>, now: &str) -> String {
        let now = now.parse().unwrap();
        let found = table_schedule(&chosen(more), Ok(head.as_ref()), now, 2).unwrap();
        let next: Vec<String> = found
            .next
            .iter()
            .map(|tick| format!("{} = {}", tick.local, tick.utc))
            .collect();
        let late = found
            .late_since
            .map(|at| Timestamp::from_millisecond(at).unwrap());
        let late = late.map_or("in time".to_owned(), |at| format!("late since {at}"));
        format!("{}; {late}", next.join(", "))
    }

    #[test]
    fn a_table_is_late_when_a_tick_went_by_without_a_load() {
        let nightly = ", schedule: 30 2 * * * Asia/Seoul";
        let at = |began: &str, open, now: &str| told(nightly, Some(head(began, open)), now);
        let all = [
            at("2026-11-28T17:30:04Z", false, "2026-11-29T12:00:00Z"),
            at("2026-11-27T17:30:04Z", false, "2026-11-29T12:00:00Z"),
            // A tick just now, and a load that goes on.
            at("2026-11-28T17:30:04Z", false, "2026-11-29T17:30:30Z"),
            at("2026-11-27T17:30:04Z", true, "2026-11-29T12:00:00Z"),
            told(nightly, None, "2026-11-29T12:00:00Z"),
            told(
                ", every: 6h",
                Some(head("2026-11-29T03:00:00Z", false)),
                "2026-11-29T12:00:00Z",
            ),
            told("", None, "2026-11-29T12:00:00Z"),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        2026-11-30 02:30 +09:00 Asia/Seoul = 2026-11-29 17:30 UTC, 2026-12-01 02:30 +09:00 Asia/Seoul = 2026-11-30 17:30 UTC; in time
        2026-11-30 02:30 +09:00 Asia/Seoul = 2026-11-29 17:30 UTC, 2026-12-01 02:30 +09:00 Asia/Seoul = 2026-11-30 17:30 UTC; late since 2026-11-28T17:30:00Z
        2026-12-01 02:30 +09:00 Asia/Seoul = 2026-11-30 17:30 UTC, 2026-12-02 02:30 +09:00 Asia/Seoul = 2026-12-01 17:30 UTC; in time
        2026-11-30 02:30 +09:00 Asia/Seoul = 2026-11-29 17:30 UTC, 2026-12-01 02:30 +09:00 Asia/Seoul = 2026-11-30 17:30 UTC; in time
        2026-11-30 02:30 +09:00 Asia/Seoul = 2026-11-29 17:30 UTC, 2026-12-01 02:30 +09:00 Asia/Seoul = 2026-11-30 17:30 UTC; in time
        2026-11-29 12:00 +00:00 UTC = 2026-11-29 12:00 UTC, 2026-11-29 18:00 +00:00 UTC = 2026-11-29 18:00 UTC; late since 2026-11-29T09:00:00Z
        ; in time
        ");
    }

    #[test]
    fn of_a_table_whose_head_cannot_be_read_nothing_is_said_but_its_schedule() {
        let now = "2026-11-29T12:00:00Z".parse().unwrap();
        let unread = |more| {
            let head = Err("no broker answers".to_owned());
            table_schedule(&chosen(more), head, now, 2).unwrap()
        };
        let nightly = unread(", schedule: 30 2 * * * Asia/Seoul");
        assert_eq!(nightly.next.len(), 2);
        assert_eq!(unread(", every: 6h").next, []);
        let told = serde_json::to_value(&nightly).unwrap();
        assert_eq!(told["last"], serde_json::Value::Null);
        assert_eq!(told["late_since"], serde_json::Value::Null);
        assert_eq!(told["error"], "no broker answers");
        assert!(nightly.is_unknown);
    }
}
