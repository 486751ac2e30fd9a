//! The first configuration of a pipeline: what is proposed for each table, and why, as a file for people. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::discover::{DiscoveredSource, DiscoveredTable};
use super::draft::Draft;
use super::proposal::{Proposal, Verdict};
use super::words::{bytes, counted, number};
use crate::config::pattern_means;
use crate::error::{Error, Kind, Result};
use crate::model::{GuardClass, Mode, TableName, TopicName};
use crate::source::{Changes, Dialect};

/// What the file is to say.
pub struct Wishes {
    pub pipeline: String,
    pub brokers: String,
    pub topic_prefix: String,
    pub lake: String,
    /// Of a store that is not AWS's.
    pub endpoint: Option<String>,
    pub sources: Vec<FirstSource>,
}

/// A database and which of its tables are meant.
pub struct FirstSource {
    /// The URL as it stands in the file: a reference.
    pub url: String,
    pub found: DiscoveredSource,
    /// `None`: all.
    pub chosen: Option<BTreeSet<TableName>>,
}

impl FirstSource {
    fn means(&self, table: &DiscoveredTable) -> bool {
        let chosen = self.chosen.as_ref();
        chosen.is_none_or(|chosen| chosen.contains(&table.name))
    }
}

/// The file, and what it holds.
pub struct FirstFile {
    pub text: String,
    /// Tables by mode.
    pub modes: BTreeMap<&'static str, usize>,
    /// Tables that stand there as a comment, with the reason.
    pub left: usize,
}

/// Writes the file. Refuses if no table can be read.
pub fn first_file(wishes: &Wishes) -> Result<FirstFile> {
    let mut file = FirstFile {
        text: String::new(),
        modes: BTreeMap::new(),
        left: 0,
    };
    let topics = topics(wishes);
    let mut draft = Draft::default();
    draft.comment(
        "Written by `cdc init` from what the catalogs of the databases say. It is yours to change.",
    );
    draft.comment("docs/configuration.md has every key, its default and the reason.");
    draft.gap();
    draft.value("pipeline", &wishes.pipeline);
    draft.gap();
    around(wishes, &mut draft);
    draft.open("sources");
    for source in &wishes.sources {
        self::source(source, &topics, &mut draft, &mut file)?;
    }
    file.text = draft.text();
    Ok(file)
}

fn around(wishes: &Wishes, draft: &mut Draft) {
    draft.open("kafka");
    draft.value("brokers", &wishes.brokers);
    draft.value("topic_prefix", &wishes.topic_prefix);
    draft.comment("If the brokers ask for a login:");
    draft.line_to_type("client: { security.protocol: sasl_ssl, sasl.mechanism: SCRAM-SHA-512, sasl.username: cdc, sasl.password: \"${env:KAFKA_PASSWORD}\" }");
    draft.close();
    draft.gap();
    draft.open("lake");
    draft.value("url", &wishes.lake);
    if let Some(endpoint) = &wishes.endpoint {
        draft.value("endpoint", endpoint);
    }
    draft.comment("A file is closed, and its rows are in the lake, once it is so old (or so large); sooner makes more files:");
    draft.line_to_type("files: { age: 1m }                 # 10m unless it is said");
    draft.comment("The days of `day(…)` are cut in UTC unless `day_in` names another zone:");
    draft.line_to_type("day_in: Asia/Seoul");
    draft.close();
    draft.gap();
}

fn source(
    source: &FirstSource,
    topics: &BTreeMap<TableName, String>,
    draft: &mut Draft,
    file: &mut FirstFile,
) -> Result<()> {
    let found = &source.found;
    let meant: Vec<&DiscoveredTable> = found.tables.iter().filter(|t| source.means(t)).collect();
    draft.open(&found.source);
    draft.comment(&found.url);
    draft.reference("url", &source.url);
    about_source(found, &meant, draft);
    draft.open("tables");
    let mut taken = 0;
    for table in &meant {
        let pattern = pattern(&table.name, &found.tables);
        match (&table.verdict, pattern) {
            (Verdict::Read(proposal), Some(pattern)) => {
                about_table(table, draft);
                self::table(&pattern, proposal, topics.get(&table.name), draft);
                *file.modes.entry(proposal.mode.as_str()).or_default() += 1;
                taken += 1;
            }
            (Verdict::Read(_), None) => {
                let why = "its name cannot be written so that it means this table alone: rename it, or read it by a view";
                left(table, why, None, draft);
                file.left += 1;
            }
            (Verdict::Leave { why, next }, _) => {
                left(table, why, next.as_deref(), draft);
                file.left += 1;
            }
        }
    }
    // Other databases of a MariaDB server are nobody's business here.
    let is_here = |table: &&DiscoveredTable| {
        found.dialect == Dialect::Postgres || table.name.in_default_schema
    };
    let others = found
        .tables
        .iter()
        .filter(is_here)
        .filter(|table| !source.means(table))
        .count();
    match others {
        0 => {}
        1 => draft.comment("1 further table was not asked for."),
        others => draft.comment(&format!(
            "{} further tables were not asked for.",
            number(others)
        )),
    }
    draft.close();
    draft.close();
    draft.gap();
    match taken {
        0 => Err(none_to_read(found, &meant)),
        _ => Ok(()),
    }
}

fn none_to_read(found: &DiscoveredSource, meant: &[&DiscoveredTable]) -> Error {
    let first = meant.iter().find_map(|table| match &table.verdict {
        Verdict::Leave { why, next } => Some((table, why, next)),
        Verdict::Read(_) => None,
    });
    match first {
        Some((table, why, next)) => {
            let error = Error::new(
                Kind::Permission,
                format!("no table can be read; of `{}`: {why}", table.name.short()),
            );
            error.about(&found.source).hint(
                next.clone()
                    .unwrap_or_else(|| "see docs/grants.md".to_owned()),
            )
        }
        None => Error::new(Kind::No, "there is no table that was asked for")
            .about(&found.source)
            .hint(
                "`cdc discover URL` lists what the role can see; docs/grants.md has what it needs",
            ),
    }
}

/// What holds for several tables of a source is said once.
fn about_source(found: &DiscoveredSource, meant: &[&DiscoveredTable], draft: &mut Draft) {
    if found.dialect == Dialect::MariaDb {
        draft.comment("MariaDB does not count changes: where no column tells when a row was changed, nobody but you knows whether rows are.");
    }
    let cursors = meant.iter().any(|table| {
        matches!(&table.verdict, Verdict::Read(proposal) if proposal.timestamp.is_some() || proposal.partition_by.is_some())
    });
    if cursors && meant.iter().any(|table| table.has_wall_clocks) {
        draft.comment("Some times have no zone; they are taken for UTC unless this says what the clocks showed:");
        draft.line_to_type("time_zone: Asia/Seoul");
    }
    let mut reasons: BTreeSet<&str> = BTreeSet::new();
    for table in meant {
        if let Verdict::Read(Proposal {
            guard: Some(GuardClass::Assumed(why)),
            ..
        }) = &table.verdict
        {
            reasons.insert(why);
        }
    }
    for reason in reasons {
        draft.comment(&format!(
            "guard `assumed`: no late row is missed as long as {reason}"
        ));
    }
}

fn about_table(table: &DiscoveredTable, draft: &mut Draft) {
    draft.gap();
    draft.comment(&facts(table));
    let Verdict::Read(proposal) = &table.verdict else {
        return;
    };
    draft.comment(&format!("{}: {}", proposal.mode, proposal.why));
    match &proposal.guard {
        Some(GuardClass::Proven) => draft.comment("guard: proven"),
        Some(GuardClass::Assumed(_)) => draft.comment("guard: assumed"),
        Some(GuardClass::Unsafe(why)) => draft.comment(&format!("guard: unsafe, {why}")),
        None => {}
    }
    for remark in &proposal.remarks {
        draft.comment(&remark.text);
        if let Some(next) = &remark.next {
            draft.line_to_type(next);
        }
    }
}

/// What the catalog says of a table, in a line.
fn facts(table: &DiscoveredTable) -> String {
    let mut facts = vec![match table.estimated_rows {
        Some(rows) => format!("about {}", counted(rows, "row", "rows")),
        None => "rows not counted yet".to_owned(),
    }];
    facts.extend(table.bytes.map(bytes));
    facts.push(match table.key.as_slice() {
        [] => "no primary key".to_owned(),
        key => format!("key {}", key.join(", ")),
    });
    if let Some(changes) = table
        .changes
        .filter(|changes| *changes != Changes::default())
    {
        facts.push(format!(
            "{} added, {} changed, {} deleted since statistics began",
            number(changes.inserted),
            number(changes.updated),
            number(changes.deleted)
        ));
    }
    format!("{}: {}", table.name.short(), facts.join("; "))
}

fn table(pattern: &str, proposal: &Proposal, topic: Option<&String>, draft: &mut Draft) {
    draft.open(pattern);
    draft.value("mode", proposal.mode.as_str());
    if let Some(column) = &proposal.timestamp {
        draft.value("timestamp", column);
    }
    if let Some(column) = &proposal.incrementing {
        draft.value("incrementing", column);
    }
    if let Some(schedule) = proposal.schedule {
        draft.value("schedule", schedule);
    }
    if let Some(topic) = topic {
        draft.value("topic", topic);
    }
    if let Some(level) = &proposal.partition_by {
        draft.pairs("partition_by", std::slice::from_ref(level));
    }
    if !proposal.drop.is_empty() {
        draft.open("columns");
        draft.list("drop", &proposal.drop);
        draft.close();
    }
    draft.close();
}

/// A table that cannot be read stands there as a comment, so that it is not forgotten.
fn left(table: &DiscoveredTable, why: &str, next: Option<&str>, draft: &mut Draft) {
    draft.gap();
    draft.comment(&format!("{}: left out: {why}", table.name.short()));
    if let Some(next) = next {
        draft.line_to_type(next);
    }
    draft.switch_off(true);
    draft.open(&table.name.short());
    draft.value("mode", Mode::Bulk.as_str());
    draft.close();
    draft.switch_off(false);
}

/// What the file calls a table so that it means this one and no other of its source.
fn pattern(name: &TableName, all: &[DiscoveredTable]) -> Option<String> {
    // The plain case needs no look at the others: there may be thousands.
    let is_plain = |part: &str| !part.is_empty() && !part.contains(['.', '*', '?']);
    if name.in_default_schema && is_plain(&name.name) {
        return Some(name.name.clone());
    }
    let full = format!("{}.{}", name.schema, name.name);
    let is_called =
        |table: &DiscoveredTable| table.name.in_default_schema && table.name.name == full;
    if is_plain(&name.schema) && is_plain(&name.name) && !all.iter().any(is_called) {
        return Some(full);
    }
    [name.short(), full].into_iter().find(|pattern| {
        let is_sound = !pattern.starts_with('.') && !pattern.ends_with('.');
        let means = |table: &&DiscoveredTable| pattern_means(pattern, &table.name);
        let mut meant = all.iter().filter(means);
        is_sound && meant.next().is_some_and(|table| table.name == *name) && meant.next().is_none()
    })
}

/// Topics of their own for tables whose topic another table has already, or that Kafka would not take. The broker
/// takes names that differ only in `.` and `_` for the same.
fn topics(wishes: &Wishes) -> BTreeMap<TableName, String> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut own = BTreeMap::new();
    let prefix = &wishes.topic_prefix;
    for source in &wishes.sources {
        let read = |table: &&DiscoveredTable| {
            source.means(table) && matches!(table.verdict, Verdict::Read(_))
        };
        for table in source.found.tables.iter().filter(read) {
            let escaped = table.name.escaped();
            let usual = format!("{prefix}{escaped}");
            if TopicName::new(usual.as_str()).is_ok() && taken.insert(usual.replace('.', "_")) {
                continue;
            }
            // Escapes are ASCII, so that a cut falls between characters.
            let with_source = format!("{prefix}{}.{escaped}", table.name.source);
            let room = TopicName::LONGEST - 8;
            let cut = with_source.get(..room).unwrap_or(&with_source);
            let mut number = 1_u64;
            let mut topic = cut.to_owned();
            while !taken.insert(topic.replace('.', "_")) {
                number += 1;
                topic = format!("{cut}-{number}");
            }
            own.insert(table.name.clone(), topic);
        }
    }
    own
}
