//! One question and its answer, and what is asked again.

use reqwest::header::{ACCEPT, HeaderValue};

use super::*;

#[test]
fn a_question_goes_to_the_api_and_tells_who_asks() {
    let server = Server::start(|_| Reply::body(b"good").header("X-Told: 1"));
    let client = client(options());
    let repository = repository(&server.host(), "me/app");
    let mut question = reading(&repository);
    question
        .headers
        .push((ACCEPT, HeaderValue::from_static("a/b")));
    let answer = client.ask(&question).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["x-told"], "1");
    assert_eq!(answer.url.as_str(), server.url("/v2/me/app/manifests/v1"));
    assert_eq!(text(answer), "good");
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), "GET /v2/me/app/manifests/v1");
    assert_eq!(seen.header("accept"), Some("a/b"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    let agent = format!("distrobuild/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen.header("user-agent"), Some(agent.as_str()));
    assert_eq!(seen.authorization(), None);
}

#[test]
fn a_url_that_the_registry_gave_is_asked_as_it_is() {
    let server = Server::start(|_| Reply::status(202));
    let repository = repository(&server.host(), "me/app");
    let url = Url::parse(&server.url("/elsewhere?state=a%2Fb")).unwrap();
    let question = Question {
        method: Method::PATCH,
        place: Place::Url(&url),
        ..writing(&repository, Body::Bytes(b"part"))
    };
    assert_eq!(client(options()).ask(&question).unwrap().status, 202);
    assert_eq!(server.lines(), ["PATCH /elsewhere?state=a%2Fb"]);
    assert_eq!(server.seen()[0].body, b"part");
}

#[test]
fn a_name_does_not_lead_out_of_its_repository() {
    let server = Server::start(|_| Reply::status(200));
    let repository = repository(&server.host(), "me/app");
    for place in [
        "../app2/x",
        "../../../x",
        "/x",
        "//other.example/x",
        "%2e%2e/%2e%2e/x",
    ] {
        let question = Question {
            place: Place::Path(place),
            ..reading(&repository)
        };
        match client(options()).ask(&question) {
            Err(RegistryError::BadAnswer { .. }) => {}
            Err(other) => panic!("{place}: {other}"),
            Ok(_) => {}
        }
    }
    for line in server.lines() {
        assert!(line.starts_with("GET /v2/me/app/"), "{line}");
    }
}

#[test]
fn other_statuses_are_the_callers() {
    for status in [202, 206, 404, 405, 413, 416, 501] {
        let server = Server::start(move |_| Reply::status(status).with(b"why"));
        let repository = repository(&server.host(), "me/app");
        let answer = client(options()).ask(&reading(&repository)).unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(text(answer), "why");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn a_question_without_content_says_so() {
    let server = Server::start(|_| Reply::status(202));
    let repository = repository(&server.host(), "me/app");
    for (method, body, wanted) in [
        (Method::POST, Body::None, Some("0")),
        (Method::PUT, Body::Bytes(b""), Some("0")),
        (Method::PUT, Body::Bytes(b"abc"), Some("3")),
        (Method::HEAD, Body::None, None),
    ] {
        let question = Question {
            method: method.clone(),
            ..writing(&repository, body)
        };
        client(options()).ask(&question).unwrap();
        let seen = server.seen();
        assert_eq!(
            seen.last().unwrap().header("content-length"),
            wanted,
            "{method}"
        );
        assert_eq!(seen.last().unwrap().header("transfer-encoding"), None);
    }
}

#[test]
fn connections_are_used_again() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "PUT" => Reply::status(201),
        _ => Reply::body(b"good"),
    });
    let client = client(options());
    read(&client, &server.host()).unwrap();
    let before = server.connections();
    let repository = repository(&server.host(), "me/app");
    for _ in 0..5 {
        read(&client, &server.host()).unwrap();
        let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::repeat(b'x').take(1000))) };
        let body = Body::Stream {
            length: 1000,
            open: &open,
        };
        drop(client.ask(&writing(&repository, body)).unwrap());
    }
    assert_eq!(server.connections(), before);
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    for status in [429, 500, 502, 503, 504] {
        let server = Server::start(move |seen| match seen.before {
            0 | 1 => Reply::status(status).header("Retry-After: 0"),
            _ => Reply::body(b"good"),
        });
        assert_eq!(read(&client(options()), &server.host()).unwrap(), "good");
        assert_eq!(server.seen().len(), 3);
    }
}

#[test]
fn a_server_in_trouble_is_not_asked_for_ever() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "/v2/me/app/manifests/v1" => Reply::status(503)
            .with(br#"{"errors":[{"code":"UNAVAILABLE","message":"sorry\u001b[2J"}]}"#),
        _ => Reply::status(429).header("Retry-After: 3600"),
    });
    let host = server.host();
    let client = client(options());
    let error = read(&client, &host).unwrap_err();
    assert!(
        matches!(error, RegistryError::Server { status: 503, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("UNAVAILABLE: sorry [2J"),
        "{error}"
    );
    assert_eq!(server.seen().len(), 5);
    // One that wants more than a minute is not waited for.
    let other = repository(&host, "other");
    let error = client.ask(&reading(&other)).err().unwrap();
    assert!(
        matches!(error, RegistryError::TooManyRequests { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("3600 s"), "{error}");
    assert_eq!(server.seen().len(), 6);
}

#[test]
fn what_may_have_been_done_is_not_asked_for_again() {
    for reply in [Reply::status(500), Reply::status(502), Reply::hang_up(3)] {
        let server = Server::start(move |_| reply.clone());
        let repository = repository(&server.host(), "me/app");
        let question = Question {
            repeatable: false,
            ..writing(&repository, Body::Bytes(b"abc"))
        };
        client(options()).ask(&question).err().unwrap();
        assert_eq!(server.seen().len(), 1);
    }
    for status in [429, 503] {
        let server = Server::start(move |seen| match seen.before {
            0 => Reply::status(status),
            _ => Reply::status(201),
        });
        let repository = repository(&server.host(), "me/app");
        let question = Question {
            repeatable: false,
            ..writing(&repository, Body::Bytes(b"abc"))
        };
        assert_eq!(client(options()).ask(&question).unwrap().status, 201);
        assert_eq!(server.seen()[1].body, b"abc");
    }
}

#[test]
fn a_connection_that_breaks_is_tried_again() {
    let server = Server::start(|seen| match seen.before {
        0..=2 => Reply::hang_up(0),
        _ => Reply::body(b"good"),
    });
    assert_eq!(read(&client(options()), &server.host()).unwrap(), "good");
    let server = Server::start(|_| Reply::hang_up(0));
    let error = read(&client(options()), &server.host()).unwrap_err();
    assert!(
        matches!(error, RegistryError::Interrupted { .. }),
        "{error}"
    );
    assert!(error.to_string().contains(&server.host()), "{error}");
}

#[test]
fn nobody_at_the_port_is_told_with_the_host() {
    // Bound, so that nobody else takes it, and never listened at.
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let refused = std::net::TcpStream::connect(("127.0.0.1", port)).is_err();
    let error = read(&client(options()), &format!("127.0.0.1:{port}")).unwrap_err();
    if refused {
        assert!(matches!(error, RegistryError::Connect { .. }), "{error}");
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let server = Server::start(|_| Reply::deaf(0));
    let error = read(&client(impatient()), &server.host()).unwrap_err();
    assert!(matches!(error, RegistryError::Stalled { .. }), "{error}");
}

#[test]
fn a_client_may_be_used_and_dropped_anywhere() {
    let server = Server::start(|_| Reply::body(b"good"));
    let host = server.host();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = client(options());
        assert_eq!(read(&client, &host).unwrap(), "good");
        let repository = repository(&host, "me/app");
        let answer = client.ask(&reading(&repository)).unwrap();
        // The answer can still be read.
        drop(client);
        assert_eq!(text(answer), "good");
    });
}

#[test]
fn a_registry_is_told_from_what_is_none() {
    let check = |reply: Reply| {
        let server = Server::start(move |_| reply.clone());
        let result = client(options()).check(&server.host().parse().unwrap());
        assert_eq!(server.lines()[0], "GET /v2/");
        result
    };
    check(Reply::body(b"{}")).unwrap();
    // As quay.io does.
    check(Reply::body(b"true").header("Content-Type: text/html; charset=utf-8")).unwrap();
    for none in [
        Reply::status(404),
        Reply::status(404)
            .with(b"<html>")
            .header("Content-Type: text/html"),
        Reply::body(b"\n<!doctype html>").header("Content-Type: text/html"),
    ] {
        let error = check(none).unwrap_err();
        assert!(
            matches!(error, RegistryError::NotARegistry { .. }),
            "{error}"
        );
    }
    let error = check(Reply::status(400).with(b"go away")).unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 400, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("go away"), "{error}");
}

#[test]
fn no_proxy_is_asked_for_what_is_on_this_machine() {
    let proxy = Server::start(|_| Reply::status(502));
    let server = Server::start(|_| Reply::body(b"good"));
    let client = client(Options {
        proxy: Proxy::Url(format!("http://me:hunter2@{}", proxy.host())),
        attempts: NonZeroU32::MIN,
        ..options()
    });
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    assert!(proxy.seen().is_empty());
    let error = read(&client, "registry.invalid").unwrap_err();
    assert!(matches!(error, RegistryError::Proxy { .. }), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_eq!(proxy.lines(), ["CONNECT registry.invalid:443"]);
}
