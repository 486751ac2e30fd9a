//! `cdc discover`: what databases hold, and what is proposed for each table.

use std::collections::BTreeMap;

use clap::Args;

use super::aligned::aligned;
use super::ending::ExitCode;
use super::named::{databases, is_database};
use super::output::{self, Output};
use super::screen::harmless;
use super::{Common, Format, as_json};
use crate::error::{Error, Kind, Result};
use crate::inspect::{
    CursorColumn, Discovered, DiscoveredSource, DiscoveredTable, Verdict, bytes, discover, number,
};
use crate::model::GuardClass;

const ABOUT: &str = "Lists tables: rows, size, key, what could drive a cursor, the guard, and a mode with the reason";
const MORE: &str = "\
Reads the catalogs alone: no table is touched, however many there are. Rows are the database's own
estimate. Without a URL the databases of the configuration are asked.

Examples: cdc discover postgres://cdc@localhost/shop
          cdc discover \"$EC_URL\" \"$POS_URL\" 'order*'
          cdc discover -o json | jq '.sources[].tables[] | {table, mode, why}'";

/// `cdc discover`.
#[derive(Debug, Args)]
#[command(about = ABOUT, long_about = None, after_help = MORE)]
pub struct Discover {
    /// Databases (`URL`, `NAME=URL`, `'${env:EC_URL}'`), then tables or globs (`orders`, `shop.*`) [default: all]
    #[arg(value_name = "URL|TABLE")]
    words: Vec<String>,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Discover {
    pub(super) async fn run(&self, common: &Common, output: Output) -> Result<ExitCode> {
        let (urls, names): (Vec<String>, Vec<String>) = self
            .words
            .iter()
            .cloned()
            .partition(|word| is_database(word));
        let sources = match urls.is_empty() {
            true => super::settings(common)?.sources,
            false => databases(&urls)?
                .into_iter()
                .map(|named| named.settings)
                .collect(),
        };
        let (mut found, errors) = discover(&sources).await;
        for source in &mut found.sources {
            let asked_for = source.asked_for(&names);
            source
                .tables
                .retain(|table| asked_for.contains(&table.name));
        }
        let is_empty = found.sources.iter().all(|source| source.tables.is_empty());
        match self.output {
            Format::Json => output.line(&as_json(&found)?),
            Format::Text if is_empty => {}
            Format::Text => in_text(&found).iter().for_each(|line| output.line(line)),
        }
        let code = errors.first().map(|error| error.kind().exit_code());
        for error in &errors {
            output::fail(error);
        }
        if let Some(code) = code {
            return Ok(ExitCode::from(code));
        }
        if is_empty && !names.is_empty() {
            let what = format!("no table is called `{}`", names.join("`, `"));
            return Err(
                Error::new(Kind::No, what).hint("`cdc discover` without a name lists all tables")
            );
        }
        if is_empty {
            output::note("there are no tables, or the role cannot see them: docs/grants.md");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_text(found: &Discovered) -> Vec<String> {
    let header = [
        "TABLE", "ROWS", "SIZE", "KEY", "CURSORS", "GUARD", "MODE", "WHY",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(
        found
            .sources
            .iter()
            .flat_map(|source| source.tables.iter().map(row)),
    );
    // Names come from the databases as they are there.
    for cell in rows.iter_mut().flatten() {
        *cell = harmless(cell).into_owned();
    }
    let mut lines = aligned(&rows);
    for source in &found.sources {
        lines.extend(guards(source));
    }
    lines
}

fn row(table: &DiscoveredTable) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let key = (!table.key.is_empty()).then(|| table.key.join(", "));
    let cursors: Vec<String> = table.cursors.iter().map(cursor).collect();
    let cursors = (!cursors.is_empty()).then(|| cursors.join(", "));
    let (guard, mode, why) = match &table.verdict {
        Verdict::Read(proposal) => (
            proposal.guard.as_ref().map(|guard| class(guard).to_owned()),
            proposal.mode.to_string(),
            proposal.why.clone(),
        ),
        Verdict::Leave { why, next } => {
            let next = next.as_ref().map(|next| format!(": {next}"));
            (
                None,
                "-".to_owned(),
                format!("{why}{}", next.unwrap_or_default()),
            )
        }
    };
    vec![
        table.table.clone(),
        or_none(table.estimated_rows.map(number)),
        or_none(table.bytes.map(bytes)),
        or_none(key),
        or_none(cursors),
        or_none(guard),
        mode,
        why,
    ]
}

/// A column with what is missing to it.
fn cursor(column: &CursorColumn) -> String {
    let mut missing = Vec::new();
    if !column.indexed {
        missing.push("no index");
    }
    if column.nullable {
        missing.push("NULL");
    }
    match missing.is_empty() {
        true => column.column.clone(),
        false => format!("{} ({})", column.column, missing.join(", ")),
    }
}

fn class(guard: &GuardClass) -> &'static str {
    match guard {
        GuardClass::Proven => "proven",
        GuardClass::Assumed(_) => "assumed",
        GuardClass::Unsafe(_) => "unsafe",
    }
}

/// What the guards of a source assume, each reason once.
fn guards(source: &DiscoveredSource) -> Vec<String> {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for table in &source.tables {
        if let Verdict::Read(proposal) = &table.verdict
            && let Some(GuardClass::Assumed(why)) = &proposal.guard
        {
            *reasons.entry(why).or_default() += 1;
        }
    }
    let line = |(why, tables): (&str, u64)| {
        let tables = match tables {
            1 => "1 table".to_owned(),
            tables => format!("{} tables", number(tables)),
        };
        format!("{}: guard assumed for {tables}: {why}", source.source)
    };
    let mut lines: Vec<String> = reasons.into_iter().map(line).collect();
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}
