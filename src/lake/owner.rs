//! Whose lake it is: the object that binds one to a pipeline.

use serde::{Deserialize, Serialize};

use super::store::Store;
use crate::error::{Error, Kind, Result};

/// `_cdc/owner`: the one Kafka cluster and pipeline that bring topics here. Format version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub v: u32,
    pub cluster: String,
    pub pipeline: String,
}

impl Owner {
    /// Where it is written down.
    pub const PATH: &str = "_cdc/owner";

    /// The owner, if there is one.
    pub async fn read(store: &dyn Store) -> Result<Option<Owner>> {
        let Some((text, _)) = store.get(Self::PATH).await? else {
            return Ok(None);
        };
        let owner = serde_json::from_slice(&text).map_err(|error| {
            Error::new(Kind::Config, "reading whose lake this is")
                .about(store.location(Self::PATH))
                .because(error)
        })?;
        Ok(Some(owner))
    }
}
