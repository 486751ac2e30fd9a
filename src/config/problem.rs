//! What is wrong with a configuration file: all of it at once, each with its place.

use std::fmt;

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
}

/// Every problem of one file. Shown as lines `cdc.yaml:12:7: …`, sorted by place; never holds a secret.
#[derive(Debug)]
pub struct Problems {
    lines: Vec<String>,
}

impl Problems {
    pub(super) fn new(file_name: &str, found: Vec<Problem>) -> Self {
        Problems {
            lines: lines(file_name, found),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lines.len()
    }
}

/// `found` as sorted lines, each once.
pub(super) fn lines(file_name: &str, mut found: Vec<Problem>) -> Vec<String> {
    found.sort();
    found.dedup();
    let line = |Problem { place, text }| {
        let Place { line, column } = place;
        format!("{file_name}:{line}:{column}: {text}")
    };
    found.into_iter().map(line).collect()
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Problems {}
