//! Signatures and the like go where their image goes.

use std::sync::Arc;

use distrobuild::registry::{Remote, Repository};
use distrobuild::store::{self, Attachment, Entry, Link};
use distrobuild::transfer::{self, Copied, Home as Place};
use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Value, json};

use crate::command::{Home, stderr, text};
use crate::fixture::{
    CONFIG, Failure, Layout, MANIFEST, client, in_layout, in_registry, push, reference, said, send,
};
use crate::server::fault::Reply;
use crate::server::{Act, Fault, Server, Settings, digest};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

fn repository(server: &Server) -> Repository {
    format!("{}/app", server.host()).parse().unwrap()
}

fn name(server: &Server) -> String {
    format!("{}/app:v1", server.host())
}

fn without_api() -> Server {
    Server::with(Settings {
        referrers: false,
        ..Settings::default()
    })
}

fn blob(server: &Server, media_type: &str, bytes: &[u8]) -> Value {
    let digest = server.content().put_blob("app", bytes);
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

fn sig_tag(subject: &str) -> String {
    format!("{}.sig", subject.replace(':', "-"))
}

/// Puts a signature under cosign's tag, a layer of each signer; gives its digest.
fn sign(server: &Server, subject: &str, by: &[&str]) -> String {
    let layers: Vec<Value> = by
        .iter()
        .map(|by| {
            let mut layer = blob(server, SIMPLE, format!("{subject} {by}").as_bytes());
            layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": by });
            layer
        })
        .collect();
    let config = json!({ "signed by": by }).to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": blob(server, CONFIG, config.as_bytes()), "layers": layers,
    });
    put(server, &sig_tag(subject), &manifest)
}

/// What a bundle is in a registry.
fn bundle(config: &Value, layer: &Value, subject: &str) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE,
        "config": config, "layers": [layer],
        "subject": { "mediaType": MANIFEST, "digest": subject, "size": 2 },
    })
}

/// Puts a bundle that refers to the subject; gives its digest.
fn refer(server: &Server, subject: &str, by: &str) -> String {
    let config = blob(server, "application/vnd.oci.empty.v1+json", b"{}");
    let layer = blob(server, BUNDLE, format!("bundle {subject} {by}").as_bytes());
    let manifest = bundle(&config, &layer, subject);
    let wanted = digest(manifest.to_string().as_bytes());
    put(server, &wanted, &manifest)
}

fn put(server: &Server, wanted: &str, manifest: &Value) -> String {
    let bytes = manifest.to_string().into_bytes();
    let put = client().put_manifest(
        &repository(server),
        wanted,
        &MediaType::ImageManifest,
        &bytes,
    );
    put.unwrap().digest().to_string()
}

/// A registry with a signed image, and the digests of the image and of its signatures.
struct Signed {
    server: Server,
    image: String,
    sig: String,
    bundle: String,
}

impl Signed {
    fn in_server(server: Server) -> Self {
        let layout = Layout::small();
        push(&client(), &layout, &name(&server)).unwrap();
        let image = layout.root();
        let sig = sign(&server, &image, &["one"]);
        let bundle = refer(&server, &image, "one");
        Self {
            server,
            image,
            sig,
            bundle,
        }
    }

    /// That all of it is in `other`, byte for byte, and found by whoever looks for it.
    fn is_in(&self, other: &Server) {
        let (here, there) = (
            self.server.content().repository("app"),
            other.content().repository("app"),
        );
        assert_eq!(there.tags["v1"], self.image);
        assert_eq!(there.tags[&sig_tag(&self.image)], self.sig);
        for digest in [&self.image, &self.sig, &self.bundle] {
            assert_eq!(there.manifests[digest], here.manifests[digest]);
        }
        for (digest, bytes) in &here.blobs {
            assert!(there.blobs.get(digest) == Some(bytes), "{digest}");
        }
        let subject = self.image.parse().unwrap();
        let found = client().referrers(&repository(other), &subject, None);
        let found: Vec<String> = found
            .unwrap()
            .iter()
            .map(|found| found.digest().to_string())
            .collect();
        assert_eq!(found, std::slice::from_ref(&self.bundle));
    }
}

/// Copies what is tagged v1 in one registry to another, and what is attached to it.
fn carry(from: &Server, to: &Server) -> Result<Copied, Failure> {
    let client = client();
    let remote = Remote::open(Arc::clone(&client), reference(name(from)))?;
    let root = remote.root().clone();
    let target = in_registry(&client, &name(to), &[]);
    send(&client, &remote, root, &target, true)
}

/// The requests of a copy but for the questions whether there is a registry.
fn lines(server: &Server) -> Vec<String> {
    let all = server.seen();
    let lines = all.iter().map(|seen| seen.line());
    lines.filter(|line| line != "GET /v2/").collect()
}

#[test]
fn signatures_go_from_registry_to_registry_with_and_without_the_api() {
    for from_knows in [true, false] {
        for to_knows in [true, false] {
            let server = |knows| {
                if knows {
                    Server::start()
                } else {
                    without_api()
                }
            };
            let signed = Signed::in_server(server(from_knows));
            let to = server(to_knows);
            let copied = carry(&signed.server, &to).unwrap();
            assert_eq!((copied.attached, copied.unchanged), (2, false));
            signed.is_in(&to);
            let index = signed.image.replace(':', "-");
            let tags = to.content().repository("app").tags;
            assert_eq!(tags.contains_key(&index), !to_knows);
        }
    }
}

#[test]
fn signatures_go_by_way_of_a_layout() {
    let signed = Signed::in_server(Server::start());
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("app.oci");
    let client = client();
    let remote = Remote::open(Arc::clone(&client), reference(name(&signed.server))).unwrap();
    let root = remote.root().clone();
    for unchanged in [false, true] {
        let copied = send(&client, &remote, root.clone(), &in_layout(&path), true).unwrap();
        assert_eq!((copied.attached, copied.unchanged), (2, unchanged));
    }
    let to = without_api();
    let source = store::open(&store::Reference::parse(&path).unwrap()).unwrap();
    let target = in_registry(&client, &name(&to), &[]);
    let copied = send(&client, &*source, root, &target, true).unwrap();
    assert_eq!(copied.attached, 2);
    signed.is_in(&to);
}

#[test]
fn the_name_is_put_after_all_that_is_attached() {
    let signed = Signed::in_server(Server::start());
    let to = Server::start();
    carry(&signed.server, &to).unwrap();
    let puts: Vec<String> = lines(&to)
        .into_iter()
        .filter(|line| line.starts_with("PUT /v2/app/manifests/"))
        .collect();
    let at = |name: &str| {
        let found = puts.iter().position(|line| line.ends_with(name));
        found.unwrap_or_else(|| panic!("{name}: {puts:#?}"))
    };
    assert_eq!(at(&signed.image), 0);
    assert!(at(&sig_tag(&signed.image)) < 3 && at(&signed.bundle) < 3);
    assert_eq!(at("/manifests/v1"), 3);
    assert_eq!(puts.len(), 4);
}

#[test]
fn an_image_is_not_there_by_its_name_while_a_signature_is_not() {
    let signed = Signed::in_server(Server::start());
    let to = Server::start();
    let no = Reply::error(400, "MANIFEST_INVALID", "not today");
    to.arm(Fault::on("PUT", sig_tag(&signed.image), Act::Answer(no)).always());
    let error = said(&carry(&signed.server, &to).unwrap_err());
    for words in ["not today", "--no-signatures", &signed.image] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(!to.content().repository("app").tags.contains_key("v1"));
    to.disarm();
    carry(&signed.server, &to).unwrap();
    signed.is_in(&to);
}

#[test]
fn a_signed_image_that_is_there_costs_four_questions() {
    for (to, more) in [(Server::start(), 0), (without_api(), 1)] {
        let signed = Signed::in_server(Server::start());
        carry(&signed.server, &to).unwrap();
        to.forget();
        let copied = carry(&signed.server, &to).unwrap();
        assert!(copied.unchanged, "{copied:?}");
        assert_eq!((copied.attached, copied.sent), (2, 0));
        // The tag, the list of what refers to it, and each of the two; without the API the list
        // is asked for once more.
        let lines = lines(&to);
        assert_eq!(lines.len(), 4 + more, "{lines:#?}");
        assert!(
            lines.iter().all(|line| !line.starts_with("P")),
            "{lines:#?}"
        );
    }
}

#[test]
fn an_image_without_any_costs_four_questions_more() {
    let place = tempfile::tempdir().unwrap();
    for (server, more) in [(Server::start(), 4), (without_api(), 5)] {
        push(&client(), &Layout::small(), &name(&server)).unwrap();
        let mut counts = Vec::new();
        for attached in [false, true] {
            server.forget();
            let client = client();
            let remote = Remote::open(Arc::clone(&client), reference(name(&server))).unwrap();
            let root = remote.root().clone();
            let path = place.path().join(format!("{more}-{attached}.oci"));
            send(&client, &remote, root, &in_layout(&path), attached).unwrap();
            counts.push(lines(&server).len());
        }
        assert_eq!(counts[1] - counts[0], more);
    }
}

#[test]
fn a_registry_that_does_not_tell_what_is_attached_fails_the_copy() {
    let signed = Signed::in_server(Server::start());
    let home = Home::new();
    for status in [403, 500] {
        let no = Reply::error(status, "DENIED", "it is not told");
        let server = &signed.server;
        server.arm(Fault::on("GET", "/referrers/", Act::Answer(no)).always());
        let to = Server::start();
        let error = said(&carry(server, &to).unwrap_err());
        for words in ["--no-signatures", &signed.image, &server.host()] {
            assert!(error.contains(words), "{words}: {error}");
        }
        assert!(to.content().repository("app").tags.is_empty());
        home.succeeds(&["copy", "--no-signatures", &name(server), &name(&to)]);
        assert_eq!(to.content().repository("app").tags.len(), 1);
        server.disarm();
    }
}

#[test]
fn a_thousand_that_refer_to_an_image_come_along_and_one_more_is_refused() {
    let server = Server::start();
    let layout = Layout::small();
    push(&client(), &layout, &name(&server)).unwrap();
    let config = blob(&server, "application/vnd.oci.empty.v1+json", b"{}");
    let add = |number: usize| {
        let layer = blob(&server, BUNDLE, format!("bundle {number}").as_bytes());
        let manifest = bundle(&config, &layer, &layout.root()).to_string();
        let mut content = server.content();
        content.put_manifest("app", None, MANIFEST, manifest.as_bytes());
    };
    (0..1000).for_each(add);
    let to = Server::start();
    assert_eq!(carry(&server, &to).unwrap().attached, 1000);
    add(1000);
    let to = Server::start();
    let error = said(&carry(&server, &to).unwrap_err());
    for words in ["1000", "--no-signatures", &layout.root()] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(to.content().repository("app").tags.is_empty());
}

#[test]
fn what_others_signed_at_the_target_stays() {
    let signed = Signed::in_server(Server::start());
    let to = Server::start();
    push(&client(), &Layout::small(), &name(&to)).unwrap();
    sign(&to, &signed.image, &["another", "one"]);
    carry(&signed.server, &to).unwrap();
    let there = to.content().repository("app");
    let (_, manifest) = there.manifest(&sig_tag(&signed.image)).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    let by: Vec<&Value> = layers
        .iter()
        .map(|layer| &layer["annotations"]["dev.cosignproject.cosign/signature"])
        .collect();
    assert_eq!(by, [&json!("another"), &json!("one")]);
    // What is new comes behind it.
    sign(&signed.server, &signed.image, &["one", "two"]);
    carry(&signed.server, &to).unwrap();
    let there = to.content().repository("app");
    let (_, manifest) = there.manifest(&sig_tag(&signed.image)).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 3);
    assert!(carry(&signed.server, &to).unwrap().unchanged);
}

/// A bundle that refers to the image, all of it in memory.
fn attachment(subject: &str) -> Attachment {
    let described = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() });
    let (config, layer) = (b"{}".to_vec(), b"a new bundle".to_vec());
    let empty = described("application/vnd.oci.empty.v1+json", &config);
    let manifest = bundle(&empty, &described(BUNDLE, &layer), subject);
    let manifest = manifest.to_string().into_bytes();
    let root: Descriptor = serde_json::from_value(described(MANIFEST, &manifest)).unwrap();
    let documents = [config, layer, manifest].map(|bytes| (digest(&bytes), bytes));
    Attachment {
        entry: Entry {
            root,
            documents: documents.into_iter().collect(),
            blobs: Vec::new(),
        },
        link: Link::Subject,
        instead: Vec::new(),
    }
}

fn attach(signed: &Signed) -> Vec<transfer::Left> {
    let (client, repository) = (client(), repository(&signed.server));
    let remote = Remote::open(Arc::clone(&client), reference(name(&signed.server)));
    let root = remote.unwrap().root().clone();
    let home = Place::Registry {
        client: &client,
        repository: &repository,
    };
    let replaced = [signed.bundle.parse().unwrap()];
    transfer::attach(home, &root, &[attachment(&signed.image)], &replaced).unwrap()
}

#[test]
fn what_is_attached_anew_takes_the_place_of_the_old() {
    for server in [Server::start(), without_api()] {
        let signed = Signed::in_server(server);
        assert!(attach(&signed).is_empty());
        let subject = signed.image.parse().unwrap();
        let found = client().referrers(&repository(&signed.server), &subject, None);
        let found: Vec<String> = found
            .unwrap()
            .iter()
            .map(|found| found.digest().to_string())
            .collect();
        let new = attachment(&signed.image).entry.root.digest().to_string();
        assert_eq!(found, [new]);
        let there = signed.server.content().repository("app");
        assert!(!there.manifests.contains_key(&signed.bundle));
    }
}

#[test]
fn a_registry_that_lets_nothing_go_keeps_the_old_and_that_is_told() {
    let signed = Signed::in_server(Server::start());
    let no = Reply::error(405, "UNSUPPORTED", "nothing goes from here");
    let fault = Fault::on("DELETE", "/manifests/", Act::Answer(no));
    signed.server.arm(fault.always());
    let left = attach(&signed);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].digest.to_string(), signed.bundle);
    let subject = signed.image.parse().unwrap();
    let found = client().referrers(&repository(&signed.server), &subject, None);
    assert_eq!(found.unwrap().len(), 2);
}

#[test]
fn the_commands_take_signatures_along_unless_they_are_told_not_to() {
    let signed = Signed::in_server(Server::start());
    let (home, from) = (Home::new(), name(&signed.server));
    let pulled = home.run(&["pull", &from, "-o", "app.oci"]);
    assert!(pulled.status.success(), "{}", stderr(&pulled));
    let said = stderr(&pulled);
    assert!(said.contains("2 signatures or attestations"), "{said}");
    let (pushed, copied) = (Server::start(), without_api());
    home.succeeds(&["push", "app.oci", &name(&pushed)]);
    home.succeeds(&["copy", &from, &name(&copied)]);
    for to in [&pushed, &copied] {
        signed.is_in(to);
    }
    for words in [
        &["pull", &from, "-o", "bare.oci", "--no-signatures"][..],
        &["copy", &from, "copied.oci", "--no-signatures"],
        &["copy", "app.oci", "again.oci", "--no-signatures"],
    ] {
        home.succeeds(words);
    }
    for bare in ["bare.oci", "copied.oci", "again.oci"] {
        let reference = store::Reference::parse(home.path().join(bare)).unwrap();
        let source = store::open(&reference).unwrap();
        assert_eq!(source.index().unwrap().manifests().len(), 1, "{bare}");
    }
    let to = Server::start();
    home.succeeds(&["push", "app.oci", &name(&to), "--no-signatures"]);
    let tags = to.content().repository("app").tags;
    assert_eq!(tags.keys().collect::<Vec<_>>(), ["v1"]);
}

#[test]
fn what_has_no_room_for_signatures_is_told_that_there_are_some() {
    let signed = Signed::in_server(Server::start());
    let (home, from) = (Home::new(), name(&signed.server));
    let archive = home.path().join("app.tar");
    let archive = text(&archive);
    for words in [
        vec!["pull", &from, "--format", "docker-archive", "-o", archive],
        vec!["copy", &from, &format!("docker-archive:{archive}")],
    ] {
        let ran = home.run(&words);
        let said = stderr(&ran);
        assert!(ran.status.success(), "{said}");
        assert!(said.contains("2 signatures or attestations"), "{said}");
        assert!(said.contains("docker archive"), "{said}");
        let ran = home.run(&[&words[..], &["--no-signatures"]].concat());
        assert!(!stderr(&ran).contains("signatures"), "{}", stderr(&ran));
    }
}

#[test]
fn a_signed_image_that_is_alone_is_chosen_by_its_platform_with_its_signatures() {
    let signed = Signed::in_server(Server::start());
    let (home, from) = (Home::new(), name(&signed.server));
    let words = ["pull", &from, "--platform", "linux/amd64", "-o", "app.oci"];
    let said = stderr(&home.run(&words));
    assert!(said.contains("2 signatures or attestations"), "{said}");
    assert!(!said.contains("left behind"), "{said}");
}

#[test]
fn a_signature_of_the_index_does_not_go_with_one_of_its_images_and_that_is_told() {
    let server = Server::start();
    let layout = Layout::with_index();
    push(&client(), &layout, &name(&server)).unwrap();
    sign(&server, &layout.root(), &["one"]);
    let home = Home::new();
    let from = name(&server);
    let words = ["pull", &from, "--platform", "linux/arm64", "-o", "app.oci"];
    let ran = home.run(&words);
    let said = stderr(&ran);
    assert!(ran.status.success(), "{said}");
    assert!(
        said.contains("1 signature or attestation is of the index"),
        "{said}"
    );
}
