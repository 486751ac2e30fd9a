//! The only printer: answers to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::EnvFilter;

use super::ending::ExitCode;
use crate::error::{Error, Kind, Result};

/// Writes log lines to stderr. `CDC_LOG` overrides the level, in `tracing`'s filter syntax.
///
/// A command that only looks says in its answer what does not answer; it is not said twice.
pub fn init_log(verbose: u8, json: bool, only_looks: bool) {
    let level = match verbose {
        0 if only_looks => "cdc=error",
        0 => "cdc=warn",
        1 => "cdc=info",
        _ => "cdc=debug",
    };
    let filter = EnvFilter::try_from_env("CDC_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(has_color());
    // A second call, in tests, keeps the first log.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// Colour on stderr: on a terminal, unless `NO_COLOR` is set.
fn has_color() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a failure with its code and what to do next. The exit code follows from its kind.
pub fn fail(error: &Error) -> ExitCode {
    let mut err = std::io::stderr().lock();
    for line in lines_of(error) {
        let _ = writeln!(err, "{line}");
    }
    error.kind().into()
}

/// An error that does not say what to do next is sent to the page of its code, where there is one.
fn lines_of(error: &Error) -> Vec<String> {
    let code = error.stable_code();
    let page = || format!("`cdc explain {code}` says why, and what helps");
    let next = match error.next_step() {
        Some(next) => Some(next.to_owned()),
        None => error.has_own_code().then(page),
    };
    let mut lines = vec![format!("error[{code}]: {error}")];
    lines.extend(next.map(|next| format!("  next: {next}")));
    lines
}

pub fn warn(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "warning: {text}");
}

pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether stderr is a terminal, so that a progress line may be redrawn.
    pub is_live: bool,
}

impl Output {
    pub fn new() -> Self {
        Output {
            is_live: std::io::stderr().is_terminal(),
        }
    }

    /// A line of the answer. A reader that went away is no failure; any other is told at the end.
    pub fn line(&self, text: &str) {
        if let Err(error) = writeln!(std::io::stdout().lock(), "{text}")
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
            lost.get_or_insert(error);
        }
    }
}

/// Why a part of the answer could not be written.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Fails if a part of the answer could not be written.
pub fn must_be_whole() -> Result<()> {
    match LOST.lock().unwrap_or_else(PoisonError::into_inner).take() {
        None => Ok(()),
        Some(error) => Err(Error::new(Kind::LocalIo, "writing the answer to stdout")
            .because(error)
            .hint("what was to be done is done; make room where stdout leads to, and ask again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn an_error_without_a_next_step_is_sent_to_the_page_of_its_code() {
        let away = Error::new(Kind::Unavailable, "connecting").code(Code::KAFKA_UNREACHABLE);
        assert_eq!(
            lines_of(&away).join("\n"),
            "error[CDC-0301]: connecting\n  next: `cdc explain CDC-0301` says why, and what helps"
        );
        let known = lines_of(&away.hint("start the broker"));
        assert_eq!(known.last().unwrap(), "  next: start the broker");
        // Of its kind alone nothing particular is known.
        let plain = Error::new(Kind::Unavailable, "connecting");
        assert_eq!(lines_of(&plain).len(), 1);
    }
}
