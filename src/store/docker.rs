//! Docker archives, read: what `docker save` and `skopeo copy docker-archive:` write.
//!
//! `manifest.json` lists the images: `[{"Config", "RepoTags", "Layers"}]`. There are no
//! manifests in it, so one is made for each image, with the config and the layers as
//! they lie in the archive.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::Path;

use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, Digest as OciDigest, ImageConfiguration, ImageIndex,
    ImageManifestBuilder, MediaType,
};
use serde::{Deserialize, Serialize};

use super::archive::Tar;
use super::read::{Verified, blob_path, document};
use super::{Source, StoreError};
use crate::image::{Platform, canonical, descriptor};
use crate::layer::{Digest, Hasher};

/// The annotation with the whole name of an image, `app:1.0`, as containerd writes it.
pub const ANNOTATION_IMAGE_NAME: &str = "io.containerd.image.name";

/// The most layers that an image may have; the kernel's overlayfs takes 500.
const MOST_LAYERS: usize = 4096;

/// An image of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "Config")]
    pub(super) config: String,
    #[serde(rename = "RepoTags", default)]
    pub(super) repo_tags: Vec<String>,
    #[serde(rename = "Layers", default)]
    pub(super) layers: Vec<String>,
}

#[derive(Debug)]
enum Place {
    Made(Vec<u8>),
    Stored { offset: u64, size: u64 },
}

/// A docker archive, shown as an OCI index with manifests made on the fly.
#[derive(Debug)]
pub struct DockerArchive {
    pub(super) tar: Tar,
    pub(super) items: Vec<Item>,
    index: ImageIndex,
    blobs: HashMap<String, Place>,
}

impl DockerArchive {
    /// Opens the archive at `path`.
    ///
    /// An uncompressed layer is known by the diff_id in the config, which is checked
    /// when the layer is read; a compressed one is read once here for its digest.
    ///
    /// # Errors
    /// When it is none, or refers to what it does not hold.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let tar = Tar::open(path.as_ref())?;
        if !Self::is_in(&tar) {
            return Err(StoreError::NotAnImage {
                path: tar.path.clone(),
                found: "a tar archive without manifest.json".into(),
            });
        }
        Self::of(tar)
    }

    /// Whether a tar is one of docker's.
    pub(super) fn is_in(tar: &Tar) -> bool {
        tar.find("manifest.json").is_some()
    }

    pub(super) fn of(tar: Tar) -> Result<Self, StoreError> {
        let store = tar.path.display().to_string();
        let bytes = tar.document("manifest.json")?.unwrap_or_default();
        let items: Vec<Item> = document(&store, "manifest.json", &bytes)?;
        let mut archive = Self {
            tar,
            items: Vec::new(),
            index: ImageIndex::default(),
            blobs: HashMap::new(),
        };
        let mut manifests = Vec::new();
        for item in &items {
            archive.add(item, &mut manifests)?;
        }
        archive.index.set_media_type(Some(MediaType::ImageIndex));
        archive.index.set_manifests(manifests);
        archive.items = items;
        Ok(archive)
    }

    fn add(&mut self, item: &Item, manifests: &mut Vec<Descriptor>) -> Result<(), StoreError> {
        let store = self.name();
        let bytes = self
            .tar
            .document(&item.config)?
            .ok_or_else(|| missing(&store, &item.config))?;
        let config: ImageConfiguration = document(&store, &item.config, &bytes)?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != item.layers.len() || item.layers.len() > MOST_LAYERS {
            return Err(StoreError::damaged(
                &store,
                "manifest.json",
                format!(
                    "{} layers are listed for a config with {} diff_ids",
                    item.layers.len(),
                    diff_ids.len()
                ),
            ));
        }
        let mut layers = Vec::with_capacity(item.layers.len());
        for (layer, diff_id) in item.layers.iter().zip(diff_ids) {
            layers.push(self.layer(layer, diff_id)?);
        }
        let config_descriptor = self.make(MediaType::ImageConfig, bytes);
        #[expect(clippy::expect_used, reason = "every required field is given")]
        let manifest = ImageManifestBuilder::default()
            .schema_version(oci_spec::image::SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config_descriptor)
            .layers(layers)
            .build()
            .expect("a whole manifest");
        let mut described = self.make(MediaType::ImageManifest, canonical(&manifest));
        described.set_platform(Some(Platform::from(&config).to_oci()));
        if item.repo_tags.is_empty() {
            manifests.push(described.clone());
        }
        for name in &item.repo_tags {
            let tag = name.rsplit_once(':').map_or(name.as_str(), |(_, tag)| tag);
            let annotations = BTreeMap::from([
                (ANNOTATION_REF_NAME.to_owned(), tag.to_owned()),
                (ANNOTATION_IMAGE_NAME.to_owned(), name.clone()),
            ]);
            let mut tagged = described.clone();
            tagged.set_annotations(Some(annotations.into_iter().collect()));
            manifests.push(tagged);
        }
        Ok(())
    }

    fn make(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Descriptor {
        let digest = Digest::of(&bytes);
        let described = descriptor(media_type, &digest, bytes.len() as u64);
        self.blobs.insert(digest.to_string(), Place::Made(bytes));
        described
    }

    fn layer(&mut self, name: &str, diff_id: &str) -> Result<Descriptor, StoreError> {
        let store = self.name();
        let (offset, size) = self.tar.find(name).ok_or_else(|| missing(&store, name))?;
        let mut magic = Vec::new();
        self.tar
            .reader(offset, size.min(4))
            .read_to_end(&mut magic)
            .map_err(StoreError::io(&self.tar.path, "read"))?;
        let media_type = match magic.as_slice() {
            [0x1f, 0x8b, ..] => MediaType::ImageLayerGzip,
            [0x28, 0xb5, 0x2f, 0xfd] => MediaType::ImageLayerZstd,
            _ => MediaType::ImageLayer,
        };
        let digest: OciDigest = if media_type == MediaType::ImageLayer {
            diff_id.parse().map_err(|error| {
                StoreError::damaged(
                    &store,
                    "the config",
                    format!("diff_id {diff_id:?}: {error}"),
                )
            })?
        } else {
            let mut hasher = Hasher::new();
            io::copy(&mut self.tar.reader(offset, size), &mut hasher)
                .map_err(StoreError::io(&self.tar.path, "read"))?;
            let hashed = descriptor(media_type.clone(), &hasher.finish(), size);
            hashed.digest().clone()
        };
        let place = Place::Stored { offset, size };
        self.blobs.insert(digest.to_string(), place);
        Ok(Descriptor::new(media_type, size, digest))
    }
}

fn missing(store: &str, name: &str) -> StoreError {
    StoreError::damaged(
        store,
        "manifest.json",
        format!("it names {name}, which is not in the archive"),
    )
}

impl Source for DockerArchive {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        Ok(self.index.clone())
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let digest = descriptor.digest();
        let (_, check) = blob_path(&self.name(), digest)?;
        let inner: Box<dyn Read + '_> = match self.blobs.get(digest.as_ref()) {
            Some(Place::Made(bytes)) => Box::new(bytes.as_slice()),
            Some(Place::Stored { offset, size }) => Box::new(self.tar.reader(*offset, *size)),
            None => {
                return Err(StoreError::MissingBlob {
                    store: self.name(),
                    digest: digest.to_string(),
                });
            }
        };
        Ok(Box::new(Verified::new(
            inner,
            check,
            digest,
            descriptor.size(),
        )))
    }

    fn name(&self) -> String {
        self.tar.path.display().to_string()
    }
}
