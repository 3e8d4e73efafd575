//! What goes wrong when it should.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{ask, asked, begin, get};
use crate::server::fault::Reply;
use crate::server::{Act, Fault, Server, Settings, digest};

#[test]
fn faults_come_when_they_are_due() {
    let server = Server::start();
    let blob: Vec<u8> = (0..=255).collect();
    let digest = server.content().put_blob("a", &blob);
    let line = format!("GET /v2/a/blobs/{digest}");
    let with = |act: Act| {
        server.arm(Fault::on("GET", "/blobs/", act));
        asked(&server, &line, &[], b"")
    };
    let later = Fault::on("*", "/blobs/", Act::HangUp).after(1).times(2);
    server.arm(later);
    let answers: Vec<bool> = (0..4)
        .map(|_| asked(&server, &line, &[], b"").is_some())
        .collect();
    assert_eq!(answers, [true, false, false, true]);

    let busy = Reply::status(429).with("Retry-After", 1);
    let answer = with(Act::Answer(busy)).unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (429, "1"));
    for cut in [
        with(Act::CutAnswer(9)).unwrap(),
        with(Act::Shorten(9)).unwrap(),
    ] {
        assert_eq!(cut.body, &blob[..9]);
    }
    let seen = server.seen();
    assert_eq!(seen.last().unwrap().line(), line);
    let corrupt = with(Act::Corrupt).unwrap().body;
    assert_eq!(corrupt.len(), blob.len());
    assert_eq!(corrupt.iter().zip(&blob).filter(|(a, b)| a != b).count(), 1);
    let header = Act::Header("Docker-Content-Digest", "sha256:00".into());
    let answer = with(header).unwrap();
    assert_eq!(answer.header("docker-content-digest"), "sha256:00");
    let moved = with(Act::Redirect("http://localhost:1".into())).unwrap();
    assert_eq!(moved.status, 307);
    assert!(
        moved
            .header("location")
            .starts_with("http://localhost:1/v2/a/blobs/sha256:")
    );
    let slow = with(Act::Dribble(Duration::from_micros(10))).unwrap();
    assert_eq!(slow.body, blob);
    assert!(with(Act::Silence).is_none());
    assert_eq!(with(Act::StallAnswer(9)).unwrap().body, &blob[..9]);
    server.arm(Fault::on("GET", "/blobs/", Act::HangUp).always());
    assert!(asked(&server, &line, &[], b"").is_none());
    server.disarm();
    assert!(asked(&server, &line, &[], b"").is_some());
    server.forget();
    assert!(server.seen().is_empty());
}

#[test]
fn what_came_of_a_body_that_broke_off_is_kept_or_not() {
    for keeps in [true, false] {
        let server = Server::with(Settings {
            keeps,
            ..Settings::default()
        });
        let session = begin(&server);
        server.arm(Fault::on("PATCH", "", Act::CutUpload(4)));
        assert!(asked(&server, &format!("PATCH {session}"), &[], b"0123456789").is_none());
        let range = get(&server, &session).header("range").to_owned();
        assert_eq!(range, if keeps { "0-3" } else { "0-0" });
        assert_eq!(server.seen_of("PATCH", "")[0].body, 4);
    }
    let server = Server::start();
    let digest = digest(b"done");
    server.arm(Fault::on("POST", "digest=", Act::LoseAnswer));
    let post = format!("POST /v2/a/blobs/uploads/?digest={digest}");
    assert!(asked(&server, &post, &[], b"done").is_none());
    assert!(server.content().repository("a").blobs.contains_key(&digest));
}

#[test]
fn limits_are_held() {
    let server = Server::with(Settings {
        longest: Some(5),
        chunk: Some(3),
        head: false,
        ..Settings::default()
    });
    let session = begin(&server);
    let patch = |body: &[u8]| ask(&server, &format!("PATCH {session}"), &[], body).status;
    assert_eq!(
        (patch(b"123456"), patch(b"123"), patch(b"1"), patch(b"2")),
        (413, 202, 202, 400)
    );
    assert_eq!(ask(&server, "HEAD /v2/a/manifests/x", &[], b"").status, 405);
}

#[test]
fn a_client_that_wants_tls_of_a_plain_registry_is_turned_away_at_once() {
    let server = Server::start();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(&[0x16, 3, 1, 0, 5]).unwrap();
    let mut answer = Vec::new();
    // Closed with a part of the hello unread, it may be reset before all of it is read.
    let _ = stream.read_to_end(&mut answer);
    assert!(server.seen().is_empty());
}

#[test]
fn a_registry_ends_although_clients_hold_on() {
    let server = Server::start();
    server.arm(Fault::on("GET", "/v2/", Act::Silence));
    let idle = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let mut waiting = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    waiting
        .write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    while server.seen().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(server);
    drop((idle, waiting));
}
