//! One manifest of the layers of two, where both have the same tag of cosign's.
//!
//! Under such a tag there is one manifest, and a layer of it is a signature or an attestation
//! (cosign `specs/SIGNATURE_SPEC.md`, "Storage"). A copy must not take away what others signed
//! where it arrives, so the layers of both are kept. Two copies to one tag at the same moment are
//! not kept apart: no registry lets one change a tag only if it still is what it was.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Map, Value, json};

use super::walk::{Walk, is_config};
use crate::image::{canonical, descriptor};
use crate::layer::Digest;
use crate::sign::{MOST_SIGNATURES, config_of};
use crate::store::{Entry, is_manifest};

/// What is to have the tag.
#[derive(Debug, PartialEq)]
pub(super) enum Union {
    /// What has it: all of the other one is in it.
    Theirs,
    /// The other one: all of what has it is in that, or the two cannot be one.
    Ours,
    /// One of both.
    Both {
        /// The manifest.
        manifest: Vec<u8>,
        /// Its config.
        config: Vec<u8>,
    },
    /// Neither: one of both would be longer than what is verified.
    TooMany,
}

/// What is to have `tag`, which leads to `theirs`, when `ours` is copied there. The layers of
/// theirs come first; one that is in both, with the same annotations, is there once.
pub(super) fn union(tag: &str, theirs: &[u8], ours: &[u8]) -> Union {
    let can_be_one = tag.ends_with(".sig") || tag.ends_with(".att");
    let (Some(mut theirs), Some(ours)) = (List::read(theirs), List::read(ours)) else {
        return Union::Ours;
    };
    if !can_be_one {
        return Union::Ours;
    }
    let mut seen = BTreeSet::new();
    let all: Vec<Value> = theirs
        .layers
        .iter()
        .chain(&ours.layers)
        .filter(|layer| seen.insert(identity(layer)))
        .cloned()
        .collect();
    if all == theirs.layers {
        return Union::Theirs;
    }
    if all == ours.layers {
        return Union::Ours;
    }
    if all.len() > MOST_SIGNATURES {
        return Union::TooMany;
    }
    let config = config(&all);
    let described = descriptor(
        MediaType::ImageConfig,
        &Digest::of(&config),
        config.len() as u64,
    );
    let manifest = &mut theirs.manifest;
    manifest.insert("config".to_owned(), json!(described));
    manifest.insert("layers".to_owned(), Value::Array(all));
    Union::Both {
        manifest: canonical(manifest),
        config,
    }
}

/// `ours` with this manifest and config, which have layers of another, too: those are where it
/// goes.
pub(super) fn instead(ours: &Walk, manifest: Vec<u8>, config: Vec<u8>) -> Walk {
    let of_ours = &ours.entry.root;
    let digest = Digest::of(&manifest);
    let mut root = descriptor(of_ours.media_type().clone(), &digest, manifest.len() as u64);
    root.set_artifact_type(of_ours.artifact_type().clone());
    let documents = [config, manifest]
        .into_iter()
        .map(|bytes| (Digest::of(&bytes).to_string(), bytes));
    Walk {
        entry: Entry {
            root: root.clone(),
            documents: documents.collect::<BTreeMap<_, _>>(),
            blobs: ours.entry.blobs.clone(),
        },
        order: vec![root],
        images: 0,
    }
}

/// A manifest whose layers are a list of signatures or attestations.
struct List {
    manifest: Map<String, Value>,
    layers: Vec<Value>,
}

impl List {
    /// `None` for any other document.
    fn read(bytes: &[u8]) -> Option<Self> {
        let manifest: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        let is_image = match manifest.get("mediaType") {
            None | Some(Value::Null) => true,
            Some(named) => is_manifest(&MediaType::from(named.as_str()?)),
        };
        let config = manifest.get("config")?.get("mediaType")?.as_str()?;
        let layers = manifest.get("layers")?.as_array()?.clone();
        let fits = is_image
            && is_config(&MediaType::from(config))
            && layers
                .iter()
                .all(|layer| serde_json::from_value::<Descriptor>(layer.clone()).is_ok());
        fits.then_some(Self { manifest, layers })
    }
}

/// What makes a layer the same as another: its digest and its annotations.
fn identity(layer: &Value) -> Vec<u8> {
    let annotations = layer.get("annotations").filter(|found| !found.is_null());
    canonical(&(layer.get("digest"), annotations))
}

/// The config of a manifest with these layers.
fn config(layers: &[Value]) -> Vec<u8> {
    let digests = layers.iter().filter_map(|layer| layer.get("digest"));
    config_of(digests.filter_map(Value::as_str))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

    fn layer(name: &str, signature: &str) -> Value {
        json!({
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": Digest::of(name.as_bytes()).to_string(),
            "size": 3,
            "annotations": { "dev.cosignproject.cosign/signature": signature },
        })
    }

    fn manifest(layers: &[Value]) -> Vec<u8> {
        let config = json!({
            "mediaType": CONFIG,
            "digest": Digest::of(b"a config").to_string(),
            "size": 8,
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": layers,
        });
        serde_json::to_vec_pretty(&manifest).unwrap()
    }

    fn both(tag: &str, theirs: &[Value], ours: &[Value]) -> (Value, Value) {
        match union(tag, &manifest(theirs), &manifest(ours)) {
            Union::Both { manifest, config } => (
                serde_json::from_slice(&manifest).unwrap(),
                serde_json::from_slice(&config).unwrap(),
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_layers_of_both_are_kept_and_theirs_come_first() {
        let (a, b, c) = (layer("a", "1"), layer("b", "2"), layer("c", "3"));
        for tag in ["sha256-1.sig", "sha256-1.att"] {
            let (theirs, ours) = ([c.clone(), a.clone()], [a.clone(), b.clone()]);
            let (manifest, config) = both(tag, &theirs, &ours);
            assert_eq!(manifest["layers"], json!([c, a, b]));
            let ids = json!([c["digest"], a["digest"], b["digest"]]);
            assert_eq!(config["rootfs"]["diff_ids"], ids);
            assert_eq!(config["history"].as_array().unwrap().len(), 3);
            let digests = [&c, &a, &b].map(|layer| layer["digest"].as_str().unwrap());
            let bytes = config_of(digests.into_iter());
            let described = &manifest["config"];
            assert_eq!(described["digest"], Digest::of(&bytes).to_string());
            assert_eq!(described["size"], bytes.len());
            assert_eq!(described["mediaType"], CONFIG);
        }
    }

    #[test]
    fn a_list_does_not_become_longer_than_what_is_verified() {
        let layers = |from: usize| -> Vec<Value> {
            (from..from + MOST_SIGNATURES)
                .map(|name| layer(&name.to_string(), "1"))
                .collect()
        };
        let (all, more) = (manifest(&layers(0)), manifest(&layers(1)));
        assert_eq!(union("x.sig", &all, &more), Union::TooMany);
        assert_eq!(union("x.sig", &all, &all), Union::Theirs);
    }

    #[test]
    fn one_payload_with_two_signatures_is_two_layers() {
        let (one, other) = (layer("a", "1"), layer("a", "2"));
        let (manifest, _) = both(
            "sha256-1.sig",
            std::slice::from_ref(&one),
            std::slice::from_ref(&other),
        );
        assert_eq!(manifest["layers"], json!([one, other]));
    }

    #[test]
    fn what_has_all_of_the_other_stays_byte_for_byte() {
        let (a, b) = (layer("a", "1"), layer("b", "2"));
        let (one, two) = (manifest(std::slice::from_ref(&a)), manifest(&[a, b]));
        assert_eq!(union("x.sig", &two, &one), Union::Theirs);
        assert_eq!(union("x.sig", &one, &two), Union::Ours);
        assert_eq!(union("x.sig", &one, &one), Union::Theirs);
    }

    #[test]
    fn what_is_no_list_of_signatures_is_replaced() {
        let one = manifest(&[layer("a", "1")]);
        let two = manifest(&[layer("b", "2")]);
        assert_eq!(union("x.sbom", &one, &two), Union::Ours);
        let text = String::from_utf8(one.clone()).unwrap();
        let others = [
            text.replace(CONFIG, "application/vnd.oci.empty.v1+json"),
            text.replace("image.manifest.v1", "image.index.v1"),
            text.replace("\"size\": 3", "\"size\": -3"),
            "[]".to_owned(),
            String::new(),
            format!("{{\"layers\":{}", "[".repeat(100_000)),
        ];
        for other in others {
            assert_ne!(other, text);
            assert_eq!(union("x.sig", other.as_bytes(), &two), Union::Ours);
            assert_eq!(union("x.sig", &two, other.as_bytes()), Union::Ours);
        }
    }

    proptest! {
        #[test]
        fn no_layer_is_lost_and_the_second_time_changes_nothing(
            theirs in prop::collection::vec(0_u8..9, 0..6),
            ours in prop::collection::vec(0_u8..9, 0..6),
        ) {
            let listed = |names: &[u8]| -> Vec<Value> {
                names.iter().map(|name| layer(&name.to_string(), "1")).collect()
            };
            let (theirs, ours) = (listed(&theirs), listed(&ours));
            let mine = manifest(&ours);
            let result = match union("x.att", &manifest(&theirs), &mine) {
                Union::Theirs => manifest(&theirs),
                Union::Ours => mine.clone(),
                Union::Both { manifest, .. } => manifest,
                Union::TooMany => panic!("so few are not too many"),
            };
            let read: Value = serde_json::from_slice(&result).unwrap();
            let has = read["layers"].as_array().unwrap();
            for layer in theirs.iter().chain(&ours) {
                prop_assert!(has.contains(layer));
            }
            if result != mine {
                prop_assert_eq!(union("x.att", &result, &mine), Union::Theirs);
            }
        }

        #[test]
        fn any_two_documents_are_judged(
            one in prop::collection::vec(any::<u8>(), 0..60),
            other in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = union("x.sig", &one, &other);
        }
    }
}
