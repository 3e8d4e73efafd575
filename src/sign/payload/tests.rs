#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::sign::known::{
    ANNOTATED, ANNOTATED_SIGNATURE, IMAGE, NAME, PAYLOAD, PAYLOAD_SIGNATURE, base64, is_signed,
    refusals,
};

fn payload(annotations: &[(&str, &str)]) -> Payload {
    Payload {
        identity: NAME.to_owned(),
        digest: Digest::try_from(IMAGE).unwrap(),
        annotations: annotations
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect(),
    }
}

fn annotated() -> Payload {
    payload(&[
        ("sep", "one\u{2028}two"),
        ("env", "prod"),
        ("amp", "a<b>&c"),
    ])
}

/// A payload with some other text in place of a part.
fn with(part: &str, other: &str) -> String {
    let text = String::from_utf8(PAYLOAD.to_vec()).unwrap();
    assert!(text.contains(part), "{part}");
    text.replacen(part, other, 1)
}

#[test]
fn a_payload_is_byte_for_byte_that_of_cosign() {
    assert_eq!(payload(&[]).to_json(), PAYLOAD);
    assert_eq!(annotated().to_json(), ANNOTATED);
}

#[test]
fn what_cosign_signed_is_read_and_its_signature_holds() {
    assert_eq!(Payload::read(PAYLOAD).unwrap(), payload(&[]));
    assert_eq!(Payload::read(ANNOTATED).unwrap(), annotated());
    assert!(is_signed(
        &payload(&[]).to_json(),
        &base64(PAYLOAD_SIGNATURE)
    ));
    assert!(is_signed(
        &annotated().to_json(),
        &base64(ANNOTATED_SIGNATURE)
    ));
    assert!(!is_signed(PAYLOAD, &base64(ANNOTATED_SIGNATURE)));
}

#[test]
fn the_claims_are_those_that_cosign_prints() {
    assert_eq!(payload(&[]).claims().to_string().as_bytes(), PAYLOAD);
    assert_eq!(
        payload(&[("env", "prod")]).claims()["optional"],
        json!({"env": "prod"})
    );
}

#[test]
fn members_that_are_not_known_are_let_be() {
    let text = with(
        "\"optional\":null",
        "\"optional\":{\"n\":[1,{}]},\"later\":1",
    );
    let read = Payload::read(text.as_bytes()).unwrap();
    assert_eq!(read.annotations["n"], json!([1, {}]));
    let without = with(",\"optional\":null", "");
    assert_eq!(Payload::read(without.as_bytes()).unwrap(), payload(&[]));
}

#[test]
fn a_payload_without_a_digest_signs_a_name_and_not_an_image() {
    let image = format!("\"image\":{{\"docker-manifest-digest\":\"{IMAGE}\"}},");
    let documents = [
        with(&image, ""),
        with(&image, "\"image\":null,"),
        with(&image, "\"image\":{},"),
        with(IMAGE, ""),
    ];
    for document in documents {
        let document = document.replace(NAME, "registry.example/app:v1");
        assert_eq!(
            Payload::read(document.as_bytes()).unwrap_err().to_string(),
            "the payload signs the name \"registry.example/app:v1\", not an image: it has no \
             digest; sign the image anew, by its digest"
        );
    }
}

#[test]
fn a_digest_that_is_none_is_said_so() {
    let hex = &IMAGE[7..];
    for digest in [
        "sha256:abc".to_owned(),
        hex.to_owned(),
        format!("sha256:{}", hex.to_uppercase()),
        format!("md5:{}", &hex[..32]),
        format!("sha256:{hex} "),
        format!("SHA256:{hex}"),
        format!("sha512:{hex}"),
        "\\u001b[31m".to_owned(),
    ] {
        let error = Payload::read(with(IMAGE, &digest).as_bytes()).unwrap_err();
        assert!(
            matches!(error, DocumentError::Digest { .. }),
            "{digest}: {error}"
        );
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[test]
fn a_payload_of_another_type_is_refused() {
    let text = with(TYPE, "atomic container signature");
    assert_eq!(
        Payload::read(text.as_bytes()).unwrap_err().to_string(),
        "the payload is of the type \"atomic container signature\", not that of cosign, \
         \"cosign container image signature\""
    );
}

#[test]
fn what_two_readers_would_read_as_two_payloads_is_refused() {
    let critical = "{\"critical\":";
    let said = refusals(
        Payload::read,
        &[
            &with(critical, "{\"critical\":{},\"critical\":"),
            &with(critical, "{\"Critical\":{},\"critical\":"),
            &with(
                "\"docker-manifest-digest\"",
                "\"Docker-Manifest-Digest\":\"\",\"docker-manifest-digest\"",
            ),
            &with("null", "{\"a\":1,\"a\":2}"),
            &with("\"type\"", "\"TYPE\":1,\"type\""),
        ],
    );
    let two = "programs would read different things in it";
    let taken = |name: &str, meant: &str| {
        format!(
            "the payload has the member \"{name}\", which some programs take for \"{meant}\": \
             they would read different things in it"
        )
    };
    assert_eq!(
        said,
        [
            format!("the payload has the member \"critical\" twice: {two}"),
            taken("Critical", "critical"),
            taken(
                "critical.image.Docker-Manifest-Digest",
                "docker-manifest-digest"
            ),
            format!("the payload has the member \"a\" twice: {two}"),
            taken("critical.TYPE", "type"),
        ]
    );
}

#[test]
fn what_is_no_payload_is_told_what_it_lacks() {
    let said = refusals(
        Payload::read,
        &[
            "[]",
            "{}",
            "{\"critical\":1}",
            &with(&format!("\"{NAME}\""), "5"),
            &with("\"type\":\"cosign container image signature\"", "\"t\":1"),
            &with("\"docker-reference\"", "\"reference\""),
            &with("null", "[]"),
            &with(&format!("\"{IMAGE}\""), "{}"),
        ],
    );
    let said: Vec<&str> = said
        .iter()
        .map(|said| said.strip_prefix("the payload cannot be read: ").unwrap())
        .collect();
    assert_eq!(
        said,
        [
            "it is no object",
            "there is no object critical",
            "critical is no object",
            "critical.identity.docker-reference is no text",
            "there is no text critical.type",
            "there is no text critical.identity.docker-reference",
            "optional is no object",
            "critical.image.docker-manifest-digest is no text",
        ]
    );
    let large = with("null", &format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20)));
    assert!(matches!(
        Payload::read(large.as_bytes()),
        Err(DocumentError::TooLarge { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn what_is_written_reads_the_same(
        identity in any::<String>(),
        hex in "[0-9a-f]{64}",
        annotations in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
    ) {
        let payload = Payload {
            identity,
            digest: Digest::try_from(format!("sha256:{hex}")).unwrap(),
            annotations: annotations.into_iter().map(|(name, value)| (name, value.into())).collect(),
        };
        prop_assert_eq!(Payload::read(&payload.to_json()).unwrap(), payload);
    }

    #[test]
    fn a_changed_byte_is_another_payload_or_none(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = ANNOTATED.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok(read) = Payload::read(&bytes) {
            // Whatever it says, it is not what was signed.
            prop_assert!(!is_signed(&bytes, &base64(ANNOTATED_SIGNATURE)));
            prop_assert!(read != annotated() || bytes[at].is_ascii_alphabetic());
        }
    }
}
