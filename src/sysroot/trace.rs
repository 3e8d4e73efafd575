//! Which names lead to a file: every directory and link on the way.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::{FileFacts, Node, Sysroot};
use crate::ImagePath;

/// The kernel's limit on links followed in one look-up (`path_resolution(7)`).
const LINK_LIMIT: usize = 40;

/// All that must exist for a path to lead to its file, in the order of the walk.
///
/// Each path in it is canonical up to its last component, so two traces of one
/// tree never disagree about what stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Directories that were passed, each with its mode bits. The root is left out.
    pub directories: Vec<(ImagePath, u32)>,
    /// Symbolic links that were followed, and what each says.
    pub links: Vec<(ImagePath, PathBuf)>,
    /// Where the walk ended.
    pub target: ImagePath,
    /// What stands there: a directory, a file or something else, never a link.
    pub node: Node,
}

impl Trace {
    /// The facts of the file at the end, or `None` when it is no regular file.
    pub fn file(&self) -> Option<&FileFacts> {
        match &self.node {
            Node::File(facts) => Some(facts),
            _ => None,
        }
    }
}

/// Why a path leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// `path` is not absolute.
    #[error("{} is not absolute", .0.display())]
    Relative(PathBuf),
    /// The walk could not go on at `at`.
    #[error("{}: {source}", .at.display())]
    Io {
        /// Where the walk stopped, shown with the sysroot in front.
        at: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More links than the kernel follows: most likely a loop.
    #[error("{}: too many levels of symbolic links (a loop?)", .0.display())]
    Loop(PathBuf),
}

impl From<TraceError> for io::Error {
    /// The error that the kernel would give for the same walk.
    fn from(error: TraceError) -> Self {
        match error {
            TraceError::Relative(_) => Self::from(io::ErrorKind::InvalidInput),
            TraceError::Io { source, .. } => source,
            TraceError::Loop(_) => rustix::io::Errno::LOOP.into(),
        }
    }
}

impl TraceError {
    /// Whether it says just that a name does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Walks `path` as the kernel does: links followed, `..` taken from where the
/// walk really is and not from the spelling.
///
/// # Errors
/// When a component is missing, cannot be looked at, or the links form a loop.
pub fn trace(sysroot: &dyn Sysroot, path: &Path) -> Result<Trace, TraceError> {
    Tracer::new(sysroot).trace(path)
}

/// Walks many paths and remembers the directories that lead to them, so that each further
/// file in a directory costs a look at the file alone.
pub struct Tracer<'a> {
    sysroot: &'a dyn Sysroot,
    directories: HashMap<PathBuf, Walk>,
}

impl<'a> Tracer<'a> {
    /// Walks in `sysroot`, which must not change meanwhile.
    pub fn new(sysroot: &'a dyn Sysroot) -> Self {
        Self {
            sysroot,
            directories: HashMap::new(),
        }
    }

    /// As [`trace()`].
    ///
    /// # Errors
    /// As [`trace()`].
    pub fn trace(&mut self, path: &Path) -> Result<Trace, TraceError> {
        if !path.is_absolute() {
            return Err(TraceError::Relative(path.to_path_buf()));
        }
        let mut walk = match (path.parent(), path.components().next_back()) {
            (Some(directory), Some(Component::Normal(name))) => {
                let mut walk = self.directory(directory)?;
                walk.rest.push_back(name.to_os_string());
                walk
            }
            _ => Walk::from_root(path),
        };
        walk.run(self.sysroot, path)?;
        // The kernel wants a directory where the path ends in a slash or a dot.
        let bytes = path.as_os_str().as_bytes();
        if (bytes.ends_with(b"/") || bytes.ends_with(b"/."))
            && !matches!(walk.node, Node::Directory { .. })
        {
            return Err(walk.failed(self.sysroot, io::ErrorKind::NotADirectory.into()));
        }
        Ok(Trace {
            directories: walk.directories,
            links: walk.links,
            target: walk.at,
            node: walk.node,
        })
    }

    fn directory(&mut self, path: &Path) -> Result<Walk, TraceError> {
        if let Some(known) = self.directories.get(path) {
            return Ok(known.clone());
        }
        let mut walk = Walk::from_root(path);
        walk.run(self.sysroot, path)?;
        self.directories.insert(path.to_path_buf(), walk.clone());
        Ok(walk)
    }
}

impl std::fmt::Debug for Tracer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer")
            .field("directories", &self.directories.len())
            .finish_non_exhaustive()
    }
}

/// A walk under way.
#[derive(Debug, Clone)]
struct Walk {
    /// Components still to go.
    rest: VecDeque<OsString>,
    at: ImagePath,
    /// What stands at `at`.
    node: Node,
    directories: Vec<(ImagePath, u32)>,
    links: Vec<(ImagePath, PathBuf)>,
    followed: usize,
}

impl Walk {
    fn from_root(path: &Path) -> Self {
        Self {
            rest: components(path).collect(),
            at: ImagePath::root(),
            node: ROOT,
            directories: Vec::new(),
            links: Vec::new(),
            followed: 0,
        }
    }

    fn run(&mut self, sysroot: &dyn Sysroot, whole: &Path) -> Result<(), TraceError> {
        while let Some(name) = self.rest.pop_front() {
            if !matches!(self.node, Node::Directory { .. }) {
                return Err(self.failed(sysroot, io::ErrorKind::NotADirectory.into()));
            }
            if name == ".." {
                self.ascend();
                continue;
            }
            let child = self.at.join(&name).map_err(|error| {
                self.failed(sysroot, io::Error::new(io::ErrorKind::InvalidInput, error))
            })?;
            match sysroot.node(&child) {
                Ok(Node::Symlink(target)) => {
                    if self.followed == LINK_LIMIT {
                        return Err(TraceError::Loop(sysroot.display(whole)));
                    }
                    self.follow(child, target);
                }
                Ok(node) => self.enter(child, node),
                Err(source) => {
                    return Err(TraceError::Io {
                        at: sysroot.display(child.as_path()),
                        source,
                    });
                }
            }
        }
        Ok(())
    }

    fn ascend(&mut self) {
        let Some(parent) = self.at.parent() else {
            return;
        };
        // Each directory above was passed on the way here, so its mode is known.
        self.node = self
            .directories
            .iter()
            .find(|(directory, _)| *directory == parent)
            .map_or(ROOT, |(_, mode)| Node::Directory { mode: *mode });
        self.at = parent;
    }

    fn follow(&mut self, link: ImagePath, target: PathBuf) {
        self.followed += 1;
        for component in components(&target).collect::<Vec<_>>().into_iter().rev() {
            self.rest.push_front(component);
        }
        if target.is_absolute() {
            self.at = ImagePath::root();
            self.node = ROOT;
        }
        if !self.links.iter().any(|(known, _)| *known == link) {
            self.links.push((link, target));
        }
    }

    fn enter(&mut self, path: ImagePath, node: Node) {
        if let Node::Directory { mode } = node
            && !self.directories.iter().any(|(known, _)| *known == path)
        {
            self.directories.push((path.clone(), mode));
        }
        self.at = path;
        self.node = node;
    }

    fn failed(&self, sysroot: &dyn Sysroot, source: io::Error) -> TraceError {
        TraceError::Io {
            at: sysroot.display(self.at.as_path()),
            source,
        }
    }
}

/// The root's own mode is not asked for: an image's root is 0755.
const ROOT: Node = Node::Directory { mode: 0o755 };

fn components(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
