//! An image: a config and a manifest over layers (image-spec 1.1).
//!
//! [`describe`] is a pure function: the same layers, platform and settings give the
//! same bytes. [`validate()`] checks an image in any store, ours or not.

mod inherit;
mod json;
mod platform;
mod time;
mod validate;

use std::collections::BTreeMap;

use oci_spec::image::{
    Arch, Config, Descriptor, History, ImageConfiguration, ImageManifestBuilder, MediaType, Os,
    RootFs, Sha256Digest,
};

use crate::layer::{Digest, Layer};

pub use inherit::describe_on;
pub(crate) use json::{canonical, parse};
pub use platform::{Platform, PlatformError};
pub use time::rfc3339;
pub use validate::{Problem, validate};

/// What the config and the manifest say beside the layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `USER` or `UID:GID`.
    pub user: String,
    /// Command with arguments; empty for none.
    pub entrypoint: Vec<String>,
    /// Default arguments; empty for none.
    pub cmd: Vec<String>,
    /// Environment in order, `NAME` and value.
    pub env: Vec<(String, String)>,
    /// Working directory; empty for the root.
    pub workdir: String,
    /// Ports as `8080/tcp`.
    pub ports: Vec<String>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Time of creation, in seconds since the epoch.
    pub created: u64,
}

/// An image, complete but for its layers' blobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The bytes of the config.
    pub config: Vec<u8>,
    /// The bytes of the manifest.
    pub manifest: Vec<u8>,
    /// The manifest's descriptor, with its platform.
    pub descriptor: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// The platform.
    pub platform: Option<Platform>,
}

/// Describes `layers`, each with the words of its history entry, as an image
/// (image-spec `config.md` and `manifest.md`).
///
/// The bytes are canonical JSON: keys in the order of their bytes, no white space.
/// What is empty in `settings` is left out.
#[must_use]
pub fn describe(layers: Vec<(Layer, String)>, platform: &Platform, settings: &Settings) -> Image {
    let config = canonical(&configuration(&layers, platform, settings));
    let layers: Vec<Layer> = layers.into_iter().map(|(layer, _)| layer).collect();
    let manifest = manifest(&config, &layers, &settings.annotations);
    let mut descriptor = descriptor(
        MediaType::ImageManifest,
        &Digest::of(&manifest),
        manifest.len() as u64,
    );
    descriptor.set_platform(Some(platform.to_oci()));
    Image {
        config,
        manifest,
        descriptor,
        layers,
        platform: Some(platform.clone()),
    }
}

/// A digest of ours as a descriptor for oci-spec; `size` in bytes.
#[must_use]
pub fn descriptor(media_type: MediaType, digest: &Digest, size: u64) -> Descriptor {
    #[expect(
        clippy::expect_used,
        reason = "Digest::hex gives 64 lower-case hex digits"
    )]
    let digest: Sha256Digest = digest.hex().parse().expect("a SHA-256 digest");
    Descriptor::new(media_type, size, digest)
}

fn configuration(
    layers: &[(Layer, String)],
    platform: &Platform,
    settings: &Settings,
) -> ImageConfiguration {
    let created = rfc3339(settings.created);
    let mut rootfs = RootFs::default();
    rootfs.set_diff_ids(layers.iter().map(|(l, _)| l.diff_id.to_string()).collect());
    let history = layers
        .iter()
        .map(|(_, words)| {
            let mut entry = History::default();
            entry.set_created(Some(created.clone()));
            entry.set_created_by(Some(words.clone()));
            entry
        })
        .collect();

    let mut configuration = ImageConfiguration::default();
    configuration.set_created(Some(created));
    configuration.set_architecture(Arch::from(platform.architecture.as_str()));
    // oci-spec 0.10 reads `armbe` as `arm64be`.
    if platform.architecture == "armbe" {
        configuration.set_architecture(Arch::ARMbe);
    }
    configuration.set_os(Os::from(platform.os.as_str()));
    configuration.set_variant(platform.variant.clone());
    configuration.set_config(Some(execution(settings)));
    configuration.set_rootfs(rootfs);
    configuration.set_history(Some(history));
    configuration
}

fn execution(settings: &Settings) -> Config {
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let list = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let env = settings.env.iter().map(|(k, v)| format!("{k}={v}"));

    let mut config = Config::default();
    config.set_user(text(&settings.user));
    config.set_env(list(&env.collect()));
    config.set_entrypoint(list(&settings.entrypoint));
    config.set_cmd(list(&settings.cmd));
    config.set_working_dir(text(&settings.workdir));
    config.set_exposed_ports(list(&settings.ports));
    if !settings.labels.is_empty() {
        config.set_labels(Some(settings.labels.clone().into_iter().collect()));
    }
    config
}

fn manifest(config: &[u8], layers: &[Layer], annotations: &BTreeMap<String, String>) -> Vec<u8> {
    manifest_of(
        config,
        layers.iter().map(layer_descriptor).collect(),
        annotations,
    )
}

fn manifest_of(
    config: &[u8],
    layers: Vec<Descriptor>,
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    let config = descriptor(
        MediaType::ImageConfig,
        &Digest::of(config),
        config.len() as u64,
    );
    let mut builder = ImageManifestBuilder::default()
        .schema_version(oci_spec::image::SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers);
    if !annotations.is_empty() {
        builder = builder.annotations(
            annotations
                .clone()
                .into_iter()
                .collect::<std::collections::HashMap<_, _>>(),
        );
    }
    #[expect(clippy::expect_used, reason = "every required field was given above")]
    let manifest = builder.build().expect("a whole manifest");
    canonical(&manifest)
}

/// The descriptor of a layer, with its annotations.
pub(crate) fn layer_descriptor(layer: &Layer) -> Descriptor {
    let mut described = descriptor(layer.media_type.clone(), &layer.digest, layer.size);
    if !layer.annotations.is_empty() {
        described.set_annotations(Some(layer.annotations.clone().into_iter().collect()));
    }
    described
}

#[cfg(test)]
mod tests;
