//! `cdc explain`: what an error's code means, and what to do.

use clap::Args;
use serde::Serialize;

use super::aligned::wrapped;
use super::ending::ExitCode;
use super::output::Output;
use super::{Format, as_json};
use crate::error::{Code, Error, Explained, Kind, Result};

/// The width that text is wrapped to, with the indent before it.
const WIDTH: usize = 96;

/// Explains an error by its code: cause, remedy, an example
///
/// Errors carry a code, e.g. `error[CDC-0103]: …`; it never changes. Needs no configuration.
/// Exit code 0 if there is such a code, else 1 with the nearest.
///
/// Examples: cdc explain CDC-0103
///           cdc explain
///           cdc explain -o json | jq '.[] | select(.exit_code == 78)'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Explain {
    /// The code, as `CDC-0103` or `103` [default: list all]
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// A code as JSON.
#[derive(Serialize)]
struct Answer {
    code: String,
    exit_code: u8,
    title: &'static str,
    cause: &'static str,
    remedy: &'static str,
    example: &'static str,
}

impl From<&Explained> for Answer {
    fn from(known: &Explained) -> Self {
        Answer {
            code: known.code.to_string(),
            exit_code: known.kind.exit_code(),
            title: known.title,
            cause: known.cause,
            remedy: known.remedy,
            example: known.example,
        }
    }
}

impl Explain {
    pub fn run(&self, output: Output) -> Result<ExitCode> {
        let Some(asked) = &self.code else {
            match self.output {
                Format::Json => {
                    let all: Vec<Answer> = Code::all().map(Answer::from).collect();
                    output.line(&as_json(&all)?);
                }
                Format::Text => Code::all().for_each(|known| output.line(&in_a_line(known))),
            }
            return Ok(ExitCode::SUCCESS);
        };
        let known = Code::parse(asked).and_then(Code::explained);
        let known = known.ok_or_else(|| unknown(asked))?;
        match self.output {
            Format::Json => output.line(&as_json(&Answer::from(known))?),
            Format::Text => in_full(known).iter().for_each(|line| output.line(line)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_a_line(known: &Explained) -> String {
    format!(
        "{}  {:>2}  {}",
        known.code,
        known.kind.exit_code(),
        known.title
    )
}

fn in_full(known: &Explained) -> Vec<String> {
    let mut lines = vec![
        format!("{}: {}", known.code, known.title),
        format!("exit code {}", known.kind.exit_code()),
    ];
    for (what, text) in [("cause", known.cause), ("remedy", known.remedy)] {
        lines.push(String::new());
        lines.push(what.to_owned());
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        lines.extend(
            wrapped(&words, " ", WIDTH - 2)
                .iter()
                .map(|line| format!("  {line}")),
        );
    }
    lines.push(String::new());
    lines.push("example".to_owned());
    lines.extend(known.example.lines().map(|line| format!("  {line}")));
    lines
}

fn unknown(asked: &str) -> Error {
    let error =
        Error::new(Kind::No, format!("there is no code `{asked}`")).code(Code::NO_SUCH_CODE);
    let number = Code::digits(asked).and_then(|digits| digits.parse::<i64>().ok());
    let nearest = number.and_then(|number| {
        let codes = Code::all().map(|known| known.code);
        codes.min_by_key(|code| number.abs_diff(i64::from(code.number())))
    });
    error.hint(match nearest {
        Some(code) => format!("the nearest is `{code}`; `cdc explain` lists all"),
        None => "a code is written as `CDC-0103` or `103`; `cdc explain` lists all".to_owned(),
    })
}
