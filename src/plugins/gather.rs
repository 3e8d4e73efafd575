//! The files that the paths of a rule stand for, with all links that lead to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::document::Made;
use super::pattern::{NamePattern, PathSteps, Step};
use crate::ImagePath;
use crate::app::{Companion, Role};
use crate::elf::Closure;
use crate::rootfs::{Entry, Origin};
use crate::sysroot::{FileFacts, Node, Sysroot, Trace, TraceError, Tracer};

/// The most files that one rule brings, and directories that one pattern leads through.
const ENTRY_LIMIT: usize = 200_000;
/// What an ELF file starts with.
const ELF_MAGIC: &[u8; 4] = b"\x7fELF";

/// Why the files of a rule cannot be gathered.
#[derive(Debug)]
pub(super) enum Fault {
    Read { path: PathBuf, source: io::Error },
    TooMany,
}

/// What rules brought so far.
pub(super) struct Gatherer<'a> {
    sysroot: &'a dyn Sysroot,
    tracer: Tracer<'a>,
    /// The names in directories that patterns lead through.
    listings: Listings,
    /// What the image gets with the closure.
    held: BTreeSet<ImagePath>,
    /// What came by an earlier rule.
    taken: BTreeSet<ImagePath>,
}

/// What is left out of a rule's files.
#[derive(Debug, Default)]
pub(super) struct Excluded {
    pub(super) names: Vec<NamePattern>,
    pub(super) paths: Vec<PathSteps>,
}

impl Excluded {
    /// By its own name or its path.
    fn has(&self, path: &ImagePath) -> bool {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let mut names = self.names.iter();
        names.any(|pattern| pattern.captures(name).is_some()) || self.is_at(path)
    }

    /// As [`Excluded::has`], or since a directory above it is excluded by its path. How those
    /// directories are called is of no account: a whole runtime may be in one called `test`.
    fn holds(&self, path: &ImagePath) -> bool {
        self.has(path) || path.ancestors().any(|directory| self.is_at(&directory))
    }

    fn is_at(&self, path: &ImagePath) -> bool {
        self.paths.iter().any(|pattern| pattern.is_match(path))
    }
}

/// What one rule brings.
pub(super) struct Gathering<'g, 'a> {
    gatherer: &'g mut Gatherer<'a>,
    excluded: Excluded,
    role: Role,
    found: BTreeMap<ImagePath, Companion>,
    entered: BTreeSet<ImagePath>,
    private: Option<(PathBuf, u32)>,
}

/// The end of a gathering.
pub(super) struct Gathered {
    /// What comes, sorted by path.
    pub(super) files: Vec<Companion>,
    /// The first of the files that are left out since not everybody may read them, and its mode.
    pub(super) private: Option<(PathBuf, u32)>,
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(sysroot: &'a dyn Sysroot, closure: &Closure) -> Self {
        let objects = closure.objects.iter();
        let traces = objects
            .flat_map(|object| {
                let aliases = object.aliases.iter().map(|(_, trace)| trace);
                std::iter::once(&object.trace).chain(aliases)
            })
            .chain(&closure.loader_files);
        Self {
            sysroot,
            tracer: Tracer::new(sysroot),
            listings: Listings::default(),
            held: traces.flat_map(names).collect(),
            taken: BTreeSet::new(),
        }
    }

    /// Takes up the files of a rule that were gathered before.
    pub(super) fn take(&mut self, files: &[Companion]) {
        self.taken
            .extend(files.iter().map(|file| file.path.clone()));
    }

    /// Starts with a rule's files.
    pub(super) fn gather(&mut self, excluded: Excluded, role: Role) -> Gathering<'_, 'a> {
        Gathering {
            gatherer: self,
            excluded,
            role,
            found: BTreeMap::new(),
            entered: BTreeSet::new(),
            private: None,
        }
    }
}

/// The file at the end of a trace and the links on the way.
fn names(trace: &Trace) -> impl Iterator<Item = ImagePath> + '_ {
    let links = trace.links.iter().map(|(link, _)| link);
    links.chain([&trace.target]).cloned()
}

impl Gathering<'_, '_> {
    /// Brings all that stands at the paths of `patterns`, which are spellings of one place: what
    /// two of them lead to comes by the first. Says whether anything is there.
    pub(super) fn bring(&mut self, patterns: &[PathSteps]) -> Result<bool, Fault> {
        let mut places = BTreeSet::new();
        let mut found = false;
        for pattern in patterns {
            let Gatherer {
                sysroot, listings, ..
            } = &mut *self.gatherer;
            for path in candidates(*sysroot, pattern, listings) {
                let Some(trace) = self.trace(&path)? else {
                    continue;
                };
                let Some(place) = self.place(&path)? else {
                    continue;
                };
                if places.insert(place) && self.add(&trace)? {
                    found = true;
                    if !self.excluded.holds(&trace.target) {
                        self.enter_all(&trace)?;
                    }
                }
            }
        }
        Ok(found)
    }

    /// Makes a link or a directory, unless something came along there.
    pub(super) fn make(&mut self, made: &Made) {
        let path = &made.path.0;
        if self.is_known(path) {
            return;
        }
        let entry = match (&made.link, made.mode) {
            (Some(target), _) => Entry::symlink(target, Origin::Runtime),
            (None, mode) => Entry::directory(mode.map_or(0o755, |mode| mode.0), Origin::Runtime),
        };
        let source = path.as_path().to_path_buf();
        self.insert(path.clone(), entry, source, Role::Data);
    }

    pub(super) fn end(self) -> Gathered {
        let taken = self.found.keys().cloned();
        self.gatherer.taken.extend(taken);
        Gathered {
            files: self.found.into_values().collect(),
            private: self.private,
        }
    }

    /// Where `path` leads; `None` when that is nowhere, or nothing that can come along.
    fn trace(&mut self, path: &Path) -> Result<Option<Trace>, Fault> {
        match self.gatherer.tracer.trace(path) {
            Ok(trace) => Ok(Some(trace)),
            Err(TraceError::Io { at, source }) if !is_absence(&source) => {
                Err(Fault::Read { path: at, source })
            }
            Err(_) => Ok(None),
        }
    }

    /// Where `path` itself stands, whether it is a link or not.
    fn place(&mut self, path: &Path) -> Result<Option<ImagePath>, Fault> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let trace = self.trace(parent)?;
        Ok(trace.and_then(|trace| trace.target.join(name).ok()))
    }

    /// Adds the links on a way, and the file at its end; says whether anything of it is wanted.
    /// A link stays where only that is left out which it leads to: something else provides it.
    fn add(&mut self, trace: &Trace) -> Result<bool, Fault> {
        let kept = |(link, _): &&(ImagePath, PathBuf)| !self.excluded.holds(link);
        let links: Vec<_> = trace.links.iter().take_while(kept).cloned().collect();
        let is_whole = links.len() == trace.links.len();
        let is_wanted = is_whole && !self.excluded.holds(&trace.target);
        match &trace.node {
            Node::File(facts) if is_wanted => {
                if !self.is_public(&trace.target, facts.mode, 0o004) {
                    return Ok(false);
                }
                self.add_file(&trace.target, facts)?;
            }
            Node::File(_) | Node::Directory { .. } => {}
            Node::Symlink(_) | Node::Other => return Ok(false),
        }
        let any = is_wanted || !links.is_empty();
        for (link, says) in links {
            if !self.is_known(&link) {
                let source = self.gatherer.sysroot.display(link.as_path());
                let entry = Entry::symlink(says, Origin::Runtime);
                self.insert(link, entry, source, Role::Data);
            }
        }
        self.check_count()?;
        Ok(any)
    }

    fn add_file(&mut self, path: &ImagePath, facts: &FileFacts) -> Result<(), Fault> {
        if self.is_known(path) {
            return Ok(());
        }
        let sysroot = self.gatherer.sysroot;
        let source = sysroot.display(path.as_path());
        let failed = |error| Fault::Read {
            path: source.clone(),
            source: error,
        };
        let role = match self.role {
            Role::Data => Role::Data,
            role if is_elf(sysroot, path, facts).map_err(failed)? => role,
            _ => Role::Data,
        };
        let (content, mode) = sysroot.content(path).map_err(failed)?;
        let entry = Entry::file(content, mode & 0o777, Origin::Runtime);
        self.insert(path.clone(), entry, source, role);
        self.check_count()
    }

    /// Adds all that is in the directory at the end of a way, and what links in it lead to.
    fn enter_all(&mut self, trace: &Trace) -> Result<(), Fault> {
        let mut todo = Vec::new();
        if let Node::Directory { mode } = trace.node {
            todo.push((trace.target.clone(), mode));
        }
        while let Some((directory, mode)) = todo.pop() {
            if !self.is_public(&directory, mode, 0o005) || !self.entered.insert(directory.clone()) {
                continue;
            }
            if !self.is_known(&directory) {
                let source = self.gatherer.sysroot.display(directory.as_path());
                let entry = Entry::directory(mode & 0o1777, Origin::Runtime);
                self.insert(directory.clone(), entry, source, Role::Data);
            }
            for name in self.names_in(&directory)? {
                let Ok(path) = directory.join(name) else {
                    continue;
                };
                if let Some(further) = self.add_child(&directory, &path)? {
                    todo.push(further);
                }
            }
            self.check_count()?;
        }
        Ok(())
    }

    /// Adds what stands at `path` in a directory; gives back what is to be entered.
    fn add_child(
        &mut self,
        directory: &ImagePath,
        path: &ImagePath,
    ) -> Result<Option<(ImagePath, u32)>, Fault> {
        if self.excluded.has(path) {
            return Ok(None);
        }
        let node = match self.gatherer.sysroot.node(path) {
            Ok(node) => node,
            Err(source) if is_absence(&source) => return Ok(None),
            Err(source) => {
                let path = self.gatherer.sysroot.display(path.as_path());
                return Err(Fault::Read { path, source });
            }
        };
        match node {
            Node::Directory { mode } => Ok(Some((path.clone(), mode))),
            Node::File(facts) => {
                if self.is_public(path, facts.mode, 0o004) {
                    self.add_file(path, &facts)?;
                }
                Ok(None)
            }
            Node::Symlink(_) => self.follow(directory, path),
            Node::Other => Ok(None),
        }
    }

    /// A link in a directory comes with what it leads to; one to a directory above would bring
    /// the whole system.
    fn follow(
        &mut self,
        directory: &ImagePath,
        path: &ImagePath,
    ) -> Result<Option<(ImagePath, u32)>, Fault> {
        let Some(trace) = self.trace(path.as_path())? else {
            return Ok(None);
        };
        self.add(&trace)?;
        let is_above = directory.starts_with(&trace.target);
        let is_shallow = trace.target.parent().is_none_or(|parent| parent.is_root());
        let is_excluded = names(&trace).any(|path| self.excluded.holds(&path));
        match trace.node {
            Node::Directory { mode } if !is_above && !is_shallow && !is_excluded => {
                Ok(Some((trace.target, mode)))
            }
            _ => Ok(None),
        }
    }

    fn names_in(&self, directory: &ImagePath) -> Result<Vec<OsString>, Fault> {
        let sysroot = self.gatherer.sysroot;
        match sysroot.read_dir(directory.as_path()) {
            Ok(names) => Ok(names),
            Err(source) if is_absence(&source) => Ok(Vec::new()),
            Err(source) => Err(Fault::Read {
                path: sysroot.display(directory.as_path()),
                source,
            }),
        }
    }

    /// Whether everybody may do what the mode `bits` say. What is kept from others may be a
    /// secret, and the image's user could not read it either.
    fn is_public(&mut self, path: &ImagePath, mode: u32, bits: u32) -> bool {
        let public = mode & bits == bits;
        if !public && !self.gatherer.held.contains(path) {
            let shown = self.gatherer.sysroot.display(path.as_path());
            self.private.get_or_insert((shown, mode));
        }
        public
    }

    fn is_known(&self, path: &ImagePath) -> bool {
        self.found.contains_key(path)
            || self.gatherer.taken.contains(path)
            || self.gatherer.held.contains(path)
    }

    fn insert(&mut self, path: ImagePath, entry: Entry, source: PathBuf, role: Role) {
        let companion = Companion {
            path: path.clone(),
            entry,
            source,
            role,
        };
        self.found.insert(path, companion);
    }

    fn check_count(&self) -> Result<(), Fault> {
        match self.found.len() > ENTRY_LIMIT {
            true => Err(Fault::TooMany),
            false => Ok(()),
        }
    }
}

/// Whether the file starts as ELF files do.
fn is_elf(sysroot: &dyn Sysroot, path: &ImagePath, facts: &FileFacts) -> io::Result<bool> {
    let mut head = [0; 4];
    if facts.size <= head.len() as u64 {
        return Ok(false);
    }
    let read = sysroot.open(path.as_path())?.read_at(&mut head, 0)?;
    Ok(read == head.len() && head == *ELF_MAGIC)
}

/// Whether it is as if nothing were there: what nobody finds, no program misses.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidFilename
    )
}

/// The names in directories, each of which is read once.
pub(super) type Listings = HashMap<PathBuf, Rc<[OsString]>>;

/// The paths that `pattern` may mean, in the order of their bytes. Something matches each part of
/// it that is a pattern; whether names after the last of those exist has not been looked at.
pub(super) fn candidates(
    sysroot: &dyn Sysroot,
    pattern: &PathSteps,
    listings: &mut Listings,
) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/")];
    for step in pattern.steps() {
        match step {
            Step::Name(name) => paths.iter_mut().for_each(|path| path.push(name)),
            Step::Pattern(matcher) => {
                let mut below = Vec::new();
                for path in paths {
                    let read = |path: &PathBuf| sysroot.read_dir(path).unwrap_or_default().into();
                    let names = match listings.get(&path) {
                        Some(known) => known.clone(),
                        None => listings
                            .entry(path.clone())
                            .or_insert_with_key(read)
                            .clone(),
                    };
                    let matching = names
                        .iter()
                        .filter(|name| matcher.is_match(name.as_bytes()));
                    below.extend(matching.map(|name| path.join(name)));
                }
                below.truncate(ENTRY_LIMIT);
                paths = below;
            }
        }
    }
    paths
}
