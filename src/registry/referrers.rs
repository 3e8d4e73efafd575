//! What refers to a manifest: signatures, attestations (distribution-spec 1.1, "Listing
//! Referrers").
//!
//! A registry that does not know referrers keeps them in an index of its own, whose tag is made
//! from the digest (the "Referrers Tag Schema"); whoever pushes one keeps that index.

use std::sync::{Mutex, PoisonError};

use oci_spec::image::{Descriptor, Digest, DigestAlgorithm, ImageIndex, MediaType};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Map, Value, json};

use super::answer::{Whole, digest_of, encoded, header};
use super::document::{essence, members};
use super::exchange::{Place, Question};
use super::link::next_page;
use super::manifest::{Asked, Manifest, name};
use super::refusal::{bad_answer, too_large, unknown_algorithm};
use super::said::harmless;
use super::{Client, RegistryError, Repository};
use crate::image::{canonical, parse};
use crate::store::{DOCUMENT_LIMIT, is_index};

/// The subject that the registry saw, when it knows referrers.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// The filters that the registry applied.
const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The most pages, and the most bytes of all of them.
const MOST_PAGES: usize = 1000;
const MOST_BYTES: u64 = 32 << 20;

/// One at a time brings such an index up to date, or one would undo what another did.
static KEEPING: Mutex<()> = Mutex::new(());

impl Client {
    /// The manifests that have the one with this digest as their `subject`, of one artifact type
    /// when it is given. A mirror is asked only when the registry itself is out of reach: its copy
    /// of the list may be an older one.
    ///
    /// # Errors
    /// When the registry does not allow it, or the answer makes no sense. A registry that knows
    /// nothing of the manifest has nothing that refers to it.
    pub fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        self.referring(repository, digest, artifact_type, Asked::Freshly)
    }

    /// The same by the registry itself, never by a mirror, and with the rights to change it: this
    /// is for what is to be pushed there.
    pub(crate) fn own_referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        self.referring(repository, digest, None, Asked::Itself)
    }

    fn referring(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
        asked: Asked,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let mut found = match self.listed(repository, digest, artifact_type, asked)? {
            Some(found) => found,
            None => self.tagged(repository, digest, artifact_type, asked)?,
        };
        let mut seen = std::collections::HashSet::new();
        found.retain(|descriptor| seen.insert(descriptor.digest().to_string()));
        Ok(found)
    }

    /// By the API; `None` when the registry has none.
    fn listed(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
        asked: Asked,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let what = &format!("what refers to {digest} in {repository}");
        let query = artifact_type.map(|wanted| format!("?artifactType={}", encoded(wanted)));
        let path = format!("referrers/{digest}{}", query.unwrap_or_default());
        let mut next: Option<Url> = None;
        let mut found = Vec::new();
        let mut bytes = 0;
        for page in 0..MOST_PAGES {
            let place = next.as_ref().map_or(Place::Path(&path), Place::Url);
            let answer = self.ask_whole(
                &Question {
                    writes: asked == Asked::Itself,
                    headers: vec![(
                        ACCEPT,
                        HeaderValue::from_static("application/vnd.oci.image.index.v1+json"),
                    )],
                    fresh: asked == Asked::Freshly,
                    ..Question::reading(Method::GET, repository, place)
                },
                DOCUMENT_LIMIT,
                what,
            )?;
            let is_list = answer.status == StatusCode::OK
                && header(&answer.headers, CONTENT_TYPE)
                    .is_some_and(|called| is_index(&MediaType::from(essence(called).as_str())));
            if !is_list {
                return match answer.status.as_u16() {
                    // A page of something that takes every path is no answer either.
                    200 | 404 | 405 | 410 | 501 if page == 0 => Ok(None),
                    200 => Err(bad_answer(
                        what,
                        "a page of the list is no index".to_owned(),
                    )),
                    _ => Err(answer.refusal(what)),
                };
            }
            bytes += answer.bytes.len() as u64;
            let is_filtered = header(&answer.headers, FILTERS).is_some_and(|filters| {
                filters.split(',').any(|name| name.trim() == "artifactType")
            });
            found.extend(entries(&answer.bytes, artifact_type, is_filtered, what)?);
            next = next_page(&answer.headers, &answer.url, what)?;
            if next.is_none() {
                return Ok(Some(found));
            }
            if bytes > MOST_BYTES {
                break;
            }
        }
        Err(bad_answer(what, "the list does not end".to_owned()))
    }

    /// By the index that stands for the API.
    fn tagged(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
        asked: Asked,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let tag = referrers_tag(digest);
        match self.index_at(repository, &tag, asked)? {
            Some(index) => entries(&index.bytes, artifact_type, false, &name(repository, &tag)),
            None => Ok(Vec::new()),
        }
    }

    fn index_at(
        &self,
        repository: &Repository,
        tag: &str,
        asked: Asked,
    ) -> Result<Option<Manifest>, RegistryError> {
        let Ok(manifest) = self.fetch_manifest(repository, tag, asked)? else {
            return Ok(None);
        };
        if is_index(manifest.descriptor.media_type()) {
            return Ok(Some(manifest));
        }
        // `cosign copy` gives the image itself this tag. That is no list, and matters only to who
        // has to write one there.
        if asked != Asked::Itself {
            return Ok(None);
        }
        Err(bad_answer(
            &name(repository, tag),
            "the index of what refers to another manifest should be under this tag, and there is something else: remove or rename that".to_owned(),
        ))
    }

    /// After a manifest was put: enters it among what refers to its subject, when it has one and
    /// the registry does not do so itself.
    pub(super) fn keep_referrers(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        bytes: &[u8],
        answer: &Whole,
    ) -> Result<(), RegistryError> {
        let Ok(manifest) = members(bytes) else {
            return Ok(());
        };
        let subject = manifest
            .get("subject")
            .and_then(|subject| subject.get("digest"))
            .and_then(Value::as_str)
            .and_then(|digest| digest.parse::<Digest>().ok());
        let Some(subject) = subject else {
            return Ok(());
        };
        if header(&answer.headers, SUBJECT) == Some(subject.as_ref()) {
            return Ok(());
        }
        let own = descriptor.digest().as_ref();
        self.keep(repository, &subject, true, |list| {
            let is_in = list.iter().any(|entry| is_of(entry, own));
            if !is_in {
                list.push(entry(descriptor, &manifest));
            }
            !is_in
        })
    }

    /// After a manifest was removed: takes it out of the list of what refers to `subject`, where
    /// a client has to keep that.
    ///
    /// # Errors
    /// When the registry does not allow it, or the list makes no sense.
    pub(crate) fn forget_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        removed: &Digest,
    ) -> Result<(), RegistryError> {
        self.keep(repository, subject, false, |list| {
            let before = list.len();
            list.retain(|entry| !is_of(entry, removed.as_ref()));
            list.len() != before
        })
    }

    /// Changes the list of what refers to `subject`, which is begun when there is none and
    /// `begins` says so. `change` tells whether it did anything.
    fn keep(
        &self,
        repository: &Repository,
        subject: &Digest,
        begins: bool,
        change: impl FnOnce(&mut Vec<Value>) -> bool,
    ) -> Result<(), RegistryError> {
        let tag = referrers_tag(subject);
        let what = name(repository, &tag);
        let _one = KEEPING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = match self.index_at(repository, &tag, Asked::Itself)? {
            Some(index) => members(&index.bytes).map_err(|problem| bad_answer(&what, problem))?,
            None if begins => empty_index(),
            None => return Ok(()),
        };
        let list = index.entry("manifests").or_insert(Value::Null);
        if list.is_null() {
            *list = Value::Array(Vec::new());
        }
        let Some(list) = list.as_array_mut() else {
            return Err(bad_answer(
                &what,
                "its list of manifests is none".to_owned(),
            ));
        };
        if !change(list) {
            return Ok(());
        }
        let media_type = match index.get("mediaType").and_then(Value::as_str) {
            Some(media_type) => MediaType::from(media_type),
            None => MediaType::ImageIndex,
        };
        let bytes = canonical(&Value::Object(index));
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(too_large(&what, DOCUMENT_LIMIT));
        }
        let Some(digest) = digest_of(&DigestAlgorithm::Sha256, &bytes) else {
            return Err(unknown_algorithm(&what));
        };
        let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest);
        self.put_document(repository, &tag, &descriptor, &bytes)?;
        Ok(())
    }
}

/// Whether an entry of such an index is the manifest with this digest.
fn is_of(entry: &Value, digest: &str) -> bool {
    entry.get("digest").and_then(Value::as_str) == Some(digest)
}

/// The tag of the index of what refers to the manifest with this digest: 32 characters of the
/// algorithm and 64 of the rest at most, those that no tag may have replaced.
fn referrers_tag(digest: &Digest) -> String {
    let part = |text: &str, most: usize| -> String {
        text.chars()
            .take(most)
            .map(|character| match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => character,
                _ => '-',
            })
            .collect()
    };
    format!(
        "{}-{}",
        part(digest.algorithm().as_ref(), 32),
        part(digest.digest(), 64)
    )
}

fn empty_index() -> Map<String, Value> {
    let mut index = Map::new();
    index.insert("schemaVersion".to_owned(), json!(2));
    index.insert(
        "mediaType".to_owned(),
        json!(MediaType::ImageIndex.as_ref()),
    );
    index.insert("manifests".to_owned(), json!([]));
    index
}

/// What the list says of a manifest: an image manifest without an artifact type has that of its
/// config.
fn entry(descriptor: &Descriptor, manifest: &Map<String, Value>) -> Value {
    let text = |value: Option<&Value>| {
        value
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let artifact_type = text(manifest.get("artifactType")).or_else(|| {
        let config = manifest.get("config")?;
        text(config.get("mediaType"))
    });
    let mut entry = Map::new();
    entry.insert(
        "mediaType".to_owned(),
        json!(descriptor.media_type().as_ref()),
    );
    entry.insert("digest".to_owned(), json!(descriptor.digest().as_ref()));
    entry.insert("size".to_owned(), json!(descriptor.size()));
    if let Some(artifact_type) = artifact_type {
        entry.insert("artifactType".to_owned(), json!(artifact_type));
    }
    if let Some(annotations @ Value::Object(_)) = manifest.get("annotations") {
        entry.insert("annotations".to_owned(), annotations.clone());
    }
    Value::Object(entry)
}

/// The entries of an index of referrers, of one artifact type when it is given. What another
/// type is named for is left out even if the registry says that it filtered; what none is named
/// for is believed to be of the type then.
fn entries(
    bytes: &[u8],
    artifact_type: Option<&str>,
    is_filtered: bool,
    what: &str,
) -> Result<Vec<Descriptor>, RegistryError> {
    let index: ImageIndex = parse(bytes).map_err(|error| {
        let why = harmless(&error.to_string());
        bad_answer(what, format!("the list is damaged: {why}"))
    })?;
    let mut entries = index.manifests().clone();
    if let Some(wanted) = artifact_type {
        entries.retain(|entry| match entry.artifact_type() {
            Some(found) => found.as_ref() == wanted,
            None => is_filtered,
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
