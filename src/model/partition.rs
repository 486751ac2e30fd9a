//! How a table's rows are laid out in directories.

use std::fmt;

/// One level of directories: `name=value/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionBy {
    /// The directory's name, left of the `=`; never the name of a column.
    pub name: String,
    pub transform: Transform,
}

/// How a partition value comes from a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transform {
    Year(String),
    Month(String),
    Day(String),
    Hour(String),
    /// The column's own value.
    Column(String),
    /// `bucket(n, column)`: murmur3 by Iceberg's rules, modulo n.
    Bucket(u32, String),
}

impl Transform {
    /// The column it reads.
    pub fn column(&self) -> &str {
        match self {
            Transform::Year(c)
            | Transform::Month(c)
            | Transform::Day(c)
            | Transform::Hour(c)
            | Transform::Column(c)
            | Transform::Bucket(_, c) => c,
        }
    }

    /// Reads `day(ordered_at)`, `bucket(16, customer_id)` or a bare column name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((function, rest)) = text.split_once('(') else {
            return match text {
                "" => Err("a column or a function of one is missing".into()),
                _ => Ok(Transform::Column(text.to_owned())),
            };
        };
        let inner = rest
            .strip_suffix(')')
            .ok_or(format!("`{text}` lacks its closing `)`"))?
            .trim();
        if inner.is_empty() {
            return Err(format!("`{text}` names no column"));
        }
        let column = inner.to_owned();
        match function.trim() {
            "year" => Ok(Transform::Year(column)),
            "month" => Ok(Transform::Month(column)),
            "day" => Ok(Transform::Day(column)),
            "hour" => Ok(Transform::Hour(column)),
            "bucket" => {
                let (n, column) = inner
                    .split_once(',')
                    .ok_or(format!("`{text}` has one part; write `bucket(n, column)`"))?;
                match n.trim().parse::<u32>() {
                    Ok(n) if n > 0 && n <= 65_536 => {
                        Ok(Transform::Bucket(n, column.trim().to_owned()))
                    }
                    _ => Err(format!("`{}` is no bucket count from 1 to 65536", n.trim())),
                }
            }
            other => Err(format!(
                "`{other}` is no partition function; there are year, month, day, hour, bucket"
            )),
        }
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transform::Year(c) => write!(f, "year({c})"),
            Transform::Month(c) => write!(f, "month({c})"),
            Transform::Day(c) => write!(f, "day({c})"),
            Transform::Hour(c) => write!(f, "hour({c})"),
            Transform::Column(c) => f.write_str(c),
            Transform::Bucket(n, c) => write!(f, "bucket({n}, {c})"),
        }
    }
}
