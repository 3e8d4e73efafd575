//! Recognising what the user pointed at.

mod bases;
mod companion;
mod elf;
mod error;
mod hosted;
mod java;
mod node;
mod python;
mod script;
mod similar;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::elf::{Foreign, Object, ObjectError, Root};
use crate::sysroot::{Node, OpenFile, Sysroot, Trace, TraceError, trace};

pub use companion::{Companion, Companions, Provenance, Role};
pub use error::AppError;
pub use hosted::{Ground, Host, Hosted, Runtime, RuntimeChoice, Scene};
pub use java::JavaError;
pub use node::NodeError;
pub use python::PythonError;

/// What the user pointed at, recognised.
#[derive(Debug, Clone)]
pub struct App {
    /// The absolute path in the sysroot, as given (links kept).
    pub path: PathBuf,
    /// How it leads to the file.
    pub trace: Trace,
    /// What it is.
    pub kind: AppKind,
    /// The ELF programs that the kernel starts for it: itself, the interpreters of a script, or
    /// its runtime.
    pub roots: Vec<Root>,
}

impl App {
    /// The runtime that runs it, with all that this brings.
    pub fn hosted(&self) -> Option<&Hosted> {
        match &self.kind {
            AppKind::Hosted(hosted) => Some(hosted),
            AppKind::Elf | AppKind::Script { .. } => None,
        }
    }
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
    /// An app of a language runtime.
    Hosted(Box<Hosted>),
}

/// One step of a script's interpreter chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Absolute path in the sysroot.
    pub path: PathBuf,
    /// The single argument of the `#!` line.
    pub argument: Option<OsString>,
}

/// Recognises what stands at the absolute `path`.
///
/// # Errors
/// When it is missing, unreadable, empty, nothing that Linux can run, or what runs it is missing.
pub fn recognise(scene: &Scene<'_>, path: &Path) -> Result<App, AppError> {
    let trace = walk(scene.sysroot, path, scene.search)?;
    if let Some(hosted) = hosted(scene, path, &trace)? {
        let roots = hosted.roots.clone();
        return Ok(App {
            path: path.to_path_buf(),
            trace,
            kind: AppKind::Hosted(Box::new(hosted)),
            roots,
        });
    }
    native(scene, path)
}

/// What a runtime makes of it. Programs are not asked about unless one was named.
fn hosted(scene: &Scene<'_>, path: &Path, trace: &Trace) -> Result<Option<Hosted>, AppError> {
    if scene.runtime == RuntimeChoice::Auto
        && matches!(trace.node, Node::File(_))
        && is_elf(scene.sysroot, path)
    {
        return Ok(None);
    }
    if scene.allows(Runtime::Python)
        && let Some(hosted) = python::recognise(scene, path)?
    {
        return Ok(Some(hosted));
    }
    if scene.allows(Runtime::Node)
        && let Some(hosted) = node::recognise(scene, path)?
    {
        return Ok(Some(hosted));
    }
    if scene.allows(Runtime::Java)
        && let Some(hosted) = java::recognise(scene, path)?
    {
        return Ok(Some(hosted));
    }
    Ok(None)
}

fn is_elf(sysroot: &dyn Sysroot, path: &Path) -> bool {
    let mut head = [0; 4];
    sysroot
        .open(path)
        .is_ok_and(|file| file.read_exact_at(&mut head, 0).is_ok() && head == *b"\x7fELF")
}

/// A program or a script that the kernel starts by itself.
fn native(scene: &Scene<'_>, path: &Path) -> Result<App, AppError> {
    let Scene {
        sysroot, search, ..
    } = *scene;
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
            let chain = script::resolve(scene, path, &file)?;
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

/// Whether something is at `path`; says what else could have been meant.
pub(crate) fn check_exists(sysroot: &dyn Sysroot, path: &Path) -> Result<(), AppError> {
    walk(sysroot, path, &[]).map(drop)
}

/// Follows the path of what the user named, or says what else could have been meant.
fn walk(sysroot: &dyn Sysroot, path: &Path, search: &[PathBuf]) -> Result<Trace, AppError> {
    let shown = sysroot.display(path);
    let missing = || AppError::NotFound {
        path: shown.clone(),
        similar: similar::similar(sysroot, path, search),
    };
    match trace(sysroot, path) {
        Ok(trace) => Ok(trace),
        Err(TraceError::Relative(_)) => Err(missing()),
        Err(error) if error.is_not_found() => Err(match link(sysroot, path) {
            Some(target) => AppError::Dangling {
                path: shown,
                target,
            },
            None => missing(),
        }),
        Err(TraceError::Io { at, source }) => Err(match source.kind() {
            io::ErrorKind::NotADirectory => AppError::NotInDirectory { path: shown, at },
            io::ErrorKind::PermissionDenied => AppError::Unreadable { path: shown, at },
            _ => AppError::Io { path: at, source },
        }),
        Err(TraceError::Loop(_)) => Err(AppError::Loop { path: shown }),
    }
}

/// Opens the file that the user named, or says what else could have been meant.
fn open(
    sysroot: &dyn Sysroot,
    path: &Path,
    search: &[PathBuf],
) -> Result<(OpenFile, Trace), AppError> {
    let shown = sysroot.display(path);
    let trace = walk(sysroot, path, search)?;
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
