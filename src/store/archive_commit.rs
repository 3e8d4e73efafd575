//! Committing an image into an archive: a new one is written beside the old one, with
//! the images that stay, and takes its name.
//!
//! Both kinds are plain ustar archives, modes 0644, owner 0:0, no times; the documents
//! first, then the blobs by name, so that the same images give the same bytes.
//!
//! The layers of a docker archive are uncompressed tars named by their diff_id, as
//! `docker save` wrote them for years and skopeo writes them: every `docker load`,
//! `podman load` and scanner takes that, while compressed ones (zstd above all) are
//! refused by some. The layers of a blob are therefore uncompressed on the way, and
//! their diff_ids checked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use oci_spec::image::Digest as OciDigest;

use super::archive::Tar;
use super::docker_commit;
use super::entry::{Change, Commit, Unpacked, digest};
use super::garbage::garbage;
use super::index::Edit;
use super::layout::LAYOUT_FILE;
use super::output::{State, look};
use super::read::blob_path;
use super::stage::{Content, Directory, StagedBlob};
use super::steps::step;
use super::uncompress::uncompressed;
use super::with::With;
use super::writer::Writer;
use super::{DockerArchive, Form, OciArchive, Source, StoreError, interrupt};
use crate::layer::Hasher;

/// An archive that is there already.
#[derive(Debug)]
pub(super) enum Archive {
    Oci(OciArchive),
    Docker(Box<DockerArchive>),
}

impl Archive {
    /// Opens the archive of that form at `path`.
    pub(super) fn open(path: &Path, form: Form) -> Result<Self, StoreError> {
        match form {
            Form::DockerArchive => Ok(Self::Docker(Box::new(DockerArchive::open(path)?))),
            Form::OciArchive | Form::Layout => {
                let archive = OciArchive::open(path)?;
                // What stands there must be an index.
                archive.index()?;
                Ok(Self::Oci(archive))
            }
        }
    }

    fn tar(&self) -> &Tar {
        match self {
            Self::Oci(archive) => &archive.tar,
            Self::Docker(archive) => &archive.tar,
        }
    }

    /// Where a blob is in it. A docker archive has no blobs by digest, only what
    /// [`commit`] made of them.
    pub(super) fn blob(&self, digest: &str) -> Option<(u64, u64)> {
        let digest: OciDigest = digest.parse().ok()?;
        match self {
            Self::Oci(archive) => archive.tar.find(&blob_path("", &digest).ok()?.0),
            Self::Docker(archive) if digest.algorithm().as_ref() == "sha256" => {
                archive.tar.find(&format!("{}.tar", digest.digest()))
            }
            Self::Docker(_) => None,
        }
    }
}

/// What an entry of the new archive is made of.
pub(super) enum Part<'a> {
    Bytes(Vec<u8>),
    Staged(Content<'a>),
    Stored(&'a Tar, u64, u64),
    /// The tar in a layer's blob.
    Uncompressed(Unpacked, Box<Part<'a>>),
}

impl<'a> Part<'a> {
    fn size(&self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::Staged(content) => content.size(),
            Self::Stored(_, _, size) => Ok(*size),
            Self::Uncompressed(layer, _) => Ok(layer.tar_size),
        }
    }

    pub(super) fn reader(&'a self) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(bytes.as_slice()),
            Self::Staged(content) => Box::new(content.reader()),
            Self::Stored(tar, offset, size) => Box::new(tar.reader(*offset, *size)),
            Self::Uncompressed(layer, blob) => Box::new(Checked {
                inner: uncompressed(blob.reader()?)?,
                hasher: Hasher::new(),
                left: layer.tar_size,
                layer,
            }),
        })
    }
}

/// The uncompressed tar of a layer; fails at its end when it is another.
struct Checked<'a, R> {
    inner: R,
    hasher: Hasher,
    left: u64,
    layer: &'a Unpacked,
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        self.hasher.update(bytes);
        let wrong = |what| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the layer {} {what}", self.layer.digest),
            )
        };
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| wrong("is longer than its tar_size"))?;
        if count == 0 {
            if self.left > 0 {
                return Err(wrong("is shorter than its tar_size"));
            }
            if self.hasher.clone().finish() != self.layer.diff_id {
                return Err(wrong("does not have its diff_id"));
            }
        }
        Ok(count)
    }
}

/// The entries of an archive: some first, the others by name.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) first: Vec<(String, Part<'a>)>,
    pub(super) rest: BTreeMap<String, Part<'a>>,
}

pub(super) fn commit(writer: &Writer, commit: &Commit<'_>) -> Result<(), StoreError> {
    let path = &writer.path;
    let parent = path.parent().unwrap_or(path);
    let directory = Directory::open(parent).map_err(StoreError::errno(parent, "write in"))?;
    // One build at a time reads the old archive and replaces it.
    directory.lock()?;
    let current = match look(path, writer.form)? {
        State::Present => Some(Archive::open(path, writer.form)?),
        State::Absent | State::Blank => None,
    };
    let blobs = Blobs {
        writer,
        commit,
        current: current.as_ref(),
    };
    let no_room = || StoreError::NoRoomForAttached(path.clone());
    let parts = match (&current, &commit.change) {
        (Some(Archive::Oci(archive)), _) => oci(Some(archive), commit, &blobs)?,
        (None, Change::Attach { .. }) => return Err(StoreError::NotFound(path.clone())),
        (None, Change::Put(_)) if writer.form != Form::DockerArchive => oci(None, commit, &blobs)?,
        (_, Change::Put(put)) if commit.attached.is_empty() => {
            let current = match &current {
                Some(Archive::Docker(archive)) => Some(archive.as_ref()),
                _ => None,
            };
            Some(docker_commit::parts(current, put, &blobs)?)
        }
        _ => return Err(no_room()),
    };
    match parts {
        Some(parts) => replace(path, &directory, &parts),
        None => Ok(()),
    }
}

/// Writes the archive anew and gives it its name.
pub(super) fn replace(
    path: &Path,
    directory: &Directory,
    parts: &Parts<'_>,
) -> Result<(), StoreError> {
    let mut staged = StagedBlob::new(directory)?;
    write(parts, &mut staged).map_err(StoreError::io(path, "write"))?;
    step("written")?;

    let name = path.file_name().unwrap_or_default();
    let _held = interrupt::hold();
    staged.replace(directory, name)?;
    step("renamed")
}

/// Where the blobs of a commit are.
pub(super) struct Blobs<'a> {
    pub(super) writer: &'a Writer,
    commit: &'a Commit<'a>,
    current: Option<&'a Archive>,
}

impl<'a> Blobs<'a> {
    /// A blob: staged, in the archive that is there now, or in the one that was there
    /// when the build began, which is still open.
    pub(super) fn blob(&self, digest: &str) -> Result<Part<'a>, StoreError> {
        if let Some(staged) = self.commit.staged.get(digest) {
            return Ok(Part::Staged(staged.content()));
        }
        [self.current, self.writer.archive.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|archive| {
                let (offset, size) = archive.blob(digest)?;
                Some(Part::Stored(archive.tar(), offset, size))
            })
            .ok_or_else(|| self.writer.not_staged(digest))
    }
}

/// The parts of the new archive; `None` when it has all that is to be attached.
fn oci<'a>(
    current: Option<&'a OciArchive>,
    commit: &'a Commit<'a>,
    blobs: &Blobs<'a>,
) -> Result<Option<Parts<'a>>, StoreError> {
    let old = current.map(OciArchive::raw_index).transpose()?;
    let base = current.map(|archive| archive as &dyn Source);
    let mut source = With {
        name: blobs.writer.path.display().to_string(),
        base,
        documents: commit.documents(),
    };
    let edit = commit.edit(&source, old.as_deref())?;
    source.add(&edit);
    if let (Some(archive), Change::Attach { .. }) = (current, &commit.change)
        && old.as_deref() == Some(edit.index.as_slice())
        && has_all(archive, &source)
    {
        return Ok(None);
    }
    let mut parts = Parts::default();
    if let Some(archive) = current {
        parts.rest = kept(archive, &source, &edit).0;
    }
    for blob in commit.blobs() {
        let digest = blob.digest().as_ref();
        if !source.documents.contains_key(digest) {
            let name = blob_path(&source.name, blob.digest())?.0;
            parts.rest.insert(name, blobs.blob(digest)?);
        }
    }
    for (text, bytes) in source.documents {
        let name = blob_path(&source.name, &digest(&source.name, &text)?)?.0;
        parts.rest.insert(name, Part::Bytes(bytes.into_owned()));
    }
    parts.first = head(edit);
    Ok(Some(parts))
}

/// Whether an archive has all the documents of `source`, byte for byte.
fn has_all(archive: &OciArchive, source: &With<'_>) -> bool {
    source.documents.iter().all(|(text, bytes)| {
        let name = digest(&source.name, text).and_then(|found| blob_path(&source.name, &found));
        let there = name.and_then(|(name, _)| archive.tar.document(&name));
        there.is_ok_and(|there| there.as_deref() == Some(bytes.as_ref()))
    })
}

/// The blobs of an archive that stay after `edit`, and the number and bytes of those that do not.
pub(super) fn kept<'a>(
    archive: &'a OciArchive,
    source: &dyn Source,
    edit: &Edit,
) -> (BTreeMap<String, Part<'a>>, usize, u64) {
    let garbage: BTreeSet<String> = garbage(source, &edit.entries, &edit.replaced)
        .iter()
        .filter_map(|blob| Some(blob_path(&source.name(), blob.digest()).ok()?.0))
        .collect();
    let (mut parts, mut gone, mut bytes) = (BTreeMap::new(), 0, 0);
    for (name, offset, size) in archive.tar.files() {
        if garbage.contains(name) {
            gone += 1;
            bytes += size;
        } else if name.starts_with("blobs/") {
            let part = Part::Stored(&archive.tar, offset, size);
            parts.insert(name.to_owned(), part);
        }
    }
    (parts, gone, bytes)
}

/// The first entries of an OCI archive.
pub(super) fn head<'a>(edit: Edit) -> Vec<(String, Part<'a>)> {
    vec![
        ("oci-layout".into(), Part::Bytes(LAYOUT_FILE.into())),
        ("index.json".into(), Part::Bytes(edit.index)),
    ]
}

fn write(parts: &Parts<'_>, out: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::with_capacity(1 << 20, out));
    let first = parts.first.iter().map(|(name, part)| (name, part));
    for (name, part) in first.chain(&parts.rest) {
        let mut header = tar::Header::new_ustar();
        header.set_size(part.size()?);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        archive.append_data(&mut header, name, part.reader()?)?;
    }
    archive.into_inner()?.flush()
}
