//! Turning directories of the app into companions.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::NodeError;
use super::disk::Disk;
use super::layout::{Layout, relative};
use crate::ImagePath;
use crate::app::{Companion, Role};
use crate::rootfs::{Entry, Origin};
use crate::sysroot::Node;

/// More than the largest known apps have.
const MAX_FILES: usize = 500_000;

/// What is done with an entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    Take,
    /// Only for directories: they are looked into, and land only with what is taken of them.
    Enter,
    Leave,
}

/// Collects companions; nothing comes twice.
pub(super) struct Gatherer<'d, 'a> {
    pub(super) disk: &'d mut Disk<'a>,
    pub(super) layout: &'d Layout,
    taken: BTreeSet<ImagePath>,
    /// Links that lead out of the app, as they are shown to people.
    pub(super) outside: Vec<PathBuf>,
}

impl<'d, 'a> Gatherer<'d, 'a> {
    pub(super) fn new(disk: &'d mut Disk<'a>, layout: &'d Layout) -> Self {
        Self {
            disk,
            layout,
            taken: BTreeSet::new(),
            outside: Vec::new(),
        }
    }

    /// What `pick` takes of the real directory `root`, for paths relative to it.
    pub(super) fn directory(
        &mut self,
        root: &ImagePath,
        origin: Origin,
        mut pick: impl FnMut(&Disk<'_>, &Path, bool) -> Pick,
    ) -> Result<Vec<Companion>, NodeError> {
        let mut companions = Vec::new();
        let mut open = vec![(root.clone(), PathBuf::new(), Pick::Enter)];
        while let Some((directory, path, picked)) = open.pop() {
            let names = self.disk.names(&directory)?;
            if names.is_empty() && picked == Pick::Take {
                companions.extend(self.empty(&directory, origin)?);
            }
            let mut chosen = Vec::new();
            for name in &names {
                let child = self.disk.child(&directory, name)?;
                let path = path.join(name);
                let node = self.disk.node(&child)?;
                let is_directory = matches!(node, Node::Directory { .. });
                let picked = pick(self.disk, &path, is_directory);
                if picked != Pick::Leave {
                    chosen.push((child, path, node, picked));
                }
            }
            let names = chosen.iter().filter_map(|(child, ..)| child.file_name());
            let addons = names.filter(|name| is_addon(name)).count();
            for (child, path, node, picked) in chosen {
                match node {
                    Node::Directory { .. } => open.push((child, path, picked)),
                    Node::Symlink(_) => companions.extend(self.link(&child, origin)?),
                    Node::File(_) => companions.extend(self.file(&child, origin, addons)?),
                    // Sockets and pipes belong to running programs.
                    Node::Other => {}
                }
            }
        }
        companions.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(companions)
    }

    /// The file at the canonical `path`. `addons` are the native modules in its directory: of
    /// several, the app loads one.
    pub(super) fn file(
        &mut self,
        path: &ImagePath,
        origin: Origin,
        addons: usize,
    ) -> Result<Option<Companion>, NodeError> {
        let Some(place) = self.take(path)? else {
            return Ok(None);
        };
        let (content, mode) = self
            .disk
            .sysroot()
            .content(path)
            .map_err(|source| self.disk.failed(path.as_path(), source))?;
        let name = path.file_name().unwrap_or_default();
        let role = match (is_addon(name), is_library(name) || mode & 0o111 != 0) {
            (true, _) if addons > 1 => Role::Optional,
            (true, _) | (_, true) => Role::Object,
            _ => Role::Data,
        };
        // The umask of this machine does not matter.
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        Ok(Some(Companion {
            path: place,
            entry: Entry::file(content, mode, origin),
            source: self.disk.shown(path.as_path()),
            role,
        }))
    }

    /// The link at the canonical `path`, where it leads to something of the app.
    fn link(&mut self, path: &ImagePath, origin: Origin) -> Result<Option<Companion>, NodeError> {
        let Some(target) = self.disk.find(path.as_path()).map(|trace| trace.target) else {
            // A dangling link leads nowhere in the image, too.
            return Ok(None);
        };
        let Some(to) = self.layout.place(&target) else {
            self.outside.push(self.disk.shown(path.as_path()));
            return Ok(None);
        };
        let Some(place) = self.take(path)? else {
            return Ok(None);
        };
        Ok(Some(self.linked(place, &to, path, origin)))
    }

    /// A link in node_modules of `holder` to the package in `directory`, where the package does
    /// not stand there itself.
    pub(super) fn package_link(
        &mut self,
        holder: &ImagePath,
        name: &str,
        directory: &ImagePath,
    ) -> Result<Option<Companion>, NodeError> {
        let modules = self.disk.child(holder, "node_modules")?;
        let path = self.disk.child(&modules, name)?;
        if path == *directory {
            return Ok(None);
        }
        let Some(to) = self.layout.place(directory) else {
            return Ok(None);
        };
        let Some(place) = self.take(&path)? else {
            return Ok(None);
        };
        Ok(Some(self.linked(place, &to, &path, Origin::Runtime)))
    }

    /// Links in `.bin` of `holder` that lead to a file that was taken.
    pub(super) fn programs(&mut self, holder: &ImagePath) -> Result<Vec<Companion>, NodeError> {
        let directory = holder.as_path().join("node_modules/.bin");
        let Some(directory) = self.disk.directory(&directory) else {
            return Ok(Vec::new());
        };
        let mut companions = Vec::new();
        for name in self.disk.names(&directory)? {
            let path = self.disk.child(&directory, &name)?;
            let is_link = matches!(self.disk.node(&path)?, Node::Symlink(_));
            let target = self.disk.file(path.as_path());
            if is_link && target.is_some_and(|target| self.taken.contains(&target)) {
                companions.extend(self.link(&path, Origin::Runtime)?);
            }
        }
        Ok(companions)
    }

    fn linked(
        &self,
        place: ImagePath,
        to: &ImagePath,
        path: &ImagePath,
        origin: Origin,
    ) -> Companion {
        Companion {
            entry: Entry::symlink(relative(&place, to), origin),
            path: place,
            source: self.disk.shown(path.as_path()),
            role: Role::Data,
        }
    }

    fn empty(&mut self, path: &ImagePath, origin: Origin) -> Result<Option<Companion>, NodeError> {
        Ok(self.take(path)?.map(|place| Companion {
            path: place,
            entry: Entry::directory(0o755, origin),
            source: self.disk.shown(path.as_path()),
            role: Role::Data,
        }))
    }

    /// Where `path` lands, unless it was taken before or has no place.
    fn take(&mut self, path: &ImagePath) -> Result<Option<ImagePath>, NodeError> {
        let Some(place) = self.layout.place(path) else {
            return Ok(None);
        };
        if self.taken.len() == MAX_FILES {
            return Err(NodeError::TooMany {
                path: self.disk.shown(path.as_path()),
                what: "files with those before it",
                limit: MAX_FILES,
            });
        }
        Ok(self.taken.insert(path.clone()).then_some(place))
    }
}

/// A native module.
fn is_addon(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".node")
}

/// A shared library, `libx.so` or `libx.so.1.2`.
fn is_library(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_version = |rest: &[u8]| {
        rest.iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
    };
    name.windows(3)
        .rposition(|part| part == b".so")
        .and_then(|at| name.get(at + 3..))
        .is_some_and(|rest| rest.is_empty() || (rest.starts_with(b".") && is_version(rest)))
}

/// Whether a directory at `path`, relative to a project or package, is a node_modules whose
/// packages the walk chose from: that of the root, or of a further package below it. Others were
/// written by bundlers, and are files like all others.
pub(super) fn is_node_modules(disk: &Disk<'_>, root: &ImagePath, path: &Path) -> bool {
    if path.file_name() != Some(OsStr::new("node_modules")) {
        return false;
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            let manifest = root
                .join(parent)
                .and_then(|parent| parent.join("package.json"));
            manifest
                .is_ok_and(|manifest| matches!(disk.sysroot().node(&manifest), Ok(Node::File(_))))
        }
        _ => true,
    }
}

/// The first few of `names`, sorted, for people.
pub(super) fn some(names: impl IntoIterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let names: BTreeSet<String> = names.into_iter().collect();
    let mut text = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_may_have_versions() {
        for name in [
            "libx.so",
            "libx.so.1",
            "libvips-cpp.so.8.17.3",
            "libx.so.1.so",
        ] {
            assert!(is_library(OsStr::new(name)), "{name}");
        }
        for name in ["x.sock", "x.so.js", "so", "x.sox"] {
            assert!(!is_library(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn many_names_are_cut() {
        assert_eq!(some(["b", "a"].map(String::from)), "a, b");
        assert_eq!(
            some((0..7).map(|n| n.to_string())),
            "0, 1, 2, 3, 4 and 2 more"
        );
    }
}
