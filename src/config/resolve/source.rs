//! The `sources:` block.

use std::collections::BTreeMap;

use super::block::{Block, Report, Value};
use super::table::{self, Inherited};
use crate::config::pattern::{covers, is_glob};
use crate::config::problem::Place;
use crate::config::reference::{Piece, Text};
use crate::config::shape::shown;
use crate::config::{DatabaseUrl, SourceSettings, defaults, units};
use crate::error::Code;

/// The sources that can be resolved; what cannot is reported.
pub(super) fn sources(file: &Block<'_>, report: &mut Report) -> Vec<SourceSettings> {
    let sources = file.named("sources");
    if file.lacks("sources") || (sources.is_empty() && file.is_empty_at("sources")) {
        let text = "`sources` names no database; write e.g. `sources: { shop: { url: \"${env:SHOP_URL}\", tables: { … } } }`";
        report.problem(Code::KEY_MISSING, file.place_of("sources"), text);
    }
    topics_are_apart(&sources, report);
    sources
        .into_iter()
        .filter_map(|(name, block)| source(name, &block, report))
        .collect()
}

fn source(name: &str, block: &Block<'_>, report: &mut Report) -> Option<SourceSettings> {
    if let Err(why) = units::name(name) {
        let text = format!("`{}`: `{}` {why}", block.path, shown(name));
        report.problem(Code::WRONG_NAME, block.place, text);
    }
    if block.lacks("url") {
        let text = format!(
            "`{}` has no `url`; write e.g. `url: ${{env:SHOP_URL}}` (postgres://… or mariadb://…)",
            block.path
        );
        report.problem(Code::KEY_MISSING, block.place, text);
    }
    let url = url(block, report);
    let time_zone = report.parsed(block.value("time_zone"), units::time_zone);
    let connections = report.parsed(block.value("connections"), |text| {
        units::number(text, 1..=defaults::MOST_CONNECTIONS)
    });
    let inherited = Inherited::read(block.block("defaults").as_ref(), report);
    let prefix = block.value("topic_prefix");
    let topic_prefix = report.parsed_openly(prefix, "topic prefix", units::topic_prefix);
    let include = globs("include", block, report);
    let exclude = globs("exclude", block, report);
    let tables = block.named("tables");
    if block.lacks("tables") || (tables.is_empty() && block.is_empty_at("tables")) {
        let text = format!(
            "`{}` names no `tables`; write e.g. `tables: {{ orders: {{ mode: incrementing }} }}`",
            block.path
        );
        report.problem(Code::KEY_MISSING, block.place, text);
    }
    unreachable(&tables, &exclude, report);
    let kind = url.as_ref().map(|url| url.kind);
    let tables = tables
        .into_iter()
        .filter_map(|(pattern, block)| table::table(pattern, &block, kind, &inherited, report))
        .collect();
    Some(SourceSettings {
        name: name.to_owned(),
        url: url?,
        time_zone: time_zone.unwrap_or(jiff::tz::TimeZone::UTC),
        connections: connections
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(defaults::CONNECTIONS),
        topic_prefix,
        include,
        exclude,
        tables,
    })
}

/// Globs that can mean no table, because others before them or an `exclude` take all of theirs.
fn unreachable(tables: &[(&str, Block<'_>)], exclude: &[String], report: &mut Report) {
    let globs: Vec<_> = tables
        .iter()
        .filter(|(pattern, _)| is_glob(pattern))
        .collect();
    for (at, (pattern, block)) in globs.iter().enumerate() {
        let own: Vec<Value<'_>> = block.list("exclude");
        let excluded = own.iter().map(|value| value.text.written.as_str());
        let excluded = excluded.chain(exclude.iter().map(String::as_str));
        let mut excluded = excluded.filter(|glob| covers(glob, pattern));
        let earlier = globs
            .iter()
            .take(at)
            .find(|(earlier, block)| block.list("exclude").is_empty() && covers(earlier, pattern));
        let why = match (excluded.next(), earlier) {
            (Some(glob), _) => format!("`exclude` has `{glob}`, which takes all of its tables out"),
            (None, Some((earlier, block))) => format!(
                "`{earlier}` in line {} stands before it and means all of its tables; write it before that one",
                block.place.line
            ),
            (None, None) => continue,
        };
        let text = format!("`{}` can mean no table: {why}", block.path);
        report.problem(Code::WRONG_PATTERN, block.place, text);
    }
}

/// One topic carries one table.
fn topics_are_apart(sources: &[(&str, Block<'_>)], report: &mut Report) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let tables = sources.iter().flat_map(|(_, block)| block.named("tables"));
    for (_, table) in tables {
        let Some(value) = table.value("topic") else {
            continue;
        };
        if let Some(first) = seen.get(&value.text.value()) {
            let text = format!(
                "`{}`: {} is the topic of `{first}` already, and one topic carries one table",
                value.path,
                value.shown()
            );
            report.problem(Code::KEYS_DO_NOT_FIT, value.place, text);
            continue;
        }
        seen.insert(value.text.value(), table.path.clone());
    }
}

fn globs(key: &str, block: &Block<'_>, report: &mut Report) -> Vec<String> {
    let items = block.list(key).into_iter();
    items
        .filter_map(|item| report.parsed(Some(item), units::some_text))
        .collect()
}

/// The URL; any part of it may be the password, so that no message shows it.
fn url(block: &Block<'_>, report: &mut Report) -> Option<DatabaseUrl> {
    let value = block.value("url")?;
    let shown = match value.text.pieces.as_slice() {
        [Piece::Referenced(_)] => value.shown(),
        _ => "the value".to_owned(),
    };
    let parsed = DatabaseUrl::parse_written(value.text);
    let parsed = parsed.map_err(|why| format!("`{}`: {shown} {why}", value.path));
    let url = parsed
        .map_err(|text| report.problem(value.code, value.place, text))
        .ok()?;
    warn(&url, value.text, &value.path, value.place, report);
    Some(url)
}

fn warn(url: &DatabaseUrl, text: &Text, path: &str, place: Place, report: &mut Report) {
    let login = text
        .pieces
        .iter()
        .take(text.login_ends().unwrap_or(text.pieces.len()));
    let login_is_referenced = login
        .into_iter()
        .any(|piece| matches!(piece, Piece::Referenced(_)));
    if !url.password.is_empty() && !login_is_referenced {
        let text = format!(
            "`{path}` holds a password for everybody to read; write `\"${{env:NAME}}\"` or `\"${{file:/run/secrets/name}}\"` in its place"
        );
        report.warning(place, text);
    }
    if let Some(weakness) = url.weakness() {
        report.warning(place, format!("`{path}` asks for {weakness}"));
    }
}
