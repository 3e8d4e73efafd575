//! Reading a binary package: `deb(5)`.
//!
//! A package is read once, from front to back, while it is decompressed. What its files hold
//! goes to a [`Sink`] in the order of the archive; a sink never learns a path, so no name that
//! a package makes up can decide where something is written.

mod ar;
mod compression;
mod control;
#[cfg(test)]
pub(in crate::debian) mod fixture;
mod members;
mod tar;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::PathBuf;

use crate::ImagePath;
use crate::layer::Digest;

use ar::Ar;
use compression::Compression;

/// Bytes that the files of one package may have uncompressed.
const MAX_DATA: u64 = 4 << 30;
/// Bytes that its control archive may have uncompressed.
const MAX_CONTROL: u64 = 64 << 20;

/// What a package holds beside the bytes of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deb {
    /// Its stanza: the file `control` (`deb-control(5)`), as it is.
    pub control: String,
    /// `MD5  PATH` lines: the package's own file `md5sums`, or, when it has none in UTF-8, made
    /// from its files except the conffiles (`deb-md5sums(5)`).
    pub md5sums: String,
    /// Its configuration files (`deb-conffiles(5)`), sorted.
    pub conffiles: Vec<ImagePath>,
    /// Its members, sorted by path, each path once; the root is none of them.
    pub members: Vec<Member>,
    /// For each member, its place among the files that the sink was given, from 0.
    pub files: Vec<Option<usize>>,
}

/// One path of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it would be installed.
    pub path: ImagePath,
    /// What it is.
    pub kind: MemberKind,
    /// Mode bits (the low 12).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What a member is. Packages that hold anything else (devices, pipes) are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The digest of its content.
        sha256: Digest,
    },
    /// A symbolic link and what it says.
    Symlink(PathBuf),
    /// A further name of the regular file of the package at this path.
    HardLink(ImagePath),
}

/// Takes what the files of a package hold, one after the other.
pub trait Sink {
    /// A file of `size` bytes begins.
    ///
    /// # Errors
    /// When it cannot be written; reading stops then.
    fn begin(&mut self, size: u64) -> io::Result<()>;

    /// The next bytes of the file that began last.
    ///
    /// # Errors
    /// When they cannot be written; reading stops then.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// That file has ended.
    ///
    /// # Errors
    /// When it cannot be written; reading stops then.
    fn end(&mut self) -> io::Result<()>;
}

/// A sink that keeps nothing: to look at a package without unpacking it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl Sink for Discard {
    fn begin(&mut self, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the package {package} cannot be unpacked: {fault}")]
pub struct DebError {
    /// The package, as people call it.
    pub package: String,
    /// What is wrong with it.
    pub fault: DebFault,
}

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum DebFault {
    /// The file cannot be read.
    #[error("reading it failed: {0}")]
    Read(#[source] io::Error),
    /// What it holds cannot be written.
    #[error("writing its files failed: {0}; is there room left in the cache?")]
    Write(#[source] io::Error),
    /// The outer archive is not as `deb(5)` says.
    #[error("{what}, at byte {at} of the file; it was cut short, or dpkg-deb did not make it")]
    Archive {
        /// Where, in bytes from the start of the file.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// A part that every package has is missing.
    #[error("it has no {0}, which every package has (deb(5)); dpkg-deb did not make it")]
    Missing(&'static str),
    /// A part is compressed in a way that is not known, or is damaged.
    #[error("{part} is compressed with {compression}, but cannot be decompressed: {source}")]
    Compression {
        /// The part: `data.tar.xz`.
        part: String,
        /// How it is compressed, by its name.
        compression: &'static str,
        /// What the decompressor said.
        source: io::Error,
    },
    /// More comes out than any real package holds.
    #[error(
        "{part} has {compressed} bytes and more than {limit} uncompressed, which no real package \
         has"
    )]
    Bomb {
        /// The part.
        part: String,
        /// Its size in bytes as it is.
        compressed: u64,
        /// The limit in bytes that was passed.
        limit: u64,
    },
    /// An archive in it is not as tar(5) says.
    #[error("{what}, at byte {at} of {part} (uncompressed)")]
    Tar {
        /// The part.
        part: String,
        /// Where, in bytes from the start of the uncompressed archive.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// A member is of a kind, or has a name, that no package may bring into an image.
    #[error("its member {path:?} is refused: {reason}")]
    Member {
        /// Its name as it stands in the archive.
        path: String,
        /// Why.
        reason: String,
    },
    /// Its control files make no sense.
    #[error("its control file {file} {what}")]
    Control {
        /// `control`, `conffiles`...
        file: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

impl DebFault {
    fn member(name: &[u8], reason: impl Into<String>) -> Self {
        Self::Member {
            path: String::from_utf8_lossy(name).into_owned(),
            reason: reason.into(),
        }
    }
}

/// Reads the package in `file`, which people call `package`, and gives what its files hold to
/// `sink`. All of `file` is read.
///
/// # Errors
/// When it is no package as `deb(5)` says, is damaged, or holds what has no place in an image:
/// paths that lead outside, devices, files below links, hard links to what is not there.
pub fn read_deb(file: impl Read, package: &str, sink: &mut dyn Sink) -> Result<Deb, DebError> {
    read(file, sink).map_err(|fault| DebError {
        package: package.to_owned(),
        fault,
    })
}

fn read(file: impl Read, sink: &mut dyn Sink) -> Result<Deb, DebFault> {
    let mut ar = Ar::open(file)?;
    ar.check_version()?;
    let (name, size) = ar.next_part()?.ok_or(DebFault::Missing("control.tar"))?;
    let compression =
        Compression::of(&name, "control.tar").ok_or_else(|| ar.misplaced(&name, "control.tar"))?;
    let control = ar.part(&name, size, compression, MAX_CONTROL, |tar| {
        control::read(tar)
    })?;
    let (name, size) = ar.next_part()?.ok_or(DebFault::Missing("data.tar"))?;
    let compression =
        Compression::of(&name, "data.tar").ok_or_else(|| ar.misplaced(&name, "data.tar"))?;
    let listed = ar.part(&name, size, compression, MAX_DATA, |tar| {
        members::read(tar, control.md5sums.is_none(), sink)
    })?;
    if let Some((name, _)) = ar.next_part()? {
        return Err(ar.misplaced(&name, "the end"));
    }
    let md5sums = control
        .md5sums
        .unwrap_or_else(|| listed.md5sums(&control.conffiles));
    Ok(Deb {
        control: control.stanza,
        md5sums,
        conffiles: control.conffiles,
        members: listed.members,
        files: listed.files,
    })
}
