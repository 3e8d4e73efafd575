//! Unpacked packages, each made once and shared by builds: a [shelf](crate::shelf) of them, in the
//! directory `unpacked` of the pool's.
//!
//! The key of a package is the digest of its `.deb`; its record is the file `manifest`, which says
//! what the package holds, and where each file's bytes are. It tells the state in which each file
//! was written (device, inode, size, times). A file in another state is hashed again; one with
//! other content has its package made anew.

mod load;
mod make;
mod manifest;
#[cfg(test)]
mod tests;
mod tidy;

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::deb::{DebError, Member};
use crate::ImagePath;
use crate::layer::Digest;
use crate::rootfs::Content;
use crate::shelf::{self, Hold, MAX_ATTEMPTS, NotWritten, Shelf};

pub use tidy::PoolSummary;

/// The directory of packages within the pool's.
const UNPACKED: &str = "unpacked";
const MANIFEST: &str = "manifest";

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

/// A directory of unpacked packages, which several builds may use at once.
#[derive(Debug)]
pub struct Pool(Shelf);

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
        let opened = directory.map(|directory| {
            let shelf = Shelf::open(&directory.join(UNPACKED));
            let believed = shelf.and_then(|shelf| {
                crate::private::check(&directory)?;
                Ok(shelf)
            });
            believed.map_err(|reason| {
                let directory = directory.display();
                format!("{directory} is not used for unpacked packages: {reason}")
            })
        });
        Shelf::or_temporary(opened, "distrobuild-packages-")
            .map(Self)
            .map_err(|NotWritten { path, source }| PoolError::Temporary { path, source })
    }

    /// Why the directory that was asked for is not used; `None` when all is well.
    pub fn degraded(&self) -> Option<&str> {
        self.0.degraded()
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
            path: self.0.place(&sha256),
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
        let size = |deb: &Path| fs::metadata(deb).map_or(0, |facts| facts.len());
        let mut order: Vec<_> = packages.iter().enumerate().collect();
        order.sort_by_cached_key(|(_, (_, deb, _))| std::cmp::Reverse(size(deb)));
        shelf::get_all(&order, threads.get(), |(sha256, deb, name)| {
            self.get(*sha256, deb, name)
        })
    }
}
