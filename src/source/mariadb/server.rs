//! What the server is: alone, one of several writers, or a replica.

use std::collections::BTreeMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::describe::get;
use super::failure::failure;
use crate::error::Result;
use crate::model::TableName;

const SERVER: &str = "SELECT LOWER(VARIABLE_NAME), VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES \
     WHERE VARIABLE_NAME IN ('SERVER_ID', 'AUTO_INCREMENT_INCREMENT', 'WSREP_ON') \
     UNION ALL SELECT LOWER(VARIABLE_NAME), VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
     WHERE VARIABLE_NAME = 'SLAVES_RUNNING'";

pub(super) struct Server {
    id: String,
    increment: u64,
    is_cluster: bool,
    pub(super) replicating: bool,
}

impl Server {
    pub(super) fn several_writers(&self) -> Option<String> {
        if self.is_cluster {
            Some("the server is a member of a Galera cluster, and writers of other members cannot be seen here".into())
        } else if self.increment > 1 {
            Some(format!(
                "`auto_increment_increment` is {}, so several servers draw ids, and those of others cannot be seen here",
                self.increment
            ))
        } else {
            None
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let replica = "the server is a replica: rows come in the order of its primary's commits, which it does not show";
        self.several_writers()
            .into_iter()
            .chain(self.replicating.then(|| replica.to_owned()))
            .collect()
    }

    /// What the table is, beyond its name. The time it was created is not part of it: an ALTER that rebuilds the
    /// table sets it anew.
    pub(super) fn identity_of(&self, table: &TableName) -> BTreeMap<String, String> {
        let part = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        BTreeMap::from([
            part("server_id", &self.id),
            part("database", &table.schema),
            part("table", &table.name),
        ])
    }
}

pub(super) async fn server(conn: &mut Conn, doing: &str) -> Result<Server> {
    let rows: Vec<Row> = conn
        .exec(SERVER, ())
        .await
        .map_err(|error| failure(error, doing))?;
    let mut server = Server {
        id: String::new(),
        increment: 1,
        is_cluster: false,
        replicating: false,
    };
    for row in &rows {
        let (name, value): (String, String) = (get(row, 0, doing)?, get(row, 1, doing)?);
        match name.as_str() {
            "server_id" => server.id = value,
            "auto_increment_increment" => server.increment = value.parse().unwrap_or(1),
            "wsrep_on" => server.is_cluster = value.eq_ignore_ascii_case("on"),
            _ => server.replicating = value.parse::<u64>().is_ok_and(|running| running > 0),
        }
    }
    Ok(server)
}
