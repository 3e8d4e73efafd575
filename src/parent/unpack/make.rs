//! Unpacking a layer into its place.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Kept, NAME_LIMIT, RECORD, not_written};
use crate::ImagePath;
use crate::layer::read::read_layer_within;
use crate::layer::{LayerEntry, LayerEntryKind, LayerSummary, ReadError, ReadLimits};
use crate::parent::record::{Item, Record, What};
use crate::parent::{ParentError, ParentLayer};
use crate::shelf;
use crate::store::Source;
use crate::sysroot::identity_of;

/// Files of at most this many bytes share one file.
const SMALL_FILE: u64 = 4 << 10;
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
        let aside = self.0.aside().map_err(not_written)?;
        let record = unpack(source, layer, shown, aside.path())?;
        aside
            .record(RECORD, &record.to_bytes())
            .map_err(not_written)?;
        let diff_id = &layer.diff_id;
        self.0
            .put(aside, diff_id, || self.load(diff_id).is_some())
            .map_err(not_written)
    }
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
    files: shelf::Files,
    names: u64,
    items: Vec<Item>,
    /// Why nothing can be written any more: told apart from a blob that cannot be read.
    failed: Option<io::Error>,
}

impl Files {
    fn create(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_path_buf(),
            files: shelf::Files::create(directory)?,
            names: 0,
            items: Vec::new(),
            failed: None,
        })
    }

    fn finish(self, summary: &LayerSummary) -> io::Result<Record> {
        Ok(Record {
            diff_id: summary.diff_id,
            tar_size: summary.tar_size,
            small: self.files.finish()?,
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
        if size <= SMALL_FILE
            && let Some(offset) = self.files.next_small(size)
        {
            let mut bytes = Vec::new();
            content.take(SMALL_FILE + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 != size {
                return Ok(What::LeftOut);
            }
            let result = self.files.write_small(&bytes);
            self.wrote(result)?;
            return Ok(What::Small { offset, size });
        }
        let created = self.files.next_own();
        let (number, mut file) = self.wrote(created)?;
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
            let removed = fs::remove_file(self.directory.join(number.to_string()));
            self.wrote(removed)?;
            return Ok(What::LeftOut);
        }
        let found = identity_of(&file);
        let identity = self.wrote(found)?;
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
