//! Files that are whole or not there, and directories that stay: what was answered survives a power cut.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use ulid::Ulid;

use crate::error::{Error, Kind};

/// Unfinished objects, and the locks of those who work here.
pub const WORKSHOP: &str = "_cdc/tmp";

/// An object on its way; its first name goes when it is dropped.
pub struct Unfinished {
    pub path: PathBuf,
}

impl Unfinished {
    pub fn write(
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
pub fn sweep(workshop: &Path) -> io::Result<()> {
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
pub fn make_directories(directory: &Path) -> io::Result<()> {
    let Some(above) = directory.parent().filter(|_| !directory.is_dir()) else {
        return Ok(());
    };
    make_directories(above)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| sync_directory(above)),
    }
}

pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// `None` for what is not there.
pub fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(it) => Ok(Some(it)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
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
