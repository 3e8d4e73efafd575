#![allow(clippy::unwrap_used)]

use oci_spec::image::Digest;
use serde_json::json;

use super::super::script::{Reply, Server, client, content, layer, sha256};
use super::*;
use crate::image::Platform;
use crate::store;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str =
    r#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;

/// An image with one layer, in a registry that has it under an index.
struct Scene {
    server: Server,
    layer: Vec<u8>,
    manifest: String,
    index: String,
}

fn scene() -> Scene {
    let layer = content(100_000);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": sha256(CONFIG.as_bytes()).to_string(), "size": CONFIG.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": sha256(&layer).to_string(), "size": layer.len(),
        }],
    })
    .to_string();
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [{
            "mediaType": OCI, "digest": sha256(manifest.as_bytes()).to_string(),
            "size": manifest.len(),
        }],
    })
    .to_string();
    let contents = [
        (
            format!("manifests/{}", sha256(manifest.as_bytes())),
            OCI,
            manifest.clone().into_bytes(),
        ),
        (
            format!("manifests/{}", sha256(index.as_bytes())),
            INDEX,
            index.clone().into_bytes(),
        ),
        (
            "manifests/latest".to_owned(),
            INDEX,
            index.clone().into_bytes(),
        ),
        (
            "manifests/single".to_owned(),
            OCI,
            manifest.clone().into_bytes(),
        ),
        (
            format!("blobs/{}", sha256(CONFIG.as_bytes())),
            "text/plain",
            CONFIG.as_bytes().to_vec(),
        ),
        (
            format!("blobs/{}", sha256(&layer)),
            "text/plain",
            layer.clone(),
        ),
    ];
    let server = Server::start(move |exchange| {
        let found = contents
            .iter()
            .find(|(path, ..)| exchange.head.target == format!("/v2/me/app/{path}"));
        match found {
            Some((_, media_type, content)) => Reply::document(media_type, content),
            None => Reply::error(404, "UNKNOWN", "unknown"),
        }
    });
    Scene {
        server,
        layer,
        manifest,
        index,
    }
}

impl Scene {
    fn open(&self, tag: Option<&str>, digest: Option<Digest>) -> Result<Remote, RegistryError> {
        let reference = Reference {
            repository: self.server.repository("me/app"),
            tag: tag.map(str::to_owned),
            digest,
        };
        Remote::open(Arc::new(client()), reference)
    }
}

fn read(source: &dyn Source, descriptor: &Descriptor) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut reader = source.blob(descriptor).map_err(|error| error.to_string())?;
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[test]
fn opening_asks_once_and_pins_what_the_tag_names() {
    let scene = scene();
    let remote = scene.open(None, None).unwrap();
    assert_eq!(scene.server.lines(), ["GET manifests/latest"]);
    assert_eq!(remote.root().digest(), &sha256(scene.index.as_bytes()));
    let index = remote.index().unwrap();
    let [root] = index.manifests().as_slice() else {
        panic!("{index:?}");
    };
    let annotations = root.annotations().as_ref().unwrap();
    assert_eq!(annotations[ANNOTATION_REF_NAME], "latest");
    assert_eq!(read(&remote, root).unwrap(), scene.index.as_bytes());
    assert_eq!(scene.server.seen().len(), 1);
}

#[test]
fn a_digest_decides_and_has_no_tag_of_its_own() {
    let scene = scene();
    let digest = sha256(scene.manifest.as_bytes());
    let remote = scene.open(None, Some(digest.clone())).unwrap();
    assert_eq!(remote.root().digest(), &digest);
    let index = remote.index().unwrap();
    assert_eq!(index.manifests()[0].annotations(), &None);
    let remote = scene.open(Some("gone"), Some(digest)).unwrap();
    assert_eq!(store::tags(&remote).unwrap(), ["gone"]);
}

#[test]
fn an_image_is_chosen_and_read_and_no_document_is_asked_for_twice() {
    let scene = scene();
    let remote = scene.open(Some("latest"), None).unwrap();
    let platform: Platform = "linux/arm64".parse().unwrap();
    for _ in 0..2 {
        let chosen = store::select(&remote, Some("latest"), Some(&platform)).unwrap();
        let manifest = store::read_manifest(&remote, &chosen).unwrap();
        store::read_config(&remote, &manifest).unwrap();
        assert_eq!(chosen.digest(), &sha256(scene.manifest.as_bytes()));
        let bytes = store::read_document(&remote, &chosen).unwrap();
        assert_eq!(bytes, scene.manifest.as_bytes());
    }
    assert_eq!(
        scene.server.lines(),
        [
            "GET manifests/latest".to_owned(),
            format!("GET manifests/{}", sha256(scene.manifest.as_bytes())),
            format!("GET blobs/{}", sha256(CONFIG.as_bytes())),
        ]
    );
    let layer = layer(&scene.layer);
    assert_eq!(read(&remote, &layer).unwrap(), scene.layer);
    assert_eq!(read(&remote, &layer).unwrap(), scene.layer);
    assert_eq!(scene.server.seen().len(), 5, "layers are not kept");
}

#[test]
fn what_is_missing_is_named() {
    let scene = scene();
    let error = scene.open(Some("other"), None).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    let remote = scene.open(None, None).unwrap();
    let missing = sha256(b"missing");
    for media_type in [
        MediaType::ImageManifest,
        MediaType::ImageConfig,
        MediaType::ImageLayer,
    ] {
        let descriptor = Descriptor::new(media_type, 7, missing.clone());
        match remote.blob(&descriptor).map(drop).unwrap_err() {
            StoreError::MissingBlob { store, digest } => {
                assert_eq!(digest, missing.to_string());
                assert_eq!(store, remote.name());
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_size_that_does_not_fit_is_an_error_for_every_kind() {
    let scene = scene();
    let remote = scene.open(None, None).unwrap();
    for (media_type, bytes) in [
        (MediaType::ImageIndex, scene.index.as_bytes()),
        (MediaType::ImageManifest, scene.manifest.as_bytes()),
        (MediaType::ImageConfig, CONFIG.as_bytes()),
        (MediaType::ImageLayer, &scene.layer),
    ] {
        for size in [bytes.len() as u64 - 1, bytes.len() as u64 + 1] {
            let descriptor = Descriptor::new(media_type.clone(), size, sha256(bytes));
            assert!(read(&remote, &descriptor).is_err(), "{media_type}");
        }
        let descriptor = Descriptor::new(media_type, bytes.len() as u64, sha256(bytes));
        assert_eq!(read(&remote, &descriptor).unwrap(), bytes);
    }
}

#[test]
fn more_than_is_kept_is_asked_for_again_and_read_all_the_same() {
    let body = content(4 << 20);
    let other = content(3 << 20);
    let contents = [body.clone(), other.clone()];
    let server = Server::start(move |exchange| {
        let found = contents
            .iter()
            .find(|content| exchange.head.target.ends_with(sha256(content).as_ref()));
        found.map_or_else(
            || Reply::document(INDEX, r#"{"schemaVersion":2,"manifests":[]}"#),
            Reply::body,
        )
    });
    let reference = Reference {
        repository: server.repository("me/app"),
        tag: None,
        digest: None,
    };
    let remote = Remote::open(Arc::new(client()), reference).unwrap();
    remote.kept().bytes = MOST_KEPT - (4 << 20);
    let described =
        |bytes: &[u8]| Descriptor::new(MediaType::ImageConfig, bytes.len() as u64, sha256(bytes));
    for _ in 0..2 {
        assert_eq!(read(&remote, &described(&body)).unwrap(), body);
        assert_eq!(read(&remote, &described(&other)).unwrap(), other);
    }
    assert_eq!(server.seen().len(), 1 + 1 + 2);
    assert_eq!(remote.kept().bytes, MOST_KEPT);
}

#[test]
fn its_debug_form_has_no_documents_in_it() {
    let scene = scene();
    let remote = scene.open(None, None).unwrap();
    assert!(!format!("{remote:?}").contains("documents"));
    assert!(!format!("{remote:?}").contains("document:"));
}

/// An image with everything attached that can be, in a registry that knows referrers or not.
struct Signed {
    server: Server,
    image: Digest,
    signature: String,
    bundle: String,
}

fn signed(knows_referrers: bool) -> Signed {
    let image = json!({"schemaVersion": 2, "mediaType": OCI, "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": sha256(CONFIG.as_bytes()).to_string(), "size": CONFIG.len(),
    }, "layers": []})
    .to_string();
    let digest = sha256(image.as_bytes());
    let empty = json!({
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": sha256(b"{}").to_string(), "size": 2,
    });
    let of = json!({"mediaType": OCI, "digest": digest.to_string(), "size": image.len()});
    let signature = json!({"schemaVersion": 2, "mediaType": OCI, "config": empty, "layers": []});
    let bundle = json!({
        "schemaVersion": 2, "mediaType": OCI, "artifactType": "text/bundle", "config": empty,
        "layers": [], "subject": of,
    });
    let (signature, bundle) = (signature.to_string(), bundle.to_string());
    let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        // The registry names what it likes.
        {"mediaType": OCI, "digest": sha256(bundle.as_bytes()).to_string(),
         "size": bundle.len(), "artifactType": "application/vnd.oci.empty.v1+json"},
        of,
    ]})
    .to_string();
    let hex = digest.digest().to_owned();
    let list_at = match knows_referrers {
        true => format!("referrers/{digest}"),
        false => format!("manifests/sha256-{hex}"),
    };
    let contents = [
        ("manifests/latest".to_owned(), OCI, image.clone()),
        (
            format!("manifests/sha256-{hex}.sig"),
            OCI,
            signature.clone(),
        ),
        (
            format!("manifests/{}", sha256(bundle.as_bytes())),
            OCI,
            bundle.clone(),
        ),
        (list_at, INDEX, list),
    ];
    let server = Server::start(move |exchange| {
        let found = contents
            .iter()
            .find(|(path, ..)| exchange.head.target == format!("/v2/me/app/{path}"));
        match found {
            Some((_, media_type, content)) => Reply::document(media_type, content),
            None => Reply::error(404, "UNKNOWN", "unknown"),
        }
    });
    Signed {
        server,
        image: digest,
        signature,
        bundle,
    }
}

impl Signed {
    fn open(&self) -> Remote {
        let reference = Reference {
            repository: self.server.repository("me/app"),
            tag: None,
            digest: None,
        };
        Remote::open(Arc::new(client()), reference).unwrap()
    }
}

#[test]
fn what_is_attached_is_found_by_tag_and_by_subject_with_or_without_the_api() {
    for knows_referrers in [true, false] {
        let scene = signed(knows_referrers);
        let remote = scene.open();
        let attached = remote.attached(&scene.image).unwrap();
        let found: Vec<_> = attached
            .iter()
            .map(|one| (one.manifest.digest().clone(), one.link.clone()))
            .collect();
        let tag = format!("sha256-{}.sig", scene.image.digest());
        assert_eq!(
            found,
            [
                (sha256(scene.signature.as_bytes()), Link::Tag(tag)),
                (sha256(scene.bundle.as_bytes()), Link::Subject),
            ]
        );
        let mut lines = scene.server.lines();
        lines.sort();
        let hex = scene.image.digest();
        let mut expected = vec![
            "GET manifests/latest".to_owned(),
            format!("GET manifests/sha256-{hex}.att"),
            format!("GET manifests/sha256-{hex}.sbom"),
            format!("GET manifests/sha256-{hex}.sig"),
            format!("GET referrers/{}", scene.image),
        ];
        if !knows_referrers {
            expected.insert(1, format!("GET manifests/sha256-{hex}"));
        }
        assert_eq!(lines, expected);
        // They are read like all else, and what was read is not asked for again.
        for (one, bytes) in attached.iter().zip([&scene.signature, &scene.bundle]) {
            assert_eq!(read(&remote, &one.manifest).unwrap(), bytes.as_bytes());
        }
        assert_eq!(scene.server.seen().len(), expected.len() + 1);
    }
}

#[test]
fn an_image_with_nothing_attached_has_none_and_a_refusal_is_an_error() {
    let scene = signed(true);
    let remote = scene.open();
    assert_eq!(remote.attached(&sha256(b"other")).unwrap(), []);
    for refused in ["referrers", ".att"] {
        let server = Server::start(move |exchange| match &exchange.head.target {
            target if target.contains(refused) => Reply::error(403, "DENIED", "not for you"),
            target if target.ends_with("/latest") => Reply::document(INDEX, r#"{"manifests":[]}"#),
            _ => Reply::error(404, "UNKNOWN", "unknown"),
        });
        let scene = Signed {
            server,
            ..signed(true)
        };
        let error = scene.open().attached(&scene.image).unwrap_err();
        assert!(error.to_string().contains("not for you"), "{error}");
    }
}
