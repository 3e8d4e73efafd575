#![allow(clippy::unwrap_used)]

use super::super::script::{Reply, Server, client, sha256};
use super::*;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[]}"#;

fn fetch(wanted: &str, reply: Reply) -> Result<Manifest, RegistryError> {
    let server = Server::start(move |_| reply.clone());
    client().manifest(&server.repository("me/app"), wanted)
}

fn sha512(bytes: &[u8]) -> Digest {
    digest_of(&DigestAlgorithm::Sha512, bytes).unwrap()
}

#[test]
fn a_manifest_comes_by_tag_with_the_digest_of_its_bytes() {
    let server = Server::start(|_| Reply::document(OCI, MANIFEST));
    let manifest = client()
        .manifest(&server.repository("me/app"), "v1.0")
        .unwrap();
    assert_eq!(manifest.bytes, MANIFEST.as_bytes());
    assert_eq!(manifest.descriptor.digest(), &sha256(MANIFEST.as_bytes()));
    assert_eq!(manifest.descriptor.size(), MANIFEST.len() as u64);
    assert_eq!(manifest.descriptor.media_type(), &MediaType::ImageManifest);
    assert_eq!(server.lines(), ["GET manifests/v1.0"]);
    let seen = server.seen();
    let accepted = seen[0].header("accept").unwrap();
    for media_type in [
        OCI,
        INDEX,
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ] {
        assert!(accepted.contains(media_type), "{accepted}");
    }
}

#[test]
fn a_digest_that_was_asked_for_is_checked() {
    for digest in [sha256(MANIFEST.as_bytes()), sha512(MANIFEST.as_bytes())] {
        let manifest = fetch(digest.as_ref(), Reply::document(OCI, MANIFEST)).unwrap();
        assert_eq!(manifest.descriptor.digest(), &digest);
        let other = format!("{MANIFEST} ");
        match fetch(digest.as_ref(), Reply::document(OCI, other)).unwrap_err() {
            RegistryError::Digest { expected, .. } => assert_eq!(expected, digest.to_string()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_digest_that_the_registry_names_is_checked() {
    let named = |digest: &str| {
        let header = format!("Docker-Content-Digest: {digest}");
        fetch("1", Reply::document(OCI, MANIFEST).header(&header))
    };
    for right in [sha256(MANIFEST.as_bytes()), sha512(MANIFEST.as_bytes())] {
        assert_eq!(named(right.as_ref()).unwrap().descriptor.digest(), &right);
    }
    // It cannot be checked, and is not believed.
    let unknown = named("md5:d41d8cd98f00b204e9800998ecf8427e").unwrap();
    assert_eq!(unknown.descriptor.digest(), &sha256(MANIFEST.as_bytes()));
    for wrong in [sha256(b"other"), sha512(b"other")] {
        let error = named(wrong.as_ref()).unwrap_err();
        assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
    }
    let error = named("nonsense").unwrap_err();
    assert!(matches!(error, RegistryError::BadAnswer { .. }), "{error}");
}

#[test]
fn a_manifest_that_is_none_is_named() {
    for (reply, expected) in [
        (Reply::document("text/html", "<html>hello"), "HTML page"),
        (
            Reply::document(
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                "{}",
            ),
            "schema 1",
        ),
        (Reply::document(OCI, "{}"), "no manifest and no index"),
    ] {
        let error = fetch("1", reply).unwrap_err();
        assert!(matches!(error, RegistryError::BadAnswer { .. }));
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("/me/app:1: "), "{error}");
    }
}

#[test]
fn a_manifest_that_is_too_large_is_not_taken() {
    let large = vec![b' '; DOCUMENT_LIMIT as usize + 1];
    for reply in [Reply::body(&large), Reply::body(&large).unannounced()] {
        let error = fetch("1", reply).unwrap_err();
        assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
    }
}

#[test]
fn a_connection_that_breaks_in_a_manifest_is_tried_again() {
    let server = Server::start(|exchange| match exchange.head.before {
        0 | 1 => Reply::document(OCI, MANIFEST).cut(10),
        _ => Reply::document(OCI, MANIFEST),
    });
    let manifest = client().manifest(&server.repository("me/app"), "1");
    assert_eq!(manifest.unwrap().bytes, MANIFEST.as_bytes());
    let error = fetch("1", Reply::document(OCI, MANIFEST).cut(10)).unwrap_err();
    assert!(
        matches!(error, RegistryError::Interrupted { .. }),
        "{error}"
    );
}

#[test]
fn a_manifest_that_is_not_there_is_told_by_its_name() {
    let digest = sha256(b"x");
    for (wanted, name) in [
        ("v9", "/me/app:v9 is not there".to_owned()),
        (digest.as_ref(), format!("/me/app@{digest} is not there")),
    ] {
        let reply = Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
        let error = fetch(wanted, reply).unwrap_err();
        assert!(matches!(error, RegistryError::NotFound { .. }));
        assert!(error.to_string().contains(&name), "{error}");
        assert!(error.to_string().contains("manifest unknown"), "{error}");
    }
}

#[test]
fn what_is_neither_a_tag_nor_a_digest_is_never_asked_for() {
    let server = Server::start(|_| Reply::document(OCI, MANIFEST));
    let repository = server.repository("me/app");
    let long = "a".repeat(129);
    for wanted in [
        "",
        "a b",
        "../x",
        "a/b",
        "-a",
        ".a",
        "a?b",
        "a#b",
        "ü",
        "sha256:ab",
        "md5:00",
        &long,
    ] {
        let error = client().manifest(&repository, wanted).unwrap_err();
        assert!(
            matches!(error, RegistryError::Reference(_)),
            "{wanted}: {error}"
        );
        assert!(client().head_manifest(&repository, wanted).is_err());
    }
    assert_eq!(server.seen().len(), 0);
    assert!(client().manifest(&repository, &long[1..]).is_ok());
}

#[test]
fn the_head_of_a_manifest_is_enough_when_it_says_all() {
    let digest = sha256(MANIFEST.as_bytes());
    let header = format!("Docker-Content-Digest: {digest}");
    let server = Server::start(move |_| Reply::document(OCI, MANIFEST).header(&header));
    let repository = server.repository("me/app");
    let expected = Descriptor::new(
        MediaType::ImageManifest,
        MANIFEST.len() as u64,
        digest.clone(),
    );
    for wanted in ["1", digest.as_ref()] {
        let found = client().head_manifest(&repository, wanted).unwrap();
        assert_eq!(found.as_ref(), Some(&expected));
    }
    assert!(server.seen().iter().all(|head| head.method == "HEAD"));
    let other = sha256(b"other");
    let error = client()
        .head_manifest(&repository, other.as_ref())
        .unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
}

#[test]
fn the_content_says_what_a_head_does_not() {
    let digest = sha256(MANIFEST.as_bytes());
    let full = Reply::document(OCI, MANIFEST);
    let named = format!("Docker-Content-Digest: {digest}");
    for head in [
        Reply::status(405),
        Reply::status(501),
        full.clone(),
        Reply::document("application/json", MANIFEST).header(&named),
        full.clone().header(&named).header("Content-Length: 0"),
        full.clone().header(&named).unannounced(),
    ] {
        let full = full.clone();
        let server = Server::start(move |exchange| match exchange.head.method.as_str() {
            "HEAD" => head.clone(),
            _ => full.clone(),
        });
        let found = client().head_manifest(&server.repository("me/app"), "1");
        assert_eq!(found.unwrap().unwrap().digest(), &digest);
        assert_eq!(server.lines(), ["HEAD manifests/1", "GET manifests/1"]);
    }
}

#[test]
fn a_manifest_that_is_not_there_has_no_head() {
    let server = Server::start(|_| Reply::status(404));
    let repository = server.repository("me/app");
    assert_eq!(client().head_manifest(&repository, "1").unwrap(), None);
    let server = Server::start(|exchange| match exchange.head.method.as_str() {
        "HEAD" => Reply::status(405),
        _ => Reply::status(404),
    });
    let repository = server.repository("me/app");
    assert_eq!(client().head_manifest(&repository, "1").unwrap(), None);
    let server = Server::start(|_| Reply::status(403));
    let repository = server.repository("me/app");
    assert!(client().head_manifest(&repository, "1").is_err());
}

#[test]
fn a_manifest_is_put_as_it_is() {
    let server = Server::start(|exchange| {
        assert_eq!(exchange.content(), MANIFEST.as_bytes());
        Reply::status(201)
    });
    let repository = server.repository("me/app");
    let digest = sha256(MANIFEST.as_bytes());
    for wanted in ["v1", digest.as_ref()] {
        let put = client()
            .put_manifest(
                &repository,
                wanted,
                &MediaType::ImageManifest,
                MANIFEST.as_bytes(),
            )
            .unwrap();
        assert_eq!(put.digest(), &digest);
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].line(), "PUT /v2/me/app/manifests/v1");
    assert_eq!(seen[0].header("content-type"), Some(OCI));
}

#[test]
fn a_registry_that_took_something_else_is_found_out() {
    let right = sha256(MANIFEST.as_bytes());
    for (digest, is_right) in [(right, true), (sha256(b"other"), false)] {
        let header = format!("Docker-Content-Digest: {digest}");
        let server = Server::start(move |_| Reply::status(201).header(&header));
        let put = client().put_manifest(
            &server.repository("me/app"),
            "1",
            &MediaType::ImageManifest,
            MANIFEST.as_bytes(),
        );
        match put {
            Ok(_) => assert!(is_right),
            Err(RegistryError::Digest { .. }) => assert!(!is_right),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn what_cannot_be_right_is_not_put() {
    let server = Server::start(|_| Reply::status(201));
    let repository = server.repository("me/app");
    let put = |wanted: &str, bytes: &[u8]| {
        client().put_manifest(&repository, wanted, &MediaType::ImageManifest, bytes)
    };
    let other = sha256(b"other");
    let error = put(other.as_ref(), MANIFEST.as_bytes()).unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
    let error = put("1", &vec![b' '; DOCUMENT_LIMIT as usize + 1]).unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
    let media_type = MediaType::Other("a\nb".to_owned());
    assert!(
        client()
            .put_manifest(&repository, "1", &media_type, b"{}")
            .is_err()
    );
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn a_refusal_says_why() {
    let reply = Reply::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
    let server = Server::start(move |_| reply.clone());
    let error = client()
        .put_manifest(
            &server.repository("me/app"),
            "1",
            &MediaType::ImageManifest,
            b"{}",
        )
        .unwrap_err();
    assert!(matches!(error, RegistryError::Refused { status: 400, .. }));
    assert!(
        error.to_string().contains("MANIFEST_BLOB_UNKNOWN"),
        "{error}"
    );
}

#[test]
fn a_manifest_is_deleted_by_its_digest() {
    let digest = sha256(b"x");
    for (status, expected) in [
        (202, Some(true)),
        (204, Some(true)),
        (404, Some(false)),
        (405, None),
    ] {
        let server = Server::start(move |_| Reply::status(status));
        let deleted = client().delete_manifest(&server.repository("me/app"), &digest);
        assert_eq!(deleted.ok(), expected, "{status}");
        assert_eq!(server.lines(), [format!("DELETE manifests/{digest}")]);
    }
}
