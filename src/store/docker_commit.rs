//! The content of a docker archive: one image more in its list, the layers uncompressed.

use std::io;

use oci_spec::image::{Digest as OciDigest, ImageConfiguration, ImageManifest};

use super::archive_commit::{Blobs, Part, Parts};
use super::docker::Item;
use super::entry::{Put, Unpacked};
use super::read::document;
use super::reference::familiar;
use super::select::{flatten, is_manifest};
use super::uncompress::uncompressed;
use super::with::With;
use super::{DockerArchive, StoreError};
use crate::image::canonical;
use crate::layer::{Digest, Hasher};

pub(super) fn parts<'a>(
    current: Option<&'a DockerArchive>,
    put: &'a Put<'a>,
    blobs: &Blobs<'a>,
) -> Result<Parts<'a>, StoreError> {
    let (config, manifest) = image(put, blobs)?;
    let layers = match &put.unpacked {
        Some(known) => known.clone(),
        None => measured(config, &manifest, blobs)?,
    };
    let tar = |layer: &Unpacked| format!("{}.tar", layer.diff_id.hex());
    let new = Item {
        config: format!("{}.json", Digest::of(config).hex()),
        repo_tags: put.reference.map(str::to_owned).into_iter().collect(),
        layers: layers.iter().map(tar).collect(),
    };
    let mut parts = Parts::default();
    for layer in layers {
        let blob = blobs.blob(&layer.digest)?;
        let name = tar(&layer);
        let part = Part::Uncompressed(layer, Box::new(blob));
        parts.rest.insert(name, part);
    }
    parts
        .rest
        .insert(new.config.clone(), Part::Bytes(config.to_vec()));

    let old = current
        .map(|archive| archive.items.clone())
        .unwrap_or_default();
    let items = with_item(old, new);
    if let Some(archive) = current {
        for name in items
            .iter()
            .flat_map(|item| item.layers.iter().chain([&item.config]))
        {
            if let Some((offset, size)) = archive.tar.find(name) {
                let part = Part::Stored(&archive.tar, offset, size);
                parts.rest.entry(name.clone()).or_insert(part);
            }
        }
    }
    parts.first = vec![("manifest.json".into(), Part::Bytes(canonical(&items)))];
    Ok(parts)
}

/// The config and the manifest of the one image.
fn image<'a>(put: &'a Put<'a>, blobs: &Blobs<'_>) -> Result<(&'a [u8], ImageManifest), StoreError> {
    let store = blobs.writer.path.display().to_string();
    let root = &put.entry.root;
    if !is_manifest(root.media_type()) {
        let source = With::of(&blobs.writer.path, None, put.entry);
        let images = flatten(&source, vec![root.clone()]).unwrap_or_default();
        let mut platforms: Vec<String> = images
            .iter()
            .map(|(_, platform)| platform.to_string())
            .collect();
        platforms.sort_unstable();
        platforms.dedup();
        return Err(StoreError::OneImageOnly {
            path: blobs.writer.path.clone(),
            platforms,
        });
    }
    let bytes_of = |digest: &OciDigest| {
        put.entry
            .document(digest)
            .ok_or_else(|| StoreError::MissingBlob {
                store: store.clone(),
                digest: digest.to_string(),
            })
    };
    let part = format!("the manifest {}", root.digest());
    let manifest: ImageManifest = document(&store, &part, bytes_of(root.digest())?)?;
    Ok((bytes_of(manifest.config().digest())?, manifest))
}

/// The layers by the diff_ids of the config. Each is uncompressed once to learn its size, which
/// stands before it in the archive, and to see that it is the right one before a byte is written.
fn measured(
    config: &[u8],
    manifest: &ImageManifest,
    blobs: &Blobs<'_>,
) -> Result<Vec<Unpacked>, StoreError> {
    let store = blobs.writer.path.display().to_string();
    let part = format!("the config {}", manifest.config().digest());
    let config: ImageConfiguration = document(&store, &part, config)?;
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers().len() {
        let problem = format!(
            "it has {} diff_ids for {} layers",
            diff_ids.len(),
            manifest.layers().len()
        );
        return Err(StoreError::damaged(store, part, problem));
    }
    let mut layers: Vec<Unpacked> = Vec::with_capacity(diff_ids.len());
    for (layer, diff_id) in manifest.layers().iter().zip(diff_ids) {
        let digest = layer.digest().to_string();
        let diff_id: Digest = diff_id
            .parse()
            .map_err(|error| StoreError::damaged(&store, &part, error))?;
        let known = layers
            .iter()
            .find(|known| known.digest == digest && known.diff_id == diff_id);
        if let Some(known) = known.cloned() {
            layers.push(known);
            continue;
        }
        let damaged =
            |problem: String| StoreError::damaged(&store, format!("the layer {digest}"), problem);
        let mut hasher = Hasher::new();
        let blob = blobs.blob(&digest)?;
        let tar_size = blob
            .reader()
            .and_then(uncompressed)
            .and_then(|mut tar| io::copy(&mut tar, &mut hasher))
            .map_err(|error| damaged(format!("it cannot be uncompressed: {error}")))?;
        let found = hasher.finish();
        if found != diff_id {
            return Err(damaged(format!(
                "its uncompressed content has the digest {found}, and the diff_id in the config \
                 is {diff_id}"
            )));
        }
        layers.push(Unpacked {
            digest,
            diff_id,
            tar_size,
        });
    }
    Ok(layers)
}

/// Adds an image to a docker archive's list. Its tag is taken from the image that had
/// it; an image that loses its last tag so is dropped.
fn with_item(old: Vec<Item>, new: Item) -> Vec<Item> {
    let mut items = Vec::with_capacity(old.len() + 1);
    let mut new = new;
    for mut item in old {
        let tags = item.repo_tags.len();
        let taken = |tag: &String| {
            new.repo_tags
                .iter()
                .any(|new| familiar(new) == familiar(tag))
        };
        item.repo_tags.retain(|tag| !taken(tag));
        let lost_its_last = tags > 0 && item.repo_tags.is_empty();
        if item.config == new.config && item.layers == new.layers {
            new.repo_tags.extend(item.repo_tags);
        } else if !lost_its_last {
            items.push(item);
        }
    }
    new.repo_tags.sort_unstable();
    items.push(new);
    items
}
