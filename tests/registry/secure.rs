//! Who is believed to be a registry, and to whom nothing is said in the clear.

use std::sync::Arc;

use distrobuild::download::Proxy;
use distrobuild::registry::{Client, Options};

use crate::fixture::{Layout, client, client_with, options, pull, push, said};
use crate::server::tls::CERTIFICATE;
use crate::server::{Server, Settings};

fn encrypting() -> Server {
    Server::with(Settings {
        tls: true,
        ..Settings::default()
    })
}

#[test]
fn a_registry_whose_certificate_nobody_vouches_for_is_refused() {
    let server = encrypting();
    let name = format!("{}/app:v1", server.host());
    let text = said(&push(&client(), &Layout::small(), &name).unwrap_err());
    assert!(text.contains(&server.host()), "{text}");
    assert!(text.contains("--ca-file"), "{text}");
    assert!(server.seen().is_empty());
}

#[test]
fn a_certificate_of_a_ca_file_is_believed() {
    let server = encrypting();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ca.pem");
    std::fs::write(&file, CERTIFICATE).unwrap();
    let client = client_with(Options {
        ca_files: vec![file],
        ..options()
    });
    let name = format!("{}/app:v1", server.host());
    push(&client, &Layout::small(), &name).unwrap();
    pull(&client, &name, &place.path().join("a")).unwrap();
}

#[test]
fn a_ca_file_that_is_none_is_told() {
    let server = encrypting();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ca.pem");
    for content in [
        None,
        Some("nothing"),
        Some("-----BEGIN CERTIFICATE-----\nAA"),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let client = client_with(Options {
            ca_files: vec![file.clone()],
            ..options()
        });
        let name = format!("{}/app:v1", server.host());
        let text = said(&push(&client, &Layout::small(), &name).unwrap_err());
        assert!(text.contains("ca.pem"), "{content:?}: {text}");
    }
}

/// A client that finds `server` under every name, by taking it for a proxy.
fn through(server: &Server, insecure: &[&str]) -> Arc<Client> {
    client_with(Options {
        proxy: Proxy::Url(server.url()),
        insecure: insecure.iter().map(|host| host.parse().unwrap()).collect(),
        ..options()
    })
}

#[test]
fn a_registry_elsewhere_that_does_not_encrypt_is_refused() {
    let server = Server::start();
    let name = "registry.example:5000/app:v1";
    let client = through(&server, &["other.example:5000"]);
    let text = said(&push(&client, &Layout::small(), name).unwrap_err());
    assert!(text.contains("registry.example:5000"), "{text}");
    assert!(text.contains("--insecure"), "{text}");
    // It was connected to, and nothing was said in the clear.
    let seen = server.seen();
    assert!(!seen.is_empty());
    for seen in seen {
        assert_eq!(seen.method, "CONNECT", "{}", seen.line());
    }
}

#[test]
fn a_registry_elsewhere_that_is_named_as_insecure_is_spoken_with() {
    let server = Server::start();
    let layout = Layout::small();
    let name = "registry.example:5000/app:v1";
    let client = through(&server, &["registry.example:5000"]);
    push(&client, &layout, name).unwrap();
    assert_eq!(server.content().repository("app").tags["v1"], layout.root());
}
