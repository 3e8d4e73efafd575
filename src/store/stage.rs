//! Temporary files beside the output, and how they get their place.
//!
//! A staged file has no name (`O_TMPFILE`, open(2)) where the file system can do that,
//! so that nothing is left of a process that dies. Elsewhere, and for the moment of
//! a rename, it is called `.distrobuild-…` and locked by flock(2): a name whose lock is
//! free belongs to nobody any more, and the next build removes it.
//!
//! Nothing is flushed to the disk (fsync(2)): the order of the steps holds for a process
//! that dies, not for a machine that loses power.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{StoreError, interrupt};

const PREFIX: &str = ".distrobuild-";

const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
pub(super) const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// An open directory and its path, for messages.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) handle: OwnedFd,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            path: path.to_path_buf(),
            handle,
        })
    }

    /// Waits for the one lock of this directory; it ends with the handle.
    pub(super) fn lock(&self) -> Result<(), StoreError> {
        let lock = || rustix::fs::flock(&self.handle, FlockOperation::LockExclusive);
        match rustix::io::retry_on_intr(lock) {
            // A file system without locks (some network ones): go on without.
            Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            result => result.map_err(StoreError::errno(&self.path, "lock")),
        }
    }

    /// Whether its path still leads to it.
    pub(super) fn is_at_its_path(&self) -> bool {
        let here = rustix::fs::fstat(&self.handle);
        let there = rustix::fs::stat(&self.path);
        matches!((here, there), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    }

    /// Makes the directory `name` in it, unless it is there, and opens it. A symbolic
    /// link is not followed: it might lead out.
    pub(super) fn subdirectory(&self, name: &str) -> Result<Self, StoreError> {
        let path = self.path.join(name);
        match rustix::fs::mkdirat(&self.handle, name, DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(StoreError::errno(path, "make")(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let handle = rustix::fs::openat(&self.handle, name, flags, Mode::empty())
            .map_err(StoreError::errno(&path, "open"))?;
        Ok(Self { path, handle })
    }

    /// Whether anything in it has that name.
    fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes temporary files and directories here that no process holds.
    pub(super) fn sweep(&self) {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.handle) else {
            return;
        };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if !name.starts_with(PREFIX) {
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let Ok(handle) = rustix::fs::openat(&self.handle, name, flags, Mode::empty()) else {
                continue;
            };
            let free = rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive).is_ok();
            if free && same_file(&handle, &self.handle, name) {
                interrupt::remove(&self.path.join(name));
            }
        }
    }
}

fn same_file(handle: &impl AsFd, directory: &OwnedFd, name: &str) -> bool {
    let there = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    matches!(
        (rustix::fs::fstat(handle), there),
        (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
    )
}

/// A temporary name, removed when it is dropped.
#[derive(Debug)]
pub(super) struct TemporaryName {
    pub(super) path: PathBuf,
    pub(super) name: String,
}

impl TemporaryName {
    fn new(directory: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{:x}-{count:x}", std::process::id());
        let path = directory.join(&name);
        interrupt::register(&path);
        Self { path, name }
    }

    /// Lets the file keep what it has become.
    pub(super) fn renamed(self) {
        interrupt::unregister(&self.path);
        std::mem::forget(self);
    }
}

impl Drop for TemporaryName {
    fn drop(&mut self) {
        interrupt::remove(&self.path);
        interrupt::unregister(&self.path);
    }
}

/// How often a fresh name is tried before giving up.
const TRIES: usize = 1000;

/// Makes something under a fresh temporary name and locks it. `make` returns a handle
/// of what it made, or `EXIST`.
pub(super) fn named<T: AsFd>(
    directory: &Directory,
    mut make: impl FnMut(&str) -> Result<T, Errno>,
) -> Result<(T, TemporaryName), Errno> {
    for _ in 0..TRIES {
        let temporary = TemporaryName::new(&directory.path);
        match make(&temporary.name) {
            Ok(handle) => {
                // Before the lock was ours, a sweep may have taken it for left behind. It
                // holds the lock until it has removed it, so wait for that.
                let _ = rustix::io::retry_on_intr(|| {
                    rustix::fs::flock(&handle, FlockOperation::LockExclusive)
                });
                if same_file(&handle, &directory.handle, &temporary.name) {
                    return Ok((handle, temporary));
                }
            }
            // Another process's: not ours to remove.
            Err(Errno::EXIST) => temporary.renamed(),
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST)
}

/// Makes a locked file of a temporary name.
fn create_named(directory: &Directory) -> Result<(OwnedFd, TemporaryName), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    named(directory, |name| {
        rustix::fs::openat(&directory.handle, name, flags, FILE_MODE)
    })
}

/// Bytes on their way into a store. Written to disk as they come; dropped, nothing
/// of them stays.
#[derive(Debug)]
pub struct StagedBlob {
    file: File,
    name: Option<TemporaryName>,
    directory: PathBuf,
    size: u64,
}

impl StagedBlob {
    /// A new one on the file system of `directory`, without a name where that can be.
    pub(super) fn new(directory: &Directory) -> Result<Self, StoreError> {
        match Self::unnamed(directory) {
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS) => {
                Self::named(directory)
            }
            result => result,
        }
        .map_err(StoreError::errno(&directory.path, "write in"))
    }

    fn unnamed(directory: &Directory) -> Result<Self, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory.handle, ".", flags, FILE_MODE)?;
        Ok(Self::of(file, None, directory))
    }

    pub(super) fn named(directory: &Directory) -> Result<Self, Errno> {
        let (file, name) = create_named(directory)?;
        Ok(Self::of(file, Some(name), directory))
    }

    fn of(file: OwnedFd, name: Option<TemporaryName>, directory: &Directory) -> Self {
        Self {
            file: File::from(file),
            name,
            directory: directory.path.clone(),
            size: 0,
        }
    }

    /// The number of bytes written so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn content(&self) -> Content<'_> {
        Content {
            file: &self.file,
            name: self.name.as_ref().map(|name| name.path.as_path()),
        }
    }

    /// Gives it the name `name` in `directory`, over what has that name.
    pub(super) fn replace(
        self,
        directory: &Directory,
        name: impl AsRef<OsStr>,
    ) -> Result<(), StoreError> {
        let name = name.as_ref();
        let shown = directory.path.join(name);
        let wrong = |error| StoreError::errno(&shown, "write")(error);
        let Self {
            file, name: own, ..
        } = self;
        let temporary = match own {
            Some(own) => own,
            None => {
                let content = Content::of(&file);
                match content.link(directory, name) {
                    Ok(()) => return Ok(()),
                    Err(Errno::EXIST) => content.link_temporarily(directory).map_err(wrong)?,
                    Err(_) => content.copy_temporarily(directory, &shown)?,
                }
            }
        };
        rustix::fs::renameat(CWD, &temporary.path, &directory.handle, name).map_err(wrong)?;
        temporary.renamed();
        Ok(())
    }
}

impl Write for StagedBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes).map_err(|source| {
            let kind = source.kind();
            io::Error::new(kind, StoreError::io(&self.directory, "write in")(source))
        })?;
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The content of an open file that is to be placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) file: &'a File,
    name: Option<&'a Path>,
}

impl<'a> Content<'a> {
    /// That of a file which may have lost its name.
    pub(super) fn of(file: &'a File) -> Self {
        Self { file, name: None }
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// All of it from its beginning, whatever was read before.
    pub(super) fn reader(&self) -> impl Read + use<'a> {
        FromStart {
            file: self.file,
            offset: 0,
        }
    }

    fn link(&self, directory: &Directory, name: &OsStr) -> Result<(), Errno> {
        if let Some(path) = self.name {
            return rustix::fs::linkat(CWD, path, &directory.handle, name, AtFlags::empty());
        }
        // By /proc, which any user may: AT_EMPTY_PATH wants a privilege before Linux 6.10.
        let by_proc = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        match rustix::fs::linkat(
            CWD,
            by_proc,
            &directory.handle,
            name,
            AtFlags::SYMLINK_FOLLOW,
        ) {
            Err(Errno::NOENT) => {
                rustix::fs::linkat(self.file, "", &directory.handle, name, AtFlags::EMPTY_PATH)
            }
            result => result,
        }
    }

    /// Gives it the name of a blob, `name` in `directory`: by a link, or by a copy where
    /// links cannot be. A blob of that name and size is left as it is. Tells whether the name
    /// is new.
    pub(super) fn place(&self, directory: &Directory, name: &str) -> Result<bool, StoreError> {
        let shown = directory.path.join(name);
        match self.link(directory, name.as_ref()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => {
                let size = self.size().map_err(StoreError::io(&shown, "write"))?;
                let there = rustix::fs::statat(&directory.handle, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(StoreError::errno(&shown, "read"))?;
                let whole = rustix::fs::FileType::from_raw_mode(there.st_mode).is_file()
                    && u64::try_from(there.st_size) == Ok(size);
                if !whole {
                    self.copy(directory, name)?;
                }
                Ok(false)
            }
            Err(_) => {
                let is_new = !directory.has(name);
                self.copy(directory, name)?;
                Ok(is_new)
            }
        }
    }

    /// As [`Self::place`], but a blob of that name is left only if it holds the same bytes: it may
    /// have been damaged since it was written, and these were just made and hashed.
    pub(super) fn place_or_repair(
        &self,
        directory: &Directory,
        name: &str,
    ) -> Result<bool, StoreError> {
        let is_new = self.place(directory, name)?;
        if !is_new && !self.is_held_by(directory, name) {
            self.copy(directory, name)?;
        }
        Ok(is_new)
    }

    /// Whether the file `name` holds the same bytes.
    fn is_held_by(&self, directory: &Directory, name: &str) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(there) = rustix::fs::openat(&directory.handle, name, flags, Mode::empty()) else {
            return false;
        };
        let there = File::from(there);
        let (mut ours, mut theirs) = (vec![0; 128 << 10], vec![0; 128 << 10]);
        let mut offset = 0;
        loop {
            let Ok(count @ 1..) = self.file.read_at(&mut ours, offset) else {
                return there
                    .metadata()
                    .is_ok_and(|metadata| metadata.len() == offset);
            };
            let (Some(ours), Some(theirs)) = (ours.get(..count), theirs.get_mut(..count)) else {
                return false;
            };
            if there.read_exact_at(theirs, offset).is_err() || ours != theirs {
                return false;
            }
            offset += count as u64;
        }
    }

    fn copy(&self, directory: &Directory, name: &str) -> Result<(), StoreError> {
        let shown = directory.path.join(name);
        let temporary = self.copy_temporarily(directory, &shown)?;
        rustix::fs::renameat(CWD, &temporary.path, &directory.handle, name)
            .map_err(StoreError::errno(&shown, "write"))?;
        temporary.renamed();
        Ok(())
    }

    /// Links it under a temporary name.
    fn link_temporarily(&self, directory: &Directory) -> Result<TemporaryName, Errno> {
        // Locked before it has a name, so that no sweep takes it.
        let _ = rustix::fs::flock(self.file, FlockOperation::NonBlockingLockExclusive);
        let (_, temporary) = named(directory, |name| {
            self.link(directory, name.as_ref())?;
            Ok(self.file)
        })?;
        Ok(temporary)
    }

    /// Copies it to a file of a temporary name, for what will be `shown`.
    fn copy_temporarily(
        &self,
        directory: &Directory,
        shown: &Path,
    ) -> Result<TemporaryName, StoreError> {
        let (file, name) = create_named(directory).map_err(StoreError::errno(shown, "write"))?;
        io::copy(&mut self.reader(), &mut File::from(file))
            .map_err(StoreError::io(shown, "write"))?;
        Ok(name)
    }
}

struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Writes a small file, whole or not at all, over what has that name.
pub(super) fn write_file(
    directory: &Directory,
    name: &str,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let mut staged = StagedBlob::new(directory)?;
    staged
        .write_all(bytes)
        .map_err(StoreError::io(directory.path.join(name), "write"))?;
    staged.replace(directory, name)
}
