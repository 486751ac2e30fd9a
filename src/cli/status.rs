//! `cdc status`: one line per table, worst first.

use std::time::Duration;

use clap::Args;
use console::Color;

use super::aligned::fitted;
use super::ask::client_id;
use super::ending::ExitCode;
use super::output::Output;
use super::screen::{Screen, harmless};
use super::{Format, as_json, kafka_of};
use crate::config::{KafkaSettings, Settings, duration};
use crate::error::{Error, Kind, Result};
use crate::inspect::{
    LakeStatus, PipelineStatus, StatusOf, TableState, TableStatus, ago, ahead, counted, number,
    status,
};
use crate::model::GuardClass;

/// What `--help` says below the options: one line an option leaves room for it.
const MORE: &str = r#"It only reads, needs Kafka alone, and works while databases are down and nobody is at work.

  STATE     failed, unknown, waiting (a part does not answer; it is tried again), paused, new, copying,
            loading, following; idle: nobody is at work on it
  CURSOR    how far the database was read; of a bulk table its newest load, and when the next is due
  CAPTURED  when everything the database had committed was in Kafka; said each minute in quiet times
  LAKE      records in Kafka that are not in the lake yet
  NEWEST    the newest files, or the load that readers see; `–` where it was not looked up

Examples: cdc status --watch 'pos.*'
          cdc status -o json | jq -r '.tables[] | select(.state == "failed") | .table'"#;

/// Shows how each table fares, worst first
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct Status {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`) [default: all]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// Look again and again, every 2 s or so often (`--watch=5s`), until Ctrl-C
    #[arg(long, value_name = "EVERY", num_args = 0..=1, require_equals = true, default_missing_value = "2s", value_parser = pause)]
    watch: Option<Duration>,
    /// More columns, none left out on a narrow terminal, and every table looked up in the lake
    #[arg(long)]
    wide: bool,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

fn pause(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|why| format!("`{text}` {why}"))
}

impl Status {
    pub async fn run(&self, settings: Settings, output: Output) -> Result<ExitCode> {
        self.check()?;
        let kafka = kafka_of(&settings)?;
        match self.watch {
            Some(every) => self.watch(&settings, kafka, every, output).await,
            None => {
                let status = self.look(&settings, kafka).await?;
                match self.output {
                    Format::Json => output.line(&as_json(&status)?),
                    Format::Text => in_text(&status, self.wide, Screen::of_stdout())
                        .iter()
                        .for_each(|line| output.line(line)),
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// What stands behind `--watch ` is the name of a table, which nobody means by `5` or `5s`.
    fn check(&self) -> Result<()> {
        let is_pause = |name: &&String| name.parse::<u64>().is_ok() || duration(name).is_ok();
        let Some(every) = self.tables.iter().find(is_pause) else {
            return Ok(());
        };
        if self.watch.is_none() {
            return Ok(());
        }
        let unit = if duration(every).is_ok() { "" } else { "s" };
        let what = format!("`--watch {every}` does not say how often");
        Err(Error::new(Kind::Usage, what).hint(format!("write `--watch={every}{unit}`")))
    }

    async fn look(&self, settings: &Settings, kafka: &KafkaSettings) -> Result<PipelineStatus> {
        let asked = StatusOf {
            tables: &self.tables,
            in_full: self.wide,
        };
        status(settings, kafka, &client_id(settings), asked).await
    }

    /// Looks again and again until Ctrl-C. What cannot be found out now is shown, and asked for again.
    async fn watch(
        &self,
        settings: &Settings,
        kafka: &KafkaSettings,
        every: Duration,
        output: Output,
    ) -> Result<ExitCode> {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut drawn = 0;
        let end = tokio::signal::ctrl_c();
        tokio::pin!(end);
        loop {
            let round = async {
                ticks.tick().await;
                self.look(settings, kafka).await
            };
            let found = tokio::select! {
                ended = &mut end => {
                    return ended
                        .map(|()| ExitCode::SUCCESS)
                        .map_err(|e| Error::new(Kind::LocalIo, "listening for signals").because(e));
                }
                found = round => found,
            };
            let found = match found {
                // Asking again would not change it.
                Err(error) if error.kind() != Kind::Unavailable => return Err(error),
                found => found,
            };
            // A terminal's size may have changed.
            let screen = Screen::of_stdout();
            if self.output == Format::Json {
                let line = match &found {
                    Ok(status) => serde_json::to_string(status),
                    Err(error) => serde_json::to_string(&serde_json::json!({
                        "error": error.to_string(), "next": error.next_step(),
                    })),
                };
                output.line(
                    &line.map_err(|e| {
                        Error::new(Kind::Bug, "writing the answer as JSON").because(e)
                    })?,
                );
                continue;
            }
            let mut lines = vec![format!(
                "{}, every {}",
                jiff::Timestamp::now().strftime("%F %T UTC"),
                crate::inspect::duration(every)
            )];
            match &found {
                Ok(status) if screen.is_terminal() => {
                    // What stands below the screen's end is not seen: what is said of all tables comes first.
                    let (tables, about) = in_parts(status, self.wide, screen);
                    lines.extend(about);
                    lines.push(String::new());
                    lines.extend(tables);
                }
                Ok(status) => lines.extend(in_text(status, self.wide, screen)),
                Err(error) => {
                    lines.push(screen.paint(&format!("not found out: {error}"), Color::Red));
                    lines.extend(error.next_step().map(|next| format!("  next: {next}")));
                }
            }
            if screen.is_terminal() {
                drawn = screen.redraw(&lines, drawn);
            } else {
                lines.push(String::new());
                lines.iter().for_each(|line| output.line(line));
            }
        }
    }
}

/// The columns, and which of them a narrow terminal does without: the last one first.
const COLUMNS: [&str; 7] = [
    "TABLE", "STATE", "CURSOR", "CAPTURED", "LAKE", "NEWEST", "GUARD",
];
const DISPENSABLE: [usize; 4] = [3, 2, 6, 5];
const MORE_COLUMNS: [&str; 4] = ["MODE", "SENT", "REJECTED", "EVERYTHING UNTIL"];

fn in_text(status: &PipelineStatus, wide: bool, screen: Screen) -> Vec<String> {
    let (mut lines, about) = in_parts(status, wide, screen);
    lines.push(String::new());
    lines.extend(about);
    lines
}

/// The tables, and what is said of all of them.
fn in_parts(status: &PipelineStatus, wide: bool, screen: Screen) -> (Vec<String>, Vec<String>) {
    let more = MORE_COLUMNS.iter().filter(|_| wide);
    let heading = COLUMNS.iter().chain(more).map(|name| (*name).to_owned());
    let mut rows = vec![heading.collect()];
    rows.extend(
        status
            .tables
            .iter()
            .map(|table| row(table, status.at, wide, screen)),
    );
    let width = if wide { usize::MAX } else { screen.width() };
    let (rows, left_out) = fitted(&rows, width, &DISPENSABLE);
    let mut rows = rows.into_iter();
    let mut lines: Vec<String> = rows.next().into_iter().collect();
    for (table, row) in status.tables.iter().zip(rows) {
        lines.push(row);
        lines.extend(why(table, status.at));
        lines.extend(misfits(table));
    }
    let mut about = vec![at_work(status)];
    about.extend(when_in_lake(status));
    about.extend(
        status
            .notes
            .iter()
            .map(|note| format!("not found out: {}", harmless(note))),
    );
    if status.not_looked_up > 0 {
        let tables = number(status.not_looked_up);
        about.push(format!(
            "{tables} tables were not looked up in the lake; `cdc status --wide` looks all of them up"
        ));
    }
    match left_out {
        0 => {}
        1 => about.push("1 column does not fit; `--wide` shows all".to_owned()),
        _ => about.push(format!("{left_out} columns do not fit; `--wide` shows all")),
    }
    (lines, about)
}

/// What of a table cannot be carried exactly.
fn misfits(table: &TableStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if table.rejected > 0 {
        let (rows, name) = (counted(table.rejected, "row", "rows"), &table.table);
        lines.push(format!(
            "  rejected: {rows}; `cdc rejected show {name}` shows them"
        ));
    }
    if table.nulled > 0 {
        let values = counted(table.nulled, "value", "values");
        lines.push(format!(
            "  NULL: in the place of {values} that cannot be carried exactly"
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
    let line = |word: &str, code: &Option<String>, text: &str, at: Option<i64>| {
        let code = code.as_ref().map(|code| format!("[{code}]"));
        let (code, text) = (code.unwrap_or_default(), harmless(text));
        format!("  {word}{code}: {text}{}", since(at).unwrap_or_default())
    };
    let mut lines = Vec::new();
    if let Some(error) = &table.error {
        let word = match table.state {
            TableState::Waiting => "waiting",
            _ => "error",
        };
        lines.push(line(word, &table.code, error, table.error_since));
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
        lines.push(line(word, &stop.code, &text, Some(stop.since)));
        lines.extend(stop.next.iter().map(|next| format!("  next: {next}")));
    }
    lines
}

fn row(table: &TableStatus, now: i64, wide: bool, screen: Screen) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let guard = table.guard.as_ref().map(|guard| match guard {
        GuardClass::Proven => "proven",
        GuardClass::Assumed(_) => "assumed",
        GuardClass::Unsafe(_) => "unsafe",
    });
    let mut cells = vec![
        harmless(&table.table).into_owned(),
        state(table, screen),
        or_dash(cursor(table, now)),
        or_dash(table.captured_at.map(|at| ago(at, now))),
        lake(table),
        or_dash(newest(&table.lake, now)),
        or_dash(guard.map(str::to_owned)),
    ];
    if wide {
        let until = table.captured_at;
        let until = until.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
        cells.extend([
            or_dash(table.mode.map(|mode| mode.to_string())),
            number(table.rows),
            number(table.rejected),
            or_dash(until.map(|at| at.strftime("%F %T UTC").to_string())),
        ]);
    }
    cells
}

fn cursor(table: &TableStatus, now: i64) -> Option<String> {
    let cursor = harmless(table.cursor.as_deref()?).into_owned();
    Some(match table.next_load_at {
        Some(at) => format!("{cursor}, next {}", ahead(at, now)),
        None => cursor,
    })
}

fn state(table: &TableStatus, screen: Screen) -> String {
    let (word, color) = match table.state {
        TableState::Failed => ("FAILED", Some(Color::Red)),
        TableState::Unknown => ("unknown", Some(Color::Red)),
        TableState::Waiting => ("waiting", Some(Color::Yellow)),
        TableState::Paused => ("paused", Some(Color::Yellow)),
        TableState::New => ("new", None),
        TableState::Copying => ("copying", Some(Color::Cyan)),
        TableState::Loading => ("loading", Some(Color::Cyan)),
        TableState::Following => ("following", Some(Color::Green)),
        TableState::Idle => ("idle", None),
    };
    let text = match table.percent {
        Some(percent) => format!("{word} {percent}%"),
        None => word.to_owned(),
    };
    match color {
        Some(color) => screen.paint(&text, color),
        None => text,
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
        .map(|rows| format!(", {}", counted(rows, "row", "rows")))
        .unwrap_or_default();
    Some(match lake.load {
        Some(load) => format!("load {load}{rows}, {when}"),
        None => format!("files{rows}, {when}"),
    })
}

/// When what is behind gets into the lake: rows wait until their file is closed.
fn when_in_lake(status: &PipelineStatus) -> Option<String> {
    let is_behind =
        |table: &TableStatus| table.lake.records_behind > Some(0) && table.lake.stopped.is_empty();
    if status.sink_workers.is_empty() || !status.tables.iter().any(is_behind) {
        return None;
    }
    let age = crate::inspect::duration(Duration::from_secs(status.files_age_seconds));
    Some(format!(
        "rows get into the lake when their file is closed, at the latest {age} after its first one was read (`lake.files.age`)"
    ))
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
#[path = "status_tests.rs"]
mod tests;
