//! The loop that waits for stops of traced threads and lets them go on (`ptrace(2)`).

use std::collections::hash_map;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, WaitStatus};

use super::calls::{self, Call};
use super::end::End;
use super::filter::{self, Stops};
use super::registers::{self, Entry};
use super::status;

/// Between two looks at whether a stopped process was told to go on. The kernel says so by
/// `PTRACE_LISTEN` only, which nothing here offers.
const LOOK: Duration = Duration::from_millis(20);

/// Who wants to know about the calls of a traced process and its children.
pub(super) trait Observer {
    /// A thread is about to make a call. What exists now is what the call will find.
    fn enter(&mut self, thread: Pid, call: &'static Call, entry: &Entry) -> Follow;

    /// The call of which the result was wished for has returned it.
    fn leave(&mut self, thread: Pid, result: i64);

    /// A thread will not return from its call: it has ended, or become another program.
    fn gone(&mut self, thread: Pid);
}

/// Whether the result of a call matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// It does not: one stop is enough.
    Entry,
    /// It does.
    Result,
}

/// What happens to the other processes when the first one has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// They are waited for.
    Await,
    /// They are killed.
    Kill,
}

/// How a traced run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// How the first process ended.
    pub(super) end: End,
    /// Whether it could be traced at all.
    pub(super) traced: bool,
    /// Whether it tried to become a program.
    pub(super) attempted: bool,
    /// Whether it became one.
    pub(super) executed: bool,
    /// A real-time signal that could not be passed on, for which all processes were killed.
    pub(super) stuck: Option<i32>,
}

/// Makes this process one that its parent traces, from here on through every program that it
/// becomes. It stops until the parent's thread that started it lets it go on.
///
/// # Errors
/// When ptrace or seccomp is not permitted.
pub(super) fn become_traced(stops: Stops) -> io::Result<()> {
    ptrace::traceme()?;
    raise(Signal::SIGSTOP)?;
    filter::install(stops)
}

/// The processes of a run, for the threads that may end them.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd(Arc<Mutex<Members>>);

#[derive(Debug, Default)]
struct Members {
    first: Option<Pid>,
    threads: BTreeSet<Pid>,
    /// They are asked to end.
    leaving: bool,
    /// They are killed.
    doomed: bool,
}

impl Crowd {
    /// Sends a signal to the first process, or to all others when it has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let members = self.members();
        match members.first {
            Some(first) => send(first, signal),
            None => members
                .threads
                .iter()
                .for_each(|thread| send(*thread, signal)),
        }
    }

    /// Asks the first process to end, and those that are left when it has.
    pub(super) fn terminate(&self) {
        self.members().leaving = true;
        self.signal(Signal::SIGTERM);
    }

    /// Kills all, and what they may still start.
    pub(super) fn kill(&self) {
        let mut members = self.members();
        members.doomed = true;
        for thread in members.first.iter().chain(&members.threads) {
            send(*thread, Signal::SIGKILL);
        }
    }

    fn start(&self, first: Pid) {
        let mut members = self.members();
        members.first = Some(first);
        if members.doomed {
            send(first, Signal::SIGKILL);
        }
    }

    fn add(&self, thread: Pid) {
        let mut members = self.members();
        members.threads.insert(thread);
        if members.doomed {
            send(thread, Signal::SIGKILL);
        }
    }

    fn remove(&self, thread: Pid) {
        let mut members = self.members();
        members.threads.remove(&thread);
        if members.first == Some(thread) {
            members.first = None;
            if members.leaving {
                members
                    .threads
                    .iter()
                    .for_each(|thread| send(*thread, Signal::SIGTERM));
            }
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that has just ended needs no signal.
fn send(process: Pid, signal: Signal) {
    let _ = kill(process, signal);
}

/// Traces `first` and its children until all have ended. It belongs to the thread that started
/// `first`, and waits for children of this thread only.
///
/// # Errors
/// When the first process cannot be waited for.
pub(super) fn trace(
    first: Pid,
    crowd: &Crowd,
    others: Others,
    observer: &mut dyn Observer,
) -> io::Result<Outcome> {
    crowd.start(first);
    let mut tracer = Tracer {
        first,
        crowd,
        others,
        observer,
        threads: HashMap::new(),
        held: 0,
        end: None,
        traced: false,
        attempted: false,
        executed: false,
        stuck: None,
    };
    tracer.run()?;
    Ok(Outcome {
        end: tracer.end.ok_or(Errno::ECHILD)?,
        traced: tracer.traced,
        attempted: tracer.attempted,
        executed: tracer.executed,
        stuck: tracer.stuck,
    })
}

struct Tracer<'a> {
    first: Pid,
    crowd: &'a Crowd,
    others: Others,
    observer: &'a mut dyn Observer,
    threads: HashMap<Pid, Thread>,
    /// How many of them are held in a group stop.
    held: usize,
    end: Option<End>,
    traced: bool,
    attempted: bool,
    executed: bool,
    stuck: Option<i32>,
}

/// A traced thread.
#[derive(Debug, Default)]
struct Thread {
    /// It has had the SIGSTOP with which a traced thread begins its life.
    begun: bool,
    /// It takes part in a group stop, and waits for SIGCONT.
    held: bool,
}

impl Tracer<'_> {
    fn run(&mut self) -> io::Result<()> {
        loop {
            let waiting =
                WaitOptions::from_bits_retain((libc::__WALL | libc::__WNOTHREAD).cast_unsigned());
            let options = if self.held == 0 {
                waiting
            } else {
                waiting | WaitOptions::NOHANG
            };
            match rustix::process::wait(options) {
                Ok(Some((thread, status))) => {
                    self.changed(Pid::from_raw(thread.as_raw_nonzero().get()), status);
                }
                Ok(None) => {
                    std::thread::sleep(LOOK);
                    self.release();
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CHILD) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn changed(&mut self, thread: Pid, status: WaitStatus) {
        if let Some(signal) = status.stopping_signal() {
            let event = status.as_raw() >> 16;
            self.stopped(thread, signal, event);
        } else if let Some(code) = status.exit_status() {
            self.ended(thread, End::Exited(code));
        } else if let Some(signal) = status.terminating_signal() {
            self.ended(thread, End::Killed(signal));
        }
    }

    fn ended(&mut self, thread: Pid, end: End) {
        self.forget(thread);
        if thread == self.first {
            self.end = Some(end);
            if self.others == Others::Kill {
                self.crowd.kill();
            }
        }
    }

    fn forget(&mut self, thread: Pid) {
        if self.threads.remove(&thread).is_some_and(|it| it.held) {
            self.held -= 1;
        }
        self.crowd.remove(thread);
        self.observer.gone(thread);
    }

    fn stopped(&mut self, thread: Pid, signal: i32, event: i32) {
        if let hash_map::Entry::Vacant(place) = self.threads.entry(thread) {
            place.insert(Thread::default());
            self.crowd.add(thread);
            if !self.traced {
                self.begin(thread);
            }
        }
        match event {
            libc::PTRACE_EVENT_SECCOMP => self.call(thread),
            libc::PTRACE_EVENT_EXEC => self.became_program(thread),
            0 if signal == libc::SIGTRAP | 0x80 => self.returned(thread),
            0 => self.signalled(thread, signal),
            // A fork, vfork or clone: what was made stops by itself.
            _ => go_on(thread, None),
        }
    }

    /// Options hold for all that the first thread starts.
    fn begin(&mut self, thread: Pid) {
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACESYSGOOD;
        self.traced = ptrace::setoptions(thread, options).is_ok();
    }

    fn call(&mut self, thread: Pid) {
        let follow = registers::entry(thread).map_or(Follow::Entry, |entry| {
            let Some(call) = calls::find(entry.number) else {
                return Follow::Entry;
            };
            self.attempted |= matches!(call.act, calls::Act::Execute(..));
            self.observer.enter(thread, call, &entry)
        });
        match follow {
            Follow::Entry => go_on(thread, None),
            // One that was killed meanwhile says so itself.
            Follow::Result => drop(ptrace::syscall(thread, None)),
        }
    }

    fn returned(&mut self, thread: Pid) {
        if let Some(result) = registers::result(thread) {
            self.observer.leave(thread, result);
        }
        go_on(thread, None);
    }

    /// A thread that executes a program goes on under the number of its process, and the other
    /// threads are gone.
    fn became_program(&mut self, process: Pid) {
        self.executed |= process == self.first;
        if let Ok(former) = ptrace::getevent(process)
            && let Ok(former) = i32::try_from(former)
            && former != process.as_raw()
        {
            self.forget(Pid::from_raw(former));
        }
        self.observer.gone(process);
        go_on(process, None);
    }

    fn signalled(&mut self, thread: Pid, signal: i32) {
        let Some(state) = self.threads.get_mut(&thread) else {
            return go_on(thread, None);
        };
        if signal == libc::SIGSTOP && !state.begun {
            state.begun = true;
            return go_on(thread, None);
        }
        let Ok(signal) = Signal::try_from(signal) else {
            return self.give_up(signal);
        };
        if is_group_stop(thread, signal) {
            if !state.held {
                state.held = true;
                self.held += 1;
            }
            return;
        }
        if is_fatal_fault(thread, signal) {
            // What faults is executed again, now untraced, and the process dies of it.
            let _ = ptrace::detach(thread, None);
            return;
        }
        go_on(thread, Some(signal));
    }

    /// Neither swallowing a signal nor letting its thread wait keeps a program working.
    fn give_up(&mut self, signal: i32) {
        self.stuck.get_or_insert(signal);
        self.crowd.kill();
    }

    /// Lets those threads go on that were sent SIGCONT: it is pending until they do.
    fn release(&mut self) {
        for (thread, state) in &mut self.threads {
            if state.held && status::is_pending(*thread, Signal::SIGCONT) {
                state.held = false;
                self.held -= 1;
                go_on(*thread, None);
            }
        }
    }
}

/// Whether the stop is that of a whole process, and no signal that is about to be delivered:
/// then there is nothing to be known about a signal.
fn is_group_stop(thread: Pid, signal: Signal) -> bool {
    matches!(
        signal,
        Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU
    ) && ptrace::getsiginfo(thread) == Err(Errno::EINVAL)
}

/// Whether the thread has made a fault that its process does not handle. Passing the signal on
/// is not enough where the process is the first of its namespace: no such signal kills that
/// while it is traced (the kernel leaves it unkillable then), and it would make the fault
/// again for ever.
fn is_fatal_fault(thread: Pid, signal: Signal) -> bool {
    matches!(
        signal,
        Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE
    ) && ptrace::getsiginfo(thread).is_ok_and(|info| info.si_code > 0)
        && !status::is_handled(thread, signal)
}

/// A thread that was killed meanwhile says so itself.
fn go_on(thread: Pid, signal: Option<Signal>) {
    let _ = ptrace::cont(thread, signal);
}
