//! What can go wrong in a build.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Difference;
use crate::app::AppError;
use crate::elf::{Closure, Finding, ResolveError};
use crate::image::Platform;
use crate::layer::PackError;
use crate::report::{Excess, Report, ReportError};
use crate::rootfs::{AssembleError, Base, BaseError, IncludeError};
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
    /// The base's packages cannot be had.
    #[cfg(feature = "debian")]
    #[error(transparent)]
    Packages(Box<crate::debian::SessionError>),
    /// The base lacks what the app needs.
    #[cfg(feature = "debian")]
    #[error("{reference} lacks what the app needs: {}\n{}", .unresolved.facts(), lacking(.unfound))]
    Lacking {
        /// The base.
        reference: crate::debian::Reference,
        /// What is missing.
        unresolved: Box<Unresolved>,
        /// Which packages hold it, or why that cannot be told.
        unfound: Result<crate::debian::Unfound, String>,
    },
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
    /// The rules of `bases/plugins.toml` cannot be used.
    #[error(transparent)]
    Rules(#[from] crate::plugins::RulesError),
    /// The app could not be traced.
    #[error(transparent)]
    Trace(#[from] crate::trace::TraceError),
    /// The image does not start.
    #[error(transparent)]
    Smoke(#[from] crate::smoke::SmokeError),
    /// An app of another system cannot be run.
    #[error(
        "--trace runs the app as this machine has it, and the image gets another system (--sysroot, an image, or a base of packages), where it opens other files: trace it in such a system with --trace-out FILE, and give the file here with --profile FILE"
    )]
    TraceElsewhere,
    /// No directory for files that are made on the way.
    #[error("cannot make a temporary directory in {}: {source}; set TMPDIR to a directory that can be written", .path.display())]
    Scratch {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `--sysroot` cannot be used.
    #[error("cannot use {} as the sysroot: {source}. Give the directory that holds the other system's usr, lib and etc", .path.display())]
    Sysroot {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two systems are named.
    #[error("--sysroot {} and the base {base} are two systems, and the libraries can come from one: leave --sysroot out, or take a base that is none, such as --base static", .sysroot.display())]
    TwoSystems {
        /// The directory.
        sysroot: PathBuf,
        /// The base's name.
        base: String,
    },
    /// The app is for another machine than the base.
    #[error("{} is a program for {machine}, and the libraries of the base {base} are for {found}: take the base for that machine{}, or give the build of the program for {found}", .app.display(), .architecture.map(|name| format!(" (--arch {name})")).unwrap_or_default())]
    OtherMachine {
        /// The program.
        app: PathBuf,
        /// Its machine.
        machine: String,
        /// The base's name.
        base: String,
        /// The machine of its libraries.
        found: String,
        /// What OCI calls the program's machine.
        architecture: Option<&'static str>,
    },
    /// The base is an image that cannot be used.
    #[error(transparent)]
    Parent(Box<crate::parent::ParentError>),
    /// The base is an image for another platform.
    #[error("{} is a program for {found}, and the base {base} is for {platform}: take the base for {found} (--platform {found}), or give the build of the program for {platform}", .app.display())]
    OtherBasePlatform {
        /// The program.
        app: PathBuf,
        /// Its platform.
        found: Box<Platform>,
        /// The base's name.
        base: String,
        /// The base's platform.
        platform: Box<Platform>,
    },
    /// The base has another libc than the app was linked for.
    #[error("{} is linked for {wanted} (the kernel starts it with {}), and the base {base} has {found}: take a base with {wanted}, such as {}, or build the program for {found}", .app.display(), .loader.display(), such_a_base(.wanted))]
    OtherLibc {
        /// The program.
        app: PathBuf,
        /// Its loader.
        loader: PathBuf,
        /// Its libc.
        wanted: &'static str,
        /// The base's name.
        base: String,
        /// The libc of the base.
        found: &'static str,
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
    /// The app's path cannot stand in the config, which is JSON.
    #[error("{} cannot be the image's command: its name is not UTF-8, which the image's config (JSON) cannot hold. Rename it, or give the command with --entrypoint", .0.display())]
    NotUnicode(PathBuf),
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
    #[error("{excess}")]
    OverBudget {
        /// By how much, and what weighs most.
        excess: Box<Excess>,
        /// The report of the image that was not written.
        report: Box<Report>,
    },
}

impl From<crate::parent::ParentError> for Error {
    fn from(error: crate::parent::ParentError) -> Self {
        Self::Parent(Box::new(error))
    }
}

#[cfg(feature = "debian")]
impl From<crate::debian::SessionError> for Error {
    fn from(error: crate::debian::SessionError) -> Self {
        Self::Packages(Box::new(error))
    }
}

#[cfg(feature = "debian")]
fn lacking(unfound: &Result<crate::debian::Unfound, String>) -> String {
    match unfound {
        Ok(unfound) => unfound.to_string(),
        Err(why) => format!("Which packages hold it cannot be told: {why}"),
    }
}

/// A base that has this libc.
fn such_a_base(libc: &str) -> &'static str {
    match libc {
        "musl" => "alpine",
        _ => "gcr.io/distroless/cc or debian:stable-slim",
    }
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
    /// The newest version of glibc, the 36 of 2.36, that a file defines of which a version is
    /// missing.
    glibc: Option<u32>,
    /// The base, where everything is looked up in one.
    base: Option<String>,
    /// Whether the base is an image.
    is_image: bool,
}

/// The base that everything was looked up in.
#[derive(Clone, Copy)]
enum Ground<'a> {
    /// It is made of packages.
    Packages(&'a str),
    /// It is an image.
    Image(&'a str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Missing {
    name: String,
    needed_by: Vec<String>,
    searched: Vec<String>,
    unsuitable: Vec<String>,
    /// What to do about it, where the usual advice is of no use.
    note: Option<String>,
    /// It is a program's dynamic loader.
    is_loader: bool,
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
                    // A line break in a name must not look like a line of this message.
                    name: library.name.to_string_lossy().replace('\n', "\\n"),
                    needed_by: library
                        .needed_by
                        .iter()
                        .map(|index| name_of(*index))
                        .collect(),
                    searched: match sysroot.display(Path::new("/")) {
                        root if root == Path::new("/") => library.searched.clone(),
                        root => library
                            .searched
                            .iter()
                            .map(|place| match place.strip_prefix('/') {
                                Some(inside) => root.join(inside).display().to_string(),
                                None => place.clone(),
                            })
                            .collect(),
                    },
                    unsuitable: library
                        .unsuitable
                        .iter()
                        .map(|(path, why)| format!("{}: {why}", shown(path)))
                        .collect(),
                    note: library.note.clone(),
                    is_loader: library.finding == Finding::Interpreter,
                })
                .collect(),
            rejected: closure
                .refused()
                .into_iter()
                .map(|(path, reason, needed_by)| {
                    let path = shown(path);
                    let names: Vec<String> = needed_by.into_iter().map(name_of).collect();
                    match names.is_empty() {
                        true => format!("{path}: {reason}"),
                        false => format!("{path}: {reason} (needed by {})", names.join(", ")),
                    }
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
            glibc: newest_glibc(closure),
            base: None,
            is_image: false,
        };
        let whole = unresolved.missing.is_empty()
            && unresolved.rejected.is_empty()
            && unresolved.versions.is_empty();
        if whole { Ok(()) } else { Err(unresolved) }
    }

    /// The same of a build on `base`, which may be where everything was looked up.
    #[must_use]
    pub fn on(mut self, base: &Base) -> Self {
        self.base = base.is_system().then(|| base.name.clone());
        self.is_image = base.parent().is_some();
        self
    }
}

impl Unresolved {
    /// The names of the libraries that are missing, and of loaders by their path.
    pub fn libraries(&self) -> Vec<String> {
        let names = self.missing.iter().map(|library| library.name.clone());
        names.collect()
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Advice::Given))
    }
}

/// Whether a message says what to do about missing libraries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Advice {
    Given,
    LeftToCaller,
}

impl Unresolved {
    /// The message without what to do about the missing libraries.
    #[cfg(feature = "debian")]
    pub(crate) fn facts(&self) -> String {
        self.text(Advice::LeftToCaller)
    }

    fn ground(&self) -> Option<Ground<'_>> {
        let base = self.base.as_deref()?;
        Some(match self.is_image {
            true => Ground::Image(base),
            false => Ground::Packages(base),
        })
    }

    fn text(&self, advice: Advice) -> String {
        let sections = [self.missing(advice), self.rejected(), self.versions()];
        let sections: Vec<String> = sections.into_iter().flatten().collect();
        sections.join("\n").trim_end().to_owned()
    }

    fn missing(&self, advice: Advice) -> Option<String> {
        let heading = match (self.missing.as_slice(), self.missing.len()) {
            ([], _) => return None,
            ([only], _) if only.is_loader => "the program's loader is missing".to_owned(),
            ([_], _) => "a library is missing".to_owned(),
            (all, count) if all.iter().any(|file| file.is_loader) => {
                format!("{count} files are missing")
            }
            (_, count) => format!("{count} libraries are missing"),
        };
        let usual = self.missing.iter().filter(|file| file.note.is_none());
        let advice = match (usual.count(), self.ground()) {
            (0, _) => String::new(),
            _ if advice == Advice::LeftToCaller => String::new(),
            (count, Some(Ground::Image(base))) => {
                let them = if count == 1 { "it" } else { "them" };
                let libc = match usual_names(&self.missing).any(super::lend::is_of_libc) {
                    true => {
                        ". Parts of the libc are never lent: they belong together, and all are the base's"
                    }
                    false => "",
                };
                format!(
                    "The base {base} does not have {them}, and this machine has nothing that it could lend: install here what provides {them}, name a directory with --library-path DIR, or take a base that has {them}{libc}"
                )
            }
            (1, Some(Ground::Packages(base))) => format!(
                "The base {base} does not have it: add the package that does with --package NAME, or name a directory of this machine with --library-path DIR"
            ),
            (_, Some(Ground::Packages(base))) => format!(
                "The base {base} does not have them: add the packages that do with --package NAME, or name a directory of this machine with --library-path DIR"
            ),
            (1, None) => {
                "Install what provides the library, or name its directory with --library-path DIR"
                    .to_owned()
            }
            (_, None) => {
                "Install what provides them, or name their directory with --library-path DIR"
                    .to_owned()
            }
        };
        let items: String = self.missing.iter().map(Missing::lines).collect();
        Some(format!("{heading}:\n{items}{advice}"))
    }

    fn rejected(&self) -> Option<String> {
        (!self.rejected.is_empty()).then(|| {
            format!(
                "the loader would refuse:\n{}Replace these files, or name another directory with --library-path DIR",
                lines(&self.rejected)
            )
        })
    }

    fn versions(&self) -> Option<String> {
        let advice = match self.ground() {
            Some(Ground::Image(base)) => {
                let (older, build) = match self.glibc {
                    Some(glibc) => (
                        format!(
                            "The newest version of glibc that the base {base} has is 2.{glibc}: what is named above was built on a newer system"
                        ),
                        format!("on a system with glibc 2.{glibc} or older"),
                    ),
                    None => (
                        format!(
                            "The libraries of the base {base} are older than those that what is named above was built with"
                        ),
                        "on the base itself".to_owned(),
                    ),
                };
                format!("{older}. Take a newer base, or build it {build}")
            }
            Some(Ground::Packages(base)) => format!(
                "The program was linked against newer libraries than those of the base {base}: take the base of a newer release, or build the program on that of this one"
            ),
            None => "The program was linked against newer libraries: build it on this system, or give the system that it was built on with --sysroot DIR".to_owned(),
        };
        (!self.versions.is_empty()).then(|| {
            format!(
                "symbol versions are missing:\n{}{advice}",
                lines(&self.versions)
            )
        })
    }
}

/// The names of libraries for which the usual advice is given.
fn usual_names(missing: &[Missing]) -> impl Iterator<Item = &str> {
    let usual = missing.iter().filter(|file| file.note.is_none());
    usual.map(|file| file.name.as_str())
}

/// The newest version of glibc, the 36 of 2.36, that is defined by an object of which a version is
/// missing.
fn newest_glibc(closure: &Closure) -> Option<u32> {
    let providers = closure.unmet_versions.iter().map(|unmet| unmet.provider);
    let objects = providers.filter_map(|index| closure.objects.get(index));
    let definitions = objects.flat_map(|object| &object.object.version_definitions);
    definitions
        .filter_map(|definition| {
            let version = definition.version.to_str()?.strip_prefix("GLIBC_2.")?;
            version.split('.').next()?.parse::<u32>().ok()
        })
        .max()
}

impl Missing {
    fn lines(&self) -> String {
        let mut text = format!("  {}\n", self.name);
        let mut add = |what: &str, list: &str| {
            text.push_str(&format!("    {what}{list}\n"));
        };
        if !self.needed_by.is_empty() {
            add("needed by ", &self.needed_by.join(", "));
        }
        if !self.searched.is_empty() {
            add("looked in ", &self.searched.join(", "));
        }
        for file in &self.unsuitable {
            add("passed over ", file);
        }
        if let Some(note) = &self.note {
            add("", note);
        }
        text
    }
}

impl std::error::Error for Unresolved {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::elf::{MissingLibrary, Rejected};
    use crate::sysroot::Directory;

    fn message(closure: &Closure) -> String {
        let root = Directory::new(Path::new("/")).unwrap();
        Unresolved::check(closure, &root).unwrap_err().to_string()
    }

    fn missing(name: &str, finding: Finding, note: Option<&str>) -> MissingLibrary {
        MissingLibrary {
            name: name.into(),
            needed_by: Vec::new(),
            searched: vec!["/lib".into()],
            unsuitable: Vec::new(),
            finding,
            note: note.map(str::to_owned),
        }
    }

    #[test]
    fn a_missing_loader_is_not_looked_for_in_other_directories() {
        let loader = missing("/lib/ld.so", Finding::Interpreter, Some("install the libc"));
        let mut closure = Closure {
            missing: vec![loader],
            ..Closure::default()
        };
        assert_eq!(
            message(&closure),
            "the program's loader is missing:\n  /lib/ld.so\n    looked in /lib\n    install the libc"
        );
        let library = missing("liba.so", Finding::Needed, None);
        closure.missing.push(library);
        let both = message(&closure);
        assert!(both.starts_with("2 files are missing:\n"), "{both}");
        assert!(
            both.ends_with(
                "Install what provides the library, or name its directory with --library-path DIR"
            ),
            "{both}"
        );
    }

    #[test]
    fn a_refused_file_is_told_once_whoever_needs_it() {
        let refused = |by| Rejected {
            name: "liba.so".into(),
            path: "/lib/liba.so".into(),
            needed_by: by,
            reason: "file too short".into(),
        };
        let closure = Closure {
            rejected: vec![refused(Some(0)), refused(Some(1))],
            missing: vec![missing("libb.so", Finding::Needed, None)],
            ..Closure::default()
        };
        let text = message(&closure);
        assert_eq!(text.matches("/lib/liba.so: file too short").count(), 1);
        assert!(text.contains("name its directory with"), "{text}");
        assert!(text.ends_with("name another directory with --library-path DIR"));
    }
}
