//! Who we are: told when it is asked for, to whom asks, and to nobody else.

use super::*;

/// A registry that wants this `Authorization`, and asks for it by `challenge`.
fn wanting(wanted: &'static str, challenge: &str) -> Server {
    let challenge = challenge.to_owned();
    Server::start(move |seen| match seen.authorization() {
        Some(told) if told == wanted => Reply::body(b"good"),
        _ => Reply::challenge(&challenge),
    })
}

#[test]
fn who_is_not_asked_for_credentials_looks_for_none() {
    let server = Server::start(|_| Reply::body(b"good"));
    let known = Known::password();
    let client = Client::new(options(), Arc::<Known>::clone(&known));
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    assert!(known.asked().is_empty());
    assert_eq!(server.seen()[0].authorization(), None);
}

#[test]
fn a_password_is_shown_once_it_is_asked_for_and_looked_up_once() {
    let server = wanting(BASIC, "Negotiate, Basic realm=\"x\"");
    let known = Known::password();
    let client = Client::new(options(), Arc::<Known>::clone(&known));
    for _ in 0..3 {
        assert_eq!(read(&client, &server.host()).unwrap(), "good");
    }
    assert_eq!(known.asked(), ["me/app"]);
    // The first question went without, the others did not.
    assert_eq!(server.seen().len(), 4);
    let other = repository(&server.host(), "other");
    client.ask(&reading(&other)).unwrap();
    assert_eq!(known.asked(), ["me/app", "other"]);
}

#[test]
fn a_wrong_password_is_told_without_it_and_with_where_it_came_from() {
    let server = Server::start(|_| {
        Reply::challenge("Basic realm=x")
            .with(br#"{"errors":[{"code":"UNAUTHORIZED","message":"no such user"}]}"#)
    });
    let client = Client::new(options(), Known::password());
    let error = read(&client, &server.host()).unwrap_err();
    assert!(matches!(&error, RegistryError::Unauthorized { sent: Some(who), .. } if who == "me"));
    let text = error.to_string();
    for part in [
        "me",
        "no such user",
        "/home/me/.docker/config.json",
        &server.host(),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for secret in ["hunter2", "bWU6aHVudGVyMg"] {
        assert!(!text.contains(secret), "{text}");
        assert!(!format!("{error:?} {client:?}").contains(secret));
    }
    // The same is not tried again and again: passwords get locked by that.
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn nobody_is_told_to_log_in() {
    let server = wanting(BASIC, "Basic realm=x");
    let error = read(&client(options()), &server.host()).unwrap_err();
    assert!(
        matches!(error, RegistryError::Unauthorized { sent: None, .. }),
        "{error}"
    );
    let wanted = format!("distrobuild login {}", server.host());
    assert!(error.to_string().contains(&wanted), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn what_we_may_not_is_told_with_who_we_are() {
    let server = Server::start(|seen| match seen.authorization() {
        None => Reply::challenge("Basic realm=x"),
        Some(_) => Reply::status(403).with(br#"{"errors":[{"code":"DENIED"}]}"#),
    });
    let client = Client::new(options(), Known::password());
    let repository = repository(&server.host(), "me/app");
    let error = client.ask(&writing(&repository, Body::None)).err().unwrap();
    assert!(matches!(&error, RegistryError::Denied { sent: Some(who), .. } if who == "me"));
    let text = error.to_string();
    let action = format!("push to {}/me/app", server.host());
    assert!(text.contains("DENIED") && text.contains(&action), "{text}");
}

#[test]
fn a_registry_token_is_sent_as_it_is() {
    for challenge in ["Basic realm=x", "Bearer realm=\"http://127.0.0.1:1/\""] {
        let server = wanting("Bearer abc", challenge);
        let token = Login::RegistryToken(Secret::new("abc".to_owned()));
        let client = Client::new(options(), Known::new(token));
        assert_eq!(read(&client, &server.host()).unwrap(), "good");
    }
}

#[test]
fn what_is_asked_for_in_unknown_ways_is_told() {
    for (challenge, wanted) in [
        ("Negotiate", "negotiate"),
        ("Digest realm=x, NTLM", "digest or ntlm"),
        ("", "does not say what"),
        ("Bearer service=x", "does not say from where"),
        ("Bearer realm=\"no url\"", "no URL"),
        (
            "Bearer realm=\"file:///etc/passwd\"",
            "no http or https URL",
        ),
    ] {
        let server = Server::start(move |_| Reply::challenge(challenge));
        let client = Client::new(options(), Known::password());
        let error = read(&client, &server.host()).unwrap_err();
        assert!(matches!(error, RegistryError::BadAnswer { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn a_broken_challenge_does_not_hide_another_way_in() {
    let server = wanting(BASIC, "Bearer realm=\"no url\", Basic realm=x");
    let client = Client::new(options(), Known::password());
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
}

#[test]
fn a_login_that_cannot_be_looked_up_is_told() {
    #[derive(Debug)]
    struct Unsendable;
    impl Credentials for Unsendable {
        fn find(&self, _: &Repository) -> Result<Option<Login>, CredentialError> {
            Ok(Some(Login::RegistryToken(Secret::new("a\nb".to_owned()))))
        }
        fn places(&self) -> Vec<String> {
            Vec::new()
        }
    }
    let server = wanting(BASIC, "Basic realm=x");
    let client = Client::new(options(), Arc::new(Unsendable));
    let error = read(&client, &server.host()).unwrap_err();
    assert!(
        matches!(error, RegistryError::Unauthorized { .. }),
        "{error}"
    );
}
