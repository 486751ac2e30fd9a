//! What a table looks like: its columns, the exact Arrow type of each, its key, and their fingerprint.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The types a column can have on its way to the lake. Each stands for exactly one Arrow type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    /// Exact decimal: 1 ≤ precision ≤ 38 and 0 ≤ scale ≤ precision.
    Decimal {
        precision: u8,
        scale: u8,
    },
    Text,
    Binary,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01 00:00: an instant (`utc`), or a wall-clock reading without zone.
    Timestamp {
        utc: bool,
    },
    /// A list whose elements may be null.
    List(Box<ColumnType>),
}

impl ColumnType {
    /// The Arrow type batches of this column have.
    pub fn arrow(&self) -> DataType {
        match self {
            ColumnType::Bool => DataType::Boolean,
            ColumnType::Int8 => DataType::Int8,
            ColumnType::Int16 => DataType::Int16,
            ColumnType::Int32 => DataType::Int32,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::UInt8 => DataType::UInt8,
            ColumnType::UInt16 => DataType::UInt16,
            ColumnType::UInt32 => DataType::UInt32,
            ColumnType::UInt64 => DataType::UInt64,
            ColumnType::Float32 => DataType::Float32,
            ColumnType::Float64 => DataType::Float64,
            ColumnType::Decimal { precision, scale } => {
                DataType::Decimal128(*precision, *scale as i8)
            }
            ColumnType::Text => DataType::Utf8,
            ColumnType::Binary => DataType::Binary,
            ColumnType::Date => DataType::Date32,
            ColumnType::Timestamp { utc } => {
                DataType::Timestamp(TimeUnit::Microsecond, utc.then(|| Arc::from("UTC")))
            }
            ColumnType::List(element) => {
                DataType::List(Arc::new(Field::new("element", element.arrow(), true)))
            }
        }
    }
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name, exactly as the catalog spells it.
    pub name: String,
    /// The database's own name of the type with its modifiers, e.g. `numeric(12,2)`, `bigint unsigned`.
    pub source_type: String,
    /// The type on the way to the lake.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether the database admits NULL.
    pub nullable: bool,
}

/// The columns that are read, in catalog order, and which of them are the primary key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    pub columns: Vec<Column>,
    /// Indexes into `columns`, in key order; empty for a table without a key.
    pub key: Vec<usize>,
}

impl TableSchema {
    /// The Arrow schema of every batch of this table.
    pub fn arrow(&self) -> SchemaRef {
        let fields = self
            .columns
            .iter()
            .map(|c| Field::new(&c.name, c.column_type.arrow(), c.nullable));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The position of a column by its exact name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// The text the fingerprint is taken of, and the value of the schema's record: names, source types,
    /// types, nullability and key, in catalog order, without spaces.
    pub fn canonical_json(&self) -> String {
        #[derive(Serialize)]
        struct Canonical<'a> {
            v: u8,
            columns: &'a [Column],
            key: Vec<&'a str>,
        }
        let key = self
            .key
            .iter()
            .map(|i| self.columns[*i].name.as_str())
            .collect();
        serde_json::to_string(&Canonical {
            v: 1,
            columns: &self.columns,
            key,
        })
        .unwrap_or_default()
    }

    /// Reads what [`TableSchema::canonical_json`] wrote; the message says what is wrong with it.
    pub fn from_canonical_json(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Canonical {
            v: u64,
            columns: Vec<Column>,
            key: Vec<String>,
        }
        let read: Canonical = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        if read.v != 1 {
            return Err(format!(
                "it has format version {}, and this program knows 1",
                read.v
            ));
        }
        let mut schema = TableSchema {
            columns: read.columns,
            key: Vec::new(),
        };
        for name in read.key {
            schema.key.push(
                schema
                    .position(&name)
                    .ok_or(format!("key column `{name}` is not among the columns"))?,
            );
        }
        Ok(schema)
    }

    /// The first 16 hexadecimal digits of the SHA-256 of [`TableSchema::canonical_json`].
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::digest(self.canonical_json().as_bytes());
        Fingerprint(
            digest
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }
}

/// Names a schema for ever: the same columns give the same fingerprint in every worker and format.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Accepts exactly 16 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 16 && text.bytes().all(digit)).then(|| Fingerprint(text.to_owned()))
    }

    /// The 16 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> TableSchema {
        let column = |name: &str, source_type: &str, column_type, nullable| Column {
            name: name.into(),
            source_type: source_type.into(),
            column_type,
            nullable,
        };
        TableSchema {
            columns: vec![
                column("order_id", "bigint", ColumnType::Int64, false),
                column(
                    "total",
                    "numeric(12,2)",
                    ColumnType::Decimal {
                        precision: 12,
                        scale: 2,
                    },
                    true,
                ),
                column(
                    "tags",
                    "text[]",
                    ColumnType::List(Box::new(ColumnType::Text)),
                    true,
                ),
            ],
            key: vec![0],
        }
    }

    #[test]
    fn the_canonical_text_and_the_fingerprint_never_change() {
        assert_eq!(
            orders().canonical_json(),
            r#"{"v":1,"columns":[{"name":"order_id","source_type":"bigint","type":"int64","nullable":false},{"name":"total","source_type":"numeric(12,2)","type":{"decimal":{"precision":12,"scale":2}},"nullable":true},{"name":"tags","source_type":"text[]","type":{"list":"text"},"nullable":true}],"key":["order_id"]}"#
        );
        assert_eq!(orders().fingerprint().as_str(), "cbb2f7270bf52392");
    }

    #[test]
    fn a_schema_comes_back_from_its_canonical_text() {
        assert_eq!(
            TableSchema::from_canonical_json(orders().canonical_json().as_bytes()),
            Ok(orders())
        );
    }
}
