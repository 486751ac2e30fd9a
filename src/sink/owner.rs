//! Whose lake it is: one cluster and one pipeline, written down once.

use bytes::Bytes;

use crate::error::{Error, Kind, Result};
use crate::lake::{Owner, PutOutcome, Store};

/// Binds the lake to this cluster and pipeline, or refuses if it is another's: offsets of two clusters in
/// one set of names would overwrite nothing and yet mean different rows.
pub async fn claim(store: &dyn Store, cluster: &str, pipeline: &str) -> Result<()> {
    let ours = Owner {
        v: 1,
        cluster: cluster.to_owned(),
        pipeline: pipeline.to_owned(),
    };
    let body = serde_json::to_vec(&ours).unwrap_or_default();
    if store.put_new(Owner::PATH, Bytes::from(body)).await? == PutOutcome::Created {
        return Ok(());
    }
    let place = store.location(Owner::PATH);
    let Some(theirs) = Owner::read(store).await? else {
        return Err(Error::new(Kind::Unavailable, "reading whose lake this is").about(place));
    };
    if theirs == ours {
        return Ok(());
    }
    Err(Error::new(
        Kind::Config,
        format!(
            "the lake belongs to pipeline `{}` on Kafka cluster `{}`, and this is pipeline `{pipeline}` on \
             cluster `{cluster}`",
            theirs.pipeline, theirs.cluster
        ),
    )
    .about(place)
    .hint(
        "give each pipeline a `lake: url` of its own; if the cluster was replaced for good, begin with an \
         empty lake",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::simulation::{FakeStore, block_on};

    #[test]
    fn a_lake_is_claimed_once_and_refused_to_others_with_the_way_out() {
        let store = FakeStore::default();
        block_on(claim(&store, "one", "retail")).expect("claimed");
        block_on(claim(&store, "one", "retail")).expect("claimed before");
        for (cluster, pipeline) in [("two", "retail"), ("one", "other")] {
            let error = block_on(claim(&store, cluster, pipeline)).expect_err("refused");
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.next_step().is_some());
        }
    }
}
