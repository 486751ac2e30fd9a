//! `cdc snapshot`: one full copy of the named tables, database to lake, then exit.
//!
//! With a URL, or a configuration without Kafka, `direct.rs` copies them without a broker, and `copying.rs` shows it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

mod copying;
mod direct;

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc::UnboundedReceiver;

use super::ending::ExitCode;
use super::output::{self, Output};
use super::{Format, ask, question, signals};
use crate::capture::{Doing, Goal};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::model::TableName;
use crate::state::Verb;
use crate::supervisor::{News, Results, WorkerOptions, run};

/// How often a line is printed about a table's progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What `cdc snapshot --help` ends with.
const EXAMPLES: &str = "\
Tables of a configuration: a bulk table is loaded whole and then switched to; a cursor table gets
its initial copy, and `cdc follow` goes on from there. Tables of a URL need no configuration and no
Kafka: all of them are copied as they are at one moment, and published whole.

Examples: cdc snapshot orders 'pos.*'
          cdc snapshot 'postgres://cdc:${env:PW}@db/shop' orders 'sales.*' --to ./lake
          cdc snapshot mariadb://cdc@localhost/tills sales --to - > sales.parquet";

/// One full copy of the named tables, database to lake, then exit
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Snapshot {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`) [default: all]; a database's URL before them
    #[arg(value_name = "URL|TABLE")]
    tables: Vec<String>,
    /// Begin tables anew that were copied before: their files go (of a bulk table once the new load is there), then
    /// everything is copied again
    #[arg(long)]
    again: bool,
    /// Do not ask before `--again`
    #[arg(long, requires = "again")]
    yes: bool,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    with_url: direct::Flags,
}

impl Snapshot {
    /// Whether it needs no configuration file, or would say nothing of what is in one.
    pub fn needs_no_file(&self) -> bool {
        self.names_a_database() || self.with_url.refuse_without_url().is_err()
    }

    fn names_a_database(&self) -> bool {
        let first = self.tables.first();
        first.is_some_and(|first| direct::is_url(first))
    }

    /// Copies tables of a URL.
    pub async fn run_without_file(&self, output: Output) -> Result<ExitCode> {
        if !self.names_a_database() {
            self.with_url.refuse_without_url()?;
        }
        if self.again {
            return Err(
                Error::new(Kind::Usage, "`--again` is for tables of a configuration")
                    .hint("leave it out: tables of a URL are copied whole each time"),
            );
        }
        let (url, tables) = self
            .tables
            .split_first()
            .ok_or_else(|| Error::new(Kind::Bug, "a URL was expected before the tables"))?;
        self.with_url.run(url, tables, self.output, output).await
    }

    pub async fn run(&self, settings: Settings, output: Output) -> Result<ExitCode> {
        if settings.kafka.is_none() {
            return direct::configured(&settings, &self.tables, self.output, output).await;
        }
        if self.again {
            self.confirm()?;
        }
        let stop = signals::stop_on_signal()?;
        let request = ask::Asking {
            verb: match self.again {
                true => Verb::SnapshotAgain,
                false => Verb::Snapshot,
            },
            await_lake: true,
            format: self.output,
        };
        let work = async |tables: &[String]| {
            let goal = Goal::Snapshot { again: self.again };
            let (options, inbox) =
                WorkerOptions::new(settings.clone(), goal, tables.to_vec(), stop.clone());
            let shown = tokio::spawn(show(inbox, output, false));
            let results = run(options).await;
            let _ = shown.await;
            results
        };
        request
            .run_or_work(&settings, &self.tables, output, &stop, work)
            .await
    }

    fn confirm(&self) -> Result<()> {
        let which = match self.tables.is_empty() {
            true => "ALL tables".to_owned(),
            false => self.tables.join(", "),
        };
        let question = format!(
            "{which}: the lake's files would go, and be incomplete until the copy is done."
        );
        question::confirm(&question, self.yes)
    }
}

/// The exit code of a goal that ends.
pub fn exit_code(results: &Results, was_stopped: bool) -> ExitCode {
    match worst_of(results) {
        0 if was_stopped => ExitCode::from(Kind::TryLater),
        worst => ExitCode::from(worst),
    }
}

/// The largest exit code of its tables.
fn worst_of(results: &Results) -> u8 {
    let codes = results.tables.values().map(|result| match result {
        Ok(outcome) => outcome.exit,
        Err(error) => error.kind().exit_code(),
    });
    let problems = results.problems.iter().map(|kind| kind.exit_code());
    codes.chain(problems).max().unwrap_or(0)
}

/// The answers of a command that ended, table by table.
pub fn write_results(format: Format, output: Output, results: &Results) -> Result<()> {
    let answers: Vec<ask::Answer> = results
        .tables
        .iter()
        .map(|(table, result)| ask::Answer::of(table, result))
        .collect();
    ask::write_answers(format, output, &answers)
}

/// Shows what happens until the worker is done: bars on a terminal, a line now and then elsewhere.
pub async fn show(mut inbox: UnboundedReceiver<News>, output: Output, follows: bool) {
    let target = if output.is_live {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let mut shown = Shown {
        bars: MultiProgress::with_draw_target(target),
        tables: BTreeMap::new(),
        output,
        follows,
    };
    while let Some(news) = inbox.recv().await {
        shown.take(news);
    }
    let _ = shown.bars.clear();
}

struct Shown {
    bars: MultiProgress,
    tables: BTreeMap<TableName, Table>,
    output: Output,
    follows: bool,
}

struct Table {
    bar: ProgressBar,
    what: Option<Doing>,
    said: Instant,
    began: Instant,
}

impl Shown {
    fn take(&mut self, news: News) {
        match news {
            News::Joined { worker } => tracing::info!(worker, "joined the pipeline"),
            News::Alive => {}
            News::Doing { table, what } => self.doing(table, what),
            News::Finished { table, outcome } => {
                let took = self.end(&table);
                let sign = if outcome.exit == 0 { "" } else { "not done: " };
                self.say(&format!(
                    "{table}: {sign}{} ({:.1} s)",
                    outcome.text,
                    took.as_secs_f64()
                ));
            }
            News::Failed {
                table,
                text,
                code,
                next_step,
            } => {
                self.end(&table);
                let next = next_step
                    .map(|next| format!("\n  next: {next}"))
                    .unwrap_or_default();
                self.say(&format!("error[{code}]: {text}{next}"));
            }
            News::Draining { partitions } => {
                self.say(&format!(
                    "in Kafka; waiting for the lake ({partitions} partitions)"
                ));
            }
        }
    }

    fn doing(&mut self, name: TableName, what: Doing) {
        let bars = &self.bars;
        let table = self.tables.entry(name.clone()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<28} {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_string());
            Table {
                bar,
                what: None,
                said: Instant::now(),
                began: Instant::now(),
            }
        });
        let text = in_words(&what, table.began.elapsed());
        let is_other =
            table.what.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&what));
        let is_news = match self.follows {
            true => is_other,
            false => is_other || table.said.elapsed() >= LINE_EVERY,
        };
        table.what = Some(what);
        if self.output.is_live {
            table.bar.set_message(text);
            table.bar.tick();
        } else if is_news {
            table.said = Instant::now();
            output::note(&format!("{name}: {text}"));
        }
    }

    fn end(&mut self, table: &TableName) -> Duration {
        match self.tables.remove(table) {
            Some(table) => {
                table.bar.finish_and_clear();
                table.began.elapsed()
            }
            None => Duration::ZERO,
        }
    }

    fn say(&self, text: &str) {
        if !self.output.is_live || self.bars.println(text).is_err() {
            output::note(text);
        }
    }
}

/// A short sentence on what a table is doing.
fn in_words(what: &Doing, since: Duration) -> String {
    // A rate over less than that says nothing.
    let rate = |rows: u64| rows as f64 / since.as_secs_f64().max(1.0);
    match what {
        Doing::Copying { rows } => format!("copying, {rows} rows ({:.0} rows/s)", rate(*rows)),
        Doing::Loading { rows, of: 0 } => {
            format!("loading, {rows} rows ({:.0} rows/s)", rate(*rows))
        }
        Doing::Loading { rows, of } => format!(
            "loading, {rows} of about {of} rows ({:.0} rows/s)",
            rate(*rows)
        ),
        Doing::Following { rows, guard } => {
            format!("following, {rows} rows sent so far, guard: {guard}")
        }
        Doing::Idle { until: Some(tick) } => format!("next load at {tick:.0}"),
        Doing::Idle { until: None } => "loaded on request only".to_owned(),
        Doing::Paused => "paused".to_owned(),
        Doing::Waiting { why, .. } => format!("waiting: {why}"),
    }
}
