//! What is wrong with a configuration file: all of it at once, each with its place.

use std::fmt;

use crate::error::Code;

/// A position in the file, both numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// Where the file begins: the place of what is missing altogether.
    pub const START: Place = Place { line: 1, column: 1 };
}

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    pub place: Place,
    pub text: String,
    /// Which sort it is; none for a warning.
    pub code: Option<Code>,
}

impl Problem {
    pub fn new(code: Code, place: Place, text: impl Into<String>) -> Self {
        Problem {
            place,
            text: text.into(),
            code: Some(code),
        }
    }

    pub fn warning(place: Place, text: impl Into<String>) -> Self {
        Problem {
            place,
            text: text.into(),
            code: None,
        }
    }

    /// `cdc.yaml:12:7`.
    pub fn place_in(&self, file_name: &str) -> String {
        let Place { line, column } = self.place;
        format!("{file_name}:{line}:{column}")
    }
}

/// Every problem of one file. Shown as lines `cdc.yaml:12:7: … [CDC-0103]`, sorted by place; never holds a secret.
#[derive(Debug)]
pub struct Problems {
    lines: Vec<String>,
    code: Code,
}

impl Problems {
    pub(super) fn new(file_name: &str, found: Vec<Problem>) -> Self {
        let mut codes = found.iter().filter_map(|problem| problem.code);
        let first = codes.next().unwrap_or(Code::CONFIGURATION);
        let code = match codes.all(|code| code == first) {
            true => first,
            false => Code::CONFIGURATION,
        };
        Problems {
            lines: lines(file_name, found),
            code,
        }
    }

    /// The code of the file as a whole: that of its problems where all are of one sort.
    pub fn code(&self) -> Code {
        self.code
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lines.len()
    }
}

/// In the order of the file, each once.
pub(super) fn sorted(mut found: Vec<Problem>) -> Vec<Problem> {
    found.sort();
    found.dedup();
    found
}

/// `found` as sorted lines, each once.
pub(super) fn lines(file_name: &str, found: Vec<Problem>) -> Vec<String> {
    let line = |problem: Problem| {
        let (place, text) = (problem.place_in(file_name), &problem.text);
        let code = problem.code;
        let code = code.map_or_else(String::new, |code| format!(" [{code}]"));
        format!("{place}: {text}{code}")
    };
    sorted(found).into_iter().map(line).collect()
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Problems {}
