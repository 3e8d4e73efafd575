//! Writing the manifests that hold signatures and attestations, as cosign writes them.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::{Descriptor, Digest as OciDigest, MediaType};
use serde::Serialize;

use super::layers::{Document, Part};
use crate::image::descriptor;
use crate::layer::Digest;
use crate::store::{Attachment, Entry, Link};

/// When nothing is said of a time: the first second that Go knows.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The config that cosign gives the manifests under its tags: one of an image, so that registries
/// of old take it, with the layers as they are, since nothing of them is compressed.
#[derive(Serialize)]
struct Config<'a> {
    architecture: &'static str,
    created: &'static str,
    history: Vec<Created>,
    os: &'static str,
    rootfs: RootFs<'a>,
    config: BTreeMap<(), ()>,
}

#[derive(Serialize)]
struct Created {
    created: &'static str,
}

#[derive(Serialize)]
struct RootFs<'a> {
    r#type: &'static str,
    diff_ids: Vec<&'a str>,
}

/// The config of a manifest with these layers.
pub(super) fn config(layers: &[Part]) -> Vec<u8> {
    config_of(layers.iter().map(|layer| layer.digest.as_ref()))
}

/// The config of a manifest with the layers that have these digests.
pub(crate) fn config_of<'a>(digests: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let diff_ids: Vec<&str> = digests.collect();
    to_json(&Config {
        architecture: "",
        created: NEVER,
        history: diff_ids
            .iter()
            .map(|_| Created { created: NEVER })
            .collect(),
        os: "",
        rootfs: RootFs {
            r#type: "layers",
            diff_ids,
        },
        config: BTreeMap::new(),
    })
}

/// What describes `bytes`.
pub(super) fn part(media_type: &str, bytes: &[u8]) -> Part {
    let described = described(media_type, bytes);
    Part {
        media_type: media_type.to_owned(),
        size: described.size(),
        digest: described.digest().clone(),
        annotations: BTreeMap::new(),
        other: BTreeMap::new(),
    }
}

fn described(media_type: &str, bytes: &[u8]) -> Descriptor {
    let media_type = MediaType::from(media_type);
    descriptor(media_type, &Digest::of(bytes), bytes.len() as u64)
}

/// The layers that are not among the documents: each once.
pub(super) fn blobs(layers: &[Part], documents: &BTreeMap<String, Vec<u8>>) -> Vec<Descriptor> {
    let mut seen = BTreeSet::new();
    let mut blobs: Vec<Descriptor> = layers.iter().map(Part::descriptor).collect();
    blobs.retain(|blob| {
        let digest = blob.digest().to_string();
        !documents.contains_key(&digest) && seen.insert(digest)
    });
    blobs
}

/// A manifest with all that it leads to, made of those that it comes `instead` of.
pub(super) fn attachment(
    manifest: &Document,
    mut documents: BTreeMap<String, Vec<u8>>,
    blobs: Vec<Descriptor>,
    link: Link,
    instead: Vec<OciDigest>,
) -> Attachment {
    let bytes = to_json(manifest);
    let mut root = described(MediaType::ImageManifest.as_ref(), &bytes);
    let artifact_type = manifest.artifact_type.as_deref();
    root.set_artifact_type(artifact_type.map(MediaType::from));
    documents.insert(root.digest().to_string(), bytes);
    let entry = Entry {
        root,
        documents,
        blobs,
    };
    Attachment {
        entry,
        link,
        instead,
    }
}

pub(super) fn to_json(document: &impl Serialize) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "documents have string keys and no floats, and a Vec takes every byte"
    )]
    serde_json::to_vec(document).expect("a document becomes bytes")
}
