//! Where a module is: the rules of `importlib`'s path finder.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::rc::Rc;

use super::files::{Files, Listing, text};
use super::interpreter::Interpreter;
use crate::ImagePath;

/// A module that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) kind: Kind,
    /// Its file; a package's is its `__init__`, a namespace has none.
    pub(super) file: Option<ImagePath>,
    /// Where its submodules are, if it is a package.
    pub(super) directories: Vec<ImagePath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Source,
    Extension,
    /// A `.pyc` in the place of its source.
    Sourceless,
    /// Directories without `__init__.py` (PEP 420).
    Namespace,
}

impl Module {
    pub(super) fn is_package(&self) -> bool {
        !self.directories.is_empty()
    }
}

/// Looks modules up, each once.
pub(super) struct Finder<'a> {
    files: &'a Files<'a>,
    interpreter: &'a Interpreter,
    /// `sys.path`, directories that exist, no link on the way.
    path: Vec<ImagePath>,
    /// Modules that an editable install maps to a directory, or to a file.
    mapped: BTreeMap<String, ImagePath>,
    known: HashMap<String, Option<Rc<Module>>>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        files: &'a Files<'a>,
        interpreter: &'a Interpreter,
        path: Vec<ImagePath>,
        mapped: BTreeMap<String, ImagePath>,
    ) -> Self {
        Self {
            files,
            interpreter,
            path,
            mapped,
            known: HashMap::new(),
        }
    }

    /// The module of an absolute dotted name, when it and the packages above it are there.
    pub(super) fn find(&mut self, name: &str) -> Option<Rc<Module>> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let ends = name
            .match_indices('.')
            .map(|(at, _)| at)
            .chain([name.len()]);
        let mut parent: Option<Rc<Module>> = None;
        let mut start = 0;
        for end in ends {
            let whole = name.get(..end)?;
            let last = name.get(start..end)?;
            start = end + 1;
            let found = match self.known.get(whole) {
                Some(known) => known.clone(),
                None => {
                    let found = self.look_up(whole, last, parent.as_deref()).map(Rc::new);
                    self.known.insert(whole.to_owned(), found.clone());
                    found
                }
            };
            let Some(found) = found else {
                self.known.insert(name.to_owned(), None);
                return None;
            };
            parent = Some(found);
        }
        parent
    }

    /// The extension modules that are in no package, of the directories of `sys.path` that `wanted`
    /// wants: C code imports each other by names that stand in it as strings.
    pub(super) fn top_extensions(&self, wanted: impl Fn(&ImagePath) -> bool) -> Vec<String> {
        let mut names = BTreeSet::new();
        for directory in self.path.iter().filter(|directory| wanted(directory)) {
            for (name, item) in self.files.names(directory).iter() {
                let name = text(name);
                let is_extension =
                    item.is_file() && name.ends_with(".so") && self.interpreter.loads(name);
                if let Some(module) = name.split('.').next().filter(|_| is_extension) {
                    names.insert(module.to_owned());
                }
            }
        }
        names.into_iter().collect()
    }

    fn look_up(&self, whole: &str, last: &str, parent: Option<&Module>) -> Option<Module> {
        if last.is_empty() || last.contains('/') {
            return None;
        }
        if let Some(place) = self.mapped.get(whole) {
            return match self.files.directory(place) {
                Some(directory) => Some(self.package(&directory).unwrap_or(Module {
                    kind: Kind::Namespace,
                    file: None,
                    directories: vec![directory],
                })),
                None => Some(Module {
                    kind: Kind::Source,
                    file: Some(place.clone()),
                    directories: Vec::new(),
                }),
            };
        }
        let directories = parent.map_or(&self.path, |parent| &parent.directories);
        let mut portions = Vec::new();
        for directory in directories {
            let listing = self.files.names(directory);
            let is_directory = listing
                .get(OsStr::new(last))
                .is_some_and(|item| item.is_directory());
            let below = match is_directory {
                true => directory
                    .join(last)
                    .ok()
                    .and_then(|path| self.files.directory(path)),
                false => None,
            };
            if let Some(package) = below.as_ref().and_then(|below| self.package(below)) {
                return Some(package);
            }
            if let Some((kind, name)) = self.module_file(&listing, last) {
                return Some(Module {
                    kind,
                    file: directory.join(name).ok(),
                    directories: Vec::new(),
                });
            }
            portions.extend(below);
        }
        (!portions.is_empty()).then_some(Module {
            kind: Kind::Namespace,
            file: None,
            directories: portions,
        })
    }

    /// The package in this directory, if it has an `__init__`.
    fn package(&self, directory: &ImagePath) -> Option<Module> {
        let (kind, name) = self.module_file(&self.files.names(directory), "__init__")?;
        Some(Module {
            kind,
            file: directory.join(name).ok(),
            directories: vec![directory.clone()],
        })
    }

    /// The file of a module in a directory: extensions come before sources, and those before
    /// compiled files.
    fn module_file(&self, listing: &Listing, name: &str) -> Option<(Kind, OsString)> {
        let start = OsString::from(format!("{name}."));
        let end = OsString::from(format!("{name}/"));
        let mut best: Option<(u32, Kind, OsString)> = None;
        for (file, item) in listing.range(start..end) {
            let tail = text(file).get(name.len()..).unwrap_or_default();
            let (rank, kind) = match tail {
                ".abi3.so" => (1, Kind::Extension),
                ".so" => (2, Kind::Extension),
                ".py" => (3, Kind::Source),
                ".pyc" => (4, Kind::Sourceless),
                tail if tail.starts_with(".cpython-")
                    && tail.ends_with(".so")
                    && self.interpreter.loads(tail) =>
                {
                    (0, Kind::Extension)
                }
                _ => continue,
            };
            if item.is_file() && best.as_ref().is_none_or(|(known, ..)| rank < *known) {
                best = Some((rank, kind, file.clone()));
            }
        }
        best.map(|(_, kind, file)| (kind, file))
    }
}
