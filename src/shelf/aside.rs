//! Making aside, and renaming what is whole.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use tempfile::TempDir;

use super::files::create;
use super::{LOCK, NEW, NotWritten, OLD, Shelf};
use crate::layer::Digest;

/// A directory in which something is made. Unless it is put into its place, it goes.
#[derive(Debug)]
pub(crate) struct Aside {
    directory: TempDir,
    /// Held until it is in its place, so that no one takes it for a leftover.
    _lock: File,
}

impl Aside {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes down what was made.
    pub(crate) fn record(&self, name: &str, bytes: &[u8]) -> Result<(), NotWritten> {
        create(&self.path().join(name))
            .and_then(|mut file| file.write_all(bytes))
            .map_err(NotWritten::at(self.path()))
    }
}

impl Shelf {
    /// A directory to make something in.
    pub(crate) fn aside(&self) -> Result<Aside, NotWritten> {
        let directory = tempfile::Builder::new()
            .prefix(NEW)
            .tempdir_in(&self.directory)
            .map_err(NotWritten::at(&self.directory))?;
        let lock =
            create(&directory.path().join(LOCK)).map_err(NotWritten::at(directory.path()))?;
        // A file system without locks has one build at a time, as far as we can see to it.
        let _ = lock.try_lock_shared();
        Ok(Aside {
            directory,
            _lock: lock,
        })
    }

    /// Renames what is whole into its place, unless what is there `is_whole`, too: then another
    /// build was faster.
    pub(crate) fn put(
        &self,
        aside: Aside,
        key: &Digest,
        is_whole: impl Fn() -> bool,
    ) -> Result<(), NotWritten> {
        self.rename(aside, key, is_whole)
            .map_err(NotWritten::at(&self.directory))
    }

    fn rename(&self, aside: Aside, key: &Digest, is_whole: impl Fn() -> bool) -> io::Result<()> {
        let place = self.place(key);
        // The second time, what was there is out of the way.
        for _ in 0..2 {
            match fs::rename(aside.path(), &place) {
                Ok(()) => {
                    // It is gone from there, and must not be removed from its new place.
                    let _ = aside.directory.keep();
                    return Ok(());
                }
                Err(error) if !is_occupied(&error) => return Err(error),
                Err(_) if is_whole() => return Ok(()),
                Err(_) => self.set_aside(&place)?,
            }
        }
        // Something else took the place at once; it is looked at next.
        Ok(())
    }

    /// Takes what was found to be bad out of its place. If another build still uses it, its files
    /// are left for that one, and for a later build to remove.
    fn set_aside(&self, place: &Path) -> io::Result<()> {
        let old = tempfile::Builder::new()
            .prefix(OLD)
            .tempdir_in(&self.directory)?;
        match fs::rename(place, old.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        let lock = File::open(old.path().join(LOCK));
        if lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock))) {
            let _ = old.keep();
        }
        Ok(())
    }
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory
    )
}
