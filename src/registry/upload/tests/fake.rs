//! A registry of blobs alone, honest where a test wants nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::super::super::script::{Exchange, Head, Reply, Server, sha256};
use crate::registry::Repository;

/// What is done instead of what would be right.
pub(super) enum Fault {
    Reply(Reply),
    /// The connection breaks after so many bytes of the content, which are kept.
    Break(usize),
    /// Everything is done, and the answer does not come.
    Swallow,
}

impl Fault {
    pub(super) fn status(status: u16) -> Self {
        Self::Reply(Reply::status(status))
    }

    /// An answer that names the digest of something else.
    pub(super) fn named(status: u16, content: &[u8]) -> Self {
        let header = format!("Docker-Content-Digest: {}", sha256(content));
        Self::Reply(Reply::status(status).header(&header))
    }
}

#[derive(Default)]
struct State {
    blobs: BTreeSet<String>,
    sizes: BTreeMap<String, usize>,
    sessions: BTreeMap<usize, Vec<u8>>,
    opened: usize,
    /// Requests of each method.
    counts: BTreeMap<String, usize>,
    location: Option<String>,
    minimum: Option<u64>,
    is_silent: bool,
    ports: Option<(String, String)>,
}

type Faults = dyn Fn(&Head, usize) -> Option<Fault> + Send + Sync;

pub(super) struct Fake {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(super) fn honest() -> Self {
        Self::with(|_, _| None)
    }

    /// That does what `faults` says of a request and of how many came before it with the same
    /// method.
    pub(super) fn with(
        faults: impl Fn(&Head, usize) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let faults: Box<Faults> = Box::new(faults);
        let server = Server::start(move |exchange| answer(&shared, &*faults, exchange));
        state.lock().unwrap().ports = Some((server.host(), server.other_host()));
        Self { server, state }
    }

    /// Names the place of uploads so.
    pub(super) fn at(self, location: &str) -> Self {
        self.state.lock().unwrap().location = Some(location.to_owned());
        self
    }

    pub(super) fn minimum(self, bytes: u64) -> Self {
        self.state.lock().unwrap().minimum = Some(bytes);
        self
    }

    /// Names no digest of what it took.
    pub(super) fn silent(self) -> Self {
        self.state.lock().unwrap().is_silent = true;
        self
    }

    pub(super) fn put(&self, body: &[u8]) {
        self.state.lock().unwrap().keep(body);
    }

    pub(super) fn has(&self, body: &[u8]) -> bool {
        let digest = sha256(body).to_string();
        self.state.lock().unwrap().blobs.contains(&digest)
    }

    pub(super) fn open_sessions(&self) -> usize {
        self.state.lock().unwrap().sessions.len()
    }

    pub(super) fn repository(&self) -> Repository {
        self.server.repository("me/app")
    }

    pub(super) fn other(&self, path: &str) -> Repository {
        self.server.repository(path)
    }

    pub(super) fn seen(&self) -> Vec<Head> {
        self.server.seen()
    }

    /// Methods and targets, every digest as `X`.
    pub(super) fn lines(&self) -> Vec<String> {
        self.server
            .lines()
            .into_iter()
            .map(|line| {
                let line = line.replace("%3A", ":");
                match line.split_once("sha256:") {
                    Some((before, after)) => format!("{before}X{}", &after[64..]),
                    None => line,
                }
            })
            .collect()
    }
}

impl State {
    fn keep(&mut self, body: &[u8]) {
        let digest = sha256(body).to_string();
        self.sizes.insert(digest.clone(), body.len());
        self.blobs.insert(digest);
    }

    fn accepted(&self, session: usize) -> Reply {
        let held = self.sessions[&session].len();
        let (host, other) = self.ports.clone().unwrap();
        let location = match &self.location {
            Some(location) => location.replace("HOST", &host).replace("OTHER", &other),
            None => format!("/v2/me/app/blobs/uploads/{session}"),
        };
        let mut reply = Reply::status(202)
            .header(&format!("Location: {location}"))
            .header(&format!("Range: 0-{}", held.saturating_sub(1)));
        if let Some(minimum) = self.minimum {
            reply = reply.header(&format!("OCI-Chunk-Min-Length: {minimum}"));
        }
        reply
    }

    fn begin(&mut self) -> Reply {
        self.opened += 1;
        self.sessions.insert(self.opened, Vec::new());
        self.accepted(self.opened)
    }
}

fn answer(state: &Mutex<State>, faults: &Faults, exchange: &mut Exchange<'_>) -> Reply {
    let head = exchange.head.clone();
    let fault = {
        let mut state = state.lock().unwrap();
        let count = state.counts.entry(head.method.clone()).or_default();
        *count += 1;
        faults(&head, *count - 1)
    };
    let content = match &fault {
        Some(Fault::Break(after)) => exchange.take(*after),
        _ => exchange.content(),
    };
    if let Some(Fault::Reply(reply)) = fault {
        return reply;
    }
    let reply = act(&mut state.lock().unwrap(), &head, &content);
    match fault {
        Some(_) => Reply::hang_up(),
        None => reply,
    }
}

/// Does what is asked.
fn act(state: &mut State, head: &Head, content: &[u8]) -> Reply {
    let path = head.target.strip_prefix("/v2/me/app/").unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let session = path
        .strip_prefix("blobs/uploads/")
        .and_then(|id| id.parse::<usize>().ok());
    match (head.method.as_str(), session) {
        ("HEAD", _) => match state.sizes.get(path.strip_prefix("blobs/").unwrap()) {
            Some(size) => Reply::status(200).header(&format!("Content-Length: {size}")),
            None => Reply::status(404),
        },
        ("POST", _) => state.begin(),
        (_, Some(session)) if !state.sessions.contains_key(&session) => {
            Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown")
        }
        ("GET", Some(session)) => state.accepted(session).with_status(204),
        ("DELETE", Some(session)) => {
            state.sessions.remove(&session);
            Reply::status(204)
        }
        ("PATCH" | "PUT", Some(session)) => {
            let held = state.sessions.get_mut(&session).unwrap();
            let first = head
                .header("content-range")
                .map(|range| range.split_once('-').unwrap().0.parse::<usize>().unwrap());
            if first.is_some_and(|first| first != held.len()) {
                return Reply::status(416);
            }
            held.extend_from_slice(content);
            if head.method == "PATCH" {
                return state.accepted(session);
            }
            let digest = sha256(held).to_string();
            if !query.replace("%3A", ":").ends_with(&digest) {
                return Reply::error(400, "DIGEST_INVALID", "digest invalid");
            }
            let body = state.sessions.remove(&session).unwrap();
            state.keep(&body);
            let reply = Reply::status(201);
            match state.is_silent {
                true => reply,
                false => reply.header(&format!("Docker-Content-Digest: {digest}")),
            }
        }
        (method, _) => panic!("{method} {}", head.target),
    }
}
