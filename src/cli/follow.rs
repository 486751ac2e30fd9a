//! `cdc follow`: keep everything in step until stopped.

use std::time::Instant;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::ending::ExitCode;
use super::output::{self, Output};
use super::snapshot::{exit_code, show, write_results};
use super::{Format, ask, notify, signals};
use crate::capture::Goal;
use crate::config::Settings;
use crate::error::Result;
use crate::inspect::listed;
use crate::state::Verb;
use crate::supervisor::{Ended, WorkerOptions, run};

/// Keeps the tables in step: capture, sink and schedules, until SIGTERM or Ctrl-C.
///
/// Any number of `cdc follow` processes of one pipeline share its tables; when one ends, the others take
/// them over.
///
/// Example: cdc follow --once && cdc status
#[derive(Debug, Args)]
pub struct Follow {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`) [default: all]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// Catch up to the present, lake included, then exit
    #[arg(long)]
    once: bool,
    /// Run one half only: `capture`, database to Kafka, or `sink`, Kafka to lake
    #[arg(long, value_name = "HALF", hide_possible_values = true)]
    only: Option<Half>,
    /// How the answer of `--once` is written
    #[arg(
        long,
        short,
        value_name = "FORMAT",
        default_value = "text",
        requires = "once"
    )]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Half {
    Capture,
    Sink,
}

impl Follow {
    pub async fn run(&self, settings: Settings, output: Output) -> Result<ExitCode> {
        let stop = signals::stop_on_signal()?;
        let work = async |tables: &[String]| self.work(&settings, tables, output, &stop).await;
        if self.once && self.only != Some(Half::Sink) {
            // Tables that are being followed are their owners'.
            let request = ask::Asking {
                verb: Verb::Once,
                await_lake: self.only.is_none(),
                format: self.output,
            };
            return request
                .run_or_work(&settings, &self.tables, output, &stop, work)
                .await;
        }
        let began = Instant::now();
        let (results, error) = match work(&self.tables).await? {
            Ended::Done(results) => (results, None),
            Ended::LeftTo(results, error) | Ended::NotInLake(results, error) => {
                (results, Some(error))
            }
        };
        // Following has no end of its own: being stopped is success, and what failed was said when it did.
        if !self.once {
            return Ok(ExitCode::SUCCESS);
        }
        write_results(self.output, output, &results)?;
        if let Some(error) = error {
            return Err(error);
        }
        if !stop.is_cancelled() && results.problems.is_empty() {
            let took = began.elapsed().as_secs_f64();
            let of = match self.tables.as_slice() {
                [] => String::new(),
                names => format!(" of {}", listed(names)),
            };
            output::note(&format!(
                "the lake has all that is in Kafka{of} ({took:.1} s)"
            ));
        }
        Ok(exit_code(&results, stop.is_cancelled()))
    }

    /// As a worker of its own.
    async fn work(
        &self,
        settings: &Settings,
        tables: &[String],
        output: Output,
        stop: &CancellationToken,
    ) -> Result<Ended> {
        let goal = if self.once { Goal::Once } else { Goal::Follow };
        let (both, inbox) =
            WorkerOptions::new(settings.clone(), goal, tables.to_vec(), stop.clone());
        let inbox = notify::tell_systemd(inbox, stop);
        let shown = tokio::spawn(show(inbox, output, !self.once));
        let options = WorkerOptions {
            capture: self.only != Some(Half::Sink),
            sink: self.only != Some(Half::Capture),
            ..both
        };
        let results = run(options).await;
        let _ = shown.await;
        results
    }
}
