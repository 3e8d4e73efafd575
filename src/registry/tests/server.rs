//! A server on 127.0.0.1 that does what a test tells it to, encrypted or not.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificate::{CERTIFICATE, KEY};
use super::reply::{End, Reply, Take};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// How many came before it.
    pub(super) before: usize,
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    /// What of its body was read.
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }

    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What a server without TLS does when it is asked for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ToTls {
    Answer,
    Close,
    Wait,
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicU64,
    hellos: AtomicU64,
    sent: AtomicU64,
    stop: AtomicBool,
    to_tls: ToTls,
    tls: Option<Arc<ServerConfig>>,
}

/// Runs until it is dropped.
pub(super) struct Server {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::run(Box::new(script), ToTls::Answer, None)
    }

    pub(super) fn plain(
        to_tls: ToTls,
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::run(Box::new(script), to_tls, None)
    }

    pub(super) fn encrypting(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::run(Box::new(script), ToTls::Answer, Some(Arc::new(config)))
    }

    fn run(script: Box<Script>, to_tls: ToTls, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            script,
            seen: Mutex::default(),
            connections: AtomicU64::new(0),
            hellos: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            to_tls,
            tls,
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
                    let _ = begin(&state, stream);
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

    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The same server by a name that is not taken for this machine's.
    pub(super) fn far(&self) -> String {
        format!("0.0.0.0:{}", self.port)
    }

    pub(super) fn url(&self, path: &str) -> String {
        let scheme = match self.shared.tls {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}{path}", self.host())
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub(super) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How often it was asked for TLS, which it does not speak.
    pub(super) fn hellos(&self) -> u64 {
        self.shared.hellos.load(Ordering::SeqCst)
    }

    /// Bytes of bodies that were sent.
    pub(super) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
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

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn begin(state: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    stream.set_write_timeout(Some(Duration::from_millis(20)))?;
    stream.set_nodelay(true)?;
    let Some(config) = &state.tls else {
        let mut first = [0];
        if patient(state, || stream.peek(&mut first))? == 0 {
            return Ok(());
        }
        if first[0] != 0x16 {
            return serve(state, Box::new(stream));
        }
        state.hellos.fetch_add(1, Ordering::SeqCst);
        return match state.to_tls {
            ToTls::Close => Ok(()),
            ToTls::Answer => {
                (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
                swallow(state, &mut &stream)
            }
            ToTls::Wait => swallow(state, &mut &stream),
        };
    };
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    serve(state, Box::new(StreamOwned::new(connection, stream)))
}

fn serve(state: &Shared, stream: Box<dyn Stream>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some((at, seen)) = head(state, &mut stream)? {
        let reply = (state.script)(&seen);
        let length = seen
            .header("content-length")
            .map_or(0, |length| length.parse::<usize>().unwrap());
        let most = match reply.take {
            Take::All | Take::Slowly(..) => length,
            Take::Early(most) | Take::Stall(most) | Take::Cut(most) => most.min(length),
        };
        let mut have = 0;
        let mut buffer = vec![0; 64 << 10];
        while have < most {
            let size = match reply.take {
                Take::Slowly(size, pause) => {
                    std::thread::sleep(pause);
                    size
                }
                _ => buffer.len(),
            };
            let size = size.min(most - have).min(buffer.len());
            let count = patient(state, || stream.read(&mut buffer[..size]))?;
            if count == 0 {
                return Ok(());
            }
            have += count;
            state.seen.lock().unwrap()[at]
                .body
                .extend_from_slice(&buffer[..count]);
        }
        match reply.take {
            Take::Cut(_) => return Ok(()),
            Take::Stall(_) => return idle(state),
            _ => {}
        }
        let mut text = format!("HTTP/1.1 {} Whatever\r\n", reply.status);
        for header in &reply.headers {
            text += &format!("{header}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n", reply.length);
        send(state, &mut stream, text.as_bytes())?;
        if seen.method == "HEAD" {
            continue;
        }
        if reply.end == End::Trickle {
            for byte in &reply.body {
                if state.stop.load(Ordering::SeqCst) {
                    return Ok(());
                }
                send(state, &mut stream, &[*byte])?;
                std::thread::sleep(Duration::from_millis(50));
            }
            continue;
        }
        send(state, &mut stream, &reply.body)?;
        state
            .sent
            .fetch_add(reply.body.len() as u64, Ordering::SeqCst);
        match reply.end {
            End::Cut => return Ok(()),
            End::Stall => return swallow(state, &mut stream),
            End::Endless => {
                while !state.stop.load(Ordering::SeqCst) {
                    send(state, &mut stream, &reply.body)?;
                    state
                        .sent
                        .fetch_add(reply.body.len() as u64, Ordering::SeqCst);
                }
                return Ok(());
            }
            End::Whole | End::Trickle => {}
        }
        if matches!(reply.take, Take::Early(_)) && have < length {
            return idle(state);
        }
    }
    Ok(())
}

/// Reads nothing, until the test ends.
fn idle(state: &Shared) -> io::Result<()> {
    while !state.stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Until the client goes away.
fn swallow(state: &Shared, stream: &mut dyn Read) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while patient(state, || stream.read(&mut buffer))? > 0 {}
    Ok(())
}

fn send(
    state: &Shared,
    stream: &mut BufReader<Box<dyn Stream>>,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = patient(state, || stream.get_mut().write(bytes))?;
        if count == 0 {
            return Ok(());
        }
        bytes = &bytes[count..];
    }
    patient(state, || stream.get_mut().flush().map(|()| 1)).map(drop)
}

fn head(
    state: &Shared,
    stream: &mut BufReader<Box<dyn Stream>>,
) -> io::Result<Option<(usize, Seen)>> {
    let Some(first) = line(state, stream)? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    while let Some(line) = line(state, stream)?
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
        body: Vec::new(),
    };
    all.push(seen.clone());
    Ok(Some((all.len() - 1, seen)))
}

/// The next line, or `None` when there is none or the server stops.
fn line(state: &Shared, stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    match patient(state, || stream.read_until(b'\n', &mut line))? {
        0 => Ok(None),
        _ => Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned())),
    }
}

/// Tries again while there is nothing, until the server stops; then 0.
fn patient(state: &Shared, mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    while !state.stop.load(Ordering::SeqCst) {
        match attempt() {
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
