//! The doors: from a path or a text to [`Settings`].

use std::io;
use std::path::Path;

use super::checkable::{Checkable, Mistake, sound_part};
use super::keys::FILE;
use super::origin::{self, Setting};
use super::problem::{Place, Problem};
use super::reference::References;
use super::resolve::resolve;
use super::shape::check;
use super::tree::{self, Node};
use super::{LakePlace, Problems, Settings};
use crate::error::{Code, Error, Kind, Result};

/// The file that is read where `--config` names none.
pub(super) const USUAL_FILE: &str = "cdc.yaml";

/// Larger files are dumps or logs.
const LARGEST_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Reads the configuration at `path`, else `cdc.yaml` in the working directory.
pub fn load(path: Option<&Path>) -> Result<Settings> {
    let path = path.unwrap_or(Path::new(USUAL_FILE));
    let file_name = path.display().to_string();
    let settings = parse_bytes(&read(path)?, &file_name, &here()).map_err(wrong)?;
    Ok(settings.beside(path))
}

/// The configuration at `path` to be looked at: also one that something is wrong with, as long as it is sure what the
/// rest means.
pub fn load_to_check(path: Option<&Path>) -> Result<Checkable> {
    let path = path.unwrap_or(Path::new(USUAL_FILE));
    let file_name = path.display().to_string();
    let (understood, found) = understood(&read(path)?, &file_name, &here());
    let part = match understood {
        Some((_, settings)) if found.is_empty() => {
            return Ok(Checkable::Sound(settings.beside(path)));
        }
        Some((root, settings)) => sound_part(&root, settings.beside(path), &found),
        None => None,
    };
    let mistakes = Mistake::all(&file_name, found.clone());
    Ok(match part.filter(|part| part.kafka.is_some()) {
        Some(part) => Checkable::Partly(part, mistakes),
        None => Checkable::Wrong(mistakes, wrong(Problems::new(&file_name, found))),
    })
}

/// Every setting that holds with the configuration at `path`, and where it comes from.
pub fn origins(path: Option<&Path>) -> Result<Vec<Setting>> {
    let path = path.unwrap_or(Path::new(USUAL_FILE));
    let file_name = path.display().to_string();
    let bytes = read(path)?;
    let settings = parse_bytes(&bytes, &file_name, &here()).map_err(wrong)?;
    origins_in(&bytes, &file_name, &settings, &here()).map_err(wrong)
}

/// As [`origins`], of a file that was read and resolved.
pub(super) fn origins_in(
    bytes: &[u8],
    file_name: &str,
    settings: &Settings,
    references: &References<'_>,
) -> Result<Vec<Setting>, Problems> {
    let mut found = Vec::new();
    let text = text_of(bytes).map_err(|problem| Problems::new(file_name, vec![problem]))?;
    match tree::read(text, references, &mut found) {
        Some(root) => Ok(origin::settings(&root, file_name, settings)),
        None => Err(Problems::new(file_name, found)),
    }
}

impl Settings {
    /// A lake in a directory lies beside the file that names it, wherever a command is typed: the same pipeline run from
    /// elsewhere would bring its rows into another one.
    fn beside(mut self, file: &Path) -> Self {
        let LakePlace::Local(directory) = &mut self.lake.place else {
            return self;
        };
        let folder = file.parent().unwrap_or(Path::new(""));
        let meant = folder.join(&*directory);
        *directory = std::path::absolute(&meant).unwrap_or(meant);
        self.hash = super::hash::of(&self);
        self
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| unreadable(path, error);
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST_FILE_BYTES {
        let why = format!("it has {size} bytes, and at most {LARGEST_FILE_BYTES} are read");
        return Err(Error::new(Kind::Config, "reading the configuration")
            .about(format!("`{}`", path.display()))
            .because(why)
            .hint("is it the right file? `--config FILE` names another")
            .code(Code::CONFIGURATION_TOO_LARGE));
    }
    std::fs::read(path).map_err(failed)
}

fn wrong(problems: Problems) -> Error {
    let count = match problems.count() {
        1 => "one problem".to_owned(),
        count => format!("{count} problems"),
    };
    Error::new(
        Kind::Config,
        format!("the configuration has {count}\n{problems}"),
    )
    .code(problems.code())
    .hint("mend each line; `cdc explain` knows the code at its end")
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            "`cdc init postgres://…` writes one; or name another by `--config FILE`"
        }
        io::ErrorKind::PermissionDenied => "let the user that runs `cdc` read it",
        _ => "name another by `--config FILE`",
    };
    Error::new(Kind::Config, "reading the configuration")
        .about(format!("`{}`", path.display()))
        .because(error)
        .hint(hint)
        .code(Code::CONFIGURATION_UNREADABLE)
}

/// The settings a text means; `file_name` is what its problems are shown under. References are followed into
/// this process's environment and the file system.
pub fn parse(text: &str, file_name: &str) -> Result<Settings, Problems> {
    parse_bytes(text.as_bytes(), file_name, &here())
}

/// References that lead into this process's environment and the file system.
fn here() -> References<'static> {
    References {
        variable: &|name| std::env::var_os(name),
        file: &|path| std::fs::read(path),
    }
}

/// As [`parse`], of a file as it is read, with references that lead where `references` says.
pub(super) fn parse_bytes(
    bytes: &[u8],
    file_name: &str,
    references: &References<'_>,
) -> Result<Settings, Problems> {
    match understood(bytes, file_name, references) {
        (Some((_, settings)), found) if found.is_empty() => Ok(settings),
        (_, found) => Err(Problems::new(file_name, found)),
    }
}

/// The tree of a file and what it means as far as it can be understood, and all that is wrong with it. Where nothing is
/// understood, something is wrong.
fn understood(
    bytes: &[u8],
    file_name: &str,
    references: &References<'_>,
) -> (Option<(Node, Settings)>, Vec<Problem>) {
    let text = match text_of(bytes) {
        Ok(text) => text,
        Err(problem) => return (None, vec![problem]),
    };
    let mut found = Vec::new();
    let understood = tree::read(text, references, &mut found).and_then(|root| {
        check(&root, &FILE, "", Place::START, &mut found);
        let settings = resolve(&root, file_name, &mut found)?;
        Some((root, settings))
    });
    if understood.is_none() && found.is_empty() {
        let text = "the file cannot be understood, and `cdc` does not know why";
        found.push(Problem::new(Code::CONFIGURATION, Place::START, text));
    }
    (understood, found)
}

/// The file as text, without the mark that Windows editors put before the first key.
fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let wide = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let before = String::from_utf8_lossy(before);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let place = Place {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        };
        let what = match wide {
            true => "the file is UTF-16; save it as UTF-8",
            false => "here stands a byte that is not UTF-8; save the file as UTF-8",
        };
        Problem::new(Code::NOT_YAML, place, what)
    })
}
