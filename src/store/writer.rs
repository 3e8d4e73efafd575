//! Writing an image into a store, whole or not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use oci_spec::image::{Descriptor, Digest as OciDigest};
use rustix::fs::Access;
use rustix::io::Errno;

use super::entry::{Change, Commit, Entry, How, Put, Unpacked};
use super::output::{State, absolute, look, parent};
use super::read::blob_path;
use super::reference::{check_tag, repo_tag};
use super::stage::{Directory, StagedBlob};
use super::{Attachment, Form, Layout, StoreError, archive_commit, layout_commit};
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
    pub(super) held: Mutex<BTreeMap<String, File>>,
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
        self.has(&digest.to_string(), size)
    }

    /// The same for a blob of any digest and media type.
    #[must_use]
    pub fn holds(&self, blob: &Descriptor) -> bool {
        self.has(blob.digest().as_ref(), blob.size())
    }

    fn has(&self, digest: &str, size: u64) -> bool {
        if let Some(archive) = &self.archive {
            return archive.blob(digest).is_some_and(|(_, found)| found == size);
        }
        let Some(layout) = &self.layout else {
            return false;
        };
        let place = digest
            .parse()
            .ok()
            .and_then(|known: OciDigest| blob_path("", &known).ok());
        match place.and_then(|(path, _)| layout.file(&path).ok().flatten()) {
            Some((file, found)) if found == size => {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                held.insert(digest.to_owned(), file);
                true
            }
            _ => false,
        }
    }

    /// The layout or OCI archive that was there at first.
    pub(crate) fn there(&self) -> Option<&dyn super::Source> {
        match (&self.layout, &self.archive) {
            (Some(layout), _) => Some(layout),
            (None, Some(archive_commit::Archive::Oci(archive))) => Some(archive),
            _ => None,
        }
    }

    /// The digests of what stands under `reference` in the layout or OCI archive that was there
    /// at first.
    #[must_use]
    pub fn under(&self, reference: &str) -> Vec<OciDigest> {
        let Some(there) = self.there() else {
            return Vec::new();
        };
        let entries = there.index().map(|index| index.manifests().clone());
        let entries = entries.unwrap_or_default().into_iter();
        entries
            .filter(|entry| super::select::tag(entry) == Some(reference))
            .map(|entry| entry.digest().clone())
            .collect()
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
        let staged = blobs
            .into_iter()
            .map(|(digest, blob)| (digest.to_string(), blob))
            .collect();
        let unpacked = image.layers.iter().map(Unpacked::from).collect();
        let put = Put {
            entry: &Entry::from(image),
            reference,
            how: How::Merge,
            unpacked: Some(unpacked),
        };
        self.put(put, &staged, &[])
    }

    /// Puts `entry` into the destination under `reference`, with the blobs that were staged;
    /// those that it [holds](Self::holds) may be left out. As [`commit`](Self::commit), for images,
    /// indexes and artifacts of any origin.
    ///
    /// `attached` gets its place beside it in the same edit of the index; all that it needs is
    /// among its documents, the blobs that were staged, and what is there.
    ///
    /// A docker archive takes one image, whose layers are checked against the diff_ids of its
    /// config, and nothing attached.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); also when a document is not what its digest says, or a docker
    /// archive should hold what it cannot.
    pub fn commit_entry(
        &self,
        entry: &Entry,
        blobs: Vec<(OciDigest, StagedBlob)>,
        reference: Option<&str>,
        how: How,
        attached: &[Attachment],
    ) -> Result<Committed, StoreError> {
        if self.form == Form::DockerArchive && !attached.is_empty() {
            return Err(StoreError::NoRoomForAttached(self.path.clone()));
        }
        let store = self.path.display().to_string();
        entry.check(&store)?;
        for one in attached {
            one.entry.check(&store)?;
        }
        let staged = blobs
            .into_iter()
            .map(|(digest, blob)| (digest.to_string(), blob))
            .collect();
        let put = Put {
            entry,
            reference,
            how,
            unpacked: None,
        };
        self.put(put, &staged, attached)
    }

    fn put(
        &self,
        put: Put<'_>,
        staged: &BTreeMap<String, StagedBlob>,
        attached: &[Attachment],
    ) -> Result<Committed, StoreError> {
        let reference = put
            .reference
            .map(|tag| name_in(self.form, &self.path, tag))
            .transpose()?;
        let descriptor = put.entry.root.clone();
        self.write(&Commit {
            change: Change::Put(Put {
                reference: reference.as_deref(),
                ..put
            }),
            staged,
            attached,
        })?;
        Ok(Committed {
            path: self.path.clone(),
            reference,
            descriptor,
        })
    }

    pub(super) fn write(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        self.check_sizes(commit)?;
        match self.form {
            Form::Layout => layout_commit::commit(self, commit),
            Form::OciArchive | Form::DockerArchive => archive_commit::commit(self, commit),
        }
    }

    fn check_sizes(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        for blob in commit.blobs() {
            let Some(found) = commit.staged.get(blob.digest().as_ref()) else {
                continue;
            };
            if found.size() != blob.size() {
                return Err(StoreError::WrongSize {
                    path: self.path.clone(),
                    digest: blob.digest().to_string(),
                    expected: blob.size(),
                    found: found.size(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn not_staged(&self, digest: &str) -> StoreError {
        StoreError::NotStaged {
            path: self.path.clone(),
            digest: digest.to_owned(),
        }
    }
}

/// Checks that blobs can be added to the layout at `path`.
fn check_blobs(path: &Path) -> Result<(), StoreError> {
    for inside in ["blobs", "blobs/sha256", "blobs/sha512"] {
        let path = path.join(inside);
        let needed = Access::WRITE_OK | Access::EXEC_OK;
        match rustix::fs::access(&path, needed) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(StoreError::errno(path, "write in")(error)),
        }
    }
    Ok(())
}
