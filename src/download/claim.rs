//! Which of several builds downloads a file that all of them want.
//!
//! The partial file itself is locked, by the one that writes to it. Its name goes away when
//! the file gets the name of its hash, so a lock only counts while the name still leads to
//! the locked file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::attempts::Ended;
use super::partial::{Partial, record_of};
use super::store::{PARTIAL, Store, is_at};
use super::{DownloadError, Expected, Fetched};

/// How often one that waits looks what the other does.
const GLANCE: Duration = Duration::from_millis(20);

/// How the names of the files begin that are not to be resumed.
const ALONE: &str = "alone-";

/// A partial file of this age has no build any more that would go on with it.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A file that is not to be resumed has no use as soon as nobody has locked it, but for the
/// moment in which it is made.
const YOUNG: Duration = Duration::from_secs(60 * 60);

/// Who downloads the file.
pub(super) enum Claim {
    /// This build.
    Mine(Partial),
    /// Another has done it meanwhile.
    Done(Fetched),
}

impl Store {
    /// The right to download a file. While another build does and goes on doing, waits for
    /// it; not longer than `stall` without a byte of progress.
    pub(super) fn claim(
        &self,
        expected: &Expected,
        largest: u64,
        stall: Duration,
        stop: &AtomicBool,
    ) -> Result<Claim, Ended> {
        self.swept.call_once(|| self.sweep());
        let path = self.directory(PARTIAL).join(expected.sha256.hex());
        let refused = |source| DownloadError::Cache {
            path: path.clone(),
            source,
        };
        let mut seen = None;
        let mut since = Instant::now();
        loop {
            if self.has(&expected.sha256)
                && let Some(found) = self.find(expected)
            {
                return Ok(Claim::Done(found));
            }
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(refused)?;
            match file.try_lock() {
                Ok(()) if !is_at(&file, &path) => continue,
                Ok(()) => {
                    // It may have come between the look and the lock, and then this partial
                    // file was only just made.
                    if self.has(&expected.sha256)
                        && let Some(found) = self.find(expected)
                    {
                        let _ = fs::remove_file(&path);
                        return Ok(Claim::Done(found));
                    }
                    let partial = Partial::resume(file, path, expected, largest)?;
                    return Ok(Claim::Mine(partial));
                }
                Err(TryLockError::WouldBlock) => {}
                // A file system without locks.
                Err(TryLockError::Error(_)) => return Ok(Claim::Mine(self.alone()?)),
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Ended::Stopped);
            }
            let now = progress(&file);
            if now != seen {
                seen = now;
                since = Instant::now();
            } else if since.elapsed() > stall {
                return Ok(Claim::Mine(self.alone()?));
            }
            drop(file);
            std::thread::sleep(GLANCE);
        }
    }

    /// A file that no other build waits for.
    fn alone(&self) -> Result<Partial, DownloadError> {
        let directory = self.directory(PARTIAL);
        let refused = |source| DownloadError::Cache {
            path: directory.clone(),
            source,
        };
        let (file, path) = tempfile::Builder::new()
            .prefix(ALONE)
            .tempfile_in(&directory)
            .and_then(|made| made.keep().map_err(|error| error.error))
            .map_err(refused)?;
        // Against being swept away; without locks only its age protects it.
        let _ = file.try_lock();
        Ok(Partial::alone(file, path))
    }

    /// Removes what no build will go on with.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.directory(PARTIAL)) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let limit = if name.as_encoded_bytes().starts_with(ALONE.as_bytes()) {
                YOUNG
            } else {
                ABANDONED
            };
            let age = entry
                .metadata()
                .ok()
                .and_then(|facts| facts.modified().ok())
                .and_then(|modified| SystemTime::now().duration_since(modified).ok());
            if age.is_some_and(|age| age > limit) {
                remove_unless_locked(&entry.path());
            }
        }
    }
}

/// Removes a file of the cache, with the record beside it, unless somebody uses it. Whether
/// it is gone.
pub(super) fn remove_unless_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !is_at(&file, path) {
        return false;
    }
    let is_gone = fs::remove_file(path).is_ok();
    if is_gone && path.extension().is_none() {
        let _ = fs::remove_file(record_of(path));
    }
    is_gone
}

fn progress(file: &File) -> Option<(u64, Option<SystemTime>)> {
    let facts = file.metadata().ok()?;
    Some((facts.len(), facts.modified().ok()))
}
