//! The closure: every object that the loader would map, and why.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Machine, Object, ObjectError};
use crate::sysroot::{Sysroot, Trace, TraceError};

/// How much a library that is opened by `dlopen` matters (UAPI.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Only some rare feature needs it: listed, not packed.
    Suggested,
    /// Packed; its absence is a warning.
    Recommended,
    /// Packed; its absence is an error.
    Required,
}

/// Where a resolution starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A program that the kernel starts: a process of its own.
    Program {
        /// Absolute path in the sysroot.
        path: PathBuf,
    },
    /// A library that the process of the first program opens by `dlopen`, by path:
    /// a plugin, or a library that was included.
    Plugin {
        /// Absolute path in the sysroot.
        path: PathBuf,
    },
    /// A library that the first program opens by `dlopen`, by name (`--dlopen`).
    Dlopen {
        /// The name as the program gives it.
        name: OsString,
    },
}

/// What the user of the resolver may set.
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    /// Directories in `LD_LIBRARY_PATH` (`--library-path`), absolute paths in the sysroot.
    pub library_path: Vec<PathBuf>,
    /// Pack what `.note.dlopen` notes only suggest, too.
    pub suggested: bool,
}

/// Every object that the loader would map, in load order, and what is wrong.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    /// The objects; programs come first in their processes. No file stands in it twice.
    pub objects: Vec<LoadedObject>,
    /// The dynamic loaders that start the programs, each once.
    pub loaders: Vec<Loader>,
    /// Configuration files that the loader reads and the image needs (musl's `ld-musl-ARCH.path`).
    pub loader_files: Vec<Trace>,
    /// Libraries that were found nowhere.
    pub missing: Vec<MissingLibrary>,
    /// Files that the loader would find and refuse.
    pub rejected: Vec<Rejected>,
    /// Symbol versions that no object defines.
    pub unmet_versions: Vec<UnmetVersion>,
    /// Warnings and hints, in the order in which they were met.
    pub notices: Vec<Notice>,
}

impl Closure {
    /// Whether all that is needed was found and fits.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.rejected.is_empty() && self.unmet_versions.is_empty()
    }

    /// The files that the loader refuses, each once, with the reason and who asks for it.
    pub fn refused(&self) -> Vec<(&Path, &str, Vec<usize>)> {
        let mut files: Vec<(&Path, &str, Vec<usize>)> = Vec::new();
        for rejected in &self.rejected {
            let known = files.iter_mut().find(|(path, reason, _)| {
                *path == rejected.path.as_path() && *reason == rejected.reason
            });
            match known {
                Some((_, _, needed_by)) => needed_by.extend(rejected.needed_by),
                None => files.push((
                    &rejected.path,
                    &rejected.reason,
                    rejected.needed_by.into_iter().collect(),
                )),
            }
        }
        files
    }

    /// The objects that were not named by the user: shared libraries and loaders.
    pub fn libraries(&self) -> impl Iterator<Item = &LoadedObject> {
        self.objects
            .iter()
            .filter(|object| object.requests.iter().all(|request| request.by.is_some()))
    }
}

/// A dynamic loader (`PT_INTERP`) and where it looks on its own: read from the binary itself,
/// since distributions build it with other directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// The path under which the kernel opens it.
    pub path: PathBuf,
    /// Index in [`Closure::objects`].
    pub object: usize,
    /// Whose rules it follows.
    pub flavour: Flavour,
    /// What it runs on.
    pub machine: Machine,
    /// The directories that it searches without any configuration, in order. For musl those of
    /// `ld-musl-ARCH.path`, if the file exists.
    pub directories: Vec<PathBuf>,
    /// The cache that it reads (`/etc/ld.so.cache`), whether the file exists or not; `None` for
    /// loaders that read none.
    pub cache: Option<PathBuf>,
    /// musl's file of directories (`/etc/ld-musl-ARCH.path`), whether it exists or not.
    pub path_file: Option<PathBuf>,
}

/// Whose rules a loader follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// GNU libc's `ld.so(8)`.
    Glibc,
    /// musl's `ldso/dynlink.c`.
    Musl,
    /// Another one; glibc's rules without its cache are assumed, with a warning.
    Other,
}

/// One file of the closure.
#[derive(Debug, Clone)]
pub struct LoadedObject {
    /// The path string under which the loader first opens it. May hold `..` and links.
    pub path: PathBuf,
    /// How that path leads to the file.
    pub trace: Trace,
    /// Further paths under which the loader opens the same file, with how they lead there.
    pub aliases: Vec<(PathBuf, Trace)>,
    /// The facts of the file.
    pub object: Object,
    /// Every request that ended at it, the one that loaded it first.
    pub requests: Vec<Request>,
}

/// One request for a library and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Index in [`Closure::objects`] of the object that asked; `None` for a root.
    pub by: Option<usize>,
    /// The name that was asked for: a `DT_NEEDED` entry, an interpreter's path, a `dlopen` name.
    pub name: OsString,
    /// What made it look.
    pub finding: Finding,
    /// Which rule answered.
    pub rule: Rule,
}

/// Why an object was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is what the user pointed at, or an interpreter of a script.
    Root,
    /// `PT_INTERP`: the kernel opens it.
    Interpreter,
    /// `DT_NEEDED`.
    Needed,
    /// `DT_FILTER` or `DT_AUXILIARY`.
    Filter,
    /// `DT_AUDIT` or `DT_DEPAUDIT`.
    Audit,
    /// A `.note.dlopen` note, for this feature.
    DlopenNote(Option<String>),
    /// `--dlopen`.
    DlopenOption,
    /// libc opens it for one of its own functions (`libgcc_s.so.1` for `pthread_cancel`, NSS modules).
    Libc(&'static str),
}

/// The rule of the loader that found a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Opened by its path: a root, the interpreter, or a name with a slash.
    Path,
    /// `DT_RPATH` of the object with this index, as spelled there.
    Rpath {
        /// Index in [`Closure::objects`].
        of: usize,
        /// The element, unexpanded.
        element: OsString,
    },
    /// `LD_LIBRARY_PATH`.
    LibraryPath {
        /// The directory.
        directory: PathBuf,
    },
    /// `DT_RUNPATH` of the object with this index.
    Runpath {
        /// Index in [`Closure::objects`].
        of: usize,
        /// The element, unexpanded.
        element: OsString,
    },
    /// `/etc/ld.so.cache`.
    Cache,
    /// `/etc/ld.so.conf`, read as `ldconfig` reads it because there is no cache.
    Conf {
        /// The directory.
        directory: PathBuf,
    },
    /// A directory that is built into the loader.
    Default {
        /// The directory.
        directory: PathBuf,
    },
    /// `/etc/ld-musl-ARCH.path`.
    MuslPath {
        /// The directory.
        directory: PathBuf,
    },
    /// An object already loaded has this soname or was asked for by this name before.
    AlreadyLoaded,
    /// musl's loader is its own libc, libm, libpthread...
    MuslItself,
}

/// A library that was found nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingLibrary {
    /// The name asked for.
    pub name: OsString,
    /// The objects that ask for it (indices in [`Closure::objects`]).
    pub needed_by: Vec<usize>,
    /// Where it was looked for, in order: directories, and files such as the cache.
    pub searched: Vec<String>,
    /// Files of that name that the loader passes over, and why: another class or machine, or
    /// for some CPUs only.
    pub unsuitable: Vec<(PathBuf, String)>,
    /// Why it was looked for, when first asked for.
    pub finding: Finding,
    /// What is special about it and what to do, for people: where it is no use to install
    /// the library or to name its directory.
    pub note: Option<String>,
}

/// A file that the loader finds and then refuses, fatally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The name asked for.
    pub name: OsString,
    /// The file.
    pub path: PathBuf,
    /// Who asks for it (index in [`Closure::objects`]).
    pub needed_by: Option<usize>,
    /// What is wrong, for people.
    pub reason: String,
}

/// A symbol version that the object found does not define.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnmetVersion {
    /// The version, such as `GLIBC_2.38`.
    pub version: OsString,
    /// Index of the object that should define it.
    pub provider: usize,
    /// Index of the object that requires it.
    pub required_by: usize,
}

/// Something that the user should know, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It may matter at run time.
    Warning(String),
    /// A library named in read-only data that exists on the system; the flag would add it.
    Hint {
        /// The name found in the program.
        name: OsString,
        /// Where it would be found.
        path: PathBuf,
        /// The object that names it.
        by: usize,
    },
    /// A `.note.dlopen` note only suggests it.
    Suggested {
        /// The alternatives.
        sonames: Vec<OsString>,
        /// The feature, if it is named.
        feature: Option<String>,
        /// The object with the note.
        by: usize,
    },
}

/// Why the closure could not be computed at all. What is merely missing or
/// refused is in the [`Closure`], all of it at once.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The path of a root leads nowhere.
    #[error("cannot find {}: {source}; check the path (inside the sysroot, if one is given)", .path.display())]
    Path {
        /// The root, shown with the sysroot in front.
        path: PathBuf,
        /// What stopped the walk.
        source: TraceError,
    },
    /// A root cannot be opened.
    #[error("cannot open {}: {source}", .path.display())]
    Open {
        /// The root, shown with the sysroot in front.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A root is no ELF object.
    #[error("{}: {source}", .path.display())]
    Object {
        /// The root, shown with the sysroot in front.
        path: PathBuf,
        /// What is wrong with it.
        source: ObjectError,
    },
    /// A root that should be a program is something else.
    #[error("{} is {what}, not a program that can be started; give the program that uses it", .path.display())]
    NoProgram {
        /// The root, shown with the sysroot in front.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
}

/// Resolves all `roots` in `sysroot`.
///
/// Every [`Root::Program`] is a process of its own; the other roots are opened in the process
/// of the first one, after the libraries that it needs to start. With variants for other CPUs
/// in the searched directories (`glibc-hwcaps`), each process is gone through once for every
/// kind of CPU that gets other files, so that the closure holds what any of them maps.
///
/// # Errors
/// When a root cannot be read or is no ELF object.
pub fn resolve(
    sysroot: &dyn Sysroot,
    roots: &[Root],
    resolver: &Resolver,
) -> Result<Closure, ResolveError> {
    super::resolution::Resolution::new(sysroot, resolver).resolve(roots)
}
