//! What the account may read of a table, and the grant that is missing.

use std::collections::BTreeSet;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::Withheld;
use super::describe::{CatalogColumn, get};
use super::failure::{self, failure};
use super::{quoted, quoted_table};
use crate::error::Result;
use crate::model::TableName;

/// Which columns cannot be read. The server does not show those on which the account has no right at all:
/// `SELECT *` tells whether there are such.
pub(super) async fn withheld(
    conn: &mut Conn,
    table: &TableName,
    columns: &[CatalogColumn],
) -> Result<Withheld> {
    let granted = columns.iter().filter(|column| column.granted);
    let mut selects: Vec<String> = granted.map(CatalogColumn::select).collect();
    if selects.is_empty() {
        selects.push("1".to_owned());
    }
    must_be_readable(conn, table, &selects).await?;
    let everything = format!("SELECT * FROM {} LIMIT 0", quoted_table(table));
    let others = match conn.exec_drop(everything, ()).await {
        Err(error) if is_denied(&error) => true,
        Err(error) => return Err(failure(error, "reading the table")),
        Ok(()) => false,
    };
    let columns: BTreeSet<String> = columns
        .iter()
        .filter(|column| !column.granted)
        .map(|column| column.name.clone())
        .collect();
    if !others && columns.is_empty() {
        return Ok(Withheld::default());
    }
    let (user, host) = account(conn).await;
    Ok(Withheld {
        columns,
        others,
        grant: grant(table, &user, &host),
        role: user,
    })
}

/// Asks for no rows of the table; a missing grant is named in full.
pub(super) async fn must_be_readable(
    conn: &mut Conn,
    table: &TableName,
    selects: &[String],
) -> Result<()> {
    let sql = format!(
        "SELECT {} FROM {} LIMIT 0",
        selects.join(", "),
        quoted_table(table)
    );
    let Err(error) = conn.exec_drop(sql, ()).await else {
        return Ok(());
    };
    let denied = is_denied(&error);
    let error = failure(error, "reading the table");
    if !denied {
        return Err(error);
    }
    let (user, host) = account(conn).await;
    Err(error.hint(grant(table, &user, &host)))
}

fn is_denied(error: &mysql_async::Error) -> bool {
    matches!(failure::code(error), Some(1044 | 1142 | 1143 | 1370))
}

/// User and host of the account, as the server knows it.
pub(super) async fn account(conn: &mut Conn) -> (String, String) {
    let account: Option<Row> = conn
        .exec_first("SELECT CURRENT_USER()", ())
        .await
        .ok()
        .flatten();
    let account = account
        .and_then(|row| get::<String>(&row, 0, "").ok())
        .unwrap_or_default();
    let (user, host) = account.rsplit_once('@').unwrap_or((account.as_str(), "%"));
    (user.to_owned(), host.to_owned())
}

pub(super) fn grant(table: &TableName, user: &str, host: &str) -> String {
    format!(
        "GRANT SELECT ON {} TO {}@{}",
        quoted_table(table),
        quoted(user),
        quoted(host)
    )
}
