//! Why an image cannot be built on, or moved onto another one.

use std::io;
use std::path::PathBuf;

use crate::image::Platform;
use crate::layer::{Digest, ReadError};
use crate::store::StoreError;

/// Why an image cannot be built on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParentError {
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is something else than an image.
    #[error(
        "{image} cannot be built on: it is {found}; name an image, with its platform where there are several"
    )]
    NotAnImage {
        /// What it is called.
        image: String,
        /// What it is instead.
        found: String,
    },
    /// Its manifest or its config is not what the specification wants.
    #[error("{image} cannot be built on: {problem}; get it anew, or build it again")]
    Damaged {
        /// What it is called.
        image: String,
        /// What is wrong.
        problem: String,
    },
    /// A digest of an algorithm that cannot be written to every store.
    #[error(
        "{image} cannot be built on: {what} has the digest {digest}, and only sha256 can be kept in every store: copy the image with a tool that writes sha256"
    )]
    Algorithm {
        /// What it is called.
        image: String,
        /// Whose digest it is.
        what: String,
        /// The digest.
        digest: String,
    },
    /// A layer of an unknown form.
    #[error(
        "{image} cannot be built on: its layer {digest} has the media type {media_type}, which is no known form of a layer (an encrypted image is to be decrypted first)"
    )]
    MediaType {
        /// What it is called.
        image: String,
        /// The layer.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
    /// A layer cannot be read.
    #[error("{image}: its layer {digest} cannot be used: {source}")]
    Layer {
        /// What the image is called.
        image: String,
        /// The layer.
        digest: Digest,
        /// What is wrong with it.
        source: ReadError,
    },
    /// An entry that a runtime could not place either.
    #[error(
        "{image}: its layer {digest} cannot be laid over those below it: {problem}; a runtime would refuse the image as well: get it anew, or build it again"
    )]
    Entry {
        /// What the image is called.
        image: String,
        /// The layer.
        digest: Digest,
        /// The entry and what is wrong with it.
        problem: String,
    },
    /// A layer has other content than the config says.
    #[error(
        "{image}: its layer {digest} is damaged: the uncompressed content has the digest {found}, and the config's diff_id is {expected}; get the image anew"
    )]
    DiffId {
        /// What the image is called.
        image: String,
        /// The layer.
        digest: Digest,
        /// The config's.
        expected: Box<Digest>,
        /// The real one.
        found: Box<Digest>,
    },
    /// More than any honest image has.
    #[error("{image} has more than {limit} {what}: refused, it may be made to exhaust the reader")]
    Limit {
        /// What it is called.
        image: String,
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// Its files cannot be unpacked.
    #[error("the base cannot be unpacked: writing {} failed: {source}; is there room left? TMPDIR and XDG_CACHE_HOME name other places", .path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was unpacked does not stay as it is.
    #[error("a layer of the base was unpacked to {}, but does not stay there as it was written; does something else change that directory?", .0.display())]
    Restless(PathBuf),
    /// The image has no annotations that tell its base.
    #[error(
        "{image} does not say what it was built on (it has no annotation {}): name its present base, or build it again",
        super::ANNOTATION_BASE_DIGEST
    )]
    NoAnnotation {
        /// The image.
        image: String,
    },
    /// The image does not stand on the base.
    #[error(
        "{image} is not built on {base}: {why}. Name the very base that it was built on, by its digest where its tag has moved on"
    )]
    NotBasedOn {
        /// The image.
        image: String,
        /// The base.
        base: String,
        /// How many layers agree.
        why: String,
    },
    /// The bases are for other platforms than the image.
    #[error(
        "{image} is for {platform}, and {base} is for {found}: choose the base for {platform}, with --platform where there are several"
    )]
    OtherPlatform {
        /// The image.
        image: String,
        /// Its platform.
        platform: Box<Platform>,
        /// The base.
        base: String,
        /// The base's platform.
        found: Box<Platform>,
    },
}
