//! Using what is kept.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{LOCK, SMALL, Shelf};
use crate::layer::Digest;
use crate::rootfs::{Bytes, Content};
use crate::scratch::Scratch;
use crate::sysroot::{FileFacts, FileIdentity, facts_of, identity_of};

/// The time of last use is written down when it is older than this.
const USE_GRANULARITY: Duration = Duration::from_secs(60 * 60);

/// What keeps files in their place.
#[derive(Debug)]
pub(crate) struct Hold {
    _lock: File,
    _temporary: Option<Arc<Scratch>>,
}

/// Something that is kept, held in its place.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) directory: PathBuf,
    pub(crate) hold: Hold,
}

impl Shelf {
    /// What has this key, if something is there; whether it is whole, its files tell.
    pub(crate) fn hold(&self, key: &Digest) -> Option<Held> {
        let directory = self.place(key);
        let hold = Hold {
            _lock: lock(&directory)?,
            _temporary: self.temporary.clone(),
        };
        Some(Held { directory, hold })
    }
}

impl Held {
    /// The record of this name, of which no more than `limit` bytes are read.
    pub(crate) fn record(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = open(&self.directory.join(name)).ok()?;
        file.take(limit).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The bytes of all small files, if they are as many, and the state in which they are.
    pub(crate) fn small(&self, size: u64) -> Option<(Vec<u8>, FileIdentity)> {
        let mut file = open(&self.directory.join(SMALL)).ok()?;
        let identity = identity_of(&file).ok()?;
        if identity.size != size {
            return None;
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(usize::try_from(size).ok()?).ok()?;
        (&mut file).take(size).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 == size).then_some((bytes, identity))
    }

    /// The file of this number, as one that has this mode in an image.
    pub(crate) fn own(&self, number: u64, mode: u32) -> Option<(PathBuf, FileFacts)> {
        let path = self.directory.join(number.to_string());
        let facts = facts_of(&path).ok()?;
        Some((path, FileFacts { mode, ..facts }))
    }
}

#[cfg(test)]
impl Hold {
    /// One of nothing.
    pub(crate) fn of_nothing() -> io::Result<Self> {
        Ok(Self {
            _lock: tempfile::tempfile()?,
            _temporary: None,
        })
    }
}

/// One of the small files, if they reach so far.
pub(crate) fn part(small: &Arc<Vec<u8>>, offset: u64, size: u64) -> Option<Content> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    Some(Content::Bytes(Bytes::part(small, start..end)?))
}

/// Opens a file of what is kept; a pipe that took its place is not waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(file)
}

/// Locks what is kept against being removed, and notes that it was used.
fn lock(directory: &Path) -> Option<File> {
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
        // Without it, it only looks unused.
        let _ = lock.set_modified(SystemTime::now());
    }
    Some(lock)
}
