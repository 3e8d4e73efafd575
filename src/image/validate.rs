//! Checking any image in any store, ours or not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use oci_spec::image::{
    Descriptor, DigestAlgorithm, ImageConfiguration, ImageManifest, MediaType, SCHEMA_VERSION,
};

use super::Platform;
use crate::layer::Hasher;
use crate::store::{
    Source, StoreError, is_attached, is_index, is_manifest, read_config, read_index, read_manifest,
    uncompressed,
};

/// How deep an index may lie in an index.
const DEEPEST: usize = 4;

/// The most blobs that are looked at.
const MOST_BLOBS: usize = 100_000;

/// Something that is wrong with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The index of the store, or a document of an image, cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob is not what its descriptor says.
    #[error("{at}: {source}")]
    Blob {
        /// Which blob it is, as `manifest sha256:… layer 2`.
        at: String,
        /// What is wrong: its size, its digest, its compression.
        source: io::Error,
    },
    /// A blob cannot be opened: it is missing or its digest cannot be checked.
    #[error("{at}: {source}")]
    Missing {
        /// Which blob it is.
        at: String,
        /// Why.
        source: StoreError,
    },
    /// The schema version is not 2.
    #[error("{at}: schemaVersion is {found}, and must be {SCHEMA_VERSION}")]
    SchemaVersion {
        /// The document.
        at: String,
        /// Its version.
        found: u32,
    },
    /// A document's own media type is not that of its descriptor.
    #[error("{at}: it calls itself {own}, and its descriptor {described}")]
    OtherMediaType {
        /// The document.
        at: String,
        /// What the document says.
        own: MediaType,
        /// What the descriptor says.
        described: MediaType,
    },
    /// A media type that does not belong there.
    #[error("{at}: the media type {media_type} is not known there")]
    MediaType {
        /// The blob.
        at: String,
        /// Its media type.
        media_type: MediaType,
    },
    /// A layer is compressed in another way than its media type says.
    #[error("{at}: the media type is {media_type}, and the content is {found}")]
    Compression {
        /// The layer.
        at: String,
        /// Its media type.
        media_type: MediaType,
        /// `gzip`, `zstd` or `not compressed`.
        found: &'static str,
    },
    /// The number of layers is not that of the diff_ids.
    #[error("{at}: {layers} layers for {diff_ids} diff_ids of the config")]
    LayerCount {
        /// The manifest.
        at: String,
        /// Layers of the manifest.
        layers: usize,
        /// diff_ids of the config.
        diff_ids: usize,
    },
    /// A layer's uncompressed content has another digest than the config says.
    #[error(
        "{at}: the uncompressed content has the digest {found}, and the config's diff_id is {diff_id}"
    )]
    DiffId {
        /// The layer.
        at: String,
        /// The real one.
        found: String,
        /// The config's.
        diff_id: String,
    },
    /// The history does not tell of as many layers as there are.
    #[error("{at}: the history has {history} entries with a layer for {layers} layers")]
    History {
        /// The config.
        at: String,
        /// Entries that are not empty_layer.
        history: usize,
        /// Layers.
        layers: usize,
    },
    /// The type of the config's rootfs is not `layers`.
    #[error("{at}: rootfs.type is {found:?}, and must be \"layers\"")]
    RootFs {
        /// The config.
        at: String,
        /// The type found.
        found: String,
    },
    /// The platform of the descriptor is not that of the config.
    #[error("{at}: the descriptor is for {described}, and the config for {config}")]
    OtherPlatform {
        /// The manifest.
        at: String,
        /// The descriptor's.
        described: Platform,
        /// The config's.
        config: Platform,
    },
    /// There are more blobs, or deeper indexes, than are looked at.
    #[error(
        "{at}: indexes lie deeper than {DEEPEST} in each other, or there are more than {MOST_BLOBS} blobs"
    )]
    TooMuch {
        /// Where it was given up.
        at: String,
    },
}

/// Checks every image of `source`: that each blob is there with its size and digest, that
/// media types are known and true, that the config's diff_ids are those of the layers,
/// and that history and layers go together (image-spec `descriptor.md`, `manifest.md`,
/// `config.md`). Every problem is reported; none means that the store is whole.
///
/// Every blob is read once, layers as streams.
#[must_use]
pub fn validate(source: &dyn Source) -> Vec<Problem> {
    let mut check = Validator {
        source,
        problems: Vec::new(),
        diff_ids: BTreeMap::new(),
    };
    check.store();
    check.problems
}

struct Validator<'a> {
    source: &'a dyn Source,
    problems: Vec<Problem>,
    /// The blobs that were read as layers, with the digest of their uncompressed content
    /// where that could be told.
    diff_ids: BTreeMap<(String, u64), Option<String>>,
}

impl Validator<'_> {
    fn store(&mut self) {
        let index = match self.source.index() {
            Ok(index) => index,
            Err(error) => return self.problems.push(error.into()),
        };
        let name = self.source.name();
        self.version(&name, index.schema_version());
        let mut open: Vec<(Descriptor, usize)> = index
            .manifests()
            .iter()
            .rev()
            .map(|d| (d.clone(), 0))
            .collect();
        let mut seen = BTreeSet::new();
        while let Some((descriptor, depth)) = open.pop() {
            let at = format!("{} {}", kind(&descriptor), descriptor.digest());
            if depth > DEEPEST || self.diff_ids.len() + seen.len() > MOST_BLOBS {
                return self.problems.push(Problem::TooMuch { at });
            }
            let platform = descriptor.platform().as_ref().map(Platform::from);
            if !seen.insert((at.clone(), descriptor.size(), platform)) {
                continue;
            }
            if is_index(descriptor.media_type()) {
                let children = self.inner_index(&at, &descriptor);
                open.extend(children.into_iter().rev().map(|d| (d, depth + 1)));
            } else if is_manifest(descriptor.media_type()) {
                self.manifest(&at, &descriptor);
            } else {
                // Index entries may be of any type (image-spec `image-index.md`).
                self.read(&at, &descriptor);
            }
        }
    }

    fn version(&mut self, at: &str, found: u32) {
        if found != SCHEMA_VERSION {
            let at = at.to_owned();
            self.problems.push(Problem::SchemaVersion { at, found });
        }
    }

    fn own_media_type(&mut self, at: &str, own: Option<&MediaType>, described: &MediaType) {
        if let Some(own) = own.filter(|own| *own != described) {
            self.problems.push(Problem::OtherMediaType {
                at: at.to_owned(),
                own: own.clone(),
                described: described.clone(),
            });
        }
    }

    fn inner_index(&mut self, at: &str, descriptor: &Descriptor) -> Vec<Descriptor> {
        match read_index(self.source, descriptor) {
            Ok(index) => {
                self.version(at, index.schema_version());
                self.own_media_type(at, index.media_type().as_ref(), descriptor.media_type());
                index.manifests().clone()
            }
            Err(error) => {
                self.problems.push(error.into());
                Vec::new()
            }
        }
    }

    fn manifest(&mut self, at: &str, descriptor: &Descriptor) {
        let manifest = match read_manifest(self.source, descriptor) {
            Ok(manifest) => manifest,
            Err(error) => return self.problems.push(error.into()),
        };
        self.version(at, manifest.schema_version());
        self.own_media_type(at, manifest.media_type().as_ref(), descriptor.media_type());
        // cosign gives its signatures the config of an image.
        if !is_config(manifest.config().media_type()) || is_attached(descriptor) {
            // An artifact: its blobs are of any type, and no file system.
            self.read(&format!("{at} config"), manifest.config());
            for (number, layer) in (1..).zip(manifest.layers()) {
                self.read(&format!("{at} layer {number}"), layer);
            }
            return;
        }
        let config = match read_config(self.source, &manifest) {
            Ok(config) => Some(config),
            Err(error) => {
                self.problems.push(error.into());
                None
            }
        };
        if let Some(config) = &config {
            self.config(at, descriptor, &manifest, config);
        }
        let diff_ids = config
            .map(|config| config.rootfs().diff_ids().clone())
            .unwrap_or_default();
        for (number, layer) in manifest.layers().iter().enumerate() {
            let at = format!("{at} layer {}", number + 1);
            self.layer(&at, layer, diff_ids.get(number));
        }
    }

    fn config(
        &mut self,
        at: &str,
        descriptor: &Descriptor,
        manifest: &ImageManifest,
        config: &ImageConfiguration,
    ) {
        let layers = manifest.layers().len();
        let diff_ids = config.rootfs().diff_ids().len();
        if layers != diff_ids {
            let at = at.to_owned();
            self.problems.push(Problem::LayerCount {
                at,
                layers,
                diff_ids,
            });
        }
        let at = format!("{at} config");
        if config.rootfs().typ() != "layers" {
            let found = config.rootfs().typ().clone();
            self.problems.push(Problem::RootFs {
                at: at.clone(),
                found,
            });
        }
        if let Some(history) = config.history() {
            let history = history
                .iter()
                .filter(|h| h.empty_layer() != Some(true))
                .count();
            // An empty list is as good as none.
            if history != layers && config.history().as_ref().is_some_and(|h| !h.is_empty()) {
                let at = at.clone();
                self.problems.push(Problem::History {
                    at,
                    history,
                    layers,
                });
            }
        }
        let config = Platform::from(config);
        if let Some(described) = descriptor.platform().as_ref().map(Platform::from)
            && !described.matches(&config)
        {
            self.problems.push(Problem::OtherPlatform {
                at,
                described,
                config,
            });
        }
    }

    fn layer(&mut self, at: &str, layer: &Descriptor, diff_id: Option<&String>) {
        let key = (layer.digest().to_string(), layer.size());
        let found = match self.diff_ids.get(&key) {
            Some(found) => found.clone(),
            None => {
                let found = self.read_layer(at, layer);
                self.diff_ids.insert(key, found.clone());
                found
            }
        };
        let (Some(found), Some(diff_id)) = (found, diff_id) else {
            return;
        };
        // Another algorithm's diff_id was not computed.
        if diff_id.starts_with(DigestAlgorithm::Sha256.as_ref()) && found != *diff_id {
            self.problems.push(Problem::DiffId {
                at: at.to_owned(),
                found,
                diff_id: diff_id.clone(),
            });
        }
    }

    /// Reads a layer to its end, which checks its size and digest, and returns the digest
    /// of what is in it.
    fn read_layer(&mut self, at: &str, layer: &Descriptor) -> Option<String> {
        let at = at.to_owned();
        let media_type = layer.media_type().clone();
        let Some(expected) = compression(&media_type) else {
            self.problems.push(Problem::MediaType {
                at: at.clone(),
                media_type,
            });
            self.read(&at, layer);
            return None;
        };
        let mut blob = match self.source.blob(layer) {
            Ok(blob) => blob,
            Err(source) => {
                self.problems.push(Problem::Missing { at, source });
                return None;
            }
        };
        let mut start = Vec::new();
        let mut hasher = Hasher::new();
        let result = blob.by_ref().take(4).read_to_end(&mut start).and_then(|_| {
            let whole = io::Cursor::new(start.as_slice()).chain(blob.by_ref());
            io::copy(&mut uncompressed(whole)?, &mut hasher)
        });
        // A damaged blob may look like a damaged compression: what the blob's own
        // check says of the rest goes first.
        if let Err(source) = io::copy(&mut blob, &mut io::sink()).and(result) {
            self.problems.push(Problem::Blob { at, source });
            return None;
        }
        let found = match start.as_slice() {
            [0x1f, 0x8b, ..] => "gzip",
            [0x28, 0xb5, 0x2f, 0xfd] => "zstd",
            _ => "not compressed",
        };
        if found != expected {
            self.problems.push(Problem::Compression {
                at,
                media_type,
                found,
            });
        }
        Some(hasher.finish().to_string())
    }

    /// Reads a blob to its end, which checks its size and digest.
    fn read(&mut self, at: &str, descriptor: &Descriptor) {
        let at = at.to_owned();
        match self.source.blob(descriptor) {
            Ok(mut blob) => {
                if let Err(source) = io::copy(&mut blob, &mut io::sink()) {
                    self.problems.push(Problem::Blob { at, source });
                }
            }
            Err(source) => self.problems.push(Problem::Missing { at, source }),
        }
    }
}

fn kind(descriptor: &Descriptor) -> &'static str {
    if is_index(descriptor.media_type()) {
        "index"
    } else if is_manifest(descriptor.media_type()) {
        "manifest"
    } else {
        "blob"
    }
}

fn is_config(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageConfig)
        || media_type.as_ref() == "application/vnd.docker.container.image.v1+json"
}

/// The compression that a layer's media type promises; `None` for one that is not known.
fn compression(media_type: &MediaType) -> Option<&'static str> {
    match media_type {
        MediaType::ImageLayer | MediaType::ImageLayerNonDistributable => Some("not compressed"),
        MediaType::ImageLayerGzip | MediaType::ImageLayerNonDistributableGzip => Some("gzip"),
        MediaType::ImageLayerZstd | MediaType::ImageLayerNonDistributableZstd => Some("zstd"),
        MediaType::Other(other) => match other.as_str() {
            "application/vnd.docker.image.rootfs.diff.tar" => Some("not compressed"),
            "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Some("gzip"),
            "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some("zstd"),
            _ => None,
        },
        _ => None,
    }
}
