//! A chunk being written: one file per partition directory, in the local spool.
//!
//! Nothing can be uploaded while the chunk grows, because a file's name contains the offset at which its
//! chunk ends. Finished row groups wait in the spool, which is swept at start: a crash loses nothing but work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow::array::RecordBatch;

use super::chunk::{Border, Measure};
use crate::error::{Error, Kind, Result};
use crate::lake::{
    FileFooter, FilePlan, GrowingFile, Layout, OFFSET_COLUMN, Plan, Shape, WrittenFile,
};
use crate::model::TableSchema;

use super::records::PartitionId;

/// A chunk that still takes runs.
pub struct OpenChunk {
    id: PartitionId,
    pub border: Border,
    file: FilePlan,
    layout: Layout,
    shape: Shape,
    files: BTreeMap<String, GrowingFile>,
    start: u64,
    end: u64,
    first_sequence: u64,
    next_sequence: u64,
    /// Milliseconds since 1970 when the oldest record was appended.
    oldest: i64,
    opened: Instant,
    /// The plan it executes, when it was made before.
    pub plan: Option<Box<Plan>>,
    /// Dropped last: the files in it are closed by then.
    folder: SpoolFolder,
}

/// The first record of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    pub offset: u64,
    pub sequence: u64,
    pub appended: i64,
}

impl OpenChunk {
    /// Opens an empty chunk whose files are shaped by `file`, which no later change of settings touches.
    pub fn new(
        id: &PartitionId,
        border: Border,
        file: FilePlan,
        schema: &TableSchema,
        folder: &Path,
        begin: Begin,
        plan: Option<Box<Plan>>,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| {
            Error::new(Kind::LocalIo, "creating a spool folder")
                .code(crate::error::Code::SPOOL_FAILED)
                .about(folder.display())
                .because(e)
        })?;
        Ok(OpenChunk {
            id: id.clone(),
            border,
            layout: Layout::bind(&file.layout, schema)?,
            shape: Shape::new(schema, &file.metadata_columns, &file.compression),
            files: BTreeMap::new(),
            start: begin.offset,
            end: begin.offset,
            first_sequence: begin.sequence,
            next_sequence: begin.sequence,
            oldest: begin.appended,
            opened: Instant::now(),
            file,
            plan,
            folder: SpoolFolder(folder.to_owned()),
        })
    }

    /// Whether each record's offset is a column of the files.
    pub fn has_offsets(&self) -> bool {
        self.file
            .metadata_columns
            .iter()
            .any(|c| c == OFFSET_COLUMN)
    }

    /// Cuts a run by its directories. On an error the chunk stands as it was.
    pub fn cut(&self, rows: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        self.layout.cut(rows)
    }

    /// Writes a whole run that ends before offset `end` and is followed by sequence number `next`. After an
    /// error the chunk is of no use.
    pub fn write(&mut self, cut: Vec<(String, RecordBatch)>, end: u64, next: u64) -> Result<()> {
        for (directory, rows) in cut {
            let number = self.files.len();
            let file = self.files.entry(directory).or_insert_with(|| {
                GrowingFile::new(self.folder.0.join(format!("{number:06}.parquet")))
            });
            file.write(rows, &self.shape)?;
        }
        self.end = end;
        self.next_sequence = next;
        Ok(())
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Offset of its first record.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Offset behind its last record.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How large and how old it is, at `now` milliseconds since 1970.
    pub fn measure(&self, now: i64, caught_up: bool) -> Measure {
        let largest = |of: fn(&GrowingFile) -> u64| self.files.values().map(of).max().unwrap_or(0);
        Measure {
            rows: largest(GrowingFile::rows),
            bytes: largest(GrowingFile::size),
            oldest: u64::try_from(now.saturating_sub(self.oldest)).unwrap_or(0),
            open_for: self.opened.elapsed(),
            caught_up,
        }
    }

    /// Bytes of memory its files hold.
    pub fn memory(&self) -> u64 {
        self.files.values().map(GrowingFile::memory).sum()
    }

    /// Gives memory back without closing: the open row groups go into the spool.
    pub fn flush(&mut self) -> Result<()> {
        let shape = &self.shape;
        self.files
            .values_mut()
            .try_for_each(|file| file.flush(shape))
    }

    /// Finishes all files. The plan is the one it executes, or a new one that says what was done.
    pub fn close(self) -> Result<ClosedChunk> {
        let adopted = self.plan.is_some();
        let load = self.border.load.map(|ulid| ulid.to_string());
        let plan = self.plan.unwrap_or_else(|| {
            Box::new(Plan {
                v: 1,
                topic: self.id.topic.to_string(),
                partition: self.id.number,
                epoch: self.border.epoch,
                start: self.start,
                end: self.end,
                first_sequence: self.first_sequence,
                next_sequence: self.next_sequence,
                load,
                file: self.file,
            })
        });
        let footer = footer(&plan);
        let mut files = Vec::with_capacity(self.files.len());
        for (directory, file) in self.files {
            files.push((directory, file.finish(&self.shape, &footer)?));
        }
        Ok(ClosedChunk {
            plan: *plan,
            adopted,
            files,
            spool: self.folder,
        })
    }
}

/// What the footer of a plan's files says.
pub fn footer(plan: &Plan) -> FileFooter {
    FileFooter {
        table: plan.file.table.clone(),
        fingerprint: plan.file.fingerprint.clone(),
        epoch: plan.epoch,
        topic: plan.topic.clone(),
        partition: plan.partition,
        start: plan.start,
        end: plan.end,
        load: plan.load.clone(),
        guard: plan.file.guard.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// A chunk whose files are finished and wait in the spool.
#[derive(Debug)]
pub struct ClosedChunk {
    pub plan: Plan,
    /// Whether the plan was in the lake before this chunk was written.
    pub adopted: bool,
    /// Directory and file.
    pub files: Vec<(String, WrittenFile)>,
    /// Keeps the files until the chunk is dropped.
    #[allow(dead_code, reason = "held for its drop")]
    spool: SpoolFolder,
}

/// A folder below the spool that goes with its chunk.
#[derive(Debug)]
struct SpoolFolder(PathBuf);

impl Drop for SpoolFolder {
    fn drop(&mut self) {
        // What cannot be deleted now is swept at the next start.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
