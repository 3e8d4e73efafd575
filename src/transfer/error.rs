//! Why a copy did not come about.

use std::io;

use crate::image::PlatformError;
use crate::registry::RegistryError;
use crate::store::StoreError;

/// Why a copy did not come about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The source, or a target on disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The registry that it goes to.
    #[error(transparent)]
    Registry(#[from] Box<RegistryError>),
    /// A blob failed while it was read.
    #[error("{store}: the blob {digest} cannot be copied: {source}")]
    Blob {
        /// The store that it comes from.
        store: String,
        /// The blob.
        digest: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The target's name has a digest, and the image another.
    #[error(
        "cannot write to {reference}: what is copied has the digest {digest}, which is not that of the name; leave out the @… of the name"
    )]
    OtherDigest {
        /// The name given.
        reference: String,
        /// The digest of what should be copied.
        digest: String,
    },
    /// What is in a store is nothing that can be copied with its parts.
    #[error(
        "{store}: {digest} is not copied: what its media type {media_type} leads to is not known; an image manifest or an index of OCI or docker (schema 2) is expected"
    )]
    MediaType {
        /// The store.
        store: String,
        /// What it is in it.
        digest: String,
        /// Its media type.
        media_type: String,
    },
    /// The image has more parts than any honest one.
    #[error("{store}: {root} is not copied: {problem}")]
    TooMuch {
        /// The store.
        store: String,
        /// The manifest or index.
        root: String,
        /// What there is too much of.
        problem: &'static str,
    },
    /// It cannot be told what is attached to an image.
    #[error(
        "what is attached to {subject} in {store}, as signatures are, cannot be told: {source}; with --no-signatures the image is copied without"
    )]
    NotTold {
        /// The image.
        subject: String,
        /// The store.
        store: String,
        /// What went wrong.
        source: Box<StoreError>,
    },
    /// Something attached to an image cannot go along.
    #[error(
        "{manifest}, which is attached to {subject} as signatures are, is not copied: {source}; with --no-signatures the image is copied without"
    )]
    NotAlong {
        /// What is attached.
        manifest: String,
        /// The image.
        subject: String,
        /// What went wrong.
        source: Box<TransferError>,
    },
    /// More is attached than anybody attaches.
    #[error(
        "{store}: more than {most} signatures and the like are attached to {root} and its images, and so many are not copied; with --no-signatures the image is copied without"
    )]
    TooManyAttached {
        /// The store.
        store: String,
        /// The image or index.
        root: String,
        /// The most that are copied.
        most: usize,
    },
    /// What is copied and what is there already are too many for one list.
    #[error(
        "the signatures of {tag} and those that are there already are more than {most} together, which nobody verifies: remove those that are not needed, or copy the image without by --no-signatures"
    )]
    ListTooLong {
        /// The tag of the list.
        tag: String,
        /// The most that are verified.
        most: usize,
    },
    /// Two images for one platform should be in one index.
    #[error(
        "both {one} and {other} have an image for {platform}, and an index takes one of each platform: leave one of them out"
    )]
    SamePlatform {
        /// The platform.
        platform: String,
        /// A store, and the image's digest.
        one: String,
        /// Another.
        other: String,
    },
    /// An index should be made of nothing.
    #[error("there is no image to make an index of")]
    Nothing,
}
