//! Unpacked files, kept: directories of files, each made once and shared by builds.
//!
//! Below a shelf's directory, for each thing that is kept on it:
//!
//! | path | what it holds |
//! |---|---|
//! | `KEY/lock` | nothing; locked shared by who uses what is there, its time is that of last use |
//! | `KEY/small` | the bytes of the small files, one after the other |
//! | `KEY/0`, `1`... | the larger files |
//! | `.new-*`, `.old-*` | what is being made or removed |
//!
//! and a record of what all that is, in a file and a form that are the user's own. Files are named
//! by numbers, so no path that a package or a layer makes up ever touches the disk.
//!
//! | file | what it holds |
//! |---|---|
//! | `aside.rs` | making aside, and renaming what is whole |
//! | `files.rs` | writing the files |
//! | `held.rs` | using what is there |
//! | `sealed.rs` | the form of a record |
//! | `several.rs` | several at once |

mod aside;
mod files;
mod held;
mod sealed;
mod several;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::layer::Digest;
use crate::scratch::Scratch;

pub(crate) use files::Files;
#[cfg(feature = "debian")]
pub(crate) use held::{Held, open};
pub(crate) use held::{Hold, part};
pub(crate) use sealed::{In, Out};
pub(crate) use several::get_all;

/// What the name of something that is being made begins with.
pub(crate) const NEW: &str = ".new-";
/// What the name of something that is being removed begins with.
pub(crate) const OLD: &str = ".old-";
/// The file that who uses what is kept holds locked.
pub(crate) const LOCK: &str = "lock";
/// The file with the bytes of the small files.
pub(crate) const SMALL: &str = "small";

/// How often something is looked up and made, while others replace or remove it.
pub(crate) const MAX_ATTEMPTS: usize = 5;

/// What nobody has locked is taken for a leftover when it is older than this: who makes something
/// locks it within moments, but there are file systems without locks, and a large layer takes long.
const LEFTOVER: Duration = Duration::from_secs(60 * 60);

/// A directory of what is kept, which several builds may use at once.
#[derive(Debug)]
pub(crate) struct Shelf {
    directory: PathBuf,
    temporary: Option<Arc<Scratch>>,
    degraded: Option<String>,
}

/// What cannot be written, and what the system said.
#[derive(Debug)]
pub(crate) struct NotWritten {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl NotWritten {
    fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self {
            path: path.to_path_buf(),
            source,
        }
    }
}

impl Shelf {
    /// The shelf in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// With the reason, for people, when it cannot be written or others could have written to it:
    /// what a record says is believed, as its seal tells of accidents and not of intent.
    pub(crate) fn open(directory: &Path) -> Result<Self, String> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| error.to_string())?;
        if fs::symlink_metadata(directory).is_ok_and(|facts| facts.is_symlink()) {
            return Err(format!("{} is a symbolic link", directory.display()));
        }
        crate::private::check(directory)?;
        // Read-only file systems are found out here and not in the middle of a build.
        tempfile::Builder::new()
            .prefix(NEW)
            .tempfile_in(directory)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            directory: directory.to_path_buf(),
            temporary: None,
            degraded: None,
        })
    }

    /// The shelf that was opened. Without one, and where it cannot be used, one in a temporary
    /// directory, which goes with the last that holds something of it.
    pub(crate) fn or_temporary(
        opened: Option<Result<Self, String>>,
        prefix: &str,
    ) -> Result<Self, NotWritten> {
        let degraded = match opened {
            Some(Ok(shelf)) => return Ok(shelf),
            Some(Err(reason)) => Some(reason),
            None => None,
        };
        let temporary = Scratch::new(prefix).map_err(NotWritten::at(&std::env::temp_dir()))?;
        Ok(Self {
            directory: temporary.path().to_path_buf(),
            temporary: Some(Arc::new(temporary)),
            degraded,
        })
    }

    /// Why the shelf that was asked for is not used; `None` when all is well.
    pub(crate) fn degraded(&self) -> Option<&str> {
        self.degraded.as_deref()
    }

    /// Where what has this key is, or would be.
    pub(crate) fn place(&self, key: &Digest) -> PathBuf {
        self.directory.join(key.hex())
    }

    /// Removes what killed builds left behind.
    pub(crate) fn sweep(&self) {
        sweep(&self.directory);
    }
}

/// Removes what killed builds left on the shelf in `directory`, half made or half removed: nobody
/// holds its lock, and it is not new. Returns the bytes that were freed. What cannot be removed
/// is looked at by the next build.
pub(crate) fn sweep(directory: &Path) -> u64 {
    let mut freed = 0;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if !is_aside(&path) {
            continue;
        }
        let Ok(facts) = fs::symlink_metadata(&path) else {
            continue;
        };
        let is_old = facts
            .modified()
            .is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > LEFTOVER));
        let lock = File::open(path.join(LOCK)).ok();
        if !is_old || lock.is_some_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        let (bytes, removed) = match facts.is_dir() {
            true => (size(&path), fs::remove_dir_all(&path)),
            false => (facts.len(), fs::remove_file(&path)),
        };
        if removed.is_ok() {
            freed += bytes;
        }
    }
    freed
}

/// Whether something is being made or removed, and is in no place yet or any more.
pub(crate) fn is_aside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(NEW) || name.starts_with(OLD)
}

/// The bytes of what is kept in the directory `place`, in which files lie flat.
pub(crate) fn size(place: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(place) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|facts| facts.len())
        .sum()
}
