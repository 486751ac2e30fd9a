//! What becomes of a table's head, its place in Kafka and in the lake: one line. Pure.

use jiff::Timestamp;

use super::super::memory::Remembered;
use super::super::stops::{StoppedPartition, Stops};
use super::super::words;
use super::in_lake::{Chunk, InLake};
use super::logs::Logs;
use super::{LakeStatus, TableState, TableStatus};
use crate::config::TableSettings;
use crate::model::{CopyPhase, Mode, TableName};
use crate::state::Head;

/// Whether anybody is at work on the two halves.
#[derive(Clone, Copy, Default)]
pub struct AtWork {
    pub captures: bool,
    /// Whether somebody captures who does not end by itself.
    pub follows: bool,
    pub writes: bool,
}

/// How a table fares, of all that was found out.
pub fn table_status(
    table: &Remembered,
    settings: Option<&TableSettings>,
    found: Option<&InLake>,
    logs: &Logs,
    stops: &Stops,
    at_work: AtWork,
    now: i64,
) -> TableStatus {
    let mut status = TableStatus {
        table: table.name.to_string(),
        state: TableState::New,
        mode: None,
        percent: None,
        cursor: None,
        guard: None,
        rows: 0,
        rejected: 0,
        nulled: 0,
        captured_at: None,
        capture_lag_seconds: None,
        next_load_at: None,
        lake: LakeStatus::default(),
        error: None,
        code: None,
        next: None,
        error_since: None,
    };
    let head = match &table.head {
        None => {
            status.take_trouble(table, at_work);
            return status;
        }
        Some(Err(error)) => {
            status.state = TableState::Unknown;
            status.error = Some(error.to_string());
            status.code = Some(error.stable_code().to_string());
            status.next = error.next_step().map(str::to_owned);
            return status;
        }
        Some(Ok(head)) => head,
    };
    status.next_load_at = settings
        .filter(|_| at_work.follows)
        .and_then(|settings| next_load(head, settings));
    status.state = state_of(head, at_work.captures, status.next_load_at.is_some());
    status.mode = Some(head.mode);
    status.cursor = cursor_of(head);
    status.guard = head.guard.clone();
    status.rows = head.rows;
    (status.rejected, status.nulled) = (head.rejected, head.nulled);
    if status.state == TableState::Copying {
        status.percent = head
            .copy
            .as_ref()
            .and_then(|copy| words::copied_percent(head.mode, copy));
    }
    status.captured_at = match (&head.load, head.fresh_to) {
        (Some(load), _) => Some(load.began_at),
        (None, fresh_to) => fresh_to.map(|micros| micros / 1000),
    };
    status.capture_lag_seconds = status.captured_at.map(|at| ((now - at) / 1000).max(0));
    status.lake = lake_status(head, found, logs);
    status.lake.stopped = still_stopped(&table.name, head, stops, logs);
    if let Some(failure) = &head.failure {
        status.error = Some(failure.text.clone());
        status.code = failure.code.clone();
        status.next = failure.next_step.clone();
        status.error_since = Some(failure.at);
    } else {
        status.take_trouble(table, at_work);
    }
    let is_left = |stop: &StoppedPartition| !stop.is_retried;
    if status.lake.stopped.iter().any(is_left) {
        status.state = TableState::Failed;
    } else if !status.lake.stopped.is_empty() && at_work.writes {
        status.state = status.state.min(TableState::Waiting);
    }
    status
}

impl TableStatus {
    /// What keeps the table from working beyond what its head says. What is tried again is news only while somebody
    /// tries.
    fn take_trouble(&mut self, table: &Remembered, at_work: AtWork) {
        let trouble = table.trouble.as_ref();
        let Some(trouble) = trouble.filter(|trouble| !trouble.is_retried || at_work.captures)
        else {
            return;
        };
        self.state = match trouble.is_retried {
            true => TableState::Waiting,
            false => TableState::Failed,
        };
        self.error = Some(trouble.text.clone());
        self.code = trouble.code.clone();
        self.next = trouble.next_step.clone();
        self.error_since = Some(trouble.since);
    }
}

/// The partitions that stand still where they stood when that was written.
pub fn still_stopped(
    name: &TableName,
    head: &Head,
    stops: &Stops,
    logs: &Logs,
) -> Vec<StoppedPartition> {
    let of = (name.head_key(), head.topic.clone());
    let stopped = stops.get(&of).into_iter().flatten();
    let stands = |stop: &&StoppedPartition| {
        let committed = logs.committed.get(&(head.topic.clone(), stop.partition));
        committed.is_none_or(|committed| *committed <= stop.stands_at)
    };
    stopped.filter(stands).cloned().collect()
}

/// When a bulk table's next load is due; none is while it is paused, or a load goes on.
fn next_load(head: &Head, settings: &TableSettings) -> Option<i64> {
    let load = head.load.as_ref().filter(|load| !load.open)?;
    if head.mode != Mode::Bulk || settings.mode != Mode::Bulk || head.paused {
        return None;
    }
    let began = Timestamp::from_millisecond(load.began_at).ok()?;
    let due = settings.load_after(began).ok()??;
    Some(due.as_millisecond())
}

fn state_of(head: &Head, is_followed: bool, has_next_load: bool) -> TableState {
    let copy_is_open = head
        .copy
        .as_ref()
        .is_some_and(|copy| copy.phase != CopyPhase::Done);
    let load_is_open = head.load.as_ref().is_some_and(|load| load.open);
    match head {
        Head {
            failure: Some(_), ..
        } => TableState::Failed,
        Head { paused: true, .. } => TableState::Paused,
        _ if copy_is_open => TableState::Copying,
        _ if load_is_open => TableState::Loading,
        // Without a schedule nobody loads it but by hand.
        Head {
            mode: Mode::Bulk, ..
        } if !has_next_load => TableState::Idle,
        _ if is_followed => TableState::Following,
        _ => TableState::Idle,
    }
}

fn cursor_of(head: &Head) -> Option<String> {
    match (&head.copy, &head.load, &head.cursor) {
        (_, Some(load), _) => Some(format!("load {}", load.number)),
        (Some(copy), _, _) if copy.phase != CopyPhase::Done => {
            Some(format!("{} rows copied", words::number(copy.rows)))
        }
        (_, None, Some(cursor)) => Some(words::cursor(&head.cursor_columns, cursor)),
        (_, None, None) => None,
    }
}

fn lake_status(head: &Head, found: Option<&InLake>, logs: &Logs) -> LakeStatus {
    let mut behind = Some(0);
    for (partition, next) in (0..).zip(&head.next) {
        let of = (head.topic.clone(), partition);
        let committed = logs.committed.get(&of).copied();
        let by_offset = logs.behind(&of);
        let chunk = found
            .and_then(|found| found.chunks.get(&partition))
            .copied();
        let of_partition = records_behind(
            *next,
            found.is_some().then_some(chunk),
            committed,
            by_offset,
        );
        behind = behind.zip(of_partition).map(|(sum, more)| sum + more);
    }
    let current = found.and_then(|found| found.current.as_ref());
    let switched_at = current.and_then(|current| current.switched_at.parse::<Timestamp>().ok());
    let chunks = found
        .map(|found| found.chunks.values())
        .into_iter()
        .flatten();
    let rows: u64 = chunks
        .map(|chunk| chunk.next_sequence - chunk.first_sequence)
        .sum();
    LakeStatus {
        records_behind: behind,
        newest_at: match head.mode {
            Mode::Bulk => switched_at.map(Timestamp::as_millisecond),
            _ => found.and_then(|found| found.newest_at),
        },
        newest_rows: match head.mode {
            Mode::Bulk => current.map(|current| current.rows),
            _ => Some(rows).filter(|rows| *rows > 0),
        },
        load: current.map(|current| current.load),
        stopped: Vec::new(),
    }
}

/// How many records of a partition are not in the lake yet.
///
/// The log's end counts control records, which are in no file, so that the difference of two offsets never
/// becomes 0. Sequence numbers count records alone: the head knows the next one that will be sent, the newest
/// plan the next one that will be planned. That plan's files are all in the lake once the offset behind them is
/// committed; before that none of it is counted. Offsets ([`Logs::behind`]) bound the answer from above where plans
/// say less, e.g. while the lake does not answer (`chunk` is `None` then, and `Some(None)` where there is no plan).
fn records_behind(
    next: u64,
    chunk: Option<Option<Chunk>>,
    committed: Option<u64>,
    by_offset: Option<u64>,
) -> Option<u64> {
    let by_sequence = chunk.map(|chunk| match chunk {
        Some(chunk) if committed.is_some_and(|at| at >= chunk.end) => {
            next.saturating_sub(chunk.next_sequence)
        }
        Some(chunk) => next.saturating_sub(chunk.first_sequence),
        None => next.saturating_sub(1),
    });
    match (by_sequence, by_offset) {
        (Some(by_sequence), Some(by_offset)) => Some(by_sequence.min(by_offset)),
        (one, other) => one.or(other),
    }
}

pub fn sort_worst_first(tables: &mut [TableStatus]) {
    tables.sort_by(|a, b| {
        let late =
            |table: &TableStatus| std::cmp::Reverse(table.lake.records_behind.unwrap_or(u64::MAX));
        (a.state, late(a), &a.table).cmp(&(b.state, late(b), &b.table))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::configured_in;
    use crate::state::LoadHead;

    const CHUNK: Chunk = Chunk {
        end: 100,
        first_sequence: 41,
        next_sequence: 91,
    };

    #[test]
    fn a_lake_that_holds_every_record_is_0_behind_although_the_log_ends_later() {
        let behind = |next, committed| {
            records_behind(
                next,
                Some(Some(CHUNK)),
                Some(committed),
                Some(105 - committed),
            )
        };
        assert_eq!(behind(91, 100), Some(0));
        assert_eq!(behind(94, 100), Some(3));
        // Planned, and perhaps not put: none of the chunk counts.
        assert_eq!(behind(91, 50), Some(50));
    }

    #[test]
    fn without_plans_the_offsets_say_it_and_without_either_nothing_does() {
        assert_eq!(records_behind(11, Some(None), None, Some(12)), Some(10));
        assert_eq!(records_behind(11, None, Some(7), Some(5)), Some(5));
        assert_eq!(records_behind(11, None, None, None), None);
        // Retention took what the sink never saw: what is gone is not waited for.
        assert_eq!(records_behind(11, Some(None), None, Some(2)), Some(2));
    }

    #[test]
    fn by_offsets_alone_the_mark_that_ends_a_transaction_is_not_behind() {
        let of = |partition| ("retail.orders".to_owned(), partition);
        let logs = Logs {
            bounds: [(of(0), (0, 12)), (of(1), (4, 12)), (of(2), (0, 0))].into(),
            committed: [(of(0), 11), (of(1), 9), (of(3), 1)].into(),
        };
        let behind: Vec<_> = (0..4)
            .map(|partition| logs.behind(&of(partition)))
            .collect();
        assert_eq!(behind, [Some(0), Some(3), Some(0), None]);
    }

    fn table(name: &str, state: TableState, behind: u64) -> TableStatus {
        let name = TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: name.into(),
            in_default_schema: true,
        };
        let mut status = table_status(
            &Remembered {
                name,
                head: None,
                trouble: None,
            },
            None,
            None,
            &Logs::default(),
            &Stops::new(),
            AtWork::default(),
            0,
        );
        status.state = state;
        status.lake.records_behind = Some(behind);
        status
    }

    /// What is shown of a bulk table that is loaded every hour, `more` being written below it.
    fn of_bulk_table(more: &str, captures: bool, load: LoadHead) -> (TableState, Option<i64>) {
        let text = format!(
            "version: 1\nkafka: {{ brokers: localhost }}\nlake: {{ url: /lake }}\nsources:\n  ec: {{ url: \"postgres://cdc@localhost/shop\", tables: {{ products: {{ mode: bulk{more} }} }} }}"
        );
        let settings = crate::config::parse(&text, "test");
        let settings = settings.unwrap_or_else(|problems| panic!("{problems}"));
        let text = r#"{"v":1,"table":"ec.products","topic":"products","mode":"bulk","epoch":1,"identity":{},"cursor_columns":[],"partitions":1,"next":[1],"batches":0,"rows":0,"written_at":6,"worker":"till-1"}"#;
        let mut head: Head = crate::state::decode("a head", text.as_bytes()).expect("a head");
        head.load = Some(load);
        let at_work = AtWork {
            captures,
            follows: captures,
            writes: captures,
        };
        let known = Remembered {
            name: configured_in(&settings.sources[0], "").remove(0).name,
            head: Some(Ok(head)),
            trouble: None,
        };
        let written = settings.table_settings(&known.name);
        let (logs, stops) = (Logs::default(), Stops::new());
        let status = table_status(&known, written, None, &logs, &stops, at_work, 0);
        (status.state, status.next_load_at)
    }

    #[test]
    fn a_bulk_table_that_is_followed_is_so_until_its_next_load() {
        let load = |open| LoadHead {
            void: false,
            number: 1,
            ulid: String::new(),
            open,
            began_at: 5_000,
            rows: 40,
        };
        use TableState::*;
        let hourly = ", every: 1h";
        assert_eq!(
            of_bulk_table(hourly, true, load(false)),
            (Following, Some(3_605_000))
        );
        assert_eq!(of_bulk_table(hourly, true, load(true)), (Loading, None));
        assert_eq!(of_bulk_table(hourly, false, load(false)), (Idle, None));
        assert_eq!(of_bulk_table("", true, load(false)), (Idle, None));
    }

    #[test]
    fn what_wants_attention_stands_first() {
        use TableState::*;
        let mut tables = vec![
            table("a", Idle, 0),
            table("b", Following, 0),
            table("c", Following, 900),
            table("d", Failed, 0),
            table("e", Copying, 5),
            table("f", Following, 0),
            table("g", Unknown, 0),
        ];
        sort_worst_first(&mut tables);
        let order: Vec<&str> = tables
            .iter()
            .filter_map(|table| table.table.strip_prefix("ec."))
            .collect();
        assert_eq!(order, ["d", "g", "e", "c", "b", "f", "a"]);
    }
}
