//! What differs between the file systems of two images.

use std::cmp::Ordering;
use std::fmt;
use std::io::{self, Read};

use serde::{Serialize, Serializer};

use crate::ImagePath;
use crate::layer::{Digest, Hasher, LayerEntry, LayerEntryKind};
use crate::report::config::printable;
use crate::report::contents::Contents;
use crate::report::image::Look;

/// Something that is at a path in one of two images, or in both and not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathChange {
    /// The path.
    pub path: String,
    /// What is there in the earlier image; `null` when nothing is.
    pub before: Option<PathState>,
    /// What is there in the new image; `null` when nothing is.
    pub after: Option<PathState>,
    /// What of it changed; empty when it is new or gone.
    pub changed: Vec<Aspect>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathState {
    /// What it is.
    pub kind: PathKind,
    /// Its mode bits in octal, `0755`; in JSON a string.
    #[serde(serialize_with = "octal")]
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Of a file: its size in bytes.
    pub size: Option<u64>,
    /// Of a file: the SHA-256 digest of its content, of a sparse file without its holes.
    #[serde(serialize_with = "shown")]
    pub digest: Option<Digest>,
    /// Of a symbolic link: where it leads.
    pub target: Option<String>,
}

/// The kind of what is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// A regular file, also one with several names.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe, or a hard link that leads nowhere.
    Special,
}

/// What of a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// What it is: a file became a link.
    Kind,
    /// The content of a file.
    Content,
    /// Where a symbolic link leads.
    Target,
    /// Mode bits.
    Mode,
    /// Owner or group.
    Owner,
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Special => "special",
        })
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kind => "kind",
            Self::Content => "content",
            Self::Target => "target",
            Self::Mode => "mode",
            Self::Owner => "owner",
        })
    }
}

fn octal<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

fn shown<S: Serializer>(digest: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
    match digest {
        Some(digest) => serializer.collect_str(digest),
        None => serializer.serialize_none(),
    }
}

impl PathChange {
    /// Bytes that the file became larger or smaller by.
    pub fn difference(&self) -> u64 {
        size(&self.before).abs_diff(size(&self.after))
    }

    /// What changed in words with both values, `mode 0644 → 0755`, joined by commas.
    pub fn words(&self) -> String {
        let (before, after) = match (&self.before, &self.after) {
            (None, Some(after)) => return describe("new", after),
            (Some(before), None) => return describe("gone", before),
            (Some(before), Some(after)) => (before, after),
            (None, None) => return String::new(),
        };
        let words = self.changed.iter().map(|aspect| match aspect {
            Aspect::Kind => format!("{} → {}", before.kind, after.kind),
            Aspect::Content => "content".to_owned(),
            Aspect::Target => {
                let target = |state: &PathState| state.target.clone().unwrap_or_default();
                format!("target {} → {}", target(before), target(after))
            }
            Aspect::Mode => format!("mode {:04o} → {:04o}", before.mode, after.mode),
            Aspect::Owner => format!(
                "owner {}:{} → {}:{}",
                before.uid, before.gid, after.uid, after.gid
            ),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

fn describe(what: &str, state: &PathState) -> String {
    match state.kind {
        PathKind::File => what.to_owned(),
        kind => format!("{what} {kind}"),
    }
}

pub(super) fn size(state: &Option<PathState>) -> u64 {
    state.as_ref().and_then(|state| state.size).unwrap_or(0)
}

/// What is known of a path while the layers are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Node {
    kind: PathKind,
    mode: u32,
    uid: u64,
    gid: u64,
    /// Of a file.
    content: Option<(u64, Digest)>,
    /// Of a symbolic link; boxed since most have none.
    target: Option<Box<std::path::Path>>,
}

/// A directory that no layer has an entry for. Who unpacks the layers makes it so.
const IMPLIED: Node = Node {
    kind: PathKind::Directory,
    mode: 0o755,
    uid: 0,
    gid: 0,
    content: None,
    target: None,
};

impl Look for Node {
    fn look(
        entry: &LayerEntry,
        content: &mut dyn Read,
        keep: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut content_of = None;
        let (kind, target) = match entry.kind {
            LayerEntryKind::File => {
                let mut hashed = Hashed {
                    inner: content,
                    hasher: Hasher::new(),
                };
                keep(&mut hashed)?;
                io::copy(&mut hashed, &mut io::sink())?;
                content_of = Some((entry.size, hashed.hasher.finish()));
                (PathKind::File, None)
            }
            kind => {
                keep(content)?;
                match kind {
                    LayerEntryKind::Directory => (PathKind::Directory, None),
                    LayerEntryKind::Symlink => (PathKind::Symlink, entry.link.clone()),
                    _ => (PathKind::Special, None),
                }
            }
        };
        Ok(Self {
            kind,
            // The mode of a link is what its writer's system says; none is ever asked for it.
            mode: match kind {
                PathKind::Symlink => 0o777,
                _ => entry.mode,
            },
            uid: entry.uid,
            gid: entry.gid,
            content: content_of,
            target: target.map(Into::into),
        })
    }
}

/// Hashes what is read through it.
struct Hashed<'a> {
    inner: &'a mut dyn Read,
    hasher: Hasher,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Node {
    fn state(&self) -> PathState {
        PathState {
            kind: self.kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: self.content.map(|(size, _)| size),
            digest: self.content.map(|(_, digest)| digest),
            target: self
                .target
                .as_ref()
                .map(|target| printable(&target.to_string_lossy())),
        }
    }

    /// What of it is another in `other`.
    fn differences(&self, other: &Self) -> Vec<Aspect> {
        [
            (Aspect::Kind, self.kind != other.kind),
            (
                Aspect::Content,
                self.kind == other.kind && self.content != other.content,
            ),
            (
                Aspect::Target,
                self.kind == other.kind && self.target != other.target,
            ),
            // That of a link is always 0777.
            (
                Aspect::Mode,
                self.mode != other.mode
                    && self.kind != PathKind::Symlink
                    && other.kind != PathKind::Symlink,
            ),
            (
                Aspect::Owner,
                (self.uid, self.gid) != (other.uid, other.gid),
            ),
        ]
        .into_iter()
        .filter_map(|(aspect, differs)| differs.then_some(aspect))
        .collect()
    }
}

/// All that differs, the largest difference in size first.
pub(super) fn compare(before: &Contents<Node>, after: &Contents<Node>) -> Vec<PathChange> {
    let mut changes = Vec::new();
    let (mut old, mut new) = (real(before).peekable(), real(after).peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some((a, _)), Some((b, _))) => a.as_bytes().cmp(b.as_bytes()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        let left = if order.is_le() { old.next() } else { None };
        let right = if order.is_ge() { new.next() } else { None };
        let Some((path, _)) = left.or(right) else {
            break;
        };
        let there = |found: Option<(&ImagePath, &Node)>, tree: &Contents<Node>| match found {
            Some((_, node)) => Some(node.clone()),
            None => (path.is_root() || tree.has_below(path)).then_some(IMPLIED),
        };
        changes.extend(change(path, there(left, before), there(right, after)));
    }
    changes.sort_by(|a, b| {
        let by_size = b.difference().cmp(&a.difference());
        by_size.then_with(|| a.path.cmp(&b.path))
    });
    changes
}

fn change(path: &ImagePath, before: Option<Node>, after: Option<Node>) -> Option<PathChange> {
    let changed = match (&before, &after) {
        (Some(before), Some(after)) => {
            let changed = before.differences(after);
            if changed.is_empty() {
                return None;
            }
            changed
        }
        _ => Vec::new(),
    };
    Some(PathChange {
        path: printable(&path.to_string()),
        before: before.as_ref().map(Node::state),
        after: after.as_ref().map(Node::state),
        changed,
    })
}

/// What is in the image, without the markers of aufs.
fn real(contents: &Contents<Node>) -> impl Iterator<Item = (&ImagePath, &Node)> {
    contents.nodes().filter(|(path, node)| {
        let name = path.file_name().map(|name| name.as_encoded_bytes());
        node.kind != PathKind::Special || !name.is_some_and(|name| name.starts_with(b".wh."))
    })
}
