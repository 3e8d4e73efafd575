//! `/etc/ld.so.cache` and the links by soname, as ldconfig(8) makes them (glibc's
//! `elf/ldconfig.c`, `search_dir`).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{ArrangeError, Tree};
use crate::ImagePath;
use crate::debian::Architecture;
use crate::elf::cache::{Cache, CacheEntry, abi_flags, compare_sonames, conf_directories};
use crate::elf::{Object, ObjectKind};
use crate::rootfs::{Entry, EntryKind, Origin, Rootfs};
use crate::sysroot::{Assembled, Sysroot};

const CACHE: &str = "/etc/ld.so.cache";
const CONF: &str = "/etc/ld.so.conf";
const CONF_DIRECTORY: &str = "/etc/ld.so.conf.d";
const HWCAPS: &str = "glibc-hwcaps";
const LIBC: &str = "libc.so.6";

/// Adds the cache, where there is a glibc that reads it.
pub(super) fn add(tree: &mut Tree, architecture: Architecture) -> Result<(), ArrangeError> {
    let mut entries = Vec::new();
    let mut links = Vec::new();
    {
        let scan = Scan {
            rootfs: &tree.0,
            sysroot: Assembled(&tree.0),
        };
        let directories = scan.directories(architecture);
        let has_libc = |directory: &PathBuf| tree.0.follow(&directory.join(LIBC)).is_some();
        if !directories.iter().any(has_libc) {
            return Ok(());
        }
        for directory in &directories {
            scan.directory(directory, None, &mut entries, &mut links);
            let hwcaps = directory.join(HWCAPS);
            for name in scan.sysroot.read_dir(&hwcaps).unwrap_or_default() {
                scan.directory(&hwcaps.join(&name), Some(&name), &mut entries, &mut links);
            }
        }
    }
    for (link, target) in links {
        tree.add(&link, Entry::symlink(target, Origin::Base))?;
    }
    tree.add_file(CACHE, Cache::write(&entries))
}

struct Scan<'a> {
    rootfs: &'a Rootfs,
    sysroot: Assembled<'a>,
}

/// A file that stands for a soname in one directory.
struct Library {
    name: OsString,
    is_link: bool,
    flags: u32,
}

impl Scan<'_> {
    /// The directories that are scanned, as the conf files spell them, each once.
    fn directories(&self, architecture: Architecture) -> Vec<PathBuf> {
        let mut listed = if self.sysroot.is_file(Path::new(CONF)) {
            conf_directories(&self.sysroot, Path::new(CONF))
        } else {
            // It comes with ldconfig and says only that these are included.
            let names = self
                .sysroot
                .read_dir(Path::new(CONF_DIRECTORY))
                .unwrap_or_default();
            let confs = names
                .iter()
                .filter(|name| name.as_bytes().ends_with(b".conf"));
            confs
                .flat_map(|name| {
                    conf_directories(&self.sysroot, &Path::new(CONF_DIRECTORY).join(name))
                })
                .collect()
        };
        // Those built in: the loader of Debian looks there without a cache, too.
        for parent in ["/lib", "/usr/lib"] {
            listed.push(Path::new(parent).join(architecture.triplet()));
        }
        listed.extend(["/lib", "/usr/lib"].map(PathBuf::from));
        let mut seen = BTreeSet::new();
        listed.retain(|directory| {
            self.rootfs
                .follow(directory)
                .is_some_and(|real| seen.insert(real))
        });
        listed
    }

    fn directory(
        &self,
        directory: &Path,
        hwcap: Option<&OsStr>,
        entries: &mut Vec<CacheEntry>,
        links: &mut Vec<(ImagePath, PathBuf)>,
    ) {
        let Some(real) = self.rootfs.follow(directory) else {
            return;
        };
        let mut found: BTreeMap<OsString, Library> = BTreeMap::new();
        for name in self.sysroot.read_dir(directory).unwrap_or_default() {
            if let Some((soname, library)) = self.library(&real, name) {
                match found.get(&soname) {
                    Some(known) if !library.is_better_than(known) => {}
                    _ => {
                        found.insert(soname, library);
                    }
                }
            }
        }
        for (soname, library) in found {
            let is_missing = !library.is_link && library.name != soname;
            if hwcap.is_none()
                && is_missing
                && let Ok(link) = real.join(&soname)
            {
                links.push((link, PathBuf::from(&library.name)));
            }
            // By the soname, which outlives the file's own name; below glibc-hwcaps by that.
            let name = if hwcap.is_none() {
                &soname
            } else {
                &library.name
            };
            entries.push(CacheEntry {
                path: directory.join(name).as_os_str().as_bytes().to_vec(),
                soname: soname.as_bytes().to_vec(),
                flags: library.flags,
                hwcap: hwcap.map(|name| name.as_bytes().to_vec()),
            });
        }
    }

    /// The soname that the file `name` stands for, if it is a library.
    fn library(&self, directory: &ImagePath, name: OsString) -> Option<(OsString, Library)> {
        if !is_library_name(name.as_bytes()) {
            return None;
        }
        let path = directory.join(&name).ok()?;
        let kind = &self.rootfs.get(&path)?.kind;
        let mut is_link = matches!(kind, EntryKind::Symlink(_));
        let object = Object::read(&self.sysroot.open(path.as_path()).ok()?).ok()?;
        let is_shared = matches!(object.kind, ObjectKind::Library | ObjectKind::Dynamic);
        if !is_shared || object.executable {
            return None;
        }
        let flags = abi_flags(&object.machine)?;
        let mut soname = object.soname.unwrap_or_else(|| name.clone());
        // It would lead out of the directory, and no loader looks such a name up.
        if soname.as_bytes().contains(&b'/') || matches!(soname.as_bytes(), b"" | b"." | b"..") {
            return None;
        }
        if is_link {
            let real = self.rootfs.follow(path.as_path())?;
            let real = real.file_name().unwrap_or_default();
            // A link to what is neither named as its soname nor the link for the linker is
            // treated as a file of its own.
            let is_for_linker =
                real.as_bytes().ends_with(b".so") && soname.as_bytes().starts_with(real.as_bytes());
            is_link = real == soname || is_for_linker;
        }
        if is_link {
            soname.clone_from(&name);
        }
        Some((
            soname,
            Library {
                name,
                is_link,
                flags,
            },
        ))
    }
}

impl Library {
    /// A file is better than a link, and of two the one with the higher version in its name.
    fn is_better_than(&self, other: &Self) -> bool {
        match (self.is_link, other.is_link) {
            (false, true) => true,
            (true, false) => false,
            _ => compare_sonames(other.name.as_bytes(), self.name.as_bytes()).is_lt(),
        }
    }
}

/// `_dl_is_dso` of glibc, without what gdb puts beside libraries.
fn is_library_name(name: &[u8]) -> bool {
    let is_named_so = name.starts_with(b"lib") || name.starts_with(b"ld-");
    is_named_so
        && name.windows(3).any(|window| window == b".so")
        && !name.ends_with(b"-gdb.py")
        && !name.ends_with(b".dpkg-new")
        && !name.ends_with(b".dpkg-tmp")
}
