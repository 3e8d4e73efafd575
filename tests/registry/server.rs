//! A registry on 127.0.0.1 that follows the distribution spec 1.1, and that fails in the way that
//! a test asks for.
//!
//! | file | what it holds |
//! |---|---|
//! | `wire.rs` | requests and answers of HTTP/1.1, plain or encrypted |
//! | `auth.rs` | Basic, Bearer, and the token service |
//! | `content.rs` | blobs, manifests and tags, as they are kept |
//! | `routes.rs` `uploads.rs` | the API |
//! | `fault.rs` | what goes wrong |

pub(crate) mod auth;
pub(crate) mod content;
pub(crate) mod fault;
mod routes;
mod serve;
pub(crate) mod tls;
mod uploads;
mod wire;

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

pub(crate) use auth::{Auth, TokenService};
pub(crate) use content::{Content, digest};
pub(crate) use fault::{Act, Fault};

/// The most connections at once; more are closed.
const MOST_CONNECTIONS: usize = 64;

/// How the URLs of upload sessions look, which the spec leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    /// `http://HOST/v2/…`
    Absolute,
    /// `/v2/…`
    Path,
    /// `ID`, beside the URL that was asked.
    Relative,
    /// `/v2/…?_state=…`, another one in each answer; only the newest is taken.
    Query,
}

/// What kind of registry it is.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) auth: Auth,
    /// Whose tokens are given out at `/token`.
    pub(crate) tokens: Option<Arc<TokenService>>,
    pub(crate) tls: bool,
    /// Whether HEAD is known.
    pub(crate) head: bool,
    /// Whether parts of blobs can be asked for.
    pub(crate) ranges: bool,
    pub(crate) mounts: bool,
    /// Whether there is the referrers API.
    pub(crate) referrers: bool,
    pub(crate) location: Location,
    /// How many tags a page has.
    pub(crate) page: usize,
    /// Each page of tags says that it follows itself.
    pub(crate) link_loops: bool,
    /// The longest body that is taken (413).
    pub(crate) longest: Option<u64>,
    /// The smallest part of an upload but its last (`OCI-Chunk-Min-Length`).
    pub(crate) chunk: Option<u64>,
    /// Whether what came of a body that broke off is kept.
    pub(crate) keeps: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            tokens: None,
            tls: false,
            head: true,
            ranges: true,
            mounts: true,
            referrers: true,
            location: Location::Path,
            page: 100,
            link_loops: false,
            longest: None,
            chunk: None,
            keeps: true,
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    /// Bytes of its body that were read.
    pub(crate) body: u64,
    /// What it was answered with; 0 when it was not.
    pub(crate) status: u16,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it told who asks.
    pub(crate) fn is_authorized(&self) -> bool {
        self.header("authorization").is_some()
    }

    /// `GET /v2/`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What was seen.
#[derive(Default)]
struct Log {
    /// How many requests came before the first of these.
    forgotten: usize,
    seen: Vec<Seen>,
}

struct Shared {
    settings: Settings,
    port: u16,
    content: Mutex<Content>,
    faults: Mutex<Vec<Fault>>,
    log: Mutex<Log>,
    connections: Mutex<BTreeMap<u64, TcpStream>>,
    stop: AtomicBool,
}

impl Shared {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    fn url(&self) -> String {
        let scheme = if self.settings.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

/// Runs until it is dropped.
pub(crate) struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// One that lets everybody do everything, and never fails.
    pub(crate) fn start() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            port: listener.local_addr().unwrap().port(),
            settings,
            content: Mutex::default(),
            faults: Mutex::default(),
            log: Mutex::default(),
            connections: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        Self {
            thread: Some(std::thread::spawn(move || accept(&listener, &state))),
            shared,
        }
    }

    /// One that wants this name and password.
    pub(crate) fn with_basic(username: &str, password: &str) -> Self {
        Self::with(Settings {
            auth: Auth::Basic {
                username: username.to_owned(),
                password: password.to_owned(),
            },
            ..Settings::default()
        })
    }

    /// One that wants tokens of `service`, which it gives out itself.
    pub(crate) fn with_tokens(service: &Arc<TokenService>) -> Self {
        Self::with(Settings {
            auth: Auth::Bearer { realm: None },
            tokens: Some(Arc::clone(service)),
            ..Settings::default()
        })
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.shared.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.shared.port
    }

    /// Where it is, with the scheme and without a slash at the end.
    pub(crate) fn url(&self) -> String {
        self.shared.url()
    }

    /// Lets something go wrong. Of several faults for one request the first is taken.
    pub(crate) fn arm(&self, fault: Fault) {
        self.shared.faults.lock().unwrap().push(fault);
    }

    /// Lets nothing go wrong any more.
    pub(crate) fn disarm(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// What it holds.
    pub(crate) fn content(&self) -> MutexGuard<'_, Content> {
        self.shared.content()
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.log.lock().unwrap().seen.clone()
    }

    /// The requests of this method (`*` for any) whose target has `part` in it.
    pub(crate) fn seen_of(&self, method: &str, part: &str) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| (method == "*" || seen.method == method) && seen.target.contains(part));
        seen
    }

    /// Forgets what it has seen.
    pub(crate) fn forget(&self) {
        let mut log = self.shared.log.lock().unwrap();
        log.forgotten += log.seen.len();
        log.seen.clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.shared.port));
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for number in 0.. {
        let Ok((stream, _)) = listener.accept() else {
            break;
        };
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        {
            let mut connections = shared.connections.lock().unwrap();
            if connections.len() >= MOST_CONNECTIONS {
                continue;
            }
            connections.insert(number, stream.try_clone().unwrap());
        }
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || {
            // A client that goes away is a part of the tests.
            let _ = serve::connection(&shared, stream);
            let ended = shared.connections.lock().unwrap().remove(&number);
            if let Some(stream) = ended {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }));
    }
    // Ends those that wait for a client.
    for stream in shared.connections.lock().unwrap().values() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    let panicked = threads
        .into_iter()
        .filter_map(|thread| thread.join().err())
        .count();
    assert_eq!(panicked, 0, "the registry of this test panicked");
}
