//! Requests and answers of HTTP/1.1.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::tls;

/// The longest line and the most lines of a head.
const LONGEST_LINE: u64 = 64 << 10;
const MOST_LINES: usize = 200;

/// The longest body that is read.
const LONGEST_BODY: u64 = 256 << 20;

/// A connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// The head of a request.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) method: String,
    /// Path and query, also of a request to a proxy.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(p, _)| p)
    }

    /// A value of the query, decoded.
    pub(super) fn query(&self, key: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        pairs(query)
            .into_iter()
            .find(|(k, _)| k == key)
            .map(|p| p.1)
    }

    pub(super) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

/// The pairs of a query or a form.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    };
    text.split('&').map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(Option::unwrap_or_default);
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.set(name, &value.to_string());
        self
    }

    pub(crate) fn body(self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..self.with("Content-Type", kind)
        }
    }

    /// The error document of the spec.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let document = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::status(status).body("application/json", document.to_string())
    }

    /// Sets a header in the place of those of that name.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }
}

/// One end of a connection.
pub(super) struct Wire(BufReader<Stream>);

impl Wire {
    pub(super) fn new(stream: TcpStream, encrypted: bool) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let stream = if encrypted {
            let connection = ServerConnection::new(tls::settings()).map_err(io::Error::other)?;
            Stream::Encrypted(Box::new(StreamOwned::new(connection, stream)))
        } else {
            Stream::Plain(stream)
        };
        Ok(Self(BufReader::new(stream)))
    }

    /// The head of the next request; `None` when the client has no more.
    pub(super) fn head(&mut self) -> io::Result<Option<Head>> {
        // A client that wants TLS here gets what makes it give up at once.
        if self.0.fill_buf()?.first() == Some(&0x16) {
            self.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")?;
            return Ok(None);
        }
        let first = self.line()?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let target = match target.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => target,
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        let mut headers = Vec::new();
        for _ in 0..MOST_LINES {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Some(Head {
            method,
            target,
            headers,
        }))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        (&mut self.0)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// At most so many bytes of the body, all of it when it is shorter.
    pub(super) fn body(&mut self, head: &Head, most: u64) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        let most = most.min(LONGEST_BODY);
        if !head.is_chunked() {
            let wanted = head.length().unwrap_or(0).min(most);
            let read = (&mut self.0).take(wanted).read_to_end(&mut body)?;
            if (read as u64) < wanted {
                return Err(Broken(body).into());
            }
            return Ok(body);
        }
        loop {
            let size = self.line()?;
            let size = size.split(';').next().unwrap_or_default();
            let Ok(size) = u64::from_str_radix(size, 16) else {
                return Err(Broken(body).into());
            };
            let left = most.saturating_sub(body.len() as u64);
            let wanted = size.min(left);
            let read = (&mut self.0).take(wanted).read_to_end(&mut body)?;
            if (read as u64) < wanted {
                return Err(Broken(body).into());
            }
            if left < size || left == 0 {
                return Ok(body);
            }
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    pub(super) fn reply_head(&mut self, reply: &Reply) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
        for (name, value) in &reply.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        self.write(head.as_bytes())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let out = self.0.get_mut();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Byte by byte.
    pub(super) fn dribble(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        for byte in bytes {
            self.write(std::slice::from_ref(byte))?;
            std::thread::sleep(pause);
        }
        Ok(())
    }

    /// Waits until the client goes away.
    pub(super) fn wait(&mut self) {
        let _ = io::copy(&mut self.0, &mut io::sink());
    }
}

/// A body that ended before its end, with what came of it.
#[derive(Debug)]
pub(super) struct Broken(pub(super) Vec<u8>);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a body ended after {} bytes", self.0.len())
    }
}

impl std::error::Error for Broken {}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        Self::new(io::ErrorKind::UnexpectedEof, broken)
    }
}
