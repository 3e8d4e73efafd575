//! What a commit puts under a tag: an image of any kind, byte for byte.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use oci_spec::image::{Descriptor, Digest as OciDigest};

use super::index::{Edit, beside, edit};
use super::read::{Verified, blob_path};
use super::stage::StagedBlob;
use super::{Attachment, Source, StoreError};
use crate::image::{Image, layer_descriptor};
use crate::layer::{Digest, Layer};

/// An image, an index or an artifact with all that belongs to it. Nothing of it is rewritten, so
/// that every digest stays what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The manifest or index that gets the tag. Names in its annotations are those of the store
    /// that it comes from and are replaced.
    pub root: Descriptor,
    /// The bytes of the documents that the root leads to, and its own, by digest (`sha256:…`):
    /// indexes, manifests, and configs of images. Other small blobs may be among them.
    pub documents: BTreeMap<String, Vec<u8>>,
    /// All other blobs.
    pub blobs: Vec<Descriptor>,
}

/// What becomes of what has the tag already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Images for other platforms stay beside the new ones, in an index of that tag.
    Merge,
    /// It goes: the tag leads to the root itself.
    Replace,
}

impl From<&Image> for Entry {
    fn from(image: &Image) -> Self {
        let mut seen = BTreeSet::new();
        Self {
            root: image.descriptor.clone(),
            documents: [&image.config, &image.manifest]
                .into_iter()
                .map(|bytes| (Digest::of(bytes).to_string(), bytes.clone()))
                .collect(),
            blobs: image
                .layers
                .iter()
                .filter(|layer| seen.insert(layer.digest))
                .map(layer_descriptor)
                .collect(),
        }
    }
}

impl Entry {
    /// The bytes of a document; `None` when it is not among them.
    #[must_use]
    pub fn document(&self, digest: &OciDigest) -> Option<&[u8]> {
        self.documents.get(digest.as_ref()).map(Vec::as_slice)
    }

    pub(super) fn borrowed(&self) -> BTreeMap<String, Cow<'_, [u8]>> {
        borrowed(&self.documents)
    }

    /// Checks that the root is there and that every document has its digest.
    pub(super) fn check(&self, store: &str) -> Result<(), StoreError> {
        let digest_of_root = self.root.digest().to_string();
        let Some(root) = self.document(self.root.digest()) else {
            return Err(StoreError::MissingBlob {
                store: store.to_owned(),
                digest: digest_of_root,
            });
        };
        if root.len() as u64 != self.root.size() {
            let problem = format!(
                "it has {} bytes instead of {}",
                root.len(),
                self.root.size()
            );
            let part = format!("the blob {digest_of_root}");
            return Err(StoreError::damaged(store, part, problem));
        }
        for (text, bytes) in &self.documents {
            let known = digest(store, text)?;
            let (_, check) = blob_path(store, &known)?;
            let mut reader = Verified::new(bytes.as_slice(), check, &known, bytes.len() as u64);
            io::copy(&mut reader, &mut io::sink())
                .map_err(|error| StoreError::damaged(store, "what is written", error))?;
        }
        Ok(())
    }
}

/// A digest that stands as a text.
pub(super) fn digest(store: &str, text: &str) -> Result<OciDigest, StoreError> {
    text.parse().map_err(|_| StoreError::UnknownAlgorithm {
        store: store.to_owned(),
        digest: text.to_owned(),
    })
}

/// A layer as a docker archive holds it.
#[derive(Debug, Clone)]
pub(super) struct Unpacked {
    /// The digest of its blob.
    pub(super) digest: String,
    /// The digest of the uncompressed tar.
    pub(super) diff_id: Digest,
    /// The bytes of the uncompressed tar.
    pub(super) tar_size: u64,
}

impl From<&Layer> for Unpacked {
    fn from(layer: &Layer) -> Self {
        Self {
            digest: layer.digest.to_string(),
            diff_id: layer.diff_id,
            tar_size: layer.tar_size,
        }
    }
}

/// Documents that stay where they are.
pub(super) fn borrowed(documents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Cow<'_, [u8]>> {
    documents
        .iter()
        .map(|(digest, bytes)| (digest.clone(), Cow::Borrowed(bytes.as_slice())))
        .collect()
}

/// One commit.
pub(super) struct Commit<'a> {
    pub(super) change: Change<'a>,
    /// The staged blobs by digest.
    pub(super) staged: &'a BTreeMap<String, StagedBlob>,
    /// What comes beside images.
    pub(super) attached: &'a [Attachment],
}

/// What a commit does.
pub(super) enum Change<'a> {
    /// Puts something under a tag.
    Put(Put<'a>),
    /// Adds only what is attached.
    Attach {
        /// The image.
        subject: &'a OciDigest,
        /// What goes that is attached to it.
        removed: &'a [OciDigest],
    },
}

/// Something to be put under a tag.
pub(super) struct Put<'a> {
    pub(super) entry: &'a Entry,
    pub(super) reference: Option<&'a str>,
    pub(super) how: How,
    /// The layers of the image where it is known what is in their blobs.
    pub(super) unpacked: Option<Vec<Unpacked>>,
}

impl<'a> Commit<'a> {
    fn entries(&self) -> impl Iterator<Item = &'a Entry> {
        let put = match &self.change {
            Change::Put(put) => Some(put.entry),
            Change::Attach { .. } => None,
        };
        let attached = self.attached.iter().map(|one| &one.entry);
        put.into_iter().chain(attached)
    }

    /// All documents, by digest.
    pub(super) fn documents(&self) -> BTreeMap<String, Cow<'a, [u8]>> {
        let entries = self.entries();
        entries.flat_map(Entry::borrowed).collect()
    }

    /// All other blobs, each once.
    pub(super) fn blobs(&self) -> Vec<&'a Descriptor> {
        let mut seen = BTreeSet::new();
        let blobs = self.entries().flat_map(|entry| &entry.blobs);
        blobs
            .filter(|blob| seen.insert(blob.digest().as_ref()))
            .collect()
    }

    /// What becomes of the index `old` of `source`, which has the documents.
    pub(super) fn edit(&self, source: &dyn Source, old: Option<&[u8]>) -> Result<Edit, StoreError> {
        match &self.change {
            Change::Put(put) => {
                let root = &put.entry.root;
                edit(source, old, root, put.reference, put.how, self.attached)
            }
            Change::Attach { subject, removed } => {
                let old = old.unwrap_or(b"{}");
                beside(source, old, subject, self.attached, removed)
            }
        }
    }
}
