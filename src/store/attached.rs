//! What is attached to an image: signatures, attestations, anything that refers to it.
//!
//! Two conventions: a manifest's own `subject` (image-spec `manifest.md`, "Guidelines for
//! Artifact Usage"), and cosign's tags `sha256-<hex>.sig`, `.att` and `.sbom` beside the image.
//! In a layout the latter have the tag as their `ref.name`; both have cosign's `kind` annotation
//! where it knows one, and so has the image: cosign finds them by it.
//!
//! What lies in `blobs/` without an entry in the index is looked for in the layouts that cosign
//! saved (`unlisted.rs`), and is not kept by an edit of the index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::image::{Descriptor, Digest, ImageIndex, MediaType};
use serde_json::{Map, Value, json};

use super::index::untagged;
use super::read::document;
use super::select::{MOST_MANIFESTS, annotation, is_index, is_manifest, tag};
use super::{Check, Entry, Source, StoreError, read_document};
use crate::image::parse;

/// How it is known what a manifest is attached to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// By its tag.
    Tag(String),
    /// By the `subject` that it has.
    Subject,
}

/// A manifest that is attached to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// The manifest: with its artifact type when it is known, without names.
    pub manifest: Descriptor,
    /// How it is known.
    pub link: Link,
}

/// One to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// The manifest and all that it leads to.
    pub entry: Entry,
    /// What it is attached by.
    pub link: Link,
    /// What had its tag when it was made, and so is in it or may go. What has the tag by now and is
    /// not among these somebody else has put there meanwhile: it is not written over.
    pub instead: Vec<Digest>,
}

/// What cosign's tags end with.
pub const SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// The annotation by which cosign finds things in a layout (its `pkg/oci/layout`), and what its
/// values begin with.
pub(super) const KIND: &str = "kind";
const KINDS: &str = "dev.cosignproject.cosign/";

/// cosign's tag for what is attached to the manifest with this digest.
#[must_use]
pub fn attached_tag(subject: &Digest, suffix: &str) -> String {
    format!("{}-{}.{suffix}", subject.algorithm(), subject.digest())
}

/// What cosign's tag is of; `None` for any other tag.
fn subject_of_tag(tag: &str) -> Option<Digest> {
    let (of, suffix) = tag.rsplit_once('.')?;
    let (algorithm, hex) = of.split_once('-')?;
    let subject: Digest = format!("{algorithm}:{hex}").parse().ok()?;
    let is_known = SUFFIXES.contains(&suffix) && Check::of(subject.algorithm()).is_some();
    (is_known && attached_tag(&subject, suffix) == tag).then_some(subject)
}

/// cosign's kind of an entry: `image`, `imageIndex`, `sigs`, `atts`.
pub(super) fn kind(entry: &Descriptor) -> Option<&str> {
    annotation(entry, KIND)?.strip_prefix(KINDS)
}

/// Whether an entry is what cosign takes for the image of a layout.
pub(super) fn is_kind_of_image(entry: &Descriptor) -> bool {
    matches!(kind(entry), Some("image" | "imageIndex"))
}

/// The value of the annotation for the image that has something attached.
pub(super) fn kind_of_image(media_type: &MediaType) -> String {
    let kind = if is_index(media_type) {
        "imageIndex"
    } else {
        "image"
    };
    format!("{KINDS}{kind}")
}

/// The value of the annotation for what has this tag of cosign's.
pub(super) fn kind_of_tag(tag: &str) -> Option<String> {
    match tag.rsplit_once('.')?.1 {
        "sig" => Some(format!("{KINDS}sigs")),
        "att" => Some(format!("{KINDS}atts")),
        _ => None,
    }
}

/// Whether a value of the annotation is cosign's, and not of somebody who uses the word, too.
pub(super) fn is_cosigns(kind: Option<&Value>) -> bool {
    kind.and_then(Value::as_str)
        .is_some_and(|kind| kind.starts_with(KINDS))
}

/// Whether an entry of an index is attached to another and no image that is meant when none is
/// named. Told by the descriptor alone: by cosign's tag or kind, or by an artifact type where it
/// has no tag.
pub(crate) fn is_attached(entry: &Descriptor) -> bool {
    if let Some(tag) = tag(entry) {
        return subject_of_tag(tag).is_some();
    }
    let is_artifact = entry.artifact_type().as_ref().is_some_and(|found| {
        *found != MediaType::ImageConfig
            && found.as_ref() != "application/vnd.docker.container.image.v1+json"
    });
    is_artifact || matches!(kind(entry), Some("sigs" | "atts"))
}

/// Of all entries of a store those that are there for themselves. The only one there is is meant
/// whatever it is.
pub(crate) fn without_attached(mut entries: Vec<Descriptor>) -> Vec<Descriptor> {
    if entries.len() > 1 {
        entries.retain(|entry| !is_attached(entry));
    }
    entries
}

/// What a manifest says of itself.
pub(crate) struct Said {
    /// What it refers to.
    pub(crate) subject: Option<Digest>,
    /// Its artifact type, which is that of its config when it names none (image-spec
    /// `manifest.md`, `artifactType`).
    pub(crate) artifact_type: Option<MediaType>,
}

impl Said {
    /// Reads it in the bytes of a manifest.
    pub(crate) fn in_manifest(bytes: &[u8]) -> serde_json::Result<Self> {
        let members: Map<String, Value> = parse(bytes)?;
        let within = |member: &str, name| members.get(member)?.get(name)?.as_str();
        let own = members.get("artifactType").and_then(Value::as_str);
        let artifact_type = own
            .filter(|text| !text.is_empty())
            .or_else(|| within("config", "mediaType"));
        Ok(Self {
            subject: within("subject", "digest").and_then(|digest| digest.parse().ok()),
            artifact_type: artifact_type.map(MediaType::from),
        })
    }
}

/// What an entry of an index is attached to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tie {
    pub(super) subject: Digest,
    pub(super) link: Link,
    artifact_type: Option<MediaType>,
}

impl Tie {
    fn new(subject: Digest, link: Link) -> Self {
        Self {
            subject,
            link,
            artifact_type: None,
        }
    }
}

/// What becomes of an entry whose manifest cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is an error: something attached might be overlooked.
    IsAnError,
    /// It is taken for an image of its own.
    IsAttachedToNothing,
}

/// What each of `entries` is attached to.
pub(super) fn ties(
    source: &dyn Source,
    entries: &[Option<Descriptor>],
    unreadable: Unreadable,
) -> Result<Vec<Option<Tie>>, StoreError> {
    let image = entries.iter().flatten().find(|e| is_kind_of_image(e));
    let image = image.map(Descriptor::digest);
    let mut read = 0;
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(entry) = entry else {
            found.push(None);
            continue;
        };
        let tie = match by_tag(entry, image) {
            Some(tie) => Some(tie),
            None => match by_subject(source, entry, &mut read) {
                Err(error) if unreadable == Unreadable::IsAnError => return Err(error),
                tie => tie.unwrap_or_default(),
            },
        };
        found.push(tie.filter(|tie| tie.subject != *entry.digest()));
    }
    Ok(found)
}

/// By cosign's tag, or without one by the kind that `cosign save` writes, which is of the layout's
/// one `image`.
fn by_tag(entry: &Descriptor, image: Option<&Digest>) -> Option<Tie> {
    if let Some(tag) = tag(entry) {
        return Some(Tie::new(subject_of_tag(tag)?, Link::Tag(tag.to_owned())));
    }
    let suffix = match kind(entry)? {
        "sigs" => "sig",
        "atts" => "att",
        _ => return None,
    };
    let link = Link::Tag(attached_tag(image?, suffix));
    Some(Tie::new(image?.clone(), link))
}

fn by_subject(
    source: &dyn Source,
    entry: &Descriptor,
    read: &mut usize,
) -> Result<Option<Tie>, StoreError> {
    let media_type = entry.media_type();
    let may_have_one = is_manifest(media_type)
        || is_index(media_type)
        || *media_type == MediaType::ArtifactManifest;
    if !may_have_one {
        return Ok(None);
    }
    *read += 1;
    if *read > MOST_MANIFESTS {
        let problem = "it has too many manifests for a search of what is attached to one";
        return Err(StoreError::damaged(source.name(), "index.json", problem));
    }
    let bytes = match read_document(source, entry) {
        // It is not there, so nobody misses it.
        Err(StoreError::MissingBlob { .. }) => return Ok(None),
        bytes => bytes?,
    };
    let said = Said::in_manifest(&bytes).map_err(|error| {
        let part = format!("the manifest {}", entry.digest());
        StoreError::damaged(source.name(), part, error)
    })?;
    Ok(said.subject.map(|subject| Tie {
        subject,
        link: Link::Subject,
        artifact_type: said.artifact_type,
    }))
}

/// What is attached to what by one index.
#[derive(Debug, Default)]
struct Links(BTreeMap<String, Vec<Attached>>);

impl Links {
    fn of(source: &dyn Source, index: &ImageIndex) -> Result<Self, StoreError> {
        let entries: Vec<_> = index.manifests().iter().cloned().map(Some).collect();
        let mut links: BTreeMap<String, Vec<Attached>> = BTreeMap::new();
        let ties = ties(source, &entries, Unreadable::IsAnError)?;
        for (entry, tie) in entries.into_iter().flatten().zip(ties) {
            let Some(tie) = tie else { continue };
            let mut manifest = nameless(&source.name(), &entry)?;
            if manifest.artifact_type().is_none() {
                manifest.set_artifact_type(tie.artifact_type);
            }
            let of_subject = links.entry(tie.subject.to_string()).or_default();
            of_subject.push(Attached {
                manifest,
                link: tie.link,
            });
        }
        for attached in links.values_mut() {
            in_order(attached);
        }
        Ok(Self(links))
    }
}

/// The descriptor without the names that it has in its store.
fn nameless(store: &str, entry: &Descriptor) -> Result<Descriptor, StoreError> {
    serde_json::from_value(untagged(json!(entry)))
        .map_err(|error| StoreError::damaged(store, "an entry of index.json", error))
}

/// Brings them into an order of their own, tags first, and leaves each manifest once.
pub(crate) fn in_order(attached: &mut Vec<Attached>) {
    attached.sort_by_cached_key(|one| (one.link.clone(), one.manifest.digest().to_string()));
    let mut seen = BTreeSet::new();
    attached.retain(|one| seen.insert(one.manifest.digest().to_string()));
}

/// What is attached by the index that was read last: many are asked for after each other, and
/// every manifest has to be read for the first.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Option<(Vec<u8>, Arc<Links>)>>);

impl Known {
    /// What `subject` has attached by `index`, the bytes of the index of `source`.
    pub(super) fn attached(
        &self,
        source: &dyn Source,
        index: Vec<u8>,
        subject: &Digest,
    ) -> Result<Vec<Attached>, StoreError> {
        let links = self.links(source, index)?;
        let attached = links.0.get(subject.as_ref());
        Ok(attached.cloned().unwrap_or_default())
    }

    fn links(&self, source: &dyn Source, index: Vec<u8>) -> Result<Arc<Links>, StoreError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, links)) = known.as_ref().filter(|(of, _)| *of == index) {
            return Ok(Arc::clone(links));
        }
        let parsed = document(&source.name(), "index.json", &index)?;
        let links = Arc::new(Links::of(source, &parsed)?);
        *known = Some((index, Arc::clone(&links)));
        Ok(links)
    }
}

impl Attachment {
    /// What it is attached to, by its tag or its own `subject`.
    pub(super) fn tie(&self, store: &str) -> Result<Tie, StoreError> {
        let digest = self.entry.root.digest();
        let wrong = |problem: String| {
            let part = format!("what is to be attached, {digest},");
            StoreError::damaged(store, part, problem)
        };
        let bytes = self.entry.document(digest).unwrap_or_default();
        let said = Said::in_manifest(bytes).map_err(|error| wrong(error.to_string()))?;
        let subject = match &self.link {
            Link::Tag(tag) => subject_of_tag(tag)
                .ok_or_else(|| wrong(format!("{tag:?} is no tag of something attached")))?,
            Link::Subject => said
                .subject
                .ok_or_else(|| wrong("its manifest has no subject".to_owned()))?,
        };
        if subject == *digest {
            return Err(wrong("it is its own subject".to_owned()));
        }
        Ok(Tie {
            subject,
            link: self.link.clone(),
            artifact_type: said.artifact_type,
        })
    }
}

impl Tie {
    /// The artifact type of the entry, where its manifest was read.
    pub(super) fn artifact_type(&self) -> Option<&MediaType> {
        self.artifact_type.as_ref()
    }
}
