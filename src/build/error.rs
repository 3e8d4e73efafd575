//! What can go wrong in a build.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Difference;
use crate::app::AppError;
use crate::elf::{Closure, ResolveError};
use crate::image::Platform;
use crate::layer::PackError;
use crate::report::{Excess, ReportError};
use crate::rootfs::{AssembleError, BaseError, IncludeError};
use crate::store::StoreError;
use crate::sysroot::Sysroot;

/// Why an image could not be built. The message says what happened, to which file,
/// why, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The app was not recognised.
    #[error(transparent)]
    App(#[from] AppError),
    /// The base cannot be used.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A file to include cannot be used.
    #[error(transparent)]
    Include(#[from] IncludeError),
    /// The closure could not be computed.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Libraries or symbol versions are missing.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// The tree could not be put together.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A layer could not be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The image could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The report could not be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// `--sysroot` cannot be used.
    #[error("cannot use {} as the sysroot: {source}. Give the directory that holds the other system's usr, lib and etc", .path.display())]
    Sysroot {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The working directory cannot be told.
    #[error("cannot tell which directory {} is relative to: {source}. Give an absolute path", .path.display())]
    WorkingDirectory {
        /// The path given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No ELF program stands behind the app.
    #[error("{} starts no ELF program, so there is nothing that an image could run", .0.display())]
    NoProgram(PathBuf),
    /// OCI has no name for the machine.
    #[error("{} is for {machine}, which has no platform name in OCI images", .app.display())]
    UnknownMachine {
        /// The program.
        app: PathBuf,
        /// Its machine.
        machine: String,
    },
    /// The app is for another platform than was asked for.
    #[error("{} is a program for {machine}: its image is for {found}, not for {wanted}. Leave --platform out, or give the {wanted} build of the program (with --sysroot for its libraries)", .app.display())]
    OtherPlatform {
        /// The program.
        app: PathBuf,
        /// What was asked for.
        wanted: Box<Platform>,
        /// What the ELF header says.
        found: Box<Platform>,
        /// The machine's name.
        machine: String,
    },
    /// Inside the image the loader would not find what it finds on this system.
    #[error("inside the image the loader would not find what it finds here:\n{}Nothing was written. A library in a place of its own can be named with --library-path DIR or brought with --include", lines(.0))]
    NotReproduced(Vec<Difference>),
    /// The image is larger than `--max-size` allows.
    #[error("{0}")]
    OverBudget(Box<Excess>),
}

fn lines(items: &[impl fmt::Display]) -> String {
    items.iter().map(|item| format!("  {item}\n")).collect()
}

/// Everything that the app's processes need and the system does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    missing: Vec<Missing>,
    rejected: Vec<String>,
    versions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Missing {
    name: String,
    needed_by: Vec<String>,
    searched: Vec<String>,
    unsuitable: Vec<String>,
}

impl Unresolved {
    /// Collects what is wrong with `closure`.
    ///
    /// # Errors
    /// With all of it, when anything is.
    pub fn check(closure: &Closure, sysroot: &dyn Sysroot) -> Result<(), Self> {
        let shown = |path: &Path| sysroot.display(path).display().to_string();
        let name_of = |index: usize| {
            closure
                .objects
                .get(index)
                .map_or_else(|| "?".to_owned(), |object| shown(&object.path))
        };
        let unresolved = Self {
            missing: closure
                .missing
                .iter()
                .map(|library| Missing {
                    name: library.name.to_string_lossy().into_owned(),
                    needed_by: library
                        .needed_by
                        .iter()
                        .map(|index| name_of(*index))
                        .collect(),
                    searched: library.searched.clone(),
                    unsuitable: library
                        .unsuitable
                        .iter()
                        .map(|(path, why)| format!("{}: {why}", shown(path)))
                        .collect(),
                })
                .collect(),
            rejected: closure
                .rejected
                .iter()
                .map(|file| match file.needed_by {
                    Some(index) => {
                        format!(
                            "{}: {} (needed by {})",
                            shown(&file.path),
                            file.reason,
                            name_of(index)
                        )
                    }
                    None => format!("{}: {}", shown(&file.path), file.reason),
                })
                .collect(),
            versions: closure
                .unmet_versions
                .iter()
                .map(|unmet| {
                    format!(
                        "{} not found in {} (required by {})",
                        unmet.version.to_string_lossy(),
                        name_of(unmet.provider),
                        name_of(unmet.required_by)
                    )
                })
                .collect(),
        };
        let whole = unresolved.missing.is_empty()
            && unresolved.rejected.is_empty()
            && unresolved.versions.is_empty();
        if whole { Ok(()) } else { Err(unresolved) }
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.missing.len() {
            0 => {}
            1 => writeln!(f, "a library is missing:")?,
            count => writeln!(f, "{count} libraries are missing:")?,
        }
        for library in &self.missing {
            writeln!(f, "  {}", library.name)?;
            if !library.needed_by.is_empty() {
                writeln!(f, "    needed by {}", library.needed_by.join(", "))?;
            }
            if !library.searched.is_empty() {
                writeln!(f, "    looked in {}", library.searched.join(", "))?;
            }
            for file in &library.unsuitable {
                writeln!(f, "    passed over {file}")?;
            }
        }
        if !self.rejected.is_empty() {
            writeln!(f, "the loader would refuse:")?;
            f.write_str(&lines(&self.rejected))?;
        }
        if !self.versions.is_empty() {
            writeln!(f, "symbol versions are missing:")?;
            f.write_str(&lines(&self.versions))?;
        }
        if !self.missing.is_empty() {
            write!(
                f,
                "Install what provides them, or name their directory with --library-path DIR"
            )
        } else if !self.versions.is_empty() {
            write!(
                f,
                "The program was linked against newer libraries: build it on this system, or give the system that it was built on with --sysroot DIR"
            )
        } else {
            write!(
                f,
                "Replace these files, or name another directory with --library-path DIR"
            )
        }
    }
}

impl std::error::Error for Unresolved {}

impl Error {
    /// The exit code for this error: 3 when a size budget is exceeded, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::OverBudget(_) => 3,
            _ => 1,
        }
    }
}
