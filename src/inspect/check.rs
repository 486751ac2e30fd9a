//! `check`: whether everything a pipeline needs is there and lets us in, and what to do where it does not.

use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::Instant;

use super::database::{Look, Narrow, look_at};
use super::named::must_be_some;
use super::patience::{Patience, within};
use crate::config::{KafkaSettings, Settings, SourceSettings};
use crate::error::{Error, Result};
use crate::lake::open_store;
use crate::source::{Chosen, collisions, configured_in};
use crate::state::PipelineNames;

mod kafka;
mod lake;
mod source;

/// How long all parts together may take, and how long what follows from several of them may take beyond that: the
/// answer is there within 5 s.
const PARTS: Duration = Duration::from_millis(4_000);
const AFTER: Duration = Duration::from_millis(700);

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `configuration`, `kafka`, `lake`, or a source's name.
    pub part: String,
    pub name: String,
    pub level: Level,
    pub found: String,
    /// By what `cdc explain` knows an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The findings about one part.
struct Findings {
    part: String,
    list: Vec<Finding>,
}

/// What is said of a part that was still busy when the time was over.
const SILENT: &str = "silent";

impl Findings {
    fn of(part: &str) -> Self {
        Findings {
            part: part.to_owned(),
            list: Vec::new(),
        }
    }

    fn add(&mut self, level: Level, name: &str, found: impl Into<String>, next: Option<String>) {
        self.list.push(Finding {
            part: self.part.clone(),
            name: name.to_owned(),
            level,
            found: found.into(),
            code: None,
            next,
        });
    }

    fn ok(&mut self, name: &str, found: impl Into<String>) {
        self.add(Level::Ok, name, found, None);
    }

    /// Looks at the part until `end`. What was found by then stands; that the rest was not is said, too.
    async fn until(mut self, end: Instant, look: impl AsyncFnOnce(&mut Findings)) -> Vec<Finding> {
        if tokio::time::timeout_at(end, look(&mut self)).await.is_err() {
            let text = "it took too long to answer; what is not listed here was not looked at";
            let next = "look again when it is less busy".to_owned();
            self.add(Level::Fail, SILENT, text, Some(next));
        }
        self.list
    }

    fn error(&mut self, level: Level, name: &str, error: &Error) {
        self.error_with_next(level, name, error, error.next_step().map(str::to_owned));
    }

    /// An error whose next step is said more exactly than it can say it.
    fn error_with_next(&mut self, level: Level, name: &str, error: &Error, next: Option<String>) {
        self.list.push(Finding {
            part: self.part.clone(),
            name: name.to_owned(),
            level,
            found: without_name(error, &self.part, name),
            code: Some(error.stable_code().to_string()),
            next,
        });
    }
}

/// The error's text without what stands beside it already: the part, or the name within it.
fn without_name(error: &Error, part: &str, name: &str) -> String {
    let text = error.to_string();
    let full = format!("{part}.{name}");
    let stands_there = |about: &str| about == part || about == name || about == full;
    match text.split_once(": ") {
        Some((about, rest)) if stands_there(about) => rest.to_owned(),
        _ => text,
    }
}

/// Looks at everything side by side, or of the tables only at those named. A part that is silent is a finding like any
/// other. Fails only where no table is meant.
pub async fn check(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    tables: &[String],
) -> Result<Vec<Finding>> {
    let names = PipelineNames::new(&settings.pipeline);
    let end = Instant::now() + PARTS;
    let narrow = Narrow {
        tables,
        patience: Patience::until(end),
        with_sizes: false,
    };
    let looks = settings
        .sources
        .iter()
        .map(|source| look_at(source, &kafka.topic_prefix, &settings.lake, narrow));
    let opening = within(PARTS, "opening the lake", open_store(&settings.lake.place));
    let place = async {
        let store = opening.await?;
        let left = end.saturating_duration_since(Instant::now()).max(AFTER);
        let owner = within(
            left,
            "reading whose lake it is",
            lake::owner(store.as_ref()),
        )
        .await;
        Ok((store, owner))
    };
    let (looks, (broker, mut of_kafka), place) = tokio::join!(
        join_all(looks),
        kafka::about_brokers(kafka, &names, client_id, end),
        place,
    );
    let chosen: Vec<Chosen> = settings
        .sources
        .iter()
        .zip(&looks)
        .flat_map(|(source, look)| tables_of(source, look, kafka, tables))
        .collect();
    let seen: Vec<String> = looks.iter().flat_map(|look| look.names.clone()).collect();
    // Where a database is silent, a table of it may be meant.
    if looks.iter().all(|look| look.login.is_ok()) {
        let problems: usize = looks.iter().map(|look| look.problems.len()).sum();
        must_be_some(tables, chosen.len() + problems, &seen)?;
    }
    let cluster = broker.as_ref().map(|broker| broker.cluster.clone());
    if let Some(broker) = &broker {
        let topics = kafka::about_data_topics(kafka, broker, &names, &chosen, end + AFTER);
        of_kafka.extend(topics.await);
    }
    let collisions = collisions(&chosen, &kafka.topic_prefix);
    let mut findings = Vec::new();
    for look in &looks {
        findings.extend(source::about_source(look, &collisions));
    }
    findings.extend(of_kafka);
    findings.extend(lake::about_lake(
        &settings.lake,
        place,
        cluster,
        &settings.pipeline,
    ));
    Ok(findings)
}

/// The tables of a source: those it holds, or while it is silent those that the configuration names one by one.
fn tables_of(
    source: &SourceSettings,
    look: &Look,
    kafka: &KafkaSettings,
    tables: &[String],
) -> Vec<Chosen> {
    if look.login.is_ok() {
        return look
            .tables
            .iter()
            .map(|table| table.chosen.clone())
            .collect();
    }
    let mut configured = configured_in(source, &kafka.topic_prefix);
    configured.retain(|chosen| crate::config::is_meant(tables, &chosen.name));
    configured
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_name_that_stands_beside_the_text_is_not_said_twice() {
        let error = Error::new(Kind::Config, "describing the table")
            .because("there is none")
            .about("ec.orders");
        assert_eq!(
            without_name(&error, "ec", "orders"),
            "describing the table: there is none"
        );
        assert_eq!(
            without_name(&error, "pos", "tables"),
            "ec.orders: describing the table: there is none"
        );
    }

    #[tokio::test]
    async fn what_a_slow_part_answered_in_time_stands_beside_that_it_was_slow() {
        let end = Instant::now() + Duration::from_millis(20);
        let look = async |findings: &mut Findings| {
            findings.ok("login", "there");
            std::future::pending::<()>().await;
        };
        let found = Findings::of("ec").until(end, look).await;
        let levels: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.level)).collect();
        assert_eq!(levels, [("login", Level::Ok), (SILENT, Level::Fail)]);
    }
}
