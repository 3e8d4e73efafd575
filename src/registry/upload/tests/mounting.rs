//! Blobs that the registry has in another repository.

use super::super::super::script::{Reply, Server};
use super::*;

fn candidates(fake: &Fake) -> Vec<Repository> {
    let elsewhere = Repository {
        host: "registry.example".parse().unwrap(),
        path: "me/other".to_owned(),
    };
    vec![
        elsewhere,
        fake.repository(),
        fake.other("a/b+c"),
        fake.other("a/b+c"),
        fake.other("d"),
    ]
}

fn mounts(fake: &Fake) -> Vec<String> {
    let is_mount = |line: &String| line.contains("mount=");
    fake.lines().into_iter().filter(is_mount).collect()
}

#[test]
fn a_blob_is_mounted_from_another_repository_of_the_same_registry() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("POST", 0) => Some(Fault::named(201, &content(1000))),
        _ => None,
    });
    let outcome = upload_with(&fake, &body, &candidates(&fake), options());
    assert_eq!(outcome.result.unwrap(), Uploaded::Mounted);
    assert_eq!((outcome.told, outcome.opened), (0, 0));
    assert_eq!(
        fake.lines(),
        ["HEAD blobs/X", "POST blobs/uploads/?mount=X&from=a/b%2Bc"]
    );
}

#[test]
fn a_mount_that_names_no_digest_is_looked_after() {
    let body = content(1000);
    let fake = Fake::with(|seen, _| match seen.method.as_str() {
        "POST" if seen.target.contains("mount=") => Some(Fault::status(201)),
        _ => None,
    });
    let outcome = upload_with(&fake, &body, &candidates(&fake), options());
    assert_sent(&fake, &body, &outcome);
    assert_eq!(fake.lines()[2], "HEAD blobs/X");
}

#[test]
fn a_session_opened_instead_of_a_mount_is_used_and_none_is_left() {
    let body = content(1000);
    let fake = Fake::honest();
    let outcome = upload_with(&fake, &body, &candidates(&fake), options());
    assert_sent(&fake, &body, &outcome);
    assert_eq!(
        fake.lines(),
        [
            "HEAD blobs/X",
            "POST blobs/uploads/?mount=X&from=a/b%2Bc",
            "POST blobs/uploads/?mount=X&from=d",
            "DELETE blobs/uploads/2",
            "PUT blobs/uploads/1?digest=X",
        ]
    );
}

#[test]
fn a_later_mount_ends_the_session_of_an_earlier_attempt() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("POST", 1) => Some(Fault::named(201, &content(1000))),
        _ => None,
    });
    let outcome = upload_with(&fake, &body, &candidates(&fake), options());
    assert_eq!(outcome.result.unwrap(), Uploaded::Mounted);
    assert_eq!(fake.open_sessions(), 0);
}

#[test]
fn a_registry_that_mounts_nothing_gets_the_blob() {
    for status in [400, 403, 404, 405] {
        let body = content(1000);
        let fake = Fake::with(move |seen, _| {
            seen.target
                .contains("mount=")
                .then(|| Fault::status(status))
        });
        let outcome = upload_with(&fake, &body, &candidates(&fake), options());
        assert_sent(&fake, &body, &outcome);
        assert_eq!(mounts(&fake).len(), 2);
    }
}

#[test]
fn no_more_than_a_few_repositories_are_asked() {
    let body = content(1000);
    let fake = Fake::honest();
    let many: Vec<Repository> = (0..100).map(|at| fake.other(&format!("r{at}"))).collect();
    let outcome = upload_with(&fake, &body, &many, options());
    assert_sent(&fake, &body, &outcome);
    assert_eq!(mounts(&fake).len(), MOST_MOUNTS);
}

#[test]
fn a_mount_of_something_else_is_an_error() {
    let server = Server::start(|exchange| match exchange.head.method.as_str() {
        "HEAD" => Reply::status(404),
        _ => {
            Reply::status(201).header(&format!("Docker-Content-Digest: sha256:{}", "0".repeat(64)))
        }
    });
    let error = client_with(options())
        .upload(
            &server.repository("me/app"),
            &layer(b"x"),
            &[server.repository("me/other")],
            &|| Ok(Box::new(io::empty())),
            &|_| {},
        )
        .unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
}
