//! Who may ask what.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{ask, get};
use crate::server::{Auth, Server, Settings, TokenService};

fn basic(login: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(login))
}

#[test]
fn basic_wants_the_right_name_and_password() {
    let server = Server::with_basic("me", "secret");
    let answer = get(&server, "/v2/");
    assert_eq!(answer.status, 401);
    assert!(
        answer
            .header("www-authenticate")
            .starts_with("Basic realm=")
    );
    let status = |login| ask(&server, "GET /v2/", &[&basic(login)], b"").status;
    assert_eq!((status("me:wrong"), status("me:secret")), (401, 200));
    let seen = server.seen();
    assert_eq!(
        (seen[0].is_authorized(), seen[1].is_authorized()),
        (false, true)
    );
    assert_eq!((seen[1].status, seen[2].status), (401, 200));
}

#[test]
fn a_token_is_good_for_what_it_was_given_for_and_for_so_many_uses() {
    let service = Arc::new(TokenService {
        uses: Some(2),
        anonymous: true,
        ..TokenService::of("me", "secret")
    });
    let server = Server::with_tokens(&service);
    let challenge = get(&server, "/v2/a/tags/list");
    let said = challenge.header("www-authenticate");
    let realm = format!("realm=\"{}/token\"", server.url());
    assert!(said.contains(&realm), "{said}");
    assert!(said.contains("scope=\"repository:a:pull\""), "{said}");

    let token = |scope: &str, headers: &[&str]| {
        let answer = ask(
            &server,
            &format!("GET /token?service=x&scope={scope}"),
            headers,
            b"",
        );
        let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let token = document["token"].as_str().map(str::to_owned);
        (
            answer.status,
            format!("Authorization: Bearer {}", token.unwrap_or_default()),
        )
    };
    let (_, reader) = token("repository:a:pull,push", &[]);
    let (_, writer) = token("repository:a:pull,push", &[&basic("me:secret")]);
    assert_eq!(token("repository:a:pull", &[&basic("me:wrong")]).0, 401);
    let write = |bearer: &str| ask(&server, "POST /v2/a/blobs/uploads/", &[bearer], b"");
    let refused = write(&reader);
    assert_eq!(refused.status, 401);
    let said = refused.header("www-authenticate");
    assert!(
        said.contains("insufficient_scope") && said.contains("a:pull,push"),
        "{said}"
    );
    assert_eq!((write(&writer).status, write(&writer).status), (202, 202));
    assert!(
        write(&writer)
            .header("www-authenticate")
            .contains("invalid_token")
    );

    let form = "grant_type=refresh_token&refresh_token=refresh-me&scope=repository%3Aa%3Apush";
    assert_eq!(
        ask(&server, "POST /token", &[], form.as_bytes()).status,
        200
    );
    let form = form.replace("refresh-me", "other");
    assert_eq!(
        ask(&server, "POST /token", &[], form.as_bytes()).status,
        401
    );
    assert_eq!(service.count(), 3);
    let elsewhere = Server::with(Settings {
        auth: Auth::Bearer {
            realm: Some(format!("{}/token", server.url())),
        },
        tokens: Some(Arc::clone(&service)),
        ..Settings::default()
    });
    let said = get(&elsewhere, "/v2/");
    assert!(said.header("www-authenticate").contains(&realm));
    service.expire();
}
