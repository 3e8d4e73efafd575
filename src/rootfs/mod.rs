//! The root file system of an image, held in memory as one ordered tree.

mod accounts;
mod assemble;
mod base;
mod bytes;
mod certificates;
mod include;
mod tree;
mod zones;

use std::path::PathBuf;

pub use assemble::{AssembleError, Assembled, Assembly, StripFunction, assemble};
pub(crate) use assemble::{is_system, moved_directory, same_bytes};
pub use base::{Base, BaseConfig, BaseError, BaseSummary};
pub use bytes::Bytes;
pub use include::{Include, IncludeError, Included};
#[cfg(feature = "debian")]
pub(crate) use tree::relative;
pub use tree::{Conflict, Rootfs, View};

use crate::ImagePath;
use crate::sysroot::FileFacts;

/// Where an app lands that is in no directory of the system's, and what comes with it.
pub const APP_DIRECTORY: &str = "/app";

/// One entry of a [`Rootfs`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Mode bits (the low 12); a link's are 0o777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Where it came from.
    pub origin: Origin,
}

impl Entry {
    /// A directory of root's.
    pub fn directory(mode: u32, origin: Origin) -> Self {
        Self::of_root(EntryKind::Directory, mode, origin)
    }

    /// A regular file of root's.
    pub fn file(content: Content, mode: u32, origin: Origin) -> Self {
        Self::of_root(EntryKind::File(content), mode, origin)
    }

    /// A symbolic link that says `target`.
    pub fn symlink(target: impl Into<PathBuf>, origin: Origin) -> Self {
        Self::of_root(EntryKind::Symlink(target.into()), 0o777, origin)
    }

    /// Size of the content in bytes; 0 for what is no file, and for further names of one.
    pub fn size(&self) -> u64 {
        match &self.kind {
            EntryKind::File(content) => content.size(),
            EntryKind::Directory | EntryKind::Symlink(_) | EntryKind::HardLink(_) => 0,
        }
    }

    fn of_root(kind: EntryKind, mode: u32, origin: Origin) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            origin,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link and what it says.
    Symlink(PathBuf),
    /// A further name of the file at this path, which sorts before it in the same layer.
    HardLink(ImagePath),
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// They are here.
    Bytes(Bytes),
    /// They are read from this machine when the layer is packed.
    Host {
        /// Where, on this machine.
        path: PathBuf,
        /// What was seen when the tree was made; packing fails when the file has changed since.
        facts: FileFacts,
    },
}

impl Content {
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Host { facts, .. } => facts.size,
        }
    }

    /// Whether both are known to hold the same bytes without reading a file: the same bytes
    /// in memory, or the same file in the same state.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Host { facts: a, .. }, Self::Host { facts: b, .. }) => a.identity == b.identity,
            _ => false,
        }
    }
}

/// Where an entry came from. The order is that of the layers, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The base.
    Base,
    /// A shared library, the loader or what they need.
    Library,
    /// The files of a language runtime, of packages that the app depends on, and those that a
    /// rule of `bases/plugins.toml` brings.
    Runtime,
    /// The app itself.
    App,
    /// `--include`, or a trace.
    Include,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Base => "the base",
            Self::Library => "the libraries",
            Self::Runtime => "the runtime",
            Self::App => "the app",
            Self::Include => "--include",
        })
    }
}

impl Origin {
    /// Its word in reports: `base`, `libraries`, `runtime`, `app`, `include`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Library => "libraries",
            Self::Runtime => "runtime",
            Self::App => "app",
            Self::Include => "include",
        }
    }
}
