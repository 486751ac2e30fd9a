//! Batches as part files in the spool: one lane per session that reads, on a thread of its own, so that reading and
//! writing overlap.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use tokio::sync::mpsc::Receiver;

use super::spool::Spool;
use super::tables::Table;
use crate::config::FileSettings;
use crate::error::{Error, Kind, Result};
use crate::lake::{GrowingFile, LoadFooter, WrittenFile};
use crate::model::{Misfit, Misfits};

/// Files that stay open while their rows are flushed, in one lane. Of more, each would keep a handle, and hold memory
/// anew with its next row: they are closed.
const MANY: usize = 64;

/// A finished file of one table.
#[derive(Debug)]
pub struct Part {
    /// The table's place.
    pub table: usize,
    /// `dt=2026-10-01`, or empty.
    pub directory: String,
    pub file: WrittenFile,
    /// Values in whose place NULL stands in this and the other files that were closed with it; told of one of them.
    pub nulled: Nulled,
}

/// How many values, by column and sort of value.
pub type Nulled = BTreeMap<(String, String), u64>;

/// What all lanes have in common.
pub struct Writing {
    pub tables: Vec<Table>,
    pub load: String,
    /// ISO 8601, UTC.
    pub read_at: String,
    pub files: FileSettings,
    /// Bytes of memory that the open files of one lane may hold.
    pub memory: u64,
    /// What is written is of no use any more.
    pub is_abandoned: AtomicBool,
}

impl Writing {
    pub fn table(&self, number: usize) -> Result<&Table> {
        self.tables
            .get(number)
            .ok_or_else(|| Error::new(Kind::Bug, "rows came of a table that there is not"))
    }

    fn footer(&self, table: &Table) -> LoadFooter {
        LoadFooter {
            table: table.chosen.name.to_string(),
            fingerprint: table.readable.table.schema.fingerprint().to_string(),
            load: self.load.clone(),
            read_at: self.read_at.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// Writes whatever comes until nothing more can come. Blocks.
pub fn write(
    writing: &Writing,
    spool: &Spool,
    mut rows: Receiver<(usize, RecordBatch)>,
) -> Result<Vec<Part>> {
    let mut lane = Lane {
        writing,
        spool,
        table: None,
        files: BTreeMap::new(),
        nulled: Nulled::new(),
        parts: Vec::new(),
    };
    while let Some((table, batch)) = rows.blocking_recv() {
        lane.take(table, batch)?;
    }
    if !writing.is_abandoned.load(Ordering::Relaxed) {
        lane.close()?;
    }
    Ok(lane.parts)
}

/// The one file of a table without rows: a reader finds its columns.
pub fn write_empty(writing: &Writing, spool: &Spool, table: &Table) -> Result<Part> {
    let mut file = GrowingFile::new(spool.file());
    let schema = table.shape.schema.clone();
    file.write(RecordBatch::new_empty(schema), &table.shape)?;
    Ok(Part {
        table: table.number,
        directory: String::new(),
        file: file.finish(&table.shape, &writing.footer(table))?,
        nulled: Nulled::new(),
    })
}

/// The files of one table that are open in this lane, by directory.
struct Lane<'a> {
    writing: &'a Writing,
    spool: &'a Spool,
    table: Option<usize>,
    files: BTreeMap<String, GrowingFile>,
    nulled: Nulled,
    parts: Vec<Part>,
}

impl Lane<'_> {
    fn take(&mut self, number: usize, batch: RecordBatch) -> Result<()> {
        if self.table != Some(number) {
            self.close()?;
            self.table = Some(number);
        }
        let table = self.writing.table(number)?;
        let rows = self.fitting(table, batch)?;
        let cut = table.layout.cut(&rows);
        let cut = cut.map_err(|error| error.about(&table.chosen.name))?;
        for (directory, rows) in cut {
            let file = self.files.entry(directory);
            let file = file.or_insert_with(|| GrowingFile::new(self.spool.file()));
            file.write(rows, &table.shape)?;
        }
        if self.files.values().map(GrowingFile::memory).sum::<u64>() > self.writing.memory {
            match self.files.len() > MANY {
                true => self.close()?,
                false => {
                    let mut files = self.files.values_mut();
                    files.try_for_each(|file| file.flush(&table.shape))?;
                }
            }
        }
        let limits = &self.writing.files;
        let is_full = |file: &GrowingFile| file.rows() >= limits.rows || file.size() >= limits.size;
        match self.files.values().any(is_full) {
            true => self.close(),
            false => Ok(()),
        }
    }

    /// The rows in the table's own columns; values in whose place NULL stands are counted.
    fn fitting(&mut self, table: &Table, batch: RecordBatch) -> Result<RecordBatch> {
        let schema = &table.shape.schema;
        let own = schema.fields().len();
        let Some(misfits) = batch.columns().get(own) else {
            return Ok(batch);
        };
        let bug = |what: &str| Error::new(Kind::Bug, what).about(&table.chosen.name);
        for text in misfits
            .as_string_opt::<i32>()
            .into_iter()
            .flatten()
            .flatten()
        {
            let found: Misfits = serde_json::from_str(text)
                .map_err(|error| bug("reading the values that do not fit").because(error))?;
            for Misfit { column, kind, .. } in found.0 {
                *self.nulled.entry((column, kind)).or_default() += 1;
            }
        }
        let columns = batch.columns().iter().take(own).map(Arc::clone).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options)
            .map_err(|error| bug("taking the rows that fit").because(error))
    }

    fn close(&mut self) -> Result<()> {
        let (Some(number), false) = (self.table, self.files.is_empty()) else {
            return Ok(());
        };
        let table = self.writing.table(number)?;
        let footer = self.writing.footer(table);
        for (directory, file) in std::mem::take(&mut self.files) {
            self.parts.push(Part {
                table: number,
                directory,
                file: file.finish(&table.shape, &footer)?,
                nulled: std::mem::take(&mut self.nulled),
            });
        }
        Ok(())
    }
}
