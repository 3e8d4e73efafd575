//! What is sent: as a stream, whole or not at all.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn content(size: usize) -> Vec<u8> {
    (0..size as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// Gives some bytes, and then fails.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the disk is broken",
            ));
        }
        let count = self.0.min(buffer.len());
        self.0 -= count;
        buffer[..count].fill(1);
        Ok(count)
    }
}

#[test]
fn a_stream_is_sent_with_its_length_and_as_it_is() {
    for size in [
        0,
        1,
        1000,
        (256 << 10) - 1,
        256 << 10,
        (256 << 10) + 1,
        3_000_000,
    ] {
        let content = content(size);
        let server = Server::start(|_| Reply::status(201));
        let repository = repository(&server.host(), "me/app");
        let open = || -> io::Result<Box<dyn Read + '_>> { Ok(Box::new(content.as_slice())) };
        let body = Body::Stream {
            length: size as u64,
            open: &open,
        };
        let answer = client(options()).ask(&writing(&repository, body)).unwrap();
        assert_eq!(answer.status, 201);
        let seen = &server.seen()[0];
        assert!(seen.body == content, "{size}");
        assert_eq!(
            seen.header("content-length"),
            Some(size.to_string().as_str())
        );
        assert_eq!(seen.header("transfer-encoding"), None);
    }
}

#[test]
fn a_stream_is_opened_anew_for_each_attempt() {
    let content = content(500_000);
    let server = Server::start(|seen| match seen.before {
        0 => Reply::hang_up(300_000),
        1 => Reply::status(503),
        2 => Reply::challenge("Basic realm=x"),
        _ => Reply::status(201),
    });
    let opened = AtomicUsize::new(0);
    let open = || -> io::Result<Box<dyn Read + '_>> {
        opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(content.as_slice()))
    };
    let body = Body::Stream {
        length: 500_000,
        open: &open,
    };
    let client = Client::new(options(), Known::password());
    let repository = repository(&server.host(), "me/app");
    assert_eq!(client.ask(&writing(&repository, body)).unwrap().status, 201);
    assert!(server.seen()[3].body == content);
    assert_eq!(opened.load(Ordering::SeqCst), 4);
}

#[test]
fn a_reader_that_fails_is_our_fault_and_nothing_looks_whole() {
    for (length, after) in [
        (1_000_000, 700_000),
        (1_000_000, 0),
        (1000, 500),
        (1000, 1000),
        (0, 0),
    ] {
        let server = Server::start(|_| Reply::status(201));
        let repository = repository(&server.host(), "me/app");
        let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(Failing(after))) };
        let body = Body::Stream {
            length,
            open: &open,
        };
        match client(options()).ask(&writing(&repository, body)) {
            Err(RegistryError::Local(source)) => {
                assert!(
                    source.to_string().contains("the disk is broken"),
                    "{source}"
                );
            }
            Err(other) => panic!("{other}"),
            Ok(answer) => panic!("{}", answer.status),
        }
        for seen in server.seen() {
            assert!((seen.body.len() as u64) < length, "{length} {after}");
        }
    }
}

#[test]
fn a_reader_that_cannot_be_opened_is_our_fault() {
    let server = Server::start(|_| Reply::status(201));
    let repository = repository(&server.host(), "me/app");
    let open = || -> io::Result<Box<dyn Read>> { Err(io::ErrorKind::PermissionDenied.into()) };
    for length in [0, 10] {
        let body = Body::Stream {
            length,
            open: &open,
        };
        let error = client(options())
            .ask(&writing(&repository, body))
            .err()
            .unwrap();
        assert!(matches!(error, RegistryError::Local(_)), "{error}");
    }
}

#[test]
fn a_reader_of_another_length_is_our_fault() {
    for (length, has) in [(1000, 999), (1000, 1001), (300_000, 0), (0, 1)] {
        let server = Server::start(|_| Reply::status(201));
        let repository = repository(&server.host(), "me/app");
        let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::repeat(1).take(has))) };
        let body = Body::Stream {
            length,
            open: &open,
        };
        let error = client(options())
            .ask(&writing(&repository, body))
            .err()
            .unwrap();
        assert!(matches!(error, RegistryError::Local(_)), "{error}");
        for seen in server.seen() {
            assert!((seen.body.len() as u64) < length, "{length} {has}");
        }
    }
}

#[test]
fn an_early_answer_ends_the_sending() {
    // It reads no more, and does not hang up: who would go on sending would hang.
    let server = Server::start(|_| {
        Reply::status(413)
            .with(br#"{"errors":[{"code":"SIZE_INVALID"}]}"#)
            .early(10_000)
    });
    let repository = repository(&server.host(), "me/app");
    let length = 1 << 40;
    let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::repeat(1).take(length))) };
    let body = Body::Stream {
        length,
        open: &open,
    };
    let answer = client(options()).ask(&writing(&repository, body)).unwrap();
    assert_eq!(answer.status, 413);
    assert!(text(answer).contains("SIZE_INVALID"));
}

#[test]
fn a_challenge_that_comes_early_is_answered() {
    let content = content(5_000_000);
    let server = Server::start(|seen| match seen.authorization() {
        None => Reply::challenge("Basic realm=x").early(10_000),
        Some(_) => Reply::status(201),
    });
    let repository = repository(&server.host(), "me/app");
    let open = || -> io::Result<Box<dyn Read + '_>> { Ok(Box::new(content.as_slice())) };
    let body = Body::Stream {
        length: content.len() as u64,
        open: &open,
    };
    let client = Client::new(options(), Known::password());
    assert_eq!(client.ask(&writing(&repository, body)).unwrap().status, 201);
    assert!(server.seen()[1].body == content);
}

#[test]
fn a_server_that_stops_to_read_is_a_standstill() {
    let server = Server::start(|_| Reply::deaf(100_000));
    let repository = repository(&server.host(), "me/app");
    let length = 1 << 40;
    let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::repeat(1).take(length))) };
    let body = Body::Stream {
        length,
        open: &open,
    };
    let error = client(impatient())
        .ask(&writing(&repository, body))
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            RegistryError::Stalled { .. } | RegistryError::Interrupted { .. }
        ),
        "{error}"
    );
}

#[test]
fn a_long_sending_is_no_standstill() {
    // Takes several times the time after which a standstill is one.
    let size = 24 << 20;
    let server = Server::start(|_| Reply::status(201).slowly(64 << 10, Duration::from_millis(12)));
    let repository = repository(&server.host(), "me/app");
    let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::repeat(1).take(size))) };
    let body = Body::Stream {
        length: size,
        open: &open,
    };
    let client = client(Options {
        stall: Duration::from_secs(2),
        attempts: NonZeroU32::MIN,
        ..options()
    });
    let begun = std::time::Instant::now();
    assert_eq!(client.ask(&writing(&repository, body)).unwrap().status, 201);
    assert!(begun.elapsed() > Duration::from_millis(4500));
    assert_eq!(server.seen()[0].body.len() as u64, size);
}

#[test]
fn a_slow_reader_of_ours_is_no_standstill_of_the_network() {
    struct Slow(u32);
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Ok(0);
            }
            std::thread::sleep(Duration::from_millis(1500));
            self.0 -= 1;
            buffer[0] = 1;
            Ok(1)
        }
    }
    let server = Server::start(|_| Reply::status(201));
    let repository = repository(&server.host(), "me/app");
    let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(Slow(1))) };
    let body = Body::Stream {
        length: 1,
        open: &open,
    };
    let answer = client(impatient())
        .ask(&writing(&repository, body))
        .unwrap();
    assert_eq!(answer.status, 201);
}

#[test]
fn no_more_is_read_than_can_be_sent() {
    let server = Server::start(|_| Reply::deaf(0));
    let repository = repository(&server.host(), "me/app");
    let length = 1 << 40;
    let given = AtomicUsize::new(0);
    struct Counted<'a>(&'a AtomicUsize);
    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.fetch_add(buffer.len(), Ordering::SeqCst);
            Ok(buffer.len())
        }
    }
    let open = || -> io::Result<Box<dyn Read + '_>> { Ok(Box::new(Counted(&given))) };
    let body = Body::Stream {
        length,
        open: &open,
    };
    client(impatient())
        .ask(&writing(&repository, body))
        .err()
        .unwrap();
    // What the system takes into its buffers, and two blocks.
    assert!(given.load(Ordering::SeqCst) < 64 << 20);
}
