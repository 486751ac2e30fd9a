//! The `sources:` block.

use super::block::{Block, Report};
use super::table::{self, Inherited};
use crate::config::problem::Place;
use crate::config::reference::{Piece, Text};
use crate::config::{DatabaseUrl, SourceSettings, TlsMode, defaults, units};

/// More connections than this to one database are a slip of the hand.
const MOST_CONNECTIONS: i64 = 1_000;

/// The sources that can be resolved; what cannot is reported.
pub(super) fn sources(file: &Block<'_>, report: &mut Report) -> Vec<SourceSettings> {
    let sources = file.named("sources");
    if file.lacks("sources") || (sources.is_empty() && file.is_empty_at("sources")) {
        let text = "`sources` names no database; write e.g. `sources: { shop: { url: \"${env:SHOP_URL}\", tables: { … } } }`";
        report.problem(file.place_of("sources"), text);
    }
    sources
        .into_iter()
        .filter_map(|(name, block)| source(name, &block, report))
        .collect()
}

fn source(name: &str, block: &Block<'_>, report: &mut Report) -> Option<SourceSettings> {
    if let Err(why) = units::name(name) {
        report.problem(block.place, format!("`{}`: `{name}` {why}", block.path));
    }
    if block.lacks("url") {
        let text = format!(
            "`{}` has no `url`; write e.g. `url: ${{env:SHOP_URL}}` (postgres://… or mariadb://…)",
            block.path
        );
        report.problem(block.place, text);
    }
    let url = url(block, report);
    let time_zone = report.parsed(block.value("time_zone"), units::time_zone);
    let connections = report.parsed(block.value("connections"), |text| {
        units::number(text, 1..=MOST_CONNECTIONS)
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
        report.problem(block.place, text);
    }
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
        .map_err(|text| report.problem(value.place, text))
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
    let weakness = match url.tls {
        TlsMode::Disable if !url.is_local() => {
            "no encryption: password and rows can be read on the way"
        }
        TlsMode::RequireNoVerify => {
            "no check of the certificate: anybody may answer in the database's place"
        }
        TlsMode::VerifyCa => {
            "no check of the host's name: every server with a certificate of that authority may answer in the database's place"
        }
        _ => return,
    };
    report.warning(place, format!("`{path}` asks for {weakness}"));
}
