//! The pages say what is: links lead somewhere, commands and keys exist, promises have tests.

use std::fs;
use std::path::{Path, PathBuf};

mod commands;
mod configuration;
mod errors;
mod failures;
mod grants;
mod links;
mod manual;
mod packaging;
mod promises;

/// One page: where it is, relative to the repository, and its text.
struct Page {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder of the repository whose name ends so.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let below = path.strip_prefix(root()).unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&below.to_string_lossy(), ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(below);
        }
    }
    found.sort();
    found
}

/// All pages of the repository.
fn pages() -> Vec<Page> {
    let mut paths = vec![PathBuf::from("README.md"), PathBuf::from("CHANGELOG.md")];
    for folder in ["docs", "src", "schemas"] {
        paths.extend(files(folder, ".md"));
    }
    let page = |path: PathBuf| {
        let path = path.to_string_lossy().into_owned();
        let text = read(&path);
        Page { path, text }
    };
    paths.into_iter().map(page).collect()
}

/// The lines of a page, and whether each stands in a fenced block.
fn lines(text: &str) -> Vec<(&str, bool)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else {
            lines.push((line, fenced));
        }
    }
    lines
}

/// The fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match &mut open {
            None if line.trim() == format!("```{language}") => open = Some(String::new()),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

/// What stands between single backticks in a line.
fn spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// The cells of a table's row; empty where the line is none.
fn cells(line: &str) -> Vec<&str> {
    let row = line
        .trim()
        .strip_prefix('|')
        .and_then(|rest| rest.strip_suffix('|'));
    row.map(|row| row.split(" | ").map(str::trim).collect())
        .unwrap_or_default()
}

/// The rows of every table of a page whose header ends in `last`.
fn rows<'t>(text: &'t str, last: &str) -> Vec<Vec<&'t str>> {
    let mut found = Vec::new();
    let mut wanted = false;
    let mut before: Vec<&str> = Vec::new();
    for (line, fenced) in lines(text) {
        let cells = if fenced { Vec::new() } else { cells(line) };
        let is_rule = line.starts_with("|--");
        match (cells.is_empty(), is_rule) {
            (true, false) => wanted = false,
            (_, true) => wanted = before.last() == Some(&last),
            (false, false) if wanted => found.push(cells.clone()),
            _ => {}
        }
        before = cells;
    }
    found
}
