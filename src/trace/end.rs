//! How a process ended, in words.

use std::fmt;

use nix::sys::signal::Signal;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By the signal of this number (`signal(7)`).
    Killed(i32),
}

impl End {
    /// Whether it ended by itself with the exit code 0.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "ended with exit code {code}"),
            Self::Killed(number) => write!(f, "was ended by {}", signal_name(*number)),
        }
    }
}

/// `SIGSEGV (an access to memory that it does not have)`.
pub(super) fn signal_name(number: i32) -> String {
    let Ok(signal) = Signal::try_from(number) else {
        return format!("the real-time signal {number}");
    };
    let meaning = match signal {
        Signal::SIGSEGV => "an access to memory that it does not have",
        Signal::SIGABRT => "it gave up itself: abort(3)",
        Signal::SIGBUS => "an access to memory that is not there, such as past a file's end",
        Signal::SIGILL => "an instruction that this CPU does not know",
        Signal::SIGFPE => "arithmetic such as a division by zero",
        Signal::SIGSYS => "a system call that a filter forbids",
        Signal::SIGKILL => "from outside; the kernel does so when memory runs out",
        Signal::SIGPIPE => "what read its output was closed",
        Signal::SIGTERM => "from outside",
        Signal::SIGINT => "an interrupt from the keyboard",
        Signal::SIGTRAP => "a breakpoint",
        _ => return signal.as_str().to_owned(),
    };
    format!("{} ({meaning})", signal.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_by_its_code_or_its_signals_name() {
        assert_eq!(End::Exited(3).to_string(), "ended with exit code 3");
        assert_eq!(
            End::Killed(11).to_string(),
            "was ended by SIGSEGV (an access to memory that it does not have)"
        );
        assert_eq!(
            End::Killed(40).to_string(),
            "was ended by the real-time signal 40"
        );
        assert!(End::Exited(0).is_success() && !End::Killed(15).is_success());
    }
}
