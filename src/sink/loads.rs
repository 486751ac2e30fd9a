//! Bulk loads in the lake: shares, the pointer to the current load, and garbage.
//!
//! Everything here may be done by several workers at once and again after a crash: shares and files are
//! created or found, the pointer is switched only forward and only from what was read, deleting is repeated.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::SinkTable;
use super::book::Book;
use super::judge::{LoadsOfTable, Verdict, garbage, judge, may_switch, share_is_due};
use super::open::footer;
use super::partition::{Ground, empty_plan};
use super::publish::{read_stored, stored_rows};
use super::stored::Stored;
use super::take_over::plan_keys;
use crate::error::{Error, Kind, Result};
use crate::lake::{
    CurrentLoad, ParquetFile, Plan, Store, Swap, file_schema, load_path, read_object,
};
use crate::model::Mode;
use crate::state::LoadRecord;

/// `_cdc/done/<topic>/<ULID>/<partition>`: how many rows the files of one partition hold. Format version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Share {
    v: u32,
    rows: u64,
}

/// A load that will never become the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLoad {
    pub number: u64,
    pub why: String,
    /// Its worker ended or lost the table, and the next load was begun in its place.
    pub was_cut_off: bool,
}

/// How the loads of a table stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub current: Option<CurrentLoad>,
    /// The newest one that failed, if it is newer than the current one.
    pub failed: Option<FailedLoad>,
}

/// The bulk loads of one table, as one worker sees them.
pub struct TableLoads<'a> {
    pub store: &'a dyn Store,
    pub ground: &'a Ground,
    pub table: &'a SinkTable,
    pub book: &'a Book,
    /// The partitions this worker owns, and up to which offset their records are in the lake.
    pub own: &'a BTreeMap<i32, u64>,
}

impl TableLoads<'_> {
    fn loads(&self) -> Option<&LoadsOfTable> {
        self.book
            .loads(&self.table.name.head_key(), &self.table.topic)
    }

    fn table_path(&self) -> String {
        super::table_path(&self.table.name)
    }

    fn load_path(&self, ulid: &str) -> String {
        load_path(&self.table_path(), ulid)
    }

    fn shares_path(&self, ulid: &str) -> String {
        format!("_cdc/done/{}/{ulid}/", self.table.topic)
    }

    /// States what shares are due, and switches to the newest complete load.
    pub async fn settle(&self) -> Result<Settled> {
        let (mut current, mut tag) = self.read_current().await?;
        let Some(loads) = self.loads() else {
            return Ok(Settled {
                current,
                failed: None,
            });
        };
        let mut failed: Option<FailedLoad> = None;
        let newer = |current: &Option<CurrentLoad>, number: u64| {
            may_switch(current.as_ref().map(|c| c.load), number)
        };
        for (number, record) in loads.iter().rev() {
            if !newer(&current, *number) {
                break;
            }
            self.state_shares(record).await?;
            let rows = match judge(record, &self.shares(record).await?) {
                Verdict::Complete { rows } => rows,
                Verdict::Unequal(why) => {
                    let number = *number;
                    failed.get_or_insert(FailedLoad {
                        number,
                        why,
                        was_cut_off: false,
                    });
                    continue;
                }
                Verdict::Abandoned => {
                    let number = *number;
                    let why = record.reason.as_deref().unwrap_or("no reason is known");
                    let why = format!("it was abandoned: {why}");
                    failed.get_or_insert(FailedLoad {
                        number,
                        why,
                        was_cut_off: record.cut_off,
                    });
                    continue;
                }
                Verdict::Open | Verdict::Waiting(_) => continue,
            };
            if rows == 0 && !self.write_empty_file(record).await? {
                continue;
            }
            let next = self.pointer_to(*number, record, rows);
            // Stale: another worker switched; what it switched to decides whether this is still forward.
            while newer(&current, *number) {
                match self.write_current(&next, tag.as_deref()).await? {
                    Swap::Done => {
                        tracing::info!(table = %self.table.name, load = next.ulid, rows, "switched to a new load");
                        current = Some(next.clone());
                    }
                    Swap::Stale => (current, tag) = self.read_current().await?,
                }
            }
            break;
        }
        // Another worker may have switched to one behind it.
        failed = failed.filter(|failed| newer(&current, failed.number));
        Ok(Settled { current, failed })
    }

    /// The number of the newest load there is.
    pub fn newest(&self) -> Option<u64> {
        Some(*self.loads()?.last_key_value()?.0)
    }

    /// States the shares of one load, by its ULID.
    pub async fn state_shares_of(&self, ulid: &str) -> Result<()> {
        let mut loads = self.loads().into_iter().flat_map(LoadsOfTable::values);
        match loads.find(|record| record.ulid == ulid) {
            Some(record) => self.state_shares(record).await,
            None => Ok(()),
        }
    }

    /// Writes the shares of this worker's partitions that are due and missing.
    async fn state_shares(&self, record: &LoadRecord) -> Result<()> {
        for (partition, in_lake) in self.own {
            if share_is_due(record, *partition, *in_lake) {
                self.state_share(record, *partition).await?;
            }
        }
        Ok(())
    }

    /// Counts what one partition's files of a load hold, by their footers, and says so once.
    async fn state_share(&self, record: &LoadRecord, partition: i32) -> Result<()> {
        let path = format!("{}{partition}", self.shares_path(&record.ulid));
        if self.store.get(&path).await?.is_some() {
            return Ok(());
        }
        let mine = format!("/{}+{}+{partition}+", self.table.topic, record.epoch);
        let mut rows = 0;
        let below = format!("{}/", self.load_path(&record.ulid));
        for entry in self.store.list(&below).await? {
            if !entry.path.contains(&mine) {
                continue;
            }
            if let Some((of_file, _)) = stored_rows(self.store, &entry.path).await? {
                rows += of_file;
            }
        }
        let share = serde_json::to_vec(&Share { v: 1, rows }).unwrap_or_default();
        // Whoever was first counted the same files.
        self.store.put_new(&path, Bytes::from(share)).await?;
        Ok(())
    }

    async fn shares(&self, record: &LoadRecord) -> Result<BTreeMap<i32, u64>> {
        let prefix = self.shares_path(&record.ulid);
        let mut shares = BTreeMap::new();
        for entry in self.store.list(&prefix).await? {
            let partition = entry
                .path
                .strip_prefix(&prefix)
                .and_then(|p| p.parse().ok());
            if let (Some(partition), Some((text, _))) =
                (partition, self.store.get(&entry.path).await?)
            {
                let share: Share = read_object(&text, &entry.path)?;
                shares.insert(partition, share.rows);
            }
        }
        Ok(shares)
    }

    async fn read_current(&self) -> Result<(Option<CurrentLoad>, Option<String>)> {
        CurrentLoad::read(self.store, &self.table_path()).await
    }

    fn pointer_to(&self, number: u64, record: &LoadRecord, rows: u64) -> CurrentLoad {
        CurrentLoad {
            v: 1,
            load: number,
            ulid: record.ulid.clone(),
            path: self.load_path(&record.ulid),
            rows,
            switched_at: jiff::Timestamp::now().to_string(),
        }
    }

    async fn write_current(&self, next: &CurrentLoad, tag: Option<&str>) -> Result<Swap> {
        next.write(self.store, &self.table_path(), tag).await
    }

    /// Gives a load without rows its one file, so that a reader finds the columns. False while nothing says
    /// what they are.
    async fn write_empty_file(&self, record: &LoadRecord) -> Result<bool> {
        let Some(plan) = self.empty_plan(record).await? else {
            tracing::warn!(
                table = %self.table.name, load = record.ulid,
                "an empty load waits: neither its record nor an earlier load says which columns it has"
            );
            return Ok(false);
        };
        let Some(fingerprint) = crate::model::Fingerprint::parse(&plan.file.fingerprint) else {
            return Err(Error::new(Kind::Data, "reading the fingerprint of a plan"));
        };
        let schema = self.ground.schemas.schema(&fingerprint)?;
        let schema = file_schema(&schema, &plan.file.metadata_columns);
        let spool = &self.ground.spool;
        std::fs::create_dir_all(spool).map_err(|e| {
            Error::new(Kind::LocalIo, "creating the spool")
                .about(spool.display())
                .because(e)
        })?;
        let path = self
            .ground
            .spool
            .join(format!("empty-{}.parquet", record.ulid));
        let mut file = ParquetFile::create(&path, schema.clone(), &plan.file.compression, &[])?;
        file.write(&RecordBatch::new_empty(schema))?;
        let written = file.finish(&footer(&plan))?;
        let put = self
            .store
            .put_file_new(&plan.file_path(""), &written.path)
            .await;
        let _ = std::fs::remove_file(&written.path);
        put.map(|_| true)
    }

    /// What shapes the file of an empty load: the record's schema, else the one of the topic's newest plan.
    async fn empty_plan(&self, record: &LoadRecord) -> Result<Option<Plan>> {
        let topic = self.table.topic.as_str();
        let keys = plan_keys(self.store, topic).await?;
        let newest = keys.into_iter().max_by_key(|key| (key.epoch, key.start));
        let stored = match newest {
            Some(key) => read_stored(self.store, &key.path(topic)).await?,
            None => None,
        };
        let known = match stored {
            Some(Stored::Chunk(plan)) => Some(plan.file.fingerprint),
            _ => None,
        };
        let Some(fingerprint) = record.fingerprint.clone().or(known) else {
            return Ok(None);
        };
        Ok(Some(empty_plan(
            self.table,
            self.ground,
            record,
            fingerprint,
        )))
    }

    /// Deletes the files of loads that nobody may open any more.
    pub async fn sweep(&self, current: Option<&CurrentLoad>) -> Result<()> {
        let Some(loads) = self.loads() else {
            return Ok(());
        };
        let number = current.map(|c| c.load);
        let previous = self.previous_complete(loads, number).await?;
        for ulid in garbage(loads, number, previous) {
            for prefix in [
                format!("{}/", self.load_path(&ulid)),
                self.shares_path(&ulid),
            ] {
                for entry in self.store.list(&prefix).await? {
                    self.store.delete(&entry.path).await?;
                }
            }
        }
        Ok(())
    }

    async fn previous_complete(
        &self,
        loads: &LoadsOfTable,
        current: Option<u64>,
    ) -> Result<Option<u64>> {
        let Some(current) = current else {
            return Ok(None);
        };
        for (number, record) in loads.range(..current).rev() {
            let shares = self.shares(record).await?;
            if matches!(judge(record, &shares), Verdict::Complete { .. }) {
                return Ok(Some(*number));
            }
        }
        Ok(None)
    }

    /// Below which epoch the table's files are void, and where the first one that counts begins.
    pub fn retired(&self) -> Option<(u64, &[u64])> {
        let record = self.book.epoch(&self.table.name.head_key())?;
        Some((record.retired_below?, &record.start))
    }

    /// Deletes the files of epochs that are void, also those of a topic that the table had before: what lies in
    /// its directory is its own, and its epochs only grow. A worker that was frozen may put one late, so that this is
    /// done again and again, for ever. The load of a bulk table that readers see stays until another is switched to,
    /// and is swept as every load before the current one.
    pub async fn sweep_retired(&self) -> Result<()> {
        let Some((below, _)) = self.retired() else {
            return Ok(());
        };
        let current = match self.table.mode {
            Mode::Bulk => self.read_current().await?.0,
            Mode::Incrementing | Mode::Timestamp | Mode::TimestampIncrementing => None,
        };
        let seen = current.map(|current| format!("{}/", self.load_path(&current.ulid)));
        for entry in self.store.list(&format!("{}/", self.table_path())).await? {
            let epoch = epoch_of_file(&entry.path);
            let is_seen = seen
                .as_ref()
                .is_some_and(|seen| entry.path.starts_with(seen));
            if !is_seen && epoch.is_some_and(|epoch| epoch < below) {
                self.store.delete(&entry.path).await?;
            }
        }
        Ok(())
    }
}

/// The epoch in the name of a file, `<topic>+<epoch>+<partition>+<s>-<e>.parquet`; `None` for any other file.
fn epoch_of_file(path: &str) -> Option<u64> {
    let (_, name) = path.rsplit_once('/')?;
    let parts: Vec<&str> = name.strip_suffix(".parquet")?.split('+').collect();
    match parts.as_slice() {
        [_, epoch, partition, offsets] if offsets.contains('-') => {
            partition.parse::<u32>().ok()?;
            epoch.parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "loads_tests.rs"]
mod tests;
