//! `cdc status`: one line per table, worst first.

use std::process::ExitCode;

use clap::Args;

use super::aligned::aligned;
use super::ask::client_id;
use super::output::Output;
use super::{Format, as_json, kafka_of};
use crate::config::Settings;
use crate::error::Result;
use crate::inspect::{LakeStatus, PipelineStatus, TableState, TableStatus, ago, number, status};
use crate::model::GuardClass;

/// Shows how each table fares, worst first.
///
/// It only reads, and works while databases are down and nobody is at work.
///
///   STATE     failed, unknown, waiting (a part does not answer; it is tried again), paused, new, copying, loading,
///             following; idle: nobody is at work on it
///   CURSOR    how far the database was read
///   CAPTURED  when everything the database had committed was in Kafka; told once a minute while nothing changes
///   LAKE      records in Kafka that are not in the lake yet
///   NEWEST    the newest files, or the load that readers see
///
/// Example: cdc status -o json | jq -r '.tables[] | select(.state == "failed") | .table'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Status {
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Status {
    pub async fn run(&self, settings: Settings, output: Output) -> Result<ExitCode> {
        let kafka = kafka_of(&settings)?;
        let status = status(&settings, kafka, &client_id(&settings)).await?;
        match self.output {
            Format::Json => output.line(&as_json(&status)?),
            Format::Text => in_text(&status).iter().for_each(|line| output.line(line)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_text(status: &PipelineStatus) -> Vec<String> {
    let heading = [
        "TABLE", "STATE", "CURSOR", "CAPTURED", "LAKE", "NEWEST", "GUARD",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(status.tables.iter().map(|table| row(table, status.at)));
    let mut rows = aligned(&rows).into_iter();
    let mut lines: Vec<String> = rows.next().into_iter().collect();
    for (table, row) in status.tables.iter().zip(rows) {
        lines.push(row);
        lines.extend(why(table, status.at));
        lines.extend(misfits(table));
    }
    lines.push(String::new());
    lines.push(at_work(status));
    lines.extend(
        status
            .notes
            .iter()
            .map(|note| format!("not found out: {note}")),
    );
    lines
}

/// What of a table cannot be carried exactly.
fn misfits(table: &TableStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if table.rejected > 0 {
        let (rows, name) = (number(table.rejected), &table.table);
        lines.push(format!(
            "  rejected: {rows} rows; `cdc rejected show {name}` shows them"
        ));
    }
    if table.nulled > 0 {
        let values = number(table.nulled);
        lines.push(format!(
            "  NULL: in the place of {values} values that cannot be carried exactly"
        ));
    }
    lines
}

/// What keeps a table from working, since when, and what to do about it.
fn why(table: &TableStatus, now: i64) -> Vec<String> {
    let since = |at: Option<i64>| match at.map(|at| ago(at, now)) {
        Some(ago) if ago == "now" => Some(" (just now)".to_owned()),
        ago => ago.map(|ago| format!(" (for {})", ago.trim_end_matches(" ago"))),
    };
    let line = |word: &str, text: &str, at: Option<i64>| {
        format!("  {word}: {text}{}", since(at).unwrap_or_default())
    };
    let mut lines = Vec::new();
    if let Some(error) = &table.error {
        let word = match table.state {
            TableState::Waiting => "waiting",
            _ => "error",
        };
        lines.push(line(word, error, table.error_since));
        lines.extend(table.next.iter().map(|next| format!("  next: {next}")));
    }
    for stop in &table.lake.stopped {
        let (partition, offset) = (stop.partition, stop.offset);
        let word = match stop.is_retried {
            true => "the lake is waiting",
            false => "not in the lake",
        };
        let text = format!(
            "partition {partition} from offset {offset} on: {}",
            stop.error
        );
        lines.push(line(word, &text, Some(stop.since)));
        lines.extend(stop.next.iter().map(|next| format!("  next: {next}")));
    }
    lines
}

fn row(table: &TableStatus, now: i64) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let guard = table.guard.as_ref().map(|guard| match guard {
        GuardClass::Proven => "proven",
        GuardClass::Assumed(_) => "assumed",
        GuardClass::Unsafe(_) => "unsafe",
    });
    vec![
        table.table.clone(),
        state(table),
        or_dash(table.cursor.clone()),
        or_dash(table.captured_at.map(|at| ago(at, now))),
        lake(table),
        or_dash(newest(&table.lake, now)),
        or_dash(guard.map(str::to_owned)),
    ]
}

fn state(table: &TableStatus) -> String {
    let word = match table.state {
        TableState::Failed => "FAILED",
        TableState::Unknown => "unknown",
        TableState::Waiting => "waiting",
        TableState::Paused => "paused",
        TableState::New => "new",
        TableState::Copying => "copying",
        TableState::Loading => "loading",
        TableState::Following => "following",
        TableState::Idle => "idle",
    };
    match table.percent {
        Some(percent) => format!("{word} {percent}%"),
        None => word.to_owned(),
    }
}

fn lake(table: &TableStatus) -> String {
    match (table.state, table.lake.records_behind) {
        (TableState::New | TableState::Unknown, _) => "–".to_owned(),
        // Nothing was sent of it yet.
        (_, _) if table.mode.is_none() => "–".to_owned(),
        (_, Some(0)) => "0 behind".to_owned(),
        (_, Some(records)) => format!("{} behind", number(records)),
        (_, None) => "?".to_owned(),
    }
}

fn newest(lake: &LakeStatus, now: i64) -> Option<String> {
    let when = ago(lake.newest_at?, now);
    let rows = lake
        .newest_rows
        .map(|rows| format!(", {} rows", number(rows)))
        .unwrap_or_default();
    Some(match lake.load {
        Some(load) => format!("load {load}{rows}, {when}"),
        None => format!("files{rows}, {when}"),
    })
}

fn at_work(status: &PipelineStatus) -> String {
    let pipeline = &status.pipeline;
    let named = |names: &[String]| match names {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    };
    let (capture, sink) = (&status.capture_workers, &status.sink_workers);
    match (capture.as_slice(), sink.as_slice()) {
        ([], []) => {
            format!("pipeline {pipeline}: nobody is at work; `cdc follow` keeps it in step")
        }
        (capture, sink) if capture == sink => {
            format!("pipeline {pipeline}: at work: {}", named(capture))
        }
        (capture, sink) => {
            format!(
                "pipeline {pipeline}: {} captures, {} writes the lake",
                named(capture),
                named(sink)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::StoppedPartition;
    use crate::model::Mode;

    fn table(name: &str, state: TableState) -> TableStatus {
        TableStatus {
            table: name.into(),
            state,
            mode: Some(Mode::Incrementing),
            percent: None,
            cursor: Some("item_id ≤ 40,000".into()),
            guard: Some(GuardClass::Proven),
            rows: 40_000,
            rejected: 0,
            nulled: 0,
            captured_at: Some(-12_000),
            capture_lag_seconds: Some(12),
            lake: LakeStatus {
                records_behind: Some(1_250),
                newest_at: Some(-300_000),
                newest_rows: Some(5_000),
                load: None,
                stopped: Vec::new(),
            },
            error: None,
            code: None,
            next: None,
            error_since: None,
        }
    }

    #[test]
    fn a_table_is_a_line_and_its_error_stands_below_it() {
        let failed = TableStatus {
            error: Some("describing the table: there is no table `orders`".into()),
            next: Some("check its name and schema".into()),
            error_since: Some(-3_600_000),
            ..table("ec.orders", TableState::Failed)
        };
        let copying = TableStatus {
            percent: Some(42),
            rejected: 1_012,
            nulled: 3,
            ..table("ec.items", TableState::Copying)
        };
        let mut held_up = table("ec.events", TableState::Waiting);
        held_up.lake.stopped.push(StoppedPartition {
            partition: 2,
            offset: 41,
            error: "putting a file: the disk is full".into(),
            next: Some("make room".into()),
            is_retried: true,
            since: -60_000,
        });
        let new = TableStatus {
            cursor: None,
            guard: None,
            captured_at: None,
            lake: LakeStatus::default(),
            ..table("pos.stores", TableState::New)
        };
        let status = PipelineStatus {
            pipeline: "retail".into(),
            at: 0,
            tables: vec![failed, held_up, new, copying],
            capture_workers: vec!["till-1".into()],
            sink_workers: Vec::new(),
            notes: vec!["opening the lake: no answer within 5 s".into()],
        };
        insta::assert_snapshot!(in_text(&status).join("\n"), @r"
        TABLE       STATE        CURSOR            CAPTURED  LAKE          NEWEST                        GUARD
        ec.orders   FAILED       item_id ≤ 40,000  12 s ago  1,250 behind  files, 5,000 rows, 5 min ago  proven
          error: describing the table: there is no table `orders` (for 60 min)
          next: check its name and schema
        ec.events   waiting      item_id ≤ 40,000  12 s ago  1,250 behind  files, 5,000 rows, 5 min ago  proven
          the lake is waiting: partition 2 from offset 41 on: putting a file: the disk is full (for 60 s)
          next: make room
        pos.stores  new          –                 –         –             –                             –
        ec.items    copying 42%  item_id ≤ 40,000  12 s ago  1,250 behind  files, 5,000 rows, 5 min ago  proven
          rejected: 1,012 rows; `cdc rejected show ec.items` shows them
          NULL: in the place of 3 values that cannot be carried exactly

        pipeline retail: till-1 captures, nobody writes the lake
        not found out: opening the lake: no answer within 5 s
        ");
    }
}
