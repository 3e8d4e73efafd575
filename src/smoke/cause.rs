//! Why a program failed, as far as its output or its system calls tell.

mod calls;
mod output;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use super::message::FailedCall;

/// What a program that failed was missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The loader, or `dlopen(3)`, found no library of this name.
    Library {
        /// Its soname, or a path.
        name: String,
        /// What needs it, where that was told.
        needed_by: Option<String>,
    },
    /// A library is too old.
    Version {
        /// The version that is missing, as `GLIBC_2.38`.
        version: String,
        /// The library that lacks it.
        library: String,
        /// What needs it, where that was told.
        needed_by: Option<String>,
    },
    /// No library has a symbol.
    Symbol {
        /// The symbol.
        symbol: String,
        /// What needs it.
        object: String,
    },
    /// A file or directory is not in the image.
    File(PathBuf),
    /// A file or directory may not be read or executed by the image's user.
    Denied(PathBuf),
    /// It wanted to write where nothing can be written.
    ReadOnly(PathBuf),
    /// It may not listen on its port.
    Port(Option<u16>),
    /// Python has no module of this name.
    PythonModule(String),
    /// Node.js has no module of this name.
    NodeModule(String),
    /// Java has no class of this name.
    JavaClass(String),
    /// The classes are made for a newer Java.
    JavaVersion(String),
    /// The command is not in the image.
    Command(String),
    /// What runs the command is not in the image: its loader or its `#!` interpreter.
    Interpreter {
        /// The command.
        program: PathBuf,
        /// What it asks for.
        interpreter: PathBuf,
    },
    /// The image's user may not execute the command.
    NotExecutable(PathBuf),
    /// The kernel knows no such program.
    Format(PathBuf),
    /// The image's user may not enter the working directory.
    Workdir(PathBuf),
}

impl Cause {
    /// What the output of a program that failed tells. `workdir` is where its relative paths start.
    pub(super) fn in_output(text: &str, workdir: &Path) -> Option<Self> {
        output::find(text, workdir)
    }

    /// What the system calls of a program that failed tell; the last of them counts most.
    pub(super) fn in_calls(calls: &[FailedCall]) -> Option<Self> {
        calls::find(calls)
    }
}

/// What can be asked about the image and this machine.
pub(super) trait Surroundings {
    /// Where this machine has what the image wants at this path: there, or, what the program
    /// names from its working directory, at the same place from the current directory.
    fn on_this_machine(&self, path: &Path) -> Option<PathBuf>;

    /// Whether the current directory has a file at this relative path.
    fn in_working_directory(&self, path: &Path) -> bool;

    /// Where this machine has a library of this name.
    fn library(&self, name: &str) -> Option<PathBuf>;

    /// Whether the image has something at this path.
    fn in_image(&self, path: &Path) -> bool;
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |needed_by: &Option<String>| match needed_by {
            Some(by) => format!(", which {by} needs"),
            None => String::new(),
        };
        match self {
            Self::Library { name, needed_by } => {
                write!(f, "the library {name}{} is not in the image", by(needed_by))
            }
            Self::Version {
                version,
                library,
                needed_by,
            } => write!(f, "{library} has no version {version}{}", by(needed_by)),
            Self::Symbol { symbol, object } => {
                write!(
                    f,
                    "no library has the symbol {symbol}, which {object} needs"
                )
            }
            Self::File(path) if is_shell(path) => write!(
                f,
                "it runs a command in a shell, {}, which is not in the image",
                path.display()
            ),
            Self::File(path) => write!(f, "{} is not in the image", path.display()),
            Self::Denied(path) => write!(f, "the image's user has no right to {}", path.display()),
            Self::ReadOnly(path) => write!(
                f,
                "it wants to write {}, and the image is read-only here",
                path.display()
            ),
            Self::Port(Some(port)) => write!(f, "it may not listen on port {port}"),
            Self::Port(None) => f.write_str("it may not listen on its port"),
            Self::PythonModule(name) => {
                write!(f, "the Python module {name} is not in the image")
            }
            Self::NodeModule(name) => write!(f, "the module {name} is not in the image"),
            Self::JavaClass(name) => write!(f, "the class {name} is not in the image"),
            Self::JavaVersion(what) => {
                write!(f, "its classes are made for a newer Java: {what}")
            }
            Self::Command(word) => write!(f, "the command {word} is not in the image"),
            Self::Interpreter {
                program,
                interpreter,
            } => write!(
                f,
                "{} needs {} to run, which is not in the image",
                program.display(),
                interpreter.display()
            ),
            Self::NotExecutable(path) => {
                write!(f, "the image's user may not execute {}", path.display())
            }
            Self::Format(path) => write!(
                f,
                "{} is no program that the kernel can run",
                path.display()
            ),
            Self::Workdir(path) => write!(
                f,
                "the image's user may not enter the working directory {}",
                path.display()
            ),
        }
    }
}

impl Cause {
    /// What to do about it: a sentence with the flag that helps.
    pub(super) fn advice(&self, around: &dyn Surroundings) -> String {
        match self {
            Self::Library { name, .. } => library_advice(name, around),
            Self::Version { library, .. } => format!(
                "it was built with a newer {library} than the image has: build it on this machine, or name the directory of the newer one with --library-path DIR"
            ),
            Self::Symbol { object, .. } => format!(
                "another version of a library was found than {object} was built with: name the right one's directory with --library-path DIR, or a library that has the symbol with --dlopen NAME"
            ),
            Self::File(path) => file_advice(path, around),
            Self::Denied(path) if around.in_image(path) => {
                "make it readable for all on this machine (chmod a+rX) and build again, or run as another user with --user".to_owned()
            }
            Self::Denied(path) => file_advice(path, around),
            Self::ReadOnly(path) if is_of_runtime(path) => {
                "no volume belongs there, since the container's runtime makes that directory; tell the program to write elsewhere, or to do without".to_owned()
            }
            Self::ReadOnly(path) => {
                let directory = writable_directory(path, around);
                let directory = directory.display();
                format!(
                    "add --smoke-writable {directory}, and mount a volume at {directory} in the cluster"
                )
            }
            Self::Port(Some(port)) if *port >= 1024 => {
                "let it listen on all addresses (0.0.0.0), which the sandbox has".to_owned()
            }
            Self::Port(_) => "an ordinary user may listen below 1024 only where the runtime allows it, as Docker does (--smoke-port proves the image for that): let it use a port from 1024 up, or run it as root with --user 0".to_owned(),
            Self::PythonModule(name) if python_module(name, around).is_some() => {
                let file = python_module(name, around).unwrap_or_default();
                format!(
                    "{file} is in this directory: add it with --include {file}:/app/{file} --workdir /app, where Python looks for what is named by an argument"
                )
            }
            Self::PythonModule(name) => format!(
                "install {name} where the app is installed (pip install), or, when it is there and imported in a way that is not seen, let a run find it with --trace, or add it with --include"
            ),
            Self::NodeModule(name) if name.starts_with(['/', '.']) => {
                "add the file with --include, or let a run find it with --trace".to_owned()
            }
            Self::NodeModule(name) => format!(
                "install {name} as a dependency, not as a development dependency (npm install {name}), or add it with --include node_modules/{name}:/app/node_modules/{name}"
            ),
            Self::JavaClass(name) if ["java.", "javax.", "jdk.", "sun.", "com.sun."].iter().any(|own| name.starts_with(own)) => {
                "it is in a module of the Java runtime that the image lacks: let a run find it with --trace, or build with a Java that has it".to_owned()
            }
            Self::JavaClass(_) => {
                "add the jar that holds it to the class path, and to the image with --include JAR"
                    .to_owned()
            }
            Self::JavaVersion(_) => {
                "set JAVA_HOME to a newer Java and build again, or compile for an older one (javac --release)".to_owned()
            }
            Self::Command(word) if word.contains('/') => file_advice(Path::new(word), around),
            Self::Command(_) => "name it with its whole path in --entrypoint, or bring it with --include".to_owned(),
            Self::Interpreter { interpreter, .. } => file_advice(interpreter, around),
            Self::NotExecutable(path) => format!(
                "make it executable (chmod a+rx) before it is added, or run as another user with --user; in the image it is {}",
                path.display()
            ),
            Self::Format(_) => {
                "it must be an ELF program, or a script that starts with #! and its interpreter"
                    .to_owned()
            }
            Self::Workdir(_) => {
                "choose another with --workdir, or run as another user with --user".to_owned()
            }
        }
    }
}

/// The file or package of a Python module in the working directory of the build, where a module
/// that is named by an argument (`gunicorn app:app`) lies.
fn python_module(name: &str, around: &dyn Surroundings) -> Option<String> {
    let top = name.split('.').next()?;
    let files = [
        (format!("{top}/__init__.py"), top.to_owned()),
        (format!("{top}.py"), format!("{top}.py")),
    ];
    let mut files = files.into_iter();
    files.find_map(|(looked_for, file)| {
        around
            .in_working_directory(Path::new(&looked_for))
            .then_some(file)
    })
}

fn library_advice(name: &str, around: &dyn Surroundings) -> String {
    if name.contains('/') {
        return file_advice(Path::new(name), around);
    }
    match around.library(name) {
        Some(path) => format!(
            "this machine has it at {}: add it with --dlopen {name}",
            path.display()
        ),
        None => format!(
            "this machine does not have it either: install the package that holds it and add --dlopen {name}, or name its directory with --library-path DIR as well"
        ),
    }
}

fn file_advice(path: &Path, around: &dyn Surroundings) -> String {
    let shown = path.display();
    match around.on_this_machine(path) {
        Some(_) if is_shell(path) => format!(
            "let it start the program itself (system(3) and popen(3) start a shell), or add the shell and what it runs with --include {shown}"
        ),
        Some(here) if here == path => format!(
            "this machine has it: add it with --include {shown}, or let a run find all such files with --trace"
        ),
        Some(here) => format!(
            "the current directory has it: add it with --include {}:{shown}, or let a run find all such files with --trace",
            here.display()
        ),
        None => format!(
            "this machine has nothing there either: add it with --include FILE:{shown}, FILE being where it is"
        ),
    }
}

/// Whether system(3) of some C library starts it.
fn is_shell(path: &Path) -> bool {
    ["/bin/sh", "/usr/bin/sh"]
        .iter()
        .any(|shell| path == Path::new(shell))
}

/// Whether it is in what a runtime mounts, and no file of an image or a volume can be.
pub(super) fn is_of_runtime(path: &Path) -> bool {
    ["/dev", "/proc", "/sys"]
        .iter()
        .any(|mount| path.starts_with(mount))
}

/// The directory to make writable for a path that is to be written: the one that holds it, or the
/// path itself where the image has a directory there.
fn writable_directory(path: &Path, around: &dyn Surroundings) -> PathBuf {
    let is_directory_of_image = path.extension().is_none() && around.in_image(path);
    let parent = path.parent().filter(|parent| *parent != Path::new("/"));
    match parent {
        Some(parent) if !is_directory_of_image => parent.to_path_buf(),
        _ => path.to_path_buf(),
    }
}
