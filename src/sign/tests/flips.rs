//! One bit that is another one makes verifying fail, wherever it is.

use oci_spec::image::MediaType;

use super::shelf::bytes;
use super::*;
use crate::transfer::Quiet;

/// The same with one bit of the byte at `place` turned: each kind of bit has its turn.
fn flipped(bytes: &[u8], place: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[place] ^= 1 << (place % 8);
    bytes
}

fn whole(shelf: &Shelf, key: &PublicKey) -> Result<Checked, SignError> {
    intact(shelf, &shelf.image, Reach::Layers, &Quiet)?;
    verified(shelf, key, &[])
}

#[test]
fn a_bit_that_turned_in_any_blob_is_found() {
    let key = key();
    let public = key.public();
    for forms in [CLASSIC, BUNDLE, Forms::Both] {
        let mut shelf = Shelf::new();
        let made = sign(&mut shelf, &key, &[("env", "prod")], forms);
        whole(&shelf, &public).unwrap();
        // The configs of the manifests of signatures say nothing, and nobody reads them.
        let unread: Vec<String> = (0..made.attachments.len())
            .map(|n| {
                shelf.manifest(n)["config"]["digest"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        let mut count = 0;
        for (digest, good) in shelf.blobs.clone() {
            if unread.contains(&digest) {
                continue;
            }
            count += 1;
            for place in 0..good.len() {
                shelf.blobs.insert(digest.clone(), flipped(&good, place));
                let error = whole(&shelf, &public).unwrap_err();
                assert!(
                    matches!(error, SignError::Store(_)),
                    "{digest} {place}: {error}"
                );
            }
            shelf.blobs.insert(digest, good);
        }
        assert_eq!(count, 3 + 2 * made.attachments.len());
    }
}

#[test]
fn a_payload_or_signature_that_was_changed_and_put_under_its_new_digest_is_refused() {
    let key = key();
    let public = key.public();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[("env", "prod")], CLASSIC);
    let good = shelf.manifest(0);
    let (_, payload) = shelf.layer(0, 0);
    for place in 0..payload.len() {
        shelf.forge_layer(0, 0, &flipped(&payload, place));
        whole(&shelf, &public).unwrap_err();
    }
    shelf.forge_manifest(0, &bytes(&good));
    whole(&shelf, &public).unwrap();
    let name = "dev.cosignproject.cosign/signature";
    let signature = good["layers"][0]["annotations"][name].as_str().unwrap();
    for place in 0..signature.len() {
        let mut manifest = good.clone();
        let Ok(other) = String::from_utf8(flipped(signature.as_bytes(), place)) else {
            continue;
        };
        manifest["layers"][0]["annotations"][name] = json!(other);
        shelf.forge_manifest(0, &bytes(&manifest));
        whole(&shelf, &public).unwrap_err();
    }
}

#[test]
fn an_image_that_was_changed_has_no_use_for_the_signatures_of_the_former() {
    let key = key();
    let public = key.public();
    for forms in [CLASSIC, BUNDLE] {
        let mut shelf = Shelf::new();
        sign(&mut shelf, &key, &[], forms);
        let manifest = shelf.blobs[shelf.image.digest().as_ref()].clone();
        for place in 0..manifest.len() {
            shelf.image = shelf.put(MediaType::ImageManifest, &flipped(&manifest, place));
            if forms == CLASSIC {
                shelf.attached[0].link = crate::store::Link::Tag(shelf.tag());
            } else {
                let mut referrer = shelf.manifest(0);
                referrer["subject"] = json!(shelf.image);
                shelf.forge_manifest(0, &bytes(&referrer));
            }
            let error = refused(verified(&shelf, &public, &[]));
            assert!(matches!(error, SignError::Moved { .. }), "{place}: {error}");
        }
    }
}

/// What is not signed, as the hint at the key, cannot be protected from someone who writes all
/// digests anew. It does not matter: what is verified is what was signed.
#[test]
fn a_changed_bundle_or_manifest_is_refused_or_says_the_very_same() {
    let key = key();
    let public = key.public();
    for forms in [CLASSIC, BUNDLE] {
        let mut shelf = Shelf::new();
        sign(&mut shelf, &key, &[("env", "prod")], forms);
        let good = whole(&shelf, &public).unwrap();
        let before = shelf.manifest(0);
        let manifest = shelf.blobs[shelf.attached[0].manifest.digest().as_ref()].clone();
        let (_, layer) = shelf.layer(0, 0);
        let mut survived = 0;
        let mut same = |shelf: &Shelf| {
            if let Ok(checked) = whole(shelf, &public) {
                survived += 1;
                assert_eq!(checked.verified[0].claims, good.verified[0].claims);
                let envelope = &checked.verified[0].envelope;
                assert_eq!(*envelope, good.verified[0].envelope);
            }
        };
        for place in 0..manifest.len() {
            shelf.forge_manifest(0, &flipped(&manifest, place));
            same(&shelf);
        }
        shelf.forge_manifest(0, &bytes(&before));
        for place in 0..layer.len() {
            shelf.forge_layer(0, 0, &flipped(&layer, place));
            same(&shelf);
        }
        // Annotations, the config's descriptor, a hint: far from all of it.
        assert!(survived > 0 && survived < manifest.len(), "{survived}");
    }
}
