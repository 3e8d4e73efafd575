//! What the cache holds, and keeping it within its limit.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::{ASIDE, Cache};

/// The cache is looked through at most once in this time, unless much was written.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// An unfinished file of this age has no build any more that would finish it.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// What a cache holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CacheSummary {
    /// Where it is.
    pub directory: PathBuf,
    /// The limit on its size in bytes.
    pub limit: u64,
    /// Compressed members.
    pub members: u64,
    /// Layers that are known without reading their files.
    pub layers: u64,
    /// Size of all of it in bytes.
    pub bytes: u64,
}

/// What was removed from a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Files that were removed.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A file of the cache.
struct Kept {
    used: SystemTime,
    path: PathBuf,
    size: u64,
}

impl Cache {
    /// What the cache holds. One that was never written holds nothing.
    ///
    /// # Errors
    /// When its directory cannot be read.
    pub fn summary(&self) -> io::Result<CacheSummary> {
        let members = files(&self.root().join("members"))?;
        let recipes = files(&self.root().join("recipes"))?;
        let layers = files(&self.root().join("layers"))?;
        Ok(CacheSummary {
            directory: self.directory.clone(),
            limit: self.limit,
            members: members.len() as u64,
            layers: recipes.len() as u64,
            bytes: size(&members) + size(&recipes) + size(&layers),
        })
    }

    /// Removes what was not used for the longest time until at most `to_bytes` are left.
    ///
    /// # Errors
    /// When the directory cannot be read or a file cannot be removed.
    pub fn prune(&self, to_bytes: u64) -> io::Result<Pruned> {
        let mut kept = files(&self.root().join("members"))?;
        kept.extend(files(&self.root().join("recipes"))?);
        kept.extend(files(&self.root().join("layers"))?);
        kept.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        let mut left = size(&kept);
        let mut pruned = Pruned::default();
        let now = SystemTime::now();
        for file in kept {
            let unfinished = file
                .path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(ASIDE.as_bytes()));
            let age = now.duration_since(file.used).unwrap_or_default();
            if if unfinished {
                age > ABANDONED
            } else {
                left > to_bytes
            } {
                remove(&file.path)?;
                left -= file.size;
                pruned.files += 1;
                pruned.bytes += file.size;
            }
        }
        Ok(pruned)
    }

    /// Removes everything that the cache holds; the directory itself stays.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn clear(&self) -> io::Result<Pruned> {
        let held = self.summary()?;
        // Only what is the cache's own: the directory may be one that the user chose. Set
        // aside first: a build that is at work may not fill it again meanwhile.
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let aside = match tempfile::Builder::new()
            .prefix(ASIDE)
            .tempdir_in(&self.directory)
        {
            Err(error) if gone(&error) => return Ok(Pruned::default()),
            other => other?,
        };
        match fs::rename(self.root(), aside.path().join("cleared")) {
            Err(error) if gone(&error) => return Ok(Pruned::default()),
            other => other?,
        }
        aside.close()?;
        Ok(Pruned {
            files: held.members + held.layers,
            bytes: held.bytes,
        })
    }

    /// Keeps the limit after a build, now and then.
    pub(in crate::layer) fn tidy(&self) {
        let written = self.written.load(Ordering::Relaxed);
        if written == 0 || !self.is_usable() {
            return;
        }
        let Ok(stamp) = self.stamp() else {
            return;
        };
        let recent = stamp
            .metadata()
            .and_then(|facts| facts.modified())
            .is_ok_and(|last| last.elapsed().is_ok_and(|since| since < INTERVAL));
        let is_new = stamp.metadata().is_ok_and(|facts| facts.len() == 0);
        if recent && !is_new && written < self.limit / 8 {
            return;
        }
        // Another build that is at it does it for this one as well.
        if stamp.try_lock().is_err() {
            return;
        }
        self.written.store(0, Ordering::Relaxed);
        // A little below the limit, so that the next build does not have to begin again.
        // What could not be removed now is met again the next time.
        let _ = self.prune(self.limit - self.limit / 10);
        let _ = io::Write::write_all(&mut &stamp, b"\n");
    }

    fn stamp(&self) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.root().join("pruned"))
    }
}

fn size(files: &[Kept]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

/// The files in a directory of the cache; none when there is no such directory.
fn files(directory: &Path) -> io::Result<Vec<Kept>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(facts) if facts.is_file() => files.push(Kept {
                used: facts.modified()?,
                path: entry.path(),
                size: facts.len(),
            }),
            // Another build has removed or renamed it.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(files)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
