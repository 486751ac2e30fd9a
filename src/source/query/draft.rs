//! A statement being written: conditions, orders and bound values as each dialect takes them.

use std::fmt::Write as _;

use super::super::{Dialect, Param, Select};
use crate::model::ColumnType;

/// A column in a condition.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) sql: String,
    pub(super) source_type: String,
    pub(super) column_type: ColumnType,
}

/// A statement being written.
pub(super) struct Draft {
    pub(super) dialect: Dialect,
    pub(super) sql: String,
    pub(super) params: Vec<Param>,
    /// What begins the next condition: the filter is one already.
    pub(super) has_condition: bool,
}

impl Draft {
    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Begins a condition that must hold beside those before it.
    pub(super) fn and(&mut self) -> &mut Self {
        let word = match self.has_condition {
            true => " AND ",
            false => " WHERE ",
        };
        self.has_condition = true;
        self.push(word)
    }

    pub(super) fn column(&mut self, term: &Term, comparison: &str) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.sql, "{} {comparison} ", term.sql);
        self
    }

    pub(super) fn bind(&mut self, term: &Term, value: impl Into<String>) -> &mut Self {
        self.params.push(Param {
            column_type: term.column_type.clone(),
            value: value.into(),
        });
        let placeholder = placeholder(self.dialect, term, self.params.len());
        self.push(&placeholder)
    }

    /// `(terms) > (values)` in the order of the terms.
    pub(super) fn after(&mut self, terms: &[&Term], values: &[String]) {
        match (terms, values) {
            ([term], [value, ..]) => {
                self.column(term, ">").bind(term, value);
            }
            ([first, rest @ ..], [value, values @ ..]) if self.dialect == Dialect::MariaDb => {
                self.column(first, ">=").bind(first, value).push(" AND (");
                self.column(first, ">").bind(first, value).push(" OR (");
                self.column(first, "=").bind(first, value).push(" AND ");
                self.after(rest, values);
                self.push("))");
            }
            _ => {
                let names: Vec<_> = terms.iter().map(|term| term.sql.as_str()).collect();
                let names = names.join(", ");
                self.push("(").push(&names).push(") > (");
                for (i, (term, value)) in terms.iter().zip(values).enumerate() {
                    self.push(if i > 0 { ", " } else { "" }).bind(term, value);
                }
                self.push(")");
            }
        }
    }

    pub(super) fn order_by(&mut self, terms: &[&Term]) -> &mut Self {
        for (i, term) in terms.iter().enumerate() {
            self.push(if i == 0 { " ORDER BY " } else { ", " })
                .push(&term.sql);
        }
        self
    }

    pub(super) fn limit(&mut self, rows: Option<usize>) -> &mut Self {
        if let Some(rows) = rows {
            let _ = write!(self.sql, " LIMIT {rows}");
        }
        self
    }

    pub(super) fn done(self) -> Select {
        Select {
            sql: self.sql,
            params: self.params,
        }
    }
}

/// How the `n`th bound value is written where it is compared with `term`.
pub(super) fn placeholder(dialect: Dialect, term: &Term, n: usize) -> String {
    match (dialect, &term.column_type) {
        (Dialect::MariaDb, ColumnType::Decimal { precision, scale }) => {
            format!("CAST(? AS DECIMAL({precision},{scale}))")
        }
        (Dialect::MariaDb, _) => "?".into(),
        // A number times an interval is computed in floating point, exact only below 2^53 microseconds (the
        // year 2255); whole days and the rest are exact over the type's whole range. The sum is made without
        // a zone, where every day has 24 hours.
        (Dialect::Postgres, ColumnType::Timestamp { utc }) => {
            let reading = format!(
                "('epoch'::timestamp + ${n}::text::bigint / 86400000000 * interval '1 day' \
                 + ${n}::text::bigint % 86400000000 * interval '1 microsecond')"
            );
            if *utc {
                format!("({reading} AT TIME ZONE 'UTC')")
            } else {
                reading
            }
        }
        (Dialect::Postgres, ColumnType::Binary) => format!("decode(${n}::text, 'hex')"),
        (Dialect::Postgres, _) => format!("${n}::text::{}", term.source_type),
    }
}
