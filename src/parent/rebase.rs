//! The same app on another parent: manifests and configs are edited, layers are not read.

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Map, Value, json};

use super::document::{Document, env, history, is_of_layer, take_object};
use super::{
    ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_LAYERS, ANNOTATION_BASE_NAME, ParentError, ParentLayer,
};
use crate::image::{Image, canonical, descriptor};
use crate::layer::{Digest, Layer};
use crate::store::Source;

/// What an image says that it was built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasedOn {
    /// The base's name, where it is known.
    pub name: Option<String>,
    /// The digest of the base's manifest, as the image has it.
    pub digest: Option<String>,
    /// How many of the image's layers are the base's, where it says so: other tools do not.
    pub layers: Option<usize>,
}

/// What the image that `manifest` of `source` is was built on, by its annotations.
///
/// # Errors
/// When it cannot be read, or does not say.
pub fn based_on(source: &dyn Source, manifest: &Descriptor) -> Result<BasedOn, ParentError> {
    let shown = source.name();
    let document = Document::read(source, manifest, &shown)?;
    said(&document).ok_or(ParentError::NoAnnotation { image: shown })
}

fn said(document: &Document) -> Option<BasedOn> {
    let annotations = document.manifest_value.get("annotations")?;
    let text = |name: &str| annotations.get(name)?.as_str().map(str::to_owned);
    let said = BasedOn {
        name: text(ANNOTATION_BASE_NAME),
        digest: text(ANNOTATION_BASE_DIGEST),
        layers: text(ANNOTATION_BASE_LAYERS).and_then(|count| count.parse().ok()),
    };
    (said.digest.is_some() || said.layers.is_some()).then_some(said)
}

/// The image `app`, which stands on `old`, on `new` instead: the layers of `old` are replaced by
/// those of `new`, and so is what of the config came from it. No layer is read. `new` comes with
/// the name that the image will say it is built on.
///
/// What of the app's config equals that of `old` becomes that of `new`; environment, labels, ports
/// and volumes one by one. The time of creation, the command and all else of the app stay. The
/// image's [`layers`](Image::layers) are all of it, those of `new` first; what they unpack to is
/// not known, so their `tar_size` is 0, but where the blob is the tar.
///
/// # Errors
/// When `app` does not begin with the layers of `old`, or is for another platform than `new`.
pub fn rebase(
    app: (&dyn Source, &Descriptor),
    old: (&dyn Source, &Descriptor),
    new: (&dyn Source, &Descriptor, Option<String>),
) -> Result<Image, ParentError> {
    let names = [app.0.name(), old.0.name(), new.0.name()];
    let [app_name, old_name, new_name] = &names;
    let app = Document::read(app.0, app.1, app_name)?;
    let old = Document::read(old.0, old.1, old_name)?;
    let (new, name) = (Document::read(new.0, new.1, new_name)?, new.2);
    for (base, base_name) in [(&old, old_name), (&new, new_name)] {
        if !base.platform.matches(&app.platform) {
            return Err(ParentError::OtherPlatform {
                image: app_name.clone(),
                platform: Box::new(app.platform.clone()),
                base: base_name.clone(),
                found: Box::new(base.platform.clone()),
            });
        }
    }
    if let Err(why) = stands_on(&app, &old) {
        return Err(ParentError::NotBasedOn {
            image: app_name.clone(),
            base: old_name.clone(),
            why,
        });
    }
    let layers: Vec<ParentLayer> = (new.layers.iter())
        .chain(app.layers.get(old.layers.len()..).unwrap_or_default())
        .cloned()
        .collect();
    let config = canonical(&configuration(&app, &old, &new, &layers));
    let manifest = canonical(&manifest(&app, &new, name, &config, &layers));
    let mut described = descriptor(
        MediaType::ImageManifest,
        &Digest::of(&manifest),
        manifest.len() as u64,
    );
    described.set_platform(Some(app.platform.to_oci()));
    Ok(Image {
        config,
        manifest,
        descriptor: described,
        layers: layers.iter().map(layer).collect(),
        platform: Some(app.platform),
    })
}

fn layer(layer: &ParentLayer) -> Layer {
    let mut layer = layer.layer();
    if layer.digest == layer.diff_id {
        layer.tar_size = layer.size;
    }
    layer
}

/// Whether the layers of `app` begin with those of `old`: by what they unpack to, since a registry
/// may have compressed them anew. If not, why.
fn stands_on(app: &Document, old: &Document) -> Result<(), String> {
    let pairs = app.layers.iter().zip(&old.layers);
    let agree = pairs.take_while(|(a, b)| a.diff_id == b.diff_id).count();
    let of = old.layers.len();
    if agree < of {
        return Err(match agree {
            0 => format!("none of the base's {of} layers is at the bottom of it"),
            _ => format!("only the lowest {agree} of the base's {of} layers are those of it"),
        });
    }
    match said(app).and_then(|said| said.layers) {
        Some(said) if said != of => Err(format!(
            "it says that {said} of its layers are its base's, and this base has {of}"
        )),
        _ => Ok(()),
    }
}

fn configuration(app: &Document, old: &Document, new: &Document, layers: &[ParentLayer]) -> Value {
    let whole = |document: &Document| {
        let whole = document.config_value.as_object().cloned();
        whole.unwrap_or_default()
    };
    let (mut app_map, mut old_map, mut new_map) = (whole(app), whole(old), whole(new));
    let [app_config, old_config, new_config] =
        [&mut app_map, &mut old_map, &mut new_map].map(|whole| take_object(whole, "config"));
    // These are not taken from either side.
    let apart = ["created", "history", "rootfs"];
    let mut merged = merged(&app_map, &old_map, &new_map, &apart);
    let mut config = process(app_config, old_config, new_config);
    let env = environment(app, old, new);
    match env.is_empty() {
        true => config.remove("Env"),
        false => config.insert("Env".to_owned(), json!(env)),
    };
    merged.insert("config".to_owned(), Value::Object(config));
    let mut steps = history(&new.config_value, new.layers.len());
    steps.extend(own_history(app, old));
    merged.insert("history".to_owned(), Value::Array(steps));
    let diff_ids: Vec<String> = layers.iter().map(|it| it.diff_id.to_string()).collect();
    merged.insert(
        "rootfs".to_owned(),
        json!({"type": "layers", "diff_ids": diff_ids}),
    );
    Value::Object(merged)
}

/// The members that are the same in `app` and `old` as `new` has them, the others as `app` has
/// them, and so those `apart`.
fn merged(
    app: &Map<String, Value>,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    apart: &[&str],
) -> Map<String, Value> {
    let names: BTreeSet<&String> = app.keys().chain(new.keys()).collect();
    let mut merged = Map::new();
    for name in names {
        let is_of_base = app.get(name) == old.get(name) && !apart.contains(&name.as_str());
        let value = if is_of_base {
            new.get(name)
        } else {
            app.get(name)
        };
        if let Some(value) = value {
            merged.insert(name.clone(), value.clone());
        }
    }
    merged
}

/// What the config says of the process, but its environment.
fn process(
    mut app: Map<String, Value>,
    mut old: Map<String, Value>,
    mut new: Map<String, Value>,
) -> Map<String, Value> {
    let one_by_one = ["ExposedPorts", "Labels", "Volumes"].map(|name| {
        let [app, old, new] = [&mut app, &mut old, &mut new].map(|map| take_object(map, name));
        (name, merged(&app, &old, &new, &[]))
    });
    // Triggers are not inherited; a command of the app's own has reset the base's arguments.
    let mut apart = vec!["Env", "OnBuild"];
    if app.get("Entrypoint") != old.get("Entrypoint") {
        apart.extend(["Entrypoint", "Cmd"]);
    }
    let mut process = merged(&app, &old, &new, &apart);
    for (name, members) in one_by_one {
        if !members.is_empty() {
            process.insert(name.to_owned(), Value::Object(members));
        }
    }
    process
}

/// The environment, name by name: in the new base's order, then what the app has of its own.
fn environment(app: &Document, old: &Document, new: &Document) -> Vec<String> {
    let (app, old, new) = (app.env(), env(&old.config_value), new.env());
    let of = |env: &[(String, String)], name: &str| {
        let found = env.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let below = new.iter().map(|(name, value)| {
        let own = of(&app, name).filter(|own| of(&old, name).as_ref() != Some(own));
        format!("{name}={}", own.unwrap_or_else(|| value.clone()))
    });
    let above = app.iter().filter_map(|(name, value)| {
        let is_of_base = of(&old, name).as_ref() == Some(value);
        (!is_of_base && of(&new, name).is_none()).then(|| format!("{name}={value}"))
    });
    below.chain(above).collect()
}

/// The history of the app's own layers.
fn own_history(app: &Document, old: &Document) -> Vec<Value> {
    let own = app.layers.len().saturating_sub(old.layers.len());
    let all = history(&app.config_value, app.layers.len());
    let below = history(&old.config_value, old.layers.len());
    let start = match all.starts_with(&below) {
        true => below.len(),
        // Rewritten on the way: what made the base's layers is gone past.
        false => {
            let mut left = old.layers.len();
            all.iter()
                .position(|step| {
                    let is_own = left == 0;
                    left = left.saturating_sub(usize::from(is_of_layer(step)));
                    is_own
                })
                .unwrap_or(all.len())
        }
    };
    let steps = all.get(start..).unwrap_or_default().to_vec();
    match steps.iter().filter(|step| is_of_layer(step)).count() == own {
        true => steps,
        false => vec![json!({"created_by": "distrobuild app"}); own],
    }
}

fn manifest(
    app: &Document,
    new: &Document,
    name: Option<String>,
    config: &[u8],
    layers: &[ParentLayer],
) -> Value {
    let mut manifest = app.manifest_value.as_object().cloned().unwrap_or_default();
    let mut annotations = take_object(&mut manifest, "annotations");
    match name {
        Some(name) => annotations.insert(ANNOTATION_BASE_NAME.to_owned(), json!(name)),
        None => annotations.remove(ANNOTATION_BASE_NAME),
    };
    annotations.insert(
        ANNOTATION_BASE_DIGEST.to_owned(),
        json!(new.digest.to_string()),
    );
    annotations.insert(
        ANNOTATION_BASE_LAYERS.to_owned(),
        json!(new.layers.len().to_string()),
    );
    let config = descriptor(
        MediaType::ImageConfig,
        &Digest::of(config),
        config.len() as u64,
    );
    let layers: Vec<&Descriptor> = layers.iter().map(|layer| &layer.descriptor).collect();
    manifest.insert("annotations".to_owned(), Value::Object(annotations));
    manifest.insert("config".to_owned(), json!(config));
    manifest.insert("layers".to_owned(), json!(layers));
    manifest.insert("mediaType".to_owned(), json!(MediaType::ImageManifest));
    Value::Object(manifest)
}
