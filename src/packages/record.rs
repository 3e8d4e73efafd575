//! What an image keeps of the packages that its files come from, so that scanners can match
//! them against advisories.
//!
//! The forms are those that scanners know: of dpkg `/var/lib/dpkg/status.d`, as Google's
//! distroless images have it, and of apk its database with the files that are there. Of rpm,
//! whose database is an SQLite file, nothing is kept.
//!
//! A system's database is hostile here too: names become paths only when they are such as
//! packages may have, and values keep to one line.

mod apk;
mod dpkg;
mod release;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::{Manager, Owner, Owners};
use crate::ImagePath;
use crate::rootfs::{Content, Entry, Origin};
use crate::sysroot::Sysroot;

/// A file of the system that an image has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Where the image has it.
    pub place: ImagePath,
    /// What brought it.
    pub origin: Origin,
    /// Whether it holds the very bytes that the system's file holds.
    pub is_unchanged: bool,
}

/// A file that is to be added to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where; directories above it may be links in the image.
    pub path: ImagePath,
    /// The file.
    pub entry: Entry,
    /// Whether it takes the place of a file of the base.
    pub replaces: bool,
    /// The package that it tells of, by its number among the owners.
    package: Option<usize>,
}

impl Record {
    fn text(path: ImagePath, text: Vec<u8>, origin: Origin) -> Self {
        Self {
            path,
            entry: Entry::file(Content::Bytes(text.into()), 0o644, origin),
            replaces: false,
            package: None,
        }
    }
}

/// A package of which the image has files.
struct Owned<'a> {
    index: usize,
    owner: &'a Owner,
    /// The files by their paths in the system.
    files: Vec<(&'a ImagePath, &'a Taken)>,
}

impl Owned<'_> {
    /// The lowest and the highest layer that has a file of it. The base is not touched: it stays
    /// the same whatever is built on it.
    fn origins(&self) -> (Origin, Origin) {
        let origins = || self.files.iter().map(|(_, taken)| taken.origin);
        let lowest = origins().min().unwrap_or(Origin::Library);
        let highest = origins().max().unwrap_or(Origin::Library);
        (lowest.max(Origin::Library), highest.max(Origin::Library))
    }
}

/// The records of the packages that own the files `taken` from `sysroot` (by their paths there),
/// for an image that has `image` so far; sorted by path. `owners` is what
/// [`owners`](super::owners) found out about these files.
///
/// The record of a package stands in the lowest layer that has a file of it. When there are any,
/// the image gets the system's name in `/etc/os-release` too, unless its base names a
/// distribution itself: without it, scanners cannot tell whose packages these are.
pub fn records(
    sysroot: &dyn Sysroot,
    image: &dyn Sysroot,
    taken: &BTreeMap<ImagePath, Taken>,
    owners: &Owners,
) -> Vec<Record> {
    let mut by_package = BTreeMap::<usize, Vec<(&ImagePath, &Taken)>>::new();
    for (path, file) in taken {
        if let Some(index) = owners.owners.get(path) {
            by_package.entry(*index).or_default().push((path, file));
        }
    }
    let packages: Vec<Owned<'_>> = by_package
        .into_iter()
        .filter_map(|(index, files)| {
            let owner = owners.packages.get(index)?;
            Some(Owned {
                index,
                owner,
                files,
            })
        })
        .collect();
    let of = |manager: Manager| {
        let own = move |owned: &&Owned<'_>| owned.owner.package.manager == manager;
        packages.iter().filter(own).collect::<Vec<_>>()
    };
    let merged = super::needles::merged_directories(sysroot);
    let mut records = dpkg::records(sysroot, image, &of(Manager::Dpkg), &merged);
    records.extend(apk::records(sysroot, image, &of(Manager::Apk), &merged));
    if let Some(lowest) = records.iter().map(|record| record.entry.origin).min() {
        records.extend(release::records(sysroot, image, lowest));
    }
    records.sort_by(|a, b| a.path.cmp(&b.path));
    records
}

impl Owners {
    /// Counts a record that is in the image as a file of the package that it tells of.
    pub fn keep(&mut self, record: &Record, place: &ImagePath) {
        if let Some(package) = record.package {
            self.owners.entry(place.clone()).or_insert(package);
        }
    }
}

/// Whether a text can stand in a line of a record: no control character would start another.
fn is_one_line(text: &[u8]) -> bool {
    !text.iter().any(u8::is_ascii_control)
}
