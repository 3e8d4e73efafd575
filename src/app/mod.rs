//! Recognising what the user pointed at.

mod elf;
mod error;
mod script;
mod similar;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::elf::{Foreign, Object, ObjectError, Root};
use crate::sysroot::{Node, OpenFile, Sysroot, Trace, TraceError, trace};

pub use error::AppError;

/// What the user pointed at, recognised.
#[derive(Debug, Clone)]
pub struct App {
    /// The absolute path in the sysroot, as given (links kept).
    pub path: PathBuf,
    /// How it leads to the file.
    pub trace: Trace,
    /// What it is.
    pub kind: AppKind,
    /// The ELF programs that the kernel starts for it: itself, or the interpreters of a script.
    pub roots: Vec<Root>,
}

/// What kind of program it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppKind {
    /// An ELF executable.
    Elf,
    /// A `#!` script with the chain of its interpreters, as the kernel and `env` find them.
    Script {
        /// The interpreter, its argument, and where `env` found the program, outermost first.
        /// One that is a script itself is no root, but the image needs its file.
        interpreters: Vec<Interpreter>,
    },
}

/// One step of a script's interpreter chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Absolute path in the sysroot.
    pub path: PathBuf,
    /// The single argument of the `#!` line.
    pub argument: Option<OsString>,
}

/// Recognises the file at `path` in `sysroot`. `search` are the directories of the image's
/// `PATH`, in which `env` looks.
///
/// # Errors
/// When it is missing, unreadable, empty, no Linux program, or its interpreter is missing.
pub fn recognise(sysroot: &dyn Sysroot, path: &Path, search: &[PathBuf]) -> Result<App, AppError> {
    let (file, trace) = open(sysroot, path, search)?;
    let shown = sysroot.display(path);
    let (kind, roots) = match Object::read(&file) {
        Ok(object) => {
            elf::check(&object, &shown)?;
            let path = path.to_path_buf();
            (AppKind::Elf, vec![Root::Program { path }])
        }
        Err(ObjectError::NotElf {
            what: Foreign::Script { .. },
            ..
        }) => {
            let chain = script::resolve(sysroot, path, &file, search)?;
            let interpreters = chain.interpreters;
            (AppKind::Script { interpreters }, chain.roots)
        }
        Err(ObjectError::Empty) => return Err(AppError::Empty { path: shown }),
        Err(ObjectError::NotElf { what, .. }) => {
            return Err(AppError::Foreign { path: shown, what });
        }
        Err(source) => {
            return Err(AppError::Object {
                path: shown,
                source,
            });
        }
    };
    if !is_executable(file.mode) {
        return Err(AppError::NotExecutable {
            path: shown,
            mode: file.mode,
        });
    }
    Ok(App {
        path: path.to_path_buf(),
        trace,
        kind,
        roots,
    })
}

/// Whether `path` can be read as a program's file; says what else could have been meant.
pub(crate) fn check_readable(sysroot: &dyn Sysroot, path: &Path) -> Result<(), AppError> {
    open(sysroot, path, &[]).map(drop)
}

/// Opens what the user named, or says what else could have been meant.
fn open(
    sysroot: &dyn Sysroot,
    path: &Path,
    search: &[PathBuf],
) -> Result<(OpenFile, Trace), AppError> {
    let shown = sysroot.display(path);
    let missing = || AppError::NotFound {
        path: shown.clone(),
        similar: similar::similar(sysroot, path, search),
    };
    let trace = match trace(sysroot, path) {
        Ok(trace) => trace,
        Err(TraceError::Relative(_)) => return Err(missing()),
        Err(error) if error.is_not_found() => {
            return Err(match link(sysroot, path) {
                Some(target) => AppError::Dangling {
                    path: shown,
                    target,
                },
                None => missing(),
            });
        }
        Err(TraceError::Io { at, source }) => {
            return Err(match source.kind() {
                io::ErrorKind::NotADirectory => AppError::NotInDirectory { path: shown, at },
                io::ErrorKind::PermissionDenied => AppError::Unreadable { path: shown, at },
                _ => AppError::Io { path: at, source },
            });
        }
        Err(TraceError::Loop(_)) => return Err(AppError::Loop { path: shown }),
    };
    match trace.node {
        Node::File(_) => {}
        Node::Directory { .. } => return Err(AppError::Directory { path: shown }),
        Node::Other | Node::Symlink(_) => return Err(AppError::Special { path: shown }),
    }
    match sysroot.open(path) {
        Ok(file) => Ok((file, trace)),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(AppError::Unreadable {
                path: shown.clone(),
                at: shown,
            })
        }
        Err(source) => Err(AppError::Io {
            path: shown,
            source,
        }),
    }
}

/// What the link at `path` says, if one stands there.
fn link(sysroot: &dyn Sysroot, path: &Path) -> Option<PathBuf> {
    let directory = trace(sysroot, path.parent()?).ok()?.target;
    let place = directory.join(path.file_name()?).ok()?;
    match sysroot.node(&place).ok()? {
        Node::Symlink(target) => Some(target),
        _ => None,
    }
}

/// Whether anybody may run a file with these mode bits.
fn is_executable(mode: u32) -> bool {
    mode & 0o111 != 0
}

#[cfg(test)]
mod tests;
