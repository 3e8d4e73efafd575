#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::sign::EnvelopeSignature;
use crate::sign::known::{
    ANNOTATED_BUNDLE, ATTESTED, BUNDLE_OF_VERSION_2, HINT, SIGNED_BUNDLE, is_signed, refusals,
};

fn known() -> impl Iterator<Item = &'static [u8]> {
    ATTESTED.iter().map(|attested| attested.bundle).chain([
        SIGNED_BUNDLE,
        ANNOTATED_BUNDLE,
        BUNDLE_OF_VERSION_2,
    ])
}

fn envelope(bundle: Bundle) -> Envelope {
    match bundle.content {
        Content::Envelope(envelope) => envelope,
        Content::Message => panic!("no envelope"),
    }
}

#[test]
fn a_bundle_is_byte_for_byte_that_of_cosign() {
    for bytes in known() {
        let envelope = envelope(Bundle::read(bytes).unwrap());
        // Some builds of cosign put blanks behind commas: Go keeps anybody from relying on these
        // bytes, and no text here has such a comma.
        let theirs = String::from_utf8(bytes.to_vec())
            .unwrap()
            .replace(", ", ",");
        let ours = Bundle::of_key(&envelope, HINT);
        assert_eq!(String::from_utf8(ours).unwrap(), theirs);
    }
}

#[test]
fn what_cosign_signed_is_read_and_its_signature_holds() {
    for bytes in known() {
        let bundle = Bundle::read(bytes).unwrap();
        assert_eq!(
            bundle.proof,
            Proof::PublicKey {
                hint: HINT.to_owned()
            }
        );
        assert_eq!((bundle.log_entries, bundle.timestamps), (0, 0));
        let envelope = envelope(bundle);
        let message = Envelope::signed_bytes(&envelope.payload_type, &envelope.payload);
        assert!(is_signed(&message, &envelope.signatures[0].signature));
    }
}

#[test]
fn bundles_of_all_versions_are_told_by_their_media_type() {
    for media_type in [
        BUNDLE_MEDIA_TYPE,
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle.v0.9+json",
        "application/vnd.dev.sigstore.bundle+json",
    ] {
        assert!(Bundle::is_media_type(media_type), "{media_type}");
    }
    for media_type in [
        "",
        "application/vnd.dev.sigstore.bundle",
        "application/vnd.dev.sigstore.bundles+json",
        "application/vnd.dev.sigstore.bundle.v0.3",
        "application/vnd.dsse.envelope.v1+json",
    ] {
        assert!(!Bundle::is_media_type(media_type), "{media_type}");
    }
}

/// A bundle of cosign's, changed.
fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_slice(SIGNED_BUNDLE).unwrap();
    change(&mut value);
    value.to_string()
}

fn media_type(media_type: &str) -> String {
    with(|bundle| bundle["mediaType"] = media_type.into())
}

#[test]
fn versions_that_are_known_are_read_and_others_are_not() {
    let version = |version: &str| format!("{FAMILY}+json;version={version}");
    for version in ["0.1", "0.2", "0.3"].map(version) {
        assert!(Bundle::read(media_type(&version).as_bytes()).is_ok());
    }
    for other in [
        version("0.4").as_str(),
        "application/vnd.dev.sigstore.bundle.v0.4+json",
        "application/vnd.dev.sigstore.bundle.v1+json",
        "application/json",
        "",
    ] {
        assert_eq!(
            Bundle::read(media_type(other).as_bytes())
                .unwrap_err()
                .to_string(),
            format!(
                "the bundle is of the type \"{other}\", not a sigstore bundle of version 0.1, 0.2 \
                 or 0.3"
            )
        );
    }
}

#[test]
fn a_certificate_is_told_from_a_key() {
    let certificates = [
        json!({"certificate": {"rawBytes": "AAAA"}}),
        json!({"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}, "publicKey": null}),
    ];
    for material in certificates {
        let document = with(|bundle| bundle["verificationMaterial"] = material);
        let bundle = Bundle::read(document.as_bytes()).unwrap();
        assert_eq!(bundle.proof, Proof::Certificate);
    }
}

#[test]
fn log_entries_and_timestamps_are_counted() {
    let document = with(|bundle| {
        let material = &mut bundle["verificationMaterial"];
        material["tlogEntries"] = json!([{"logIndex": "1"}, {}]);
        material["timestampVerificationData"] =
            json!({"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]});
    });
    let bundle = Bundle::read(document.as_bytes()).unwrap();
    assert_eq!((bundle.log_entries, bundle.timestamps), (2, 1));
}

#[test]
fn the_signature_of_a_file_that_is_elsewhere_is_recognised() {
    let document = with(|bundle| {
        bundle["dsseEnvelope"] = Value::Null;
        bundle["messageSignature"] = json!({
            "messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"},
            "signature": "AAAA",
        });
    });
    let bundle = Bundle::read(document.as_bytes()).unwrap();
    assert_eq!(bundle.content, Content::Message);
}

#[test]
fn an_envelope_in_a_bundle_has_exactly_one_signature() {
    let signatures = |count: usize| {
        with(|bundle| {
            bundle["dsseEnvelope"]["signatures"] = vec![json!({"sig": "AA=="}); count].into()
        })
    };
    assert_eq!(
        refusals(Bundle::read, &[&signatures(0), &signatures(2)]),
        [
            "the bundle has no signature",
            "the bundle has 2 signatures: 1 may be there"
        ]
    );
}

#[test]
fn what_is_no_bundle_is_told_why() {
    let material = |material: Value| with(|bundle| bundle["verificationMaterial"] = material);
    let added = |name: &str, value: Value| with(|bundle| bundle[name] = value);
    let key = json!({"hint": HINT});
    let said = refusals(
        Bundle::read,
        &[
            "1",
            "{}",
            &material(Value::Null),
            &material(json!({})),
            &material(json!({"publicKey": key, "certificate": {"rawBytes": "AAAA"}})),
            &material(json!({"publicKey": {"hint": 1}})),
            &material(json!({"publicKey": {"key": "x"}})),
            &material(json!({"certificate": {"rawBytes": "!"}})),
            &material(json!({"x509CertificateChain": {"certificates": []}})),
            &material(json!({"publicKey": key, "tlogEntries": vec![json!({}); 33]})),
            &material(json!({"publicKey": key, "tlogEntries": [1]})),
            &added("dsseEnvelope", Value::Null),
            &added("messageSignature", json!({})),
            &added("dsse_envelope", json!({})),
            &added("later", json!({})),
            &with(|bundle| bundle["dsseEnvelope"]["later"] = json!(1)),
            &with(|bundle| bundle["dsseEnvelope"]["signatures"][0]["later"] = json!(1)),
            &with(|bundle| bundle["dsseEnvelope"]["signatures"][0]["keyid"] = json!("other")),
        ],
    );
    let said: Vec<&str> = said
        .iter()
        .map(|said| {
            said.strip_prefix("the bundle cannot be read: ")
                .unwrap_or(said)
        })
        .collect();
    assert_eq!(
        said,
        [
            "it is no object",
            "there is no text mediaType",
            "there is no object verificationMaterial",
            "there is none of verificationMaterial.publicKey, verificationMaterial.certificate, \
             verificationMaterial.x509CertificateChain",
            "there are both verificationMaterial.publicKey and verificationMaterial.certificate",
            "verificationMaterial.publicKey.hint is no text",
            "verificationMaterial.publicKey.key is no member of it",
            "verificationMaterial.certificate.rawBytes is no base64",
            "verificationMaterial.x509CertificateChain.certificates is empty",
            "verificationMaterial.tlogEntries has 33 entries: at most 32 may be there",
            "verificationMaterial.tlogEntries has an entry that is no object",
            "there is none of dsseEnvelope, messageSignature",
            "there are both dsseEnvelope and messageSignature",
            "the bundle has the member \"dsse_envelope\", which some programs take for \
             \"dsseEnvelope\": they would read different things in it",
            "later is no member of it",
            "dsseEnvelope.later is no member of it",
            "dsseEnvelope.signatures[0].later is no member of it",
            &format!("its key is \"{HINT}\" in one place and \"other\" in another"),
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_reads_the_same(
        payload_type in any::<String>(),
        payload in any::<Vec<u8>>(),
        signature in any::<Vec<u8>>(),
        hint in any::<String>(),
        is_named in any::<bool>(),
    ) {
        let key_id = if is_named { hint.clone() } else { String::new() };
        let envelope = Envelope {
            payload_type,
            payload,
            signatures: vec![EnvelopeSignature { key_id, signature }],
        };
        let bundle = Bundle::read(&Bundle::of_key(&envelope, &hint)).unwrap();
        prop_assert_eq!(bundle, Bundle {
            proof: Proof::PublicKey { hint },
            content: Content::Envelope(envelope),
            log_entries: 0,
            timestamps: 0,
        });
    }

    #[test]
    fn a_changed_bit_makes_another_envelope_or_none(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = SIGNED_BUNDLE.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let before = Bundle::read(SIGNED_BUNDLE).unwrap();
        // The hint at the key is no part of what is signed.
        if let Ok(bundle) = Bundle::read(&bytes) && bundle.proof == before.proof {
            prop_assert_ne!(bundle, before);
        }
    }
}
