//! What is known of an image without reading a layer.

mod attached;

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::{
    ANNOTATION_BASE_IMAGE_DIGEST, ANNOTATION_BASE_IMAGE_NAME, Descriptor, ImageConfiguration,
    ImageManifest, MediaType,
};
use serde::Serialize;

use super::config::{Described, printable, words};
use super::share::sum;
use crate::image::Platform;
use crate::store::{
    self, Source, StoreError, is_index, is_manifest, named, read_config, read_index, read_manifest,
    under,
};

pub use attached::AttachedManifest;

/// By these a builder (BuildKit) marks an attestation and names the manifest that it is of.
const KIND: &str = "vnd.docker.reference.type";
const ATTESTATION: &str = "attestation-manifest";
const ATTESTATION_OF: &str = "vnd.docker.reference.digest";

/// What an image's documents say. Serialised, this is the body of the JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// What the image is called.
    pub reference: String,
    /// Digest of the manifest or the index; `null` when a store on disk has several manifests
    /// beside each other under the name.
    pub digest: Option<String>,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Annotations of the index.
    pub annotations: BTreeMap<String, String>,
    /// What the index lists; `null` when the name leads to one manifest.
    pub manifests: Option<Vec<Listed>>,
    /// The image that was asked for, or the one of this machine; `null` when there is none.
    pub image: Option<Overview>,
    /// Why there is no such image, when there is none.
    pub without_image: Option<String>,
    /// What is attached to the manifest or the index: signatures and the like, not verified here;
    /// `null` when the store does not tell.
    pub attached: Option<Vec<AttachedManifest>>,
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Digest of the manifest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// `OS/ARCH` or `OS/ARCH/VARIANT`; `null` when the index does not say.
    pub platform: Option<String>,
    /// The type of an artifact.
    pub artifact_type: Option<String>,
    /// Whether it is an attestation (a provenance or a list of parts) and no image.
    pub is_attestation: bool,
    /// Of an attestation: the digest of the manifest that it is about.
    pub attests: Option<String>,
}

/// One image, or one artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Digest of the manifest.
    pub digest: String,
    /// Media type of the manifest.
    pub media_type: String,
    /// Size of the manifest in bytes.
    pub size: u64,
    /// Digest of the config.
    pub config_digest: String,
    /// Size of the config in bytes.
    pub config_size: u64,
    /// What it is when it is no image: the artifact's type.
    pub artifact_type: Option<String>,
    /// `OS/ARCH` or `OS/ARCH/VARIANT`; `null` for an artifact.
    pub platform: Option<String>,
    /// When it was made, as the config says it (RFC 3339).
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// The user; empty means root.
    pub user: String,
    /// The command that is always run, with arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments, or the command when there is no entrypoint.
    pub cmd: Vec<String>,
    /// Environment, `NAME=VALUE`.
    pub env: Vec<String>,
    /// Working directory; empty means the root.
    pub workdir: String,
    /// Ports, `8080/tcp`.
    pub ports: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// The signal that stops it; `null` means SIGTERM.
    pub stop_signal: Option<String>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// The image that it is based on, when an annotation or a label says so.
    pub base_name: Option<String>,
    /// Digest of that image's manifest.
    pub base_digest: Option<String>,
    /// Sum of the layers' blobs in bytes.
    pub compressed: u64,
    /// The layers, lowest first.
    pub layers: Vec<OverviewLayer>,
}

/// One layer, unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverviewLayer {
    /// Digest of the blob.
    pub digest: String,
    /// Media type of the blob.
    pub media_type: String,
    /// Size of the blob in bytes.
    pub size: u64,
    /// What it is, from the history; empty when the image does not say.
    pub what: String,
}

/// The manifest or the index to which `tag` leads, or the whole store without one. `None` when
/// several manifests stand beside each other, as in a layout with one entry for each platform.
///
/// # Errors
/// When there is none, when it is not clear which is meant, or the store cannot be read.
pub fn root(source: &dyn Source, tag: Option<&str>) -> Result<Option<Descriptor>, StoreError> {
    let entries = entries(source, tag)?;
    match entries.as_slice() {
        [one] => Ok(Some(one.clone())),
        _ => Ok(None),
    }
}

/// The entries under `tag`, each digest once; at least one.
fn entries(source: &dyn Source, tag: Option<&str>) -> Result<Vec<Descriptor>, StoreError> {
    let mut seen = BTreeSet::new();
    let mut entries = under(source.index()?.manifests().clone(), tag);
    entries.retain(|entry| seen.insert(entry.digest().to_string()));
    let store = source.name();
    if entries.is_empty() {
        let tags = store::tags(source)?;
        return Err(match tag {
            Some(tag) => StoreError::NoSuchTag {
                store,
                tag: tag.to_owned(),
                tags,
            },
            None => StoreError::Empty(store),
        });
    }
    if tag.is_none() && entries.len() > 1 {
        let tags = store::tags(source)?;
        // One entry without a tag beside one with a tag is no more clear than two tags.
        let all_are_of_one = tags
            .first()
            .is_none_or(|first| entries.iter().all(|entry| named(entry, first)));
        if tags.len() > 1 || !all_are_of_one {
            return Err(StoreError::TagNeeded { store, tags });
        }
    }
    Ok(entries)
}

impl Inspection {
    /// Reads the documents of what `tag` leads to in `source`: with `platform` those of that
    /// image alone, else those of the root, and of the one image in it or that of this machine.
    /// `reference` is what people call it. No layer is read.
    ///
    /// # Errors
    /// When it is not there or its documents are not what the specification wants.
    pub fn of(
        source: &dyn Source,
        reference: &str,
        tag: Option<&str>,
        platform: Option<&Platform>,
    ) -> Result<Self, StoreError> {
        if platform.is_some() {
            let manifest = store::select(source, tag, platform)?;
            return Self::of_one(source, reference, &manifest);
        }
        let entries = entries(source, tag)?;
        let (root, listed, annotations) = match entries.as_slice() {
            [root] if is_index(root.media_type()) => {
                let index = read_index(source, root)?;
                let annotations = texts(index.annotations().as_ref());
                (Some(root), index.manifests().clone(), annotations)
            }
            [root] => return Self::of_one(source, reference, root),
            _ => (None, entries.clone(), BTreeMap::new()),
        };
        let (image, without_image) = match store::select(source, tag, None) {
            Ok(manifest) => (Some(Overview::read(source, &manifest)?), None),
            Err(
                error @ (StoreError::NoSuchPlatform { .. }
                | StoreError::PlatformNeeded { .. }
                | StoreError::TagNeeded { .. }
                | StoreError::Empty(_)),
            ) => (None, Some(printable(&error.to_string()))),
            Err(error) => return Err(error),
        };
        Ok(Self {
            reference: printable(reference),
            digest: root.map(|root| root.digest().to_string()),
            media_type: root.map(|root| printable(root.media_type().as_ref())),
            size: root.map(Descriptor::size),
            annotations,
            manifests: Some(listed.iter().map(Listed::new).collect()),
            image,
            without_image,
            attached: root.and_then(|root| attached::attached(source, root.digest())),
        })
    }

    fn of_one(
        source: &dyn Source,
        reference: &str,
        manifest: &Descriptor,
    ) -> Result<Self, StoreError> {
        let image = Overview::read(source, manifest)?;
        Ok(Self {
            reference: printable(reference),
            digest: Some(image.digest.clone()),
            media_type: Some(image.media_type.clone()),
            size: Some(image.size),
            annotations: BTreeMap::new(),
            manifests: None,
            image: Some(image),
            without_image: None,
            attached: attached::attached(source, manifest.digest()),
        })
    }
}

impl Listed {
    fn new(entry: &Descriptor) -> Self {
        let annotation = |key| {
            let annotations = entry.annotations().as_ref()?;
            annotations.get(key).map(|value| printable(value))
        };
        let platform = entry.platform().as_ref().map(Platform::from);
        let is_unknown = platform.as_ref().is_some_and(|p| p.os == "unknown");
        let attests = annotation(ATTESTATION_OF);
        Self {
            digest: entry.digest().to_string(),
            media_type: printable(entry.media_type().as_ref()),
            size: entry.size(),
            platform: platform.map(|platform| printable(&platform.to_string())),
            artifact_type: entry
                .artifact_type()
                .as_ref()
                .map(|kind| printable(kind.as_ref())),
            is_attestation: annotation(KIND).as_deref() == Some(ATTESTATION)
                || (is_unknown && attests.is_some()),
            attests,
        }
    }
}

impl Overview {
    /// Reads a manifest, and the config when it is that of an image.
    fn read(source: &dyn Source, descriptor: &Descriptor) -> Result<Self, StoreError> {
        if !is_manifest(descriptor.media_type()) {
            return Err(StoreError::Damaged {
                store: source.name(),
                part: format!("the entry {}", descriptor.digest()),
                problem: format!(
                    "it has the media type {}, which is neither a manifest nor an index",
                    printable(descriptor.media_type().as_ref())
                ),
            });
        }
        let manifest = read_manifest(source, descriptor)?;
        let config = manifest.config();
        let mut overview = Self {
            digest: descriptor.digest().to_string(),
            media_type: printable(descriptor.media_type().as_ref()),
            size: descriptor.size(),
            config_digest: config.digest().to_string(),
            config_size: config.size(),
            annotations: texts(manifest.annotations().as_ref()),
            compressed: sum(manifest.layers().iter().map(Descriptor::size)),
            ..Self::default()
        };
        let mut described = Described::default();
        if is_image_config(config.media_type()) {
            let config = read_config(source, &manifest)?;
            described = Described::of(&config);
            overview.configure(&config, &described);
        } else {
            let kind = manifest.artifact_type().as_ref();
            let kind = kind.unwrap_or(config.media_type());
            overview.artifact_type = Some(printable(kind.as_ref()));
        }
        overview.layers = layers(&manifest, &described);
        let said = |key: &str| {
            let annotation = overview.annotations.get(key);
            annotation.or_else(|| overview.labels.get(key)).cloned()
        };
        (overview.base_name, overview.base_digest) = (
            said(ANNOTATION_BASE_IMAGE_NAME),
            said(ANNOTATION_BASE_IMAGE_DIGEST),
        );
        Ok(overview)
    }

    fn configure(&mut self, config: &ImageConfiguration, described: &Described) {
        self.platform = Some(described.platform.clone());
        self.created = config.created().as_deref().map(printable);
        self.author = config.author().as_deref().map(printable);
        self.user.clone_from(&described.facts.user);
        self.entrypoint.clone_from(&described.facts.entrypoint);
        self.cmd.clone_from(&described.facts.cmd);
        let Some(settings) = config.config() else {
            return;
        };
        let sorted = |list: &Option<Vec<String>>| {
            let mut list = words(list.as_deref());
            list.sort();
            list
        };
        self.env = words(settings.env().as_deref());
        self.workdir = settings
            .working_dir()
            .as_deref()
            .map(printable)
            .unwrap_or_default();
        self.ports = sorted(settings.exposed_ports());
        self.volumes = sorted(settings.volumes());
        self.stop_signal = settings.stop_signal().as_deref().map(printable);
        self.labels = texts(settings.labels().as_ref());
    }
}

fn layers(manifest: &ImageManifest, described: &Described) -> Vec<OverviewLayer> {
    let layers = manifest.layers().iter().enumerate();
    layers
        .map(|(index, layer)| OverviewLayer {
            digest: layer.digest().to_string(),
            media_type: printable(layer.media_type().as_ref()),
            size: layer.size(),
            what: described.layer(index),
        })
        .collect()
}

fn is_image_config(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageConfig)
        || media_type.as_ref() == "application/vnd.docker.container.image.v1+json"
}

fn texts<S>(
    texts: Option<&std::collections::HashMap<String, String, S>>,
) -> BTreeMap<String, String> {
    texts
        .into_iter()
        .flatten()
        .map(|(name, value)| (printable(name), printable(value)))
        .collect()
}

#[cfg(test)]
mod tests;
