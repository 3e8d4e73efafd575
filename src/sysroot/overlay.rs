//! Entries laid over a sysroot: what `--include` adds, an app from outside, or what a runtime moves.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::rootfs::{content_of, node_of, open_entry};
use super::{Node, OpenFile, Sysroot, trace};
use crate::ImagePath;
use crate::rootfs::{Content, Entry, EntryKind, Rootfs};

/// A [`Rootfs`] over another sysroot. Links are followed across both, and a directory in both
/// holds what either has in it.
pub struct Overlay<'a> {
    upper: BTreeMap<ImagePath, Entry>,
    hidden: Vec<ImagePath>,
    lower: &'a dyn Sysroot,
}

impl std::fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay")
            .field("upper", &self.upper)
            .field("hidden", &self.hidden)
            .finish_non_exhaustive()
    }
}

impl<'a> Overlay<'a> {
    /// Lays `upper` over `lower`. Where a path of `upper` leads through a link of `lower`
    /// (`/lib/x` with `/lib` → `usr/lib`), the entry stands behind the link.
    pub fn new(upper: &Rootfs, lower: &'a dyn Sysroot) -> Self {
        let mut directories: HashMap<ImagePath, ImagePath> = HashMap::new();
        let mut settled = BTreeMap::new();
        for (path, entry) in upper.iter() {
            let is_directory = entry.kind == EntryKind::Directory;
            if is_directory && directory_below(lower, path).is_some() {
                continue;
            }
            let place = match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => directories
                    .entry(parent.clone())
                    .or_insert_with(|| settle(lower, &parent))
                    .join(name)
                    .unwrap_or_else(|_| path.clone()),
                _ => continue,
            };
            let mut entry = entry.clone();
            if let EntryKind::HardLink(target) = &entry.kind
                && let (Some(parent), Some(name)) = (target.parent(), target.file_name())
                && let Ok(target) = settle(lower, &parent).join(name)
            {
                entry.kind = EntryKind::HardLink(target);
            }
            settled.insert(place, entry);
        }
        Self {
            upper: settled,
            hidden: Vec::new(),
            lower,
        }
    }

    /// Hides what the lower tree has at and below these paths, which no link leads to.
    #[must_use]
    pub fn hiding(mut self, paths: Vec<ImagePath>) -> Self {
        self.hidden = paths;
        self
    }

    fn is_hidden(&self, path: &ImagePath) -> bool {
        self.hidden.iter().any(|hidden| path.starts_with(hidden))
    }

    /// The entry of the upper tree at `path`, in which every component before the last is a
    /// real directory; hard links followed.
    pub fn entry(&self, path: &ImagePath) -> Option<&Entry> {
        let entry = self.upper.get(path)?;
        match &entry.kind {
            EntryKind::HardLink(target) => self.upper.get(target),
            _ => Some(entry),
        }
    }
}

impl Sysroot for Overlay<'_> {
    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        let target = trace(self, path)?.target;
        match self.entry(&target) {
            Some(entry) => open_entry(&target, entry),
            None => self.lower.open(target.as_path()),
        }
    }

    fn node(&self, path: &ImagePath) -> io::Result<Node> {
        match self.entry(path) {
            Some(entry) => Ok(node_of(path, entry)),
            None if self.is_hidden(path) => Err(io::Error::from(io::ErrorKind::NotFound)),
            None => self.lower.node(path),
        }
    }

    fn content(&self, path: &ImagePath) -> io::Result<(Content, u32)> {
        match self.entry(path) {
            Some(entry) => content_of(entry),
            None => self.lower.content(path),
        }
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let walked = trace(self, path)?;
        if !matches!(walked.node, Node::Directory { .. }) {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let directory = walked.target;
        let mut names = match self.upper.contains_key(&directory) {
            true => Vec::new(),
            false => self.lower.read_dir(directory.as_path())?,
        };
        if !self.hidden.is_empty() {
            names.retain(|name| {
                directory
                    .join(name)
                    .is_ok_and(|path| !self.is_hidden(&path))
            });
        }
        names.extend(
            self.upper
                .range(directory.clone()..)
                .take_while(|(path, _)| path.as_bytes().starts_with(directory.as_bytes()))
                .filter(|(path, _)| path.parent().as_ref() == Some(&directory))
                .filter_map(|(path, _)| Some(path.file_name()?.to_os_string())),
        );
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// The file of this machine that stands there, whichever tree it is from.
    fn display(&self, path: &Path) -> PathBuf {
        match ImagePath::new(path).ok().and_then(|path| self.entry(&path)) {
            Some(Entry {
                kind: EntryKind::File(Content::Host { path, .. }),
                ..
            }) => path.clone(),
            Some(_) => path.to_path_buf(),
            None => self.lower.display(path),
        }
    }
}

/// Where the directory `path` is in `lower`, if it is there.
fn directory_below(lower: &dyn Sysroot, path: &ImagePath) -> Option<ImagePath> {
    let walked = trace(lower, path.as_path()).ok()?;
    matches!(walked.node, Node::Directory { .. }).then_some(walked.target)
}

/// Where the directory `path` is to stand: what of it exists in `lower` has its links followed.
fn settle(lower: &dyn Sysroot, path: &ImagePath) -> ImagePath {
    let mut rest = Vec::new();
    let mut at = path.clone();
    loop {
        if let Some(base) = directory_below(lower, &at) {
            // The names come from a good path, so joining them cannot fail.
            return rest
                .iter()
                .rev()
                .try_fold(base, |base, name: &OsString| base.join(name))
                .unwrap_or_else(|_| path.clone());
        }
        let (Some(parent), Some(name)) = (at.parent(), at.file_name().map(OsString::from)) else {
            return path.clone();
        };
        rest.push(name);
        at = parent;
    }
}
