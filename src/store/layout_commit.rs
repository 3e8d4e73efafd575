//! Committing an image into a layout directory.
//!
//! A new layout is made whole under a temporary name and renamed. Into one that is
//! there, under its lock, blobs come first and the index last, by a rename; then what
//! only the replaced image used is removed. So the index at any moment names blobs that
//! are all there.

use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};
use std::io;
use std::sync::PoisonError;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::entry::{Change, Commit, digest};
use super::garbage::garbage;
use super::index::Edit;
use super::layout::LAYOUT_FILE;
use super::output::{State, look};
use super::read::blob_path;
use super::stage::{Content, DIRECTORY_MODE, Directory, StagedBlob, named, write_file};
use super::steps::step;
use super::with::With;
use super::writer::Writer;
use super::{Form, Layout, Source, StoreError, interrupt};

/// How often the layout may appear or vanish under our hands before we give up.
const TRIES: usize = 32;

pub(super) fn commit(writer: &Writer, commit: &Commit<'_>) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let done = match look(&writer.path, Form::Layout)? {
            State::Absent if matches!(commit.change, Change::Attach { .. }) => {
                return Err(StoreError::NotFound(writer.path.clone()));
            }
            State::Absent => create(writer, commit)?,
            State::Blank | State::Present => merge(writer, commit)?,
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
fn create(writer: &Writer, commit: &Commit<'_>) -> Result<bool, StoreError> {
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
    let source = With {
        name: path.display().to_string(),
        base: None,
        documents: commit.documents(),
    };
    let edit = commit.edit(&source, None)?;
    place_blobs(writer, &directory, commit, &source.documents)?.keep();
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
fn merge(writer: &Writer, commit: &Commit<'_>) -> Result<bool, StoreError> {
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
    let base = layout.as_ref().map(|layout| layout as &dyn Source);
    let mut source = With {
        name: path.display().to_string(),
        base,
        documents: commit.documents(),
    };
    let edit = commit.edit(&source, old.as_deref())?;
    source.add(&edit);
    let placed = place_blobs(writer, &directory, commit, &source.documents)?;
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

/// The blobs that a commit has given a name. Dropped before the index names them, the new
/// ones lose it again: a full disk leaves no layer that belongs to no image.
struct Placed {
    blobs: Directory,
    /// The directory of each algorithm, and the new names in it.
    names: BTreeMap<String, (Directory, Vec<String>)>,
}

impl Placed {
    fn new(directory: &Directory) -> Result<Self, StoreError> {
        let mut placed = Self {
            blobs: directory.subdirectory("blobs")?,
            names: BTreeMap::new(),
        };
        // Readers expect it, whatever is in it.
        placed.of("sha256")?;
        Ok(placed)
    }

    fn of(&mut self, algorithm: &str) -> Result<&mut (Directory, Vec<String>), StoreError> {
        Ok(match self.names.entry(algorithm.to_owned()) {
            btree_map::Entry::Occupied(there) => there.into_mut(),
            btree_map::Entry::Vacant(free) => {
                free.insert((self.blobs.subdirectory(algorithm)?, Vec::new()))
            }
        })
    }

    /// Places a blob: by `place` in its directory, under its name.
    fn put(
        &mut self,
        text: &str,
        place: impl FnOnce(&Directory, &str) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let digest = digest(&self.blobs.path.display().to_string(), text)?;
        // Refuses algorithms that no reader could check.
        blob_path(&self.blobs.path.display().to_string(), &digest)?;
        let (directory, new) = self.of(digest.algorithm().as_ref())?;
        if place(directory, digest.digest())? {
            new.push(digest.digest().to_owned());
        }
        Ok(())
    }

    fn keep(mut self) {
        self.names.clear();
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        for (directory, new) in self.names.values() {
            for name in new {
                let _ = rustix::fs::unlinkat(&directory.handle, name, AtFlags::empty());
            }
        }
    }
}

/// Gives every blob of a commit its name in `directory`.
fn place_blobs(
    writer: &Writer,
    directory: &Directory,
    commit: &Commit<'_>,
    documents: &BTreeMap<String, Cow<'_, [u8]>>,
) -> Result<Placed, StoreError> {
    let mut placed = Placed::new(directory)?;
    for blob in commit.blobs() {
        let digest = blob.digest().as_ref();
        let held = writer.held.lock().unwrap_or_else(PoisonError::into_inner);
        match (commit.staged.get(digest), held.get(digest)) {
            // It was made for this commit.
            (Some(blob), _) => placed.put(digest, |directory, name| {
                blob.content().place_or_repair(directory, name)
            })?,
            // It was there before.
            (None, Some(file)) => placed.put(digest, |directory, name| {
                Content::of(file).place(directory, name)
            })?,
            (None, None) if documents.contains_key(digest) => {}
            (None, None) => return Err(writer.not_staged(digest)),
        }
        step("layer")?;
    }
    for (digest, bytes) in documents {
        let mut staged = StagedBlob::new(directory)?;
        let path = directory.path.join("blobs");
        io::Write::write_all(&mut staged, bytes).map_err(StoreError::io(path, "write"))?;
        placed.put(digest, |directory, name| {
            staged.content().place_or_repair(directory, name)
        })?;
    }
    Ok(placed)
}

/// Removes what only the replaced entries used; gives the number of blobs that went, and their
/// bytes.
pub(super) fn remove_garbage(
    directory: &Directory,
    source: &dyn Source,
    edit: &Edit,
) -> Result<(usize, u64), StoreError> {
    let (mut count, mut bytes) = (0, 0);
    for blob in garbage(source, &edit.entries, &edit.replaced) {
        let digest = blob.digest();
        if blob_path(&source.name(), digest).is_err() {
            continue;
        }
        // The new index stands: a blob that cannot be removed is no failure.
        if let Ok(names) = directory
            .subdirectory("blobs")
            .and_then(|b| b.subdirectory(digest.algorithm().as_ref()))
        {
            let name = digest.digest();
            let found = rustix::fs::statat(&names.handle, name, AtFlags::SYMLINK_NOFOLLOW);
            let gone = rustix::fs::unlinkat(&names.handle, name, AtFlags::empty());
            if let (Ok(found), Ok(())) = (found, gone) {
                count += 1;
                bytes += u64::try_from(found.st_size).unwrap_or(0);
            }
        }
        step("garbage")?;
    }
    Ok((count, bytes))
}
