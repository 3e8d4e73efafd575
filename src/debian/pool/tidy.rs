//! What the pool takes, and removing what was not used for long.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Pool, UNPACKED};
use crate::shelf::{LOCK, OLD, is_aside, size, sweep};

/// What the pool takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolSummary {
    /// Unpacked packages.
    pub packages: u64,
    /// The size of all files together, in bytes.
    pub bytes: u64,
}

impl Pool {
    /// What the pool in `directory` takes; nothing, when there is none.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn summary(directory: &Path) -> io::Result<PoolSummary> {
        let mut summary = PoolSummary::default();
        for path in directories(&directory.join(UNPACKED))? {
            summary.packages += u64::from(!is_aside(&path));
            summary.bytes += size(&path);
        }
        Ok(summary)
    }

    /// Removes packages of the pool in `directory`, least recently used first, until all
    /// together take `keep_bytes` at most; returns the bytes that were freed. What a build uses
    /// stays, and so what is left may be more. What a killed build left behind goes in any case,
    /// an hour later.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn prune(directory: &Path, keep_bytes: u64) -> io::Result<u64> {
        let unpacked = directory.join(UNPACKED);
        let mut freed = sweep(&unpacked);
        let mut packages: Vec<(SystemTime, PathBuf, u64)> = directories(&unpacked)?
            .into_iter()
            .filter(|path| !is_aside(path))
            .map(|path| {
                let used = fs::metadata(path.join(LOCK)).and_then(|lock| lock.modified());
                (used.unwrap_or(SystemTime::UNIX_EPOCH), size(&path), path)
            })
            .map(|(used, size, path)| (used, path, size))
            .collect();
        packages.sort_unstable();
        let mut total: u64 = packages.iter().map(|(_, _, size)| size).sum();
        for (_, path, size) in packages {
            if total <= keep_bytes {
                break;
            }
            if remove(&unpacked, &path) {
                total -= size;
                freed += size;
            }
        }
        Ok(freed)
    }
}

/// Removes a package that nobody uses: first from its place, then file by file.
fn remove(unpacked: &Path, path: &Path) -> bool {
    let lock = match File::open(path.join(LOCK)) {
        Ok(lock) if lock.try_lock().is_ok() => Some(lock),
        Ok(_) => return false,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => return false,
    };
    let Ok(aside) = tempfile::Builder::new().prefix(OLD).tempdir_in(unpacked) else {
        return false;
    };
    let removed = fs::rename(path, aside.path()).is_ok();
    drop(lock);
    removed && aside.close().is_ok()
}

fn directories(unpacked: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(unpacked) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}
