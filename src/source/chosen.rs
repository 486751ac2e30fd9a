//! Which tables the configuration means, which topic each one gets, and which columns drive its cursor.

use std::collections::BTreeMap;

use super::query::is_keyset_column;
use super::{Described, Dialect, Listed, RelationKind, Source};
use crate::config::{SourceSettings, TableSettings, from_like, nearest};
use crate::error::{Error, Kind, Result};
use crate::model::{Column, ColumnType, Mode, TableName, TopicName};

/// A table that is to be read.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub name: TableName,
    pub settings: TableSettings,
    pub topic: TopicName,
}

/// Columns that a hint names at the most.
const MOST_SHOWN: usize = 3;

/// What the topic of a table's rejected rows has after the table's own topic.
const REJECTED: &str = ".rejected";

impl Chosen {
    /// The topic of the table's rejected rows, if its settings reject any.
    pub fn rejected_topic(&self) -> Option<TopicName> {
        // Its length was looked at when the table was chosen.
        self.name_of_rejected_topic()
            .filter(|_| self.settings.on_value.rejects())
    }

    /// What that topic is called, or was while the settings rejected rows; `None` where no topic can be.
    pub fn name_of_rejected_topic(&self) -> Option<TopicName> {
        TopicName::new(format!("{}{REJECTED}", self.topic)).ok()
    }
}

/// What a source's settings mean, and what is wrong with them table by table.
#[derive(Debug, Default)]
pub struct Choice {
    pub tables: Vec<Chosen>,
    /// Each about one table or pattern; none of them keeps another table from running.
    pub problems: Vec<Error>,
    /// Blocks that count for nothing, because an earlier one means their table: nothing stops for them.
    pub doubles: Vec<Error>,
}

/// Asks the database what it holds and chooses from it. Fails only where the database does not answer.
pub async fn choose(
    settings: &SourceSettings,
    source: &dyn Source,
    topic_prefix: &str,
) -> Result<Choice> {
    Ok(choose_from(settings, &source.list().await?, topic_prefix))
}

/// Chooses among the listed relations: an exact name wins over globs, an earlier glob over a later one.
pub fn choose_from(settings: &SourceSettings, listed: &[Listed], topic_prefix: &str) -> Choice {
    let topic_prefix = settings.topics_begin_with(topic_prefix);
    let mut choice = Choice::default();
    // Each with the pattern that took it.
    let mut taken: BTreeMap<&TableName, &str> = BTreeMap::new();
    let (globs, exact): (Vec<_>, Vec<_>) =
        settings.tables.iter().partition(|table| table.is_glob());
    for table in exact {
        match listed.iter().find(|relation| table.means(&relation.name)) {
            None => choice.problems.push(not_found(settings, table, listed)),
            Some(relation) if relation.kind == RelationKind::Sequence => {
                choice.problems.push(
                    Error::new(
                        Kind::Config,
                        "it is a sequence, which has no rows of its own",
                    )
                    .about(&relation.name)
                    .hint("leave it out"),
                );
            }
            Some(relation)
                if relation.kind != RelationKind::Table
                    && table.mode != Mode::Bulk
                    && !table.allow_unsafe =>
            {
                choice.problems.push(not_by_cursor(relation, table.mode));
            }
            Some(relation) => match taken.get(&relation.name) {
                Some(earlier) => choice.doubles.push(named_twice(settings, table, earlier)),
                None => {
                    taken.insert(&relation.name, &table.pattern);
                    choice.take(&relation.name, table, topic_prefix);
                }
            },
        }
    }
    for table in globs {
        let mut matched: Vec<_> = listed
            .iter()
            .filter(|relation| {
                relation.kind == RelationKind::Table
                    && relation.is_readable
                    && !taken.contains_key(&relation.name)
            })
            .filter(|relation| {
                settings.globs_may_mean(&relation.name) && table.means(&relation.name)
            })
            .collect();
        matched.sort_by(|a, b| a.name.cmp(&b.name));
        if let (Some(topic), true) = (&table.topic, matched.len() > 1) {
            choice.problems.push(
                Error::new(
                    Kind::Config,
                    format!("`topic: {topic}` stands on a pattern that matches {} tables", matched.len()),
                )
                .about(format!("{}.{}", settings.name, table.pattern))
                .hint("one topic carries one table: take `topic:` away, or name the tables one by one"),
            );
            continue;
        }
        for relation in matched {
            taken.insert(&relation.name, &table.pattern);
            choice.take(&relation.name, table, topic_prefix);
        }
    }
    choice
}

/// Two blocks mean one table: once with its schema, once without.
fn named_twice(source: &SourceSettings, table: &TableSettings, earlier: &str) -> Error {
    let pattern = &table.pattern;
    let text =
        format!("`{pattern}` and `{earlier}` are one table, and the block `{earlier}` counts");
    Error::new(Kind::Config, text)
        .about(format!("{}.{pattern}", source.name))
        .hint(format!(
            "take the block `{pattern}` away, or `{earlier}` if the other one is meant"
        ))
}

impl Choice {
    fn take(&mut self, name: &TableName, settings: &TableSettings, topic_prefix: &str) {
        match topic(name, settings, topic_prefix) {
            Ok(topic) => self.tables.push(Chosen {
                name: name.clone(),
                settings: settings.clone(),
                topic,
            }),
            Err(problem) => self.problems.push(problem),
        }
    }
}

fn topic(name: &TableName, settings: &TableSettings, prefix: &str) -> Result<TopicName> {
    let escaped = name.escaped();
    let wanted = settings
        .topic
        .clone()
        .unwrap_or_else(|| format!("{prefix}{escaped}"));
    // The longest name that is made of it decides.
    let more = match settings.on_value.rejects() {
        true => REJECTED,
        false => "",
    };
    let longest = TopicName::new(format!("{wanted}{more}"));
    longest
        .and_then(|_| TopicName::new(&wanted))
        .map_err(|why| {
            // Escapes are ASCII, so that a cut falls between characters.
            let room = TopicName::LONGEST
                .saturating_sub(prefix.len() + more.len())
                .min(escaped.len());
            let shorter = escaped.get(..room).unwrap_or_default();
            Error::new(
                Kind::Config,
                format!("`{wanted}{more}` cannot be its topic: {why}"),
            )
            .about(name)
            .hint(format!(
                "write a name of its own below the table, e.g. `topic: {prefix}{shorter}`"
            ))
        })
}

/// Topics that two tables would share, over all sources, those of rejected rows among them: the broker takes
/// names that differ only in `.` and `_` for the same. Give it all chosen tables; it answers at most one problem
/// for each table.
pub fn collisions(chosen: &[Chosen], topic_prefix: &str) -> Vec<(TableName, Error)> {
    let mut owners: BTreeMap<String, (&Chosen, TopicName)> = BTreeMap::new();
    let mut problems: Vec<(TableName, Error)> = Vec::new();
    // The tables' own topics first, so that a rejected topic never pushes one of them aside.
    let own = chosen
        .iter()
        .map(|table| (table, table.topic.clone(), "its"));
    let rejected = chosen
        .iter()
        .filter_map(|table| Some((table, table.rejected_topic()?, "its rejected")));
    for (table, topic, whose) in own.chain(rejected) {
        let folded = topic.as_str().replace('.', "_");
        let Some((owner, taken)) = owners.get(&folded) else {
            owners.insert(folded, (table, topic));
            continue;
        };
        if problems.iter().any(|(name, _)| *name == table.name) {
            continue;
        }
        let fact = match *taken == topic {
            true => format!(
                "{whose} topic `{topic}` is already that of `{}`",
                owner.name
            ),
            false => format!(
                "{whose} topic `{topic}` differs from `{taken}` of `{}` only in `.` and `_`, which the broker refuses",
                owner.name
            ),
        };
        let source = &table.name.source;
        let own = format!("{topic_prefix}{source}.");
        let topic = format!("topic: {own}{}", table.name.escaped());
        // A table that a glob means has no lines of its own.
        let next = match (table.settings.is_glob(), *source == owner.name.source) {
            (true, false) => format!("write `topic_prefix: {own}` below source `{source}`"),
            (true, true) => format!("name this table by itself, with `{topic}` below it"),
            (false, _) => format!("write `{topic}` below this table"),
        };
        let problem = Error::new(Kind::Config, fact).about(&table.name).hint(next);
        problems.push((table.name.clone(), problem));
    }
    problems
}

fn not_by_cursor(relation: &Listed, mode: Mode) -> Error {
    let below = match relation.kind {
        RelationKind::ForeignTable => "follow the table on its own server",
        _ => "name the table below it",
    };
    let what = relation.kind.in_words();
    Error::new(
        Kind::Config,
        format!(
            "{what} is not read in mode `{mode}`: rows may come to it behind the cursor without a trace"
        ),
    )
    .about(&relation.name)
    .hint(format!(
        "write `mode: bulk`, or {below}, or accept it with `allow_unsafe: true`"
    ))
}

fn not_found(settings: &SourceSettings, table: &TableSettings, listed: &[Listed]) -> Error {
    let error = Error::new(
        Kind::Config,
        "there is no such table, or the role cannot see it",
    )
    .code(crate::error::Code::NO_SUCH_TABLE)
    .about(format!("{}.{}", settings.name, table.pattern));
    let near = listed.iter().find(|relation| {
        let (short, name) = (relation.name.short(), &relation.name.name);
        short.eq_ignore_ascii_case(&table.pattern) || name.eq_ignore_ascii_case(&table.pattern)
    });
    // A slip of the hand in a name, or in both parts of it.
    let shorts: Vec<String> = listed
        .iter()
        .map(|relation| relation.name.short())
        .collect();
    let slip = || nearest(&table.pattern, shorts.iter().map(String::as_str)).map(str::to_owned);
    if let (None, Some(glob)) = (near, from_like(&table.pattern)) {
        return error.hint(format!(
            "did you mean `{glob}`? `*` stands for any characters"
        ));
    }
    match near.map(|near| near.name.short()).or_else(slip) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!(
            "check its name and schema, and that the role of `{}` may read it",
            settings.name
        )),
    }
}

/// The columns that drive a table's cursor, as indexes into its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorColumns {
    pub timestamp: Option<usize>,
    pub incrementing: Option<usize>,
    /// What orders rows of one instant, uniquely; empty for a table without a key.
    pub tie_break: Vec<usize>,
}

/// Finds the cursor columns `settings` name or mean; an error lists the candidates.
pub fn resolve_columns(
    dialect: Dialect,
    table: &Described,
    settings: &TableSettings,
) -> Result<CursorColumns> {
    let mut columns = CursorColumns::default();
    if settings.mode.has_versions() {
        let is_timestamp = |c: &Column| matches!(c.column_type, ColumnType::Timestamp { .. });
        let (key, given, found) = (
            "timestamp",
            &settings.timestamp,
            &table.timestamp_candidates,
        );
        columns.timestamp = Some(resolve(table, key, given.as_deref(), found, is_timestamp)?);
    }
    if matches!(
        settings.mode,
        Mode::Incrementing | Mode::TimestampIncrementing
    ) {
        let (key, given, found) = (
            "incrementing",
            &settings.incrementing,
            &table.incrementing_candidates,
        );
        columns.incrementing = Some(resolve(
            table,
            key,
            given.as_deref(),
            found,
            is_whole_number,
        )?);
    }
    columns.tie_break = tie_break(dialect, table, settings.mode, columns.incrementing);
    Ok(columns)
}

fn is_whole_number(column: &Column) -> bool {
    use ColumnType::*;
    matches!(
        column.column_type,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Decimal { scale: 0, .. }
    )
}

fn resolve(
    table: &Described,
    key: &str,
    given: Option<&str>,
    candidates: &[String],
    fits: impl Fn(&Column) -> bool,
) -> Result<usize> {
    let listed = || {
        candidates
            .iter()
            .map(|c| format!("`{c}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let fitting = || {
        let columns = table.schema.columns.iter();
        let names = columns
            .filter(|column| fits(column))
            .map(|c| c.name.as_str());
        names.take(MOST_SHOWN).collect::<Vec<_>>()
    };
    let error = |fact: String| {
        let hint = match candidates {
            [] => no_candidate(table, key, &fitting()),
            [one] => format!("write `{key}: {one}`"),
            [first, ..] => format!("write one of {}, e.g. `{key}: {first}`", listed()),
        };
        Error::new(Kind::Config, fact)
            .code(crate::error::Code::CURSOR_COLUMN)
            .about(&table.name)
            .hint(hint)
    };
    let name = match (given, candidates) {
        (Some(given), _) => given,
        (None, [only]) => only,
        (None, []) => return Err(error(format!("no column was found for `{key}`"))),
        (None, _) => {
            return Err(error(format!(
                "`{key}` is not stated, and several columns could be meant: {}",
                listed()
            )));
        }
    };
    let index = table
        .schema
        .position(name)
        .ok_or_else(|| error(format!("there is no column `{name}`")))?;
    match table.schema.columns.get(index) {
        Some(column) if fits(column) => Ok(index),
        Some(column) => Err(error(format!(
            "column `{name}` has type `{}`, which cannot be `{key}`",
            column.source_type
        ))),
        None => Err(error(format!("there is no column `{name}`"))),
    }
}

/// What to do where no column looks like what a key is for. `fitting` are of a type that can be it.
fn no_candidate(table: &Described, key: &str, fitting: &[&str]) -> String {
    let (other, others, does) = match key {
        "incrementing" => ("timestamp", &table.timestamp_candidates, "only ever grows"),
        _ => (
            "incrementing",
            &table.incrementing_candidates,
            "is set with each change",
        ),
    };
    match (fitting, others.first()) {
        ([first, ..], _) => format!(
            "no column looks like it; if one of `{}` {does}, write e.g. `{key}: {first}`, else `mode: bulk`",
            fitting.join("`, `")
        ),
        ([], Some(column)) => format!(
            "no column of it can be; write `mode: {other}` with `{other}: {column}`, or `mode: bulk`"
        ),
        ([], None) => "no column of it can be; write `mode: bulk`".to_owned(),
    }
}

/// The id first, where rows of one instant are ordered by it, then what is missing to the primary key. A
/// stated id is taken for unique where there is no primary key: the mode is for strictly growing ids.
fn tie_break(
    dialect: Dialect,
    table: &Described,
    mode: Mode,
    incrementing: Option<usize>,
) -> Vec<usize> {
    if mode == Mode::Bulk {
        return Vec::new();
    }
    let columns = &table.schema.columns;
    let never_null = |i: &usize| columns.get(*i).is_some_and(|column| !column.nullable);
    let id = incrementing
        .filter(|_| mode == Mode::TimestampIncrementing)
        .filter(never_null);
    let rest = table.schema.key.iter().copied().filter(|i| Some(*i) != id);
    let order: Vec<usize> = id.into_iter().chain(rest).collect();
    let exact = |i: &usize| {
        columns
            .get(*i)
            .is_some_and(|column| is_keyset_column(dialect, column))
    };
    if order.iter().all(exact) {
        order
    } else {
        Vec::new()
    }
}

#[cfg(test)]
#[path = "chosen_tests.rs"]
mod tests;
