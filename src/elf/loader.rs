//! What a dynamic loader is and where it looks, read from its own binary.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::literals::find;
use super::{Flavour, Machine, Object};

/// `SHLIB_COMPAT` aside: the last release with the subdirectories `tls`, `haswell`... (2.37 dropped them).
const LAST_WITH_LEGACY_SUBDIRECTORIES: u32 = 36;
/// musl's list when there is no `ld-musl-ARCH.path`.
const MUSL_DEFAULT: &[u8] = b"/lib:/usr/local/lib:/usr/lib";

/// What the rules need to know of the loader of a process.
#[derive(Debug, Clone)]
pub(super) struct Interpreter {
    /// `PT_INTERP`, as the program spells it.
    pub(super) path: PathBuf,
    pub(super) flavour: Flavour,
    pub(super) machine: Machine,
    /// Built-in directories with a trailing slash (glibc), or the default list (musl).
    pub(super) directories: Vec<PathBuf>,
    pub(super) cache: Option<PathBuf>,
    pub(super) path_file: Option<PathBuf>,
    /// Whether `directories` are those of the path file.
    pub(super) from_path_file: bool,
    /// What `$LIB` stands for.
    pub(super) lib: Vec<u8>,
    /// Searches `glibc-hwcaps` subdirectories (2.33 and later).
    pub(super) hwcaps: bool,
    /// Searches the subdirectories of before 2.37.
    pub(super) legacy: bool,
}

impl Interpreter {
    /// The facts of the loader with these read-only data, opened by the kernel as `path`.
    pub(super) fn read(path: &Path, object: &Object, data: &[u8]) -> Self {
        let flavour = flavour(object, data);
        match flavour {
            Flavour::Musl => Self::musl(path, object.machine, data),
            Flavour::Glibc | Flavour::Other => Self::glibc(path, object, data, flavour),
        }
    }

    /// What can be assumed of a loader that is not there: its name tells the libc, and its
    /// directories are the traditional ones.
    pub(super) fn assumed(path: &Path, machine: Machine) -> Self {
        let name = path.file_name().unwrap_or_default().as_bytes();
        if name.starts_with(b"ld-musl") {
            return Self::musl(path, machine, b"");
        }
        let glibc = is_glibc_name(name);
        Self {
            path: path.to_path_buf(),
            flavour: if glibc {
                Flavour::Glibc
            } else {
                Flavour::Other
            },
            machine,
            directories: ["/lib/", "/usr/lib/", "/lib64/", "/usr/lib64/"]
                .map(PathBuf::from)
                .to_vec(),
            cache: glibc.then(|| PathBuf::from("/etc/ld.so.cache")),
            path_file: None,
            from_path_file: false,
            lib: b"lib".to_vec(),
            hwcaps: glibc,
            legacy: false,
        }
    }

    fn glibc(path: &Path, object: &Object, data: &[u8], flavour: Flavour) -> Self {
        let directories = built_in_directories(data);
        let lib = lib_token(&directories, data);
        let (release, cache) = match flavour {
            Flavour::Glibc => (release(data), cache_path(data)),
            _ => (Some(u32::MAX), None),
        };
        Self {
            path: path.to_path_buf(),
            flavour,
            machine: object.machine,
            directories,
            cache,
            path_file: None,
            from_path_file: false,
            lib,
            hwcaps: find(data, b"glibc-hwcaps").is_some(),
            // Releases before 2.33 do not say which one they are.
            legacy: release.is_none_or(|minor| minor <= LAST_WITH_LEGACY_SUBDIRECTORIES),
        }
    }

    fn musl(path: &Path, machine: Machine, data: &[u8]) -> Self {
        let list = data
            .split(|byte| *byte == 0)
            .find(|piece| {
                piece.contains(&b':')
                    && piece
                        .split(|byte| *byte == b':')
                        .all(|element| element.starts_with(b"/") && element.ends_with(b"lib"))
            })
            .unwrap_or(MUSL_DEFAULT);
        // The format that the loader prints the path with: `%.*s/etc/ld-musl-x86_64.path`.
        let format = data
            .split(|byte| *byte == 0)
            .find_map(|piece| piece.strip_prefix(b"%.*s"))
            .filter(|rest| rest.starts_with(b"/etc/ld-musl-"));
        let name = path.file_name().unwrap_or_default().as_bytes();
        let arch = name
            .strip_prefix(b"ld-musl-")
            .and_then(|rest| rest.split(|byte| *byte == b'.').next());
        let suffix = match (format, arch) {
            (Some(format), _) => Some(format.to_vec()),
            (None, Some(arch)) => Some([b"/etc/ld-musl-", arch, b".path"].concat()),
            (None, None) => None,
        };
        Self {
            path: path.to_path_buf(),
            flavour: Flavour::Musl,
            machine,
            directories: super::search::musl_elements(list)
                .map(|element| PathBuf::from(OsStr::from_bytes(element)))
                .collect(),
            cache: None,
            path_file: suffix.map(|suffix| {
                let bytes = [musl_prefix(path.as_os_str().as_bytes()), &suffix].concat();
                PathBuf::from(OsStr::from_bytes(&bytes))
            }),
            from_path_file: false,
            lib: Vec::new(),
            hwcaps: false,
            legacy: false,
        }
    }
}

/// The path without its last two components, as musl's `load_library` cuts it.
fn musl_prefix(path: &[u8]) -> &[u8] {
    let mut slashes = (0..path.len())
        .rev()
        .filter(|at| path.get(*at) == Some(&b'/'));
    let last = slashes.next();
    let end = slashes.next().or(last).unwrap_or(0);
    path.get(..end).unwrap_or_default()
}

fn is_glibc_name(name: &[u8]) -> bool {
    [&b"ld-linux"[..], b"ld64.so", b"ld.so.1", b"ld-2."]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Decided by the content: on Alpine, `/lib64/ld-linux-x86-64.so.2` may be a link to musl.
fn flavour(object: &Object, data: &[u8]) -> Flavour {
    let soname = object.soname.as_deref().unwrap_or_default().as_bytes();
    let defines_glibc = object
        .version_definitions
        .iter()
        .any(|definition| definition.version.as_bytes().starts_with(b"GLIBC_"));
    if defines_glibc {
        Flavour::Glibc
    } else if find(data, b"musl libc").is_some() || find(data, b"/etc/ld-musl-").is_some() {
        Flavour::Musl
    } else if is_glibc_name(soname) {
        Flavour::Glibc
    } else {
        Flavour::Other
    }
}

/// `SYSTEM_DIRS`: the longest run of NUL-separated strings that begin and end with a slash.
fn built_in_directories(data: &[u8]) -> Vec<PathBuf> {
    let mut best: Vec<&[u8]> = Vec::new();
    let mut run: Vec<&[u8]> = Vec::new();
    for piece in data.split(|byte| *byte == 0) {
        let directory = piece.len() > 2
            && piece.starts_with(b"/")
            && piece.ends_with(b"/")
            && piece.iter().all(u8::is_ascii_graphic);
        if directory {
            run.push(piece);
        } else {
            if run.len() > best.len() {
                best = std::mem::take(&mut run);
            }
            run.clear();
        }
    }
    if run.len() > best.len() {
        best = run;
    }
    best.into_iter()
        .map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)))
        .collect()
}

/// `LD_SO_CACHE`.
fn cache_path(data: &[u8]) -> Option<PathBuf> {
    data.split(|byte| *byte == 0)
        .find(|piece| {
            piece.starts_with(b"/")
                && piece.ends_with(b".cache")
                && Path::new(OsStr::from_bytes(piece))
                    .file_name()
                    .is_some_and(|name| name.as_bytes().starts_with(b"ld"))
        })
        .map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)))
}

/// `DL_DST_LIB`: the name of the first built-in directory below `/` or `/usr`, or its last
/// component: whichever the loader holds as a string.
fn lib_token(directories: &[PathBuf], data: &[u8]) -> Vec<u8> {
    let candidates: Vec<Vec<u8>> = directories
        .iter()
        .flat_map(|directory| {
            let whole = directory.as_os_str().as_bytes();
            let whole = whole.strip_suffix(b"/").unwrap_or(whole);
            let below = whole
                .strip_prefix(b"/usr/")
                .or(whole.strip_prefix(b"/"))
                .unwrap_or(whole);
            let last = below.rsplit(|byte| *byte == b'/').next().unwrap_or(below);
            [below.to_vec(), last.to_vec()]
        })
        .collect();
    candidates
        .iter()
        .find(|candidate| {
            data.split(|byte| *byte == 0)
                .any(|piece| piece == candidate.as_slice())
        })
        .or(candidates.first())
        .cloned()
        .unwrap_or_else(|| b"lib".to_vec())
}

/// The minor number of the release, from `--version`'s text: `stable release version 2.36.`
fn release(data: &[u8]) -> Option<u32> {
    const TEXT: &[u8] = b"release version 2.";
    let at = find(data, TEXT)? + TEXT.len();
    let digits: Vec<u8> = data
        .get(at..)?
        .iter()
        .copied()
        .take(4)
        .take_while(u8::is_ascii_digit)
        .collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_are_the_longest_run_of_paths() {
        let data = b"x\0/var/tmp/\0\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\0y";
        assert_eq!(
            built_in_directories(data),
            [
                "/lib/x86_64-linux-gnu/",
                "/usr/lib/x86_64-linux-gnu/",
                "/lib/",
                "/usr/lib/"
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn a_single_directory_is_a_list_too() {
        assert_eq!(
            built_in_directories(b"a\0/usr/lib/\0"),
            [PathBuf::from("/usr/lib/")]
        );
    }

    #[test]
    fn lib_is_what_the_loader_holds_as_a_string() {
        let token = |directory: &str, data: &[u8]| {
            String::from_utf8(lib_token(&[PathBuf::from(directory)], data)).unwrap_or_default()
        };
        assert_eq!(
            token("/lib/x86_64-linux-gnu/", b"\0lib/x86_64-linux-gnu\0"),
            "lib/x86_64-linux-gnu"
        );
        assert_eq!(token("/lib64/", b"\0lib64\0"), "lib64");
        assert_eq!(token("/usr/lib/", b"\0lib\0"), "lib");
        assert_eq!(token("/nix/store/x-glibc-2.40/lib/", b"\0lib\0"), "lib");
    }

    #[test]
    fn the_release_is_read_from_the_version_text() {
        assert_eq!(
            release(b"ld.so (GNU libc) stable release version 2.36.\n"),
            Some(36)
        );
        assert_eq!(
            release(b"ld.so (GNU libc) development release version 2.41.9000.\n"),
            Some(41)
        );
        assert_eq!(release(b"nothing"), None);
    }

    #[test]
    fn the_prefix_of_musl_is_the_path_without_two_components() {
        assert_eq!(musl_prefix(b"/lib/ld-musl-x86_64.so.1"), b"");
        assert_eq!(musl_prefix(b"/opt/m/lib/ld-musl-x86_64.so.1"), b"/opt/m");
        assert_eq!(musl_prefix(b"/ld-musl-x86_64.so.1"), b"");
    }
}
