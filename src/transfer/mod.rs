//! Copying images between stores: push, pull, and everything between.
//!
//! Blobs go first, some at once; what the target has is not sent again; manifests follow, an index
//! after those that it lists, and the name last, so that it never leads to half an image. Manifests
//! and indexes are copied byte for byte, so that digests stay what they are; only a docker archive
//! cannot hold them. [`index()`] makes one index of several images, wherever they are.
//!
//! What is attached to an image goes along when it is [chosen](Chosen::attached), and is at the
//! target before the name is. [`attach()`] attaches to an image that is there.
//!
//! | file | what it holds |
//! |---|---|
//! | `walk.rs` | all that an image consists of |
//! | `along.rs` | what is attached to an image, and goes along |
//! | `union.rs` | one manifest of signatures of two |
//! | `disk.rs` `push.rs` | to a store on disk; to a registry |
//! | `attach.rs` | attaching to an image that is there |
//! | `work.rs` | several blobs at once |
//! | `index.rs` | one index of several images |
//! | `joined.rs` | an image whose parts lie in several stores |

mod along;
mod attach;
mod disk;
mod error;
mod index;
mod joined;
mod push;
mod union;
mod walk;
mod work;

use std::sync::Arc;

use oci_spec::image::Descriptor;

pub use attach::{Home, Left, attach};
pub use error::TransferError;
pub use index::{Gathered, Part, index};
pub use joined::Joined;

use crate::registry::{Client, Reference, Repository};
use crate::store::{Destination, Source};

/// What of a source is copied.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// An image manifest, or an index with all that it lists.
    pub root: Descriptor,
    /// Whether what is attached to it, and to the images of an index, comes along: signatures and
    /// the like. A docker archive has no room for them, and gets none.
    pub attached: bool,
}

/// Where it goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// A store on disk, and the tag that it gets there.
    Disk {
        /// The store.
        destination: Destination,
        /// The tag.
        tag: String,
    },
    /// A registry.
    Registry {
        /// Who sends it.
        client: Arc<Client>,
        /// The name that it gets.
        reference: Reference,
        /// Repositories that may hold some of its blobs already; those of the same registry are
        /// asked for a mount.
        mounts: Vec<Repository>,
    },
}

/// Told how it goes. Called from any thread.
pub trait Progress: Sync {
    /// So many bytes will be copied, as far as is known; it gets less as a registry tells what it
    /// has already.
    fn total(&self, bytes: u64) {
        let _ = bytes;
    }
    /// So many bytes more are there.
    fn advance(&self, bytes: u64) {
        let _ = bytes;
    }
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {}

/// What was copied. Blobs are layers and configs; manifests and indexes are not counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Copied {
    /// The manifest or index, by its digest.
    pub root: Descriptor,
    /// Images in it: 1 unless it is an index.
    pub images: usize,
    /// Blobs that were sent or written.
    pub sent: usize,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Blobs that the target had.
    pub present: usize,
    /// Blobs that the registry took from another repository of its own.
    pub mounted: usize,
    /// Manifests attached to the image that came along, or were there: signatures and the like.
    pub attached: usize,
    /// Whether the target had all of it under that name: nothing was written.
    pub unchanged: bool,
}

impl Copied {
    /// Nothing yet of what is at `root`.
    fn none(root: &Descriptor) -> Self {
        Self {
            root: root.clone(),
            images: 0,
            sent: 0,
            sent_bytes: 0,
            present: 0,
            mounted: 0,
            attached: 0,
            unchanged: false,
        }
    }
}

/// Copies what is `chosen` of `source` to `target`, `parallel` blobs at once.
///
/// Layers that may not be given away and are to be had elsewhere are left out where the source
/// has not got them, either.
///
/// # Errors
/// When something is missing, damaged or refused: then the target's name leads where it led before.
pub fn copy(
    source: &dyn Source,
    chosen: &Chosen,
    target: &Target,
    parallel: std::num::NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Copied, TransferError> {
    match target {
        Target::Disk { destination, tag } => {
            disk::write(source, chosen, destination, tag, parallel, progress)
        }
        Target::Registry {
            client,
            reference,
            mounts,
        } => {
            let receiver = push::Remote {
                client,
                repository: &reference.repository,
                mounts: push::mounts(source, &reference.repository, mounts),
            };
            let wanted = push::name(reference, &chosen.root)?;
            push::send(source, chosen, &receiver, &wanted, parallel, progress)
        }
    }
}

#[cfg(test)]
mod tests;
