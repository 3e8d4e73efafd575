//! Which modules an app imports, directly or not.
//!
//! First what is imported when modules are loaded, and by any code of the app; then what functions of
//! packages import when they are called, which may be never. A package that only comes along when it
//! is imported (`tkinter`, `setuptools`) must be found by the former.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::error::PythonError;
use super::files::{Files, TEXT_LIMIT};
use super::imports::{self, Imports};
use super::modules::{Finder, Kind, Module};
use crate::ImagePath;

/// Where the graph begins.
pub(super) struct Root {
    /// The package that its relative imports start from.
    pub(super) package: String,
    pub(super) text: Text,
}

/// A source.
pub(super) enum Text {
    File(ImagePath),
    Bytes(Vec<u8>),
    /// A compiled extension module, of which only strings can be read.
    Extension(ImagePath),
}

/// All modules that are imported.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// By their names; those above a module are in it.
    pub(super) modules: BTreeMap<String, Rc<Module>>,
    /// Modules that code of the app imports and that are found nowhere.
    pub(super) missing: BTreeSet<String>,
    /// Extension modules that others may import.
    extensions: Vec<String>,
}

/// A module of which the imports are ignored: `help()`, `exit()` and the like, which `site` makes
/// for the interactive interpreter, and which bring all of `pydoc`.
const INTERACTIVE: &str = "_sitebuiltins";
/// Modules that functions of packages do not bring.
const DEMANDED: [&str; 14] = [
    "_distutils_hack",
    "_tkinter",
    "distutils",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pip",
    "pkg_resources",
    "pydoc_data",
    "setuptools",
    "test",
    "tkinter",
    "turtledemo",
    "wheel",
];

fn without_demanded(names: &mut BTreeSet<String>) {
    names.retain(|name| {
        let top = name.split('.').next().unwrap_or_default();
        !DEMANDED.contains(&top)
    });
}

/// One source of which the imports are to be read.
struct Pending {
    root: Root,
    is_app: bool,
}

impl Graph {
    /// Walks from `roots` (the app) and the modules of `names` (what the interpreter imports).
    /// `extensions` are modules for which the strings of C code are searched; `is_app` says which
    /// files are the app's.
    pub(super) fn walk(
        files: &Files<'_>,
        finder: &mut Finder<'_>,
        roots: Vec<Root>,
        names: &[&str],
        extensions: Vec<String>,
        is_app: &dyn Fn(&ImagePath) -> bool,
        threads: usize,
    ) -> Result<Self, PythonError> {
        let mut graph = Self {
            extensions,
            ..Self::default()
        };
        let mut wave: Vec<Pending> = roots
            .into_iter()
            .map(|root| Pending { root, is_app: true })
            .collect();
        for name in names {
            graph.reach(finder, name, &mut wave, is_app);
        }
        let mut later = BTreeSet::new();
        while !wave.is_empty() {
            let read = graph.read(files, &wave, threads)?;
            wave = graph.follow(finder, &wave, read, &mut later, is_app);
        }
        while !later.is_empty() {
            without_demanded(&mut later);
            for name in std::mem::take(&mut later) {
                graph.reach(finder, &name, &mut wave, is_app);
            }
            while !wave.is_empty() {
                let mut read = graph.read(files, &wave, threads)?;
                // What is loaded later brings what it loads later.
                for imports in &mut read {
                    without_demanded(&mut imports.at_load);
                }
                wave = graph.follow(finder, &wave, read, &mut later, is_app);
            }
        }
        Ok(graph)
    }

    fn read(
        &self,
        files: &Files<'_>,
        wave: &[Pending],
        threads: usize,
    ) -> Result<Vec<Imports>, PythonError> {
        read(files, wave, &self.extensions, threads)
    }

    /// Follows what the sources of a wave import; returns those of the modules that are new.
    fn follow(
        &mut self,
        finder: &mut Finder<'_>,
        wave: &[Pending],
        read: Vec<Imports>,
        later: &mut BTreeSet<String>,
        is_app: &dyn Fn(&ImagePath) -> bool,
    ) -> Vec<Pending> {
        let mut next = Vec::new();
        for (pending, imports) in wave.iter().zip(read) {
            for name in &imports.at_load {
                if !self.reach(finder, name, &mut next, is_app)
                    && pending.is_app
                    && let Some(top) = name.split('.').next()
                    && finder.find(top).is_none()
                {
                    self.missing.insert(top.to_owned());
                }
            }
            for text in &imports.named {
                self.reach_named(finder, text, &mut next, is_app);
            }
            later.extend(imports.later);
        }
        next
    }

    /// Whether the module, or one below it, is imported.
    pub(super) fn has(&self, name: &str) -> bool {
        self.modules.contains_key(name)
    }

    /// The files of all modules, and the directories of namespaces.
    pub(super) fn files(&self) -> impl Iterator<Item = &ImagePath> {
        self.modules.values().flat_map(|module| match &module.file {
            Some(file) => std::slice::from_ref(file),
            None => &module.directories[..],
        })
    }

    /// Follows a string of the app's code that names a module of the app. One word may be anything,
    /// unless a package has that name.
    fn reach_named(
        &mut self,
        finder: &mut Finder<'_>,
        text: &str,
        wave: &mut Vec<Pending>,
        is_app: &dyn Fn(&ImagePath) -> bool,
    ) {
        let (mut name, attribute) = match text.split_once(':') {
            Some((name, attribute)) => (name, Some(attribute)),
            None => (text, None),
        };
        let top = name.split('.').next().unwrap_or_default();
        if matches!(top, "test" | "tests") || finder.find(top).is_none() {
            return;
        }
        loop {
            // What follows a module's name may be something in it.
            if let Some(module) = finder.find(name)
                && module.file.as_ref().is_some_and(is_app)
                && (module.is_package() || attribute.is_some() || text.contains('.'))
            {
                self.reach(finder, name, wave, is_app);
                return;
            }
            match name.rsplit_once('.') {
                Some((above, _)) => name = above,
                None => return,
            }
        }
    }

    /// Puts the module and those above it into the graph, and what of them is new into `wave`.
    fn reach(
        &mut self,
        finder: &mut Finder<'_>,
        name: &str,
        wave: &mut Vec<Pending>,
        is_app: &dyn Fn(&ImagePath) -> bool,
    ) -> bool {
        if self.modules.contains_key(name) {
            return true;
        }
        let ends = name
            .match_indices('.')
            .map(|(at, _)| at)
            .chain([name.len()]);
        for end in ends {
            let Some(part) = name.get(..end) else {
                return false;
            };
            if self.modules.contains_key(part) {
                continue;
            }
            let Some(module) = finder.find(part) else {
                return false;
            };
            if module.kind == Kind::Source
                && part != INTERACTIVE
                && let Some(file) = &module.file
            {
                let package = match module.is_package() {
                    true => part,
                    false => part.rsplit_once('.').map_or("", |(package, _)| package),
                };
                wave.push(Pending {
                    is_app: is_app(file),
                    root: Root {
                        package: package.to_owned(),
                        text: Text::File(file.clone()),
                    },
                });
            }
            if module.kind == Kind::Extension
                && !self.extensions.is_empty()
                && let Some(file) = &module.file
            {
                wave.push(Pending {
                    is_app: false,
                    root: Root {
                        package: String::new(),
                        text: Text::Extension(file.clone()),
                    },
                });
            }
            self.modules.insert(part.to_owned(), module);
        }
        true
    }
}

impl Pending {
    fn imports(&self, source: &[u8]) -> Imports {
        let package = &self.root.package;
        match self.is_app {
            // Its functions are called.
            true => imports::imports_of_app(source, package),
            false => imports::imports_by_time(source, package),
        }
    }
}

/// The largest extension module of which the strings are read, in bytes.
const EXTENSION_LIMIT: u64 = 64 << 20;

/// Which of `names` stand in `bytes` as strings of C.
fn strings(bytes: &[u8], names: &[String]) -> BTreeSet<String> {
    let longest = names.iter().map(String::len).max().unwrap_or(0);
    bytes
        .split(|byte| *byte == 0)
        .filter(|string| !string.is_empty() && string.len() <= longest)
        .filter_map(|string| names.iter().find(|name| name.as_bytes() == string))
        .cloned()
        .collect()
}

/// The fewest sources for which a further thread is worth its start.
const SOURCES_PER_THREAD: usize = 8;

/// The imports of each source, in their order. Threads take every n-th source.
fn read(
    files: &Files<'_>,
    wave: &[Pending],
    extensions: &[String],
    threads: usize,
) -> Result<Vec<Imports>, PythonError> {
    let sysroot = files.sysroot();
    let imports_of = |pending: &Pending| match &pending.root.text {
        Text::Bytes(bytes) => Ok(pending.imports(bytes)),
        Text::Extension(file) => {
            let bytes = sysroot
                .read(file.as_path(), EXTENSION_LIMIT)
                .unwrap_or_default();
            Ok(Imports {
                at_load: strings(&bytes, extensions),
                ..Imports::default()
            })
        }
        Text::File(file) => match sysroot.read(file.as_path(), TEXT_LIMIT) {
            Ok(bytes) => Ok(pending.imports(&bytes)),
            // What is too large for a source is data in the form of one.
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                Ok(Imports::default())
            }
            Err(source) => Err((file.clone(), source)),
        },
    };
    let threads = threads.clamp(1, wave.len().div_ceil(SOURCES_PER_THREAD).max(1));
    let failed = |(file, source): (ImagePath, std::io::Error)| files.failed(file, source);
    if threads == 1 {
        return wave
            .iter()
            .map(|pending| imports_of(pending).map_err(failed))
            .collect();
    }
    let part = |first: usize| -> Vec<_> {
        wave.iter()
            .skip(first)
            .step_by(threads)
            .map(imports_of)
            .collect()
    };
    let mut parts: Vec<_> = std::thread::scope(|scope| {
        let part = &part;
        let others: Vec<_> = (1..threads)
            .map(|first| scope.spawn(move || part(first)))
            .collect();
        let own = part(0);
        std::iter::once(own)
            .chain(others.into_iter().map(|other| match other.join() {
                Ok(part) => part,
                Err(panic) => std::panic::resume_unwind(panic),
            }))
            .map(Vec::into_iter)
            .collect()
    });
    let count = parts.len();
    let mut all = Vec::with_capacity(wave.len());
    for index in 0..wave.len() {
        // Each part has every n-th result, so none runs out before its turn.
        if let Some(result) = parts.get_mut(index % count).and_then(Iterator::next) {
            all.push(result.map_err(failed)?);
        }
    }
    Ok(all)
}
