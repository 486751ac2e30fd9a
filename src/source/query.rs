//! The SQL of each mode: pure text and bound values, for both dialects.
//!
//! Names are quoted, values are only ever bound. The table is called `t`, because a bare name after ORDER BY
//! means the *output* column, which for a cast column sorts as text.
//!
//! "After (a, b)" is a row comparison on PostgreSQL, which serves it from an index on (a, b) or on a alone;
//! MariaDB scans for row comparisons, but gets ranges from the same condition written out with OR.

mod draft;

use super::chosen::CursorColumns;
use super::{Described, Dialect, Select};
use crate::error::{Error, Kind, Result};
use crate::model::{Column, ColumnType, Cursor, Micros, Position};
use draft::{Draft, Term};

/// Quotes an identifier; an embedded quote is doubled. Refuses what no database accepts: NUL and nothing.
pub fn quote(dialect: Dialect, name: &str) -> Result<String> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::new(
            Kind::Config,
            "an identifier is empty or holds a NUL character",
        ));
    }
    Ok(match dialect {
        Dialect::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
        Dialect::MariaDb => format!("`{}`", name.replace('`', "``")),
    })
}

/// Whether the database orders a column exactly as it compares it with a bound value, so that a keyset can
/// rest on it.
pub fn is_keyset_column(dialect: Dialect, column: &Column) -> bool {
    let source_type = column.source_type.to_ascii_lowercase();
    match column.column_type {
        ColumnType::List(_) => false,
        // Shortest texts of floats are not promised to compare exactly.
        ColumnType::Float32 | ColumnType::Float64 => false,
        // Bit strings travel as numbers or bytes, which the database does not take for them.
        ColumnType::UInt64 if dialect == Dialect::Postgres => false,
        ColumnType::Binary if dialect == Dialect::Postgres => !source_type.starts_with("bit"),
        // MariaDB orders these by their number and compares them with text as text.
        _ if dialect == Dialect::MariaDb => {
            !(source_type.starts_with("enum") || source_type.starts_with("set"))
        }
        _ => true,
    }
}

/// One table's statements.
#[derive(Clone, Debug)]
pub struct Statements {
    dialect: Dialect,
    /// `SELECT … FROM … AS t`, with the filter.
    select: String,
    /// The same without the filter.
    unfiltered: String,
    from: String,
    /// The condition of `where:`, in parentheses.
    filter: Option<String>,
    timestamp: Option<Term>,
    incrementing: Option<Term>,
    tie_break: Vec<Term>,
    cursor_admits_null: bool,
}

impl Statements {
    /// Prepares the statements of `table`, of those rows that meet `filter`; `Config` where a name cannot be
    /// quoted.
    pub fn new(
        dialect: Dialect,
        table: &Described,
        cursor: &CursorColumns,
        filter: Option<&str>,
    ) -> Result<Self> {
        let term = |index: usize| -> Result<Term> {
            let column = table.schema.columns.get(index).ok_or_else(|| {
                Error::new(Kind::Bug, "a cursor column is not among the columns").about(&table.name)
            })?;
            Ok(Term {
                sql: format!("t.{}", quote(dialect, &column.name)?),
                source_type: column.source_type.clone(),
                column_type: column.column_type.clone(),
            })
        };
        let filter = filter.map(|filter| format!("({filter})"));
        let condition = match &filter {
            Some(filter) => format!(" WHERE {filter}"),
            None => String::new(),
        };
        let table_alone = format!(
            " FROM {}.{} AS t",
            quote(dialect, &table.name.schema)?,
            quote(dialect, &table.name.name)?
        );
        let from = format!("{table_alone}{condition}");
        Ok(Statements {
            dialect,
            select: format!("SELECT {}{from}", table.selects.join(", ")),
            unfiltered: format!("SELECT {}{table_alone}", table.selects.join(", ")),
            from,
            filter,
            timestamp: cursor.timestamp.map(term).transpose()?,
            incrementing: cursor.incrementing.map(term).transpose()?,
            tie_break: cursor
                .tie_break
                .iter()
                .map(|i| term(*i))
                .collect::<Result<_>>()?,
            cursor_admits_null: cursor
                .timestamp
                .or(cursor.incrementing)
                .and_then(|i| table.schema.columns.get(i))
                .is_some_and(|column| column.nullable),
        })
    }

    /// How many columns order rows of one instant; 0 for a table without a key.
    pub fn tie_breaks(&self) -> usize {
        self.tie_break.len()
    }

    /// Whether rows of one instant have an order of their own.
    pub fn has_tie_break(&self) -> bool {
        !self.tie_break.is_empty()
    }

    /// Whether there can be rows without a cursor value.
    pub fn cursor_admits_null(&self) -> bool {
        self.cursor_admits_null
    }

    /// The whole table, in no order.
    pub fn everything(&self) -> Select {
        self.draft().done()
    }

    /// The rows of the whole table that meet one more condition, in no order.
    pub fn part(&self, condition: &str) -> Select {
        let mut draft = self.draft();
        draft.and().push(condition);
        draft.done()
    }

    /// How the database writes SQL.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The number of rows.
    pub fn count(&self) -> Select {
        Select {
            sql: format!("SELECT count(*){}", self.from),
            params: Vec::new(),
        }
    }

    /// The number of rows that lie behind `from` (from the beginning, where it is `None` or knows no row) and not
    /// behind `to`; rows without a cursor value are in neither. By time it is as exact as an instant.
    pub fn between(&self, from: Option<&Cursor>, to: Option<&Cursor>) -> Result<Select> {
        self.counted(from, to, "<")
    }

    /// The same with the rows of the very moment of a timestamp cursor `to`.
    pub fn up_to(&self, from: Option<&Cursor>, to: &Cursor) -> Result<Select> {
        self.counted(from, Some(to), "<=")
    }

    fn counted(
        &self,
        from: Option<&Cursor>,
        to: Option<&Cursor>,
        of_moment: &str,
    ) -> Result<Select> {
        let mut draft = self.draft();
        draft.sql = format!("SELECT count(*){}", self.from);
        let term = self.timestamp.as_ref().or(self.incrementing.as_ref());
        let term = term.ok_or_else(|| missing("a cursor column"))?;
        match from.and_then(border) {
            Some((after, value)) => draft.and().column(term, after).bind(term, value),
            None => draft.and().push(&term.sql).push(" IS NOT NULL"),
        };
        if let Some(to) = to {
            match border(to) {
                Some((after, value)) => {
                    let up_to = if after == ">" { "<=" } else { of_moment };
                    draft.and().column(term, up_to).bind(term, value);
                }
                None => {
                    draft.and().push("1 = 0");
                }
            }
        }
        Ok(draft.done())
    }

    /// Whether the database takes the filter; `None` without one. Reads nothing.
    pub fn trial(&self) -> Option<Select> {
        self.filter.as_ref().map(|_| Select {
            sql: format!("SELECT 1{} LIMIT 0", self.from),
            params: Vec::new(),
        })
    }

    /// The highest id, or NULL.
    pub fn highest_id(&self) -> Result<Select> {
        let id = self.id()?;
        Ok(Select {
            sql: format!("SELECT max({}){}", id.sql, self.from),
            params: Vec::new(),
        })
    }

    /// Incrementing: every row above `after` (all with an id where it is `None`) up to and with `up_to`, by id.
    pub fn forward(&self, after: Option<i128>, up_to: Option<i128>) -> Result<Select> {
        self.by_id(after, up_to, None)
    }

    /// Copy: the next page of rows by id up to and with `bound`.
    pub fn copy_by_id(&self, after: Option<i128>, bound: i128, page: usize) -> Result<Select> {
        self.by_id(after, Some(bound), Some(page))
    }

    fn by_id(
        &self,
        after: Option<i128>,
        up_to: Option<i128>,
        limit: Option<usize>,
    ) -> Result<Select> {
        let id = self.id()?;
        let mut draft = self.draft();
        match after {
            Some(after) => draft.and().column(id, ">").bind(id, after.to_string()),
            None => draft.and().push(&id.sql).push(" IS NOT NULL"),
        };
        if let Some(up_to) = up_to {
            draft.and().column(id, "<=").bind(id, up_to.to_string());
        }
        draft.order_by(&[id]).limit(limit);
        Ok(draft.done())
    }

    /// Incrementing: the rows inside the given ranges of ids, ends included.
    pub fn gaps(&self, ranges: &[(i128, i128)]) -> Result<Select> {
        let id = self.id()?;
        let mut draft = self.draft();
        draft.and();
        // Beside a filter the ranges are one condition.
        let (open, close) = match self.filter {
            Some(_) => ("(", ")"),
            None => ("", ""),
        };
        draft.push(open);
        for (i, (lo, hi)) in ranges.iter().enumerate() {
            draft.push(if i == 0 { "" } else { " OR " });
            if lo == hi {
                draft.column(id, "=").bind(id, lo.to_string());
            } else {
                draft
                    .column(id, "BETWEEN")
                    .bind(id, lo.to_string())
                    .push(" AND ")
                    .bind(id, hi.to_string());
            }
        }
        draft.push(close).order_by(&[id]);
        Ok(draft.done())
    }

    /// Timestamp modes: every row from `low` on, below `below` where it is given, by (timestamp, key).
    pub fn window(&self, low: Option<&Position>, below: Option<Micros>) -> Result<Select> {
        self.by_time(low, below, None)
    }

    /// Copy: the next page of rows by (timestamp, key) below `bound`; without `page` all of them.
    pub fn copy_by_time(
        &self,
        after: Option<&Position>,
        bound: Micros,
        page: Option<usize>,
    ) -> Result<Select> {
        self.by_time(after, Some(bound), page)
    }

    fn by_time(
        &self,
        low: Option<&Position>,
        below: Option<Micros>,
        limit: Option<usize>,
    ) -> Result<Select> {
        let time = self.time()?;
        let mut draft = self.draft();
        let order: Vec<&Term> = std::iter::once(time).chain(&self.tie_break).collect();
        draft.and();
        match low {
            Some(Position { at, key: Some(key) }) if key.len() + 1 == order.len() => {
                let values: Vec<_> = std::iter::once(at.to_string())
                    .chain(key.iter().cloned())
                    .collect();
                draft.after(&order, &values);
            }
            Some(Position { key: Some(_), .. }) => {
                return Err(Error::new(
                    Kind::Data,
                    "the cursor's key does not fit the table's key",
                )
                .hint("the table's key has changed; copy it anew with `cdc snapshot --again`"));
            }
            Some(Position { at, key: None }) => {
                draft.column(time, ">=").bind(time, at.to_string());
            }
            None => {
                draft.push(&time.sql).push(" IS NOT NULL");
            }
        }
        if let Some(below) = below.filter(|below| !is_behind_all(self.dialect, *below)) {
            draft.and().column(time, "<").bind(time, below.to_string());
        }
        draft.order_by(&order).limit(limit);
        Ok(draft.done())
    }

    /// Copy: rows whose cursor column is NULL, after `after` by key; without `page` all of them.
    pub fn copy_nulls(&self, after: Option<&[String]>, page: Option<usize>) -> Result<Select> {
        let cursor = self.timestamp.as_ref().or(self.incrementing.as_ref());
        let cursor = cursor.ok_or_else(|| missing("a cursor column"))?;
        let order: Vec<&Term> = self.tie_break.iter().collect();
        let mut draft = self.draft();
        draft.and().push(&cursor.sql).push(" IS NULL");
        if let Some(after) = after.filter(|after| after.len() == order.len() && !order.is_empty()) {
            draft.and();
            draft.after(&order, after);
        }
        draft.order_by(&order).limit(page);
        Ok(draft.done())
    }

    /// The row of this name: the id's value in mode `incrementing`, else the key's. `None` if it does not fit.
    pub fn one_row(&self, name: &[String]) -> Result<Option<Select>> {
        let terms: Vec<&Term> = match (&self.timestamp, &self.incrementing) {
            (None, Some(id)) => vec![id],
            _ => self.tie_break.iter().collect(),
        };
        if terms.is_empty() || terms.len() != name.len() {
            return Ok(None);
        }
        // Whether the row meets the filter by now is nothing to the question.
        let mut draft = Draft {
            dialect: self.dialect,
            sql: self.unfiltered.clone(),
            params: Vec::new(),
            has_condition: false,
        };
        for (term, value) in terms.into_iter().zip(name) {
            draft.and().column(term, "=").bind(term, value.as_str());
        }
        Ok(Some(draft.done()))
    }

    /// How many rows one part of the table holds up to the cursor, 0 or 1. PostgreSQL names a part by its oid,
    /// MariaDB by the partition's name.
    pub fn passed_in(&self, part: &str, cursor: &Cursor) -> Result<Option<Select>> {
        let (term, comparison, value) = match cursor {
            Cursor::Incrementing(cursor) => match cursor.highest {
                Some(highest) => (self.id()?, "<=", highest.to_string()),
                None => return Ok(None),
            },
            Cursor::Timestamp(cursor) => match &cursor.low {
                Some(low) => (self.time()?, "<", low.at.to_string()),
                None => return Ok(None),
            },
        };
        let mut draft = self.draft();
        draft.sql = format!("SELECT count(*) FROM (SELECT 1{}", self.from);
        match self.dialect {
            Dialect::Postgres => {
                let digits = part.bytes().all(|b| b.is_ascii_digit());
                let part = if digits { part } else { "0" };
                draft.and().push("t.tableoid = ").push(part);
            }
            Dialect::MariaDb if part.is_empty() => return Ok(None),
            Dialect::MariaDb => {
                let name = part.split('#').next().unwrap_or_default();
                let partition = format!(" PARTITION ({}) AS t", quote(self.dialect, name)?);
                draft.sql = draft.sql.replacen(" AS t", &partition, 1);
            }
        }
        draft.and().column(term, comparison).bind(term, value);
        draft.push(" LIMIT 1) AS passed");
        Ok(Some(draft.done()))
    }

    fn draft(&self) -> Draft {
        Draft {
            dialect: self.dialect,
            sql: self.select.clone(),
            params: Vec::new(),
            has_condition: self.filter.is_some(),
        }
    }

    fn id(&self) -> Result<&Term> {
        self.incrementing
            .as_ref()
            .ok_or_else(|| missing("an incrementing column"))
    }

    fn time(&self) -> Result<&Term> {
        self.timestamp
            .as_ref()
            .ok_or_else(|| missing("a timestamp column"))
    }
}

/// Whether a reading is one that the database cannot even name, behind all that its columns hold.
fn is_behind_all(dialect: Dialect, at: Micros) -> bool {
    /// 9999-12-31 23:59:59.999999.
    const LAST_OF_MARIADB: Micros = 253_402_300_799_999_999;
    dialect == Dialect::MariaDb && at > LAST_OF_MARIADB
}

/// How the rows behind a cursor compare with its value; `None` if it knows no row.
fn border(cursor: &Cursor) -> Option<(&'static str, String)> {
    match cursor {
        Cursor::Incrementing(cursor) => Some((">", cursor.highest?.to_string())),
        Cursor::Timestamp(cursor) => Some((">=", cursor.low.as_ref()?.at.to_string())),
    }
}

fn missing(what: &str) -> Error {
    Error::new(
        Kind::Bug,
        format!("a statement was asked for that needs {what}"),
    )
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
