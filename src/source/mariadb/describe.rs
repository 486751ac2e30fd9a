//! The catalog: which tables there are, and what is known of one before its first row is read.

use std::collections::BTreeMap;

use mysql_async::prelude::{FromValue, Queryable};
use mysql_async::{Conn, Row};

use super::super::{Described, Listed, RelationKind, Withheld};
use super::failure::failure;
use super::grants::{must_be_readable, withheld};
use super::server::{Server, server};
use super::{characters, decode, look, quoted};
use crate::error::{Error, Kind, Result};
use crate::model::{Column, TableName, TableSchema};

/// Without TABLE_ROWS, for which the server would open every table: seconds where it has thousands of them.
const LIST: &str = "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES \
     WHERE TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') \
     AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW', 'SEQUENCE') ORDER BY TABLE_SCHEMA, TABLE_NAME";
const RELATION: &str = "SELECT TABLE_TYPE, ENGINE, TABLE_ROWS FROM information_schema.TABLES \
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";
/// Columns, index parts and checks, without the condition that says of which tables; last whose they are.
pub(super) const COLUMNS: &str = "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, DATETIME_PRECISION, EXTRA, CHARACTER_SET_NAME, PRIVILEGES, \
     COLLATION_NAME, TABLE_SCHEMA, TABLE_NAME FROM information_schema.COLUMNS";
const IN_ORDER: &str = "ORDER BY ORDINAL_POSITION";
pub(super) const INDEXES: &str = "SELECT INDEX_NAME, COLUMN_NAME, SEQ_IN_INDEX, NON_UNIQUE, TABLE_SCHEMA, TABLE_NAME \
     FROM information_schema.STATISTICS";
const BY_NAME: &str = "AND COLUMN_NAME IS NOT NULL ORDER BY INDEX_NAME, SEQ_IN_INDEX";
/// JSON is LONGTEXT with this check.
pub(super) const CHECKS: &str = "SELECT CHECK_CLAUSE, CONSTRAINT_SCHEMA, TABLE_NAME \
     FROM information_schema.CHECK_CONSTRAINTS";
const OF_ONE: &str = "WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";

/// Parts of names that people give to the time of a row's last change.
const CHANGE_WORDS: [&str; 4] = ["updat", "modif", "chang", "mtime"];

/// Every relation the account can see, except the server's own.
pub(super) async fn list(
    conn: &mut Conn,
    source: &str,
    default_database: &str,
) -> Result<Vec<Listed>> {
    let doing = "listing tables";
    let rows: Vec<Row> = conn
        .exec(LIST, ())
        .await
        .map_err(|error| failure(error, doing))?;
    let mut listed = Vec::with_capacity(rows.len());
    for row in &rows {
        let schema: String = get(row, 0, doing)?;
        let kind: String = get(row, 2, doing)?;
        listed.push(Listed {
            name: TableName {
                source: source.to_owned(),
                in_default_schema: schema == default_database,
                schema,
                name: get(row, 1, doing)?,
            },
            kind: relation_kind(&kind),
            estimated_rows: None,
            // What the account has no right on is not listed at all.
            is_readable: true,
        });
    }
    Ok(listed)
}

/// Describes one relation, and finds out what of it can be read.
pub(super) async fn describe(conn: &mut Conn, table: &TableName) -> Result<Described> {
    let doing = "describing the table";
    let relation = relation(conn, table, doing).await?;
    let parts = Parts {
        columns: columns(conn, table, doing).await?,
        indexes: indexes(conn, table, doing).await?,
    };
    let server = server(conn, doing).await?;
    let withheld = withheld(conn, table, &parts.columns).await?;
    let mut described = assembled(table, &relation, &parts, &server);
    described.identity = server.identity_of(table);
    described.withheld = withheld;
    Ok(described)
}

/// What the catalog says of the parts of a relation.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) columns: Vec<CatalogColumn>,
    pub(super) indexes: Vec<IndexPart>,
}

/// Puts together what is known, without what the table is beyond its name and what may not be read.
pub(super) fn assembled(
    table: &TableName,
    relation: &Relation,
    parts: &Parts,
    server: &Server,
) -> Described {
    let Parts { columns, indexes } = parts;
    let position = |name: &str| columns.iter().position(|column| column.name == name);
    let key = indexes
        .iter()
        .filter(|part| part.index == "PRIMARY")
        .filter_map(|part| position(&part.column));
    let key: Vec<usize> = key.collect();
    let mut notes: Vec<String> = columns.iter().filter_map(CatalogColumn::note).collect();
    notes.extend(server.notes());
    notes.extend(engine_note(relation));
    Described {
        name: table.clone(),
        kind: relation.kind,
        selects: columns.iter().map(CatalogColumn::select).collect(),
        on_value: Vec::new(),
        identity: BTreeMap::new(),
        incrementing_candidates: incrementing_candidates(columns, &key),
        timestamp_candidates: timestamp_candidates(columns),
        timestamp_precision: columns
            .iter()
            .filter_map(|c| Some((c.name.clone(), c.precision?)))
            .collect(),
        indexed: indexes
            .iter()
            .filter(|part| part.position == 1)
            .map(|part| part.column.clone())
            .collect(),
        estimated_rows: relation.estimated_rows,
        collations: columns
            .iter()
            .filter_map(|c| Some((c.name.clone(), c.collation.clone()?)))
            .collect(),
        counters: columns
            .iter()
            .filter(|column| column.auto_increment)
            .map(|column| (column.name.clone(), look::newest_number(table)))
            .collect(),
        notes,
        withheld: Withheld::default(),
        left_out: Vec::new(),
        schema: TableSchema {
            columns: columns.iter().map(CatalogColumn::column).collect(),
            key,
        },
    }
}

/// What a guard must know of a table's surroundings.
#[derive(Clone, Debug, Default)]
pub(super) struct Ground {
    /// Why no evidence can hold here.
    pub(super) unsound: Option<String>,
    /// The rows come from another server, in the order of its commits.
    pub(super) is_replica: bool,
    /// An index that begins with the cursor column: the primary key before the others.
    pub(super) index: Option<String>,
}

pub(super) async fn ground(conn: &mut Conn, table: &TableName, column: &str) -> Result<Ground> {
    let doing = "looking for what a guard can stand on";
    let relation = relation(conn, table, doing).await?;
    let server = server(conn, doing).await?;
    let indexes = indexes(conn, table, doing).await?;
    let mut leading: Vec<&IndexPart> = indexes
        .iter()
        .filter(|part| part.position == 1 && part.column == column)
        .collect();
    leading.sort_by_key(|part| (part.index != "PRIMARY", !part.unique));
    Ok(Ground {
        unsound: unsound(&relation, &server),
        is_replica: server.replicating,
        index: leading.first().map(|part| part.index.clone()),
    })
}

/// Why no evidence can hold for a relation of this server.
pub(super) fn unsound(relation: &Relation, server: &Server) -> Option<String> {
    let is_view = relation.kind == RelationKind::View;
    let view = "rows of a view appear when what it joins and filters changes, whatever their own ids and times";
    engine_note(relation)
        .or_else(|| server.several_writers())
        .or(is_view.then(|| view.to_owned()))
}

pub(super) struct Relation {
    pub(super) kind: RelationKind,
    pub(super) engine: Option<String>,
    pub(super) estimated_rows: Option<u64>,
}

pub(super) fn relation_kind(table_type: &str) -> RelationKind {
    match table_type {
        "VIEW" => RelationKind::View,
        "SEQUENCE" => RelationKind::Sequence,
        _ => RelationKind::Table,
    }
}

async fn relation(conn: &mut Conn, table: &TableName, doing: &str) -> Result<Relation> {
    let row: Option<Row> = conn
        .exec_first(RELATION, of(table))
        .await
        .map_err(|error| failure(error, doing))?;
    let Some(row) = row else {
        // The catalog hides what the account has no right to; asking for it tells the two apart.
        if let Err(error) = must_be_readable(conn, table, &["1".to_owned()]).await
            && error.kind() != Kind::Config
        {
            return Err(error);
        }
        return Err(Error::new(
            Kind::Config,
            format!("there is no table `{}`", table.name),
        ));
    };
    let kind: String = get(&row, 0, doing)?;
    Ok(Relation {
        kind: relation_kind(&kind),
        engine: get(&row, 1, doing)?,
        estimated_rows: get(&row, 2, doing)?,
    })
}

fn engine_note(relation: &Relation) -> Option<String> {
    match relation.engine.as_deref() {
        None | Some("InnoDB") => None,
        Some(engine) => Some(format!(
            "its engine is {engine}, which has no transactions to be seen: `ALTER TABLE … ENGINE = InnoDB` makes it safe"
        )),
    }
}

pub(super) struct CatalogColumn {
    pub(super) name: String,
    source_type: String,
    /// Of a column that holds text.
    character_set: Option<String>,
    nullable: bool,
    precision: Option<u8>,
    auto_increment: bool,
    pub(super) updates_itself: bool,
    collation: Option<String>,
    pub(super) granted: bool,
}

impl CatalogColumn {
    fn column(&self) -> Column {
        Column {
            name: self.name.clone(),
            source_type: self.source_type.clone(),
            column_type: decode::mapping(&self.source_type).1,
            nullable: self.nullable,
        }
    }

    pub(super) fn select(&self) -> String {
        let name = quoted(&self.name);
        if decode::mapping(&self.source_type).0.source == decode::FALLBACK.source {
            format!("CAST({name} AS CHAR) AS {name}")
        } else {
            match &self.character_set {
                Some(set) => characters::selected(&self.name, set),
                None => name,
            }
        }
    }

    fn note(&self) -> Option<String> {
        let note = decode::mapping(&self.source_type).0.note?;
        Some(format!(
            "column `{}` has type `{}`: {note}",
            self.name, self.source_type
        ))
    }

    fn is_integer(&self) -> bool {
        decode::mapping(&self.source_type).0.wire == decode::Wire::Integer
            && !self.source_type.starts_with("year")
    }
}

async fn columns(conn: &mut Conn, table: &TableName, doing: &str) -> Result<Vec<CatalogColumn>> {
    let checks: Vec<Row> = conn
        .exec(
            format!("{CHECKS} WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ?"),
            of(table),
        )
        .await
        .map_err(|error| failure(error, doing))?;
    let checks: Vec<String> = checks
        .iter()
        .map(|row| get(row, 0, doing))
        .collect::<Result<_>>()?;
    let rows: Vec<Row> = conn
        .exec(format!("{COLUMNS} {OF_ONE} {IN_ORDER}"), of(table))
        .await
        .map_err(|error| failure(error, doing))?;
    let read = |row| CatalogColumn::read(row, &checks, doing);
    rows.iter().map(read).collect()
}

impl CatalogColumn {
    /// Reads a row of [`COLUMNS`]; `checks` are those of its table.
    pub(super) fn read(row: &Row, checks: &[String], doing: &str) -> Result<Self> {
        let name: String = get(row, 0, doing)?;
        let (data_type, column_type): (String, String) = (get(row, 1, doing)?, get(row, 2, doing)?);
        let nullable: String = get(row, 3, doing)?;
        let precision: Option<u8> = get(row, 4, doing)?;
        let extra: String = get::<Option<String>>(row, 5, doing)?
            .unwrap_or_default()
            .to_lowercase();
        let is_time = matches!(data_type.as_str(), "datetime" | "timestamp");
        Ok(CatalogColumn {
            source_type: if data_type == "longtext" && is_json(&name, checks) {
                "json".to_owned()
            } else {
                decode::source_type(&data_type, &column_type)
            },
            name,
            character_set: get(row, 6, doing)?,
            nullable: nullable == "YES",
            precision: precision.filter(|_| is_time),
            auto_increment: extra.contains("auto_increment"),
            updates_itself: extra.contains("on update current_timestamp"),
            collation: get(row, 8, doing)?,
            granted: get::<String>(row, 7, doing)?
                .split(',')
                .any(|privilege| privilege.trim().eq_ignore_ascii_case("select")),
        })
    }
}

fn is_json(column: &str, checks: &[String]) -> bool {
    let clause = format!("json_valid({})", quoted(column));
    checks
        .iter()
        .any(|check| check.eq_ignore_ascii_case(&clause))
}

pub(super) struct IndexPart {
    index: String,
    column: String,
    /// From 1.
    position: u64,
    unique: bool,
}

async fn indexes(conn: &mut Conn, table: &TableName, doing: &str) -> Result<Vec<IndexPart>> {
    let rows: Vec<Row> = conn
        .exec(format!("{INDEXES} {OF_ONE} {BY_NAME}"), of(table))
        .await
        .map_err(|error| failure(error, doing))?;
    rows.iter().map(|row| IndexPart::read(row, doing)).collect()
}

impl IndexPart {
    /// Reads a row of [`INDEXES`].
    pub(super) fn read(row: &Row, doing: &str) -> Result<Self> {
        Ok(IndexPart {
            index: get(row, 0, doing)?,
            column: get(row, 1, doing)?,
            position: get(row, 2, doing)?,
            unique: get::<u64>(row, 3, doing)? == 0,
        })
    }
}

fn incrementing_candidates(columns: &[CatalogColumn], key: &[usize]) -> Vec<String> {
    let counting = columns
        .iter()
        .filter(|column| column.auto_increment && column.is_integer());
    let mut candidates: Vec<String> = counting.map(|column| column.name.clone()).collect();
    if let [only] = key
        && let Some(column) = columns.get(*only)
        && column.is_integer()
        && !column.auto_increment
    {
        candidates.push(column.name.clone());
    }
    candidates
}

fn timestamp_candidates(columns: &[CatalogColumn]) -> Vec<String> {
    let named = |column: &CatalogColumn| {
        let name = column.name.to_lowercase();
        CHANGE_WORDS.iter().any(|word| name.contains(word))
    };
    let mut found: Vec<&CatalogColumn> = columns
        .iter()
        .filter(|c| c.precision.is_some() && (c.updates_itself || named(c)))
        .collect();
    found.sort_by_key(|column| !column.updates_itself);
    found
        .into_iter()
        .map(|column| column.name.clone())
        .collect()
}

fn of(table: &TableName) -> (&str, &str) {
    (&table.schema, &table.name)
}

/// A catalog value; the catalog's own columns are of known types.
pub(super) fn get<T: FromValue>(row: &Row, column: usize, doing: &str) -> Result<T> {
    row.get_opt(column)
        .and_then(std::result::Result::ok)
        .ok_or_else(|| {
            Error::new(Kind::Bug, doing).because(format!(
                "column {column} of the catalog's answer is not what it should be"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, source_type: &str) -> CatalogColumn {
        CatalogColumn {
            name: name.into(),
            source_type: source_type.into(),
            character_set: None,
            nullable: false,
            precision: source_type.starts_with("datetime").then_some(6),
            auto_increment: name == "id",
            updates_itself: name == "touched",
            collation: None,
            granted: true,
        }
    }

    #[test]
    fn the_counting_column_comes_before_the_key_as_a_cursor() {
        let columns = [
            column("shop", "int"),
            column("id", "bigint unsigned"),
            column("name", "varchar(9)"),
        ];
        assert_eq!(incrementing_candidates(&columns, &[0]), ["id", "shop"]);
        assert_eq!(incrementing_candidates(&columns, &[0, 1]), ["id"]);
        assert_eq!(incrementing_candidates(&columns, &[2]), ["id"]);
    }

    #[test]
    fn a_column_that_updates_itself_is_the_most_plausible_timestamp() {
        let columns = [
            column("created_at", "datetime(6)"),
            column("updated_at", "datetime(6)"),
            column("touched", "datetime(6)"),
            column("change_note", "text"),
        ];
        assert_eq!(timestamp_candidates(&columns), ["touched", "updated_at"]);
    }

    #[test]
    fn only_an_unknown_type_is_cast() {
        assert_eq!(column("a`b", "int").select(), "`a``b`");
        assert_eq!(column("x", "xmltype").select(), "CAST(`x` AS CHAR) AS `x`");
    }

    #[test]
    fn a_long_text_is_json_only_by_its_own_check() {
        let checks = ["json_valid(`doc`)".to_owned(), "`n` > 0".to_owned()];
        assert!(is_json("doc", &checks));
        assert!(!is_json("other", &checks));
    }
}
