//! What an answer says: its headers, its content, and why it refuses.

use std::io::{self, Read};

use oci_spec::image::{Digest, DigestAlgorithm};
use reqwest::header::{AsHeaderName, HeaderMap, HeaderName, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::exchange::{Answer, Body, Place, Question};
use super::refusal::{bad_answer, interrupted, too_large, wrong_digest};
use super::said::harmless;
use super::{Client, RegistryError, Repository};
use crate::download::{Redirection, follow, pause};
use crate::store::Check;

/// The digest that the registry has for what it gives or took (distribution-spec, "Pulling
/// manifests").
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// So many bytes of a blob are worth the failures before them, which then do not count any more.
/// Were one enough, a registry that gives or takes a few bytes a connection would be asked for
/// ever.
pub(super) const WORTH: u64 = 64 << 10;

/// The most bytes that are read of a refusal.
const REFUSAL_LIMIT: u64 = 64 << 10;

/// An answer with its content.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Who gave it, after redirects.
    pub(super) url: Url,
    pub(super) bytes: Vec<u8>,
}

impl<'a> Question<'a> {
    /// A question without content that changes nothing.
    pub(super) fn reading(method: Method, repository: &'a Repository, place: Place<'a>) -> Self {
        Self {
            method,
            repository,
            writes: false,
            fresh: false,
            also: None,
            place,
            headers: Vec::new(),
            body: Body::None,
            repeatable: true,
        }
    }

    /// A question without content that may change something, or that is about what may be
    /// changed: it goes to the registry itself, never to a mirror.
    pub(super) fn writing(method: Method, repository: &'a Repository, place: Place<'a>) -> Self {
        Self {
            writes: true,
            ..Self::reading(method, repository, place)
        }
    }
}

/// Why an answer could not be read to its end.
enum Unread {
    TooLarge,
    Broken(io::Error),
}

impl Answer {
    /// The answer, with what it says about itself when it refuses. What else it holds is left
    /// out, and it does not matter whether that would have come.
    pub(super) fn heard(mut self) -> Whole {
        let mut bytes = Vec::new();
        // A status is enough of an answer.
        let _ = (&mut self.body).take(REFUSAL_LIMIT).read_to_end(&mut bytes);
        self.with(bytes)
    }

    fn whole(mut self, limit: u64) -> Result<Whole, Unread> {
        if !self.status.is_success() {
            return Ok(self.heard());
        }
        let mut bytes = Vec::new();
        (&mut self.body)
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(Unread::Broken)?;
        if bytes.len() as u64 > limit {
            return Err(Unread::TooLarge);
        }
        Ok(self.with(bytes))
    }

    fn with(self, bytes: Vec<u8>) -> Whole {
        Whole {
            status: self.status,
            headers: self.headers,
            url: self.url,
            bytes,
        }
    }
}

impl Client {
    /// Asks, and reads all of the answer, of which at most `limit` bytes are taken; asks again
    /// when the connection breaks within it.
    pub(super) fn ask_whole(
        &self,
        question: &Question<'_>,
        limit: u64,
        what: &str,
    ) -> Result<Whole, RegistryError> {
        let mut failures = 0;
        loop {
            match self.ask(question)?.whole(limit) {
                Ok(whole) => return Ok(whole),
                Err(Unread::TooLarge) => {
                    return Err(too_large(what, limit));
                }
                Err(Unread::Broken(error)) => {
                    failures += 1;
                    if failures >= self.options().attempts.get() {
                        return Err(interrupted(what, &error));
                    }
                    self.wait(failures);
                }
            }
        }
    }

    /// Waits before another attempt, after so many failed ones.
    pub(super) fn wait(&self, failures: u32) {
        if let Some(pause) = pause(self.options().backoff, failures, None) {
            std::thread::sleep(pause);
        }
    }
}

impl Whole {
    /// Checks the digest that the registry names against `expected`; whether it could be checked.
    pub(super) fn names(&self, expected: &Digest, what: &str) -> Result<bool, RegistryError> {
        match named_digest(&self.headers, what)? {
            Some(named) if named == *expected => Ok(true),
            Some(named) if named.algorithm() == expected.algorithm() => {
                Err(wrong_digest(what, expected, &named))
            }
            _ => Ok(false),
        }
    }
}

/// A header's text, without white space around it; `None` when it is not there or no text.
pub(super) fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then_some(text)
}

/// The digest that an answer names in its headers.
pub(super) fn named_digest(
    headers: &HeaderMap,
    what: &str,
) -> Result<Option<Digest>, RegistryError> {
    let Some(text) = header(headers, CONTENT_DIGEST) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(digest) => Ok(Some(digest)),
        Err(_) => {
            let problem = format!(
                "the registry names {:?} as its digest, which is none",
                harmless(text)
            );
            Err(bad_answer(what, problem))
        }
    }
}

/// The digest of `bytes`; `None` when the algorithm is not known.
pub(super) fn digest_of(algorithm: &DigestAlgorithm, bytes: &[u8]) -> Option<Digest> {
    let mut check = Check::of(algorithm)?;
    check.update(bytes);
    format!("{algorithm}:{}", check.finish()).parse().ok()
}

/// Where an upload goes on: the `Location` of an answer, made absolute. `None` when there is
/// none.
pub(super) fn location(
    headers: &HeaderMap,
    from: &Url,
    what: &str,
) -> Result<Option<Url>, RegistryError> {
    let Some(location) = headers.get(LOCATION) else {
        return Ok(None);
    };
    let location = std::str::from_utf8(location.as_bytes()).unwrap_or_default();
    match follow(from, location) {
        Ok(url) => Ok(Some(url)),
        Err(Redirection::ToPlain) => Err(bad_answer(
            what,
            "the registry names a place for it that is not encrypted (from https to http), which is not used: its operator has to mend the URL that it takes for its own".to_owned(),
        )),
        Err(_) => Err(bad_answer(
            what,
            "the registry names a place for it that is no http or https URL".to_owned(),
        )),
    }
}

/// How many bytes of an upload are there: `Range: 0-N` (distribution-spec, "Pushing a blob in
/// chunks"). A registry that has none cannot say so and says `0-0`, as one that has one does:
/// that is one only when `awaited` is.
pub(super) fn reached(headers: &HeaderMap, awaited: u64) -> Option<u64> {
    let range = header(headers, RANGE)?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (first, last) = range.split_once('-')?;
    if first.trim() != "0" {
        return None;
    }
    match last.trim().parse().ok()? {
        0_u64 => Some(u64::from(awaited == 1)),
        last => last.checked_add(1),
    }
}

/// `text` as a value in a query (RFC 3986, section 3.4).
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                encoded.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            byte => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    })
}

#[cfg(test)]
mod tests;
