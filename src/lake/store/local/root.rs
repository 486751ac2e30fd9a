//! What is done to the objects of a directory. Blocking.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::durable::{
    Unfinished, WORKSHOP, failed, found, make_directories, sweep, sync_directory,
};
use crate::error::Result;
use crate::lake::store::{Entry, PutOutcome, Swap, check_path};

/// How often a put begins again because its directory was pruned under it: each time somebody deleted there.
const TRIES: usize = 16;

pub struct Root {
    pub path: PathBuf,
    /// Held, shared, as long as the store is open: whoever gets it alone may sweep.
    _present: File,
}

impl Root {
    pub fn open(directory: &Path) -> Result<Root> {
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
    pub fn adopt(&self, path: &str, file: &Path) -> Result<PutOutcome> {
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
    pub fn create(
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
    pub fn swap(&self, path: &str, body: &[u8], tag: &str) -> Result<Swap> {
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

    pub fn read(&self, path: &str) -> Result<Option<(Bytes, String)>> {
        let named = self.resolve(path)?;
        let body =
            found(fs::read(&named)).map_err(|error| failed("getting an object", &named, error))?;
        Ok(body.map(|body| {
            let tag = format!("{:032x}", xxh3_128(&body));
            (body.into(), tag)
        }))
    }

    pub fn tail(&self, path: &str, len: u64) -> Result<Option<(Bytes, u64)>> {
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

    pub fn delete(&self, path: &str) -> Result<()> {
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

    pub fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
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
