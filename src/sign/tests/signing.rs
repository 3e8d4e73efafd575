//! Signing: what is made, and what becomes of what is there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::MediaType;

use super::shelf::{bytes, layer};
use super::*;
use crate::store::{Attached, Link};

fn sign_again(shelf: &Shelf, key: &PrivateKey, forms: Forms) -> Result<Made, SignError> {
    let annotations = annotations(&[]);
    let statements = Sign {
        identity: NAME,
        annotations: &annotations,
    };
    signature(shelf, &shelf.image, key, &statements, forms)
}

#[test]
fn both_forms_are_made_and_each_holds() {
    for algorithm in Algorithm::ALL {
        let key = PrivateKey::generate(algorithm).unwrap();
        let mut shelf = Shelf::new();
        let made = sign(&mut shelf, &key, &[("env", "prod")], Forms::Both);
        assert!(made.present.is_empty() && made.replaced.is_empty());
        let links: Vec<&Link> = made.attachments.iter().map(|a| &a.link).collect();
        assert_eq!(links, [&Link::Tag(shelf.tag()), &Link::Subject]);
        let checked = verify(&shelf, &key).unwrap();
        let forms: Vec<Form> = checked.verified.iter().map(|one| one.found.form).collect();
        assert_eq!(forms, [Form::Classic, Form::Bundle]);
        let digest = shelf.image.digest().to_string();
        let claims = |name: &str, kind: &str| {
            json!({
                "critical": {
                    "identity": {"docker-reference": name},
                    "image": {"docker-manifest-digest": digest},
                    "type": kind,
                },
                "optional": {"env": "prod"},
            })
        };
        let classic = claims(NAME, "cosign container image signature");
        assert_eq!(checked.verified[0].claims, classic);
        let bundle = claims("demo@sha256:…", COSIGN_SIGN);
        assert_eq!(checked.verified[1].claims, bundle);
        assert!(checked.verified.iter().all(|one| !one.has_log_entries));
        assert!(checked.refused.is_empty());
    }
}

#[test]
fn the_same_key_and_image_give_the_same_bytes() {
    let (key, shelf) = (key(), Shelf::new());
    let made = sign_again(&shelf, &key, Forms::Both).unwrap();
    assert_eq!(made, sign_again(&shelf, &key, Forms::Both).unwrap());
}

#[test]
fn signing_twice_changes_nothing() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], Forms::Both);
    let again = sign_again(&shelf, &key, Forms::Both).unwrap();
    assert!(again.attachments.is_empty() && again.replaced.is_empty());
    assert_eq!(again.present, [Form::Classic, Form::Bundle]);
}

#[test]
fn the_form_that_lacks_is_made() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], BUNDLE);
    let again = sign_again(&shelf, &key, Forms::Both).unwrap();
    assert_eq!(again.present, [Form::Bundle]);
    assert_eq!(again.attachments.len(), 1);
    assert_eq!(again.attachments[0].link, Link::Tag(shelf.tag()));
}

#[test]
fn signatures_of_others_stay_as_they_are() {
    let (one, other) = (key(), key());
    let mut shelf = Shelf::new();
    sign(&mut shelf, &one, &[], Forms::Both);
    let before = shelf.manifest(0)["layers"][0].clone();
    let made = sign(&mut shelf, &other, &[], Forms::Both);
    assert_eq!(shelf.attached.len(), 3);
    let classic = shelf
        .attached
        .iter()
        .position(|known| known.link != Link::Subject)
        .unwrap();
    let layers = shelf.manifest(classic)["layers"].clone();
    assert_eq!(layers[0], before);
    assert_eq!(layers.as_array().unwrap().len(), 2);
    assert_eq!(verify(&shelf, &one).unwrap().verified.len(), 2);
    assert_eq!(verify(&shelf, &other).unwrap().verified.len(), 2);
    // Both payloads are one blob, which the new layer brings along.
    assert!(made.attachments[0].entry.blobs.is_empty());
}

#[test]
fn another_annotation_is_another_signature() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[("env", "test")], Forms::Both);
    let made = sign(&mut shelf, &key, &[("env", "prod")], Forms::Both);
    let blobs = &made.attachments[0].entry.blobs;
    assert_eq!(blobs.len(), 1, "the payload that is there");
    assert_eq!(verify(&shelf, &key).unwrap().verified.len(), 4);
    let checked = verified(&shelf, &key.public(), &[("env", "prod")]).unwrap();
    assert_eq!((checked.verified.len(), checked.refused.len()), (2, 2));
}

#[test]
fn an_index_is_signed_as_it_is() {
    let key = key();
    let mut shelf = Shelf::new();
    let index = json!({"schemaVersion": 2, "manifests": [shelf.image]});
    shelf.image = shelf.put(MediaType::ImageIndex, &bytes(&index));
    sign(&mut shelf, &key, &[], Forms::Both);
    let subject = &shelf.manifest(1)["subject"];
    assert_eq!(
        subject["mediaType"],
        json!(MediaType::ImageIndex.to_string())
    );
    assert_eq!(verify(&shelf, &key).unwrap().verified.len(), 2);
}

#[test]
fn an_image_with_a_longer_digest_is_signed_by_a_bundle_alone() {
    use sha2::{Digest as _, Sha512};
    let key = key();
    let mut shelf = Shelf::new();
    let manifest = shelf.blobs[shelf.image.digest().as_ref()].clone();
    let hex = Sha512::digest(&manifest)
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let digest = format!("sha512:{hex}");
    shelf.image.set_digest(digest.parse().unwrap());
    shelf.blobs.insert(digest, manifest);
    let error = sign_again(&shelf, &key, Forms::Both).unwrap_err();
    assert!(matches!(error, SignError::NoTag(_)), "{error}");
    sign(&mut shelf, &key, &[], BUNDLE);
    verify(&shelf, &key).unwrap();
}

#[test]
fn an_image_that_is_not_there_or_damaged_is_not_signed() {
    let key = key();
    let mut shelf = Shelf::new();
    let digest = shelf.image.digest().to_string();
    shelf.blobs.get_mut(&digest).unwrap()[0] ^= 1;
    assert!(matches!(
        sign_again(&shelf, &key, BUNDLE),
        Err(SignError::Store(_))
    ));
    shelf.blobs.remove(&digest);
    assert!(matches!(
        sign_again(&shelf, &key, BUNDLE),
        Err(SignError::Store(_))
    ));
}

#[test]
fn what_has_the_tag_and_is_something_else_is_not_written_over() {
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
    let error = sign_again(&shelf, &key, Forms::Both).unwrap_err();
    assert!(matches!(error, SignError::NotSignatures { .. }), "{error}");
    sign_again(&shelf, &key, BUNDLE).unwrap();
}

#[test]
fn no_more_signatures_are_made_than_are_looked_at() {
    let key = key();
    let mut shelf = Shelf::new();
    let mut layers: Vec<Value> = Vec::new();
    for n in 0..MOST_SIGNATURES {
        let payload = n.to_string().into_bytes();
        shelf.put(MediaType::EmptyJSON, &payload);
        layers.push(layer(Payload::MEDIA_TYPE, &payload));
    }
    let manifest =
        |layers: &[Value]| json!({"schemaVersion": 2, "config": layers[0], "layers": layers});
    let link = Link::Tag(shelf.tag());
    shelf.attach_manifest(&manifest(&layers), link);
    let error = sign_again(&shelf, &key, CLASSIC).unwrap_err();
    assert!(matches!(error, SignError::Full { .. }), "{error}");
    layers.pop();
    shelf.forge_manifest(0, &bytes(&manifest(&layers)));
    sign(&mut shelf, &key, &[], CLASSIC);
    assert_eq!(verify(&shelf, &key).unwrap().verified.len(), 1);
    // The two forms of one signature count as two.
    let error = sign_again(&shelf, &super::key(), Forms::Both).unwrap_err();
    assert!(matches!(error, SignError::Full { .. }), "{error}");
}

#[test]
fn what_is_not_known_of_the_layers_of_others_stays() {
    let key = key();
    let mut shelf = Shelf::new();
    shelf.attach_payload(
        b"{}",
        &json!({"dev.cosignproject.cosign/signature": "AAAA", "some": "thing"}),
    );
    let mut manifest = shelf.manifest(0);
    manifest["layers"][0]["urls"] = json!(["https://example.com/"]);
    manifest["annotations"] = json!({"of": "the manifest"});
    shelf.forge_manifest(0, &bytes(&manifest));
    sign(&mut shelf, &key, &[], CLASSIC);
    let after = shelf.manifest(0);
    assert_eq!(after["layers"][0], manifest["layers"][0]);
    assert_eq!(after["annotations"], manifest["annotations"]);
    assert_eq!(after["layers"].as_array().unwrap().len(), 2);
}

/// In both lines cosign's `verify` refuses what its `sign` makes with these keys.
#[test]
fn a_signature_that_cosign_itself_refuses_gets_one_beside_it_that_it_takes() {
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    use ed25519_dalek::{Digest as _, Sha512, SigningKey};
    let theirs = SigningKey::from_bytes(&[7; 32]);
    let pem = theirs.to_pkcs8_pem(Default::default()).unwrap();
    let mut none = || panic!("it has no password");
    let key = PrivateKey::import(pem.as_bytes(), "key.pem", &mut none).unwrap();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], CLASSIC);
    let (_, payload) = shelf.layer(0, 0);
    let hashed = Sha512::new_with_prefix(&payload);
    let signature = theirs.sign_prehashed(hashed, None).unwrap();
    let signature = STANDARD.encode(signature.to_bytes());
    let mut manifest = shelf.manifest(0);
    manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"] = json!(signature);
    shelf.forge_manifest(0, &bytes(&manifest));
    assert_eq!(verify(&shelf, &key).unwrap().verified.len(), 1);
    let made = sign(&mut shelf, &key, &[], CLASSIC);
    assert!(made.present.is_empty());
    assert_eq!(verify(&shelf, &key).unwrap().verified.len(), 2);
    assert_eq!(
        sign(&mut shelf, &key, &[], CLASSIC).present,
        [Form::Classic]
    );
}

#[test]
fn what_has_the_tag_and_refers_to_the_image_too_keeps_its_layers() {
    let (one, other) = (key(), key());
    let mut shelf = Shelf::new();
    sign(&mut shelf, &one, &[], CLASSIC);
    let mut manifest = shelf.manifest(0);
    manifest["subject"] = json!(shelf.image);
    shelf.forge_manifest(0, &bytes(&manifest));
    let tagged = shelf.attached[0].clone();
    let referrer = Attached {
        link: Link::Subject,
        ..tagged
    };
    shelf.attached.insert(0, referrer);
    assert_eq!(verify(&shelf, &one).unwrap().verified.len(), 1);
    sign(&mut shelf, &other, &[], CLASSIC);
    verify(&shelf, &one).unwrap();
    verify(&shelf, &other).unwrap();
}
