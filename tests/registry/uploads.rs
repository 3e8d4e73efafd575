//! Blobs on their way up: how registries want them, and what breaks.

use std::sync::Arc;

use distrobuild::registry::{Client, Options};

use crate::fixture::{Layout, client, client_with, layer, options, push, said};
use crate::server::fault::Reply;
use crate::server::{Act, Fault, Location, Server, Settings, digest};

const SIZE: usize = 300_000;

fn in_parts(chunk: u64) -> Arc<Client> {
    client_with(Options {
        chunk: Some(chunk),
        ..options()
    })
}

/// An image with one large layer.
fn large() -> Layout {
    Layout::of(&[layer(1, SIZE)])
}

/// Sends an image with one large layer, and sees that it is there.
fn arrives(server: &Server, client: &Arc<Client>) {
    let layout = large();
    push(client, &layout, &format!("{}/app:v1", server.host())).unwrap();
    let there = server.content().repository("app");
    assert_eq!(there.tags["v1"], layout.root());
    assert!(there.blobs.contains_key(&digest(&layer(1, SIZE))));
}

/// The bytes of bodies that the server has read.
fn sent(server: &Server) -> u64 {
    server.seen().iter().map(|seen| seen.body).sum()
}

#[test]
fn every_form_of_a_location_is_followed() {
    for location in [
        Location::Absolute,
        Location::Path,
        Location::Relative,
        Location::Query,
    ] {
        let server = Server::with(Settings {
            location,
            ..Settings::default()
        });
        arrives(&server, &client());
        let server = Server::with(Settings {
            location,
            ..Settings::default()
        });
        arrives(&server, &in_parts(70_000));
        assert!(
            server.seen_of("PATCH", "/uploads/").len() > 4,
            "{location:?}"
        );
    }
}

#[test]
fn a_blob_goes_in_one_piece_unless_parts_are_asked_for() {
    let server = Server::start();
    arrives(&server, &client());
    assert!(server.seen_of("PATCH", "").is_empty());
    assert!((sent(&server) as usize) < SIZE + 10_000);
}

#[test]
fn an_upload_that_breaks_is_resumed_with_what_the_registry_has() {
    for chunk in [None, Some(200_000)] {
        let server = Server::start();
        let method = if chunk.is_some() { "PATCH" } else { "PUT" };
        server.arm(Fault::on(method, "/uploads/", Act::CutUpload(100_000)));
        // The layer is first: nothing else has so many bytes.
        arrives(&server, &client_with(Options { chunk, ..options() }));
        assert!(!server.seen_of("GET", "/uploads/").is_empty(), "{chunk:?}");
        let sent = sent(&server) as usize;
        assert!(sent < 2 * SIZE, "{chunk:?}: {sent} bytes");
    }
}

#[test]
fn an_upload_that_breaks_is_sent_again_where_nothing_of_it_is_kept() {
    for chunk in [None, Some(200_000)] {
        let server = Server::with(Settings {
            keeps: false,
            ..Settings::default()
        });
        let method = if chunk.is_some() { "PATCH" } else { "PUT" };
        let cut = Fault::on(method, "/uploads/", Act::CutUpload(100_000));
        server.arm(cut.times(2));
        arrives(&server, &client_with(Options { chunk, ..options() }));
    }
}

#[test]
fn an_upload_whose_session_is_gone_begins_anew() {
    for (method, client) in [("PUT", client()), ("PATCH", in_parts(70_000))] {
        let server = Server::start();
        let gone = Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "gone");
        server.arm(Fault::on(method, "/uploads/", Act::Answer(gone)));
        arrives(&server, &client);
        assert!(server.seen_of("POST", "/uploads/").len() > 2);
    }
}

#[test]
fn a_session_that_is_gone_in_the_middle_begins_anew() {
    let server = Server::start();
    let gone = Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "gone");
    server.arm(Fault::on("PATCH", "/uploads/", Act::Answer(gone)).after(2));
    arrives(&server, &in_parts(70_000));
}

#[test]
fn a_registry_that_finds_a_blob_too_large_gets_it_in_parts() {
    let server = Server::with(Settings {
        longest: Some(17 << 20),
        ..Settings::default()
    });
    let layout = Layout::of(&[layer(1, 20 << 20)]);
    push(&client(), &layout, &format!("{}/app:v1", server.host())).unwrap();
    assert!(server.seen().iter().any(|seen| seen.status == 413));
    let parts = server.seen_of("PATCH", "/uploads/");
    assert!(parts.iter().any(|seen| seen.status == 202));
    assert_eq!(server.content().repository("app").tags["v1"], layout.root());
}

#[test]
fn parts_are_as_large_as_the_registry_wants_them() {
    let server = Server::with(Settings {
        chunk: Some(100_000),
        ..Settings::default()
    });
    arrives(&server, &in_parts(10_000));
}

#[test]
fn an_upload_whose_answer_is_lost_has_arrived() {
    for (method, part) in [
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
        ("POST", "/uploads/"),
    ] {
        let server = Server::start();
        server.arm(Fault::on(method, part, Act::LoseAnswer));
        arrives(&server, &client());
    }
}

#[test]
fn a_registry_that_is_down_for_a_moment_gets_the_image_all_the_same() {
    for (method, part) in [
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
    ] {
        for status in [429, 500, 503] {
            let server = Server::start();
            let reply = Reply::error(status, "UNKNOWN", "a moment").with("Retry-After", 0);
            server.arm(Fault::on(method, part, Act::Answer(reply)).times(2));
            arrives(&server, &client());
        }
    }
}

#[test]
fn a_registry_that_stays_down_is_told_and_asked_no_more() {
    let server = Server::start();
    let reply = Reply::error(503, "UNAVAILABLE", "closed for repairs");
    server.arm(Fault::on("POST", "/uploads/", Act::Answer(reply)).always());
    let name = format!("{}/app:v1", server.host());
    let text = said(&push(&client(), &large(), &name).unwrap_err());
    assert!(text.contains("closed for repairs"), "{text}");
    assert!(text.contains(&server.host()), "{text}");
    let asked = server.seen_of("POST", "").len();
    // Two blobs at once, each as often as is allowed.
    assert!((5..=10).contains(&asked), "{asked} requests");
    assert!(server.content().repository("app").tags.is_empty());
}

#[test]
fn a_registry_that_took_something_else_is_told() {
    let server = Server::start();
    let wrong = digest(b"another");
    server.arm(
        Fault::on(
            "PUT",
            "/manifests/",
            Act::Header("Docker-Content-Digest", wrong.clone()),
        )
        .always(),
    );
    let name = format!("{}/app:v1", server.host());
    let text = said(&push(&client(), &large(), &name).unwrap_err());
    assert!(text.contains(&wrong), "{text}");
}

#[test]
fn a_layer_that_is_damaged_here_is_not_sent_as_a_whole() {
    let server = Server::start();
    let layout = large();
    let digest = digest(&layer(1, SIZE));
    let file = layout.path().join("blobs").join(digest.replace(':', "/"));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[SIZE / 2] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let name = format!("{}/app:v1", server.host());
    let text = said(&push(&client(), &layout, &name).unwrap_err());
    assert!(text.contains(&digest), "{text}");
    let there = server.content().repository("app");
    assert!(there.tags.is_empty() && !there.blobs.contains_key(&digest));
}
