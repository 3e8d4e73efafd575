//! Why an app of Python cannot be made into an image.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::app::bases;
use crate::app::hosted::Runtime;

/// Why an app of Python cannot be made into an image. Every message names the file and says what
/// to do.
///
/// Paths are as they are shown to people: with the sysroot's own directory in front.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PythonError {
    /// `--runtime python` for something else.
    #[error(
        "{}: is no Python app: give a .py file, a script whose `#!` line names python3, a zipapp, or \
         a directory with a __main__.py; or leave `--runtime python` out",
        .path.display()
    )]
    NotPython {
        /// What was asked for.
        path: PathBuf,
    },
    /// A directory with Python in it that nothing starts.
    #[error(
        "{}: has no __main__.py, so `python` cannot run it; write one, or give the script that \
         starts the app",
        .path.display()
    )]
    NoMain {
        /// The directory.
        path: PathBuf,
    },
    /// A virtual environment as a whole.
    #[error("{}: is a virtual environment, not a program; {}", .path.display(), scripts_of(.scripts))]
    Environment {
        /// The environment.
        path: PathBuf,
        /// The programs of the packages in it.
        scripts: Vec<PathBuf>,
    },
    /// No interpreter anywhere.
    #[error(
        "{}: no Python interpreter is found for it: {sought}; make a virtual environment beside it \
         (`python3 -m venv .venv`), or name the interpreter in its first line, such as \
         `#!/usr/bin/python3`",
        .app.display()
    )]
    InterpreterMissing {
        /// The app.
        app: PathBuf,
        /// What was looked for, and where.
        sought: String,
    },
    /// The system that everything is taken from has no interpreter for it.
    #[error(
        "{}: needs Python, and {ground} has none for it: {sought}; take a base that has one, such as \
         `--base {}`", .app.display(), bases::with(Runtime::Python)
    )]
    NotOnGround {
        /// The app.
        app: PathBuf,
        /// The other system.
        ground: String,
        /// What was looked for, and where.
        sought: String,
    },
    /// A virtual environment was made by another Python than the system has that everything is
    /// taken from.
    #[error(
        "{}: this virtual environment was made by Python {made}, and {ground} has {found}, which does \
         not find its packages: make it anew with Python {found} (`python{found} -m venv --clear {0}`, \
         and install the packages again), or take another base{}",
        .environment.display(), such_as(.made)
    )]
    OtherVersion {
        /// The environment.
        environment: PathBuf,
        /// The version that it was made by.
        made: String,
        /// The other system.
        ground: String,
        /// The version that this has.
        found: String,
    },
    /// The interpreter is no CPython.
    #[error(
        "{}: its interpreter {} is no CPython program; name one, such as `#!/usr/bin/python3`",
        .app.display(), .interpreter.display()
    )]
    NotCPython {
        /// The app.
        app: PathBuf,
        /// The interpreter.
        interpreter: PathBuf,
    },
    /// The interpreter is of the former major version.
    #[error(
        "{}: its interpreter {} is Python 2, which is not supported; port the app to Python 3 \
         (https://docs.python.org/3/howto/pyporting.html)",
        .app.display(), .interpreter.display()
    )]
    PythonTwo {
        /// The app.
        app: PathBuf,
        /// The interpreter.
        interpreter: PathBuf,
    },
    /// The interpreter comes without its modules.
    #[error(
        "{}: the standard library of this interpreter is not found: no lib/python3.X/os.py in a \
         directory above it; install Python completely",
        .interpreter.display()
    )]
    LibraryMissing {
        /// The interpreter.
        interpreter: PathBuf,
    },
    /// The interpreter does not say which of several versions it is.
    #[error(
        "{}: which Python this is cannot be told: {} lie beside it; give its versioned name, such as \
         python3.12",
        .interpreter.display(), .candidates.join(" and ")
    )]
    VersionUnknown {
        /// The interpreter.
        interpreter: PathBuf,
        /// The library directories that were found.
        candidates: Vec<String>,
    },
    /// The Python that a virtual environment was made from is not there any more.
    #[error(
        "{}: the Python that this virtual environment was made from, {}, is gone; install it again, \
         or make the environment anew: `python3 -m venv --clear {0}`, and install its packages",
        .environment.display(), .base.display()
    )]
    BaseGone {
        /// The environment.
        environment: PathBuf,
        /// The interpreter that is missing.
        base: PathBuf,
    },
    /// `pyvenv.cfg` says nothing usable.
    #[error(
        "{}: {problem}; make the virtual environment anew with `python3 -m venv --clear`",
        .path.display()
    )]
    BadConfiguration {
        /// The `pyvenv.cfg`.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The interpreter was replaced by another version after the environment was made.
    #[error(
        "{}: was made for Python {made}, but {} is Python {found}, which does not find its packages; \
         make it anew: `{1} -m venv --clear {0}`, and install the packages again",
        .environment.display(), .interpreter.display()
    )]
    VersionDiffers {
        /// The environment.
        environment: PathBuf,
        /// What `pyvenv.cfg` says.
        made: String,
        /// The interpreter that it leads to.
        interpreter: PathBuf,
        /// Its version.
        found: String,
    },
    /// Something cannot be read.
    #[error("{}: cannot be read: {source}{}", .path.display(), advice(.source))]
    Io {
        /// What could not be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A damaged zipapp.
    #[error("{}: is no good zipapp: {problem}; build it again", .path.display())]
    Zipapp {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// More files than anybody means.
    #[error(
        "{}: more than {limit} files below it; give the app's own directory, or move what is no part \
         of it away",
        .path.display()
    )]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// How many are taken at most.
        limit: usize,
    },
    /// A name that an image's command cannot hold.
    #[error("{}: its name is not UTF-8, which an image's command must be; rename it", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// A package with a name that `python -m` does not take.
    #[error(
        "{}: {:?} is no name of a Python package, so `python -m` cannot start it; rename the directory",
        .path.display(), .name
    )]
    BadPackageName {
        /// The directory.
        path: PathBuf,
        /// Its name.
        name: OsString,
    },
}

fn such_as(version: &str) -> String {
    match bases::with_version(Runtime::Python, version) {
        Some(base) => format!(", such as `--base {base}`"),
        None => format!(" with Python {version}"),
    }
}

fn scripts_of(scripts: &[PathBuf]) -> String {
    match scripts {
        [] => "no package in it has a program; give the script of the app, the environment beside \
               it is found"
            .to_owned(),
        scripts => {
            let shown: Vec<_> = scripts
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            format!("give one of its programs: {}", shown.join(", "))
        }
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; `chmod a+r` it, or run distrobuild as a user who may read it"
        }
        _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            "; its symbolic links lead in a circle"
        }
        _ => "",
    }
}
