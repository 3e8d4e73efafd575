//! The proof that the image is whole: its closure is resolved once more, inside it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::Error;
use super::input::Input;
use crate::ImagePath;
use crate::elf::{Closure, LoadedObject, Resolver, Root, resolve};
use crate::rootfs::{Assembled, Origin, Rootfs};
use crate::sysroot::trace;

/// How the closure inside the image differs from the one on the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A library is not found.
    Missing {
        /// The name asked for.
        name: String,
        /// Who asks.
        by: Vec<String>,
    },
    /// A file of the closure is not loaded.
    NotLoaded(ImagePath),
    /// A file is loaded that the closure does not have.
    LoadedInstead(ImagePath),
    /// Anything else, in words.
    Other(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, by } if by.is_empty() => write!(f, "{name} is not found"),
            Self::Missing { name, by } => {
                write!(f, "{name} is not found (needed by {})", by.join(", "))
            }
            Self::NotLoaded(path) => write!(f, "{path} is in the image, but would not be loaded"),
            Self::LoadedInstead(path) => write!(f, "{path} would be loaded instead"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Resolves the same roots inside `assembled` and compares: the same files must be loaded.
pub(super) fn same_closure(
    closure: &Closure,
    assembled: &Assembled,
    input: &Input<'_>,
    dlopen: &[OsString],
    env: &[(String, String)],
) -> Result<(), Error> {
    let image = crate::sysroot::Assembled(&assembled.rootfs);
    let places = Places::new(assembled);
    let roots: Vec<Root> = input
        .app
        .roots
        .iter()
        .chain(&input.further_roots)
        .map(|root| places.of_root(input, root))
        .chain(
            dlopen
                .iter()
                .map(|name| Root::Dlopen { name: name.clone() }),
        )
        .collect();
    let resolver = Resolver {
        library_path: library_path(env),
        ..Resolver::default()
    };
    let inside = resolve(&image, &roots, &resolver)?;

    let mut differences = unresolved(&inside);
    let files = |objects: &[LoadedObject]| {
        objects
            .iter()
            .map(|object| object.trace.target.clone())
            .collect()
    };
    let found: BTreeSet<ImagePath> = files(&inside.objects);
    let mut expected: BTreeSet<ImagePath> = closure
        .objects
        .iter()
        .map(|object| places.of(&object.trace.target))
        .collect();
    // An include that is a further name of such a file is a file of its own in its layer.
    let is_included = |path: &ImagePath| {
        (assembled.rootfs.get(path)).is_some_and(|entry| entry.origin >= Origin::Runtime)
    };
    let copies = closure.objects.iter().flat_map(|object| &object.aliases);
    let copies = copies.map(|(_, trace)| places.of(&trace.target));
    expected.extend(copies.filter(|path| is_included(path) && found.contains(path)));
    differences.extend(
        expected
            .difference(&found)
            .cloned()
            .map(Difference::NotLoaded),
    );
    differences.extend(
        found
            .difference(&expected)
            .cloned()
            .map(Difference::LoadedInstead),
    );
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Error::NotReproduced(differences))
    }
}

/// What the loader does not find, or refuses, inside the image.
fn unresolved(inside: &Closure) -> Vec<Difference> {
    let name_of = |index: &usize| {
        inside
            .objects
            .get(*index)
            .map(|object| object.path.display().to_string())
    };
    let missing = inside.missing.iter().map(|library| Difference::Missing {
        name: library.name.to_string_lossy().into_owned(),
        by: library.needed_by.iter().filter_map(name_of).collect(),
    });
    let rejected = inside
        .rejected
        .iter()
        .map(|file| Difference::Other(format!("{}: {}", file.path.display(), file.reason)));
    let versions = inside.unmet_versions.iter().map(|unmet| {
        Difference::Other(format!(
            "{} is not defined",
            unmet.version.to_string_lossy()
        ))
    });
    missing.chain(rejected).chain(versions).collect()
}

/// The directories of an `LD_LIBRARY_PATH` that the image itself sets.
fn library_path(env: &[(String, String)]) -> Vec<PathBuf> {
    env.iter()
        .filter(|(name, _)| name == "LD_LIBRARY_PATH")
        .flat_map(|(_, value)| value.split([':', ';']))
        .filter(|directory| directory.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Where files of the sysroot stand in the image.
struct Places<'a> {
    moved: BTreeMap<&'a ImagePath, &'a ImagePath>,
    rootfs: &'a Rootfs,
}

impl<'a> Places<'a> {
    fn new(assembled: &'a Assembled) -> Self {
        let moved = assembled
            .placements
            .iter()
            .map(|(image, system)| (system, image))
            .collect();
        Self {
            moved,
            rootfs: &assembled.rootfs,
        }
    }

    fn of(&self, path: &ImagePath) -> ImagePath {
        let place = self.moved.get(path).copied().unwrap_or(path);
        match self.rootfs.get(place).map(|entry| &entry.kind) {
            Some(_) => place.clone(),
            // An include's own path may lead through links of the image.
            None => self
                .rootfs
                .follow(place.as_path())
                .unwrap_or_else(|| place.clone()),
        }
    }

    fn of_root(&self, input: &Input<'_>, root: &Root) -> Root {
        let place = |path: &PathBuf| match trace(input.sysroot(), path) {
            Ok(walked) => self.of(&walked.target).into(),
            Err(_) => path.clone(),
        };
        match root {
            Root::Program { path } => Root::Program { path: place(path) },
            Root::Plugin { path } => Root::Plugin { path: place(path) },
            Root::Dlopen { name } => Root::Dlopen { name: name.clone() },
        }
    }
}
