//! What the lake says of tables.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::future::join_all;

use crate::error::{Error, Result};
use crate::lake::CurrentLoad;
use crate::lake::{Plan, Store};
use crate::model::{Mode, TableName};
use crate::state::Head;

/// Tables whose plans are looked at side by side.
const AT_ONCE: usize = 32;

/// What the lake says of a table.
#[derive(Default)]
pub struct InLake {
    /// The newest chunk of each partition in the head's epoch.
    pub chunks: BTreeMap<i32, Chunk>,
    /// When the newest of them was planned, in milliseconds since 1970.
    pub newest_at: Option<i64>,
    pub current: Option<CurrentLoad>,
}

/// Offsets and sequence numbers of a chunk of files.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    pub end: u64,
    pub first_sequence: u64,
    pub next_sequence: u64,
}

pub async fn in_lake(
    store: &dyn Store,
    heads: &[(&TableName, &Head)],
) -> Result<BTreeMap<TableName, InLake>> {
    let looks = heads.iter().map(|(name, head)| async move {
        let found = look(store, name, head)
            .await
            .map_err(|error| error.about(name))?;
        Ok::<_, Error>(((*name).clone(), found))
    });
    let mut found = BTreeMap::new();
    let mut looks = futures_util::stream::iter(looks).buffer_unordered(AT_ONCE);
    while let Some(one) = looks.next().await {
        let (name, one) = one?;
        found.insert(name, one);
    }
    Ok(found)
}

async fn look(store: &dyn Store, name: &TableName, head: &Head) -> Result<InLake> {
    let current = async {
        match head.mode {
            Mode::Bulk => CurrentLoad::of(store, &name.directory()).await,
            _ => Ok(None),
        }
    };
    let newest = (0..head.partitions).map(|partition| newest_plan(store, head, partition));
    let (current, newest) = tokio::join!(current, join_all(newest));
    let mut found = InLake {
        current: current?,
        ..InLake::default()
    };
    for (partition, newest) in (0..).zip(newest) {
        let Some((modified, chunk)) = newest? else {
            continue;
        };
        found.newest_at = found.newest_at.max(Some(modified));
        found.chunks.extend(chunk.map(|chunk| (partition, chunk)));
    }
    Ok(found)
}

/// When a partition's newest plan was made, and what it holds: a stretch that was given up by hand is no chunk, and
/// Kafka says how far such a partition is.
async fn newest_plan(
    store: &dyn Store,
    head: &Head,
    partition: i32,
) -> Result<Option<(i64, Option<Chunk>)>> {
    let directory = Plan::directory(&head.topic, head.epoch, partition);
    let plans = store.list(&directory).await?;
    let Some(newest) = plans.last() else {
        return Ok(None);
    };
    let text = store.get(&newest.path).await?;
    let plan = text.and_then(|(text, _)| Plan::from_json(&text).ok());
    let chunk = plan.map(|plan| Chunk {
        end: plan.end,
        first_sequence: plan.first_sequence,
        next_sequence: plan.next_sequence,
    });
    Ok(Some((newest.modified, chunk)))
}
