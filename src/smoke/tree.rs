//! What the sandbox holds: the image's entries, and what a runtime adds to any image.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use super::Smoke;
use super::account::Account;
use super::message::{HostFile, Item, ItemKind, Plan, Raw};
use crate::ImagePath;
use crate::rootfs::{Content, Entry, EntryKind, Origin, Rootfs};

/// Files that a runtime makes anew in each container.
const RUNTIME_FILES: [(&str, &str); 3] = [
    ("/etc/hostname", "smoke\n"),
    (
        "/etc/hosts",
        "127.0.0.1\tlocalhost smoke\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    ),
    // Nothing answers there, so that a look-up fails at once.
    ("/etc/resolv.conf", "nameserver 127.0.0.1\n"),
];

/// Directories that a runtime mounts over.
const MOUNT_POINTS: [&str; 2] = ["/dev", "/proc"];

/// The tree, and the bytes of its files that no file of this machine holds.
pub(super) struct Tree<'a> {
    pub(super) plan: Plan,
    pub(super) bytes: Vec<Cow<'a, [u8]>>,
    /// Where the writable directories really are, outer ones first, with their modes.
    pub(super) writable: Vec<(Raw, u32)>,
}

/// Lays the tree out for the user's eyes.
pub(super) fn lay_out<'a>(
    rootfs: &'a Rootfs,
    workdir: &Path,
    account: &Account,
    smoke: &Smoke,
) -> Tree<'a> {
    let mut layout = Layout {
        rootfs,
        own: BTreeMap::new(),
    };
    for (path, text) in RUNTIME_FILES {
        let content = Content::Bytes(text.as_bytes().into());
        layout.put(path, Entry::file(content, 0o644, Origin::Base));
    }
    for path in MOUNT_POINTS.into_iter().flat_map(ImagePath::new) {
        // Whatever the image has there: a mount through a link would land elsewhere.
        layout
            .own
            .insert(path, Entry::directory(0o755, Origin::Base));
    }
    if let Ok(workdir) = ImagePath::new(workdir) {
        layout.directory(&workdir);
    }
    let writable: BTreeMap<ImagePath, u32> = smoke
        .writable
        .iter()
        .filter_map(|path| layout.directory(path))
        .collect();
    let writable = writable
        .iter()
        .map(|(path, mode)| (Raw::from(path.as_path()), mode | 0o700))
        .collect();
    let (items, bytes) = layout.items(account);
    Tree {
        plan: Plan {
            items,
            low_ports: account.uid == 0 || smoke.low_port().is_some(),
        },
        bytes,
        writable,
    }
}

/// The image's entries under those of the runtime.
struct Layout<'a> {
    rootfs: &'a Rootfs,
    own: BTreeMap<ImagePath, Entry>,
}

impl<'a> Layout<'a> {
    /// Puts an entry where `path` leads; a dangling link there gives way to it.
    fn put(&mut self, path: &str, entry: Entry) {
        let wanted = self.rootfs.follow(Path::new(path));
        let path = match (wanted, ImagePath::new(path)) {
            (Some(path), _) => path,
            (None, Ok(path)) => self.rootfs.canonical(&path).unwrap_or(path),
            (None, Err(_)) => return,
        };
        if path.is_root() {
            return;
        }
        self.parents(&path);
        self.own.insert(path, entry);
    }

    /// Makes sure that a directory is where `path` leads; tells where that is, and its mode.
    fn directory(&mut self, path: &ImagePath) -> Option<(ImagePath, u32)> {
        let real = self.rootfs.follow(path.as_path());
        let real = real.or_else(|| self.rootfs.canonical(path).ok())?;
        if real.is_root() {
            return None;
        }
        if let Some(entry) = self.get(&real)
            && entry.kind == EntryKind::Directory
        {
            return Some((real, entry.mode));
        }
        self.parents(&real);
        self.own
            .insert(real.clone(), Entry::directory(0o755, Origin::Base));
        Some((real, 0o755))
    }

    fn parents(&mut self, path: &ImagePath) {
        for parent in path.ancestors().filter(|parent| !parent.is_root()) {
            if self.get(&parent).is_none() {
                self.own
                    .insert(parent, Entry::directory(0o755, Origin::Base));
            }
        }
    }

    fn get(&self, path: &ImagePath) -> Option<&Entry> {
        self.own.get(path).or_else(|| self.rootfs.get(path))
    }

    /// All entries in the order of their paths, a directory before what is in it, and the bytes
    /// of its files in the same order.
    fn items(&self, account: &Account) -> (Vec<Item>, Vec<Cow<'a, [u8]>>) {
        let mut all: BTreeMap<&ImagePath, (&Entry, Laid<'a>)> = BTreeMap::new();
        for (path, entry) in self.rootfs.iter() {
            // A runtime's file can take the place of a directory.
            if !path.ancestors().any(|above| is_taken(self.own.get(&above))) {
                all.insert(path, (entry, self.lay(entry)));
            }
        }
        for (path, entry) in &self.own {
            let laid = match &entry.kind {
                EntryKind::File(Content::Bytes(content)) => {
                    Laid::Bytes(Cow::Owned(content.to_vec()))
                }
                _ => Laid::Other(ItemKind::Directory),
            };
            all.insert(path, (entry, laid));
        }
        let mut items = Vec::with_capacity(all.len());
        let mut bytes = Vec::new();
        for (path, (entry, laid)) in all {
            let kind = match laid {
                Laid::Other(kind) => kind,
                Laid::Bytes(content) => {
                    let size = content.len() as u64;
                    bytes.push(content);
                    ItemKind::Bytes(size)
                }
            };
            items.push(Item {
                path: relative(path),
                mode: account.mode(entry),
                kind,
            });
        }
        (items, bytes)
    }

    fn lay(&self, entry: &'a Entry) -> Laid<'a> {
        match &entry.kind {
            EntryKind::Directory => Laid::Other(ItemKind::Directory),
            EntryKind::Symlink(target) => Laid::Other(ItemKind::Symlink(Raw::from(target))),
            EntryKind::File(content) => file(content),
            EntryKind::HardLink(first) => match self.rootfs.get(first).map(|entry| &entry.kind) {
                // The first name was replaced: the others keep what it held.
                Some(EntryKind::File(content)) if self.own.contains_key(first) => file(content),
                _ => Laid::Other(ItemKind::HardLink(relative(first))),
            },
        }
    }
}

/// An entry on its way to an item.
enum Laid<'a> {
    Bytes(Cow<'a, [u8]>),
    Other(ItemKind),
}

/// Whether a runtime's entry is no directory, so that nothing of the image can be below it.
fn is_taken(entry: Option<&Entry>) -> bool {
    entry.is_some_and(|entry| entry.kind != EntryKind::Directory)
}

fn file(content: &Content) -> Laid<'_> {
    match content {
        Content::Bytes(content) => Laid::Bytes(Cow::Borrowed(content)),
        Content::Host { path, facts } => Laid::Other(ItemKind::Host(HostFile {
            path: Raw::from(path),
            size: facts.size,
            device: facts.identity.device,
            inode: facts.identity.inode,
            modified: i64::try_from(facts.identity.modified).unwrap_or(i64::MAX),
        })),
    }
}

fn relative(path: &ImagePath) -> Raw {
    use std::os::unix::ffi::OsStrExt;
    Raw::from(std::ffi::OsStr::from_bytes(path.relative()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::HOSTNAME;
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text).unwrap()
    }

    fn nobody() -> Account {
        Account::in_image(&Rootfs::new(), "65532:65532").unwrap()
    }

    fn shown(tree: &Tree<'_>) -> Vec<String> {
        let mut shown: Vec<String> = tree
            .plan
            .items
            .iter()
            .map(|item| {
                let path = item.path.as_path().display();
                match &item.kind {
                    ItemKind::Directory => format!("{path}/"),
                    ItemKind::Symlink(to) => format!("{path} -> {}", to.as_path().display()),
                    ItemKind::HardLink(to) => format!("{path} = {}", to.as_path().display()),
                    ItemKind::Bytes(count) => format!("{path} {count}"),
                    ItemKind::Host(_) => format!("{path} host"),
                }
            })
            .collect();
        shown.sort();
        shown
    }

    fn lay<'a>(rootfs: &'a Rootfs, writable: &[&str]) -> Tree<'a> {
        let smoke = Smoke {
            writable: writable.iter().map(|text| path(text)).collect(),
            ..Smoke::default()
        };
        lay_out(rootfs, Path::new("/srv/app"), &nobody(), &smoke)
    }

    #[test]
    fn an_empty_image_gets_what_runtimes_bring() {
        let rootfs = Rootfs::new();
        let tree = lay(&rootfs, &[]);
        assert_eq!(
            shown(&tree),
            [
                "dev/",
                "etc/",
                "etc/hostname 6",
                "etc/hosts 67",
                "etc/resolv.conf 21",
                "proc/",
                "srv/",
                "srv/app/"
            ]
        );
        let hosts = &tree.bytes;
        assert!(
            hosts
                .iter()
                .any(|file| file.starts_with(HOSTNAME.as_bytes()))
        );
    }

    #[test]
    fn the_runtimes_files_replace_the_images_wherever_a_link_puts_them() {
        let mut rootfs = Rootfs::new();
        let file = |text: &'static str| {
            Entry::file(Content::Bytes(text.as_bytes().into()), 0o644, Origin::App)
        };
        rootfs.insert(path("/a/hosts"), file("x")).unwrap();
        let link = Entry {
            kind: EntryKind::HardLink(path("/a/hosts")),
            ..file("")
        };
        rootfs.insert(path("/b"), link).unwrap();
        rootfs
            .insert(path("/etc/hosts"), Entry::symlink("/a/hosts", Origin::App))
            .unwrap();
        rootfs
            .insert(
                path("/etc/resolv.conf"),
                Entry::symlink("../run/gone", Origin::App),
            )
            .unwrap();
        let shown = shown(&lay(&rootfs, &[]));
        assert!(shown.contains(&"a/hosts 67".to_owned()), "{shown:?}");
        assert!(shown.contains(&"b 1".to_owned()), "{shown:?}");
        assert!(
            shown.contains(&"etc/hosts -> /a/hosts".to_owned()),
            "{shown:?}"
        );
        assert!(
            shown.contains(&"etc/resolv.conf 21".to_owned()),
            "{shown:?}"
        );
    }

    #[test]
    fn writable_directories_are_found_through_links_and_made_where_missing() {
        let mut rootfs = Rootfs::new();
        rootfs
            .insert(path("/run"), Entry::directory(0o711, Origin::App))
            .unwrap();
        rootfs
            .insert(path("/var/run"), Entry::symlink("/run", Origin::App))
            .unwrap();
        let tree = lay(&rootfs, &["/var/run", "/data/deep", "/run"]);
        let writable: Vec<_> = tree.writable.clone();
        assert_eq!(
            writable,
            [(Raw::from("/data/deep"), 0o755), (Raw::from("/run"), 0o711)]
        );
        assert!(shown(&tree).contains(&"data/deep/".to_owned()));
    }
}
