//! Which of the files that an app opened belong to it.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::seen::{Seen, State};
use super::{Access, Profile, ProfileFile, secret};

/// Trees that no image holds.
const SYSTEM: &[&str] = &["/proc", "/sys", "/dev"];
/// What the running system keeps for itself.
const RUNNING: &[&str] = &["/run", "/var/run"];
/// What goes away by itself.
const TEMPORARY: &[&str] = &["/tmp", "/var/tmp", "/var/cache"];
/// What the loader made for this machine.
const LOADER: &[&str] = &["/etc/ld.so.cache", "/etc/ld.so.preload"];
/// What the base makes, or the container's runtime.
const OF_BASE: &[&str] = &[
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/etc/mtab",
    "/etc/machine-id",
];
/// What a user's shells and prompts remember.
const HISTORIES: &[&str] = &[
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".lesshst",
    ".history",
];

/// What belongs to nobody's image, beside what every machine has.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// Directories whose files are never taken.
    pub(super) ignore: Vec<PathBuf>,
    /// Directories of caches.
    pub(super) caches: Vec<PathBuf>,
    /// The directory of the app's program.
    pub(super) program: Option<PathBuf>,
}

impl Bounds {
    /// With the caches that the environment names.
    pub(super) fn new(ignore: &[PathBuf], program: &Path) -> Self {
        let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
        let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let caches = home.into_iter().chain(named);
        Self {
            ignore: ignore.iter().map(|path| real(path)).collect(),
            caches: caches.filter(|path| path.is_absolute()).collect(),
            program: real(program).parent().map(Path::to_path_buf),
        }
    }
}

/// What was left of the files of a run, and what was left out and why.
pub(super) fn sift(seen: &Seen, bounds: &Bounds) -> (Profile, Vec<(PathBuf, &'static str)>) {
    let sieve = Sieve {
        seen,
        bounds,
        written: written(seen),
    };
    let mut files = Vec::new();
    let mut left_out = Vec::new();
    for (name, access) in seen.files() {
        match sieve.judge(name, access) {
            Verdict::Take(access) => files.push(ProfileFile {
                path: name.to_path_buf(),
                access,
            }),
            Verdict::Leave(reason) => left_out.push((name.to_path_buf(), reason)),
            Verdict::Forget => {}
        }
    }
    (Profile { files }, left_out)
}

/// The files that were changed and are there: by device and inode, whatever their names.
fn written(seen: &Seen) -> BTreeSet<(u64, u64)> {
    seen.touched()
        .iter()
        .filter_map(|(path, before)| {
            let now = State::of(path)?;
            // Who makes a link does not write what it leads to.
            let is_other_file = before.is_none_or(|before| before.file != now.file);
            if is_other_file && path.is_symlink() {
                return None;
            }
            (Some(now) != *before).then_some(now.file)
        })
        .collect()
}

enum Verdict {
    Take(Access),
    Leave(&'static str),
    /// It does not matter to anybody.
    Forget,
}

struct Sieve<'a> {
    seen: &'a Seen,
    bounds: &'a Bounds,
    written: BTreeSet<(u64, u64)>,
}

impl Sieve<'_> {
    fn judge(&self, name: &Path, access: Access) -> Verdict {
        let path = self.seen.start().join(name);
        if is_below(&path, SYSTEM) {
            return Verdict::Leave("it is a part of the running system");
        }
        let Ok(facts) = std::fs::metadata(&path) else {
            return match self.is_made(&path) {
                true => Verdict::Forget,
                false => Verdict::Leave("it was gone when the app had ended"),
            };
        };
        if !facts.is_file() && !facts.is_dir() {
            return Verdict::Leave("it is a socket, a pipe or a device");
        }
        // What names alone do not tell, links may.
        let real = real(&path);
        let reason = self
            .of_app(&path, &facts)
            .or_else(|| self.of_machine(&path))
            .or_else(|| self.of_machine(&real));
        match reason {
            Some(reason) => Verdict::Leave(reason),
            None if name.to_str().is_none() => {
                Verdict::Leave("its name is not UTF-8; add it with --include")
            }
            None if facts.is_dir() && real == Path::new("/") => Verdict::Forget,
            None if facts.is_dir() => Verdict::Take(Access::List),
            None => Verdict::Take(access),
        }
    }

    /// Why a file is the app's own work.
    fn of_app(&self, path: &Path, facts: &Metadata) -> Option<&'static str> {
        use std::os::unix::fs::MetadataExt;
        let is_written = facts.is_file() && self.written.contains(&(facts.dev(), facts.ino()));
        (is_written || self.is_made(path)).then_some("the app wrote it")
    }

    /// Whether it, or a directory that holds it, was not there before the run.
    fn is_made(&self, path: &Path) -> bool {
        let touched = self.seen.touched();
        path.ancestors().any(|path| match touched.get(path) {
            Some(before) => before.is_none() || State::of(path).is_none(),
            None => false,
        })
    }

    /// Why a file belongs to this machine or its user.
    fn of_machine(&self, path: &Path) -> Option<&'static str> {
        if is_below(path, SYSTEM) {
            return Some("it is a part of the running system");
        }
        if let Some(reason) = secret::reason(path) {
            return Some(reason);
        }
        if is_below(path, LOADER) {
            return Some("the loader made it for this machine");
        }
        if is_below(path, OF_BASE) {
            return Some("the base or the container's runtime makes its own");
        }
        if is_below(path, RUNNING) {
            return Some("it is state of this machine");
        }
        if path
            .file_name()
            .is_some_and(|name| HISTORIES.iter().any(|known| name == *known))
        {
            return Some("it remembers what a user typed");
        }
        if self.is_ignored(path) {
            return Some("it is no part of the app");
        }
        self.is_temporary(path)
            .then_some("it is in a cache, or in a directory for temporary files")
    }

    fn is_ignored(&self, path: &Path) -> bool {
        self.bounds
            .ignore
            .iter()
            .any(|directory| path.starts_with(directory))
    }

    /// Not so where the app itself is in such a directory.
    fn is_temporary(&self, path: &Path) -> bool {
        let homes: Vec<&Path> = [Some(self.seen.start()), self.bounds.program.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        TEMPORARY
            .iter()
            .map(Path::new)
            .chain(self.bounds.caches.iter().map(PathBuf::as_path))
            .filter(|cache| path.starts_with(cache))
            .any(|cache| {
                let is_of_app = |home: &&Path| {
                    path.starts_with(home) && home.starts_with(cache) && **home != *cache
                };
                !homes.iter().any(is_of_app)
            })
    }
}

fn is_below(path: &Path, known: &[&str]) -> bool {
    known.iter().any(|known| path.starts_with(known))
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}
