//! From the spool into the lake: all files of all tables first, then each table's pointer.
//!
//! Nobody is asked who else is at work. Loads are ordered by their ULIDs: a pointer goes to a younger load only, and
//! whoever switched deletes what is older than the load before. A load whose pointer was not switched by then never
//! will be, whether its process was killed or is merely slow.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::parts::Part;
use super::progress::Progress;
use super::reading::Read;
use super::was_stopped;
use crate::config::LakePlace;
use crate::error::{Error, Kind, Result};
use crate::lake::{
    CurrentLoad, Owner, PutOutcome, Store, Swap, load_of, load_path, next_ulid, open_store,
    open_to_read,
};
use crate::model::TableName;
use crate::source::Chosen;

/// Files that are put, and tables that are looked at, at the same time.
const AT_ONCE: usize = 4;
/// In such units files on their way are counted against the memory: a store may hold a file whole to put it.
const UNIT: u64 = 1 << 20;
/// How long taking back what was put may take.
const TAKING_BACK: std::time::Duration = std::time::Duration::from_secs(10);

/// A lake and the load that is to come into it.
pub struct Lake {
    store: Arc<dyn Store>,
    ulid: Ulid,
}

impl Lake {
    /// Opens the lake, and looks whether these tables may come into it.
    ///
    /// Errors: `Config` if it is a pipeline's, or one of the tables has files here that are no loads.
    pub async fn open(place: &LakePlace, tables: &[Chosen]) -> Result<Self> {
        // Before a directory is made.
        refuse_owned_above(place).await?;
        let store = open_store(place).await?;
        refuse_owned(store.as_ref()).await?;
        let newest = tables
            .iter()
            .map(|table| newest(store.as_ref(), &table.name));
        let newest: Vec<Option<Ulid>> = stream::iter(newest)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let ulid = next_ulid(newest.into_iter().flatten().max());
        Ok(Lake { store, ulid })
    }

    /// The load's name, the same in every table: it is younger than all loads they have.
    pub fn ulid(&self) -> Ulid {
        self.ulid
    }

    /// Where the lake itself lets files grow.
    pub fn spool(&self) -> Option<std::path::PathBuf> {
        self.store.spool()
    }

    /// What a reader opens.
    pub fn location(&self, table: &TableName) -> String {
        let path = self.load_path(table);
        self.store.location(&format!("{path}/**/*.parquet"))
    }

    fn load_path(&self, table: &TableName) -> String {
        load_path(&table.directory(), &self.ulid.to_string())
    }

    /// Brings what was read into the lake, with no more than `memory` bytes of files on their way. Once the first pointer is switched the others follow, whatever is asked.
    pub async fn publish(
        &self,
        read: &Read,
        memory: u64,
        stop: &CancellationToken,
        progress: &Progress,
    ) -> Result<()> {
        progress.publishing();
        let put = tokio::select! {
            put = self.put_all(read, memory) => put,
            () = stop.cancelled() => Err(was_stopped()),
        };
        let put = match put {
            // A pipeline may have made it its own meanwhile.
            Ok(()) => refuse_owned(self.store.as_ref()).await,
            failed => failed,
        };
        if let Err(error) = put {
            self.take_back(read).await;
            return Err(error);
        }
        let mut switched = Vec::new();
        let mut overtaken = Vec::new();
        for table in read.tables() {
            let name = &table.chosen.name;
            let rows = read.parts.iter().filter(|part| part.table == table.number);
            let rows = rows.map(|part| part.file.rows).sum();
            match self.switch(name, rows).await {
                Ok(Switched::From(before)) => switched.push((name, before)),
                Ok(Switched::Overtaken) => {
                    self.delete_own(name).await;
                    overtaken.push(name.to_string());
                }
                Err(error) => return Err(half_way(error.about(name), &switched)),
            }
        }
        for (table, before) in switched {
            self.sweep(table, before.as_deref()).await;
        }
        match overtaken.as_slice() {
            [] => Ok(()),
            names => Err(Error::new(
                Kind::TryLater,
                format!("a newer load of `{}` is in the lake already", names.join("`, `")),
            )
            .hint("another `cdc snapshot` began later and ended earlier; its load stays the current one")),
        }
    }

    async fn put_all(&self, read: &Read, memory: u64) -> Result<()> {
        let all = u32::try_from(memory / UNIT).unwrap_or(u32::MAX).max(1);
        let room = Semaphore::new(all as usize);
        let mut numbers = vec![0; read.tables().len()];
        let mut puts = Vec::with_capacity(read.parts.len());
        for part in &read.parts {
            let (Some(table), Some(number)) =
                (read.tables().get(part.table), numbers.get_mut(part.table))
            else {
                return Err(Error::new(Kind::Bug, "a part belongs to no table"));
            };
            let path = self.path(&table.chosen.name, part, *number);
            let units = u32::try_from(part.file.bytes.div_ceil(UNIT)).unwrap_or(all);
            let room = &room;
            puts.push(async move {
                let _held = room.acquire_many(units.clamp(1, all)).await;
                self.put(path, part).await
            });
            *number += 1;
        }
        stream::iter(puts)
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await
            .map(drop)
    }

    /// `<table>/snapshot=<ULID>/<directory>/part-00000.parquet`.
    fn path(&self, table: &TableName, part: &Part, number: u32) -> String {
        let slash = if part.directory.is_empty() { "" } else { "/" };
        let load = self.load_path(table);
        format!("{load}/{}{slash}part-{number:05}.parquet", part.directory)
    }

    async fn put(&self, path: String, part: &Part) -> Result<()> {
        if self.store.give_file_new(&path, &part.file.path).await? == PutOutcome::Created {
            return Ok(());
        }
        // The ULID is this load's own: what is there was put by a try whose answer was lost.
        let there = self.store.tail(&path, 0).await?;
        if there.is_some_and(|(_, size)| size == part.file.bytes) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Data,
            "a file of this load is there already, and it is not ours",
        )
        .about(self.store.location(&path))
        .hint("nothing was overwritten; run the command again"))
    }

    async fn switch(&self, table: &TableName, rows: u64) -> Result<Switched> {
        let (store, directory) = (self.store.as_ref(), table.directory());
        let mut before = None;
        loop {
            let (current, tag) = CurrentLoad::read(store, &directory).await?;
            let ulid = self.ulid.to_string();
            // A try whose answer was lost.
            if current.as_ref().is_some_and(|current| current.ulid == ulid) {
                return Ok(Switched::From(before));
            }
            if current.as_ref().is_some_and(|current| current.ulid > ulid) {
                return Ok(Switched::Overtaken);
            }
            let next = CurrentLoad {
                v: 1,
                load: current.as_ref().map_or(1, |current| current.load + 1),
                path: self.load_path(table),
                ulid,
                rows,
                switched_at: jiff::Timestamp::now().to_string(),
            };
            before = current.map(|current| current.ulid);
            // Stale: somebody switched meanwhile; what they switched to decides.
            if next.write(store, &directory, tag.as_deref()).await? == Swap::Done {
                return Ok(Switched::From(before));
            }
        }
    }

    /// Deletes the loads that are older than the one before this. What cannot be deleted now is left to the next load.
    async fn sweep(&self, table: &TableName, before: Option<&str>) {
        let directory = table.directory();
        let own = self.ulid.to_string();
        let is_garbage = |ulid: &str| ulid < own.as_str() && Some(ulid) != before;
        if let Err(error) = self.delete(&directory, is_garbage).await {
            tracing::warn!(table = %table, %error, "older loads are not swept");
        }
    }

    /// Deletes what was put of this load: no pointer names it.
    async fn take_back(&self, read: &Read) {
        let deleting = async {
            for table in read.tables() {
                self.delete_own(&table.chosen.name).await;
            }
        };
        let _ = tokio::time::timeout(TAKING_BACK, deleting).await;
    }

    async fn delete_own(&self, table: &TableName) {
        let own = self.ulid.to_string();
        if let Err(error) = self.delete(&table.directory(), |ulid| ulid == own).await {
            tracing::warn!(table = %table, %error, "what was put is left to the next load to sweep");
        }
    }

    async fn delete(&self, directory: &str, is_meant: impl Fn(&str) -> bool) -> Result<()> {
        let below = format!("{directory}/snapshot=");
        for entry in self.store.list(&below).await? {
            if load_of(directory, &entry.path).is_some_and(&is_meant) {
                self.store.delete(&entry.path).await?;
            }
        }
        Ok(())
    }
}

/// A pointer that could not be switched, and which were.
fn half_way(error: Error, switched: &[(&TableName, Option<String>)]) -> Error {
    if switched.is_empty() {
        return error.while_doing("switching to the new load");
    }
    let names: Vec<String> = switched
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    error.while_doing(format!(
        "switching to the new load, which readers of {} see already",
        names.join(", ")
    ))
}

/// What came of switching a pointer.
enum Switched {
    /// From this load, if there was one.
    From(Option<String>),
    Overtaken,
}

/// A place within a pipeline's lake is a part of it. What cannot be looked at above it is nobody's.
async fn refuse_owned_above(place: &LakePlace) -> Result<()> {
    let mut above = place.above();
    while let Some(place) = above {
        if let Ok(store) = open_to_read(&place).await
            && let Ok(Some(_)) = Owner::read(store.as_ref()).await
        {
            return refuse_owned(store.as_ref()).await;
        }
        above = place.above();
    }
    Ok(())
}

/// A lake that a pipeline owns is written by that pipeline alone.
async fn refuse_owned(store: &dyn Store) -> Result<()> {
    let Some(Owner {
        cluster, pipeline, ..
    }) = Owner::read(store).await?
    else {
        return Ok(());
    };
    Err(Error::new(
        Kind::Config,
        format!(
            "the lake belongs to pipeline `{pipeline}` on Kafka cluster `{cluster}`, which alone writes to it"
        ),
    )
    .about(store.location(""))
    .hint("name another place, or let the pipeline load the table: `cdc snapshot -c FILE TABLE`"))
}

/// The newest load that lies in a table's directory, current or not.
async fn newest(store: &dyn Store, table: &TableName) -> Result<Option<Ulid>> {
    let directory = table.directory();
    let mut newest = None;
    for entry in store.list(&format!("{directory}/")).await? {
        match load_of(&directory, &entry.path) {
            Some(ulid) => newest = newest.max(Ulid::from_string(ulid).ok()),
            None if entry.path.ends_with(".parquet") => {
                return Err(Error::new(
                    Kind::Config,
                    "its directory in the lake holds files that are no load of it",
                )
                .about(table)
                .hint(format!(
                    "name another place, or another `--source`; `{}` is one of them",
                    store.location(&entry.path)
                )));
            }
            None => {}
        }
    }
    Ok(newest)
}
