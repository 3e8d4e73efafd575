//! Unpacked layers, each made once and shared by builds: a [shelf](crate::shelf) of them.
//!
//! The key of a layer is its `diff_id`; its record is the file `record`, with its entries and
//! where each file's bytes are. A layer of which a file is in another state than it was left in
//! (device, inode, size, times) is made anew.

mod make;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::record::{Item, Record, What};
use super::{ParentError, ParentLayer};
use crate::layer::Digest;
use crate::rootfs::Content;
use crate::shelf::{self, Hold, MAX_ATTEMPTS, NotWritten, Shelf};
use crate::store::Source;

const RECORD: &str = "record";

/// Bytes that a record may have.
const RECORD_LIMIT: u64 = 1 << 30;
/// Bytes of small files of all layers of an image, which are held in memory.
const SMALL_LIMIT: u64 = 512 << 20;
/// Entries of all layers of an image.
const ENTRY_LIMIT: u64 = 4 << 20;
/// Bytes of the names of all layers of an image, which are held in memory, too.
const NAME_LIMIT: u64 = 512 << 20;
/// Bytes that all layers of an image may be unpacked to, as they are kept.
const SIZE_LIMIT: u64 = 128 << 30;
/// Layers that are fetched and unpacked at once: each may be a connection to a registry.
const MOST_AT_ONCE: usize = 4;

/// A layer, unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// Size of the uncompressed tar in bytes.
    pub(super) tar_size: u64,
    /// Its entries, and the content of those that are files.
    pub(super) items: Vec<(Item, Option<Content>)>,
    /// Bytes of its small files.
    small: u64,
    /// Keeps its files in their place.
    pub(super) hold: Hold,
}

/// What the layers of an image take together: counted as they come, so that an image of hundreds
/// of layers, each as large as one may be, is refused before all of it is there.
#[derive(Debug, Default)]
struct Totals {
    small: AtomicU64,
    entries: AtomicU64,
    names: AtomicU64,
    size: AtomicU64,
}

impl Totals {
    /// Counts a layer, and gives it back if there is room for it.
    fn add(&self, layer: Unpacked, image: &str) -> Result<Unpacked, ParentError> {
        let names = layer.items.iter().map(|(item, _)| item.name_bytes()).sum();
        for (total, more, limit, what) in [
            (
                &self.small,
                layer.small,
                SMALL_LIMIT,
                "bytes in small files",
            ),
            (
                &self.entries,
                layer.items.len() as u64,
                ENTRY_LIMIT,
                "entries",
            ),
            (&self.names, names, NAME_LIMIT, "bytes in names"),
            (
                &self.size,
                layer.tar_size,
                SIZE_LIMIT,
                "bytes when it is unpacked",
            ),
        ] {
            let before = total.fetch_add(more, Ordering::Relaxed);
            if before.saturating_add(more) > limit {
                return Err(ParentError::Limit {
                    image: image.to_owned(),
                    limit,
                    what,
                });
            }
        }
        Ok(layer)
    }
}

/// A directory of unpacked layers, which several builds may use at once.
#[derive(Debug)]
pub(super) struct Kept(Shelf);

impl Kept {
    /// The layers in `directory`. Without one, and where it cannot be written or others could
    /// have written to it, they are unpacked to a temporary directory, which goes with the last
    /// that holds one of them.
    pub(super) fn open(directory: Option<PathBuf>) -> Result<Self, ParentError> {
        let opened = directory.map(|directory| {
            Shelf::open(&directory).map_err(|reason| {
                let directory = directory.display();
                format!("{directory} is not used for unpacked layers: {reason}")
            })
        });
        let shelf = Shelf::or_temporary(opened, "distrobuild-base-").map_err(not_written)?;
        shelf.sweep();
        Ok(Self(shelf))
    }

    /// Why the directory that was asked for is not used; `None` when all is well.
    pub(super) fn degraded(&self) -> Option<&str> {
        self.0.degraded()
    }

    /// All layers of an image, in their order.
    pub(super) fn get_all(
        &self,
        source: &dyn Source,
        layers: &[ParentLayer],
        shown: &str,
    ) -> Result<Vec<Unpacked>, ParentError> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let totals = Totals::default();
        let layers: Vec<_> = layers.iter().enumerate().collect();
        shelf::get_all(&layers, threads.min(MOST_AT_ONCE), |layer| {
            let unpacked = self.get(source, layer, shown)?;
            totals.add(unpacked, shown)
        })
    }

    fn get(
        &self,
        source: &dyn Source,
        layer: &ParentLayer,
        shown: &str,
    ) -> Result<Unpacked, ParentError> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(unpacked) = self.load(&layer.diff_id) {
                return Ok(unpacked);
            }
            self.make(source, layer, shown)?;
        }
        Err(ParentError::Restless(self.0.place(&layer.diff_id)))
    }

    /// The layer with this content, if it is there and whole.
    fn load(&self, diff_id: &Digest) -> Option<Unpacked> {
        let held = self.0.hold(diff_id)?;
        let record = Record::from_bytes(&held.record(RECORD, RECORD_LIMIT)?)?;
        if record.diff_id != *diff_id {
            return None;
        }
        let (small, found) = held.small(record.small.size)?;
        if found != record.small {
            return None;
        }
        let small = Arc::new(small);
        let mut items = Vec::with_capacity(record.items.len());
        for item in record.items {
            let content = match &item.what {
                What::Small { offset, size } => Some(shelf::part(&small, *offset, *size)?),
                What::Own { number, identity } => {
                    let (path, facts) = held.own(*number, item.mode)?;
                    if facts.identity != *identity {
                        return None;
                    }
                    Some(Content::Host { path, facts })
                }
                _ => None,
            };
            items.push((item, content));
        }
        Some(Unpacked {
            tar_size: record.tar_size,
            items,
            small: record.small.size,
            hold: held.hold,
        })
    }
}

fn not_written(NotWritten { path, source }: NotWritten) -> ParentError {
    ParentError::Write { path, source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layer(small: u64, tar_size: u64) -> Unpacked {
        Unpacked {
            tar_size,
            items: Vec::new(),
            small,
            hold: Hold::of_nothing().unwrap(),
        }
    }

    #[test]
    fn layers_that_are_too_much_together_are_refused_with_the_first_that_is() {
        for (small, size, what) in [
            (200 << 20, 0, "small files"),
            (0, 50 << 30, "unpacked"),
            (0, u64::MAX / 2, "unpacked"),
        ] {
            let totals = Totals::default();
            let layers = std::iter::repeat_with(|| totals.add(layer(small, size), "the-base"));
            let error = layers.take(3).find_map(Result::err).unwrap().to_string();
            assert!(
                error.contains(what) && error.contains("the-base"),
                "{error}"
            );
        }
    }
}
