//! The manifests that hold signatures and attestations.
//!
//! They are found in two ways (see [`Link`]), and what they hold counts by the media types of
//! their layers alone: lists of referrers have an artifact type, too, but cosign 2 writes that of
//! an empty config there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use oci_spec::image::{Descriptor, Digest, MediaType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checking::{Found, Refused, What};
use super::making::Form;
use super::{Bundle, COSIGN_SIGN, Envelope, Payload, SignError};
use crate::image::parse;
use crate::store::{
    DOCUMENT_LIMIT, Link, Source, StoreError, attached_tag, is_manifest, read_document,
};

/// The annotation of a layer that has its signature, in base64.
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// That which has a certificate, in PEM.
pub(super) const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// Those that have what a transparency log, or an authority for times, said of the signature.
pub(super) const LOG_ENTRIES: [&str; 2] = [
    "dev.sigstore.cosign/bundle",
    "dev.sigstore.cosign/rfc3161timestamp",
];
/// The annotation of a layer that holds an envelope: what is attested.
pub(super) const LAYER_PREDICATE: &str = "predicateType";
/// The annotation of a manifest that holds a bundle: what is in it.
pub(super) const BUNDLE_CONTENT: &str = "dev.sigstore.bundle.content";
/// That with what is attested in it.
pub(super) const BUNDLE_PREDICATE: &str = "dev.sigstore.bundle.predicateType";

/// The most signatures or attestations of one image that are looked at.
pub const MOST_SIGNATURES: usize = 100;
/// The most manifests that refer to one image that are looked at, whatever they are.
pub(super) const MOST_REFERRERS: usize = 1000;

/// The most bytes that all of these have together: real ones have some 900 each.
const MOST_MANIFEST_BYTES: u64 = 64 << 20;

/// An image manifest, as far as it matters here. What is not known is kept, so that the layers of
/// others stay what they are when one is added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "an image manifest, which is a JSON object"
)]
pub(super) struct Document {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    pub(super) config: Part,
    pub(super) layers: Vec<Part>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Part>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
}

/// A descriptor in one. Written with its members in the order that cosign has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "a descriptor, which is a JSON object"
)]
pub(super) struct Part {
    pub(super) media_type: String,
    pub(super) size: u64,
    pub(super) digest: Digest,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(super) other: BTreeMap<String, Value>,
}

impl Part {
    /// The plain descriptor of it.
    pub(super) fn descriptor(&self) -> Descriptor {
        let media_type = MediaType::from(self.media_type.as_str());
        Descriptor::new(media_type, self.size, self.digest.clone())
    }

    /// An annotation.
    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

impl What {
    /// What cosign's tag for them ends with.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Signatures => "sig",
            Self::Attestations => "att",
        }
    }

    /// The media type of the layers under that tag.
    fn layer(self) -> &'static str {
        match self {
            Self::Signatures => Payload::MEDIA_TYPE,
            Self::Attestations => Envelope::MEDIA_TYPE,
        }
    }

    /// The most bytes that one may have.
    fn limit(self) -> u64 {
        match self {
            Self::Signatures => DOCUMENT_LIMIT,
            Self::Attestations => Envelope::LARGEST as u64,
        }
    }
}

/// A manifest that is attached.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) descriptor: Descriptor,
    /// Whether it is known by cosign's tag, and so holds nothing but what is looked for.
    pub(super) tagged: bool,
    pub(super) document: Document,
}

impl Held {
    /// The layers that are of the kind looked for, each with its place and form; for one that is
    /// of another kind, under a tag where it has no business, why it does not count.
    fn layers(&self, what: What) -> impl Iterator<Item = (Found, &Part, Result<(), SignError>)> {
        let layers = self.document.layers.iter().enumerate();
        layers.filter_map(move |(layer, part)| {
            let (form, counts) = match part.media_type.as_str() {
                known if known == what.layer() => (Form::Classic, Ok(())),
                bundle if !self.tagged && Bundle::is_media_type(bundle) => (Form::Bundle, Ok(())),
                _ if !self.tagged => return None,
                other => {
                    let why = SignError::MediaType {
                        found: other.to_owned(),
                        expected: what.layer(),
                    };
                    (Form::Classic, Err(why))
                }
            };
            Some((self.at(form, layer), part, counts))
        })
    }

    fn at(&self, form: Form, layer: usize) -> Found {
        Found {
            form,
            manifest: self.descriptor.digest().clone(),
            layer,
        }
    }

    /// Whether it says itself that it belongs to another image. What refers to an image names it;
    /// what has its tag need not.
    fn belongs_to(&self, image: &Descriptor) -> Result<(), SignError> {
        let subject = self.document.subject.as_ref();
        match subject.map(|subject| &subject.digest) {
            Some(subject) if subject == image.digest() => Ok(()),
            None if self.tagged => Ok(()),
            other => Err(SignError::OtherSubject {
                subject: other.map(ToString::to_string),
                image: image.digest().to_string(),
            }),
        }
    }

    /// What a layer is said to attest; not to be trusted.
    fn predicate(&self, form: Form, part: &Part) -> Option<String> {
        let said = match form {
            Form::Classic => part.annotations.get(LAYER_PREDICATE),
            Form::Bundle => self.document.annotations.get(BUNDLE_PREDICATE),
        };
        said.cloned()
    }
}

/// The manifests that are attached to `image` by cosign's tag, or refer to it; and those that
/// cannot hold what is looked for though they should.
pub(super) fn held(
    source: &dyn Source,
    image: &Descriptor,
    what: What,
) -> Result<(Vec<Held>, Vec<Refused>), SignError> {
    let tag = attached_tag(image.digest(), what.suffix());
    let (mut held, mut refused) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let mut size = 0_u64;
    // What has the tag comes first, also when it refers to the image as well.
    let mut all = source.attached(image.digest())?;
    all.sort_by_key(|attached| attached.link == Link::Subject);
    for attached in all {
        let tagged = match &attached.link {
            Link::Tag(name) if *name == tag => true,
            Link::Tag(_) => continue,
            Link::Subject => false,
        };
        let descriptor = attached.manifest;
        if !seen.insert(descriptor.digest().to_string()) {
            continue;
        }
        if seen.len() > MOST_REFERRERS {
            return Err(too_many(
                source,
                image,
                "manifests that refer to it",
                MOST_REFERRERS,
            ));
        }
        let mut refuse = |why| {
            let found = Found {
                form: if tagged { Form::Classic } else { Form::Bundle },
                manifest: descriptor.digest().clone(),
                layer: 0,
            };
            refused.push(Refused { found, why });
        };
        if !is_manifest(descriptor.media_type()) {
            if tagged {
                refuse(SignError::NotSignatures {
                    tag: tag.clone(),
                    problem: format!("it is of the type {:?}", descriptor.media_type().as_ref()),
                });
            }
            continue;
        }
        // All of them are held at once, and one may have 4 MiB.
        size = size.saturating_add(descriptor.size());
        if size > MOST_MANIFEST_BYTES {
            return Err(StoreError::TooLarge {
                store: source.name(),
                part: format!("what is attached to {}", image.digest()),
                size,
                limit: MOST_MANIFEST_BYTES,
            }
            .into());
        }
        let bytes = match read_document(source, &descriptor) {
            // A list of referrers may name what was removed meanwhile.
            Err(gone @ StoreError::MissingBlob { .. }) if !tagged => {
                refuse(gone.into());
                continue;
            }
            bytes => bytes?,
        };
        match parse::<Document>(&bytes) {
            Ok(document) if tagged && document.layers.is_empty() => {
                refuse(SignError::NotSignatures {
                    tag: tag.clone(),
                    problem: "it has no layers".to_owned(),
                });
            }
            Ok(document) => held.push(Held {
                descriptor,
                tagged,
                document,
            }),
            Err(error) => {
                let part = format!("the manifest {}", descriptor.digest());
                refuse(StoreError::damaged(source.name(), part, error).into());
            }
        }
    }
    Ok((held, refused))
}

/// A layer that may be a signature or an attestation.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) found: Found,
    /// Whether it is under cosign's tag.
    pub(super) tagged: bool,
    /// Whether its manifest has nothing else.
    pub(super) alone: bool,
    pub(super) part: &'a Part,
}

/// All candidates, what is none though it should be, and the types of what is something else.
#[derive(Debug)]
pub(super) struct Candidates<'a> {
    pub(super) candidates: Vec<Candidate<'a>>,
    pub(super) refused: Vec<Refused>,
    /// All of them but the others.
    pub(super) count: usize,
    pub(super) others: BTreeSet<String>,
}

/// The layers of `held` that may be `what`, as far as can be told before one is fetched. Those
/// that are said to attest something else than `predicate_type` are left out.
pub(super) fn candidates<'a>(
    source: &dyn Source,
    image: &Descriptor,
    held: &'a [Held],
    what: What,
    predicate_type: Option<&str>,
) -> Result<Candidates<'a>, SignError> {
    let (mut candidates, mut refused) = (Vec::new(), Vec::new());
    let mut others = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for held in held {
        // Nobody reads a list that long to find one of its layers there twice.
        if held.tagged && held.document.layers.len() > MOST_SIGNATURES {
            return Err(too_many(source, image, what.name(), MOST_SIGNATURES));
        }
        let mut here = BTreeSet::new();
        for (found, part, counts) in held.layers(what) {
            if let (Ok(()), Some(said)) = (&counts, held.predicate(found.form, part))
                && !is_asked(what, predicate_type, &said)
            {
                // A signature attests nothing, and is none of what can be asked for.
                if said != COSIGN_SIGN || what == What::Signatures {
                    others.insert(said);
                }
                continue;
            }
            count += 1;
            if count > MOST_SIGNATURES {
                return Err(too_many(source, image, what.name(), MOST_SIGNATURES));
            }
            let key = (part.digest.to_string(), part.annotation(SIGNATURE));
            if !here.insert(key) {
                return Err(SignError::Twice {
                    store: source.name(),
                    manifest: held.descriptor.digest().to_string(),
                    layer: part.digest.to_string(),
                });
            }
            if let Err(why) = counts {
                refused.push(Refused { found, why });
                continue;
            }
            if let Err(why) = held.belongs_to(image) {
                refused.push(Refused { found, why });
                continue;
            }
            // What has its signature within is the same wherever it lies. A payload is another one
            // with another signature beside it.
            let is_bundle = found.form == Form::Bundle;
            let is_whole = is_bundle || what == What::Attestations;
            if is_whole && !seen.insert((is_bundle, part.digest.to_string())) {
                let why = SignError::Again(part.digest.to_string());
                refused.push(Refused { found, why });
                continue;
            }
            candidates.push(Candidate {
                found,
                tagged: held.tagged,
                alone: held.document.layers.len() == 1,
                part,
            });
        }
    }
    Ok(Candidates {
        candidates,
        refused,
        count,
        others,
    })
}

/// Whether a predicate type is one that is looked for. A signature attests nothing, so it is no
/// attestation unless its type is asked for by name.
pub(super) fn is_asked(what: What, asked: Option<&str>, found: &str) -> bool {
    match (what, asked) {
        (What::Signatures, _) => found == COSIGN_SIGN,
        (What::Attestations, Some(asked)) => found == asked,
        (What::Attestations, None) => found != COSIGN_SIGN,
    }
}

/// The bytes of a candidate, which are those that its digest names.
///
/// A blob that is missing or damaged ends all: the store is not what it was.
pub(super) fn fetch(
    source: &dyn Source,
    candidate: &Candidate<'_>,
    what: What,
) -> Result<Result<Vec<u8>, SignError>, SignError> {
    let (part, limit) = (candidate.part, what.limit());
    let name = || format!("the blob {}", part.digest);
    if part.size > limit {
        return Ok(Err(StoreError::TooLarge {
            store: source.name(),
            part: name(),
            size: part.size,
            limit,
        }
        .into()));
    }
    let mut bytes = Vec::new();
    source
        .blob(&part.descriptor())?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| StoreError::damaged(source.name(), name(), error))?;
    Ok(Ok(bytes))
}

fn too_many(source: &dyn Source, image: &Descriptor, what: &'static str, most: usize) -> SignError {
    SignError::TooMany {
        store: source.name(),
        image: image.digest().to_string(),
        what,
        most,
    }
}
