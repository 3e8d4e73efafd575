//! The file system that layers make together (image-spec, `layer.md`, "Applying Changesets").

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::ImagePath;
use crate::layer::{LayerEntry, LayerEntryKind};

/// What is left of the layers' entries when all are applied; of each, `N` is what is known
/// beside its place and size.
#[derive(Debug, Clone)]
pub(super) struct Contents<N> {
    /// What the finished layers made. Keys are the paths' bytes.
    lower: Tree<N>,
    /// What the layer that is being read adds.
    upper: Tree<N>,
    /// The files, which several names may share.
    files: Vec<Inode>,
}

type Tree<N> = BTreeMap<Box<[u8]>, Item<N>>;

#[derive(Debug, Clone)]
struct Item<N> {
    path: ImagePath,
    kind: ItemKind,
    node: N,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ItemKind {
    Directory,
    File(usize),
    Other,
}

/// A file's size and the number of the layer that brought it.
#[derive(Debug, Clone, Copy)]
struct Inode {
    size: u64,
    layer: usize,
}

/// A file of the image, under its first name.
pub(super) struct Kept<'a> {
    pub(super) path: &'a ImagePath,
    pub(super) size: u64,
    pub(super) layer: usize,
}

impl<N> Default for Contents<N> {
    fn default() -> Self {
        Self {
            lower: Tree::new(),
            upper: Tree::new(),
            files: Vec::new(),
        }
    }
}

impl<N: Clone> Contents<N> {
    /// Adds an entry of layer number `layer`. A further name of a file gets the file's node.
    pub(super) fn add(&mut self, layer: usize, entry: &LayerEntry, node: N) {
        let mut node = node;
        let kind = match entry.kind {
            // Whiteouts hide what lower layers have, wherever they stand in their own.
            LayerEntryKind::Whiteout => {
                self.lower.remove(entry.path.as_bytes());
                remove_below(&mut self.lower, &entry.path);
                return;
            }
            LayerEntryKind::Opaque => return remove_below(&mut self.lower, &entry.path),
            LayerEntryKind::Directory => ItemKind::Directory,
            LayerEntryKind::File => {
                self.files.push(Inode {
                    size: entry.size,
                    layer,
                });
                ItemKind::File(self.files.len() - 1)
            }
            LayerEntryKind::HardLink => match self.linked(entry) {
                Some(target) => {
                    node = target.node.clone();
                    target.kind
                }
                None => ItemKind::Other,
            },
            LayerEntryKind::Symlink | LayerEntryKind::Other => ItemKind::Other,
        };
        if kind != ItemKind::Directory {
            // What is no directory cannot have anything below it.
            remove_below(&mut self.lower, &entry.path);
            remove_below(&mut self.upper, &entry.path);
        }
        let path = entry.path.clone();
        self.upper
            .insert(path.as_bytes().into(), Item { path, kind, node });
    }

    /// Ends a layer: what it added is lower than the next.
    pub(super) fn finish_layer(&mut self) {
        let upper = std::mem::take(&mut self.upper);
        self.lower.extend(upper);
    }

    fn linked(&self, entry: &LayerEntry) -> Option<&Item<N>> {
        let target = ImagePath::new(entry.link.as_deref()?).ok()?;
        let upper = self.upper.get(target.as_bytes());
        upper.or_else(|| self.lower.get(target.as_bytes()))
    }

    /// The files that are left, each once, in the order of their paths.
    pub(super) fn files(&self) -> Vec<Kept<'_>> {
        let mut seen = vec![false; self.files.len()];
        self.lower
            .values()
            .filter_map(|item| {
                let ItemKind::File(index) = item.kind else {
                    return None;
                };
                if std::mem::replace(seen.get_mut(index)?, true) {
                    return None;
                }
                let inode = self.files.get(index)?;
                Some(Kept {
                    path: &item.path,
                    size: inode.size,
                    layer: inode.layer,
                })
            })
            .collect()
    }

    /// The names that are left, but those of directories.
    pub(super) fn names(&self) -> impl Iterator<Item = &ImagePath> {
        self.lower
            .values()
            .filter(|item| item.kind != ItemKind::Directory)
            .map(|item| &item.path)
    }

    /// All that is left, in the order of the paths' bytes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&ImagePath, &N)> {
        self.lower.values().map(|item| (&item.path, &item.node))
    }

    /// Whether something is left below `path`, so that there must be a directory at it.
    pub(super) fn has_below(&self, path: &ImagePath) -> bool {
        let (from, to) = below(path);
        let bounds = (Bound::Excluded(&*from), Bound::Excluded(&*to));
        self.lower.range::<[u8], _>(bounds).next().is_some()
    }

    /// Whether something is left at `path`.
    pub(super) fn has(&self, path: &ImagePath) -> bool {
        self.lower.contains_key(path.as_bytes())
    }
}

/// Removes all that is below `directory`. Whatever the layers say, each entry is removed
/// but once, so that this takes no more time than adding did.
fn remove_below<N>(tree: &mut Tree<N>, directory: &ImagePath) {
    let (from, to) = below(directory);
    let bounds = || {
        (
            Bound::Excluded(from.as_slice()),
            Bound::Excluded(to.as_slice()),
        )
    };
    while let Some((key, _)) = tree.range::<[u8], _>(bounds()).next() {
        let key = key.clone();
        tree.remove(&key);
    }
}

/// The keys between which all that is below `directory` lies.
fn below(directory: &ImagePath) -> (Vec<u8>, Vec<u8>) {
    let mut from = directory.as_bytes().to_vec();
    if !directory.is_root() {
        from.push(b'/');
    }
    // The byte after `/`.
    let mut to = from.clone();
    to.pop();
    to.push(b'0');
    (from, to)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn entry(path: &str, kind: LayerEntryKind, size: u64, link: Option<&str>) -> LayerEntry {
        LayerEntry {
            path: ImagePath::new(path).unwrap(),
            kind,
            size,
            mode: 0o644,
            uid: 0,
            gid: 0,
            link: link.map(Into::into),
        }
    }

    fn file(path: &str, size: u64) -> LayerEntry {
        entry(path, LayerEntryKind::File, size, None)
    }

    fn left(layers: &[&[LayerEntry]]) -> Vec<(String, u64)> {
        let mut contents = Contents::default();
        for (index, layer) in layers.iter().enumerate() {
            for entry in *layer {
                contents.add(index, entry, ());
            }
            contents.finish_layer();
        }
        contents
            .files()
            .iter()
            .map(|kept| (kept.path.to_string(), kept.size))
            .collect()
    }

    fn shown(files: &[(String, u64)]) -> String {
        let files: Vec<String> = files.iter().map(|(p, s)| format!("{p}={s}")).collect();
        files.join(" ")
    }

    #[test]
    fn an_upper_file_replaces_a_lower_one() {
        assert_eq!(shown(&left(&[&[file("/a", 1)], &[file("/a", 5)]])), "/a=5");
    }

    #[test]
    fn a_whiteout_removes_a_tree_of_lower_layers_but_not_its_siblings() {
        let lower = [
            file("/d/x", 1),
            file("/d/y/z", 2),
            file("/d-e", 4),
            file("/d0", 8),
        ];
        let gone = entry("/d", LayerEntryKind::Whiteout, 0, None);
        assert_eq!(shown(&left(&[&lower, &[gone]])), "/d-e=4 /d0=8");
    }

    #[test]
    fn an_opaque_directory_keeps_what_its_own_layer_brings_even_before_the_marker() {
        let upper = [
            file("/d/new", 3),
            entry("/d", LayerEntryKind::Opaque, 0, None),
            file("/d/newer", 4),
        ];
        assert_eq!(
            shown(&left(&[&[file("/d/old", 1), file("/e", 2)], &upper])),
            "/d/new=3 /d/newer=4 /e=2"
        );
        let all = [entry("/", LayerEntryKind::Opaque, 0, None)];
        assert_eq!(shown(&left(&[&[file("/a", 1)], &all])), "");
    }

    #[test]
    fn a_hard_linked_file_counts_once_and_outlives_its_first_name() {
        let lower = [
            file("/a", 7),
            entry("/b", LayerEntryKind::HardLink, 0, Some("/a")),
        ];
        assert_eq!(shown(&left(&[&lower])), "/a=7");
        let gone = entry("/a", LayerEntryKind::Whiteout, 0, None);
        assert_eq!(shown(&left(&[&lower, &[gone]])), "/b=7");
    }

    #[test]
    fn a_link_in_place_of_a_directory_hides_what_was_in_it() {
        let link = entry("/d", LayerEntryKind::Symlink, 0, Some("e"));
        assert_eq!(shown(&left(&[&[file("/d/x", 1)], &[link]])), "");
    }
}
