//! Why something cannot be made into an image, and what to do then.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::elf::{Foreign, ObjectError};

/// Why something cannot be made into an image. Every message names the file and says what to do.
///
/// Paths are as they are shown to people: with the sysroot's own directory in front.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// An app of Python cannot run.
    #[error(transparent)]
    Python(#[from] super::PythonError),
    /// An app of Node.js cannot run.
    #[error(transparent)]
    Node(#[from] super::NodeError),
    /// An app of Java cannot run.
    #[error(transparent)]
    Java(#[from] super::JavaError),
    /// There is no such file.
    #[error("{}: no such file{}", .path.display(), suggestion(.similar))]
    NotFound {
        /// What was asked for.
        path: PathBuf,
        /// What may have been meant, the likeliest first.
        similar: Vec<PathBuf>,
    },
    /// It is a link to nothing.
    #[error(
        "{}: is a symbolic link to {}, which does not exist; correct the link, or build what it \
         leads to",
        .path.display(), .target.display()
    )]
    Dangling {
        /// What was asked for.
        path: PathBuf,
        /// What the link says.
        target: PathBuf,
    },
    /// Something on the way is no directory.
    #[error(
        "{}: no such file, because {} is not a directory; give the path of the program itself",
        .path.display(), .at.display()
    )]
    NotInDirectory {
        /// What was asked for.
        path: PathBuf,
        /// What is no directory.
        at: PathBuf,
    },
    /// Links lead in a circle.
    #[error(
        "{}: its symbolic links lead in a circle; `namei -l` shows them",
        .path.display()
    )]
    Loop {
        /// What was asked for.
        path: PathBuf,
    },
    /// It may not be read.
    #[error(
        "{}: permission denied{}; the file is read to find its libraries: `chmod a+r` it, or run \
         distrobuild as a user who may read it",
        .path.display(), at_place(.path, .at)
    )]
    Unreadable {
        /// What was asked for.
        path: PathBuf,
        /// Where access was denied.
        at: PathBuf,
    },
    /// Another error of the system.
    #[error("{}: cannot be read: {source}", .path.display())]
    Io {
        /// What could not be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, and no app of a runtime that has that form.
    #[error(
        "{}: is a directory that is no app: it has no package.json (Node.js), no __main__.py \
         (Python) and no lib/*.jar (Java); give the program in it, and the rest with `--include {0}`",
        .path.display()
    )]
    Directory {
        /// What was asked for.
        path: PathBuf,
    },
    /// It is a device, socket or pipe.
    #[error(
        "{}: is a device, socket or pipe; give the path of a program",
        .path.display()
    )]
    Special {
        /// What was asked for.
        path: PathBuf,
    },
    /// It has no bytes.
    #[error("{}: is empty; was it built? Build or copy it again", .path.display())]
    Empty {
        /// What was asked for.
        path: PathBuf,
    },
    /// Nobody may run it.
    #[error(
        "{}: is not executable (mode {mode:04o}), and the image would get it so; `chmod +x {0}`",
        .path.display()
    )]
    NotExecutable {
        /// What was asked for.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// It is a shared library.
    #[error(
        "{}: is a shared library, not a program; give the program that uses it, and add the library \
         with `--include {0}` if it is opened at run time",
        .path.display()
    )]
    Library {
        /// What was asked for.
        path: PathBuf,
    },
    /// It is an object file, a core dump or the like.
    #[error(
        "{}: is an ELF file that cannot be run, such as an object file (.o) or a core dump; link it \
         to a program first",
        .path.display()
    )]
    NotLinked {
        /// What was asked for.
        path: PathBuf,
    },
    /// It is no Linux program.
    #[error("{}: is not a Linux program but {what}; {}", .path.display(), advice(.what, .path))]
    Foreign {
        /// What was asked for.
        path: PathBuf,
        /// What it is.
        what: Foreign,
    },
    /// It is a damaged ELF file.
    #[error("{}: cannot be run: {source}; build or copy it again", .path.display())]
    Object {
        /// What was asked for.
        path: PathBuf,
        /// What is wrong with it.
        source: ObjectError,
    },
    /// The `#!` line names nothing.
    #[error(
        "{}: its `#!` line names no interpreter; write one, such as `#!/bin/sh`",
        .script.display()
    )]
    NoInterpreter {
        /// The script.
        script: PathBuf,
    },
    /// The `#!` line is longer than the kernel reads.
    #[error(
        "{}: its `#!` line is too long: the kernel reads {} bytes of it (execve(2)), and they end \
         within the interpreter's path; use a shorter path",
        .script.display(), super::script::LINE_LIMIT
    )]
    LineTooLong {
        /// The script.
        script: PathBuf,
    },
    /// The `#!` line names a path that depends on the current directory.
    #[error(
        "{}: its interpreter `{}` is a relative path, which depends on the directory it is started \
         in; write an absolute path, or let `env` find it: `#!/usr/bin/env NAME`",
        .script.display(), .interpreter.display()
    )]
    RelativeInterpreter {
        /// The script.
        script: PathBuf,
        /// What the line says.
        interpreter: PathBuf,
    },
    /// The `#!` line ends in a carriage return, which the kernel takes for a part of the name.
    #[error(
        "{}: its `#!` line ends in a carriage return (CRLF, as Windows writes it), so the kernel \
         looks for `{}\\r`; convert the file: `sed -i 's/\\r$//' {0}`",
        .script.display(), .word.display()
    )]
    CarriageReturn {
        /// The script.
        script: PathBuf,
        /// The last word of the line, without the carriage return.
        word: OsString,
    },
    /// The interpreter does not exist.
    #[error(
        "{}: its interpreter {} does not exist{}",
        .script.display(), .interpreter.display(), or_install(.similar)
    )]
    MissingInterpreter {
        /// The script.
        script: PathBuf,
        /// What its `#!` line names.
        interpreter: PathBuf,
        /// What may have been meant.
        similar: Vec<PathBuf>,
    },
    /// The interpreter exists and cannot be used.
    #[error("{}: its interpreter is of no use: {source}", .script.display())]
    BadInterpreter {
        /// The script.
        script: PathBuf,
        /// What is wrong with it.
        source: Box<AppError>,
    },
    /// The interpreter is nothing that can be started.
    #[error(
        "{}: its interpreter {} {what}; name a program in the `#!` line, such as \
         `#!/usr/bin/env NAME`",
        .script.display(), .interpreter.display()
    )]
    NoInterpreterProgram {
        /// The script.
        script: PathBuf,
        /// What its `#!` line names.
        interpreter: PathBuf,
        /// What it is.
        what: String,
    },
    /// A shell runs it.
    #[error(
        "{}: is a shell script, run by {}, and a distroless image has no shell, nor the programs \
         that a shell starts; {}; `--allow-shell` builds it all the same, then `--include` adds \
         those programs",
        .script.display(), .shell.display(), without_shell(.wraps.as_deref())
    )]
    Shell {
        /// The script.
        script: PathBuf,
        /// The shell.
        shell: PathBuf,
        /// The program that it starts, when that is all that it does.
        wraps: Option<PathBuf>,
    },
    /// Interpreters are scripts too often.
    #[error(
        "{}: its interpreter is a script, whose interpreter is a script, and so on for more than \
         {} levels, which the kernel refuses (execve(2)); name a program as interpreter",
        .script.display(), super::script::DEPTH_LIMIT
    )]
    TooDeep {
        /// The script.
        script: PathBuf,
    },
    /// `env` is given nothing to run.
    #[error(
        "{}: its `#!` line starts `env` without a program to run; write `#!/usr/bin/env NAME`, with \
         options or variables `#!/usr/bin/env -S VAR=value NAME`",
        .script.display()
    )]
    EnvWithoutProgram {
        /// The script.
        script: PathBuf,
    },
    /// `env` gets several words as one, and takes them for one name.
    #[error(
        "{}: the kernel gives `env` all of `{}` as one word; write `#!/usr/bin/env -S {1}`",
        .script.display(), .argument.display()
    )]
    EnvNeedsSplit {
        /// The script.
        script: PathBuf,
        /// The argument of `env`.
        argument: OsString,
    },
    /// `env` finds no such program.
    #[error(
        "{}: `env` finds no program `{}` in {}; install it, name its absolute path in the `#!` line, \
         or set the image's PATH with `--env PATH=...`",
        .script.display(), .program.display(), list(.searched)
    )]
    EnvProgramMissing {
        /// The script.
        script: PathBuf,
        /// The name that `env` looks for.
        program: OsString,
        /// Where it looks.
        searched: Vec<PathBuf>,
    },
}

fn without_shell(wraps: Option<&Path>) -> String {
    match wraps {
        Some(program) => format!(
            "all that it does is to start {0}: build {0} itself, with what the script sets as `--env`",
            program.display()
        ),
        None => "build the program that it starts, with what it sets as `--env`".to_string(),
    }
}

fn suggestion(similar: &[PathBuf]) -> String {
    if similar.is_empty() {
        return "; give the path of a program, such as ./app".to_string();
    }
    format!("; did you mean {}?", choices(similar))
}

fn or_install(similar: &[PathBuf]) -> String {
    if similar.is_empty() {
        return "; install it, or correct the `#!` line".to_string();
    }
    format!(
        "; did you mean {}? Correct the `#!` line, or install it",
        choices(similar)
    )
}

fn choices(paths: &[PathBuf]) -> String {
    let shown: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    shown.join(" or ")
}

fn list(directories: &[PathBuf]) -> String {
    let mut text = String::new();
    for (index, directory) in directories.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        // Writing to a String does not fail.
        let _ = write!(text, "{colon}{}", directory.display());
    }
    if text.is_empty() {
        text.push_str("an empty PATH");
    }
    text
}

fn at_place(path: &Path, at: &Path) -> String {
    if path == at {
        return String::new();
    }
    format!(" at {}", at.display())
}

/// What to do with a file that is no Linux program.
fn advice(what: &Foreign, path: &Path) -> String {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let text = match what {
        Foreign::MachO => {
            "build it for Linux, for example with `GOOS=linux go build` or `cargo build --target x86_64-unknown-linux-musl`"
        }
        Foreign::Pe => "build it for Linux",
        Foreign::Archive => "link it to a program, and give that",
        Foreign::LinkerScript => "give a program",
        Foreign::Wasm => {
            "give the program that runs it (such as wasmtime), and add it with `--include`"
        }
        Foreign::Bitcode => "compile and link it to a program first",
        Foreign::JavaClass => {
            "name it NAME.class and leave `--runtime` out, for Java to run it; or pack a jar"
        }
        Foreign::Zip if extension == Some("jar") => "leave `--runtime` out, for Java to run it",
        Foreign::Zip | Foreign::Tar | Foreign::Compressed(_) => {
            "unpack it, and give the program in it"
        }
        Foreign::LfsPointer => "fetch the file: `git lfs pull`",
        Foreign::Text => return text_advice(extension, path),
        Foreign::Script { .. } | Foreign::Unknown(_) => {
            "give an ELF executable or a script that starts with `#!`"
        }
    };
    text.to_string()
}

fn text_advice(extension: Option<&str>, path: &Path) -> String {
    let interpreter = match extension {
        Some("py") => "/usr/bin/env python3",
        Some("js" | "mjs" | "cjs") => "/usr/bin/env node",
        Some("rb") => "/usr/bin/env ruby",
        Some("pl") => "/usr/bin/env perl",
        Some("php") => "/usr/bin/env php",
        Some("lua") => "/usr/bin/env lua",
        Some("bash") => "/bin/bash",
        _ => "/bin/sh",
    };
    format!(
        "if it is a script, name its interpreter in its first line, such as `#!{interpreter}`, and \
         `chmod +x {}`",
        path.display()
    )
}
