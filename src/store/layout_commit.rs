//! Committing an image into a layout directory.
//!
//! A new layout is made whole under a temporary name and renamed. Into one that is
//! there, under its lock, blobs come first and the index last, by a rename; then what
//! only the replaced image used is removed. So the index at any moment names blobs that
//! are all there.

use std::collections::BTreeMap;
use std::io;
use std::sync::PoisonError;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::index::{Edit, With, edit, garbage};
use super::layout::LAYOUT_FILE;
use super::read::blob_path;
use super::stage::{Content, DIRECTORY_MODE, Directory, StagedBlob, named, write_file};
use super::steps::step;
use super::writer::{State, Writer, look};
use super::{Form, Layout, Source, StoreError, interrupt};
use crate::image::Image;
use crate::layer::Digest;

/// How often the layout may appear or vanish under our hands before we give up.
const TRIES: usize = 32;

pub(super) fn commit(
    writer: &Writer,
    image: &Image,
    blobs: &BTreeMap<Digest, StagedBlob>,
    reference: Option<&str>,
) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let done = match look(&writer.path, Form::Layout)? {
            State::Absent => create(writer, image, blobs, reference)?,
            State::Blank | State::Present => merge(writer, image, blobs, reference)?,
        };
        if done {
            return Ok(());
        }
    }
    Err(StoreError::io(&writer.path, "write")(io::Error::other(
        "it is made and removed again and again by other programs",
    )))
}

/// Makes a new layout; `false` when another build has made one meanwhile.
fn create(
    writer: &Writer,
    image: &Image,
    blobs: &BTreeMap<Digest, StagedBlob>,
    reference: Option<&str>,
) -> Result<bool, StoreError> {
    let path = &writer.path;
    let parent = path.parent().unwrap_or(path);
    let parent = Directory::open(parent).map_err(StoreError::errno(parent, "write in"))?;
    let _held = interrupt::hold();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let (handle, temporary) = named(&parent, |name| {
        rustix::fs::mkdirat(&parent.handle, name, DIRECTORY_MODE)?;
        match rustix::fs::openat(&parent.handle, name, flags, Mode::empty()) {
            // Swept away already, for want of a lock: try another.
            Err(Errno::NOENT) => Err(Errno::EXIST),
            result => result,
        }
    })
    .map_err(StoreError::errno(&parent.path, "write in"))?;
    let directory = Directory {
        path: temporary.path.clone(),
        handle,
    };
    let documents = documents(image);
    let source = With {
        name: path.display().to_string(),
        base: None,
        documents,
    };
    let edit = edit(&source, None, &image.descriptor, reference)?;
    place_blobs(writer, &directory, image, &source.documents, blobs)?.keep();
    step("blobs")?;
    write_file(&directory, "oci-layout", LAYOUT_FILE.as_bytes())?;
    write_file(&directory, "index.json", &edit.index)?;
    step("index")?;

    let renamed =
        match rustix::fs::renameat_with(CWD, &temporary.path, CWD, path, RenameFlags::NOREPLACE) {
            // A plain rename replaces an empty directory at most.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::rename(&temporary.path, path),
            result => result,
        };
    match renamed {
        Ok(()) => {
            temporary.renamed();
            step("renamed")?;
            Ok(true)
        }
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
        Err(error) => Err(StoreError::errno(path, "write")(error)),
    }
}

/// Adds to the layout that is there; `false` when it has gone meanwhile.
fn merge(
    writer: &Writer,
    image: &Image,
    blobs: &BTreeMap<Digest, StagedBlob>,
    reference: Option<&str>,
) -> Result<bool, StoreError> {
    let path = &writer.path;
    let directory = match Directory::open(path) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(StoreError::errno(path, "open")(error)),
    };
    directory.lock()?;
    if !directory.is_at_its_path() {
        return Ok(false);
    }
    // After the lock, which may have to be waited for.
    let _held = interrupt::hold();
    directory.sweep();

    let layout = match look(path, Form::Layout)? {
        State::Absent => return Ok(false),
        State::Blank => None,
        State::Present => Some(Layout::open(path)?),
    };
    let old = layout.as_ref().map(Layout::raw_index).transpose()?;
    let mut source = With {
        name: path.display().to_string(),
        base: layout.as_ref().map(|layout| layout as &dyn Source),
        documents: documents(image),
    };
    let edit = edit(&source, old.as_deref(), &image.descriptor, reference)?;
    source.documents.extend(edit.made.clone());
    let placed = place_blobs(writer, &directory, image, &source.documents, blobs)?;
    step("blobs")?;
    if layout.is_none() {
        write_file(&directory, "oci-layout", LAYOUT_FILE.as_bytes())?;
    }
    if old.as_deref() != Some(edit.index.as_slice()) {
        write_file(&directory, "index.json", &edit.index)?;
    }
    placed.keep();
    step("index")?;
    remove_garbage(&directory, &source, &edit)?;
    Ok(true)
}

/// The config and the manifest.
pub(super) fn documents(image: &Image) -> BTreeMap<Digest, Vec<u8>> {
    [&image.config, &image.manifest]
        .into_iter()
        .map(|bytes| (Digest::of(bytes), bytes.clone()))
        .collect()
}

/// The blobs that a commit has given a name. Dropped before the index names them, the new
/// ones lose it again: a full disk leaves no layer that belongs to no image.
struct Placed {
    names: Directory,
    new: Vec<String>,
}

impl Placed {
    /// Places a blob that was there before the commit.
    fn keep_old(&mut self, content: Content<'_>, digest: &Digest) -> Result<(), StoreError> {
        let name = digest.hex();
        if content.place(&self.names, &name)? {
            self.new.push(name);
        }
        Ok(())
    }

    /// Places a blob that was made for it.
    fn place(&mut self, content: Content<'_>, digest: &Digest) -> Result<(), StoreError> {
        let name = digest.hex();
        if content.place_or_repair(&self.names, &name)? {
            self.new.push(name);
        }
        Ok(())
    }

    fn keep(mut self) {
        self.new.clear();
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        for name in &self.new {
            let _ = rustix::fs::unlinkat(&self.names.handle, name, AtFlags::empty());
        }
    }
}

/// Gives every blob of the image its name in `directory`.
fn place_blobs(
    writer: &Writer,
    directory: &Directory,
    image: &Image,
    documents: &BTreeMap<Digest, Vec<u8>>,
    blobs: &BTreeMap<Digest, StagedBlob>,
) -> Result<Placed, StoreError> {
    let mut placed = Placed {
        names: directory.subdirectory("blobs")?.subdirectory("sha256")?,
        new: Vec::new(),
    };
    for layer in &image.layers {
        let held = writer.held.lock().unwrap_or_else(PoisonError::into_inner);
        match (blobs.get(&layer.digest), held.get(&layer.digest)) {
            (Some(blob), _) => placed.place(blob.content(), &layer.digest)?,
            (None, Some(file)) => placed.keep_old(Content::of(file), &layer.digest)?,
            (None, None) => return Err(writer.not_staged(&layer.digest)),
        }
        step("layer")?;
    }
    for (digest, bytes) in documents {
        let mut staged = StagedBlob::new(directory)?;
        let path = placed.names.path.join(digest.hex());
        io::Write::write_all(&mut staged, bytes).map_err(StoreError::io(path, "write"))?;
        placed.place(staged.content(), digest)?;
    }
    Ok(placed)
}

fn remove_garbage(
    directory: &Directory,
    source: &dyn Source,
    edit: &Edit,
) -> Result<(), StoreError> {
    for blob in garbage(source, &edit.entries, &edit.replaced) {
        let Ok((path, _)) = blob_path(&source.name(), blob.digest()) else {
            continue;
        };
        let mut parts = path.splitn(3, '/');
        let (Some(blobs), Some(algorithm), Some(name)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        // The new index stands: a blob that cannot be removed is no failure.
        if let Ok(names) = directory
            .subdirectory(blobs)
            .and_then(|b| b.subdirectory(algorithm))
        {
            let _ = rustix::fs::unlinkat(&names.handle, name, AtFlags::empty());
        }
        step("garbage")?;
    }
    Ok(())
}
