//! The first process of a sandbox: waiting for its end, and bringing it about.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use super::message::{Ending, FailedCall, Raw};
use crate::trace::End;
use crate::trace::failures::{self, Control};

/// What the thread that started the process waits for.
pub(super) struct Life {
    child: Child,
    control: Option<Control>,
    over: Arc<AtomicBool>,
}

/// What another thread holds to end it.
pub(super) struct Leash {
    pid: i32,
    /// Of a traced process.
    control: Option<Control>,
    /// Not to be mistaken for another process; none on kernels without `pidfd_open(2)`.
    descriptor: Option<OwnedFd>,
    /// Whether it was waited for, so that its number may be another's.
    over: Arc<AtomicBool>,
}

impl Life {
    /// To be called by the thread that started `child`.
    pub(super) fn of(child: Child, watched: bool) -> (Self, Leash) {
        let pid = i32::try_from(child.id()).unwrap_or(0);
        let control = watched.then(Control::new);
        let over = Arc::new(AtomicBool::new(false));
        let descriptor = rustix::process::Pid::from_raw(pid)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let leash = Leash {
            pid,
            control: control.clone(),
            descriptor,
            over: Arc::clone(&over),
        };
        let life = Self {
            child,
            control,
            over,
        };
        (life, leash)
    }

    /// Waits until it has ended, and with it all processes of its namespace.
    pub(super) fn wait(mut self) -> (Ending, Vec<FailedCall>) {
        let watched = self.control.as_ref().map(|control| {
            let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0));
            failures::watch(pid, control, None)
        });
        if let Some(Ok(watched)) = watched {
            self.over.store(true, Ordering::Release);
            let ending = match watched.end {
                End::Exited(code) => Ending::Exited(code),
                End::Killed(signal) => Ending::Killed(signal),
            };
            return (ending, watched.failures.iter().map(failed_call).collect());
        }
        let status = self.child.wait();
        self.over.store(true, Ordering::Release);
        let ending = match status {
            Ok(status) => match status.signal() {
                Some(signal) => Ending::Killed(signal),
                None => Ending::Exited(status.code().unwrap_or(0)),
            },
            // Nobody but this thread waits for it.
            Err(_) => Ending::Killed(Signal::SIGKILL as i32),
        };
        (ending, Vec::new())
    }
}

impl Leash {
    /// Its number in this pid namespace.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends it a signal; one that has ended needs none.
    pub(super) fn signal(&self, signal: Signal) {
        match &self.control {
            Some(control) => control.signal(signal),
            None => self.send(signal),
        }
    }

    fn send(&self, signal: Signal) {
        if let Some(descriptor) = &self.descriptor {
            if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
                let _ = pidfd_send_signal(descriptor, signal);
            }
        } else if !self.over.load(Ordering::Acquire) {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Ends it, and with it all processes of its namespace.
    pub(super) fn kill(&self) {
        if let Some(control) = &self.control {
            control.kill();
        }
        self.send(Signal::SIGKILL);
    }
}

fn failed_call(failure: &failures::Failure) -> FailedCall {
    FailedCall {
        call: failure.call.to_owned(),
        path: Raw::from(&failure.path),
        errno: failure.errno as i32,
        writes: failure.writes(),
    }
}
