//! Images go there and come back.

use distrobuild::registry::Remote;
use distrobuild::store;

use crate::fixture::{
    Layout, blobs, client, layer, pull, push, push_mounting, reference, roots, said,
};
use crate::server::fault::Reply;
use crate::server::{Act, Fault, Server, Settings};

/// There and back, and everything is what it was.
fn comes_back(server: &Server, layout: &Layout) {
    let client = client();
    let name = format!("{}/team/app:v1", server.host());
    let sent = push(&client, layout, &name).unwrap();
    assert_eq!(sent.root.digest().to_string(), layout.root());
    assert!(!sent.unchanged);
    let repository = server.content().repository("team/app");
    assert_eq!(repository.tags["v1"], layout.root());
    for (digest, bytes) in layout.blobs() {
        let manifest = repository.manifests.get(&digest);
        let there = manifest.map_or_else(|| &repository.blobs[&digest], |found| &found.bytes);
        assert!(*there == bytes, "{digest} is another one there");
    }
    let place = tempfile::tempdir().unwrap();
    for from in [
        name,
        format!("{}/team/app@{}", server.host(), layout.root()),
    ] {
        let back = place.path().join("back.oci");
        let got = pull(&client, &from, &back).unwrap();
        assert_eq!(got.root.digest().to_string(), layout.root());
        assert!(blobs(&back) == layout.blobs(), "{from}");
        assert_eq!(roots(&back), [(layout.root(), "v1".to_owned())]);
        std::fs::remove_dir_all(&back).unwrap();
    }
}

#[test]
fn an_image_comes_back_byte_for_byte() {
    comes_back(&Server::start(), &Layout::small());
}

#[test]
fn an_index_with_an_attestation_comes_back_byte_for_byte() {
    comes_back(&Server::start(), &Layout::with_index());
}

#[test]
fn a_layer_of_no_bytes_and_one_of_many_come_back() {
    comes_back(
        &Server::start(),
        &Layout::of(&[Vec::new(), layer(1, 5_000_000)]),
    );
}

#[test]
fn a_registry_that_knows_no_head_and_no_ranges_will_do() {
    let server = Server::with(Settings {
        head: false,
        ranges: false,
        ..Settings::default()
    });
    comes_back(&server, &Layout::with_index());
}

#[test]
fn what_is_there_is_not_sent_again() {
    let server = Server::start();
    let layout = Layout::with_index();
    let name = format!("{}/app:v1", server.host());
    push(&client(), &layout, &name).unwrap();
    server.forget();
    let again = push(&client(), &layout, &name).unwrap();
    assert!(again.unchanged, "{again:?}");
    assert_eq!(again.sent, 0);
    for seen in server.seen() {
        assert!(
            seen.method == "HEAD" || seen.line() == "GET /v2/",
            "{}",
            seen.line()
        );
    }
}

#[test]
fn of_a_changed_image_only_the_changed_layer_is_sent() {
    let server = Server::start();
    let name = format!("{}/app:v1", server.host());
    let kept = layer(1, 400_000);
    push(
        &client(),
        &Layout::of(&[kept.clone(), layer(2, 1000)]),
        &name,
    )
    .unwrap();
    server.forget();
    let changed = Layout::of(&[kept, layer(3, 1000)]);
    let copied = push(&client(), &changed, &name).unwrap();
    assert!(copied.present >= 1 && !copied.unchanged, "{copied:?}");
    let bytes: u64 = server.seen().iter().map(|seen| seen.body).sum();
    assert!(bytes < 100_000, "{bytes} bytes were sent");
    assert_eq!(
        server.content().repository("app").tags["v1"],
        changed.root()
    );
}

#[test]
fn a_layer_of_another_repository_is_mounted_and_not_sent() {
    let server = Server::start();
    let base = layer(1, 400_000);
    server.content().put_blob("base", &base);
    let layout = Layout::of(&[base, layer(2, 1000)]);
    let copied = push_mounting(
        &client(),
        &layout,
        &format!("{}/app:v1", server.host()),
        &[&format!("{}/base", server.host()), "registry.example/other"],
    )
    .unwrap();
    assert_eq!(copied.mounted, 1, "{copied:?}");
    assert!(!server.seen_of("POST", "from=base").is_empty());
    assert!(server.seen_of("POST", "from=other").is_empty());
    let bytes: u64 = server.seen().iter().map(|seen| seen.body).sum();
    assert!(bytes < 100_000, "{bytes} bytes were sent");
}

#[test]
fn a_registry_that_does_not_mount_is_sent_the_layer() {
    let server = Server::with(Settings {
        mounts: false,
        ..Settings::default()
    });
    let base = layer(1, 400_000);
    server.content().put_blob("base", &base);
    let layout = Layout::of(&[base]);
    let name = format!("{}/app:v1", server.host());
    let mounts = [&*format!("{}/base", server.host())];
    let copied = push_mounting(&client(), &layout, &name, &mounts).unwrap();
    assert_eq!(copied.mounted, 0, "{copied:?}");
    assert_eq!(server.content().repository("app").tags["v1"], layout.root());
}

#[test]
fn a_tag_stays_where_it_is_until_all_is_there() {
    let server = Server::start();
    let name = format!("{}/app:v1", server.host());
    let old = Layout::small();
    push(&client(), &old, &name).unwrap();
    let new = Layout::with_index();
    let refusal = Reply::error(400, "MANIFEST_INVALID", "not today");
    // The second of three images.
    let fault = Fault::on("PUT", "/manifests/", Act::Answer(refusal))
        .after(1)
        .always();
    server.arm(fault);
    let error = push(&client(), &new, &name).unwrap_err();
    assert!(said(&error).contains("not today"), "{}", said(&error));
    assert_eq!(server.content().repository("app").tags["v1"], old.root());
    server.disarm();
    push(&client(), &new, &name).unwrap();
    assert_eq!(server.content().repository("app").tags["v1"], new.root());
}

#[test]
fn a_platform_that_is_missing_is_told_with_those_that_are_there() {
    let server = Server::start();
    let name = format!("{}/app:v1", server.host());
    push(&client(), &Layout::with_index(), &name).unwrap();
    let remote = Remote::open(client(), reference(&name)).unwrap();
    let select = |platform: &str| store::select(&remote, None, Some(&platform.parse().unwrap()));
    let error = select("linux/s390x").unwrap_err().to_string();
    for words in ["linux/s390x", "linux/amd64", "linux/arm64", "app"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(!error.contains("unknown"), "{error}");
    assert!(select("linux/arm64").is_ok());
}

#[test]
fn an_image_that_is_not_there_is_told_by_its_name() {
    let server = Server::start();
    for name in ["app:v1", "app"] {
        let name = format!("{}/{name}", server.host());
        let error = Remote::open(client(), reference(&name)).unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
    }
}
