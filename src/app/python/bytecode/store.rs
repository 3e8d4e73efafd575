//! What was compiled by an earlier build.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::ImagePath;

/// Stands for the way in which files are made here; to be changed with it.
const GENERATION: &[u8] = b"distrobuild pyc 1\0";
/// Length of the digest before each file.
const DIGEST: usize = 32;

/// A directory of `.pyc` files that were made from sources, each named by all that it was made
/// from. It only saves time: what cannot be read or written is made again.
pub(super) struct Store {
    directory: PathBuf,
}

/// All that a file is made from.
pub(super) struct Key([u8; 32]);

impl Key {
    /// For the bytecode with this magic of `source`, which has this path in the image.
    pub(super) fn new(magic: [u8; 4], image: &ImagePath, source: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(GENERATION);
        hash.update(magic);
        hash.update(image.as_bytes());
        // No path has this byte.
        hash.update([0]);
        hash.update(source);
        Self(hash.finalize().into())
    }

    fn name(&self) -> String {
        use std::fmt::Write;
        self.0.iter().fold(String::new(), |mut name, byte| {
            // Writing to a string does not fail.
            let _ = write!(name, "{byte:02x}");
            name
        })
    }
}

impl Store {
    /// In a directory that may not exist yet.
    pub(super) fn new(scratch: &Path) -> Self {
        Self {
            directory: scratch.join("pyc"),
        }
    }

    /// The file of this key, when it was written whole.
    pub(super) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let file = fs::read(self.directory.join(key.name())).ok()?;
        let (digest, pyc) = file.split_first_chunk::<DIGEST>()?;
        (digest.as_slice() == Sha256::digest(pyc).as_slice()).then(|| pyc.to_vec())
    }

    /// Keeps a file for later builds.
    pub(super) fn put(&self, key: &Key, pyc: &[u8]) {
        // A later build then compiles again.
        let _ = self.write(key, pyc);
    }

    fn write(&self, key: &Key, pyc: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut aside = tempfile::NamedTempFile::new_in(&self.directory)?;
        aside.write_all(&Sha256::digest(pyc))?;
        aside.write_all(pyc)?;
        aside.persist(self.directory.join(key.name()))?;
        Ok(())
    }
}
