//! Where the files of a trace land in an image.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{Access, Profile, ProfileFile, TraceError};
use crate::ImagePath;
use crate::app::{Companion, Companions, Provenance, Role};
use crate::rootfs::{Entry, EntryKind, Origin};
use crate::sysroot::{Node, Sysroot, Tracer};

impl Profile {
    /// All files of the profile that are not `known`, with the links that lead to them.
    ///
    /// Paths from the root stay where they are, but for those below a directory of `moved`, the
    /// longest first. Relative ones are of `working_directory` on this machine, and land in
    /// `workdir`. A directory that was listed comes as a directory, without what is in it.
    ///
    /// # Errors
    /// When files are not there any more or cannot be read, or two would land at one path.
    pub fn companions(
        &self,
        sysroot: &dyn Sysroot,
        working_directory: &Path,
        moved: &[(PathBuf, ImagePath)],
        workdir: &ImagePath,
        known: &dyn Fn(&ImagePath) -> bool,
    ) -> Result<Vec<Companions>, TraceError> {
        let mut gathering = Gathering {
            sysroot,
            tracer: Tracer::new(sysroot),
            working_directory,
            moved,
            workdir,
            known,
            found: BTreeMap::new(),
            vanished: Vec::new(),
        };
        for file in &self.files {
            gathering.add(file)?;
        }
        if !gathering.vanished.is_empty() {
            return Err(TraceError::Vanished(gathering.vanished));
        }
        Ok(gathering.groups())
    }
}

/// The files among `groups` that only a trace brought: what would be missing without it.
pub fn missed(groups: &[Companions]) -> impl Iterator<Item = &Companion> {
    groups
        .iter()
        .filter(|group| group.by == Provenance::Trace)
        .flat_map(|group| &group.files)
        .filter(|file| matches!(file.entry.kind, EntryKind::File(_)))
}

/// Companions on their way into groups.
struct Gathering<'a> {
    sysroot: &'a dyn Sysroot,
    tracer: Tracer<'a>,
    working_directory: &'a Path,
    moved: &'a [(PathBuf, ImagePath)],
    workdir: &'a ImagePath,
    known: &'a dyn Fn(&ImagePath) -> bool,
    found: BTreeMap<ImagePath, (Access, Companion)>,
    vanished: Vec<PathBuf>,
}

impl<'a> Gathering<'a> {
    fn add(&mut self, file: &ProfileFile) -> Result<(), TraceError> {
        let path = self.working_directory.join(&file.path);
        let trace = match self.tracer.trace(&path) {
            Ok(trace) => trace,
            Err(error) => return self.not_found(path, error.into()),
        };
        let places = self.places(&file.path);
        for (link, text) in &trace.links {
            if !places.are_below(link) {
                self.add_link(file.access, link, text, &places)?;
            }
        }
        // The directories that `..` climbs out of must be there.
        if file.path.components().any(|it| it == Component::ParentDir) {
            for (directory, mode) in &trace.directories {
                // The image has its own way to its own working directory.
                let is_own = self.working_directory.starts_with(directory.as_path());
                if file.path.is_absolute() || !is_own {
                    self.add_directory(Access::List, directory, *mode, &places)?;
                }
            }
        }
        match &trace.node {
            Node::Directory { mode } => {
                self.add_directory(file.access, &trace.target, *mode, &places)
            }
            Node::File(_) => self.add_file(file.access, &trace.target, &places),
            Node::Symlink(_) | Node::Other => {
                self.vanished.push(path);
                Ok(())
            }
        }
    }

    fn not_found(&mut self, path: PathBuf, source: io::Error) -> Result<(), TraceError> {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                self.vanished.push(path);
                Ok(())
            }
            _ => Err(TraceError::Unreadable { path, source }),
        }
    }

    /// The places for what is found under this name.
    fn places(&self, name: &Path) -> Places<'a> {
        let own = name.is_relative().then(|| {
            // A name may climb out of the working directory, and does so in the image too.
            let climbs = climbs(name);
            let from = (0..climbs).fold(self.working_directory, |directory, _| {
                directory.parent().unwrap_or(directory)
            });
            let to = (0..climbs).fold(self.workdir.clone(), |directory, _| {
                directory.parent().unwrap_or(directory)
            });
            (from.to_path_buf(), to)
        });
        Places {
            own,
            moved: self.moved,
        }
    }

    fn add_file(
        &mut self,
        access: Access,
        target: &ImagePath,
        places: &Places<'_>,
    ) -> Result<(), TraceError> {
        let at = places.of(target);
        if (self.known)(&at) {
            return Ok(());
        }
        let unreadable = |source| TraceError::Unreadable {
            path: self.sysroot.display(target.as_path()),
            source,
        };
        let role = self.role(target).map_err(unreadable)?;
        let (content, mode) = self.sysroot.content(target).map_err(unreadable)?;
        // The image's user is another one than the app had here, and must read it all the same.
        let mode = mode & 0o777 | 0o444 | (mode & 0o100) >> 3 | (mode & 0o100) >> 6;
        self.insert(
            access,
            Companion {
                path: at,
                entry: Entry::file(content, mode, Origin::Include),
                source: self.sysroot.display(target.as_path()),
                role,
            },
        )
    }

    /// Programs and shared libraries bring the libraries that they need; relocatable files and
    /// core dumps are data.
    fn role(&self, target: &ImagePath) -> io::Result<Role> {
        let mut head = [0; 18];
        let file = self.sysroot.open(target.as_path())?;
        let read = file.read_at(&mut head, 0)?;
        Ok(match head {
            [0x7f, b'E', b'L', b'F', .., 2 | 3, 0] | [0x7f, b'E', b'L', b'F', .., 0, 2 | 3]
                if read == head.len() =>
            {
                Role::Object
            }
            _ => Role::Data,
        })
    }

    fn add_directory(
        &mut self,
        access: Access,
        directory: &ImagePath,
        mode: u32,
        places: &Places<'_>,
    ) -> Result<(), TraceError> {
        let at = places.of(directory);
        if at.is_root() || (self.known)(&at) {
            return Ok(());
        }
        self.insert(
            access,
            Companion {
                path: at,
                entry: Entry::directory(mode & 0o1777 | 0o555, Origin::Include),
                source: self.sysroot.display(directory.as_path()),
                role: Role::Data,
            },
        )
    }

    fn add_link(
        &mut self,
        access: Access,
        link: &ImagePath,
        text: &Path,
        places: &Places<'_>,
    ) -> Result<(), TraceError> {
        let at = places.of(link);
        if (self.known)(&at) {
            return Ok(());
        }
        let leads_to = |link: &ImagePath| {
            let parent = link.parent().unwrap_or_else(ImagePath::root);
            lexical(&parent.as_path().join(text))
        };
        let here = leads_to(link);
        let there = places.of(&here);
        // What it says stays, where that leads to the same file in the image.
        let text = if leads_to(&at) == there {
            text.to_path_buf()
        } else {
            there.into()
        };
        self.insert(
            access,
            Companion {
                path: at,
                entry: Entry::symlink(text, Origin::Include),
                source: self.sysroot.display(link.as_path()),
                role: Role::Data,
            },
        )
    }

    fn insert(&mut self, access: Access, companion: Companion) -> Result<(), TraceError> {
        let Some((_, former)) = self.found.get(&companion.path) else {
            self.found
                .insert(companion.path.clone(), (access, companion));
            return Ok(());
        };
        if is_same(&former.entry, &companion.entry) {
            return Ok(());
        }
        Err(TraceError::Collision {
            at: companion.path,
            first: former.source.clone(),
            second: companion.source,
        })
    }

    fn groups(self) -> Vec<Companions> {
        let mut groups: BTreeMap<Access, Vec<Companion>> = BTreeMap::new();
        for (access, companion) in self.found.into_values() {
            groups.entry(access).or_default().push(companion);
        }
        groups
            .into_iter()
            .map(|(access, files)| Companions {
                by: Provenance::Trace,
                reason: match access {
                    Access::Read => "files that the app opened when it was traced",
                    Access::Execute => "programs that the app executed when it was traced",
                    Access::List => "directories that the app opened when it was traced",
                }
                .to_owned(),
                files,
            })
            .collect()
    }
}

/// Where in the image the files of this machine are.
struct Places<'a> {
    /// For what was named relative to the working directory.
    own: Option<(PathBuf, ImagePath)>,
    moved: &'a [(PathBuf, ImagePath)],
}

impl Places<'_> {
    fn of(&self, path: &ImagePath) -> ImagePath {
        self.own
            .iter()
            .chain(self.moved)
            .find_map(|(from, to)| {
                let rest = path.as_path().strip_prefix(from).ok()?;
                to.join(rest).ok()
            })
            .unwrap_or_else(|| path.clone())
    }

    /// Whether a link is on the way to a directory that is elsewhere in the image: nothing
    /// leads there any more.
    fn are_below(&self, link: &ImagePath) -> bool {
        self.own
            .iter()
            .chain(self.moved)
            .any(|(from, _)| from.starts_with(link.as_path()))
    }
}

/// How many directories up from where it starts a relative path leads at most.
fn climbs(path: &Path) -> usize {
    let mut depth = 0_usize;
    let mut climbs = 0;
    for component in path.components() {
        match component {
            Component::ParentDir if depth == 0 => climbs += 1,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    climbs
}

/// An absolute path without `..`, by its spelling.
fn lexical(path: &Path) -> ImagePath {
    let mut clean = ImagePath::root();
    for component in path.components() {
        clean = match component {
            Component::ParentDir => clean.parent().unwrap_or(clean),
            // A name from a path has no slash and no NUL byte.
            Component::Normal(name) => clean.join(name).unwrap_or(clean),
            _ => clean,
        };
    }
    clean
}

/// Whether two entries for one path are the same.
fn is_same(a: &Entry, b: &Entry) -> bool {
    match (&a.kind, &b.kind) {
        (EntryKind::Directory, EntryKind::Directory) => true,
        (EntryKind::File(a), EntryKind::File(b)) => a.is_same(b),
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests;
