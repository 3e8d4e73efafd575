//! Whole entries: indexes, artifacts, images of other tools.

use oci_spec::image::{Descriptor, Digest as OciDigest};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use super::*;
use crate::image::descriptor;

/// An entry with the bytes of its blobs.
pub(crate) struct Whole {
    pub(crate) entry: Entry,
    pub(crate) blobs: Vec<(OciDigest, Vec<u8>)>,
}

impl Whole {
    pub(crate) fn of(made: &Made) -> Self {
        Self {
            entry: Entry::from(&made.image),
            blobs: made
                .blobs
                .iter()
                .map(|(digest, bytes)| (digest.to_string().parse().unwrap(), bytes.clone()))
                .collect(),
        }
    }

    /// Adds a document; gives its descriptor.
    pub(crate) fn document(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let described = descriptor(media_type.into(), &Digest::of(&bytes), bytes.len() as u64);
        self.entry
            .documents
            .insert(described.digest().to_string(), bytes);
        described
    }

    /// Adds a blob; gives its descriptor.
    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let described = descriptor(media_type.into(), &Digest::of(bytes), bytes.len() as u64);
        self.blobs
            .push((described.digest().clone(), bytes.to_vec()));
        self.entry.blobs.push(described.clone());
        described
    }

    pub(crate) fn commit(
        &self,
        to: &Destination,
        tag: &str,
        how: How,
    ) -> Result<Committed, StoreError> {
        let writer = Writer::open(to)?;
        let mut staged = Vec::new();
        for (digest, bytes) in &self.blobs {
            let mut blob = writer.stage()?;
            blob.write_all(bytes).unwrap();
            staged.push((digest.clone(), blob));
        }
        writer.commit_entry(&self.entry, staged, Some(tag), how, &[])
    }
}

/// An index as BuildKit makes it: an image for each platform and its attestation, not in the
/// order or the spelling that we write.
pub(crate) fn attested_index(platforms: &[(&str, &str)]) -> Whole {
    let mut whole = Whole {
        entry: Entry::from(&amd64(&["x"]).image),
        blobs: Vec::new(),
    };
    whole.entry.documents.clear();
    whole.entry.blobs.clear();
    let mut entries: Vec<Value> = Vec::new();
    for (platform, content) in platforms {
        let image = Whole::of(&made(&["libraries", content], platform, Codec::Gzip));
        whole.entry.documents.extend(image.entry.documents);
        for blob in image.entry.blobs {
            if !whole.entry.blobs.contains(&blob) {
                whole.entry.blobs.push(blob);
            }
        }
        whole.blobs.extend(image.blobs);
        let root = image.entry.root;
        let statement = whole.blob(
            "application/vnd.in-toto+json",
            format!("{{\"statement of\":\"{platform} {content}\"}}").as_bytes(),
        );
        let config = whole.document(
            "application/vnd.oci.image.config.v1+json",
            format!("{{\"architecture\":\"unknown\",\"os\":\"unknown\",\"config\":{{}},\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{}\"]}}}}", statement.digest()).into_bytes(),
        );
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [statement],
        });
        let manifest = whole.document(
            "application/vnd.oci.image.manifest.v1+json",
            serde_json::to_vec_pretty(&manifest).unwrap(),
        );
        let mut attestation = json!(manifest);
        attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
        attestation["annotations"] = json!({
            "vnd.docker.reference.digest": root.digest().to_string(),
            "vnd.docker.reference.type": "attestation-manifest",
        });
        let mut image = json!(root);
        image["future"] = json!("kept");
        entries.insert(0, image);
        entries.push(attestation);
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
        "annotations": {"of": "the index"},
    });
    let bytes = serde_json::to_vec_pretty(&index).unwrap();
    whole.entry.root = whole.document("application/vnd.oci.image.index.v1+json", bytes);
    whole
}

fn oci(directory: &Path) -> [Destination; 2] {
    [
        Destination::Layout(directory.join("app.oci")),
        Destination::OciArchive(directory.join("app.tar")),
    ]
}

#[test]
fn an_index_with_attestations_is_stored_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let whole = attested_index(&[("linux/arm64", "arm"), ("linux/amd64", "intel")]);
    for to in oci(directory.path()) {
        whole.commit(&to, "1", How::Replace).unwrap();
        let source = source(to.path());
        let entry = source.index().unwrap().manifests()[0].clone();
        assert_eq!(entry.digest(), whole.entry.root.digest());
        for (digest, bytes) in &whole.entry.documents {
            let described = Descriptor::new(
                MediaType::ImageIndex,
                bytes.len() as u64,
                digest.parse::<OciDigest>().unwrap(),
            );
            assert_eq!(&read_document(source.as_ref(), &described).unwrap(), bytes);
        }
        assert_eq!(images(source.as_ref(), Some("1")).unwrap().len(), 2);
        assert_no_litter(directory.path());
    }
}

#[test]
fn a_replaced_tag_keeps_nothing_of_what_had_it() {
    let directory = tempfile::tempdir().unwrap();
    for to in oci(directory.path()) {
        write(&to, &made(&["old"], "linux/s390x", Codec::Gzip), "1").unwrap();
        let image = Whole::of(&amd64(&["new"]));
        image.commit(&to, "1", How::Replace).unwrap();
        assert!(found(to.path(), "1", "linux/s390x").is_err());
        found(to.path(), "1", "linux/amd64").unwrap();
        assert_valid(to.path());
    }
    // oci-layout, index.json, manifest, config, layer; the archive.
    assert_eq!(files(directory.path()).len(), 6);
}

#[test]
fn a_merged_index_keeps_the_other_platforms_with_their_attestations() {
    let directory = tempfile::tempdir().unwrap();
    for to in oci(directory.path()) {
        let old = attested_index(&[("linux/amd64", "old"), ("linux/s390x", "old")]);
        old.commit(&to, "1", How::Merge).unwrap();
        let before = found(to.path(), "1", "linux/s390x").unwrap();
        let new = attested_index(&[("linux/arm64", "new"), ("linux/amd64", "new")]);
        new.commit(&to, "1", How::Merge).unwrap();
        let source = source(to.path());
        assert_eq!(images(source.as_ref(), Some("1")).unwrap().len(), 3);
        assert_eq!(found(to.path(), "1", "linux/s390x").unwrap(), before);
        let root = source.index().unwrap().manifests()[0].clone();
        let text = String::from_utf8(read_document(source.as_ref(), &root).unwrap()).unwrap();
        assert_eq!(text.matches("attestation-manifest").count(), 3, "{text}");
        assert!(text.contains("kept") && text.contains("of"), "{text}");
    }
}

#[test]
fn an_artifact_with_a_blob_of_sha512_finds_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let content = b"a signature";
    let hex: String = Sha512::digest(content)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let digest: OciDigest = format!("sha512:{hex}").parse().unwrap();
    let mut whole = Whole::of(&amd64(&["x"]));
    whole.entry.documents.clear();
    whole.entry.blobs.clear();
    whole.blobs.clear();
    let config = whole.blob("application/vnd.oci.empty.v1+json", b"{}");
    let layer = Descriptor::new("text/plain".into(), content.len() as u64, digest.clone());
    let manifest = json!({
        "schemaVersion": 2,
        "artifactType": "application/vnd.example",
        "config": config,
        "layers": [layer],
        "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::of(b"elsewhere").to_string(), "size": 9},
    });
    whole.entry.root = whole.document(
        "application/vnd.oci.image.manifest.v1+json",
        serde_json::to_vec(&manifest).unwrap(),
    );
    whole.entry.blobs.push(layer.clone());
    whole.blobs.push((digest, content.to_vec()));
    for to in oci(directory.path()) {
        whole.commit(&to, "sig", How::Replace).unwrap();
        let source = source(to.path());
        assert_eq!(read_document(source.as_ref(), &layer).unwrap(), content);
        assert!(Writer::open(&to).unwrap().holds(&layer));
    }
    assert!(
        directory
            .path()
            .join("app.oci/blobs/sha512")
            .join(hex)
            .exists()
    );
}

#[test]
fn an_entry_that_is_not_whole_or_not_true_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    for to in oci(directory.path()) {
        let whole = || Whole::of(&amd64(&["a"]));
        let mut without_root = whole();
        let root = without_root.entry.root.digest().to_string();
        without_root.entry.documents.remove(&root);
        let said = message(without_root.commit(&to, "1", How::Replace));
        assert!(said.contains("is missing"), "{said}");
        let mut false_config = whole();
        for (digest, bytes) in &mut false_config.entry.documents {
            if *digest != root {
                bytes.push(b' ');
            }
        }
        let said = message(false_config.commit(&to, "1", How::Replace));
        assert!(said.contains("its content has the digest"), "{said}");
        let mut without_layer = whole();
        without_layer.blobs.clear();
        let said = message(without_layer.commit(&to, "1", How::Replace));
        assert!(said.contains("was not given and is not there"), "{said}");
        let mut cut = whole();
        cut.blobs[0].1.pop();
        let said = message(cut.commit(&to, "1", How::Replace));
        assert!(said.contains("should have"), "{said}");
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}
