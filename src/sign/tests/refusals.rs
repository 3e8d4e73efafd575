//! Each kind of bad signature is refused with its own reason.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::MediaType;

use super::shelf::{bytes, described, layer};
use super::*;
use crate::store::{Attached, Link, StoreError};

const FORMS: [Forms; 2] = [CLASSIC, BUNDLE];

fn statement_of(digest: &str, predicate_type: &str) -> Value {
    let hex = digest.split_once(':').unwrap().1;
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": hex}}],
        "predicateType": predicate_type,
        "predicate": {},
    })
}

/// A bundle around a statement that the key signs.
fn bundle_of(key: &PrivateKey, payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let message = Envelope::signed_bytes(payload_type, payload);
    let envelope = Envelope {
        payload_type: payload_type.to_owned(),
        payload: payload.to_vec(),
        signatures: vec![EnvelopeSignature {
            key_id: String::new(),
            signature: key.sign(&message).unwrap(),
        }],
    };
    Bundle::of_key(&envelope, &key.public().hint())
}

fn signature_by(key: &PrivateKey, payload: &[u8]) -> Value {
    let text = STANDARD.encode(key.sign(payload).unwrap());
    json!({"dev.cosignproject.cosign/signature": text})
}

#[test]
fn an_unsigned_image_is_said_to_be_unsigned_and_how_one_signs() {
    let shelf = Shelf::new();
    let error = verify(&shelf, &key()).unwrap_err();
    assert!(matches!(error, SignError::Unsigned { .. }));
    let text = error.to_string();
    assert!(text.contains(shelf.image.digest().as_ref()), "{text}");
    assert!(text.contains("distrobuild sign"), "{text}");
}

#[test]
fn a_signature_of_another_key_is_refused() {
    for forms in FORMS {
        let mut shelf = Shelf::new();
        let signer = key();
        sign(&mut shelf, &signer, &[], forms);
        let other = key();
        match refused(verify(&shelf, &other)) {
            SignError::OtherKey { says, key } => {
                let of_bundle = forms == BUNDLE;
                assert_eq!(says, of_bundle.then(|| signer.public().hint()));
                assert_eq!(key, other.public().hint());
            }
            unexpected => panic!("{unexpected}"),
        }
        verify(&shelf, &signer).unwrap();
    }
}

#[test]
fn a_tampered_payload_is_refused() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[("env", "prod")], CLASSIC);
    let (_, payload) = shelf.layer(0, 0);
    let other = String::from_utf8(payload).unwrap().replace("prod", "test");
    shelf.forge_layer(0, 0, other.as_bytes());
    assert!(matches!(
        refused(verify(&shelf, &key)),
        SignError::OtherKey { .. }
    ));

    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[("env", "prod")], BUNDLE);
    let (_, bundle) = shelf.layer(0, 0);
    let Content::Envelope(mut envelope) = Bundle::read(&bundle).unwrap().content else {
        panic!()
    };
    let payload = String::from_utf8(envelope.payload).unwrap();
    envelope.payload = payload.replace("prod", "test").into_bytes();
    let bundle = Bundle::of_key(&envelope, &key.public().hint());
    shelf.forge_layer(0, 0, &bundle);
    // It names the key, so it is known not to be one of another.
    assert!(matches!(
        refused(verify(&shelf, &key)),
        SignError::Changed { .. }
    ));
}

#[test]
fn a_signature_moved_from_another_image_is_refused_and_named() {
    let key = key();
    for forms in FORMS {
        let mut from = Shelf::new();
        sign(&mut from, &key, &[], forms);
        // The same store, with another image under the signature.
        let signed = from.image.digest().to_string();
        let mut manifest: Value = serde_json::from_slice(&from.blobs[&signed]).unwrap();
        manifest["annotations"] = json!({"some": "other"});
        from.image = from.put(MediaType::ImageManifest, &bytes(&manifest));
        let here = from.image.digest().to_string();
        if forms == CLASSIC {
            from.attached[0].link = Link::Tag(from.tag());
        } else {
            // As the registry lists it, its manifest says that it belongs elsewhere.
            match refused(verify(&from, &key)) {
                SignError::OtherSubject { subject, image } => {
                    assert_eq!((subject.unwrap(), image), (signed.clone(), here.clone()));
                }
                unexpected => panic!("{unexpected}"),
            }
            let mut manifest = from.manifest(0);
            manifest["subject"] = json!(from.image);
            from.forge_manifest(0, &bytes(&manifest));
        }
        match refused(verify(&from, &key)) {
            SignError::Moved { signs, image } => assert_eq!((signs, image), (signed, here)),
            unexpected => panic!("{unexpected}"),
        }
    }
}

#[test]
fn a_signature_over_a_tag_alone_is_refused() {
    let key = key();
    let mut shelf = Shelf::new();
    let payload = br#"{"critical":{"identity":{"docker-reference":"registry.example/demo:v1"},"image":{},"type":"cosign container image signature"},"optional":null}"#;
    shelf.attach_payload(payload, &signature_by(&key, payload));
    let error = refused(verify(&shelf, &key));
    let SignError::Document(error) = error else {
        panic!("{error}")
    };
    assert!(matches!(error, DocumentError::SignsName { .. }), "{error}");
}

#[test]
fn a_payload_of_another_type_is_refused() {
    let key = key();
    let mut shelf = Shelf::new();
    let payload = shelf.image.digest().to_string();
    let payload = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":""}},"image":{{"docker-manifest-digest":"{payload}"}},"type":"atomic container signature"}},"optional":null}}"#
    );
    shelf.attach_payload(payload.as_bytes(), &signature_by(&key, payload.as_bytes()));
    let error = refused(verify(&shelf, &key));
    assert!(
        matches!(error, SignError::Document(DocumentError::Type { .. })),
        "{error}"
    );
}

#[test]
fn annotations_that_were_asked_for_have_to_be_there() {
    let key = key();
    for forms in FORMS {
        let mut shelf = Shelf::new();
        sign(&mut shelf, &key, &[("env", "prod"), ("by", "me")], forms);
        let public = key.public();
        verified(&shelf, &public, &[("env", "prod")]).unwrap();
        verified(&shelf, &public, &[("env", "prod"), ("by", "me")]).unwrap();
        for (asked, has) in [(("env", "test"), Some("prod")), (("stage", "2"), None)] {
            match refused(verified(&shelf, &public, &[("by", "me"), asked])) {
                SignError::Annotation {
                    name,
                    wanted,
                    found,
                } => {
                    assert_eq!((name.as_str(), wanted.as_str()), asked);
                    assert_eq!(found.as_deref(), has);
                }
                unexpected => panic!("{unexpected}"),
            }
        }
    }
}

#[test]
fn a_layer_that_stands_there_twice_is_refused() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], CLASSIC);
    let mut manifest = shelf.manifest(0);
    let layer = manifest["layers"][0].clone();
    manifest["layers"].as_array_mut().unwrap().push(layer);
    shelf.forge_manifest(0, &bytes(&manifest));
    let error = verify(&shelf, &key).unwrap_err();
    assert!(matches!(error, SignError::Twice { .. }), "{error}");
}

#[test]
fn a_bundle_in_two_manifests_counts_once() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], BUNDLE);
    let (_, bundle) = shelf.layer(0, 0);
    shelf.attach_bundle(&bundle);
    let checked = verify(&shelf, &key).unwrap();
    assert_eq!(checked.verified.len(), 1);
    assert!(matches!(checked.refused[0].why, SignError::Again(_)));
}

#[test]
fn a_thousand_signatures_are_refused_before_one_is_fetched() {
    let key = key();
    let mut shelf = Shelf::new();
    let layers: Vec<Value> = (0..1000)
        .map(|n| layer(Payload::MEDIA_TYPE, format!("{n}").as_bytes()))
        .collect();
    let manifest = json!({"schemaVersion": 2, "config": layers[0], "layers": layers});
    let link = Link::Tag(shelf.tag());
    shelf.attach_manifest(&manifest, link);
    let error = verify(&shelf, &key).unwrap_err();
    assert!(
        matches!(
            error,
            SignError::TooMany {
                most: MOST_SIGNATURES,
                ..
            }
        ),
        "{error}"
    );
    // The image, and the manifest of signatures.
    assert_eq!(shelf.asked.into_inner(), 2);
}

#[test]
fn a_flood_of_bundles_or_referrers_is_refused() {
    let key = key();
    let mut shelf = Shelf::new();
    for n in 0..=MOST_SIGNATURES {
        shelf.attach_bundle(format!("{n}").as_bytes());
    }
    let error = verify(&shelf, &key).unwrap_err();
    assert!(
        matches!(
            error,
            SignError::TooMany {
                most: MOST_SIGNATURES,
                ..
            }
        ),
        "{error}"
    );

    let mut shelf = Shelf::new();
    for n in 0..=1000 {
        let other = json!({"schemaVersion": 2, "config": layer("x", b""), "layers": [], "n": n});
        shelf.attach_manifest(&other, Link::Subject);
    }
    let error = verify(&shelf, &key).unwrap_err();
    assert!(
        matches!(error, SignError::TooMany { most: 1000, .. }),
        "{error}"
    );
}

#[test]
fn no_more_is_held_of_manifests_than_memory_has_room_for() {
    let key = key();
    let mut shelf = Shelf::new();
    for n in 0..17 {
        let pad = "x".repeat(4_000_000);
        let other = json!({
            "schemaVersion": 2, "config": layer("x", b""), "layers": [],
            "annotations": {"pad": pad, "n": n.to_string()},
        });
        shelf.attach_manifest(&other, Link::Subject);
    }
    let error = verify(&shelf, &key).unwrap_err();
    assert!(
        matches!(error, SignError::Store(StoreError::TooLarge { .. })),
        "{error}"
    );
}

#[test]
fn a_bundle_with_a_certificate_is_refused_where_a_key_was_asked_for() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], BUNDLE);
    let (_, bundle) = shelf.layer(0, 0);
    let mut bundle: Value = serde_json::from_slice(&bundle).unwrap();
    bundle["verificationMaterial"] = json!({"certificate": {"rawBytes": "AAAA"}});
    shelf.forge_layer(0, 0, &bytes(&bundle));
    assert!(matches!(refused(verify(&shelf, &key)), SignError::Keyless));
}

#[test]
fn a_bundle_of_a_file_is_refused() {
    let mut shelf = Shelf::new();
    let bundle = json!({
        "mediaType": BUNDLE_MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"},
            "signature": "AAAA",
        },
    });
    shelf.attach_bundle(&bytes(&bundle));
    assert!(matches!(
        refused(verify(&shelf, &key())),
        SignError::Message
    ));
}

#[test]
fn an_envelope_of_something_else_is_refused() {
    let key = key();
    let mut shelf = Shelf::new();
    let statement = bytes(&statement_of(shelf.image.digest().as_ref(), COSIGN_SIGN));
    shelf.attach_bundle(&bundle_of(&key, "application/json", &statement));
    match refused(verify(&shelf, &key)) {
        SignError::PayloadType(found) => assert_eq!(found, "application/json"),
        unexpected => panic!("{unexpected}"),
    }
}

#[test]
fn an_attestation_by_the_key_is_no_signature() {
    let key = key();
    let mut shelf = Shelf::new();
    let sbom = "https://spdx.dev/Document";
    let statement = bytes(&statement_of(shelf.image.digest().as_ref(), sbom));
    shelf.attach_bundle(&bundle_of(&key, Statement::PAYLOAD_TYPE, &statement));
    match refused(verify(&shelf, &key)) {
        SignError::Predicate { found, wanted } => {
            assert_eq!(
                (found.as_str(), wanted.as_deref()),
                (sbom, Some(COSIGN_SIGN))
            );
        }
        unexpected => panic!("{unexpected}"),
    }
    // Where its manifest says what it is, it is not even fetched.
    let mut manifest = shelf.manifest(0);
    manifest["annotations"] = json!({"dev.sigstore.bundle.predicateType": sbom});
    shelf.forge_manifest(0, &bytes(&manifest));
    match verify(&shelf, &key).unwrap_err() {
        SignError::Unsigned { others, .. } => assert_eq!(others, [sbom]),
        unexpected => panic!("{unexpected}"),
    }
}

#[test]
fn what_is_under_the_tag_has_to_be_a_manifest_of_signatures() {
    let key = key();
    let mut shelf = Shelf::new();
    let index = shelf.put(
        MediaType::ImageIndex,
        br#"{"schemaVersion":2,"manifests":[]}"#,
    );
    shelf.attached.push(Attached {
        manifest: index,
        link: Link::Tag(shelf.tag()),
    });
    let error = refused(verify(&shelf, &key));
    assert!(matches!(error, SignError::NotSignatures { .. }), "{error}");

    let mut shelf = Shelf::new();
    let manifest = json!({"schemaVersion": 2, "config": layer("x", b""), "layers": []});
    let link = Link::Tag(shelf.tag());
    shelf.attach_manifest(&manifest, link);
    let error = refused(verify(&shelf, &key));
    assert!(matches!(error, SignError::NotSignatures { .. }), "{error}");

    let mut shelf = Shelf::new();
    let manifest = json!({"schemaVersion": 2, "config": layer("x", b""), "layers": [layer("text/plain", b"")]});
    let link = Link::Tag(shelf.tag());
    shelf.attach_manifest(&manifest, link);
    match refused(verify(&shelf, &key)) {
        SignError::MediaType { found, .. } => assert_eq!(found, "text/plain"),
        unexpected => panic!("{unexpected}"),
    }

    let mut shelf = Shelf::new();
    let link = Link::Tag(shelf.tag());
    shelf.attach_manifest(&json!("no manifest"), link);
    let error = refused(verify(&shelf, &key));
    assert!(
        matches!(error, SignError::Store(StoreError::Damaged { .. })),
        "{error}"
    );
}

#[test]
fn a_layer_without_a_signature_or_with_none_in_its_place_is_refused() {
    for annotations in [
        json!({}),
        json!({"dev.cosignproject.cosign/signature": ""}),
        json!({"dev.cosignproject.cosign/signature": "not base64"}),
    ] {
        let mut shelf = Shelf::new();
        shelf.attach_payload(b"{}", &annotations);
        let error = refused(verify(&shelf, &key()));
        assert!(
            matches!(error, SignError::SignatureAnnotation { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_signature_of_an_absurd_size_is_not_read() {
    let mut shelf = Shelf::new();
    shelf.attach_payload(b"{}", &json!({}));
    let mut manifest = shelf.manifest(0);
    manifest["layers"][0]["size"] = json!(u64::MAX);
    shelf.forge_manifest(0, &bytes(&manifest));
    let error = refused(verify(&shelf, &key()));
    assert!(
        matches!(error, SignError::Store(StoreError::TooLarge { .. })),
        "{error}"
    );
}

#[test]
fn a_good_signature_counts_beside_bad_ones_and_these_are_told() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &super::key(), &[], Forms::Both);
    sign(&mut shelf, &key, &[], Forms::Both);
    let checked = verify(&shelf, &key).unwrap();
    assert_eq!(checked.verified.len(), 2);
    assert_eq!(checked.refused.len(), 2);
}

#[test]
fn when_none_holds_each_is_told_with_its_place_and_reason() {
    let mut shelf = Shelf::new();
    for _ in 0..12 {
        sign(&mut shelf, &key(), &[], CLASSIC);
    }
    sign(&mut shelf, &key(), &[], BUNDLE);
    let text = verify(&shelf, &key()).unwrap_err().to_string();
    let manifest = shelf.attached[0].manifest.digest().to_string();
    assert!(
        text.contains(&format!("classic form, layer 1 of {manifest}: ")),
        "{text}"
    );
    assert!(text.contains("and 3 more"), "{text}");
    assert_eq!(text.lines().count(), 12, "{text}");
}

#[test]
fn a_blob_that_is_missing_ends_all() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], Forms::Both);
    let (digest, _) = shelf.layer(1, 0);
    shelf.blobs.remove(&digest);
    let error = verify(&shelf, &key).unwrap_err();
    assert!(
        matches!(error, SignError::Store(StoreError::MissingBlob { .. })),
        "{error}"
    );
}

#[test]
fn a_referrer_that_is_gone_is_passed_over_and_told() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], Forms::Both);
    let gone = described(MediaType::ImageManifest, b"removed meanwhile");
    shelf.attached.push(Attached {
        manifest: gone.clone(),
        link: Link::Subject,
    });
    let checked = verify(&shelf, &key).unwrap();
    assert_eq!(checked.verified.len(), 2);
    let [refused] = checked.refused.as_slice() else {
        panic!("{:?}", checked.refused);
    };
    assert_eq!(refused.found.manifest, *gone.digest());
}
