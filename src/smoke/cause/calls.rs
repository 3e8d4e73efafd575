//! Reading system calls that failed.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use super::{Cause, FailedCall};

/// What programs look for and do without: settings, caches, translations and other places to
/// search. Parts of a path.
const USUAL: [&str; 23] = [
    "/etc/ld.so.",
    "/glibc-hwcaps/",
    "/locale/",
    "/gconv/",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/machine-id",
    "/nscd/",
    "/zoneinfo/",
    "/terminfo/",
    "/__pycache__/",
    "/pyvenv.cfg",
    "/pybuilddir.txt",
    "/Modules/Setup.local",
    "/openssl.cnf",
    "/dev/tty",
    "/proc/",
    "/sys/",
    "/.terminfo",
    "/selinux",
    "/var/run/nscd",
];

/// Ends of names for which a program looks in many places.
const USUAL_ENDS: [&str; 8] = [
    ".pyc",
    ".pth",
    "._pth",
    "/package.json",
    "sitecustomize",
    "usercustomize",
    ".hotspotrc",
    ".hotspot_compiler",
];

/// Directories for some CPUs alone, in which older loaders look for every library.
const LOADER_DIRECTORIES: [&str; 8] = [
    "x86_64", "tls", "haswell", "xeon_phi", "avx512_1", "aarch64", "atomics", "i686",
];

/// Calls that need what they name; others often only look whether it is there.
const NEEDING: [&str; 12] = [
    "open", "openat", "openat2", "execve", "execveat", "bind", "mkdir", "mkdirat", "creat",
    "chdir", "connect", "rename",
];

/// The last call that needed what it named, or else the last that looked for it.
pub(super) fn find(calls: &[FailedCall]) -> Option<Cause> {
    let told = || calls.iter().rev().filter(|call| !is_usual(call));
    told()
        .find(|call| NEEDING.contains(&&*call.call) || call.writes)
        .or_else(|| told().next())
        .map(cause)
}

fn is_usual(call: &FailedCall) -> bool {
    let path = call.path.as_path().to_string_lossy();
    let is_search =
        matches!(Errno::from_raw(call.errno), Errno::ENOENT | Errno::ENOTDIR) && !call.writes;
    // `<string>`, `<frozen os>`: sources that tracebacks of Python look for and do not show.
    let is_no_file = (call.path.as_path().file_name())
        .is_some_and(|name| name.as_bytes().starts_with(b"<") && name.as_bytes().ends_with(b">"));
    // An import that fails says so itself; one that does not has looked in many places.
    let is_import = [".cpython-", ".abi3.so"]
        .iter()
        .any(|part| path.contains(part))
        || path.contains("/lib/python")
            && [".so", ".py", ".zip", "-packages"]
                .iter()
                .any(|end| path.ends_with(end));
    let is_directory_of_loader = (call.path.as_path().file_name())
        .is_some_and(|name| LOADER_DIRECTORIES.iter().any(|known| name == *known));
    is_search
        && (is_directory_of_loader
            || is_no_file
            || is_import
            || USUAL.iter().any(|part| path.contains(part))
            || USUAL_ENDS.iter().any(|end| path.ends_with(end)))
}

fn cause(call: &FailedCall) -> Cause {
    let path = call.path.to_path();
    match Errno::from_raw(call.errno) {
        Errno::EROFS => Cause::ReadOnly(path),
        Errno::EACCES | Errno::EPERM if call.call == "bind" && !path.is_absolute() => {
            Cause::Port(port(&path))
        }
        Errno::EACCES | Errno::EPERM if call.writes => Cause::ReadOnly(path),
        Errno::EACCES | Errno::EPERM => Cause::Denied(path),
        _ if call.writes => Cause::ReadOnly(path),
        _ => match library(&path) {
            Some(name) => Cause::Library {
                name,
                needed_by: None,
            },
            None => Cause::File(path),
        },
    }
}

/// The name of a shared library, when the path is one's: `libz.so`, `libz.so.1.2`.
fn library(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (stem, version) = name.split_once(".so")?;
    let is_library = stem.starts_with("lib")
        && version
            .chars()
            .all(|c| c == '.' || c.is_ascii_alphanumeric())
        && (version.is_empty() || version.starts_with('.'));
    is_library.then(|| name.to_owned())
}

/// The port of an address such as `0.0.0.0:80`.
fn port(address: &Path) -> Option<u16> {
    let (_, port) = address.to_str()?.rsplit_once(':')?;
    port.parse().ok()
}
