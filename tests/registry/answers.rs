//! Answers that are none, or too much of one.

use distrobuild::registry::{Host, Remote};

use crate::fixture::{INDEX, Layout, MANIFEST, client, pull, push, reference, said};
use crate::server::fault::Reply;
use crate::server::{Act, Fault, Server};

/// Pulls what has this manifest, and gives what is said about it.
fn refused(media_type: &str, bytes: &[u8]) -> String {
    let server = Server::start();
    server
        .content()
        .put_manifest("app", Some("v1"), media_type, bytes);
    let place = tempfile::tempdir().unwrap();
    let name = format!("{}/app:v1", server.host());
    let to = place.path().join("a");
    let error = pull(&client(), &name, &to).expect_err("it is no image");
    assert!(!to.join("index.json").exists());
    said(&error)
}

#[test]
fn a_manifest_that_is_none_is_refused() {
    for bytes in [
        &b""[..],
        b"{",
        b"{}",
        b"null",
        b"[]",
        b"<html>",
        b"{\"schemaVersion\":2,\"config\":7,\"layers\":[]}",
        b"{\"schemaVersion\":2,\"layers\":[]}",
        b"\xff\xfe",
    ] {
        let text = refused(MANIFEST, bytes);
        assert!(text.contains("app"), "{text}");
    }
    for bytes in [&b"{\"schemaVersion\":2}"[..], b"{\"manifests\":7}"] {
        let text = refused(INDEX, bytes);
        assert!(text.contains("app"), "{text}");
    }
}

#[test]
fn a_manifest_of_the_old_schema_is_refused() {
    let bytes = b"{\"schemaVersion\":1,\"name\":\"app\",\"fsLayers\":[]}";
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let text = refused(old, bytes);
    assert!(text.contains("app"), "{text}");
}

#[test]
fn an_index_that_lists_what_is_not_there_is_refused() {
    let gone = crate::server::digest(b"gone");
    let index = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[{{\"mediaType\":\"{MANIFEST}\",\"digest\":\"{gone}\",\"size\":4}}]}}"
    );
    let text = refused(INDEX, index.as_bytes());
    assert!(text.contains(&gone), "{text}");
}

#[test]
fn a_manifest_that_is_too_large_is_refused_before_it_is_read() {
    let server = Server::start();
    let large = vec![b' '; 64 << 20];
    server
        .content()
        .put_manifest("app", Some("v1"), MANIFEST, &large);
    let name = format!("{}/app:v1", server.host());
    let error = Remote::open(client(), reference(&name)).unwrap_err();
    assert!(error.to_string().contains("app"), "{error}");
}

#[test]
fn a_manifest_that_is_another_than_its_digest_is_refused() {
    let server = Server::start();
    let layout = Layout::small();
    let name = format!("{}/app", server.host());
    push(&client(), &layout, &format!("{name}:v1")).unwrap();
    let by_digest = format!("{name}@{}", layout.root());
    let wrong = crate::server::digest(b"another");
    for (act, from) in [
        (Act::Corrupt, &by_digest),
        (
            Act::Header("Docker-Content-Digest", wrong.clone()),
            &by_digest,
        ),
        (
            Act::Header("Docker-Content-Digest", wrong.clone()),
            &format!("{name}:v1"),
        ),
    ] {
        server.disarm();
        server.arm(Fault::on("*", "/manifests/", act).always());
        let place = tempfile::tempdir().unwrap();
        let to = place.path().join("a");
        let error = pull(&client(), from, &to).expect_err("another digest");
        assert!(said(&error).contains("sha256:"), "{}", said(&error));
        assert!(!to.join("index.json").exists());
    }
}

#[test]
fn what_is_no_registry_is_told() {
    let server = Server::start();
    for reply in [
        Reply::status(200).body("text/html", "<html><h1>Welcome to a proxy</h1></html>"),
        Reply::status(404).body("text/html", "<html>"),
    ] {
        server.disarm();
        server.arm(Fault::on("*", "", Act::Answer(reply)).always());
        let host: Host = server.host().parse().unwrap();
        let error = client().check(&host).unwrap_err().to_string();
        assert!(error.contains(&server.host()), "{error}");
        assert!(!error.contains("<html>"), "{error}");
        let name = format!("{}/app:v1", server.host());
        let error = Remote::open(client(), reference(&name)).unwrap_err();
        assert!(error.to_string().contains(&server.host()), "{error}");
    }
}

#[test]
fn a_registry_that_lets_everybody_in_is_one() {
    let server = Server::start();
    client().check(&server.host().parse().unwrap()).unwrap();
    assert_eq!(server.seen_of("GET", "/v2/").len(), 1);
}

#[test]
fn redirects_in_a_circle_end() {
    let server = Server::start();
    let layout = Layout::small();
    let name = format!("{}/app:v1", server.host());
    push(&client(), &layout, &name).unwrap();
    server.forget();
    server.arm(Fault::on("GET", "/blobs/", Act::Redirect(server.url())).always());
    let place = tempfile::tempdir().unwrap();
    let error = pull(&client(), &name, &place.path().join("a")).unwrap_err();
    assert!(said(&error).contains("redirect"), "{}", said(&error));
    let asked = server.seen_of("GET", "/blobs/").len();
    assert!(asked < 200, "{asked} requests");
}
