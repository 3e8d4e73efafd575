//! What two images have that is not the same, beside their sizes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Diff, Item, PathChange, SettingChange};
use crate::report::Report;

/// What two images have that is not the same, whatever its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Details {
    /// Digest of the earlier image's manifest.
    pub digest_before: String,
    /// Digest of the new image's manifest.
    pub digest_after: String,
    /// Settings that differ, in the order in which a config is read.
    pub settings: Vec<SettingChange>,
    /// Packages that came, went or changed their version, by name; `null` when they are unknown
    /// in one of the images. A package without any file in the image is not told.
    pub packages: Option<Vec<PackageChange>>,
    /// All paths that differ in kind, content, mode, owner or target of a link, in the file
    /// systems that the layers make together; largest difference in size first. A directory
    /// that no layer has an entry for counts as root's, with the mode 0755.
    pub paths: Vec<PathChange>,
}

/// A package in one of two images, or in both with other versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// Its version in the earlier image; `null` when it is not there, empty when unknown.
    pub before: Option<String>,
    /// Its version in the new image; `null` when it is not there, empty when unknown.
    pub after: Option<String>,
}

impl Details {
    /// Whether both are the same image, byte for byte.
    pub fn is_same_image(&self) -> bool {
        self.digest_before == self.digest_after
    }

    /// Whether neither settings, nor packages, nor the file systems differ.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
            && self.packages.as_ref().is_none_or(Vec::is_empty)
            && self.paths.is_empty()
    }

    /// The digests in a few words.
    pub(in crate::report) fn digests(&self) -> String {
        let short = |digest: &str| -> String { digest.chars().take(19).collect() };
        match self.is_same_image() {
            true => short(&self.digest_before),
            false => format!(
                "{} → {}",
                short(&self.digest_before),
                short(&self.digest_after)
            ),
        }
    }

    /// What differs in a few words.
    pub(in crate::report) fn summary(&self, shared_layers: u64) -> Vec<String> {
        if self.is_same_image() {
            return vec!["the same image".to_owned()];
        }
        if self.is_empty() {
            return vec![
                "the same settings, packages and files".to_owned(),
                "what differs are times, history, or how the layers are packed".to_owned(),
            ];
        }
        let (added, removed, changed) = self.count_paths();
        let counts = [(added, "new"), (removed, "gone"), (changed, "changed")];
        let mut words: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        match words.first_mut() {
            Some(first) => first.insert_str(0, "paths: "),
            None => words.push("the same files".to_owned()),
        }
        words.push(match shared_layers {
            0 => "no shared layer".to_owned(),
            1 => "1 shared layer".to_owned(),
            count => format!("{count} shared layers"),
        });
        words
    }

    /// How many paths came, went and changed.
    pub fn count_paths(&self) -> (usize, usize, usize) {
        let (mut added, mut removed, mut changed) = (0, 0, 0);
        for path in &self.paths {
            *match (&path.before, &path.after) {
                (None, _) => &mut added,
                (_, None) => &mut removed,
                _ => &mut changed,
            } += 1;
        }
        (added, removed, changed)
    }
}

/// The packages whose size or version differs, each with its versions.
pub(in crate::report) fn packages_with_versions(diff: &Diff, details: &Details) -> Vec<Item> {
    let changes = details.packages.as_deref().unwrap_or_default();
    let version = |name: &str| {
        let index = changes.binary_search_by(|change| change.name.as_str().cmp(name));
        let change = changes.get(index.ok()?)?;
        match (&change.before, &change.after) {
            (Some(before), Some(after)) => Some(format!("{before} → {after}")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        }
        .filter(|version| !version.is_empty())
    };
    let mut items = diff.packages.clone().unwrap_or_default();
    for item in &mut items {
        item.detail = version(&item.name).or(item.detail.take());
    }
    items
}

/// The packages that are not in both with the same version.
pub(super) fn versions(before: &Report, after: &Report) -> Option<Vec<PackageChange>> {
    // One name may have several versions: kernels, or two architectures.
    let named = |report: &Report| -> Option<BTreeMap<String, BTreeSet<String>>> {
        let mut named = BTreeMap::<_, BTreeSet<_>>::new();
        for package in report
            .packages
            .as_ref()?
            .iter()
            .filter_map(|s| s.package.as_ref())
        {
            let versions = named.entry(package.name.clone()).or_default();
            versions.insert(package.version.clone());
        }
        Some(named)
    };
    let (old, new) = (named(before)?, named(after)?);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changes = names.into_iter().filter_map(|name| {
        let (before, after) = (old.get(name), new.get(name));
        let joined = |versions: &BTreeSet<String>| {
            let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
            versions.join(", ")
        };
        (before != after).then(|| PackageChange {
            name: name.clone(),
            before: before.map(joined),
            after: after.map(joined),
        })
    });
    Some(changes.collect())
}
