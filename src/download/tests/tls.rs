//! Servers that encrypt, and who is believed to be one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// Of 127.0.0.1, signed by itself, valid from 2020 to 2120; made with openssl(1) for this
/// test, and of no use for anything else.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBjDCCATKgAwIBAgIBATAKBggqhkjOPQQDAjAbMRkwFwYDVQQDDBBzZXJ2ZXIg
b2YgYSB0ZXN0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAbMRkw
FwYDVQQDDBBzZXJ2ZXIgb2YgYSB0ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAEtU+mHKDzJnlSn4YIh39RGmqzaxYWolWFQZs5HyZdW8TDRynUT71ASf4d4lgm
mCrD6cbpe5LcQUZqRDncr+AB9KNlMGMwDwYDVR0RBAgwBocEfwAAATAMBgNVHRMB
Af8EAjAAMA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDATAdBgNV
HQ4EFgQUWTHw0oKGwBeiNLTHlRSgOv8HdmcwCgYIKoZIzj0EAwIDSAAwRQIgYGZA
xA4CaOmVwK3a3qXZ7gIdzoRBHghEjpQPRo/KDN8CIQD4m7P8pWMWLQLgLEq36ltg
8L+KpJ7Qjh1bvJBKRZbSGw==
-----END CERTIFICATE-----
";

const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgag9854m/0waGBWXk
s1m/NRINycYMpW3JyzdVd7FJfvuhRANCAAS1T6YcoPMmeVKfhgiHf1EaarNrFhai
VYVBmzkfJl1bxMNHKdRPvUBJ/h3iWCaYKsPpxul7ktxBRmpEOdyv4AH0
-----END PRIVATE KEY-----
";

/// Answers each connection's first request with "good".
struct Encrypting {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u32>>,
}

impl Encrypting {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let thread = std::thread::spawn(move || {
            let mut connections = 0;
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                connections += 1;
                // A client that does not believe it goes away: that is the test.
                let _ = answer(stream, &config);
            }
            connections
        });
        Self {
            port,
            stop,
            thread: Some(thread),
        }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}/a", self.port)
    }

    /// Ends it, and tells how many connections there were.
    fn connections(mut self) -> u32 {
        self.end().unwrap()
    }

    fn end(&mut self) -> Option<u32> {
        let thread = self.thread.take()?;
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        thread.join().ok()
    }
}

impl Drop for Encrypting {
    fn drop(&mut self) {
        self.end();
    }
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        line.clear();
    }
    let stream = stream.get_mut();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood")?;
    stream.conn.send_close_notify();
    stream.flush()
}

#[test]
fn a_certificate_that_nobody_signed_is_refused_at_once() {
    let cache = tempfile::tempdir().unwrap();
    let server = Encrypting::start();
    let error = downloader(cache.path())
        .fetch(&request(&server.url(), b"good"), &Quiet)
        .unwrap_err();
    let failure = failure(&error);
    assert!(matches!(failure.reason, Reason::Tls(_)), "{error}");
    assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
    assert_eq!(failure.attempts, 1);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_certificate_of_the_system_is_believed_even_through_a_proxy() {
    let place = tempfile::tempdir().unwrap();
    let certificates = place.path().join("certificates.pem");
    fs::write(&certificates, CERTIFICATE).unwrap();
    let certificates = certificates.to_str().unwrap();
    let server = Encrypting::start();
    let proxy = Server::start(|_| Reply::tunnel());
    let through = format!("http://{}", proxy.host());
    for environment in [
        &[("SSL_CERT_FILE", certificates)][..],
        &[("SSL_CERT_FILE", certificates), ("HTTPS_PROXY", &through)],
    ] {
        let cache = tempfile::tempdir().unwrap();
        let verdict = verdict(child(cache.path(), &server.url(), b"good", environment));
        assert_eq!(verdict, "DOWNLOADED 4");
    }
    assert_eq!(proxy.seen().len(), 1);
}

#[test]
fn a_certificate_file_that_is_not_there_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let server = Encrypting::start();
    let missing = cache.path().join("missing.pem");
    let environment = [("SSL_CERT_FILE", missing.to_str().unwrap())];
    let verdict = verdict(child(cache.path(), &server.url(), b"good", &environment));
    assert!(verdict.starts_with("REFUSED"), "{verdict}");
    assert!(verdict.contains("missing.pem"), "{verdict}");
}

#[test]
fn a_server_that_does_not_encrypt_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/a", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        // Until the client goes away.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let once = Downloader::new(Options {
        attempts: NonZeroU32::MIN,
        ..options(cache.path())
    })
    .unwrap();
    let error = once.fetch(&request(&url, b"good"), &Quiet).unwrap_err();
    thread.join().unwrap();
    assert!(matches!(failure(&error).reason, Reason::Tls(_)), "{error}");
}

#[test]
fn the_provider_of_the_process_is_left_to_the_program() {
    let cache = tempfile::tempdir().unwrap();
    let server = Encrypting::start();
    downloader(cache.path())
        .fetch(&request(&server.url(), b"good"), &Quiet)
        .unwrap_err();
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}
