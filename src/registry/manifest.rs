//! Manifests and indexes (distribution-spec 1.1, "Pulling manifests", "Pushing Manifests").

use oci_spec::image::{Descriptor, Digest, DigestAlgorithm, MediaType};
use reqwest::header::{ACCEPT as ACCEPT_HEADER, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};

use super::answer::{Whole, digest_of, header, named_digest};
use super::document::{ACCEPT, essence, is_telling, media_type};
use super::exchange::{Body, Place, Question};
use super::refusal::{bad_answer, too_large, unknown_algorithm, wrong_digest};
use super::{Client, ReferenceError, RegistryError, Repository};
use crate::store::DOCUMENT_LIMIT;

/// A manifest or an index, byte for byte as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its media type, digest and size. The digest is that of the bytes.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Who is asked for a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The registry, or a mirror of it.
    Anybody,
    /// The registry, or a mirror when it is out of reach: for what may have changed just now.
    Freshly,
    /// The registry alone, of which something is to be changed.
    Itself,
}

impl Client {
    /// The manifest or index that `wanted`, a tag or a digest, names in `repository`. Its digest
    /// is checked when `wanted` is one, and against the one that the registry names.
    ///
    /// # Errors
    /// When it is not there, may not be read, is larger than [`DOCUMENT_LIMIT`], is damaged, or
    /// is no manifest (docker's schema 1, a page of a proxy).
    pub fn manifest(
        &self,
        repository: &Repository,
        wanted: &str,
    ) -> Result<Manifest, RegistryError> {
        self.fetch_manifest(repository, wanted, Asked::Anybody)?
            .map_err(|answer| answer.refusal(&name(repository, wanted)))
    }

    /// The same of the registry itself, never of a mirror, and with the rights to change it:
    /// this is for what is to be replaced there. `None` when it is not there.
    pub(crate) fn own_manifest(
        &self,
        repository: &Repository,
        wanted: &str,
    ) -> Result<Option<Manifest>, RegistryError> {
        Ok(self.fetch_manifest(repository, wanted, Asked::Itself)?.ok())
    }

    /// The same; the answer when the registry does not have it.
    pub(super) fn fetch_manifest(
        &self,
        repository: &Repository,
        wanted: &str,
        asked: Asked,
    ) -> Result<Result<Manifest, Box<Whole>>, RegistryError> {
        let name = name(repository, wanted);
        let digest = named_by(repository, wanted)?;
        let path = format!("manifests/{wanted}");
        let question = question(Method::GET, repository, &path, asked);
        let answer = self.ask_whole(&question, DOCUMENT_LIMIT, &name)?;
        match answer.status {
            StatusCode::OK => read(&name, digest.as_ref(), answer).map(Ok),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Err(Box::new(answer))),
            _ => Err(answer.refusal(&name)),
        }
    }

    /// What `wanted`, a tag or a digest, names in `repository`, without its content; `None` when
    /// there is no such manifest. The registry itself is asked, never a mirror, and with the
    /// rights to change it: this is for what is to be pushed there.
    ///
    /// # Errors
    /// When it may not be read, or the answer makes no sense.
    pub fn head_manifest(
        &self,
        repository: &Repository,
        wanted: &str,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let name = name(repository, wanted);
        let digest = named_by(repository, wanted)?;
        let path = format!("manifests/{wanted}");
        let question = question(Method::HEAD, repository, &path, Asked::Itself);
        let answer = self.ask(&question)?.heard();
        match answer.status {
            StatusCode::OK => {
                if let Some(found) = described(&name, digest.as_ref(), &answer)? {
                    return Ok(Some(found));
                }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {}
            _ => return Err(answer.refusal(&name)),
        }
        // Only the content says what the headers do not.
        let fetched = self.fetch_manifest(repository, wanted, Asked::Itself)?;
        Ok(fetched.ok().map(|manifest| manifest.descriptor))
    }

    /// Puts a manifest or an index into `repository` under `wanted`, a tag or its digest. When it
    /// has a `subject` and the registry does not know referrers, the index that stands for them
    /// is brought up to date (distribution-spec, "Pushing Manifests with Subject").
    ///
    /// # Errors
    /// When the registry refuses it, as it does when a blob of it is missing there, or names
    /// another digest than that of `bytes`.
    pub fn put_manifest(
        &self,
        repository: &Repository,
        wanted: &str,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<Descriptor, RegistryError> {
        let name = name(repository, wanted);
        let named = named_by(repository, wanted)?;
        let algorithm = named
            .as_ref()
            .map_or(&DigestAlgorithm::Sha256, Digest::algorithm);
        let digest = digest_of(algorithm, bytes).ok_or_else(|| unknown_algorithm(&name))?;
        if let Some(named) = named.filter(|named| *named != digest) {
            return Err(wrong_digest(&name, &named, &digest));
        }
        let size = bytes.len() as u64;
        if size > DOCUMENT_LIMIT {
            return Err(too_large(&name, DOCUMENT_LIMIT));
        }
        let descriptor = Descriptor::new(media_type.clone(), size, digest);
        let answer = self.put_document(repository, wanted, &descriptor, bytes)?;
        self.keep_referrers(repository, &descriptor, bytes, &answer)?;
        Ok(descriptor)
    }

    /// Puts a document, and checks what the registry says that it took.
    pub(super) fn put_document(
        &self,
        repository: &Repository,
        wanted: &str,
        descriptor: &Descriptor,
        bytes: &[u8],
    ) -> Result<Whole, RegistryError> {
        let name = name(repository, wanted);
        let media_type = HeaderValue::from_str(descriptor.media_type().as_ref())
            .map_err(|_| bad_answer(&name, "its media type cannot be sent".to_owned()))?;
        let path = format!("manifests/{wanted}");
        let answer = self
            .ask(&Question {
                headers: vec![(CONTENT_TYPE, media_type)],
                body: Body::Bytes(bytes),
                ..Question::writing(Method::PUT, repository, Place::Path(&path))
            })?
            .heard();
        if !answer.status.is_success() {
            return Err(answer.refusal(&name));
        }
        answer.names(descriptor.digest(), &name)?;
        Ok(answer)
    }

    /// Removes a manifest or an index, and every tag that leads to it; whether it was there.
    ///
    /// # Errors
    /// When the registry does not allow it; many do not.
    pub fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let path = format!("manifests/{digest}");
        let question = Question::writing(Method::DELETE, repository, Place::Path(&path));
        let answer = self.ask(&question)?.heard();
        match answer.status {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(false),
            _ => Err(answer.refusal(&name(repository, digest.as_ref()))),
        }
    }
}

/// What people call a manifest.
pub(super) fn name(repository: &Repository, wanted: &str) -> String {
    let sign = if wanted.contains(':') { '@' } else { ':' };
    format!("{repository}{sign}{wanted}")
}

fn question<'a>(
    method: Method,
    repository: &'a Repository,
    path: &'a str,
    asked: Asked,
) -> Question<'a> {
    Question {
        writes: asked == Asked::Itself,
        fresh: asked == Asked::Freshly,
        headers: vec![(ACCEPT_HEADER, HeaderValue::from_static(ACCEPT))],
        ..Question::reading(method, repository, Place::Path(path))
    }
}

/// The digest that `wanted` is; `None` for a tag.
fn named_by(repository: &Repository, wanted: &str) -> Result<Option<Digest>, RegistryError> {
    if is_tag(wanted) {
        return Ok(None);
    }
    let problem = match wanted.parse::<Digest>() {
        Ok(digest) if digest_of(digest.algorithm(), &[]).is_some() => return Ok(Some(digest)),
        Ok(_) => "its digest cannot be checked: only sha256 and sha512 are known",
        Err(_) => {
            "what follows its name is no tag (up to 128 letters, digits, `_`, `.` and `-`) and no digest"
        }
    };
    Err(RegistryError::Reference(ReferenceError {
        reference: name(repository, wanted),
        problem: problem.to_owned(),
    }))
}

/// Whether `text` is a tag (distribution-spec, "Pulling manifests").
pub(super) fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text
            .bytes()
            .all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// The manifest that an answer holds, checked against the digest in `wanted` and the one that
/// the registry names.
fn read(name: &str, wanted: Option<&Digest>, answer: Whole) -> Result<Manifest, RegistryError> {
    let named = named_digest(&answer.headers, name)?;
    let bytes = answer.bytes;
    for expected in [wanted, named.as_ref()].into_iter().flatten() {
        match digest_of(expected.algorithm(), &bytes) {
            Some(found) if found != *expected => {
                return Err(wrong_digest(name, expected, &found));
            }
            _ => {}
        }
    }
    let media_type = media_type(header(&answer.headers, CONTENT_TYPE), &bytes)
        .map_err(|problem| bad_answer(name, problem))?;
    let algorithm = wanted
        .or(named.as_ref())
        .map_or(&DigestAlgorithm::Sha256, Digest::algorithm);
    let digest = digest_of(algorithm, &bytes)
        .or_else(|| digest_of(&DigestAlgorithm::Sha256, &bytes))
        .ok_or_else(|| unknown_algorithm(name))?;
    Ok(Manifest {
        descriptor: Descriptor::new(media_type, bytes.len() as u64, digest),
        bytes,
    })
}

/// What the headers of an answer say of a manifest; `None` when they do not say all.
fn described(
    name: &str,
    wanted: Option<&Digest>,
    answer: &Whole,
) -> Result<Option<Descriptor>, RegistryError> {
    if let Some(wanted) = wanted {
        answer.names(wanted, name)?;
    }
    let named = named_digest(&answer.headers, name)?;
    let digest = wanted
        .cloned()
        .or_else(|| named.filter(|named| digest_of(named.algorithm(), &[]).is_some()));
    let size = header(&answer.headers, CONTENT_LENGTH)
        .and_then(|length| length.parse::<u64>().ok())
        .filter(|size| (1..=DOCUMENT_LIMIT).contains(size));
    let media_type = header(&answer.headers, CONTENT_TYPE)
        .map(essence)
        .filter(|media_type| is_telling(media_type));
    Ok(match (media_type, size, digest) {
        (Some(media_type), Some(size), Some(digest)) => Some(Descriptor::new(
            MediaType::from(media_type.as_str()),
            size,
            digest,
        )),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
