#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sign::Envelope;
use crate::sign::json::tests::any_value;
use crate::sign::known::{
    ANNOTATED_BUNDLE, ATTESTED, ENVELOPES_OF_VERSION_2, IMAGE, NAME, SIGNED_BUNDLE, refusals,
};
use crate::sign::{Bundle, Content};

fn image() -> Digest {
    Digest::try_from(IMAGE).unwrap()
}

fn subject(name: &str, annotations: &[(&str, &str)]) -> Subject {
    Subject {
        name: name.to_owned(),
        digest: [("sha256".to_owned(), image().digest().to_owned())].into(),
        annotations: annotations
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect(),
    }
}

fn signature(annotations: &[(&str, &str)]) -> Statement {
    Statement {
        subjects: vec![subject("", annotations)],
        predicate_type: super::super::COSIGN_SIGN.to_owned(),
        predicate: json!({}),
    }
}

fn payload_of(bundle: &[u8]) -> Vec<u8> {
    match Bundle::read(bundle).unwrap().content {
        Content::Envelope(envelope) => envelope.payload,
        Content::Message => panic!("no envelope"),
    }
}

#[test]
fn the_statement_of_a_signature_is_byte_for_byte_that_of_cosign() {
    let annotated = signature(&[
        ("sep", "one\u{2028}two"),
        ("env", "prod"),
        ("amp", "a<b>&c"),
    ]);
    for (statement, bundle) in [
        (signature(&[]), SIGNED_BUNDLE),
        (annotated, ANNOTATED_BUNDLE),
    ] {
        let payload = payload_of(bundle);
        assert_eq!(
            String::from_utf8(statement.to_json()).unwrap(),
            String::from_utf8(payload.clone()).unwrap()
        );
        assert_eq!(Statement::read(&payload).unwrap(), statement);
    }
}

#[test]
fn the_statement_of_an_attestation_is_byte_for_byte_that_of_cosign_3() {
    for attested in ATTESTED {
        let kind = attested.kind;
        let envelope = Envelope::read(attested.envelope).unwrap();
        for payload in [envelope.payload, payload_of(attested.bundle)] {
            let statement = Statement::read(&payload).unwrap();
            assert_eq!(statement.subjects, [subject(NAME, &[])], "{kind}");
            assert_eq!(
                String::from_utf8(statement.to_json_v01()).unwrap(),
                String::from_utf8(payload).unwrap(),
                "{kind}"
            );
        }
    }
}

#[test]
fn statements_of_cosign_2_are_read() {
    for envelope in ENVELOPES_OF_VERSION_2 {
        let payload = Envelope::read(envelope).unwrap().payload;
        let statement = Statement::read(&payload).unwrap();
        assert_eq!(statement.subjects, [subject(NAME, &[])]);
        assert_eq!(
            Statement::read(&statement.to_json_v01()).unwrap(),
            statement
        );
    }
}

#[test]
fn a_subject_is_found_by_its_whole_digest() {
    let hex = image().digest().to_owned();
    let mut statement = signature(&[]);
    let mut other = subject("other", &[]);
    other.digest = [
        ("sha256".to_owned(), "0".repeat(64)),
        ("gitCommit".to_owned(), hex.clone()),
    ]
    .into();
    statement.subjects.insert(0, other);
    assert_eq!(statement.subject(&image()), Some(&subject("", &[])));
    for digest in [
        format!("sha256:{}", "1".repeat(64)),
        format!("sha512:{hex}{hex}"),
        format!("sha256:0{}", &hex[1..]),
    ] {
        let digest = Digest::try_from(digest).unwrap();
        assert_eq!(statement.subject(&digest), None);
    }
}

/// A statement with members in place of its own.
fn with(members: &[(&str, Value)]) -> String {
    let mut value: Value = serde_json::from_slice(&signature(&[]).to_json()).unwrap();
    for (name, member) in members {
        value[*name] = member.clone();
    }
    value.to_string()
}

#[test]
fn what_a_statement_may_have_or_lack_is_read() {
    let digest = json!({"sha256": image().digest()});
    let documents = [
        with(&[]),
        with(&[("predicate", Value::Null)]),
        with(&[("later", json!(1)), ("type", json!("x"))]),
        with(&[(
            "subject",
            json!([{"digest": digest, "uri": "u", "later": 1, "annotations": null}]),
        )]),
        with(&[("_type", json!(V01))]),
    ];
    for document in documents {
        assert_eq!(
            Statement::read(document.as_bytes()).unwrap(),
            signature(&[]),
            "{document}"
        );
    }
    let git = with(&[(
        "subject",
        json!([{"name": "r", "digest": {"gitCommit": "X"}}]),
    )]);
    assert!(Statement::read(git.as_bytes()).is_ok());
}

#[test]
fn what_is_no_statement_is_told_why() {
    let subject = |subject: Value| with(&[("subject", subject)]);
    let said = refusals(
        Statement::read,
        &[
            "[]",
            "{}",
            &with(&[("_type", json!("https://in-toto.io/Statement/v2"))]),
            &subject(json!([])),
            &subject(json!({})),
            &subject(json!([1])),
            &subject(json!([{"name": "a"}])),
            &subject(json!([{"digest": {}}])),
            &subject(json!([{"digest": {"sha256": 1}}])),
            &subject(json!([{"digest": {"sha256": "ABC"}}])),
            &subject(json!([{"digest": {"a": "b"}, "Digest": {}}])),
            &subject(json!([{"digest": {"a": "b"}, "annotations": 1}])),
            &subject(json!([{"digest": {"a": "b"}, "name": []}])),
            &with(&[("predicateType", json!(""))]),
            &with(&[("predicateType", Value::Null)]),
            &with(&[("predicate", json!([]))]),
            &with(&[("predicate_type", json!("x"))]),
            &with(&[]).replace("\"predicate\":{}", "\"predicate\":{\"a\":1,\"a\":1}"),
        ],
    );
    let said: Vec<&str> = said
        .iter()
        .map(|said| {
            said.strip_prefix("the statement cannot be read: ")
                .unwrap_or(said)
        })
        .collect();
    assert_eq!(
        said,
        [
            "it is no object",
            "there is no text _type",
            "the statement is of the type \"https://in-toto.io/Statement/v2\", not an in-toto \
             statement of version 0.1 or 1",
            "it has no subject",
            "subject is no list",
            "subject[0] is no object",
            "subject[0] has no digest",
            "subject[0] has no digest",
            "subject[0].digest.sha256 is no text",
            "the statement has \"ABC\" for a digest: sha256 has 64 hexadecimal digits in lower case",
            "the statement has the member \"subject[0].Digest\", which some programs take for \
             \"digest\": they would read different things in it",
            "subject[0].annotations is no object",
            "subject[0].name is no text",
            "predicateType is empty",
            "there is no text predicateType",
            "predicate is no object and no text",
            "the statement has the member \"predicate_type\", which some programs take for \
             \"predicateType\": they would read different things in it",
            "the statement has the member \"a\" twice: programs would read different things in it",
        ]
    );
}

fn any_subject() -> impl Strategy<Value = Subject> {
    let annotations = prop::collection::btree_map(any::<String>(), any_value(), 0..3);
    ("[0-9a-f]{64}", any::<String>(), annotations).prop_map(|(hex, name, annotations)| Subject {
        name,
        digest: [("sha256".to_owned(), hex)].into(),
        annotations: annotations.into_iter().collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_reads_the_same(
        subjects in prop::collection::vec(any_subject(), 1..4),
        predicate_type in ".{1,20}",
        predicate in any_value().prop_filter("of a kind", |value| value.is_object() || value.is_string()),
    ) {
        let statement = Statement { subjects, predicate_type, predicate };
        prop_assert_eq!(&Statement::read(&statement.to_json()).unwrap(), &statement);
        prop_assert_eq!(&Statement::read(&statement.to_json_v01()).unwrap(), &statement);
    }
}
