//! A short look at tables: a statement of some 0.1 ms for each, and one for the storage of all.

use std::collections::{BTreeMap, HashMap};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::{Depth, Look, Param, Select};
use super::describe::get;
use super::failure::{self, failure};
use super::quoted_table;
use crate::error::{Kind, Result};
use crate::model::{ColumnType, TableName};

const DOING: &str = "looking at the table";

/// For a relation whose text the account may not see: a view, or a table with rights on some columns only.
const COLUMNS: &str = "SELECT GROUP_CONCAT(CONCAT_WS(' ', QUOTE(COLUMN_NAME), COLUMN_TYPE, IS_NULLABLE, COLLATION_NAME, \
     COLUMN_KEY) ORDER BY ORDINAL_POSITION) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";
/// The storage engine's own number of each table and partition; a new one when its rows are written anew.
const STORAGE: &str =
    "SELECT CAST(NAME AS CHAR), TABLE_ID FROM information_schema.INNODB_SYS_TABLES";
/// A table's name as the storage engine writes it.
const FILE_NAME: &str = "SELECT CAST(CONCAT(CAST(CONVERT(? USING filename) AS BINARY), '/', CAST(CONVERT(? USING filename) AS BINARY)) AS CHAR)";
const PARTITION: &str = "#P#";

/// The numbers of each table's parts, by the table's file name.
type Parts = HashMap<String, BTreeMap<String, String>>;

/// How each of the tables looks; `None` for one that is not there. An error of one table is its own.
pub(super) async fn looks(
    conn: &mut Conn,
    tables: &[&TableName],
    depth: Depth,
) -> Result<Vec<Result<Option<Look>>>> {
    let parts = match depth {
        Depth::Definition => HashMap::new(),
        Depth::Storage => parts(conn).await?,
    };
    let mut looks = Vec::with_capacity(tables.len());
    for table in tables {
        let look = look(conn, table, &parts).await;
        match look {
            Err(error) if error.kind() == Kind::Unavailable => return Err(error),
            look => looks.push(look),
        }
    }
    Ok(looks)
}

async fn look(conn: &mut Conn, table: &TableName, parts: &Parts) -> Result<Option<Look>> {
    let Some(definition) = definition(conn, table).await? else {
        return Ok(None);
    };
    let storage = match parts.is_empty() {
        true => None,
        false => parts.get(&file_name(conn, table).await?).cloned(),
    };
    Ok(Some(Look {
        definition,
        storage: storage.unwrap_or_default(),
    }))
}

async fn definition(conn: &mut Conn, table: &TableName) -> Result<Option<String>> {
    let shown: Result<Option<Row>, _> = conn
        .query_first(format!("SHOW CREATE TABLE {}", quoted_table(table)))
        .await;
    let error = match shown {
        Ok(row) => {
            let text = row.map(|row| get::<String>(&row, 1, DOING)).transpose()?;
            return Ok(text.map(|text| without_counter(&text)));
        }
        Err(error) => error,
    };
    match failure::code(&error) {
        Some(1146 | 1049) => Ok(None),
        Some(1142 | 1143) => {
            let row: Option<Row> = conn
                .exec_first(COLUMNS, (&table.schema, &table.name))
                .await
                .map_err(|error| failure(error, DOING))?;
            match row.map(|row| get(&row, 0, DOING)).transpose()?.flatten() {
                Some(columns) => Ok(Some(columns)),
                None => Err(failure(error, DOING).about(table)),
            }
        }
        // A view over something that is gone: describing it says what.
        Some(1356) => Ok(None),
        _ => Err(failure(error, DOING).about(table)),
    }
}

/// The text without the next number of its counter, which every row moves.
fn without_counter(text: &str) -> String {
    const COUNTER: &str = " AUTO_INCREMENT=";
    // The options follow the columns; the comment, which may hold anything, comes last among them.
    let counted = text.rfind("\n) ENGINE=").and_then(|options| {
        let (columns, options) = text.split_at(options);
        let (before, after) = options.split_once(COUNTER)?;
        if before.contains(" COMMENT='") {
            return None;
        }
        let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        Some(format!("{columns}{before}{rest}"))
    });
    counted.unwrap_or_else(|| text.to_owned())
}

/// The number of each table's parts, by the table's file name; none where the account may not see them.
async fn parts(conn: &mut Conn) -> Result<Parts> {
    let rows: Vec<Row> = match conn.query(STORAGE).await {
        Ok(rows) => rows,
        Err(error) if failure::code(&error) == Some(failure::NEEDS_PRIVILEGE) => Vec::new(),
        Err(error) => return Err(failure(error, DOING)),
    };
    let mut parts = Parts::new();
    for row in &rows {
        let (name, number): (String, u64) = (get(row, 0, DOING)?, get(row, 1, DOING)?);
        let (table, part) = match name.split_once(PARTITION) {
            Some((table, part)) => (table, part),
            None => (name.as_str(), ""),
        };
        let table = parts.entry(table.to_owned()).or_default();
        table.insert(part.to_owned(), number.to_string());
    }
    Ok(parts)
}

async fn file_name(conn: &mut Conn, table: &TableName) -> Result<String> {
    let is_plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_plain(&table.schema) && is_plain(&table.name) {
        return Ok(format!("{}/{}", table.schema, table.name));
    }
    let row: Option<Row> = conn
        .exec_first(FILE_NAME, (&table.schema, &table.name))
        .await
        .map_err(|error| failure(error, DOING))?;
    let name = row.map(|row| get(&row, 0, DOING)).transpose()?;
    Ok(name.unwrap_or_default())
}

/// The present name of the table whose parts were remembered with these numbers.
pub(super) async fn moved_to(
    conn: &mut Conn,
    storage: &BTreeMap<String, String>,
) -> Result<Option<String>> {
    if storage.is_empty() {
        return Ok(None);
    }
    let parts = parts(conn).await?;
    let found = parts.into_iter().find(|(_, now)| now == storage);
    Ok(found.map(|(name, _)| name.replacen('/', ".", 1)))
}

/// What reads the newest number the table's counter gave out.
pub(super) fn newest_number(table: &TableName) -> Select {
    let text = |value: &str| Param {
        column_type: ColumnType::Text,
        value: value.to_owned(),
    };
    Select {
        sql: "SELECT CAST(AUTO_INCREMENT AS DECIMAL(20, 0)) - 1 FROM information_schema.TABLES \
              WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?"
            .to_owned(),
        params: vec![text(&table.schema), text(&table.name)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_left_out_of_the_definition_and_a_comment_is_not() {
        let text = |counter: &str, comment: &str| {
            format!(
                "CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT COMMENT ' AUTO_INCREMENT=1'\n) \
                 ENGINE=InnoDB{counter} DEFAULT CHARSET=utf8mb4 COMMENT='{comment}'"
            )
        };
        for comment in ["", " AUTO_INCREMENT=7"] {
            let without = text("", comment);
            assert_eq!(
                without_counter(&text(" AUTO_INCREMENT=12", comment)),
                without
            );
            assert_eq!(without_counter(&without), without);
        }
        assert_eq!(
            without_counter("CREATE VIEW `v` AS select 1"),
            "CREATE VIEW `v` AS select 1"
        );
    }
}
