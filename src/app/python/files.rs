//! A view of the sysroot that reads each directory once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::error::PythonError;
use crate::ImagePath;
use crate::rootfs::Content;
use crate::sysroot::{FileFacts, FileIdentity, Node, Sysroot, trace};

/// The most files that are taken from one directory tree.
const ENTRY_LIMIT: usize = 500_000;
/// How deep directories may lie in each other. A link that leads outside starts a tree of its
/// own, so depth must end somewhere.
const DEPTH_LIMIT: usize = 64;
/// The largest text file (source, metadata) that is read, in bytes.
pub(super) const TEXT_LIMIT: u64 = 32 << 20;

/// What stands under a name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    File(FileFacts),
    Directory,
    /// A symbolic link: what it says, and where it leads.
    Link {
        says: PathBuf,
        target: ImagePath,
        leads_to: Target,
    },
    /// A link to nothing or in a circle, a device, a socket.
    Useless,
}

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    File(FileFacts),
    Directory,
}

impl Item {
    pub(super) fn is_file(&self) -> bool {
        matches!(
            self,
            Self::File(_)
                | Self::Link {
                    leads_to: Target::File(_),
                    ..
                }
        )
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(
            self,
            Self::Directory
                | Self::Link {
                    leads_to: Target::Directory,
                    ..
                }
        )
    }
}

/// The names in a directory, sorted.
pub(super) type Listing = BTreeMap<OsString, Item>;

/// The sysroot, each directory of which is listed once.
pub(super) struct Files<'a> {
    sysroot: &'a dyn Sysroot,
    listings: RefCell<HashMap<ImagePath, Rc<Listing>>>,
    caches: RefCell<HashMap<ImagePath, Rc<BTreeSet<OsString>>>>,
}

/// A file or a link that a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walked {
    /// Its path below the directory where the walk began.
    pub(super) relative: PathBuf,
    pub(super) kind: WalkedKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WalkedKind {
    /// A file: where it really is.
    File(ImagePath, FileFacts),
    /// A link to something in the same tree, which is taken as it is.
    Link(PathBuf),
}

impl<'a> Files<'a> {
    pub(super) fn new(sysroot: &'a dyn Sysroot) -> Self {
        Self {
            sysroot,
            listings: RefCell::default(),
            caches: RefCell::default(),
        }
    }

    pub(super) fn sysroot(&self) -> &'a dyn Sysroot {
        self.sysroot
    }

    /// How to show a path to a person.
    pub(super) fn shown(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sysroot.display(path.as_ref())
    }

    /// Where the path leads, every link followed, if it leads anywhere.
    pub(super) fn locate(&self, path: impl AsRef<Path>) -> Option<ImagePath> {
        Some(trace(self.sysroot, path.as_ref()).ok()?.target)
    }

    /// The directory that the path leads to.
    pub(super) fn directory(&self, path: impl AsRef<Path>) -> Option<ImagePath> {
        let walked = trace(self.sysroot, path.as_ref()).ok()?;
        matches!(walked.node, Node::Directory { .. }).then_some(walked.target)
    }

    /// The regular file that the path leads to.
    pub(super) fn file(&self, path: impl AsRef<Path>) -> Option<(ImagePath, FileFacts)> {
        let walked = trace(self.sysroot, path.as_ref()).ok()?;
        match walked.node {
            Node::File(facts) => Some((walked.target, facts)),
            _ => None,
        }
    }

    pub(super) fn is_file(&self, path: impl AsRef<Path>) -> bool {
        self.file(path).is_some()
    }

    /// The content of a text file.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, PythonError> {
        let path = path.as_ref();
        self.sysroot
            .read(path, TEXT_LIMIT)
            .map_err(|source| self.failed(path, source))
    }

    /// The first bytes of a file, at most `length`.
    pub(super) fn head(&self, path: &Path, length: usize) -> Result<Vec<u8>, PythonError> {
        let read = || {
            let file = self.sysroot.open(path)?;
            let mut head = vec![0; length];
            let count = file.read_at(&mut head, 0)?;
            head.truncate(count);
            Ok(head)
        };
        read().map_err(|source| self.failed(path, source))
    }

    pub(super) fn failed(&self, path: impl AsRef<Path>, source: io::Error) -> PythonError {
        PythonError::Io {
            path: self.shown(path),
            source,
        }
    }

    /// What is in the directory, which no link leads to.
    pub(super) fn list(&self, directory: &ImagePath) -> Result<Rc<Listing>, PythonError> {
        if let Some(listing) = self.listings.borrow().get(directory) {
            return Ok(Rc::clone(listing));
        }
        let failed = |source| self.failed(directory, source);
        let mut listing = Listing::new();
        for name in self.sysroot.read_dir(directory.as_path()).map_err(failed)? {
            // A name that a directory gives is a good one.
            let Ok(path) = directory.join(&name) else {
                continue;
            };
            listing.insert(name, self.item(&path)?);
        }
        let listing = Rc::new(listing);
        self.listings
            .borrow_mut()
            .insert(directory.clone(), Rc::clone(&listing));
        Ok(listing)
    }

    /// The listing of a directory that may be missing or unreadable: then nothing is in it.
    pub(super) fn names(&self, directory: &ImagePath) -> Rc<Listing> {
        self.list(directory).unwrap_or_default()
    }

    /// Whether a directory of compiled modules has a file of this name.
    pub(super) fn is_cached(&self, caches: &ImagePath, name: &str) -> bool {
        self.cached_names(caches).contains(OsStr::new(name))
    }

    /// The names alone: of files that may be read later, nothing else is of interest.
    fn cached_names(&self, caches: &ImagePath) -> Rc<BTreeSet<OsString>> {
        let known = self.caches.borrow().get(caches).map(Rc::clone);
        known.unwrap_or_else(|| {
            let names = self.sysroot.read_dir(caches.as_path()).unwrap_or_default();
            let names: Rc<BTreeSet<OsString>> = Rc::new(names.into_iter().collect());
            self.caches
                .borrow_mut()
                .insert(caches.clone(), Rc::clone(&names));
            names
        })
    }

    fn item(&self, path: &ImagePath) -> Result<Item, PythonError> {
        Ok(match self.sysroot.node(path) {
            Ok(Node::File(facts)) => Item::File(facts),
            Ok(Node::Directory { .. }) => Item::Directory,
            Ok(Node::Symlink(says)) => match trace(self.sysroot, path.as_path()) {
                Ok(walked) => match walked.node {
                    Node::File(facts) => Item::Link {
                        says,
                        target: walked.target,
                        leads_to: Target::File(facts),
                    },
                    Node::Directory { .. } => Item::Link {
                        says,
                        target: walked.target,
                        leads_to: Target::Directory,
                    },
                    Node::Symlink(_) | Node::Other => Item::Useless,
                },
                Err(_) => Item::Useless,
            },
            Ok(Node::Other) => Item::Useless,
            // It vanished since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Item::Useless,
            Err(source) => return Err(self.failed(path, source)),
        })
    }

    /// All files below `root` that `keep` wants, sorted by path. `keep` is asked about each
    /// directory, too, before it is entered, and is given the path below `root`.
    pub(super) fn walk(
        &self,
        root: &ImagePath,
        mut keep: impl FnMut(&Path, &ImagePath, &Item) -> bool,
    ) -> Result<Vec<Walked>, PythonError> {
        let mut found = Vec::new();
        // Each with the directories that links led to on the way, to see a circle.
        let mut pending = vec![(PathBuf::new(), root.clone(), Rc::new(vec![root.clone()]))];
        let mut seen = 0;
        while let Some((relative, directory, entered)) = pending.pop() {
            let listing = self.list(&directory)?;
            // Every name counts: links to directories could make few files a tree without end.
            seen += listing.len() + 1;
            if seen > ENTRY_LIMIT || relative.components().count() > DEPTH_LIMIT {
                return Err(PythonError::TooMany {
                    path: self.shown(root),
                    limit: ENTRY_LIMIT,
                });
            }
            for (name, item) in listing.iter() {
                let below = relative.join(name);
                let Ok(path) = directory.join(name) else {
                    continue;
                };
                if !keep(&below, &path, item) {
                    continue;
                }
                let kind = match item {
                    Item::File(facts) => WalkedKind::File(path, facts.clone()),
                    Item::Directory => {
                        pending.push((below, path, Rc::clone(&entered)));
                        continue;
                    }
                    Item::Link { says, target, .. }
                        if target.starts_with(root) && stays_below(&relative, says) =>
                    {
                        WalkedKind::Link(says.clone())
                    }
                    Item::Link {
                        target,
                        leads_to: Target::File(facts),
                        ..
                    } => WalkedKind::File(target.clone(), facts.clone()),
                    // A directory elsewhere: its content, unless this lies within it.
                    Item::Link { target, .. } => {
                        let is_circle = directory.starts_with(target)
                            || entered.iter().any(|known| known.starts_with(target));
                        if !is_circle {
                            let mut entered = entered.to_vec();
                            entered.push(target.clone());
                            pending.push((below, target.clone(), Rc::new(entered)));
                        }
                        continue;
                    }
                    Item::Useless => continue,
                };
                found.push(Walked {
                    relative: below,
                    kind,
                });
            }
        }
        found.sort_unstable_by(|a, b| a.relative.cmp(&b.relative));
        Ok(found)
    }

    /// The content of the file at `path`, to be packed later.
    pub(super) fn content(
        &self,
        path: &ImagePath,
        facts: &FileFacts,
    ) -> Result<Content, PythonError> {
        if facts.identity.device != FileIdentity::MEMORY {
            return Ok(Content::Host {
                path: self.shown(path),
                facts: facts.clone(),
            });
        }
        match self.sysroot.content(path) {
            Ok((content, _)) => Ok(content),
            Err(source) => Err(self.failed(path, source)),
        }
    }
}

/// Whether a relative link in the directory `relative` of a tree never leaves the tree on its way.
fn stays_below(relative: &Path, says: &Path) -> bool {
    let mut depth = relative.components().count();
    for component in says.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

/// `path` with `.` and `..` taken away by their spelling.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// The file name's bytes, if it is UTF-8, as all names of modules are.
pub(super) fn text(name: &OsStr) -> &str {
    name.to_str().unwrap_or_default()
}
