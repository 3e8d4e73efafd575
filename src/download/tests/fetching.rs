//! A file that is there, in all the ways in which a server may deliver it.

use super::*;

#[test]
fn a_file_is_downloaded_verified_and_found_in_the_cache_the_next_time() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(300_000);
    let reply = body.clone();
    let server = Server::start(move |_| Reply::body(&reply));
    let wanted = request(&server.url("pool/a.deb"), &body);
    let first = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert!(!first.was_cached);
    assert_eq!(first.size, 300_000);
    assert_eq!(fs::read(&first.path).unwrap(), body);
    let hex = wanted.expected.sha256.hex();
    let place = cache.path().join("sha256").join(&hex[..2]).join(&hex);
    assert_eq!(first.path, place);
    let again = downloader(cache.path());
    assert_eq!(again.cached(&wanted.expected), Some(place.clone()));
    let second = again.fetch(&wanted, &Quiet).unwrap();
    assert!(second.was_cached);
    assert_eq!(second.path, place);
    assert_eq!(files(cache.path()), [place]);
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].target, "/pool/a.deb");
    let agent = concat!("distrobuild/", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen[0].header("user-agent"), Some(agent));
    assert_eq!(seen[0].header("range"), None);
}

#[test]
fn an_empty_file_is_a_file() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::body(b""));
    for wanted in [
        request(&server.url(""), b""),
        unsized_request(&server.url(""), b""),
    ] {
        let fetched = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
        assert_eq!(fs::read(fetched.path).unwrap(), b"");
    }
}

#[test]
fn a_file_in_chunks_or_without_a_length_is_as_good() {
    let body = content(100_000);
    for form in [Reply::chunked as fn(Reply) -> Reply, Reply::unannounced] {
        for wanted in [request as fn(&str, &[u8]) -> Request, unsized_request] {
            let cache = tempfile::tempdir().unwrap();
            let reply = form(Reply::body(&body));
            let server = Server::start(move |_| reply.clone());
            let wanted = wanted(&server.url(""), &body);
            let fetched = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
            assert_eq!(fs::read(fetched.path).unwrap(), body);
        }
    }
}

#[test]
fn a_compressed_file_stays_compressed_whatever_the_header_says() {
    let cache = tempfile::tempdir().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, b"Package: a\n").unwrap();
    let body = encoder.finish().unwrap();
    let reply = Reply::body(&body).header("Content-Encoding: gzip");
    let server = Server::start(move |_| reply.clone());
    let wanted = request(&server.url("Packages.gz"), &body);
    let fetched = downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), body);
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
}

#[test]
fn files_of_one_server_share_connections() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| Reply::body(seen.target.as_bytes()));
    let downloader = downloader(cache.path());
    for number in 0..30 {
        let name = number.to_string();
        let wanted = request(&server.url(&name), format!("/{name}").as_bytes());
        downloader.fetch(&wanted, &Quiet).unwrap();
    }
    // The client may be a moment late in putting a connection back.
    assert!(server.connections() < 15, "{}", server.connections());
}

#[test]
fn a_damaged_file_of_the_cache_is_downloaded_again() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(5000);
    let reply = body.clone();
    let server = Server::start(move |_| Reply::body(&reply));
    let wanted = request(&server.url(""), &body);
    let downloader = downloader(cache.path());
    let path = downloader.fetch(&wanted, &Quiet).unwrap().path;
    for damaged in [&body[..4999], b"", &[&body[..4999], b"!"].concat()] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(downloader.cached(&wanted.expected), None);
        let mended = downloader.fetch(&wanted, &Quiet).unwrap();
        assert!(!mended.was_cached);
        assert_eq!(fs::read(&path).unwrap(), body);
    }
}

#[test]
fn nothing_is_asked_for_offline() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(5000);
    let reply = body.clone();
    let server = Server::start(move |_| Reply::body(&reply));
    let wanted = request(&server.url(""), &body);
    let offline = Downloader::new(Options {
        offline: true,
        ..options(cache.path())
    })
    .unwrap();
    let error = offline.fetch(&wanted, &Quiet).unwrap_err();
    assert!(error.is_offline() && !error.is_not_found(), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "a file is not in the cache ({}), and nothing is downloaded offline: run the same once without --offline",
            cache.path().display()
        )
    );
    assert_eq!(server.connections(), 0);
    downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    assert!(offline.fetch(&wanted, &Quiet).unwrap().was_cached);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_mirror_in_a_directory_is_read_even_offline() {
    let cache = tempfile::tempdir().unwrap();
    let mirror = tempfile::tempdir().unwrap();
    let body = content(5000);
    fs::write(mirror.path().join("a file+~1.deb"), &body).unwrap();
    let url = format!("file://{}/a%20file+~1.deb", mirror.path().display());
    let offline = Downloader::new(Options {
        offline: true,
        ..options(cache.path())
    })
    .unwrap();
    let fetched = offline.fetch(&request(&url, &body), &Quiet).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    assert!(fetched.path.starts_with(cache.path()));

    let missing = request(&format!("file://{}/b", mirror.path().display()), b"b");
    let error = offline.fetch(&missing, &Quiet).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let directory = request(&format!("file://{}", mirror.path().display()), b"b");
    let error = offline.fetch(&directory, &Quiet).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
    fs::write(mirror.path().join("b"), "c").unwrap();
    let error = offline.fetch(&missing, &Quiet).unwrap_err();
    assert!(error.is_mismatch(), "{error}");
}

#[test]
fn a_cache_that_cannot_be_used_does_not_stop_a_build() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let open = place.path().join("open");
    fs::create_dir(&open).unwrap();
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(&open, everyone).unwrap();
    let server = Server::start(|_| Reply::body(b"body"));
    let wanted = request(&server.url(""), b"body");
    for cache in [file, open] {
        let downloader = downloader(&cache);
        let why = downloader.degraded().unwrap();
        assert!(why.contains(&*cache.to_string_lossy()), "{why}");
        let fetched = downloader.fetch(&wanted, &Quiet).unwrap();
        assert!(downloader.fetch(&wanted, &Quiet).unwrap().was_cached);
        assert!(!fetched.path.starts_with(place.path()));
        drop(downloader);
        assert_eq!(
            fs::read(&fetched.path).unwrap(),
            b"body",
            "it was given away"
        );
        let path = fetched.path.clone();
        drop(fetched);
        assert!(!path.exists());
    }
    assert_eq!(files(place.path()).len(), 1);
}

#[test]
fn what_is_downloaded_is_told_as_it_comes() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(200_000);
    let reply = body.clone();
    let server = Server::start(move |seen| match seen.before {
        0 => Reply::ranged(seen, &reply, "\"1\"").cut(50_000),
        _ => Reply::ranged(seen, &reply, "\"1\""),
    });
    let wanted = request(&server.url(""), &body);
    let downloader = downloader(cache.path());
    let told = Told::default();
    downloader.fetch(&wanted, &told).unwrap();
    assert_eq!(told.sum(), 200_000);
    let lines = told.0.into_inner().unwrap();
    assert_eq!(lines.first().unwrap(), "begin a file Some(200000)");
    assert_eq!(lines.last().unwrap(), "end a file");
    let told = Told::default();
    downloader.fetch(&wanted, &told).unwrap();
    assert!(told.0.into_inner().unwrap().is_empty());
}

#[test]
fn a_file_is_given_to_a_program_that_runs_an_asynchronous_runtime() {
    // The client refuses to wait on a thread that it finds inside of a runtime, so none of
    // it may run on the caller's thread.
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::body(b"good"));
    let told = OnThread::default();
    downloader(cache.path())
        .fetch(&request(&server.url(""), b"good"), &told)
        .unwrap();
    assert_eq!(told.0.lock().unwrap().as_deref(), Some("download"));
}

#[derive(Default)]
struct OnThread(Mutex<Option<String>>);

impl Progress for OnThread {
    fn begin(&self, _: &str, _: Option<u64>) {
        let name = std::thread::current().name().map(str::to_owned);
        *self.0.lock().unwrap() = name;
    }
}
