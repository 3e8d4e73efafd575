//! A web server of a few lines: answers every request with its path.
//! `rust-hello check` asks the server once, over its own loopback, and ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "0.0.0.0:8080".to_owned());
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    if std::env::args().nth(1).as_deref() == Some("check") {
        let port = listener.local_addr()?.port();
        let server = thread::spawn(move || answer(&listener.accept()?.0));
        println!("{}", ask(port, "/hello")?);
        return server.join().expect("the server does not panic");
    }
    for connection in listener.incoming() {
        if let Err(error) = connection.and_then(|connection| answer(&connection)) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

/// Reads one request and answers it.
fn answer(mut connection: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(connection.take(16 * 1024)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for header in lines {
        if header?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let body = format!("You asked for {path}\n");
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Asks the server at `port` for `path`; the whole response.
fn ask(port: u16, path: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut response = String::new();
    connection.read_to_string(&mut response)?;
    Ok(response)
}
