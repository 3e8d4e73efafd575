//! What an image has from the one that it stands on, beside its files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::lend::{self, Lent};
use super::{Builder, Error};
use crate::image::Platform;
use crate::parent::{ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_LAYERS, ANNOTATION_BASE_NAME, Parent};
use crate::rootfs::Base;

/// What the user should know of it.
pub(super) fn notices(builder: &Builder, lent: &[Lent]) -> Vec<String> {
    let name = &builder.base.name;
    let Some(parent) = builder.base.parent() else {
        return Vec::new();
    };
    let mut notices = parent.notices.clone();
    if builder.user.is_none() && parent.runs_as_root() {
        notices.push(format!(
            "the base {name} runs as root, and so will the image: --user 65532:65532 changes that"
        ));
    }
    notices.extend(lend::notice(lent, name));
    notices
}

/// The platform of the image of an app for `found`, if `base` can be below it.
pub(super) fn platform(
    base: &Base,
    found: Platform,
    app: impl Fn() -> PathBuf,
) -> Result<Platform, Error> {
    let machine = |platform: &Platform| (platform.os.clone(), platform.architecture.clone());
    match base.parent() {
        Some(parent) if machine(&parent.platform) != machine(&found) => {
            Err(Error::OtherBasePlatform {
                app: app(),
                found: Box::new(found),
                base: base.name.clone(),
                platform: Box::new(parent.platform.clone()),
            })
        }
        _ => Ok(found),
    }
}

/// The annotations that tell of it (image-spec `annotations.md`, and ours).
pub(super) fn annotations(parent: &Parent) -> BTreeMap<String, String> {
    let name = parent.name.clone();
    let mut annotations = BTreeMap::from([
        (ANNOTATION_BASE_DIGEST, parent.digest.to_string()),
        (ANNOTATION_BASE_LAYERS, parent.layers.len().to_string()),
    ]);
    annotations.extend(name.map(|name| (ANNOTATION_BASE_NAME, name)));
    let owned = annotations.into_iter();
    owned.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Its ports, and those that are new.
pub(super) fn ports(parent: Option<&Arc<Parent>>, own: &[String]) -> Vec<String> {
    let mut ports = parent.map_or(Vec::new(), |parent| parent.names("ExposedPorts"));
    let new: Vec<String> = own
        .iter()
        .filter(|it| !ports.contains(it))
        .cloned()
        .collect();
    ports.extend(new);
    ports
}

/// Its labels, and our own over them.
pub(super) fn labels(
    parent: Option<&Arc<Parent>>,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let inherited = parent.into_iter().flat_map(|parent| parent.labels());
    let own = own
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    inherited.chain(own).collect()
}
