//! Asking a port whether somebody is there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a connection may take to be accepted; on the loopback interface it is or is not.
const CONNECT: Duration = Duration::from_millis(500);

/// How long an answer is waited for. A server of another protocol may never give one.
const ANSWER: Duration = Duration::from_secs(2);

/// Enough for a status line.
const STATUS_LINE: usize = 64;

/// A connection was accepted; the status of the HTTP answer, where one came. A port on which nobody
/// listens any more did not answer: the kernel accepts for a server that ends before it is ready.
pub(super) fn ask(port: u16) -> Option<Option<u16>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, CONNECT).ok()?;
    // TCP may connect a socket to itself when nobody listens and its own port is the one (RFC 9293, 3.5).
    if stream.local_addr().ok() == stream.peer_addr().ok() {
        return None;
    }
    let status = status(stream);
    if status.is_none() {
        TcpStream::connect_timeout(&address, CONNECT).ok()?;
    }
    Some(status)
}

fn status(mut stream: TcpStream) -> Option<u16> {
    let until = Instant::now() + ANSWER;
    stream.set_write_timeout(Some(ANSWER)).ok()?;
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\nUser-Agent: distrobuild\r\n\r\n")
        .ok()?;
    let mut line = Vec::new();
    while line.len() < STATUS_LINE && parse(&line).is_none() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        stream.set_read_timeout(Some(left)).ok()?;
        let mut bytes = [0; STATUS_LINE];
        let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
        line.extend_from_slice(bytes.get(..count)?);
    }
    parse(&line)
}

/// The status of `HTTP/1.1 200 OK` (RFC 9112, section 4).
fn parse(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let mut words = rest.split(|byte| *byte == b' ');
    words.next().filter(|version| version.len() == 3)?;
    let status = words.next()?;
    let digits = status.get(..3)?;
    let ends = status.get(3).is_none_or(|byte| b"\r\n".contains(byte));
    let number: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (ends && (100..600).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::net::TcpListener;

    use super::*;

    fn answer(bytes: &'static [u8]) -> Option<Option<u16>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 14];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"GET / HTTP/1.0");
            stream.write_all(bytes).unwrap();
            listener
        });
        let answer = ask(port);
        server.join().unwrap();
        answer
    }

    #[test]
    fn a_server_that_ends_before_it_answers_does_not_answer() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(listener);
        });
        assert_eq!(ask(port), None);
        server.join().unwrap();
    }

    #[test]
    fn the_status_of_an_http_server_is_read() {
        assert_eq!(answer(b"HTTP/1.1 204 No Content\r\n\r\n"), Some(Some(204)));
        assert_eq!(answer(b"HTTP/1.0 500\r\n\r\n"), Some(Some(500)));
    }

    #[test]
    fn another_protocol_answers_without_a_status() {
        assert_eq!(answer(b"-ERR unknown command\r\n"), Some(None));
        assert_eq!(answer(b""), Some(None));
        assert_eq!(parse(b"HTTP/1.1 20"), None);
        assert_eq!(parse(b"HTTP/1.1 2000"), None);
    }

    #[test]
    fn a_closed_port_does_not_answer() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert_eq!(ask(port), None);
    }
}
