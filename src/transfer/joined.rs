//! An image whose parts lie in several stores.

use std::collections::BTreeMap;
use std::io::Read;

use oci_spec::image::{Descriptor, Digest as OciDigest, ImageIndex, MediaType};

use crate::image::Image;
use crate::layer::Digest;
use crate::registry::Repository;
use crate::store::{Attached, Source, StoreError, in_order};

/// An image that was just described, and the stores that have its layers; itself a store that has
/// all of it.
pub struct Joined<'a> {
    root: Descriptor,
    documents: BTreeMap<String, Vec<u8>>,
    /// The first that has a layer gives it.
    sources: Vec<&'a dyn Source>,
}

impl<'a> Joined<'a> {
    /// `image`, whose layers are in `sources`.
    #[must_use]
    pub fn new(image: &Image, sources: Vec<&'a dyn Source>) -> Self {
        let documents = [&image.config, &image.manifest]
            .into_iter()
            .map(|bytes| (Digest::of(bytes).to_string(), bytes.clone()))
            .collect();
        Self {
            root: image.descriptor.clone(),
            documents,
            sources,
        }
    }
}

impl Source for Joined<'_> {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        let mut index = ImageIndex::default();
        index.set_media_type(Some(MediaType::ImageIndex));
        index.set_manifests(vec![self.root.clone()]);
        Ok(index)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let digest = descriptor.digest();
        if let Some(bytes) = self.documents.get(digest.as_ref()) {
            return Ok(Box::new(bytes.as_slice()));
        }
        let mut missing = None;
        for source in &self.sources {
            match source.blob(descriptor) {
                Ok(reader) => return Ok(reader),
                // Told only when nobody has it.
                Err(error) => missing = missing.or(Some(error)),
            }
        }
        Err(missing.unwrap_or_else(|| StoreError::MissingBlob {
            store: self.name(),
            digest: digest.to_string(),
        }))
    }

    fn attached(&self, subject: &OciDigest) -> Result<Vec<Attached>, StoreError> {
        let mut attached = Vec::new();
        for source in &self.sources {
            attached.extend(source.attached(subject)?);
        }
        in_order(&mut attached);
        Ok(attached)
    }

    fn name(&self) -> String {
        let names: Vec<String> = self.sources.iter().map(|source| source.name()).collect();
        names.join(", ")
    }

    fn repository(&self) -> Option<&Repository> {
        self.sources.iter().find_map(|source| source.repository())
    }
}
