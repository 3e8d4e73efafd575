//! Questions that a mirror answers, and those that it must not.

use super::*;

fn mirrored(mirror: &str, of: &Server) -> Options {
    Options {
        mirrors: vec![Mirror {
            of: of.host().parse().unwrap(),
            host: mirror.parse().unwrap(),
            prefix: "hub".to_owned(),
        }],
        ..options()
    }
}

#[test]
fn what_is_read_is_asked_of_the_mirror_first() {
    let mirror = Server::start(|_| Reply::body(b"copy"));
    let server = Server::start(|_| Reply::body(b"own"));
    let client = client(mirrored(&mirror.host(), &server));
    assert_eq!(read(&client, &server.host()).unwrap(), "copy");
    assert_eq!(mirror.lines(), ["GET /v2/hub/me/app/manifests/v1"]);
    // One of its own addresses is asked of it.
    let repository = repository(&server.host(), "me/app");
    let url = Url::parse(&mirror.url("/v2/hub/me/app/tags/list?last=x")).unwrap();
    let question = Question {
        place: Place::Url(&url),
        ..reading(&repository)
    };
    assert_eq!(text(client.ask(&question).unwrap()), "copy");
    assert!(server.seen().is_empty());
}

#[test]
fn what_is_written_is_not_for_a_mirror() {
    let mirror = Server::start(|_| Reply::status(200));
    let server = Server::start(|_| Reply::status(200));
    let client = client(mirrored(&mirror.host(), &server));
    let repository = repository(&server.host(), "me/app");
    client
        .ask(&writing(&repository, Body::Bytes(b"x")))
        .unwrap();
    let looking = Question {
        method: Method::HEAD,
        writes: true,
        ..reading(&repository)
    };
    client.ask(&looking).unwrap();
    client.check(&repository.host).unwrap();
    assert_eq!(server.seen().len(), 3);
    assert!(mirror.seen().is_empty());
}

#[test]
fn what_a_mirror_does_not_have_is_asked_of_the_registry() {
    for reply in [
        Reply::status(404),
        Reply::status(403),
        Reply::status(500),
        Reply::status(429).header("Retry-After: 1"),
        Reply::challenge("Basic realm=x"),
        Reply::challenge("Unheard-of"),
        Reply::redirect(302, "nowhere://"),
        Reply::hang_up(0),
    ] {
        let mirror = Server::start(move |_| reply.clone());
        let server = Server::start(|_| Reply::body(b"own"));
        let client = client(mirrored(&mirror.host(), &server));
        assert_eq!(read(&client, &server.host()).unwrap(), "own");
        assert_eq!(mirror.seen().len(), 1);
    }
}

#[test]
fn a_mirror_that_cannot_be_reached_is_left_alone_for_a_while() {
    let gone = {
        let server = Server::start(|_| Reply::status(200));
        server.host()
    };
    let server = Server::start(|_| Reply::body(b"own"));
    let client = client(mirrored(&gone, &server));
    assert_eq!(read(&client, &server.host()).unwrap(), "own");
    assert!(client.resting.has(&gone.parse().unwrap()));
    assert_eq!(read(&client, &server.host()).unwrap(), "own");
}

#[test]
fn a_mirror_has_its_own_credentials() {
    #[derive(Debug)]
    struct Each(String);
    impl Credentials for Each {
        fn find(&self, repository: &Repository) -> Result<Option<Login>, CredentialError> {
            let is_mirror = repository.host.as_str() == self.0;
            Ok(is_mirror.then(|| Login::Password {
                username: "me".to_owned(),
                password: Secret::new("hunter2".to_owned()),
            }))
        }
        fn places(&self) -> Vec<String> {
            Vec::new()
        }
    }
    let mirror = Server::start(|seen| match seen.authorization() {
        Some(BASIC) => Reply::body(b"copy"),
        _ => Reply::challenge("Basic realm=x"),
    });
    let server = Server::start(|_| Reply::body(b"own"));
    let credentials = Arc::new(Each(mirror.host()));
    let client = Client::new(mirrored(&mirror.host(), &server), credentials);
    assert_eq!(read(&client, &server.host()).unwrap(), "copy");
    assert!(server.seen().is_empty());
}

#[test]
fn what_may_be_new_is_asked_of_the_registry_and_of_the_mirror_only_in_need() {
    let mirror = Server::start(|_| Reply::body(b"copy"));
    let server = Server::start(|_| Reply::body(b"own"));
    let ask = |of: &Server| {
        let client = client(mirrored(&mirror.host(), of));
        let repository = repository(&of.host(), "me/app");
        let fresh = || Question {
            fresh: true,
            ..reading(&repository)
        };
        let answers = [fresh(), fresh()].map(|fresh| text(client.ask(&fresh).unwrap()));
        assert_eq!(answers[0], answers[1]);
        answers[0].clone()
    };
    assert_eq!(ask(&server), "own");
    assert!(mirror.seen().is_empty());
    // What the registry does not have is not looked for in an older copy of it.
    let without = Server::start(|_| Reply::status(404));
    assert_eq!(ask(&without), "");
    assert!(mirror.seen().is_empty());
    // Who may not ask there may ask here.
    let closed = Server::start(|_| Reply::status(403));
    assert_eq!(ask(&closed), "copy");
    let gone = Server::start(|_| Reply::hang_up(0));
    assert_eq!(ask(&gone), "copy");
    assert_eq!(mirror.seen().len(), 4);
}
