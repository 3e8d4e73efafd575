#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::script::{Reply, Server, client, sha256};
use super::*;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn described(of: &str, artifact_type: Option<&str>) -> Value {
    let mut entry = json!({
        "mediaType": MANIFEST, "digest": sha256(of.as_bytes()).to_string(), "size": 2,
    });
    if let Some(artifact_type) = artifact_type {
        entry["artifactType"] = json!(artifact_type);
    }
    entry
}

fn index(entries: &[Value]) -> String {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string()
}

fn ask(server: &Server, artifact_type: Option<&str>) -> Result<Vec<String>, RegistryError> {
    let found = client().referrers(&server.repository("me/app"), &sha256(b"x"), artifact_type)?;
    Ok(found
        .iter()
        .map(|entry| entry.digest().to_string())
        .collect())
}

fn digests(of: &[&str]) -> Vec<String> {
    of.iter()
        .map(|text| sha256(text.as_bytes()).to_string())
        .collect()
}

#[test]
fn referrers_come_by_the_api_over_all_pages_each_once() {
    let first = index(&[described("a", None), described("b", None)]);
    let second = index(&[described("b", None), described("c", None)]);
    let server = Server::start(move |exchange| {
        if exchange.head.target.contains("page=2") {
            Reply::document(INDEX, &second)
        } else {
            let here = exchange.head.target.clone();
            Reply::document(INDEX, &first).header(&format!("Link: <{here}?page=2>; rel=\"next\""))
        }
    });
    assert_eq!(ask(&server, None).unwrap(), digests(&["a", "b", "c"]));
    let path = format!("GET referrers/{}", sha256(b"x"));
    assert_eq!(server.lines(), [path.clone(), format!("{path}?page=2")]);
}

#[test]
fn one_artifact_type_is_asked_for_and_filtered_here_too() {
    let all = index(&[
        described("a", Some("text/a+b")),
        described("b", Some("text/b")),
        described("c", None),
    ]);
    for (is_filtered, expected) in [(false, digests(&["a"])), (true, digests(&["a", "c"]))] {
        let all = all.clone();
        let server = Server::start(move |_| match is_filtered {
            true => Reply::document(INDEX, &all).header("OCI-Filters-Applied: x, artifactType"),
            false => Reply::document(INDEX, &all),
        });
        assert_eq!(ask(&server, Some("text/a+b")).unwrap(), expected);
        let line = format!("GET referrers/{}?artifactType=text/a%2Bb", sha256(b"x"));
        assert_eq!(server.lines(), [line]);
    }
}

#[test]
fn a_registry_that_knows_no_referrers_has_them_under_a_tag() {
    let all = index(&[described("a", Some("t/a")), described("b", Some("t/b"))]);
    for without in [
        Reply::status(404),
        Reply::status(405),
        Reply::document("text/html", "<html>"),
    ] {
        let all = all.clone();
        let server = Server::start(move |exchange| {
            if exchange.head.target.contains("/referrers/") {
                without.clone()
            } else {
                Reply::document(INDEX, &all)
            }
        });
        assert_eq!(ask(&server, None).unwrap(), digests(&["a", "b"]));
        assert_eq!(ask(&server, Some("t/b")).unwrap(), digests(&["b"]));
        let tag = format!("GET manifests/sha256-{}", sha256(b"x").digest());
        assert_eq!(server.lines()[1], tag);
    }
}

#[test]
fn nothing_refers_to_what_is_not_known() {
    let server = Server::start(|_| Reply::error(404, "NAME_UNKNOWN", ""));
    assert_eq!(ask(&server, None).unwrap(), digests(&[]));
}

/// `cosign copy` gives the image that tag.
#[test]
fn an_image_under_the_tag_of_a_list_is_no_list_and_is_not_overwritten() {
    let manifest = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
    let server = Server::start(move |exchange| match exchange.head.before % 2 {
        0 => Reply::status(404),
        _ => Reply::document(MANIFEST, manifest),
    });
    assert_eq!(ask(&server, None).unwrap(), digests(&[]));
    let asked = client().own_referrers(&server.repository("me/app"), &sha256(b"x"));
    let error = asked.unwrap_err().to_string();
    assert!(error.contains("something else"), "{error}");
}

#[test]
fn a_list_of_referrers_that_makes_no_sense_is_an_error() {
    let server = Server::start(|_| Reply::document(INDEX, "{\"manifests\":[7]}"));
    assert!(matches!(
        ask(&server, None),
        Err(RegistryError::BadAnswer { .. })
    ));
    let server = Server::start(|_| Reply::status(403));
    assert!(matches!(
        ask(&server, None),
        Err(RegistryError::Denied { .. })
    ));
}

#[test]
fn a_list_of_referrers_without_end_is_left() {
    let server = Server::start(|exchange| {
        Reply::document(INDEX, index(&[]))
            .header(&format!("Link: <?page={}>; rel=next", exchange.head.before))
    });
    let error = ask(&server, None).unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error}");
    assert_eq!(server.seen().len(), MOST_PAGES);
}

#[test]
fn the_tag_of_a_digest_is_that_of_the_schema() {
    for (digest, tag) in [
        (
            format!("sha256:{}", "a".repeat(64)),
            format!("sha256-{}", "a".repeat(64)),
        ),
        (
            format!("sha512:{}", "b".repeat(128)),
            format!("sha512-{}", "b".repeat(64)),
        ),
        ("a+b:c=d".to_owned(), "a-b-c-d".to_owned()),
    ] {
        assert_eq!(referrers_tag(&digest.parse().unwrap()), tag);
    }
}

/// Manifests by what they are asked for.
type Held = BTreeMap<String, Vec<u8>>;

/// A registry of manifests alone, by tag or digest, that knows no referrers.
fn simple(first: Held) -> (Server, Arc<Mutex<Held>>) {
    let held = Arc::new(Mutex::new(first));
    let state = Arc::clone(&held);
    let server = Server::start(move |exchange| {
        let name = exchange.head.target.rsplit('/').next().unwrap().to_owned();
        match exchange.head.method.as_str() {
            "PUT" => {
                let content = exchange.content();
                state.lock().unwrap().insert(name, content);
                Reply::status(201)
            }
            _ => match state.lock().unwrap().get(&name) {
                Some(content) => Reply::body(content),
                None => Reply::status(404),
            },
        }
    });
    (server, held)
}

fn put(server: &Server, wanted: &str, manifest: &Value) -> Result<Descriptor, RegistryError> {
    client().put_manifest(
        &server.repository("me/app"),
        wanted,
        &MediaType::ImageManifest,
        manifest.to_string().as_bytes(),
    )
}

fn signature(subject: &Digest, note: &str) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.example.config+json", "digest": sha256(b"{}").to_string(), "size": 2},
        "layers": [],
        "subject": {"mediaType": MANIFEST, "digest": subject.to_string(), "size": 2},
        "annotations": {"note": note},
    })
}

#[test]
fn a_manifest_with_a_subject_is_entered_once_where_the_registry_does_not_do_so() {
    let (server, held) = simple(BTreeMap::new());
    let subject = sha256(b"x");
    let mut typed = signature(&subject, "two");
    typed["artifactType"] = json!("text/typed");
    let one = put(&server, "one", &signature(&subject, "one")).unwrap();
    let two = put(&server, "two", &typed).unwrap();
    put(&server, "again", &signature(&subject, "one")).unwrap();
    let tag = format!("sha256-{}", subject.digest());
    let index: Value = serde_json::from_slice(&held.lock().unwrap()[&tag]).unwrap();
    assert_eq!(
        index,
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {
                "mediaType": MANIFEST, "digest": one.digest().to_string(), "size": one.size(),
                "artifactType": "application/vnd.example.config+json",
                "annotations": {"note": "one"},
            },
            {
                "mediaType": MANIFEST, "digest": two.digest().to_string(), "size": two.size(),
                "artifactType": "text/typed", "annotations": {"note": "two"},
            },
        ]})
    );
    let found = ask(&server, Some("text/typed")).unwrap();
    assert_eq!(found, [two.digest().to_string()]);
}

#[test]
fn what_others_wrote_into_the_index_stays() {
    let subject = sha256(b"x");
    let tag = format!("sha256-{}", subject.digest());
    let before = json!({
        "schemaVersion": 2, "mediaType": INDEX, "x-own": [1],
        "manifests": [{"mediaType": MANIFEST, "digest": sha256(b"old").to_string(), "size": 2, "x": 1}],
    });
    let (server, held) = simple(BTreeMap::from([(
        tag.clone(),
        before.to_string().into_bytes(),
    )]));
    put(&server, "one", &signature(&subject, "one")).unwrap();
    let index: Value = serde_json::from_slice(&held.lock().unwrap()[&tag]).unwrap();
    assert_eq!(index["x-own"], json!([1]));
    assert_eq!(index["manifests"][0], before["manifests"][0]);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn signatures_put_at_the_same_time_are_all_entered() {
    let (server, _) = simple(BTreeMap::new());
    let subject = sha256(b"x");
    std::thread::scope(|scope| {
        for at in 0..6 {
            let (server, subject) = (&server, &subject);
            scope.spawn(move || {
                let note = at.to_string();
                put(server, &format!("t{at}"), &signature(subject, &note)).unwrap();
            });
        }
    });
    assert_eq!(ask(&server, None).unwrap().len(), 6);
}

#[test]
fn a_registry_that_knows_referrers_is_left_to_do_it() {
    let subject = sha256(b"x");
    let header = format!("OCI-Subject: {subject}");
    let server = Server::start(move |_| Reply::status(201).header(&header));
    put(&server, "one", &signature(&subject, "one")).unwrap();
    put(
        &server,
        "two",
        &json!({"schemaVersion": 2, "config": {}, "layers": []}),
    )
    .unwrap();
    assert_eq!(server.lines(), ["PUT manifests/one", "PUT manifests/two"]);
}

#[test]
fn something_else_under_the_tag_is_not_overwritten() {
    let subject = sha256(b"x");
    let tag = format!("sha256-{}", subject.digest());
    let other = br#"{"schemaVersion":2,"config":{},"layers":[]}"#.to_vec();
    let (server, held) = simple(BTreeMap::from([(tag.clone(), other.clone())]));
    let error = put(&server, "one", &signature(&subject, "one")).unwrap_err();
    assert!(error.to_string().contains("something else"), "{error}");
    assert_eq!(held.lock().unwrap()[&tag], other);
}
