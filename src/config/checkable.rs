//! A file that something is wrong with, as far as it can be looked at all the same.

use super::pattern::is_glob;
use super::problem::{Place, Problem, sorted};
use super::tree::{Entry, Node, What};
use super::{Settings, SourceSettings};
use crate::error::Error;

/// A configuration to be looked at.
#[derive(Debug)]
pub enum Checkable {
    Sound(Settings),
    /// Something is wrong with sources or tables: they are left out, and nothing may be worked by the rest.
    Partly(Settings, Vec<Mistake>),
    /// So much is wrong that nothing can be looked at; the error says all of it.
    Wrong(Vec<Mistake>, Error),
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `cdc.yaml:12:7`.
    pub place: String,
    pub text: String,
    pub code: Option<String>,
}

impl Mistake {
    pub(super) fn all(file_name: &str, found: Vec<Problem>) -> Vec<Self> {
        let mistake = |problem: Problem| Mistake {
            place: problem.place_in(file_name),
            text: problem.text,
            code: problem.code.map(|code| code.to_string()),
        };
        sorted(found).into_iter().map(mistake).collect()
    }
}

/// What of `settings` is meant as it stands there, although `found` is wrong. `None` where that is not sure: nobody asks
/// another broker, or looks at another pipeline, than is meant.
pub(super) fn sound_part(
    root: &Node,
    mut settings: Settings,
    found: &[Problem],
) -> Option<Settings> {
    let sources = Span::of("sources", entries(root), END)?;
    let all = entries(&sources.entry.node);
    let spans: Vec<Span> = all
        .iter()
        .filter_map(|entry| Span::of(&entry.key, all, sources.end))
        .collect();
    let is_in_one = |problem: &Problem| spans.iter().any(|span| span.has(problem));
    if !found.iter().all(is_in_one) {
        return None;
    }
    settings.sources.retain_mut(|source| {
        let mut spans = spans.iter();
        let span = spans.find(|span| span.entry.key == source.name);
        span.is_some_and(|span| keep_sound_tables(source, span, found))
    });
    Some(settings)
}

/// Whether nothing is wrong with a source but with its tables. A glob does not take what was meant otherwise.
fn keep_sound_tables(source: &mut SourceSettings, span: &Span<'_>, found: &[Problem]) -> bool {
    let below = entries(&span.entry.node);
    let Some(tables) = Span::of("tables", below, span.end) else {
        return false;
    };
    let mut of_source = found.iter().filter(|problem| span.has(problem));
    if !of_source.all(|problem| tables.has(problem)) {
        return false;
    }
    let written = entries(&tables.entry.node);
    let wrong: Vec<&str> = written
        .iter()
        .filter_map(|entry| Span::of(&entry.key, written, tables.end))
        .filter(|span| found.iter().any(|problem| span.has(problem)))
        .map(|span| span.entry.key.as_str())
        .collect();
    // What comes behind a wrong glob may be meant by it.
    let at = |key: &str| written.iter().position(|entry| entry.key == key);
    let mut wrong_globs = wrong.iter().filter(|pattern| is_glob(pattern));
    let first_glob = wrong_globs.find_map(|pattern| at(pattern));
    source.tables.retain(|table| {
        let is_behind = first_glob.is_some() && at(&table.pattern) > first_glob;
        !wrong.contains(&table.pattern.as_str()) && (!is_behind || !table.is_glob())
    });
    let names = wrong.into_iter().filter(|pattern| !is_glob(pattern));
    source.exclude.extend(names.map(str::to_owned));
    true
}

/// Behind every place.
const END: Place = Place {
    line: usize::MAX,
    column: usize::MAX,
};

/// A key with all that stands below it.
struct Span<'n> {
    entry: &'n Entry,
    /// Where the next key begins.
    end: Place,
}

impl<'n> Span<'n> {
    fn of(key: &str, among: &'n [Entry], end: Place) -> Option<Self> {
        let entry = among.iter().find(|entry| entry.key == key)?;
        let later = among.iter().map(|other| other.place);
        let next = later.filter(|place| *place > entry.place).min();
        Some(Span {
            entry,
            end: next.unwrap_or(end),
        })
    }

    fn has(&self, problem: &Problem) -> bool {
        problem.place >= self.entry.place && problem.place < self.end
    }
}

fn entries(node: &Node) -> &[Entry] {
    match &node.what {
        What::Block(entries) => entries,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::load_to_check;

    /// The tables of each source that can be checked, what is excluded behind them, and the paths of what is wrong.
    fn checked(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.yaml");
        fs::write(&path, text).unwrap();
        let source = |source: &SourceSettings| {
            let tables = source.tables.iter().map(|table| table.pattern.as_str());
            let tables: Vec<&str> = tables.collect();
            format!(
                "{}: {} without {}",
                source.name,
                tables.join(" "),
                source.exclude.join(" ")
            )
        };
        match load_to_check(Some(&path)) {
            Ok(Checkable::Sound(_)) => "sound".to_owned(),
            Ok(Checkable::Partly(settings, mistakes)) => {
                let sources: Vec<String> = settings.sources.iter().map(source).collect();
                let places = mistakes
                    .iter()
                    .map(|mistake| mistake.place.rsplit('/').next().unwrap_or_default());
                let places: Vec<&str> = places.collect();
                format!("{}; wrong at {}", sources.join(", "), places.join(" "))
            }
            Ok(Checkable::Wrong(mistakes, error)) => {
                assert!(!mistakes.is_empty());
                format!("{:?}", error.kind())
            }
            Err(error) => panic!("{error}"),
        }
    }

    const SHOP: &str = "\
pipeline: retail
kafka: { brokers: \"localhost:9092\" }
sources:
  ec:
    url: postgres://cdc@localhost/shop
    time_zone: UTC
    tables:
      orders: { mode: bulk }
      items: { mode: bulk }
      '*': { mode: bulk }
  pos: { url: mariadb://cdc@localhost/tills, tables: { sales: { mode: bulk } } }
lake: { url: ./lake }
";

    #[test]
    fn a_wrong_table_is_left_out_and_no_glob_takes_it() {
        assert_eq!(checked(SHOP), "sound");
        let wrong = SHOP.replace("items: { mode: bulk }", "items: { mode: bulky }");
        assert_eq!(
            checked(&wrong),
            "ec: orders * without items, pos: sales without ; wrong at shop.yaml:9:22"
        );
    }

    #[test]
    fn a_table_with_one_wrong_key_is_left_out_as_a_whole_and_so_are_globs_behind_a_wrong_one() {
        let wrong = SHOP.replace(
            "items: { mode: bulk }",
            "items: { mode: bulk, columns: { drp: [secret] } }",
        );
        assert!(checked(&wrong).starts_with("ec: orders * without items, "));
        let wrong = SHOP.replace(
            "'*': { mode: bulk }",
            "'s*': { mode: bulk }\n      'it*': { mode: bulk, exlude: [items] }\n      '*': { mode: bulk }",
        );
        assert!(
            checked(&wrong).starts_with("ec: orders items s* without , "),
            "{}",
            checked(&wrong)
        );
    }

    #[test]
    fn a_source_that_something_else_is_wrong_with_is_left_out() {
        let wrong = SHOP.replace("time_zone: UTC", "time_zone: Atlantis");
        assert_eq!(
            checked(&wrong),
            "pos: sales without ; wrong at shop.yaml:6:16"
        );
    }

    #[test]
    fn of_another_pipeline_broker_or_lake_than_is_meant_nothing_is_looked_at() {
        for (right, wrong) in [
            ("retail", "\"a b\""),
            ("localhost:9092", "localhost:x"),
            ("./lake", "ftp://lake"),
        ] {
            let text = SHOP.replace(right, wrong);
            assert_ne!(text, SHOP);
            assert_eq!(checked(&text), "Config", "{wrong}");
        }
    }
}
