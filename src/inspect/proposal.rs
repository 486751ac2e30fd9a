//! How a table is best read, as far as its catalog tells, and why. Pure.
//!
//! `bulk` is always right and costs a full read; the other modes are proposed where something in the catalog speaks
//! for them. What nobody but a person can know is said as a remark.

use serde::Serialize;

use super::advice::{Advice, index_on};
use super::words::number;
use crate::model::{Column, ColumnType, GuardClass, Mode};
use crate::source::{Changes, Dialect, Outline, RelationKind};

/// A load of a smaller table costs next to nothing, and its rows say little about what is done to them.
const SMALL_ROWS: u64 = 10_000;
/// A nightly load of a larger table is worth avoiding, even by a guess; its days fill files.
const LARGE_ROWS: u64 = 1_000_000;

/// When a bulk table is loaded, in UTC: at night in Europe, before work in Asia.
const NIGHTLY: &str = "30 2 * * *";

/// Parts of names that people give to the time at which a row came to be, the most telling first.
const BIRTH_WORDS: [&str; 16] = [
    "order", "sold", "sale", "paid", "placed", "occur", "event", "happen", "creat", "insert",
    "register", "join", "record", "log", "sent", "received",
];
/// Parts of names of times that may change later, or that tell something else.
const LATER_WORDS: [&str; 12] = [
    "updat", "modif", "chang", "mtime", "delet", "expir", "birth", "ended", "finish", "valid",
    "due", "deliver",
];
/// Names a directory of days may have; none may be a column's.
const DAY_NAMES: [&str; 4] = ["dt", "day", "date_part", "cdc_day"];
/// The same of months.
const MONTH_NAMES: [&str; 4] = ["month", "dt_month", "month_part", "cdc_month"];

/// What is proposed for a table.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "proposal", rename_all = "snake_case")]
pub enum Verdict {
    Read(Proposal),
    /// It cannot be read as things are.
    Leave {
        why: String,
        next: Option<String>,
    },
}

/// How to read a table.
#[derive(Clone, Debug, Serialize)]
pub struct Proposal {
    pub mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incrementing: Option<String>,
    /// Of a bulk table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<&'static str>,
    /// A directory's name, and the function that gives its values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<(String, String)>,
    /// Columns the role may not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// What a guard would rest on; `None` for a bulk table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardClass>,
    pub why: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Advice>,
}

/// Looks at what is known of a table.
pub fn propose(dialect: Dialect, outline: &Outline) -> Verdict {
    if let Some((why, next)) = obstacle(outline) {
        return Verdict::Leave { why, next };
    }
    let view = View {
        outline,
        time: time_of_change(outline),
        id: id(outline),
        birth: time_of_birth(outline),
    };
    let (mode, why) = view.mode();
    let mut proposal = Proposal {
        mode,
        timestamp: view.time.filter(|_| mode.has_versions()).map(named),
        incrementing: match mode {
            Mode::Incrementing | Mode::TimestampIncrementing => view.id.map(named),
            Mode::Bulk | Mode::Timestamp => None,
        },
        schedule: (mode == Mode::Bulk).then_some(NIGHTLY),
        partition_by: view.partition(mode),
        drop: outline.described.withheld.columns.iter().cloned().collect(),
        guard: view.guard(mode),
        why,
        remarks: Vec::new(),
    };
    proposal.remarks = view.remarks(dialect, &proposal);
    Verdict::Read(proposal)
}

fn named(column: &Column) -> String {
    column.name.clone()
}

/// Why a table cannot be read at all, and what would change it.
fn obstacle(outline: &Outline) -> Option<(String, Option<String>)> {
    let described = &outline.described;
    let withheld = &described.withheld;
    let role = &withheld.role;
    if described.schema.columns.is_empty() {
        return Some(("it has no columns".to_owned(), None));
    }
    if !outline.is_readable {
        let why = format!("role `{role}` may not read it");
        return Some((why, Some(format!("{};", withheld.grant))));
    }
    if outline.hides_rows {
        let why = format!("row security hides rows from role `{role}`");
        return Some((why, Some(format!("ALTER ROLE \"{role}\" BYPASSRLS;"))));
    }
    let key = described.schema.key.iter();
    let mut key = key.filter_map(|i| described.schema.columns.get(*i));
    let hidden = key.find(|column| withheld.columns.contains(&column.name))?;
    let why = format!(
        "role `{role}` may not read `{}`, which is part of the primary key",
        hidden.name
    );
    Some((why, Some(format!("{};", withheld.grant))))
}

/// A table and the columns that matter.
struct View<'o> {
    outline: &'o Outline,
    /// The time of a row's last change.
    time: Option<&'o Column>,
    /// A growing number.
    id: Option<&'o Column>,
    /// The time at which a row came to be.
    birth: Option<&'o Column>,
}

fn column<'o>(outline: &'o Outline, name: &str) -> Option<&'o Column> {
    let described = &outline.described;
    let position = described.schema.position(name)?;
    let column = described.schema.columns.get(position)?;
    (!described.withheld.columns.contains(name)).then_some(column)
}

/// Of several, one that is never NULL before others, one the database keeps by itself, one with an index.
fn time_of_change(outline: &Outline) -> Option<&Column> {
    let described = &outline.described;
    let names = described.timestamp_candidates.iter();
    let mut found: Vec<&Column> = names.filter_map(|name| column(outline, name)).collect();
    found.sort_by_key(|column| {
        let keeps_itself = outline.updates_itself.contains(&column.name);
        let is_indexed = described.indexed.contains(&column.name);
        (column.nullable, !keeps_itself, !is_indexed)
    });
    found.first().copied()
}

fn id(outline: &Outline) -> Option<&Column> {
    let mut names = outline.described.incrementing_candidates.iter();
    names.find_map(|name| column(outline, name).filter(|column| !column.nullable))
}

fn time_of_birth(outline: &Outline) -> Option<&Column> {
    let is_time = |column: &&Column| {
        matches!(
            column.column_type,
            ColumnType::Timestamp { .. } | ColumnType::Date
        )
    };
    let described = &outline.described;
    let columns = described.schema.columns.iter().filter(is_time);
    let rank = |column: &Column| {
        let name = column.name.to_lowercase();
        if LATER_WORDS.iter().any(|word| name.contains(word)) {
            return None;
        }
        BIRTH_WORDS.iter().position(|word| name.contains(word))
    };
    let mut found: Vec<(bool, usize, &Column)> = columns
        .filter(|column| !outline.updates_itself.contains(&column.name))
        .filter(|column| !described.withheld.columns.contains(&column.name))
        .filter_map(|column| Some((column.nullable, rank(column)?, column)))
        .collect();
    found.sort_by_key(|(nullable, rank, _)| (*nullable, *rank));
    found.first().map(|(_, _, column)| *column)
}

impl View<'_> {
    fn mode(&self) -> (Mode, String) {
        let described = &self.outline.described;
        if described.kind != RelationKind::Table {
            let what = described.kind.in_words();
            let why =
                format!("{what} is read whole: its rows may change without a trace in a cursor");
            return (Mode::Bulk, why);
        }
        match self.by_time().or_else(|| self.by_id()) {
            Some(found) => found,
            None => (Mode::Bulk, self.why_whole()),
        }
    }

    fn by_time(&self) -> Option<(Mode, String)> {
        let time = self.time.filter(|column| !column.nullable)?;
        if self.outline.described.schema.key.is_empty() || is_unsafe(&self.outline.guards.by_time) {
            return None;
        }
        let index = match self.outline.described.indexed.contains(&time.name) {
            true => "indexed",
            false => "no index yet",
        };
        let keeps = match self.outline.updates_itself.contains(&time.name) {
            true => ", kept by the database itself",
            false => ", which a trigger or your programs must set",
        };
        let tells = format!(
            "`{}` (NOT NULL, {index}{keeps}) tells when a row was changed",
            time.name
        );
        Some(match self.id {
            Some(id) => {
                let why = format!("{tells}, `{}` orders rows of one moment", id.name);
                (Mode::TimestampIncrementing, why)
            }
            None => (
                Mode::Timestamp,
                format!("{tells}, the key orders rows of one moment"),
            ),
        })
    }

    fn by_id(&self) -> Option<(Mode, String)> {
        let id = self.id?;
        if is_unsafe(&self.outline.guards.of_id(&id.name)) {
            return None;
        }
        let rows = self.rows();
        let changes = self.counted().unwrap_or_default();
        if changes.updated > 0 || rows < SMALL_ROWS {
            return None;
        }
        let grows = format!("`{}` grows", id.name);
        // A column for the time of a change is there because rows are changed, whether or not it can be read.
        let tells_of_changes = !self.outline.described.timestamp_candidates.is_empty();
        let why = match changes.inserted {
            inserted if inserted >= SMALL_ROWS => format!(
                "{grows}, and of {} rows that were added since statistics began none was changed",
                number(inserted)
            ),
            _ if rows >= LARGE_ROWS && !tells_of_changes => format!(
                "{grows}, and about {} rows are many for loads; whether rows are changed later the database does not say: if they are, take `mode: bulk`",
                number(rows)
            ),
            _ => return None,
        };
        Some((Mode::Incrementing, why))
    }

    /// Why nothing better than a full read is known.
    fn why_whole(&self) -> String {
        let outline = self.outline;
        let described = &outline.described;
        let by_time = self.time.map(|column| (column, &outline.guards.by_time));
        match by_time {
            Some((time, GuardClass::Unsafe(why))) => {
                return format!("`{}` cannot be trusted as a cursor: {why}", time.name);
            }
            Some((time, _)) if described.schema.key.is_empty() => {
                return format!(
                    "it has no primary key, by which `{}` could tell versions of one row",
                    time.name
                );
            }
            Some((time, _)) => {
                return format!(
                    "`{}` may be NULL, and such rows would not be seen when they change",
                    time.name
                );
            }
            None => {}
        }
        let Some(id) = self.id else {
            return "no column tells when a row was changed, and none grows".to_owned();
        };
        if let GuardClass::Unsafe(why) = outline.guards.of_id(&id.name) {
            return format!("`{}` cannot be trusted as a cursor: {why}", id.name);
        }
        match self.counted() {
            Some(counted) if counted.updated > 0 => format!(
                "rows are changed ({} since statistics began), and no column tells when",
                number(counted.updated)
            ),
            _ => {
                let doubt = match self.known_rows() {
                    Some(..SMALL_ROWS) => "it is small, and no column tells when a row was changed",
                    _ => {
                        "no column tells when a row was changed, and the database not whether any is"
                    }
                };
                format!(
                    "{doubt}; if rows are only ever added, `mode: incrementing` with `incrementing: {}` reads new ones alone, as they come",
                    id.name
                )
            }
        }
    }

    /// What statistics count, if they have counted anything.
    fn counted(&self) -> Option<Changes> {
        self.outline
            .changes
            .filter(|changes| *changes != Changes::default())
    }

    fn known_rows(&self) -> Option<u64> {
        let counted = self.counted().map(|c| c.inserted.saturating_sub(c.deleted));
        self.outline.described.estimated_rows.or(counted)
    }

    fn rows(&self) -> u64 {
        self.known_rows().unwrap_or_default()
    }

    fn guard(&self, mode: Mode) -> Option<GuardClass> {
        match mode {
            Mode::Bulk => None,
            Mode::Incrementing => Some(self.outline.guards.of_id(&self.id?.name)),
            Mode::Timestamp | Mode::TimestampIncrementing => {
                Some(self.outline.guards.by_time.clone())
            }
        }
    }

    /// Directories that get enough rows for a file each: a directory of a few rows costs readers more than it saves.
    fn partition(&self, mode: Mode) -> Option<(String, String)> {
        // Rows without a day would lie in a directory of their own, and move once they get one.
        let birth = self
            .birth
            .filter(|birth| mode != Mode::Bulk && !birth.nullable)?;
        let (transform, names) = match self.rows() {
            ..SMALL_ROWS => return None,
            SMALL_ROWS..LARGE_ROWS => ("month", &MONTH_NAMES),
            LARGE_ROWS.. => ("day", &DAY_NAMES),
        };
        let columns = &self.outline.described.schema.columns;
        let is_free = |name: &&&str| !columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
        let name = names.iter().find(is_free)?;
        // A name with such ends would not come back from the file as it is.
        let is_plain = birth.name.trim() == birth.name;
        is_plain.then(|| ((*name).to_owned(), format!("{transform}({})", birth.name)))
    }

    fn remarks(&self, dialect: Dialect, proposal: &Proposal) -> Vec<Advice> {
        let outline = self.outline;
        let described = &outline.described;
        let mut list = Vec::new();
        let mut say = |text: String, next: Option<String>| list.push(Advice { text, next });
        let cursor = proposal
            .timestamp
            .as_ref()
            .or(proposal.incrementing.as_ref());
        if let Some(cursor) = cursor.filter(|cursor| !described.indexed.contains(*cursor)) {
            let columns: Vec<&str> = match (&proposal.timestamp, &proposal.incrementing) {
                (Some(time), Some(id)) => vec![time, id],
                (Some(time), None) => std::iter::once(time.as_str()).chain(self.key()).collect(),
                _ => vec![cursor],
            };
            say(
                format!("no index begins with `{cursor}`: every poll would read the whole table"),
                index_on(dialect, &described.name, &columns).ok(),
            );
        }
        let nullable = self
            .time
            .filter(|time| time.nullable && proposal.timestamp.is_none());
        if let Some(time) = nullable.filter(|_| !described.schema.key.is_empty()) {
            say(
                format!(
                    "with `{}` NOT NULL, `mode: timestamp` would read changes alone",
                    time.name
                ),
                None,
            );
        }
        let deleted = self.counted().map_or(0, |counted| counted.deleted);
        if proposal.mode != Mode::Bulk && deleted > 0 {
            say(
                format!(
                    "{} rows were deleted since statistics began: in this mode they stay in the lake, `mode: bulk` shows them gone",
                    number(deleted)
                ),
                None,
            );
        }
        if !proposal.drop.is_empty() {
            say(
                format!(
                    "role `{}` may not read all columns: what it may not is left out",
                    described.withheld.role
                ),
                Some(format!("{};", described.withheld.grant)),
            );
        }
        let about_columns = described
            .notes
            .iter()
            .filter(|note| note.starts_with("column `"));
        about_columns.for_each(|note| say(note.clone(), None));
        list
    }

    fn key(&self) -> impl Iterator<Item = &str> {
        let schema = &self.outline.described.schema;
        let columns = schema.key.iter().filter_map(|i| schema.columns.get(*i));
        columns.map(|column| column.name.as_str())
    }
}

fn is_unsafe(guard: &GuardClass) -> bool {
    matches!(guard, GuardClass::Unsafe(_))
}

#[cfg(test)]
#[path = "proposal_tests.rs"]
mod tests;
