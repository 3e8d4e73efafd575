//! An assembled root file system as the loader in a container would see it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{FileFacts, FileIdentity, Node, OpenFile, Sysroot, trace};
use crate::ImagePath;
use crate::rootfs::{Content, Entry, EntryKind, Rootfs};

/// A [`Rootfs`] in which the closure is resolved once more, to prove that it is complete.
///
/// Each path is a file of its own, as it is in the image, unless it is a hard link: two copies
/// of one file of this machine are two files here.
#[derive(Debug, Clone, Copy)]
pub struct Assembled<'a>(pub &'a Rootfs);

impl<'a> Assembled<'a> {
    /// The entry at `path`, hard links followed, and the path at which it stands.
    fn entry<'p>(&'p self, path: &'p ImagePath) -> io::Result<(&'p ImagePath, &'a Entry)> {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        let entry = self.0.get(path).ok_or_else(not_found)?;
        match &entry.kind {
            // A hard link leads to a file, never to another link.
            EntryKind::HardLink(target) => Ok((target, self.0.get(target).ok_or_else(not_found)?)),
            _ => Ok((path, entry)),
        }
    }
}

impl Sysroot for Assembled<'_> {
    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        let target = trace(self, path)?.target;
        if target.is_root() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let (path, entry) = self.entry(&target)?;
        let mut file = open_entry(path, entry)?;
        file.identity = identity(path, &file.identity);
        Ok(file)
    }

    fn node(&self, path: &ImagePath) -> io::Result<Node> {
        if path.is_root() {
            return Ok(Node::Directory { mode: 0o755 });
        }
        let (path, entry) = self.entry(path)?;
        Ok(match node_of(path, entry) {
            Node::File(facts) => Node::File(FileFacts {
                identity: identity(path, &facts.identity),
                ..facts
            }),
            other => other,
        })
    }

    fn content(&self, path: &ImagePath) -> io::Result<(Content, u32)> {
        content_of(self.entry(path)?.1)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let walked = trace(self, path)?;
        if !matches!(walked.node, Node::Directory { .. }) {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let names = self.0.names(&walked.target);
        Ok(names.map(OsStr::to_os_string).collect())
    }

    fn is_directory(&self, path: &Path) -> bool {
        trace(self, path).is_ok_and(|walked| matches!(walked.node, Node::Directory { .. }))
    }
}

/// The content of an entry's file, and its mode.
pub(super) fn content_of(entry: &Entry) -> io::Result<(Content, u32)> {
    match &entry.kind {
        EntryKind::File(content) => Ok((content.clone(), entry.mode)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )),
    }
}

/// In the image, the file is the one at this path, whichever it was on this machine.
fn identity(path: &ImagePath, content: &FileIdentity) -> FileIdentity {
    FileIdentity {
        device: FileIdentity::MEMORY,
        inode: number(path),
        ..*content
    }
}

/// A number for a path (FNV-1a), the same in every run.
fn number(path: &ImagePath) -> u64 {
    path.as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// What an entry that is no hard link is.
pub(super) fn node_of(path: &ImagePath, entry: &Entry) -> Node {
    match &entry.kind {
        EntryKind::Directory => Node::Directory { mode: entry.mode },
        EntryKind::Symlink(target) => Node::Symlink(target.clone()),
        EntryKind::HardLink(_) => Node::Other,
        EntryKind::File(Content::Host { facts, .. }) => Node::File(FileFacts {
            mode: entry.mode,
            ..facts.clone()
        }),
        EntryKind::File(Content::Bytes(bytes)) => {
            let size = bytes.len() as u64;
            Node::File(FileFacts {
                size,
                mode: entry.mode,
                identity: FileIdentity {
                    device: FileIdentity::MEMORY,
                    inode: number(path),
                    size,
                    modified: 0,
                    changed: 0,
                },
            })
        }
    }
}

/// Opens the file of an entry; its mode is the entry's.
pub(super) fn open_entry(path: &ImagePath, entry: &Entry) -> io::Result<OpenFile> {
    let mut file = match &entry.kind {
        EntryKind::File(Content::Bytes(bytes)) => {
            OpenFile::from_memory(Arc::from(&bytes[..]), entry.mode, number(path))
        }
        EntryKind::File(Content::Host { path, .. }) => OpenFile::from_host(path)?,
        EntryKind::Directory => return Err(io::Error::from(io::ErrorKind::IsADirectory)),
        EntryKind::Symlink(_) | EntryKind::HardLink(_) => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
    };
    file.mode = entry.mode;
    Ok(file)
}
