//! Unpacking a layer into its place.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Kept, LOCK, NAME_LIMIT, NEW, OLD, RECORD, SMALL};
use crate::ImagePath;
use crate::layer::read::read_layer_within;
use crate::layer::{Digest, LayerEntry, LayerEntryKind, LayerSummary, ReadError, ReadLimits};
use crate::parent::record::{Item, Record, What};
use crate::parent::{ParentError, ParentLayer};
use crate::store::Source;
use crate::sysroot::identity_of;

/// Files of at most this many bytes share one file: to make a file costs more than to write a
/// few KiB.
const SMALL_FILE: u64 = 4 << 10;
/// Bytes that the shared file may have, as it is read into memory when the layer is used.
const MAX_SMALL: u64 = 64 << 20;
/// The kernel's limit on a path (`PATH_MAX`), in bytes.
const MAX_PATH: usize = 4096;
/// What one layer may be made of.
const LIMITS: ReadLimits = ReadLimits {
    tar_size: 64 << 30,
    entries: super::ENTRY_LIMIT,
};
const BLOCK: usize = 64 << 10;

impl Kept {
    /// Unpacks `layer` and puts it into its place, in place of what may be there.
    pub(super) fn make(
        &self,
        source: &dyn Source,
        layer: &ParentLayer,
        shown: &str,
    ) -> Result<(), ParentError> {
        let write = |path: &Path, source| ParentError::Write {
            path: path.to_path_buf(),
            source,
        };
        let aside = tempfile::Builder::new()
            .prefix(NEW)
            .tempdir_in(&self.directory)
            .map_err(|error| write(&self.directory, error))?;
        // Held until it is in its place, so that no one takes it for a leftover.
        let lock = create(&aside.path().join(LOCK)).map_err(|error| write(aside.path(), error))?;
        // A file system without locks has one build at a time, as far as we can see to it.
        let _ = lock.try_lock_shared();
        let record = unpack(source, layer, shown, aside.path())?;
        create(&aside.path().join(RECORD))
            .and_then(|mut file| file.write_all(&record.to_bytes()))
            .map_err(|error| write(aside.path(), error))?;
        self.put(aside, &layer.diff_id)
            .map_err(|error| write(&self.directory, error))?;
        drop(lock);
        Ok(())
    }

    /// Renames what is whole into its place.
    fn put(&self, aside: TempDir, diff_id: &Digest) -> io::Result<()> {
        let place = self.place(diff_id);
        // The second time, what was there is out of the way.
        for _ in 0..2 {
            match fs::rename(aside.path(), &place) {
                Ok(()) => {
                    // It is gone from there, and must not be removed from its new place.
                    let _ = aside.keep();
                    return Ok(());
                }
                Err(error) if !is_occupied(&error) => return Err(error),
                // Another build was faster.
                Err(_) if self.load(diff_id).is_some() => return Ok(()),
                Err(_) => self.set_aside(&place)?,
            }
        }
        // Something else took the place at once; it is looked at next.
        Ok(())
    }

    /// Takes a layer that was found to be bad out of its place. If another build still uses it,
    /// its files are left for that one, and for a later build to remove.
    fn set_aside(&self, place: &Path) -> io::Result<()> {
        let old = tempfile::Builder::new()
            .prefix(OLD)
            .tempdir_in(&self.directory)?;
        match fs::rename(place, old.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A file that took its place.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return fs::remove_file(place);
            }
            other => other?,
        }
        let lock = File::open(old.path().join(LOCK));
        if lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock))) {
            let _ = old.keep();
        }
        Ok(())
    }
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory
    )
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(path)
}

/// Reads the whole layer into `directory`.
fn unpack(
    source: &dyn Source,
    layer: &ParentLayer,
    shown: &str,
    directory: &Path,
) -> Result<Record, ParentError> {
    let written = |path: &Path, source| ParentError::Write {
        path: path.to_path_buf(),
        source,
    };
    let mut files = Files::create(directory).map_err(|error| written(directory, error))?;
    let blob = source.blob(&layer.descriptor)?;
    let media_type = layer.descriptor.media_type();
    let read = read_layer_within(blob, media_type, &LIMITS, &mut |entry, content| {
        files.add(entry, content)
    });
    if let Some(error) = files.failed.take() {
        return Err(written(directory, error));
    }
    let summary: LayerSummary = read.map_err(|source: ReadError| ParentError::Layer {
        image: shown.to_owned(),
        digest: layer.digest,
        source,
    })?;
    if summary.diff_id != layer.diff_id {
        return Err(ParentError::DiffId {
            image: shown.to_owned(),
            digest: layer.digest,
            expected: Box::new(layer.diff_id),
            found: Box::new(summary.diff_id),
        });
    }
    files
        .finish(&summary)
        .map_err(|error| written(directory, error))
}

/// The files of a layer as they come.
struct Files {
    directory: PathBuf,
    small: BufWriter<File>,
    small_size: u64,
    own: u64,
    names: u64,
    items: Vec<Item>,
    /// Why nothing can be written any more: told apart from a blob that cannot be read.
    failed: Option<io::Error>,
}

impl Files {
    fn create(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_path_buf(),
            small: BufWriter::with_capacity(256 << 10, create(&directory.join(SMALL))?),
            small_size: 0,
            own: 0,
            names: 0,
            items: Vec::new(),
            failed: None,
        })
    }

    fn finish(self, summary: &LayerSummary) -> io::Result<Record> {
        let small = self
            .small
            .into_inner()
            .map_err(|error| error.into_error())?;
        Ok(Record {
            diff_id: summary.diff_id,
            tar_size: summary.tar_size,
            small: identity_of(&small)?,
            items: self.items,
        })
    }

    fn add(&mut self, entry: &LayerEntry, content: &mut dyn Read) -> io::Result<()> {
        let refuse = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
        let target = entry
            .link
            .as_deref()
            .map_or(0, |link| link.as_os_str().len());
        let (path, target) = (entry.path.as_bytes().len(), target);
        if path > MAX_PATH || target > MAX_PATH {
            return refuse("its name or what it links to is longer than any path can be");
        }
        self.names += (path + target) as u64;
        if self.names > NAME_LIMIT {
            return refuse("the names of the layer's entries are too long, all together");
        }
        let (Ok(uid), Ok(gid)) = (u32::try_from(entry.uid), u32::try_from(entry.gid)) else {
            return refuse("its owner is no user that Linux can have");
        };
        let what = match (entry.kind, &entry.link) {
            (LayerEntryKind::File, _) => self.file(entry.size, content)?,
            (LayerEntryKind::Directory, _) => What::Directory,
            (LayerEntryKind::Symlink, Some(target)) => What::Symlink(target.clone()),
            (LayerEntryKind::HardLink, Some(target)) => match ImagePath::new(target) {
                Ok(target) => What::HardLink(target),
                Err(error) => return refuse(&error.to_string()),
            },
            (LayerEntryKind::Symlink | LayerEntryKind::HardLink, None) => {
                return refuse("it is a link to nothing");
            }
            (LayerEntryKind::Whiteout, _) => What::Whiteout,
            (LayerEntryKind::Opaque, _) => What::Opaque,
            // What aufs left in the archive is no file of the image.
            (LayerEntryKind::Other, _) if is_marker(&entry.path) => return Ok(()),
            (LayerEntryKind::Other, _) => What::LeftOut,
        };
        self.items.push(Item {
            path: entry.path.clone(),
            mode: entry.mode & 0o7777,
            uid,
            gid,
            what,
        });
        Ok(())
    }

    fn file(&mut self, size: u64, content: &mut dyn Read) -> io::Result<What> {
        if size <= SMALL_FILE && self.small_size + size <= MAX_SMALL {
            let mut bytes = Vec::new();
            content.take(SMALL_FILE + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 != size {
                return Ok(What::LeftOut);
            }
            let offset = self.small_size;
            let result = self.small.write_all(&bytes);
            self.wrote(result)?;
            self.small_size += size;
            return Ok(What::Small { offset, size });
        }
        let path = self.directory.join(self.own.to_string());
        let created = create(&path);
        let mut file = self.wrote(created)?;
        let mut block = vec![0; BLOCK];
        let mut written = 0;
        loop {
            let count = match content.read(&mut block) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let result = file.write_all(block.get(..count).unwrap_or_default());
            self.wrote(result)?;
            written += count as u64;
        }
        if written != size {
            // A sparse file comes without its holes.
            let removed = fs::remove_file(&path);
            self.wrote(removed)?;
            return Ok(What::LeftOut);
        }
        let found = identity_of(&file);
        let identity = self.wrote(found)?;
        let number = self.own;
        self.own += 1;
        Ok(What::Own { number, identity })
    }

    /// Remembers that it is the disk that failed.
    fn wrote<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let told = io::Error::from(error.kind());
            self.failed = Some(error);
            told
        })
    }
}

fn is_marker(path: &ImagePath) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b".wh."))
}
