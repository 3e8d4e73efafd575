//! Running an app to see which files it opens.
//!
//! The app is started by a helper process that asks to be traced and installs a seccomp filter:
//! only the few calls that name files stop it, once each, so that the app runs at nearly its own
//! speed. Everything that it starts is traced as well. When all have ended, the files that belong
//! to the machine, to its user or to the run itself are left out; what remains is a [`Profile`].

mod calls;
mod clock;
mod companions;
mod end;
mod error;
mod executed;
pub(crate) mod failures;
pub(crate) mod filter;
mod flags;
mod profile;
mod registers;
mod secret;
mod seen;
mod sift;
mod status;
mod tracee;
mod tracer;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::libc;
use nix::unistd::Pid;

pub(crate) use clock::leave_interrupts;
pub use companions::missed;
pub use end::End;
pub use error::TraceError;
pub use profile::{Profile, ProfileFile};

use crate::helper::{Helper, Part};
use clock::{Clock, Reason};
use filter::Stops;
use seen::Seen;
use sift::Bounds;
use tracer::{Crowd, Others, Outcome};

/// How to run an app under trace.
#[derive(Debug, Clone)]
pub struct Tracing {
    /// The program and its arguments, as on this machine.
    pub command: Vec<OsString>,
    /// After how long it is ended by SIGTERM, and SIGKILL if that does not help; `None` to wait.
    pub time: Option<Duration>,
    /// Files of these directories are never taken: where the output is written, caches.
    pub ignore: Vec<PathBuf>,
    /// What becomes the app.
    pub helper: Helper,
}

/// How a file was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Opened for reading.
    Read,
    /// Executed.
    Execute,
    /// A directory that was opened, for listing: what is in it was not taken for that.
    List,
}

/// What came out of a run.
#[derive(Debug, Clone)]
pub struct Traced {
    /// What it used.
    pub profile: Profile,
    /// What was left out, and why: secrets, files that the app wrote. Sorted by path.
    pub left_out: Vec<(PathBuf, &'static str)>,
    /// What the user should know.
    pub notices: Vec<String>,
}

/// Runs the app and records which files it and its children open, execute and load.
///
/// The app has this process's environment, working directory and input; its output goes to this
/// process's error output. It is waited for until it and all that it started have ended. While it
/// runs, Ctrl-C ends it and not this process; what was seen until then counts.
///
/// # Errors
/// When it cannot be started or traced, or ends by itself with a failure.
pub fn run(tracing: &Tracing) -> Result<Traced, TraceError> {
    let name = tracing.command.first().ok_or(TraceError::NoCommand)?;
    let program = find_program(name).ok_or_else(|| TraceError::NotFound(name.clone()))?;
    let system = |source| TraceError::System {
        program: program.clone(),
        source,
    };
    let mut seen = Seen::new(std::env::current_dir().map_err(system)?);
    let crowd = Crowd::default();
    let mut clock = Clock::new().map_err(system)?;
    let bell = clock.bell().map_err(system)?;
    let (outcome, reason) = std::thread::scope(|scope| {
        // A thread traces what it has started itself, and waits for nothing else.
        let tracer = std::thread::Builder::new()
            .name("tracer".into())
            .spawn_scoped(scope, || {
                let outcome = start(tracing).map(|child| {
                    tracer::trace(child, &crowd, Others::Await, &mut seen).map_err(system)
                });
                drop(bell);
                outcome
            })
            .map_err(system)?;
        let reason = clock.wait(&crowd, tracing.time);
        let outcome = tracer
            .join()
            .map_err(|_| system(io::Error::other("the tracer broke off")))?;
        Ok::<_, TraceError>((outcome??, reason))
    })?;
    drop(clock);
    let mut notices = judge(tracing, &program, outcome, reason)?;
    notices.extend(seen.notices());
    let (profile, left_out) = sift::sift(&seen, &Bounds::new(&tracing.ignore, &program));
    Ok(Traced {
        profile,
        left_out,
        notices,
    })
}

/// Starts the helper, which waits to be traced and then becomes the app.
fn start(tracing: &Tracing) -> Result<Pid, TraceError> {
    let helper = |source| TraceError::Helper {
        program: tracing.helper.program().to_path_buf(),
        source,
    };
    // Reports go to the output, so the app's must not.
    let output = io::stderr().as_fd().try_clone_to_owned().map_err(helper)?;
    let child = tracing
        .helper
        .command(Part::Tracee)
        .args(&tracing.command)
        .stdout(Stdio::from(output))
        .spawn()
        .map_err(helper)?;
    let pid = i32::try_from(child.id()).map_err(|error| helper(io::Error::other(error)))?;
    Ok(Pid::from_raw(pid))
}

/// Whether the run says something about the app, and what there is to be told.
fn judge(
    tracing: &Tracing,
    program: &Path,
    outcome: Outcome,
    reason: Reason,
) -> Result<Vec<String>, TraceError> {
    if let Some(signal) = outcome.stuck {
        let program = program.to_path_buf();
        return Err(TraceError::Signal { program, signal });
    }
    if !outcome.executed && reason == Reason::Itself {
        return Err(not_begun(tracing, program, outcome));
    }
    let mut notices = Vec::new();
    match (reason, outcome.end) {
        (Reason::Itself, end) if !end.is_success() => {
            let program = program.to_path_buf();
            return Err(TraceError::Failed { program, end });
        }
        (Reason::Itself, _) => {}
        (_, End::Killed(libc::SIGKILL)) => notices.push(format!(
            "{} did not end within 5 s of SIGTERM, and was killed",
            program.display()
        )),
        (Reason::Time, end @ End::Killed(signal)) if signal != libc::SIGTERM => {
            notices.push(format!("{}: the traced app {end}", program.display()));
        }
        (Reason::Interrupt, _) => notices
            .push("the run was interrupted: the trace has what was opened until then".to_owned()),
        (Reason::Time, _) => {}
    }
    Ok(notices)
}

/// Why the helper did not become the app. Its exit code is what the system said: [`tracee`].
fn not_begun(tracing: &Tracing, program: &Path, outcome: Outcome) -> TraceError {
    let End::Exited(code @ 1..) = outcome.end else {
        return TraceError::NoHelper(tracing.helper.program().to_path_buf());
    };
    let source = io::Error::from_raw_os_error(code);
    match outcome {
        Outcome {
            attempted: true, ..
        } => TraceError::Execute {
            program: program.to_path_buf(),
            source,
        },
        Outcome { traced: true, .. } => TraceError::NoFilter { source },
        Outcome { .. } if matches!(code, libc::EPERM | libc::EACCES | libc::ENOSYS) => {
            TraceError::NotPermitted { source }
        }
        Outcome { .. } => TraceError::NoHelper(tracing.helper.program().to_path_buf()),
    }
}

/// The program that execvp(3) would execute, or try to.
fn find_program(name: &OsStr) -> Option<PathBuf> {
    let path = Path::new(name);
    if name.is_empty() {
        return None;
    }
    if path.components().count() > 1 || path.is_absolute() {
        return path.exists().then(|| path.to_path_buf());
    }
    let search = std::env::var_os("PATH")?;
    std::env::split_paths(&search)
        .map(|directory| directory.join(path))
        .find(|candidate| candidate.is_file())
}

/// The part of the process that becomes the app. Its arguments are the app's command.
pub(crate) fn tracee() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        return failure(&io::ErrorKind::InvalidInput.into());
    };
    match tracer::become_traced(Stops::Opening) {
        Ok(()) => failure(&Command::new(program).args(words).exec()),
        Err(error) => failure(&error),
    }
}

/// An exit code that tells the tracer what the system said.
fn failure(error: &io::Error) -> ExitCode {
    let code = error
        .raw_os_error()
        .and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(u8::MAX))
}
