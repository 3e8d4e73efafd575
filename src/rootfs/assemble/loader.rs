//! What tells the loader in the image where the libraries lie that it would not find alone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::placement::Placement;
use crate::Rootfs;
use crate::elf::{Closure, Flavour, LoadedObject, Loader, Machine, Request, Rule};

/// The directory of variants for newer CPUs (`ld.so(8)`, "Hardware capabilities").
const VARIANTS: &str = "glibc-hwcaps";

/// The files that the loaders need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Configuration {
    /// glibc's caches: path and entries.
    pub(super) caches: Vec<(PathBuf, Vec<Library>)>,
    /// Directories that a later `ldconfig` must scan to find the same.
    pub(super) directories: Vec<PathBuf>,
    /// musl's files of directories: path and all directories, in order.
    pub(super) path_files: Vec<(PathBuf, Vec<PathBuf>)>,
}

/// A library of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Library {
    pub(super) soname: OsString,
    pub(super) path: PathBuf,
    pub(super) machine: Machine,
    /// The name of the subdirectory of `glibc-hwcaps`, if it is in one.
    pub(super) variant: Option<OsString>,
}

/// Decides what the loaders of `closure` need to find in `rootfs` what they found on the system.
pub(super) fn plan(closure: &Closure, placement: &Placement, rootfs: &Rootfs) -> Configuration {
    let mut plan = Configuration::default();
    for loader in &closure.loaders {
        let outside = outside(loader, closure, placement, rootfs);
        if outside.is_empty() {
            continue;
        }
        match (loader.flavour, &loader.cache, &loader.path_file) {
            (Flavour::Glibc, Some(cache), _) => {
                let libraries = libraries(loader, closure, placement);
                match plan.caches.iter_mut().find(|(path, _)| path == cache) {
                    Some((_, known)) => {
                        for library in libraries {
                            if !known.contains(&library) {
                                known.push(library);
                            }
                        }
                    }
                    None => plan.caches.push((cache.clone(), libraries)),
                }
                for directory in outside {
                    if !plan.directories.contains(&directory) {
                        plan.directories.push(directory);
                    }
                }
            }
            (Flavour::Musl, _, Some(file)) => {
                // LD_LIBRARY_PATH came first there, so it comes first here.
                let directories = outside.into_iter().chain(loader.directories.clone());
                plan.path_files.push((file.clone(), directories.collect()));
            }
            _ => {}
        }
    }
    plan
}

/// The directories of libraries that the loader does not search by itself, in load order.
fn outside(
    loader: &Loader,
    closure: &Closure,
    placement: &Placement,
    rootfs: &Rootfs,
) -> Vec<PathBuf> {
    let is_searched = |directory: &Path| {
        loader.directories.iter().any(|own| {
            let led_to = rootfs.follow(own);
            own == directory || (led_to.is_some() && led_to == rootfs.follow(directory))
        })
    };
    let mut found = Vec::new();
    for (index, object, request) in requests(loader, closure) {
        let configured = match request.rule {
            Rule::LibraryPath { .. } => true,
            Rule::Cache | Rule::Conf { .. } => loader.flavour == Flavour::Glibc,
            _ => false,
        };
        if configured
            && let Some((directory, _)) =
                directory_and_variant(&placed_path(placement, index, object, request))
            && !is_searched(&directory)
            && !found.contains(&directory)
        {
            found.push(directory);
        }
    }
    found
}

/// All libraries that were found by name alone where every object looks.
fn libraries(loader: &Loader, closure: &Closure, placement: &Placement) -> Vec<Library> {
    let mut seen = BTreeSet::new();
    let mut libraries = Vec::new();
    for (index, object, request) in requests(loader, closure) {
        if !matches!(
            request.rule,
            Rule::Cache | Rule::Conf { .. } | Rule::LibraryPath { .. } | Rule::Default { .. }
        ) {
            continue;
        }
        let path = placed_path(placement, index, object, request);
        let variant = directory_and_variant(&path).and_then(|(_, variant)| variant);
        if seen.insert((request.name.clone(), variant.clone())) {
            libraries.push(Library {
                soname: request.name.clone(),
                path,
                machine: object.object.machine,
                variant,
            });
        }
    }
    libraries
}

/// The requests by a bare name for objects that this loader can map.
fn requests<'a>(
    loader: &'a Loader,
    closure: &'a Closure,
) -> impl Iterator<Item = (usize, &'a LoadedObject, &'a Request)> {
    let kind = |machine: &Machine| (machine.number, machine.class, machine.order);
    closure
        .objects
        .iter()
        .enumerate()
        .filter(move |(_, object)| kind(&object.object.machine) == kind(&loader.machine))
        .flat_map(|(index, object)| {
            object
                .requests
                .iter()
                .map(move |request| (index, object, request))
        })
        .filter(|(_, _, request)| !request.name.as_bytes().contains(&b'/'))
}

/// Where this request finds the object in the image.
fn placed_path(
    placement: &Placement,
    index: usize,
    object: &LoadedObject,
    request: &Request,
) -> PathBuf {
    let path = found_path(object, request);
    match placement.moves(index) {
        true => placement.spelling(path),
        false => None,
    }
    .unwrap_or_else(|| path.to_path_buf())
}

/// The path under which this request found the object.
fn found_path<'a>(object: &'a LoadedObject, request: &Request) -> &'a Path {
    let directory = match &request.rule {
        Rule::LibraryPath { directory }
        | Rule::Conf { directory }
        | Rule::Default { directory } => directory.as_path(),
        _ => Path::new("/"),
    };
    let paths = || std::iter::once(&object.path).chain(object.aliases.iter().map(|(path, _)| path));
    let named = |path: &&PathBuf| path.file_name() == Some(&request.name);
    paths()
        .find(|path| named(path) && path.starts_with(directory))
        .or_else(|| paths().find(named))
        .unwrap_or(&object.path)
}

/// The directory that was searched, and the variant below it.
fn directory_and_variant(path: &Path) -> Option<(PathBuf, Option<OsString>)> {
    let directory = path.parent()?;
    match (directory.parent(), directory.file_name()) {
        (Some(variants), Some(variant)) if variants.file_name() == Some(VARIANTS.as_ref()) => {
            Some((
                variants.parent()?.to_path_buf(),
                Some(variant.to_os_string()),
            ))
        }
        _ => Some((directory.to_path_buf(), None)),
    }
}

/// One directory a line, as both loaders' configuration files have it.
pub(super) fn lines(directories: &[PathBuf]) -> Vec<u8> {
    let mut lines = Vec::new();
    for directory in directories {
        lines.extend_from_slice(directory.as_os_str().as_bytes());
        lines.push(b'\n');
    }
    lines
}
