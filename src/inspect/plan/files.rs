//! How many files a table makes in a day, at most. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::super::words::{counted, duration, number};
use crate::config::{FileSettings, Schedule, TableSettings};
use crate::model::{Mode, PartitionBy, Transform};

const DAY: Duration = Duration::from_secs(86_400);
/// What a schedule's loads are counted over.
const DAYS: u32 = 7;
/// A schedule that ticks more often than this in that time is taken to tick so often.
const MOST_TICKS: u32 = 7 * 24 * 60;

/// How many files a table makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilesPerDay {
    pub at_most: u64,
    /// The directories that each multiply it, e.g. the days that rows of one load belong to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_directory_of: Vec<String>,
    /// How it comes to that.
    pub because: String,
}

/// Counts the chunks of a day, in the topic's partitions and the table's buckets. `None` for a table that is loaded on
/// request only.
pub fn files_per_day(
    mode: Mode,
    settings: &TableSettings,
    files: &FileSettings,
    partitions: i32,
    rows: Option<u64>,
) -> Option<FilesPerDay> {
    let partitions = u64::try_from(partitions).unwrap_or(1).max(1);
    let (chunks, why) = match mode {
        Mode::Bulk => {
            let (loads, every) = match (&settings.schedule, settings.every) {
                (Some(schedule), _) => {
                    let loads = loads_per_day(schedule, Timestamp::now());
                    (loads, counted(loads, "load a day", "loads a day"))
                }
                (None, Some(every)) => (
                    times_a_day(every),
                    format!("a load every {}", duration(every)),
                ),
                (None, None) => return None,
            };
            // One chunk of each partition at least: a load of no rows makes one file, too.
            let of_partition = rows.unwrap_or(0).div_ceil(partitions);
            let chunks = of_partition.div_ceil(files.rows.max(1)).max(1);
            let each = counted(chunks, "chunk each", "chunks each");
            (loads.saturating_mul(chunks), format!("{every}, {each}"))
        }
        _ => {
            let age = duration(files.age);
            (
                times_a_day(files.age),
                format!("a chunk every {age} while rows come"),
            )
        }
    };
    let buckets = buckets(&settings.partition_by);
    let mut because = format!("{}, {why}", counted(partitions, "partition", "partitions"));
    if buckets > 1 {
        because.push_str(&format!(", {} buckets", number(buckets)));
    }
    Some(FilesPerDay {
        at_most: partitions.saturating_mul(chunks).saturating_mul(buckets),
        per_directory_of: settings
            .partition_by
            .iter()
            .filter(|by| !matches!(by.transform, Transform::Bucket(..)))
            .map(|by| by.name.clone())
            .collect(),
        because,
    })
}

fn buckets(levels: &[PartitionBy]) -> u64 {
    let of = |level: &PartitionBy| match level.transform {
        Transform::Bucket(buckets, _) => u64::from(buckets),
        _ => 1,
    };
    levels.iter().map(of).fold(1, u64::saturating_mul)
}

fn times_a_day(every: Duration) -> u64 {
    let times = DAY.as_millis().div_ceil(every.as_millis().max(1));
    u64::try_from(times).unwrap_or(u64::MAX).max(1)
}

/// The loads of a busy day: those of the next week by seven, rounded up.
fn loads_per_day(schedule: &Schedule, from: Timestamp) -> u64 {
    let end = from + SignedDuration::from_hours(24 * i64::from(DAYS));
    let (mut at, mut ticks) = (from, 0_u32);
    while ticks < MOST_TICKS {
        match schedule.next_after(at) {
            Ok(next) if next <= end => (at, ticks) = (next, ticks + 1),
            _ => break,
        }
    }
    u64::from(ticks.div_ceil(DAYS)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(
        mode: Mode,
        by: &[&str],
        schedule: Option<&str>,
        every: Option<u64>,
        rows: u64,
    ) -> String {
        let partition_by = by.iter().map(|by| PartitionBy {
            name: "p".into(),
            transform: Transform::parse(by).unwrap(),
        });
        let settings = crate::config::parse(
            "version: 1\nkafka: { brokers: localhost }\nlake: { url: /lake }\nsources:\n  ec: { url: \"postgres://cdc@localhost/shop\", tables: { t: { mode: bulk } } }",
            "test",
        );
        let settings = settings.unwrap_or_else(|problems| panic!("{problems}"));
        let mut table = settings.sources[0].tables[0].clone();
        table.partition_by = partition_by.collect();
        table.schedule = schedule.map(|text| Schedule::parse(text).unwrap());
        table.every = every.map(Duration::from_secs);
        let files = settings.lake.files;
        match files_per_day(mode, &table, &files, 3, Some(rows)) {
            Some(found) => format!(
                "{} per {:?}: {}",
                found.at_most, found.per_directory_of, found.because
            ),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn files_are_counted_by_partitions_chunks_and_buckets() {
        let all = [
            said(Mode::Timestamp, &["day(at)"], None, Some(5), 0),
            said(Mode::Incrementing, &["bucket(16, id)"], None, Some(5), 0),
            said(
                Mode::Bulk,
                &[],
                Some("30 2 * * * Asia/Seoul"),
                None,
                9_000_000,
            ),
            said(Mode::Bulk, &[], None, Some(3_600), 10),
            said(Mode::Bulk, &[], Some("0 5 * * 1"), None, 10),
            said(Mode::Bulk, &[], None, None, 10),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        432 per ["p"]: 3 partitions, a chunk every 10 min while rows come
        6912 per []: 3 partitions, a chunk every 10 min while rows come, 16 buckets
        9 per []: 3 partitions, 1 load a day, 3 chunks each
        72 per []: 3 partitions, a load every 1 h, 1 chunk each
        3 per []: 3 partitions, 1 load a day, 1 chunk each
        none
        "#);
    }
}
