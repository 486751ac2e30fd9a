//! `cdc schedule`: when bulk tables are due, and the same for another's clock.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use console::Color;

use super::ask::client_id;
use super::ending::ExitCode;
use super::output::{self, Output};
use super::screen::{Screen, harmless};
use super::timers::{Jobs, crontab, systemd};
use super::{Format, as_json};
use crate::config::{Origin, Setting, Settings, origins};
use crate::error::{Error, Kind, Result};
use crate::inspect::{PipelineSchedule, TableSchedule, ago, counted, duration, schedule};
use crate::model::Mode;

/// What `--help` says below the options: one line an option leaves room for it.
const MORE: &str = r"`cdc follow` keeps these times by itself. Where another clock is to start the loads, --systemd and --crontab write
what it needs: each schedule runs `cdc snapshot TABLE…`, and a table that is polled once a minute or less often
runs `cdc follow --once TABLE…`. Exit code 1 if a table is late.

Examples: cdc schedule -n 5 products
          cdc schedule --systemd | sudo sh
          cdc schedule --crontab | crontab -   # replaces this user's crontab";

/// Shows when bulk tables are loaded next, when they were last, and which are late.
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct ScheduleCommand {
    /// Tables or globs (`products`, `ec.products`, `pos.*`) [default: all that are loaded whole]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// How many of the next loads are shown
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    next: u8,
    /// A shell script that writes a service and a timer for each schedule
    #[arg(long, conflicts_with = "crontab")]
    systemd: bool,
    /// Lines of a crontab
    #[arg(long)]
    crontab: bool,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text", conflicts_with_all = ["systemd", "crontab"])]
    output: Format,
}

impl ScheduleCommand {
    /// `file` is the configuration as the command line names it.
    pub async fn run(
        &self,
        settings: Settings,
        file: Option<&std::path::Path>,
        output: Output,
    ) -> Result<ExitCode> {
        let all = ["*".to_owned()];
        let for_timers = self.systemd || self.crontab;
        let tables = match self.tables.as_slice() {
            [] if for_timers => &all,
            tables => tables,
        };
        let count = usize::from(self.next);
        let found = schedule(&settings, &client_id(&settings), tables, count).await?;
        if for_timers {
            found.notes.iter().for_each(|note| output::warn(note));
            let jobs = jobs(&found, file)?;
            let lines = match self.systemd {
                true => systemd(&jobs)?,
                false => [needs(&variables(file)?), crontab(&jobs)?].concat(),
            };
            lines.iter().for_each(|line| output.line(line));
            return Ok(ExitCode::SUCCESS);
        }
        match self.output {
            Format::Json => output.line(&as_json(&found)?),
            Format::Text => in_text(&found, Screen::of_stdout())
                .iter()
                .for_each(|line| output.line(line)),
        }
        let is_late = |table: &TableSchedule| table.late_since.is_some();
        Ok(match found.tables.iter().any(is_late) {
            true => ExitCode::from(Kind::No),
            false => ExitCode::SUCCESS,
        })
    }
}

/// The environment variables that the configuration refers to.
fn variables(file: Option<&std::path::Path>) -> Result<BTreeSet<String>> {
    let names = |setting: Setting| match setting.origin {
        Origin::File(written) | Origin::Defaults(written) => written.references,
        Origin::BuiltIn { .. } => Vec::new(),
    };
    let references = origins(file)?.into_iter().flat_map(names);
    Ok(references
        .filter_map(|reference| Some(reference.strip_prefix("env:")?.to_owned()))
        .collect())
}

/// Comments above a crontab: names, and no values.
fn needs(variables: &BTreeSet<String>) -> Vec<String> {
    if variables.is_empty() {
        return Vec::new();
    }
    let names = variables.iter().map(String::as_str).collect::<Vec<_>>();
    vec![
        format!(
            "# These lines need {}: the configuration refers to them, and cron does not know your shell's.",
            names.join(", ")
        ),
        "# Write them as NAME=value into a file that only you can read, then: (cat FILE; cdc schedule --crontab) | crontab -"
            .to_owned(),
    ]
}

fn jobs(found: &PipelineSchedule, file: Option<&std::path::Path>) -> Result<Jobs> {
    let failed =
        |doing: &str, error: std::io::Error| Error::new(Kind::LocalIo, doing).because(error);
    let program =
        std::env::current_exe().map_err(|e| failed("finding this program's own path", e))?;
    let file = file.unwrap_or(std::path::Path::new("cdc.yaml"));
    let file =
        std::path::absolute(file).map_err(|e| failed("finding the configuration's path", e))?;
    Ok(Jobs::new(
        &found.pipeline,
        &program.display().to_string(),
        &file.display().to_string(),
        &found.tables,
    ))
}

fn in_text(found: &PipelineSchedule, screen: Screen) -> Vec<String> {
    let mut lines = Vec::new();
    for table in &found.tables {
        lines.push(format!("{}: {}", harmless(&table.table), how(table)));
        lines.push(format!("  last  {}", last(table, found.at, screen)));
        // What is not known of any table stands once, at the end.
        let is_noted = |error: &String| found.notes.iter().any(|note| note.starts_with(error));
        if let Some(error) = table.error.as_ref().filter(|error| !is_noted(error)) {
            lines.push(screen.paint(&format!("  error {}", harmless(error)), Color::Red));
        }
        let ticks: Vec<Vec<String>> = table
            .next
            .iter()
            .enumerate()
            .map(|(i, tick)| {
                vec![
                    if i == 0 { "  next" } else { "" }.to_owned(),
                    match tick.is_in_utc() {
                        true => tick.utc.clone(),
                        false => format!("{}  {}", tick.local, tick.utc),
                    },
                    until(tick.at, found.at),
                ]
            })
            .collect();
        lines.extend(super::aligned::aligned(&ticks));
        lines.push(String::new());
    }
    let late = found
        .tables
        .iter()
        .filter(|table| table.late_since.is_some())
        .count();
    let tables = counted(found.tables.len() as u64, "table", "tables");
    let late = match late {
        0 if found.tables.iter().any(|table| table.is_unknown) => String::new(),
        0 => ", none is late".to_owned(),
        late => format!(", {}", screen.paint(&format!("{late} late"), Color::Red)),
    };
    lines.push(match found.tables.is_empty() {
        true => format!("pipeline {}: no table is loaded whole", found.pipeline),
        false => format!("pipeline {}: {tables}{late}", found.pipeline),
    });
    let notes = found.notes.iter();
    lines.extend(notes.map(|note| format!("not found out: {}", harmless(note))));
    lines
}

fn how(table: &TableSchedule) -> String {
    let every = table
        .every_seconds
        .map(Duration::from_secs_f64)
        .map(duration);
    match (&table.schedule, every, table.mode) {
        (Some(schedule), ..) => format!("bulk, at `{schedule}`"),
        (None, Some(every), Mode::Bulk) => format!("bulk, every {every}"),
        (None, Some(every), mode) => format!("{mode}, polled every {every}"),
        (None, None, _) => "bulk, by `cdc snapshot` only".to_owned(),
    }
}

fn last(table: &TableSchedule, now: i64, screen: Screen) -> String {
    let paused = if table.paused { "; paused" } else { "" };
    let text = match &table.last {
        None if table.is_unknown => "not known".to_owned(),
        None if table.mode != Mode::Bulk => "it is never loaded whole".to_owned(),
        None => "no load yet: the first begins as soon as a worker runs".to_owned(),
        Some(load) if load.open => format!(
            "load {} goes on since {}",
            load.number,
            ago(load.began_at, now)
        ),
        Some(load) => format!(
            "load {}, {}, {}",
            load.number,
            counted(load.rows, "row", "rows"),
            ago(load.began_at, now)
        ),
    };
    match table.late_since {
        Some(at) => {
            let since = ago(at, now);
            let late = format!("LATE: a load was due {since}");
            format!("{text}; {}{paused}", screen.paint(&late, Color::Red))
        }
        None => format!("{text}{paused}"),
    }
}

/// `in 5 h`, from milliseconds.
fn until(at: i64, now: i64) -> String {
    match ago(now, at).strip_suffix(" ago") {
        Some(span) => format!("in {span}"),
        None => "now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{LastLoad, Tick};

    #[test]
    fn a_table_is_told_with_its_last_load_and_the_next_in_both_clocks() {
        let tick = |local: &str, utc: &str, at| Tick {
            local: local.into(),
            utc: utc.into(),
            at,
        };
        let hour = 3_600_000;
        let table = TableSchedule {
            table: "ec.products".into(),
            mode: Mode::Bulk,
            schedule: Some("30 2 * * * Europe/Berlin".into()),
            every_seconds: None,
            next: vec![
                tick(
                    "2026-10-25 02:30 +02:00 Europe/Berlin",
                    "2026-10-25 00:30 UTC",
                    5 * hour,
                ),
                tick(
                    "2026-10-26 02:30 +01:00 Europe/Berlin",
                    "2026-10-26 01:30 UTC",
                    30 * hour,
                ),
            ],
            last: Some(LastLoad {
                number: 7,
                began_at: -40 * hour,
                rows: 1_234,
                open: false,
            }),
            late_since: Some(-16 * hour),
            paused: false,
            error: Some("logging in: no answer within 5 s".into()),
            is_unknown: false,
        };
        let sales = TableSchedule {
            table: "pos.sales".into(),
            schedule: Some("0 6 * * * UTC".into()),
            next: vec![tick(
                "2026-10-26 06:00 +00:00 UTC",
                "2026-10-26 06:00 UTC",
                34 * hour,
            )],
            late_since: None,
            error: None,
            ..table.clone()
        };
        let never = TableSchedule {
            table: "pos.매장".into(),
            schedule: None,
            next: Vec::new(),
            last: None,
            late_since: None,
            error: None,
            paused: true,
            ..table.clone()
        };
        let found = PipelineSchedule {
            pipeline: "retail".into(),
            at: 0,
            tables: vec![table, sales, never],
            notes: vec!["ec: listing tables: no answer within 5 s".into()],
        };
        insta::assert_snapshot!(in_text(&found, Screen::default()).join("\n"), @r"
        ec.products: bulk, at `30 2 * * * Europe/Berlin`
          last  load 7, 1,234 rows, 40 h ago; LATE: a load was due 16 h ago
          error logging in: no answer within 5 s
          next  2026-10-25 02:30 +02:00 Europe/Berlin  2026-10-25 00:30 UTC  in 5 h
                2026-10-26 02:30 +01:00 Europe/Berlin  2026-10-26 01:30 UTC  in 30 h

        pos.sales: bulk, at `0 6 * * * UTC`
          last  load 7, 1,234 rows, 40 h ago
          next  2026-10-26 06:00 UTC  in 34 h

        pos.매장: bulk, by `cdc snapshot` only
          last  no load yet: the first begins as soon as a worker runs; paused

        pipeline retail: 3 tables, 1 late
        not found out: ec: listing tables: no answer within 5 s
        ");
    }

    #[test]
    fn a_last_load_that_is_not_known_is_no_load_that_never_was() {
        let table = TableSchedule {
            table: "ec.products".into(),
            mode: Mode::Bulk,
            schedule: None,
            every_seconds: Some(21_600.0),
            next: Vec::new(),
            last: None,
            late_since: None,
            paused: false,
            error: Some("no broker answers".into()),
            is_unknown: true,
        };
        let mut found = PipelineSchedule {
            pipeline: "retail".into(),
            at: 0,
            tables: vec![table],
            notes: vec!["no broker answers; when tables were loaded last is not known".into()],
        };
        insta::assert_snapshot!(in_text(&found, Screen::default()).join("\n"), @r"
        ec.products: bulk, every 6 h
          last  not known

        pipeline retail: 1 table
        not found out: no broker answers; when tables were loaded last is not known
        ");
        found.notes.clear();
        let told = in_text(&found, Screen::default()).join("\n");
        assert!(told.contains("error no broker answers"), "{told}");
    }

    #[test]
    fn the_lines_of_a_crontab_say_which_variables_they_need() {
        let names = ["EC_URL".to_owned(), "KAFKA_PASSWORD".to_owned()].into();
        insta::assert_snapshot!(needs(&names).join("\n"), @r"
        # These lines need EC_URL, KAFKA_PASSWORD: the configuration refers to them, and cron does not know your shell's.
        # Write them as NAME=value into a file that only you can read, then: (cat FILE; cdc schedule --crontab) | crontab -
        ");
        assert_eq!(needs(&BTreeSet::new()), Vec::<String>::new());
    }
}
