//! When a run is ended from outside: after its time, or by Ctrl-C.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use signal_hook::SigId;
use signal_hook::consts::SIGINT;

use super::status;
use super::tracer::Crowd;

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// From Ctrl-C, which the app gets from the terminal as well, to SIGTERM.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is written by a run that has ended. A signal writes another byte.
const OVER: u8 = b'.';

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The app ended.
    Itself,
    /// Its time was over.
    Time,
    /// The user interrupted it.
    Interrupt,
}

/// Waits until a run is over, and sees to it that it will be.
#[derive(Debug)]
pub(super) struct Clock {
    events: UnixStream,
    sender: UnixStream,
    interrupts: Option<SigId>,
}

/// With which the run says that it has ended, when it is dropped.
#[derive(Debug)]
pub(super) struct Bell(UnixStream);

impl Drop for Bell {
    fn drop(&mut self) {
        // Nobody waits any more where this fails.
        let _ = self.0.write_all(&[OVER]);
    }
}

impl Clock {
    /// From here on Ctrl-C ends the run and not this process, unless it was ignored anyway.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub(super) fn new() -> io::Result<Self> {
        let (events, sender) = UnixStream::pair()?;
        let interrupts = if status::is_ignored(Signal::SIGINT) {
            None
        } else {
            keep_default_after()?;
            IS_DEFAULT.store(false, Ordering::SeqCst);
            let id = signal_hook::low_level::pipe::register(SIGINT, sender.try_clone()?)?;
            Some(id)
        };
        Ok(Self {
            events,
            sender,
            interrupts,
        })
    }

    /// What the run drops when it has ended.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub(super) fn bell(&self) -> io::Result<Bell> {
        Ok(Bell(self.sender.try_clone()?))
    }

    /// Ends the run after `time`, or when it is interrupted, and says why it ended.
    pub(super) fn wait(&mut self, crowd: &Crowd, time: Option<Duration>) -> Reason {
        let mut reason = Reason::Itself;
        let mut next = time.map(|time| (Instant::now() + time, Step::Terminate));
        loop {
            match self.event(next.map(|(when, _)| when)) {
                Event::Over => return reason,
                Event::Interrupt if reason == Reason::Interrupt => crowd.kill(),
                Event::Interrupt => {
                    reason = Reason::Interrupt;
                    next = Some((Instant::now() + PATIENCE, Step::Terminate));
                }
                Event::Due => {
                    next = match next {
                        Some((_, Step::Terminate)) => {
                            if reason == Reason::Itself {
                                reason = Reason::Time;
                            }
                            crowd.terminate();
                            Some((Instant::now() + GRACE, Step::Kill))
                        }
                        _ => {
                            crowd.kill();
                            None
                        }
                    }
                }
            }
        }
    }

    fn event(&mut self, until: Option<Instant>) -> Event {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Event::Due;
            }
            let mut byte = [0];
            let read = self
                .events
                .set_read_timeout(left)
                .and_then(|()| self.events.read(&mut byte));
            match read {
                Ok(1) if byte != [OVER] => return Event::Interrupt,
                Ok(_) => return Event::Over,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return Event::Over,
            }
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Some(id) = self.interrupts.take() {
            IS_DEFAULT.store(!IS_LEFT.load(Ordering::SeqCst), Ordering::SeqCst);
            signal_hook::low_level::unregister(id);
        }
    }
}

enum Event {
    Over,
    Interrupt,
    Due,
}

#[derive(Clone, Copy)]
enum Step {
    Terminate,
    Kill,
}

/// Whether Ctrl-C has its usual effect.
static IS_DEFAULT: AtomicBool = AtomicBool::new(true);

/// Whether another handler acts on Ctrl-C.
static IS_LEFT: AtomicBool = AtomicBool::new(false);

/// A handler that was once installed stays: it gives Ctrl-C its usual effect again after the
/// run. Not so where this process handles it in its own way.
fn keep_default_after() -> io::Result<()> {
    if !status::is_caught(Signal::SIGINT) {
        signal_hook::flag::register_conditional_default(SIGINT, &IS_DEFAULT)?;
    }
    Ok(())
}

/// Leaves Ctrl-C to a handler that is about to be installed, for the rest of the process.
pub(crate) fn leave_interrupts() {
    IS_LEFT.store(true, Ordering::SeqCst);
    IS_DEFAULT.store(false, Ordering::SeqCst);
}
