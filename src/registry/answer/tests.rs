#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use reqwest::header::HeaderValue;

use super::*;

fn headers(name: HeaderName, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    headers
}

#[test]
fn the_place_of_an_upload_is_made_absolute_and_never_less_safe() {
    let from: Url = "https://registry.example/v2/a/blobs/uploads/"
        .parse()
        .unwrap();
    for (location_header, expected) in [
        (
            "/v2/a/blobs/uploads/1?state=x",
            Some("https://registry.example/v2/a/blobs/uploads/1?state=x"),
        ),
        ("1", Some("https://registry.example/v2/a/blobs/uploads/1")),
        (
            "https://storage.example/x?sig=y",
            Some("https://storage.example/x?sig=y"),
        ),
        (
            "https://me:secret@storage.example/x",
            Some("https://storage.example/x"),
        ),
        ("http://registry.example/v2/a/blobs/uploads/1", None),
        ("file:///etc/passwd", None),
        ("https://", None),
    ] {
        let found = location(&headers(LOCATION, location_header), &from, "the blob");
        match (found, expected) {
            (Ok(Some(found)), Some(expected)) => assert_eq!(found.as_str(), expected),
            (Err(RegistryError::BadAnswer { .. }), None) => {}
            (other, _) => panic!("{location_header}: {other:?}"),
        }
    }
    assert_eq!(
        location(&HeaderMap::new(), &from, "the blob").unwrap(),
        None
    );
}

#[test]
fn a_range_tells_how_much_of_an_upload_is_there() {
    for (range, awaited, expected) in [
        ("0-99", 0, Some(100)),
        ("bytes=0-99", 0, Some(100)),
        ("0-0", 0, Some(0)),
        ("0-0", 500, Some(0)),
        ("0-0", 1, Some(1)),
        ("10-99", 0, None),
        ("0--1", 0, None),
        ("99", 0, None),
        ("0-18446744073709551615", 0, None),
        ("0-99999999999999999999", 0, None),
    ] {
        assert_eq!(
            reached(&headers(RANGE, range), awaited),
            expected,
            "{range}"
        );
    }
    assert_eq!(reached(&HeaderMap::new(), 5), None);
}

#[test]
fn values_of_a_query_are_encoded() {
    assert_eq!(encoded("sha256:ab/c_d~e.f-g"), "sha256:ab/c_d~e.f-g");
    assert_eq!(encoded("a+b c&d=ü#"), "a%2Bb%20c%26d%3D%C3%BC%23");
}

proptest! {
    #[test]
    fn any_answer_is_understood_or_left(text in "\\PC{0,30}", awaited in any::<u64>()) {
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, value.clone());
            headers.insert(LOCATION, value.clone());
            headers.insert(CONTENT_DIGEST, value);
            let _ = reached(&headers, awaited);
            let from: Url = "https://registry.example/v2/".parse().unwrap();
            let _ = location(&headers, &from, "the blob");
            let _ = named_digest(&headers, "the blob");
        }
    }
}
