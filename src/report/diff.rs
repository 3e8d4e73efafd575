//! Two images beside each other: an earlier one and a new one.

mod details;
mod paths;
mod settings;

use std::collections::BTreeMap;

use oci_spec::image::Descriptor;
use serde::Serialize;

use super::image::{Merged, Reader};
use super::{Report, ReportError};
use crate::store::Source;

pub(super) use details::packages_with_versions;
pub use details::{Details, PackageChange};
pub use paths::{Aspect, PathChange, PathKind, PathState};
pub use settings::{SettingChange, SettingValue};

/// What changed from one image to another. Serialised, this is the body of the JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The earlier image.
    pub before: String,
    /// The new image.
    pub after: String,
    /// Platform of the earlier image.
    pub platform_before: String,
    /// Platform of the new image.
    pub platform_after: String,
    /// Compressed sizes.
    pub compressed: Change,
    /// Unpacked sizes.
    pub unpacked: Change,
    /// Numbers of files.
    pub files_count: Change,
    /// Compressed sizes of layers, by what they are (or their place, counted from 1), lowest first.
    pub layers: Vec<Item>,
    /// Layers that both have, byte for byte: who has the one need not pull them again.
    pub shared_layers: u64,
    /// Unpacked sizes by origin, where they differ; largest difference first.
    pub origins: Vec<Item>,
    /// Unpacked sizes by package, where they or the versions differ; `null` when one is unknown.
    pub packages: Option<Vec<Item>>,
    /// Files of which the size differs, largest difference first.
    pub files: Vec<Item>,
    /// All else that differs; absent when sizes alone were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// An image to compare.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Where its blobs are.
    pub source: &'a dyn Source,
    /// What people call it.
    pub reference: &'a str,
    /// Its manifest.
    pub manifest: &'a Descriptor,
}

/// A number before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Change {
    /// In the earlier image.
    pub before: u64,
    /// In the new image.
    pub after: u64,
}

/// One layer, origin, package or file in both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Its size in the earlier image; `null` when it is new.
    pub before: Option<u64>,
    /// Its size in the new image; `null` when it is gone.
    pub after: Option<u64>,
    /// What else changed: the versions of a package, the digest of a layer.
    pub detail: Option<String>,
}

impl Item {
    /// Bytes that it became larger or smaller by.
    pub fn difference(&self) -> u64 {
        self.before
            .unwrap_or_default()
            .abs_diff(self.after.unwrap_or_default())
    }
}

impl Diff {
    /// Compares two images wholly, by reading both. Layers that they share at their bottom are
    /// read once, from the earlier one. File contents are hashed as they pass.
    ///
    /// # Errors
    /// When a blob of either is missing, damaged or not what the specification wants.
    pub fn of_images(before: Subject<'_>, after: Subject<'_>) -> Result<Self, ReportError> {
        let readers = [before, after].map(|subject| Reader {
            source: subject.source,
            reference: subject.reference,
        });
        let old = readers[0].documents(before.manifest)?;
        let new = readers[1].documents(after.manifest)?;
        let (old_layers, new_layers) = (old.manifest.layers(), new.manifest.layers());
        let shared = old_layers
            .iter()
            .zip(new_layers)
            .take_while(|(a, b)| a.digest() == b.digest() && a.media_type() == b.media_type())
            .count();
        let mut old_tree = Merged::<paths::Node>::default();
        for layer in old_layers.iter().take(shared) {
            old_tree.layer(&readers[0], layer)?;
        }
        let mut new_tree = old_tree.clone();
        for layer in old_layers.iter().skip(shared) {
            old_tree.layer(&readers[0], layer)?;
        }
        for layer in new_layers.iter().skip(shared) {
            new_tree.layer(&readers[1], layer)?;
        }
        let settings = settings::compare(&old, &new);
        let old = old_tree.report(before.reference, before.manifest, old);
        let new = new_tree.report(after.reference, after.manifest, new);
        let mut diff = Self::between(&old, &new);
        diff.details = Some(Details {
            digest_before: old.digest.clone(),
            digest_after: new.digest.clone(),
            settings,
            packages: details::versions(&old, &new),
            paths: paths::compare(&old_tree.contents, &new_tree.contents),
        });
        Ok(diff)
    }

    /// Compares `before` with `after` by their sizes.
    pub fn between(before: &Report, after: &Report) -> Self {
        let origins = |r: &Report| sizes(r.origins.iter().map(|o| (o.origin.clone(), o.unpacked)));
        let files = |r: &Report| sizes(r.files.iter().map(|f| (f.path.clone(), f.size)));
        let shared = after
            .layers
            .iter()
            .filter(|layer| before.layers.iter().any(|old| old.digest == layer.digest));
        Self {
            before: before.reference.clone(),
            after: after.reference.clone(),
            platform_before: before.platform.clone(),
            platform_after: after.platform.clone(),
            compressed: change(before.compressed, after.compressed),
            unpacked: change(before.unpacked, after.unpacked),
            files_count: change(before.file_count, after.file_count),
            layers: layers(before, after),
            shared_layers: shared.count() as u64,
            origins: changed(origins(before), origins(after)),
            packages: packages(before, after),
            files: changed(files(before), files(after)),
            details: None,
        }
    }
}

fn change(before: u64, after: u64) -> Change {
    Change { before, after }
}

/// Sizes and details by name.
type Sizes = BTreeMap<String, (u64, Option<String>)>;

fn sizes(items: impl Iterator<Item = (String, u64)>) -> Sizes {
    items.map(|(name, size)| (name, (size, None))).collect()
}

/// What differs, the largest difference first.
fn changed(before: Sizes, after: Sizes) -> Vec<Item> {
    let mut items = Vec::new();
    for (name, (old, old_detail)) in &before {
        let new = after.get(name);
        let detail = match (old_detail, new.and_then(|(_, detail)| detail.as_ref())) {
            (Some(old), Some(new)) if old != new => Some(format!("{old} → {new}")),
            _ => None,
        };
        if new.is_none_or(|(new, _)| new != old) || detail.is_some() {
            items.push(Item {
                name: name.clone(),
                before: Some(*old),
                after: new.map(|(new, _)| *new),
                detail,
            });
        }
    }
    for (name, (new, _)) in after {
        if !before.contains_key(&name) {
            items.push(Item {
                name,
                before: None,
                after: Some(new),
                detail: None,
            });
        }
    }
    items.sort_by(|a, b| {
        let by_size = b.difference().cmp(&a.difference());
        by_size.then_with(|| a.name.cmp(&b.name))
    });
    items
}

fn packages(before: &Report, after: &Report) -> Option<Vec<Item>> {
    let sizes = |report: &Report| -> Option<Sizes> {
        let packages = report.packages.as_ref()?.iter();
        let named = packages.filter_map(|share| {
            let package = share.package.as_ref()?;
            let version = Some(package.version.clone()).filter(|v| !v.is_empty());
            Some((package.name.clone(), (share.unpacked, version)))
        });
        // The same package for two architectures is one line.
        Some(
            named.fold(Sizes::new(), |mut sizes, (name, (size, version))| {
                let (sum, known) = sizes.entry(name).or_insert((0, version.clone()));
                *sum = sum.saturating_add(size);
                *known = known.take().or(version);
                sizes
            }),
        )
    };
    Some(changed(sizes(before)?, sizes(after)?))
}

/// The layers of both, side by side by what they are.
fn layers(before: &Report, after: &Report) -> Vec<Item> {
    let named = |report: &Report| -> Vec<(String, u64, String)> {
        let layers = &report.layers;
        let is_name = |what: &str| {
            !what.is_empty() && layers.iter().filter(|layer| layer.what == what).count() == 1
        };
        let name = |index: usize, what: &str| match is_name(what) {
            true => what.to_owned(),
            false => format!("layer {}", index + 1),
        };
        let layers = layers.iter().enumerate();
        layers
            .map(|(i, l)| (name(i, &l.what), l.compressed, l.digest.clone()))
            .collect()
    };
    let (old, new) = (named(before), named(after));
    let mut items: Vec<Item> = new
        .iter()
        .map(|(name, size, digest)| {
            let was = old.iter().find(|(other, ..)| other == name);
            let same = was.is_some_and(|(_, _, other)| other == digest);
            Item {
                name: name.clone(),
                before: was.map(|(_, size, _)| *size),
                after: Some(*size),
                detail: same.then(|| "the same".to_owned()),
            }
        })
        .collect();
    items.extend(
        old.iter()
            .filter(|(name, ..)| !new.iter().any(|(other, ..)| other == name))
            .map(|(name, size, _)| Item {
                name: name.clone(),
                before: Some(*size),
                after: None,
                detail: None,
            }),
    );
    items
}

#[cfg(test)]
mod tests;
