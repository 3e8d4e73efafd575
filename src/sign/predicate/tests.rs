#![allow(clippy::unwrap_used)]

use super::*;
use crate::sign::known::ATTESTED;
use crate::sign::{Envelope, Statement};

fn kind(name: &str) -> PredicateType {
    name.parse().unwrap()
}

#[test]
fn a_predicate_is_what_cosign_3_makes_of_the_file() {
    for attested in ATTESTED {
        let payload = Envelope::read(attested.envelope).unwrap().payload;
        let statement = Statement::read(&payload).unwrap();
        let created = statement.predicate["Timestamp"]
            .as_str()
            .unwrap_or_default();
        let kind = kind(attested.kind);
        assert_eq!(kind.uri(), statement.predicate_type, "{}", attested.kind);
        assert_eq!(
            kind.predicate(attested.file, created).unwrap(),
            statement.predicate,
            "{}",
            attested.kind
        );
    }
    let known: Vec<&str> = ATTESTED.iter().map(|attested| attested.kind).collect();
    for (name, _) in PredicateType::NAMES {
        assert!(known.contains(name), "no known answer for {name}");
    }
}

#[test]
fn a_type_is_a_name_of_cosign_or_a_uri() {
    for uri in [
        "https://example.com/x",
        "urn:example:a",
        "tag:example.com,2026:it",
        "https://spdx.dev/Document",
        "https://example.com/a%20b?c#d",
    ] {
        assert_eq!(kind(uri).uri(), uri);
        assert_eq!(kind(uri).name(), uri);
    }
    let long = format!("https://example.com/{}", "x".repeat(LONGEST_URI));
    for name in [
        "",
        "SPDX",
        "spdx ",
        "/etc/passwd",
        "example.com/x",
        "https:",
        "https://",
        ":x",
        "1a:b",
        "a:b c",
        "a:b\nc",
        "a:é",
        &long,
    ] {
        let said = name.parse::<PredicateType>().unwrap_err().to_string();
        assert!(said.starts_with("there is no predicate type \""), "{said}");
    }
    assert_eq!(
        "sbom".parse::<PredicateType>().unwrap_err().to_string(),
        "there is no predicate type \"sbom\": choose one of custom, cyclonedx, link, openvex, \
         slsaprovenance, slsaprovenance02, slsaprovenance1, spdx, spdxjson, vuln, or give a URI"
    );
}

#[test]
fn anything_may_be_custom_by_name_or_uri() {
    for name in ["custom", CUSTOM] {
        assert_eq!(
            kind(name)
                .predicate(b"no {JSON", "2026-01-02T03:04:05Z")
                .unwrap(),
            json!({"Data": "no {JSON", "Timestamp": "2026-01-02T03:04:05Z"})
        );
    }
}

#[test]
fn spdx_is_a_text_by_its_name_and_json_by_its_uri() {
    assert_eq!(kind("spdx").predicate(b"a", "").unwrap(), json!("a"));
    assert_eq!(kind("spdx").predicate(b"{}", "").unwrap(), json!("{}"));
    for name in ["spdxjson", SPDX] {
        assert_eq!(kind(name).predicate(b"{}", "").unwrap(), json!({}));
    }
}

#[test]
fn what_the_file_says_stays_as_it_is() {
    let file = br#"{"builder":{"id":"b"},"own":[1,2.5,"<&>"]}"#;
    for name in ["slsaprovenance", "slsaprovenance1", "link", "vuln"] {
        assert_eq!(
            kind(name).predicate(file, "").unwrap(),
            json!({"builder": {"id": "b"}, "own": [1, 2.5, "<&>"]})
        );
    }
}

#[test]
fn a_file_that_is_no_predicate_of_its_type_is_said_so() {
    let said = |name: &str, file: &[u8]| kind(name).predicate(file, "").unwrap_err().to_string();
    assert_eq!(
        said("cyclonedx", b"<bom/>"),
        "a predicate of type \"cyclonedx\" must be a JSON object: expected value at line 1 column 1"
    );
    assert_eq!(
        said("vuln", b"[1]"),
        "a predicate of type \"vuln\" must be a JSON object: the file has another JSON value"
    );
    assert_eq!(
        said("https://example.com/x", b""),
        "a predicate of type \"https://example.com/x\" must be a JSON object: EOF while parsing a \
         value at line 1 column 0"
    );
    for name in ["custom", "spdx"] {
        assert_eq!(
            said(name, b"a\xff"),
            format!(
                "a predicate of type \"{name}\" must be a text in UTF-8: invalid utf-8 sequence of \
                 1 bytes from index 1"
            )
        );
    }
    assert_eq!(
        said("openvex", br#"{"a":{"b":1,"b":2}}"#),
        "the predicate has the member \"b\" twice: programs would read different things in it"
    );
}

#[test]
fn a_predicate_that_nobody_could_read_back_is_not_made() {
    // Each of these bytes is written as six.
    let file = vec![1; PredicateType::LARGEST / 6 + 1];
    assert!(matches!(
        kind("custom").predicate(&file, ""),
        Err(DocumentError::TooLarge { .. })
    ));
}
