//! Native libraries in jars, which their packages unpack when they run: netty, sqlite-jdbc,
//! snappy and others.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::elf::{Machine, Object, Root};
use crate::sysroot::{OpenFile, Sysroot};

/// The libraries that were found.
#[derive(Debug, Default)]
pub(super) struct Natives {
    found: Vec<Native>,
}

#[derive(Debug)]
struct Native {
    shown: PathBuf,
    object: Object,
}

/// What they need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Libraries of the system, by name.
    pub(super) roots: Vec<Root>,
    /// What the user should know.
    pub(super) notices: Vec<String>,
}

/// Whether an entry of a jar is named like a shared library: `libx.so`, `libx.so.1`.
pub(super) fn is_library_name(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    match name.rsplit_once(".so") {
        Some((before, "")) => !before.is_empty(),
        Some((_, version)) => version
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.'),
        None => false,
    }
}

impl Natives {
    /// Takes note of the entry `name` of an archive, if it is an ELF object.
    pub(super) fn add(&mut self, archive: &Path, name: &str, bytes: Vec<u8>) {
        let file = OpenFile::from_memory(bytes.into(), 0o644, self.found.len() as u64);
        if let Ok(object) = Object::read(&file) {
            let shown = PathBuf::from(format!("{}!/{name}", archive.display()));
            self.found.push(Native { shown, object });
        }
    }

    /// What those of them need that a process of `java` can load. `provided` tells whether the
    /// runtime itself brings a library of this name.
    pub(super) fn needs(
        &self,
        sysroot: &dyn Sysroot,
        java: &Object,
        provided: impl Fn(&OsString) -> bool,
    ) -> Needs {
        let own: BTreeSet<&OsString> = self
            .found
            .iter()
            .filter_map(|native| native.object.soname.as_ref())
            .collect();
        let directories = library_directories(sysroot);
        let mut needs = Needs::default();
        let mut asked = BTreeSet::new();
        let mut unpacked = Vec::new();
        for native in self.found.iter().filter(|native| runs_in(native, java)) {
            let outside: Vec<&OsString> = native
                .object
                .needed
                .iter()
                .filter(|name| {
                    !own.contains(name) && !java.needed.contains(name) && !provided(name)
                })
                .collect();
            let is_missing = |name: &&&OsString| !exists(sysroot, &directories, name, java.machine);
            let missing: Vec<&OsString> = outside.iter().filter(is_missing).copied().collect();
            unpacked.push(native.shown.display().to_string());
            for name in &missing {
                needs.notices.push(format!(
                    "{} needs {}, which is not on this machine: install it, or what uses the \
                     library fails in the image",
                    native.shown.display(),
                    name.display()
                ));
            }
            asked.extend(outside.into_iter().filter(|name| !missing.contains(name)));
        }
        needs.roots = asked
            .into_iter()
            .map(|name| Root::Dlopen { name: name.clone() })
            .collect();
        if let Some((first, rest)) = unpacked.split_first() {
            let more = match rest.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            needs.notices.push(format!(
                "{first}{more} is unpacked to the directory for temporary files when the app runs: \
                 with a read-only root, mount a tmpfs without noexec at /tmp"
            ));
        }
        needs
    }
}

/// `EI_OSABI` of objects for Linux: System V, and GNU where its extensions are used.
const LINUX: [u8; 2] = [0, 3];

/// Whether it is for the machine, the system and the C library of `java`: packages bring one for
/// each.
fn runs_in(native: &Native, java: &Object) -> bool {
    let mut needed = native.object.needed.iter();
    native.object.machine == java.machine
        && LINUX.contains(&native.object.os_abi)
        && needed.all(|name| !name.as_bytes().starts_with(b"libc.") || java.needed.contains(name))
}

/// Where a loader looks on its own, those of multiarch systems too.
fn library_directories(sysroot: &dyn Sysroot) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> =
        ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"]
            .map(PathBuf::from)
            .into();
    for top in ["/lib", "/usr/lib"] {
        let names = sysroot.read_dir(Path::new(top)).unwrap_or_default();
        let multiarch = names.iter().filter(|name| {
            name.to_str()
                .is_some_and(|name| name.contains("-linux-gnu"))
        });
        directories.extend(multiarch.map(|name| Path::new(top).join(name)));
    }
    directories
}

fn exists(
    sysroot: &dyn Sysroot,
    directories: &[PathBuf],
    name: &OsString,
    machine: Machine,
) -> bool {
    directories.iter().any(|directory| {
        sysroot
            .open(&directory.join(name))
            .ok()
            .and_then(|file| Object::read(&file).ok())
            .is_some_and(|object| object.machine == machine)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_has_so_at_the_end_or_before_its_version() {
        for (name, expected) in [
            ("org/sqlite/native/Linux/x86_64/libsqlitejdbc.so", true),
            ("META-INF/native/libnetty_tcnative_linux_x86_64.so", true),
            ("x/libfoo.so.1.2", true),
            ("x/libfoo.so.txt", false),
            ("x/.so", false),
            ("a/B.class", false),
        ] {
            assert_eq!(is_library_name(name), expected, "{name}");
        }
    }
}
