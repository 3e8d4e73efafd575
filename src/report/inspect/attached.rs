//! What is attached to an image, in a few words each.

use oci_spec::image::{Descriptor, Digest};
use serde::Serialize;
use serde_json::Value;

use crate::image::parse;
use crate::report::config::printable;
use crate::sign::COSIGN_SIGN;
use crate::store::{Link, Source, is_manifest, read_document};

/// The most that are looked into: each is a question to a registry.
const MOST: usize = 32;

/// The annotation of a bundle's manifest that says what is attested in it.
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// A manifest that is attached to an image. What it says of itself is not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachedManifest {
    /// Digest of the manifest.
    pub digest: String,
    /// The tag by which it is known; `null` when its `subject` says what it belongs to.
    pub tag: Option<String>,
    /// The artifact type of the manifest.
    pub artifact_type: Option<String>,
    /// What it is in a word: `signatures`, `attestation https://spdx.dev/Document`.
    pub what: String,
}

/// What is attached to `subject`; `None` when the store does not tell.
pub(super) fn attached(source: &dyn Source, subject: &Digest) -> Option<Vec<AttachedManifest>> {
    let attached = source.attached(subject).ok()?;
    let described = attached.iter().enumerate().map(|(place, attached)| {
        let tag = match &attached.link {
            Link::Tag(tag) => Some(printable(tag)),
            Link::Subject => None,
        };
        let artifact_type = attached.manifest.artifact_type().as_ref();
        let artifact_type = artifact_type.map(|kind| printable(kind.as_ref()));
        let what = match (&tag, place < MOST) {
            (Some(tag), _) => by_tag(tag),
            (None, true) => by_predicate(source, &attached.manifest),
            (None, false) => None,
        };
        AttachedManifest {
            digest: attached.manifest.digest().to_string(),
            what: what
                .or_else(|| artifact_type.clone())
                .unwrap_or_else(|| "of an unknown type".to_owned()),
            tag,
            artifact_type,
        }
    });
    Some(described.collect())
}

fn by_tag(tag: &str) -> Option<String> {
    let what = match tag.rsplit_once('.')?.1 {
        "sig" => "signatures",
        "att" => "attestations",
        "sbom" => "list of parts",
        _ => return None,
    };
    Some(what.to_owned())
}

fn by_predicate(source: &dyn Source, manifest: &Descriptor) -> Option<String> {
    if !is_manifest(manifest.media_type()) {
        return None;
    }
    let bytes = read_document(source, manifest).ok()?;
    let document: Value = parse(&bytes).ok()?;
    match document.get("annotations")?.get(PREDICATE_TYPE)?.as_str()? {
        COSIGN_SIGN => Some("signature, as a bundle".to_owned()),
        other => Some(format!("attestation {}, as a bundle", printable(other))),
    }
}
