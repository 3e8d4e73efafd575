//! The ordered tree itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::{Content, Entry, EntryKind, Origin};
use crate::ImagePath;

/// The kernel's limit on links followed in one look-up (`path_resolution(7)`).
const LINK_LIMIT: usize = 40;

/// An ordered tree of what lands in the image. Every entry's parent directories are in
/// it, except the root itself.
#[derive(Debug, Clone, Default)]
pub struct Rootfs {
    entries: BTreeMap<ImagePath, Entry>,
    /// Directories that nobody asked for by name: a later entry may set their mode.
    implied: BTreeSet<ImagePath>,
}

/// Why an entry does not fit into the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The path is taken by something else.
    #[error("{path} comes twice with different content: from {first} and from {second}")]
    Different {
        /// The path.
        path: ImagePath,
        /// Who was there first.
        first: Origin,
        /// Who came second.
        second: Origin,
    },
    /// A directory on the way is a symbolic link: see [`Rootfs::canonical`].
    #[error("{path} (from {second}) leads through {link}, a symbolic link (from {first})")]
    ThroughLink {
        /// The path.
        path: ImagePath,
        /// The link on the way.
        link: ImagePath,
        /// Who placed the link.
        first: Origin,
        /// Who wants the path.
        second: Origin,
    },
    /// A directory on the way is a file.
    #[error("{path} (from {second}) lies below {file}, which is a file (from {first})")]
    BelowFile {
        /// The path.
        path: ImagePath,
        /// The file on the way.
        file: ImagePath,
        /// Who placed the file.
        first: Origin,
        /// Who wants the path.
        second: Origin,
    },
    /// Only a directory can be the root.
    #[error("the root of the image cannot be replaced by a file or a link (from {0})")]
    Root(Origin),
    /// The links on the way lead in a circle, or are too many.
    #[error("{0} leads through too many symbolic links (a loop?)")]
    Loop(ImagePath),
}

/// The entries of one origin, sorted by path: what makes one layer. Directories that a
/// lower layer holds are not repeated.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// The entries.
    pub entries: Vec<(&'a ImagePath, &'a Entry)>,
}

impl View<'_> {
    /// Total size of the files in bytes; further names of a file count nothing.
    pub fn size(&self) -> u64 {
        self.contents().map(Content::size).sum()
    }

    /// The number of regular files; further names of a file do not count.
    pub fn files(&self) -> usize {
        self.contents().count()
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        self.entries
            .iter()
            .filter_map(|(_, entry)| match &entry.kind {
                EntryKind::File(content) => Some(content),
                _ => None,
            })
    }
}

impl Rootfs {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// What stands at `path`, links not followed.
    pub fn get(&self, path: &ImagePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries, sorted by path: a directory before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&ImagePath, &Entry)> {
        self.entries.iter()
    }

    /// The names of what is in `directory`, in the order of their bytes. The cost is that of the
    /// names, not of all that lies below them.
    pub fn names(&self, directory: &ImagePath) -> impl Iterator<Item = &OsStr> {
        let prefix = match directory.is_root() {
            true => b"/".to_vec(),
            false => [directory.as_bytes(), b"/"].concat(),
        };
        // No name sorts before this one.
        let mut from = directory.join("\u{1}").ok().map(Bound::Included);
        std::iter::from_fn(move || {
            loop {
                let bounds = (from.take()?, Bound::Unbounded);
                let (path, _) = self.entries.range(bounds).next()?;
                let name = path.as_bytes().strip_prefix(prefix.as_slice())?;
                let Some(slash) = name.iter().position(|byte| *byte == b'/') else {
                    from = Some(Bound::Excluded(path.clone()));
                    return Some(OsStr::from_bytes(name));
                };
                // Below a name that was given: what is not sorts from the byte behind the slash.
                let mut past = OsString::from_vec(name.get(..slash)?.to_vec());
                past.push("0");
                from = directory.join(past).ok().map(Bound::Included);
            }
        })
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries of one origin.
    pub fn layer(&self, origin: Origin) -> View<'_> {
        View {
            entries: self
                .iter()
                .filter(|(_, entry)| entry.origin == origin)
                .collect(),
        }
    }

    /// Adds an entry. Parents that are missing become directories 0755 of root's, of the same origin.
    ///
    /// The same path twice with the same content is fine: the entry of the lower origin stays.
    /// Two directories are never in conflict.
    ///
    /// # Errors
    /// When the path is taken by something else, or leads through a link or a file.
    pub fn insert(&mut self, path: ImagePath, entry: Entry) -> Result<(), Conflict> {
        if path.is_root() {
            return match entry.kind {
                EntryKind::Directory => Ok(()),
                _ => Err(Conflict::Root(entry.origin)),
            };
        }
        self.check_parents(&path, entry.origin)?;
        match self.entries.get_mut(&path) {
            None => {
                self.imply_parents(&path, entry.origin);
                self.entries.insert(path, entry);
            }
            Some(known) if same_kind(&known.kind, &entry.kind) => {
                let origin = known.origin.min(entry.origin);
                if entry.origin < known.origin || self.implied.contains(&path) {
                    *known = entry;
                }
                known.origin = origin;
                self.implied.remove(&path);
                self.lower_parents(&path, origin);
            }
            Some(known) => {
                return Err(Conflict::Different {
                    first: known.origin,
                    second: entry.origin,
                    path,
                });
            }
        }
        Ok(())
    }

    /// Puts a file or link in the place of the file or link at `path`, or adds it when nothing
    /// is there. Further names of the former file keep the former content.
    ///
    /// # Errors
    /// As [`Rootfs::insert`]; also when one of both is a directory and the other is not.
    pub fn replace(&mut self, path: ImagePath, entry: Entry) -> Result<(), Conflict> {
        let replaceable = self.entries.get(&path).is_some_and(|known| {
            known.kind != EntryKind::Directory && entry.kind != EntryKind::Directory
        });
        if replaceable && let Some(former) = self.entries.remove(&path) {
            self.pass_on(&path, former);
        }
        self.insert(path, entry)
    }

    /// Sets the mode of an entry, if there is one.
    pub fn set_mode(&mut self, path: &ImagePath, mode: u32) {
        if let Some(entry) = self.entries.get_mut(path) {
            entry.mode = mode;
        }
    }

    /// Sets the content of a regular file, if there is one.
    pub(super) fn set_content(&mut self, path: &ImagePath, content: Content) {
        if let Some(Entry {
            kind: EntryKind::File(known),
            ..
        }) = self.entries.get_mut(path)
        {
            *known = content;
        }
    }

    /// Where `path` really lands: the links among its directories followed inside the tree.
    /// Its last component is not followed. What the tree does not hold is taken as spelled.
    ///
    /// # Errors
    /// When the links form a loop, or a file stands where a directory should be.
    pub fn canonical(&self, path: &ImagePath) -> Result<ImagePath, Conflict> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(path.clone());
        };
        let directory = self
            .walk(parent.as_path(), Missing::Assumed)
            .ok_or_else(|| Conflict::Loop(path.clone()))?;
        // A component of an image path is a good name wherever it stands.
        directory
            .join(name)
            .map_err(|_| Conflict::Loop(path.clone()))
    }

    /// Where an absolute path leads, every link followed and `..` taken from where the walk
    /// is, as the kernel does it; `None` when it leads nowhere in this tree.
    pub fn follow(&self, path: &Path) -> Option<ImagePath> {
        path.is_absolute()
            .then(|| self.walk(path, Missing::Fatal))
            .flatten()
    }

    /// Makes files of one layer that are one file on this machine (device and inode) hard
    /// links to the first of them. The app and what is included always share their layer.
    pub(super) fn link_same_files(&mut self) {
        let mut first: HashMap<(Origin, u64, u64, u32), ImagePath> = HashMap::new();
        for (path, entry) in &mut self.entries {
            let EntryKind::File(Content::Host { facts, .. }) = &entry.kind else {
                continue;
            };
            let key = (
                entry.origin.min(Origin::App),
                facts.identity.device,
                facts.identity.inode,
                entry.mode,
            );
            match first.get(&key) {
                Some(target) => entry.kind = EntryKind::HardLink(target.clone()),
                None => {
                    first.insert(key, path.clone());
                }
            }
        }
    }

    fn check_parents(&self, path: &ImagePath, second: Origin) -> Result<(), Conflict> {
        for parent in path.ancestors() {
            let Some(entry) = self.entries.get(&parent) else {
                return Ok(());
            };
            let first = entry.origin;
            let path = path.clone();
            match entry.kind {
                EntryKind::Directory => {}
                EntryKind::Symlink(_) => {
                    return Err(Conflict::ThroughLink {
                        path,
                        link: parent,
                        first,
                        second,
                    });
                }
                EntryKind::File(_) | EntryKind::HardLink(_) => {
                    return Err(Conflict::BelowFile {
                        path,
                        file: parent,
                        first,
                        second,
                    });
                }
            }
        }
        Ok(())
    }

    fn imply_parents(&mut self, path: &ImagePath, origin: Origin) {
        for parent in path.ancestors() {
            if !self.entries.contains_key(&parent) {
                self.implied.insert(parent.clone());
                self.entries.insert(parent, Entry::directory(0o755, origin));
            }
        }
        self.lower_parents(path, origin);
    }

    /// A lower layer must not need a directory that only a higher one brings.
    fn lower_parents(&mut self, path: &ImagePath, origin: Origin) {
        for parent in path.ancestors() {
            if let Some(entry) = self.entries.get_mut(&parent) {
                entry.origin = entry.origin.min(origin);
            }
        }
    }

    /// The first of the further names of a file becomes the file.
    fn pass_on(&mut self, path: &ImagePath, former: Entry) {
        let mut heir: Option<ImagePath> = None;
        for (name, entry) in &mut self.entries {
            if !matches!(&entry.kind, EntryKind::HardLink(target) if target == path) {
                continue;
            }
            match &heir {
                Some(heir) => entry.kind = EntryKind::HardLink(heir.clone()),
                None => {
                    entry.kind = former.kind.clone();
                    heir = Some(name.clone());
                }
            }
        }
    }

    fn walk(&self, path: &Path, missing: Missing) -> Option<ImagePath> {
        let mut rest: VecDeque<OsString> = components(path).collect();
        let mut at = ImagePath::root();
        let mut followed = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at = at.parent().unwrap_or(at);
                continue;
            }
            let child = at.join(&name).ok()?;
            match self.entries.get(&child).map(|entry| &entry.kind) {
                Some(EntryKind::Symlink(target)) => {
                    followed += 1;
                    if followed > LINK_LIMIT {
                        return None;
                    }
                    for component in components(target).collect::<Vec<_>>().into_iter().rev() {
                        rest.push_front(component);
                    }
                    if target.is_absolute() {
                        at = ImagePath::root();
                    }
                }
                Some(EntryKind::File(_) | EntryKind::HardLink(_)) if !rest.is_empty() => {
                    return None;
                }
                None if matches!(missing, Missing::Fatal) => return None,
                Some(_) | None => at = child,
            }
        }
        Some(at)
    }
}

/// What a walk does about a name that the tree does not hold.
#[derive(Clone, Copy)]
enum Missing {
    /// It will be a directory.
    Assumed,
    /// The walk fails.
    Fatal,
}

fn components(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn same_kind(a: &EntryKind, b: &EntryKind) -> bool {
    match (a, b) {
        (EntryKind::File(a), EntryKind::File(b)) => a.is_same(b),
        (a, b) => a == b,
    }
}

/// The relative spelling of `to` for a link at `link`.
pub(crate) fn relative(link: &ImagePath, to: &ImagePath) -> PathBuf {
    let directory = link.parent().unwrap_or_else(ImagePath::root);
    let shared = directory
        .as_path()
        .components()
        .zip(to.as_path().components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = directory.as_path().components().count() - shared;
    std::iter::repeat_n(Component::ParentDir, up)
        .chain(to.as_path().components().skip(shared))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text).unwrap()
    }

    fn file(text: &'static str, origin: Origin) -> Entry {
        Entry::file(Content::Bytes(text.as_bytes().into()), 0o644, origin)
    }

    #[test]
    fn missing_parents_are_made_with_the_origin_of_the_entry() {
        let mut tree = Rootfs::new();
        tree.insert(path("/a/b/c"), file("x", Origin::App)).unwrap();
        let names: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(names, ["/a", "/a/b", "/a/b/c"]);
        assert_eq!(
            tree.get(&path("/a/b")),
            Some(&Entry::directory(0o755, Origin::App))
        );
    }

    #[test]
    fn the_same_content_twice_belongs_to_the_lower_layer_with_its_directories() {
        let mut tree = Rootfs::new();
        tree.insert(path("/d/f"), file("x", Origin::Include))
            .unwrap();
        tree.insert(path("/d/f"), file("x", Origin::Library))
            .unwrap();
        tree.insert(path("/d/f"), file("x", Origin::App)).unwrap();
        assert_eq!(tree.layer(Origin::Library).entries.len(), 2);
        assert_eq!(tree.layer(Origin::Include).entries.len(), 0);
    }

    #[test]
    fn other_content_is_an_error_that_names_both_origins() {
        let mut tree = Rootfs::new();
        tree.insert(path("/f"), file("x", Origin::Base)).unwrap();
        let error = tree
            .insert(path("/f"), file("y", Origin::App))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the base") && error.contains("the app"),
            "{error}"
        );
    }

    #[test]
    fn a_named_directory_sets_the_mode_of_an_implied_one_but_not_of_another_named_one() {
        let mut tree = Rootfs::new();
        tree.insert(path("/d/f"), file("x", Origin::App)).unwrap();
        tree.insert(path("/d"), Entry::directory(0o700, Origin::App))
            .unwrap();
        tree.insert(path("/d"), Entry::directory(0o711, Origin::Include))
            .unwrap();
        assert_eq!(tree.get(&path("/d")).unwrap().mode, 0o700);
    }

    #[test]
    fn nothing_lands_below_a_link_or_a_file() {
        let mut tree = Rootfs::new();
        tree.insert(path("/lib"), Entry::symlink("usr/lib", Origin::Library))
            .unwrap();
        tree.insert(path("/f"), file("x", Origin::Base)).unwrap();
        assert!(matches!(
            tree.insert(path("/lib/x"), file("x", Origin::App)),
            Err(Conflict::ThroughLink { .. })
        ));
        assert!(matches!(
            tree.insert(path("/f/x"), file("x", Origin::App)),
            Err(Conflict::BelowFile { .. })
        ));
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn a_canonical_path_follows_directory_links_but_not_the_last_name() {
        let mut tree = Rootfs::new();
        tree.insert(path("/lib"), Entry::symlink("usr/lib", Origin::Library))
            .unwrap();
        tree.insert(
            path("/usr/lib/x"),
            Entry::symlink("/opt/../srv", Origin::Library),
        )
        .unwrap();
        let canonical = |text| tree.canonical(&path(text)).unwrap().to_string();
        assert_eq!(canonical("/lib"), "/lib");
        assert_eq!(canonical("/lib/foo"), "/usr/lib/foo");
        assert_eq!(canonical("/lib/x/y/z"), "/srv/y/z");
    }

    #[test]
    fn a_loop_of_links_has_an_error_of_its_own() {
        let mut tree = Rootfs::new();
        tree.insert(path("/a"), Entry::symlink("b", Origin::Base))
            .unwrap();
        tree.insert(path("/b"), Entry::symlink("a", Origin::Base))
            .unwrap();
        assert!(matches!(
            tree.canonical(&path("/a/x")),
            Err(Conflict::Loop(_))
        ));
        assert_eq!(tree.follow(Path::new("/a")), None);
    }

    #[test]
    fn replacing_a_file_leaves_its_other_names_as_they_were() {
        let mut tree = Rootfs::new();
        tree.insert(path("/a"), file("x", Origin::Base)).unwrap();
        for name in ["/b", "/c"] {
            let link = Entry {
                kind: EntryKind::HardLink(path("/a")),
                ..file("", Origin::Base)
            };
            tree.insert(path(name), link).unwrap();
        }
        tree.replace(path("/a"), file("y", Origin::Include))
            .unwrap();
        assert_eq!(tree.get(&path("/b")), Some(&file("x", Origin::Base)));
        assert_eq!(
            tree.get(&path("/c")).unwrap().kind,
            EntryKind::HardLink(path("/b"))
        );
    }

    #[test]
    fn relative_links_lead_to_their_target() {
        for (link, to, said) in [
            ("/app/ls", "/app/busybox", "busybox"),
            ("/app/ls", "/usr/bin/busybox", "../usr/bin/busybox"),
            ("/ls", "/usr/bin/x", "usr/bin/x"),
        ] {
            assert_eq!(relative(&path(link), &path(to)), Path::new(said));
        }
    }

    fn entry() -> impl Strategy<Value = (String, Entry)> {
        let origin = prop_oneof![
            Just(Origin::Base),
            Just(Origin::Library),
            Just(Origin::App),
            Just(Origin::Include)
        ];
        ("(/[abc]){1,4}", 0..4u8, origin).prop_map(|(path, kind, origin)| {
            let entry = match kind {
                0 => Entry::directory(0o755, origin),
                1 => Entry::symlink("../b", origin),
                2 => file("x", origin),
                _ => file("y", origin),
            };
            (path, entry)
        })
    }

    proptest! {
        #[test]
        fn the_names_in_a_directory_are_those_of_the_entries_right_below_it(
            paths in prop::collection::vec("(/[ab0.-]{1,2}){1,3}", 0..40)
        ) {
            let mut tree = Rootfs::new();
            for text in paths.iter().filter_map(|text| ImagePath::new(text).ok()) {
                let _ = tree.insert(text, Entry::directory(0o755, Origin::Base));
            }
            let directories: Vec<ImagePath> = tree.iter().map(|(path, _)| path.clone()).collect();
            for directory in directories.iter().chain([&ImagePath::root()]) {
                let expected: Vec<&OsStr> = tree
                    .iter()
                    .filter(|(path, _)| path.parent().as_ref() == Some(directory))
                    .filter_map(|(path, _)| path.file_name())
                    .collect();
                let names: Vec<&OsStr> = tree.names(directory).collect();
                prop_assert_eq!(names, expected);
            }
        }

        #[test]
        fn every_entry_has_its_parents_in_the_same_layer_or_a_lower_one(
            entries in prop::collection::vec(entry(), 0..40)
        ) {
            let mut tree = Rootfs::new();
            for (text, entry) in entries {
                let _ = tree.insert(path(&text), entry);
            }
            for (at, entry) in tree.iter() {
                for parent in at.ancestors() {
                    let parent = tree.get(&parent).unwrap();
                    prop_assert_eq!(&parent.kind, &EntryKind::Directory);
                    prop_assert!(parent.origin <= entry.origin);
                }
                prop_assert_eq!(&tree.canonical(at).unwrap(), at);
            }
        }
    }
}
