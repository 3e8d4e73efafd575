//! Where images live: layout directories, OCI archives, docker archives.
//!
//! Reading: [`Reference::parse`] a name, [`open()`] the store, [`select()`] an image of it by tag
//! and platform, read its documents and blobs. Every store is a [`Source`].
//!
//! Writing: [`Writer::open`] a [`Destination`], [`stage`](Writer::stage) blobs,
//! [`commit`](Writer::commit) the image.
//!
//! | file | what it holds |
//! |---|---|
//! | `reference.rs` `open.rs` `select.rs` | from a name to an image |
//! | `layout.rs` `archive.rs` `docker.rs` | one form each, read |
//! | `writer.rs` `stage.rs` | what is common in writing; temporary files |
//! | `layout_commit.rs` `archive_commit.rs` `index.rs` | the commit of each form; editing an index |
//! | `interrupt.rs` | Ctrl-C |

mod archive;
mod archive_commit;
mod docker;
mod error;
mod index;
mod interrupt;
mod layout;
mod layout_commit;
mod open;
mod read;
mod reference;
mod select;
mod stage;
mod steps;
mod uncompress;
mod writer;

use std::io::Read;

use oci_spec::image::{Descriptor, ImageIndex};

pub use archive::OciArchive;
pub use docker::{ANNOTATION_IMAGE_NAME, DockerArchive};
pub use error::StoreError;
pub use interrupt::install;
pub use layout::Layout;
pub use open::open;
pub use read::{DOCUMENT_LIMIT, read_config, read_document, read_index, read_manifest};
pub use reference::{Form, Reference};
pub use select::{images, platform_of, select, tags};
pub(crate) use select::{is_index, is_manifest};
pub use stage::StagedBlob;
pub(crate) use uncompress::uncompressed;
pub use writer::{Committed, Destination, Writer};

/// Something that has images.
pub trait Source {
    /// The index of what is there: one descriptor a manifest.
    ///
    /// # Errors
    /// When it cannot be read or is no such store.
    fn index(&self) -> Result<ImageIndex, StoreError>;

    /// The content of a blob, checked against its digest and size as it is read: the
    /// reader fails at the end when they differ.
    ///
    /// # Errors
    /// When there is no such blob.
    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError>;

    /// Its name for people: the path that was given.
    fn name(&self) -> String;
}

#[cfg(test)]
mod tests;
