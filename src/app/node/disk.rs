//! The file system that an app is read from: a sysroot with a memory of the directories walked.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::NodeError;
use crate::ImagePath;
use crate::sysroot::{Node, OpenFile, Sysroot, Trace, Tracer};

/// A sysroot in which many near paths are looked up.
pub(super) struct Disk<'a> {
    sysroot: &'a dyn Sysroot,
    tracer: Tracer<'a>,
}

impl<'a> Disk<'a> {
    pub(super) fn new(sysroot: &'a dyn Sysroot) -> Self {
        Self {
            sysroot,
            tracer: Tracer::new(sysroot),
        }
    }

    pub(super) fn sysroot(&self) -> &'a dyn Sysroot {
        self.sysroot
    }

    /// Where `path` leads, if it leads anywhere. What may not be looked at is not there: Node.js
    /// could not read it either.
    pub(super) fn find(&mut self, path: &Path) -> Option<Trace> {
        self.tracer.trace(path).ok()
    }

    /// The real directory that `path` leads to.
    pub(super) fn directory(&mut self, path: &Path) -> Option<ImagePath> {
        let trace = self.find(path)?;
        matches!(trace.node, Node::Directory { .. }).then_some(trace.target)
    }

    /// The real file that `path` leads to.
    pub(super) fn file(&mut self, path: &Path) -> Option<ImagePath> {
        let trace = self.find(path)?;
        matches!(trace.node, Node::File(_)).then_some(trace.target)
    }

    /// What stands at `path`, of which every component before the last is a real directory.
    pub(super) fn node(&self, path: &ImagePath) -> Result<Node, NodeError> {
        self.sysroot
            .node(path)
            .map_err(|source| self.failed(path.as_path(), source))
    }

    pub(super) fn names(&self, directory: &ImagePath) -> Result<Vec<OsString>, NodeError> {
        self.sysroot
            .read_dir(directory.as_path())
            .map_err(|source| self.failed(directory.as_path(), source))
    }

    pub(super) fn open(&self, path: &Path) -> Result<OpenFile, NodeError> {
        self.sysroot
            .open(path)
            .map_err(|source| self.failed(path, source))
    }

    /// The file at `path`, of at most `limit` bytes.
    pub(super) fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, NodeError> {
        self.sysroot.read(path, limit).map_err(|source| {
            if source.kind() == io::ErrorKind::FileTooLarge {
                let path = self.shown(path);
                return NodeError::TooLarge { path, limit };
            }
            self.failed(path, source)
        })
    }

    /// How to show `path` to a person.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        self.sysroot.display(path)
    }

    pub(super) fn failed(&self, path: &Path, source: io::Error) -> NodeError {
        let path = self.shown(path);
        NodeError::Io { path, source }
    }

    /// The entry `name` of `directory`.
    pub(super) fn child(
        &self,
        directory: &ImagePath,
        name: impl AsRef<std::ffi::OsStr>,
    ) -> Result<ImagePath, NodeError> {
        directory
            .join(name.as_ref())
            .map_err(|source| NodeError::Path {
                path: self.shown(&directory.as_path().join(name.as_ref())),
                source,
            })
    }
}

/// `path` and the directories above it, the nearest first, the root last.
pub(super) fn upward(path: &ImagePath) -> impl Iterator<Item = ImagePath> + use<> {
    std::iter::successors(Some(path.clone()), ImagePath::parent)
}

/// `path` without `.` and `..`, which are taken from the spelling alone, as Node.js joins paths.
/// `..` at the root stays there.
pub(super) fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}
