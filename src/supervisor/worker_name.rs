//! A worker's name: the configured one, or the host's with the first number that no other process here holds.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;

use crate::error::{Error, Kind, Result};

/// Workers of one pipeline on one host.
const MOST_WORKERS: u32 = 1000;

/// A name, held as long as this lives: two workers of one name would fence each other for ever.
pub struct WorkerName {
    name: String,
    /// The lock on it goes with the process, however that ends.
    _lock: File,
}

impl WorkerName {
    /// Takes the configured name, or the first free one of this host. `TryLater` if the configured name is held.
    pub fn take(pipeline: &str, configured: Option<&str>) -> Result<Self> {
        let directory = directory(pipeline);
        std::fs::create_dir_all(&directory).map_err(|e| {
            Error::new(
                Kind::LocalIo,
                format!("creating directory `{}`", directory.display()),
            )
            .because(e)
        })?;
        if let Some(name) = configured {
            return lock(&directory, name)?.ok_or_else(|| {
                Error::new(
                    Kind::TryLater,
                    format!("another process on this host runs as worker `{name}`"),
                )
                .code(crate::error::Code::TWIN)
                .hint("stop it, or give this one another `worker:`")
            });
        }
        let host = host_name();
        for number in 1..=MOST_WORKERS {
            if let Some(taken) = lock(&directory, &format!("{host}-{number}"))? {
                return Ok(taken);
            }
        }
        Err(Error::new(
            Kind::TryLater,
            format!("{MOST_WORKERS} workers of pipeline `{pipeline}` run here already"),
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Where this worker may keep files that are of no use to another.
    pub fn spool(&self, pipeline: &str) -> PathBuf {
        directory(pipeline).join(format!("{}.spool", self.name))
    }
}

fn directory(pipeline: &str) -> PathBuf {
    std::env::temp_dir().join("cdc").join(pipeline)
}

fn lock(directory: &std::path::Path, name: &str) -> Result<Option<WorkerName>> {
    let path = directory.join(format!("{name}.lock"));
    let doing = || format!("locking `{}`", path.display());
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| Error::new(Kind::LocalIo, doing()).because(e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(WorkerName {
            name: name.to_owned(),
            _lock: file,
        })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::new(Kind::LocalIo, doing()).because(e)),
    }
}

/// The host's name in the characters a worker's name may have.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
                c
            } else {
                '-'
            }
        })
        .collect();
    if name.is_empty() {
        "worker".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_on_one_host_get_two_names_and_a_twin_is_refused() {
        let pipeline = format!("test-{}", ulid::Ulid::new());
        let first = WorkerName::take(&pipeline, None).unwrap();
        let second = WorkerName::take(&pipeline, None).unwrap();
        assert_ne!(first.as_str(), second.as_str());
        let named = WorkerName::take(&pipeline, Some("till")).unwrap();
        let twin = WorkerName::take(&pipeline, Some("till")).err().unwrap();
        assert_eq!(twin.kind(), Kind::TryLater);
        drop(named);
        assert!(WorkerName::take(&pipeline, Some("till")).is_ok());
        std::fs::remove_dir_all(directory(&pipeline)).unwrap();
    }
}
