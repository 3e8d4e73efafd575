//! What downloads promise, against servers that do what they should not.

#![allow(clippy::unwrap_used)]

mod fetching;
mod latest;
mod proxies;
mod pruning;
mod redirecting;
mod refusing;
mod resuming;
mod server;
mod several;
mod sharing;
mod tls;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use super::*;
use server::{Reply, Server};

/// Content that is different at each place.
fn content(size: usize) -> Vec<u8> {
    (0..size as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// Options that lose no time, and keep to the servers of the test.
fn options(cache: &Path) -> Options {
    Options {
        cache: Some(cache.to_owned()),
        backoff: Duration::from_millis(1),
        stall: Duration::from_secs(30),
        proxy: Proxy::Direct,
        ..Options::default()
    }
}

/// The same, for servers that stand still.
fn impatient(cache: &Path) -> Options {
    Options {
        stall: Duration::from_millis(200),
        ..options(cache)
    }
}

fn downloader(cache: &Path) -> Downloader {
    Downloader::new(options(cache)).unwrap()
}

fn request(url: &str, body: &[u8]) -> Request {
    requests(&[url.to_owned()], body)
}

fn requests(urls: &[String], body: &[u8]) -> Request {
    Request {
        name: "a file".to_owned(),
        urls: urls.to_vec(),
        expected: Expected {
            sha256: Digest::of(body),
            size: Some(body.len() as u64),
        },
    }
}

/// The same file, of which the size is not known.
fn unsized_request(url: &str, body: &[u8]) -> Request {
    let mut request = request(url, body);
    request.expected.size = None;
    request
}

/// The one failure of one URL.
fn failure(error: &DownloadError) -> &Failure {
    match error {
        DownloadError::Failed { failures, .. } if failures.len() == 1 => &failures[0],
        other => panic!("{other}"),
    }
}

fn partial_path(cache: &Path, body: &[u8]) -> PathBuf {
    cache.join("partial").join(Digest::of(body).hex())
}

/// Leaves what a build that was killed would have.
fn leave(cache: &Path, body: &[u8], part: &[u8]) {
    fs::create_dir_all(cache.join("partial")).unwrap();
    fs::write(partial_path(cache, body), part).unwrap();
}

/// The names of all files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[track_caller]
fn wait_until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing happened"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Adds up what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn begin(&self, name: &str, size: Option<u64>) {
        self.0
            .lock()
            .unwrap()
            .push(format!("begin {name} {size:?}"));
    }
    fn advance(&self, bytes: u64) {
        self.0.lock().unwrap().push(bytes.to_string());
    }
    fn end(&self, name: &str) {
        self.0.lock().unwrap().push(format!("end {name}"));
    }
}

impl Told {
    fn sum(&self) -> u64 {
        let told = self.0.lock().unwrap();
        told.iter()
            .filter_map(|line| line.parse::<u64>().ok())
            .sum()
    }
}

/// Downloads one file in another process of this test program: see [`as_a_child`].
fn child(cache: &Path, url: &str, body: &[u8], environment: &[(&str, &str)]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for scheme in ["HTTP", "HTTPS", "ALL", "NO"] {
        command
            .env_remove(format!("{scheme}_PROXY"))
            .env_remove(format!("{scheme}_PROXY").to_lowercase());
    }
    command
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR");
    command
        .args(["--exact", "download::tests::as_a_child", "--nocapture"])
        .env("CHILD_DOWNLOADS", url)
        .env("CHILD_CACHE", cache)
        .env("CHILD_EXPECTS", Digest::of(body).to_string())
        .env("CHILD_SIZE", body.len().to_string())
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The body of the children of the other tests; by itself it has nothing to do.
#[test]
fn as_a_child() {
    let Ok(url) = std::env::var("CHILD_DOWNLOADS") else {
        return;
    };
    let variable = |name| std::env::var(name).unwrap();
    let downloader = Downloader::new(Options {
        proxy: Proxy::Environment,
        attempts: NonZeroU32::MIN,
        ..options(Path::new(&variable("CHILD_CACHE")))
    })
    .unwrap();
    let wanted = Request {
        name: "a file".to_owned(),
        urls: vec![url],
        expected: Expected {
            sha256: variable("CHILD_EXPECTS").parse().unwrap(),
            size: variable("CHILD_SIZE").parse().ok(),
        },
    };
    match downloader.fetch(&wanted, &Quiet) {
        Ok(fetched) => println!("DOWNLOADED {}", fetched.size),
        Err(error) => println!("REFUSED {error}"),
    }
}

/// What a child had to say.
fn verdict(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            line.find("DOWNLOADED")
                .or(line.find("REFUSED"))
                .map(|at| &line[at..])
        })
        .collect()
}
