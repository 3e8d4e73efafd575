//! The database files of an image, held in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ImagePath;
use crate::sysroot::{FileFacts, FileIdentity, Node, OpenFile, Sysroot};

/// A few files and links in memory as a sysroot: the package databases of an image, kept
/// while its layers were read. Links are seen by [`Sysroot::node`] and not followed.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    files: BTreeMap<ImagePath, Arc<[u8]>>,
    links: BTreeMap<ImagePath, PathBuf>,
}

impl Captured {
    /// Adds or replaces a file.
    pub fn file(&mut self, path: ImagePath, content: impl Into<Arc<[u8]>>) {
        self.files.insert(path, content.into());
    }

    /// Adds or replaces a symbolic link.
    pub fn link(&mut self, path: ImagePath, target: PathBuf) {
        self.links.insert(path, target);
    }

    fn get(&self, path: &Path) -> io::Result<&Arc<[u8]>> {
        let path = ImagePath::new(path).map_err(io::Error::other)?;
        self.files
            .get(&path)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Sysroot for Captured {
    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        Ok(OpenFile::from_memory(self.get(path)?.clone(), 0o644, 0))
    }

    fn node(&self, path: &ImagePath) -> io::Result<Node> {
        if let Some(target) = self.links.get(path) {
            return Ok(Node::Symlink(target.clone()));
        }
        let size = self.get(path.as_path())?.len() as u64;
        Ok(Node::File(FileFacts {
            size,
            mode: 0o644,
            identity: FileIdentity {
                device: FileIdentity::MEMORY,
                inode: 0,
                size,
                modified: 0,
                changed: 0,
            },
        }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let directory = ImagePath::new(path).map_err(io::Error::other)?;
        let names: BTreeSet<OsString> = self
            .files
            .range(directory.clone()..)
            // Siblings such as `/a-b` sort between `/a` and `/a/b`.
            .take_while(|(path, _)| path.as_bytes().starts_with(directory.as_bytes()))
            .filter_map(|(path, _)| path.as_path().strip_prefix(&directory).ok())
            .filter_map(|below| below.components().next())
            .map(|first| first.as_os_str().to_owned())
            .collect();
        if names.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(names.into_iter().collect())
    }
}
