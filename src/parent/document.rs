//! Manifest and config of an image, read and checked (image-spec `manifest.md`, `config.md`).

use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest, MediaType, SCHEMA_VERSION};
use serde_json::{Map, Value, json};

use super::{ParentError, ParentLayer};
use crate::image::{Platform, parse};
use crate::layer::Digest;
use crate::store::{Source, is_index, is_manifest, read_document};

/// The most layers of an image; docker itself takes 127.
const LAYER_LIMIT: usize = 512;

/// Manifest and config of an image.
pub(super) struct Document {
    /// The digest of the manifest.
    pub(super) digest: Digest,
    /// All of the manifest.
    pub(super) manifest_value: Value,
    /// All of the config.
    pub(super) config_value: Value,
    pub(super) platform: Platform,
    /// The layers, with OCI media types; what they unpack to is not known yet.
    pub(super) layers: Vec<ParentLayer>,
}

impl Document {
    /// Reads the image that `descriptor` of `source` is; `shown` is what it is called.
    pub(super) fn read(
        source: &dyn Source,
        descriptor: &Descriptor,
        shown: &str,
    ) -> Result<Self, ParentError> {
        let no_image = |found: String| ParentError::NotAnImage {
            image: shown.to_owned(),
            found,
        };
        let damaged = |problem: String| ParentError::Damaged {
            image: shown.to_owned(),
            problem,
        };
        if !is_manifest(descriptor.media_type()) {
            return Err(no_image(match is_index(descriptor.media_type()) {
                true => "an index of images".to_owned(),
                false => format!("a document of the type {}", descriptor.media_type()),
            }));
        }
        let digest = sha256(descriptor, "its manifest", shown)?;
        let bytes = read_document(source, descriptor)?;
        let bad_manifest = |error| damaged(format!("its manifest is none: {error}"));
        let manifest_value: Value = parse(&bytes).map_err(bad_manifest)?;
        let manifest: ImageManifest = parse(&bytes).map_err(bad_manifest)?;
        if manifest.schema_version() != SCHEMA_VERSION {
            let version = manifest.schema_version();
            return Err(damaged(format!("its schemaVersion is {version}, not 2")));
        }
        let own = manifest.media_type().as_ref();
        if let Some(own) = own.filter(|own| *own != descriptor.media_type()) {
            let described = descriptor.media_type();
            return Err(damaged(format!(
                "its manifest calls itself {own} and is listed as {described}"
            )));
        }
        if !is_config(manifest.config().media_type()) {
            let found = manifest.config().media_type();
            return Err(no_image(format!("an artifact with a config of {found}")));
        }
        let bytes = read_document(source, manifest.config())?;
        let bad_config = |error| damaged(format!("its config is none: {error}"));
        let config_value: Value = parse(&bytes).map_err(bad_config)?;
        let config: ImageConfiguration = parse(&bytes).map_err(bad_config)?;
        let platform = Platform::from(&config);
        if platform.os != "linux" {
            return Err(no_image(format!("an image for {platform}, not for linux")));
        }
        if config.rootfs().typ() != "layers" {
            return Err(damaged("the rootfs of its config is not of layers".into()));
        }
        let (layers, diff_ids) = (manifest.layers(), config.rootfs().diff_ids());
        if layers.len() != diff_ids.len() {
            return Err(damaged(format!(
                "it has {} layers, and its config has {} diff_ids",
                layers.len(),
                diff_ids.len()
            )));
        }
        if layers.len() > LAYER_LIMIT {
            return Err(ParentError::Limit {
                image: shown.to_owned(),
                limit: LAYER_LIMIT as u64,
                what: "layers",
            });
        }
        let layers = layers.iter().zip(diff_ids);
        let layers = layers.map(|(descriptor, diff_id)| layer(descriptor, diff_id, shown));
        Ok(Self {
            digest,
            layers: layers.collect::<Result<_, _>>()?,
            manifest_value,
            config_value,
            platform,
        })
    }

    /// A text of the config's `config`.
    pub(super) fn text(&self, member: &str) -> String {
        text(&self.config_value, member)
    }

    /// The environment, each name once: a later value goes before an earlier one.
    pub(super) fn env(&self) -> Vec<(String, String)> {
        env(&self.config_value)
    }
}

/// A member of the config's `config`.
pub(super) fn member<'a>(config: &'a Value, name: &str) -> Option<&'a Value> {
    config.get("config")?.get(name)
}

/// A text among the members of the config's `config`; empty when there is none.
pub(super) fn text(config: &Value, name: &str) -> String {
    let text = member(config, name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The environment that a config sets.
pub(super) fn env(config: &Value) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let given = member(config, "Env").and_then(Value::as_array);
    for text in given.into_iter().flatten().filter_map(Value::as_str) {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match places.get(name).and_then(|at: &usize| env.get_mut(*at)) {
            Some((_, known)) => value.clone_into(known),
            None => {
                places.insert(name.to_owned(), env.len());
                env.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    env
}

/// The history of a config, with an entry for each of so many layers: one that does not tell of
/// all of them is replaced, since what follows it would be told of the wrong layers.
pub(super) fn history(config: &Value, layers: usize) -> Vec<Value> {
    let history = config.get("history").and_then(Value::as_array);
    let history = history.map_or(&[][..], Vec::as_slice);
    let told = history.iter().filter(|step| is_of_layer(step)).count();
    match told == layers {
        true => history.to_vec(),
        false => vec![json!({"created_by": "distrobuild base"}); layers],
    }
}

/// Whether a step of the history made a layer.
pub(super) fn is_of_layer(step: &Value) -> bool {
    step.get("empty_layer").and_then(Value::as_bool) != Some(true)
}

/// Takes a member that is an object out; an empty one when it is none.
pub(super) fn take_object(map: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match map.remove(name) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn sha256(descriptor: &Descriptor, what: &str, shown: &str) -> Result<Digest, ParentError> {
    let digest = descriptor.digest().to_string();
    digest.parse().map_err(|_| ParentError::Algorithm {
        image: shown.to_owned(),
        what: what.to_owned(),
        digest,
    })
}

fn layer(descriptor: &Descriptor, diff_id: &str, shown: &str) -> Result<ParentLayer, ParentError> {
    let digest = sha256(descriptor, "a layer", shown)?;
    let diff_id = diff_id.parse().map_err(|_| ParentError::Algorithm {
        image: shown.to_owned(),
        what: "a layer's content".to_owned(),
        digest: diff_id.to_owned(),
    })?;
    let Some(media_type) = layer_type(descriptor.media_type()) else {
        return Err(ParentError::MediaType {
            image: shown.to_owned(),
            digest,
            media_type: descriptor.media_type().to_string(),
        });
    };
    let mut descriptor = descriptor.clone();
    descriptor.set_media_type(media_type);
    Ok(ParentLayer {
        descriptor,
        digest,
        diff_id,
        tar_size: 0,
    })
}

/// OCI's name of a layer's form, whoever named it.
fn layer_type(media_type: &MediaType) -> Option<MediaType> {
    const DOCKER: &str = "application/vnd.docker.image.rootfs.";
    if let MediaType::Other(name) = media_type {
        return match name.strip_prefix(DOCKER)? {
            "diff.tar" => Some(MediaType::ImageLayer),
            "diff.tar.gzip" => Some(MediaType::ImageLayerGzip),
            "diff.tar.zstd" => Some(MediaType::ImageLayerZstd),
            "foreign.diff.tar.gzip" => Some(MediaType::ImageLayerNonDistributableGzip),
            _ => None,
        };
    }
    let is_layer = matches!(
        media_type,
        MediaType::ImageLayer
            | MediaType::ImageLayerGzip
            | MediaType::ImageLayerZstd
            | MediaType::ImageLayerNonDistributable
            | MediaType::ImageLayerNonDistributableGzip
            | MediaType::ImageLayerNonDistributableZstd
    );
    is_layer.then(|| media_type.clone())
}

fn is_config(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageConfig)
        || media_type.as_ref() == "application/vnd.docker.container.image.v1+json"
}
