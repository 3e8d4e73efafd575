#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use serde_json::json;

const LIMITS: Limits = Limits {
    bytes: 1000,
    values: 20,
};

fn read_text(text: &str) -> Result<Value, DocumentError> {
    read("the text", text.as_bytes(), LIMITS)
}

fn refused(text: &str) -> String {
    read_text(text).unwrap_err().to_string()
}

#[test]
fn a_member_twice_is_refused_at_any_depth() {
    let said = "the text has the member \"a\" twice: programs would read different things in it";
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"a":null}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"b":[{"c":{"a":1,"a":{}}}]}"#,
    ] {
        assert_eq!(refused(text), said, "{text}");
    }
    assert_eq!(
        read_text(r#"{"a":{"a":[{"a":1},{"a":2}]}}"#).unwrap(),
        json!({"a": {"a": [{"a": 1}, {"a": 2}]}})
    );
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "{}{}",
        "{} x",
        "\u{feff}{}",
        "[1,]",
        r#""\ud800""#,
        "1e999",
        "nul",
        "{\"a\":1,}",
    ] {
        let said = refused(text);
        assert!(
            said.starts_with("the text cannot be read: "),
            "{text}: {said}"
        );
    }
    assert!(read("the text", b"\"\xff\"", LIMITS).is_err());
}

#[test]
fn a_document_is_not_read_beyond_its_limits() {
    let large = format!("\"{}\"", "x".repeat(999));
    assert_eq!(
        refused(&large),
        "the text has 1001 bytes: more than 1000 are not read"
    );
    assert!(read_text(&large[1..]).is_err());
    assert!(read_text(&large.replacen('x', "", 1)).is_ok());
    let many = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
    assert!(read_text(&many(20)).is_ok());
    assert_eq!(
        refused(&many(21)),
        "the text has more than 20 JSON values: such a document is not read"
    );
    let deep = Limits {
        bytes: 1 << 20,
        values: 1 << 20,
    };
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read("the text", nested(127).as_bytes(), deep).is_ok());
    for depth in [128, 1 << 19] {
        assert!(read("the text", nested(depth).as_bytes(), deep).is_err());
    }
}

#[test]
fn a_member_that_some_readers_take_for_another_is_refused() {
    let known = ["predicateType", "keyid", "signatures", "_type"];
    for name in [
        "PredicateType",
        "predicatetype",
        "predicate_type",
        "KEYID",
        "\u{212a}eyid",
        "ſignatures",
        "_Type",
    ] {
        let error = Object::new("it", json!({ name: 1 }), &known).unwrap_err();
        assert!(
            matches!(error, DocumentError::Alike { .. }),
            "{name}: {error}"
        );
    }
    for name in ["type", "key", "keyids", "predicate-type", "predicateType"] {
        assert!(
            Object::new("it", json!({ name: 1 }), &known).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn base64_is_of_one_alphabet_and_has_no_bits_to_spare() {
    let decoded = |text: &str| {
        let mut object = Object::new("it", json!({"a": text}), &["a"]).unwrap();
        object.base64("a")
    };
    for text in ["+/8=", "+/8", "-_8=", "-_8"] {
        assert_eq!(decoded(text).unwrap(), [0xfb, 0xff], "{text}");
    }
    assert!(decoded("").unwrap().is_empty());
    for text in [
        "+_8=", "+/9=", "+/8==", "+/8=\n", " +/8=", "+", "+/8=+/8=", "é",
    ] {
        assert_eq!(
            decoded(text).unwrap_err().to_string(),
            "it cannot be read: a is no base64",
            "{text}"
        );
    }
}

#[test]
fn a_text_in_an_error_is_short_and_harmless() {
    assert_eq!(shown("a\u{1b}[31m\n\"b\""), "a\\u{1b}[31m\\n\\\"b\\\"");
    assert_eq!(shown(&"x".repeat(101)), "x".repeat(100) + "…");
    assert_eq!(shown(&"x".repeat(100)), "x".repeat(100));
}

#[test]
fn html_is_escaped_as_go_does() {
    let value = json!({"<&>": "a\u{2028}b\u{2029}c\u{2027}é\u{7f}\u{8}\u{1}"});
    assert_eq!(
        String::from_utf8(written_for_html(&value)).unwrap(),
        "{\"\\u003c\\u0026\\u003e\":\"a\\u2028b\\u2029c\u{2027}é\u{7f}\\b\\u0001\"}"
    );
}

/// Any JSON.
pub(in crate::sign) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no infinities", |number| number.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn what_is_written_in_either_way_reads_the_same(value in any_value()) {
        let limits = Limits { bytes: 1 << 20, values: 1000 };
        for json in [written(&value), written_for_html(&value)] {
            prop_assert_eq!(&read("it", &json, limits).unwrap(), &value);
        }
        let safe = written_for_html(&value);
        prop_assert!(!safe.iter().any(|byte| b"<>&".contains(byte)));
    }

    #[test]
    fn any_bytes_are_read_as_serde_json_reads_them_or_refused(text in "[\\[\\]{}\":,a-c0-9\\\\ ]{0,24}") {
        let limits = Limits { bytes: 1 << 20, values: 1000 };
        let ours = read("it", text.as_bytes(), limits);
        let theirs = serde_json::from_str::<Value>(&text);
        match ours {
            Ok(value) => prop_assert_eq!(value, theirs.unwrap()),
            Err(DocumentError::Twice { .. }) => prop_assert!(text.contains(':')),
            Err(_) => prop_assert!(theirs.is_err()),
        }
    }
}
