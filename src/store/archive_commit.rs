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

use super::archive::Tar;
use super::docker::Item;
use super::index::{With, edit, garbage};
use super::layout::LAYOUT_FILE;
use super::layout_commit::documents;
use super::read::blob_path;
use super::reference::familiar;
use super::stage::{Content, Directory, StagedBlob};
use super::steps::step;
use super::uncompress::uncompressed;
use super::writer::{State, Writer, look};
use super::{DockerArchive, Form, OciArchive, Source, StoreError, interrupt};
use crate::image::{Image, canonical};
use crate::layer::{Digest, Hasher, Layer};

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

    /// Whether the blob is in it. A docker archive has no blobs by digest, only what
    /// [`commit`] made of them.
    pub(super) fn has(&self, digest: &Digest, size: u64) -> bool {
        self.blob(digest).is_some_and(|(_, found)| found == size)
    }

    fn blob(&self, digest: &Digest) -> Option<(u64, u64)> {
        match self {
            Self::Oci(archive) => archive.tar.find(&format!("blobs/sha256/{}", digest.hex())),
            Self::Docker(archive) => archive.tar.find(&format!("{}.tar", digest.hex())),
        }
    }
}

/// What an entry of the new archive is made of.
enum Part<'a> {
    Bytes(Vec<u8>),
    Staged(Content<'a>),
    Stored(&'a Tar, u64, u64),
    /// The tar in a layer's blob.
    Uncompressed(&'a Layer, Box<Part<'a>>),
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

    fn reader(&'a self) -> io::Result<Box<dyn Read + 'a>> {
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
    layer: &'a Layer,
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
struct Parts<'a> {
    first: Vec<(String, Part<'a>)>,
    rest: BTreeMap<String, Part<'a>>,
}

pub(super) fn commit(
    writer: &Writer,
    image: &Image,
    blobs: &BTreeMap<Digest, StagedBlob>,
    reference: Option<&str>,
) -> Result<(), StoreError> {
    let path = &writer.path;
    let parent = path.parent().unwrap_or(path);
    let directory = Directory::open(parent).map_err(StoreError::errno(parent, "write in"))?;
    // One build at a time reads the old archive and replaces it.
    directory.lock()?;
    let current = match look(path, writer.form)? {
        State::Present => Some(Archive::open(path, writer.form)?),
        State::Absent | State::Blank => None,
    };
    let layers = Layers {
        writer,
        blobs,
        current: current.as_ref(),
    };
    let parts = match &current {
        Some(Archive::Docker(archive)) => docker(Some(archive), image, &layers, reference)?,
        None if writer.form == Form::DockerArchive => docker(None, image, &layers, reference)?,
        Some(Archive::Oci(archive)) => oci(Some(archive), image, &layers, reference)?,
        None => oci(None, image, &layers, reference)?,
    };
    let mut staged = StagedBlob::new(&directory)?;
    write(&parts, &mut staged).map_err(StoreError::io(path, "write"))?;
    step("written")?;

    let name = path.file_name().unwrap_or_default();
    let _held = interrupt::hold();
    staged.replace(&directory, name)?;
    step("renamed")
}

/// Where the blobs of the image's layers are.
struct Layers<'a> {
    writer: &'a Writer,
    blobs: &'a BTreeMap<Digest, StagedBlob>,
    current: Option<&'a Archive>,
}

impl<'a> Layers<'a> {
    /// A blob: staged, in the archive that is there now, or in the one that was there
    /// when the build began, which is still open.
    fn blob(&self, digest: &Digest) -> Result<Part<'a>, StoreError> {
        if let Some(staged) = self.blobs.get(digest) {
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

fn oci<'a>(
    current: Option<&'a OciArchive>,
    image: &Image,
    layers: &Layers<'a>,
    reference: Option<&str>,
) -> Result<Parts<'a>, StoreError> {
    let old = current.map(OciArchive::raw_index).transpose()?;
    let mut source = With {
        name: layers.writer.path.display().to_string(),
        base: current.map(|archive| archive as &dyn Source),
        documents: documents(image),
    };
    let edit = edit(&source, old.as_deref(), &image.descriptor, reference)?;
    source.documents.extend(edit.made.clone());
    let garbage: BTreeSet<String> = garbage(&source, &edit.entries, &edit.replaced)
        .iter()
        .filter_map(|blob| Some(blob_path(&source.name, blob.digest()).ok()?.0))
        .collect();

    let mut parts = Parts::default();
    if let Some(archive) = current {
        for (name, offset, size) in archive.tar.files() {
            if name.starts_with("blobs/") && !garbage.contains(name) {
                let part = Part::Stored(&archive.tar, offset, size);
                parts.rest.insert(name.to_owned(), part);
            }
        }
    }
    for layer in &image.layers {
        let name = format!("blobs/sha256/{}", layer.digest.hex());
        parts.rest.insert(name, layers.blob(&layer.digest)?);
    }
    for (digest, bytes) in source.documents {
        let name = format!("blobs/sha256/{}", digest.hex());
        parts.rest.insert(name, Part::Bytes(bytes));
    }
    parts.first = vec![
        ("oci-layout".into(), Part::Bytes(LAYOUT_FILE.into())),
        ("index.json".into(), Part::Bytes(edit.index)),
    ];
    Ok(parts)
}

fn docker<'a>(
    current: Option<&'a DockerArchive>,
    image: &'a Image,
    layers: &Layers<'a>,
    reference: Option<&str>,
) -> Result<Parts<'a>, StoreError> {
    let mut parts = Parts::default();
    let new = Item {
        config: format!("{}.json", Digest::of(&image.config).hex()),
        repo_tags: reference.map(str::to_owned).into_iter().collect(),
        layers: image
            .layers
            .iter()
            .map(|layer| format!("{}.tar", layer.diff_id.hex()))
            .collect(),
    };
    for layer in &image.layers {
        let name = format!("{}.tar", layer.diff_id.hex());
        let blob = layers.blob(&layer.digest)?;
        parts
            .rest
            .insert(name, Part::Uncompressed(layer, Box::new(blob)));
    }
    let config = Part::Bytes(image.config.clone());
    parts.rest.insert(new.config.clone(), config);

    let old = current
        .map(|archive| archive.items.clone())
        .unwrap_or_default();
    let items = with_item(old, new);
    if let Some(archive) = current {
        for name in items
            .iter()
            .flat_map(|item| item.layers.iter().chain([&item.config]))
        {
            if let Some((offset, size)) = archive.tar.find(name) {
                let part = Part::Stored(&archive.tar, offset, size);
                parts.rest.entry(name.clone()).or_insert(part);
            }
        }
    }
    parts.first = vec![("manifest.json".into(), Part::Bytes(canonical(&items)))];
    Ok(parts)
}

/// Adds an image to a docker archive's list. Its tag is taken from the image that had
/// it; an image that loses its last tag so is dropped.
fn with_item(old: Vec<Item>, new: Item) -> Vec<Item> {
    let mut items = Vec::with_capacity(old.len() + 1);
    let mut new = new;
    for mut item in old {
        let tags = item.repo_tags.len();
        let taken = |tag: &String| {
            new.repo_tags
                .iter()
                .any(|new| familiar(new) == familiar(tag))
        };
        item.repo_tags.retain(|tag| !taken(tag));
        let lost_its_last = tags > 0 && item.repo_tags.is_empty();
        if item.config == new.config && item.layers == new.layers {
            new.repo_tags.extend(item.repo_tags);
        } else if !lost_its_last {
            items.push(item);
        }
    }
    new.repo_tags.sort_unstable();
    items.push(new);
    items
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
