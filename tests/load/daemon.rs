//! A Docker daemon that does what a test tells it to, and remembers what it was sent.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What becomes of an image that is loaded.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// It is taken, and these messages follow.
    Messages(&'static str),
    /// It is taken without a word.
    Nothing,
    /// It is taken without a word, and then not there.
    Lost,
    /// This status and body, in place of taking it.
    Status(&'static str, &'static str),
    /// So many bytes are read, and the connection is closed.
    HangUp(u64),
    /// It is taken, and the connection is closed in the middle of the answer.
    BreakOff,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// Runs until it is dropped.
pub(crate) struct Daemon {
    socket: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<Mutex<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    pub(crate) fn start(socket: &Path, answer: Answer) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(Mutex::new(false));
        let (requests, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if *stopped.lock().unwrap() {
                    break;
                }
                // A client that goes away is part of the tests.
                let _ = serve(stream, &answer, &requests);
            }
        });
        Self {
            socket: socket.to_path_buf(),
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// The requests so far, but for those that only see whether it is there.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let all = self.seen.lock().unwrap();
        let loads = all.iter().filter(|seen| !seen.line.contains("/_ping "));
        loads.cloned().collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        *self.stop.lock().unwrap() = true;
        // Wakes the thread that waits for a connection.
        let _ = UnixStream::connect(&self.socket);
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// Serves one request: the client opens a connection for each.
fn serve(stream: UnixStream, answer: &Answer, seen: &Mutex<Vec<Seen>>) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(());
    }
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        headers.push(header);
    }
    let is_load = line.starts_with("POST /images/load");
    let cut = match answer {
        Answer::HangUp(after) if is_load => Some(*after),
        _ => None,
    };
    let mut body = Vec::new();
    (&mut reader)
        .take(cut.unwrap_or(length))
        .read_to_end(&mut body)?;
    seen.lock().unwrap().push(Seen {
        line: line.trim_end().to_owned(),
        headers,
        body,
    });
    if cut.is_some() {
        return Ok(());
    }
    let mut out = &stream;
    let whole = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let text = match (is_load, answer) {
        (false, _) if line.starts_with("GET /_ping ") => whole("200 OK", "OK"),
        (false, Answer::Nothing) => whole("200 OK", "{}"),
        (false, _) => whole("404 Not Found", "{\"message\":\"No such image\"}"),
        (true, Answer::Status(status, body)) => whole(status, body),
        (true, Answer::Nothing | Answer::Lost) => whole("200 OK", ""),
        // In chunks, as the daemon does it: it does not know yet what it will say.
        (true, Answer::Messages(messages)) => format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{messages}\r\n0\r\n\r\n",
            messages.len()
        ),
        (true, _) => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"stream\":\"Loa"
            .to_owned(),
    };
    out.write_all(text.as_bytes())?;
    out.flush()
}
