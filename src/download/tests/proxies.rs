//! Proxies, as the environment or the options name them.

use super::*;

#[test]
fn a_proxy_is_asked_in_the_place_of_the_server() {
    let cache = tempfile::tempdir().unwrap();
    let proxy = Server::start(|_| Reply::body(b"good"));
    let downloader = Downloader::new(Options {
        proxy: Proxy::Url(format!("http://user:secret@{}", proxy.host())),
        ..options(cache.path())
    })
    .unwrap();
    // The name does not exist (RFC 2606): only a proxy can answer for it.
    let url = "http://mirror.invalid/pool/a.deb";
    downloader.fetch(&request(url, b"good"), &Quiet).unwrap();
    let seen = proxy.seen();
    assert_eq!(seen[0].target, url);
    assert!(seen[0].header("proxy-authorization").is_some());
    assert_eq!(seen[0].header("authorization"), None);
}

#[test]
fn the_variables_of_the_environment_name_proxies() {
    let proxy = Server::start(|_| Reply::body(b"good"));
    let server = Server::start(|_| Reply::body(b"good"));
    let there = format!("http://{}", proxy.host());
    let [far, near] = ["http://mirror.invalid/a".to_owned(), server.url("a")];
    for (url, environment, asked) in [
        (&far, &[("HTTP_PROXY", &*there)][..], 1),
        (&far, &[("http_proxy", &there)], 1),
        (&far, &[("ALL_PROXY", &there)], 1),
        (&near, &[("HTTP_PROXY", &there)], 1),
        (&near, &[("HTTPS_PROXY", &there)], 0),
        (
            &near,
            &[("HTTP_PROXY", &there), ("NO_PROXY", "127.0.0.0/8")],
            0,
        ),
        (&near, &[("ALL_PROXY", &there), ("NO_PROXY", "*")], 0),
        (&near, &[], 0),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let before = proxy.seen().len();
        let verdict = verdict(child(cache.path(), url, b"good", environment));
        assert_eq!(verdict, "DOWNLOADED 4", "{url} {environment:?}");
        assert_eq!(proxy.seen().len() - before, asked, "{url} {environment:?}");
    }
}

#[test]
fn a_proxy_that_wants_credentials_or_is_not_there_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let proxy = Server::start(|_| Reply::status("407 Proxy Authentication Required"));
    let through = |url: &str, proxy: &str| {
        let downloader = Downloader::new(Options {
            proxy: Proxy::Url(proxy.to_owned()),
            ..options(cache.path())
        })
        .unwrap();
        downloader.fetch(&request(url, b"a"), &Quiet).unwrap_err()
    };
    let there = format!("http://{}", proxy.host());
    for scheme in ["http", "https"] {
        let error = through(&format!("{scheme}://mirror.invalid/a"), &there);
        assert!(
            matches!(failure(&error).reason, Reason::Proxy(_)),
            "{error}"
        );
        assert!(error.to_string().contains("HTTP_PROXY"), "{error}");
    }
    assert_eq!(proxy.seen().last().unwrap().method, "CONNECT");
    assert_eq!(proxy.seen().last().unwrap().target, "mirror.invalid:443");
    drop(proxy);
    let error = through("http://mirror.invalid/a", &there);
    assert!(
        matches!(failure(&error).reason, Reason::Proxy(_)),
        "{error}"
    );
    let error = through("http://mirror.invalid/a", "no proxy");
    assert!(
        matches!(failure(&error).reason, Reason::Client(_)),
        "{error}"
    );
    assert!(!error.to_string().contains("secret"), "{error}");

    let verdict = verdict(child(
        cache.path(),
        "http://mirror.invalid/a",
        b"a",
        &[("HTTP_PROXY", &there)],
    ));
    assert!(verdict.contains("(HTTP_PROXY names a proxy)"), "{verdict}");
}

#[test]
fn the_password_of_a_proxy_is_not_in_what_is_printed_of_options() {
    for url in [
        "http://me:hunter2@proxy.example:3128",
        "me:hunter2@proxy.example:3128",
    ] {
        let options = Options {
            proxy: Proxy::Url(url.to_owned()),
            ..Options::default()
        };
        let shown = format!("{options:?}");
        assert!(shown.contains("proxy.example:3128"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
