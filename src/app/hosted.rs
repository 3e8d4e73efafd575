//! Apps that a language runtime runs: what is common to Python, Node.js and Java.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Companions;
use crate::ImagePath;
use crate::elf::Root;
use crate::sysroot::{Sysroot, trace};

/// A language runtime that runs an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// CPython.
    Python,
    /// Node.js.
    Node,
    /// A Java virtual machine.
    Java,
}

impl std::fmt::Display for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Python => "Python",
            Self::Node => "Node.js",
            Self::Java => "Java",
        })
    }
}

/// Which runtime the user wants (`--runtime`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuntimeChoice {
    /// What the app looks like.
    #[default]
    Auto,
    /// None: an ELF program or a `#!` script, as the kernel starts it.
    None,
    /// This one.
    Only(Runtime),
}

/// An app that a runtime runs. All its paths are those of the image: where a companion lands
/// there, it is found there by everything that comes after recognising.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosted {
    /// What runs it.
    pub runtime: Runtime,
    /// Its version, as `3.11.7`.
    pub version: String,
    /// The command of the image: the runtime, its options, the app.
    pub command: Vec<String>,
    /// Environment that the app needs to run, beside the base's and weaker than the user's.
    pub env: Vec<(String, String)>,
    /// The working directory, unless the user names one.
    pub workdir: Option<ImagePath>,
    /// The ELF programs that the kernel starts: the runtime's, first the one in `command`.
    pub roots: Vec<Root>,
    /// Everything else that comes along.
    pub companions: Vec<Companions>,
    /// Directories in which libraries are looked for as in `LD_LIBRARY_PATH`: those of a runtime
    /// that was moved away from where its `RUNPATH` says.
    pub library_path: Vec<PathBuf>,
    /// Directories of this machine that were moved: no look-up finds anything there any more.
    pub hidden: Vec<ImagePath>,
    /// Directories of this machine and where what is below them lands, the longest first: for
    /// files that are named by their path on this machine (a trace).
    pub moved: Vec<(PathBuf, ImagePath)>,
    /// What was decided and the flag that decides otherwise, a sentence each.
    pub decisions: Vec<String>,
    /// What the user should know.
    pub notices: Vec<String>,
}

/// The machine that builds, as far as recognising an app may use it.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its environment: `PATH`, `VIRTUAL_ENV`, `JAVA_HOME`...
    pub variables: BTreeMap<OsString, OsString>,
    /// A directory for files that are made on the way (a smaller Java runtime) and must stay
    /// until the image is written. What is in it may be found again by a later build: name it by
    /// a hash of all that it was made from, and make it aside and rename it.
    pub scratch: PathBuf,
    /// Threads that may be used; they never change a byte.
    pub threads: usize,
}

impl Host {
    /// The program `name` in the directories of `PATH`.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.variables.get(OsStr::new("PATH"))?;
        std::env::split_paths(path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(name))
            .find(|file| {
                std::fs::metadata(file)
                    .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
            })
    }
}

/// What recognising an app goes by.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The system that everything is taken from. Never look at the file system itself.
    pub sysroot: &'a dyn Sysroot,
    /// The directories of the image's `PATH`, in which `env` looks.
    pub search: &'a [PathBuf],
    /// What the user wants.
    pub runtime: RuntimeChoice,
    /// Whether a shell may come into the image (`--allow-shell`).
    pub shell: bool,
    /// The machine that builds, when programs of the sysroot can be run on it; `None` when the
    /// sysroot is another system: then nothing is executed, and nothing of the environment counts.
    pub host: Option<&'a Host>,
    /// The other system, where the sysroot is one and has files of this machine beside it.
    pub ground: Option<Ground<'a>>,
}

/// Another system than this machine: a base that is a whole system, or that of `--sysroot`. The
/// app may be of this machine; what runs it is of this system.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// It alone.
    pub sysroot: &'a dyn Sysroot,
    /// What it is, for people: `the base debian:bookworm/python3`, `the system in /srv/root`.
    pub name: &'a str,
    /// The home directory of who builds: what lies in it is not all of one project.
    pub home: Option<&'a Path>,
}

impl Scene<'_> {
    /// Whether an app at `path` may be taken for one of `runtime`: nobody asked for another.
    pub fn allows(&self, runtime: Runtime) -> bool {
        match self.runtime {
            RuntimeChoice::Auto => true,
            RuntimeChoice::None => false,
            RuntimeChoice::Only(only) => only == runtime,
        }
    }

    /// How to show a path to a person.
    pub fn display(&self, path: &Path) -> PathBuf {
        self.sysroot.display(path)
    }

    /// Whether a runtime at `path` may be taken: it is not one of this machine where another
    /// system is to be used.
    pub fn may_run(&self, path: &Path) -> bool {
        let ground = self.ground.map(|ground| ground.sysroot);
        ground.is_none_or(|ground| trace(ground, path).is_ok())
    }

    /// The home directory of who builds.
    pub fn home(&self) -> Option<&Path> {
        match (self.host, self.ground) {
            (Some(host), _) => host.variables.get(OsStr::new("HOME")).map(Path::new),
            (None, ground) => ground?.home,
        }
    }

    /// How many threads may be used.
    pub(super) fn threads(&self) -> usize {
        match self.host {
            Some(host) => host.threads,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}
