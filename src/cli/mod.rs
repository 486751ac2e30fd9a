//! The door on the command line: a file per command, and one printer.

mod aligned;
mod ask;
mod check;
mod completion;
mod discover;
mod dumps;
mod ending;
mod explain;
mod faults;
mod follow;
mod init;
mod interview;
mod man;
mod named;
mod notify;
mod offsets;
mod origins;
mod output;
mod path;
mod peek;
mod plan;
mod question;
mod rejected;
mod schedule;
mod screen;
mod signals;
mod snapshot;
mod sql;
mod status;
mod timers;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, Settings};
use crate::error::{Error, Kind, Result};
use crate::state::Verb;
use ending::ExitCode;
use output::Output;

/// Keeps a data lake in step with PostgreSQL and MariaDB: tables to Kafka topics to partitioned Parquet, or straight
/// to Parquet.
#[derive(Debug, Parser)]
#[command(
    name = "cdc",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct CommandLine {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Common {
    /// The configuration file [default: ./cdc.yaml]
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "CDC_CONFIG",
        hide_env = true
    )]
    config: Option<PathBuf>,
    /// How much to log to stderr: -v for what happens, -vv for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// How log lines are written
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// How an answer is written to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Discover(discover::Discover),
    Check(check::Check),
    Plan(plan::Plan),
    Snapshot(snapshot::Snapshot),
    Follow(follow::Follow),
    Status(status::Status),
    Peek(peek::Peek),
    Schedule(schedule::ScheduleCommand),
    Path(path::Path),
    Sql(sql::Sql),
    Rejected(rejected::RejectedCommand),
    Explain(explain::Explain),
    Offsets(offsets::OffsetsCommand),
    /// Lets tables stand still until resumed
    #[command(after_help = "Example: cdc pause orders 'pos.*'")]
    Pause(ask::Tables),
    /// Lets paused tables go on
    #[command(after_help = "Example: cdc resume orders 'pos.*'")]
    Resume(ask::Tables),
    /// Looks at tables anew, also at those that stand still after a failure
    #[command(after_help = "Example: cdc restart orders && cdc status orders")]
    Restart(ask::Tables),
    Completion(completion::Completion),
    Man(man::Man),
}

impl Command {
    /// Whether it changes nothing and answers at once.
    fn only_looks(&self) -> bool {
        match self {
            Command::Init(_)
            | Command::Discover(_)
            | Command::Check(_)
            | Command::Plan(_)
            | Command::Explain(_)
            | Command::Status(_)
            | Command::Peek(_)
            | Command::Schedule(_)
            | Command::Path(_)
            | Command::Sql(_)
            | Command::Completion(_)
            | Command::Man(_) => true,
            Command::Rejected(command) => command.only_looks(),
            Command::Offsets(command) => command.only_looks(),

            Command::Snapshot(_)
            | Command::Follow(_)
            | Command::Pause(_)
            | Command::Resume(_)
            | Command::Restart(_) => false,
        }
    }
}

/// Parses, runs, says how it went, and ends the process.
pub fn main() -> ! {
    let code = parse_and_run();
    // Every line is written when it is whole; whatever is not, is now.
    let _ = std::io::stdout().flush();
    code.end_the_process()
}

fn parse_and_run() -> ExitCode {
    if completion::answer() {
        return ExitCode::SUCCESS;
    }
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                Kind::Usage.exit_code()
            } else {
                0
            });
        }
    };
    let json = line.common.log_format == LogFormat::Json;
    output::init_log(line.common.verbose, json, line.command.only_looks());
    dumps::forbid();
    faults::end_on_panic();
    #[cfg(debug_assertions)]
    faults::on_demand();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return output::fail(&Error::new(Kind::LocalIo, "starting the runtime").because(error));
        }
    };
    let outcome = runtime.block_on(run(&line));
    // What still blocks a thread (a question to a broker that is gone) must not keep the process.
    runtime.shutdown_background();
    match outcome.and_then(|code| output::must_be_whole().map(|()| code)) {
        Ok(code) => code,
        Err(error) => output::fail(&error),
    }
}

async fn run(line: &CommandLine) -> Result<ExitCode> {
    let output = Output::new();
    let common = &line.common;
    match &line.command {
        // These work without a configuration.
        Command::Completion(command) => command.run(output),
        Command::Man(command) => command.run(output),
        Command::Explain(command) => command.run(output),
        Command::Init(command) => command.run(common.config.as_deref(), output).await,
        Command::Discover(command) => command.run(common, output).await,
        // Nor does a file, to be peeked at.
        Command::Peek(command) => command.run(|| settings(common), output).await,
        Command::Snapshot(command) if command.needs_no_file() => {
            command.run_without_file(output).await
        }

        Command::Check(command) => command.run(common.config.as_deref(), output).await,
        Command::Plan(command) => {
            let file = common.config.as_deref();
            command.run(settings(common)?, file, output).await
        }
        Command::Status(command) => command.run(settings(common)?, output).await,
        Command::Schedule(command) => {
            let file = common.config.as_deref();
            command.run(settings(common)?, file, output).await
        }
        Command::Path(command) => command.run(settings(common)?, output).await,
        Command::Sql(command) => command.run(settings(common)?, output).await,
        Command::Rejected(command) => command.run(settings(common)?, output).await,
        Command::Offsets(command) => command.run(settings(common)?, output).await,
        Command::Snapshot(command) => command.run(settings(common)?, output).await,
        Command::Follow(command) => command.run(settings(common)?, output).await,
        Command::Pause(tables) => tables.ask(settings(common)?, output, Verb::Pause).await,
        Command::Resume(tables) => tables.ask(settings(common)?, output, Verb::Resume).await,
        Command::Restart(tables) => tables.ask(settings(common)?, output, Verb::Restart).await,
    }
}

fn settings(common: &Common) -> Result<Settings> {
    let settings = config::load(common.config.as_deref())?;
    for warning in &settings.warnings {
        output::warn(warning);
    }
    Ok(settings)
}

/// An answer as JSON that people can read too.
fn as_json(answer: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(answer)
        .map_err(|error| Error::new(Kind::Bug, "writing the answer as JSON").because(error))
}

/// The `kafka:` block, or why there is no way on without it.
fn kafka_of(settings: &Settings) -> Result<&crate::config::KafkaSettings> {
    settings.needed_kafka()
}
