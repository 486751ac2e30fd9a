//! The pointer to a table's current load, and where loads lie: what readers of a bulk table go by.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::store::{Store, Swap};
use crate::error::{Error, Kind, Result};

/// `_current.json`: the load a reader opens. Format version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentLoad {
    pub v: u32,
    /// Its number; loads of a table are ordered by it.
    pub load: u64,
    pub ulid: String,
    /// The load's directory, relative to the lake's root.
    pub path: String,
    pub rows: u64,
    /// ISO 8601, UTC.
    pub switched_at: String,
}

impl CurrentLoad {
    /// The current load of the table in this directory, and the tag that replaces it.
    pub async fn read(
        store: &dyn Store,
        table_path: &str,
    ) -> Result<(Option<Self>, Option<String>)> {
        let path = pointer(table_path);
        match store.get(&path).await? {
            Some((text, tag)) => Ok((Some(read_object(&text, &path)?), Some(tag))),
            None => Ok((None, None)),
        }
    }

    /// The current load of the table in this directory, for who only looks; `None` while none is complete.
    pub async fn of(store: &dyn Store, table_path: &str) -> Result<Option<Self>> {
        Ok(Self::read(store, table_path).await?.0)
    }

    /// Makes this the current load if the pointer is still as it was read.
    pub async fn write(
        &self,
        store: &dyn Store,
        table_path: &str,
        tag: Option<&str>,
    ) -> Result<Swap> {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let path = pointer(table_path);
        store.replace(&path, Bytes::from(body), tag).await
    }
}

fn pointer(table_path: &str) -> String {
    format!("{table_path}/_current.json")
}

/// `<table path>/snapshot=<ULID>`: the directory of one load.
pub fn load_path(table_path: &str, ulid: &str) -> String {
    format!("{table_path}/snapshot={ulid}")
}

/// ULIDs of a table grow, whatever the clock does, and two that follow the same one differ.
pub fn next_ulid(before: Option<Ulid>) -> Ulid {
    let now = Ulid::new();
    match before {
        Some(before) if now <= before => Ulid::from_parts(before.timestamp_ms() + 1, now.random()),
        _ => now,
    }
}

/// The ULID of the load that a file of the table belongs to; `None` for any other object.
pub fn load_of<'p>(table_path: &str, path: &'p str) -> Option<&'p str> {
    let below = path.strip_prefix(table_path)?.strip_prefix("/snapshot=")?;
    let (ulid, _) = below.split_once('/')?;
    Ulid::from_string(ulid).is_ok().then_some(ulid)
}

/// Reads a small object of format version 1. `TryLater` for another version: a newer `cdc` wrote it.
pub fn read_object<T: for<'de> Deserialize<'de>>(text: &[u8], path: &str) -> Result<T> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let broken = |e| {
        Error::new(Kind::Data, "reading an object of the lake")
            .about(path)
            .because(e)
    };
    let version: Version = serde_json::from_slice(text).map_err(broken)?;
    if version.v != 1 {
        return Err(Error::new(
            Kind::TryLater,
            format!(
                "it has format version {}, and this program knows 1",
                version.v
            ),
        )
        .about(path)
        .hint("a newer `cdc` wrote it: let that one go on, or upgrade this one"));
    }
    serde_json::from_slice(text).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_below_a_load_belong_to_it() {
        let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let path = format!(
            "{}/dt=2026-10-01/part-00000.parquet",
            load_path("shop/orders", ulid)
        );
        assert_eq!(load_of("shop/orders", &path), Some(ulid));
        assert_eq!(load_of("shop/order", &path), None);
        assert_eq!(load_of("shop/orders", "shop/orders/_current.json"), None);
        assert_eq!(load_of("shop/orders", "shop/orders/dt=1/a.parquet"), None);
        // Somebody else's, which only looks like one.
        for other in ["001", "01-10-2026", "01ARZ3NDEKTSV4RRFFQ69G5FA", ""] {
            let path = format!("{}/a.parquet", load_path("shop/orders", other));
            assert_eq!(load_of("shop/orders", &path), None, "{path}");
        }
    }

    #[test]
    fn a_load_behind_a_clock_that_was_ahead_is_younger_and_its_own() {
        let in_a_year = Ulid::from_parts(Ulid::new().timestamp_ms() + 31_536_000_000, u128::MAX);
        let next: Vec<Ulid> = (0..3).map(|_| next_ulid(Some(in_a_year))).collect();
        assert!(next.iter().all(|next| *next > in_a_year), "{next:?}");
        assert!(next[0] != next[1] && next[1] != next[2], "{next:?}");
        let past = Ulid::from_parts(1, 7);
        assert!(next_ulid(Some(past)).timestamp_ms() > 1_000_000);
    }
}
