//! `plan`: what would be done with each table, without doing any of it.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::advice::Advice;
use super::broker::Broker;
use super::database::{Examined, Found, Narrow, look_at};
use super::named::must_be_some;
use super::patience::{PATIENCE, Patience, within};
use super::words::lake_type;
use crate::config::{FileSettings, KafkaSettings, Settings};
use crate::error::{Error, Result};
use crate::lake::open_to_read;
use crate::model::{GuardClass, Mode, TopicName};
use crate::source::{Chosen, collisions, listing};
use crate::state::PipelineNames;
use crate::topic::TopicFacts;

mod files;

pub use files::FilesPerDay;
use files::files_per_day;

/// The pause between polls where the configuration names none, in seconds.
const EVERY_SECONDS: f64 = 5.0;

/// What would be done.
#[derive(Clone, Debug, Serialize)]
pub struct PipelinePlan {
    pub pipeline: String,
    pub tables: Vec<TablePlan>,
    /// What keeps a table, or a whole source, from running.
    pub problems: Vec<Problem>,
    /// What the first run would make, as people say it.
    pub creates: Vec<String>,
}

/// Why something would not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// By what `cdc explain` knows it.
    pub code: String,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Problem {
            code: error.stable_code().to_string(),
            text: error.to_string(),
            next: error.next_step().map(str::to_owned),
        }
    }
}

/// What would be done with one table.
#[derive(Clone, Debug, Serialize)]
pub struct TablePlan {
    pub table: String,
    pub mode: Mode,
    pub cursor_columns: Vec<String>,
    pub guard: Option<GuardClass>,
    pub estimated_rows: Option<u64>,
    /// What it takes in its database.
    pub estimated_bytes: Option<u64>,
    /// Seconds between polls, or between loads of a bulk table.
    pub every_seconds: Option<f64>,
    pub schedule: Option<String>,
    /// The schedule's next tick.
    pub next_load: Option<String>,
    pub topic: TopicPlan,
    /// Where rows go that cannot be carried exactly, if the table rejects any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_topic: Option<TopicPlan>,
    /// Where the files go, with the directories of the partitions.
    pub lake_path: String,
    /// `None` for a table that is loaded on request only.
    pub files_per_day: Option<FilesPerDay>,
    /// Name and transform of each level of directories.
    pub partition_by: Vec<PartitionLevel>,
    pub columns: Vec<ColumnPlan>,
    /// Columns that the configuration leaves out.
    pub left_out: Vec<String>,
    /// The condition that its rows must meet.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    pub statements: Vec<Statement>,
    pub warnings: Vec<Advice>,
}

/// A level of directories: `dt` and `day(ordered_at)`.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionLevel {
    pub name: String,
    pub transform: String,
}

/// A table's topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicPlan {
    pub name: String,
    /// `None` where Kafka does not answer.
    pub exists: Option<bool>,
    pub partitions: i32,
    /// Replicas of a topic that would be made; −1 is the broker's default.
    pub replication: i32,
    pub retention_seconds: u64,
}

/// A column on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnPlan {
    pub name: String,
    pub source_type: String,
    pub lake_type: String,
    pub nullable: bool,
    pub key: bool,
}

/// A statement that would run, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    pub purpose: String,
    pub sql: String,
}

/// Finds out what would be done, with all tables or with those named. Writes nothing anywhere. Fails only where no table
/// is meant.
pub async fn plan(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    tables: &[String],
) -> Result<PipelinePlan> {
    let narrow = Narrow {
        tables,
        patience: Patience::each(),
        with_sizes: true,
    };
    let looks = settings
        .sources
        .iter()
        .map(|source| look_at(source, &kafka.topic_prefix, &settings.lake, narrow));
    let opening = within(
        PATIENCE,
        "opening the lake",
        open_to_read(&settings.lake.place),
    );
    let (looks, broker, store) =
        tokio::join!(join_all(looks), Broker::reach(kafka, client_id), opening);
    let mut problems: Vec<Problem> = Vec::new();
    for look in &looks {
        if let Err(error) = &look.login {
            problems.push(Problem::from(error));
        }
        problems.extend(look.problems.iter().map(Problem::from));
    }
    let looked_at: Vec<&Examined> = looks.iter().flat_map(|look| &look.tables).collect();
    let all: Vec<String> = looks.iter().flat_map(|look| look.names.clone()).collect();
    if looks.iter().all(|look| look.login.is_ok()) {
        must_be_some(tables, looked_at.len() + problems.len(), &all)?;
    }
    let chosen: Vec<Chosen> = looked_at.iter().map(|table| table.chosen.clone()).collect();
    let colliding = collisions(&chosen, &kafka.topic_prefix);
    problems.extend(colliding.iter().map(|(_, error)| Problem::from(error)));
    let topics = topics(settings, &broker, &chosen)
        .await
        .unwrap_or_else(|error| {
            problems.push(error);
            None
        });
    let root = match &store {
        Ok(store) => store.location(""),
        Err(error) => {
            problems.push(Problem::from(error));
            "<lake>/".to_owned()
        }
    };
    let place = Place {
        root: format!("{}/", root.trim_end_matches('/')),
        files: settings.lake.files,
    };
    let mut plans = Vec::new();
    for table in looked_at {
        let planned = table
            .found
            .as_ref()
            .map_err(Problem::from)
            .and_then(|found| {
                let topics = topics_plan(kafka, &table.chosen, topics.as_ref());
                table_plan(&table.chosen, found, topics, &place)
                    .map_err(|error| Problem::from(&error.about(&table.chosen.name)))
            });
        match planned {
            Ok(planned) => plans.push(planned),
            Err(problem) => problems.push(problem),
        }
    }
    Ok(PipelinePlan {
        creates: creates(settings, topics.as_ref(), &plans),
        pipeline: settings.pipeline.clone(),
        tables: plans,
        problems,
    })
}

/// Where the lake is, and how its files are cut.
struct Place {
    root: String,
    files: FileSettings,
}

type Topics = BTreeMap<String, TopicFacts>;

/// The topics that are there of those the tables and the pipeline need.
async fn topics(
    settings: &Settings,
    broker: &Result<Broker>,
    chosen: &[Chosen],
) -> Result<Option<Topics>, Problem> {
    let broker = broker.as_ref().map_err(Problem::from)?;
    let of_tables = chosen.iter().flat_map(topics_of);
    let names = of_tables.chain(own_topics(settings)).collect();
    let found = broker.topics(names).await;
    found.map(Some).map_err(|error| Problem::from(&error))
}

fn own_topics(settings: &Settings) -> [String; 3] {
    let names = PipelineNames::new(&settings.pipeline);
    [names.state_topic, names.schemas_topic, names.loads_topic]
}

/// What a first run would make.
fn creates(settings: &Settings, topics: Option<&Topics>, plans: &[TablePlan]) -> Vec<String> {
    let Some(topics) = topics else {
        return Vec::new();
    };
    let own = own_topics(settings).into_iter();
    let mut creates: Vec<String> = own
        .filter(|topic| !topics.contains_key(topic))
        .map(|topic| format!("topic {topic}"))
        .collect();
    let of_tables = plans
        .iter()
        .flat_map(|plan| std::iter::once(&plan.topic).chain(&plan.rejected_topic));
    let missing = of_tables.filter(|topic| topic.exists == Some(false));
    creates.extend(missing.map(|topic| format!("topic {}", topic.name)));
    creates
}

fn topics_plan(
    kafka: &KafkaSettings,
    chosen: &Chosen,
    topics: Option<&Topics>,
) -> (TopicPlan, Option<TopicPlan>) {
    let facts = |topic: &TopicName| topics.and_then(|topics| topics.get(topic.as_str()));
    let known = topics.is_some();
    let topic = topic_plan(kafka, &chosen.topic, facts(&chosen.topic), known);
    let rejected = chosen.rejected_topic().map(|rejected| TopicPlan {
        partitions: facts(&rejected).map_or(1, |facts| facts.partitions),
        ..topic_plan(kafka, &rejected, facts(&rejected), known)
    });
    (topic, rejected)
}

/// The names of a table's topics.
pub(super) fn topics_of(table: &Chosen) -> Vec<String> {
    let rejected = table.rejected_topic();
    let both = std::iter::once(&table.topic).chain(&rejected);
    both.map(TopicName::to_string).collect()
}

fn topic_plan(
    kafka: &KafkaSettings,
    topic: &TopicName,
    facts: Option<&TopicFacts>,
    known: bool,
) -> TopicPlan {
    TopicPlan {
        name: topic.to_string(),
        exists: known.then_some(facts.is_some()),
        partitions: facts.map_or(kafka.partitions, |facts| facts.partitions),
        replication: kafka.replication,
        retention_seconds: kafka.retention.as_secs(),
    }
}

fn table_plan(
    chosen: &Chosen,
    found: &Found,
    (topic, rejected_topic): (TopicPlan, Option<TopicPlan>),
    place: &Place,
) -> Result<TablePlan> {
    let (readable, settings) = (&found.readable, &chosen.settings);
    let schema = &readable.table.schema;
    let name_of = |i: &usize| schema.columns.get(*i).map(|column| column.name.clone());
    let cursor = readable
        .columns
        .timestamp
        .iter()
        .chain(&readable.columns.incrementing);
    let mut warnings = found.advice.clone();
    let guard = match &found.guard {
        Ok(guard) => guard.clone(),
        Err(error) => {
            warnings.push(Advice {
                text: error.to_string(),
                next: error.next_step().map(str::to_owned),
            });
            None
        }
    };
    let statements = listing(readable.mode, &readable.statements)?;
    let is_bulk = readable.mode == Mode::Bulk;
    let every = settings.every.map(|every| every.as_secs_f64());
    let next_load = match &settings.schedule {
        Some(schedule) => Some(in_zone(
            schedule.next_after(Timestamp::now())?,
            &schedule.zone,
        )),
        None => None,
    };
    let load = if is_bulk { "snapshot=<load>/" } else { "" };
    let levels: String = settings
        .partition_by
        .iter()
        .map(|by| format!("{}=<{}>/", by.name, by.transform))
        .collect();
    Ok(TablePlan {
        table: chosen.name.to_string(),
        mode: readable.mode,
        cursor_columns: cursor.filter_map(name_of).collect(),
        guard,
        estimated_rows: readable.table.estimated_rows,
        estimated_bytes: found.bytes,
        files_per_day: files_per_day(
            readable.mode,
            settings,
            &place.files,
            topic.partitions,
            readable.table.estimated_rows,
        ),
        every_seconds: if is_bulk {
            every
        } else {
            every.or(Some(EVERY_SECONDS))
        },
        schedule: settings
            .schedule
            .as_ref()
            .map(|schedule| schedule.text.clone()),
        next_load,
        topic,
        rejected_topic,
        lake_path: format!("{}{}/{load}{levels}", place.root, chosen.name.directory()),
        partition_by: settings
            .partition_by
            .iter()
            .map(|by| PartitionLevel {
                name: by.name.clone(),
                transform: by.transform.to_string(),
            })
            .collect(),
        columns: schema
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| ColumnPlan {
                name: column.name.clone(),
                source_type: column.source_type.clone(),
                lake_type: lake_type(&column.column_type),
                nullable: column.nullable,
                key: schema.key.contains(&i),
            })
            .collect(),
        left_out: readable.table.left_out.clone(),
        filter: settings.filter.clone(),
        statements: statements
            .into_iter()
            .map(|statement| Statement {
                purpose: statement.purpose.to_owned(),
                sql: statement.select.sql,
            })
            .collect(),
        warnings,
    })
}

fn in_zone(at: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    let local = at.to_zoned(zone.clone());
    let name = zone.iana_name().unwrap_or("UTC");
    format!("{} {name}", local.strftime("%F %H:%M"))
}
