//! Tar archives that hold a store, read: a directory of the entries, and blobs from
//! their offsets. OCI archives (a tar of an image layout) are a [`Source`] by that.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, Digest, ImageIndex};
use rustix::fs::OFlags;

use super::attached::Known;
use super::layout::check_version;
use super::read::{Verified, blob_path, bounded, document};
use super::{Attached, Source, StoreError};

/// The most entries that an archive may have; docker's largest have some hundreds.
const MOST_ENTRIES: usize = 200_000;

/// The most links that one name may lead through.
const MOST_LINKS: usize = 8;

/// Where an entry's bytes are, or what it links to.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    File { offset: u64, size: u64 },
    Link(String),
}

/// A tar archive with the places of its entries.
///
/// Names are taken without a leading `./`; entries that are absolute or contain `..`
/// are ignored. Of two entries with one name the last counts, as when a tar is
/// unpacked. Links are followed inside the archive (`docker save` writes a layer that
/// two images share as a link).
#[derive(Debug)]
pub(super) struct Tar {
    pub(super) path: PathBuf,
    file: File,
    entries: HashMap<String, Entry>,
}

impl Tar {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => StoreError::NotFound(path.to_path_buf()),
                _ => StoreError::io(path, "open")(error),
            })?;
        let metadata = file.metadata().map_err(StoreError::io(path, "read"))?;
        let not_an_image = |found: &str| StoreError::NotAnImage {
            path: path.to_path_buf(),
            found: found.to_owned(),
        };
        if !metadata.is_file() {
            return Err(not_an_image("neither a regular file nor a directory"));
        }
        if metadata.len() == 0 {
            return Err(not_an_image("an empty file"));
        }
        recognise(path, &file)?;
        let mut tar = Self {
            path: path.to_path_buf(),
            file,
            entries: HashMap::new(),
        };
        tar.scan(metadata.len())?;
        Ok(tar)
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn scan(&mut self, length: u64) -> Result<(), StoreError> {
        let store = self.name();
        let damaged = |problem: String| StoreError::damaged(&store, "the tar", problem);
        let reader = self
            .file
            .try_clone()
            .map_err(StoreError::io(&self.path, "read"))?;
        let mut archive = tar::Archive::new(reader);
        let entries = archive
            .entries_with_seek()
            .map_err(StoreError::io(&self.path, "read"))?;
        let mut seen = 0;
        for entry in entries {
            let entry = entry.map_err(|error| damaged(error.to_string()))?;
            seen += 1;
            if seen > MOST_ENTRIES {
                return Err(damaged(format!("it has more than {MOST_ENTRIES} entries")));
            }
            let Some(name) = clean(&entry.path_bytes()) else {
                continue;
            };
            let kind = entry.header().entry_type();
            let place = if kind.is_file() || kind.is_contiguous() {
                let (offset, size) = (entry.raw_file_position(), entry.size());
                if offset.checked_add(size).is_none_or(|end| end > length) {
                    return Err(damaged(format!("it ends in the middle of {name}")));
                }
                Entry::File { offset, size }
            } else if kind.is_symlink() || kind.is_hard_link() {
                let Some(target) = entry.link_name_bytes() else {
                    continue;
                };
                let target = String::from_utf8_lossy(&target).into_owned();
                let target = if kind.is_symlink() {
                    beside(&name, &target)
                } else {
                    clean(target.as_bytes())
                };
                let Some(target) = target else { continue };
                Entry::Link(target)
            } else {
                continue;
            };
            self.entries.insert(name, place);
        }
        Ok(())
    }

    /// The offset and size of a file's bytes, links followed.
    pub(super) fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = name;
        for _ in 0..=MOST_LINKS {
            match self.entries.get(name)? {
                Entry::File { offset, size } => return Some((*offset, *size)),
                Entry::Link(target) => name = target,
            }
        }
        None
    }

    pub(super) fn reader(&self, offset: u64, size: u64) -> Slice<'_> {
        Slice {
            file: &self.file,
            offset,
            left: size,
        }
    }

    /// A small file's bytes; `None` when it is not there.
    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((offset, size)) = self.find(name) else {
            return Ok(None);
        };
        bounded(&self.name(), name, size, self.reader(offset, size)).map(Some)
    }

    /// The regular files with their offsets and sizes.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.entries.keys().filter_map(|name| {
            let (offset, size) = self.find(name)?;
            Some((name.as_str(), offset, size))
        })
    }

    /// A few of its names, sorted, for messages.
    pub(super) fn some_names(&self) -> String {
        let mut names: Vec<&str> = self.entries.keys().map(String::as_str).collect();
        names.sort_unstable();
        let shown = names
            .get(..names.len().min(3))
            .unwrap_or_default()
            .join(", ");
        if names.len() > 3 {
            format!("{shown}, …")
        } else {
            shown
        }
    }
}

/// Refuses what is compressed or no tar, by its first bytes.
fn recognise(path: &Path, file: &File) -> Result<(), StoreError> {
    let mut start = Vec::new();
    Slice {
        file,
        offset: 0,
        left: 512,
    }
    .read_to_end(&mut start)
    .map_err(StoreError::io(path, "read"))?;
    let compressors: [(&[u8], &str, &str); 4] = [
        (b"\x1f\x8b", "gzip", "gunzip"),
        (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
        (b"\xfd7zXZ\0", "xz", "unxz"),
        (b"BZh", "bzip2", "bunzip2"),
    ];
    for (magic, with, command) in compressors {
        if start.starts_with(magic) {
            return Err(StoreError::Compressed {
                path: path.to_path_buf(),
                with,
                command,
            });
        }
    }
    let ustar = start.get(257..262) == Some(b"ustar");
    let header: Option<&[u8; 512]> = start.first_chunk();
    let old = header.is_some_and(|bytes| {
        let header = tar::Header::from_byte_slice(bytes);
        let sum: u32 = (0..512)
            .zip(bytes)
            .map(|(at, byte)| {
                if (148..156).contains(&at) {
                    32
                } else {
                    u32::from(*byte)
                }
            })
            .sum();
        header.cksum().is_ok_and(|written| written == sum)
    });
    if ustar || old {
        return Ok(());
    }
    Err(StoreError::NotAnImage {
        path: path.to_path_buf(),
        found: "a file that is no tar archive".into(),
    })
}

/// A name in one spelling; `None` when it is not UTF-8, absolute or leads upwards.
fn clean(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    if name.starts_with('/') {
        return None;
    }
    let parts: Vec<&str> = name
        .split('/')
        .filter(|p| !matches!(*p, "" | "."))
        .collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

/// The name that a symbolic link beside `name` leads to; `None` when that lies outside.
fn beside(name: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// A part of a file, read by offset, so that many can be read at once.
#[derive(Debug)]
pub(super) struct Slice<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let Some(room) = buffer.get_mut(..most) else {
            return Ok(0);
        };
        let count = self.file.read_at(room, self.offset)?;
        self.offset += count as u64;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

/// An OCI archive: an uncompressed tar of an image layout.
#[derive(Debug)]
pub struct OciArchive {
    pub(super) tar: Tar,
    known: Known,
}

impl OciArchive {
    /// Opens the archive at `path`.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let tar = Tar::open(path.as_ref())?;
        if !Self::is_in(&tar) {
            return Err(StoreError::NotAnImage {
                path: tar.path.clone(),
                found: "a tar archive without oci-layout and index.json".into(),
            });
        }
        Self::of(tar)
    }

    /// Whether a tar holds an image layout.
    pub(super) fn is_in(tar: &Tar) -> bool {
        tar.find("oci-layout").is_some() && tar.find("index.json").is_some()
    }

    pub(super) fn of(tar: Tar) -> Result<Self, StoreError> {
        let version = tar.document("oci-layout")?.unwrap_or_default();
        check_version(&tar.name(), &version)?;
        Ok(Self {
            tar,
            known: Known::default(),
        })
    }

    pub(super) fn raw_index(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.tar.document("index.json")?.unwrap_or_default())
    }
}

impl Source for OciArchive {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        document(&self.name(), "index.json", &self.raw_index()?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let digest = descriptor.digest();
        let (path, check) = blob_path(&self.name(), digest)?;
        let (offset, size) = self
            .tar
            .find(&path)
            .ok_or_else(|| StoreError::MissingBlob {
                store: self.name(),
                digest: digest.to_string(),
            })?;
        let slice = self.tar.reader(offset, size);
        Ok(Box::new(Verified::new(
            slice,
            check,
            digest,
            descriptor.size(),
        )))
    }

    fn attached(&self, subject: &Digest) -> Result<Vec<Attached>, StoreError> {
        self.known.attached(self, self.raw_index()?, subject)
    }

    fn name(&self) -> String {
        self.tar.name()
    }
}
