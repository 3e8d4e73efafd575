//! What the real cosign wrote holds here, and what is written here has its form.

use std::path::{Path, PathBuf};

use oci_spec::image::MediaType;

use super::*;
use crate::sign::layers::Document;
use crate::store::{Attached, Link};

fn directory(name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cosign/images");
    data.join(name)
}

fn read(directory: &Path, file: &str) -> Vec<u8> {
    std::fs::read(directory.join(file)).unwrap()
}

/// All that lies in a directory, as a store.
fn shelf(name: &str) -> Shelf {
    let directory = directory(name);
    let mut shelf = Shelf::empty();
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    shelf.image = shelf.put(MediaType::ImageManifest, &read(&directory, "image.json"));
    for name in names {
        let manifest = shelf.put(MediaType::ImageManifest, &read(&directory, &name));
        let link = match name.split(['.', '-']).next().unwrap() {
            suffix @ ("sig" | "att") => Link::Tag(attached_tag(shelf.image.digest(), suffix)),
            "referrer" => Link::Subject,
            _ => continue,
        };
        shelf.attached.push(Attached { manifest, link });
    }
    shelf
}

fn public(algorithm: &str) -> PublicKey {
    let name = format!("{algorithm}.pub");
    PublicKey::read(&read(&directory(""), &name), &name).unwrap()
}

/// What holds, in each form.
fn count(checked: &Checked) -> (usize, usize) {
    let of = |form| {
        let all = checked.verified.iter();
        all.filter(|one| one.found.form == form).count()
    };
    assert!(checked.refused.is_empty(), "{:?}", checked.refused);
    (of(Form::Classic), of(Form::Bundle))
}

#[test]
fn signatures_of_both_lines_of_cosign_hold_whatever_the_key() {
    for algorithm in ["p256", "p384", "ed25519"] {
        let key = public(algorithm);
        for (version, forms) in [("v3", (1, 1)), ("v2", (1, 0))] {
            let name = format!("{version}-{algorithm}");
            let checked = verified(&shelf(&name), &key, &[]).unwrap();
            assert_eq!(count(&checked), forms, "{name}");
        }
    }
    // And not by the key of another.
    verified(&shelf("v3-p384"), &public("p256"), &[]).unwrap_err();
}

#[test]
fn what_cosign_signed_is_told_as_cosign_tells_it() {
    let shelf = shelf("v3-p256");
    let checked = verified(&shelf, &public("p256"), &[("env", "prod")]).unwrap();
    let digest = shelf.image.digest().to_string();
    let claims = |name: &str, kind: &str, optional: Value| {
        json!({
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": digest},
                "type": kind,
            },
            "optional": optional,
        })
    };
    let classic = "cosign container image signature";
    let optional = json!({"env": "prod", "n": "2"});
    let expected = claims("127.0.0.1:5555/demo", classic, optional);
    assert_eq!(checked.verified[0].claims, expected);
    let expected = claims("demo@sha256:…", COSIGN_SIGN, json!({"env": "prod"}));
    assert_eq!(checked.verified[1].claims, expected);
    assert!(verified(&shelf, &public("p256"), &[("env", "test")]).is_err());
}

#[test]
fn attestations_of_both_lines_of_cosign_hold() {
    let (key, none) = (public("p256"), annotations(&[]));
    for kind in [Some("https://cosign.sigstore.dev/attestation/v1"), None] {
        let check = Check {
            key: &key,
            annotations: &none,
            predicate_type: kind,
            now: NOW,
        };
        let shelf = shelf("v3-p256");
        let checked = attestations(&shelf, &shelf.image, &check).unwrap();
        assert_eq!(count(&checked), (2, 2));
        for one in checked.verified {
            let statement = Statement::read(&one.envelope.unwrap().payload).unwrap();
            assert_eq!(statement.predicate["Data"], json!("{\"a\":1}\n"));
        }
    }
}

#[test]
fn manifests_are_written_as_cosign_writes_them() {
    for (name, file) in [
        ("v3-p256", "sig.json"),
        ("v3-p256", "att.json"),
        ("v3-p256", "referrer-1.json"),
        ("v3-p256", "referrer-2.json"),
        ("v2-ed25519", "sig.json"),
    ] {
        let bytes = read(&directory(name), file);
        let document: Document = crate::image::parse(&bytes).unwrap();
        assert_eq!(
            String::from_utf8(super::super::manifest::to_json(&document)).unwrap(),
            String::from_utf8(bytes).unwrap()
        );
        if document.artifact_type.is_none() {
            let config = super::super::manifest::config(&document.layers);
            let described = shelf::described(MediaType::ImageConfig, &config);
            assert_eq!(described.size(), document.config.size, "{file}");
            assert_eq!(*described.digest(), document.config.digest, "{file}");
        }
    }
}

#[test]
fn a_signature_is_made_as_cosign_makes_it() {
    let key = key();
    for algorithm in ["p256", "ed25519"] {
        let theirs = shelf(&format!("v3-{algorithm}"));
        let mut ours = shelf(&format!("v3-{algorithm}"));
        ours.attached.clear();
        let tag = Link::Tag(theirs.tag());
        let classic = theirs.attached.iter().position(|known| known.link == tag);
        let bundle = theirs
            .attached
            .iter()
            .rposition(|known| known.link == Link::Subject);
        let says: &[&[(&str, &str)]; 2] = match algorithm {
            "p256" => &[&[("env", "prod"), ("n", "2")], &[("env", "prod")]],
            _ => &[&[], &[]],
        };
        for (theirs_at, forms, says) in [
            (bundle.unwrap(), BUNDLE, says[1]),
            (classic.unwrap(), CLASSIC, says[0]),
        ] {
            ours.attached.clear();
            let annotations = annotations(says);
            let statements = Sign {
                identity: "127.0.0.1:5555/demo",
                annotations: &annotations,
            };
            let made = signature(&ours, &ours.image.clone(), &key, &statements, forms).unwrap();
            ours.attach(&made);
            let (mut one, mut other) = (ours.manifest(0), theirs.manifest(theirs_at));
            let (_, one_layer) = ours.layer(0, 0);
            let (_, other_layer) = theirs.layer(theirs_at, 0);
            if forms == CLASSIC {
                assert_eq!(one_layer, other_layer);
                for manifest in [&mut one, &mut other] {
                    manifest["layers"][0]["annotations"] = Value::Null;
                }
            } else {
                let payload = |bundle: &[u8]| match Bundle::read(bundle).unwrap().content {
                    Content::Envelope(envelope) => envelope.payload,
                    Content::Message => panic!(),
                };
                assert_eq!(payload(&one_layer), payload(&other_layer));
                for manifest in [&mut one, &mut other] {
                    let annotations = manifest["annotations"].as_object_mut().unwrap();
                    annotations.remove("org.opencontainers.image.created");
                    // Signatures of ECDSA differ in length.
                    manifest["layers"][0] = Value::Null;
                }
            }
            assert_eq!(one, other);
        }
    }
}
