//! What is attached to the parts of an image that is put together.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, Digest as OciDigest};
use serde_json::json;

use super::*;
use crate::layer::Digest;
use crate::store::tests::{amd64, made, source, write};
use crate::store::{Attachment, Entry, Link, attach, read_manifest};

/// A store with one image, and something attached to it.
fn signed(path: &Path, image: &crate::store::tests::Made) -> OciDigest {
    write(&Destination::Layout(path.to_path_buf()), image, "1").unwrap();
    let subject = &image.image.descriptor;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
                   "digest": Digest::of(b"{}").to_string()},
        "layers": [], "subject": subject,
    })
    .to_string();
    let digest = Digest::of(manifest.as_bytes()).to_string();
    let root: Descriptor = serde_json::from_value(json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest, "size": manifest.len(),
    }))
    .unwrap();
    let documents = [
        (digest, manifest.into_bytes()),
        (Digest::of(b"{}").to_string(), b"{}".to_vec()),
    ];
    let one = Attachment {
        entry: Entry {
            root: root.clone(),
            documents: BTreeMap::from(documents),
            blobs: Vec::new(),
        },
        link: Link::Subject,
        instead: Vec::new(),
    };
    attach(path, subject.digest(), &[one], &[]).unwrap();
    root.digest().clone()
}

#[test]
fn what_is_attached_to_a_part_is_found_in_the_whole_and_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let images = [amd64(&["a"]), made(&["b"], "linux/arm64", Codec::Gzip)];
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    let signatures = [0, 1].map(|at| signed(&paths[at], &images[at]));
    let sources = [0, 1].map(|at| source(&paths[at]));
    let parts = [0, 1].map(|at| Part {
        source: sources[at].as_ref(),
        root: images[at].image.descriptor.clone(),
    });
    let gathered = index(None, &parts, &BTreeMap::new()).unwrap();
    assert_eq!(gathered.attached(gathered.root().digest()).unwrap(), []);
    let joined = Joined::new(
        &images[0].image,
        sources.iter().map(|s| s.as_ref()).collect(),
    );
    for whole in [&gathered as &dyn Source, &joined] {
        for at in [0, 1] {
            let attached = whole
                .attached(images[at].image.descriptor.digest())
                .unwrap();
            assert_eq!(attached.len(), 1);
            assert_eq!(attached[0].manifest.digest(), &signatures[at]);
            read_manifest(whole, &attached[0].manifest).unwrap();
        }
    }
}
