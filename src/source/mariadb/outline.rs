//! Every relation at once: six questions, however many there are.

use std::collections::BTreeMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::{Described, ExpectedGuards, Outline, RelationKind, Withheld};
use super::describe::{
    CHECKS, COLUMNS, CatalogColumn, INDEXES, IndexPart, Parts, Relation, assembled, get,
    relation_kind, unsound,
};
use super::failure::failure;
use super::grants::{account, grant};
use super::guard::{class_of_id, class_of_time};
use super::horizon::Sight;
use super::server::{Server, server};
use crate::config::defaults;
use crate::error::Result;
use crate::model::{GuardClass, TableName};

const DOING: &str = "looking at all tables";

const RELATIONS: &str = "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH \
     FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') \
     AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') ORDER BY TABLE_SCHEMA, TABLE_NAME";

/// Of every schema but the server's own.
const OF_ALL: &str = "NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')";

/// Database and table.
type Whose = (String, String);

pub(super) async fn outlines(
    conn: &mut Conn,
    source: &str,
    default_database: &str,
    sight: &Sight,
) -> Result<Vec<Outline>> {
    let rows = asked(conn, RELATIONS.to_owned()).await?;
    let mut parts = all_parts(conn).await?;
    let server = server(conn, DOING).await?;
    let (user, host) = account(conn).await;
    let mut outlines = Vec::with_capacity(rows.len());
    for row in &rows {
        let whose: Whose = (get(row, 0, DOING)?, get(row, 1, DOING)?);
        let parts = parts.remove(&whose).unwrap_or_default();
        let (schema, name) = whose;
        let table = TableName {
            source: source.to_owned(),
            in_default_schema: schema == default_database,
            schema,
            name,
        };
        let kind: String = get(row, 2, DOING)?;
        let relation = Relation {
            kind: relation_kind(&kind),
            engine: get(row, 3, DOING)?,
            estimated_rows: get(row, 4, DOING)?,
        };
        let mut described = assembled(&table, &relation, &parts, &server);
        let withheld = parts.columns.iter().filter(|column| !column.granted);
        described.withheld = Withheld {
            columns: withheld.map(|column| column.name.clone()).collect(),
            others: false,
            grant: grant(&table, &user, &host),
            role: user.clone(),
        };
        let is_table = relation.kind == RelationKind::Table;
        let updating = parts.columns.iter().filter(|column| column.updates_itself);
        outlines.push(Outline {
            is_readable: parts.columns.iter().any(|column| column.granted),
            hides_rows: false,
            bytes: get::<Option<u64>>(row, 5, DOING)?.filter(|_| is_table),
            changes: None,
            updates_itself: updating.map(|column| column.name.clone()).collect(),
            guards: guards(&relation, &server, sight, &described),
            described,
        });
    }
    Ok(outlines)
}

async fn asked(conn: &mut Conn, sql: String) -> Result<Vec<Row>> {
    let rows = conn.exec(sql, ()).await;
    rows.map_err(|error| failure(error, DOING))
}

/// The columns and index parts of every relation.
async fn all_parts(conn: &mut Conn) -> Result<BTreeMap<Whose, Parts>> {
    let mut checks: BTreeMap<Whose, Vec<String>> = BTreeMap::new();
    for row in &asked(conn, format!("{CHECKS} WHERE CONSTRAINT_SCHEMA {OF_ALL}")).await? {
        let whose = (get(row, 1, DOING)?, get(row, 2, DOING)?);
        checks.entry(whose).or_default().push(get(row, 0, DOING)?);
    }
    let mut parts: BTreeMap<Whose, Parts> = BTreeMap::new();
    let columns = format!(
        "{COLUMNS} WHERE TABLE_SCHEMA {OF_ALL} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
    );
    for row in &asked(conn, columns).await? {
        let whose = (get(row, 9, DOING)?, get(row, 10, DOING)?);
        let checks = checks.get(&whose).map_or(&[][..], Vec::as_slice);
        let column = CatalogColumn::read(row, checks, DOING)?;
        parts.entry(whose).or_default().columns.push(column);
    }
    let indexes = format!(
        "{INDEXES} WHERE TABLE_SCHEMA {OF_ALL} AND COLUMN_NAME IS NOT NULL \
         ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    );
    for row in &asked(conn, indexes).await? {
        let whose = (get(row, 4, DOING)?, get(row, 5, DOING)?);
        let part = IndexPart::read(row, DOING)?;
        parts.entry(whose).or_default().indexes.push(part);
    }
    Ok(parts)
}

fn guards(
    relation: &Relation,
    server: &Server,
    sight: &Sight,
    described: &Described,
) -> ExpectedGuards {
    let unsound = unsound(relation, server).map(GuardClass::Unsafe);
    let seen_replica = matches!(sight, Sight::Seen(reading) if reading.is_replica);
    let is_replica = server.replicating || seen_replica;
    let lookback = defaults::LOOKBACK;
    let by_id = described.incrementing_candidates.iter().map(|column| {
        let has_probe = described.indexed.contains(column);
        let class = class_of_id(sight, is_replica, has_probe, lookback);
        (column.clone(), unsound.clone().unwrap_or(class))
    });
    ExpectedGuards {
        by_id: by_id.collect(),
        by_time: unsound
            .clone()
            .unwrap_or_else(|| class_of_time(sight, is_replica, lookback)),
    }
}
