//! Reading documents and blobs, checked as they pass.

use std::io::{self, Read};

use oci_spec::image::{
    Descriptor, Digest, DigestAlgorithm, ImageConfiguration, ImageIndex, ImageManifest,
};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256, Sha512};

use super::{Source, StoreError};
use crate::image::parse;

/// The most bytes that an index, a manifest or a config may have. Registries refuse
/// more than 4 MiB as well (distribution-spec, "Pushing Manifests").
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// The path of a blob below `blobs/`, and the hasher that checks it. A digest that is
/// parsed has hexadecimal digits alone, so that no path comes from outside.
pub(super) fn blob_path(store: &str, digest: &Digest) -> Result<(String, Check), StoreError> {
    let check = Check::of(digest.algorithm()).ok_or_else(|| StoreError::UnknownAlgorithm {
        store: store.to_owned(),
        digest: digest.to_string(),
    })?;
    let path = format!("blobs/{}/{}", digest.algorithm(), digest.digest());
    Ok((path, check))
}

/// A hasher of one of the two algorithms that image-spec registers.
pub(crate) enum Check {
    Sha256(Box<Sha256>),
    Sha512(Box<Sha512>),
}

impl Check {
    /// A hasher of this algorithm; `None` for one that is not known.
    pub(crate) fn of(algorithm: &DigestAlgorithm) -> Option<Self> {
        match algorithm {
            DigestAlgorithm::Sha256 => Some(Self::Sha256(Box::default())),
            DigestAlgorithm::Sha512 => Some(Self::Sha512(Box::default())),
            _ => None,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest in hexadecimal digits.
    pub(crate) fn finish(&mut self) -> String {
        use std::fmt::Write;
        let digest: Vec<u8> = match self {
            Self::Sha256(hasher) => hasher.finalize_reset().to_vec(),
            Self::Sha512(hasher) => hasher.finalize_reset().to_vec(),
        };
        digest.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// A reader that fails at the end of a blob when its size or its digest are not those
/// that were promised, and never gives more bytes than promised.
pub(crate) struct Verified<R> {
    inner: R,
    check: Check,
    digest: Digest,
    left: u64,
    size: u64,
    done: bool,
}

impl<R: Read> Verified<R> {
    pub(crate) fn new(inner: R, check: Check, digest: &Digest, size: u64) -> Self {
        Self {
            inner,
            check,
            digest: digest.clone(),
            left: size,
            size,
            done: false,
        }
    }

    fn wrong(&self, what: String) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the blob {} is damaged: {what}", self.digest),
        )
    }

    fn end(&mut self) -> io::Result<usize> {
        if self.left > 0 {
            let found = self.size - self.left;
            return Err(self.wrong(format!("it has {found} bytes instead of {}", self.size)));
        }
        if !self.done {
            let found = self.check.finish();
            if found != self.digest.digest() {
                let algorithm = self.digest.algorithm();
                return Err(self.wrong(format!("its content has the digest {algorithm}:{found}")));
            }
            self.done = true;
        }
        Ok(0)
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.done {
            return Ok(0);
        }
        if self.left == 0 {
            // One byte more than promised is one too many.
            if self.inner.read(&mut [0])? > 0 {
                return Err(self.wrong(format!("it has more than {} bytes", self.size)));
            }
            return self.end();
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let Some(room) = buffer.get_mut(..most) else {
            return Ok(0);
        };
        let count = self.inner.read(room)?;
        if count == 0 {
            return self.end();
        }
        self.check.update(room.get(..count).unwrap_or_default());
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

/// Reads at most [`DOCUMENT_LIMIT`] bytes.
pub(super) fn bounded(
    store: &str,
    part: &str,
    size: u64,
    reader: impl Read,
) -> Result<Vec<u8>, StoreError> {
    if size > DOCUMENT_LIMIT {
        return Err(StoreError::TooLarge {
            store: store.to_owned(),
            part: part.to_owned(),
            size,
            limit: DOCUMENT_LIMIT,
        });
    }
    let mut bytes = Vec::new();
    reader
        .take(DOCUMENT_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| StoreError::damaged(store, part, error))?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(StoreError::TooLarge {
            store: store.to_owned(),
            part: part.to_owned(),
            size: bytes.len() as u64,
            limit: DOCUMENT_LIMIT,
        });
    }
    Ok(bytes)
}

/// Parses a document.
pub(super) fn document<T: DeserializeOwned>(
    store: &str,
    part: &str,
    bytes: &[u8],
) -> Result<T, StoreError> {
    parse(bytes).map_err(|error| StoreError::damaged(store, part, error))
}

/// The bytes of a small blob: an index, a manifest or a config.
///
/// # Errors
/// When it is missing, damaged, or larger than [`DOCUMENT_LIMIT`].
pub fn read_document(source: &dyn Source, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
    let part = format!("the blob {}", descriptor.digest());
    let size = descriptor.size();
    if size > DOCUMENT_LIMIT {
        return bounded(&source.name(), &part, size, io::empty());
    }
    bounded(&source.name(), &part, size, source.blob(descriptor)?)
}

fn read_as<T: DeserializeOwned>(
    source: &dyn Source,
    descriptor: &Descriptor,
    kind: &str,
) -> Result<T, StoreError> {
    let part = format!("the {kind} {}", descriptor.digest());
    document(&source.name(), &part, &read_document(source, descriptor)?)
}

/// The image manifest that `descriptor` names.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read_manifest(
    source: &dyn Source,
    descriptor: &Descriptor,
) -> Result<ImageManifest, StoreError> {
    read_as(source, descriptor, "manifest")
}

/// The image index that `descriptor` names.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read_index(source: &dyn Source, descriptor: &Descriptor) -> Result<ImageIndex, StoreError> {
    read_as(source, descriptor, "index")
}

/// The config of the image whose manifest is `manifest`.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read_config(
    source: &dyn Source,
    manifest: &ImageManifest,
) -> Result<ImageConfiguration, StoreError> {
    read_as(source, manifest.config(), "config")
}
