//! Servers that do not have a file, or another one.

use super::*;
use crate::download::attempts::pause;

#[test]
fn nothing_of_a_wrong_file_is_kept() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(5000);
    let mut wrong = body.clone();
    wrong[2500] ^= 1;
    let reply = wrong.clone();
    let server = Server::start(move |_| Reply::body(&reply));
    for wanted in [
        request(&server.url("a"), &body),
        unsized_request(&server.url("a"), &body),
    ] {
        let before = server.seen().len();
        let error = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap_err();
        assert!(error.is_mismatch() && !error.is_not_found());
        assert_eq!(
            error.to_string(),
            format!(
                "cannot download a file from {}: its hash is {}, but {} was expected: the file was changed on the server or on the way, and is not used",
                server.url("a"),
                Digest::of(&wrong),
                Digest::of(&body),
            )
        );
        assert_eq!(server.seen().len() - before, 1);
        assert!(files(cache.path()).is_empty());
    }
}

#[test]
fn a_server_that_does_not_stop_is_cut_off() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::body(&content(10_000)).endless());
    let wanted = request(&server.url(""), &content(15_000));
    let error = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap_err();
    let reason = &failure(&error).reason;
    assert!(matches!(
        reason,
        Reason::Size {
            expected: 15_000,
            found: None
        }
    ));
    assert!(files(cache.path()).is_empty());

    let small = Downloader::new(Options {
        largest: 20_000,
        ..options(cache.path())
    })
    .unwrap();
    let wanted = unsized_request(&server.url(""), &content(15_000));
    let error = small.fetch(&wanted, &Quiet).unwrap_err();
    let reason = &failure(&error).reason;
    assert!(matches!(reason, Reason::TooLarge { limit: 20_000 }));
    assert!(files(cache.path()).is_empty());
    // What lay in the buffers of two sockets, but not what an endless file would be.
    assert!(server.sent() < 64 << 20);
}

#[test]
fn a_file_of_another_size_is_refused_before_it_comes() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::body(&content(20_000)).stall(0));
    let wanted = request(&server.url(""), &content(15_000));
    let error = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("it has 20000 bytes instead of 15000"),
        "{text}"
    );
    let small = Downloader::new(Options {
        largest: 10_000,
        ..options(cache.path())
    })
    .unwrap();
    let wanted = unsized_request(&server.url(""), &content(20_000));
    let error = small.fetch(&wanted, &Quiet).unwrap_err();
    assert!(
        error.to_string().contains("larger than 10000 bytes"),
        "{error}"
    );
    assert!(files(cache.path()).is_empty());
}

#[test]
fn what_one_server_does_not_have_is_asked_of_the_next() {
    let cache = tempfile::tempdir().unwrap();
    let none = Server::start(|_| Reply::status("404 Not Found"));
    let wrong = Server::start(|_| Reply::body(b"evil"));
    let good = Server::start(|_| Reply::body(b"good"));
    let urls = [none.url("a"), wrong.url("a"), good.url("a")];
    let fetched = downloader(cache.path())
        .fetch(&requests(&urls, b"good"), &Quiet)
        .unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), b"good");
    let counts = [none, wrong, good].map(|server| server.seen().len());
    assert_eq!(counts, [1, 1, 1]);
}

#[test]
fn what_no_server_has_is_told_for_each() {
    let cache = tempfile::tempdir().unwrap();
    let none = Server::start(|_| Reply::status("404 Not Found"));
    let gone = Server::start(|_| Reply::status("410 Gone"));
    let one = request(&none.url("a"), b"a");
    let error = downloader(cache.path()).fetch(&one, &Quiet).unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.url(), Some(&*none.url("a")));
    let text = format!(
        "cannot download a file from {}: 404 Not Found",
        none.url("a")
    );
    assert_eq!(error.to_string(), text);

    let both = requests(&[none.url("a"), gone.url("a")], b"a");
    let error = downloader(cache.path()).fetch(&both, &Quiet).unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        format!(
            "cannot download a file from any of its 2 URLs:\n  from {}: 404 Not Found\n  from {}: 410 Gone",
            none.url("a"),
            gone.url("a")
        )
    );
    let forbidden = Server::start(|_| Reply::status("403 Forbidden"));
    let mixed = requests(&[none.url("a"), forbidden.url("a")], b"a");
    let error = downloader(cache.path()).fetch(&mixed, &Quiet).unwrap_err();
    assert!(!error.is_not_found(), "one of them may have it");
    assert_eq!(forbidden.seen().len(), 1);
}

#[test]
fn a_busy_server_is_asked_again() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| match seen.before {
        0 => Reply::status("503 Service Unavailable").header("Retry-After: 0"),
        1 => Reply::status("429 Too Many Requests"),
        2 => Reply::body(b"good").cut(0),
        _ => Reply::body(b"good"),
    });
    let wanted = request(&server.url(""), b"good");
    downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn a_server_that_always_fails_is_asked_as_often_as_was_said() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::status("500 Internal Server Error"));
    let wanted = request(&server.url("a"), b"good");
    let error = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap_err();
    assert_eq!(server.seen().len(), 4);
    let text = format!(
        "cannot download a file from {}: the server answers 500 Internal Server Error (tried 4 times)",
        server.url("a")
    );
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_server_that_wants_to_be_left_alone_for_an_hour_is() {
    let cache = tempfile::tempdir().unwrap();
    let server =
        Server::start(|_| Reply::status("503 Service Unavailable").header("Retry-After: 3600"));
    let wanted = request(&server.url(""), b"good");
    let error = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap_err();
    assert_eq!(server.seen().len(), 1);
    let text = error.to_string();
    assert!(text.contains("asked again in 3600 s"), "{text}");
}

#[test]
fn each_pause_is_longer_up_to_a_minute_and_at_least_what_the_server_asks_for() {
    let second = Duration::from_secs(1);
    for (attempts, least) in [(1, 1), (2, 2), (3, 4), (4, 8), (20, 60), (u32::MAX, 60)] {
        let pause = pause(second, attempts, None).unwrap();
        let range = second * least..=(second * least * 5 / 4).min(second * 60);
        assert!(range.contains(&pause), "{attempts}: {pause:?}");
    }
    assert_eq!(pause(second, 1, Some(second * 30)), Some(second * 30));
    assert!(pause(second, 4, Some(second)).unwrap() >= second * 8);
    assert_eq!(pause(second, 1, Some(second * 61)), None);
    assert_eq!(pause(Duration::MAX, 7, None), Some(second * 60));
}

#[test]
fn a_host_without_a_server_is_named() {
    let cache = tempfile::tempdir().unwrap();
    // The port was free a moment ago, and is nobody's.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    drop(listener);
    let error = downloader(cache.path())
        .fetch(&request(&url, b"a"), &Quiet)
        .unwrap_err();
    let failure = failure(&error);
    assert!(matches!(failure.reason, Reason::Connect(_)), "{error}");
    assert_eq!(failure.attempts, 4);
    let text = error.to_string();
    assert!(text.contains(&url) && text.contains("refused"), "{text}");
    assert!(!text.contains("error sending request"), "{text}");
}

#[test]
fn what_is_no_url_is_refused_and_the_next_one_tried() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::body(b"good"));
    for bad in [
        "",
        "pool/a.deb",
        "ftp://example.org/a",
        "http://",
        "file://other/a",
    ] {
        let error = downloader(cache.path())
            .fetch(&request(bad, b"good"), &Quiet)
            .unwrap_err();
        assert!(matches!(failure(&error).reason, Reason::Url(_)), "{error}");
    }
    let urls = ["ftp://example.org/a".to_owned(), server.url("")];
    downloader(cache.path())
        .fetch(&requests(&urls, b"good"), &Quiet)
        .unwrap();
    let error = downloader(cache.path())
        .fetch(&requests(&[], b"none"), &Quiet)
        .unwrap_err();
    assert!(matches!(error, DownloadError::NoUrl { .. }));
}

#[test]
fn what_answers_in_another_language_is_no_server() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::body(b"good").with_status("what?"));
    let wanted = request(&server.url(""), b"good");
    let error = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap_err();
    assert!(
        matches!(failure(&error).reason, Reason::Interrupted { .. }),
        "{error}"
    );
    let server = Server::start(|_| Reply::body(b"good").with_status("304 Not Modified"));
    let wanted = request(&server.url(""), b"good");
    let error = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap_err();
    assert!(error.to_string().contains("304"), "{error}");
    let server = Server::start(|_| Reply::body(b"good").with_status("206 Partial Content"));
    let wanted = request(&server.url(""), b"good");
    let error = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap_err();
    assert!(error.to_string().contains("206"), "{error}");
}
