//! TLS, who is believed, and who is spoken with without it.

use std::fs;

use super::certificate::CERTIFICATE;
use super::*;

/// Options that believe the server of the tests.
pub(super) fn believing(place: &tempfile::TempDir) -> Options {
    let path = place.path().join("ca.pem");
    fs::write(&path, CERTIFICATE).unwrap();
    Options {
        ca_files: vec![path],
        ..options()
    }
}

#[test]
fn a_certificate_that_nobody_signed_is_refused_and_the_way_out_is_told() {
    let server = Server::encrypting(|_| Reply::body(b"good"));
    let insecure = Options {
        insecure: vec![server.host().parse().unwrap()],
        ..options()
    };
    let error = read(&client(insecure), &server.host()).unwrap_err();
    assert!(matches!(error, RegistryError::Tls { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("--ca-file") && text.contains(&server.host()),
        "{text}"
    );
    // Nor is it asked in plain.
    assert_eq!(server.connections(), 1);
    assert!(server.seen().is_empty());
}

#[test]
fn a_certificate_of_a_named_file_is_believed() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::encrypting(|_| Reply::body(b"good"));
    let client = client(believing(&place));
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_file_without_certificates_is_told() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::encrypting(|_| Reply::body(b"good"));
    let damaged = CERTIFICATE.replace("MIIBkTCC", "MIIBkTCD");
    for (name, content, wanted) in [
        ("missing.pem", None, "No such file"),
        ("empty.pem", Some(""), "no certificate in it"),
        ("text.pem", Some("hello"), "no certificate in it"),
        ("der.pem", Some("0\u{1}\u{2}"), "openssl x509"),
        (
            "cut.pem",
            Some("-----BEGIN CERTIFICATE-----\nMIIB"),
            "damaged",
        ),
        ("wrong.pem", Some(damaged.as_str()), "damaged"),
    ] {
        let path = place.path().join(name);
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let client = client(Options {
            ca_files: vec![path],
            ..options()
        });
        let error = read(&client, &server.host()).unwrap_err();
        assert!(matches!(error, RegistryError::CaFile { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(wanted), "{text}");
        // Not only the first time.
        read(&client, &server.host()).unwrap_err();
    }
    let client = client(Options {
        ca_files: vec![place.path().to_owned()],
        ..options()
    });
    let error = read(&client, &server.host()).unwrap_err();
    assert!(matches!(error, RegistryError::CaFile { .. }), "{error}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_local_registry_may_speak_plain_http_and_is_asked_for_tls_once() {
    for to_tls in [ToTls::Answer, ToTls::Close] {
        let server = Server::plain(to_tls, |_| Reply::body(b"good"));
        let client = client(options());
        for _ in 0..3 {
            assert_eq!(read(&client, &server.host()).unwrap(), "good");
        }
        assert_eq!(server.hellos(), 1);
        assert_eq!(server.seen().len(), 3);
    }
}

#[test]
fn a_local_registry_that_waits_for_a_line_is_asked_in_plain_in_the_end() {
    let server = Server::plain(ToTls::Wait, |_| Reply::body(b"good"));
    let client = client(Options {
        connect: Duration::from_secs(1),
        ..options()
    });
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    assert_eq!(server.hellos(), 1);
}

#[test]
fn a_registry_elsewhere_is_never_asked_in_plain_unless_that_is_allowed() {
    let server = Server::start(|_| Reply::body(b"good"));
    let error = read(&client(options()), &server.far()).unwrap_err();
    assert!(matches!(error, RegistryError::NoTls { .. }), "{error}");
    let wanted = format!("--insecure {}", server.far());
    assert!(error.to_string().contains(&wanted), "{error}");
    assert!(server.seen().is_empty());
    assert_eq!(server.connections(), 1);

    let closing = Server::plain(ToTls::Close, |_| Reply::body(b"good"));
    read(&client(options()), &closing.far()).unwrap_err();
    assert!(closing.seen().is_empty());

    let allowed = client(Options {
        insecure: vec![server.far().parse().unwrap()],
        ..options()
    });
    assert_eq!(read(&allowed, &server.far()).unwrap(), "good");
}

#[test]
fn a_registry_elsewhere_does_not_lead_to_plain_http() {
    let server = Server::start(|_| Reply::body(b"good"));
    let there = repository(&server.far(), "me/app");
    let url = Url::parse(&format!("http://{}/x", server.far())).unwrap();
    let question = Question {
        place: Place::Url(&url),
        ..reading(&there)
    };
    let error = client(options()).ask(&question).err().unwrap();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn who_has_spoken_tls_is_not_believed_to_speak_none() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::encrypting(|seen| match seen.before {
        0 => Reply::body(b"good").header("Connection: close"),
        _ => Reply::hang_up(0),
    });
    let client = client(believing(&place));
    assert_eq!(read(&client, &server.host()).unwrap(), "good");
    read(&client, &server.host()).unwrap_err();
    // All of them were encrypted: else they would not have been understood.
    assert_eq!(server.seen().len(), 6);
}

#[test]
fn the_provider_of_the_process_is_left_to_the_program() {
    let server = Server::encrypting(|_| Reply::body(b"good"));
    read(&client(options()), &server.host()).unwrap_err();
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}
