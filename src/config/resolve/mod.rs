//! From the tree to the [`Settings`]: every value checked and typed, every problem reported at once.

use super::keys::FILE;
use super::problem::{Place, Problem, lines};
use super::tree::Node;
use super::{Settings, defaults, hash, units};
use crate::error::Code;

mod block;
mod kafka;
mod lake;
mod on_value;
mod source;
mod table;

use block::{Block, Report};

/// The settings `root` means, as far as they can be understood, with `problems` and warnings of its own. Where any
/// problem is known they are not to be worked by.
pub(super) fn resolve(
    root: &Node,
    file_name: &str,
    problems: &mut Vec<Problem>,
) -> Option<Settings> {
    let mut report = Report::default();
    let block = Block::new(root, &FILE, String::new(), Place::START);
    let settings = settings(&block, &mut report);
    problems.append(&mut report.problems);
    let mut settings = settings?;
    settings.warnings = lines(file_name, report.warnings);
    settings.hash = hash::of(&settings);
    Some(settings)
}

fn settings(file: &Block<'_>, report: &mut Report) -> Option<Settings> {
    report.parsed(file.value("version"), |text| match text {
        defaults::VERSION => Ok(()),
        _ => Err("is no version this `cdc` knows; it knows 1".to_owned()),
    });
    let pipeline = report.parsed(file.value("pipeline"), units::name);
    let worker = report.parsed(file.value("worker"), units::name);
    let memory = report.parsed(file.value("memory"), |text| {
        units::size_of_at_least(text, defaults::LEAST_MEMORY)
    });
    let kafka = file
        .block("kafka")
        .map(|block| kafka::kafka(&block, report));
    if file.lacks("lake") {
        report.problem(
            Code::KEY_MISSING,
            Place::START,
            "`lake` is missing; write e.g. `lake: { url: \"s3://bucket/prefix\" }` or `lake: { url: ./lake }`",
        );
    }
    let lake = file.block("lake").map(|block| lake::lake(&block, report));
    let sources = source::sources(file, report);
    Some(Settings {
        pipeline: pipeline.unwrap_or_else(|| defaults::PIPELINE.to_owned()),
        worker,
        kafka: kafka.flatten(),
        sources,
        lake: lake??,
        memory: memory.unwrap_or(defaults::MEMORY_BYTES),
        hash: String::new(),
        warnings: Vec::new(),
    })
}
