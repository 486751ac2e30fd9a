//! Records of the loads topic `_cdc_loads.<pipeline>`: which bulk loads began and how they ended, and which
//! epochs were retired. Format version 1.

use serde::{Deserialize, Serialize};

/// How far a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadState {
    Began,
    /// All its transactions are committed, and the counts agree.
    Ended,
    /// It will never be complete; its files are garbage.
    Abandoned,
}

/// Value of the key `<head key>/<load number, 20 digits>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadRecord {
    pub v: u32,
    pub state: LoadState,
    pub ulid: String,
    /// The topic its rows are in.
    pub topic: String,
    pub epoch: u64,
    /// One entry per partition of the topic, in partition order; empty until it ended.
    #[serde(default)]
    pub partitions: Vec<LoadPartition>,
    /// The database's own count inside the same snapshot.
    #[serde(default)]
    pub source_rows: u64,
    /// Why it was abandoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of an abandoned load: its worker ended or lost the table, and the next load was begun in its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_off: bool,
    /// The schema of its rows: what the file of an empty load is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// What one partition holds of a load: its rows lie in `[start, end)`, not densely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPartition {
    pub start: u64,
    pub end: u64,
    pub rows: u64,
    pub rejected: u64,
}

impl LoadRecord {
    /// `<head key>/<load number, 20 digits>`.
    pub fn key(head_key: &str, number: u64) -> String {
        format!("{head_key}/{number:020}")
    }

    /// Takes such a key apart; `None` for other keys of the topic.
    pub fn parse_key(key: &str) -> Option<(&str, u64)> {
        let (head_key, number) = key.rsplit_once('/')?;
        (number.len() == 20)
            .then(|| number.parse().ok())
            .flatten()
            .map(|number| (head_key, number))
    }
}

/// Value of the key `<head key>/stopped/<partition>`: why the sink does not bring a partition of the table's topic
/// into the lake. For people: nothing is decided by it. The partition's owner in the sink group writes it, and
/// removes it when the partition is read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRecord {
    pub v: u32,
    pub topic: String,
    /// Every record below it is in the lake, as far as its owner knows.
    pub offset: u64,
    /// What the sink's group had committed, where that is more: the lake does not have what it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_offset: Option<u64>,
    pub text: String,
    /// By what `cdc explain` knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// Whether it is tried again by itself.
    pub is_retried: bool,
    /// Whether something in the log or a plan made for it is at fault, so that it can be given up by hand.
    #[serde(default)]
    pub is_skippable: bool,
    /// Milliseconds since 1970 when it began.
    pub since: i64,
    /// Which worker met it.
    pub worker: String,
}

impl StopRecord {
    /// Where the group has committed more than this by now, the partition has gone on since.
    pub fn stands_at(&self) -> u64 {
        self.offset.max(self.group_offset.unwrap_or_default())
    }

    /// `<head key>/stopped/<partition>`.
    pub fn key(head_key: &str, partition: i32) -> String {
        format!("{head_key}/stopped/{partition}")
    }

    /// Takes such a key apart; `None` for other keys of the topic.
    pub fn parse_key(key: &str) -> Option<(&str, i32)> {
        let (rest, partition) = key.rsplit_once('/')?;
        let head_key = rest.strip_suffix("/stopped")?;
        (head_key.split('/').count() == 4)
            .then(|| partition.parse().ok())
            .flatten()
            .map(|partition| (head_key, partition))
    }
}

/// Value of the key `<head key>/epoch`: a table was begun anew, or its cursor was put elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    pub v: u32,
    /// The topic its rows are in.
    pub topic: String,
    pub epoch: u64,
    /// Files, plans and records of epochs below this one are void; `None` where a reset voids nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_below: Option<u64>,
    /// Where the records of the first epoch that counts begin at the earliest, by partition of the topic: of the
    /// epoch `retired_below`, or else of this one.
    pub start: Vec<u64>,
    pub reason: String,
    /// The last epoch before it that had records, and how far it came, by partition of the topic; empty where none
    /// counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<EpochEnd>,
}

/// How far an epoch that is over and still counts came in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochEnd {
    pub epoch: u64,
    /// The sequence number that would have come next.
    pub next: u64,
}

impl EpochRecord {
    /// A table is copied anew: whatever was before `epoch` is void.
    pub fn begun_anew(topic: String, epoch: u64, start: Vec<u64>) -> Self {
        EpochRecord {
            v: 1,
            topic,
            epoch,
            retired_below: Some(epoch),
            start,
            reason: "snapshot --again".to_owned(),
            before: Vec::new(),
        }
    }

    /// A table's reading is put elsewhere: nothing is void but what was before, which `earlier` says. `before` is the
    /// epoch that is left, if one is known, and the number that would have come next in each partition.
    pub fn moved(
        earlier: Option<&EpochRecord>,
        before: Option<(u64, &[u64])>,
        topic: String,
        epoch: u64,
        start: Vec<u64>,
        reason: String,
    ) -> Self {
        let earlier = earlier.filter(|earlier| earlier.topic == topic);
        let (epoch_left, next) = before.unwrap_or_default();
        // Where the epoch that is left had no record, the lake ends with the one before it.
        let carried = |partition: usize| {
            let left = earlier.filter(|earlier| earlier.epoch == epoch_left)?;
            left.before.get(partition).copied()
        };
        let ends = next.iter().enumerate().map(|(partition, next)| {
            let own = EpochEnd {
                epoch: epoch_left,
                next: *next,
            };
            carried(partition).filter(|_| *next == 1).unwrap_or(own)
        });
        let before = ends.collect();
        let retired = earlier.filter(|earlier| earlier.retired_below.is_some());
        EpochRecord {
            v: 1,
            retired_below: retired.and_then(|earlier| earlier.retired_below),
            start: retired.map_or(start, |earlier| earlier.start.clone()),
            topic,
            epoch,
            reason,
            before,
        }
    }

    /// `<head key>/epoch`.
    pub fn key(head_key: &str) -> String {
        format!("{head_key}/epoch")
    }

    /// Takes such a key apart; `None` for other keys of the topic.
    pub fn parse_key(key: &str) -> Option<&str> {
        key.strip_suffix("/epoch")
            .filter(|head_key| head_key.split('/').count() == 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_after_a_copy_anew_keeps_void_what_was_void() {
        let again = EpochRecord::begun_anew("t".into(), 7, vec![10, 20]);
        let moved = |earlier, topic: &str| {
            let before = Some((7, [3, 1].as_slice()));
            EpochRecord::moved(earlier, before, topic.into(), 9, vec![30, 40], "set".into())
        };
        let kept = moved(Some(&again), "t");
        assert_eq!(
            (kept.retired_below, kept.start.as_slice()),
            (Some(7), [10, 20].as_slice())
        );
        let twice = moved(Some(&kept), "t");
        assert_eq!((twice.retired_below, twice.start), (Some(7), vec![10, 20]));
        let first = moved(None, "t");
        assert_eq!((first.retired_below, first.start), (None, vec![30, 40]));
        let elsewhere = moved(Some(&again), "other");
        assert_eq!(
            (elsewhere.retired_below, elsewhere.start),
            (None, vec![30, 40])
        );
    }

    #[test]
    fn an_epoch_without_records_is_passed_over_in_what_is_said_of_the_ones_before() {
        let end = |epoch, next| EpochEnd { epoch, next };
        let moved = |earlier, left, next: &[u64]| {
            let before = Some((left, next));
            EpochRecord::moved(earlier, before, "t".into(), left + 2, vec![], "set".into())
        };
        let first = moved(None, 7, &[9, 1, 4]);
        assert_eq!(first.before, [end(7, 9), end(7, 1), end(7, 4)]);
        // One partition got rows meanwhile, the others none.
        let second = moved(Some(&first), 9, &[1, 1, 6]);
        assert_eq!(second.before, [end(7, 9), end(7, 1), end(9, 6)]);
        let third = moved(Some(&second), 11, &[1, 2, 1]);
        assert_eq!(third.before, [end(7, 9), end(11, 2), end(9, 6)]);
        // What was announced last is not about the epoch that is left.
        assert_eq!(moved(Some(&second), 12, &[1]).before, [end(12, 1)]);
        let unknown = EpochRecord::moved(Some(&second), None, "t".into(), 13, vec![], "set".into());
        assert_eq!(unknown.before, []);
    }

    #[test]
    fn the_sorts_of_keys_are_told_apart_whatever_the_table_is_called() {
        for table in ["orders", "stopped", "epoch"] {
            let head = format!("t/ec/public/{table}");
            let (stop, load, epoch) = (
                StopRecord::key(&head, 7),
                LoadRecord::key(&head, 7),
                EpochRecord::key(&head),
            );
            assert_eq!(StopRecord::parse_key(&stop), Some((head.as_str(), 7)));
            assert_eq!(StopRecord::parse_key(&load), None);
            assert_eq!(StopRecord::parse_key(&epoch), None);
            assert_eq!(LoadRecord::parse_key(&stop), None);
            assert_eq!(EpochRecord::parse_key(&stop), None);
        }
    }
}
