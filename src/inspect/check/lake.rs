//! What is said of the lake.

use std::sync::Arc;

use serde::Deserialize;

use super::{Finding, Findings, Level};
use crate::config::LakeSettings;
use crate::error::{Error, Kind, Result};
use crate::lake::Store;

/// The lake, if it could be opened, and whose it is.
pub(super) type Place = Result<(Arc<dyn Store>, Result<Option<Owner>>)>;

/// The place, and whose it is.
pub(super) fn about_lake(
    lake: &LakeSettings,
    place: Place,
    cluster: Option<String>,
    pipeline: &str,
) -> Vec<Finding> {
    let mut findings = Findings::of("lake");
    let (store, owner) = match place {
        Ok(place) => place,
        Err(error) => {
            let error = match error.next_step() {
                Some(_) => error,
                None => error
                    .hint("check `lake.url` and `lake.endpoint`, and that this machine reaches it"),
            };
            findings.error(Level::Fail, "store", &error);
            return findings.list;
        }
    };
    let zone = lake.day_in.iana_name().unwrap_or("UTC");
    let place = store.location("");
    findings.ok(
        "store",
        format!("{place} honours conditional writes; days are cut in {zone}"),
    );
    match owner {
        Ok(None) => findings.ok(
            "owner",
            "nobody yet: the first run binds it to this cluster and pipeline",
        ),
        Ok(Some(owner)) => {
            let same_cluster = cluster.is_none_or(|cluster| cluster == owner.cluster);
            if owner.pipeline == pipeline && same_cluster {
                findings.ok("owner", format!("this pipeline, `{pipeline}`"));
            } else {
                findings.add(
                    Level::Fail,
                    "owner",
                    format!(
                        "it belongs to pipeline `{}` on Kafka cluster `{}`",
                        owner.pipeline, owner.cluster
                    ),
                    Some("give each pipeline a `lake.url` of its own".to_owned()),
                );
            }
        }
        Err(error) => findings.error(Level::Fail, "owner", &error),
    }
    findings.list
}

/// Whose lake it is: `_cdc/owner`.
#[derive(Deserialize)]
pub(super) struct Owner {
    cluster: String,
    pipeline: String,
}

/// Reads it.
pub(super) async fn owner(store: &dyn Store) -> Result<Option<Owner>> {
    let Some((text, _)) = store.get("_cdc/owner").await? else {
        return Ok(None);
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| Error::new(Kind::Data, "reading whose lake it is").because(error))
}
