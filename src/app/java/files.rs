//! Files of this machine as companions.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::JavaError;
use crate::ImagePath;
use crate::app::{Companion, Role};
use crate::rootfs::{Entry, Origin};
use crate::sysroot::{Node, Sysroot, trace};

/// The most files of one directory that comes along.
const MAX_FILES: usize = 200_000;

/// The files below a directory, relative to it and sorted. Links to files count as files; links to
/// directories and names that start with a dot are passed over.
pub(super) fn below(sysroot: &dyn Sysroot, directory: &Path) -> Result<Vec<PathBuf>, JavaError> {
    let failed = |path: &Path, source| JavaError::Read {
        path: sysroot.display(path),
        source,
    };
    let root = trace(sysroot, directory)
        .map_err(|error| failed(directory, error.into()))?
        .target;
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(inner) = todo.pop() {
        let here = root.as_path().join(&inner);
        let names = sysroot
            .read_dir(&here)
            .map_err(|source| failed(&here, source))?;
        for name in names
            .iter()
            .filter(|name| !name.as_bytes().starts_with(b"."))
        {
            let relative = inner.join(name);
            let path = root.as_path().join(&relative);
            let Ok(node) = ImagePath::new(&path)
                .map_err(io::Error::other)
                .and_then(|path| sysroot.node(&path))
            else {
                continue;
            };
            match node {
                Node::Directory { .. } => todo.push(relative),
                Node::File(_) => found.push(relative),
                Node::Symlink(_) if sysroot.is_file(&path) => found.push(relative),
                Node::Symlink(_) | Node::Other => {}
            }
        }
        if found.len().saturating_add(todo.len()) > MAX_FILES {
            return Err(JavaError::TooLarge {
                path: sysroot.display(directory),
                what: format!("more than {MAX_FILES} files"),
            });
        }
    }
    found.sort();
    Ok(found)
}

/// The file at `source`, links followed, as it lands at `place`. Everybody may read it there,
/// since the image's user is not the one who builds.
pub(super) fn companion(
    sysroot: &dyn Sysroot,
    source: &Path,
    place: ImagePath,
    origin: Origin,
    role: Role,
) -> Result<Companion, JavaError> {
    let failed = |error| JavaError::Read {
        path: sysroot.display(source),
        source: error,
    };
    let target = trace(sysroot, source)
        .map_err(|error| failed(error.into()))?
        .target;
    let (content, mode) = sysroot.content(&target).map_err(failed)?;
    let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
    Ok(Companion {
        path: place,
        entry: Entry::file(content, mode, origin),
        source: sysroot.display(target.as_path()),
        role,
    })
}
