//! Columns that the configuration wants as decimals: `numeric` without digits of its own, or with more than fit, is
//! else carried as text.

use super::{Described, Dialect, quote};
use crate::config::TableSettings;
use crate::error::{Error, Kind, Result};
use crate::model::{Column, ColumnType};

/// What is said of a column that declares more digits than a decimal holds.
pub(super) const TOO_PRECISE: &str =
    "more than 38 digits fit no decimal type: it is read as text unless `decimal:` gives it digits";

impl Described {
    /// Carries the columns of `decimal:` as decimals of these digits; a value that has more does not fit. A glob may
    /// name columns that only some of its tables have.
    pub fn with_decimals(mut self, dialect: Dialect, settings: &TableSettings) -> Result<Self> {
        for (name, digits) in &settings.decimal {
            let position = self.schema.position(name);
            let found = position
                .and_then(|i| Some((self.schema.columns.get_mut(i)?, self.selects.get_mut(i)?)));
            let Some((column, select)) = found else {
                if settings.is_glob() {
                    continue;
                }
                return Err(self.no_such_column(name));
            };
            if !is_numeric(dialect, column) {
                let text = format!(
                    "`decimal` names `{name}`, which is a `{}`",
                    column.source_type
                );
                return Err(Error::new(Kind::Config, text).about(&self.name).hint(
                    "it is for columns of type `numeric` or `decimal`; take it away from this one",
                ));
            }
            *select = quote(dialect, name)?;
            // What was said of it was about text.
            let about = format!("column `{name}`");
            self.notes.retain(|note| !note.starts_with(&about));
            column.column_type = ColumnType::Decimal {
                precision: digits.precision,
                scale: digits.scale,
            };
        }
        Ok(self)
    }

    fn no_such_column(&self, name: &str) -> Error {
        let text = format!("`decimal` names `{name}`, and there is no such column");
        let numbers = self
            .schema
            .columns
            .iter()
            .filter(|column| column.name.eq_ignore_ascii_case(name));
        let hint = match numbers.map(|column| &column.name).next() {
            Some(near) => format!("did you mean `{near}`?"),
            None => "check its name in the table".to_owned(),
        };
        Error::new(Kind::Config, text)
            .code(crate::error::Code::NO_SUCH_COLUMN)
            .about(&self.name)
            .hint(hint)
    }
}

fn is_numeric(dialect: Dialect, column: &Column) -> bool {
    let name = match dialect {
        Dialect::Postgres => "numeric",
        Dialect::MariaDb => "decimal",
    };
    let rest = column.source_type.strip_prefix(name);
    let whole = |rest: &str| rest.is_empty() || (rest.starts_with('(') && !rest.ends_with(']'));
    rest.is_some_and(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Digits;
    use crate::model::Mode;
    use crate::source::fake::{Database, settings};

    /// The fake table with a price, whatever its type.
    fn table(source_type: &str) -> Described {
        let mut table = Database::default().described();
        table.schema.columns.push(Column {
            name: "price".into(),
            source_type: source_type.into(),
            column_type: ColumnType::Text,
            nullable: true,
        });
        table.selects.push("\"price\"::pg_catalog.text".into());
        table
    }

    fn told(pattern: &str, column: &str) -> TableSettings {
        let digits = Digits {
            precision: 38,
            scale: 9,
        };
        TableSettings {
            pattern: pattern.into(),
            decimal: [(column.to_owned(), digits)].into(),
            ..settings(Mode::Incrementing)
        }
    }

    #[test]
    fn a_numeric_column_becomes_the_decimal_it_is_told_to_be() {
        for source_type in ["numeric", "numeric(50,20)"] {
            let table = table(source_type)
                .with_decimals(Dialect::Postgres, &told("orders", "price"))
                .unwrap();
            let last = table.schema.columns.last().unwrap();
            assert_eq!(
                last.column_type,
                ColumnType::Decimal {
                    precision: 38,
                    scale: 9
                }
            );
            assert_eq!(table.selects.last().unwrap(), "\"price\"");
        }
    }

    #[test]
    fn other_types_and_unknown_columns_are_refused_by_name() {
        let refused = |source_type: &str, column: &str| {
            let error = table(source_type)
                .with_decimals(Dialect::Postgres, &told("orders", column))
                .unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            error.to_string()
        };
        assert!(refused("text", "price").contains("`decimal` names `price`, which is a `text`"));
        assert!(refused("numeric[]", "price").contains("which is a `numeric[]`"));
        assert!(refused("numeric(5,2)[]", "price").contains("which is a"));
        assert!(refused("numeric", "prices").contains("there is no such column"));
        // A glob's tables need not have it.
        let glob = told("log_*", "prices");
        assert!(
            table("numeric")
                .with_decimals(Dialect::Postgres, &glob)
                .is_ok()
        );
    }
}
