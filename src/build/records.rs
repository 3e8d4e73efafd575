//! The records of the packages that files of the system come from.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::input::Input;
use crate::ImagePath;
use crate::app::Provenance;
use crate::packages::{Owners, Taken};
use crate::rootfs::{Assembled, Content, EntryKind, Origin, Rootfs, is_system};
use crate::sysroot::{FileIdentity, Sysroot};

/// The files that the image has from the system, by their paths there. What was made from a file
/// of the system counts for that: compiled Python for its source, a linked Java runtime for the
/// JDK's.
pub(super) fn taken(input: &Input<'_>, assembled: &Assembled) -> BTreeMap<ImagePath, Taken> {
    let mut finder = Finder {
        input,
        rootfs: &assembled.rootfs,
        found: BTreeMap::new(),
    };
    for (place, path) in &assembled.placements {
        finder.add(path.clone(), place.clone());
    }
    let moved = (input.app.hosted()).map_or(&[][..], |hosted| &hosted.moved);
    for group in input.companions.groups() {
        for file in &group.files {
            if !matches!(file.entry.kind, EntryKind::File(_)) {
                continue;
            }
            finder.add_companion(&file.source, &file.path);
            if group.by != Provenance::Runtime {
                continue;
            }
            for (from, to) in moved.iter().filter(|(_, to)| file.path.starts_with(to)) {
                if let Ok(rest) = file.path.as_path().strip_prefix(to) {
                    finder.add_companion(&from.join(rest), &file.path);
                }
            }
        }
    }
    for file in &input.includes {
        if matches!(file.entry.kind, EntryKind::File(_)) {
            finder.add_companion(&file.source, &file.path);
        }
    }
    finder.found
}

struct Finder<'a> {
    input: &'a Input<'a>,
    rootfs: &'a Rootfs,
    found: BTreeMap<ImagePath, Taken>,
}

impl Finder<'_> {
    /// Adds what comes along from the file `source` of this machine.
    fn add_companion(&mut self, source: &Path, at: &ImagePath) {
        let Some(path) = self.input.path_of(source) else {
            return;
        };
        if (is_of_packages(&path) || path == *at)
            && let Ok(place) = self.rootfs.canonical(at)
        {
            self.add(path, place);
        }
    }

    fn add(&mut self, path: ImagePath, place: ImagePath) {
        let Some(entry) = self.rootfs.get(&place) else {
            return;
        };
        let content = match &entry.kind {
            EntryKind::File(content) => Some((&place, content)),
            EntryKind::HardLink(first) => match self.rootfs.get(first).map(|entry| &entry.kind) {
                Some(EntryKind::File(content)) => Some((first, content)),
                _ => None,
            },
            EntryKind::Directory | EntryKind::Symlink(_) => None,
        };
        // What the base has of its own is not the system's.
        let (Some((holder, content)), true) = (content, entry.origin > Origin::Base) else {
            return;
        };
        let is_unchanged = matches!(content, Content::Host { path: from, .. }
            if self.input.path_of(from).is_some_and(|from| from == path || from == *holder));
        let taken = Taken {
            origin: entry.origin,
            is_unchanged,
            place,
        };
        // One file may be taken to several places: that where it was tells most.
        match self.found.get(&path) {
            Some(known) if known.place == path || taken.place != path => {}
            Some(_) | None => {
                self.found.insert(path, taken);
            }
        }
    }
}

/// Whether packages may own a file there.
fn is_of_packages(path: &ImagePath) -> bool {
    let path = path.as_path();
    is_system(path) || path.starts_with("/etc") || path.starts_with("/var")
}

/// Adds the records to the tree. What does not fit is left out: the image is whole without.
pub(super) fn add(
    sysroot: &dyn Sysroot,
    taken: &BTreeMap<ImagePath, Taken>,
    owners: &mut Owners,
    rootfs: &mut Rootfs,
) {
    let image = crate::sysroot::Assembled(rootfs);
    let records = crate::packages::records(sysroot, &image, taken, owners);
    let mut known: HashMap<(Origin, FileIdentity), ImagePath> = HashMap::new();
    for record in records {
        let Ok(mut place) = rootfs.canonical(&record.path) else {
            continue;
        };
        let mut entry = record.entry.clone();
        let mut identity = None;
        if let EntryKind::File(Content::Host { facts, .. }) = &entry.kind {
            // Packages of one source often share a copyright file.
            let key = (entry.origin, facts.identity);
            match known.get(&key) {
                Some(first) => entry.kind = EntryKind::HardLink(first.clone()),
                None => identity = Some(key),
            }
        }
        let laid = match record.replaces {
            true => {
                // The file itself, where the base has a link to it.
                if let Some(file) = rootfs.follow(place.as_path()) {
                    place = file;
                }
                rootfs.replace(place.clone(), entry)
            }
            false => rootfs.insert(place.clone(), entry),
        };
        if laid.is_ok() {
            owners.keep(&record, &place);
            known.extend(identity.map(|key| (key, place)));
        }
    }
}
