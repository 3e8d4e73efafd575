//! The cache on disk: where files are, and that they are what their names say.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::{DownloadError, Expected, Fetched};
use crate::layer::{Digest, Hasher};

/// Whole files, by their hash.
pub(super) const VERIFIED: &str = "sha256";
/// Files of which no hash was known.
pub(super) const LATEST: &str = "latest";
/// Files of which a part is there.
pub(super) const PARTIAL: &str = "partial";

/// How much of a file is read at once in bytes.
pub(super) const CHUNK: usize = 128 << 10;

/// How long to wait for a lock that others hold for a moment only.
const MOMENT: Duration = Duration::from_secs(2);

/// The cache, or a temporary directory in its stead.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    temporary: Option<Arc<TempDir>>,
    /// The cache that may be read, but not written.
    readable: Option<PathBuf>,
    degraded: Option<String>,
    /// What builds that were killed have left is looked through once.
    pub(super) swept: Once,
}

/// Keeps a file where it is.
#[derive(Debug)]
pub(super) struct Hold {
    /// Locked, so that it is not pruned.
    _file: File,
    _temporary: Option<Arc<TempDir>>,
}

impl Store {
    pub(super) fn open(cache: Option<&Path>) -> Result<Self, DownloadError> {
        let Some(cache) = cache else {
            return Self::temporary(None, None);
        };
        // Files are used by their path after they were verified, and what no hash is known of is
        // only signed: nobody else may write there.
        if let Err(reason) = crate::private::check(cache) {
            return Self::temporary(None, Some((cache, reason)));
        }
        match prepare(cache) {
            Ok(()) => Ok(Self {
                root: cache.to_owned(),
                temporary: None,
                readable: None,
                degraded: None,
                swept: Once::new(),
            }),
            Err(error) => {
                let reason = format!("it cannot be written: {error}");
                Self::temporary(Some(cache.to_owned()), Some((cache, reason)))
            }
        }
    }

    fn temporary(
        readable: Option<PathBuf>,
        degraded: Option<(&Path, String)>,
    ) -> Result<Self, DownloadError> {
        let refused = |source| DownloadError::Cache {
            path: std::env::temp_dir(),
            source,
        };
        let temporary = tempfile::Builder::new()
            .prefix("distrobuild-downloads-")
            .tempdir()
            .map_err(refused)?;
        prepare(temporary.path()).map_err(refused)?;
        Ok(Self {
            root: temporary.path().to_owned(),
            temporary: Some(Arc::new(temporary)),
            readable,
            degraded: degraded.map(|(cache, reason)| {
                format!(
                    "the cache of downloads in {} is not used, and nothing is kept: {reason}",
                    cache.display()
                )
            }),
            swept: Once::new(),
        })
    }

    pub(super) fn degraded(&self) -> Option<&str> {
        self.degraded.as_deref()
    }

    /// The directory of this kind of files.
    pub(super) fn directory(&self, kind: &str) -> PathBuf {
        self.root.join(kind)
    }

    /// The same in a cache that may be read only.
    pub(super) fn readable(&self, kind: &str) -> Option<PathBuf> {
        Some(self.readable.as_ref()?.join(kind))
    }

    /// The verified file, if it is there. A damaged one is removed.
    pub(super) fn find(&self, expected: &Expected) -> Option<Fetched> {
        let roots = [Some(&self.root), self.readable.as_ref()];
        roots
            .into_iter()
            .flatten()
            .find_map(|root| self.find_below(root, expected))
    }

    fn find_below(&self, root: &Path, expected: &Expected) -> Option<Fetched> {
        let path = verified(root, &expected.sha256);
        let mut file = File::open(&path).ok()?;
        let facts = file.metadata().ok().filter(fs::Metadata::is_file)?;
        share(&file);
        let is_right = expected.size.is_none_or(|size| size == facts.len())
            && hash(&mut file).is_ok_and(|found| found == expected.sha256);
        if !is_right {
            // Unless another build has put a better one there meanwhile.
            if is_at(&file, &path) {
                let _ = fs::remove_file(&path);
            }
            return None;
        }
        // Pruned between the opening and the lock: what is gone cannot be given.
        is_at(&file, &path).then_some(())?;
        // Only the order of pruning suffers when this fails.
        let _ = file.set_modified(SystemTime::now());
        Some(self.fetched(path, facts.len(), true, file))
    }

    /// Whether a file has the name of this hash; its content is not looked at.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        verified(&self.root, digest).exists()
    }

    /// Gives a verified file, open and locked at `from`, the name of its hash.
    pub(super) fn place(
        &self,
        from: &Path,
        file: File,
        digest: &Digest,
        size: u64,
    ) -> Result<Fetched, DownloadError> {
        let path = verified(&self.root, digest);
        let refused = |source| DownloadError::Cache {
            path: path.clone(),
            source,
        };
        if let Some(directory) = path.parent() {
            private_directories(directory).map_err(refused)?;
        }
        fs::rename(from, &path).map_err(refused)?;
        share(&file);
        Ok(self.fetched(path, size, false, file))
    }

    fn fetched(&self, path: PathBuf, size: u64, was_cached: bool, file: File) -> Fetched {
        Fetched {
            path,
            size,
            was_cached,
            _hold: Arc::new(Hold {
                _file: file,
                _temporary: self.temporary.clone(),
            }),
        }
    }
}

/// The place of a verified file.
pub(super) fn verified(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    let mut path = root.join(VERIFIED);
    path.push(hex.get(..2).unwrap_or_default());
    path.push(hex);
    path
}

/// Locks a file against being pruned. Where locks do not work, pruning is up to the user.
fn share(file: &File) {
    let end = Instant::now() + MOMENT;
    while let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
        if Instant::now() > end {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether `path` is the name of this open file.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn hash(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    absorb(file, &mut hasher)?;
    Ok(hasher.finish())
}

/// Hashes the rest of a file, and gives its length in bytes.
pub(super) fn absorb(file: &mut File, hasher: &mut Hasher) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(read) => {
                hasher.update(buffer.get(..read).unwrap_or_default());
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn prepare(root: &Path) -> io::Result<()> {
    for kind in [VERIFIED, LATEST, PARTIAL] {
        private_directories(&root.join(kind))?;
    }
    // A directory that is there may still refuse files: a read-only mount, a full disk.
    tempfile::tempfile_in(root.join(PARTIAL)).map(drop)
}

fn private_directories(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
