//! What goes wrong, and when.

use std::time::Duration;

pub(crate) use super::wire::Reply;

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// This answer in place of doing what was asked, after the body was read.
    Answer(Reply),
    /// The connection is closed without an answer, and nothing is done.
    HangUp,
    /// It is done, and the connection is closed without an answer.
    LoseAnswer,
    /// No answer ever comes.
    Silence,
    /// So many bytes of the request's body are read, then the connection is closed.
    CutUpload(u64),
    /// The answer announces all of its body, and the connection is closed after so many bytes.
    CutAnswer(usize),
    /// The same, and then nothing comes.
    StallAnswer(usize),
    /// The answer is only so many bytes, and says so: whole for HTTP, not for its digest.
    Shorten(usize),
    /// One byte of the answer's body is another, the size the same.
    Corrupt,
    /// The answer's body comes byte by byte, with this pause after each.
    Dribble(Duration),
    /// The answer has this header with another value.
    Header(&'static str, String),
    /// The client is sent to the same path of another server, `http://HOST:PORT`.
    Redirect(String),
}

/// A fault that waits for a request.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    method: &'static str,
    part: String,
    pass: usize,
    times: usize,
    act: Act,
}

impl Fault {
    /// Of the next request of this method (`*` for any) whose target has `part` in it.
    pub(crate) fn on(method: &'static str, part: impl Into<String>, act: Act) -> Self {
        Self {
            method,
            part: part.into(),
            pass: 0,
            times: 1,
            act,
        }
    }

    /// Lets the first of such requests pass.
    pub(crate) fn after(self, pass: usize) -> Self {
        Self { pass, ..self }
    }

    /// As often as this.
    pub(crate) fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Every time.
    pub(crate) fn always(self) -> Self {
        self.times(usize::MAX)
    }
}

/// The fault of this request. Each that fits and is not due comes a step nearer.
pub(super) fn due(faults: &mut [Fault], method: &str, target: &str) -> Option<Act> {
    for fault in faults {
        let fits = (fault.method == "*" || fault.method == method) && target.contains(&fault.part);
        if !fits || fault.times == 0 {
            continue;
        }
        if fault.pass > 0 {
            fault.pass -= 1;
            continue;
        }
        fault.times -= 1;
        return Some(fault.act.clone());
    }
    None
}
