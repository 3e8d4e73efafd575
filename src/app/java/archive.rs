//! ZIP archives of classes (APPNOTE.TXT, the JAR File Specification), which may be hostile: what
//! is read from one is bounded.

use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::error::JavaError;
use crate::sysroot::{OpenFile, Sysroot};

/// The most entries of one archive. The largest known (fat jars) have some tens of thousands.
const MAX_ENTRIES: usize = 1 << 18;
/// The most bytes of a class, a manifest or a list of services.
pub(super) const MAX_CLASS: u64 = 16 << 20;
/// The most bytes of an archive or a native library within an archive.
pub(super) const MAX_NESTED: u64 = 512 << 20;

/// An open archive.
pub(super) struct Archive {
    zip: ZipArchive<Box<dyn Bytes>>,
    /// How to show it to a person: its path, `!/` before the name of one within another.
    pub(super) shown: PathBuf,
}

/// Bytes that can be read from any place.
trait Bytes: Read + Seek {}
impl<T: Read + Seek> Bytes for T {}

impl Archive {
    /// Opens the archive at the absolute `path`.
    pub(super) fn open(sysroot: &dyn Sysroot, path: &Path) -> Result<Self, JavaError> {
        let shown = sysroot.display(path);
        let file = sysroot.open(path).map_err(|source| JavaError::Read {
            path: shown.clone(),
            source,
        })?;
        Self::of_file(file, shown)
    }

    /// The archive in an open file.
    pub(super) fn of_file(file: OpenFile, shown: PathBuf) -> Result<Self, JavaError> {
        let reader = BufReader::with_capacity(32 << 10, FileReader { file, at: 0 });
        Self::new(Box::new(reader), shown)
    }

    /// The archive `name` within this one.
    pub(super) fn nested(&mut self, name: &str) -> Result<Option<Self>, JavaError> {
        let Some(bytes) = self.read(name, MAX_NESTED)? else {
            return Ok(None);
        };
        let shown = self.within(name);
        Self::new(Box::new(Cursor::new(bytes)), shown).map(Some)
    }

    fn new(reader: Box<dyn Bytes>, shown: PathBuf) -> Result<Self, JavaError> {
        let zip = ZipArchive::new(reader).map_err(|source| JavaError::Damaged {
            path: shown.clone(),
            source,
        })?;
        if zip.len() > MAX_ENTRIES {
            return Err(JavaError::TooLarge {
                path: shown,
                what: format!("{} entries, more than {MAX_ENTRIES}", zip.len()),
            });
        }
        Ok(Self { zip, shown })
    }

    /// The names of all entries, in the order of the archive.
    pub(super) fn names(&self) -> Vec<String> {
        self.zip
            .file_names_raw()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    /// Whether there is an entry of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.zip.index_for_name_raw(name.as_bytes()).is_some()
    }

    /// What the entry `name` holds, of which more than `limit` bytes are refused; `None` when
    /// there is none.
    pub(super) fn read(&mut self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, JavaError> {
        let shown = self.within(name);
        let damaged = |source| JavaError::Damaged {
            path: shown.clone(),
            source,
        };
        let Some(number) = self.zip.index_for_name_raw(name.as_bytes()) else {
            return Ok(None);
        };
        let entry = self.zip.by_index(number).map_err(damaged)?;
        // What the archive says of the size is no more than a hint.
        let hint = usize::try_from(entry.size().min(limit).min(1 << 20)).unwrap_or(0);
        let mut bytes = Vec::with_capacity(hint);
        entry
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| damaged(ZipError::Io(source)))?;
        if bytes.len() as u64 > limit {
            return Err(JavaError::TooLarge {
                path: shown,
                what: format!("more than {} MiB", limit >> 20),
            });
        }
        Ok(Some(bytes))
    }

    fn within(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}!/{name}", self.shown.display()))
    }
}

/// Whether an archive can be read from `file`, whatever stands before it.
pub(super) fn is_archive(file: OpenFile) -> bool {
    Archive::of_file(file, PathBuf::new()).is_ok()
}

struct FileReader {
    file: OpenFile,
    at: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
