//! Waiting until the lake, and its readers, have what the answers are about.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::patience::Patience;
use super::{LOOK, NOBODY};
use crate::config::{KafkaSettings, Settings};
use crate::error::{Code, Error, Kind, Result};
use crate::lake::{CurrentLoad, Store, open_store};
use crate::model::TableName;
use crate::state::{Outcome, PipelineNames};
use crate::topic::Admin;

/// Waits until the sink has committed what the answers name.
pub(super) async fn await_lake(
    kafka: &KafkaSettings,
    names: &PipelineNames,
    client_id: &str,
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
    let mut moved = (Instant::now(), 0_u64);
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
        if sum != moved.1 {
            moved = (Instant::now(), sum);
        }
        let nobody = tokio::task::block_in_place(|| admin.members(&names.sink_group))?.is_empty();
        if nobody && moved.0.elapsed() > NOBODY {
            return Err(Error::new(
                Kind::TryLater,
                "it is in Kafka, not yet in the lake: nobody runs the sink",
            )
            .code(Code::NOT_SEEN_YET)
            .hint("start `cdc follow --only sink`"));
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(
                    Error::new(Kind::TryLater, "it is in Kafka, not yet in the lake")
                        .code(Code::NOT_SEEN_YET),
                );
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
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
    let mut patience = Patience::new(NOBODY, Instant::now());
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
        if patience.is_over(unseen.len() < before, Instant::now()) {
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
