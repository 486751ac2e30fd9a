//! Where the lake's objects are: one contract, on S3 and in a local directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use ulid::Ulid;

use crate::config::LakePlace;
use crate::error::{Error, Kind, Result};

mod local;
mod s3;

/// What came of putting an object that must not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is there now, whole and durable.
    Created,
    /// An object of this name was there before (perhaps our own, from a try whose answer was lost). Nothing
    /// was changed.
    AlreadyThere,
}

/// What came of replacing an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    Done,
    /// Somebody else changed it since it was read.
    Stale,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the lake's root.
    pub path: String,
    pub size: u64,
    /// Milliseconds since 1970, by the store's clock.
    pub modified: i64,
}

/// Objects by path relative to the lake's root, `/`-separated.
///
/// Contract: an object is seen whole or not at all; a put that was answered is durable. Every method tries
/// again on what passes by itself (time-outs, 5xx, 409) within about a minute and then fails with
/// `Unavailable`; an unknown outcome of a conditional put is settled by looking before it is answered.
/// Permission and missing buckets fail at once with the place named and the way out.
#[async_trait]
pub trait Store: Send + Sync {
    /// Puts a small object that must not exist yet.
    async fn put_new(&self, path: &str, body: Bytes) -> Result<PutOutcome>;

    /// Puts a local file under a name that must not exist yet; large files in parts.
    async fn put_file_new(&self, path: &str, file: &Path) -> Result<PutOutcome>;

    /// As [`Store::put_file_new`], of a synced file that is given away: it is gone afterwards, whatever came of it.
    /// A file in [`Store::spool`] is not copied.
    async fn give_file_new(&self, path: &str, file: &Path) -> Result<PutOutcome> {
        let outcome = self.put_file_new(path, file).await;
        // Whoever sweeps the spool finds what cannot be deleted now.
        let _ = std::fs::remove_file(file);
        outcome
    }

    /// A directory where files that are to be given may grow under names that are ULIDs, if the store has one: what a
    /// crash leaves there is swept by the next who opens the store alone.
    fn spool(&self) -> Option<PathBuf> {
        None
    }

    /// The whole object and the tag [`Store::replace`] takes; `None` if there is none.
    async fn get(&self, path: &str) -> Result<Option<(Bytes, String)>>;

    /// The last `len` bytes of an object (all of it if it is shorter) and its full size; `None` if there is none.
    async fn tail(&self, path: &str, len: u64) -> Result<Option<(Bytes, u64)>>;

    /// Replaces an object if its tag is still `tag`; with `None`, creates it if there is none.
    async fn replace(&self, path: &str, body: Bytes, tag: Option<&str>) -> Result<Swap>;

    /// Every object whose path starts with `prefix`, in byte order of the path.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>>;

    /// Deletes an object; one that is not there is no error.
    async fn delete(&self, path: &str) -> Result<()>;

    /// Checks that objects put in parts are created under the same condition; `path` must be there.
    /// Nothing to check where files are put whole.
    async fn check_parts(&self, _path: &str) -> Result<()> {
        Ok(())
    }

    /// Where `path` is, as a reader outside would write it: `s3://bucket/prefix/path`, `/srv/lake/path`.
    fn location(&self, path: &str) -> String;
}

/// Opens the store and checks that it is there and honours conditional writes. A local directory is made if
/// there is none.
///
/// Errors: `Config` if there is no such bucket, or the store ignores the conditions the lake rests on;
/// `Permission` if the credentials are missing or may not list, read, write and delete.
pub async fn open_store(place: &LakePlace) -> Result<Arc<dyn Store>> {
    let store = connect(place, true).await?;
    let path = format!("_cdc/probe/{}", Ulid::new());
    let honoured = probe(store.as_ref(), &path).await;
    let deleted = store.delete(&path).await;
    honoured
        .map_err(|error| error.while_doing("checking that the lake honours conditional writes"))?;
    deleted.map_err(|error| error.while_doing("checking that the lake can be swept"))?;
    Ok(store)
}

/// Opens the store to look at it: nothing is checked, and no object is written. A local directory is made if
/// there is none.
pub async fn open_to_read(place: &LakePlace) -> Result<Arc<dyn Store>> {
    connect(place, false).await
}

async fn connect(place: &LakePlace, checked: bool) -> Result<Arc<dyn Store>> {
    Ok(match place {
        LakePlace::Local(directory) => Arc::new(local::LocalStore::open(directory).await?),
        LakePlace::S3 {
            bucket,
            prefix,
            endpoint,
            region,
            path_style,
            ca_file,
        } => {
            let (endpoint, region) = (endpoint.as_deref(), region.as_deref());
            let client = s3::client(endpoint, region, *path_style, ca_file.as_deref()).await?;
            let store = s3::S3Store::new(client, bucket, prefix);
            if checked {
                store.check_bucket().await?;
            }
            Arc::new(store)
        }
    })
}

/// Puts one object twice and replaces it with a tag it never had. A store that takes either would let two
/// workers write one file, and readers see rows twice.
async fn probe(store: &dyn Store, path: &str) -> Result<()> {
    store.put_new(path, Bytes::from_static(b"first")).await?;
    if store.put_new(path, Bytes::from_static(b"second")).await? != PutOutcome::AlreadyThere {
        return Err(unfit(
            store,
            "it overwrites an object although `If-None-Match: *` was asked",
        ));
    }
    store.check_parts(path).await?;
    let never = "\"00000000000000000000000000000000\"";
    if store
        .replace(path, Bytes::from_static(b"third"), Some(never))
        .await?
        != Swap::Stale
    {
        return Err(unfit(
            store,
            "it overwrites an object although `If-Match` names another version",
        ));
    }
    match store.get(path).await? {
        Some((body, _)) if body == "first" => Ok(()),
        _ => Err(unfit(
            store,
            "an object that was put is not there as it was put",
        )),
    }
}

fn unfit(store: &dyn Store, why: &str) -> Error {
    Error::new(Kind::Config, why).code(crate::error::Code::NO_CONDITIONAL_WRITES).about(format!("`{}`", store.location(""))).hint(
        "the lake needs a store with conditional writes: AWS S3, or a server that honours `If-None-Match` and `If-Match`",
    )
}

/// Refuses a path that could leave the lake's root or name two objects in one way.
fn check_path(path: &str) -> Result<()> {
    let strange = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\\', '\0']);
    if path.split('/').any(strange) {
        return Err(Error::new(
            Kind::Bug,
            format!("`{path}` is no path within the lake"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_the_lake() {
        for path in [
            "a",
            "ec/orders/dt=2026-10-01/a+b.parquet",
            "a/..b/c.",
            "_cdc/owner",
        ] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        for path in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "..",
            "a/../b",
            "./a",
            "a/.",
            "a\\..\\b",
            "a\0b",
        ] {
            assert_eq!(
                check_path(path).expect_err("refused").kind(),
                Kind::Bug,
                "{path}"
            );
        }
    }
}
