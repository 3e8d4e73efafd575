//! Removing tags: their entries leave the index, then what nothing else uses goes.

use std::path::Path;

use super::archive_commit::{self, Archive, Parts, head, kept};
use super::index::without;
use super::layout_commit::remove_garbage;
use super::stage::{Directory, write_file};
use super::steps::step;
use super::with::With;
use super::{DockerArchive, Form, Layout, Reference, Source, StoreError, interrupt, open};

/// What went with some tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Entries of the index: those of the tags, and of what was attached to what went.
    pub entries: usize,
    /// Blobs that nothing else uses.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Takes `tags` from the layout or OCI archive at `path`, all of them or, where one is not there,
/// none. Blobs that nothing else in it uses go, too; in a store that holds an image which
/// cannot be read none go, for it is not known what that uses. So it is with what is attached to
/// what goes: signatures and the like.
///
/// As in a commit, readers see the old or the new index at any moment.
///
/// # Errors
/// When a tag is not there, or the store cannot be read or written.
pub fn remove_tags(path: &Path, tags: &[String]) -> Result<Removed, StoreError> {
    let path = path.canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => StoreError::NotFound(path.to_path_buf()),
        _ => StoreError::io(path, "open")(error),
    })?;
    if path.is_dir() {
        of_layout(&path, tags)
    } else {
        of_archive(&path, tags)
    }
}

fn of_layout(path: &Path, tags: &[String]) -> Result<Removed, StoreError> {
    let directory = Directory::open(path).map_err(StoreError::errno(path, "open"))?;
    // Says what the directory is, when it is no layout.
    Layout::open(path)?;
    directory.lock()?;
    let _held = interrupt::hold();
    directory.sweep();
    // After the lock, which may have to be waited for.
    let layout = Layout::open(path)?;
    let source = With {
        name: path.display().to_string(),
        base: Some(&layout),
        documents: Default::default(),
    };
    let edit = without(&source, &layout.raw_index()?, tags)?;
    write_file(&directory, "index.json", &edit.index)?;
    step("index")?;
    let (blobs, bytes) = remove_garbage(&directory, &source, &edit)?;
    Ok(Removed {
        entries: edit.replaced.len(),
        blobs,
        bytes,
    })
}

fn of_archive(path: &Path, tags: &[String]) -> Result<Removed, StoreError> {
    let parent = path.parent().unwrap_or(path);
    let directory = Directory::open(parent).map_err(StoreError::errno(parent, "write in"))?;
    directory.lock()?;
    directory.sweep();
    let archive = match Archive::open(path, Form::OciArchive) {
        Ok(Archive::Oci(archive)) => archive,
        Ok(Archive::Docker(_)) => return Err(StoreError::NotRemovable(path.to_path_buf())),
        Err(StoreError::NotAnImage { .. }) if DockerArchive::open(path).is_ok() => {
            return Err(StoreError::NotRemovable(path.to_path_buf()));
        }
        // Says what it is instead.
        Err(error @ StoreError::NotAnImage { .. }) => {
            let reference = Reference {
                form: None,
                path: path.to_path_buf(),
                tag: None,
            };
            return Err(open(&reference).err().unwrap_or(error));
        }
        Err(error) => return Err(error),
    };
    let source: &dyn Source = &archive;
    let edit = without(source, &archive.raw_index()?, tags)?;
    let entries = edit.replaced.len();
    let (rest, blobs, bytes) = kept(&archive, source, &edit);
    let parts = Parts {
        first: head(edit),
        rest,
    };
    archive_commit::replace(path, &directory, &parts)?;
    Ok(Removed {
        entries,
        blobs,
        bytes,
    })
}
