//! What the catalog says of a table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::catalog::{COLUMNS, INDEXES, RELATION, RELATIONS, SEQUENCES, SYSTEM, TIMELINE};
use super::connect::{Connection, Database, cell};
use super::mapping::{self, CatalogType, Mapped};
use super::{DEFAULT_SCHEMA, look, quoted};
use crate::error::{Error, Kind, Result};
use crate::model::{Column, ColumnType, TableName, TableSchema};
use crate::source::{Described, Listed, RelationKind, Select, Withheld};

const DOING: &str = "describing the table";

/// What a column must be called, in part, to be taken for the time of a row's last change.
const CHANGE_NAMES: &[&str] = &["updat", "modif", "chang", "mtime", "lastmod"];

/// Digits after the second where a type declares none.
const FULL_PRECISION: u8 = 6;

/// Every relation the role can read.
pub(super) async fn list(database: &Database) -> Result<Vec<Listed>> {
    let connection = database.catalog().await?;
    let rows = connection
        .query("listing tables", RELATIONS, &[])
        .await
        .map_err(|error| error.about(&database.source))?;
    let listed = rows.iter().map(|row| {
        let schema: String = cell(row, 0)?;
        let in_default_schema = schema == DEFAULT_SCHEMA;
        let name = TableName {
            source: database.source.clone(),
            schema,
            name: cell(row, 1)?,
            in_default_schema,
        };
        Ok(Listed {
            name,
            kind: relation_kind(cell(row, 2)?),
            estimated_rows: estimate(cell(row, 3)?),
            is_readable: cell(row, 4)?,
        })
    });
    listed.collect()
}

/// Describes one relation.
pub(super) async fn describe(database: &Arc<Database>, table: &TableName) -> Result<Described> {
    described(database, table)
        .await
        .map_err(|error| error.about(table))
}

async fn described(database: &Database, table: &TableName) -> Result<Described> {
    let connection = database.catalog().await?;
    let names = [
        (&table.schema as _, Type::TEXT),
        (&table.name as _, Type::TEXT),
    ];
    let found = connection.query(DOING, RELATION, &names).await?;
    let Some(relation) = found.first() else {
        return Err(Error::new(Kind::Config, DOING)
            .because(format!(
                "there is no table `{}` in schema `{}`",
                table.name, table.schema
            ))
            .hint("check its name and schema in the configuration")
            .code(crate::error::Code::NO_SUCH_TABLE));
    };
    let oid: u32 = cell(relation, 0)?;
    let parts = parts(&connection, &[oid]).await?;
    let parts = parts.into_values().next().unwrap_or_default();
    readable(database, table, cell(relation, 2)?, &parts.columns)?;
    let mut notes = Vec::new();
    let identity = identity(&connection, cell(relation, 6)?, oid, &mut notes).await?;
    let facts = Facts {
        kind: relation_kind(cell(relation, 1)?),
        hides_rows: cell(relation, 3)?,
        estimated_rows: estimate(cell(relation, 4)?),
        is_standby: cell(relation, 5)?,
    };
    let mut described = assembled(database, table, &facts, &parts);
    described.identity = identity;
    described.notes.append(&mut notes);
    Ok(described)
}

/// What the catalog says of a relation as a whole.
pub(super) struct Facts {
    pub kind: RelationKind,
    pub hides_rows: bool,
    pub estimated_rows: Option<u64>,
    pub is_standby: bool,
}

/// What the catalog says of the parts of a relation.
#[derive(Default)]
pub(super) struct Parts {
    columns: Vec<CatalogColumn>,
    /// Whether it is the primary key, and its columns' numbers.
    indexes: Vec<(bool, Vec<i16>)>,
    sequences: Vec<Sequence>,
}

impl Parts {
    /// Whether the role may read any of its columns.
    pub fn is_granted(&self) -> bool {
        self.columns.iter().any(|column| column.granted)
    }

    /// The sequences a column draws from.
    pub fn sequences_of(&self, column: &str) -> impl Iterator<Item = &Sequence> {
        let mut columns = self.columns.iter();
        let number = columns
            .find(|one| one.column.name == column)
            .map(|one| one.number);
        let drawn = move |sequence: &&Sequence| Some(sequence.column) == number;
        self.sequences.iter().filter(drawn)
    }
}

/// The parts of each relation, in three questions for all of them.
pub(super) async fn parts(connection: &Connection, oids: &[u32]) -> Result<BTreeMap<u32, Parts>> {
    let mut parts: BTreeMap<u32, Parts> = BTreeMap::new();
    let asked: [(&(dyn ToSql + Sync), Type); 1] = [(&oids, Type::OID_ARRAY)];
    for row in &connection.query(DOING, COLUMNS, &asked).await? {
        let column = CatalogColumn::read(row)?;
        parts
            .entry(cell(row, 17)?)
            .or_default()
            .columns
            .push(column);
    }
    for row in &connection.query(DOING, INDEXES, &asked).await? {
        let index = (cell(row, 0)?, cell(row, 1)?);
        parts.entry(cell(row, 2)?).or_default().indexes.push(index);
    }
    for (oid, sequence) in sequences_of(connection, oids).await? {
        parts.entry(oid).or_default().sequences.push(sequence);
    }
    Ok(parts)
}

/// Puts together what is known, without what the table is beyond its name.
pub(super) fn assembled(
    database: &Database,
    table: &TableName,
    facts: &Facts,
    parts: &Parts,
) -> Described {
    let Parts {
        columns,
        indexes,
        sequences,
    } = parts;
    let mut notes = Vec::new();
    if facts.hides_rows {
        notes.push(format!(
            "row security hides rows from `{0}`; ALTER ROLE {0} BYPASSRLS lets it read all",
            database.role
        ));
    }
    if facts.is_standby {
        notes.push(
            "the server is a standby: what its primary is about to commit cannot be seen here"
                .to_owned(),
        );
    }
    notes.extend(sequences.iter().filter_map(Sequence::unsafe_because));
    notes.extend(columns.iter().filter_map(|column| {
        column
            .mapped
            .note
            .as_ref()
            .map(|note| format!("column `{}`: {note}", column.column.name))
    }));
    let name_of = |number: i16| {
        columns
            .iter()
            .find(|c| c.number == number)
            .map(|c| c.column.name.clone())
    };
    Described {
        name: table.clone(),
        kind: facts.kind,
        schema: schema(columns, indexes),
        selects: columns
            .iter()
            .map(|c| format!("{}{}", quoted(&c.column.name), c.mapped.cast))
            .collect(),
        on_value: Vec::new(),
        identity: BTreeMap::new(),
        incrementing_candidates: incrementing_candidates(columns, indexes, sequences),
        timestamp_candidates: timestamp_candidates(columns),
        timestamp_precision: columns
            .iter()
            .filter_map(CatalogColumn::precision)
            .collect(),
        indexed: indexes
            .iter()
            .filter_map(|(_, numbers)| numbers.first().and_then(|n| name_of(*n)))
            .collect(),
        estimated_rows: facts.estimated_rows,
        collations: columns
            .iter()
            .filter_map(|c| Some((c.column.name.clone(), c.collation.clone()?)))
            .collect(),
        counters: sequences
            .iter()
            .filter_map(|s| Some((name_of(s.column)?, s.newest_number.clone()?)))
            .collect(),
        notes,
        withheld: withheld(database, table, columns),
        left_out: Vec::new(),
    }
}

/// A column, its number in the catalog, and what becomes of it.
struct CatalogColumn {
    number: i16,
    column: Column,
    mapped: Mapped,
    modifier: i32,
    granted: bool,
    collation: Option<String>,
}

impl CatalogColumn {
    fn read(row: &Row) -> Result<Self> {
        let kind = CatalogType {
            name: cell(row, 5)?,
            built_in: cell(row, 6)?,
            sort: cell(row, 7)?,
            modifier: cell(row, 8)?,
        };
        let mapped = match cell::<Option<String>>(row, 9)? {
            Some(name) => {
                let element = CatalogType {
                    name,
                    built_in: cell(row, 10)?,
                    sort: cell(row, 11)?,
                    modifier: cell(row, 12)?,
                };
                // A domain over an array may be an element itself: lists of lists are read as lists of text.
                let element = if cell(row, 14)? {
                    CatalogType {
                        built_in: false,
                        sort: "e".into(),
                        ..element
                    }
                } else {
                    element
                };
                mapping::array(&element, cell(row, 13)?, cell(row, 15)?)
            }
            None => mapping::scalar(&kind),
        };
        let column = Column {
            name: cell(row, 1)?,
            source_type: cell(row, 2)?,
            column_type: mapped.column_type.clone(),
            nullable: !cell::<bool>(row, 3)?,
        };
        Ok(CatalogColumn {
            number: cell(row, 0)?,
            column,
            mapped,
            modifier: kind.modifier,
            granted: cell(row, 4)?,
            collation: cell(row, 16)?,
        })
    }

    /// For a timestamp, its name and how many digits after the second it keeps.
    fn precision(&self) -> Option<(String, u8)> {
        let ColumnType::Timestamp { .. } = self.column.column_type else {
            return None;
        };
        let digits = u8::try_from(self.modifier)
            .unwrap_or(FULL_PRECISION)
            .min(FULL_PRECISION);
        Some((self.column.name.clone(), digits))
    }
}

/// Refuses a table that has no columns or lies in a schema that may not be used, with the GRANT that is missing.
fn readable(
    database: &Database,
    table: &TableName,
    schema_granted: bool,
    columns: &[CatalogColumn],
) -> Result<()> {
    if columns.is_empty() {
        return Err(Error::new(Kind::Config, DOING)
            .because("it has no columns")
            .hint("there is nothing to carry; leave it out, a glob with `exclude`"));
    }
    if !schema_granted {
        let what = format!(
            "role `{}` may not use schema `{}`",
            database.role, table.schema
        );
        let (schema, role) = (quoted(&table.schema), quoted(&database.role));
        return Err(Error::new(Kind::Permission, DOING)
            .because(what)
            .hint(format!("GRANT USAGE ON SCHEMA {schema} TO {role}"))
            .code(crate::error::Code::GRANT_MISSING));
    }
    Ok(())
}

fn withheld(database: &Database, table: &TableName, columns: &[CatalogColumn]) -> Withheld {
    let not_granted = columns.iter().filter(|column| !column.granted);
    Withheld {
        columns: not_granted.map(|c| c.column.name.clone()).collect(),
        others: false,
        role: database.role.clone(),
        grant: format!(
            "GRANT SELECT ON {}.{} TO {}",
            quoted(&table.schema),
            quoted(&table.name),
            quoted(&database.role)
        ),
    }
}

fn schema(columns: &[CatalogColumn], indexes: &[(bool, Vec<i16>)]) -> TableSchema {
    let key = indexes
        .iter()
        .find(|(primary, _)| *primary)
        .map(|(_, numbers)| numbers.as_slice())
        .unwrap_or_default();
    let position = |number: &i16| columns.iter().position(|column| column.number == *number);
    TableSchema {
        columns: columns.iter().map(|column| column.column.clone()).collect(),
        key: key.iter().filter_map(position).collect(),
    }
}

/// A sequence that a column draws from.
pub(super) struct Sequence {
    pub column: i16,
    name: String,
    cache: i64,
    increment: i64,
    cycles: bool,
    /// What reads its newest number, where the role may.
    newest_number: Option<Select>,
}

impl Sequence {
    /// Why its numbers do not come in the order in which they are drawn, if so.
    pub fn unsafe_because(&self) -> Option<String> {
        let name = &self.name;
        if self.cache > 1 {
            Some(format!(
                "sequence `{name}` hands out {} numbers at a time to each session; ALTER SEQUENCE {name} CACHE 1",
                self.cache
            ))
        } else if self.increment < 0 {
            Some(format!("sequence `{name}` counts down"))
        } else if self.cycles {
            Some(format!(
                "sequence `{name}` starts over at its end; ALTER SEQUENCE {name} NO CYCLE"
            ))
        } else {
            None
        }
    }
}

/// The sequences of a table's columns.
pub(super) async fn sequences(connection: &Connection, oid: u32) -> Result<Vec<Sequence>> {
    let sequences = sequences_of(connection, &[oid]).await?;
    Ok(sequences
        .into_iter()
        .map(|(_, sequence)| sequence)
        .collect())
}

/// The sequences of several tables' columns, each with its table.
async fn sequences_of(connection: &Connection, oids: &[u32]) -> Result<Vec<(u32, Sequence)>> {
    let asked: [(&(dyn ToSql + Sync), Type); 1] = [(&oids, Type::OID_ARRAY)];
    let rows = connection
        .query("reading its sequences", SEQUENCES, &asked)
        .await?;
    let read = |row| {
        let (schema, sequence): (String, String) = (cell(row, 5)?, cell(row, 6)?);
        let may_be_read: bool = cell(row, 7)?;
        let sequence = Sequence {
            newest_number: may_be_read.then(|| Select {
                sql: look::newest_number(&schema, &sequence),
                params: Vec::new(),
            }),
            column: cell(row, 0)?,
            cache: cell(row, 1)?,
            increment: cell(row, 2)?,
            cycles: cell(row, 3)?,
            name: cell(row, 4)?,
        };
        Ok((cell(row, 8)?, sequence))
    };
    rows.iter().map(read).collect()
}

/// What this table is, beyond its name. What the server does not tell is left out and remarked upon.
async fn identity(
    connection: &Connection,
    database: String,
    oid: u32,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, String>> {
    let mut identity = BTreeMap::from([
        ("database".to_owned(), database),
        ("relation".to_owned(), oid.to_string()),
    ]);
    for (part, sql) in [("system", SYSTEM), ("timeline", TIMELINE)] {
        match connection
            .query_one("reading the server's identity", sql, &[])
            .await
        {
            Ok(row) => {
                identity.insert(part.to_owned(), cell(&row, 0)?);
            }
            Err(error) if error.kind() == Kind::Unavailable => return Err(error),
            Err(error) => notes.push(format!(
                "a fail-over or a restore cannot be noticed by the server's {part}: {error}"
            )),
        }
    }
    Ok(identity)
}

/// Integer columns with a sequence, then a primary key of one integer column.
fn incrementing_candidates(
    columns: &[CatalogColumn],
    indexes: &[(bool, Vec<i16>)],
    sequences: &[Sequence],
) -> Vec<String> {
    let key = |column: &CatalogColumn| {
        indexes
            .iter()
            .any(|(primary, numbers)| *primary && *numbers == [column.number])
    };
    let drawn = |column: &CatalogColumn| {
        sequences
            .iter()
            .any(|sequence| sequence.column == column.number)
    };
    let integer = |column: &&CatalogColumn| {
        matches!(
            column.column.column_type,
            ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64
        )
    };
    let mut candidates: Vec<_> = columns
        .iter()
        .filter(integer)
        .filter(|c| key(c) || drawn(c))
        .collect();
    candidates.sort_by_key(|column| (!drawn(column), !key(column)));
    candidates
        .iter()
        .map(|column| column.column.name.clone())
        .collect()
}

/// Timestamp columns whose name speaks of a change. A time of creation is none: its rows' changes would be missed.
fn timestamp_candidates(columns: &[CatalogColumn]) -> Vec<String> {
    let timestamps = columns
        .iter()
        .filter(|c| matches!(c.column.column_type, ColumnType::Timestamp { .. }));
    let named = timestamps.filter(|c| {
        let name = c.column.name.to_lowercase();
        CHANGE_NAMES.iter().any(|part| name.contains(part))
    });
    named
        .map(|column| column.column.name.clone())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

pub(super) fn relation_kind(relkind: String) -> RelationKind {
    match relkind.as_str() {
        "r" | "p" => RelationKind::Table,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::ForeignTable,
        _ => RelationKind::View,
    }
}

/// The catalog's estimate; −1 says that the table was never analyzed.
pub(super) fn estimate(rows: Option<f64>) -> Option<u64> {
    rows.filter(|rows| *rows >= 0.0).map(|rows| rows as u64)
}
