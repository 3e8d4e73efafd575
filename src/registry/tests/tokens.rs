//! Tokens: fetched from whom the registry names, kept, and fetched anew.

use std::collections::BTreeMap;
use std::sync::Barrier;

use super::*;

/// A registry whose token server is itself, at `/token`. `registry` answers all but that.
pub(super) fn issuing(
    token: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    registry: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> Server {
    let issued = Mutex::new(0);
    Server::start(move |seen| match seen.target.strip_prefix("/token") {
        Some(_) => {
            let mut issued = issued.lock().unwrap();
            *issued += 1;
            token(seen, *issued)
        }
        None => registry(seen),
    })
}

/// A challenge of this server, with its own address as the realm.
fn challenge(seen: &Seen, scope: &str) -> Reply {
    let host = seen.header("host").unwrap();
    Reply::challenge(&format!(
        "Bearer realm=\"http://{host}/token\",service=\"a registry\",scope=\"{scope}\""
    ))
}

fn numbered(_: &Seen, number: usize) -> Reply {
    Reply::token(&format!("t{number}"))
}

/// Answers whoever has any token.
pub(super) fn any_token(seen: &Seen) -> Reply {
    match seen.authorization() {
        Some(_) => Reply::body(b"good"),
        None => challenge(seen, "repository:me/app:pull"),
    }
}

/// The parameters of requests for tokens.
fn token_requests(server: &Server) -> Vec<Vec<(String, String)>> {
    let at = |seen: &Seen| Url::parse(&format!("http://x{}", seen.target)).unwrap();
    server
        .seen()
        .iter()
        .filter(|seen| seen.target.starts_with("/token"))
        .map(|seen| at(seen).query_pairs().into_owned().collect())
        .collect()
}

pub(super) fn scopes(server: &Server) -> Vec<Vec<String>> {
    token_requests(server)
        .into_iter()
        .map(|pairs| {
            pairs
                .into_iter()
                .filter(|(name, _)| name == "scope")
                .map(|(_, value)| value)
                .collect()
        })
        .collect()
}

#[test]
fn a_token_is_fetched_for_nobody() {
    let server = issuing(numbered, any_token);
    let client = client(options());
    for _ in 0..3 {
        assert_eq!(read(&client, &server.host()).unwrap(), "good");
    }
    // It is asked for once, and used from then on.
    assert_eq!(
        server.lines(),
        [
            "GET /v2/me/app/manifests/v1",
            "GET /token?service=a+registry&scope=repository%3Ame%2Fapp%3Apull&client_id=distrobuild",
            "GET /v2/me/app/manifests/v1",
            "GET /v2/me/app/manifests/v1",
            "GET /v2/me/app/manifests/v1",
        ]
    );
    assert_eq!(server.seen()[1].authorization(), None);
    for at in 2..5 {
        assert_eq!(server.seen()[at].authorization(), Some("Bearer t1"));
    }
}

#[test]
fn a_token_is_fetched_with_a_password() {
    let server = issuing(numbered, any_token);
    let client = Client::new(options(), Known::password());
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    assert_eq!(server.seen()[1].authorization(), Some(BASIC));
    let account = ("account".to_owned(), "me".to_owned());
    assert!(token_requests(&server)[0].contains(&account));
    // The registry itself does not learn it.
    assert_eq!(server.seen()[2].authorization(), Some("Bearer t1"));
}

#[test]
fn a_token_is_fetched_with_an_identity_token() {
    let server = issuing(
        |_, _| Reply::body(br#"{"access_token":"t1","refresh_token":"other"}"#),
        any_token,
    );
    let login = Login::IdentityToken(Secret::new("id&=1".to_owned()));
    let client = Client::new(options(), Known::new(login));
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    let seen = &server.seen()[1];
    assert_eq!(seen.line(), "POST /token");
    assert_eq!(
        seen.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(seen.authorization(), None);
    assert_eq!(
        String::from_utf8(seen.body.clone()).unwrap(),
        "grant_type=refresh_token&client_id=distrobuild&refresh_token=id%26%3D1&service=a+registry&scope=repository%3Ame%2Fapp%3Apull"
    );
    assert_eq!(server.seen()[2].authorization(), Some("Bearer t1"));
}

#[test]
fn a_token_allows_what_the_question_needs() {
    let server = issuing(numbered, any_token);
    let client = client(options());
    let app = repository(&server.host(), "me/app");
    let other = repository(&server.host(), "other");
    let elsewhere = repository("127.0.0.1:1", "x");
    client.ask(&reading(&app)).unwrap();
    client.ask(&writing(&app, Body::None)).unwrap();
    client
        .ask(&Question {
            also: Some(&other),
            ..writing(&app, Body::None)
        })
        .unwrap();
    client
        .ask(&Question {
            also: Some(&elsewhere),
            ..writing(&app, Body::None)
        })
        .unwrap();
    client
        .ask(&Question {
            method: Method::DELETE,
            ..writing(&app, Body::None)
        })
        .unwrap();
    assert_eq!(
        scopes(&server),
        [
            vec!["repository:me/app:pull"],
            vec!["repository:me/app:pull,push"],
            vec!["repository:me/app:pull,push", "repository:other:pull"],
            vec!["repository:me/app:delete,pull,push"],
        ]
    );
}

#[test]
fn what_the_challenge_asks_for_is_asked_for_too() {
    let server = issuing(numbered, |seen| match seen.authorization() {
        Some("Bearer t3") => Reply::body(b"good"),
        _ => challenge(seen, "repository:inner/me/app:pull"),
    });
    let client = client(options());
    // From now on it is known that it wants tokens, but not what for.
    client.check(&server.host().parse().unwrap()).unwrap_err();
    for _ in 0..2 {
        assert_eq!(read(&client, &server.host()).unwrap(), "good");
    }
    assert_eq!(
        scopes(&server),
        [
            vec!["repository:inner/me/app:pull"],
            vec!["repository:me/app:pull"],
            vec!["repository:inner/me/app:pull", "repository:me/app:pull"],
        ]
    );
}

#[test]
fn a_token_that_does_not_hold_any_more_is_replaced_once() {
    let server = issuing(numbered, |seen| match seen.authorization() {
        // The first is good for two questions.
        Some("Bearer t1") if seen.before < 5 => Reply::body(b"good"),
        Some("Bearer t2") => Reply::body(b"good"),
        _ => challenge(seen, "repository:me/app:pull"),
    });
    let client = client(options());
    for _ in 0..5 {
        assert_eq!(read(&client, &server.host()).unwrap(), "good");
    }
    assert_eq!(scopes(&server).len(), 2);
}

#[test]
fn a_token_is_replaced_before_its_end() {
    let server = issuing(
        |_, number| {
            let life = [0.0, 0.0, 300.0][number - 1];
            Reply::body(format!(r#"{{"token":"t{number}","expires_in":{life}}}"#).as_bytes())
        },
        any_token,
    );
    let client = client(options());
    for _ in 0..5 {
        assert_eq!(read(&client, &server.host()).unwrap(), "good");
    }
    let told: Vec<_> = server
        .seen()
        .iter()
        .filter_map(|seen| seen.authorization().map(str::to_owned))
        .collect();
    assert_eq!(
        told,
        [
            "Bearer t1",
            "Bearer t2",
            "Bearer t3",
            "Bearer t3",
            "Bearer t3"
        ]
    );
}

#[test]
fn a_token_that_was_old_when_it_came_ends_earlier() {
    let server =
        issuing(
            |_, number| {
                Reply::body(format!(
                r#"{{"token":"t{number}","expires_in":300,"issued_at":"1994-11-06T08:44:37Z"}}"#
            ).as_bytes())
            .header("Date: Sun, 06 Nov 1994 08:49:37 GMT")
            },
            any_token,
        );
    let client = client(options());
    for _ in 0..2 {
        assert_eq!(read(&client, &server.host()).unwrap(), "good");
    }
    assert_eq!(scopes(&server).len(), 2);
}

#[test]
fn a_new_token_that_is_refused_ends_it() {
    let server = issuing(numbered, |seen| challenge(seen, "repository:me/app:pull"));
    let client = Client::new(options(), Known::password());
    let error = read(&client, &server.host()).unwrap_err();
    assert!(matches!(&error, RegistryError::Unauthorized { sent: Some(who), .. } if who == "me"));
    assert_eq!(scopes(&server).len(), 1);

    let server = issuing(numbered, |seen| match seen.authorization() {
        None => challenge(seen, "x"),
        Some(_) => Reply::challenge("Bearer realm=\"x\",error=\"insufficient_scope\""),
    });
    let error = read(&client, &server.host()).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
}

#[test]
fn threads_that_need_the_same_token_fetch_it_once() {
    let server = issuing(numbered, any_token);
    let client = client(options());
    let host = server.host();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                assert_eq!(read(&client, &host).unwrap(), "good");
            });
        }
    });
    assert_eq!(scopes(&server).len(), 1);
}

#[test]
fn two_registries_do_not_get_each_others_tokens() {
    let one = issuing(|_, _| Reply::token("one"), any_token);
    let two = issuing(|_, _| Reply::token("two"), any_token);
    let client = client(options());
    for server in [&one, &two, &one, &two] {
        read(&client, &server.host()).unwrap();
    }
    let mut told = BTreeMap::new();
    for (name, server) in [("one", &one), ("two", &two)] {
        let of = server
            .seen()
            .iter()
            .filter_map(|seen| seen.authorization().map(str::to_owned))
            .collect::<Vec<_>>();
        told.insert(name, of);
    }
    assert_eq!(told["one"], ["Bearer one", "Bearer one"]);
    assert_eq!(told["two"], ["Bearer two", "Bearer two"]);
}
