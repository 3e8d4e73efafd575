//! Directories that libraries are in.

use super::super::Architecture;

/// A directory for libraries of an architecture; those where the loader looks come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Directory {
    /// The loader looks there by itself: `usr/lib/x86_64-linux-gnu`, `usr/lib`.
    Loader,
    /// Below it: a file of `/etc/ld.so.conf.d`, an alternative or a run path has to lead there.
    Deeper,
}

impl Directory {
    /// What `path` is: relative to `/`, with a slash at its end. `None` where it is for another
    /// architecture, or for no library that a program would load.
    pub(super) fn of(path: &[u8], architecture: Architecture) -> Option<Self> {
        let path = std::str::from_utf8(path).ok()?;
        let path = path.strip_prefix("usr/").unwrap_or(path);
        let mut steps = path.strip_suffix('/')?.split('/');
        let top = steps.next()?;
        let wide = matches!(
            architecture,
            Architecture::Amd64
                | Architecture::Arm64
                | Architecture::Ppc64el
                | Architecture::Riscv64
                | Architecture::S390x
        );
        if top != "lib" && !(top == "lib64" && wide) {
            return None;
        }
        let mut directory = Self::Loader;
        for (depth, step) in steps.enumerate() {
            if depth == 0 && step == architecture.triplet() {
                continue;
            }
            if is_foreign(step, architecture) || (depth == 0 && step == "debug") {
                return None;
            }
            directory = Self::Deeper;
        }
        Some(directory)
    }
}

/// Whether a step of a path leads to libraries of another architecture: its triplet, or the
/// word width of one (`gcc/x86_64-linux-gnu/12/32`).
fn is_foreign(step: &str, architecture: Architecture) -> bool {
    let is_triplet =
        step.contains("-linux-") || step.ends_with("-gnu") || step.ends_with("-mingw32");
    (is_triplet && step != architecture.triplet())
        || matches!(step, "32" | "x32" | "64" | "n32" | "sf" | "hf")
}
