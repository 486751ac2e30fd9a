//! The settings of one table or glob, and what it inherits from its source's `defaults`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::block::{Block, Report};
use super::on_value;
use crate::config::pattern::{self, is_glob};
use crate::config::{
    ColumnChoice, DatabaseKind, Digits, Schedule, TableSettings, condition, defaults, units, words,
};
use crate::error::Code;
use crate::model::{Mode, OnValue, PartitionBy, TopicName, Transform};

/// What the four modes need, to choose one by.
const MODES_EXPLAINED: &str = "bulk (the whole table by a schedule), incrementing (a growing id), timestamp (a time of last change), timestamp+incrementing (both)";

/// The `defaults:` of a source.
#[derive(Default)]
pub(super) struct Inherited {
    mode: Option<Mode>,
    every: Option<Duration>,
    lookback: Option<Duration>,
    timestamp: Option<String>,
    incrementing: Option<String>,
    null_partition: Option<String>,
    drop: Vec<String>,
    on_value: OnValue,
}

impl Inherited {
    pub fn read(block: Option<&Block<'_>>, report: &mut Report) -> Self {
        let Some(block) = block else {
            return Inherited::default();
        };
        Inherited {
            mode: report.parsed(block.value("mode"), mode),
            every: report.parsed(block.value("every"), units::duration),
            lookback: report.parsed(block.value("lookback"), units::duration),
            timestamp: report.parsed(block.value("timestamp"), units::some_text),
            incrementing: report.parsed(block.value("incrementing"), units::some_text),
            null_partition: report.parsed(block.value("null_partition"), units::some_text),
            drop: columns("drop", block, report),
            on_value: on_value::of_defaults(block, report),
        }
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    units::choice(text, words::MODES)
}

/// `None` where the mode is missing or wrong, which is reported.
pub(super) fn table(
    pattern: &str,
    block: &Block<'_>,
    kind: Option<DatabaseKind>,
    inherited: &Inherited,
    report: &mut Report,
) -> Option<TableSettings> {
    if let Err(why) = pattern::checked(pattern) {
        report.problem(
            Code::WRONG_PATTERN,
            block.place,
            format!("`{}`: {why}", block.path),
        );
    }
    let written = report.parsed(block.value("mode"), mode);
    if block.lacks("mode") && inherited.mode.is_none() {
        let text = format!(
            "`{}` has no `mode`; there are {MODES_EXPLAINED}",
            block.path
        );
        report.problem(Code::KEY_MISSING, block.place, text);
    }
    // Without a mode the other values can still be checked, but not whether they fit it.
    let mode = match block.value("mode") {
        Some(_) => written,
        None => inherited.mode,
    };
    if let Some(mode) = mode {
        check_fit(block, mode, report);
    }
    let every = report.parsed(block.value("every"), units::duration);
    let schedule = report.parsed_openly(block.value("schedule"), "schedule", |text| {
        let shown = if text.is_empty() {
            "the value".to_owned()
        } else {
            format!("`{text}`")
        };
        Schedule::parse(text).map_err(|why| format!("{shown} {why}"))
    });
    let topic = report.parsed_openly(block.value("topic"), "topic name", |text| {
        TopicName::new(text).map(|_| text.to_owned())
    });
    let lookback = report.parsed(block.value("lookback"), units::duration);
    let timestamp = report.parsed(block.value("timestamp"), units::some_text);
    let incrementing = report.parsed(block.value("incrementing"), units::some_text);
    let allow_unsafe = report.parsed(block.value("allow_unsafe"), units::boolean);
    let partition_by = partition_by(block, report);
    let null_partition = null_partition(block, &partition_by, inherited, report);
    let on_value = on_value::of_table(block, inherited.on_value, report);
    let exclude = exclude(pattern, block, report);
    let decimal = decimal(block, report);
    let columns = column_choice(block, inherited, report);
    let filter = report.parsed(block.value("where"), |text| {
        condition::checked(text, kind).map(str::to_owned)
    });
    let mode = mode?;
    let in_mode = |fits: bool, own: Option<String>, theirs: &Option<String>| {
        if fits {
            own.or_else(|| theirs.clone())
        } else {
            None
        }
    };
    Some(TableSettings {
        pattern: pattern.to_owned(),
        exclude,
        columns,
        filter,
        mode,
        timestamp: in_mode(mode.has_versions(), timestamp, &inherited.timestamp),
        incrementing: in_mode(has_id(mode), incrementing, &inherited.incrementing),
        on_value,
        // A load costs a full read, so a bulk table never takes the pace of its neighbours.
        every: match mode {
            Mode::Bulk => every,
            _ => every.or(inherited.every).or(Some(defaults::EVERY)),
        },
        schedule,
        topic,
        partition_by,
        null_partition,
        decimal,
        allow_unsafe: allow_unsafe.unwrap_or(false),
        lookback: lookback
            .or(inherited.lookback)
            .unwrap_or(defaults::LOOKBACK),
    })
}

fn has_id(mode: Mode) -> bool {
    matches!(mode, Mode::Incrementing | Mode::TimestampIncrementing)
}

/// Keys that mean nothing in this mode are slips that would else go unnoticed.
fn check_fit(block: &Block<'_>, mode: Mode, report: &mut Report) {
    for key in block.shape.there() {
        let Some((_, instead)) = key.fits.filter(|(modes, _)| !modes.contains(&mode)) else {
            continue;
        };
        if let Some(value) = block.value(key.name) {
            let text = format!("`{}` does not fit mode `{mode}`: {instead}", value.path);
            report.problem(Code::KEYS_DO_NOT_FIT, value.place, text);
        }
    }
    let is_bulk = mode == Mode::Bulk;
    if let (true, Some(_), Some(schedule)) =
        (is_bulk, block.value("every"), block.value("schedule"))
    {
        let text = format!("`{}` has both `every` and `schedule`; keep one", block.path);
        report.problem(Code::KEYS_DO_NOT_FIT, schedule.place, text);
    }
}

fn exclude(pattern: &str, block: &Block<'_>, report: &mut Report) -> Vec<String> {
    let items = block.list("exclude");
    if let Some(first) = items.first().filter(|_| !is_glob(pattern)) {
        let text = format!(
            "`{}` is for globs, but `{pattern}` is one table",
            first.path
        );
        report.problem(Code::KEYS_DO_NOT_FIT, first.place, text);
    }
    items
        .into_iter()
        .filter_map(|item| report.parsed(Some(item), units::some_text))
        .collect()
}

fn decimal(block: &Block<'_>, report: &mut Report) -> BTreeMap<String, Digits> {
    let mut columns = BTreeMap::new();
    for (name, place, numbers) in block.lists("decimal") {
        let written: Vec<&str> = numbers.iter().map(|text| text.written.as_str()).collect();
        let numbers: Vec<String> = numbers.iter().map(|text| text.value()).collect();
        match Digits::parse(&numbers) {
            Ok(digits) => {
                columns.insert(name.to_owned(), digits);
            }
            Err(why) => {
                let found = written.join(", ");
                let text = format!("`{}.decimal.{name}`: `[{found}]` {why}", block.path);
                report.problem(Code::WRONG_DIGITS, place, text);
            }
        }
    }
    columns
}

/// The names or globs in a list below `columns`.
fn columns(key: &str, block: &Block<'_>, report: &mut Report) -> Vec<String> {
    let Some(block) = block.block("columns") else {
        return Vec::new();
    };
    let items = block.list(key).into_iter();
    items
        .filter_map(|item| report.parsed(Some(item), units::some_text))
        .collect()
}

fn column_choice(block: &Block<'_>, inherited: &Inherited, report: &mut Report) -> ColumnChoice {
    let (keep, drop) = (
        columns("keep", block, report),
        columns("drop", block, report),
    );
    if let (true, true, Some(both)) = (!keep.is_empty(), !drop.is_empty(), block.block("columns")) {
        let text = format!(
            "`{}` has both `keep` and `drop`; keep one: what is not kept is left out",
            both.path
        );
        report.problem(Code::KEYS_DO_NOT_FIT, both.place, text);
    }
    ColumnChoice {
        // What a table keeps by name is its own decision.
        drop_if_there: match keep.is_empty() {
            true => inherited.drop.clone(),
            false => Vec::new(),
        },
        keep,
        drop,
    }
}

fn partition_by(block: &Block<'_>, report: &mut Report) -> Vec<PartitionBy> {
    let mut levels: Vec<PartitionBy> = Vec::new();
    for (name, place, value) in block.pairs("partition_by") {
        let path = value.path.clone();
        let parsed = report.parsed_openly(Some(value), "partition function", Transform::parse);
        let Some(transform) = parsed else { continue };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let why = if name.is_empty() || !name.chars().all(plain) {
            "a directory's name may hold letters, digits and `_` only"
        } else if name.eq_ignore_ascii_case("snapshot") {
            "`snapshot=…` is where bulk loads stand; take another name"
        } else if name.eq_ignore_ascii_case(transform.column()) {
            "a directory may not be named like a column, which stays in the file; take another name, e.g. `dt`"
        } else if levels
            .iter()
            .any(|level| level.name.eq_ignore_ascii_case(name))
        {
            "another level has this name, letter case aside"
        } else {
            levels.push(PartitionBy {
                name: name.to_owned(),
                transform,
            });
            continue;
        };
        report.problem(Code::WRONG_PARTITION, place, format!("`{path}`: {why}"));
    }
    levels
}

fn null_partition(
    block: &Block<'_>,
    levels: &[PartitionBy],
    inherited: &Inherited,
    report: &mut Report,
) -> Option<String> {
    let takes_it = |level: &PartitionBy| {
        matches!(
            level.transform,
            Transform::Column(_) | Transform::Bucket(..)
        )
    };
    let takes_it = levels.iter().any(takes_it);
    let value = block.value("null_partition");
    let levels_are_sound = block.pairs("partition_by").len() == levels.len();
    if let Some(value) = value.as_ref().filter(|_| !takes_it && levels_are_sound) {
        let text = format!(
            "`{}` stands for NULL in a plain column or a bucket, and `partition_by` has none",
            value.path
        );
        report.problem(Code::KEYS_DO_NOT_FIT, value.place, text);
    }
    let own = report.parsed(value, units::some_text);
    own.or_else(|| inherited.null_partition.clone().filter(|_| takes_it))
}
