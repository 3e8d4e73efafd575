//! Where images live: layout directories, OCI archives, docker archives.
//!
//! Reading: [`Reference::parse`] a name, [`open()`] the store, [`select()`] an image of it by tag
//! and platform, read its documents and blobs. Every store is a [`Source`].
//!
//! Writing: [`Writer::open`] a [`Destination`], [`stage`](Writer::stage) blobs,
//! [`commit`](Writer::commit) the image that was built, or an [`Entry`] of any origin.
//! [`remove_tags`] undoes it.
//!
//! | file | what it holds |
//! |---|---|
//! | `reference.rs` `open.rs` `select.rs` | from a name to an image |
//! | `layout.rs` `archive.rs` `docker.rs` | one form each, read |
//! | `writer.rs` `output.rs` `stage.rs` | what is common in writing; what is there; temporary files |
//! | `entry.rs` | what is committed |
//! | `layout_commit.rs` `archive_commit.rs` `docker_commit.rs` | the commit of each form |
//! | `remove.rs` `index.rs` `garbage.rs` | tags removed; editing an index; what is no longer used |
//! | `attached.rs` `attach.rs` `items.rs` | what is attached to images; attaching it; its place in an index |
//! | `with.rs` | a store with documents that are not in it yet |
//! | `interrupt.rs` | Ctrl-C |

mod archive;
mod archive_commit;
mod attach;
mod attached;
mod docker;
mod docker_commit;
mod entry;
mod error;
mod garbage;
mod index;
pub(crate) mod interrupt;
mod items;
mod layout;
mod layout_commit;
mod location;
mod open;
mod output;
mod read;
mod reference;
mod remove;
mod roots;
mod select;
mod stage;
mod steps;
mod turn;
mod uncompress;
mod unlisted;
mod with;
mod writer;

use std::io::Read;

use oci_spec::image::{Descriptor, Digest, ImageIndex};

pub use archive::OciArchive;
pub use attach::attach;
pub use attached::{Attached, Attachment, Link, SUFFIXES, attached_tag};
pub(crate) use attached::{Said, in_order, is_attached};
pub use docker::{ANNOTATION_IMAGE_NAME, DockerArchive};
pub use entry::{Entry, How};
pub use error::StoreError;
pub(crate) use index::{attested, platform_order, untagged, with_platform};
pub(crate) use interrupt::hold;
pub use interrupt::install;
pub use layout::Layout;
pub use location::{Location, LocationError};
pub use open::open;
pub(crate) use read::{Check, Verified};
pub use read::{DOCUMENT_LIMIT, read_config, read_document, read_index, read_manifest};
pub use reference::{Form, Reference};
pub use remove::{Removed, remove_tags};
pub use roots::{manifests, root};
pub(crate) use select::{DEEPEST, MOST_MANIFESTS, is_index, is_manifest, named, under};
pub use select::{images, platform_of, select, tags};
pub use stage::StagedBlob;
pub use turn::{Turn, turn};
pub(crate) use uncompress::uncompressed;
pub use writer::{Committed, Destination, Writer};

use crate::registry::Repository;

/// Something that has images.
pub trait Source: Send + Sync {
    /// The index of what is there: one descriptor a manifest.
    ///
    /// # Errors
    /// When it cannot be read or is no such store.
    fn index(&self) -> Result<ImageIndex, StoreError>;

    /// The content of a blob, checked against its digest and size as it is read: the
    /// reader fails at the end when they differ.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`] when there is no such blob, others when it cannot be read.
    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError>;

    /// What is attached to the manifest with the digest `subject`: signatures and the like.
    ///
    /// # Errors
    /// When it cannot be told. That nothing is attached is none.
    fn attached(&self, subject: &Digest) -> Result<Vec<Attached>, StoreError> {
        let _ = subject;
        Ok(Vec::new())
    }

    /// Its name for people: the path that was given.
    fn name(&self) -> String;

    /// The repository of a registry that has it: another repository there can take its blobs
    /// without their being sent.
    fn repository(&self) -> Option<&Repository> {
        None
    }
}

#[cfg(test)]
pub(crate) mod tests;
