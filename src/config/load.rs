//! The doors: from a path or a text to [`Settings`].

use std::io;
use std::path::Path;

use super::file::{FILE, check};
use super::problem::{Place, Problem};
use super::reference::References;
use super::resolve::resolve;
use super::{Problems, Settings, tree};
use crate::error::{Error, Kind, Result};

/// The file that is read where `--config` names none.
pub(super) const USUAL_FILE: &str = "cdc.yaml";

/// Reads the configuration at `path`, else `cdc.yaml` in the working directory.
pub fn load(path: Option<&Path>) -> Result<Settings> {
    let path = path.unwrap_or(Path::new(USUAL_FILE));
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    parse(&text, &path.display().to_string()).map_err(|problems| {
        let count = match problems.count() {
            1 => "one problem".to_owned(),
            count => format!("{count} problems"),
        };
        Error::new(
            Kind::Config,
            format!("the configuration has {count}\n{problems}"),
        )
    })
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            "`cdc init postgres://…` writes one; or name another by `--config FILE`"
        }
        io::ErrorKind::PermissionDenied => "let the user that runs `cdc` read it",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "name another by `--config FILE`",
    };
    Error::new(Kind::Config, "reading the configuration")
        .about(format!("`{}`", path.display()))
        .because(error)
        .hint(hint)
}

/// The settings a text means; `file_name` is what its problems are shown under. References are followed into
/// this process's environment and the file system.
pub fn parse(text: &str, file_name: &str) -> Result<Settings, Problems> {
    let references = References {
        variable: &|name| std::env::var_os(name),
        file: &|path| std::fs::read(path),
    };
    parse_with(text, file_name, &references)
}

/// As [`parse`], with references that lead where `references` says.
pub(super) fn parse_with(
    text: &str,
    file_name: &str,
    references: &References<'_>,
) -> Result<Settings, Problems> {
    let mut found = Vec::new();
    // Windows editors put a byte order mark before the first key.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(root) = tree::read(text, references, &mut found) else {
        return Err(Problems::new(file_name, found));
    };
    check(&root, &FILE, "", Place::START, &mut found);
    match resolve(&root, file_name, &mut found) {
        Some(settings) => Ok(settings),
        None => {
            if found.is_empty() {
                let text = "the file cannot be understood, and `cdc` does not know why".to_owned();
                found.push(Problem {
                    place: Place::START,
                    text,
                });
            }
            Err(Problems::new(file_name, found))
        }
    }
}
