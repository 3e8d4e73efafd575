//! Blobs down: verified, and resumed when the connection breaks (distribution-spec 1.1,
//! "Pulling blobs").

use std::io::{self, Cursor, Read};

use base64::Engine;
use oci_spec::image::Descriptor;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};

use super::answer::{WORTH, digest_of, header};
use super::exchange::{Answer, Place, Question};
use super::refusal::{interrupted, unknown_algorithm, wrong_size};
use super::{Client, RegistryError, Repository};
use crate::download::content_range;
use crate::store::{Check, DOCUMENT_LIMIT, Verified};

/// Bytes that are there already are read in such pieces when they come again.
const SKIPPED: usize = 64 << 10;

impl Client {
    /// Whether `repository` has the blob, with that size. The registry itself is asked, never a
    /// mirror, and with the rights to change it: this is for what is to be pushed there.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn has_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<bool, RegistryError> {
        let path = path(descriptor);
        let mut answer = self.ask(&Question::writing(
            Method::HEAD,
            repository,
            Place::Path(&path),
        ))?;
        if matches!(answer.status.as_u16(), 405 | 501) {
            // The head of the whole says the same; its content is not read.
            answer = self.ask(&Question::writing(
                Method::GET,
                repository,
                Place::Path(&path),
            ))?;
        }
        match answer.status.as_u16() {
            200..=299 => {
                Ok(length(&answer.headers).is_none_or(|length| length == descriptor.size()))
            }
            404 | 410 => Ok(false),
            // A place that the registry redirects to may let nobody but GET in.
            403 if !is_home(&answer, repository) => Ok(false),
            _ => Err(answer.heard().refusal(&name(repository, descriptor))),
        }
    }

    /// The content of a blob. The reader goes on where it was when the connection breaks, and
    /// fails at the end when the digest or the size is not that of `descriptor`. What the
    /// descriptor itself holds (`data`) is not asked for.
    ///
    /// # Errors
    /// When it is not there, may not be read, or has another size.
    pub fn blob<'a>(
        &'a self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Box<dyn Read + Send + 'a>, RegistryError> {
        let what = name(repository, descriptor);
        let digest = descriptor.digest();
        let size = descriptor.size();
        let Some(check) = Check::of(digest.algorithm()) else {
            return Err(unknown_algorithm(&what));
        };
        if let Some(bytes) = embedded(descriptor) {
            return Ok(Box::new(Verified::new(
                Cursor::new(bytes),
                check,
                digest,
                size,
            )));
        }
        let mut resumed = Resumed {
            client: self,
            repository: repository.clone(),
            path: path(descriptor),
            what,
            size,
            position: 0,
            skip: 0,
            body: None,
            failures: 0,
            gained: 0,
            takes_ranges: true,
        };
        resumed.open()?;
        Ok(Box::new(Verified::new(resumed, check, digest, size)))
    }
}

/// What people call a blob.
pub(super) fn name(repository: &Repository, descriptor: &Descriptor) -> String {
    format!("the blob {} of {repository}", descriptor.digest())
}

fn path(descriptor: &Descriptor) -> String {
    format!("blobs/{}", descriptor.digest())
}

fn length(headers: &HeaderMap) -> Option<u64> {
    header(headers, CONTENT_LENGTH)?.parse().ok()
}

fn is_home(answer: &Answer, repository: &Repository) -> bool {
    let url = &answer.url;
    let host = url.host_str().unwrap_or_default();
    let with_port = url
        .port_or_known_default()
        .map(|port| format!("{host}:{port}"));
    let home = repository.host.address();
    host == home || with_port.is_some_and(|with_port| with_port == home)
}

/// The content that a descriptor holds, when that is what it describes (image-spec
/// `descriptor.md`, "Embedded Content").
pub(super) fn embedded(descriptor: &Descriptor) -> Option<Vec<u8>> {
    let data = descriptor.data().as_ref()?;
    if data.len() as u64 > DOCUMENT_LIMIT {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data)
        .ok()?;
    let digest = digest_of(descriptor.digest().algorithm(), &bytes)?;
    (digest == *descriptor.digest() && bytes.len() as u64 == descriptor.size()).then_some(bytes)
}

/// The bytes of a blob, whatever happens to the connection.
struct Resumed<'a> {
    client: &'a Client,
    repository: Repository,
    path: String,
    what: String,
    size: u64,
    /// Bytes that were given.
    position: u64,
    /// Bytes that come again before new ones do.
    skip: u64,
    body: Option<Box<dyn Read + Send>>,
    /// Connections that broke since enough new bytes came to have been worth them.
    failures: u32,
    /// Bytes that came since.
    gained: u64,
    takes_ranges: bool,
}

impl Resumed<'_> {
    /// Asks for what is missing.
    fn open(&mut self) -> Result<(), RegistryError> {
        if self.position > 0 && self.takes_ranges {
            let answer = self.ask(true)?;
            match answer.status {
                StatusCode::PARTIAL_CONTENT if self.goes_on(&answer) => {
                    self.skip = 0;
                    self.body = Some(answer.body);
                    return Ok(());
                }
                StatusCode::OK => return self.take_whole(answer),
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                    self.takes_ranges = false;
                }
                _ => return Err(answer.heard().refusal(&self.what)),
            }
        }
        let answer = self.ask(false)?;
        match answer.status {
            StatusCode::OK => self.take_whole(answer),
            _ => Err(answer.heard().refusal(&self.what)),
        }
    }

    fn ask(&self, for_the_rest: bool) -> Result<Answer, RegistryError> {
        let mut headers = Vec::new();
        if for_the_rest
            && let Ok(range) = HeaderValue::try_from(format!("bytes={}-", self.position))
        {
            headers.push((RANGE, range));
        }
        self.client.ask(&Question {
            headers,
            ..Question::reading(Method::GET, &self.repository, Place::Path(&self.path))
        })
    }

    /// Whether a partial answer begins where we are.
    fn goes_on(&self, answer: &Answer) -> bool {
        header(&answer.headers, CONTENT_RANGE)
            .and_then(content_range)
            .is_some_and(|(first, size)| {
                first == self.position && size.is_none_or(|size| size == self.size)
            })
    }

    fn take_whole(&mut self, answer: Answer) -> Result<(), RegistryError> {
        if let Some(found) = length(&answer.headers).filter(|length| *length != self.size) {
            return Err(wrong_size(&self.what, self.size, found));
        }
        self.skip = self.position;
        self.body = Some(answer.body);
        Ok(())
    }

    /// Reads new bytes of this connection.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(body) = &mut self.body else {
            return Ok(0);
        };
        let mut again = Vec::new();
        while self.skip > 0 {
            again.resize(
                SKIPPED.min(usize::try_from(self.skip).unwrap_or(SKIPPED)),
                0,
            );
            match body.read(&mut again) {
                Ok(0) => return Ok(0),
                Ok(count) => self.skip = self.skip.saturating_sub(count as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        loop {
            match body.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl Read for Resumed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let why = match self.receive(buffer) {
                Ok(count) if count > 0 => {
                    self.position = self.position.saturating_add(count as u64);
                    self.gained = self.gained.saturating_add(count as u64);
                    if self.gained >= WORTH {
                        (self.failures, self.gained) = (0, 0);
                    }
                    return Ok(count);
                }
                // All is there; how the connection ended does not matter.
                _ if self.position >= self.size => return Ok(0),
                Ok(_) => io::Error::other(format!(
                    "it ended after {} of {} bytes",
                    self.position, self.size
                )),
                Err(error) => error,
            };
            self.body = None;
            self.failures += 1;
            if self.failures >= self.client.options().attempts.get() {
                return Err(io::Error::other(interrupted(&self.what, &why)));
            }
            self.client.wait(self.failures);
            self.open().map_err(io::Error::other)?;
        }
    }
}

#[cfg(test)]
mod tests;
