//! Writes one Parquet file into the local spool, and reads footers back.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Kind, Result};

/// A row group is closed here, in encoded bytes: what a reader's task takes at once, and what an open file
/// may hold in memory.
const ROW_GROUP_BYTES: usize = 128 << 20;
/// Ends every Parquet file, after four bytes with the length of the metadata before them.
const MAGIC: &[u8; 4] = b"PAR1";
/// Metadata length and magic.
const ENDING: u64 = 8;

/// What the footer says of a file besides its columns, under the keys `cdc.table`, `cdc.fingerprint`,
/// `cdc.epoch`, `cdc.topic`, `cdc.partition`, `cdc.start`, `cdc.end`, `cdc.load` (bulk only), `cdc.guard` and
/// `cdc.version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFooter {
    pub table: String,
    pub fingerprint: String,
    pub epoch: u64,
    pub topic: String,
    pub partition: i32,
    /// Offset of the chunk's first record, and of its last + 1.
    pub start: u64,
    pub end: u64,
    pub load: Option<String>,
    pub guard: String,
    /// The version of `cdc` that wrote it.
    pub version: String,
}

/// What the footer of a file says that no topic was the way of: under the keys `cdc.table`, `cdc.fingerprint`,
/// `cdc.load`, `cdc.read_at` and `cdc.version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFooter {
    pub table: String,
    pub fingerprint: String,
    /// The load's ULID.
    pub load: String,
    /// The moment of the snapshot by the database's clock, ISO 8601, UTC.
    pub read_at: String,
    /// The version of `cdc` that wrote it.
    pub version: String,
}

/// The key-value metadata at the end of a file.
pub trait Footer {
    fn pairs(&self) -> Vec<(&'static str, String)>;
}

impl Footer for LoadFooter {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cdc.table", self.table.clone()),
            ("cdc.fingerprint", self.fingerprint.clone()),
            ("cdc.load", self.load.clone()),
            ("cdc.read_at", self.read_at.clone()),
            ("cdc.version", self.version.clone()),
        ]
    }
}

/// A file being written into the spool. Dropped before [`ParquetFile::finish`], it is deleted.
pub struct ParquetFile {
    path: PathBuf,
    /// `None` once finished.
    writer: Option<ArrowWriter<File>>,
    rows: u64,
}

/// A finished file in the spool.
#[derive(Clone, Debug)]
pub struct WrittenFile {
    pub path: PathBuf,
    pub rows: u64,
    pub bytes: u64,
}

impl ParquetFile {
    /// Begins a file. `unique` names columns whose values hardly repeat (key, timestamp): no dictionary there.
    /// A file that is there already is left over from before, and replaced.
    pub fn create(
        path: &Path,
        schema: SchemaRef,
        compression: &str,
        unique: &[String],
    ) -> Result<Self> {
        let properties = properties(compression, unique)?;
        let file = File::create(path).map_err(|error| at(path, "creating a file", error.into()))?;
        let writer = ArrowWriter::try_new(file, schema, Some(properties))
            .map_err(|error| at(path, "beginning a file", error))?;
        Ok(ParquetFile {
            path: path.to_owned(),
            writer: Some(writer),
            rows: 0,
        })
    }

    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let writer = self.writer.as_mut().ok_or_else(finished)?;
        writer
            .write(rows)
            .map_err(|error| at(&self.path, "writing rows", error))?;
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Estimated size when finished, in bytes.
    pub fn size(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| {
            (writer.bytes_written() + writer.in_progress_size()) as u64
        })
    }

    /// Bytes of memory it holds.
    pub fn memory(&self) -> u64 {
        self.writer
            .as_ref()
            .map_or(0, |writer| writer.memory_size() as u64)
    }

    /// Writes the open row group into the spool, to give memory back.
    pub fn flush(&mut self) -> Result<()> {
        let writer = self.writer.as_mut().ok_or_else(finished)?;
        writer
            .flush()
            .map_err(|error| at(&self.path, "writing a row group", error))
    }

    /// Finishes the file with this footer and syncs it and its name to disk.
    pub fn finish(mut self, footer: &impl Footer) -> Result<WrittenFile> {
        let mut writer = self.writer.take().ok_or_else(finished)?;
        for (key, value) in footer.pairs() {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let file = writer.into_inner().and_then(|file| {
            file.sync_all()?;
            if let Some(directory) = self.path.parent() {
                let here = if directory.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    directory
                };
                File::open(here)?.sync_all()?;
            }
            Ok(file.metadata()?.len())
        });
        match file {
            Ok(bytes) => Ok(WrittenFile {
                path: self.path.clone(),
                rows: self.rows,
                bytes,
            }),
            Err(error) => {
                let _ = std::fs::remove_file(&self.path);
                Err(at(&self.path, "finishing a file", error))
            }
        }
    }
}

impl Drop for ParquetFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // Whoever sweeps the spool finds what cannot be deleted now.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// zstd at its first level costs 10 % more time than snappy and halves the file.
fn properties(compression: &str, unique: &[String]) -> Result<WriterProperties> {
    let compression = match compression {
        "zstd" => Compression::ZSTD(ZstdLevel::default()),
        "snappy" => Compression::SNAPPY,
        "lz4" => Compression::LZ4_RAW,
        "none" => Compression::UNCOMPRESSED,
        other => {
            return Err(Error::new(
                Kind::TryLater,
                format!("the compression `{other}` is not known"),
            )
            .hint("a newer `cdc` planned this file: let it go on, or upgrade this one"));
        }
    };
    let properties = WriterProperties::builder()
        .set_created_by(format!("cdc {}", env!("CARGO_PKG_VERSION")))
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    let without_dictionary = |properties: parquet::file::properties::WriterPropertiesBuilder,
                              column: &String| {
        properties.set_column_dictionary_enabled(ColumnPath::new(vec![column.clone()]), false)
    };
    Ok(unique.iter().fold(properties, without_dictionary).build())
}

fn finished() -> Error {
    Error::new(Kind::Bug, "the file is finished already")
}

/// A failure at a file of the spool: the disk's, or ours.
fn at(path: &Path, doing: &str, error: ParquetError) -> Error {
    let disk = match &error {
        ParquetError::External(inner) => inner.is::<io::Error>(),
        // The last bytes are written by the writer's own buffer, whose failure is passed on as a text.
        ParquetError::General(text) => text.contains("(os error "),
        _ => false,
    };
    let (kind, hint) = match disk {
        true => (
            Kind::LocalIo,
            "see that the spool directory is writable and its disk has room",
        ),
        false => (
            Kind::Bug,
            "report this: the rows did not fit the file's schema",
        ),
    };
    Error::new(kind, doing)
        .code(crate::error::Code::SPOOL_FAILED)
        .about(format!("`{}`", path.display()))
        .because(error)
        .hint(hint)
}

impl Footer for FileFooter {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            ("cdc.table", self.table.clone()),
            ("cdc.fingerprint", self.fingerprint.clone()),
            ("cdc.epoch", self.epoch.to_string()),
            ("cdc.topic", self.topic.clone()),
            ("cdc.partition", self.partition.to_string()),
            ("cdc.start", self.start.to_string()),
            ("cdc.end", self.end.to_string()),
            ("cdc.guard", self.guard.clone()),
            ("cdc.version", self.version.clone()),
        ];
        pairs.extend(self.load.iter().map(|load| ("cdc.load", load.clone())));
        pairs
    }
}

impl FileFooter {
    fn from_pairs(pairs: &[KeyValue]) -> Result<FileFooter> {
        let text = |key: &str| {
            pairs
                .iter()
                .find(|pair| pair.key == key)
                .and_then(|pair| pair.value.clone())
        };
        let needed =
            |key: &str| text(key).ok_or_else(|| broken(format!("its footer has no `{key}`")));
        let number = |key: &str| {
            needed(key)?
                .parse::<u64>()
                .map_err(|_| broken(format!("`{key}` of its footer is no number")))
        };
        Ok(FileFooter {
            table: needed("cdc.table")?,
            fingerprint: needed("cdc.fingerprint")?,
            epoch: number("cdc.epoch")?,
            topic: needed("cdc.topic")?,
            partition: i32::try_from(number("cdc.partition")?)
                .map_err(|_| broken("`cdc.partition` of its footer is no partition".into()))?,
            start: number("cdc.start")?,
            end: number("cdc.end")?,
            load: text("cdc.load"),
            guard: needed("cdc.guard")?,
            version: needed("cdc.version")?,
        })
    }
}

/// Rows and footer of a file, from its last bytes (see `Store::tail`); `None` asks for a longer tail.
pub fn read_footer(tail: &[u8], size: u64) -> Result<Option<(u64, FileFooter)>> {
    let Some((before, ending)) = tail.split_last_chunk::<{ ENDING as usize }>() else {
        return if size > tail.len() as u64 {
            Ok(None)
        } else {
            Err(broken("it is too short".into()))
        };
    };
    let [a, b, c, d, magic @ ..] = *ending;
    if magic != *MAGIC {
        return Err(broken("it does not end as one".into()));
    }
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if length + ENDING > size {
        return Err(broken("its footer is longer than the file".into()));
    }
    let Some(start) = before.len().checked_sub(length as usize) else {
        return Ok(None);
    };
    let metadata = ParquetMetaDataReader::decode_metadata(before.get(start..).unwrap_or_default())
        .map_err(|error| broken("its footer cannot be read".into()).because(error))?;
    let file = metadata.file_metadata();
    let rows =
        u64::try_from(file.num_rows()).map_err(|_| broken("its row count is negative".into()))?;
    let pairs = file
        .key_value_metadata()
        .map(Vec::as_slice)
        .unwrap_or_default();
    Ok(Some((rows, FileFooter::from_pairs(pairs)?)))
}

fn broken(why: String) -> Error {
    Error::new(
        Kind::Data,
        format!("this is no Parquet file of `cdc`: {why}"),
    )
}

#[cfg(test)]
mod tests;
