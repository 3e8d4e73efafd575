//! Tags and referrers.

use distrobuild::registry::Repository;
use oci_spec::image::MediaType;
use serde_json::json;

use crate::fixture::{CONFIG, MANIFEST, client};
use crate::server::{Server, Settings, digest};

fn repository(server: &Server) -> Repository {
    format!("{}/team/app", server.host()).parse().unwrap()
}

fn with_tags(settings: Settings, tags: &[&str]) -> Server {
    let server = Server::with(settings);
    for tag in tags {
        server
            .content()
            .put_manifest("team/app", Some(tag), MANIFEST, b"{}");
    }
    server
}

#[test]
fn all_pages_of_tags_are_read() {
    for page in [1, 2, 3, 100] {
        let settings = Settings {
            page,
            ..Settings::default()
        };
        let server = with_tags(settings, &["v2", "v10", "latest", "v1", "edge"]);
        let tags = client().tags(&repository(&server)).unwrap();
        assert_eq!(tags, ["edge", "latest", "v1", "v10", "v2"], "{page}");
    }
}

#[test]
fn pages_of_tags_that_lead_to_themselves_end() {
    let settings = Settings {
        link_loops: true,
        ..Settings::default()
    };
    let server = with_tags(settings, &["a", "b"]);
    // Whether that is an error is the client's to say; what it gives is right.
    if let Ok(tags) = client().tags(&repository(&server)) {
        assert_eq!(tags, ["a", "b"]);
    }
}

#[test]
fn a_repository_that_is_not_there_is_told() {
    let server = Server::start();
    let error = client().tags(&repository(&server)).unwrap_err().to_string();
    assert!(error.contains("team/app"), "{error}");
}

/// Sends a signature of `subject`, by a tag or its digest.
fn sign(server: &Server, subject: &str, kind: &str, by_tag: bool) -> String {
    let config = server.content().put_blob("team/app", b"{}");
    let document = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
        "config": { "mediaType": CONFIG, "digest": config, "size": 2 },
        "layers": [],
        "subject": { "mediaType": MANIFEST, "digest": subject, "size": 2 },
    });
    let bytes = document.to_string().into_bytes();
    let digest = digest(&bytes);
    let wanted = if by_tag { "signature" } else { &digest };
    let sent = client()
        .put_manifest(
            &repository(server),
            wanted,
            &MediaType::ImageManifest,
            &bytes,
        )
        .unwrap();
    assert_eq!(sent.digest().to_string(), digest);
    digest
}

#[test]
fn referrers_are_found_with_and_without_the_api() {
    for referrers in [true, false] {
        let settings = Settings {
            referrers,
            ..Settings::default()
        };
        let server = with_tags(settings, &["v1"]);
        let subject = digest(b"{}");
        let find = |kind: Option<&str>| -> Vec<String> {
            let found = client()
                .referrers(&repository(&server), &subject.parse().unwrap(), kind)
                .unwrap();
            let mut digests: Vec<String> = found.iter().map(|d| d.digest().to_string()).collect();
            digests.sort_unstable();
            digests
        };
        assert!(find(None).is_empty());
        let first = sign(&server, &subject, "test/first", true);
        let second = sign(&server, &subject, "test/second", false);
        let mut both = [first.clone(), second.clone()];
        both.sort_unstable();
        assert_eq!(find(None), both, "with the API: {referrers}");
        assert_eq!(find(Some("test/second")), [second]);
        assert!(find(Some("test/third")).is_empty());
        // The same again adds nothing.
        sign(&server, &subject, "test/first", true);
        assert_eq!(find(None).len(), 2);
        let tag = subject.replace(':', "-");
        let tags = server.content().repository("team/app").tags;
        assert_eq!(tags.contains_key(&tag), !referrers);
    }
}

#[test]
fn a_manifest_that_is_removed_is_gone() {
    let server = with_tags(Settings::default(), &["v1"]);
    let digest = digest(b"{}").parse().unwrap();
    let remove = || client().delete_manifest(&repository(&server), &digest);
    assert!(remove().unwrap());
    assert!(!remove().unwrap());
    assert!(
        client()
            .head_manifest(&repository(&server), "v1")
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_is_there_is_known_by_its_size_too() {
    let server = Server::start();
    let blob = server.content().put_blob("team/app", b"blob");
    let known = |digest: &str, size: u64| {
        let digest: oci_spec::image::Digest = digest.parse().unwrap();
        let described = oci_spec::image::Descriptor::new(MediaType::ImageLayer, size, digest);
        client().has_blob(&repository(&server), &described).unwrap()
    };
    assert!(known(&blob, 4));
    assert!(!known(&blob, 5));
    assert!(!known(&digest(b"other"), 5));
}
