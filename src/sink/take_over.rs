//! Taking over a partition: the plans in the lake, the committed offset and the log's bounds are looked up,
//! and `resume.rs` decides.

use super::publish::read_stored;
use super::records::PartitionId;
use super::resume::{Found, Raised, Resume, Retirement, needed, resume};
use super::stored::{PlanKey, Stored, plans_of};
use crate::error::{Error, Kind, Result};
use crate::lake::Store;

/// What Kafka knows of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The group's committed offset.
    pub hint: Option<u64>,
    /// Offset of the first record that is still there.
    pub low: u64,
    /// The log's end.
    pub high: u64,
}

/// The names of all plans of a topic.
pub async fn plan_keys(store: &dyn Store, topic: &str) -> Result<Vec<PlanKey>> {
    let entries = store.list(&plans_of(topic)).await?;
    Ok(entries
        .iter()
        .filter_map(|entry| PlanKey::parse(topic, &entry.path))
        .collect())
}

/// Decides how a partition goes on. `keys` are the plans of its topic.
pub async fn take_over(
    store: &dyn Store,
    id: &PartitionId,
    keys: &[PlanKey],
    bounds: Bounds,
    retired: Option<Retirement>,
    raised: Option<Raised>,
) -> Result<Resume> {
    let own = own_keys(id, keys);
    let needed = needed(&own, bounds.hint, retired);
    let newest = read(store, id, needed.newest).await?;
    let before_hint = read(store, id, needed.before_hint).await?;
    Ok(resume(&Found {
        hint: bounds.hint,
        newest,
        before_hint,
        at_hint: needed.at_hint,
        low: bounds.low,
        high: bounds.high,
        retired,
        raised,
    }))
}

/// The plans of one partition, of those of its topic.
pub fn own_keys(id: &PartitionId, keys: &[PlanKey]) -> Vec<PlanKey> {
    let own = keys.iter().filter(|key| key.partition == id.number);
    own.copied().collect()
}

/// What a plan's name stands for.
pub async fn read(
    store: &dyn Store,
    id: &PartitionId,
    key: Option<PlanKey>,
) -> Result<Option<Stored>> {
    let Some(key) = key else {
        return Ok(None);
    };
    let path = key.path(id.topic.as_str());
    match read_stored(store, &path).await? {
        Some(stored) => Ok(Some(stored)),
        None => Err(Error::new(
            Kind::Unavailable,
            "reading a plan that was listed a moment ago",
        )
        .about(store.location(&path))),
    }
}

/// The plans that tell nothing any more: their records are gone from the log, and two newer plans stand.
/// The newest is never deleted, and the one before it says that a hint between the two is a border.
pub fn outlived_plans(id: &PartitionId, keys: &[PlanKey], low: u64) -> Vec<PlanKey> {
    let mut own = own_keys(id, keys);
    own.sort_by_key(|key| (key.epoch, key.start));
    let outlived = own.len().saturating_sub(2);
    // A plan ends where the next one begins, or before.
    let followers = own
        .iter()
        .skip(1)
        .map(|next| next.start)
        .collect::<Vec<_>>();
    let pairs = own.into_iter().zip(followers).take(outlived);
    pairs
        .filter(|(_, next)| *next <= low)
        .map(|(key, _)| key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicName;

    #[test]
    fn only_plans_below_the_logs_start_are_outlived_and_never_the_two_newest() {
        let id = PartitionId {
            topic: TopicName::new("retail.orders").expect("a name"),
            number: 1,
        };
        let key = |partition, start| PlanKey {
            epoch: 7,
            partition,
            start,
        };
        let keys = [key(1, 0), key(0, 0), key(1, 10), key(1, 20), key(1, 30)];
        assert_eq!(outlived_plans(&id, &keys, 9), []);
        assert_eq!(outlived_plans(&id, &keys, 10), [key(1, 0)]);
        assert_eq!(outlived_plans(&id, &keys, 900), [key(1, 0), key(1, 10)]);
    }
}
