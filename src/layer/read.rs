//! Reading the layers of any image.
//!
//! A layer is hostile until it is read: names cannot leave the image, extended headers are
//! bounded, and so is what a small blob may unpack to.

mod header;

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use oci_spec::image::MediaType;

use super::digest::{Digest, Hasher};
use crate::{ImagePath, ImagePathError};
use header::{Described, next_header};

/// An entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// Where it is in the image. For a [whiteout](LayerEntryKind::Whiteout) this is the path
    /// that it removes, for an [opaque marker](LayerEntryKind::Opaque) the directory.
    pub path: ImagePath,
    /// What it is.
    pub kind: LayerEntryKind,
    /// Size of its content in bytes; of a sparse file with its holes.
    pub size: u64,
    /// Mode bits (the low 12).
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// What a symbolic link says, or the absolute path that a hard link names.
    pub link: Option<PathBuf>,
}

/// What an entry of a layer is (image-spec, `layer.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerEntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A further name of a file.
    HardLink,
    /// `.wh.NAME`: what lower layers have at the path is gone.
    Whiteout,
    /// `.wh..wh..opq`: what lower layers have in the directory is gone.
    Opaque,
    /// A device, a pipe, or a marker of aufs.
    Other,
}

/// What a layer was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSummary {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Size of the uncompressed tar in bytes.
    pub tar_size: u64,
    /// Size of the blob in bytes.
    pub compressed: u64,
    /// Number of entries.
    pub entries: u64,
}

/// How much of a layer is read before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Size of the uncompressed tar in bytes; 256 GiB by default.
    pub tar_size: u64,
    /// Number of entries; 16 million by default.
    pub entries: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            tar_size: 256 << 30,
            entries: 16 << 20,
        }
    }
}

/// Why a layer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The blob cannot be read or does not decompress.
    #[error("the layer cannot be read as {form}: {source}")]
    Io {
        /// What it was read as: `tar`, `gzip` or `zstd`.
        form: &'static str,
        /// What was wrong.
        source: io::Error,
    },
    /// What was unpacked is no tar archive.
    #[error("the layer is no valid tar at byte {at}: {what}")]
    Tar {
        /// Offset in the uncompressed tar.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// An entry's name leads outside the image.
    #[error("the layer has an entry that cannot be placed: {0}")]
    Path(#[from] ImagePathError),
    /// The layer is larger than the limit.
    #[error(
        "the layer has more than {limit} {what}: refused, it may be made to exhaust the reader"
    )]
    Limit {
        /// The limit.
        limit: u64,
        /// Of what: `bytes` or `entries`.
        what: &'static str,
    },
    /// The visitor gave up.
    #[error("{path}: {source}")]
    Visit {
        /// The entry.
        path: ImagePath,
        /// What the visitor said.
        source: io::Error,
    },
}

/// Reads the whole layer and shows every entry to `visit`, in order, with a reader of its
/// content. What `visit` leaves unread is skipped. The content of a sparse file is as the
/// archive stores it: without its holes.
///
/// The media type tells how the layer is compressed; where it names no compression, the
/// first bytes do, since some stores keep gzip under the type of a plain tar.
///
/// # Errors
/// When the blob cannot be read or decompressed, is no tar, has a name that leads outside
/// the image, is beyond [`ReadLimits::default`], or `visit` fails.
pub fn read_layer(
    reader: impl Read,
    media_type: &MediaType,
    visit: &mut dyn FnMut(&LayerEntry, &mut dyn Read) -> io::Result<()>,
) -> Result<LayerSummary, ReadError> {
    read_layer_within(reader, media_type, &ReadLimits::default(), visit)
}

/// [`read_layer`] with limits of the caller's own.
///
/// # Errors
/// Those of [`read_layer`].
pub fn read_layer_within(
    reader: impl Read,
    media_type: &MediaType,
    limits: &ReadLimits,
    visit: &mut dyn FnMut(&LayerEntry, &mut dyn Read) -> io::Result<()>,
) -> Result<LayerSummary, ReadError> {
    let mut blob = BufReader::with_capacity(128 << 10, Counted::new(reader));
    let form = Form::of(media_type, &mut blob)?;
    let failed = |source| form.error(source);
    let mut tar = match form {
        Form::Tar => read_tar(&mut blob, form, limits, visit)?,
        Form::Gzip => {
            let gzip = flate2::bufread::MultiGzDecoder::new(&mut blob);
            read_tar(gzip, form, limits, visit)?
        }
        Form::Zstd => {
            let zstd = zstd::stream::read::Decoder::with_buffer(&mut blob).map_err(failed)?;
            read_tar(zstd, form, limits, visit)?
        }
    };
    // Whoever checks the blob's digest does so at its end.
    io::copy(&mut blob, &mut io::sink()).map_err(failed)?;
    tar.compressed = blob.get_ref().count;
    Ok(tar)
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Tar,
    Gzip,
    Zstd,
}

impl Form {
    fn of(media_type: &MediaType, blob: &mut impl BufRead) -> Result<Self, ReadError> {
        let name = media_type.to_string();
        if name.ends_with("gzip") {
            return Ok(Self::Gzip);
        }
        if name.ends_with("zstd") {
            return Ok(Self::Zstd);
        }
        let start = loop {
            match blob.fill_buf() {
                Ok(start) => break start,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Self::Tar.error(error)),
            }
        };
        Ok(match start {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Tar,
        })
    }

    fn error(self, source: io::Error) -> ReadError {
        ReadError::Io {
            form: match self {
                Self::Tar => "tar",
                Self::Gzip => "gzip",
                Self::Zstd => "zstd",
            },
            source,
        }
    }
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R> Counted<R> {
    fn new(inner: R) -> Self {
        Self { inner, count: 0 }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// The uncompressed tar: hashed, counted and limited as it is read.
struct Tar<R> {
    inner: R,
    hasher: Hasher,
    position: u64,
    limit: u64,
}

/// Passed through `io::Error` to where the limit is told from other failures.
#[derive(Debug)]
struct OverLimit;

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the limit on a layer's size is reached")
    }
}

impl std::error::Error for OverLimit {}

impl<R: Read> Read for Tar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.position += count as u64;
        if self.position > self.limit {
            return Err(io::Error::other(OverLimit));
        }
        Ok(count)
    }
}

impl<R: Read> Tar<R> {
    /// Reads and forgets `count` bytes.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let mut scratch = [0; 16 << 10];
        let mut left = count;
        while left > 0 {
            let want = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(scratch.len());
            match self.read(scratch.get_mut(..want).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => left -= read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn read_tar(
    reader: impl Read,
    form: Form,
    limits: &ReadLimits,
    visit: &mut dyn FnMut(&LayerEntry, &mut dyn Read) -> io::Result<()>,
) -> Result<LayerSummary, ReadError> {
    let mut tar = Tar {
        inner: reader,
        hasher: Hasher::new(),
        position: 0,
        limit: limits.tar_size,
    };
    let failed = |source: io::Error| {
        if source
            .get_ref()
            .is_some_and(|inner| inner.is::<OverLimit>())
        {
            return ReadError::Limit {
                limit: limits.tar_size,
                what: "bytes",
            };
        }
        form.error(source)
    };
    let mut entries = 0;
    while let Described::Entry {
        name,
        link,
        stored,
        mut entry,
    } = next_header(&mut tar, &failed)?
    {
        entries += 1;
        if entries > limits.entries {
            return Err(ReadError::Limit {
                limit: limits.entries,
                what: "entries",
            });
        }
        place(&mut entry, &name, link)?;
        let mut content = (&mut tar).take(stored);
        if let Err(source) = visit(&entry, &mut content) {
            // A failure of the blob that the visitor only passed on is the blob's.
            return Err(match source.get_ref() {
                Some(inner) if inner.is::<OverLimit>() => failed(source),
                _ => ReadError::Visit {
                    path: entry.path,
                    source,
                },
            });
        }
        let left = content.limit();
        let at = tar.position;
        tar.skip(left).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Tar {
                at,
                what: format!("it ends within {}", entry.path),
            },
            _ => failed(error),
        })?;
        match tar.skip(super::tar::padding(stored)) {
            // Some writers end with the last byte of the last file, and Go's reader lets them.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            padding => padding.map_err(&failed)?,
        }
    }
    // What follows the end belongs to the diff_id as well.
    io::copy(&mut tar, &mut io::sink()).map_err(&failed)?;
    Ok(LayerSummary {
        diff_id: tar.hasher.finish(),
        tar_size: tar.position,
        compressed: 0,
        entries,
    })
}

/// Gives the entry its path in the image, and whiteouts their meaning.
fn place(entry: &mut LayerEntry, name: &[u8], link: Vec<u8>) -> Result<(), ReadError> {
    let path = image_path(name)?;
    entry.link = match entry.kind {
        LayerEntryKind::Symlink => Some(os_path(link)),
        LayerEntryKind::HardLink => Some(image_path(&link)?.into()),
        _ => None,
    };
    entry.path = path;
    let Some(name) = entry.path.file_name() else {
        return Ok(());
    };
    let Some(hidden) = name.as_encoded_bytes().strip_prefix(b".wh.") else {
        return Ok(());
    };
    let parent = entry.path.parent().unwrap_or_else(ImagePath::root);
    if hidden == b".wh..opq" {
        entry.kind = LayerEntryKind::Opaque;
        entry.path = parent;
    } else if hidden.is_empty() || hidden.starts_with(b".wh.") {
        entry.kind = LayerEntryKind::Other;
    } else {
        entry.kind = LayerEntryKind::Whiteout;
        entry.path = parent.join(os_path(hidden.to_vec()))?;
    }
    Ok(())
}

/// A name of the archive (`./usr/lib`, `usr/lib/`, `/usr/lib`) as a path in the image.
fn image_path(name: &[u8]) -> Result<ImagePath, ImagePathError> {
    let mut absolute = b"/".to_vec();
    absolute.extend_from_slice(name);
    ImagePath::new(os_path(absolute))
}

fn os_path(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
pub(in crate::layer) mod tests;
