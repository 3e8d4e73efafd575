//! Who asks, and who is told.

use std::num::NonZeroUsize;
use std::sync::Arc;

use distrobuild::registry::Options;
use distrobuild::registry::credentials::{Login, Secret};

use crate::fixture::{
    Layout, PLACE, client, client_of, client_of_with, layer, options, password, pull, push,
    reference, said,
};
use crate::server::fault::Reply;
use crate::server::{Act, Auth, Fault, Server, Settings, TokenService};

const WORD: &str = "correct horse battery";

fn service() -> TokenService {
    TokenService::of("me", WORD)
}

fn name(server: &Server) -> String {
    format!("{}/app:v1", server.host())
}

#[test]
fn a_name_and_a_password_are_told_to_a_registry_that_asks() {
    let server = Server::with_basic("me", WORD);
    let client = client_of(password("me", WORD));
    push(&client, &Layout::small(), &name(&server)).unwrap();
    // Nobody is told before he asks.
    assert!(!server.seen()[0].is_authorized());
    let place = tempfile::tempdir().unwrap();
    pull(&client, &name(&server), &place.path().join("a")).unwrap();
}

#[test]
fn a_password_goes_to_the_token_service_and_never_to_the_registry() {
    let service = Arc::new(service());
    let tokens = Server::with(Settings {
        tokens: Some(Arc::clone(&service)),
        ..Settings::default()
    });
    let server = Server::with(Settings {
        auth: Auth::Bearer {
            realm: Some(format!("{}/token", tokens.url())),
        },
        tokens: Some(service),
        ..Settings::default()
    });
    push(
        &client_of(password("me", WORD)),
        &Layout::small(),
        &name(&server),
    )
    .unwrap();
    for seen in server.seen() {
        let shown = seen.header("authorization").unwrap_or("Bearer ");
        assert!(shown.starts_with("Bearer "), "{}", seen.line());
    }
    let asked = tokens.seen();
    assert!(!asked.is_empty() && asked.iter().all(|seen| seen.target.contains("/token")));
}

#[test]
fn one_token_serves_many_requests() {
    let service = Arc::new(service());
    let server = Server::with_tokens(&service);
    let client = client_of(password("me", WORD));
    push(&client, &Layout::with_index(), &name(&server)).unwrap();
    // One to read, one to write, and two threads that may both ask for the same.
    assert!(service.count() <= 4, "{} tokens", service.count());
}

#[test]
fn a_token_that_expires_in_the_middle_of_a_push_is_renewed() {
    let service = Arc::new(TokenService {
        uses: Some(3),
        ..service()
    });
    let server = Server::with_tokens(&service);
    let layout = Layout::with_index();
    // Of two threads one could use up what the other has just got.
    let alone = Options {
        parallel: NonZeroUsize::MIN,
        ..options()
    };
    let client = client_of_with(password("me", WORD), alone);
    push(&client, &layout, &name(&server)).unwrap();
    assert!(service.count() > 2, "{} tokens", service.count());
    let tags = server.content().repository("app").tags;
    assert_eq!(tags["v1"], layout.root());
}

#[test]
fn a_token_is_renewed_when_it_stops_to_be_good() {
    let service = Arc::new(service());
    let server = Server::with_tokens(&service);
    let client = client_of(password("me", WORD));
    push(&client, &Layout::small(), &name(&server)).unwrap();
    service.expire();
    let other = Layout::of(&[layer(9, 1000)]);
    push(&client, &other, &name(&server)).unwrap();
}

#[test]
fn a_refresh_token_stands_for_name_and_password() {
    let service = Arc::new(service());
    let server = Server::with_tokens(&service);
    let login = Login::IdentityToken(Secret::new("refresh-me".to_owned()));
    push(&client_of(login), &Layout::small(), &name(&server)).unwrap();
    let posted = server.seen_of("POST", "/token");
    assert!(!posted.is_empty() && posted.iter().all(|seen| !seen.is_authorized()));
}

#[test]
fn a_wrong_password_is_told_with_the_places_and_without_the_password() {
    let service = Arc::new(service());
    let basic = Server::with_basic("me", WORD);
    let bearer = Server::with_tokens(&service);
    for server in [&basic, &bearer] {
        let client = client_of(password("me", "wr0ng-w0rd"));
        let error = push(&client, &Layout::small(), &name(server)).unwrap_err();
        let text = said(&error);
        assert!(text.contains(&server.host()), "{text}");
        assert!(text.contains(PLACE), "{text}");
        let hidden = [
            "wr0ng-w0rd",
            // The same in base64, as it went over the wire.
            "bWU6d3IwbmctdzByZA",
        ];
        for word in hidden {
            assert!(!text.contains(word), "{text}");
            assert!(!format!("{error:?} {client:?}").contains(word));
        }
        // A password that is wrong stays wrong.
        assert!(server.seen().len() < 12, "{} requests", server.seen().len());
    }
}

#[test]
fn who_has_no_login_is_told_how_to_log_in() {
    let server = Server::with_basic("me", WORD);
    let error = push(&client(), &Layout::small(), &name(&server)).unwrap_err();
    let text = said(&error);
    assert!(text.contains(&server.host()), "{text}");
    assert!(text.contains("login"), "{text}");
}

#[test]
fn what_everybody_may_read_is_read_without_a_login() {
    let service = Arc::new(TokenService {
        anonymous: true,
        ..service()
    });
    let server = Server::with_tokens(&service);
    let owner = client_of(password("me", WORD));
    push(&owner, &Layout::small(), &name(&server)).unwrap();
    let place = tempfile::tempdir().unwrap();
    pull(&client(), &name(&server), &place.path().join("a")).unwrap();
    let refused = push(&client(), &Layout::of(&[layer(9, 9)]), &name(&server));
    let text = said(&refused.unwrap_err());
    assert!(text.contains("app"), "{text}");
}

#[test]
fn a_token_that_does_not_allow_it_is_not_asked_for_without_end() {
    let service = Arc::new(TokenService {
        only_pull: true,
        ..service()
    });
    let server = Server::with_tokens(&service);
    let client = client_of(password("me", WORD));
    let text = said(&push(&client, &Layout::small(), &name(&server)).unwrap_err());
    assert!(text.contains("app"), "{text}");
    assert!(service.count() < 12, "{} tokens", service.count());
}

#[test]
fn a_refusal_is_told_in_the_registry_s_words_made_harmless() {
    let server = Server::start();
    let refusal = Reply::error(403, "DENIED", "you are over \u{1b}[2J your quota");
    server.arm(Fault::on("POST", "/uploads/", Act::Answer(refusal)).always());
    let text = said(&push(&client(), &Layout::small(), &name(&server)).unwrap_err());
    assert!(text.contains("your quota"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let layout = Layout::small();
    let elsewhere = Server::start();
    push(&client(), &layout, &name(&elsewhere)).unwrap();
    elsewhere.forget();
    let service = Arc::new(service());
    let basic = Server::with_basic("me", WORD);
    let bearer = Server::with_tokens(&service);
    for server in [&basic, &bearer] {
        let client = client_of(password("me", WORD));
        push(&client, &layout, &name(server)).unwrap();
        let to = format!("http://localhost:{}", elsewhere.port());
        server.arm(Fault::on("GET", "/blobs/", Act::Redirect(to)).always());
        let place = tempfile::tempdir().unwrap();
        let back = place.path().join("a");
        pull(&client, &name(server), &back).unwrap();
        assert!(crate::fixture::blobs(&back) == layout.blobs());
        let told = elsewhere.seen();
        assert!(!told.is_empty());
        for seen in told {
            assert!(!seen.is_authorized(), "{}", seen.line());
        }
        elsewhere.forget();
    }
}

#[test]
fn credentials_do_not_follow_a_page_of_tags_to_another_host() {
    let elsewhere = Server::start();
    elsewhere
        .content()
        .put_manifest("app", Some("b"), "x/y", b"{}");
    let server = Server::with_basic("me", WORD);
    server
        .content()
        .put_manifest("app", Some("a"), "x/y", b"{}");
    let link = format!(
        "<http://localhost:{}/v2/app/tags/list?last=a>; rel=\"next\"",
        elsewhere.port()
    );
    server.arm(Fault::on("GET", "/tags/", Act::Header("Link", link)).always());
    // Whether such a link is followed or refused is the client's to say.
    let _ = client_of(password("me", WORD)).tags(&reference(name(&server)).repository);
    assert!(!server.seen_of("GET", "/tags/").is_empty());
    for seen in elsewhere.seen() {
        assert!(!seen.is_authorized(), "{}", seen.line());
    }
}

#[test]
fn a_token_service_that_fails_for_a_moment_is_asked_again() {
    let service = Arc::new(service());
    let server = Server::with_tokens(&service);
    server.arm(Fault::on("*", "/token", Act::Answer(Reply::status(503))).times(2));
    let client = client_of(password("me", WORD));
    push(&client, &Layout::small(), &name(&server)).unwrap();
}

#[test]
fn a_token_service_that_gives_no_token_is_told() {
    let service = Arc::new(service());
    let server = Server::with_tokens(&service);
    for body in ["<html>", "{}", "{\"token\":7}", "{\"token\":\"a\\r\\nb\"}"] {
        server.disarm();
        let reply = Reply::status(200).body("application/json", body);
        server.arm(Fault::on("*", "/token", Act::Answer(reply)).always());
        let client = client_of(password("me", WORD));
        let text = said(&push(&client, &Layout::small(), &name(&server)).unwrap_err());
        assert!(text.contains("token"), "{body}: {text}");
        assert!(!text.contains(WORD), "{text}");
    }
}

#[test]
fn a_challenge_that_is_none_is_told() {
    let server = Server::start();
    for challenge in [
        "",
        "Bearer",
        "Bearer realm=",
        "Bearer realm=\"ftp://x\"",
        "Negotiate",
    ] {
        server.disarm();
        let reply = Reply::status(401).with("WWW-Authenticate", challenge);
        server.arm(Fault::on("*", "", Act::Answer(reply)).always());
        let client = client_of(password("me", WORD));
        let text = said(&push(&client, &Layout::small(), &name(&server)).unwrap_err());
        assert!(text.contains(&server.host()), "{challenge}: {text}");
        assert!(!text.contains(WORD), "{text}");
    }
}
