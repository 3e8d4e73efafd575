#![allow(clippy::unwrap_used)]

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use proptest::prelude::*;

use super::*;
use crate::sign::Statement;
use crate::sign::known::{ATTESTED, ENVELOPES_OF_VERSION_2, base64, is_signed, refusals};

fn example() -> Envelope {
    Envelope {
        payload_type: "http://example.com/HelloWorld".to_owned(),
        payload: b"hello world".to_vec(),
        signatures: vec![EnvelopeSignature {
            key_id: String::new(),
            signature: base64(
                "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==",
            ),
        }],
    }
}

#[test]
fn what_is_signed_is_what_the_protocol_says() {
    let signed = |kind: &str, payload: &[u8]| {
        String::from_utf8(Envelope::signed_bytes(kind, payload)).unwrap()
    };
    assert_eq!(
        signed("http://example.com/HelloWorld", b"hello world"),
        "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    assert_eq!(signed("", b""), "DSSEv1 0  0 ");
    // Lengths are in bytes.
    assert_eq!(signed("é", "ü!".as_bytes()), "DSSEv1 2 é 3 ü!");
    assert_ne!(signed("a 1 b", b"c"), signed("a", b"b 1 c"));
}

#[test]
fn the_signature_of_the_protocols_own_example_holds() {
    // dsse, `implementation/signing_spec.py`: the public key, and r and s.
    const KEY: [u8; 65] = [
        0x04, 0x67, 0xcd, 0x39, 0x0f, 0x77, 0xaa, 0x35, 0x9c, 0xb0, 0x8c, 0x22, 0x35, 0xf6, 0x52,
        0x27, 0x04, 0x93, 0xa9, 0xed, 0x83, 0x2b, 0x0a, 0xbc, 0xc0, 0x1f, 0x70, 0x95, 0x4c, 0x03,
        0x90, 0xd2, 0x38, 0x0c, 0x78, 0x2b, 0xd5, 0x4e, 0x26, 0x91, 0x25, 0xa4, 0x4f, 0x44, 0x33,
        0xaf, 0xf1, 0x43, 0x2c, 0xe9, 0x4e, 0x12, 0xbc, 0xa7, 0x3a, 0xa6, 0x7a, 0xc8, 0x0c, 0xea,
        0x12, 0x60, 0x8d, 0xdf, 0x74,
    ];
    let example = example();
    let message = Envelope::signed_bytes(&example.payload_type, &example.payload);
    let signature = Signature::from_slice(&example.signatures[0].signature).unwrap();
    let key = VerifyingKey::from_sec1_bytes(&KEY).unwrap();
    assert!(key.verify(&message, &signature).is_ok());
    assert!(key.verify(&example.payload, &signature).is_err());
}

#[test]
fn an_envelope_is_byte_for_byte_that_of_cosign_3() {
    for attested in ATTESTED {
        let envelope = Envelope::read(attested.envelope).unwrap();
        assert_eq!(envelope.to_json(), attested.envelope, "{}", attested.kind);
    }
}

#[test]
fn what_cosign_signed_is_read_and_its_signature_holds() {
    let envelopes = ATTESTED
        .iter()
        .map(|attested| attested.envelope)
        .chain(ENVELOPES_OF_VERSION_2);
    for bytes in envelopes {
        let envelope = Envelope::read(bytes).unwrap();
        assert_eq!(envelope.payload_type, Statement::PAYLOAD_TYPE);
        let [signature] = envelope.signatures.as_slice() else {
            panic!("{envelope:?}");
        };
        let message = Envelope::signed_bytes(&envelope.payload_type, &envelope.payload);
        assert!(is_signed(&message, &signature.signature));
        let other = Envelope::signed_bytes("text/plain", &envelope.payload);
        assert!(!is_signed(&other, &signature.signature));
        assert_eq!(Envelope::read(&envelope.to_json()).unwrap(), envelope);
    }
}

#[test]
fn both_alphabets_and_later_members_are_read() {
    let text = r#"{"payload":"-_8","payloadType":"t","later":{},
        "signatures":[{"sig":"+/8=","keyid":"k","cert":1},{"keyid":null,"sig":"AA=="}]}"#;
    assert_eq!(
        Envelope::read(text.as_bytes()).unwrap(),
        Envelope {
            payload_type: "t".to_owned(),
            payload: vec![0xfb, 0xff],
            signatures: vec![
                EnvelopeSignature {
                    key_id: "k".to_owned(),
                    signature: vec![0xfb, 0xff],
                },
                EnvelopeSignature {
                    key_id: String::new(),
                    signature: vec![0],
                },
            ],
        }
    );
}

#[test]
fn what_is_no_envelope_is_told_why() {
    let with = |signatures: &str| {
        format!(r#"{{"payload":"","payloadType":"t","signatures":{signatures}}}"#)
    };
    let many = |count: usize| with(&format!("[{}]", vec![r#"{"sig":"AA=="}"#; count].join(",")));
    assert_eq!(
        Envelope::read(many(100).as_bytes())
            .unwrap()
            .signatures
            .len(),
        100
    );
    let said = refusals(
        Envelope::read,
        &[
            "null",
            &with("[]"),
            &with("null"),
            &many(101),
            &with("{}"),
            &with("[1]"),
            &with("[{}]"),
            &with(r#"[{"sig":"AA=="},{"sig":"AB=="}]"#),
            &with(r#"[{"sig":"AA==","keyid":1}]"#),
            &with(r#"[{"sig":"AA==","sig":"AA=="}]"#),
            &with(r#"[{"sig":"AA==","Sig":"AA=="}]"#),
            r#"{"payloadType":"t","signatures":[{"sig":""}]}"#,
            r#"{"payload":"","signatures":[{"sig":""}]}"#,
            r#"{"payload":"","payloadType":"t","payloadtype":"u","signatures":[{"sig":""}]}"#,
        ],
    );
    assert_eq!(
        said,
        [
            "the envelope cannot be read: it is no object",
            "the envelope has no signature",
            "the envelope has no signature",
            "the envelope has 101 signatures: 100 may be there",
            "the envelope cannot be read: signatures is no list",
            "the envelope cannot be read: signatures[0] is no object",
            "the envelope cannot be read: there is no text signatures[0].sig",
            "the envelope cannot be read: signatures[1].sig is no base64",
            "the envelope cannot be read: signatures[0].keyid is no text",
            "the envelope has the member \"sig\" twice: programs would read different things in it",
            "the envelope has the member \"signatures[0].Sig\", which some programs take for \
             \"sig\": they would read different things in it",
            "the envelope cannot be read: there is no text payload",
            "the envelope cannot be read: there is no text payloadType",
            "the envelope has the member \"payloadtype\", which some programs take for \
             \"payloadType\": they would read different things in it",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn what_is_written_reads_the_same(
        payload_type in any::<String>(),
        payload in any::<Vec<u8>>(),
        signatures in prop::collection::vec((any::<String>(), any::<Vec<u8>>()), 1..4),
    ) {
        let envelope = Envelope {
            payload_type,
            payload,
            signatures: signatures
                .into_iter()
                .map(|(key_id, signature)| EnvelopeSignature { key_id, signature })
                .collect(),
        };
        prop_assert_eq!(Envelope::read(&envelope.to_json()).unwrap(), envelope);
    }

    #[test]
    fn no_two_documents_have_the_same_signed_bytes(
        one in (any::<String>(), any::<Vec<u8>>()),
        other in (any::<String>(), any::<Vec<u8>>()),
    ) {
        let signed = |(kind, payload): &(String, Vec<u8>)| Envelope::signed_bytes(kind, payload);
        prop_assert_eq!(signed(&one) == signed(&other), one == other);
    }
}

#[test]
fn many_signatures_over_a_large_payload_are_not_tried() {
    let mut envelope = example();
    envelope.payload = vec![b'a'; 40 << 20];
    let one = envelope.signatures[0].clone();
    envelope.signatures = vec![one.clone(); 3];
    assert_eq!(
        Envelope::read(&envelope.to_json())
            .unwrap()
            .signatures
            .len(),
        3
    );
    envelope.signatures.push(one);
    let error = Envelope::read(&envelope.to_json()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the envelope has 4 signatures over 41943040 bytes each, which would take long to try: of that size there may be 3"
    );
}
