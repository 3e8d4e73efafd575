//! `distrobuild load`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor};

use super::Usage;
use super::args::{Engine as Wanted, LoadArguments};
use super::images::{Images, Opened};
use super::terminal::{Terminal, harmless};
use crate::load::{self, Choice, Engine, Environment};
use crate::registry;
use crate::store::{ANNOTATION_IMAGE_NAME, Destination, Location};
use crate::transfer::Quiet;

/// Loads an image into an engine of this machine, and prints the name that it has there.
pub(super) fn run(arguments: &LoadArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let given = arguments.name.as_deref().map(given).transpose()?;
    let choice = match arguments.into {
        Wanted::Auto => Choice::Auto,
        Wanted::Docker => Choice::Docker,
        Wanted::Podman => Choice::Podman,
        Wanted::Containerd => Choice::Containerd,
    };
    super::handle_signals(terminal);
    // Before an image is fetched in vain.
    let engine = Engine::find(choice, &Environment::of_process())?;
    let images = Images::new(&arguments.registry, &[&arguments.image])?;
    let image = images.open(&arguments.image)?;
    let manifest = image.select(arguments.platform.as_ref())?;
    let name = match given {
        Some(name) => name,
        None => name_of(&image, &manifest).context("choose a name with --name NAME:TAG")?,
    };
    terminal.fact("into", &engine.to_string());
    let parallel = images.client().options().parallel;
    let loaded = load::load(&engine, &*image.source, &manifest, &name, parallel, &Quiet)?;
    terminal.result(&format!("{}\n", harmless(&loaded)))?;
    Ok(ExitCode::SUCCESS)
}

/// The whole name that `--name` asks for; a name alone gets the tag `latest`.
fn given(name: &str) -> anyhow::Result<String> {
    let whole = if name.contains(['/', ':']) {
        name.to_owned()
    } else {
        format!("{name}:latest")
    };
    Ok(in_archive(Path::new("image"), &whole).map_err(Usage::of)?)
}

/// The whole name of an image that got none: that of its file or repository, and its tag.
fn name_of(image: &Opened, manifest: &Descriptor) -> anyhow::Result<String> {
    match &image.location {
        Location::Disk(reference) => {
            let tag = match &image.tag {
                Some(tag) => tag.clone(),
                None => tag_of(image, manifest)?.unwrap_or_else(|| "latest".to_owned()),
            };
            // `.` and `..` have no name of their own.
            let path = match reference.path.file_name() {
                Some(_) => reference.path.clone(),
                None => reference.path.canonicalize()?,
            };
            in_archive(&path, &tag)
        }
        Location::Registry(reference) => in_archive(Path::new("image"), &named(reference)),
    }
}

/// The tag of the one image of a store that was named without.
fn tag_of(image: &Opened, manifest: &Descriptor) -> anyhow::Result<Option<String>> {
    let index = image.source.index()?;
    let entries = index.manifests();
    let is_it = |entry: &&Descriptor| entry.digest() == manifest.digest();
    // It may stand in an index that has the tag; then that is the only one of the store.
    let entry = match entries.iter().find(is_it) {
        Some(entry) => Some(entry),
        None => entries.first(),
    };
    let annotations = entry.and_then(|entry| entry.annotations().as_ref());
    let annotation = |key| annotations.and_then(|annotations| annotations.get(key));
    let name = annotation(ANNOTATION_IMAGE_NAME).or_else(|| annotation(ANNOTATION_REF_NAME));
    Ok(name.cloned())
}

/// The name of an image of a registry, as docker shows it. What was named by a digest alone gets
/// a part of it as its tag: `latest` may be another image.
fn named(reference: &registry::Reference) -> String {
    let tag = match (&reference.tag, &reference.digest) {
        (Some(tag), _) => tag.clone(),
        (None, Some(digest)) => digest.digest().chars().take(12).collect(),
        (None, None) => "latest".to_owned(),
    };
    registry::Reference {
        repository: reference.repository.clone(),
        tag: Some(tag),
        digest: None,
    }
    .familiar()
}

fn in_archive(path: &Path, tag: &str) -> anyhow::Result<String> {
    Ok(Destination::DockerArchive(path.to_path_buf()).name(tag)?)
}
