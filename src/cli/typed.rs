//! What a person types on a terminal, shown or not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use zeroize::Zeroizing;

/// A terminal hands over at most this many bytes of a line, and drops the rest without a word
/// (termios(3), "Canonical mode").
const LONGEST: usize = 4095;

/// A line, without its end; empty at the end of the input. `otherwise` says how a line that is too
/// long can be given.
///
/// # Errors
/// When it cannot be read, is too long to be whole, or not UTF-8.
pub(super) fn line(terminal: BorrowedFd<'_>, otherwise: &str) -> io::Result<Zeroizing<String>> {
    // Past the buffer of `Stdin`, which would keep a copy.
    let mut bytes = Zeroizing::new(vec![0; LONGEST + 1]);
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        let read = match rustix::io::read(terminal, rest) {
            Err(rustix::io::Errno::INTR) => continue,
            read => read?,
        };
        length += read;
        let is_end = bytes.get(..length).is_some_and(|it| it.ends_with(b"\n"));
        if read == 0 || is_end {
            break;
        }
    }
    let typed = bytes.get(..length).unwrap_or_default();
    let typed = typed.strip_suffix(b"\n").unwrap_or(typed);
    if typed.len() >= LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it is longer than a terminal can hand over: {otherwise}"),
        ));
    }
    let typed = typed.strip_suffix(b"\r").unwrap_or(typed);
    match std::str::from_utf8(typed) {
        Ok(typed) => Ok(Zeroizing::new(typed.to_owned())),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no UTF-8",
        )),
    }
}

/// A line that is not shown while it is typed. `prompt` is called when nothing is shown any more.
///
/// # Errors
/// As [`line`], and when the terminal cannot be told to show nothing.
pub(super) fn hidden(
    terminal: BorrowedFd<'_>,
    otherwise: &str,
    prompt: impl FnOnce(),
) -> io::Result<Zeroizing<String>> {
    let _silence = Silence::begin(terminal)?;
    prompt();
    line(terminal, otherwise)
}

/// A terminal that shows nothing but the ends of lines until this is dropped, or a signal ends the
/// program.
struct Silence {
    terminal: Arc<OwnedFd>,
    before: Termios,
    signals: Handle,
    watcher: Option<JoinHandle<()>>,
}

impl Silence {
    fn begin(terminal: BorrowedFd<'_>) -> io::Result<Self> {
        let terminal = Arc::new(terminal.try_clone_to_owned()?);
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let watcher = {
            let (terminal, before) = (Arc::clone(&terminal), before.clone());
            std::thread::Builder::new()
                .name("terminal".into())
                .spawn(move || {
                    if let Some(signal) = signals.forever().next() {
                        restore(terminal.as_fd(), &before);
                        signal_hook::low_level::exit(128 + signal);
                    }
                })?
        };
        let silence = Self {
            terminal,
            before,
            signals: handle,
            watcher: Some(watcher),
        };
        // What was typed before the question is no answer to it.
        tcsetattr(&silence.terminal, OptionalActions::Flush, &silent)?;
        Ok(silence)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        restore(self.terminal.as_fd(), &self.before);
        self.signals.close();
        if let Some(watcher) = self.watcher.take() {
            // It has nothing to tell.
            let _ = watcher.join();
        }
    }
}

/// A terminal that is gone need not be restored.
fn restore(terminal: BorrowedFd<'_>, before: &Termios) {
    let _ = tcsetattr(terminal, OptionalActions::Now, before);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    /// A terminal: the side of the person and that of the program.
    fn terminal() -> (File, OwnedFd) {
        let pair = nix::pty::openpty(None, None).unwrap();
        (File::from(pair.master), pair.slave)
    }

    fn echoes(terminal: &OwnedFd) -> bool {
        tcgetattr(terminal)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    #[test]
    fn a_hidden_line_is_read_and_not_shown() {
        let (mut person, program) = terminal();
        let line = hidden(program.as_fd(), "", || {
            assert!(!echoes(&program));
            person.write_all("hunt\u{e4}r2\n".as_bytes()).unwrap();
        });
        assert_eq!(line.unwrap().as_str(), "hunt\u{e4}r2");
        assert!(echoes(&program));
        // With what is written behind it there is an end to what the person sees.
        File::from(program).write_all(b"end").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"end") {
            let mut block = [0; 100];
            let read = person.read(&mut block).unwrap();
            seen.extend_from_slice(&block[..read]);
        }
        assert_eq!(String::from_utf8(seen).unwrap(), "\r\nend");
    }

    #[test]
    fn corrections_are_the_terminals() {
        let (mut person, program) = terminal();
        let line = hidden(program.as_fd(), "", || {
            person.write_all(b"wrong\x15huntx\x7fer2\n").unwrap();
        });
        assert_eq!(line.unwrap().as_str(), "hunter2");
    }

    #[test]
    fn what_was_typed_before_the_question_is_no_answer() {
        let (mut person, program) = terminal();
        person.write_all(b"too early\n").unwrap();
        // The kernel hands it over at its leisure.
        while rustix::io::ioctl_fionread(&program).unwrap() == 0 {
            std::thread::yield_now();
        }
        let line = hidden(program.as_fd(), "", || {
            person.write_all(b"answer\n").unwrap()
        });
        assert_eq!(line.unwrap().as_str(), "answer");
    }

    #[test]
    fn the_end_of_the_input_is_an_empty_line() {
        let (mut person, program) = terminal();
        let line = hidden(program.as_fd(), "", || person.write_all(&[4]).unwrap());
        assert!(line.unwrap().is_empty());
        assert!(echoes(&program));
    }

    #[test]
    fn a_line_that_the_terminal_would_cut_is_refused() {
        let (mut person, program) = terminal();
        let long = vec![b'x'; LONGEST + 100];
        let line = std::thread::scope(|scope| {
            hidden(program.as_fd(), "give it with --password-stdin", || {
                scope.spawn(|| {
                    person.write_all(&long).unwrap();
                    person.write_all(b"\n").unwrap();
                });
            })
        });
        let error = line.unwrap_err().to_string();
        assert!(error.contains("--password-stdin"), "{error}");
        assert!(echoes(&program));
    }

    #[test]
    fn what_is_no_terminal_cannot_hide() {
        let (mut person, program) = io::pipe().unwrap();
        drop(program);
        assert!(hidden(person.as_fd(), "", || panic!("asked")).is_err());
        assert_eq!(person.read(&mut [0]).unwrap(), 0);
    }
}
