//! A directory of this machine as a sysroot.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};

use super::{FileFacts, FileIdentity, Node, OpenFile, Sysroot, trace};
use crate::ImagePath;

/// The running system (`/`), or a directory that stands for the root of another.
#[derive(Debug)]
pub struct Directory {
    handle: OwnedFd,
    path: PathBuf,
    confined: bool,
}

impl Directory {
    /// The root of the running system.
    ///
    /// # Errors
    /// When `/` cannot be opened.
    pub fn host() -> io::Result<Self> {
        Self::new(Path::new("/"))
    }

    /// The directory `path` as the root of a system.
    ///
    /// # Errors
    /// When it does not exist, is no directory or may not be entered.
    pub fn new(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let path = path.canonicalize()?;
        let confined = path != Path::new("/");
        Ok(Self {
            handle,
            path,
            confined,
        })
    }

    /// The directory on this machine.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_with(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        if !self.confined {
            return Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
        }
        match self.open_in_root(path, flags) {
            Ok(fd) => Ok(fd),
            Err(error) if lacks_openat2(error) => {
                let target = trace(self, path)?.target;
                self.open_stepwise(&target, flags)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The kernel follows links as if the directory were `/`: an absolute link or `..` cannot
    /// leave it, whoever changes the tree meanwhile.
    fn open_in_root(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut attempts = 0;
        loop {
            match rustix::fs::openat2(&self.handle, path, flags, Mode::empty(), resolve) {
                // The kernel gives up when a rename happens beside it: openat2(2).
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR)
                    if attempts < MAX_ATTEMPTS =>
                {
                    attempts += 1;
                }
                other => return other,
            }
        }
    }

    /// Opens a path without links one component after the other, for kernels before 5.6.
    pub(super) fn open_stepwise(&self, path: &ImagePath, flags: OFlags) -> io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = rustix::fs::openat(&self.handle, ".", step, Mode::empty())?;
        for ancestor in path.ancestors() {
            if let Some(name) = ancestor.file_name() {
                at = rustix::fs::openat(&at, name, step, Mode::empty())?;
            }
        }
        let name = path.file_name().unwrap_or(std::ffi::OsStr::new("."));
        let flags = flags | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(&at, name, flags, Mode::empty())?)
    }

    /// Opens the directory that holds `path`, of which every component is a real directory.
    fn open_parent(&self, path: &ImagePath) -> io::Result<OwnedFd> {
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match self.open_in_root(parent.as_path(), flags) {
            Ok(fd) => Ok(fd),
            Err(error) if lacks_openat2(error) => self.open_stepwise(&parent, flags),
            Err(error) => Err(error.into()),
        }
    }
}

/// How often a look-up that was disturbed by renames is tried again.
const MAX_ATTEMPTS: usize = 1000;

/// The kernel has no `openat2(2)`, or a seccomp filter that does not know it.
fn lacks_openat2(error: rustix::io::Errno) -> bool {
    matches!(error, rustix::io::Errno::NOSYS | rustix::io::Errno::PERM)
}

impl Sysroot for Directory {
    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        // NONBLOCK: opening a named pipe must not wait for a writer.
        let fd = self.open_with(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = rustix::fs::fstat(&fd)?;
        OpenFile::from_disk(File::from(fd), &stat)
    }

    fn is_directory(&self, path: &Path) -> bool {
        if !self.confined {
            return rustix::fs::stat(path)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        }
        self.open_with(path, OFlags::PATH | OFlags::DIRECTORY)
            .is_ok()
    }

    fn node(&self, path: &ImagePath) -> io::Result<Node> {
        let Some(name) = path.file_name() else {
            let stat = rustix::fs::fstat(&self.handle)?;
            return Ok(Node::Directory {
                mode: stat.st_mode & 0o7777,
            });
        };
        let stat;
        let target;
        if self.confined {
            // `ancestors` were walked as real directories, but another process could
            // have put a link there since: the parent is opened inside the root again.
            let parent = self.open_parent(path)?;
            stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            target = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => Some(read_link(parent.as_fd(), Path::new(name))?),
                _ => None,
            };
        } else {
            stat = rustix::fs::statat(CWD, path.as_path(), AtFlags::SYMLINK_NOFOLLOW)?;
            target = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => Some(read_link(CWD, path.as_path())?),
                _ => None,
            };
        }
        Ok(match (FileType::from_raw_mode(stat.st_mode), target) {
            (_, Some(target)) => Node::Symlink(target),
            (FileType::Directory, _) => Node::Directory {
                mode: stat.st_mode & 0o7777,
            },
            (FileType::RegularFile, _) => Node::File(facts(&stat)),
            _ => Node::Other,
        })
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let fd = self.open_with(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(std::ffi::OsStr::from_bytes(name).to_os_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn display(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }
}

fn read_link(directory: impl AsFd, name: &Path) -> io::Result<PathBuf> {
    let target = rustix::fs::readlinkat(directory, name, Vec::new())?;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(
        target.to_bytes(),
    )))
}

/// Which file of this machine is open, and in which state.
pub(crate) fn identity_of(file: &std::fs::File) -> io::Result<FileIdentity> {
    Ok(facts(&rustix::fs::fstat(file)?).identity)
}

/// The facts of the regular file at `path` of this machine, which no link leads to.
pub(crate) fn facts_of(path: &Path) -> io::Result<FileFacts> {
    let stat = rustix::fs::lstat(path)?;
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::RegularFile => Ok(facts(&stat)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

pub(super) fn facts(stat: &Stat) -> FileFacts {
    let nanoseconds =
        |seconds: i64, part: u64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    FileFacts {
        size,
        mode: stat.st_mode & 0o7777,
        identity: FileIdentity {
            device: stat.st_dev,
            inode: stat.st_ino,
            size,
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        },
    }
}
