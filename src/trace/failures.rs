//! A watch over a program that tells which files it failed to find or to write.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::End;
use super::calls::{Act, Call};
use super::filter::Stops;
use super::flags::is_written;
use super::registers::Entry;
use super::tracee::{self, Named};
use super::tracer::{self, Crowd, Follow, Observer, Others};

/// How many failures are kept.
const LIMIT: usize = 32;

/// Makes this process, and every program that it becomes and starts, one that [`watch`] sees.
/// It stops until the thread of its parent that started it calls that.
///
/// # Errors
/// When ptrace or seccomp is not permitted here.
pub(crate) fn become_traced() -> io::Result<()> {
    tracer::become_traced(Stops::Looking)
}

/// What other threads may do while [`watch`] blocks its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Control {
    crowd: Crowd,
    failures: Arc<Mutex<VecDeque<Failure>>>,
}

impl Control {
    /// Of a run that has not begun.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sends a signal to the first process; to all others when it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        self.crowd.signal(signal);
    }

    /// Kills all processes of the run.
    pub(crate) fn kill(&self) {
        self.crowd.kill();
    }

    /// The last failures so far, the newest last.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.kept().iter().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its name: `openat`, `execve`, `bind`.
    pub(crate) call: &'static str,
    /// The file, from the root of the process where that can be told; of `bind`, the address.
    pub(crate) path: PathBuf,
    /// Why.
    pub(crate) errno: Errno,
    /// The thread, by its number here.
    pub(crate) pid: i32,
    writes: bool,
}

impl Failure {
    /// Whether the call was to create, change or remove something.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.errno {
            Errno::ENOENT => "no such file or directory",
            Errno::EACCES => "permission denied",
            Errno::EPERM => "operation not permitted",
            Errno::EROFS => "read-only file system",
            Errno::ENOTDIR => "not a directory",
            Errno::ENOEXEC => "not a program that this machine runs",
            other => other.desc(),
        };
        write!(f, "{} {}: {meaning}", self.call, self.path.display())
    }
}

/// What was seen of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    /// The last calls that failed, the newest last. Searches that found the name elsewhere
    /// are left out.
    pub(crate) failures: Vec<Failure>,
    /// How the first process ended.
    pub(crate) end: End,
    /// Whether the deadline ended it.
    pub(crate) timed_out: bool,
}

/// Watches `child`, which called [`become_traced`], and its children until it has ended; then
/// the others are killed. To be called by the thread that started `child`; it reaps it, and
/// waits for no child of another thread. All are killed at the `deadline`. A child that could
/// not make itself traced is waited for, and has no failures.
///
/// # Errors
/// When it cannot be waited for; `Unsupported` when it was killed because it uses a real-time
/// signal, which cannot be passed on to a traced program: it can be run unwatched.
pub(crate) fn watch(
    child: Pid,
    control: &Control,
    deadline: Option<Instant>,
) -> io::Result<Watched> {
    let mut watcher = Watcher {
        control,
        calls: HashMap::new(),
    };
    let (outcome, timed_out) = std::thread::scope(|scope| {
        let (ended, end) = mpsc::channel::<()>();
        let clock = deadline.map(|deadline| {
            scope.spawn(move || {
                let left = deadline.saturating_duration_since(Instant::now());
                let late = end.recv_timeout(left) == Err(RecvTimeoutError::Timeout);
                if late {
                    control.kill();
                }
                late
            })
        });
        let outcome = tracer::trace(child, &control.crowd, Others::Kill, &mut watcher);
        drop(ended);
        let late = clock.is_some_and(|clock| clock.join().unwrap_or(false));
        (outcome, late)
    });
    let outcome = outcome?;
    if let Some(signal) = outcome.stuck {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("real-time signal {signal} cannot be passed on to a traced program"),
        ));
    }
    Ok(Watched {
        failures: control.failures(),
        end: outcome.end,
        timed_out: timed_out && outcome.end == End::Killed(libc::SIGKILL),
    })
}

/// Notes how calls end.
struct Watcher<'a> {
    control: &'a Control,
    /// Calls that are under way, by thread.
    calls: HashMap<Pid, Attempt>,
}

/// A call under way.
struct Attempt {
    call: &'static Call,
    path: PathBuf,
    /// Of a renaming, where to.
    to: Option<PathBuf>,
    writes: bool,
}

impl Observer for Watcher<'_> {
    fn enter(&mut self, thread: Pid, call: &'static Call, entry: &Entry) -> Follow {
        match Attempt::of(thread, call, entry) {
            Some(attempt) => {
                self.calls.insert(thread, attempt);
                Follow::Result
            }
            None => Follow::Entry,
        }
    }

    fn leave(&mut self, thread: Pid, result: i64) {
        let Some(attempt) = self.calls.remove(&thread) else {
            return;
        };
        if result >= 0 {
            self.succeeded(&attempt.path);
            return;
        }
        let errno = Errno::from_raw(i32::try_from(-result).unwrap_or(0));
        if attempt.tells(errno) {
            self.failed(attempt.failure(errno, thread));
        }
    }

    /// Only an execution that succeeds does not return to its program.
    fn gone(&mut self, thread: Pid) {
        if let Some(attempt) = self.calls.remove(&thread)
            && matches!(attempt.call.act, Act::Execute(..))
        {
            self.succeeded(&attempt.path);
        }
    }
}

impl Watcher<'_> {
    /// A search has an end: what was looked for under this name elsewhere was not missed.
    fn succeeded(&self, path: &Path) {
        let mut kept = self.control.kept();
        if let (false, Some(name)) = (kept.is_empty(), path.file_name()) {
            kept.retain(|failure| failure.path.file_name() != Some(name));
        }
    }

    fn failed(&self, failure: Failure) {
        let mut kept = self.control.kept();
        // What is tried again and again pushes nothing else out.
        kept.retain(|former| {
            (former.call, &former.path, former.errno)
                != (failure.call, &failure.path, failure.errno)
        });
        if kept.len() == LIMIT {
            kept.pop_front();
        }
        kept.push_back(failure);
    }
}

impl Attempt {
    fn of(thread: Pid, call: &'static Call, entry: &Entry) -> Option<Self> {
        let path = |place| tracee::name(thread, entry, place).map(|named| shown(&named));
        let mut to = None;
        let (path, writes) = match call.act {
            Act::Open(place, flags) => {
                let flags = tracee::low(entry.arguments.get(flags).copied()?);
                (path(place)?, is_written(flags))
            }
            Act::OpenHow(place, how) => {
                let flags = tracee::word(thread, entry.arguments.get(how).copied()?)?;
                let flags = tracee::low(flags);
                (path(place)?, is_written(flags))
            }
            Act::Execute(place) | Act::Look(place) | Act::Enter(place) => (path(place)?, false),
            Act::Change(place) | Act::Remove(place) => (path(place)?, true),
            Act::Rename(from, onto) => {
                to = path(onto);
                (path(from)?, true)
            }
            Act::Bind(argument) => (address(thread, entry, argument)?, true),
            Act::Queue => return None,
        };
        Some(Self {
            call,
            path,
            to,
            writes,
        })
    }

    /// Whether the error tells that something is missing or forbidden.
    fn tells(&self, errno: Errno) -> bool {
        match errno {
            // Removing what is not there is how programs tidy up before they begin.
            Errno::ENOENT | Errno::ENOTDIR => !matches!(self.call.act, Act::Remove(_)),
            Errno::EACCES | Errno::EROFS | Errno::EPERM => true,
            Errno::ENOEXEC => matches!(self.call.act, Act::Execute(..)),
            _ => false,
        }
    }

    fn failure(self, errno: Errno, thread: Pid) -> Failure {
        let path = match self.to {
            Some(to) if errno != Errno::ENOENT => to,
            _ => self.path,
        };
        Failure {
            call: self.call.name,
            path,
            errno,
            pid: thread.as_raw(),
            writes: self.writes,
        }
    }
}

fn shown(named: &Named) -> PathBuf {
    // `join` would keep the dots of `./x`.
    named.absolute().components().collect()
}

/// The address that a socket is to get: a file's name or `0.0.0.0:80` (`ip(7)`, `unix(7)`).
fn address(thread: Pid, entry: &Entry, argument: usize) -> Option<PathBuf> {
    let at = entry.arguments.get(argument).copied()?;
    let length = entry.arguments.get(argument + 1).copied()?;
    let bytes = tracee::socket_address(thread, at, length)?;
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_UNIX => {
            let name = rest.split(|byte| *byte == 0).next()?;
            let name = Path::new(OsStr::from_bytes(name));
            if name.as_os_str().is_empty() {
                return None;
            }
            if name.is_absolute() {
                return Some(name.to_path_buf());
            }
            Some(tracee::working_directory(thread)?.join(name))
        }
        libc::AF_INET => {
            let (port, rest) = rest.split_first_chunk::<2>()?;
            let (address, _) = rest.split_first_chunk::<4>()?;
            let address = std::net::Ipv4Addr::from(*address);
            Some(format!("{address}:{}", u16::from_be_bytes(*port)).into())
        }
        libc::AF_INET6 => {
            let (port, rest) = rest.split_first_chunk::<2>()?;
            let (address, _) = rest.get(4..)?.split_first_chunk::<16>()?;
            let address = std::net::Ipv6Addr::from(*address);
            Some(format!("[{address}]:{}", u16::from_be_bytes(*port)).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
