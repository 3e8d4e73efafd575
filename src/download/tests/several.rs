//! Many files at once.

use std::collections::BTreeSet;

use super::*;

fn many(server: &Server, names: &[&str]) -> Vec<Request> {
    names
        .iter()
        .map(|name| Request {
            name: (*name).to_owned(),
            ..request(&server.url(name), format!("/{name}").as_bytes())
        })
        .collect()
}

#[test]
fn files_come_in_the_order_in_which_they_were_asked_for() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| Reply::body(seen.target.as_bytes()));
    let names: Vec<String> = (0..40)
        .map(|at| "x".repeat(at % 7 + 1) + &at.to_string())
        .collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    // The same file twice is downloaded once.
    names.push(names[3]);
    let wanted = many(&server, &names);
    let fetched = downloader(cache.path()).fetch_all(&wanted, &Quiet).unwrap();
    assert_eq!(fetched.len(), 41);
    for (file, name) in fetched.iter().zip(&names) {
        assert_eq!(fs::read_to_string(&file.path).unwrap(), format!("/{name}"));
    }
    assert_eq!(server.seen().len(), 40);
    let none = downloader(cache.path()).fetch_all(&[], &Quiet).unwrap();
    assert!(none.is_empty());
}

#[test]
fn the_largest_file_is_asked_for_first() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| Reply::body(seen.target.as_bytes()));
    let one_by_one = Downloader::new(Options {
        parallel: NonZeroUsize::MIN,
        ..options(cache.path())
    })
    .unwrap();
    let wanted = many(&server, &["aa", "a", "aaaa", "aaa"]);
    one_by_one.fetch_all(&wanted, &Quiet).unwrap();
    let order: Vec<_> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(order, ["/aaaa", "/aaa", "/aa", "/a"]);
}

#[test]
fn the_first_failure_stops_the_rest() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::status("404 Not Found"));
    let one_by_one = Downloader::new(Options {
        parallel: NonZeroUsize::MIN,
        ..options(cache.path())
    })
    .unwrap();
    let wanted = many(&server, &["aaaa", "aaa", "aa", "a"]);
    let error = one_by_one.fetch_all(&wanted, &Quiet).unwrap_err();
    assert_eq!(server.seen().len(), 1);
    assert!(error.is_not_found());
    assert!(
        error.to_string().starts_with("cannot download aaaa from"),
        "{error}"
    );
}

#[test]
fn a_failure_stops_a_download_that_is_going_on_and_what_came_is_kept() {
    let cache = tempfile::tempdir().unwrap();
    let big = content(1 << 20);
    let (reply, part) = (big.clone(), partial_path(cache.path(), &big));
    let server = Server::start(move |seen| match &*seen.target {
        "/missing" => {
            wait_until(|| fs::metadata(&part).is_ok_and(|facts| facts.len() > 0));
            Reply::status("404 Not Found")
        }
        _ => Reply::body(&reply[..1000]).endless(),
    });
    let wanted = [
        Request {
            // Larger than what comes in the time of the test.
            expected: Expected {
                sha256: Digest::of(&big),
                size: Some(1 << 40),
            },
            ..request(&server.url("big"), &big)
        },
        request(&server.url("missing"), b"a"),
    ];
    let error = downloader(cache.path())
        .fetch_all(&wanted, &Quiet)
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(partial_path(cache.path(), &big).exists());
}

#[test]
fn all_that_is_missing_offline_is_told_up_to_a_bound() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| Reply::body(seen.target.as_bytes()));
    let names: Vec<String> = (10..30).map(|at| format!("file-{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wanted = many(&server, &names);
    let there = downloader(cache.path())
        .fetch_all(&wanted[..5], &Quiet)
        .unwrap();
    let asked = server.seen().len();
    let offline = Downloader::new(Options {
        offline: true,
        ..options(cache.path())
    })
    .unwrap();
    let found = offline.fetch_all(&wanted[..5], &Quiet).unwrap();
    let paths = |fetched: &[Fetched]| -> BTreeSet<PathBuf> {
        fetched.iter().map(|file| file.path.clone()).collect()
    };
    assert_eq!(paths(&found), paths(&there));
    let error = offline.fetch_all(&wanted, &Quiet).unwrap_err();
    assert!(error.is_offline());
    let text = error.to_string();
    assert!(text.starts_with("file-15 is not in the cache"), "{text}");
    assert_eq!(text.lines().count(), 9);
    assert!(text.ends_with("\nand 7 more"), "{text}");
    assert_eq!(server.seen().len(), asked);
}
