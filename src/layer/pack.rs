//! From entries to a layer's blob.

use std::io::{self, Write};
use std::path::PathBuf;

use oci_spec::image::MediaType;

use super::cache::recipe_key;
use super::compress::CompressionError;
use super::estargz::{self, Estargz};
use super::pipeline::{Job, WrittenMember};
use super::tar::{self, End, Placed, Plan};
use super::{Cache, Compression, Digest};
use crate::ImagePath;
use crate::rootfs::{Entry, EntryKind};

/// A packed layer: what a manifest and a config say of it. The blob itself was
/// written where the caller wanted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Media type of the blob.
    pub media_type: MediaType,
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Size of the uncompressed tar in bytes.
    pub tar_size: u64,
    /// Annotations of its descriptor (eStargz needs one).
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// Why a layer could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file of this machine cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of this machine is not in the state any more in which the tree saw it.
    #[error(
        "{} changed while it was being read: {what}; build again when nothing writes to it",
        .path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// The blob cannot be written.
    #[error("the layer cannot be written: {0}")]
    Write(#[source] io::Error),
    /// The compressor failed, most likely for want of memory.
    #[error("the layer cannot be compressed: {0}")]
    Compress(#[source] io::Error),
    /// The level is outside the codec's range.
    #[error(transparent)]
    Level(#[from] CompressionError),
    /// The entries are not sorted by path, or one comes twice.
    #[error("{path} is not after the entry before it: a layer's entries are sorted and come once")]
    Order {
        /// The entry.
        path: ImagePath,
    },
    /// A hard link's target is no file of the same layer that comes before it.
    #[error("{path} is a hard link to {target}, which is no file before it in the same layer")]
    HardLink {
        /// The link.
        path: ImagePath,
        /// What it names.
        target: ImagePath,
    },
    /// eStargz keeps this name for itself.
    #[error("{path} is a name that eStargz uses itself: leave the file out, or choose gzip")]
    Reserved {
        /// The entry.
        path: ImagePath,
    },
    /// eStargz's table of contents is JSON and holds only names in UTF-8.
    #[error(
        "{path} has a name or target that is not UTF-8, which eStargz cannot list: choose gzip"
    )]
    NotUtf8 {
        /// The entry.
        path: ImagePath,
    },
}

/// Packs entries into layers.
pub struct Packer<'a> {
    /// How the blob is compressed.
    pub compression: Compression,
    /// Modification time of every entry, in seconds since the epoch.
    pub epoch: u64,
    /// Number of threads that compress, at least 1. Never changes a byte.
    pub threads: usize,
    /// Where compressed members and finished layers are kept between builds.
    pub cache: Option<&'a Cache>,
    /// Told the number of uncompressed bytes packed since the last call, from any thread.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Packer<'_> {
    /// The layer that these entries made the last time, when none of their files has
    /// changed since. Nothing is read but the cache.
    pub fn known(&self, entries: &[(&ImagePath, &Entry)]) -> Option<Layer> {
        let cache = self.cache?;
        cache.known(&recipe_key(entries, self.compression, self.epoch))
    }

    /// Writes the blob of a [`known`](Self::known) layer from the cache alone; `false` when a
    /// part of it is no longer there, or no longer what it was (then nothing useful was
    /// written to `out`, and [`pack`](Self::pack) has to make it).
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn restore(&self, layer: &Layer, out: &mut (dyn Write + Send)) -> Result<bool, PackError> {
        let Some(cache) = self.cache else {
            return Ok(false);
        };
        let restored = cache.restore(layer, out)?;
        if restored {
            (self.progress)(layer.tar_size);
        }
        Ok(restored)
    }

    /// Packs `entries`, which must be sorted by path, and writes the blob to `out`.
    ///
    /// # Errors
    /// When a file cannot be read or has changed since the tree was made, `out` cannot be
    /// written, or the entries make no layer: not sorted, a hard link without its file, a
    /// level that the codec does not have, a name that eStargz cannot hold.
    pub fn pack(
        &self,
        entries: &[(&ImagePath, &Entry)],
        out: &mut (dyn Write + Send),
    ) -> Result<Layer, PackError> {
        self.compression.check()?;
        check(entries)?;
        let (layer, members) = match self.compression {
            Compression::Estargz(_) => self.pack_estargz(entries, out)?,
            _ => self.pack_plain(entries, out)?,
        };
        if let Some(cache) = self.cache {
            let key = recipe_key(entries, self.compression, self.epoch);
            cache.record(&key, entries, &layer, &members);
            cache.tidy();
        }
        Ok(layer)
    }

    fn pack_plain(
        &self,
        entries: &[Placed<'_>],
        out: &mut (dyn Write + Send),
    ) -> Result<(Layer, Vec<WrittenMember>), PackError> {
        let plan = Plan::new(entries, self.epoch, tar::LARGE, End::Blocks);
        let written = self.job(entries, &plan).run(out)?;
        let diff_id = written.tar.finish();
        let layer = Layer {
            media_type: self.compression.media_type(),
            digest: written.blob.map_or(diff_id, super::Hasher::finish),
            size: written.size,
            diff_id,
            tar_size: written.tar_size,
            annotations: std::collections::BTreeMap::new(),
        };
        Ok((layer, written.members))
    }

    fn pack_estargz(
        &self,
        entries: &[Placed<'_>],
        out: &mut (dyn Write + Send),
    ) -> Result<(Layer, Vec<WrittenMember>), PackError> {
        let estargz = Estargz::new(entries, self.epoch)?;
        let landmark = estargz::landmark();
        let placed: Vec<Placed<'_>> = std::iter::once((&landmark.0, &landmark.1))
            .chain(entries.iter().copied())
            .collect();
        // Every file that is not empty has members of its own: the specification wants it so.
        let plan = Plan::new(&placed, self.epoch, 1, End::Open);
        let written = self.job(&placed, &plan).run(out)?;
        estargz.finish(&placed, &plan, written, self.compression, out)
    }

    fn job<'a>(&'a self, entries: &'a [Placed<'a>], plan: &'a Plan) -> Job<'a> {
        Job {
            plan,
            entries,
            epoch: self.epoch,
            compression: self.compression,
            cache: self.cache,
            threads: self.threads,
            progress: self.progress,
        }
    }
}

/// Checks what the tar's correctness rests on.
fn check(entries: &[Placed<'_>]) -> Result<(), PackError> {
    for (before, after) in entries.iter().zip(entries.iter().skip(1)) {
        if before.0 >= after.0 {
            return Err(PackError::Order {
                path: after.0.clone(),
            });
        }
    }
    for (path, entry) in entries {
        if let EntryKind::HardLink(target) = &entry.kind {
            let found = entries
                .binary_search_by_key(&target, |(path, _)| path)
                .ok()
                .and_then(|at| entries.get(at));
            let is_file = found.is_some_and(|(_, found)| matches!(found.kind, EntryKind::File(_)));
            if !is_file || target >= *path {
                return Err(PackError::HardLink {
                    path: (*path).clone(),
                    target: target.clone(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
pub(in crate::layer) mod tests;
