//! One tree of all packages.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::{ArrangeError, Arrangement, merged};
use crate::ImagePath;
use crate::debian::deb::MemberKind;
use crate::layer::Digest;
use crate::rootfs::{Conflict, Content, Entry, EntryKind, Origin, Rootfs};

/// The kernel's limit on links followed in one look-up (`path_resolution(7)`).
const LINK_LIMIT: usize = 40;

/// All that the foundation and the packages bring, each at the place where it lands.
pub(super) struct Gathered<'a> {
    pub(super) arrangement: &'a Arrangement<'a>,
    pub(super) entries: BTreeMap<ImagePath, Placed<'a>>,
    /// Directories of which something was taken out.
    pub(super) emptied: BTreeSet<ImagePath>,
    links: HashMap<ImagePath, PathBuf>,
}

/// One path, and who brings it.
#[derive(Debug, Clone)]
pub(super) struct Placed<'a> {
    /// The number of the package; `None` for the foundation.
    pub(super) owner: Option<usize>,
    pub(super) kind: Kind<'a>,
    pub(super) mode: u32,
    uid: u32,
    gid: u32,
}

#[derive(Debug, Clone)]
pub(super) enum Kind<'a> {
    Directory,
    Symlink(PathBuf),
    /// A file of a package; `first` is its first name there, by which hard links find together.
    File {
        content: &'a Content,
        sha256: Digest,
        first: &'a ImagePath,
    },
    /// A file of the foundation.
    Own(&'a EntryKind),
}

impl<'a> Gathered<'a> {
    pub(super) fn of(
        arrangement: &'a Arrangement<'a>,
        notices: &mut Vec<String>,
    ) -> Result<Self, ArrangeError> {
        let mut gathered = Self {
            arrangement,
            entries: BTreeMap::new(),
            emptied: BTreeSet::new(),
            links: HashMap::new(),
        };
        gathered.add_foundation();
        gathered.find_links();
        let mut parents = HashMap::new();
        for (number, package) in arrangement.packages.iter().enumerate() {
            let files: HashMap<&ImagePath, (&Content, Digest)> = package
                .unpacked
                .members
                .iter()
                .filter_map(|(member, content)| match (&member.kind, content) {
                    (MemberKind::File { sha256, .. }, Some(content)) => {
                        Some((&member.path, (content, *sha256)))
                    }
                    _ => None,
                })
                .collect();
            for (member, _) in &package.unpacked.members {
                let landed = merged::path(&member.path);
                let kind = match &member.kind {
                    MemberKind::Directory => Kind::Directory,
                    MemberKind::Symlink(target) => {
                        if is_alias(&member.path, target) {
                            continue;
                        }
                        Kind::Symlink(merged::target(&member.path, &landed, target))
                    }
                    MemberKind::File { .. } => match file(&files, &member.path) {
                        Some(file) => file,
                        None => continue,
                    },
                    MemberKind::HardLink(first) => match file(&files, first) {
                        Some(file) => file,
                        None => continue,
                    },
                };
                let mut mode = member.mode;
                // An image has one user as a rule, who can gain nothing by it.
                if matches!(kind, Kind::File { .. }) && mode & 0o6000 != 0 {
                    mode &= !0o6000;
                    notices.push(format!(
                        "{landed} of {} is not setuid or setgid any more: an image needs none",
                        package.name
                    ));
                }
                let placed = Placed {
                    owner: Some(number),
                    kind,
                    mode,
                    uid: member.uid,
                    gid: member.gid,
                };
                let path = gathered.landing(&landed, &mut parents, package.name)?;
                gathered.place(path, placed)?;
            }
        }
        Ok(gathered)
    }

    /// Who brings what stands at `path`, in words.
    pub(super) fn owner(&self, path: &ImagePath) -> String {
        self.name(self.entries.get(path).and_then(|placed| placed.owner))
    }

    /// The name of a package by its number.
    pub(super) fn name(&self, owner: Option<usize>) -> String {
        owner
            .and_then(|number| self.arrangement.packages.get(number))
            .map_or("the base's own files", |package| package.name)
            .to_owned()
    }

    /// Where an absolute path leads, each link on the way told to `visit`; `None` when it leads
    /// nowhere.
    pub(super) fn follow(
        &self,
        path: &ImagePath,
        visit: &mut dyn FnMut(&ImagePath),
    ) -> Option<ImagePath> {
        let at = self.walk(path.as_path(), visit)?;
        self.entries.contains_key(&at).then_some(at)
    }

    /// Where a path of a package lands, by way of the links of the others.
    pub(super) fn landing_of(&self, path: &ImagePath) -> Option<ImagePath> {
        let path = merged::path(path);
        let (parent, name) = (path.parent()?, path.file_name()?);
        self.walk(parent.as_path(), &mut |_| {})?.join(name).ok()
    }

    /// The tree; further names of a file of a package are hard links to the first that is left.
    pub(super) fn rootfs(&self) -> Result<Rootfs, ArrangeError> {
        let mut rootfs = Rootfs::new();
        let mut firsts: HashMap<(Option<usize>, &ImagePath), &ImagePath> = HashMap::new();
        for (path, placed) in &self.entries {
            let kind = match &placed.kind {
                Kind::Directory => EntryKind::Directory,
                Kind::Symlink(target) => EntryKind::Symlink(target.clone()),
                Kind::Own(kind) => (*kind).clone(),
                Kind::File { content, first, .. } => {
                    let known = firsts.entry((placed.owner, first)).or_insert(path);
                    match *known == path {
                        true => EntryKind::File((*content).clone()),
                        false => EntryKind::HardLink((*known).clone()),
                    }
                }
            };
            let entry = Entry {
                kind,
                mode: placed.mode,
                uid: placed.uid,
                gid: placed.gid,
                origin: Origin::Base,
            };
            rootfs
                .insert(path.clone(), entry)
                .map_err(|conflict| ArrangeError::Conflict {
                    package: self.name(placed.owner),
                    conflict,
                })?;
        }
        Ok(rootfs)
    }

    fn add_foundation(&mut self) {
        for (path, entry) in self.arrangement.foundation.iter() {
            let kind = match &entry.kind {
                EntryKind::Directory => Kind::Directory,
                EntryKind::Symlink(target) => Kind::Symlink(target.clone()),
                kind => Kind::Own(kind),
            };
            let placed = Placed {
                owner: None,
                kind,
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
            };
            self.entries.insert(path.clone(), placed);
        }
    }

    /// All links: a path of one package may lead through a link of another.
    fn find_links(&mut self) {
        for (path, placed) in &self.entries {
            if let Kind::Symlink(target) = &placed.kind {
                self.links.insert(path.clone(), target.clone());
            }
        }
        for package in self.arrangement.packages {
            for (member, _) in &package.unpacked.members {
                if let MemberKind::Symlink(target) = &member.kind
                    && !is_alias(&member.path, target)
                {
                    let landed = merged::path(&member.path);
                    let target = merged::target(&member.path, &landed, target);
                    if !self.entries.contains_key(&landed) {
                        self.links.entry(landed).or_insert(target);
                    }
                }
            }
        }
    }

    fn landing(
        &self,
        path: &ImagePath,
        parents: &mut HashMap<ImagePath, ImagePath>,
        package: &str,
    ) -> Result<ImagePath, ArrangeError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(path.clone());
        };
        let looped = || ArrangeError::Conflict {
            package: package.to_owned(),
            conflict: Conflict::Loop(path.clone()),
        };
        let parent = match parents.get(&parent) {
            Some(landed) => landed,
            None => {
                let landed = self
                    .walk(parent.as_path(), &mut |_| {})
                    .ok_or_else(looped)?;
                parents.entry(parent).or_insert(landed)
            }
        };
        parent.join(name).map_err(|_| looped())
    }

    fn place(&mut self, path: ImagePath, placed: Placed<'a>) -> Result<(), ArrangeError> {
        let Some(known) = self.entries.get_mut(&path) else {
            self.entries.insert(path, placed);
            return Ok(());
        };
        match (&known.kind, &placed.kind) {
            _ if known.owner.is_none() => {}
            (Kind::Directory, Kind::Directory) => {}
            (Kind::File { sha256: a, .. }, Kind::File { sha256: b, .. }) if a == b => {}
            (Kind::Symlink(a), Kind::Symlink(b)) if a == b => {}
            // What is below the directory went to where the link leads, as dpkg does it.
            (Kind::Symlink(_), Kind::Directory) => {}
            (Kind::Directory, Kind::Symlink(_)) => *known = placed,
            _ => {
                let (first, second) = (known.owner, placed.owner);
                return Err(ArrangeError::Different {
                    path,
                    first: self.name(first),
                    second: self.name(second),
                });
            }
        }
        Ok(())
    }

    /// Follows the links among the components of an absolute path, and what they lead to into
    /// `/usr`. What is not there is taken as spelled.
    fn walk(&self, path: &Path, visit: &mut dyn FnMut(&ImagePath)) -> Option<ImagePath> {
        let mut rest: VecDeque<OsString> = components(path).collect();
        let mut at = ImagePath::root();
        let mut followed = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at = at.parent().unwrap_or(at);
                continue;
            }
            let child = merged::path(&at.join(&name).ok()?);
            let Some(target) = self.links.get(&child) else {
                at = child;
                continue;
            };
            followed += 1;
            if followed > LINK_LIMIT {
                return None;
            }
            visit(&child);
            let components: Vec<OsString> = components(target).collect();
            for component in components.into_iter().rev() {
                rest.push_front(component);
            }
            at = match target.is_absolute() {
                true => ImagePath::root(),
                false => child.parent().unwrap_or_else(ImagePath::root),
            };
        }
        Some(at)
    }
}

/// A link `/lib -> usr/lib` of a package: it is made anyway.
fn is_alias(path: &ImagePath, target: &Path) -> bool {
    merged::aliases()
        .any(|(alias, real)| *path == alias && merged::path(&merged::lexical(path, target)) == real)
}

fn file<'a>(
    files: &HashMap<&'a ImagePath, (&'a Content, Digest)>,
    first: &ImagePath,
) -> Option<Kind<'a>> {
    let (first, (content, sha256)) = files.get_key_value(first)?;
    Some(Kind::File {
        content,
        sha256: *sha256,
        first,
    })
}

fn components(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
