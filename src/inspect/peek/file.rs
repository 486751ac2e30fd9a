//! Rows of a Parquet file, whoever wrote it: local, on S3, or on stdin.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::super::patience::{READING, blocking, within};
use super::super::readers::nothing_yet;
use super::rows::{columns_of, rows_of};
use super::{PeekedColumn, Row, Slice};
use crate::config::{LakePlace, Settings};
use crate::error::{Error, Kind, Result};
use crate::lake::CurrentLoad;
use crate::lake::{Contents, Entry, RowGroup, Store, open_to_read, read_some};
use crate::model::{Mode, TableName};
use crate::state::Head;

/// A file that is held in memory, because it comes by a pipe or from S3, is not larger.
const LARGEST: u64 = 1 << 30;

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePlace {
    Stdin,
    Local(PathBuf),
    /// `s3://bucket/key`.
    S3(String),
}

impl FilePlace {
    /// Whether a word means a file: `-`, a URL of S3, a path, or a name that is there.
    pub fn of(word: &str) -> Option<Self> {
        if word == "-" {
            return Some(FilePlace::Stdin);
        }
        if word.starts_with("s3://") {
            return Some(FilePlace::S3(word.to_owned()));
        }
        let path = Path::new(word.strip_prefix("file://").unwrap_or(word));
        let is_path = word.contains('/') || word.ends_with(".parquet") || path.is_file();
        is_path.then(|| FilePlace::Local(path.to_owned()))
    }
}

/// Rows and facts of a file.
#[derive(Clone, Debug, Serialize)]
pub struct PeekedFile {
    pub file: String,
    pub bytes: Option<u64>,
    pub rows_in_all: u64,
    pub row_groups: Vec<RowGroup>,
    pub created_by: Option<String>,
    /// What the footer says besides the columns.
    pub metadata: BTreeMap<String, String>,
    pub columns: Vec<PeekedColumn>,
    pub rows: Vec<Row>,
}

/// Looks at a file. A configuration, if there is one, says how its own bucket is reached.
pub async fn peek_file(
    settings: Option<&Settings>,
    place: &FilePlace,
    slice: Slice,
) -> Result<PeekedFile> {
    match place {
        FilePlace::Stdin => {
            let read = tokio::task::spawn_blocking(|| read_all(std::io::stdin().lock())).await;
            let bytes = read.map_err(|e| Error::new(Kind::Bug, "reading stdin").because(e))??;
            let size = bytes.len() as u64;
            rows_in(
                Contents::Memory(bytes),
                "stdin".to_owned(),
                Some(size),
                slice,
            )
            .await
        }
        FilePlace::Local(path) => {
            let shown = path.display().to_string();
            let opening = || format!("opening `{shown}`");
            let failed = |e| Error::new(Kind::LocalIo, opening()).because(e);
            let file = File::open(path).map_err(failed)?;
            let facts = file.metadata().map_err(failed)?;
            if facts.is_dir() {
                return Err(Error::new(Kind::Usage, format!("`{shown}` is a directory"))
                    .hint("name one of its files"));
            }
            rows_in(Contents::File(file), shown, Some(facts.len()), slice).await
        }
        FilePlace::S3(url) => {
            let (bucket, key) = parts(url)?;
            let store = open_to_read(&bucket_of(settings, bucket)?).await?;
            in_store(store, key, slice).await
        }
    }
}

fn read_all(from: impl Read) -> Result<Bytes> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::new(Kind::LocalIo, "reading stdin").because(e))?;
    match bytes.len() as u64 > LARGEST {
        true => Err(too_large("stdin")),
        false => Ok(bytes.into()),
    }
}

fn too_large(what: &str) -> Error {
    Error::new(Kind::Usage, format!("{what} is larger than 1 GiB"))
        .hint("save it as a local file: of that only what is shown is read")
}

fn is_object(key: &str) -> bool {
    !key.contains(['*', '?']) && key.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn parts(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("s3://").unwrap_or(url);
    match rest.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && is_object(key) => Ok((bucket, key)),
        _ => Err(Error::new(Kind::Usage, format!("`{url}` names no object"))
            .hint("write `s3://bucket/path/file.parquet`: one file, no directory and no glob")),
    }
}

/// The bucket from its beginning; reached as the configuration says, if it is the lake's.
fn bucket_of(settings: Option<&Settings>, bucket: &str) -> Result<LakePlace> {
    let lake = settings.map(|settings| &settings.lake.place);
    if let Some(LakePlace::S3 {
        bucket: own,
        endpoint,
        region,
        path_style,
        ca_file,
        ..
    }) = lake
        && own == bucket
    {
        return Ok(LakePlace::S3 {
            bucket: own.clone(),
            prefix: String::new(),
            endpoint: endpoint.clone(),
            region: region.clone(),
            path_style: *path_style,
            ca_file: ca_file.clone(),
        });
    }
    LakePlace::parse(&format!("s3://{bucket}"))
        .map_err(|why| Error::new(Kind::Usage, format!("`s3://{bucket}` {why}")))
}

/// A file of a store.
async fn in_store(store: Arc<dyn Store>, path: &str, slice: Slice) -> Result<PeekedFile> {
    let place = store.location(path);
    let missing = || {
        Error::new(Kind::Usage, format!("there is no file `{place}`"))
            .hint("`cdc path TABLE` says where a table's files are")
    };
    let doing = format!("reading `{place}`");
    let reading = async {
        // Its end says how large it is.
        let Some((_, size)) = store.tail(path, 8).await? else {
            return Err(missing());
        };
        if size > LARGEST {
            return Err(too_large(&format!("`{place}`")));
        }
        store.get(path).await?.ok_or_else(missing)
    };
    let (bytes, _) = within(READING, &doing, reading).await?;
    let size = bytes.len() as u64;
    rows_in(Contents::Memory(bytes), place.clone(), Some(size), slice).await
}

async fn rows_in(
    contents: Contents,
    file: String,
    bytes: Option<u64>,
    slice: Slice,
) -> Result<PeekedFile> {
    let doing = format!("reading `{file}`");
    let read = blocking(READING, &doing, move || {
        let some = read_some(contents, slice.rows, slice.from_end)?;
        let rows = rows_of(&some.batches)?;
        Ok((some, rows))
    });
    let (some, rows) = read
        .await
        .map_err(|error| error.about(format!("`{file}`")))?;
    Ok(PeekedFile {
        file,
        bytes,
        rows_in_all: some.rows,
        row_groups: some.row_groups,
        created_by: some.created_by,
        metadata: some.metadata,
        columns: columns_of(&some.schema),
        rows,
    })
}

/// The newest file of a table in the lake.
pub async fn newest_file(
    settings: &Settings,
    name: &TableName,
    head: &Head,
    slice: Slice,
) -> Result<PeekedFile> {
    let place = &settings.lake.place;
    let looking = async {
        let store = open_to_read(place).await?;
        let directory = match head.mode {
            Mode::Bulk => CurrentLoad::of(store.as_ref(), &name.directory())
                .await?
                .map(|load| load.path),
            _ => Some(name.directory()),
        };
        let directory = directory.ok_or_else(|| nothing_yet(name))?;
        let files = store.list(&format!("{directory}/")).await?;
        let is_whole = |file: &&Entry| file.path.ends_with(".parquet");
        let newest = files
            .iter()
            .filter(is_whole)
            .max_by_key(|file| (file.modified, &file.path));
        let newest = newest.ok_or_else(|| nothing_yet(name))?;
        Ok((store, newest.path.clone()))
    };
    let (store, path) = within(READING, "looking for the newest file", looking).await?;
    in_store(store, &path, slice).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_a_slash_is_a_file_and_other_words_are_names() {
        let file = |path: &str| Some(FilePlace::Local(path.into()));
        assert_eq!(FilePlace::of("-"), Some(FilePlace::Stdin));
        assert_eq!(FilePlace::of("./a.parquet"), file("./a.parquet"));
        assert_eq!(FilePlace::of("file:///lake/a"), file("/lake/a"));
        assert_eq!(FilePlace::of("part.parquet"), file("part.parquet"));
        let s3 = "s3://retail-lake/raw/a.parquet";
        assert_eq!(FilePlace::of(s3), Some(FilePlace::S3(s3.into())));
        assert_eq!(parts(s3).unwrap(), ("retail-lake", "raw/a.parquet"));
        assert!(parts("s3://retail-lake").is_err());
        for name in ["orders", "ec.orders", "retail.orders", "매장"] {
            assert_eq!(FilePlace::of(name), None, "{name}");
        }
    }
}
