//! Describing an image that stands on another one, as a Dockerfile's `FROM` has it.

use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Map, Value, json};

use super::{
    Image, Platform, Settings, canonical, descriptor, execution, layer_descriptor, manifest_of,
    rfc3339,
};
use crate::layer::{Digest, Layer};
use crate::parent::Parent;

/// The members of the config's `config` that [`Settings`] speak of, as image-spec spells them.
const SET: [&str; 7] = [
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Labels",
    "User",
    "WorkingDir",
];

/// Describes the layers of `parent` and `layers` above them as an image. All that `settings` do not
/// speak of is the parent's: volumes, stop signal, health check, and what is not known here. Its
/// `OnBuild` is not inherited, its history goes before ours.
///
/// `settings` are the whole: what of the parent's environment, labels and ports stays is in them.
#[must_use]
pub fn describe_on(
    parent: &Parent,
    layers: Vec<(Layer, String)>,
    platform: &Platform,
    settings: &Settings,
) -> Image {
    let config = canonical(&configuration(parent, &layers, platform, settings));
    let own = layers.iter().map(|(layer, _)| layer_descriptor(layer));
    let descriptors: Vec<Descriptor> = (parent.layers.iter())
        .map(|layer| layer.descriptor.clone())
        .chain(own)
        .collect();
    let manifest = manifest_of(&config, descriptors, &settings.annotations);
    let mut descriptor = descriptor(
        MediaType::ImageManifest,
        &Digest::of(&manifest),
        manifest.len() as u64,
    );
    descriptor.set_platform(Some(platform.to_oci()));
    let below = parent.layers.iter().map(|layer| layer.layer());
    Image {
        config,
        manifest,
        descriptor,
        layers: below
            .chain(layers.into_iter().map(|(layer, _)| layer))
            .collect(),
        platform: Some(platform.clone()),
    }
}

fn configuration(
    parent: &Parent,
    layers: &[(Layer, String)],
    platform: &Platform,
    settings: &Settings,
) -> Value {
    let mut whole = parent.config.as_object().cloned().unwrap_or_default();
    let created = rfc3339(settings.created);
    // Where both are the same, the parent's spelling stays, with its `os.version` and such.
    if !parent.platform.matches(platform) {
        whole.insert("os".to_owned(), json!(platform.os));
        whole.insert("architecture".to_owned(), json!(platform.architecture));
        match &platform.variant {
            Some(variant) => whole.insert("variant".to_owned(), json!(variant)),
            None => whole.remove("variant"),
        };
    }
    let mut history = parent.history();
    history
        .extend((layers.iter()).map(|(_, words)| json!({"created": created, "created_by": words})));
    let below = parent.layers.iter().map(|layer| &layer.diff_id);
    let diff_ids: Vec<String> = below
        .chain(layers.iter().map(|(layer, _)| &layer.diff_id))
        .map(ToString::to_string)
        .collect();
    let config = match whole.remove("config") {
        Some(Value::Object(config)) => config,
        _ => Map::new(),
    };
    whole.insert("config".to_owned(), inherited(config, settings));
    whole.insert("created".to_owned(), json!(created));
    whole.insert("history".to_owned(), Value::Array(history));
    whole.insert(
        "rootfs".to_owned(),
        json!({"type": "layers", "diff_ids": diff_ids}),
    );
    Value::Object(whole)
}

fn inherited(mut config: Map<String, Value>, settings: &Settings) -> Value {
    config.remove("OnBuild");
    #[expect(
        clippy::expect_used,
        reason = "the document has string keys and no floats"
    )]
    let own = serde_json::to_value(execution(settings)).expect("a document becomes a value");
    for name in SET {
        match own.get(name) {
            Some(value) if !value.is_null() => config.insert(name.to_owned(), value.clone()),
            _ => config.remove(name),
        };
    }
    Value::Object(config)
}
