//! The system calls that name files, and where in their arguments the names are (`syscalls(2)`).

use nix::libc;

/// A system call that takes part in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// Its number on this machine.
    pub(super) number: i64,
    /// Its name.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) act: Act,
}

/// What a call does with the files that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Opens; the argument of this number holds the flags.
    Open(Name, usize),
    /// Opens; the argument of this number points to a `struct open_how`, which begins with them.
    OpenHow(Name, usize),
    /// Executes.
    Execute(Name),
    /// Creates, empties or changes what is at this name.
    Change(Name),
    /// Removes it.
    Remove(Name),
    /// Takes away what is at the first name and puts it at the second.
    Rename(Name, Name),
    /// Makes a name the working directory.
    Enter(Name),
    /// Sets up a queue through which files can be opened without a call.
    Queue,
    /// Only asks about what is at the name: of interest when it fails.
    Look(Name),
    /// Gives a socket the address that the argument of this number points to, of the length in
    /// the next one.
    Bind(usize),
}

/// Where a call names a file: the argument with the directory, if there is one, and the one
/// with the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) directory: Option<usize>,
    pub(super) path: usize,
}

/// A path that is relative to the working directory.
const fn at(path: usize) -> Name {
    Name {
        directory: None,
        path,
    }
}

/// A path that is relative to a directory's descriptor.
const fn below(directory: usize, path: usize) -> Name {
    Name {
        directory: Some(directory),
        path,
    }
}

const fn call(number: libc::c_long, name: &'static str, act: Act) -> Call {
    // The number is an i64 on the 64-bit machines that this is for, and smaller elsewhere.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    Call {
        number: number as i64,
        name,
        act,
    }
}

/// What a traced run stops at.
pub(super) const OPENING: &[Call] = &[
    call(libc::SYS_openat, "openat", Act::Open(below(0, 1), 2)),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_open, "open", Act::Open(at(0), 1)),
    call(libc::SYS_openat2, "openat2", Act::OpenHow(below(0, 1), 2)),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_creat, "creat", Act::Change(at(0))),
    call(libc::SYS_execve, "execve", Act::Execute(at(0))),
    call(libc::SYS_execveat, "execveat", Act::Execute(below(0, 1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_rename, "rename", Act::Rename(at(0), at(1))),
    #[cfg(not(target_arch = "riscv64"))]
    call(
        libc::SYS_renameat,
        "renameat",
        Act::Rename(below(0, 1), below(2, 3)),
    ),
    call(
        libc::SYS_renameat2,
        "renameat2",
        Act::Rename(below(0, 1), below(2, 3)),
    ),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_link, "link", Act::Change(at(1))),
    call(libc::SYS_linkat, "linkat", Act::Change(below(2, 3))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_symlink, "symlink", Act::Change(at(1))),
    call(libc::SYS_symlinkat, "symlinkat", Act::Change(below(1, 2))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_unlink, "unlink", Act::Remove(at(0))),
    call(libc::SYS_unlinkat, "unlinkat", Act::Remove(below(0, 1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_rmdir, "rmdir", Act::Remove(at(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_mkdir, "mkdir", Act::Change(at(0))),
    call(libc::SYS_mkdirat, "mkdirat", Act::Change(below(0, 1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_mknod, "mknod", Act::Change(at(0))),
    call(libc::SYS_mknodat, "mknodat", Act::Change(below(0, 1))),
    call(libc::SYS_truncate, "truncate", Act::Change(at(0))),
    call(libc::SYS_chdir, "chdir", Act::Enter(at(0))),
    call(libc::SYS_io_uring_setup, "io_uring_setup", Act::Queue),
];

/// What a watch for failures stops at beside them.
pub(super) const LOOKING: &[Call] = &[
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_stat, "stat", Act::Look(at(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_lstat, "lstat", Act::Look(at(0))),
    call(libc::SYS_newfstatat, "newfstatat", Act::Look(below(0, 1))),
    call(libc::SYS_statx, "statx", Act::Look(below(0, 1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_access, "access", Act::Look(at(0))),
    call(libc::SYS_faccessat, "faccessat", Act::Look(below(0, 1))),
    call(libc::SYS_faccessat2, "faccessat2", Act::Look(below(0, 1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_readlink, "readlink", Act::Look(at(0))),
    call(libc::SYS_readlinkat, "readlinkat", Act::Look(below(0, 1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_chmod, "chmod", Act::Change(at(0))),
    call(libc::SYS_fchmodat, "fchmodat", Act::Change(below(0, 1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_chown, "chown", Act::Change(at(0))),
    call(libc::SYS_fchownat, "fchownat", Act::Change(below(0, 1))),
    call(libc::SYS_bind, "bind", Act::Bind(1)),
];

/// The call of this number.
pub(super) fn find(number: i64) -> Option<&'static Call> {
    OPENING
        .iter()
        .chain(LOOKING)
        .find(|call| call.number == number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_call_is_listed_twice_and_each_is_found_by_its_number() {
        let all: Vec<&Call> = OPENING.iter().chain(LOOKING).collect();
        let numbers: BTreeSet<i64> = all.iter().map(|call| call.number).collect();
        assert_eq!(numbers.len(), all.len());
        for call in all {
            assert_eq!(find(call.number).unwrap(), call);
        }
        assert_eq!(find(libc::SYS_read), None);
    }
}
