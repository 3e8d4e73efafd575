//! What a server of the tests answers.

use std::time::Duration;

/// What is done with the body of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Take {
    All,
    /// So many bytes at once, and a pause after each.
    Slowly(usize, Duration),
    /// So many bytes, then the answer; the rest never.
    Early(usize),
    /// So many bytes, then nothing: neither more, nor an answer.
    Stall(usize),
    /// So many bytes, then the connection is closed.
    Cut(usize),
}

/// What happens after the bytes of the answer's body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    Whole,
    Cut,
    Stall,
    Endless,
    Trickle,
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<String>,
    pub(super) body: Vec<u8>,
    pub(super) length: usize,
    pub(super) take: Take,
    pub(super) end: End,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            length: 0,
            take: Take::All,
            end: End::Whole,
        }
    }

    pub(super) fn body(body: &[u8]) -> Self {
        Self::status(200).with(body)
    }

    pub(super) fn with(self, body: &[u8]) -> Self {
        Self {
            length: body.len(),
            body: body.to_vec(),
            ..self
        }
    }

    pub(super) fn redirect(status: u16, to: &str) -> Self {
        Self::status(status).header(&format!("Location: {to}"))
    }

    pub(super) fn challenge(challenge: &str) -> Self {
        Self::status(401).header(&format!("WWW-Authenticate: {challenge}"))
    }

    pub(super) fn token(token: &str) -> Self {
        Self::body(format!(r#"{{"token":"{token}"}}"#).as_bytes())
    }

    pub(super) fn header(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }

    /// Announces all, and ends after so many bytes.
    pub(super) fn cut(mut self, after: usize) -> Self {
        self.body.truncate(after);
        self.end = End::Cut;
        self
    }

    /// Announces all, and sends no more after so many bytes.
    pub(super) fn stall(mut self, after: usize) -> Self {
        self.body.truncate(after);
        self.end = End::Stall;
        self
    }

    /// Sends a byte now and then.
    pub(super) fn trickle(self) -> Self {
        Self {
            end: End::Trickle,
            ..self
        }
    }

    /// Announces much, and sends the body again and again.
    pub(super) fn endless(self) -> Self {
        Self {
            length: usize::MAX / 2,
            end: End::Endless,
            ..self
        }
    }

    pub(super) fn slowly(self, size: usize, pause: Duration) -> Self {
        Self {
            take: Take::Slowly(size, pause),
            ..self
        }
    }

    pub(super) fn early(self, after: usize) -> Self {
        Self {
            take: Take::Early(after),
            ..self
        }
    }

    pub(super) fn deaf(after: usize) -> Self {
        Self {
            take: Take::Stall(after),
            ..Self::status(200)
        }
    }

    pub(super) fn hang_up(after: usize) -> Self {
        Self {
            take: Take::Cut(after),
            ..Self::status(200)
        }
    }
}
