//! Requests on their way to the owners of tables, and the answers. Where nobody is at work, what can be carried out
//! at once is carried out here: this process joins for as long as that takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::{LOOK, NOBODY, client_id, has_members};
use crate::capture::Goal;
use crate::cli::output;
use crate::config::{KafkaSettings, Settings};
use crate::error::{Code, Error, Kind, Result};
use crate::model::TableName;
use crate::state::{Outcome, PipelineNames, Placement, Request, StateKey, Verb, decode, encode};
use crate::supervisor::{WorkerOptions, run, state_partition};
use crate::topic::{Admin, Appender, Compacted};

/// A request that nobody has taken up by then is answered with "expired".
const EXPIRES: Duration = Duration::from_secs(24 * 3600);
/// How often this process joins to carry requests out: others may come and go meanwhile.
const JOINS: u32 = 3;
/// How long a worker that was killed may be a member of the group: its session's time-out, and what a busy broker needs.
const DEAD_MEMBERS: Duration = Duration::from_secs(30);
/// How long a group without members may be one whose worker is being restarted.
const RESTARTING: Duration = Duration::from_secs(8);

/// What is asked of one table's owner.
#[derive(Clone, Debug)]
pub struct Asked {
    pub table: TableName,
    pub verb: Verb,
    pub place: Option<Placement>,
}

/// What is done where nobody is at work, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// The next worker is waited for; what can be carried out at once is, here.
    AwaitNext,
    /// Whoever asks can work itself: where all members of the group were dead it hears of it soon, and what was not
    /// answered is taken back.
    WorkMyself,
}

/// Has requests carried out, and gives the answers, table by table.
pub async fn carry_out(
    settings: &Settings,
    kafka: &KafkaSettings,
    asked: &[Asked],
    stop: &CancellationToken,
) -> Result<Vec<(TableName, Outcome)>> {
    let answers = ask_owners(settings, kafka, asked, Nobody::AwaitNext, stop).await?;
    if answers.len() == asked.len() {
        return Ok(answers);
    }
    Err(Error::new(
        Kind::TryLater,
        "the workers of this pipeline ended before they answered",
    )
    .code(Code::NOBODY_FOLLOWS)
    .hint("the request stands: the next `cdc follow` carries it out"))
}

/// The answers of the tables' owners; of some tables there is none where nobody is at work any more.
pub async fn ask_owners(
    settings: &Settings,
    kafka: &KafkaSettings,
    asked: &[Asked],
    nobody: Nobody,
    stop: &CancellationToken,
) -> Result<Vec<(TableName, Outcome)>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let names = PipelineNames::new(&settings.pipeline);
    let client_id = client_id(settings);
    let admin = Admin::new(kafka, &client_id)?;
    // A producer that merely mentions a topic would make it.
    if tokio::task::block_in_place(|| admin.partitions(&names.state_topic))?.is_none() {
        return Err(Error::new(Kind::No, "this pipeline has read no table yet")
            .hint("`cdc snapshot` or `cdc follow` begins"));
    }
    let id = Ulid::new();
    let began = Instant::now();
    let mut waiting = append(kafka, &names, &client_id, asked, id)?;
    let is_at_once = asked.iter().all(|one| one.verb.is_at_once());
    let mut answers = Vec::new();
    for joined in 0..=JOINS {
        if is_at_once && !has_members(kafka, settings)? {
            if joined == 0 {
                output::note("nobody follows this pipeline: it is done here");
            }
            join(settings, waiting.values(), id, stop).await?;
        }
        let patience = |is_answered: bool| match nobody {
            _ if is_at_once && joined < JOINS => Duration::ZERO,
            Nobody::WorkMyself if !is_answered && began.elapsed() < DEAD_MEMBERS => RESTARTING,
            _ => NOBODY,
        };
        answers.extend(
            wait_for_answers(kafka, &names, &client_id, &mut waiting, patience, stop).await?,
        );
        if waiting.is_empty() || !is_at_once {
            break;
        }
    }
    if nobody == Nobody::WorkMyself {
        let is_waiting = |one: &&Asked| waiting.values().any(|table| *table == one.table);
        let left: Vec<Asked> = asked.iter().filter(is_waiting).cloned().collect();
        send(kafka, &names, &client_id, &left, id, |_| None)?;
    }
    Ok(answers)
}

/// Appends the requests, all under one number. The keys of the answers, and the tables they are about.
fn append(
    kafka: &KafkaSettings,
    names: &PipelineNames,
    client_id: &str,
    asked: &[Asked],
    id: Ulid,
) -> Result<BTreeMap<String, TableName>> {
    let request = |one: &Asked| {
        Some(encode(&Request {
            verb: one.verb,
            place: one.place.clone(),
            by: asker(),
            expires_at: now() + EXPIRES.as_millis() as i64,
        }))
    };
    send(kafka, names, client_id, asked, id, request)?;
    let waiting = asked.iter().map(|one| {
        let table = one.table.key_tail();
        let answer = StateKey::Outcome { table, id };
        (answer.to_string(), one.table.clone())
    });
    Ok(waiting.collect())
}

/// Sends each request, or `None` for one that is taken back.
fn send(
    kafka: &KafkaSettings,
    names: &PipelineNames,
    client_id: &str,
    asked: &[Asked],
    id: Ulid,
    value: impl Fn(&Asked) -> Option<Vec<u8>>,
) -> Result<()> {
    let appender = Appender::open(kafka, client_id)?;
    for one in asked {
        let table = one.table.key_tail();
        let key = StateKey::Request { table, id }.to_string();
        appender.append(
            &names.state_topic,
            state_partition(&one.table),
            key.as_bytes(),
            value(one).as_deref(),
        )?;
    }
    Ok(())
}

/// Carries the requests out in this process, as the only worker. If another joins in the same moment, that one does.
async fn join(
    settings: &Settings,
    tables: impl Iterator<Item = &TableName> + Clone,
    id: Ulid,
    stop: &CancellationToken,
) -> Result<()> {
    // A database that nothing is asked of need not answer.
    let mut settings = settings.clone();
    let is_asked = |name: &str| tables.clone().any(|table| table.source == name);
    settings.sources.retain(|source| is_asked(&source.name));
    let only = tables.map(TableName::to_string).collect();
    let (both, _unheard) = WorkerOptions::new(settings, Goal::Answer(id), only, stop.clone());
    let options = WorkerOptions {
        sink: false,
        ..both
    };
    match run(options).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::TryLater => {
            tracing::info!(%error, "asking the worker that has the tables");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Waits for answers: until all are there, or nobody has been at work for so long, by whether anything was answered.
async fn wait_for_answers(
    kafka: &KafkaSettings,
    names: &PipelineNames,
    client_id: &str,
    waiting: &mut BTreeMap<String, TableName>,
    patience: impl Fn(bool) -> Duration,
    stop: &CancellationToken,
) -> Result<Vec<(TableName, Outcome)>> {
    let admin = Admin::new(kafka, client_id)?;
    let mut state =
        tokio::task::block_in_place(|| Compacted::open(kafka, client_id, &names.state_topic))?;
    let mut answers = Vec::new();
    let mut alone_since: Option<Instant> = None;
    loop {
        // Whatever a member answered before it left is read after it was looked for.
        let nobody =
            tokio::task::block_in_place(|| admin.members(&names.capture_group))?.is_empty();
        tokio::task::block_in_place(|| state.refresh())?;
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
        if nobody {
            let since = *alone_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= patience(!answers.is_empty()) {
                return Ok(answers);
            }
        } else {
            alone_since = None;
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(Error::new(Kind::TryLater, "stopped waiting for the answer").hint("the request stands"));
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Who asks, for the owner's log.
fn asker() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    format!("{user}, process {}", std::process::id())
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
