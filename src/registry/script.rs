//! A server on 127.0.0.1 that answers as a test tells it to.

#![allow(clippy::unwrap_used)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use oci_spec::image::{Descriptor, Digest, DigestAlgorithm, MediaType};

use super::answer::digest_of;
use super::credentials::Anonymous;
use super::{Client, Options, Repository};
use crate::download::Proxy;

/// A request as it came, without its content.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// How many came before it.
    pub(super) before: usize,
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// `PUT /v2/me/app/manifests/1`.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The first byte that is asked for.
    pub(super) fn from(&self) -> usize {
        self.header("range")
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            })
            .unwrap_or(0)
    }
}

/// A request whose content is read as the test wants it.
pub(super) struct Exchange<'a> {
    pub(super) head: Head,
    reader: &'a mut dyn Read,
    left: usize,
}

impl Exchange<'_> {
    /// The next `count` bytes of the content, or as many as there are.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let wanted = count.min(self.left) as u64;
        // A client that goes away in the middle is part of the tests.
        let _ = (&mut *self.reader).take(wanted).read_to_end(&mut bytes);
        self.left -= bytes.len();
        bytes
    }

    /// The rest of the content.
    pub(super) fn content(&mut self) -> Vec<u8> {
        self.take(usize::MAX)
    }
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    cut: Option<usize>,
    is_length_told: bool,
    is_silent: bool,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            cut: None,
            is_length_told: true,
            is_silent: false,
        }
    }

    pub(super) fn body(body: impl AsRef<[u8]>) -> Self {
        Self {
            body: body.as_ref().to_vec(),
            ..Self::status(200)
        }
    }

    /// A manifest of this type.
    pub(super) fn document(media_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self::body(body).header(&format!("Content-Type: {media_type}"))
    }

    /// What registries say when they refuse.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let errors = serde_json::json!({"errors": [{"code": code, "message": message}]});
        Self {
            status,
            ..Self::document("application/json", errors.to_string())
        }
    }

    /// The rest from where the request wants it, if it does.
    pub(super) fn ranged(head: &Head, body: &[u8]) -> Self {
        match head.from() {
            0 => Self::body(body),
            from if from >= body.len() => Self::status(416),
            from => Self {
                status: 206,
                ..Self::body(&body[from..])
            }
            .header(&format!(
                "Content-Range: bytes {from}-{}/{}",
                body.len() - 1,
                body.len()
            )),
        }
    }

    /// Closes the connection without an answer.
    pub(super) fn hang_up() -> Self {
        Self {
            is_silent: true,
            ..Self::status(0)
        }
    }

    pub(super) fn header(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Announces all of the body, and ends after so many bytes.
    pub(super) fn cut(self, after: usize) -> Self {
        Self {
            cut: Some(after),
            ..self
        }
    }

    /// Does not say how long the body is: its end is the connection's.
    pub(super) fn unannounced(self) -> Self {
        Self {
            is_length_told: false,
            ..self
        }
    }
}

type Script = dyn Fn(&mut Exchange<'_>) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Head>>,
    stop: AtomicBool,
}

/// Runs until it is dropped.
pub(super) struct Server {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(
        script: impl Fn(&mut Exchange<'_>) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if state.stop.load(Ordering::SeqCst) {
                    break;
                }
                let state = Arc::clone(&state);
                connections.push(std::thread::spawn(move || {
                    // A client that went away is part of the tests.
                    let _ = serve(&state, &stream);
                }));
            }
            for connection in connections {
                connection.join().unwrap();
            }
        });
        Self {
            port,
            shared,
            thread: Some(thread),
        }
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The same machine by another name.
    pub(super) fn other_host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// A repository there.
    pub(super) fn repository(&self, path: &str) -> Repository {
        Repository {
            host: self.host().parse().unwrap(),
            path: path.to_owned(),
        }
    }

    pub(super) fn seen(&self) -> Vec<Head> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Methods and targets of what came, in order, without `/v2/me/app/`.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen()
            .iter()
            .map(|head| head.line().replace("/v2/me/app/", ""))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let outcome = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            outcome.unwrap();
        }
    }
}

/// Reads of a connection until the server stops.
struct Patient<'a>(&'a TcpStream, &'a AtomicBool);

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.1.load(Ordering::SeqCst) {
            match self.0.read(buffer) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                other => return other,
            }
        }
        Ok(0)
    }
}

fn serve(state: &Shared, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(Patient(stream, &state.stop));
    while let Some(head) = request(state, &mut reader)? {
        let left = head
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let is_head = head.method == "HEAD";
        let mut exchange = Exchange {
            head,
            reader: &mut reader,
            left,
        };
        let reply = (state.script)(&mut exchange);
        if reply.is_silent {
            return Ok(());
        }
        exchange.content();
        let mut head = format!("HTTP/1.1 {} Status\r\n", reply.status);
        for header in &reply.headers {
            head += &format!("{header}\r\n");
        }
        let names_length = reply
            .headers
            .iter()
            .any(|header| header.to_ascii_lowercase().starts_with("content-length"));
        if reply.is_length_told && !names_length {
            head += &format!("Content-Length: {}\r\n", reply.body.len());
        } else if !reply.is_length_told {
            head += "Connection: close\r\n";
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if !is_head {
            let end = reply.cut.unwrap_or(usize::MAX).min(reply.body.len());
            stream.write_all(&reply.body[..end])?;
        }
        if reply.cut.is_some() || !reply.is_length_told {
            return Ok(());
        }
    }
    Ok(())
}

fn request(state: &Shared, reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(first) = line(reader)? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    while let Some(line) = line(reader)?
        && !line.is_empty()
    {
        let (name, value) = line.split_once(':').unwrap();
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut all = state.seen.lock().unwrap();
    let head = Head {
        before: all.len(),
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
    };
    all.push(head.clone());
    Ok(Some(head))
}

fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    Ok((reader.read_line(&mut line)? > 0).then(|| line.trim_end().to_owned()))
}

/// Options that lose no time, and keep to the servers of the test.
pub(super) fn options() -> Options {
    Options {
        backoff: Duration::from_millis(1),
        proxy: Proxy::Direct,
        ..Options::default()
    }
}

pub(super) fn client() -> Client {
    client_with(options())
}

pub(super) fn client_with(options: Options) -> Client {
    Client::new(options, Arc::new(Anonymous))
}

/// Content that is different at each place.
pub(super) fn content(size: usize) -> Vec<u8> {
    (0..size as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    digest_of(&DigestAlgorithm::Sha256, bytes).unwrap()
}

/// The descriptor of a layer with this content.
pub(super) fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::ImageLayerGzip, bytes.len() as u64, sha256(bytes))
}
