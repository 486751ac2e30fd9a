//! Waiting until the lake, and its readers, have what the answers are about.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::stillness::Stillness;
use super::{LOOK, NOBODY};
use crate::config::{KafkaSettings, Settings};
use crate::error::{Code, Error, Kind, Result};
use crate::inspect::duration;
use crate::lake::{CurrentLoad, Store, open_store};
use crate::model::TableName;
use crate::state::{Outcome, PipelineNames};
use crate::topic::Admin;

/// Waits until the sink has committed what the answers name.
pub(super) async fn await_lake(
    kafka: &KafkaSettings,
    names: &PipelineNames,
    client_id: &str,
    file_age: Duration,
    answers: &[(&TableName, &Outcome)],
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
    let (mut stillness, mut before) = (Stillness::new(Instant::now()), 0_u64);
    loop {
        let committed =
            tokio::task::block_in_place(|| admin.committed(&names.sink_group, &partitions))?;
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
        let still_for = stillness.after(sum != before, Instant::now());
        before = sum;
        let nobody = tokio::task::block_in_place(|| admin.members(&names.sink_group))?.is_empty();
        if nobody && still_for > NOBODY {
            return Err(not_in_lake("nobody runs the sink").hint("start `cdc follow --only sink`"));
        }
        // A file is closed at that age at the latest.
        if still_for > file_age + NOBODY {
            let why = format!("the sink has not moved for {}", duration(still_for));
            return Err(not_in_lake(&why).hint("`cdc status` shows why it waits"));
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(not_in_lake("this command was stopped")
                    .hint("whoever follows brings it into the lake; `cdc status` shows how far it is"));
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn not_in_lake(why: &str) -> Error {
    let text = format!("it is in Kafka, not yet in the lake: {why}");
    Error::new(Kind::TryLater, text).code(Code::NOT_SEEN_YET)
}

/// Waits until readers see what the answers are about: a load is switched to, and files of retired epochs are gone.
pub(super) async fn await_readers(
    settings: &Settings,
    answers: &[(&TableName, &Outcome)],
    stop: &CancellationToken,
) -> Result<()> {
    let about =
        |(_, outcome): &(&TableName, &Outcome)| outcome.load.is_some() || outcome.epoch.is_some();
    let answers: Vec<_> = answers.iter().copied().filter(about).collect();
    if answers.is_empty() {
        return Ok(());
    }
    let store = open_store(&settings.lake.place).await?;
    let mut stillness = Stillness::new(Instant::now());
    let mut waiting = answers;
    loop {
        let (mut unseen, before) = (Vec::new(), waiting.len());
        for (table, outcome) in waiting {
            if !is_seen(store.as_ref(), table, outcome).await? {
                unseen.push((table, outcome));
            }
            if stop.is_cancelled() {
                return Err(Error::new(Kind::TryLater, "stopped before readers saw it")
                    .code(Code::NOT_SEEN_YET));
            }
        }
        let Some((table, _)) = unseen.first() else {
            return Ok(());
        };
        // Many loads are switched to one after the other: as long as that goes on, it is waited for.
        if stillness.after(unseen.len() < before, Instant::now()) > NOBODY {
            return Err(Error::new(
                Kind::TryLater,
                format!("{table} is in the lake, but readers do not see it yet"),
            )
            .code(Code::NOT_SEEN_YET)
            .hint("`cdc status` shows whether a sink is at work and why it waits"));
        }
        waiting = unseen;
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

pub(super) async fn is_seen(
    store: &dyn Store,
    table: &TableName,
    outcome: &Outcome,
) -> Result<bool> {
    let directory = table.directory();
    if let Some(load) = &outcome.load {
        // ULIDs of a table's loads grow.
        let current = CurrentLoad::of(store, &directory).await?;
        return Ok(current.is_some_and(|current| current.ulid.as_str() >= load.as_str()));
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
