//! A short look at tables: one statement for all who ask at one moment.
//!
//! It takes no lock on any table, so that a table somebody has locked does not hold up the looks at others.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;

use super::catalog::{LOOK, WHEREABOUTS};
use super::connect::{Database, cell};
use super::{DEFAULT_SCHEMA, quoted};
use crate::error::Result;
use crate::model::TableName;
use crate::source::Look;

const DOING: &str = "looking at the table";

/// How each of the tables looks; `None` for one that is not there.
pub(super) async fn looks(
    database: &Database,
    tables: &[&TableName],
) -> Result<Vec<Result<Option<Look>>>> {
    let connection = database.catalog().await?;
    let schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let asked = [
        (&schemas as _, Type::TEXT_ARRAY),
        (&names as _, Type::TEXT_ARRAY),
    ];
    let rows = connection.query(DOING, LOOK, &asked).await?;
    let mut looks = vec![None; tables.len()];
    for row in &rows {
        let number: i32 = cell(row, 0)?;
        let parts: Option<Vec<String>> = cell(row, 2)?;
        let parts = parts.unwrap_or_default();
        let storage = parts.iter().filter_map(|part| part.split_once('='));
        let place = usize::try_from(number - 1).ok();
        if let Some(look) = place.and_then(|place| looks.get_mut(place)) {
            *look = Some(Look {
                definition: cell(row, 1)?,
                storage: storage
                    .map(|(part, file)| (part.to_owned(), file.to_owned()))
                    .collect(),
            });
        }
    }
    Ok(looks.into_iter().map(Ok).collect())
}

/// The present name of the relation that was remembered.
pub(super) async fn moved_to(
    database: &Database,
    identity: &BTreeMap<String, String>,
) -> Result<Option<String>> {
    let Some(relation) = identity.get("relation") else {
        return Ok(None);
    };
    let connection = database.catalog().await?;
    let rows = connection
        .query(DOING, WHEREABOUTS, &[(&relation.as_str() as _, Type::TEXT)])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (schema, name): (String, String) = (cell(row, 0)?, cell(row, 1)?);
    Ok(Some(match schema == DEFAULT_SCHEMA {
        true => name,
        false => format!("{schema}.{name}"),
    }))
}

/// What reads the newest number a sequence gave out.
pub(super) fn newest_number(schema: &str, name: &str) -> String {
    format!(
        "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {}.{}",
        quoted(schema),
        quoted(name)
    )
}
