//! Adding files up: by origin, by package, and in all.

use std::collections::BTreeMap;

use super::config::{Described, printable};
use super::{FileShare, LayerShare, OriginShare, PackageShare, Report};
use crate::ImagePath;
use crate::packages::{Owners, Package};

/// A regular file of an image.
pub(super) struct File<'a> {
    pub(super) path: &'a ImagePath,
    pub(super) size: u64,
    pub(super) origin: Option<&'static str>,
}

/// What a report is called and says beside its files.
pub(super) struct Heading {
    pub(super) reference: String,
    pub(super) digest: String,
    pub(super) manifest_size: u64,
    pub(super) config_size: u64,
    pub(super) described: Described,
    pub(super) layers: Vec<LayerShare>,
}

/// The origins in the order of the layers.
const ORIGINS: [&str; 5] = ["base", "libraries", "runtime", "app", "include"];

/// The report of an image with these `files`; `paths` are all names in it, links too.
pub(super) fn add_up<'a>(
    heading: Heading,
    files: &[File<'_>],
    paths: impl Iterator<Item = &'a ImagePath>,
    owners: &Owners,
) -> Report {
    let mut facts = heading.described.facts;
    (facts.shell, facts.package_manager) = shell_and_package_manager(paths);
    let mut largest: Vec<FileShare> = files
        .iter()
        .map(|file| FileShare {
            path: printable(&file.path.to_string()),
            size: file.size,
            origin: file.origin.map(str::to_owned),
            package: owners.of(file.path).map(|p| printable(&p.name)),
        })
        .collect();
    largest.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    Report {
        reference: printable(&heading.reference),
        platform: heading.described.platform,
        digest: heading.digest,
        compressed: sum(heading.layers.iter().map(|layer| layer.compressed)),
        manifest_size: heading.manifest_size,
        config_size: heading.config_size,
        unpacked: sum(files.iter().map(|file| file.size)),
        file_count: files.len() as u64,
        layers: heading.layers,
        origins: by_origin(files),
        packages: by_package(files, owners),
        unread_databases: owners
            .unread()
            .iter()
            .map(|unread| printable(&unread.to_string()))
            .collect(),
        files: largest,
        facts,
        comparisons: Vec::new(),
        since: Vec::new(),
    }
}

/// A sum of sizes that a hostile image cannot make overflow.
pub(super) fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

fn by_origin(files: &[File<'_>]) -> Vec<OriginShare> {
    ORIGINS
        .into_iter()
        .filter_map(|origin| {
            let own = || files.iter().filter(|file| file.origin == Some(origin));
            let files = own().count() as u64;
            (files > 0).then(|| OriginShare {
                origin: origin.to_owned(),
                unpacked: sum(own().map(|file| file.size)),
                files,
            })
        })
        .collect()
}

fn by_package(files: &[File<'_>], owners: &Owners) -> Option<Vec<PackageShare>> {
    if owners.databases().is_empty() {
        return None;
    }
    let mut sums = BTreeMap::<Option<&Package>, (u64, u64)>::new();
    for file in files {
        let (unpacked, count) = sums.entry(owners.of(file.path)).or_default();
        *unpacked = unpacked.saturating_add(file.size);
        *count += 1;
    }
    let mut shares: Vec<PackageShare> = sums
        .into_iter()
        .map(|(package, (unpacked, files))| PackageShare {
            package: package.map(shown),
            unpacked,
            files,
        })
        .collect();
    // Stable: packages of one size stay in the order of their names.
    shares.sort_by_key(|share| std::cmp::Reverse(share.unpacked));
    Some(shares)
}

fn shown(package: &Package) -> Package {
    Package {
        name: printable(&package.name),
        version: printable(&package.version),
        architecture: printable(&package.architecture),
        manager: package.manager,
    }
}

/// The directories in which programs are looked for, by habit.
const PROGRAMS: [&str; 8] = [
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/busybox",
    "/nix/var/nix/profiles/default/bin",
];
const SHELLS: [&str; 10] = [
    "sh", "bash", "dash", "ash", "busybox", "zsh", "ksh", "mksh", "fish", "toybox",
];
const PACKAGE_MANAGERS: [&str; 11] = [
    "apt", "apt-get", "dpkg", "apk", "dnf", "microdnf", "yum", "tdnf", "zypper", "rpm", "pacman",
];

fn shell_and_package_manager<'a>(
    paths: impl Iterator<Item = &'a ImagePath>,
) -> (Option<String>, Option<String>) {
    let (mut shell, mut manager) = (None, None);
    let better = |best: &mut Option<(usize, String)>, names: &[&str], path: &ImagePath| {
        let name = path.file_name().and_then(|name| name.to_str());
        let rank = names.iter().position(|known| Some(*known) == name);
        if let Some(rank) = rank
            && best.as_ref().is_none_or(|(r, _)| rank < *r)
        {
            *best = Some((rank, printable(&path.to_string())));
        }
    };
    for path in paths {
        let directory = path.as_path().parent();
        if PROGRAMS
            .iter()
            .any(|known| directory == Some(known.as_ref()))
        {
            better(&mut shell, &SHELLS, path);
            better(&mut manager, &PACKAGE_MANAGERS, path);
        }
    }
    (shell.map(|(_, path)| path), manager.map(|(_, path)| path))
}
