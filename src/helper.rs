//! Parts of the work that a process of their own does: it is traced, or lives in a sandbox.
//!
//! The library holds no unsafe code, so it does not fork. It starts its own program again under a
//! name that says which part to play. A program that uses the library for `--trace` or `--smoke`
//! calls [`play`] first in its `main`, or names a program that does, such as `distrobuild`.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const PREFIX: &str = "distrobuild-helper:";

/// A program that calls [`play`] first in its `main`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    program: PathBuf,
}

impl Default for Helper {
    /// The running program itself.
    fn default() -> Self {
        Self::at("/proc/self/exe")
    }
}

impl Helper {
    /// The program at this path.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
        }
    }

    /// Its path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A command that plays `part`.
    pub(crate) fn command(&self, part: Part) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0(format!("{PREFIX}{}", part.name()));
        command
    }
}

/// What a helper does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Asks to be traced and becomes the app.
    Tracee,
    /// Makes the namespaces of a sandbox and watches over it.
    Warden,
    /// Is the first process of a sandbox: makes its root and becomes the app.
    Inmate,
}

impl Part {
    const ALL: [Self; 3] = [Self::Tracee, Self::Warden, Self::Inmate];

    fn name(self) -> &'static str {
        match self {
            Self::Tracee => "tracee",
            Self::Warden => "warden",
            Self::Inmate => "inmate",
        }
    }
}

/// Plays the part that this process was started for; `None` when it was started as the
/// program that it is. To be called first in `main`, while the process has one thread.
pub fn play() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    let name = name.to_str()?.strip_prefix(PREFIX)?;
    let part = Part::ALL.into_iter().find(|part| part.name() == name)?;
    Some(match part {
        Part::Tracee => crate::trace::tracee(),
        Part::Warden => crate::smoke::warden(),
        Part::Inmate => crate::smoke::inmate(),
    })
}
