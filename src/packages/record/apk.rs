//! Packages of apk: paragraphs of its database, apk-installed(5), with the files that are there.
//!
//! Trivy, Syft and Clair read the name, version, origin, architecture, license and maintainer,
//! what a package depends on and provides, and its files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Owned, Record, is_one_line};
use crate::ImagePath;
use crate::packages::DATABASE_LIMIT;
use crate::packages::apk::Paragraphs;
use crate::packages::needles::Needles;
use crate::rootfs::Origin;
use crate::sysroot::{Sysroot, trace};

/// The fields that are kept, in apk's order: checksum of the package, name, version, architecture,
/// license, origin, maintainer, dependencies, what it provides.
const FIELDS: &[u8] = b"CPVALomDp";

pub(super) fn records(
    sysroot: &dyn Sysroot,
    image: &dyn Sysroot,
    packages: &[&Owned<'_>],
    merged: &[&str],
) -> Vec<Record> {
    let mut databases = BTreeMap::<&Path, Vec<&Owned<'_>>>::new();
    for owned in packages {
        databases.entry(&owned.owner.sums).or_default().push(owned);
    }
    databases
        .into_iter()
        .filter_map(|(path, packages)| database(sysroot, image, path, packages, merged))
        .collect()
}

/// One database. It stands in the highest layer that has a file of a package: it changes
/// whenever any of them does, and those below it stay.
fn database(
    sysroot: &dyn Sysroot,
    image: &dyn Sysroot,
    path: &Path,
    mut packages: Vec<&Owned<'_>>,
    merged: &[&str],
) -> Option<Record> {
    // Both places that it may have are one where `/lib` is a link.
    let path = trace(sysroot, path).ok()?.target;
    packages.sort_by(|a, b| a.owner.package.cmp(&b.owner.package));
    let mut text = image.read(path.as_path(), DATABASE_LIMIT).ok();
    let replaces = text.is_some();
    let known: Vec<_> = (text.iter().flat_map(|known| Paragraphs(known)))
        .map(identity)
        .map(|identity| identity.map(|value| value.map(<[u8]>::to_vec)))
        .collect();
    let mut origin = None::<Origin>;
    for owned in packages {
        let paragraph = &owned.owner.paragraph;
        let identity = identity(paragraph).map(|value| value.map(<[u8]>::to_vec));
        if known.contains(&identity) {
            continue;
        }
        let text = text.get_or_insert_default();
        if !text.is_empty() && !text.ends_with(b"\n\n") {
            text.push(b'\n');
        }
        write(text, owned, merged);
        origin = origin.max(Some(owned.origins().1));
    }
    let mut record = Record::text(path, text?, origin?);
    record.replaces = replaces;
    Some(record)
}

/// What tells a package from others: its name, version and architecture.
fn identity(paragraph: &[u8]) -> [Option<&[u8]>; 3] {
    [b'P', b'V', b'A'].map(|name| field(paragraph, name))
}

fn field(paragraph: &[u8], name: u8) -> Option<&[u8]> {
    let lines = paragraph.split(|byte| *byte == b'\n');
    // The fields of the package come before those of its files.
    let mut own = lines.take_while(|line| !matches!(line, [b'F', b':', ..]));
    own.find_map(|line| match line {
        [field, b':', value @ ..] if *field == name => Some(value),
        _ => None,
    })
}

/// Writes the paragraph of a package: `F:` a directory, `R:` a file in it, `Z:` its SHA-1.
fn write(text: &mut Vec<u8>, owned: &Owned<'_>, merged: &[&str]) {
    let mut line = |name: u8, value: &[u8]| {
        if is_one_line(value) {
            text.extend_from_slice(&[name, b':']);
            text.extend_from_slice(value);
            text.push(b'\n');
        }
    };
    for name in FIELDS {
        if let Some(value) = field(&owned.owner.paragraph, *name) {
            line(*name, value);
        }
    }
    let sums = sums(owned, merged);
    let mut places: Vec<&ImagePath> = owned.files.iter().map(|(_, taken)| &taken.place).collect();
    places.sort();
    places.dedup();
    let mut directory = None;
    for place in places {
        let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else {
            continue;
        };
        if !is_one_line(place.as_bytes()) {
            continue;
        }
        if directory.as_ref() != Some(&parent) {
            line(b'F', parent.relative());
            directory = Some(parent);
        }
        line(b'R', name.as_bytes());
        if let Some(sum) = sums.get(place) {
            line(b'Z', sum);
        }
    }
    text.push(b'\n');
}

/// The sums of the files that the image has unchanged, by their places in it.
fn sums<'a>(owned: &'a Owned<'_>, merged: &[&str]) -> BTreeMap<&'a ImagePath, &'a [u8]> {
    let files = owned.files.iter().filter(|(_, taken)| taken.is_unchanged);
    let (paths, places): (Vec<ImagePath>, Vec<&ImagePath>) = files
        .map(|(path, taken)| ((*path).clone(), &taken.place))
        .unzip();
    let needles = Needles::new(&paths, merged);
    let mut sums = BTreeMap::new();
    let (mut directory, mut file): (&[u8], Option<Vec<u8>>) = (b"", None);
    for line in owned.owner.paragraph.split(|byte| *byte == b'\n') {
        match line {
            [b'F', b':', name @ ..] => (directory, file) = (name, None),
            [b'R', b':', name @ ..] => {
                let path = Path::new("/").join(OsStr::from_bytes(directory));
                let path = path.join(OsStr::from_bytes(name));
                file = Some(path.into_os_string().as_bytes().to_vec());
            }
            [b'Z', b':', sum @ ..] => {
                for needle in file.iter().flat_map(|file| needles.named(file)) {
                    if let Some(place) = places.get(needle.path) {
                        sums.entry(*place).or_insert(sum);
                    }
                }
            }
            _ => {}
        }
    }
    sums
}
