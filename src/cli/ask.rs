//! Asking the owners of tables: requests through the state topic, and their answers.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::output::{self, Output};
use super::{Format, as_json, signals};
use crate::config::{KafkaSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::lake::{Store, open_store};
use crate::model::TableName;
use crate::source::{choose, open_source};
use crate::state::{Outcome, PipelineNames, Request, StateKey, Verb, decode, encode};
use crate::supervisor::{is_meant, state_partition};
use crate::topic::{Admin, Appender, Compacted};

/// A request that nobody has taken up by then is answered with "expired".
const EXPIRES: Duration = Duration::from_secs(24 * 3600);
/// How often the answers are looked for.
const LOOK: Duration = Duration::from_millis(300);
/// How long a table may have nobody who owns it before the asker gives up.
const NOBODY: Duration = Duration::from_secs(60);

/// Tables to act on.
#[derive(Debug, Args)]
pub struct Tables {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`)
    #[arg(value_name = "TABLE", required = true)]
    tables: Vec<String>,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Tables {
    /// Asks for `verb` and waits for the answers.
    pub async fn ask(&self, settings: Settings, output: Output, verb: Verb) -> Result<ExitCode> {
        let kafka = super::kafka_of(&settings)?;
        if !has_members(kafka, &settings)? {
            return Err(Error::new(
                Kind::TryLater,
                "nobody follows this pipeline, so nobody answers",
            )
            .code(crate::error::Code::NOBODY_FOLLOWS)
            .hint(
                "start `cdc follow`, or run `cdc snapshot` and `cdc follow --once` by themselves",
            ));
        }
        let stop = signals::stop_on_signal()?;
        Asking {
            verb,
            await_lake: false,
            format: self.output,
        }
        .run(&settings, &self.tables, output, &stop)
        .await
    }
}

/// Whether workers of this pipeline are running.
pub fn has_members(kafka: &KafkaSettings, settings: &Settings) -> Result<bool> {
    let names = PipelineNames::new(&settings.pipeline);
    let admin = Admin::new(kafka, &client_id(settings))?;
    Ok(!admin.members(&names.capture_group)?.is_empty())
}

/// The id of a command that joins no group.
pub fn client_id(settings: &Settings) -> String {
    format!("cdc.{}", settings.pipeline)
}

/// One verb for some tables.
pub struct Asking {
    pub verb: Verb,
    /// Wait until the lake holds what the answer is about.
    pub await_lake: bool,
    /// How the answers are written.
    pub format: Format,
}

/// What became of one table.
#[derive(Debug, Serialize)]
pub struct Answer {
    pub table: String,
    /// The exit code of a command about this table alone.
    pub exit: u8,
    /// By what `cdc explain` knows a failure.
    pub code: Option<String>,
    pub text: String,
    pub next: Option<String>,
    /// A bulk table's load.
    pub load: Option<String>,
}

impl Answer {
    pub fn of(table: &TableName, result: &Result<Outcome>) -> Self {
        let table = table.to_string();
        match result {
            Ok(outcome) => Answer {
                table,
                exit: outcome.exit,
                code: None,
                text: outcome.text.clone(),
                next: None,
                load: outcome.load.clone(),
            },
            Err(error) => Answer {
                table,
                exit: error.kind().exit_code(),
                code: Some(error.stable_code().to_string()),
                text: error.to_string(),
                next: error.next_step().map(str::to_owned),
                load: None,
            },
        }
    }
}

/// Answers table by table, as one JSON value on stdout; in text they were told when they came.
pub fn write_answers(format: Format, output: Output, answers: &[Answer]) -> Result<()> {
    #[derive(Serialize)]
    struct Answers<'a> {
        tables: &'a [Answer],
    }
    if format == Format::Json {
        output.line(&as_json(&Answers { tables: answers })?);
    }
    Ok(())
}

impl Asking {
    pub async fn run(
        &self,
        settings: &Settings,
        tables: &[String],
        output: Output,
        stop: &CancellationToken,
    ) -> Result<ExitCode> {
        let kafka = super::kafka_of(settings)?;
        let names = PipelineNames::new(&settings.pipeline);
        let client_id = client_id(settings);
        let mut waiting = BTreeMap::new();
        {
            let appender = Appender::open(kafka, &client_id)?;
            for table in meant(settings, &kafka.topic_prefix, tables).await? {
                let id = Ulid::new();
                let key = StateKey::Request {
                    table: table.key_tail(),
                    id,
                };
                let request = Request {
                    verb: self.verb,
                    by: asker(),
                    expires_at: now() + EXPIRES.as_millis() as i64,
                };
                appender.append(
                    &names.state_topic,
                    state_partition(&table),
                    key.to_string().as_bytes(),
                    Some(&encode(&request)),
                )?;
                waiting.insert(
                    StateKey::Outcome {
                        table: table.key_tail(),
                        id,
                    }
                    .to_string(),
                    table,
                );
            }
        }
        let answers = wait_for_answers(kafka, &names, &client_id, waiting, stop).await?;
        let mut worst = 0;
        let told: Vec<Answer> = answers
            .iter()
            .map(|(table, outcome)| Answer::of(table, &Ok(outcome.clone())))
            .collect();
        for (table, outcome) in &answers {
            worst = worst.max(outcome.exit);
            output::note(&format!("{table}: {}", outcome.text));
        }
        if self.await_lake && worst == 0 {
            await_lake(kafka, &names, &client_id, &answers, stop).await?;
            await_readers(settings, &answers, stop).await?;
        }
        write_answers(self.format, output, &told)?;
        Ok(ExitCode::from(worst))
    }
}

/// The tables the names mean, as the sources hold them now.
async fn meant(
    settings: &Settings,
    topic_prefix: &str,
    names: &[String],
) -> Result<Vec<TableName>> {
    let mut tables = Vec::new();
    for source in &settings.sources {
        let choice = choose(source, open_source(source)?.as_ref(), topic_prefix).await?;
        tables.extend(
            choice
                .tables
                .into_iter()
                .map(|chosen| chosen.name)
                .filter(|name| is_meant(names, name)),
        );
    }
    match tables.is_empty() {
        true => Err(Error::new(
            Kind::Usage,
            format!("no table is called `{}`", names.join("`, `")),
        )
        .code(crate::error::Code::NOT_CONFIGURED)
        .hint("`cdc plan` lists the tables of this pipeline")),
        false => Ok(tables),
    }
}

async fn wait_for_answers(
    kafka: &KafkaSettings,
    names: &PipelineNames,
    client_id: &str,
    mut waiting: BTreeMap<String, TableName>,
    stop: &CancellationToken,
) -> Result<Vec<(TableName, Outcome)>> {
    let admin = Admin::new(kafka, client_id)?;
    let mut state =
        tokio::task::block_in_place(|| Compacted::open(kafka, client_id, &names.state_topic))?;
    let mut answers = Vec::new();
    let mut alone_since: Option<Instant> = None;
    loop {
        let known: Vec<(String, Outcome)> = waiting
            .keys()
            .filter_map(|key| Some((key.clone(), state.get(key.as_bytes())?)))
            .map(|(key, value)| Ok((key, decode::<Outcome>("an answer", value)?)))
            .collect::<Result<_>>()?;
        for (key, outcome) in known {
            answers.extend(waiting.remove(&key).map(|table| (table, outcome)));
        }
        if waiting.is_empty() {
            return Ok(answers);
        }
        let members = tokio::task::block_in_place(|| admin.members(&names.capture_group))?;
        let since = match members.is_empty() {
            true => *alone_since.get_or_insert_with(Instant::now),
            false => {
                alone_since = None;
                Instant::now()
            }
        };
        if since.elapsed() > NOBODY {
            return Err(Error::new(
                Kind::TryLater,
                "the workers of this pipeline ended before they answered",
            )
            .hint("the request stands: the next `cdc follow` carries it out"));
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(Error::new(Kind::TryLater, "stopped waiting for the answer").hint("the request stands"));
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        tokio::task::block_in_place(|| state.refresh())?;
    }
}

/// Waits until the sink has committed what the answers name.
async fn await_lake(
    kafka: &KafkaSettings,
    names: &PipelineNames,
    client_id: &str,
    answers: &[(TableName, Outcome)],
    stop: &CancellationToken,
) -> Result<()> {
    let targets: Vec<_> = answers
        .iter()
        .flat_map(|(_, outcome)| outcome.end_offsets.clone())
        .collect();
    let partitions: Vec<(String, i32)> = targets
        .iter()
        .map(|target| (target.topic.clone(), target.partition))
        .collect();
    let admin = Admin::new(kafka, client_id)?;
    let mut moved = (Instant::now(), 0_u64);
    loop {
        let committed = tokio::task::block_in_place(|| {
            Admin::committed(kafka, client_id, &names.sink_group, &partitions)
        })?;
        let there = |topic: &str, partition| {
            committed
                .get(&(topic.to_owned(), partition))
                .copied()
                .unwrap_or(0)
        };
        if targets
            .iter()
            .all(|target| there(&target.topic, target.partition) >= target.offset)
        {
            return Ok(());
        }
        let sum: u64 = committed.values().sum();
        if sum != moved.1 {
            moved = (Instant::now(), sum);
        }
        let nobody = tokio::task::block_in_place(|| admin.members(&names.sink_group))?.is_empty();
        if nobody && moved.0.elapsed() > NOBODY {
            return Err(Error::new(
                Kind::TryLater,
                "it is in Kafka, not yet in the lake: nobody runs the sink",
            )
            .hint("start `cdc follow --only sink`"));
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(Error::new(Kind::TryLater, "it is in Kafka, not yet in the lake"));
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Waits until readers see what the answers are about: a load is switched to, and files of retired epochs are gone.
async fn await_readers(
    settings: &Settings,
    answers: &[(TableName, Outcome)],
    stop: &CancellationToken,
) -> Result<()> {
    let about =
        |(_, outcome): &&(TableName, Outcome)| outcome.load.is_some() || outcome.epoch.is_some();
    let answers: Vec<_> = answers.iter().filter(about).collect();
    if answers.is_empty() {
        return Ok(());
    }
    let store = open_store(&settings.lake.place).await?;
    let began = Instant::now();
    for (table, outcome) in answers {
        while !is_seen(store.as_ref(), table, outcome).await? {
            if began.elapsed() > NOBODY {
                return Err(Error::new(
                    Kind::TryLater,
                    format!("{table} is in the lake, but readers do not see it yet"),
                )
                .hint("`cdc status` shows whether a sink is at work and why it waits"));
            }
            tokio::select! {
                () = stop.cancelled() => {
                    return Err(Error::new(Kind::TryLater, "stopped before readers saw it"));
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
    Ok(())
}

async fn is_seen(store: &dyn Store, table: &TableName, outcome: &Outcome) -> Result<bool> {
    let directory = table.directory();
    if let Some(load) = &outcome.load {
        // ULIDs of a table's loads grow.
        let current = store.get(&format!("{directory}/_current.json")).await?;
        let current: Option<Value> =
            current.and_then(|(text, _)| serde_json::from_slice(&text).ok());
        let ulid = current
            .as_ref()
            .and_then(|current| current.get("ulid")?.as_str());
        return Ok(ulid.is_some_and(|ulid| ulid >= load.as_str()));
    }
    let Some(epoch) = outcome.epoch else {
        return Ok(true);
    };
    let files = store.list(&format!("{directory}/")).await?;
    let epoch_of = |path: &str| {
        path.rsplit('/')
            .next()?
            .split('+')
            .nth(1)?
            .parse::<u64>()
            .ok()
    };
    Ok(!files
        .iter()
        .filter_map(|file| epoch_of(&file.path))
        .any(|of| of < epoch))
}

/// Who asks, for the owner's log.
fn asker() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    format!("{user}, process {}", std::process::id())
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
