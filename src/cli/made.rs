//! What builds made on the way and keep for the next one: smaller Java runtimes, compiled Python.
//! It lies beside the cache of layers, and `distrobuild cache` tells of both.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::layer::Cache;

/// Where it is kept; `None` when there is no such place.
pub(super) fn directory() -> Option<PathBuf> {
    Some(Cache::default_directory()?.join("made"))
}

/// Where packages are kept, as they were downloaded and unpacked.
#[cfg(feature = "debian")]
pub(super) fn packages() -> Option<PathBuf> {
    Some(Cache::default_directory()?.join("packages"))
}

/// Where images that others are built on are kept, fetched and unpacked.
pub(super) fn parents() -> Option<PathBuf> {
    Some(Cache::default_directory()?.join("parents"))
}

/// The file in it that builds hold which use what is there.
const IN_USE: &str = "lock";

/// Makes the directory for these images, for this user alone, and keeps what is in it from being
/// removed as long as the file is held. `None` where it cannot be made, or others may have written
/// to it: then nothing in it is believed.
pub(super) fn hold_parents(directory: &Path) -> Option<File> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory).ok()?;
    crate::private::check(directory).ok()?;
    let lock = in_use(directory).ok()?;
    // A file system without locks has one build at a time, as far as we can see to it.
    let _ = lock.lock_shared();
    Some(lock)
}

fn in_use(directory: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(directory.join(IN_USE))
}

/// The size in bytes of these.
pub(super) fn parents_size() -> io::Result<u64> {
    match parents() {
        Some(directory) if directory.exists() => size_of(&directory),
        _ => Ok(0),
    }
}

/// Removes all of them when they are larger than `keep` bytes together; returns the bytes freed.
/// While a build uses one they stay.
pub(super) fn prune_parents(keep: u64) -> io::Result<u64> {
    let size = parents_size()?;
    match parents() {
        Some(directory) if size > keep && remove_parents(&directory)? => Ok(size),
        _ => Ok(0),
    }
}

fn remove_parents(directory: &Path) -> io::Result<bool> {
    let lock = in_use(directory)?;
    if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
        return Ok(false);
    }
    for path in entries(directory)? {
        // The lock stays: who waits for it would hold one that nobody else finds.
        if path.file_name().is_some_and(|name| name != IN_USE) {
            remove(&path)?;
        }
    }
    Ok(true)
}

/// The size in bytes of all packages that are kept.
pub(super) fn packages_size() -> io::Result<u64> {
    #[cfg(feature = "debian")]
    if let Some(directory) = packages() {
        return crate::debian::Session::cache_size(&directory);
    }
    Ok(0)
}

/// Removes packages until at most `keep` bytes are left; returns the bytes freed.
pub(super) fn prune_packages(keep: u64) -> io::Result<u64> {
    #[cfg(feature = "debian")]
    if let Some(directory) = packages() {
        return crate::debian::Session::prune_cache(&directory, keep);
    }
    let _ = keep;
    Ok(0)
}

/// One thing that was made: a file or a directory.
struct Made {
    path: PathBuf,
    used: SystemTime,
    size: u64,
}

/// The size in bytes of all that was made.
///
/// # Errors
/// When a directory cannot be read.
pub(super) fn size() -> io::Result<u64> {
    Ok(all()?.iter().map(|made| made.size).sum())
}

/// Removes what was used longest ago until at most `keep` bytes are left; returns the bytes freed.
///
/// # Errors
/// When something cannot be read or removed.
pub(super) fn prune(keep: u64) -> io::Result<u64> {
    let mut all = all()?;
    all.sort_by_key(|made| made.used);
    let mut left: u64 = all.iter().map(|made| made.size).sum();
    let mut freed = 0;
    for made in all {
        if left <= keep {
            break;
        }
        remove(&made.path)?;
        left -= made.size;
        freed += made.size;
    }
    Ok(freed)
}

fn all() -> io::Result<Vec<Made>> {
    let mut all = Vec::new();
    let Some(directory) = directory() else {
        return Ok(all);
    };
    for path in entries(&directory)? {
        let facts = path.symlink_metadata()?;
        let used = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let size = size_of(&path)?;
        all.push(Made { path, used, size });
    }
    Ok(all)
}

/// The size of a file, or of all files below a directory.
fn size_of(path: &Path) -> io::Result<u64> {
    let mut size = 0;
    let mut todo = vec![path.to_path_buf()];
    while let Some(path) = todo.pop() {
        let facts = path.symlink_metadata()?;
        if facts.is_dir() {
            todo.extend(entries(&path)?);
        } else {
            size += facts.len();
        }
    }
    Ok(size)
}

/// What is in a directory; nothing when there is none.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found?.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(facts) if facts.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn images_that_a_build_uses_are_not_removed() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("parents");
        let held = [hold_parents(&directory), hold_parents(&directory)].map(Option::unwrap);
        std::fs::create_dir(directory.join("images")).unwrap();
        for lock in held {
            assert!(!remove_parents(&directory).unwrap());
            assert!(directory.join("images").exists());
            drop(lock);
        }
        assert!(remove_parents(&directory).unwrap());
        assert_eq!(entries(&directory).unwrap(), [directory.join(IN_USE)]);
        assert!(hold_parents(&directory).is_some());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_not_believed() {
        let place = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(place.path(), open).unwrap();
        assert!(hold_parents(place.path()).is_none());
    }
}
