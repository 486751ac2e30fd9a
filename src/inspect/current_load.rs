//! The load of a bulk table that readers see.

use serde::Deserialize;

use crate::error::{Error, Kind, Result};
use crate::lake::Store;
use crate::model::TableName;

/// `_current.json`: the load a reader opens.
#[derive(Clone, Debug, Deserialize)]
pub struct CurrentLoad {
    v: u32,
    /// Its number.
    pub load: u64,
    /// The load's directory, relative to the lake's root.
    pub path: String,
    pub rows: u64,
    pub switched_at: String,
}

impl CurrentLoad {
    /// The current load of a bulk table; `None` while none is complete.
    pub async fn read(store: &dyn Store, table: &TableName) -> Result<Option<Self>> {
        let path = format!("{}/_current.json", table.directory());
        let Some((text, _)) = store.get(&path).await? else {
            return Ok(None);
        };
        let doing =
            || Error::new(Kind::Data, "reading the current load").about(store.location(&path));
        let current: CurrentLoad =
            serde_json::from_slice(&text).map_err(|error| doing().because(error))?;
        match current.v {
            1 => Ok(Some(current)),
            _ => Err(Error::new(
                Kind::TryLater,
                format!("`_current.json` has format version {}", current.v),
            )
            .hint("a newer `cdc` wrote it; use that version here too")),
        }
    }
}
