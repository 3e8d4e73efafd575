//! Writing an image into a store, whole or not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use oci_spec::image::Descriptor;
use rustix::fs::Access;
use rustix::io::Errno;

use super::layout::is_layout;
use super::reference::{check_tag, repo_tag};
use super::stage::{Directory, StagedBlob};
use super::{Form, Layout, StoreError, archive_commit, layout_commit};
use crate::image::Image;
use crate::layer::Digest;

/// Where an image is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// An OCI image layout directory.
    Layout(PathBuf),
    /// An OCI archive.
    OciArchive(PathBuf),
    /// A docker archive.
    DockerArchive(PathBuf),
}

impl Destination {
    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Layout(path) | Self::OciArchive(path) | Self::DockerArchive(path) => path,
        }
    }

    /// The form.
    #[must_use]
    pub fn form(&self) -> Form {
        match self {
            Self::Layout(_) => Form::Layout,
            Self::OciArchive(_) => Form::OciArchive,
            Self::DockerArchive(_) => Form::DockerArchive,
        }
    }

    /// The name under which an image tagged `tag` stands there: the tag, or in a docker archive
    /// the whole name, `app:latest`.
    ///
    /// # Errors
    /// When this form takes no such tag.
    pub fn name(&self, tag: &str) -> Result<String, StoreError> {
        name_in(self.form(), self.path(), tag)
    }
}

fn name_in(form: Form, path: &Path, tag: &str) -> Result<String, StoreError> {
    match form {
        Form::DockerArchive => repo_tag(tag, path),
        Form::Layout | Form::OciArchive => {
            check_tag(tag)?;
            Ok(tag.to_owned())
        }
    }
}

/// What a commit has written.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// The layout or archive.
    pub path: PathBuf,
    /// The tag it got; in a docker archive the whole name, `app:latest`.
    pub reference: Option<String>,
    /// The manifest's descriptor.
    pub descriptor: Descriptor,
}

/// Writes images into one destination.
///
/// Blobs are staged beside it and get their names in [`commit`](Self::commit); before
/// that nothing is to be seen, and a writer that is dropped leaves nothing.
#[derive(Debug)]
pub struct Writer {
    pub(super) form: Form,
    /// The output, absolute.
    pub(super) path: PathBuf,
    /// Where blobs are staged, on the output's file system.
    pub(super) staging: Directory,
    /// Blobs of the layout that a commit counts on, kept open: another build may remove
    /// their names meanwhile.
    pub(super) held: Mutex<BTreeMap<Digest, File>>,
    /// The layout as it was at first.
    layout: Option<Layout>,
    /// The archive as it was at first.
    pub(super) archive: Option<archive_commit::Archive>,
}

impl Writer {
    /// Checks that `destination` can be written, before anything is packed: the directory
    /// that should hold it exists and takes files, and what is there already is of
    /// that form. Temporary files that an earlier build left are removed.
    ///
    /// # Errors
    /// When it cannot.
    pub fn open(destination: &Destination) -> Result<Self, StoreError> {
        let form = destination.form();
        let path = absolute(destination.path())?;
        let state = look(&path, form)?;
        // A layout may be a mount of its own: its blobs are staged inside.
        let inside = form == Form::Layout && state != State::Absent;
        let staging = if inside { path.clone() } else { parent(&path)? };
        let staging = Directory::open(&staging).map_err(StoreError::errno(&staging, "write in"))?;
        staging.sweep();
        // The surest test is to do it.
        drop(StagedBlob::new(&staging)?);
        let layout = (inside && state == State::Present)
            .then(|| Layout::open(&path))
            .transpose()?;
        if let Some(layout) = &layout {
            // Both would make the build fail at its end.
            super::Source::index(layout)?;
            check_blobs(&path)?;
        }
        let archive = (form != Form::Layout && state == State::Present)
            .then(|| archive_commit::Archive::open(&path, form))
            .transpose()?;
        Ok(Self {
            form,
            path,
            staging,
            held: Mutex::default(),
            layout,
            archive,
        })
    }

    /// Whether a blob is in the destination already, so that it need not be packed. It is
    /// told by its name and size, as every OCI tool tells it; `size` in bytes.
    #[must_use]
    pub fn contains(&self, digest: &Digest, size: u64) -> bool {
        if let Some(archive) = &self.archive {
            return archive.has(digest, size);
        }
        let Some(layout) = &self.layout else {
            return false;
        };
        match layout.file(&format!("blobs/sha256/{}", digest.hex())) {
            Ok(Some((file, found))) if found == size => {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                held.insert(*digest, file);
                true
            }
            _ => false,
        }
    }

    /// A place for the bytes of a blob.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn stage(&self) -> Result<StagedBlob, StoreError> {
        StagedBlob::new(&self.staging)
    }

    /// Puts `image` into the destination under `reference`, with the blobs of its layers;
    /// those that it [contains](Self::contains) may be left out.
    ///
    /// An image with the same tag and platform is replaced, and the blobs that only it
    /// used are removed; everything else stays. Readers see the old or the new index, at
    /// any moment and after any death of the process.
    ///
    /// # Errors
    /// When the tag is none, a blob is missing or of another size, or the disk refuses.
    pub fn commit(
        &self,
        image: &Image,
        blobs: Vec<(Digest, StagedBlob)>,
        reference: Option<&str>,
    ) -> Result<Committed, StoreError> {
        let reference = reference
            .map(|tag| name_in(self.form, &self.path, tag))
            .transpose()?;
        let blobs: BTreeMap<Digest, StagedBlob> = blobs.into_iter().collect();
        self.check_sizes(image, &blobs)?;
        match self.form {
            Form::Layout => layout_commit::commit(self, image, &blobs, reference.as_deref())?,
            Form::OciArchive | Form::DockerArchive => {
                archive_commit::commit(self, image, &blobs, reference.as_deref())?;
            }
        }
        Ok(Committed {
            path: self.path.clone(),
            reference,
            descriptor: image.descriptor.clone(),
        })
    }

    fn check_sizes(
        &self,
        image: &Image,
        blobs: &BTreeMap<Digest, StagedBlob>,
    ) -> Result<(), StoreError> {
        for layer in &image.layers {
            let Some(blob) = blobs.get(&layer.digest) else {
                continue;
            };
            if blob.size() != layer.size {
                return Err(StoreError::WrongSize {
                    path: self.path.clone(),
                    digest: layer.digest.to_string(),
                    expected: layer.size,
                    found: blob.size(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn not_staged(&self, digest: &Digest) -> StoreError {
        StoreError::NotStaged {
            path: self.path.clone(),
            digest: digest.to_string(),
        }
    }
}

/// Checks that blobs can be added to the layout at `path`.
fn check_blobs(path: &Path) -> Result<(), StoreError> {
    for inside in ["blobs", "blobs/sha256"] {
        let path = path.join(inside);
        let needed = Access::WRITE_OK | Access::EXEC_OK;
        match rustix::fs::access(&path, needed) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(StoreError::errno(path, "write in")(error)),
        }
    }
    Ok(())
}

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
fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(_) => std::path::absolute(path).map_err(StoreError::io(path, "find")),
    }
}

/// The directory that holds the output.
fn parent(path: &Path) -> Result<PathBuf, StoreError> {
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
