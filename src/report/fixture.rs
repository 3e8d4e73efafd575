//! Images in memory, for tests.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read;

use oci_spec::image::{Descriptor, ImageIndex, MediaType};
use serde_json::{Value, json};

use crate::layer::Digest;
use crate::store::{Source, StoreError};

/// A store in memory.
#[derive(Debug, Clone, Default)]
pub(in crate::report) struct Memory {
    pub(in crate::report) blobs: BTreeMap<String, Vec<u8>>,
    /// The entries of its index.
    pub(in crate::report) entries: Vec<Value>,
}

impl Memory {
    /// Adds a blob and gives its descriptor.
    pub(in crate::report) fn add(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Value {
        let digest = Digest::of(&bytes).to_string();
        let size = bytes.len();
        self.blobs.insert(digest.clone(), bytes);
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    }

    /// Adds an image of these layers, `config` as the `config` member of its config.
    pub(in crate::report) fn image(
        &mut self,
        architecture: &str,
        config: Value,
        layers: &[Vec<u8>],
    ) -> Value {
        let layers: Vec<Value> = layers
            .iter()
            .map(|tar| self.add(MediaType::ImageLayer, tar.clone()))
            .collect();
        let history: Vec<Value> = (1..=layers.len())
            .map(|number| json!({ "created_by": format!("RUN step {number}") }))
            .collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": config, "history": history,
            "created": "2026-01-02T03:04:05Z", "rootfs": { "type": "layers", "diff_ids": [] },
        });
        let config = self.add(MediaType::ImageConfig, config.to_string().into_bytes());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let manifest = manifest.to_string().into_bytes();
        self.add(MediaType::ImageManifest, manifest)
    }

    /// Adds an index of these manifests.
    pub(in crate::report) fn index_of(&mut self, manifests: &[Value]) -> Value {
        let index = json!({
            "schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": manifests,
            "annotations": { "org.opencontainers.image.title": "several" },
        });
        self.add(MediaType::ImageIndex, index.to_string().into_bytes())
    }

    /// The store without its layers: reading one is an error.
    pub(in crate::report) fn without_layers(mut self) -> Self {
        self.blobs.retain(|_, bytes| bytes.first() == Some(&b'{'));
        self
    }
}

impl Source for Memory {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        let index = json!({ "schemaVersion": 2, "manifests": self.entries });
        Ok(serde_json::from_value(index).unwrap())
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let digest = descriptor.digest().to_string();
        match self.blobs.get(&digest) {
            Some(bytes) => Ok(Box::new(bytes.as_slice())),
            None => Err(StoreError::MissingBlob {
                store: self.name(),
                digest,
            }),
        }
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

/// A descriptor from its JSON.
pub(in crate::report) fn descriptor(value: &Value) -> Descriptor {
    serde_json::from_value(value.clone()).unwrap()
}

/// A manifest's descriptor with its platform.
pub(in crate::report) fn on(architecture: &str, mut manifest: Value) -> Value {
    manifest["platform"] = json!({ "os": "linux", "architecture": architecture });
    manifest
}

/// What stands in a layer: a path, and what is there.
#[derive(Clone, Copy)]
pub(in crate::report) enum Entry<'a> {
    File(&'a [u8]),
    Directory,
    Symlink(&'a str),
    HardLink(&'a str),
}

/// A layer, each entry with its path, what it is, and mode and owner.
pub(in crate::report) fn layer(entries: &[(&str, Entry<'_>, u32, u64)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, entry, mode, owner) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(*mode);
        header.set_uid(*owner);
        header.set_gid(*owner);
        header.set_size(0);
        let linked = |header: &mut tar::Header, kind, target: &str| {
            header.set_entry_type(kind);
            header.set_link_name(target).unwrap();
        };
        let content: &[u8] = match entry {
            Entry::File(content) => content,
            Entry::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                b""
            }
            Entry::Symlink(target) => {
                linked(&mut header, tar::EntryType::Symlink, target);
                b""
            }
            Entry::HardLink(target) => {
                linked(&mut header, tar::EntryType::Link, target);
                b""
            }
        };
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A file of root's with the mode 0644.
pub(in crate::report) fn file<'a>(
    path: &'a str,
    content: &'a [u8],
) -> (&'a str, Entry<'a>, u32, u64) {
    (path, Entry::File(content), 0o644, 0)
}

/// Text without colours.
pub(in crate::report) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
