//! `cdc completion`: what a shell needs to complete `cdc`, and what is offered while one types.
//!
//! The script of a shell calls `cdc` back, with [`CALLED_BY`] set, for each key press: what is offered is what this
//! binary has, and the tables that are there now.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::ending::ExitCode;
use super::output::Output;
use super::{CommandLine, ask};
use crate::config::{self, WrittenSource};
use crate::error::{Error, Kind, Result};
use crate::inspect::table_names;

/// Set by the shell's script, to the name of the shell.
const CALLED_BY: &str = "CDC_COMPLETE";
/// How long a key press may wait for Kafka and the databases. With what the process itself takes it stays below a
/// second.
const PATIENCE: Duration = Duration::from_millis(850);
/// zsh runs a file of its `fpath` as a function the first time, and takes its answer.
const ZSH_CALLED_AS_A_FUNCTION: &str = r#"
if [[ $funcstack[1] == _cdc ]]; then
    _clap_dynamic_completer_cdc "$@"
fi
"#;

/// Prints what a shell needs to complete commands, flags, files and the names of tables
///
/// One line in the file that your shell reads when it starts:
///
///   bash   echo 'source <(cdc completion bash)' >> ~/.bashrc
///   zsh    echo 'source <(cdc completion zsh)' >> ~/.zshrc        below `compinit`
///   fish   echo 'cdc completion fish | source' >> ~/.config/fish/config.fish
///
/// Tables are those of the configuration, of what the pipeline remembers in Kafka, and of the databases.
/// Who does not answer within a second is left out without a word.
///
/// Example: source <(cdc completion bash)
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Completion {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    pub fn run(&self, output: Output) -> Result<ExitCode> {
        let shell: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
        };
        let mut script = Vec::new();
        shell
            .write_registration(CALLED_BY, "cdc", "cdc", &called_as(), &mut script)
            .map_err(|error| Error::new(Kind::Bug, "writing the script").because(error))?;
        let script = String::from_utf8_lossy(&script);
        output.line(script.trim());
        if self.shell == Shell::Zsh {
            output.line(ZSH_CALLED_AS_A_FUNCTION.trim_end());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the script calls: `cdc` where the shell found it by its name, else the same file again.
fn called_as() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let path = match std::path::Path::new(&name).components().count() {
        0 | 1 => return "cdc".to_owned(),
        _ => std::path::absolute(&name).unwrap_or_else(|_| PathBuf::from(&name)),
    };
    path.to_string_lossy().into_owned()
}

/// Answers a shell that asks what could stand here; `false` where nobody asks, and the process is an ordinary one.
pub fn answer() -> bool {
    let here = std::env::current_dir().ok();
    // What goes wrong is not said: it would be written into the line that is being typed.
    CompleteEnv::with_factory(completed)
        .var(CALLED_BY)
        .try_complete(std::env::args_os(), here.as_deref())
        .unwrap_or(true)
}

/// The command line, with what knows the names: wherever a command takes a `TABLE` or a `SOURCE`.
fn completed() -> clap::Command {
    with_names(CommandLine::command())
}

fn with_names(command: clap::Command) -> clap::Command {
    let completer = |arg: &clap::Arg| {
        let names = arg.get_value_names()?;
        let named = |wanted: &str| {
            names
                .iter()
                .any(|name| name.split('|').any(|part| part == wanted))
        };
        if named("TABLE") {
            Some(ArgValueCompleter::new(tables))
        } else if named("SOURCE") {
            Some(ArgValueCompleter::new(sources))
        } else if named("COMMAND") {
            Some(ArgValueCompleter::new(commands))
        } else {
            None
        }
    };
    command
        .mut_args(|arg| match completer(&arg) {
            Some(completer) => arg.add(completer),
            None => arg,
        })
        .mut_subcommands(with_names)
}

/// Tables that begin so: by their full names, else by what people write in short.
fn tables(begun: &OsStr) -> Vec<CompletionCandidate> {
    let Some(begun) = begun.to_str() else {
        return Vec::new();
    };
    let names = known_tables();
    let full: BTreeSet<&String> = names.iter().map(|(full, _)| full).collect();
    let short: BTreeSet<&String> = names.iter().map(|(_, short)| short).collect();
    let mut offered = offer(full, begun);
    if offered.is_empty() {
        offered = offer(short, begun);
    }
    offered
}

/// `ec.orders` and `orders` of every table that is known.
fn known_tables() -> Vec<(String, String)> {
    let file = configuration();
    let settings = match config::load(file.as_deref()) {
        Ok(settings) => settings,
        // A secret that is out of reach here, or half a file: the names that stand there are names still.
        Err(_) => {
            return config::written_names(file.as_deref())
                .iter()
                .flat_map(written)
                .collect();
        }
    };
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let names = runtime.block_on(table_names(&settings, &ask::client_id(&settings), PATIENCE));
    // What still waits for an answer must not keep the key press.
    runtime.shutdown_background();
    names
        .iter()
        .map(|name| (name.to_string(), name.short()))
        .collect()
}

fn written(source: &WrittenSource) -> Vec<(String, String)> {
    let full = |table: &String| (format!("{}.{table}", source.name), table.clone());
    source.tables.iter().map(full).collect()
}

fn sources(begun: &OsStr) -> Vec<CompletionCandidate> {
    let written = config::written_names(configuration().as_deref());
    let names = written.iter().map(|source| &source.name).collect();
    offer(names, &begun.to_string_lossy())
}

fn commands(begun: &OsStr) -> Vec<CompletionCandidate> {
    let all = CommandLine::command();
    let names: Vec<String> = all
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect();
    offer(names.iter().collect(), &begun.to_string_lossy())
}

/// Names that begin so. One with a character that means something to a shell is left out: it is put into the line
/// as it is.
fn offer(names: BTreeSet<&String>, begun: &str) -> Vec<CompletionCandidate> {
    let is_plain = |name: &str| {
        let mut characters = name.chars();
        characters.all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    names
        .into_iter()
        .filter(|name| name.starts_with(begun) && is_plain(name))
        .map(CompletionCandidate::new)
        .collect()
}

/// The configuration that the line being typed names, else the environment.
fn configuration() -> Option<PathBuf> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    configuration_in(words).or_else(|| std::env::var_os("CDC_CONFIG").map(PathBuf::from))
}

fn configuration_in(mut words: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if matches!(&*text, "-c" | "--config") {
            return words
                .next()
                .filter(|file| !file.is_empty())
                .map(PathBuf::from);
        }
        let file = text
            .strip_prefix("--config=")
            .or_else(|| text.strip_prefix("-c"));
        if let Some(file) = file.filter(|file| !file.is_empty()) {
            return Some(PathBuf::from(file));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_the_one_that_the_line_names() {
        let named = |line: &str| configuration_in(line.split(' ').map(OsString::from));
        for line in [
            "cdc -c a.yaml status",
            "cdc status --config a.yaml",
            "cdc --config=a.yaml plan",
            "cdc -ca.yaml plan",
        ] {
            assert_eq!(named(line), Some(PathBuf::from("a.yaml")), "{line}");
        }
        assert_eq!(named("cdc status"), None);
        assert_eq!(named("cdc status -c"), None);
    }

    #[test]
    fn a_name_that_means_something_to_a_shell_is_not_offered() {
        let names =
            ["ec.orders", "ec.주문", "ec.a b", "ec.$(reboot)", "ec.it's"].map(str::to_owned);
        let offered = offer(names.iter().collect(), "ec.");
        let offered: Vec<_> = offered.iter().map(CompletionCandidate::get_value).collect();
        assert_eq!(offered, ["ec.orders", "ec.주문"]);
    }
}
