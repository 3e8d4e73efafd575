//! What there is where an image is to be written.

use std::io;
use std::path::{Path, PathBuf};

use super::layout::is_layout;
use super::{Form, StoreError, archive_commit};

/// What there is at an output's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Absent,
    /// An empty directory or file, or a layout whose writer died before its first index.
    Blank,
    /// A store of the wanted form.
    Present,
}

/// Looks at the output.
///
/// # Errors
/// When it is there and something else.
pub(super) fn look(path: &Path, form: Form) -> Result<State, StoreError> {
    let taken = |found: String| StoreError::OutputTaken {
        path: path.to_path_buf(),
        wanted: form.described(),
        found,
    };
    let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let mut metadata = path.metadata();
    if metadata.as_ref().is_err_and(is_absent) {
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => {
                return Err(taken("a symbolic link that leads nowhere".into()));
            }
            // Another build has just made it.
            Ok(found) => metadata = Ok(found),
            Err(_) => return Ok(State::Absent),
        }
    }
    let metadata = metadata.map_err(StoreError::io(path, "write"))?;
    match form {
        Form::Layout if !metadata.is_dir() => Err(taken("a file, not a directory".into())),
        Form::Layout if is_layout(path) && path.join("index.json").exists() => Ok(State::Present),
        Form::Layout => {
            let entries = path.read_dir().map_err(StoreError::io(path, "read"))?;
            let ours = |name: &str| {
                matches!(name, "blobs" | "oci-layout") || name.starts_with(".distrobuild-")
            };
            let others = entries
                .flatten()
                .find(|e| !ours(&e.file_name().to_string_lossy()));
            match others {
                None => Ok(State::Blank),
                Some(other) => Err(taken(format!(
                    "a directory that is no OCI layout (it has {})",
                    other.file_name().to_string_lossy()
                ))),
            }
        }
        _ if metadata.is_dir() => Err(taken("a directory".into())),
        _ if !metadata.is_file() => Err(taken("no regular file".into())),
        _ if metadata.len() == 0 => Ok(State::Blank),
        _ => match archive_commit::Archive::open(path, form) {
            Ok(_) => Ok(State::Present),
            Err(StoreError::NotAnImage { found, .. }) => Err(taken(found)),
            Err(StoreError::Compressed { with, .. }) => {
                Err(taken(format!("a file compressed with {with}")))
            }
            Err(error) => Err(error),
        },
    }
}

/// The path with what there is of it resolved, so that a rename over it replaces the file
/// and not a link to it.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(_) => std::path::absolute(path).map_err(StoreError::io(path, "find")),
    }
}

/// The directory that holds the output.
pub(super) fn parent(path: &Path) -> Result<PathBuf, StoreError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    if parent.is_dir() {
        return Ok(parent.to_path_buf());
    }
    match parent.metadata() {
        Ok(_) => Err(StoreError::io(path, "write")(io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{} is a file, not a directory", parent.display()),
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NoParent {
            path: path.to_path_buf(),
            parent: parent.to_path_buf(),
        }),
        Err(error) => Err(StoreError::io(parent, "open")(error)),
    }
}
