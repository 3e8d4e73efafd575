//! Files of which no hash is known.

use super::*;

fn offline(cache: &Path) -> Downloader {
    Downloader::new(Options {
        offline: true,
        ..options(cache)
    })
    .unwrap()
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let cache = tempfile::tempdir().unwrap();
    let date = "Sat, 10 Jun 2023 10:00:00 GMT";
    let server = Server::start(move |seen| match seen.header("if-none-match") {
        Some("\"1\"") => Reply::status("304 Not Modified"),
        _ => Reply::body(b"Suite: x\n")
            .header("ETag: \"1\"")
            .header(&format!("Last-Modified: {date}")),
    });
    let url = server.url("dists/x/InRelease");
    let first = downloader(cache.path()).latest(&url, 1000).unwrap();
    assert!(!first.was_kept);
    first.keep().unwrap();
    let second = downloader(cache.path()).latest(&url, 1000).unwrap();
    assert!(second.was_kept);
    assert_eq!(second.bytes, b"Suite: x\n");
    second.keep().unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].header("if-none-match"), None);
    assert_eq!(seen[1].header("if-none-match"), Some("\"1\""));
    assert_eq!(seen[1].header("if-modified-since"), Some(date));
    assert_eq!(seen[1].header("cache-control"), Some("max-age=0"));
    assert_eq!(server.sent(), 9);
}

#[test]
fn what_has_changed_is_given_and_replaces_what_was_kept() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| {
        Reply::body(format!("number {}", seen.before).as_bytes())
            .header(&format!("ETag: \"{}\"", seen.before))
    });
    let url = server.url("InRelease");
    for number in 0..3 {
        let latest = downloader(cache.path()).latest(&url, 1000).unwrap();
        assert_eq!(latest.bytes, format!("number {number}").as_bytes());
        latest.keep().unwrap();
    }
    assert_eq!(server.seen()[2].header("if-none-match"), Some("\"1\""));
    let kept = offline(cache.path()).latest(&url, 1000).unwrap();
    assert!(kept.was_kept);
    assert_eq!(kept.bytes, b"number 2");
    assert_eq!(server.seen().len(), 3);
    assert_eq!(files(cache.path()).len(), 1);
}

#[test]
fn nothing_is_kept_that_was_not_verified() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::body(b"evil").header("ETag: \"1\""));
    let url = server.url("InRelease");
    downloader(cache.path()).latest(&url, 1000).unwrap();
    assert!(files(cache.path()).is_empty());
    let error = offline(cache.path()).latest(&url, 1000).unwrap_err();
    assert!(error.is_offline());
    assert!(error.to_string().contains(&url), "{error}");
    downloader(cache.path()).latest(&url, 1000).unwrap();
    assert_eq!(server.seen()[1].header("if-none-match"), None);
}

#[test]
fn a_damaged_one_is_not_used() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::body(b"Suite: x\n").header("ETag: \"1\""));
    let url = server.url("InRelease");
    downloader(cache.path())
        .latest(&url, 1000)
        .unwrap()
        .keep()
        .unwrap();
    let [file] = &files(cache.path())[..] else {
        panic!("one file is kept");
    };
    let whole = fs::read(file).unwrap();
    for damage in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[damage] ^= 4;
        fs::write(file, &damaged).unwrap();
        if let Ok(latest) = offline(cache.path()).latest(&url, 1000) {
            assert_eq!(latest.bytes, b"Suite: x\n", "at {damage}");
        }
        fs::write(file, &whole[..damage]).unwrap();
        let error = offline(cache.path()).latest(&url, 1000).unwrap_err();
        assert!(error.is_offline(), "{error}");
    }
    fs::write(file, "").unwrap();
    let latest = downloader(cache.path()).latest(&url, 1000).unwrap();
    assert_eq!(latest.bytes, b"Suite: x\n");
    assert_eq!(server.seen()[1].header("if-none-match"), None);
}

#[test]
fn the_limit_holds_whatever_the_server_says() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| match &*seen.target {
        "/announced" => Reply::body(&content(1001)),
        "/chunked" => Reply::body(&content(1001)).chunked(),
        "/exact" => Reply::body(&content(1000)),
        _ => Reply::body(&content(1000)).endless(),
    });
    for name in ["announced", "chunked", "endless"] {
        let error = downloader(cache.path())
            .latest(&server.url(name), 1000)
            .unwrap_err();
        let reason = &failure(&error).reason;
        assert!(
            matches!(reason, Reason::TooLarge { limit: 1000 }),
            "{error}"
        );
    }
    let exact = downloader(cache.path()).latest(&server.url("exact"), 1000);
    assert_eq!(exact.unwrap().bytes, content(1000));
}

#[test]
fn it_is_asked_for_again_when_it_breaks_off_and_told_when_it_is_not_there() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| match (&*seen.target, seen.before) {
        ("/missing", _) => Reply::status("404 Not Found"),
        (_, 0) => Reply::status("502 Bad Gateway"),
        (_, 1) => Reply::body(b"Suite: x\n").cut(4),
        _ => Reply::body(b"Suite: x\n"),
    });
    let latest = downloader(cache.path()).latest(&server.url("InRelease"), 1000);
    assert_eq!(latest.unwrap().bytes, b"Suite: x\n");
    assert_eq!(server.seen().len(), 3);
    let url = server.url("missing");
    let error = downloader(cache.path()).latest(&url, 1000).unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.url(), Some(&*url));
    assert_eq!(
        error.to_string(),
        format!("cannot download missing from {url}: 404 Not Found")
    );
}

#[test]
fn one_of_a_directory_is_read_each_time() {
    let cache = tempfile::tempdir().unwrap();
    let mirror = tempfile::tempdir().unwrap();
    let file = mirror.path().join("InRelease");
    let url = format!("file://{}", file.display());
    for text in ["one", "two"] {
        fs::write(&file, text).unwrap();
        let latest = offline(cache.path()).latest(&url, 3).unwrap();
        assert_eq!(latest.bytes, text.as_bytes());
        assert!(!latest.was_kept);
        latest.keep().unwrap();
    }
    fs::write(&file, "four").unwrap();
    let error = offline(cache.path()).latest(&url, 3).unwrap_err();
    assert!(matches!(failure(&error).reason, Reason::TooLarge { .. }));
    fs::remove_file(&file).unwrap();
    let kept = offline(cache.path()).latest(&url, 3).unwrap();
    assert!(kept.was_kept);
    assert_eq!(kept.bytes, b"two");
    let online = downloader(cache.path()).latest(&url, 3).unwrap_err();
    assert!(online.is_not_found());
}
