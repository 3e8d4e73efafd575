//! What an image consists of, and documents that mean no good.

use oci_spec::image::{Digest as OciDigest, MediaType};
use serde_json::{Value, json};

use super::super::walk::walk;
use super::*;
use crate::layer::Digest;

/// A store of documents in memory, which does not care for digests.
#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A config of no image, which is a blob like any other.
fn config() -> Value {
    let digest = Digest::of(b"{}").to_string();
    json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2})
}

impl Memory {
    fn add(&mut self, media_type: &str, document: &Value) -> Descriptor {
        let bytes = serde_json::to_vec(document).unwrap();
        let digest = Digest::of(&bytes).to_string();
        self.named(&digest, media_type, bytes)
    }

    fn named(&mut self, digest: &str, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let size = bytes.len() as u64;
        self.0.insert(digest.to_owned(), bytes);
        Descriptor::new(
            media_type.into(),
            size,
            digest.parse::<OciDigest>().unwrap(),
        )
    }
}

impl Source for Memory {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        Ok(ImageIndex::default())
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        match self.0.get(descriptor.digest().as_ref()) {
            Some(bytes) => Ok(Box::new(bytes.as_slice())),
            None => Err(StoreError::MissingBlob {
                store: self.name(),
                digest: descriptor.digest().to_string(),
            }),
        }
    }

    fn name(&self) -> String {
        "memory".into()
    }
}

#[test]
fn a_manifest_comes_before_the_index_that_lists_it() {
    let mut memory = Memory::default();
    let leaf = memory.add(MANIFEST, &json!({"config": config(), "layers": []}));
    let other = memory.add(MANIFEST, &json!({"config": config(), "layers": null}));
    let inner = memory.add(INDEX, &json!({"manifests": [leaf, other]}));
    let root = memory.add(INDEX, &json!({"manifests": [inner, leaf]}));
    let walk = walk(&memory, &root).unwrap();
    let order: Vec<&OciDigest> = walk.order.iter().map(Descriptor::digest).collect();
    let expected = [&leaf, &other, &inner, &root].map(Descriptor::digest);
    assert_eq!(order, expected);
    assert_eq!(walk.images, 2);
}

#[test]
fn an_index_that_contains_itself_ends() {
    let mut memory = Memory::default();
    let digest = Digest::of(b"any").to_string();
    let text = |size: usize| {
        let entry = json!({"mediaType": INDEX, "digest": digest, "size": size});
        serde_json::to_vec(&json!({"manifests": [entry, entry]})).unwrap()
    };
    let size = (100..600).find(|size| text(*size).len() == *size).unwrap();
    let root = memory.named(&digest, INDEX, text(size));
    assert_eq!(walk(&memory, &root).unwrap().order.len(), 1);
}

#[test]
fn indexes_that_lie_too_deep_in_each_other_are_refused() {
    let mut memory = Memory::default();
    let mut root = memory.add(MANIFEST, &json!({"layers": []}));
    for _ in 0..6 {
        root = memory.add(INDEX, &json!({"manifests": [root]}));
    }
    let text = message(walk(&memory, &root));
    assert!(text.contains("indexes within indexes"), "{text}");
}

#[test]
fn more_manifests_than_any_honest_image_has_are_refused() {
    let mut memory = Memory::default();
    let leaf = |number: usize| {
        let digest = Digest::of(&number.to_le_bytes()).to_string();
        json!({"mediaType": "text/plain", "digest": digest, "size": 1})
    };
    let many: Vec<Value> = (0..12_000).map(leaf).collect();
    let root = memory.add(INDEX, &json!({"manifests": many}));
    let text = message(walk(&memory, &root));
    assert!(text.contains("too many manifests"), "{text}");
}

#[test]
fn documents_that_together_would_fill_the_memory_are_refused() {
    let mut memory = Memory::default();
    let padded = |number: u32| {
        let manifest = json!({"config": config(), "layers": [], "number": number});
        let mut bytes = serde_json::to_vec(&manifest).unwrap();
        bytes.resize(4 << 20, b' ');
        bytes
    };
    let entries: Vec<Descriptor> = (0..33_u32)
        .map(|number| {
            let digest = Digest::of(&number.to_le_bytes()).to_string();
            memory.named(&digest, MANIFEST, padded(number))
        })
        .collect();
    let root = memory.add(INDEX, &json!({"manifests": entries}));
    let text = message(walk(&memory, &root));
    assert!(text.contains("128 MiB"), "{text}");
}

#[test]
fn documents_that_contradict_themselves_are_refused() {
    let digest = Digest::of(b"layer").to_string();
    let layer = |size: u64| json!({"mediaType": "text/plain", "digest": digest, "size": size});
    for (media_type, document, said) in [
        (
            MANIFEST,
            json!({"layers": [], "manifests": []}),
            "an index and a manifest in one",
        ),
        (
            INDEX,
            json!({"layers": [], "manifests": []}),
            "an index and a manifest in one",
        ),
        (
            MANIFEST,
            json!({"config": config(), "layers": [layer(5), layer(6)]}),
            "said to have 6 bytes, and 5 elsewhere",
        ),
        (MANIFEST, json!({"layers": [{"digest": "../x"}]}), "damaged"),
        (MANIFEST, json!({"layers": 1}), "damaged"),
        (MANIFEST, json!([]), "damaged"),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            json!({"fsLayers": []}),
            "schema 2",
        ),
    ] {
        let mut memory = Memory::default();
        let root = memory.add(media_type, &document);
        let text = message(walk(&memory, &root));
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn what_an_artifact_is_about_is_no_part_of_it() {
    let mut memory = Memory::default();
    let elsewhere = json!({"mediaType": MANIFEST, "size": 9,
        "digest": Digest::of(b"elsewhere").to_string()});
    let signature = memory.named(&Digest::of(b"s").to_string(), "text/plain", b"s".to_vec());
    let root = memory.add(
        MANIFEST,
        &json!({"artifactType": "a/b", "config": {"mediaType": "application/vnd.oci.empty.v1+json",
            "digest": Digest::of(b"{}").to_string(), "size": 2}, "layers": [signature],
            "subject": elsewhere}),
    );
    let walk = walk(&memory, &root).unwrap();
    assert_eq!((walk.order.len(), walk.entry.blobs.len()), (1, 2));
    assert_eq!(walk.images, 1);
    assert_eq!(walk.order[0].media_type(), &MediaType::ImageManifest);
}

#[test]
fn sizes_that_no_disk_could_hold_are_refused_before_they_are_added_up() {
    let mut memory = Memory::default();
    let layer = |digit: &str| {
        let digest: OciDigest = format!("sha256:{}", digit.repeat(64)).parse().unwrap();
        Descriptor::new(MediaType::ImageLayer, u64::MAX, digest)
    };
    let config = memory.add("application/vnd.oci.image.config.v1+json", &json!({}));
    let manifest = json!({"config": config, "layers": [layer("1"), layer("2")]});
    let root = memory.add(MANIFEST, &manifest);
    let text = message(walk(&memory, &root));
    assert!(text.contains("more bytes than can be"), "{text}");
}
