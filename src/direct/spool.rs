//! Where files grow before they are published: in the lake's own workshop if it has one, so that they need not be
//! copied, else in the temporary directory, where what a killed process left is swept by the next.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ulid::Ulid;

use crate::error::{Error, Kind, Result};

/// A place for files; those that are still there go with it.
pub struct Spool {
    directory: PathBuf,
    given_out: Mutex<Vec<PathBuf>>,
    own: Option<Own>,
}

/// A directory of this process alone.
struct Own {
    /// Held as long as the process works in the directory: whoever gets it may sweep.
    _lock: File,
    lock: PathBuf,
}

impl Spool {
    /// In a directory that somebody else sweeps.
    pub fn within(directory: PathBuf) -> Self {
        Spool {
            directory,
            given_out: Mutex::default(),
            own: None,
        }
    }

    /// In a new directory below the system's temporary one.
    pub fn temporary() -> Result<Self> {
        let user = rustix::process::geteuid().as_raw();
        let above = std::env::temp_dir().join(format!("cdc-snapshot-{user}"));
        Self::below(&above).map_err(|error| {
            Error::new(Kind::LocalIo, "making a spool directory")
                .about(format!("`{}`", above.display()))
                .because(error)
                .hint("see that it is this user's and its disk has room, or set `TMPDIR` to another place")
        })
    }

    fn below(above: &Path) -> io::Result<Self> {
        fs::create_dir_all(above)?;
        refuse_foreign(above)?;
        // Rows are nobody else's.
        fs::set_permissions(above, Permissions::from_mode(0o700))?;
        sweep(above)?;
        loop {
            let name = Ulid::new().to_string();
            let lock = above.join(format!("{name}.lock"));
            let file = OpenOptions::new()
                .create_new(true)
                .write(true)
                .open(&lock)?;
            // Somebody who sweeps may have been there between the two lines.
            if file.try_lock().is_err() || !lock.exists() {
                continue;
            }
            let directory = above.join(name);
            fs::create_dir(&directory)?;
            return Ok(Spool {
                directory,
                given_out: Mutex::default(),
                own: Some(Own { _lock: file, lock }),
            });
        }
    }

    /// A name for a new file.
    pub fn file(&self) -> PathBuf {
        let path = self.directory.join(Ulid::new().to_string());
        let mut given_out = self
            .given_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        given_out.push(path.clone());
        path
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // What cannot be deleted now is swept by the next.
        for path in self
            .given_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            let _ = fs::remove_file(path);
        }
        if let Some(own) = &self.own {
            let _ = fs::remove_dir_all(&self.directory);
            let _ = fs::remove_file(&own.lock);
        }
    }
}

/// Everybody may make what they like in the temporary directory: a link to elsewhere, or a directory whose owner reads
/// what is in it.
fn refuse_foreign(above: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(above)?;
    let what = match (found.is_dir(), found.uid()) {
        (true, owner) if owner == rustix::process::geteuid().as_raw() => return Ok(()),
        (true, _) => "it belongs to another user",
        (false, _) => "it is no directory, but a link or a file",
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
}

/// Deletes the directories of processes that are gone.
fn sweep(above: &Path) -> io::Result<()> {
    for entry in fs::read_dir(above)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let stem = name.and_then(|name| name.strip_suffix(".lock"));
        if stem.is_none_or(|stem| Ulid::from_string(stem).is_err()) {
            continue;
        }
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            let _ = fs::remove_dir_all(path.with_extension(""));
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not() {
        let above = tempfile::tempdir().expect("a directory");
        let above = above.path();
        let living = Spool::below(above).expect("a spool");
        let file = living.file();
        fs::write(&file, "rows").expect("written");
        // A killed process leaves its files and gives up its lock.
        let dead = above.join("01ARZ3NDEKTSV4RRFFQ69G5FAV");
        fs::create_dir(&dead).expect("a directory");
        fs::write(dead.join("part"), "rows").expect("written");
        fs::write(dead.with_extension("lock"), "").expect("written");

        let next = Spool::below(above).expect("a spool");
        assert!(file.exists() && !dead.exists());
        assert!(!dead.with_extension("lock").exists());
        drop((living, next));
        assert_eq!(fs::read_dir(above).expect("a directory").count(), 0);
    }

    #[test]
    fn nothing_but_spools_is_swept() {
        let above = tempfile::tempdir().expect("a directory");
        let above = above.path();
        fs::create_dir(above.join("notes")).expect("a directory");
        fs::write(above.join("notes.lock"), "").expect("written");
        drop(Spool::below(above).expect("a spool"));
        assert!(above.join("notes").exists() && above.join("notes.lock").exists());
    }

    #[test]
    fn a_link_in_the_place_of_the_spool_is_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (elsewhere, link) = (
            directory.path().join("elsewhere"),
            directory.path().join("link"),
        );
        fs::create_dir(&elsewhere).expect("a directory");
        fs::set_permissions(&elsewhere, Permissions::from_mode(0o755)).expect("permissions");
        std::os::unix::fs::symlink(&elsewhere, &link).expect("a link");
        let refused = Spool::below(&link).map(drop).expect_err("refused");
        assert!(refused.to_string().contains("but a link"), "{refused}");
        let mode = fs::metadata(&elsewhere).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(fs::read_dir(&elsewhere).expect("a directory").count(), 0);
    }
}
