//! Builds at the same time with one cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn one_downloads_and_the_other_waits() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(400_000);
    let reply = body.clone();
    let go_on = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go_on);
    let server = Server::start(move |_| {
        wait_until(|| gate.load(Ordering::SeqCst));
        Reply::body(&reply)
    });
    let wanted = request(&server.url(""), &body);
    std::thread::scope(|scope| {
        let fetch = || {
            let downloader = downloader(cache.path());
            downloader.fetch(&wanted, &Quiet).unwrap()
        };
        let threads = [scope.spawn(fetch), scope.spawn(fetch), scope.spawn(fetch)];
        wait_until(|| server.seen().len() == 1);
        // Long enough for the others to ask, if they did.
        std::thread::sleep(Duration::from_millis(100));
        go_on.store(true, Ordering::SeqCst);
        let fetched = threads.map(|thread| thread.join().unwrap());
        assert_eq!(fetched.iter().filter(|file| !file.was_cached).count(), 1);
        for file in &fetched {
            assert_eq!(fs::read(&file.path).unwrap(), body);
        }
    });
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn two_processes_share_a_download() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(400_000);
    let reply = body.clone();
    let go_on = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go_on);
    let server = Server::start(move |_| {
        wait_until(|| gate.load(Ordering::SeqCst));
        Reply::body(&reply)
    });
    let children = [(); 2].map(|()| child(cache.path(), &server.url(""), &body, &[]));
    wait_until(|| server.seen().len() == 1);
    std::thread::sleep(Duration::from_millis(200));
    go_on.store(true, Ordering::SeqCst);
    for child in children {
        assert_eq!(verdict(child), "DOWNLOADED 400000");
    }
    assert_eq!(server.seen().len(), 1);
    assert_eq!(files(cache.path()).len(), 1);
}

#[test]
fn one_that_stands_still_is_not_waited_for() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(100_000);
    let reply = body.clone();
    let server = Server::start(move |seen| match seen.before {
        0 => Reply::body(&reply).stall(50_000),
        _ => Reply::body(&reply),
    });
    let wanted = request(&server.url(""), &body);
    let part = partial_path(cache.path(), &body);
    let mut child = child(cache.path(), &server.url(""), &body, &[]);
    wait_until(|| fs::metadata(&part).is_ok_and(|facts| facts.len() == 50_000));
    let fetched = Downloader::new(impatient(cache.path()))
        .unwrap()
        .fetch(&wanted, &Quiet)
        .unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), body);
    assert_eq!(
        server.seen()[1].header("range"),
        None,
        "the part is the other's"
    );
    assert_eq!(fs::metadata(&part).unwrap().len(), 50_000);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn one_that_fails_leaves_the_download_to_who_waits() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(100_000);
    let reply = body.clone();
    let server = Server::start(move |seen| match seen.before {
        0 => {
            std::thread::sleep(Duration::from_millis(150));
            Reply::status("404 Not Found")
        }
        _ => Reply::body(&reply),
    });
    let wanted = request(&server.url(""), &body);
    std::thread::scope(|scope| {
        let fetch = || downloader(cache.path()).fetch(&wanted, &Quiet);
        let threads = [scope.spawn(fetch), scope.spawn(fetch)];
        let outcomes = threads.map(|thread| thread.join().unwrap());
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    });
    assert_eq!(server.seen().len(), 2);
    assert_eq!(files(cache.path()).len(), 1);
}

#[test]
fn what_killed_builds_left_long_ago_is_swept_away() {
    let cache = tempfile::tempdir().unwrap();
    let partial = cache.path().join("partial");
    fs::create_dir_all(&partial).unwrap();
    let now = std::time::SystemTime::now();
    let hours = |count: u64| now - Duration::from_secs(count * 3600);
    let locked = fs::File::create(partial.join("alone-locked")).unwrap();
    locked.lock().unwrap();
    for (name, modified) in [
        ("alone-old", hours(2)),
        ("alone-young", hours(0)),
        ("abandoned", hours(24 * 8)),
        ("abandoned.from", hours(24 * 8)),
        ("resumable", hours(24 * 2)),
        ("resumable.from", hours(24 * 2)),
    ] {
        let file = fs::File::create(partial.join(name)).unwrap();
        file.set_modified(modified).unwrap();
    }
    locked.set_modified(hours(2)).unwrap();
    let server = Server::start(|_| Reply::body(b"good"));
    let wanted = request(&server.url(""), b"good");
    downloader(cache.path()).fetch(&wanted, &Quiet).unwrap();
    let names: Vec<_> = files(&partial)
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let left = ["alone-locked", "alone-young", "resumable", "resumable.from"];
    assert_eq!(names, left);
}
