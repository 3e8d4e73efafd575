//! The sending of a blob: in one piece or in parts, and on from what the registry has when
//! something breaks.

use std::io::{self, Read};

use oci_spec::image::Descriptor;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};

use super::super::answer::{WORTH, Whole, reached};
use super::super::blob::name;
use super::super::exchange::{Body, Place, Question};
use super::super::refusal::bad_answer;
use super::super::{Client, RegistryError, Repository};
use super::session::Session;
use super::tape::Tape;

/// The size of the parts where nobody asked for one, in bytes.
const PART: u64 = 16 << 20;

/// No part is made smaller than that because a registry refuses it as too large, in bytes.
const SMALLEST_PART: u64 = 256 << 10;

/// How often a blob that goes in one piece may break before it goes in parts.
const BREAKS: u32 = 2;

/// What the registry made of a part.
enum Heard {
    Taken(Whole),
    /// It is not known what became of it.
    Broken(RegistryError),
    /// The session is not there any more.
    Gone(RegistryError),
    /// Too large in one piece.
    Large(RegistryError),
    /// The registry has something else than we think.
    Astray(RegistryError),
}

/// One blob on its way.
pub(super) struct Upload<'u> {
    client: &'u Client,
    repository: &'u Repository,
    descriptor: &'u Descriptor,
    tape: &'u dyn Parts,
    what: String,
    session: Option<Session>,
    /// The size of parts; `None` to send it in one piece.
    part: Option<u64>,
    sessions: u32,
    /// Failures since the registry took a whole part, or enough to have been worth them.
    failures: u32,
    /// How far it was when failures were forgotten last.
    gained: u64,
    breaks: u32,
    /// Whether the blob may be there, as the answer to its last part did not come.
    is_doubtful: bool,
    why: Option<RegistryError>,
}

/// Gives the bytes of a blob from any place.
pub(super) trait Parts: Sync {
    fn part(&self, at: u64, length: u64) -> io::Result<Box<dyn Read + '_>>;
}

impl Parts for Tape<'_, '_, '_> {
    fn part(&self, at: u64, length: u64) -> io::Result<Box<dyn Read + '_>> {
        self.read_from(at, length)
    }
}

impl<'u> Upload<'u> {
    pub(super) fn new(
        client: &'u Client,
        repository: &'u Repository,
        descriptor: &'u Descriptor,
        tape: &'u dyn Parts,
    ) -> Self {
        Self {
            client,
            repository,
            descriptor,
            tape,
            what: name(repository, descriptor),
            session: None,
            part: client.options().chunk.map(|chunk| chunk.max(1)),
            sessions: 0,
            failures: 0,
            gained: 0,
            breaks: 0,
            is_doubtful: false,
            why: None,
        }
    }

    /// Sends the blob, in the session that is open already if there is one; whether the registry
    /// named its digest when it took the last of it.
    pub(super) fn run(mut self, first: Option<Session>) -> Result<bool, RegistryError> {
        self.sessions = u32::from(first.is_some());
        self.session = first;
        let outcome = self.send();
        // Who cannot be reached cannot be told either.
        if let Err(error) = &outcome
            && !matches!(error, RegistryError::Connect { .. })
            && let Some(session) = self.session.take()
        {
            session.cancel(self.client, self.repository);
        }
        outcome
    }

    fn send(&mut self) -> Result<bool, RegistryError> {
        let size = self.descriptor.size();
        loop {
            if self.session.is_none() {
                if std::mem::take(&mut self.is_doubtful)
                    && self.client.has_blob(self.repository, self.descriptor)?
                {
                    return Ok(true);
                }
                self.session = Some(self.begin()?);
            }
            let Some(session) = &self.session else {
                continue;
            };
            let (at, minimum) = (session.at, session.minimum);
            if at >= size || (at == 0 && self.part.is_none()) {
                match self.put(session, size.saturating_sub(at))? {
                    Heard::Taken(answer) => {
                        // The session has ended with it.
                        self.session = None;
                        return answer.names(self.descriptor.digest(), &self.what);
                    }
                    other => {
                        self.is_doubtful |= matches!(other, Heard::Broken(_));
                        self.mend(other, size.saturating_sub(at))?;
                    }
                }
            } else {
                let part = self.part.unwrap_or(size).max(minimum);
                let length = part.min(size.saturating_sub(at));
                match self.patch(session, length)? {
                    Heard::Taken(answer) => self.advance(&answer, length)?,
                    other => self.mend(other, length)?,
                }
            }
        }
    }

    /// Opens a session.
    fn begin(&mut self) -> Result<Session, RegistryError> {
        self.sessions += 1;
        if self.sessions > self.client.options().attempts.get()
            && let Some(why) = self.why.take()
        {
            return Err(why);
        }
        let answer = self
            .client
            .ask(&Question {
                body: Body::Bytes(b""),
                ..Question::writing(Method::POST, self.repository, Place::Path("blobs/uploads/"))
            })?
            .heard();
        if answer.status.as_u16() != 202 {
            return Err(match answer.status.is_success() {
                false => answer.refusal(&self.what),
                true => bad_answer(
                    &self.what,
                    format!(
                        "the registry answers {} where it should open an upload (202)",
                        answer.status.as_u16()
                    ),
                ),
            });
        }
        Session::of(&answer, &self.what)?.ok_or_else(|| {
            let problem = "the registry opens an upload, and does not say where (Location)";
            bad_answer(&self.what, problem.to_owned())
        })
    }

    /// Sends the last `length` bytes, and ends the session.
    fn put(&self, session: &Session, length: u64) -> Result<Heard, RegistryError> {
        let url = session.last(self.descriptor);
        self.ask(Method::PUT, session, &url, length)
    }

    /// Sends a part.
    fn patch(&self, session: &Session, length: u64) -> Result<Heard, RegistryError> {
        self.ask(Method::PATCH, session, &session.url, length)
    }

    fn ask(
        &self,
        method: Method,
        session: &Session,
        url: &Url,
        length: u64,
    ) -> Result<Heard, RegistryError> {
        let at = session.at;
        let mut headers = vec![(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        )];
        let last = at.saturating_add(length).saturating_sub(1);
        if method == Method::PATCH
            && let Ok(range) = HeaderValue::try_from(format!("{at}-{last}"))
        {
            headers.push((CONTENT_RANGE, range));
        }
        let open = || self.tape.part(at, length);
        let body = match length {
            0 => Body::Bytes(b""),
            length => Body::Stream {
                length,
                open: &open,
            },
        };
        let answer = self.client.ask(&Question {
            headers,
            body,
            repeatable: false,
            ..Question::writing(method, self.repository, Place::Url(url))
        });
        let answer = match answer {
            Ok(answer) => answer.heard(),
            // That was asked again already, as often as is wanted.
            Err(error @ RegistryError::Server { status: 503, .. }) => return Err(error),
            Err(
                error @ (RegistryError::Interrupted { .. }
                | RegistryError::Stalled { .. }
                | RegistryError::Server { .. }),
            ) => return Ok(Heard::Broken(error)),
            Err(error) => return Err(error),
        };
        let refusal = || answer.refusal(&self.what);
        Ok(match answer.status.as_u16() {
            200..=299 => Heard::Taken(answer),
            404 | 410 => Heard::Gone(refusal()),
            413 => Heard::Large(refusal()),
            416 => Heard::Astray(refusal()),
            // What was put together from several attempts may not fit.
            400 if session.is_resumed => Heard::Astray(refusal()),
            408 | 425 | 500..=599 => Heard::Broken(refusal()),
            _ => return Err(refusal()),
        })
    }

    /// A part of `length` bytes was taken, as it seems.
    fn advance(&mut self, answer: &Whole, length: u64) -> Result<(), RegistryError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        session.moves(answer, &self.what)?;
        let (before, awaited) = (session.at, session.at.saturating_add(length));
        let at = reached(&answer.headers, awaited).unwrap_or(awaited);
        if at == awaited {
            session.at = at;
            self.failures = 0;
            return Ok(());
        }
        if before < at && at < awaited {
            session.at = at;
        } else {
            self.renew();
        }
        self.failed(bad_answer(
            &self.what,
            format!("the registry has {at} bytes of it where it was sent {awaited}"),
        ))
    }

    /// What is done about a part of `length` bytes that was not taken.
    fn mend(&mut self, heard: Heard, length: u64) -> Result<(), RegistryError> {
        match heard {
            Heard::Taken(_) => Ok(()),
            Heard::Broken(why) => {
                self.breaks += 1;
                if self.part.is_none() && self.breaks >= BREAKS {
                    self.part = Some(PART);
                }
                self.failed(why)?;
                self.locate().map(drop)
            }
            Heard::Gone(why) => {
                self.session = None;
                self.failed(why)
            }
            Heard::Large(why) => {
                let minimum = self.session.as_ref().map_or(0, |session| session.minimum);
                let smaller = match self.part {
                    None => PART,
                    Some(_) => (length / 2).max(SMALLEST_PART).max(minimum),
                };
                if self.part.is_some() && smaller >= length {
                    return Err(why);
                }
                self.part = Some(smaller);
                self.why = Some(why);
                self.locate().map(drop)
            }
            Heard::Astray(why) => {
                self.failed(why)?;
                if !self.locate()? {
                    self.renew();
                }
                Ok(())
            }
        }
    }

    /// Counts a failure, and waits; gives it back when there were too many.
    fn failed(&mut self, why: RegistryError) -> Result<(), RegistryError> {
        self.failures += 1;
        if self.failures >= self.client.options().attempts.get() {
            return Err(why);
        }
        self.why = Some(why);
        self.client.wait(self.failures);
        Ok(())
    }

    /// Asks how much of the blob the session has (distribution-spec, "Pushing a blob in
    /// chunks"); whether that is something else than was thought.
    fn locate(&mut self) -> Result<bool, RegistryError> {
        let Some(session) = &mut self.session else {
            return Ok(false);
        };
        let answer = self
            .client
            .ask(&Question::writing(
                Method::GET,
                self.repository,
                Place::Url(&session.url),
            ))?
            .heard();
        if matches!(answer.status.as_u16(), 404 | 410) {
            self.session = None;
            return Ok(true);
        }
        let at = reached(&answer.headers, 0).unwrap_or(0);
        if !answer.status.is_success() || at > self.descriptor.size() {
            // It does not say, or it has more than there is.
            self.renew();
            return Ok(true);
        }
        session.moves(&answer, &self.what)?;
        let before = session.at;
        session.at = at;
        session.is_resumed = true;
        if at >= self.gained.saturating_add(WORTH) {
            (self.failures, self.gained) = (0, at);
        }
        Ok(at != before)
    }

    /// Gives the session up for a new one.
    fn renew(&mut self) {
        if let Some(session) = self.session.take() {
            session.cancel(self.client, self.repository);
        }
    }
}
