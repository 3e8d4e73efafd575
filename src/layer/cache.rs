//! The cache of compressed members and packed layers.
//!
//! Below the cache's directory, in one named after the format's version:
//!
//! | path | what it holds |
//! |---|---|
//! | `members/…` | a compressed member, named by its content and codec |
//! | `recipes/…` | what a list of entries was packed into, named by the list |
//! | `layers/…` | the members of a blob in order, named by the blob's digest |
//! | `pruned` | when files were last removed to keep the limit |
//!
//! Each kind has one flat directory: making a directory, and files far apart from each other,
//! costs ext4 about as much as all else that is done for a member.
//!
//! Every file ends in a trailer with its own name, length and CRC-32, so a file that was
//! cut off, damaged or put there under another name is not used, but removed. Files are
//! written aside and renamed. Nothing is ever changed in place, so builds need no locks.

mod prune;
mod recipe;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

pub use prune::{CacheSummary, Pruned};
pub(super) use recipe::recipe_key;

use super::buffer::Buffer;
use super::compress::Compression;
use super::digest::{Digest, Hasher};

/// Version of everything that the cache's files say.
const VERSION: &str = "v1";

/// What the last bytes of every file say.
const MAGIC: [u8; 8] = *b"dbcache1";
/// Name, length, CRC-32 and magic.
const TRAILER: usize = 32 + 8 + 4 + 8;

/// No file of the cache is larger than this in bytes.
const LARGEST_FILE: u64 = 64 << 20;

/// No member is larger than this in bytes: its content is hardly more than 1 MiB. A larger
/// file is none of ours, and is not read into memory to find that out.
const LARGEST_MEMBER: u64 = 4 << 20;

/// A file's time of last use is written down when it is older than this.
const USE_GRANULARITY: Duration = Duration::from_secs(60 * 60);

/// A bounded, content-addressed cache on disk, safe for concurrent builds.
///
/// A cache that cannot be read or written never fails a build: it is left out, and
/// [`degraded`](Self::degraded) says why.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    limit: u64,
    trusted: OnceLock<bool>,
    degraded: Mutex<Option<String>>,
    written: AtomicU64,
}

/// The name of a compressed member: its content, codec and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemberKey(Digest);

impl MemberKey {
    /// The key of the member with this uncompressed content.
    pub(super) fn new(content: &Digest, compression: Compression) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(content.as_bytes());
        hasher.update(compression.codec().as_bytes());
        Self(hasher.finish())
    }
}

impl Cache {
    /// The limit on a cache's size in bytes where none is given: 2 GiB.
    pub const DEFAULT_LIMIT: u64 = 2 << 30;

    /// Members with less content than this in bytes are not worth a file of their own.
    pub(super) const SMALLEST_MEMBER: usize = 4 << 10;

    /// Bytes of members without a file that a layer's recipe may hold.
    pub(super) const INLINE_LIMIT: usize = 4 << 20;

    /// The cache in `directory`, which is made when something is first kept there, and is
    /// held to about `limit` bytes.
    pub fn open(directory: impl Into<PathBuf>, limit: u64) -> Self {
        Self {
            directory: directory.into(),
            limit,
            trusted: OnceLock::new(),
            degraded: Mutex::new(None),
            written: AtomicU64::new(0),
        }
    }

    /// Where a user's cache is: `distrobuild` below `XDG_CACHE_HOME`, or below `~/.cache`
    /// (XDG Base Directory Specification). `None` when neither variable has an absolute path.
    pub fn default_directory() -> Option<PathBuf> {
        let absolute = |name| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let caches = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(caches.join("distrobuild"))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The limit on its size in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Why it is not, or no longer, used; `None` when all is well.
    pub fn degraded(&self) -> Option<String> {
        self.degraded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether this member is there; then `member` holds its bytes.
    pub(super) fn load_member(&self, key: &MemberKey, member: &mut Buffer) -> bool {
        self.load(&self.member_path(key), &key.0, LARGEST_MEMBER, member)
            .is_some()
    }

    /// Keeps a member.
    pub(super) fn store_member(&self, key: &MemberKey, bytes: &[u8]) {
        self.store(&self.member_path(key), &key.0, &[bytes]);
    }

    fn root(&self) -> PathBuf {
        self.directory.join(VERSION)
    }

    fn member_path(&self, key: &MemberKey) -> PathBuf {
        self.root().join("members").join(key.0.hex())
    }

    /// Whether what is there can be believed. Its checksums tell of accidents, not of
    /// intent, so nobody else may have written there.
    fn is_trusted(&self) -> bool {
        *self.trusted.get_or_init(|| {
            let Err(reason) = crate::private::check(&self.directory) else {
                return true;
            };
            self.degrade(reason);
            false
        })
    }

    fn is_usable(&self) -> bool {
        self.is_trusted() && self.degraded().is_none()
    }

    fn degrade(&self, reason: impl std::fmt::Display) {
        self.degraded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| {
                format!(
                    "the cache in {} is not used: {reason}",
                    self.directory.display()
                )
            });
    }

    /// Fills `payload` from the file at `path`, when it is whole and is what `name` says.
    /// A file that is not is removed.
    fn load(&self, path: &Path, name: &Digest, limit: u64, payload: &mut Buffer) -> Option<()> {
        if !self.is_trusted() {
            return None;
        }
        let mut file = File::open(path).ok()?;
        let facts = file.metadata().ok()?;
        let size = facts.len();
        if size > limit || read_sealed(&mut file, size, name, payload).is_none() {
            payload.clear();
            // Whoever removed or replaced it meanwhile did what was wanted.
            let _ = fs::remove_file(path);
            return None;
        }
        let now = SystemTime::now();
        let unused = facts
            .modified()
            .map(|used| now.duration_since(used).unwrap_or_default());
        if unused.is_ok_and(|unused| unused > USE_GRANULARITY) {
            // Only the order of pruning suffers when this fails.
            let _ = file.set_modified(now);
        }
        Some(())
    }

    /// Writes a file aside and renames it to `path`. The first failure is the last attempt.
    fn store(&self, path: &Path, name: &Digest, payload: &[&[u8]]) {
        if !self.is_usable() {
            return;
        }
        match self.write_sealed(path, name, payload) {
            Ok(bytes) => {
                self.written.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(error) => self.degrade(error),
        }
    }

    fn write_sealed(&self, path: &Path, name: &Digest, payload: &[&[u8]]) -> io::Result<u64> {
        let mut length = 0_u64;
        let mut crc = libdeflater::Crc::new();
        for part in payload {
            length += part.len() as u64;
            crc.update(part);
        }
        if length + TRAILER as u64 > LARGEST_FILE {
            return Ok(0);
        }
        let directory = path.parent().unwrap_or(&self.directory);
        // Beside its place, so that the rename stays within one directory.
        let mut aside = match new_file(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private_directories(directory)?;
                new_file(directory)?
            }
            other => other?,
        };
        let file = aside.as_file_mut();
        for part in payload {
            file.write_all(part)?;
        }
        file.write_all(&trailer(name, length, crc.sum()))?;
        aside.persist(path).map_err(|error| error.error)?;
        Ok(length + TRAILER as u64)
    }
}

/// How the names of unfinished files begin.
const ASIDE: &str = "aside-";

/// A new file with mode 0600, removed unless it is renamed.
fn new_file(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(ASIDE)
        .tempfile_in(directory)
}

fn private_directories(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn trailer(name: &Digest, length: u64, crc: u32) -> [u8; TRAILER] {
    let mut trailer = [0; TRAILER];
    let parts = name
        .as_bytes()
        .iter()
        .copied()
        .chain(length.to_le_bytes())
        .chain(crc.to_le_bytes())
        .chain(MAGIC);
    for (to, from) in trailer.iter_mut().zip(parts) {
        *to = from;
    }
    trailer
}

/// Reads a file of `size` bytes with its trailer and checks it.
fn read_sealed(file: &mut File, size: u64, name: &Digest, payload: &mut Buffer) -> Option<()> {
    let length = size.checked_sub(TRAILER as u64)?;
    let length = usize::try_from(length).ok()?;
    payload.clear();
    file.read_exact(payload.space(length)).ok()?;
    payload.advance(length);
    let mut found = [0; TRAILER];
    file.read_exact(&mut found).ok()?;
    let crc = libdeflater::crc32(payload.filled());
    (found == trailer(name, length as u64, crc)).then_some(())
}

#[cfg(test)]
mod tests;
