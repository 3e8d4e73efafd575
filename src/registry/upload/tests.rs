#![allow(clippy::unwrap_used)]

mod breaking;
mod fake;
mod mounting;
mod tapes;

use std::io::Cursor;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::super::Options;
use super::super::script::{client_with, content, layer, options};
use super::*;
use fake::{Fake, Fault};

/// What an upload did beside what the registry saw.
struct Outcome {
    result: Result<Uploaded, RegistryError>,
    /// Bytes that were told.
    told: u64,
    /// How often the blob was opened.
    opened: usize,
}

fn upload_with(fake: &Fake, body: &[u8], mounts: &[Repository], options: Options) -> Outcome {
    let told = AtomicU64::new(0);
    let opened = AtomicUsize::new(0);
    let result = client_with(options).upload(
        &fake.repository(),
        &layer(body),
        mounts,
        &|| {
            opened.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(Cursor::new(body.to_vec())))
        },
        &|bytes| {
            told.fetch_add(bytes, Ordering::SeqCst);
        },
    );
    Outcome {
        result,
        told: told.into_inner(),
        opened: opened.into_inner(),
    }
}

fn upload(fake: &Fake, body: &[u8]) -> Outcome {
    upload_with(fake, body, &[], options())
}

fn chunked(fake: &Fake, body: &[u8], chunk: u64) -> Outcome {
    let options = Options {
        chunk: Some(chunk),
        ..options()
    };
    upload_with(fake, body, &[], options)
}

/// It was sent, is there, nothing is left open, and each byte was told once.
#[track_caller]
fn assert_sent(fake: &Fake, body: &[u8], outcome: &Outcome) {
    match &outcome.result {
        Ok(uploaded) => assert_eq!(*uploaded, Uploaded::Sent),
        Err(error) => panic!("{error}: {:?}", fake.lines()),
    }
    assert!(fake.has(body));
    assert_eq!(fake.open_sessions(), 0);
    assert_eq!(outcome.told, body.len() as u64);
}

#[test]
fn a_blob_that_is_there_is_not_sent() {
    let body = content(1000);
    let fake = Fake::honest();
    fake.put(&body);
    let outcome = upload(&fake, &body);
    assert_eq!(outcome.result.unwrap(), Uploaded::Present);
    assert_eq!((outcome.told, outcome.opened), (0, 0));
    assert_eq!(fake.lines(), ["HEAD blobs/X"]);
}

#[test]
fn a_blob_goes_in_one_piece() {
    let body = content(700_000);
    let fake = Fake::honest();
    let outcome = upload(&fake, &body);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(outcome.opened, 1);
    assert_eq!(
        fake.lines(),
        [
            "HEAD blobs/X",
            "POST blobs/uploads/",
            "PUT blobs/uploads/1?digest=X"
        ]
    );
    let seen = fake.seen();
    assert_eq!(seen[1].header("content-length"), Some("0"));
    assert_eq!(seen[2].header("content-length"), Some("700000"));
    assert_eq!(
        seen[2].header("content-type"),
        Some("application/octet-stream")
    );
}

#[test]
fn an_empty_blob_is_sent_too() {
    let fake = Fake::honest();
    let outcome = upload(&fake, b"");
    assert_sent(&fake, b"", &outcome);
    let fake = Fake::honest();
    let outcome = chunked(&fake, b"", 10);
    assert_sent(&fake, b"", &outcome);
}

#[test]
fn a_place_is_found_however_it_is_named() {
    let body = content(1000);
    for (location, line) in [
        (
            "http://HOST/v2/me/app/blobs/uploads/1",
            "PUT blobs/uploads/1?digest=X",
        ),
        ("/v2/me/app/blobs/uploads/1", "PUT blobs/uploads/1?digest=X"),
        ("1", "PUT blobs/uploads/1?digest=X"),
        ("1?", "PUT blobs/uploads/1?digest=X"),
        (
            "1?_state=a%3D%3D",
            "PUT blobs/uploads/1?_state=a%3D%3D&digest=X",
        ),
        ("1?a=b&c=d", "PUT blobs/uploads/1?a=b&c=d&digest=X"),
    ] {
        let fake = Fake::honest().at(location);
        let outcome = upload(&fake, &body);
        assert_sent(&fake, &body, &outcome);
        assert_eq!(fake.lines()[2], line, "{location}");
    }
}

#[test]
fn an_upload_goes_on_at_another_host_when_the_registry_says_so() {
    let body = content(1000);
    let fake = Fake::honest().at("http://OTHER/v2/me/app/blobs/uploads/1?sig=y");
    let outcome = upload(&fake, &body);
    assert_sent(&fake, &body, &outcome);
    let other = fake.seen()[2].header("host").unwrap().to_owned();
    assert!(other.starts_with("localhost"), "{other}");
}

#[test]
fn parts_are_sent_one_after_the_other_from_one_pass() {
    let body = content(1000);
    let fake = Fake::honest();
    let outcome = chunked(&fake, &body, 400);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(outcome.opened, 1, "no part is read twice");
    assert_eq!(
        fake.lines()[2..],
        [
            "PATCH blobs/uploads/1",
            "PATCH blobs/uploads/1",
            "PATCH blobs/uploads/1",
            "PUT blobs/uploads/1?digest=X"
        ]
    );
    let seen = fake.seen();
    let ranges: Vec<_> = seen
        .iter()
        .filter_map(|head| head.header("content-range"))
        .collect();
    assert_eq!(ranges, ["0-399", "400-799", "800-999"]);
    assert_eq!(seen[5].header("content-length"), Some("0"));
}

#[test]
fn parts_are_not_smaller_than_the_registry_wants() {
    let body = content(1000);
    let fake = Fake::honest().minimum(600);
    let outcome = chunked(&fake, &body, 10);
    assert_sent(&fake, &body, &outcome);
    let seen = fake.seen();
    let ranges: Vec<_> = seen
        .iter()
        .filter_map(|head| head.header("content-range"))
        .collect();
    assert_eq!(ranges, ["0-599", "600-999"]);
}

#[test]
fn a_registry_that_names_no_digest_is_asked_what_it_has() {
    let body = content(1000);
    let fake = Fake::honest().silent();
    let outcome = upload(&fake, &body);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(fake.lines().last().unwrap(), "HEAD blobs/X");
    assert_eq!(fake.lines().len(), 4);
}

#[test]
fn a_registry_that_took_a_blob_and_has_it_not_is_found_out() {
    let body = content(1000);
    let fake = Fake::with(|seen, _| match seen.method.as_str() {
        "PUT" => Some(Fault::status(201)),
        _ => None,
    });
    let error = upload(&fake, &body).result.unwrap_err();
    assert!(error.to_string().contains("does not have it"), "{error}");
}

#[test]
fn a_registry_that_took_something_else_is_found_out() {
    let body = content(1000);
    let fake = Fake::with(|seen, _| match seen.method.as_str() {
        "PUT" => Some(Fault::named(201, b"other")),
        _ => None,
    });
    let error = upload(&fake, &body).result.unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
}

#[test]
fn a_refusal_ends_it_and_the_session_too() {
    let body = content(1000);
    for (method, chunk) in [("PUT", None), ("PATCH", Some(500))] {
        let fake = Fake::with(move |seen, _| (seen.method == method).then(|| Fault::status(403)));
        let options = Options { chunk, ..options() };
        let error = upload_with(&fake, &body, &[], options).result.unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        assert_eq!(fake.open_sessions(), 0);
        assert_eq!(fake.lines().last().unwrap(), "DELETE blobs/uploads/1");
    }
    let fake = Fake::with(|seen, _| (seen.method == "POST").then(|| Fault::status(404)));
    let error = upload(&fake, &body).result.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert_eq!(fake.lines().len(), 2);
}

#[test]
fn a_session_that_is_none_is_an_error() {
    for (status, expected) in [(202, "does not say where"), (200, "should open an upload")] {
        let fake =
            Fake::with(move |seen, _| (seen.method == "POST").then(|| Fault::status(status)));
        let error = upload(&fake, b"x").result.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error_of_our_own_and_ends_the_session() {
    let body = content(1000);
    type Opened<'a> = io::Result<Box<dyn Read + 'a>>;
    let opens: [&(dyn Fn() -> Opened<'static> + Sync); 3] = [
        &|| Err(io::Error::other("our disk is broken")),
        &|| Ok(Box::new(Cursor::new(content(999)))),
        &|| Ok(Box::new(Cursor::new(content(1001)))),
    ];
    for (open, expected) in opens.into_iter().zip([
        "our disk is broken",
        "ended after 999 bytes",
        "more than the 1000 bytes",
    ]) {
        for chunk in [None, Some(400)] {
            let fake = Fake::honest();
            let client = client_with(Options { chunk, ..options() });
            let error = client
                .upload(&fake.repository(), &layer(&body), &[], open, &|_| {})
                .unwrap_err();
            assert!(matches!(error, RegistryError::Local(_)), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(fake.open_sessions(), 0);
            assert!(!fake.has(&body));
        }
    }
}
