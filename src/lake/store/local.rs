//! The lake in a local directory, with the guarantees of an object store.
//!
//! An object is written whole under `_cdc/tmp`, synced, and then given its name: by `hard_link`, which refuses
//! a name that is taken, or by `rename` under a lock where it replaces one. The directory is synced after that,
//! so that what was answered survives a power cut.

mod durable;
mod root;

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::durable::{WORKSHOP, failed};
use self::root::Root;
use super::{Entry, PutOutcome, Store, Swap};
use crate::error::{Error, Kind, Result};

/// Objects as files below one directory.
pub struct LocalStore {
    root: Arc<Root>,
}

impl LocalStore {
    /// Opens the directory, making it if there is none, and sweeps what a crash left unfinished there, unless
    /// somebody else is at work in it.
    pub async fn open(directory: &Path) -> Result<LocalStore> {
        let directory = directory.to_owned();
        let root = off_the_runtime(move || Root::open(&directory)).await?;
        Ok(LocalStore {
            root: Arc::new(root),
        })
    }

    async fn with_root<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Root) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let root = Arc::clone(&self.root);
        off_the_runtime(move || work(&root)).await
    }
}

/// File operations block: they run on a thread of their own.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked
        .unwrap_or_else(|error| Err(Error::new(Kind::Bug, "working on local files").because(error)))
}

#[async_trait]
impl Store for LocalStore {
    async fn put_new(&self, path: &str, body: Bytes) -> Result<PutOutcome> {
        let path = path.to_owned();
        self.with_root(move |root| root.create(&path, |file| file.write_all(&body)))
            .await
    }

    async fn put_file_new(&self, path: &str, file: &Path) -> Result<PutOutcome> {
        let (path, source) = (path.to_owned(), file.to_owned());
        // Copied, never linked: a spool file that is written again must not change the lake.
        self.with_root(move |root| {
            let mut opened = File::open(&source)
                .map_err(|error| failed("reading a spooled file", &source, error))?;
            root.create(&path, |file| {
                opened.rewind()?;
                io::copy(&mut opened, file).map(|_| ())
            })
        })
        .await
    }

    async fn give_file_new(&self, path: &str, file: &Path) -> Result<PutOutcome> {
        let (path, source) = (path.to_owned(), file.to_owned());
        self.with_root(move |root| {
            let given = root.adopt(&path, &source);
            let _ = fs::remove_file(&source);
            given
        })
        .await
    }

    fn spool(&self) -> Option<PathBuf> {
        Some(self.root.path.join(WORKSHOP))
    }

    async fn get(&self, path: &str) -> Result<Option<(Bytes, String)>> {
        let path = path.to_owned();
        self.with_root(move |root| root.read(&path)).await
    }

    async fn tail(&self, path: &str, len: u64) -> Result<Option<(Bytes, u64)>> {
        let path = path.to_owned();
        self.with_root(move |root| root.tail(&path, len)).await
    }

    async fn replace(&self, path: &str, body: Bytes, tag: Option<&str>) -> Result<Swap> {
        let (path, tag) = (path.to_owned(), tag.map(str::to_owned));
        self.with_root(move |root| match tag {
            Some(tag) => root.swap(&path, &body, &tag),
            None => Ok(match root.create(&path, |file| file.write_all(&body))? {
                PutOutcome::Created => Swap::Done,
                PutOutcome::AlreadyThere => Swap::Stale,
            }),
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let prefix = prefix.to_owned();
        self.with_root(move |root| root.list(&prefix)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let path = path.to_owned();
        self.with_root(move |root| root.delete(&path)).await
    }

    fn location(&self, path: &str) -> String {
        self.root.path.join(path).display().to_string()
    }
}

#[cfg(test)]
mod tests;
