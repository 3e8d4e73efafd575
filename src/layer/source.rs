//! Reading what the plan asks for, in order.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, FileType, Mode, OFlags, SeekFrom, Stat};

use super::buffer::Buffer;
use super::pack::PackError;
use super::tar::{self, Piece, Placed};
use crate::rootfs::{Content, EntryKind};
use crate::sysroot::FileFacts;

/// Files of this size in bytes are announced to the kernel before they are read.
const ANNOUNCED: u64 = 256 << 10;

/// Gives the bytes of the tar's pieces. Each file of this machine is opened once and read once.
pub(super) struct Source<'a> {
    entries: &'a [Placed<'a>],
    epoch: u64,
    open: Option<(usize, HostFile<'a>)>,
}

impl<'a> Source<'a> {
    /// A source for the plan that was made of the same `entries` and `epoch`.
    pub(super) fn new(entries: &'a [Placed<'a>], epoch: u64) -> Self {
        Self {
            entries,
            epoch,
            open: None,
        }
    }

    /// Replaces what is in `buffer` by these pieces, which follow those of the last call.
    pub(super) fn read(&mut self, pieces: &[Piece], buffer: &mut Buffer) -> Result<(), PackError> {
        buffer.clear();
        for piece in pieces {
            match *piece {
                Piece::Zeros(count) => buffer.extend_zeros(count),
                Piece::Header(number) => {
                    if let Some((path, entry)) = self.entries.get(number) {
                        buffer.extend(&tar::header(path, entry, self.epoch));
                    }
                }
                Piece::Content {
                    entry,
                    offset,
                    length,
                } => self.content(entry, offset, length, buffer)?,
            }
        }
        Ok(())
    }

    fn content(
        &mut self,
        number: usize,
        offset: u64,
        length: usize,
        buffer: &mut Buffer,
    ) -> Result<(), PackError> {
        let Some((_, entry)) = self.entries.get(number) else {
            return Ok(());
        };
        let EntryKind::File(content) = &entry.kind else {
            return Ok(());
        };
        match content {
            Content::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = bytes.get(start..).unwrap_or_default();
                buffer.extend(rest.get(..length).unwrap_or(rest));
                Ok(())
            }
            Content::Host { path, facts } => {
                let file = match self.open.take() {
                    Some((open, file)) if open == number => file,
                    _ => HostFile::open(path, facts)?,
                };
                file.read(offset, length, buffer)?;
                if offset + (length as u64) < facts.size {
                    self.open = Some((number, file));
                    Ok(())
                } else {
                    // The last of it was read: what was read must all be of one state.
                    file.check()
                }
            }
        }
    }
}

/// A file of this machine, known to be in the state that its facts tell of.
struct HostFile<'a> {
    path: &'a Path,
    facts: &'a FileFacts,
    file: File,
    holes: bool,
}

impl<'a> HostFile<'a> {
    fn open(path: &'a Path, facts: &'a FileFacts) -> Result<Self, PackError> {
        let failed = |source: io::Error| PackError::Read {
            path: path.to_path_buf(),
            source,
        };
        // NONBLOCK: a named pipe that took the file's place must not be waited for.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let mut open = Self {
            path,
            facts,
            file: File::from(fd),
            holes: false,
        };
        let stat = open.check_stat()?;
        // st_blocks counts 512 bytes whatever the file system's own block is.
        open.holes = u64::try_from(stat.st_blocks).unwrap_or(0) < facts.size / 512;
        if facts.size >= ANNOUNCED {
            // Only a hint: where it fails, reading is slower at most.
            let whole = std::num::NonZeroU64::new(facts.size);
            let _ = rustix::fs::fadvise(&open.file, 0, whole, Advice::Sequential);
        }
        Ok(open)
    }

    /// Appends `length` bytes from `offset`.
    fn read(&self, offset: u64, length: usize, buffer: &mut Buffer) -> Result<(), PackError> {
        if self.holes && self.is_hole(offset, length) {
            buffer.extend_zeros(length);
            return Ok(());
        }
        let mut done = 0;
        let space = buffer.space(length);
        while let Some(rest) = space.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => {
                    return Err(PackError::Changed {
                        path: self.path.to_path_buf(),
                        what: format!(
                            "it ends after {} bytes, where {} were expected",
                            offset + done as u64,
                            self.facts.size
                        ),
                    });
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(PackError::Read {
                        path: self.path.to_path_buf(),
                        source,
                    });
                }
            }
        }
        buffer.advance(length);
        Ok(())
    }

    /// Whether nothing was ever written to this range: `SEEK_DATA` of `lseek(2)`.
    fn is_hole(&self, offset: u64, length: usize) -> bool {
        match rustix::fs::seek(self.file.as_fd(), SeekFrom::Data(offset)) {
            Ok(data) => data >= offset + length as u64,
            // No data up to the end of the file.
            Err(rustix::io::Errno::NXIO) => true,
            Err(_) => false,
        }
    }

    fn check(&self) -> Result<(), PackError> {
        self.check_stat().map(drop)
    }

    fn check_stat(&self) -> Result<Stat, PackError> {
        let stat = rustix::fs::fstat(&self.file).map_err(|error| PackError::Read {
            path: self.path.to_path_buf(),
            source: error.into(),
        })?;
        let modified = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let what = if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            "it is no regular file any more".to_owned()
        } else if size != self.facts.size {
            format!("it has {size} bytes, and had {}", self.facts.size)
        } else if stat.st_ino != self.facts.identity.inode {
            "another file has taken its name".to_owned()
        } else if modified != self.facts.identity.modified {
            "it was written to".to_owned()
        } else {
            return Ok(stat);
        };
        Err(PackError::Changed {
            path: self.path.to_path_buf(),
            what,
        })
    }
}
