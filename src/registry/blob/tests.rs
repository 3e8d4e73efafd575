#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;

use super::super::Options;
use super::super::script::{Reply, Server, client, client_with, content, layer, options};
use super::*;

fn fetch(server: &Server, descriptor: &Descriptor) -> Result<Vec<u8>, String> {
    let client = client();
    let mut bytes = Vec::new();
    client
        .blob(&server.repository("me/app"), descriptor)
        .map_err(|error| error.to_string())?
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[test]
fn a_blob_comes_whole_by_one_request() {
    let body = content(300_000);
    let reply = body.clone();
    let server = Server::start(move |_| Reply::body(&reply));
    let descriptor = layer(&body);
    assert_eq!(fetch(&server, &descriptor).unwrap(), body);
    let digest = descriptor.digest();
    assert_eq!(server.lines(), [format!("GET blobs/{digest}")]);
    assert_eq!(server.seen()[0].header("range"), None);
}

#[test]
fn an_empty_blob_comes_too() {
    let server = Server::start(|_| Reply::body(b""));
    assert_eq!(fetch(&server, &layer(b"")).unwrap(), b"");
}

#[test]
fn a_broken_connection_is_gone_on_with_where_it_broke() {
    let body = content(100_000);
    let reply = body.clone();
    let server = Server::start(move |exchange| match exchange.head.before {
        0 => Reply::ranged(&exchange.head, &reply).cut(40_000),
        1 => Reply::ranged(&exchange.head, &reply).cut(30_000),
        _ => Reply::ranged(&exchange.head, &reply),
    });
    assert_eq!(fetch(&server, &layer(&body)).unwrap(), body);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1].header("range"), Some("bytes=40000-"));
    assert_eq!(seen[2].header("range"), Some("bytes=70000-"));
}

#[test]
fn more_breaks_than_attempts_do_not_matter_while_bytes_come() {
    let body = content(600_000);
    let reply = body.clone();
    let server = Server::start(move |exchange| Reply::ranged(&exchange.head, &reply).cut(30_000));
    assert_eq!(fetch(&server, &layer(&body)).unwrap(), body);
    assert_eq!(server.seen().len(), 20);
}

#[test]
fn a_registry_that_gives_a_few_bytes_a_connection_is_not_asked_for_ever() {
    let body = content(600_000);
    let reply = body.clone();
    let server = Server::start(move |exchange| Reply::ranged(&exchange.head, &reply).cut(10));
    let error = fetch(&server, &layer(&body)).unwrap_err();
    assert!(error.contains("the connection broke"), "{error}");
    assert_eq!(error.matches("try again").count(), 1, "{error}");
    let attempts = options().attempts.get() as usize;
    assert_eq!(server.seen().len(), attempts);
}

#[test]
fn breaks_without_a_new_byte_end_it_after_all_attempts() {
    let body = content(100_000);
    let reply = body.clone();
    let server = Server::start(move |exchange| match exchange.head.before {
        0 => Reply::ranged(&exchange.head, &reply).cut(40_000),
        _ => Reply::ranged(&exchange.head, &reply).cut(0),
    });
    let client = client_with(Options {
        attempts: NonZeroU32::new(3).unwrap(),
        ..options()
    });
    let mut reader = client
        .blob(&server.repository("me/app"), &layer(&body))
        .unwrap();
    let mut bytes = Vec::new();
    let error = reader.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(bytes, body[..40_000]);
    let inner = error.get_ref().unwrap().downcast_ref::<RegistryError>();
    assert!(
        matches!(inner, Some(RegistryError::Interrupted { .. })),
        "{error}"
    );
    assert_eq!(server.seen().len(), 3);
    assert!(reader.read(&mut [0]).is_err(), "the end is no regular one");
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_registry_without_ranges_sends_all_again_and_no_byte_is_given_twice() {
    let body = content(100_000);
    let reply = body.clone();
    let server = Server::start(move |exchange| match exchange.head.before {
        0 => Reply::body(&reply).cut(40_000),
        // It breaks within what is there already.
        1 => Reply::body(&reply).cut(10_000),
        _ => Reply::body(&reply),
    });
    assert_eq!(fetch(&server, &layer(&body)).unwrap(), body);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn ranges_that_make_no_sense_are_done_without() {
    let body = content(100_000);
    let answers: [fn(&[u8]) -> Reply; 5] = [
        |_| Reply::status(416),
        |body| Reply::body(&body[40_000..]).with_status(206),
        |body| {
            Reply::body(body)
                .with_status(206)
                .header("Content-Range: bytes 0-99999/100000")
        },
        |body| {
            Reply::body(&body[40_000..])
                .with_status(206)
                .header("Content-Range: bytes 40000-99999/100001")
        },
        |body| {
            Reply::body(&body[40_000..])
                .with_status(206)
                .header("Content-Range: nonsense")
        },
    ];
    for answer in answers {
        let reply = body.clone();
        let server = Server::start(move |exchange| match exchange.head.before {
            0 => Reply::body(&reply).cut(40_000),
            _ if exchange.head.from() > 0 => answer(&reply),
            2 => Reply::body(&reply).cut(50_000),
            _ => Reply::body(&reply),
        });
        assert_eq!(fetch(&server, &layer(&body)).unwrap(), body);
        let seen = server.seen();
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[3].header("range"), None, "it is not asked for again");
    }
}

#[test]
fn more_or_less_or_other_bytes_are_an_error() {
    let body = content(100_000);
    let mut other = body.clone();
    other[99_999] ^= 1;
    for (found, expected) in [
        (other, "its content has the digest"),
        (content(100_001), "has 100001 bytes instead of 100000"),
        (content(99_999), "has 99999 bytes instead of 100000"),
    ] {
        let server = Server::start(move |_| Reply::body(&found));
        let error = fetch(&server, &layer(&body)).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn a_size_that_is_not_announced_is_found_at_the_end() {
    let body = content(100_000);
    let server = Server::start(move |_| Reply::body(content(100_001)).unannounced());
    let error = fetch(&server, &layer(&body)).unwrap_err();
    assert!(error.contains("more than 100000 bytes"), "{error}");
    let server = Server::start(move |_| Reply::body(content(99_999)).unannounced());
    let error = fetch(&server, &layer(&body)).unwrap_err();
    assert!(error.contains("ended after 99999 of 100000"), "{error}");
    assert_eq!(
        server.seen().len(),
        5,
        "the first that gave bytes, and four that gave none"
    );
}

#[test]
fn a_connection_that_breaks_after_the_last_byte_does_not_matter() {
    let body = content(1000);
    let chunked = [b"3e8\r\n".as_slice(), &body, b"\r\n"].concat();
    let server = Server::start(move |_| {
        Reply::body(&chunked)
            .header("Transfer-Encoding: chunked")
            .unannounced()
    });
    assert_eq!(fetch(&server, &layer(&body)).unwrap(), body);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_blob_that_is_not_there_or_not_ours_is_named() {
    let server = Server::start(|_| Reply::error(404, "BLOB_UNKNOWN", "blob unknown\u{7}"));
    let descriptor = layer(b"x");
    let error = fetch(&server, &descriptor).unwrap_err();
    let name = format!(
        "the blob {} of {}/me/app is not there (it says: BLOB_UNKNOWN: blob unknown )",
        descriptor.digest(),
        server.host()
    );
    assert!(error.starts_with(&name), "{error}");
    let server = Server::start(|_| Reply::status(403));
    assert!(
        fetch(&server, &descriptor)
            .unwrap_err()
            .contains("does not allow")
    );
}

#[test]
fn a_blob_that_vanishes_within_is_an_error() {
    let body = content(1000);
    let reply = body.clone();
    let server = Server::start(move |exchange| match exchange.head.before {
        0 => Reply::body(&reply).cut(500),
        _ => Reply::status(404),
    });
    let error = fetch(&server, &layer(&body)).unwrap_err();
    assert!(error.contains("is not there"), "{error}");
}

#[test]
fn what_a_descriptor_holds_itself_is_not_asked_for() {
    let server = Server::start(|_| Reply::body(b"hello"));
    let mut descriptor = layer(b"hello");
    descriptor.set_data(Some("aGVsbG8=".to_owned()));
    assert_eq!(fetch(&server, &descriptor).unwrap(), b"hello");
    assert_eq!(server.seen().len(), 0);
    for wrong in ["aGVsbG9v", "no base64", "aGVsbHA="] {
        descriptor.set_data(Some(wrong.to_owned()));
        assert_eq!(fetch(&server, &descriptor).unwrap(), b"hello");
    }
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn an_unknown_digest_is_refused_before_anything_is_asked() {
    let server = Server::start(|_| Reply::body(b"hello"));
    let digest: oci_spec::image::Digest = "md5:0".parse().unwrap();
    let descriptor = Descriptor::new(oci_spec::image::MediaType::ImageLayer, 5, digest);
    let error = fetch(&server, &descriptor).unwrap_err();
    assert!(error.contains("only sha256 and sha512"), "{error}");
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn a_blob_is_there_when_its_size_fits() {
    let descriptor = layer(b"hello");
    for (length, expected) in [("5", true), ("6", false)] {
        let server =
            Server::start(move |_| Reply::status(200).header(&format!("Content-Length: {length}")));
        let found = client().has_blob(&server.repository("me/app"), &descriptor);
        assert_eq!(found.unwrap(), expected);
        assert_eq!(server.seen()[0].method, "HEAD");
    }
    let server = Server::start(|_| Reply::status(404));
    assert!(
        !client()
            .has_blob(&server.repository("me/app"), &descriptor)
            .unwrap()
    );
    let server = Server::start(|_| Reply::status(403));
    let refused = client().has_blob(&server.repository("me/app"), &descriptor);
    assert!(matches!(refused, Err(RegistryError::Denied { .. })));
}

#[test]
fn a_registry_without_head_is_asked_otherwise() {
    let server = Server::start(|exchange| match exchange.head.method.as_str() {
        "HEAD" => Reply::status(405),
        _ => Reply::body(b"hello"),
    });
    let repository = server.repository("me/app");
    assert!(client().has_blob(&repository, &layer(b"hello")).unwrap());
    assert!(!client().has_blob(&repository, &layer(b"hello!")).unwrap());
}

#[test]
fn a_storage_that_knows_no_head_does_not_stand_in_the_way() {
    let storage = Server::start(|_| Reply::status(403));
    let to = format!("http://{}/signed?key=secret", storage.other_host());
    let server = Server::start(move |_| Reply::status(307).header(&format!("Location: {to}")));
    let found = client().has_blob(&server.repository("me/app"), &layer(b"x"));
    assert!(!found.unwrap());
    assert_eq!(storage.seen().len(), 1);
}
