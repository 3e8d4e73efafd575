//! Asking a port whether somebody is there.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a connection may take to be accepted; on the loopback interface it is or is not.
const CONNECT: Duration = Duration::from_millis(500);

/// How long an answer is waited for. A server of another protocol may never give one.
const ANSWER: Duration = Duration::from_secs(2);

/// Enough for a status line.
const STATUS_LINE: usize = 64;

/// A connection was accepted, by IPv4 or IPv6; the status of the HTTP answer, where one came. A
/// port on which nobody listens any more did not answer: the kernel accepts for a server that ends
/// before it is ready.
pub(super) fn ask(port: u16) -> Option<Option<u16>> {
    let addresses = [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ];
    addresses.into_iter().find_map(|address| {
        let address = SocketAddr::from((address, port));
        let status = status(connect(address)?);
        if status.is_none() {
            connect(address)?;
        }
        Some(status)
    })
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT).ok()?;
    // TCP may connect a socket to itself when nobody listens and its own port is the one (RFC 9293, 3.5).
    (stream.local_addr().ok() != stream.peer_addr().ok()).then_some(stream)
}

/// Whether those who listen on a port of this network namespace do so at addresses that nobody
/// reaches from outside of it.
pub(super) fn is_on_loopback_alone(port: u16) -> bool {
    let table = |name: &str| std::fs::read_to_string(format!("/proc/self/net/{name}"));
    let tables = ["tcp", "tcp6"].map(|name| table(name).unwrap_or_default());
    let mut listeners = tables
        .iter()
        .flat_map(|text| listeners(text, port))
        .peekable();
    listeners.peek().is_some() && listeners.all(|address| address.to_canonical().is_loopback())
}

/// The addresses that are listened at on `port`, in a table of `proc_pid_net(5)`.
fn listeners(table: &str, port: u16) -> impl Iterator<Item = IpAddr> {
    /// `TCP_LISTEN` of the kernel's `tcp_states.h`.
    const LISTEN: &str = "0A";
    table.lines().filter_map(move |line| {
        let mut words = line.split_whitespace();
        let (address, number) = words.nth(1)?.split_once(':')?;
        let is_listener = words.nth(1)? == LISTEN && u16::from_str_radix(number, 16) == Ok(port);
        is_listener.then(|| self::address(address)).flatten()
    })
}

/// An address as the kernel shows it: words of 32 bits, each in the machine's own byte order.
fn address(text: &str) -> Option<IpAddr> {
    let words: Option<Vec<[u8; 4]>> = (0..text.len() / 8)
        .map(|word| {
            let word = text.get(word * 8..word * 8 + 8)?;
            Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    let four = <[u8; 4]>::try_from(&*bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(&*bytes).map(IpAddr::from))
        .ok()
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

    #[test]
    fn a_server_at_an_address_of_ipv6_alone_answers() {
        let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            // This machine has no IPv6.
            return;
        };
        let port = listener.local_addr().unwrap().port();
        // It goes on listening: a server that has ended has not answered.
        let server = std::thread::spawn(move || {
            drop(listener.accept().unwrap());
            listener
        });
        assert_eq!(ask(port), Some(None));
        server.join().unwrap();
    }

    #[test]
    fn who_listens_at_the_loopback_address_alone_is_told_from_the_others() {
        let bound = |address: &str| {
            let listener = TcpListener::bind((address, 0)).unwrap();
            is_on_loopback_alone(listener.local_addr().unwrap().port())
        };
        assert!(bound("127.0.0.1"));
        assert!(!bound("0.0.0.0"));
        assert!(!is_on_loopback_alone(0));
    }

    #[test]
    fn the_addresses_of_the_kernels_tables_are_read() {
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let mapped = format!(
            "{0}{0}{1}{2}",
            word([0; 4]),
            word([0, 0, 255, 255]),
            word([127, 0, 0, 1])
        );
        let table = format!(
            "  sl  local_address rem_address   st tx_queue\n   0: {mapped}:1F90 {}:0000 0A 0\n   1: {}:1F90 {}:0000 01 0\n",
            "0".repeat(32),
            word([10, 0, 0, 1]),
            "0".repeat(8),
        );
        let found: Vec<IpAddr> = listeners(&table, 8080).collect();
        assert_eq!(found, ["::ffff:127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(found[0].to_canonical().is_loopback());
        assert_eq!(address("0100007"), None);
    }
}
