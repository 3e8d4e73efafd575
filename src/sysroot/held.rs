//! A base that is a whole system, as the system that everything is looked up in.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::rootfs::Assembled;
use super::{Node, OpenFile, Sysroot};
use crate::ImagePath;
use crate::rootfs::{Content, Rootfs};

/// A tree that is held in memory and has a name for people, which its paths are shown with:
/// `debian:bookworm/cc:/usr/bin/env` is no file of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    tree: Assembled<'a>,
    name: &'a str,
}

impl<'a> Held<'a> {
    /// The tree of the base `name`.
    pub fn new(rootfs: &'a Rootfs, name: &'a str) -> Self {
        Self {
            tree: Assembled(rootfs),
            name,
        }
    }
}

impl Sysroot for Held<'_> {
    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        self.tree.open(path)
    }

    fn node(&self, path: &ImagePath) -> io::Result<Node> {
        self.tree.node(path)
    }

    fn content(&self, path: &ImagePath) -> io::Result<(Content, u32)> {
        self.tree.content(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.tree.read_dir(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.tree.is_directory(path)
    }

    fn display(&self, path: &Path) -> PathBuf {
        let mut shown = OsString::from(self.name);
        shown.push(":");
        shown.push(path);
        shown.into()
    }
}
