//! Unpacking a package into the pool.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::manifest::{Manifest, Place, Small};
use super::{LOCK, MANIFEST, NEW, OLD, Pool, PoolError, SMALL};
use crate::debian::deb::{DebError, DebFault, Sink, read_deb};
use crate::layer::{Digest, Hasher};
use crate::sysroot::{FileIdentity, identity_of};

/// Files of less than this many bytes share one file: most of a package are small, and to make
/// a file costs more than to write a few KiB.
const SMALL_FILE: u64 = 64 << 10;
/// Bytes that the shared file may have, as it is read into memory when the package is used.
const MAX_SMALL: u64 = 64 << 20;

impl Pool {
    /// Unpacks `deb` and puts it into its place, in place of what may be there.
    pub(super) fn make(&self, sha256: &Digest, deb: &Path, name: &str) -> Result<(), PoolError> {
        let write = |path: &Path, source| PoolError::Write {
            name: name.to_owned(),
            path: path.to_path_buf(),
            source,
        };
        self.sweep();
        let aside = tempfile::Builder::new()
            .prefix(NEW)
            .tempdir_in(&self.directory)
            .map_err(|error| write(&self.directory, error))?;
        // Held until it is in its place, so that no one takes it for a leftover.
        let lock = File::create_new(aside.path().join(LOCK))
            .map_err(|error| write(aside.path(), error))?;
        // A file system without locks has one build at a time, as far as we can see to it.
        let _ = lock.try_lock_shared();
        let manifest = unpack(sha256, deb, name, aside.path())?;
        fs::write(aside.path().join(MANIFEST), manifest.to_bytes())
            .map_err(|error| write(aside.path(), error))?;
        self.put(aside, sha256)
            .map_err(|error| write(&self.directory, error))?;
        drop(lock);
        Ok(())
    }

    /// Renames what is whole into its place.
    fn put(&self, aside: TempDir, sha256: &Digest) -> io::Result<()> {
        let place = self.place(sha256);
        // The second time, what was there is out of the way.
        for _ in 0..2 {
            match fs::rename(aside.path(), &place) {
                Ok(()) => {
                    // It is gone from there, and must not be removed from its new place.
                    let _ = aside.keep();
                    return Ok(());
                }
                Err(error) if !is_occupied(&error) => return Err(error),
                // Another build was faster.
                Err(_) if self.load(sha256).is_some() => return Ok(()),
                Err(_) => self.set_aside(&place)?,
            }
        }
        // Something else took the place at once; it is looked at next.
        Ok(())
    }

    /// Takes a package that was found to be bad out of its place. If another build still uses
    /// it, its files are left for that one, and for a later build to remove.
    fn set_aside(&self, place: &Path) -> io::Result<()> {
        let old = tempfile::Builder::new()
            .prefix(OLD)
            .tempdir_in(&self.directory)?;
        match fs::rename(place, old.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        let lock = File::open(old.path().join(LOCK));
        if lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock))) {
            let _ = old.keep();
        }
        Ok(())
    }
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory
    )
}

fn unpack(
    sha256: &Digest,
    deb: &Path,
    name: &str,
    directory: &Path,
) -> Result<Manifest, PoolError> {
    let file = File::open(deb).map_err(|source| PoolError::Open {
        name: name.to_owned(),
        path: deb.to_path_buf(),
        source,
    })?;
    let mut hashed = Hashed {
        inner: file,
        hasher: Hasher::new(),
    };
    let failed = |fault| DebError {
        package: name.to_owned(),
        fault,
    };
    let mut files = Files::create(directory).map_err(|error| failed(DebFault::Write(error)))?;
    let result = read_deb(&mut hashed, name, &mut files);
    // To the end, so that a file that is another one is told as such, and not as a bad package.
    io::copy(&mut hashed, &mut io::sink()).map_err(|error| failed(DebFault::Read(error)))?;
    let found = hashed.hasher.finish();
    if found != *sha256 {
        return Err(PoolError::Changed {
            name: name.to_owned(),
            path: deb.to_path_buf(),
            expected: *sha256,
            found,
        });
    }
    let deb = result?;
    let (places, small) = files
        .finish()
        .map_err(|error| failed(DebFault::Write(error)))?;
    Ok(Manifest {
        sha256: *sha256,
        deb,
        places,
        small,
    })
}

/// Hashes all that is read.
struct Hashed {
    inner: File,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The files of a package as they come.
struct Files {
    directory: PathBuf,
    small: BufWriter<File>,
    small_size: u64,
    small_hasher: Hasher,
    current: Option<File>,
    own: u64,
    places: Vec<Place>,
}

impl Files {
    fn create(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_path_buf(),
            small: BufWriter::with_capacity(256 << 10, File::create_new(directory.join(SMALL))?),
            small_size: 0,
            small_hasher: Hasher::new(),
            current: None,
            own: 0,
            places: Vec::new(),
        })
    }

    fn finish(self) -> io::Result<(Vec<Place>, Small)> {
        let small = self
            .small
            .into_inner()
            .map_err(|error| error.into_error())?;
        let small = Small {
            sha256: self.small_hasher.finish(),
            identity: identity_of(&small)?,
        };
        Ok((self.places, small))
    }
}

impl Sink for Files {
    fn begin(&mut self, size: u64) -> io::Result<()> {
        if size < SMALL_FILE && self.small_size + size <= MAX_SMALL {
            self.places.push(Place::Small(self.small_size));
        } else {
            let path = self.directory.join(self.own.to_string());
            self.current = Some(File::create_new(path)?);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.current {
            Some(file) => file.write_all(bytes),
            None => {
                self.small_size += bytes.len() as u64;
                self.small_hasher.update(bytes);
                self.small.write_all(bytes)
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(file) = self.current.take() {
            let identity: FileIdentity = identity_of(&file)?;
            self.places.push(Place::Own(self.own, identity));
            self.own += 1;
        }
        Ok(())
    }
}
