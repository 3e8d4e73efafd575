//! Why an app cannot be traced, or a trace not be used.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::end::{End, signal_name};
use crate::ImagePath;

/// Why an app could not be traced, or what a trace says not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// There is nothing to run.
    #[error("no program to trace: give the app and its arguments")]
    NoCommand,
    /// The program is not there.
    #[error("cannot trace {}: there is no such program{}", .0.display(), searched(.0))]
    NotFound(OsString),
    /// The kernel does not execute the program.
    #[error("cannot trace {}: it cannot be executed: {source}{}", .program.display(), cure(.source))]
    Execute {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The helper process could not be started.
    #[error("cannot start {}, which is to become the traced app: {source}", .program.display())]
    Helper {
        /// The helper's program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The helper process is another program.
    #[error(
        "{} did not become the traced app: a program that uses this library calls \
         distrobuild::helper::play first in its main, or names one that does",
        .0.display()
    )]
    NoHelper(PathBuf),
    /// The system does not permit tracing.
    #[error(
        "this system does not permit to trace a program: {source}; {}",
        permission()
    )]
    NotPermitted {
        /// What it said.
        source: io::Error,
    },
    /// The system does not permit a seccomp filter.
    #[error(
        "this system does not permit a seccomp filter, with which the app is traced: {source}; \
         trace on another one with --trace-out FILE, and give that file with --profile"
    )]
    NoFilter {
        /// What it said.
        source: io::Error,
    },
    /// The app failed.
    #[error(
        "{}: the traced app {end}; its messages are above. Give it arguments with which it ends \
         well, after --, or end a server after a time, with --trace-for 10s",
        .program.display()
    )]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        end: End,
    },
    /// The app uses signals that cannot be passed on to it.
    #[error(
        "{}: the app was sent {}, which cannot be passed on to a traced program, so it was \
         stopped; add the files that it needs with --include (`strace -f -e trace=file` lists them)",
        .program.display(), signal_name(*.signal)
    )]
    Signal {
        /// The program.
        program: PathBuf,
        /// The signal's number.
        signal: i32,
    },
    /// Something else that the system refused.
    #[error("cannot trace {}: {source}", .program.display())]
    System {
        /// The program.
        program: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A profile cannot be read.
    #[error("cannot read the trace profile {}: {source}", .path.display())]
    Read {
        /// The profile.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A profile is no profile.
    #[error(
        "{}{}: {message}; correct it, or make it again with --trace-out",
        .path.display(), .line.map(|line| format!(":{line}")).unwrap_or_default()
    )]
    Invalid {
        /// The profile.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// A profile cannot be written.
    #[error("cannot write the trace profile {}: {source}", .path.display())]
    Write {
        /// The profile.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Files that the app used are not there any more.
    #[error("{}; trace the app again", vanished(.0))]
    Vanished(Vec<PathBuf>),
    /// A file that the app used cannot be looked at.
    #[error(
        "{}: the traced app used it, but it cannot be read: {source}; make it readable, or take \
         it out of the profile",
        .path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two different files would land at one path.
    #[error(
        "the traced app used {} and {}, which would both be {at} in the image; give another \
         working directory with --workdir",
        .first.display(), .second.display()
    )]
    Collision {
        /// The path in the image.
        at: ImagePath,
        /// One file.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
}

fn searched(program: &OsString) -> &'static str {
    if Path::new(program).components().count() > 1 {
        "; build it first, or correct its path"
    } else {
        " in the directories of PATH; give its path"
    }
}

fn cure(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(nix::libc::EACCES) => "; `chmod a+x` makes it a program",
        Some(nix::libc::ENOENT) => {
            "; the interpreter that its first line or its ELF header names is missing"
        }
        Some(nix::libc::ENOEXEC) => "; it is for another machine, or no program",
        _ => "",
    }
}

/// What keeps a parent from tracing its child (`ptrace(2)`, `Documentation/admin-guide/LSM/Yama`).
fn permission() -> &'static str {
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match yama.trim() {
        "3" => {
            "kernel.yama.ptrace_scope is 3, which holds until the next boot; trace on another \
             machine with --trace-out FILE, and give that file with --profile"
        }
        "2" => {
            "kernel.yama.ptrace_scope is 2: `sysctl kernel.yama.ptrace_scope=1` permits it, or \
             trace on another machine with --trace-out FILE, and give that file with --profile"
        }
        _ => {
            "in a container, start that with --cap-add SYS_PTRACE or another seccomp profile, or \
             trace outside with --trace-out FILE, and give that file with --profile"
        }
    }
}

/// How many files are named.
const NAMED: usize = 10;

fn vanished(paths: &[PathBuf]) -> String {
    let mut names: Vec<String> = paths
        .iter()
        .take(NAMED)
        .map(|path| path.display().to_string())
        .collect();
    if let more @ 1.. = paths.len().saturating_sub(NAMED) {
        names.push(format!("{more} more"));
    }
    let what = match paths.len() {
        1 => "a file that the traced app used is",
        _ => "files that the traced app used are",
    };
    format!("{what} not there any more: {}", names.join(", "))
}
