//! The registry of these tests itself, asked by hand.

mod asking;
mod failing;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::server::{Location, Server, Settings, digest};

/// What came back.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks on a connection of its own; `None` when there is no answer.
fn asked(server: &Server, line: &str, headers: &[&str], body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let mut request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        request += &format!("{header}\r\n");
    }
    // A server that closes early is a part of the tests.
    let _ = stream.write_all(format!("{request}\r\n").as_bytes());
    let _ = stream.write_all(body);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Some(Answer {
        status,
        headers: headers.collect(),
        body: bytes[end + 4..].to_vec(),
    })
}

fn ask(server: &Server, line: &str, headers: &[&str], body: &[u8]) -> Answer {
    asked(server, line, headers, body).unwrap_or_else(|| panic!("no answer to {line}"))
}

fn get(server: &Server, path: &str) -> Answer {
    ask(server, &format!("GET {path}"), &[], b"")
}

/// Begins an upload; gives the path of its session.
fn begin(server: &Server) -> String {
    let answer = ask(server, "POST /v2/a/b/blobs/uploads/", &[], b"");
    assert_eq!(answer.status, 202);
    answer.header("location").to_owned()
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest_of(blob: &[u8]) -> Vec<u8> {
    let named = serde_json::json!({
        "mediaType": "application/octet-stream", "digest": digest(blob), "size": blob.len(),
    });
    let document = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": named, "layers": [named],
    });
    document.to_string().into_bytes()
}

#[test]
fn a_blob_goes_up_in_one_piece_in_parts_and_in_one_request() {
    let server = Server::start();
    assert_eq!(get(&server, "/v2/").status, 200);
    let digest = digest(b"hello world");
    let path = format!("/v2/a/b/blobs/{digest}");
    assert_eq!(get(&server, &path).status, 404);

    let session = begin(&server);
    let put = ask(
        &server,
        &format!("PUT {session}?digest={digest}"),
        &[],
        b"hello world",
    );
    assert_eq!(
        (put.status, put.header("docker-content-digest")),
        (201, digest.as_str())
    );
    assert_eq!(put.header("location"), path);
    assert_eq!(get(&server, &path).body, b"hello world");

    let session = begin(&server);
    let patch = format!("PATCH {session}");
    let first = ask(&server, &patch, &["Content-Range: 0-5"], b"hello ");
    assert_eq!((first.status, first.header("range")), (202, "0-5"));
    for wrong in ["0-4", "7-11", "6-9", "x", "6-"] {
        let answer = ask(
            &server,
            &patch,
            &[&format!("Content-Range: {wrong}")],
            b"world",
        );
        assert_eq!(
            (answer.status, answer.header("range")),
            (416, "0-5"),
            "{wrong}"
        );
    }
    assert_eq!(get(&server, &session).status, 204);
    assert_eq!(get(&server, &session).header("range"), "0-5");
    let second = ask(&server, &patch, &["Content-Range: 6-10"], b"world");
    assert_eq!((second.status, second.header("range")), (202, "0-10"));
    let put = format!("PUT {session}?digest={digest}");
    assert_eq!(ask(&server, &put, &[], b"").status, 201);
    assert_eq!(ask(&server, &put, &[], b"").status, 404);

    let post = format!("POST /v2/a/c/blobs/uploads/?digest={digest}");
    assert_eq!(ask(&server, &post, &[], b"hello world").status, 201);
    assert_eq!(ask(&server, &post, &[], b"hello").status, 400);
    let deleted = ask(&server, &format!("DELETE {}", begin(&server)), &[], b"");
    assert_eq!(deleted.status, 204);
}

#[test]
fn a_blob_with_another_digest_is_not_kept() {
    let server = Server::start();
    let session = begin(&server);
    let put = format!("PUT {session}?digest={}", digest(b"other"));
    let answer = ask(&server, &put, &[], b"hello");
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("DIGEST_INVALID"),
        "{}",
        answer.text()
    );
    assert!(server.content().repository("a/b").blobs.is_empty());
}

#[test]
fn parts_of_a_blob_are_served() {
    let server = Server::start();
    let digest = server.content().put_blob("a", b"0123456789");
    let line = format!("GET /v2/a/blobs/{digest}");
    for (range, status, body, content_range) in [
        ("bytes=3-", 206, "3456789", "bytes 3-9/10"),
        ("bytes=3-4", 206, "34", "bytes 3-4/10"),
        ("bytes=9-99", 206, "9", "bytes 9-9/10"),
    ] {
        let answer = ask(&server, &line, &[&format!("Range: {range}")], b"");
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
        assert_eq!(answer.header("content-range"), content_range);
    }
    for wrong in ["bytes=10-", "bytes=-", "bytes=5-3", "lines=1-2"] {
        let answer = ask(&server, &line, &[&format!("Range: {wrong}")], b"");
        assert_eq!(answer.status, 416, "{wrong}");
    }
    let head = ask(&server, &format!("HEAD /v2/a/blobs/{digest}"), &[], b"");
    assert_eq!((head.header("content-length"), head.body.len()), ("10", 0));
}

#[test]
fn a_blob_is_mounted_where_it_is_and_sent_where_it_is_not() {
    let server = Server::start();
    let digest = server.content().put_blob("a", b"blob");
    let mount = |from: &str| {
        let post = format!("POST /v2/b/blobs/uploads/?mount={digest}&from={from}");
        ask(&server, &post, &[], b"").status
    };
    assert_eq!((mount("nowhere"), mount("a")), (202, 201));
    assert!(server.content().repository("b").blobs.contains_key(&digest));
    assert!(server.content().repository("a").blobs.contains_key(&digest));
}

#[test]
fn a_manifest_waits_for_what_it_names() {
    let server = Server::start();
    let manifest = manifest_of(b"blob");
    let kind = format!("Content-Type: {MANIFEST}");
    let put = |path: &str| {
        ask(
            &server,
            &format!("PUT /v2/a/manifests/{path}"),
            &[&kind],
            &manifest,
        )
    };
    let early = put("v1");
    assert_eq!(early.status, 404);
    assert!(
        early.text().contains("MANIFEST_BLOB_UNKNOWN"),
        "{}",
        early.text()
    );
    server.content().put_blob("a", b"blob");
    let digest = digest(&manifest);
    assert_eq!(put("v1").header("docker-content-digest"), digest);
    assert_eq!(put(&digest).status, 201);
    assert_eq!(put(&crate::server::digest(b"x")).status, 400);
    assert_eq!(
        ask(&server, "PUT /v2/a/manifests/v1", &[&kind], b"{").status,
        400
    );
    assert_eq!(
        ask(&server, "PUT /v2/a/manifests/v1", &[], &manifest).status,
        400
    );
    let other = "Content-Type: application/json";
    assert_eq!(
        ask(&server, "PUT /v2/a/manifests/v1", &[other], &manifest).status,
        400
    );

    let accept = format!("Accept: application/json, {MANIFEST}");
    for wanted in ["v1", &digest] {
        let line = format!("GET /v2/a/manifests/{wanted}");
        let answer = ask(&server, &line, &[&accept], b"");
        assert_eq!((answer.status, answer.body), (200, manifest.clone()));
        assert_eq!(ask(&server, &line, &[], b"").status, 404);
    }
    let delete = |wanted: &str| {
        ask(
            &server,
            &format!("DELETE /v2/a/manifests/{wanted}"),
            &[],
            b"",
        )
    };
    assert_eq!((delete(&digest).status, delete(&digest).status), (202, 404));
    assert!(server.content().repository("a").tags.is_empty());
}

#[test]
fn tags_come_in_pages() {
    let server = Server::with(Settings {
        page: 2,
        ..Settings::default()
    });
    assert_eq!(get(&server, "/v2/a/tags/list").status, 404);
    for tag in ["c", "a", "b"] {
        server
            .content()
            .put_manifest("a", Some(tag), MANIFEST, b"{}");
    }
    let first = get(&server, "/v2/a/tags/list");
    assert_eq!(first.text(), "{\"name\":\"a\",\"tags\":[\"a\",\"b\"]}");
    let link = first.header("link");
    assert_eq!(link, "</v2/a/tags/list?n=2&last=b>; rel=\"next\"");
    let second = get(&server, "/v2/a/tags/list?n=2&last=b");
    assert_eq!(second.text(), "{\"name\":\"a\",\"tags\":[\"c\"]}");
    assert_eq!(second.header("link"), "");
}

#[test]
fn referrers_are_found_by_their_subject() {
    let with = |referrers| {
        Server::with(Settings {
            referrers,
            ..Settings::default()
        })
    };
    let subject = digest(b"subject");
    let path = format!("/v2/a/referrers/{subject}");
    let document = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "x/y",
        "subject": { "digest": subject },
    });
    let put = |server: &Server| {
        let kind = format!("Content-Type: {MANIFEST}");
        let body = document.to_string();
        let answer = ask(server, "PUT /v2/a/manifests/r", &[&kind], body.as_bytes());
        assert_eq!(answer.status, 201);
        answer.header("oci-subject").to_owned()
    };
    let server = with(true);
    assert_eq!(get(&server, &path).status, 200);
    assert_eq!(put(&server), subject);
    let found = get(&server, &path).text();
    assert!(
        found.contains(&digest(document.to_string().as_bytes())),
        "{found}"
    );
    let filtered = get(&server, &format!("{path}?artifactType=x%2Fz"));
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert!(!filtered.text().contains("sha256:"), "{}", filtered.text());
    let server = with(false);
    assert_eq!(put(&server), "");
    assert_eq!(get(&server, &path).status, 404);
}

#[test]
fn only_the_newest_url_of_a_session_is_taken() {
    for (location, start) in [
        (Location::Absolute, "http://127.0.0.1:"),
        (Location::Path, "/v2/a/b/blobs/uploads/session-1"),
        (Location::Relative, "session-1"),
        (Location::Query, "/v2/a/b/blobs/uploads/session-1?_state="),
    ] {
        let server = Server::with(Settings {
            location,
            ..Settings::default()
        });
        let path = begin(&server);
        assert!(path.starts_with(start), "{path}");
        if location == Location::Query {
            let newer = ask(&server, &format!("PATCH {path}"), &[], b"x");
            assert_eq!(newer.status, 202);
            assert_eq!(get(&server, &path).status, 400);
            assert_eq!(get(&server, newer.header("location")).status, 204);
        }
    }
}
