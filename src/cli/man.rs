//! `cdc man`: the help of each command as a page of the manual.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::CommandLine;
use super::ending::ExitCode;
use super::output::{self, Output};
use crate::config::nearest;
use crate::error::{Error, Kind, Result};

/// What a page says beyond the help: what scripts and services go by.
const EXIT_STATUS: [(Option<Kind>, &str); 10] = [
    (None, "done"),
    (
        Some(Kind::No),
        "the question was answered, and the answer is no",
    ),
    (Some(Kind::Usage), "the command line cannot be understood"),
    (
        Some(Kind::Data),
        "a value or a record is not what it must be",
    ),
    (
        Some(Kind::Unavailable),
        "a database, broker or store does not answer",
    ),
    (Some(Kind::Bug), "a fault of cdc itself"),
    (
        Some(Kind::LocalIo),
        "a local file or directory cannot be read or written",
    ),
    (Some(Kind::TryLater), "it would work later or elsewhere"),
    (Some(Kind::Permission), "credentials or grants are missing"),
    (
        Some(Kind::Config),
        "the configuration, or the world it describes, is wrong",
    ),
];

const ENVIRONMENT: [(&str, &str); 3] = [
    (
        "CDC_CONFIG",
        "The configuration file, where --config names none.",
    ),
    (
        "CDC_LOG",
        "What is logged, for example cdc=debug; it goes before --verbose.",
    ),
    (
        "NO_COLOR",
        "If it is set and not empty, nothing is coloured.",
    ),
];

/// Prints the manual page of a command, in roff.
///
/// Example: cdc man snapshot | man -l -
#[derive(Debug, Args)]
pub struct Man {
    /// The command: `snapshot`, `rejected list` [default: the page of `cdc` itself]
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write the pages of all commands into a directory instead, as `cdc.1`, `cdc-snapshot.1`, …
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

impl Man {
    pub fn run(&self, output: Output) -> Result<ExitCode> {
        let mut all = CommandLine::command();
        all.build();
        match &self.dir {
            Some(directory) => {
                std::fs::create_dir_all(directory).map_err(|error| unwritable(directory, error))?;
                let pages = write_all(&all, directory)?;
                output::note(&format!("{pages} pages are in {}", directory.display()));
            }
            None => output.line(page(chosen(&all, &self.command)?)?.trim_end()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn chosen<'c>(all: &'c clap::Command, names: &[String]) -> Result<&'c clap::Command> {
    names.iter().try_fold(all, |command, name| {
        command.find_subcommand(name).ok_or_else(|| {
            let names = command.get_subcommands().map(clap::Command::get_name);
            let meant = nearest(name, names).map(|meant| format!("did you mean `{meant}`? "));
            Error::new(Kind::Usage, format!("there is no command `{name}`")).hint(format!(
                "{}`{} --help` lists what there is",
                meant.unwrap_or_default(),
                command.get_bin_name().unwrap_or("cdc"),
            ))
        })
    })
}

/// Writes the page of a command and of all below it; answers how many there are.
fn write_all(command: &clap::Command, directory: &Path) -> Result<usize> {
    let file = directory.join(format!("{}.1", title(command)));
    std::fs::write(&file, page(command)?).map_err(|error| unwritable(&file, error))?;
    let below = command.get_subcommands().filter(|one| !one.is_hide_set());
    below
        .map(|one| write_all(one, directory))
        .try_fold(1, |sum, written| Ok(sum + written?))
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::LocalIo, "writing the manual")
        .about(format!("`{}`", path.display()))
        .because(error)
}

/// `cdc-rejected-list`.
fn title(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &clap::Command) -> Result<String> {
    let failed = |error| Error::new(Kind::Bug, "writing a page of the manual").because(error);
    let mut text = Vec::new();
    let man = clap_mangen::Man::new(command.clone())
        .source(format!("cdc {}", env!("CARGO_PKG_VERSION")))
        .manual("cdc");
    man.render(&mut text).map_err(failed)?;
    more(title(command)).to_writer(&mut text).map_err(failed)?;
    String::from_utf8(text)
        .map_err(|error| Error::new(Kind::Bug, "writing a page of the manual").because(error))
}

/// What follows what the help says.
fn more(title: &str) -> Roff {
    let mut page = Roff::new();
    let item = |page: &mut Roff, what: Inline, meaning: &str| {
        page.control("TP", []);
        page.text([what]);
        page.text([roman(meaning)]);
    };
    page.control("SH", ["EXIT STATUS"]);
    for (kind, meaning) in EXIT_STATUS {
        let code = kind.map_or(0, Kind::exit_code);
        item(&mut page, bold(code.to_string()), meaning);
    }
    page.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in ENVIRONMENT {
        item(&mut page, bold(name), meaning);
    }
    page.control("SH", ["FILES"]);
    item(
        &mut page,
        bold("./cdc.yaml"),
        "The configuration, where nothing else is named.",
    );
    if title != "cdc" {
        page.control("SH", ["SEE ALSO"]);
        page.text([bold("cdc"), roman("(1)")]);
    }
    page
}
