//! The content of answers that do not come whole.

use super::*;

fn failed(reply: Reply, options: Options) -> (Vec<u8>, io::Error) {
    let server = Server::start(move |_| reply.clone());
    let client = client(options);
    let repository = repository(&server.host(), "me/app");
    let mut answer = client.ask(&reading(&repository)).unwrap();
    let mut bytes = Vec::new();
    let error = answer.body.read_to_end(&mut bytes).unwrap_err();
    (bytes, error)
}

fn cause(error: &io::Error) -> &RegistryError {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

#[test]
fn a_large_answer_comes_as_it_is() {
    let content: Vec<u8> = (0..3_000_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let sent = content.clone();
    let server = Server::start(move |_| Reply::body(&sent));
    let client = client(options());
    let repository = repository(&server.host(), "me/app");
    let mut answer = client.ask(&reading(&repository)).unwrap();
    let mut bytes = Vec::new();
    answer.body.read_to_end(&mut bytes).unwrap();
    assert!(bytes == content);
    assert_eq!(answer.body.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_break_is_told_behind_what_came() {
    let (bytes, error) = failed(Reply::body(&[7; 100_000]).cut(50_000), options());
    assert_eq!(bytes, [7; 50_000]);
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(
        matches!(cause(&error), RegistryError::Interrupted { .. }),
        "{error}"
    );
}

#[test]
fn a_standstill_is_told_from_a_break() {
    let (bytes, error) = failed(Reply::body(&[7; 100_000]).stall(50_000), impatient());
    assert_eq!(bytes, [7; 50_000]);
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(
        matches!(cause(&error), RegistryError::Stalled { .. }),
        "{error}"
    );
}

#[test]
fn a_byte_now_and_then_is_a_standstill_too() {
    let (bytes, error) = failed(Reply::body(&[7; 100_000]).trickle(), impatient());
    assert!(bytes.len() < 100, "{}", bytes.len());
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(
        matches!(cause(&error), RegistryError::Stalled { .. }),
        "{error}"
    );
}

#[test]
fn who_reads_slowly_is_not_a_standstill() {
    let server = Server::start(|_| Reply::body(&[7; 8 << 20]));
    let client = client(impatient());
    let repository = repository(&server.host(), "me/app");
    let mut answer = client.ask(&reading(&repository)).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    let mut bytes = Vec::new();
    answer.body.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 8 << 20);
}

#[test]
fn no_more_is_taken_than_somebody_reads() {
    let server = Server::start(|_| Reply::body(&[7; 64 << 10]).endless());
    let client = client(options());
    let repository = repository(&server.host(), "me/app");
    let mut answer = client.ask(&reading(&repository)).unwrap();
    answer.body.read_exact(&mut [0; 10]).unwrap();
    // What is on the way is bounded by the system and by us.
    let mut before = server.sent();
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = server.sent();
        if now == before {
            break;
        }
        assert!(now < 64 << 20, "{now} bytes were taken, and nobody reads");
        before = now;
    }
    drop(answer);
    // The next one needs another connection, and is not hindered by the first.
    let question = Question {
        method: Method::HEAD,
        ..reading(&repository)
    };
    assert_eq!(text(client.ask(&question).unwrap()), "");
}
