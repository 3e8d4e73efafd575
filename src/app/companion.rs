//! What comes along with an app beside its ELF closure: a standard library, packages, data files.

use std::path::PathBuf;

use crate::ImagePath;
use crate::rootfs::Entry;

/// Files that come along for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companions {
    /// Who brings them.
    pub by: Provenance,
    /// Why, for people: a phrase such as `the standard library of Python 3.11`.
    pub reason: String,
    /// The files, directories and links.
    pub files: Vec<Companion>,
}

impl Companions {
    /// Total size of the files in bytes.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.entry.size()).sum()
    }
}

/// Who brings companions into an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provenance {
    /// The language runtime that was recognised.
    Runtime,
    /// Packages that the app depends on: `site-packages`, `node_modules`, a class path.
    Packages,
    /// The app itself.
    App,
    /// The rule of this name in `bases/plugins.toml`.
    Rule(String),
    /// A run of the app that was traced, or its profile.
    Trace,
}

/// One file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// Where it lands in the image. Directories above it need no companion of their own.
    pub path: ImagePath,
    /// What it is. Its origin is [`Origin::Runtime`](crate::rootfs::Origin::Runtime) or
    /// [`Origin::App`](crate::rootfs::Origin::App), of traced files
    /// [`Origin::Include`](crate::rootfs::Origin::Include).
    pub entry: Entry,
    /// The path on this machine, for messages; what it was made from when it was made.
    pub source: PathBuf,
    /// What it means for the closure.
    pub role: Role,
}

/// What a companion means for the closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing: data, a script, a directory, a link.
    Data,
    /// Where it is an ELF object for the app's machine, a process of the app loads or starts it,
    /// so that the libraries that it needs come along. Other files are data.
    Object,
    /// As [`Role::Object`], but it is left out, with a notice, when its libraries are missing: one
    /// of many modules of a runtime, which the app may never load.
    Optional,
}
