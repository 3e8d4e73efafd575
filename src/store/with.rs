//! A store with documents that are not in it yet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use oci_spec::image::{Descriptor, Digest, ImageIndex};

use super::entry::{Entry, borrowed};
use super::index::Edit;
use super::read::blob_path;
use super::{Attached, Source, StoreError};

/// A store with documents that are not in it yet.
pub(super) struct With<'a> {
    pub(super) name: String,
    pub(super) base: Option<&'a dyn Source>,
    pub(super) documents: BTreeMap<String, Cow<'a, [u8]>>,
}

impl<'a> With<'a> {
    /// The store at `path`, with those of `entry`.
    pub(super) fn of(path: &Path, base: Option<&'a dyn Source>, entry: &'a Entry) -> Self {
        Self {
            name: path.display().to_string(),
            base,
            documents: entry.borrowed(),
        }
    }

    /// A store with what was made for it.
    pub(super) fn over(base: &'a dyn Source, made: &'a BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            name: base.name(),
            base: Some(base),
            documents: borrowed(made),
        }
    }

    /// Adds what an edit has made.
    pub(super) fn add(&mut self, edit: &Edit) {
        let made = edit.made.iter();
        self.documents
            .extend(made.map(|(digest, bytes)| (digest.clone(), Cow::Owned(bytes.clone()))));
    }
}

impl Source for With<'_> {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        self.base
            .map_or_else(|| Ok(ImageIndex::default()), Source::index)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let digest = descriptor.digest();
        // Refuses what no store takes.
        blob_path(&self.name, digest)?;
        match (self.documents.get(digest.as_ref()), self.base) {
            (Some(bytes), _) => Ok(Box::new(bytes.as_ref())),
            (None, Some(base)) => base.blob(descriptor),
            (None, None) => Err(StoreError::MissingBlob {
                store: self.name.clone(),
                digest: digest.to_string(),
            }),
        }
    }

    fn attached(&self, subject: &Digest) -> Result<Vec<Attached>, StoreError> {
        self.base
            .map_or_else(|| Ok(Vec::new()), |base| base.attached(subject))
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
