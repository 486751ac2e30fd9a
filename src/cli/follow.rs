//! `cdc follow`: keep everything in step until stopped.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tokio::sync::mpsc::unbounded_channel;

use super::output::Output;
use super::snapshot::{exit_code, show, write_results};
use super::{Format, ask, notify, signals};
use crate::capture::Goal;
use crate::config::Settings;
use crate::error::{Kind, Result};
use crate::state::Verb;
use crate::supervisor::{WorkerOptions, run};

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
        let kafka = super::kafka_of(&settings)?;
        let stop = signals::stop_on_signal()?;
        let request = ask::Asking {
            verb: Verb::Once,
            await_lake: self.only.is_none(),
            format: self.output,
        };
        let asks = self.once && self.only != Some(Half::Sink);
        if asks && ask::has_members(kafka, &settings)? {
            // The tables are being followed: their owners do it.
            return request.run(&settings, &self.tables, output, &stop).await;
        }
        if asks {
            ask::must_mean_some(&settings, &kafka.topic_prefix, &self.tables).await?;
        }
        let (kafka, asked) = (kafka.clone(), settings.clone());
        let (news, inbox) = unbounded_channel();
        let inbox = notify::tell_systemd(inbox, &stop);
        let shown = tokio::spawn(show(inbox, output, !self.once));
        let options = WorkerOptions {
            settings,
            goal: if self.once { Goal::Once } else { Goal::Follow },
            capture: self.only != Some(Half::Sink),
            sink: self.only != Some(Half::Capture),
            only: self.tables.clone(),
            stop: stop.clone(),
            news,
        };
        let results = run(options).await;
        let _ = shown.await;
        if let Err(error) = &results
            && asks
            && error.kind() == Kind::TryLater
            && ask::has_members(&kafka, &asked)?
        {
            // A follower joined in the same moment: the tables are its, and it answers.
            return request.run(&asked, &self.tables, output, &stop).await;
        }
        // Following has no end of its own: being stopped is success, and what failed was said when it did.
        let results = results?;
        if !self.once {
            return Ok(ExitCode::SUCCESS);
        }
        write_results(self.output, output, &results)?;
        Ok(exit_code(&results, stop.is_cancelled()))
    }
}
