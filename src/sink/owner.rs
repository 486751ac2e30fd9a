//! Whose lake it is: one cluster and one pipeline, written down once.

use bytes::Bytes;

use crate::error::{Error, Kind, Result};
use crate::lake::{Owner, PutOutcome, Store};

/// Binds the lake to this cluster and pipeline, or refuses if it is another's: offsets of two clusters in
/// one set of names would overwrite nothing and yet mean different rows.
pub async fn claim(store: &dyn Store, cluster: &str, pipeline: &str) -> Result<()> {
    let ours = owner(cluster, pipeline);
    let body = serde_json::to_vec(&ours).unwrap_or_default();
    if store.put_new(Owner::PATH, Bytes::from(body)).await? == PutOutcome::Created {
        return Ok(());
    }
    match Owner::read(store).await? {
        Some(theirs) => must_be_ours(store, &theirs, &ours),
        None => Err(Error::new(Kind::Unavailable, "reading whose lake this is")
            .about(store.location(Owner::PATH))),
    }
}

/// Refuses a lake that is another's, before anything is said of what lies in it.
pub async fn look_for_other(store: &dyn Store, cluster: &str, pipeline: &str) -> Result<()> {
    let ours = owner(cluster, pipeline);
    match Owner::read(store).await? {
        Some(theirs) => must_be_ours(store, &theirs, &ours),
        None => Ok(()),
    }
}

fn owner(cluster: &str, pipeline: &str) -> Owner {
    Owner {
        v: 1,
        cluster: cluster.to_owned(),
        pipeline: pipeline.to_owned(),
    }
}

fn must_be_ours(store: &dyn Store, theirs: &Owner, ours: &Owner) -> Result<()> {
    if theirs == ours {
        return Ok(());
    }
    Err(Error::new(
        Kind::Config,
        format!(
            "the lake belongs to pipeline `{}` on Kafka cluster `{}`, and this is pipeline `{}` on cluster `{}`",
            theirs.pipeline, theirs.cluster, ours.pipeline, ours.cluster
        ),
    )
    .about(store.location(Owner::PATH))
    .hint(
        "give each pipeline a `lake: url` of its own; if this one was renamed, use its old name; if the cluster was replaced for good, begin with an \
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
        block_on(look_for_other(&store, "one", "retail")).expect("nobody's");
        block_on(claim(&store, "one", "retail")).expect("claimed");
        block_on(claim(&store, "one", "retail")).expect("claimed before");
        for (cluster, pipeline) in [("two", "retail"), ("one", "other")] {
            for refused in [
                block_on(claim(&store, cluster, pipeline)),
                block_on(look_for_other(&store, cluster, pipeline)),
            ] {
                let error = refused.expect_err("refused");
                assert_eq!(error.kind(), Kind::Config);
                assert!(error.next_step().is_some());
            }
        }
    }
}
