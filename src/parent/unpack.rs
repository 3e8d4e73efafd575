//! Unpacked layers, each made once and shared by builds.
//!
//! Below the directory for them, for each layer:
//!
//! | path | what it holds |
//! |---|---|
//! | `DIFF_ID/lock` | nothing; locked shared by who uses the layer, its time is that of last use |
//! | `DIFF_ID/record` | the entries, and where each file's bytes are |
//! | `DIFF_ID/small` | the bytes of its small files, one after the other |
//! | `DIFF_ID/0`, `1`... | its larger files |
//! | `.new-*`, `.old-*` | layers that are being made or removed |
//!
//! Files are named by numbers, so no path that a layer makes up ever touches the disk. A layer is
//! made aside and renamed when it is whole. One of which a file is in another state than it was
//! left in (device, inode, size, times) is made anew.

mod make;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::record::{Item, Record, What};
use super::{ParentError, ParentLayer};
use crate::layer::Digest;
use crate::rootfs::{Bytes, Content};
use crate::scratch::Scratch;
use crate::store::Source;
use crate::sysroot::{FileFacts, facts_of, identity_of};

const NEW: &str = ".new-";
const OLD: &str = ".old-";
const LOCK: &str = "lock";
const RECORD: &str = "record";
const SMALL: &str = "small";

/// Bytes that a record may have.
const RECORD_LIMIT: u64 = 1 << 30;
/// Bytes of small files of all layers of an image, which are held in memory.
const SMALL_LIMIT: u64 = 512 << 20;
/// Entries of all layers of an image.
const ENTRY_LIMIT: u64 = 4 << 20;
/// Bytes of the names of all layers of an image, which are held in memory, too.
const NAME_LIMIT: u64 = 512 << 20;
/// Bytes that all layers of an image may be unpacked to, as they are kept.
const SIZE_LIMIT: u64 = 128 << 30;
/// How often a layer is looked up and made, while others replace or remove it.
const MAX_ATTEMPTS: usize = 5;
/// The time of last use is written down when it is older than this.
const USE_GRANULARITY: Duration = Duration::from_secs(60 * 60);
/// What a killed build left behind is removed when it is older than this.
const LEFTOVER: Duration = Duration::from_secs(60 * 60);
/// Layers that are fetched and unpacked at once: each may be a connection to a registry.
const MOST_AT_ONCE: usize = 4;

/// A layer, unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// Size of the uncompressed tar in bytes.
    pub(super) tar_size: u64,
    /// Its entries, and the content of those that are files.
    pub(super) items: Vec<(Item, Option<Content>)>,
    /// Bytes of its small files.
    small: u64,
    /// Keeps its files in their place.
    pub(super) hold: Hold,
}

/// What the layers of an image take together: counted as they come, so that an image of hundreds
/// of layers, each as large as one may be, is refused before all of it is there.
#[derive(Debug, Default)]
struct Totals {
    small: AtomicU64,
    entries: AtomicU64,
    names: AtomicU64,
    size: AtomicU64,
}

impl Totals {
    /// Counts a layer, and gives it back if there is room for it.
    fn add(&self, layer: Unpacked, image: &str) -> Result<Unpacked, ParentError> {
        let names = layer.items.iter().map(|(item, _)| item.name_bytes()).sum();
        for (total, more, limit, what) in [
            (
                &self.small,
                layer.small,
                SMALL_LIMIT,
                "bytes in small files",
            ),
            (
                &self.entries,
                layer.items.len() as u64,
                ENTRY_LIMIT,
                "entries",
            ),
            (&self.names, names, NAME_LIMIT, "bytes in names"),
            (
                &self.size,
                layer.tar_size,
                SIZE_LIMIT,
                "bytes when it is unpacked",
            ),
        ] {
            let before = total.fetch_add(more, Ordering::Relaxed);
            if before.saturating_add(more) > limit {
                return Err(ParentError::Limit {
                    image: image.to_owned(),
                    limit,
                    what,
                });
            }
        }
        Ok(layer)
    }
}

/// What keeps the files of a layer in their place.
#[derive(Debug)]
pub(super) struct Hold {
    _lock: File,
    _temporary: Option<Arc<Scratch>>,
}

/// A directory of unpacked layers, which several builds may use at once.
#[derive(Debug)]
pub(super) struct Kept {
    directory: PathBuf,
    temporary: Option<Arc<Scratch>>,
    degraded: Option<String>,
}

impl Kept {
    /// The layers in `directory`. Without one, and where it cannot be written or others could
    /// have written to it, they are unpacked to a temporary directory, which goes with the last
    /// that holds one of them.
    pub(super) fn open(directory: Option<PathBuf>) -> Result<Self, ParentError> {
        let mut degraded = None;
        if let Some(directory) = directory {
            match prepare(&directory) {
                Ok(()) => {
                    sweep(&directory);
                    return Ok(Self {
                        directory,
                        temporary: None,
                        degraded: None,
                    });
                }
                Err(reason) => {
                    degraded = Some(format!(
                        "{} is not used for unpacked layers: {reason}",
                        directory.display()
                    ));
                }
            }
        }
        let made = Scratch::new("distrobuild-base-");
        let temporary = made.map_err(|source| ParentError::Write {
            path: std::env::temp_dir(),
            source,
        })?;
        Ok(Self {
            directory: temporary.path().to_path_buf(),
            temporary: Some(Arc::new(temporary)),
            degraded,
        })
    }

    /// Why the directory that was asked for is not used; `None` when all is well.
    pub(super) fn degraded(&self) -> Option<&str> {
        self.degraded.as_deref()
    }

    /// All layers of an image, in their order.
    pub(super) fn get_all(
        &self,
        source: &dyn Source,
        layers: &[ParentLayer],
        shown: &str,
    ) -> Result<Vec<Unpacked>, ParentError> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = threads.min(layers.len()).min(MOST_AT_ONCE);
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let totals = Totals::default();
        let results = Mutex::new(Vec::with_capacity(layers.len()));
        let work = || {
            while !failed.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(layer) = layers.get(at) else { break };
                let result = self
                    .get(source, layer, shown)
                    .and_then(|unpacked| totals.add(unpacked, shown));
                failed.fetch_or(result.is_err(), Ordering::Relaxed);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.push((at, result));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Where the system gives no more threads, those that there are do the work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_unstable_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn get(
        &self,
        source: &dyn Source,
        layer: &ParentLayer,
        shown: &str,
    ) -> Result<Unpacked, ParentError> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(unpacked) = self.load(&layer.diff_id) {
                return Ok(unpacked);
            }
            self.make(source, layer, shown)?;
        }
        Err(ParentError::Restless(self.place(&layer.diff_id)))
    }

    fn place(&self, diff_id: &Digest) -> PathBuf {
        self.directory.join(diff_id.hex())
    }

    /// The layer with this content, if it is there and whole.
    fn load(&self, diff_id: &Digest) -> Option<Unpacked> {
        let directory = self.place(diff_id);
        let lock = hold(&directory)?;
        let mut bytes = Vec::new();
        let record = open(&directory.join(RECORD)).ok()?;
        record.take(RECORD_LIMIT).read_to_end(&mut bytes).ok()?;
        let record = Record::from_bytes(&bytes)?;
        drop(bytes);
        if record.diff_id != *diff_id {
            return None;
        }
        let small = Arc::new(read_small(&directory, &record)?);
        let mut items = Vec::with_capacity(record.items.len());
        for item in record.items {
            let content = match &item.what {
                What::Small { offset, size } => {
                    let start = usize::try_from(*offset).ok()?;
                    let end = start.checked_add(usize::try_from(*size).ok()?)?;
                    Some(Content::Bytes(Bytes::part(&small, start..end)?))
                }
                What::Own { number, identity } => {
                    let path = directory.join(number.to_string());
                    let facts = facts_of(&path).ok()?;
                    if facts.identity != *identity {
                        return None;
                    }
                    let mode = item.mode;
                    let facts = FileFacts { mode, ..facts };
                    Some(Content::Host { path, facts })
                }
                _ => None,
            };
            items.push((item, content));
        }
        Some(Unpacked {
            tar_size: record.tar_size,
            items,
            small: record.small.size,
            hold: Hold {
                _lock: lock,
                _temporary: self.temporary.clone(),
            },
        })
    }
}

/// Makes the directory, and sees that nobody else may have written there: what a record says is
/// believed, as its digest tells of accidents and not of intent.
fn prepare(directory: &Path) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| error.to_string())?;
    if fs::symlink_metadata(directory).is_ok_and(|facts| facts.is_symlink()) {
        return Err("it is a symbolic link".to_owned());
    }
    crate::private::check(directory)?;
    // Read-only file systems are found out here and not in the middle of a build.
    tempfile::Builder::new()
        .prefix(NEW)
        .tempfile_in(directory)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Locks a layer against being removed, and notes that it was used.
fn hold(directory: &Path) -> Option<File> {
    let path = directory.join(LOCK);
    let lock = File::open(&path).ok()?;
    // Held exclusively only by who removes it.
    if matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    // Between opening and locking it may have been removed or replaced.
    let (held, there) = (lock.metadata().ok()?, fs::metadata(&path).ok()?);
    if (held.dev(), held.ino()) != (there.dev(), there.ino()) {
        return None;
    }
    let is_old = held
        .modified()
        .is_ok_and(|used| used.elapsed().is_ok_and(|age| age > USE_GRANULARITY));
    if is_old {
        // Without it the layer only looks unused.
        let _ = lock.set_modified(SystemTime::now());
    }
    Some(lock)
}

/// The bytes of `small`, if it is in the state in which it was left.
fn read_small(directory: &Path, record: &Record) -> Option<Vec<u8>> {
    let mut file = open(&directory.join(SMALL)).ok()?;
    if identity_of(&file).ok()? != record.small {
        return None;
    }
    let size = usize::try_from(record.small.size).ok()?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).ok()?;
    (&mut file)
        .take(record.small.size)
        .read_to_end(&mut bytes)
        .ok()?;
    (bytes.len() == size).then_some(bytes)
}

/// Opens a file of a layer; a pipe that took its place is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(file)
}

/// Removes what killed builds left behind: nobody holds its lock, and it is not new.
fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(NEW) && !name.starts_with(OLD) {
            continue;
        }
        let path = entry.path();
        let is_old = fs::symlink_metadata(&path)
            .and_then(|facts| facts.modified())
            .is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > LEFTOVER));
        let lock = File::open(path.join(LOCK)).ok();
        if is_old && lock.is_none_or(|lock| lock.try_lock().is_ok()) {
            // What cannot be removed now is looked at by the next build.
            let _ = match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layer(small: u64, tar_size: u64) -> Unpacked {
        Unpacked {
            tar_size,
            items: Vec::new(),
            small,
            hold: Hold {
                _lock: tempfile::tempfile().unwrap(),
                _temporary: None,
            },
        }
    }

    #[test]
    fn layers_that_are_too_much_together_are_refused_with_the_first_that_is() {
        for (small, size, what) in [
            (200 << 20, 0, "small files"),
            (0, 50 << 30, "unpacked"),
            (0, u64::MAX / 2, "unpacked"),
        ] {
            let totals = Totals::default();
            let layers = std::iter::repeat_with(|| totals.add(layer(small, size), "the-base"));
            let error = layers.take(3).find_map(Result::err).unwrap().to_string();
            assert!(
                error.contains(what) && error.contains("the-base"),
                "{error}"
            );
        }
    }
}
