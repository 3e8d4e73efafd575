//! What a cache holds, and making it smaller.

use std::time::SystemTime;

use super::*;

#[test]
fn what_was_not_used_for_the_longest_time_goes_first() {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(
        summary(&cache.path().join("none")).unwrap(),
        Summary::default()
    );
    let server = Server::start(|seen| Reply::body(seen.target.as_bytes()));
    let downloader = downloader(cache.path());
    let wanted = ["a", "b", "c"].map(|name| {
        let body = format!("/{name}");
        request(&server.url(name), body.as_bytes())
    });
    for (wanted, days) in wanted.iter().zip([3_u64, 2, 1]) {
        let path = downloader.fetch(wanted, &Quiet).unwrap().path;
        let used = SystemTime::now() - Duration::from_secs(days * 86_400);
        fs::File::open(path).unwrap().set_modified(used).unwrap();
    }
    downloader
        .latest(&server.url("latest"), 100)
        .unwrap()
        .keep()
        .unwrap();
    let held = summary(cache.path()).unwrap();
    assert_eq!(held.files, 4);
    // A use makes the oldest the youngest.
    assert!(downloader.cached(&wanted[0].expected).is_some());
    assert_eq!(prune(cache.path(), held.bytes).unwrap(), 0);
    assert_eq!(prune(cache.path(), held.bytes - 1).unwrap(), 2);
    assert_eq!(downloader.cached(&wanted[1].expected), None);
    assert!(downloader.cached(&wanted[2].expected).is_some());
    assert_eq!(prune(cache.path(), 0).unwrap(), held.bytes - 2);
    assert_eq!(summary(cache.path()).unwrap(), Summary::default());
}

#[test]
fn what_a_build_uses_stays() {
    let cache = tempfile::tempdir().unwrap();
    let body = content(10_000);
    let reply = body.clone();
    let server = Server::start(move |seen| match &*seen.target {
        "/slow" => Reply::body(&reply).stall(5000),
        _ => Reply::body(seen.target.as_bytes()),
    });
    let downloader = downloader(cache.path());
    let wanted = request(&server.url("a"), b"/a");
    let downloaded = downloader.fetch(&wanted, &Quiet).unwrap();
    assert_eq!(prune(cache.path(), 0).unwrap(), 0);
    let cached = downloader.fetch(&wanted, &Quiet).unwrap();
    drop(downloaded);
    assert_eq!(prune(cache.path(), 0).unwrap(), 0);
    assert_eq!(fs::read(&cached.path).unwrap(), b"/a");

    let part = partial_path(cache.path(), &body);
    let mut child = child(cache.path(), &server.url("slow"), &body, &[]);
    wait_until(|| fs::metadata(&part).is_ok_and(|facts| facts.len() == 5000));
    prune(cache.path(), 0).unwrap();
    assert!(part.exists(), "it is being written");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(cached);
    prune(cache.path(), 0).unwrap();
    assert!(files(cache.path()).is_empty());
}
