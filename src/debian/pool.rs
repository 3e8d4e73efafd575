//! Unpacked packages, each made once and shared by builds.
//!
//! Below the pool's directory, for each package:
//!
//! | path | what it holds |
//! |---|---|
//! | `unpacked/SHA256/lock` | nothing; locked shared by who uses the package |
//! | `unpacked/SHA256/manifest` | what the package holds, and where each file's bytes are |
//! | `unpacked/SHA256/small` | the bytes of its small files, one after the other |
//! | `unpacked/SHA256/0`, `1`... | its larger files |
//! | `unpacked/.new-*`, `.old-*` | packages that are being made or removed |
//!
//! Files are named by numbers, so no path that a package makes up ever touches the disk. A
//! package is made aside and renamed when it is whole; the manifest is sealed by a digest of
//! itself and tells the state in which each file was written (device, inode, size, times). A
//! file in another state is hashed again; one with other content has its package made anew.

mod load;
mod make;
mod manifest;
#[cfg(test)]
mod tests;
mod tidy;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

use super::deb::{DebError, Member};
use crate::ImagePath;
use crate::layer::Digest;
use crate::rootfs::Content;

pub use tidy::PoolSummary;

/// The directory of packages within the pool's.
const UNPACKED: &str = "unpacked";
const NEW: &str = ".new-";
const OLD: &str = ".old-";
const LOCK: &str = "lock";
const MANIFEST: &str = "manifest";
const SMALL: &str = "small";

/// How often a package is looked up and made, while others replace or remove it.
const MAX_ATTEMPTS: usize = 5;

/// A package, unpacked. While it is held, its files stay in the pool.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// The digest of the `.deb`.
    pub sha256: Digest,
    /// Its stanza (`deb-control(5)`), as it is in the package.
    pub control: String,
    /// `MD5  PATH` lines of its files, as the package has them, or made from the files.
    pub md5sums: String,
    /// Its configuration files, sorted.
    pub conffiles: Vec<ImagePath>,
    /// Its members, sorted by path, and the content of those that are regular files.
    pub members: Vec<(Member, Option<Content>)>,
    _hold: Arc<Hold>,
}

/// What keeps the files of a package in their place.
#[derive(Debug)]
struct Hold {
    _lock: File,
    _temporary: Option<Arc<TempDir>>,
}

/// A directory of unpacked packages, which several builds may use at once.
#[derive(Debug)]
pub struct Pool {
    directory: PathBuf,
    temporary: Option<Arc<TempDir>>,
    degraded: Option<String>,
}

/// Why a package could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// There is no place to unpack to.
    #[error(
        "packages cannot be unpacked: no temporary directory can be made in {}: {source}; \
         TMPDIR names another place", .path.display()
    )]
    Temporary {
        /// Where temporary files go.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The package's file cannot be opened.
    #[error("cannot open {} to unpack {name}: {source}", .path.display())]
    Open {
        /// The package, as people call it.
        name: String,
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The package's file is not the one that was asked for.
    #[error(
        "{} is not {name} as it was checked: its digest is {found} and should be {expected}; \
         delete it, so that it is downloaded again", .path.display()
    )]
    Changed {
        /// The package, as people call it.
        name: String,
        /// Its file.
        path: PathBuf,
        /// The digest that it should have.
        expected: Digest,
        /// The digest that it has.
        found: Digest,
    },
    /// The package itself is bad.
    #[error(transparent)]
    Package(#[from] DebError),
    /// The pool cannot be written.
    #[error("cannot unpack {name}: writing {} failed: {source}; is there room left?", .path.display())]
    Write {
        /// The package, as people call it.
        name: String,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was unpacked is gone or changed as soon as it was made.
    #[error(
        "{name} was unpacked to {}, but does not stay there as it was written; does something \
         else change that directory?", .path.display()
    )]
    Restless {
        /// The package, as people call it.
        name: String,
        /// Where.
        path: PathBuf,
    },
}

impl Pool {
    /// The pool in `directory`. Without one, and where it cannot be written or others could
    /// have written to it, packages are unpacked to a temporary directory, which goes when the
    /// pool and all that it gave are gone; [`Pool::degraded`] tells why.
    ///
    /// # Errors
    /// When no temporary directory can be made either.
    pub fn open(directory: Option<PathBuf>) -> Result<Self, PoolError> {
        let degraded = match &directory {
            None => None,
            Some(directory) => match prepare(directory) {
                Ok(()) => {
                    return Ok(Self {
                        directory: directory.join(UNPACKED),
                        temporary: None,
                        degraded: None,
                    });
                }
                Err(reason) => Some(format!(
                    "{} is not used for unpacked packages: {reason}",
                    directory.display()
                )),
            },
        };
        let failed = |source| PoolError::Temporary {
            path: std::env::temp_dir(),
            source,
        };
        let temporary = tempfile::Builder::new()
            .prefix("distrobuild-packages-")
            .tempdir()
            .map_err(failed)?;
        let directory = temporary.path().join(UNPACKED);
        fs::create_dir(&directory).map_err(failed)?;
        Ok(Self {
            directory,
            temporary: Some(Arc::new(temporary)),
            degraded,
        })
    }

    /// Why the directory that was asked for is not used; `None` when all is well.
    pub fn degraded(&self) -> Option<&str> {
        self.degraded.as_deref()
    }

    /// The package with this digest, unpacked: from the pool, else from the file `deb`, which
    /// people call `name`. The file is hashed while it is read, and must have that digest.
    ///
    /// # Errors
    /// When it has to be unpacked and cannot be.
    pub fn get(&self, sha256: Digest, deb: &Path, name: &str) -> Result<Unpacked, PoolError> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(unpacked) = self.load(&sha256) {
                return Ok(unpacked);
            }
            self.make(&sha256, deb, name)?;
        }
        Err(PoolError::Restless {
            name: name.to_owned(),
            path: self.place(&sha256),
        })
    }

    /// Several packages, each with its digest, file and name, on so many threads. The results
    /// are in the order of `packages`, whatever the number of threads.
    ///
    /// # Errors
    /// The first, by that order, of those that were met; the others are not begun any more.
    pub fn get_all(
        &self,
        packages: &[(Digest, PathBuf, String)],
        threads: NonZeroUsize,
    ) -> Result<Vec<Unpacked>, PoolError> {
        // The largest first: one that is begun last would be waited for alone.
        let mut order: Vec<(u64, usize)> = packages
            .iter()
            .enumerate()
            .map(|(at, (_, deb, _))| (fs::metadata(deb).map_or(0, |facts| facts.len()), at))
            .collect();
        order.sort_unstable_by_key(|(size, at)| (std::cmp::Reverse(*size), *at));
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let results = Mutex::new(Vec::with_capacity(packages.len()));
        let work = || {
            while !failed.load(Ordering::Relaxed)
                && let Some((_, at)) = order.get(next.fetch_add(1, Ordering::Relaxed))
                && let Some((sha256, deb, name)) = packages.get(*at)
            {
                let result = self.get(*sha256, deb, name);
                failed.fetch_or(result.is_err(), Ordering::Relaxed);
                results
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((*at, result));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.get().min(packages.len()) {
                scope.spawn(work);
            }
            work();
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_unstable_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn place(&self, sha256: &Digest) -> PathBuf {
        self.directory.join(sha256.hex())
    }
}

/// Makes the directory, and sees that nobody else may have written there: what a manifest says
/// is believed, as its digest tells of accidents and not of intent.
fn prepare(directory: &Path) -> Result<(), String> {
    let unpacked = directory.join(UNPACKED);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&unpacked)
        .map_err(|error| error.to_string())?;
    if fs::symlink_metadata(&unpacked).is_ok_and(|facts| facts.is_symlink()) {
        return Err(format!("{} is no directory", unpacked.display()));
    }
    for path in [directory, &unpacked] {
        crate::private::check(path)?;
    }
    // Read-only file systems are found out here and not in the middle of a build.
    tempfile::Builder::new()
        .prefix(NEW)
        .tempfile_in(&unpacked)
        .map(drop)
        .map_err(|error| error.to_string())
}
