//! Answers that send on, and what goes along.

use reqwest::header::{HeaderValue, RANGE};

use super::*;

/// A registry that wants Basic, and sends on to `to` then.
fn redirecting(status: u16, to: String) -> Server {
    Server::start(move |seen| match seen.authorization() {
        None => Reply::challenge("Basic realm=x"),
        Some(_) => Reply::redirect(status, &to),
    })
}

#[test]
fn another_host_does_not_learn_who_we_are() {
    for status in [301, 302, 303, 307, 308] {
        let storage = Server::start(|_| Reply::body(b"good"));
        let server = redirecting(status, storage.url("/blob?signature=secret"));
        let client = Client::new(options(), Known::password());
        let repository = repository(&server.host(), "me/app");
        let question = Question {
            headers: vec![(RANGE, HeaderValue::from_static("bytes=1-"))],
            ..reading(&repository)
        };
        let answer = client.ask(&question).unwrap();
        assert_eq!(answer.url.as_str(), storage.url("/blob?signature=secret"));
        assert_eq!(text(answer), "good");
        assert_eq!(server.seen()[1].authorization(), Some(BASIC));
        assert_eq!(storage.seen()[0].authorization(), None);
        assert_eq!(storage.seen()[0].header("range"), Some("bytes=1-"));
    }
}

#[test]
fn the_same_host_learns_it_but_not_when_another_was_between() {
    let home: Arc<Mutex<String>> = Arc::default();
    let back = Arc::clone(&home);
    let other = Server::start(move |_| Reply::redirect(307, &back.lock().unwrap()));
    let between = other.url("/between");
    let server = Server::start(move |seen| match seen.target.as_str() {
        "/v2/me/app/manifests/v1" if seen.authorization().is_none() => {
            Reply::challenge("Basic realm=x")
        }
        "/v2/me/app/manifests/v1" => Reply::redirect(307, "/inner"),
        "/inner" => Reply::redirect(307, &between),
        _ => Reply::body(b"good"),
    });
    *home.lock().unwrap() = server.url("/back");
    let client = Client::new(options(), Known::password());
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    let proofs: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| (seen.target.clone(), seen.authorization().is_some()))
        .collect();
    let wanted = [
        ("/v2/me/app/manifests/v1", false),
        ("/v2/me/app/manifests/v1", true),
        ("/inner", true),
        ("/back", false),
    ];
    assert_eq!(
        proofs,
        wanted.map(|(target, told)| (target.to_owned(), told))
    );
}

#[test]
fn another_host_that_asks_who_we_are_is_not_told() {
    let other = Server::start(|_| Reply::challenge("Basic realm=y"));
    let server = redirecting(307, other.url("/blob?signature=secret"));
    let client = Client::new(options(), Known::password());
    let error = read(&client, &server.host()).unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 401, .. }),
        "{error}"
    );
    assert!(error.to_string().contains(&other.host()), "{error}");
    assert!(!error.to_string().contains("signature"), "{error}");
    assert_eq!(other.seen().len(), 1);
    assert_eq!(other.seen()[0].authorization(), None);
}

#[test]
fn a_url_of_another_host_that_the_registry_gave_is_asked_without_who_we_are() {
    let other = Server::start(|_| Reply::status(201));
    let server = redirecting(307, String::new());
    let client = Client::new(options(), Known::password());
    // Now it is known what the registry wants to see.
    read(&client, &server.host()).unwrap_err();
    let repository = repository(&server.host(), "me/app");
    let url = Url::parse(&other.url("/upload")).unwrap();
    let question = Question {
        place: Place::Url(&url),
        ..writing(&repository, Body::Bytes(b"abc"))
    };
    assert_eq!(client.ask(&question).unwrap().status, 201);
    assert_eq!(other.seen()[0].authorization(), None);
}

#[test]
fn a_circle_of_redirects_ends() {
    let server = Server::start(|_| Reply::redirect(302, "/again"));
    let error = read(&client(options()), &server.host()).unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
    assert_eq!(server.seen().len(), 6);
}

#[test]
fn redirects_to_nowhere_are_told() {
    for reply in [
        Reply::status(302),
        Reply::redirect(302, "ftp://other.example/x"),
        Reply::redirect(302, "file:///etc/passwd"),
        Reply::redirect(302, "http://["),
    ] {
        let server = Server::start(move |_| reply.clone());
        let error = read(&client(options()), &server.host()).unwrap_err();
        assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn what_is_sent_is_sent_again_to_the_same_host_only() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "/there" => Reply::status(201),
        _ => Reply::redirect(308, "/there"),
    });
    let there = repository(&server.host(), "me/app");
    let body = Body::Bytes(b"abc");
    assert_eq!(
        client(options())
            .ask(&writing(&there, body))
            .unwrap()
            .status,
        201
    );
    assert_eq!(server.lines()[1], "PUT /there");
    assert_eq!(server.seen()[1].body, b"abc");

    let other = Server::start(|_| Reply::status(201));
    for (status, to) in [(307, other.url("/x")), (302, "/there".to_owned())] {
        let server = Server::start(move |_| Reply::redirect(status, &to));
        let repository = repository(&server.host(), "me/app");
        let error = client(options())
            .ask(&writing(&repository, Body::Bytes(b"abc")))
            .err()
            .unwrap();
        assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
    }
    assert!(other.seen().is_empty());
}

#[test]
fn an_encrypted_answer_does_not_lead_to_one_that_is_not() {
    let place = tempfile::tempdir().unwrap();
    let plain = Server::start(|_| Reply::body(b"good"));
    let to = plain.url("/x");
    let server = Server::encrypting(move |_| Reply::redirect(307, &to));
    let client = client(encrypting::believing(&place));
    let error = read(&client, &server.far()).unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
    assert!(plain.seen().is_empty());
    // Of this machine it may.
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    assert_eq!(plain.seen().len(), 1);
}
