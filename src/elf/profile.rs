//! Kinds of CPU, of which each gets other files where a system has variants of libraries.
//!
//! The CPU that an image will run on is unknown, and that of the build is never looked at: a
//! process is resolved for the least CPU, and again for each kind of which variants exist.

use std::collections::{BTreeSet, HashSet};

use super::loader::Interpreter;
use super::{Class, Machine};

/// What of the CPU a loader's search depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    /// For people: `x86-64-v3`; empty for the least CPU.
    pub(super) name: String,
    /// Names of `glibc-hwcaps` subdirectories that the CPU has, best first.
    pub(super) hwcaps: Vec<&'static str>,
    /// Subdirectories that are searched before each directory itself, best first, with a
    /// trailing slash.
    pub(super) subdirectories: Vec<String>,
    /// `AT_PLATFORM`, what `$PLATFORM` stands for.
    pub(super) platform: Option<&'static str>,
}

/// The variants that stand in the directories that were searched, whatever library they are of.
#[derive(Debug, Default)]
pub(super) struct Variants {
    names: BTreeSet<String>,
    surveyed: HashSet<Vec<u8>>,
}

impl Variants {
    /// Notes the name of a variant: a level of `glibc-hwcaps`, a platform or a capability.
    pub(super) fn add(&mut self, name: &str) {
        if !self.names.contains(name) {
            self.names.insert(name.to_owned());
        }
    }

    /// Whether a directory has not been looked at before.
    pub(super) fn is_new(&mut self, directory: &[u8]) -> bool {
        !self.surveyed.contains(directory) && self.surveyed.insert(directory.to_vec())
    }

    fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

const EM_386: u16 = 3;
const EM_PPC64: u16 = 21;
const EM_S390: u16 = 22;
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const EM_LOONGARCH: u16 = 258;

/// Names below `glibc-hwcaps`, least first; a CPU that has one has those before it.
fn levels(machine: &Machine) -> &'static [&'static str] {
    match (machine.number, machine.class) {
        (EM_X86_64, Class::Elf64) => &["x86-64-v2", "x86-64-v3", "x86-64-v4"],
        (EM_PPC64, Class::Elf64) => &["power9", "power10"],
        (EM_S390, Class::Elf64) => &["z13", "z14", "z15", "z16"],
        _ => &[],
    }
}

/// `AT_PLATFORM` of the least CPU, and the `HWCAP_IMPORTANT` names that every CPU has.
fn least_platform(machine: &Machine) -> (Option<&'static str>, &'static [&'static str]) {
    match (machine.number, machine.class) {
        (EM_X86_64, Class::Elf64) => (Some("x86_64"), &["x86_64"]),
        (EM_386, _) => (Some("i686"), &["sse2"]),
        (EM_ARM, _) => (Some("v7l"), &[]),
        (EM_AARCH64, _) => (Some("aarch64"), &[]),
        (EM_PPC64, _) => (Some("power8"), &[]),
        (EM_LOONGARCH, _) => (Some("loongarch"), &[]),
        _ => (None, &[]),
    }
}

/// CPUs that a loader of before 2.37 tells apart: platform and important capabilities.
fn legacy_kinds(machine: &Machine) -> &'static [(&'static str, &'static [&'static str])] {
    match (machine.number, machine.class) {
        (EM_X86_64, Class::Elf64) => &[
            ("haswell", &["x86_64"]),
            ("haswell", &["avx512_1", "x86_64"]),
            ("xeon_phi", &["x86_64"]),
        ],
        (EM_AARCH64, _) => &[("aarch64", &["atomics"])],
        _ => &[],
    }
}

impl Profile {
    /// The least CPU that the machine's ABI allows.
    pub(super) fn least(loader: &Interpreter) -> Self {
        let (platform, important) = least_platform(&loader.machine);
        Self::new(String::new(), loader, Vec::new(), platform, important)
    }

    /// The kinds of CPU that get other files than the least one, given the names of variants
    /// that were seen in the searched directories. Better CPUs come last.
    pub(super) fn others(loader: &Interpreter, seen: &Variants) -> Vec<Self> {
        let levels = levels(&loader.machine);
        let (platform, important) = least_platform(&loader.machine);
        let mut kinds = vec![(platform, important)];
        if loader.legacy {
            kinds.extend(
                legacy_kinds(&loader.machine)
                    .iter()
                    .filter(|(platform, names)| {
                        seen.contains(platform) && least_platform(&loader.machine).0 != Some(platform)
                            || names.iter().any(|name| {
                                !important.contains(name) && seen.contains(name)
                            })
                            // Capabilities may stand below the platform's directory.
                            || *platform == "haswell" && seen.contains("haswell")
                    })
                    .map(|(platform, names)| (Some(*platform), *names)),
            );
        }
        let mut profiles = Vec::new();
        for (platform, important) in kinds {
            let known = std::iter::once(0).chain((1..=levels.len()).filter(|count| {
                levels
                    .get(count - 1)
                    .is_some_and(|level| seen.contains(level))
            }));
            for count in known {
                let hwcaps: Vec<&'static str> = levels.iter().take(count).rev().copied().collect();
                let mut name = hwcaps.first().copied().unwrap_or_default().to_owned();
                if platform != least_platform(&loader.machine).0 {
                    name = [name.as_str(), platform.unwrap_or_default()].join(" ");
                }
                let profile = Self::new(name, loader, hwcaps, platform, important);
                profiles.push(profile);
            }
        }
        let least = Self::least(loader);
        profiles.retain(|profile| *profile != least);
        profiles
    }

    fn new(
        name: String,
        loader: &Interpreter,
        hwcaps: Vec<&'static str>,
        platform: Option<&'static str>,
        important: &[&str],
    ) -> Self {
        let mut subdirectories: Vec<String> = Vec::new();
        if loader.hwcaps {
            subdirectories.extend(hwcaps.iter().map(|name| format!("glibc-hwcaps/{name}/")));
        }
        if loader.legacy {
            let parts: Vec<&str> = std::iter::once("tls")
                .chain(platform)
                .chain(important.iter().copied())
                .collect();
            subdirectories.extend(combinations(&parts));
        }
        Self {
            name: name.trim().to_owned(),
            hwcaps,
            subdirectories,
            platform,
        }
    }
}

/// Every combination of `parts` as a path, in the order of `_dl_important_hwcaps`: those with
/// the first part come first. The empty one is left out.
fn combinations(parts: &[&str]) -> Vec<String> {
    let count = 1_usize << parts.len().min(8);
    let mut all: Vec<String> = Vec::new();
    for mask in (1..count).rev() {
        let mut path = String::new();
        for (at, part) in parts.iter().take(8).enumerate() {
            if mask & (1 << (parts.len().min(8) - 1 - at)) != 0 {
                path.push_str(part);
                path.push('/');
            }
        }
        if !all.contains(&path) {
            all.push(path);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_subdirectories_come_in_the_order_of_glibc_2_36() {
        // As `LD_DEBUG=libs` prints them on Debian 12 (each once).
        assert_eq!(
            combinations(&["tls", "x86_64", "x86_64"]),
            [
                "tls/x86_64/x86_64/",
                "tls/x86_64/",
                "tls/",
                "x86_64/x86_64/",
                "x86_64/"
            ]
        );
        assert_eq!(
            combinations(&["tls", "haswell", "avx512_1", "x86_64"])[..4],
            [
                "tls/haswell/avx512_1/x86_64/",
                "tls/haswell/avx512_1/",
                "tls/haswell/x86_64/",
                "tls/haswell/"
            ]
        );
    }
}
