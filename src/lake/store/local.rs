//! The lake in a local directory, with the guarantees of an object store.
//!
//! An object is written whole under `_cdc/tmp`, synced, and then given its name: by `hard_link`, which refuses
//! a name that is taken, or by `rename` under a lock where it replaces one. The directory is synced after that,
//! so that what was answered survives a power cut.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use ulid::Ulid;
use xxhash_rust::xxh3::xxh3_128;

use super::{Entry, PutOutcome, Store, Swap, check_path};
use crate::error::{Error, Kind, Result};

/// Unfinished objects, and the locks of those who work here.
const WORKSHOP: &str = "_cdc/tmp";
/// How often a put begins again because its directory was pruned under it: each time somebody deleted there.
const TRIES: usize = 16;

/// Objects as files below one directory.
pub struct LocalStore {
    root: Arc<Root>,
}

struct Root {
    path: PathBuf,
    /// Held, shared, as long as the store is open: whoever gets it alone may sweep.
    _present: File,
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

impl Root {
    fn open(directory: &Path) -> Result<Root> {
        let opening = |error| failed("opening the lake", directory, error);
        let absolute = std::path::absolute(directory).map_err(opening)?;
        make_directories(&absolute).map_err(opening)?;
        let path = absolute.canonicalize().map_err(opening)?;
        let workshop = path.join(WORKSHOP);
        make_directories(&workshop).map_err(opening)?;
        let present = workshop.join("present");
        let file = OpenOptions::new().create(true).append(true).open(&present);
        let file = file.map_err(|error| failed("opening the lake", &present, error))?;
        match file.try_lock() {
            Ok(()) => sweep(&workshop)
                .map_err(|error| failed("sweeping unfinished objects", &workshop, error))?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(failed("locking the lake", &present, error));
            }
        }
        file.lock_shared()
            .map_err(|error| failed("locking the lake", &present, error))?;
        Ok(Root {
            path,
            _present: file,
        })
    }

    fn resolve(&self, path: &str) -> Result<PathBuf> {
        check_path(path)?;
        Ok(self.path.join(path))
    }

    /// Gives a synced file of the workshop its name, if the name is free.
    fn adopt(&self, path: &str, file: &Path) -> Result<PutOutcome> {
        let named = self.resolve(path)?;
        let failed = |error| failed("putting an object", &named, error);
        let directory = named.parent().unwrap_or(&self.path);
        let mut tries = 0;
        loop {
            make_directories(directory).map_err(failed)?;
            let outcome = match fs::hard_link(file, &named) {
                Ok(()) => PutOutcome::Created,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => PutOutcome::AlreadyThere,
                // Its directory was empty for a moment, and somebody's `delete` pruned it.
                Err(error)
                    if error.kind() == ErrorKind::NotFound && file.exists() && tries < TRIES =>
                {
                    tries += 1;
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            sync_directory(directory).map_err(failed)?;
            return Ok(outcome);
        }
    }

    /// Gives a whole object its name, if the name is free.
    fn create(
        &self,
        path: &str,
        mut fill: impl FnMut(&mut File) -> io::Result<()>,
    ) -> Result<PutOutcome> {
        let named = self.resolve(path)?;
        let mut tries = 0;
        loop {
            match self.try_create(&named, &mut fill) {
                // Its directory was empty for a moment, and somebody's `delete` pruned it.
                Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => tries += 1,
                created => {
                    return created.map_err(|error| failed("putting an object", &named, error));
                }
            }
        }
    }

    fn try_create(
        &self,
        named: &Path,
        fill: &mut impl FnMut(&mut File) -> io::Result<()>,
    ) -> io::Result<PutOutcome> {
        let directory = named.parent().unwrap_or(&self.path);
        make_directories(directory)?;
        let outcome = if fs::symlink_metadata(named).is_ok() {
            PutOutcome::AlreadyThere
        } else {
            let unfinished = Unfinished::write(&self.path, fill)?;
            match fs::hard_link(&unfinished.path, named) {
                Ok(()) => PutOutcome::Created,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => PutOutcome::AlreadyThere,
                Err(error) => return Err(error),
            }
        };
        // Also for a name that was taken: it may be a moment old and not on disk yet.
        sync_directory(directory)?;
        Ok(outcome)
    }

    /// Replaces an object whose content still has this tag.
    fn swap(&self, path: &str, body: &[u8], tag: &str) -> Result<Swap> {
        let named = self.resolve(path)?;
        let failed = |error| failed("replacing an object", &named, error);
        let lock = self.path.join(WORKSHOP).join("replacing");
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .open(lock)
            .map_err(failed)?;
        lock.lock().map_err(failed)?;
        match self.read(path)? {
            Some((_, current)) if current == tag => {}
            _ => return Ok(Swap::Stale),
        }
        let written = Unfinished::write(&self.path, &mut |file: &mut File| file.write_all(body))
            .map_err(failed)?;
        fs::rename(&written.path, &named).map_err(failed)?;
        sync_directory(named.parent().unwrap_or(&self.path)).map_err(failed)?;
        Ok(Swap::Done)
    }

    fn read(&self, path: &str) -> Result<Option<(Bytes, String)>> {
        let named = self.resolve(path)?;
        let body =
            found(fs::read(&named)).map_err(|error| failed("getting an object", &named, error))?;
        Ok(body.map(|body| {
            let tag = format!("{:032x}", xxh3_128(&body));
            (body.into(), tag)
        }))
    }

    fn tail(&self, path: &str, len: u64) -> Result<Option<(Bytes, u64)>> {
        let named = self.resolve(path)?;
        let read = |mut file: File| {
            let size = file.metadata()?.len();
            file.seek(SeekFrom::Start(size.saturating_sub(len)))?;
            let mut end = Vec::new();
            file.take(len).read_to_end(&mut end)?;
            Ok((end.into(), size))
        };
        let read = found(File::open(&named).and_then(read));
        read.map_err(|error| failed("getting the end of an object", &named, error))
    }

    fn delete(&self, path: &str) -> Result<()> {
        let named = self.resolve(path)?;
        let failed = |error| failed("deleting an object", &named, error);
        found(fs::remove_file(&named)).map_err(failed)?;
        // Directories are not objects: an empty one goes with its last.
        let above = named
            .ancestors()
            .skip(1)
            .take_while(|above| *above != self.path);
        for directory in above {
            if fs::remove_dir(directory).is_err() {
                found(sync_directory(directory)).map_err(failed)?;
                break;
            }
        }
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let start = prefix
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        if !start.is_empty() {
            check_path(start)?;
        }
        let mut entries = Vec::new();
        let mut open = vec![start.to_owned()];
        while let Some(directory) = open.pop() {
            let place = self.path.join(&directory);
            let listed = self.list_directory(&directory, prefix, &mut open, &mut entries);
            found(listed).map_err(|error| failed("listing objects", &place, error))?;
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// Lists one directory and notes the directories below it that may hold more. What vanishes meanwhile is
    /// left out, and so are symbolic links: they are not objects.
    fn list_directory(
        &self,
        directory: &str,
        prefix: &str,
        open: &mut Vec<String>,
        entries: &mut Vec<Entry>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(self.path.join(directory))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let path = if directory.is_empty() {
                name
            } else {
                format!("{directory}/{name}")
            };
            let Some(metadata) = found(entry.metadata())? else {
                continue;
            };
            if metadata.is_dir() && path != WORKSHOP {
                let inside = format!("{path}/");
                if inside.starts_with(prefix) || prefix.starts_with(&inside) {
                    open.push(path);
                }
            } else if metadata.is_file() && path.starts_with(prefix) {
                let modified = metadata
                    .modified()?
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                entries.push(Entry {
                    path,
                    size: metadata.len(),
                    modified: modified.as_millis() as i64,
                });
            }
        }
        Ok(())
    }
}

/// An object on its way; its first name goes when it is dropped.
struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    fn write(
        root: &Path,
        fill: &mut impl FnMut(&mut File) -> io::Result<()>,
    ) -> io::Result<Unfinished> {
        let path = root.join(WORKSHOP).join(Ulid::new().to_string());
        let mut file = File::create_new(&path)?;
        let unfinished = Unfinished { path };
        fill(&mut file)?;
        file.sync_all()?;
        Ok(unfinished)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What cannot be deleted now is swept by whoever opens the lake alone.
        let _ = fs::remove_file(&self.path);
    }
}

/// Deletes what a crash left unfinished: every file named by a ULID.
fn sweep(workshop: &Path) -> io::Result<()> {
    for entry in fs::read_dir(workshop)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| Ulid::from_string(name).is_ok())
        {
            found(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Makes a directory and those above it, each durably. One that somebody else makes at the same time counts.
fn make_directories(directory: &Path) -> io::Result<()> {
    let Some(above) = directory.parent().filter(|_| !directory.is_dir()) else {
        return Ok(());
    };
    make_directories(above)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| sync_directory(above)),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// `None` for what is not there.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(it) => Ok(Some(it)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
            Kind::Permission,
            "give this user the right to read and write the lake's directory",
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (Kind::LocalIo, "make room on the lake's disk")
        }
        ErrorKind::Unsupported => (
            Kind::LocalIo,
            "put the lake on a file system with hard links and locks, or on S3",
        ),
        _ => (
            Kind::LocalIo,
            "see that the lake's directory can be read and written",
        ),
    };
    Error::new(kind, doing)
        .about(format!("`{}`", path.display()))
        .because(error)
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfinished(directory: &Path) -> usize {
        let entries = fs::read_dir(directory.join(WORKSHOP)).expect("the workshop");
        let names = entries.map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        });
        names.filter(|name| Ulid::from_string(name).is_ok()).count()
    }

    #[tokio::test]
    async fn what_a_crash_left_unfinished_is_swept_by_the_next_who_opens_the_lake_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = LocalStore::open(directory.path()).await.expect("a store");
        fs::write(
            directory
                .path()
                .join(WORKSHOP)
                .join(Ulid::new().to_string()),
            "half",
        )
        .expect("written");
        let second = LocalStore::open(directory.path()).await.expect("a store");
        assert_eq!(
            unfinished(directory.path()),
            1,
            "the first may still be writing it"
        );
        drop((first, second));
        LocalStore::open(directory.path()).await.expect("a store");
        assert_eq!(unfinished(directory.path()), 0);
    }

    #[tokio::test]
    async fn nothing_unfinished_stays_and_nothing_unfinished_is_listed() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = LocalStore::open(directory.path()).await.expect("a store");
        store
            .put_new("a/b", Bytes::from_static(b"1"))
            .await
            .expect("put");
        store
            .put_new("a/b", Bytes::from_static(b"2"))
            .await
            .expect("put");
        store
            .put_file_new("a/c", &directory.path().join("nothing"))
            .await
            .expect_err("no such file");
        assert_eq!(unfinished(directory.path()), 0);
        fs::write(
            directory
                .path()
                .join(WORKSHOP)
                .join(Ulid::new().to_string()),
            "half",
        )
        .expect("written");
        let paths: Vec<_> = store
            .list("")
            .await
            .expect("a list")
            .into_iter()
            .map(|entry| entry.path)
            .collect();
        assert_eq!(paths, ["a/b"]);
    }

    #[tokio::test]
    async fn an_empty_directory_goes_with_its_last_object() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = LocalStore::open(directory.path()).await.expect("a store");
        store
            .put_new("t/snapshot=1/a", Bytes::new())
            .await
            .expect("put");
        store.put_new("t/b", Bytes::new()).await.expect("put");
        store.delete("t/snapshot=1/a").await.expect("deleted");
        assert!(
            !directory.path().join("t/snapshot=1").exists()
                && directory.path().join("t/b").exists()
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_put_survives_the_pruning_of_its_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Arc::new(LocalStore::open(directory.path()).await.expect("a store"));
        let churn = |name: &'static str| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..50 {
                    let put = store
                        .put_new(&format!("x/y/{name}"), Bytes::new())
                        .await
                        .expect("put");
                    assert_eq!(put, PutOutcome::Created);
                    store.delete(&format!("x/y/{name}")).await.expect("deleted");
                }
            })
        };
        let (one, two) = (churn("one"), churn("two"));
        one.await.expect("no panic");
        two.await.expect("no panic");
    }

    #[tokio::test]
    async fn a_spool_file_that_is_written_again_does_not_change_the_lake() {
        let directory = tempfile::tempdir().expect("a directory");
        let spool = directory.path().join("spool");
        let store = LocalStore::open(&directory.path().join("lake"))
            .await
            .expect("a store");
        fs::write(&spool, "first").expect("written");
        store.put_file_new("a", &spool).await.expect("put");
        fs::write(&spool, "other").expect("written");
        assert_eq!(
            store.get("a").await.expect("got").expect("there").0,
            "first"
        );
    }

    #[tokio::test]
    async fn a_file_that_is_given_is_in_the_lake_and_nowhere_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = LocalStore::open(directory.path()).await.expect("a store");
        let spool = store.spool().expect("a spool");
        for (content, outcome) in [
            ("first", PutOutcome::Created),
            ("other", PutOutcome::AlreadyThere),
        ] {
            let file = spool.join(Ulid::new().to_string());
            fs::write(&file, content).expect("written");
            let given = store.give_file_new("t/a", &file).await.expect("given");
            assert_eq!(given, outcome);
        }
        assert_eq!(unfinished(directory.path()), 0);
        let (body, _) = store.get("t/a").await.expect("got").expect("there");
        assert_eq!(body, "first");
    }

    #[tokio::test]
    async fn a_lake_that_cannot_be_opened_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        fs::write(&file, "").expect("written");
        let error = LocalStore::open(&file.join("lake"))
            .await
            .map(|_| ())
            .expect_err("no directory");
        assert_eq!(error.kind(), Kind::LocalIo);
        assert!(error.to_string().contains("file/lake"), "{error}");
    }
}
