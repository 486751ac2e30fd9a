//! From the tree to the [`Settings`]: every value checked and typed, every problem reported at once.

use super::file::FILE;
use super::problem::{Place, Problem, lines};
use super::tree::Node;
use super::{Settings, defaults, hash, units};

mod block;
mod kafka;
mod lake;
mod on_value;
mod source;
mod table;

use block::{Block, Report};

/// The least memory in which a batch, its encoding and an open file find room.
pub(super) const LEAST_MEMORY_BYTES: u64 = 16 * 1024 * 1024;

/// The settings `root` means, with `problems` and warnings of its own. `None` where any problem is known.
pub(super) fn resolve(
    root: &Node,
    file_name: &str,
    problems: &mut Vec<Problem>,
) -> Option<Settings> {
    let mut report = Report::default();
    let block = Block::new(root, &FILE, String::new(), Place::START);
    let settings = settings(&block, &mut report);
    problems.append(&mut report.problems);
    let mut settings = settings.filter(|_| problems.is_empty())?;
    settings.warnings = lines(file_name, report.warnings);
    settings.hash = hash::of(&settings);
    Some(settings)
}

fn settings(file: &Block<'_>, report: &mut Report) -> Option<Settings> {
    report.parsed(file.value("version"), |text| match text {
        "1" => Ok(()),
        _ => Err("is no version this `cdc` knows; it knows 1".to_owned()),
    });
    let pipeline = report.parsed(file.value("pipeline"), units::name);
    let worker = report.parsed(file.value("worker"), units::name);
    let memory = report.parsed(file.value("memory"), |text| {
        units::size_of_at_least(text, LEAST_MEMORY_BYTES, "16MiB")
    });
    let kafka = file
        .block("kafka")
        .map(|block| kafka::kafka(&block, report));
    if file.lacks("lake") {
        report.problem(
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
