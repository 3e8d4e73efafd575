//! Dividing the tree of an image into layers.

use std::collections::BTreeSet;

use super::LayerSplit;
use crate::ImagePath;
use crate::rootfs::{Entry, EntryKind, Origin, Rootfs};

/// One layer to be: which entries of the tree it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPart {
    /// What is in it: `base`, `libraries`, `runtime`, `app` or `all`.
    pub name: &'static str,
    /// The paths, sorted.
    pub paths: Vec<ImagePath>,
}

impl LayerPart {
    pub(super) fn entries<'a>(&'a self, rootfs: &'a Rootfs) -> Vec<(&'a ImagePath, &'a Entry)> {
        self.paths
            .iter()
            .filter_map(|path| rootfs.get(path).map(|entry| (path, entry)))
            .collect()
    }
}

/// Divides what a tree has above the image `below` that it stands on: what is new or other there.
/// A directory that a runtime would not make just so (root's, 0755) is repeated with its mode and
/// owner in each layer that has something in it: some runtimes unpack layers apart.
pub(super) fn above(rootfs: &Rootfs, below: &Rootfs, split: LayerSplit) -> Vec<LayerPart> {
    let mut parts = names(split);
    for (path, entry) in rootfs.iter() {
        if is_same(rootfs, below, path, entry) {
            continue;
        }
        // The base's own entries are changed for the libraries' sake.
        let origin = entry.origin.max(Origin::Library);
        let Some((_, paths)) = parts.get_mut(split.layer_of(origin)) else {
            continue;
        };
        for parent in path.ancestors() {
            let known = rootfs.get(&parent);
            let is_usual =
                known.is_none_or(|known| (known.mode, known.uid, known.gid) == (0o755, 0, 0));
            if !is_usual {
                paths.insert(parent);
            }
        }
        paths.insert(path.clone());
    }
    let parts = parts.into_iter().map(|(name, paths)| LayerPart {
        name,
        paths: paths.into_iter().collect(),
    });
    parts.filter(|part| !part.paths.is_empty()).collect()
}

/// Whether `below` has the very same at `path`. Further names of one file may have another first
/// name by now, where the former was replaced.
fn is_same(rootfs: &Rootfs, below: &Rootfs, path: &ImagePath, entry: &Entry) -> bool {
    fn resolved<'a>(rootfs: &'a Rootfs, entry: &'a Entry) -> Option<&'a EntryKind> {
        match &entry.kind {
            EntryKind::HardLink(first) => rootfs.get(first).map(|entry| &entry.kind),
            kind => Some(kind),
        }
    }
    let Some(known) = below.get(path) else {
        return false;
    };
    let facts = |entry: &Entry| (entry.mode, entry.uid, entry.gid);
    let same = match (resolved(rootfs, entry), resolved(below, known)) {
        (Some(EntryKind::File(new)), Some(EntryKind::File(known))) => new.is_same(known),
        (new, known) => new.is_some() && new == known,
    };
    same && facts(entry) == facts(known)
}

/// The layers that there can be, lowest first.
fn names(split: LayerSplit) -> Vec<(&'static str, BTreeSet<ImagePath>)> {
    let names: &[&'static str] = match split {
        LayerSplit::Single => &["all"],
        LayerSplit::ByOrigin => &["base", "libraries", "runtime", "app"],
    };
    names.iter().map(|name| (*name, BTreeSet::new())).collect()
}

/// Divides the tree. A directory stands in the layer of the lowest origin that has
/// something in it; layers with nothing in them are left out.
pub(super) fn of(rootfs: &Rootfs, split: LayerSplit) -> Vec<LayerPart> {
    let names = names(split).into_iter();
    let mut parts: Vec<LayerPart> = names
        .map(|(name, _)| LayerPart {
            name,
            paths: Vec::new(),
        })
        .collect();
    for (path, entry) in rootfs.iter() {
        if let Some(part) = parts.get_mut(split.layer_of(entry.origin)) {
            part.paths.push(path.clone());
        }
    }
    parts.retain(|part| !part.paths.is_empty());
    parts
}
