//! Programs that a base must not have: with none of them, who breaks into a container finds
//! nothing to work with.

use std::ffi::OsStr;

use crate::ImagePath;
use crate::rootfs::{EntryKind, Rootfs};

const SHELL: &str = "a shell";
const MANAGER: &str = "a package manager";
const COREUTILS: &str = "a program of coreutils";

const SHELLS: &[&str] = &[
    "ash",
    "bash",
    "busybox",
    "csh",
    "dash",
    "elvish",
    "fish",
    "hush",
    "ksh",
    "ksh93",
    "mksh",
    "nu",
    "posh",
    "rbash",
    "rc",
    "sash",
    "sh",
    "static-sh",
    "tcsh",
    "toybox",
    "xonsh",
    "yash",
    "zsh",
];
const MANAGERS: &[&str] = &[
    "apk", "apt", "aptitude", "dnf", "dpkg", "dselect", "microdnf", "nix", "opkg", "pacman", "rpm",
    "snap", "synaptic", "tdnf", "yum", "zypper",
];
/// They have further programs that begin so: `apt-get`, `dpkg-deb`.
const MANAGERS_BEGIN: &[&str] = &["apt-", "dpkg-", "rpm2", "yum-", "dnf-"];
/// All of coreutils 9.5, and of no other package.
const COREUTILS_PROGRAMS: &[&str] = &[
    "[",
    "arch",
    "b2sum",
    "base32",
    "base64",
    "basename",
    "basenc",
    "cat",
    "chcon",
    "chgrp",
    "chmod",
    "chown",
    "chroot",
    "cksum",
    "comm",
    "coreutils",
    "cp",
    "csplit",
    "cut",
    "date",
    "dd",
    "df",
    "dir",
    "dircolors",
    "dirname",
    "du",
    "echo",
    "env",
    "expand",
    "expr",
    "factor",
    "false",
    "fmt",
    "fold",
    "groups",
    "head",
    "hostid",
    "id",
    "install",
    "join",
    "link",
    "ln",
    "logname",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "mv",
    "nice",
    "nl",
    "nohup",
    "nproc",
    "numfmt",
    "od",
    "paste",
    "pathchk",
    "pinky",
    "pr",
    "printenv",
    "printf",
    "ptx",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "runcon",
    "seq",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
    "shred",
    "shuf",
    "sleep",
    "sort",
    "split",
    "stat",
    "stdbuf",
    "stty",
    "sum",
    "sync",
    "tac",
    "tail",
    "tee",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "truncate",
    "tsort",
    "tty",
    "uname",
    "unexpand",
    "uniq",
    "unlink",
    "users",
    "vdir",
    "wc",
    "who",
    "whoami",
    "yes",
];

/// What is in the tree and must not be, each with what it is, sorted by path: shells, package
/// managers and the programs of coreutils, in directories of programs (`bin`, `sbin`) by their
/// name and by the name of what they link to, and shells anywhere as executable files.
pub fn forbidden(rootfs: &Rootfs) -> Vec<(ImagePath, &'static str)> {
    let mut found = Vec::new();
    for (path, entry) in rootfs.iter() {
        if entry.kind == EntryKind::Directory {
            continue;
        }
        let name = path.file_name().unwrap_or_default();
        let is_in_bin = path
            .parent()
            .and_then(|parent| Some(matches!(parent.file_name()?.to_str()?, "bin" | "sbin")))
            .unwrap_or(false);
        let led = match &entry.kind {
            EntryKind::Symlink(target) => {
                let real = rootfs.follow(path.as_path());
                let real = real.as_ref().and_then(ImagePath::file_name);
                // A link that leads nowhere tells by what it says.
                real.or(target.file_name()).map(OsStr::to_os_string)
            }
            _ => None,
        };
        let is_executable = match entry.kind {
            EntryKind::Symlink(_) => false,
            _ => entry.mode & 0o111 != 0,
        };
        let what = if is_in_bin {
            kind(name).or_else(|| led.as_deref().and_then(kind))
        } else if is_executable {
            kind(name).filter(|kind| *kind == SHELL)
        } else {
            None
        };
        if let Some(what) = what {
            found.push((path.clone(), what));
        }
    }
    found
}

fn kind(name: &OsStr) -> Option<&'static str> {
    let name = name.to_str()?;
    if SHELLS.contains(&name) {
        return Some(SHELL);
    }
    if MANAGERS.contains(&name) || MANAGERS_BEGIN.iter().any(|begin| name.starts_with(begin)) {
        return Some(MANAGER);
    }
    COREUTILS_PROGRAMS.contains(&name).then_some(COREUTILS)
}
