//! What a stopped thread means by a name: its memory, its descriptors, its working directory.

use std::ffi::{OsStr, OsString};
use std::io::IoSliceMut;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::calls::Name;
use super::registers::Entry;

/// `PATH_MAX`: the kernel takes no longer names.
const PATH_LIMIT: usize = 4096;
/// No page is smaller on the machines that this is for: what is read never crosses into one
/// that may be missing.
const PAGE: usize = 4096;

/// A name as a thread gave it to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The name itself; empty where the descriptor alone says which file is meant.
    pub(super) name: PathBuf,
    /// What it is relative to: `None` for an absolute name.
    pub(super) base: Option<Base>,
}

/// What a relative name starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Base {
    /// The working directory of the thread.
    WorkingDirectory(PathBuf),
    /// A directory that it has open.
    Open(PathBuf),
}

impl Named {
    /// The path from the root.
    pub(super) fn absolute(&self) -> PathBuf {
        match &self.base {
            None => self.name.clone(),
            Some(base) if self.name.as_os_str().is_empty() => base.path().to_path_buf(),
            Some(base) => base.path().join(&self.name),
        }
    }
}

impl Base {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::WorkingDirectory(path) | Self::Open(path) => path,
        }
    }
}

/// The name that a call gives; `None` when there is none, it cannot be read or does not lead
/// from a directory.
pub(super) fn name(thread: Pid, entry: &Entry, place: Name) -> Option<Named> {
    let name = PathBuf::from(OsString::from_vec(text(
        thread,
        *entry.arguments.get(place.path)?,
    )?));
    if name.is_absolute() {
        return Some(Named { name, base: None });
    }
    // The kernel looks at the low 32 bits of a descriptor.
    let descriptor = match place.directory {
        None => libc::AT_FDCWD,
        Some(argument) => low(*entry.arguments.get(argument)?),
    };
    let base = if descriptor == libc::AT_FDCWD {
        Base::WorkingDirectory(working_directory(thread)?)
    } else {
        Base::Open(descriptor_path(thread, descriptor)?)
    };
    Some(Named {
        name,
        base: Some(base),
    })
}

/// The argument as an `int`.
pub(super) fn low(argument: u64) -> i32 {
    #[allow(clippy::cast_possible_truncation)] // as the kernel does
    {
        argument as i32
    }
}

/// Where the thread is.
pub(super) fn working_directory(thread: Pid) -> Option<PathBuf> {
    link(&format!("/proc/{thread}/cwd"))
}

fn descriptor_path(thread: Pid, descriptor: i32) -> Option<PathBuf> {
    link(&format!("/proc/{thread}/fd/{descriptor}"))
}

/// What a link in /proc says, where it is a path and not something like `socket:[123]`.
fn link(path: &str) -> Option<PathBuf> {
    let target = rustix::fs::readlink(path, Vec::with_capacity(256)).ok()?;
    let target = Path::new(OsStr::from_bytes(target.to_bytes()));
    target.is_absolute().then(|| target.to_path_buf())
}

/// The text up to a NUL byte at `address`.
fn text(thread: Pid, address: u64) -> Option<Vec<u8>> {
    let mut address = usize::try_from(address).ok()?;
    if address == 0 {
        return None;
    }
    let mut found = Vec::new();
    let mut buffer = [0; 512];
    while found.len() < PATH_LIMIT {
        let count = buffer.len().min(PAGE - address % PAGE);
        let piece = buffer.get_mut(..count)?;
        let read = read_memory(thread, address, piece)?;
        let piece = piece.get(..read).filter(|piece| !piece.is_empty())?;
        if let Some(end) = piece.iter().position(|byte| *byte == 0) {
            found.extend_from_slice(piece.get(..end)?);
            return Some(found);
        }
        found.extend_from_slice(piece);
        address = address.checked_add(read)?;
    }
    None
}

/// The eight bytes at `address`.
pub(super) fn word(thread: Pid, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    let read = read_memory(thread, usize::try_from(address).ok()?, &mut bytes)?;
    (read == bytes.len()).then(|| u64::from_ne_bytes(bytes))
}

/// Up to `length` bytes at `address`, but no more than a socket's address has.
pub(super) fn socket_address(thread: Pid, address: u64, length: u64) -> Option<Vec<u8>> {
    let mut bytes = [0; size_of::<libc::sockaddr_storage>()];
    let count = usize::try_from(length).ok()?.min(bytes.len());
    let piece = bytes.get_mut(..count)?;
    let read = read_memory(thread, usize::try_from(address).ok()?, piece)?;
    Some(piece.get(..read)?.to_vec())
}

fn read_memory(thread: Pid, address: usize, buffer: &mut [u8]) -> Option<usize> {
    let remote = [RemoteIoVec {
        base: address,
        len: buffer.len(),
    }];
    process_vm_readv(thread, &mut [IoSliceMut::new(buffer)], &remote).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn own(bytes: &[u8]) -> Option<Vec<u8>> {
        text(nix::unistd::getpid(), bytes.as_ptr() as u64)
    }

    #[test]
    fn a_name_is_read_up_to_its_end_wherever_pages_begin() {
        let mut bytes = vec![b'a'; 3 * PAGE];
        *bytes.last_mut().unwrap() = 0;
        for length in [0, 1, 511, 512, 513, 2000, PATH_LIMIT - 1] {
            let start = bytes.len() - 1 - length;
            let found = own(bytes.get(start..).unwrap()).unwrap();
            assert_eq!(found.len(), length);
        }
        assert_eq!(own(bytes.get(..).unwrap()), None, "longer than any path");
    }

    #[test]
    fn a_bad_address_is_no_name() {
        let this = nix::unistd::getpid();
        assert_eq!(text(this, 0), None);
        assert_eq!(text(this, 16), None);
        assert_eq!(text(this, u64::MAX), None);
        assert_eq!(word(this, u64::MAX - 3), None);
    }
}
