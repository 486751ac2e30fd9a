//! One file while it grows: gathered rows first, a Parquet writer once there are enough of them.
//!
//! A writer costs some hundred KiB before its first row, most of it tables of its dictionaries. Hundreds of
//! directories would hold them for a handful of rows each; gathered rows cost what they are.

use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::parquet::{Footer, ParquetFile, WrittenFile};
use super::schema::file_schema;
use crate::config::Compression;
use crate::error::{Error, Kind, Result};
use crate::model::{ColumnType, TableSchema};

/// Gathered bytes at which writing begins: a writer's own cost is small beside them.
const ENOUGH: usize = 1 << 20;
/// So many pieces are made one: each costs some hundred bytes, however few rows it has.
const PIECES: usize = 32;

/// What all files that are written together have in common.
pub struct Shape {
    pub schema: SchemaRef,
    /// Columns whose values hardly repeat.
    pub unique: Vec<String>,
    pub compression: String,
}

/// How a file's compression is called, in plans too.
pub fn compression_name(compression: Compression) -> &'static str {
    match compression {
        Compression::Zstd => "zstd",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::None => "none",
    }
}

impl Shape {
    /// Of a table's files, with these metadata columns behind its own.
    pub fn new(schema: &TableSchema, metadata_columns: &[String], compression: &str) -> Self {
        Shape {
            schema: file_schema(schema, metadata_columns),
            unique: unique_columns(schema, metadata_columns),
            compression: compression.to_owned(),
        }
    }
}

/// Columns whose values hardly repeat: the key, timestamps, offsets.
fn unique_columns(schema: &TableSchema, metadata: &[String]) -> Vec<String> {
    let is_time = |kind: &ColumnType| matches!(kind, ColumnType::Timestamp { .. });
    let unique = schema
        .columns
        .iter()
        .enumerate()
        .filter(|(i, column)| schema.key.contains(i) || is_time(&column.column_type));
    unique
        .map(|(_, column)| column.name.clone())
        .chain(metadata.iter().cloned())
        .collect()
}

/// A file that still takes rows.
pub struct GrowingFile {
    path: PathBuf,
    state: State,
}

enum State {
    Gathered(Gathered),
    Writing(Box<ParquetFile>),
}

#[derive(Default)]
struct Gathered {
    /// In order; the last `small` of them are pieces as they came.
    pieces: Vec<RecordBatch>,
    small: usize,
    rows: u64,
    bytes: usize,
}

impl GrowingFile {
    /// A file without rows. Nothing is created yet.
    pub fn new(path: PathBuf) -> Self {
        GrowingFile {
            path,
            state: State::Gathered(Gathered::default()),
        }
    }

    /// Appends rows, which share no memory with others.
    pub fn write(&mut self, rows: RecordBatch, shape: &Shape) -> Result<()> {
        match &mut self.state {
            State::Writing(file) => return file.write(&rows),
            State::Gathered(gathered) => {
                gathered.push(rows, shape)?;
                if gathered.bytes < ENOUGH {
                    return Ok(());
                }
            }
        }
        self.writer(shape).map(|_| ())
    }

    pub fn rows(&self) -> u64 {
        match &self.state {
            State::Gathered(gathered) => gathered.rows,
            State::Writing(file) => file.rows(),
        }
    }

    /// Estimated size when finished, in bytes.
    pub fn size(&self) -> u64 {
        match &self.state {
            State::Gathered(gathered) => gathered.bytes as u64,
            State::Writing(file) => file.size(),
        }
    }

    /// Bytes of memory it holds.
    pub fn memory(&self) -> u64 {
        match &self.state {
            State::Gathered(gathered) => gathered.bytes as u64,
            State::Writing(file) => file.memory(),
        }
    }

    /// Writes all rows into the spool, to give memory back.
    pub fn flush(&mut self, shape: &Shape) -> Result<()> {
        self.writer(shape)?.flush()
    }

    /// Finishes the file with this footer.
    pub fn finish(mut self, shape: &Shape, footer: &impl Footer) -> Result<WrittenFile> {
        self.writer(shape)?;
        match self.state {
            State::Writing(file) => file.finish(footer),
            State::Gathered(_) => Err(Error::new(Kind::Bug, "a file has no writer")),
        }
    }

    /// The writer, with all that was gathered written.
    fn writer(&mut self, shape: &Shape) -> Result<&mut ParquetFile> {
        if let State::Gathered(gathered) = &mut self.state {
            let mut file = ParquetFile::create(
                &self.path,
                shape.schema.clone(),
                &shape.compression,
                &shape.unique,
            )?;
            for piece in gathered.pieces.drain(..) {
                file.write(&piece)?;
            }
            self.state = State::Writing(Box::new(file));
        }
        match &mut self.state {
            State::Writing(file) => Ok(file),
            State::Gathered(_) => Err(Error::new(Kind::Bug, "a file has no writer")),
        }
    }
}

impl Gathered {
    fn push(&mut self, rows: RecordBatch, shape: &Shape) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        self.pieces.push(rows);
        self.small += 1;
        if self.small == PIECES {
            let whole = self.pieces.len() - self.small;
            let small: Vec<RecordBatch> = self.pieces.drain(whole..).collect();
            let one = concat_batches(&shape.schema, &small)
                .map_err(|e| Error::new(Kind::Bug, "gathering rows of a file").because(e))?;
            self.pieces.push(one);
            self.small = 0;
        }
        self.bytes = self
            .pieces
            .iter()
            .map(RecordBatch::get_array_memory_size)
            .sum();
        Ok(())
    }
}
