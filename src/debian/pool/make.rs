//! Unpacking a package into the pool.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::manifest::{Manifest, Place, Small};
use super::{MANIFEST, NotWritten, Pool, PoolError};
use crate::debian::deb::{DebError, DebFault, Sink, read_deb};
use crate::layer::{Digest, Hasher};
use crate::shelf;
use crate::sysroot::identity_of;

/// Files of less than this many bytes share one file: most of a package are small.
const SMALL_FILE: u64 = 64 << 10;

impl Pool {
    /// Unpacks `deb` and puts it into its place, in place of what may be there.
    pub(super) fn make(&self, sha256: &Digest, deb: &Path, name: &str) -> Result<(), PoolError> {
        let failed = |NotWritten { path, source }| PoolError::Write {
            name: name.to_owned(),
            path,
            source,
        };
        self.0.sweep();
        let aside = self.0.aside().map_err(failed)?;
        let manifest = unpack(sha256, deb, name, aside.path())?;
        aside
            .record(MANIFEST, &manifest.to_bytes())
            .map_err(failed)?;
        self.0
            .put(aside, sha256, || self.load(sha256).is_some())
            .map_err(failed)
    }
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
    files: shelf::Files,
    small_hasher: Hasher,
    /// The file that is being written, and its number; none while it is a small one.
    current: Option<(u64, File)>,
    places: Vec<Place>,
}

impl Files {
    fn create(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            files: shelf::Files::create(directory)?,
            small_hasher: Hasher::new(),
            current: None,
            places: Vec::new(),
        })
    }

    fn finish(self) -> io::Result<(Vec<Place>, Small)> {
        let small = Small {
            sha256: self.small_hasher.finish(),
            identity: self.files.finish()?,
        };
        Ok((self.places, small))
    }
}

impl Sink for Files {
    fn begin(&mut self, size: u64) -> io::Result<()> {
        if size < SMALL_FILE
            && let Some(offset) = self.files.next_small(size)
        {
            self.places.push(Place::Small(offset));
        } else {
            self.current = Some(self.files.next_own()?);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.current {
            Some((_, file)) => file.write_all(bytes),
            None => {
                self.small_hasher.update(bytes);
                self.files.write_small(bytes)
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some((number, file)) = self.current.take() {
            self.places.push(Place::Own(number, identity_of(&file)?));
        }
        Ok(())
    }
}
