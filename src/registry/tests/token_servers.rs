//! Token servers that do not do what they should.

use super::tokens::{any_token, issuing, scopes};
use super::*;

#[test]
fn a_token_server_that_does_not_believe_us_is_told() {
    for status in [401, 403] {
        let server = issuing(
            move |_, _| {
                Reply::status(status).with(br#"{"details":"incorrect username or password"}"#)
            },
            any_token,
        );
        let known = Client::new(options(), Known::password());
        let error = read(&known, &server.host()).unwrap_err();
        assert!(
            matches!(&error, RegistryError::Unauthorized { sent: Some(who), .. } if who == "me")
        );
        let text = error.to_string();
        assert!(
            text.contains("incorrect username") && text.contains("config.json"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
        let error = read(&client(options()), &server.host()).unwrap_err();
        assert!(
            matches!(error, RegistryError::Unauthorized { sent: None, .. }),
            "{error}"
        );
    }
    let server = issuing(
        |_, _| Reply::status(400).with(br#"{"error":"invalid_grant"}"#),
        any_token,
    );
    let login = Login::IdentityToken(Secret::new("id".to_owned()));
    let error = read(&Client::new(options(), Known::new(login)), &server.host()).unwrap_err();
    assert!(
        matches!(error, RegistryError::Unauthorized { sent: Some(_), .. }),
        "{error}"
    );
}

#[test]
fn a_token_server_in_trouble_is_asked_again() {
    let server = issuing(
        |_, number| match number {
            1 => Reply::status(503),
            2 => Reply::status(429),
            3 => Reply::hang_up(0),
            _ => Reply::token("t"),
        },
        any_token,
    );
    assert_eq!(read(&client(options()), &server.host()).unwrap(), "good");
    let server = issuing(|_, _| Reply::status(502), any_token);
    let error = read(&client(options()), &server.host()).unwrap_err();
    assert!(
        matches!(error, RegistryError::Server { status: 502, .. }),
        "{error}"
    );
    assert_eq!(scopes(&server).len(), 5);
}

#[test]
fn an_answer_without_a_token_is_told_without_what_it_holds() {
    let large = vec![b' '; 2 << 20];
    for body in [
        &b"secret"[..],
        b"{\"token\":\"secret\"",
        b"{\"token\":[\"secret\"]}",
        b"{\"token\":\"\",\"other\":\"secret\"}",
        b"{\"token\":\"secret\\nsecret\"}",
        b"{}",
        b"[]",
        b"",
        &large,
    ] {
        let body = body.to_vec();
        let server = issuing(move |_, _| Reply::body(&body), any_token);
        let error = read(&client(options()), &server.host()).unwrap_err();
        assert!(
            matches!(
                error,
                RegistryError::BadAnswer { .. } | RegistryError::TooLarge { .. }
            ),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn a_password_does_not_follow_a_token_server_elsewhere() {
    let other = Server::start(|_| Reply::token("t"));
    let to = other.url("/stolen");
    let server = issuing(move |_, _| Reply::redirect(307, &to), any_token);
    let known = Client::new(options(), Known::password());
    // What comes from there is a token like any other; only the password stays.
    let _ = read(&known, &server.host());
    for seen in other.seen() {
        assert_eq!(seen.authorization(), None);
    }
    let login = Login::IdentityToken(Secret::new("id".to_owned()));
    let error = read(&Client::new(options(), Known::new(login)), &server.host()).unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
    assert!(other.seen().iter().all(|seen| seen.body.is_empty()));
}

#[test]
fn a_token_server_is_asked_encrypted_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let tokens = Server::start(|_| Reply::token("t"));
    let realm = format!("Bearer realm=\"{}\", service=x", tokens.url("/token"));
    let server = Server::encrypting(move |seen| match seen.authorization() {
        None => Reply::challenge(&realm),
        Some(_) => Reply::body(b"good"),
    });
    let client = Client::new(encrypting::believing(&place), Known::password());
    let error = read(&client, &server.far()).unwrap_err();
    assert!(matches!(error, RegistryError::BadAnswer { .. }), "{error}");
    assert!(error.to_string().contains("without encryption"), "{error}");
    assert!(tokens.seen().is_empty());
    // Of a registry on this machine it may be plain.
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    assert_eq!(tokens.seen()[0].authorization(), Some(BASIC));
}

#[test]
fn a_password_for_this_machine_does_not_go_in_clear_to_another() {
    let elsewhere = "Bearer realm=\"http://tokens.example/token\", service=x";
    let server = Server::start(|_| Reply::challenge(elsewhere));
    // It would have to be asked through this one.
    let proxy = Server::start(|_| Reply::token("t"));
    let asking = |insecure: &[&str]| Options {
        proxy: Proxy::Url(proxy.url("")),
        insecure: insecure.iter().map(|host| host.parse().unwrap()).collect(),
        ..options()
    };
    let client = Client::new(asking(&[]), Known::password());
    let error = read(&client, &server.host()).unwrap_err();
    assert!(matches!(error, RegistryError::BadAnswer { .. }), "{error}");
    let hint = "--insecure tokens.example";
    assert!(error.to_string().contains(hint), "{error}");
    assert!(proxy.seen().is_empty());
    // Who wants that says so.
    let client = Client::new(asking(&["tokens.example"]), Known::password());
    let _ = read(&client, &server.host());
    assert_eq!(proxy.seen()[0].authorization(), Some(BASIC));
}

#[test]
fn who_a_realm_says_we_are_is_not_used() {
    let realm = "https://u:p@a.example/t?x=1#y";
    let realm = token::Realm::parse(realm, None, |_| false).unwrap();
    assert_eq!(realm.url.as_str(), "https://a.example/t?x=1");
}
