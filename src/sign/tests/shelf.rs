//! A store in memory, with one image.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use oci_spec::image::{Descriptor, Digest, ImageIndex, ImageIndexBuilder, MediaType};

use super::*;
use crate::store::{Attached, Link, Source, StoreError, Verified as Checking};

pub(super) struct Shelf {
    pub(super) image: Descriptor,
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) attached: Vec<Attached>,
    /// How many blobs were asked for.
    pub(super) asked: AtomicUsize,
}

impl Shelf {
    /// An image of a config and a layer.
    pub(super) fn new() -> Self {
        let mut shelf = Self::empty();
        let config = shelf.put(
            MediaType::ImageConfig,
            br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#,
        );
        let layer = shelf.put(MediaType::ImageLayer, b"a layer of some bytes");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest.to_string(),
            "config": config,
            "layers": [layer],
        });
        shelf.image = shelf.put(MediaType::ImageManifest, &bytes(&manifest));
        shelf
    }

    pub(super) fn empty() -> Self {
        Self {
            image: described(MediaType::ImageManifest, b""),
            blobs: BTreeMap::new(),
            attached: Vec::new(),
            asked: AtomicUsize::new(0),
        }
    }

    pub(super) fn put(&mut self, media_type: MediaType, bytes: &[u8]) -> Descriptor {
        let described = described(media_type, bytes);
        let digest = described.digest().to_string();
        self.blobs.insert(digest, bytes.to_vec());
        described
    }

    /// Does what attaching does.
    pub(super) fn attach(&mut self, made: &Made) {
        for attachment in &made.attachments {
            for (digest, bytes) in &attachment.entry.documents {
                assert_eq!(
                    *digest,
                    described(MediaType::EmptyJSON, bytes).digest().to_string()
                );
                self.blobs.insert(digest.clone(), bytes.clone());
            }
            for blob in &attachment.entry.blobs {
                assert!(self.blobs.contains_key(blob.digest().as_ref()));
            }
            if let Link::Tag(_) = attachment.link {
                self.attached.retain(|known| known.link != attachment.link);
            }
            self.attached.push(Attached {
                manifest: attachment.entry.root.clone(),
                link: attachment.link.clone(),
            });
        }
        let gone = |known: &Attached| made.replaced.contains(known.manifest.digest());
        self.attached.retain(|known| !gone(known));
    }

    /// Attaches a manifest that someone else wrote.
    pub(super) fn attach_manifest(&mut self, manifest: &Value, link: Link) -> Digest {
        let manifest = self.put(MediaType::ImageManifest, &bytes(manifest));
        let digest = manifest.digest().clone();
        self.attached.push(Attached { manifest, link });
        digest
    }

    /// A classic signature over any bytes, with more annotations.
    pub(super) fn attach_payload(&mut self, payload: &[u8], annotations: &Value) {
        let mut layer = layer(Payload::MEDIA_TYPE, payload);
        layer["annotations"] = annotations.clone();
        self.put(MediaType::EmptyJSON, payload);
        let manifest = json!({"schemaVersion": 2, "config": layer, "layers": [layer]});
        let link = Link::Tag(self.tag());
        self.attach_manifest(&manifest, link);
    }

    /// Any bytes as a bundle of the image.
    pub(super) fn attach_bundle(&mut self, bundle: &[u8]) {
        self.put(MediaType::EmptyJSON, bundle);
        let manifest = json!({
            "schemaVersion": 2,
            "config": layer("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [layer(BUNDLE_MEDIA_TYPE, bundle)],
            "subject": self.image,
        });
        self.attach_manifest(&manifest, Link::Subject);
    }

    /// cosign's tag for signatures of the image.
    pub(super) fn tag(&self) -> String {
        attached_tag(self.image.digest(), "sig")
    }

    /// The bytes of a manifest that is attached.
    pub(super) fn manifest(&self, attached: usize) -> Value {
        let digest = self.attached[attached].manifest.digest().to_string();
        serde_json::from_slice(&self.blobs[&digest]).unwrap()
    }

    /// The digest and the bytes of a layer of a manifest that is attached.
    pub(super) fn layer(&self, attached: usize, layer: usize) -> (String, Vec<u8>) {
        let manifest = self.manifest(attached);
        let digest = manifest["layers"][layer]["digest"].as_str().unwrap();
        (digest.to_owned(), self.blobs[digest].clone())
    }

    /// Puts other bytes in the place of a manifest that is attached, at their own digest.
    pub(super) fn forge_manifest(&mut self, attached: usize, bytes: &[u8]) {
        let manifest = self.put(MediaType::ImageManifest, bytes);
        self.attached[attached].manifest = manifest;
    }

    /// Puts other bytes in the place of a layer, and corrects all that leads to it.
    pub(super) fn forge_layer(&mut self, attached: usize, layer: usize, bytes: &[u8]) {
        let described = self.put(MediaType::EmptyJSON, bytes);
        let mut manifest = self.manifest(attached);
        let part = &mut manifest["layers"][layer];
        part["digest"] = json!(described.digest());
        part["size"] = json!(described.size());
        self.forge_manifest(attached, &super::shelf::bytes(&manifest));
    }
}

impl Source for Shelf {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        let index = ImageIndexBuilder::default().schema_version(2u32);
        Ok(index.manifests([]).build().unwrap())
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let digest = descriptor.digest();
        let Some(bytes) = self.blobs.get(digest.as_ref()) else {
            return Err(StoreError::MissingBlob {
                store: self.name(),
                digest: digest.to_string(),
            });
        };
        let check = crate::store::Check::of(digest.algorithm()).unwrap();
        let size = descriptor.size();
        Ok(Box::new(Checking::new(
            bytes.as_slice(),
            check,
            digest,
            size,
        )))
    }

    fn attached(&self, _: &Digest) -> Result<Vec<Attached>, StoreError> {
        Ok(self.attached.clone())
    }

    fn name(&self) -> String {
        "shelf".to_owned()
    }
}

pub(super) fn described(media_type: MediaType, bytes: &[u8]) -> Descriptor {
    let digest = crate::layer::Digest::of(bytes);
    crate::image::descriptor(media_type, &digest, bytes.len() as u64)
}

/// A layer of a manifest.
pub(super) fn layer(media_type: &str, bytes: &[u8]) -> Value {
    let described = described(MediaType::EmptyJSON, bytes);
    json!({"mediaType": media_type, "size": bytes.len(), "digest": described.digest()})
}

pub(super) fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}
