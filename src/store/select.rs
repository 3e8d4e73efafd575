//! Choosing an image of a store by tag and platform.

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, MediaType};

use super::attached::{is_attached, without_attached};
use super::docker::ANNOTATION_IMAGE_NAME;
use super::reference::familiar;
use super::{Source, StoreError, read_config, read_index, read_manifest};
use crate::image::Platform;

/// How deep an index may lie in an index. Nothing known writes more than two.
pub(crate) const DEEPEST: usize = 4;

/// The most manifests that are looked at.
pub(crate) const MOST_MANIFESTS: usize = 10_000;

/// Whether a media type is that of an index (docker: a manifest list).
pub(crate) fn is_index(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageIndex)
        || media_type.as_ref() == "application/vnd.docker.distribution.manifest.list.v2+json"
}

/// Whether a media type is that of an image manifest.
pub(crate) fn is_manifest(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageManifest)
        || media_type.as_ref() == "application/vnd.docker.distribution.manifest.v2+json"
}

/// The tag of an entry of an index.
pub(crate) fn tag(descriptor: &Descriptor) -> Option<&str> {
    annotation(descriptor, ANNOTATION_REF_NAME)
}

pub(super) fn annotation<'a>(descriptor: &'a Descriptor, key: &str) -> Option<&'a str> {
    let annotations = descriptor.annotations().as_ref()?;
    annotations.get(key).map(String::as_str)
}

/// The tags of a store, sorted, each once. An image of a docker archive is listed by its
/// whole name. cosign's tags of what is attached to an image are no images and left out.
///
/// # Errors
/// When the index cannot be read.
pub fn tags(source: &dyn Source) -> Result<Vec<String>, StoreError> {
    Ok(tags_of(source.index()?.manifests()))
}

pub(super) fn tags_of(entries: &[Descriptor]) -> Vec<String> {
    let name = |d: &Descriptor| {
        annotation(d, ANNOTATION_IMAGE_NAME)
            .or(tag(d))
            .map(str::to_owned)
    };
    let entries = entries.iter().filter(|entry| !is_attached(entry));
    let mut tags: Vec<String> = entries.filter_map(name).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// The image manifests under `tag` (of the whole store without one), indexes opened,
/// each with its platform: that of its descriptor, or else of its config. Attestations,
/// which builders list for the platform `unknown/unknown`, are left out, and of a whole store
/// what is attached to another image.
///
/// # Errors
/// When an index or a config cannot be read.
pub fn images(
    source: &dyn Source,
    tag: Option<&str>,
) -> Result<Vec<(Descriptor, Platform)>, StoreError> {
    let entries = under(source.index()?.manifests().clone(), tag);
    flatten(source, entries)
}

/// The entries that have a tag; without one those that are meant by none.
pub(crate) fn under(mut entries: Vec<Descriptor>, tag: Option<&str>) -> Vec<Descriptor> {
    match tag {
        Some(tag) => {
            entries.retain(|entry| named(entry, tag));
            entries
        }
        None => without_attached(entries),
    }
}

/// Whether an entry of an index has the tag, or the name, `wanted`.
pub(crate) fn named(descriptor: &Descriptor, wanted: &str) -> bool {
    let name = annotation(descriptor, ANNOTATION_IMAGE_NAME);
    tag(descriptor) == Some(wanted) || name.is_some_and(|name| familiar(name) == familiar(wanted))
}

pub(super) fn flatten(
    source: &dyn Source,
    entries: Vec<Descriptor>,
) -> Result<Vec<(Descriptor, Platform)>, StoreError> {
    let mut found: Vec<(Descriptor, Platform)> = Vec::new();
    let mut open: Vec<(Descriptor, usize)> = entries.into_iter().rev().map(|d| (d, 0)).collect();
    let mut looked_at = 0;
    while let Some((descriptor, depth)) = open.pop() {
        looked_at += 1;
        if looked_at > MOST_MANIFESTS || depth > DEEPEST {
            let problem = "it has too many manifests, or indexes within indexes";
            return Err(StoreError::damaged(source.name(), "the index", problem));
        }
        if is_index(descriptor.media_type()) {
            let children = read_index(source, &descriptor)?.manifests().clone();
            open.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
        } else if is_manifest(descriptor.media_type()) {
            let platform = platform_of(source, &descriptor)?;
            if platform.os != "unknown"
                && !found.iter().any(|(d, _)| d.digest() == descriptor.digest())
            {
                found.push((descriptor, platform));
            }
        }
    }
    Ok(found)
}

/// The platform of an image: that of its descriptor, or else of its config.
///
/// # Errors
/// When the config has to be read and cannot be.
pub fn platform_of(source: &dyn Source, descriptor: &Descriptor) -> Result<Platform, StoreError> {
    if let Some(platform) = descriptor.platform() {
        return Ok(Platform::from(platform));
    }
    let manifest = read_manifest(source, descriptor)?;
    Ok(Platform::from(&read_config(source, &manifest)?))
}

/// The manifest of the image with this tag and platform.
///
/// Without a tag the store must have one image, beside what is attached to it; without a platform
/// the one there is, or of several that of this machine.
///
/// # Errors
/// When there is none or the choice is not clear; the message lists what there is.
pub fn select(
    source: &dyn Source,
    tag: Option<&str>,
    platform: Option<&Platform>,
) -> Result<Descriptor, StoreError> {
    let store = source.name();
    let index = source.index()?;
    let all = index.manifests();
    let tags = tags_of(all);
    let entries = under(all.clone(), tag);
    let entries_are_of = tags_of(&entries);
    match tag {
        Some(tag) if entries.is_empty() => {
            return Err(StoreError::NoSuchTag {
                store,
                tag: tag.to_owned(),
                tags,
            });
        }
        // One tag of several names in a docker archive is as unclear as none.
        _ if entries_are_of.len() > 1 && !same_image(&entries) => {
            return Err(StoreError::TagNeeded {
                store,
                tags: entries_are_of,
            });
        }
        _ => {}
    }
    let images = flatten(source, entries)?;
    let platforms = || {
        let mut names: Vec<String> = images.iter().map(|(_, p)| p.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let host = Platform::host();
    let wanted = platform.or((images.len() > 1).then_some(&host));
    let fitting: Vec<&Descriptor> = images
        .iter()
        .filter(|(_, found)| wanted.is_none_or(|wanted| wanted.matches(found)))
        .map(|(descriptor, _)| descriptor)
        .collect();
    match (fitting.as_slice(), platform) {
        ([one], _) => Ok((*one).clone()),
        _ if images.is_empty() => Err(StoreError::Empty(store)),
        ([], Some(wanted)) => Err(StoreError::NoSuchPlatform {
            store,
            wanted: wanted.to_string(),
            platforms: platforms(),
        }),
        ([], None) => Err(StoreError::PlatformNeeded {
            store,
            platforms: platforms(),
        }),
        // Untagged images beside each other, or one tag given twice for one platform.
        _ => Err(StoreError::TagNeeded { store, tags }),
    }
}

fn same_image(entries: &[Descriptor]) -> bool {
    entries
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a.digest() == b.digest()))
}
