//! Servers that send one elsewhere.

use reqwest::Url;

use super::*;
use crate::download::http::follow;

#[test]
fn a_redirect_to_another_server_is_followed_without_credentials() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(50_000);
    let reply = body.clone();
    let there = Server::start(move |seen| match seen.before {
        0 => Reply::ranged(seen, &reply, "\"1\"").cut(20_000),
        _ => Reply::ranged(seen, &reply, "\"1\""),
    });
    let to = there.url("elsewhere");
    let here = Server::start(move |_| Reply::redirect(&to));
    let url = here.url("a").replace("//", "//user:secret@");
    let fetched = downloader(cache.path())
        .fetch(&request(&url, &body), &Quiet)
        .unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    assert!(here.seen()[0].header("authorization").is_some());
    let seen = there.seen();
    assert_eq!(seen[0].target, "/elsewhere");
    for asked in &seen {
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(asked.header("referer"), None);
    }
    assert_eq!(seen[1].header("range"), Some("bytes=20000-"));
}

#[test]
fn credentials_are_never_shown() {
    let cache = tempfile::tempdir().unwrap();
    let there = Server::start(|_| Reply::status("404 Not Found"));
    let to = there.url("b").replace("//", "//other:hidden@");
    let here = Server::start(move |_| Reply::redirect(&to));
    let url = here.url("a").replace("//", "//user:secret@");
    let error = downloader(cache.path())
        .fetch(&request(&url, b"a"), &Quiet)
        .unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("secret") && !text.contains("hidden"),
        "{text}"
    );
    assert_eq!(there.seen()[0].header("authorization"), None);
    assert_eq!(
        error.to_string(),
        format!(
            "cannot download a file from {} (redirected to {}): 404 Not Found",
            here.url("a"),
            there.url("b")
        )
    );
    assert!(error.is_not_found());
}

#[test]
fn a_redirect_in_circles_ends() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| Reply::redirect(&format!("/{}", seen.before)));
    let error = downloader(cache.path())
        .fetch(&request(&server.url("a"), b"a"), &Quiet)
        .unwrap_err();
    let failure = failure(&error);
    let reason = &failure.reason;
    assert!(matches!(reason, Reason::Redirect(Redirection::TooMany)));
    assert_eq!(failure.via.len(), 5);
    assert_eq!(server.seen().len(), 6);
}

#[test]
fn five_redirects_are_followed() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| match seen.before {
        5 => Reply::body(b"good"),
        _ => Reply::redirect("next?x=1"),
    });
    let wanted = request(&server.url("a"), b"good");
    downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert_eq!(server.seen()[5].target, "/next?x=1");
}

#[test]
fn a_redirect_to_nowhere_is_told() {
    for (reply, reason) in [
        (Reply::status("302 Found"), Redirection::Nowhere),
        (
            Reply::redirect("ftp://example.org/a"),
            Redirection::Elsewhere,
        ),
        (
            Reply::redirect("file:///etc/passwd"),
            Redirection::Elsewhere,
        ),
        (Reply::redirect("http://"), Redirection::Elsewhere),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::start(move |_| reply.clone());
        let error = downloader(cache.path())
            .fetch(&request(&server.url("a"), b"a"), &Quiet)
            .unwrap_err();
        match &failure(&error).reason {
            Reason::Redirect(found) => assert_eq!(*found, reason),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn encryption_is_never_given_up_on_the_way() {
    let from = |url: &str, to: &str| follow(&Url::parse(url).unwrap(), to).map(String::from);
    assert_eq!(
        from("https://a.example/x", "http://a.example/x"),
        Err(Redirection::ToPlain)
    );
    assert_eq!(
        from("http://a.example/x", "https://b.example/y"),
        Ok("https://b.example/y".to_owned())
    );
    assert_eq!(
        from("https://a.example/x", "//b.example/y"),
        Ok("https://b.example/y".to_owned())
    );
    for to in ["file:///x", "data:,x", "javascript:x"] {
        assert_eq!(from("http://a.example/x", to), Err(Redirection::Elsewhere));
    }
}

#[test]
fn credentials_stay_with_the_server_that_they_are_for() {
    let from = |url: &str, to: &str| follow(&Url::parse(url).unwrap(), to).map(String::from);
    let url = "http://u:p@a.example/x";
    assert_eq!(from(url, "/y"), Ok("http://u:p@a.example/y".to_owned()));
    for (to, result) in [
        ("http://b.example/y", "http://b.example/y"),
        ("http://a.example:81/y", "http://a.example:81/y"),
        ("https://a.example/y", "https://a.example/y"),
        ("http://v:q@b.example/y", "http://b.example/y"),
        ("http://v:q@a.example/y", "http://u:p@a.example/y"),
    ] {
        assert_eq!(from(url, to), Ok(result.to_owned()));
    }
}
