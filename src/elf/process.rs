//! One process: the objects that the loader has mapped into it, and their names.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::rc::Rc;

use super::files::FileId;
use super::glibc::Configuration;
use super::loader::Interpreter;
use super::profile::Profile;
use super::search::{Element, Tokens, directory_of, glibc_elements, musl_path};
use super::{Flavour, Object};

/// Index of an object in [`Process::maps`].
pub(super) type MapId = usize;

/// An object mapped into a process (glibc's `link_map`, musl's `dso`).
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) file: FileId,
    /// Index in the closure.
    pub(super) index: usize,
    /// What `$ORIGIN` stands for.
    pub(super) origin: Vec<u8>,
    /// Who loaded it first (`l_loader`): the chain of inherited search paths.
    pub(super) parent: Option<MapId>,
    /// Only something that may be missing at run time asked for it.
    pub(super) optional: bool,
    /// `DT_RPATH`; empty if the object has a `DT_RUNPATH`. For musl, whichever it has.
    pub(super) rpath: Vec<Element>,
    /// `DT_RUNPATH`.
    pub(super) runpath: Vec<Element>,
    /// A `DT_RUNPATH` is there, however empty: it switches inherited paths off (glibc), and
    /// names the path (musl).
    pub(super) has_runpath: bool,
}

/// What is to be mapped, and how it came to that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mapping<'m> {
    pub(super) file: FileId,
    /// Index in the closure.
    pub(super) index: usize,
    /// The path of which the directory is `$ORIGIN`: the string under which a library was
    /// opened, but the file itself, all links followed, of a program.
    pub(super) real: &'m Path,
    pub(super) parent: Option<MapId>,
    pub(super) optional: bool,
}

/// The start-up state of a program and what it opens later.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) interpreter: Rc<Interpreter>,
    pub(super) configuration: Rc<Configuration>,
    pub(super) profile: Profile,
    /// In load order: the program, then its interpreter if that is there.
    pub(super) maps: Vec<Map>,
    names: HashMap<OsString, MapId>,
    files: HashMap<FileId, MapId>,
}

/// The program: always the first.
pub(super) const PROGRAM: MapId = 0;

impl Process {
    pub(super) fn new(
        interpreter: Rc<Interpreter>,
        configuration: Rc<Configuration>,
        profile: Profile,
    ) -> Self {
        Self {
            interpreter,
            configuration,
            profile,
            maps: Vec::new(),
            names: HashMap::new(),
            files: HashMap::new(),
        }
    }

    /// A namespace of its own (`dlmopen(3)`): the program is there for its search path alone, and
    /// of its objects the loader is the one that both share. It is the last in the list.
    pub(super) fn namespace(&self) -> Self {
        let mut namespace = Self::new(
            self.interpreter.clone(),
            self.configuration.clone(),
            self.profile.clone(),
        );
        namespace.maps = self.maps.iter().take(2).cloned().collect();
        for (name, map) in &self.names {
            if *map == 1 {
                namespace.name(name, *map);
            }
        }
        namespace
    }

    pub(super) fn is_musl(&self) -> bool {
        self.interpreter.flavour == Flavour::Musl
    }

    /// The object that a name means without any search.
    pub(super) fn named(&self, name: &OsStr) -> Option<MapId> {
        self.names.get(name).copied()
    }

    /// The object that was mapped from a file.
    pub(super) fn of_file(&self, file: FileId) -> Option<MapId> {
        self.files.get(&file).copied()
    }

    /// Whether any name means an object.
    pub(super) fn is_named(&self, map: MapId) -> bool {
        self.names.values().any(|known| *known == map)
    }

    /// Lets `name` mean an object, unless one that was loaded before has it.
    pub(super) fn name(&mut self, name: &OsStr, map: MapId) {
        if !self.names.contains_key(name) {
            self.names.insert(name.to_os_string(), map);
        }
    }

    /// Lets the file be found again under other names.
    pub(super) fn register(&mut self, file: FileId, map: MapId) {
        self.files.entry(file).or_insert(map);
    }

    /// Maps an object.
    pub(super) fn map(&mut self, mapping: &Mapping<'_>, object: &Object) -> MapId {
        let origin = directory_of(mapping.real).to_vec();
        let (rpath, runpath) = if self.is_musl() {
            let text = object.runpath.as_deref().or(object.rpath.as_deref());
            let path = text.map(|text| musl_path(text, &origin));
            (path.unwrap_or_default(), Vec::new())
        } else {
            let elements = |text: &OsString| glibc_elements(text, self.tokens(&origin));
            match (&object.rpath, &object.runpath) {
                (_, Some(runpath)) => (Vec::new(), elements(runpath)),
                (Some(rpath), None) => (elements(rpath), Vec::new()),
                (None, None) => (Vec::new(), Vec::new()),
            }
        };
        self.maps.push(Map {
            file: mapping.file,
            index: mapping.index,
            origin,
            parent: mapping.parent,
            optional: mapping.optional,
            rpath,
            runpath,
            has_runpath: object.runpath.is_some(),
        });
        self.maps.len() - 1
    }

    /// What the tokens stand for in an object with this origin.
    pub(super) fn tokens<'t>(&'t self, origin: &'t [u8]) -> Tokens<'t> {
        Tokens {
            origin,
            lib: &self.interpreter.lib,
            platform: self.profile.platform.map(str::as_bytes),
        }
    }

    /// The object `map` and who loaded it, up to the program.
    pub(super) fn chain(&self, map: MapId) -> impl Iterator<Item = (MapId, &Map)> {
        // A parent is always mapped before its children, so this ends.
        std::iter::successors(Some(map), |at| {
            let parent = self.maps.get(*at)?.parent?;
            (parent < *at).then_some(parent)
        })
        .filter_map(|at| Some((at, self.maps.get(at)?)))
    }
}
