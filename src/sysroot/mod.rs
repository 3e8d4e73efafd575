//! The file system that the loader of the app would see.
//!
//! Every look-up of the resolver goes through a [`Sysroot`]: the running system,
//! a directory that stands for another system (`--sysroot`), a base that is a whole system,
//! or an assembled [`Rootfs`](crate::Rootfs) in which the closure is resolved once more to
//! prove that it is complete. Symbolic links are followed inside it, never outside.

mod beside;
mod directory;
mod held;
mod overlay;
mod rootfs;
#[cfg(test)]
mod tests;
mod trace;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use beside::{Beside, Window};
pub(crate) use beside::{is_a_systems_own, own_directory};
pub use directory::Directory;
pub(crate) use directory::{facts_of, identity_of};
pub use held::Held;
pub use overlay::Overlay;
pub use rootfs::Assembled;
pub use trace::{Trace, TraceError, Tracer, trace};

use crate::ImagePath;
use crate::rootfs::Content;

/// A file system tree in which the resolver looks files up.
pub trait Sysroot: Send + Sync {
    /// Opens the regular file at the absolute `path` for reading, following
    /// links inside the tree (`..` after a link goes to the parent of the link's target).
    ///
    /// # Errors
    /// As `open(2)` gives them: `NotFound`, `PermissionDenied`, `NotADirectory`,
    /// `FilesystemLoop`...; `IsADirectory` or `InvalidInput` when it is no regular file.
    fn open(&self, path: &Path) -> io::Result<OpenFile>;

    /// What stands at `path` itself, without following it. Every component before
    /// the last must be a real directory, as in the paths that [`trace()`] walks.
    ///
    /// # Errors
    /// As `lstat(2)` gives them.
    fn node(&self, path: &ImagePath) -> io::Result<Node>;

    /// The names in the directory at `path` (links followed), sorted by their bytes.
    ///
    /// # Errors
    /// As `open(2)` and `getdents(2)` give them.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Whether a directory is at `path`, links followed.
    fn is_directory(&self, path: &Path) -> bool {
        self.read_dir(path).is_ok()
    }

    /// How to show `path` to a person: with the sysroot's own directory in front.
    fn display(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }

    /// What the regular file at `path`, which no link leads to, holds, and its mode bits (the
    /// low 12): for packing it later.
    ///
    /// # Errors
    /// Those of [`Sysroot::node`]; `InvalidInput` when it is no regular file.
    fn content(&self, path: &ImagePath) -> io::Result<(Content, u32)> {
        match self.node(path)? {
            Node::File(facts) => {
                let mode = facts.mode;
                let path = self.display(path.as_path());
                Ok((Content::Host { path, facts }, mode))
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            )),
        }
    }

    /// Reads the whole file at `path`, refusing one of more than `limit` bytes.
    ///
    /// # Errors
    /// Those of [`Sysroot::open`], of reading, and `FileTooLarge`.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        if file.size > limit {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        // The limit keeps this within memory: callers ask for small text files.
        let mut bytes = vec![0; usize::try_from(file.size).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Whether a regular file can be opened at `path`.
    fn is_file(&self, path: &Path) -> bool {
        self.open(path).is_ok()
    }
}

/// What stands at a path, links not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory with these mode bits (the low 12).
    Directory {
        /// Permission, setuid, setgid and sticky bits.
        mode: u32,
    },
    /// A regular file.
    File(FileFacts),
    /// A symbolic link and what it says, which may be relative, absolute or dangling.
    Symlink(PathBuf),
    /// A device, socket or pipe.
    Other,
}

/// What `stat(2)` says of a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Size in bytes.
    pub size: u64,
    /// Permission, setuid, setgid and sticky bits (the low 12).
    pub mode: u32,
    /// Which file it is and in which state.
    pub identity: FileIdentity,
}

/// Which file this is (`device`, `inode`), and in which state of its content
/// (`size`, `modified`, `changed`). Equal identities mean equal content as long
/// as nothing was written within the clock's granularity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileIdentity {
    /// `st_dev`; [`FileIdentity::MEMORY`] for content that is held in memory.
    pub device: u64,
    /// `st_ino`, or a running number for content held in memory.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// `st_mtim` in nanoseconds since the epoch.
    pub modified: i128,
    /// `st_ctim` in nanoseconds since the epoch.
    pub changed: i128,
}

impl FileIdentity {
    /// The `device` of content that no disk holds.
    pub const MEMORY: u64 = u64::MAX;

    /// Whether both are the same file in the loader's sense: device and inode.
    pub fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// A file opened for reading at given offsets.
#[derive(Debug)]
pub struct OpenFile {
    /// Size in bytes when it was opened.
    pub size: u64,
    /// Mode bits (the low 12).
    pub mode: u32,
    /// Which file it is.
    pub identity: FileIdentity,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Disk(File),
    Memory(Arc<[u8]>),
}

impl OpenFile {
    /// A file of which the content is held in memory. `number` tells it from others.
    pub fn from_memory(bytes: Arc<[u8]>, mode: u32, number: u64) -> Self {
        let size = bytes.len() as u64;
        let identity = FileIdentity {
            device: FileIdentity::MEMORY,
            inode: number,
            size,
            modified: 0,
            changed: 0,
        };
        Self {
            size,
            mode,
            identity,
            source: Source::Memory(bytes),
        }
    }

    /// The file at `path` of this machine.
    fn from_host(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let stat = rustix::fs::fstat(&file)?;
        Self::from_disk(file, &stat)
    }

    /// A file of this machine that was opened; refuses what is no regular file.
    fn from_disk(file: File, stat: &rustix::fs::Stat) -> io::Result<Self> {
        match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::RegularFile => {}
            rustix::fs::FileType::Directory => {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "not a regular file",
                ));
            }
        }
        let FileFacts {
            size,
            mode,
            identity,
        } = directory::facts(stat);
        Ok(Self {
            size,
            mode,
            identity,
            source: Source::Disk(file),
        })
    }

    /// Reads into `buffer` from `offset`, up to the end of the file; returns the number of bytes read.
    ///
    /// # Errors
    /// As `pread(2)` gives them.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.source {
            Source::Disk(file) => {
                use std::os::unix::fs::FileExt;
                let mut filled = 0;
                while filled < buffer.len() {
                    match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                        Ok(0) => break,
                        Ok(count) => filled += count,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(filled)
            }
            Source::Memory(bytes) => {
                let start = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                let count = buffer.len().min(bytes.len() - start);
                buffer[..count].copy_from_slice(&bytes[start..start + count]);
                Ok(count)
            }
        }
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before; else as `pread(2)` gives them.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.read_at(buffer, offset)? < buffer.len() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(())
    }
}
