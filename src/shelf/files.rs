//! Writing the files of what is kept.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::SMALL;
use crate::sysroot::{FileIdentity, identity_of};

/// Bytes that the file of small files may have, as it is read into memory when it is used.
const MAX_SMALL: u64 = 64 << 20;

/// The files of what is being made, as they come. Small ones share one file: to make a file
/// costs more than to write a few KiB.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    small: BufWriter<File>,
    small_size: u64,
    own: u64,
}

impl Files {
    /// None yet, in this directory.
    pub(crate) fn create(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_path_buf(),
            small: BufWriter::with_capacity(256 << 10, create(&directory.join(SMALL))?),
            small_size: 0,
            own: 0,
        })
    }

    /// Where in the file of small files the next one begins; `None` when it has no room for so
    /// many bytes more.
    pub(crate) fn next_small(&self, size: u64) -> Option<u64> {
        (self.small_size.saturating_add(size) <= MAX_SMALL).then_some(self.small_size)
    }

    /// Writes to the file of small files.
    pub(crate) fn write_small(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.small_size += bytes.len() as u64;
        self.small.write_all(bytes)
    }

    /// The next file of its own, and its number.
    pub(crate) fn next_own(&mut self) -> io::Result<(u64, File)> {
        let number = self.own;
        let file = create(&self.directory.join(number.to_string()))?;
        self.own += 1;
        Ok((number, file))
    }

    /// Writes what is still to be written; returns the state in which the file of small files
    /// was left.
    pub(crate) fn finish(self) -> io::Result<FileIdentity> {
        let small = self.small.into_inner();
        identity_of(&small.map_err(|error| error.into_error())?)
    }
}

/// Makes a file of which nobody knows yet, for this user alone.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(path)
}
