//! Downloads that break off and go on.

use proptest::prelude::*;

use super::*;
use crate::download::http::content_range;

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(100_000);
    let reply = body.clone();
    let server = Server::start(move |seen| match seen.before {
        0 => Reply::ranged(seen, &reply, "\"1\"").cut(40_000),
        _ => Reply::ranged(seen, &reply, "\"1\""),
    });
    let wanted = request(&server.url(""), &body);
    let fetched = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].header("range"), Some("bytes=40000-"));
    assert_eq!(seen[1].header("if-range"), Some("\"1\""));
    assert_eq!(server.sent(), 100_000, "no byte came twice");
    assert_eq!(files(cache.path()), std::slice::from_ref(&fetched.path));
}

#[test]
fn what_a_build_left_is_resumed_by_the_next() {
    for wanted in [request as fn(&str, &[u8]) -> Request, unsized_request] {
        let cache = tempfile::tempdir().unwrap();
        let body = content(100_000);
        let reply = body.clone();
        let server = Server::start(move |seen| match seen.before {
            0 => Reply::ranged(seen, &reply, "\"1\"").cut(70_000),
            _ => Reply::ranged(seen, &reply, "\"1\""),
        });
        let wanted = wanted(&server.url("a"), &body);
        let once = Downloader::new(Options {
            attempts: NonZeroU32::MIN,
            ..options(cache.path())
        })
        .unwrap();
        let error = once.fetch(&wanted, &Quiet).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the connection ended after 70000"), "{text}");
        assert_eq!(
            files(cache.path()).len(),
            2,
            "the part and where it came from"
        );
        assert_eq!(once.cached(&wanted.expected), None);
        let told = Told::default();
        let fetched = downloader(cache.path()).fetch(&wanted, &told).unwrap();
        assert_eq!(fs::read(&fetched.path).unwrap(), body);
        assert_eq!(server.seen()[1].header("if-range"), Some("\"1\""));
        assert_eq!(server.sent(), 100_000);
        assert_eq!(told.sum(), 100_000);
        assert_eq!(files(cache.path()), std::slice::from_ref(&fetched.path));
    }
}

#[test]
fn another_mirror_goes_on_with_what_the_first_one_gave() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(100_000);
    let (first, second) = (body.clone(), body.clone());
    let broken = Server::start(move |seen| match seen.before {
        0 => Reply::ranged(seen, &first, "\"here\"").cut(30_000),
        _ => Reply::status("503 Service Unavailable"),
    });
    let good = Server::start(move |seen| Reply::ranged(seen, &second, "\"there\""));
    let wanted = requests(&[broken.url(""), good.url("")], &body);
    let fetched = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    let seen = good.seen();
    assert_eq!(seen[0].header("range"), Some("bytes=30000-"));
    assert_eq!(
        seen[0].header("if-range"),
        None,
        "the tag is another server's"
    );
    assert_eq!(good.sent(), 70_000);
}

#[test]
fn a_server_that_does_not_know_ranges_sends_all_again() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(100_000);
    let reply = body.clone();
    let server = Server::start(move |seen| match seen.before {
        0 => Reply::body(&reply).cut(40_000),
        _ => Reply::body(&reply),
    });
    let wanted = request(&server.url(""), &body);
    let fetched = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    assert_eq!(server.seen()[1].header("range"), Some("bytes=40000-"));
}

#[test]
fn a_file_that_changed_in_between_is_taken_anew() {
    let cache = tempfile::tempdir().unwrap();
    let (old, body) = (vec![1; 100_000], content(100_000));
    let reply = body.clone();
    let server = Server::start(move |seen| match seen.before {
        0 => Reply::ranged(seen, &old, "\"old\"").cut(40_000),
        _ => Reply::ranged(seen, &reply, "\"new\""),
    });
    let wanted = request(&server.url(""), &body);
    let fetched = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].header("if-range"), Some("\"old\""));
}

#[test]
fn a_weak_tag_is_never_said_in_if_range_but_a_date_is() {
    for (headers, said) in [
        (&["ETag: W/\"1\""][..], None),
        (
            &["Last-Modified: Sat, 10 Jun 2023 10:00:00 GMT"],
            Some("Sat, 10 Jun 2023 10:00:00 GMT"),
        ),
        (&[], None),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::start(move |seen| match seen.before {
            0 => headers
                .iter()
                .fold(Reply::body(b"good"), |reply, header| reply.header(header))
                .cut(2),
            _ => Reply::body(b"good"),
        });
        let wanted = request(&server.url(""), b"good");
        downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
        assert_eq!(server.seen()[1].header("range"), Some("bytes=2-"));
        assert_eq!(server.seen()[1].header("if-range"), said);
    }
}

#[test]
fn a_wrong_part_is_thrown_away_and_all_of_it_downloaded_once() {
    for wanted in [request as fn(&str, &[u8]) -> Request, unsized_request] {
        let cache = tempfile::tempdir().unwrap();
        let body = content(100_000);
        let reply = body.clone();
        let server = Server::start(move |seen| Reply::ranged(seen, &reply, "\"1\""));
        leave(cache.path(), &body, &[7; 40_000]);
        let wanted = wanted(&server.url(""), &body);
        let once = Downloader::new(Options {
            attempts: NonZeroU32::MIN,
            ..options(cache.path())
        })
        .unwrap();
        let fetched = once.fetch(&wanted, &Quiet).unwrap();
        assert_eq!(fs::read(&fetched.path).unwrap(), body);
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].header("range"), Some("bytes=40000-"));
        assert_eq!(seen[1].header("range"), None);
        assert_eq!(seen[1].header("cache-control"), Some("no-cache"));
    }
}

#[test]
fn a_wrong_part_and_a_wrong_file_are_an_error_after_two_requests() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(move |seen| Reply::ranged(seen, &content(90_001)[1..], "\"1\""));
    let body = content(90_000);
    leave(cache.path(), &body, &[7; 40_000]);
    let error = downloader(cache.path())
        .fetch(&request(&server.url(""), &body), &Quiet)
        .unwrap_err();
    assert!(error.is_mismatch());
    assert_eq!(server.seen().len(), 2);
    assert!(files(cache.path()).is_empty());
}

#[test]
fn a_part_that_is_the_whole_is_not_asked_for() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(90_000);
    let server = Server::start(|_| Reply::status("404 Not Found"));
    leave(cache.path(), &body, &body);
    let wanted = request(&server.url(""), &body);
    let fetched = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_part_that_no_server_can_go_on_with_is_thrown_away() {
    let body = content(90_000);
    let too_much = [&body[..], b"more"].concat();
    let answers: [fn(&[u8]) -> Reply; 4] = [
        |_| Reply::status("416 Range Not Satisfiable"),
        |body| {
            Reply::body(&body[..50_000])
                .with_status("206 Partial Content")
                .header("Content-Range: bytes 0-49999/90000")
        },
        |body| {
            Reply::body(&body[40_000..])
                .with_status("206 Partial Content")
                .header("Content-Range: bytes 40000-89999/95000")
        },
        |body| Reply::body(&body[40_000..]).with_status("206 Partial Content"),
    ];
    for answer in answers {
        for part in [&body[..40_000], &too_much] {
            let cache = tempfile::tempdir().unwrap();
            leave(cache.path(), &body, part);
            let reply = body.clone();
            let server = Server::start(move |seen| match seen.from() {
                0 => Reply::body(&reply),
                _ => answer(&reply),
            });
            let wanted = request(&server.url(""), &body);
            let fetched = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
            assert_eq!(fs::read(&fetched.path).unwrap(), body);
        }
    }
}

#[test]
fn a_record_that_says_nonsense_only_costs_the_condition() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(90_000);
    leave(cache.path(), &body, &body[..40_000]);
    let record = partial_path(cache.path(), &body).with_extension("from");
    fs::write(record, "{\"url\": 7").unwrap();
    let reply = body.clone();
    let server = Server::start(move |seen| Reply::ranged(seen, &reply, "\"1\""));
    let wanted = request(&server.url(""), &body);
    downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert_eq!(server.sent(), 50_000);
    assert_eq!(server.seen()[0].header("if-range"), None);
}

#[test]
fn a_server_that_stands_still_is_asked_again_for_the_rest() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(100_000);
    let reply = body.clone();
    let server = Server::start(move |seen| match seen.before {
        0 => Reply::ranged(seen, &reply, "\"1\"").stall(60_000),
        _ => Reply::ranged(seen, &reply, "\"1\""),
    });
    let wanted = request(&server.url(""), &body);
    let fetched = Downloader::new(impatient(cache.path()))
        .unwrap()
        .fetch(&wanted, &Quiet)
        .unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    assert_eq!(server.seen()[1].header("range"), Some("bytes=60000-"));
}

#[test]
fn a_server_that_never_goes_on_is_told_apart_from_one_that_breaks_off() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(100_000);
    let reply = body.clone();
    let server = Server::start(move |seen| Reply::ranged(seen, &reply, "\"1\"").stall(0));
    let error = Downloader::new(impatient(cache.path()))
        .unwrap()
        .fetch(&request(&server.url(""), &body), &Quiet)
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("nothing came for 200ms after the first 0 bytes"),
        "{text}"
    );
    assert!(text.contains("(tried 4 times)"), "{text}");
    assert!(files(cache.path()).is_empty());
    // One that accepts a connection and does not even read.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let error = Downloader::new(impatient(cache.path()))
        .unwrap()
        .fetch(&request(&url, &body), &Quiet)
        .unwrap_err();
    let reason = &failure(&error).reason;
    assert!(
        matches!(reason, Reason::Stalled { received: 0, .. }),
        "{error}"
    );
}

#[test]
fn a_killed_download_is_resumed_by_the_next() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(500_000);
    let reply = body.clone();
    let server = Server::start(move |seen| match seen.before {
        0 => Reply::ranged(seen, &reply, "\"1\"").stall(300_000),
        _ => Reply::ranged(seen, &reply, "\"1\""),
    });
    let mut child = child(cache.path(), &server.url("a"), &body, &[]);
    let part = partial_path(cache.path(), &body);
    wait_until(|| fs::metadata(&part).is_ok_and(|facts| facts.len() == 300_000));
    child.kill().unwrap();
    child.wait().unwrap();
    let wanted = request(&server.url("a"), &body);
    let downloader = downloader(cache.path());
    assert_eq!(downloader.cached(&wanted.expected), None);
    let fetched = downloader.fetch(&wanted, &Quiet).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    assert_eq!(server.seen()[1].header("range"), Some("bytes=300000-"));
    assert_eq!(server.sent(), 500_000);
    assert_eq!(files(cache.path()), std::slice::from_ref(&fetched.path));
}

#[test]
fn a_content_range_is_taken_apart_as_the_standard_says() {
    assert_eq!(content_range("bytes 0-9/10"), Some((0, Some(10))));
    assert_eq!(content_range("bytes 42-1233/1234"), Some((42, Some(1234))));
    assert_eq!(content_range("bytes 42-1233/*"), Some((42, None)));
    for bad in [
        "",
        "bytes */1234",
        "bytes 9-0/10",
        "bytes 0-10/10",
        "bits 0-9/10",
        "bytes 0-9",
        "bytes -9/10",
        "bytes 0-99999999999999999999/*",
    ] {
        assert_eq!(content_range(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn any_content_range_is_read_or_refused(text in "(bytes )?[0-9*/ -]{0,30}|\\PC{0,20}") {
        if let Some((first, Some(size))) = content_range(&text) {
            prop_assert!(first < size);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a server does on the way, the file that is given is the one that was asked
    /// for, or none is.
    #[test]
    fn no_script_of_a_server_makes_a_wrong_file(
        script in prop::collection::vec((0..8u8, 0..3000usize), 1..8),
        part in prop::option::of((0..3000usize, any::<bool>())),
        known in any::<bool>(),
    ) {
        let cache = tempfile::tempdir().unwrap();
        let body = content(2500);
        if let Some((length, right)) = part {
            let part = if right { content(length) } else { vec![3; length] };
            leave(cache.path(), &body, &part);
        }
        let reply = body.clone();
        let server = Server::start(move |seen| {
            let (kind, at) = script[seen.before % script.len()];
            let whole = Reply::ranged(seen, &reply[..], "\"1\"");
            match kind {
                0 => Reply::ranged(seen, &reply, &format!("\"{at}\"")),
                1 => whole.cut(at),
                2 => Reply::body(&content(at)),
                3 => Reply::body(&reply).chunked().cut(at),
                4 => Reply::status("503 Service Unavailable"),
                5 => Reply::body(&reply[at.min(2500)..]).with_status("206 Partial Content").header(
                    &format!("Content-Range: bytes {}-2499/2500", at.min(2499)),
                ),
                6 => Reply::body(&vec![9; at]).unannounced(),
                _ => whole,
            }
        });
        let wanted = if known { request } else { unsized_request }(&server.url(""), &body);
        let downloader = downloader(cache.path());
        match downloader.fetch(&wanted, &Quiet) {
            Ok(fetched) => {
                prop_assert_eq!(fs::read(&fetched.path).unwrap(), body);
                prop_assert_eq!(files(cache.path()), std::slice::from_ref(&fetched.path));
            }
            Err(_) => prop_assert_eq!(downloader.cached(&wanted.expected), None),
        }
    }
}
