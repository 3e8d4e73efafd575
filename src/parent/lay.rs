//! Layers laid over each other, as a runtime would (image-spec `layer.md`, "Applying Changesets").
//!
//! Whiteouts hide what lower layers have, wherever they stand in their own. An entry whose
//! directory is a link lands where the link leads; what is no directory takes the place of a
//! directory with all below it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::ParentError;
use super::record::{Item, What};
use crate::ImagePath;
use crate::layer::Digest;
use crate::rootfs::{Content, Entry, EntryKind, Origin, Rootfs};

/// The kernel's limit on links followed in one look-up (`path_resolution(7)`).
const LINK_LIMIT: usize = 40;
/// Components that are walked through links, of all entries together.
const STEP_LIMIT: u64 = 64 << 20;

/// The layers so far.
#[derive(Debug, Default)]
pub(super) struct Laid {
    /// Each path's directories are in it, as directories.
    nodes: BTreeMap<ImagePath, Node>,
    /// The files, which several names may share.
    files: Vec<Inode>,
    left_out: BTreeSet<ImagePath>,
    steps: u64,
}

#[derive(Debug, Clone)]
enum Node {
    Directory(Owned),
    Symlink(PathBuf, Owned),
    File(usize),
}

/// Mode and owner.
#[derive(Debug, Clone, Copy)]
struct Owned {
    mode: u32,
    uid: u32,
    gid: u32,
}

#[derive(Debug)]
struct Inode {
    content: Content,
    owned: Owned,
}

/// An entry that has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    path: ImagePath,
    problem: String,
}

impl Fault {
    /// The fault of a layer of an image.
    pub(super) fn of(self, image: &str, digest: &Digest) -> ParentError {
        ParentError::Entry {
            image: image.to_owned(),
            digest: *digest,
            problem: format!("{} {}", self.path, self.problem),
        }
    }
}

impl Laid {
    /// Lays one more layer over those before.
    pub(super) fn add(&mut self, items: &[(Item, Option<Content>)]) -> Result<(), Fault> {
        for (item, _) in items {
            match item.what {
                What::Whiteout => {
                    // What leads nowhere hides nothing.
                    if let Ok(at) = self.canonical(&item.path) {
                        self.remove(&at);
                    }
                }
                What::Opaque => {
                    if let Ok(at) = self.directory(&item.path) {
                        self.remove_below(&at);
                    }
                }
                _ => {}
            }
        }
        for (item, content) in items {
            self.place(item, content.as_ref())?;
        }
        Ok(())
    }

    /// What stands in no tree, sorted.
    pub(super) fn left_out(&self) -> Vec<&ImagePath> {
        self.left_out.iter().collect()
    }

    /// The tree, all of it of the base.
    pub(super) fn into_rootfs(self, image: &str) -> Result<Rootfs, ParentError> {
        let mut rootfs = Rootfs::new();
        let mut first: HashMap<usize, ImagePath> = HashMap::new();
        for (path, node) in self.nodes {
            let (kind, owned) = match node {
                Node::Directory(owned) => (EntryKind::Directory, owned),
                Node::Symlink(target, owned) => (EntryKind::Symlink(target), owned),
                Node::File(index) => {
                    let Some(inode) = self.files.get(index) else {
                        continue;
                    };
                    let kind = match first.get(&index) {
                        Some(first) => EntryKind::HardLink(first.clone()),
                        None => {
                            first.insert(index, path.clone());
                            EntryKind::File(inode.content.clone())
                        }
                    };
                    (kind, inode.owned)
                }
            };
            let entry = Entry {
                kind,
                mode: owned.mode,
                uid: owned.uid,
                gid: owned.gid,
                origin: Origin::Base,
            };
            rootfs
                .insert(path, entry)
                .map_err(|conflict| ParentError::Damaged {
                    image: image.to_owned(),
                    problem: conflict.to_string(),
                })?;
        }
        Ok(rootfs)
    }

    fn place(&mut self, item: &Item, content: Option<&Content>) -> Result<(), Fault> {
        let fault = |problem: String| Fault {
            path: item.path.clone(),
            problem,
        };
        let owned = Owned {
            mode: item.mode,
            uid: item.uid,
            gid: item.gid,
        };
        if matches!(item.what, What::Whiteout | What::Opaque) {
            return Ok(());
        }
        if item.path.is_root() {
            return match item.what {
                // The root's own mode is the runtime's matter.
                What::Directory => Ok(()),
                _ => Err(fault("is the root and no directory".to_owned())),
            };
        }
        let at = self.canonical(&item.path).map_err(fault)?;
        let node = match (&item.what, content) {
            (What::Directory, _) => Node::Directory(owned),
            (What::Symlink(target), _) => {
                let owned = Owned {
                    mode: 0o777,
                    ..owned
                };
                Node::Symlink(target.clone(), owned)
            }
            (What::HardLink(target), _) => {
                let there = self.canonical(target).map_err(fault)?;
                match self.nodes.get(&there) {
                    Some(Node::Directory(_)) => {
                        return Err(fault(format!("is a hard link to the directory {target}")));
                    }
                    Some(node) => node.clone(),
                    None if self.left_out.contains(&there) => {
                        self.leave_out(at);
                        return Ok(());
                    }
                    None => {
                        return Err(fault(format!(
                            "is a hard link to {target}, which is not there"
                        )));
                    }
                }
            }
            (_, Some(content)) => {
                self.files.push(Inode {
                    content: content.clone(),
                    owned,
                });
                Node::File(self.files.len() - 1)
            }
            (_, None) => {
                self.leave_out(at);
                return Ok(());
            }
        };
        let is_directory = matches!(node, Node::Directory(_));
        if !is_directory && matches!(self.nodes.get(&at), Some(Node::Directory(_))) {
            self.remove_below(&at);
        }
        self.left_out.remove(&at);
        self.make_parents(&at);
        self.nodes.insert(at, node);
        Ok(())
    }

    fn leave_out(&mut self, at: ImagePath) {
        self.remove(&at);
        self.left_out.insert(at);
    }

    /// Directories that no layer has an entry for.
    fn make_parents(&mut self, at: &ImagePath) {
        let is_there = at
            .parent()
            .is_none_or(|parent| parent.is_root() || self.nodes.contains_key(&parent));
        if is_there {
            return;
        }
        for parent in at.ancestors() {
            self.left_out.remove(&parent);
            self.nodes.entry(parent).or_insert(Node::Directory(Owned {
                mode: 0o755,
                uid: 0,
                gid: 0,
            }));
        }
    }

    fn remove(&mut self, at: &ImagePath) {
        if at.is_root() {
            return;
        }
        self.left_out.remove(at);
        if matches!(self.nodes.remove(at), Some(Node::Directory(_))) {
            self.remove_below(at);
        }
    }

    /// Removes all that is below a directory. Each entry is removed but once, so that this takes
    /// no more time than adding did, whatever the layers say.
    fn remove_below(&mut self, directory: &ImagePath) {
        if directory.is_root() {
            self.nodes.clear();
            self.left_out.clear();
            return;
        }
        let mut past = directory.as_bytes().to_vec();
        // The byte after `/`: no name below sorts behind it.
        past.push(b'0');
        let bounds = || {
            let from = directory.join("\u{1}").ok()?;
            let to = ImagePath::new(OsString::from_vec(past.clone())).ok()?;
            Some((Bound::Included(from), Bound::Excluded(to)))
        };
        let Some(bounds) = bounds() else { return };
        let below: Vec<ImagePath> = self
            .nodes
            .range(bounds.clone())
            .map(|it| it.0.clone())
            .collect();
        for path in below {
            self.nodes.remove(&path);
        }
        let below: Vec<ImagePath> = self.left_out.range(bounds).cloned().collect();
        for path in below {
            self.left_out.remove(&path);
        }
    }

    /// Where an entry lands: the links among its directories followed.
    fn canonical(&mut self, path: &ImagePath) -> Result<ImagePath, String> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(path.clone());
        };
        let parent = self.directory(&parent)?;
        parent.join(name).map_err(|error| error.to_string())
    }

    /// Where a directory is, all links followed; what is not there yet is taken as spelled.
    fn directory(&mut self, path: &ImagePath) -> Result<ImagePath, String> {
        if path.is_root() || matches!(self.nodes.get(path), Some(Node::Directory(_))) {
            return Ok(path.clone());
        }
        let mut rest: VecDeque<OsString> = components(path.as_path()).collect();
        let mut at = ImagePath::root();
        let mut followed = 0;
        while let Some(name) = rest.pop_front() {
            self.steps += 1;
            if self.steps > STEP_LIMIT {
                return Err("is one of too many that lead through links".to_owned());
            }
            if name == ".." {
                at = at.parent().unwrap_or(at);
                continue;
            }
            let child = at.join(&name).map_err(|error| error.to_string())?;
            match self.nodes.get(&child) {
                Some(Node::Symlink(target, _)) => {
                    followed += 1;
                    if followed > LINK_LIMIT {
                        return Err("leads through too many symbolic links (a loop?)".to_owned());
                    }
                    for name in components(target).collect::<Vec<_>>().into_iter().rev() {
                        rest.push_front(name);
                    }
                    if target.is_absolute() {
                        at = ImagePath::root();
                    }
                }
                Some(Node::File(_)) => return Err(format!("lies below {child}, which is a file")),
                Some(Node::Directory(_)) | None => at = child,
            }
        }
        Ok(at)
    }
}

fn components(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(OsStr::from_bytes(name.as_bytes()).to_os_string()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
