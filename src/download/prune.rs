//! What a cache of downloads holds, and making it smaller.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::claim::remove_unless_locked;
use super::store::{LATEST, PARTIAL, VERIFIED};

/// What a cache of downloads holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Files, with those of which only a part is there.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

struct Kept {
    used: SystemTime,
    path: PathBuf,
    size: u64,
}

/// What the cache in this directory holds. One that is not there holds nothing.
///
/// # Errors
/// When a directory of it cannot be read.
pub fn summary(cache: &Path) -> io::Result<Summary> {
    let files = files(cache)?;
    Ok(Summary {
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.size).sum(),
    })
}

/// Removes what was not used for the longest time until at most `keep_bytes` bytes are left,
/// and tells how many bytes were removed. What a build uses at the moment stays.
///
/// # Errors
/// When a directory of the cache cannot be read.
pub fn prune(cache: &Path, keep_bytes: u64) -> io::Result<u64> {
    let mut files = files(cache)?;
    files.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
    let mut left: u64 = files.iter().map(|file| file.size).sum();
    let mut removed = 0;
    for file in files {
        if left <= keep_bytes {
            break;
        }
        if remove_unless_locked(&file.path) {
            left -= file.size;
            removed += file.size;
        }
    }
    Ok(removed)
}

fn files(cache: &Path) -> io::Result<Vec<Kept>> {
    let mut files = Vec::new();
    let verified = cache.join(VERIFIED);
    let mut directories = vec![cache.join(LATEST), cache.join(PARTIAL)];
    for entry in entries(&verified)? {
        directories.push(entry.path());
    }
    for directory in directories {
        for entry in entries(&directory)? {
            // What has gone meanwhile is what was wanted.
            if let Ok(facts) = entry.metadata()
                && facts.is_file()
            {
                files.push(Kept {
                    used: facts.modified()?,
                    path: entry.path(),
                    size: facts.len(),
                });
            }
        }
    }
    Ok(files)
}

fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        entries => entries?.collect(),
    }
}
