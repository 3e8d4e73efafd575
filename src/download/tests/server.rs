//! A server on 127.0.0.1 that does what a test tells it to.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// How many came before it.
    pub(super) before: usize,
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
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

/// What happens after the body's bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Whole,
    Cut,
    Stall,
    Endless,
    Tunnel,
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: &'static str,
    headers: Vec<String>,
    body: Vec<u8>,
    length: Option<usize>,
    chunked: bool,
    end: End,
}

impl Reply {
    pub(super) fn status(status: &'static str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            length: Some(0),
            chunked: false,
            end: End::Whole,
        }
    }

    pub(super) fn body(body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            length: Some(body.len()),
            ..Self::status("200 OK")
        }
    }

    /// As a server that knows ranges answers, with this entity tag.
    pub(super) fn ranged(seen: &Seen, body: &[u8], tag: &str) -> Self {
        let from = seen.from();
        let same = seen.header("if-range").is_none_or(|wanted| wanted == tag);
        let reply = if from >= body.len() && from > 0 && same {
            Self::status("416 Range Not Satisfiable")
        } else if from > 0 && same {
            Self {
                status: "206 Partial Content",
                ..Self::body(&body[from..])
            }
            .header(&format!(
                "Content-Range: bytes {from}-{}/{}",
                body.len() - 1,
                body.len()
            ))
        } else {
            Self::body(body)
        };
        reply.header(&format!("ETag: {tag}"))
    }

    pub(super) fn redirect(to: &str) -> Self {
        Self::status("302 Found").header(&format!("Location: {to}"))
    }

    pub(super) fn header(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }

    pub(super) fn with_status(self, status: &'static str) -> Self {
        Self { status, ..self }
    }

    /// Announces all, and ends after so many bytes.
    pub(super) fn cut(mut self, after: usize) -> Self {
        self.body.truncate(after);
        self.end = End::Cut;
        self
    }

    /// Announces all, and sends no more after so many bytes.
    pub(super) fn stall(mut self, after: usize) -> Self {
        self.body.truncate(after);
        self.end = End::Stall;
        self
    }

    pub(super) fn chunked(self) -> Self {
        Self {
            chunked: true,
            length: None,
            ..self
        }
    }

    /// Does not say how long the body is: its end is the connection's.
    pub(super) fn unannounced(self) -> Self {
        Self {
            length: None,
            end: End::Cut,
            ..self
        }
    }

    /// Sends the body again and again.
    pub(super) fn endless(self) -> Self {
        Self {
            length: None,
            end: End::Endless,
            ..self
        }
    }

    /// Connects to where the request's target says, and passes bytes on (CONNECT).
    pub(super) fn tunnel() -> Self {
        Self {
            length: None,
            end: End::Tunnel,
            ..Self::status("200 Connected")
        }
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    sent: AtomicU64,
    connections: AtomicU64,
    stop: AtomicBool,
}

/// Runs until it is dropped.
pub(super) struct Server {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            sent: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if state.stop.load(Ordering::SeqCst) {
                    break;
                }
                state.connections.fetch_add(1, Ordering::SeqCst);
                let state = Arc::clone(&state);
                connections.push(std::thread::spawn(move || {
                    // A client that went away is part of the tests.
                    let _ = serve(&state, stream);
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

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.host())
    }

    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Bytes of bodies that were sent.
    pub(super) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    pub(super) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
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

fn serve(state: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(seen) = request(state, &mut reader)? {
        let reply = (state.script)(&seen);
        let mut head = format!("HTTP/1.1 {}\r\n", reply.status);
        for header in &reply.headers {
            head += &format!("{header}\r\n");
        }
        if reply.chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else if let Some(length) = reply.length {
            head += &format!("Content-Length: {length}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        for part in reply.body.chunks(10_000) {
            if reply.chunked {
                stream.write_all(format!("{:x}\r\n", part.len()).as_bytes())?;
            }
            stream.write_all(part)?;
            if reply.chunked {
                stream.write_all(b"\r\n")?;
            }
            state.sent.fetch_add(part.len() as u64, Ordering::SeqCst);
        }
        if reply.chunked && reply.end == End::Whole {
            stream.write_all(b"0\r\n\r\n")?;
        }
        match reply.end {
            End::Whole => {}
            End::Cut => return Ok(()),
            End::Stall => {
                // Until the client goes away.
                while line(state, &mut reader)?.is_some() {}
                return Ok(());
            }
            End::Endless => {
                while !state.stop.load(Ordering::SeqCst) {
                    stream.write_all(&reply.body)?;
                    state
                        .sent
                        .fetch_add(reply.body.len() as u64, Ordering::SeqCst);
                }
                return Ok(());
            }
            End::Tunnel => return tunnel(state, stream, &seen.target),
        }
    }
    Ok(())
}

fn tunnel(state: &Shared, client: TcpStream, to: &str) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    server.set_read_timeout(Some(Duration::from_millis(20)))?;
    std::thread::scope(|scope| {
        scope.spawn(|| pass_on(state, &client, &server));
        pass_on(state, &server, &client);
    });
    Ok(())
}

fn pass_on(state: &Shared, mut from: &TcpStream, mut to: &TcpStream) {
    let mut buffer = [0; 4096];
    while !state.stop.load(Ordering::SeqCst) {
        match io::Read::read(&mut from, &mut buffer) {
            Ok(0) => break,
            Ok(count) if to.write_all(&buffer[..count]).is_ok() => {}
            Err(error) if is_pause(&error) => {}
            _ => break,
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

fn request(state: &Shared, reader: &mut BufReader<TcpStream>) -> io::Result<Option<Seen>> {
    let Some(first) = line(state, reader)? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    while let Some(line) = line(state, reader)?
        && !line.is_empty()
    {
        let (name, value) = line.split_once(':').unwrap();
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut all = state.seen.lock().unwrap();
    let seen = Seen {
        before: all.len(),
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
    };
    all.push(seen.clone());
    Ok(Some(seen))
}

/// The next line, or `None` when there is none or the server stops.
fn line(state: &Shared, reader: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    while !state.stop.load(Ordering::SeqCst) {
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {
                let line = String::from_utf8_lossy(&line);
                return Ok(Some(line.trim_end().to_owned()));
            }
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
