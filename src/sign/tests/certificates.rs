//! Certificates beside classic signatures. The one here holds in December 2026.

use oci_spec::image::MediaType;

use super::shelf::bytes;
use super::*;

const KEY: &[u8] = include_bytes!("../../../tests/data/cosign/certificates/key.pem");
const CERTIFICATE: &str = include_str!("../../../tests/data/cosign/certificates/certificate.pem");
const BEFORE: i64 = 1_793_491_200;
const WHILE: i64 = 1_796_860_800;
const AFTER: i64 = 1_799_971_200;

fn signed(key: &PrivateKey, certificate: &str) -> Shelf {
    let mut shelf = Shelf::new();
    sign(&mut shelf, key, &[], CLASSIC);
    let mut manifest = shelf.manifest(0);
    manifest["layers"][0]["annotations"]["dev.sigstore.cosign/certificate"] = json!(certificate);
    shelf.forge_manifest(0, &bytes(&manifest));
    shelf
}

fn at(shelf: &Shelf, key: &PrivateKey, now: i64) -> Result<Checked, SignError> {
    let (key, none) = (key.public(), annotations(&[]));
    let check = Check {
        key: &key,
        annotations: &none,
        predicate_type: None,
        now,
    };
    signatures(shelf, &shelf.image, NAME, &check)
}

fn of_certificate() -> PrivateKey {
    let mut none = || panic!("it has no password");
    PrivateKey::import(KEY, "key.pem", &mut none).unwrap()
}

#[test]
fn a_certificate_counts_while_it_holds_and_no_longer() {
    let key = of_certificate();
    let shelf = signed(&key, CERTIFICATE);
    at(&shelf, &key, WHILE).unwrap();
    match refused(at(&shelf, &key, AFTER)) {
        SignError::Expired(when) => assert_eq!(when, "2026-12-30T20:29:45Z"),
        unexpected => panic!("{unexpected}"),
    }
    match refused(at(&shelf, &key, BEFORE)) {
        SignError::NotYetValid(when) => assert_eq!(when, "2026-11-29T20:29:45Z"),
        unexpected => panic!("{unexpected}"),
    }
    let error = refused(at(&shelf, &key, i64::MIN));
    assert!(matches!(error, SignError::NotYetValid(_)), "{error}");
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let key = key();
    let shelf = signed(&key, CERTIFICATE);
    let error = refused(at(&shelf, &key, WHILE));
    assert!(matches!(error, SignError::CertificateOfOtherKey), "{error}");
}

#[test]
fn a_signature_by_a_certificate_alone_is_not_by_the_key() {
    let shelf = signed(&of_certificate(), CERTIFICATE);
    let error = refused(at(&shelf, &key(), WHILE));
    assert!(matches!(error, SignError::Keyless), "{error}");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let key = of_certificate();
    let long = format!("{CERTIFICATE}{}", " ".repeat(64 << 10));
    let key_pem = String::from_utf8(KEY.to_vec()).unwrap();
    for bad in ["no PEM", &key_pem, &CERTIFICATE[..400], &long] {
        let shelf = signed(&key, bad);
        let error = refused(at(&shelf, &key, WHILE));
        assert!(matches!(error, SignError::Certificate { .. }), "{error}");
    }
    for place in 0..CERTIFICATE.len() {
        let mut other = CERTIFICATE.as_bytes().to_vec();
        other[place] ^= 1 << (place % 7);
        // It must not panic, whatever it says.
        let _ = super::super::certificate::check(
            &String::from_utf8_lossy(&other),
            &key.public(),
            WHILE,
        );
    }
}

#[test]
fn entries_of_a_log_are_seen_and_not_looked_at() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], CLASSIC);
    let mut manifest = shelf.manifest(0);
    manifest["layers"][0]["annotations"]["dev.sigstore.cosign/bundle"] = json!("{}");
    shelf.put(MediaType::EmptyJSON, b"{}");
    shelf.forge_manifest(0, &bytes(&manifest));
    assert!(verify(&shelf, &key).unwrap().verified[0].has_log_entries);
}
