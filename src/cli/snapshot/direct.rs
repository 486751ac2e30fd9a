//! Snapshots without a broker: of a bare URL, or of a configuration without Kafka.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::super::ask::meant;
use super::super::ending::ExitCode;
use super::super::output::{self, Output};
use super::super::{Format, signals};
use super::copying::{self, Summary};
use crate::config::{
    Asked, ColumnChoice, FileSettings, LakePlace, Settings, SourceSettings, asked_memory, defaults,
};
use crate::direct::{Done, Order, Progress, SpooledFile, Target, snapshot};
use crate::error::{Code, Error, Kind, Result};
use crate::model::OnValue;

/// What may be said of the tables of a URL.
#[derive(Debug, Args)]
#[command(next_help_heading = "With a URL")]
pub struct Flags {
    /// Where they go: `./lake`, `s3://bucket/prefix`, or `-` for one Parquet file on stdout
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,
    /// Only rows that meet this condition, in the database's own SQL; of one table
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,
    /// Only these columns; globs will do
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// All columns but these
    #[arg(
        long,
        value_name = "COLUMN,…",
        value_delimiter = ',',
        conflicts_with = "columns"
    )]
    exclude: Vec<String>,
    /// What becomes of a value that cannot be carried exactly [default: stop]
    #[arg(long, value_name = "FATE")]
    on_value: Option<Fate>,
    /// The first directory below the lake [default: the database's name]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Connections that read at one time [default: 4]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: Option<u16>,
    /// Rows and open files held at one time [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = asked_memory)]
    memory: Option<u64>,
}

/// What becomes of a value that its column cannot carry exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fate {
    Stop,
    Null,
    Text,
}

/// Whether an argument names a database and not a table.
pub fn is_url(argument: &str) -> bool {
    argument.contains("://") || argument.starts_with("${")
}

impl Flags {
    /// They say nothing about tables of a configuration.
    pub fn refuse_without_url(&self) -> Result<()> {
        let given = [
            ("--to", self.to.is_some()),
            ("--where", self.filter.is_some()),
            ("--columns", !self.columns.is_empty()),
            ("--exclude", !self.exclude.is_empty()),
            ("--on-value", self.on_value.is_some()),
            ("--source", self.source.is_some()),
            ("--connections", self.connections.is_some()),
            ("--memory", self.memory.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((flag, _)) => Err(Error::new(
                Kind::Usage,
                format!("`{flag}` needs a URL as the first argument"),
            )
            .hint("write `cdc snapshot postgres://user@host/database TABLE --to ./lake`, or say it in the configuration")),
        }
    }

    /// Copies tables of a URL.
    pub async fn run(
        &self,
        url: &str,
        tables: &[String],
        format: Format,
        output: Output,
    ) -> Result<ExitCode> {
        let to =
            self.to.as_deref().ok_or_else(|| {
                Error::new(Kind::Usage, "a URL needs `--to`, the place its tables go to").hint(
                "add `--to ./lake`, `--to s3://bucket/prefix`, or `--to -` for one file on stdout",
            )
            })?;
        self.refuse_misfits(tables, to, format)?;
        let (source, warning) = self.asked(url, tables).settings()?;
        let target = match to {
            "-" => Target::File,
            place => Target::Lake(LakePlace::asked(place)?),
        };
        if let Some(warning) = warning {
            output::warn(&warning);
        }
        let order = Order {
            source,
            only: Vec::new(),
            globs_must_match: true,
            files: files(&target),
            target,
            day_in: jiff::tz::TimeZone::UTC,
            memory: self.memory.unwrap_or(defaults::MEMORY_BYTES),
            stop: signals::stop_on_signal()?,
        };
        let began = Instant::now();
        let done = copied(&order, output).await.map_err(in_flags)?;
        let done =
            done.ok_or_else(|| Error::new(Kind::Config, "the database has no such table"))?;
        let summary = Summary::new([&done], began.elapsed());
        match done.file {
            Some(file) => {
                hand_on(file).await?;
                summary.lines().iter().for_each(|line| output::note(line));
            }
            None => summary.write(format, output)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What cannot be meant, known without asking anybody.
    fn refuse_misfits(&self, tables: &[String], to: &str, format: Format) -> Result<()> {
        let usage = |text: &str, hint: &str| Err(Error::new(Kind::Usage, text).hint(hint));
        let is_one = matches!(tables, [one] if !one.contains(['*', '?']));
        if tables.iter().any(|table| is_url(table)) {
            return usage(
                "one URL is read at a time",
                "run the command once for each database",
            );
        }
        if self.filter.is_some() && !is_one {
            return usage(
                "`--where` is a condition on the rows of one table",
                "name exactly one table, not a glob",
            );
        }
        if to != "-" {
            return Ok(());
        }
        if !is_one {
            return usage(
                "`--to -` writes one file, so it takes exactly one table",
                "name one table, or a directory for several: `--to ./lake`",
            );
        }
        if format == Format::Json {
            return usage(
                "`--to -` writes the rows to stdout, where `-o json` would write its answer",
                "leave out one of them",
            );
        }
        if std::io::stdout().is_terminal() {
            return usage(
                "stdout is a terminal, and Parquet is not for reading there",
                "send it to a file: `--to - > table.parquet`",
            );
        }
        Ok(())
    }

    fn asked<'a>(&'a self, url: &'a str, tables: &'a [String]) -> Asked<'a> {
        let is_one = tables.len() == 1;
        let left_out = || self.exclude.clone();
        Asked {
            url,
            source: self.source.as_deref(),
            tables,
            filter: self.filter.as_deref(),
            columns: ColumnChoice {
                keep: self.columns.clone(),
                // Of several tables only some may have them.
                drop: is_one.then(left_out).unwrap_or_default(),
                drop_if_there: (!is_one).then(left_out).unwrap_or_default(),
            },
            on_value: match self.on_value {
                None | Some(Fate::Stop) => OnValue::Stop,
                Some(Fate::Null) => OnValue::Null,
                Some(Fate::Text) => OnValue::Text,
            },
            connections: self.connections.map_or(defaults::CONNECTIONS, usize::from),
        }
    }
}

/// Parts of a lake as a pipeline cuts them; a file for stdout has all rows.
fn files(target: &Target) -> FileSettings {
    let (rows, size) = match target {
        Target::Lake(_) => (defaults::FILE_ROWS, defaults::FILE_SIZE_BYTES),
        Target::File => (u64::MAX, u64::MAX),
    };
    FileSettings {
        rows,
        size,
        age: defaults::FILE_AGE,
        compression: defaults::FILE_COMPRESSION,
    }
}

/// Copies the bulk tables of a configuration without Kafka, source by source.
pub async fn configured(
    settings: &Settings,
    only: &[String],
    format: Format,
    output: Output,
) -> Result<ExitCode> {
    let stop = signals::stop_on_signal()?;
    let began = Instant::now();
    if !only.is_empty()
        && let Some(problem) = meant(settings, "", only).await?.problem
    {
        return Err(problem);
    }
    let mut copies: Vec<Done> = Vec::new();
    for source in &settings.sources {
        let order = Order {
            source: SourceSettings::clone(source),
            only: only.to_vec(),
            globs_must_match: false,
            target: Target::Lake(settings.lake.place.clone()),
            files: settings.lake.files,
            day_in: settings.lake.day_in.clone(),
            memory: settings.memory,
            stop: stop.clone(),
        };
        match copied(&order, output).await {
            Ok(copy) => copies.extend(copy),
            Err(error) => {
                // What was published of other sources stays.
                if !copies.is_empty() {
                    Summary::new(&copies, began.elapsed()).write(format, output)?;
                }
                return Err(error.about(&source.name));
            }
        }
    }
    if copies.is_empty() {
        return Err(
            Error::new(Kind::Config, "the configuration names no table that exists")
                .code(Code::NO_TABLES)
                .hint("`cdc discover` says what each source holds"),
        );
    }
    Summary::new(&copies, began.elapsed()).write(format, output)?;
    Ok(ExitCode::SUCCESS)
}

/// One copy, with its progress shown.
async fn copied(order: &Order, output: Output) -> Result<Option<Done>> {
    let progress = Arc::new(Progress::default());
    let mut shown = copying::Shown::new(Arc::clone(&progress), output);
    let copying = snapshot(order, &progress);
    tokio::pin!(copying);
    loop {
        tokio::select! {
            done = &mut copying => {
                shown.clear();
                return done;
            }
            () = tokio::time::sleep(copying::LOOK) => shown.look(),
        }
    }
}

/// Writes a finished file to stdout: whatever failed before, nothing of it was written.
async fn hand_on(file: SpooledFile) -> Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        let mut from = std::fs::File::open(&file.path)?;
        let mut out = std::io::stdout().lock();
        std::io::copy(&mut from, &mut out)?;
        // What stays in the buffer would be lost at the exit without a word.
        out.flush()
    });
    let written = written
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)));
    written.map_err(|error| {
        let failed = Error::new(Kind::LocalIo, "writing to stdout");
        match error.kind() {
            ErrorKind::BrokenPipe => failed
                .because("its reader went away before it had the whole file")
                .hint("Parquet ends with what says where everything is: let the reader read all of it"),
            _ => failed.because(error),
        }
    })
}

/// An error whose way out names keys of the configuration, said in flags.
fn in_flags(error: Error) -> Error {
    let Some(next) = error.next_step() else {
        return error;
    };
    let said = if next.contains("`on_value: {") {
        "correct the row in the database, or add `--on-value null` (NULL in its place) or `--on-value text` (such \
         columns as the database writes them)"
            .to_owned()
    } else {
        next.replace("`columns: { drop: [", "`--exclude '")
            .replace("`columns: { keep: […] }`", "`--columns …`")
            .replace("] }`", "'`")
            .replace("`lake.url`", "`--to`")
            .replace("set `lake.region`, or `AWS_REGION`", "set `AWS_REGION`")
            .replace("the source's `url`", "the URL")
            .replace("`where:`", "`--where`")
            .replace("; it is tried again by itself", "")
    };
    error.hint(said)
}
