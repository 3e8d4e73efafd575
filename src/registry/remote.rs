//! An image of a registry as a store.

use std::collections::HashMap;
use std::fmt;
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, Digest, ImageIndex, ImageIndexBuilder, MediaType,
    SCHEMA_VERSION,
};

use super::blob::embedded;
use super::manifest::{Asked, is_tag};
use super::{Client, Manifest, Reference, RegistryError};
use crate::store::{
    Attached, Check, DOCUMENT_LIMIT, Link, SUFFIXES, Said, Source, StoreError, Verified,
    attached_tag, in_order, is_index, is_manifest,
};

/// The most bytes of documents that are kept so that they are not asked for twice.
const MOST_KEPT: usize = 32 << 20;

/// One image, or one index, of a registry.
pub struct Remote {
    client: Arc<Client>,
    reference: Reference,
    root: Descriptor,
    document: Arc<[u8]>,
    kept: Mutex<Kept>,
}

/// Documents by their digest.
#[derive(Default)]
struct Kept {
    documents: HashMap<String, Arc<[u8]>>,
    bytes: usize,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("reference", &self.reference)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Remote {
    /// Asks the registry for the manifest that `reference` names, and pins what it is now.
    ///
    /// # Errors
    /// When it is not there, or may not be read.
    pub fn open(client: Arc<Client>, reference: Reference) -> Result<Self, RegistryError> {
        let Manifest { descriptor, bytes } =
            client.manifest(&reference.repository, &reference.wanted())?;
        Ok(Self {
            client,
            reference,
            root: descriptor,
            document: bytes.into(),
            kept: Mutex::default(),
        })
    }

    /// The manifest or index, by its digest.
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// What was asked for.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Who asks.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The tag of the image: that of its name, or the one that is meant without one.
    fn tag(&self) -> Option<String> {
        match (&self.reference.tag, &self.reference.digest) {
            (Some(tag), _) => Some(tag.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(self.reference.wanted()),
        }
    }

    /// The bytes of a document, asked for once. They are checked where they are read.
    fn document(&self, descriptor: &Descriptor) -> Result<Arc<[u8]>, StoreError> {
        if descriptor.digest() == self.root.digest() {
            return Ok(Arc::clone(&self.document));
        }
        let digest = descriptor.digest().to_string();
        if let Some(document) = self.kept().documents.get(&digest) {
            return Ok(Arc::clone(document));
        }
        let document: Arc<[u8]> = self.fetch(descriptor)?.into();
        self.keep(digest, &document);
        Ok(document)
    }

    /// Keeps a document while there is room.
    fn keep(&self, digest: String, document: &Arc<[u8]>) {
        let mut kept = self.kept();
        if kept.bytes + document.len() <= MOST_KEPT
            && kept
                .documents
                .insert(digest, Arc::clone(document))
                .is_none()
        {
            kept.bytes += document.len();
        }
    }

    /// What has one of cosign's tags of `subject`.
    fn at_tag(&self, subject: &Digest, suffix: &str) -> Result<Option<Attached>, RegistryError> {
        let tag = attached_tag(subject, suffix);
        if !is_tag(&tag) {
            // Made of a digest that is too long for one.
            return Ok(None);
        }
        let repository = &self.reference.repository;
        let found = self
            .client
            .fetch_manifest(repository, &tag, Asked::Freshly)?;
        let Ok(Manifest { descriptor, bytes }) = found else {
            return Ok(None);
        };
        let mut manifest = descriptor;
        let said = Said::in_manifest(&bytes).ok();
        manifest.set_artifact_type(said.and_then(|said| said.artifact_type));
        self.keep(manifest.digest().to_string(), &bytes.into());
        Ok(Some(Attached {
            manifest,
            link: Link::Tag(tag),
        }))
    }

    fn fetch(&self, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
        if let Some(bytes) = embedded(descriptor) {
            return Ok(bytes);
        }
        let repository = &self.reference.repository;
        if is_manifest_or_index(descriptor.media_type()) {
            let digest = descriptor.digest().as_ref();
            let manifest = self.client.manifest(repository, digest);
            return Ok(manifest
                .map_err(|error| self.failed(descriptor, error))?
                .bytes);
        }
        let mut bytes = Vec::new();
        self.client
            .blob(repository, descriptor)
            .map_err(|error| self.failed(descriptor, error))?
            .take(DOCUMENT_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.unread(descriptor, error))?;
        Ok(bytes)
    }

    fn failed(&self, descriptor: &Descriptor, error: RegistryError) -> StoreError {
        match error {
            // It names what is missing, and the rest of the image is there.
            RegistryError::NotFound { .. } => StoreError::MissingBlob {
                store: self.name(),
                digest: descriptor.digest().to_string(),
            },
            error => StoreError::Registry(Box::new(error)),
        }
    }

    fn unread(&self, descriptor: &Descriptor, error: std::io::Error) -> StoreError {
        match error.downcast::<RegistryError>() {
            Ok(error) => self.failed(descriptor, error),
            Err(error) => StoreError::Damaged {
                store: self.name(),
                part: format!("the blob {}", descriptor.digest()),
                problem: error.to_string(),
            },
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_manifest_or_index(media_type: &MediaType) -> bool {
    is_manifest(media_type) || is_index(media_type)
}

/// Whether what a descriptor names is a document rather than a layer: a manifest, a config.
fn is_document(descriptor: &Descriptor) -> bool {
    let media_type = descriptor.media_type();
    descriptor.size() <= DOCUMENT_LIMIT
        && (is_manifest_or_index(media_type) || media_type.as_ref().ends_with("json"))
}

impl Source for Remote {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        let mut root = self.root.clone();
        if let Some(tag) = self.tag() {
            root.set_annotations(Some(HashMap::from([(ANNOTATION_REF_NAME.to_owned(), tag)])));
        }
        ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(vec![root])
            .build()
            .map_err(|error| StoreError::Damaged {
                store: self.name(),
                part: "the index".to_owned(),
                problem: error.to_string(),
            })
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let digest = descriptor.digest();
        if descriptor.digest() != self.root.digest() && !is_document(descriptor) {
            let blob = self.client.blob(&self.reference.repository, descriptor);
            let blob = blob.map_err(|error| self.failed(descriptor, error))?;
            return Ok(blob);
        }
        let Some(check) = Check::of(digest.algorithm()) else {
            return Err(StoreError::UnknownAlgorithm {
                store: self.name(),
                digest: digest.to_string(),
            });
        };
        let document = self.document(descriptor)?;
        let size = descriptor.size();
        Ok(Box::new(Verified::new(
            Cursor::new(document),
            check,
            digest,
            size,
        )))
    }

    fn attached(&self, subject: &Digest) -> Result<Vec<Attached>, StoreError> {
        let repository = &self.reference.repository;
        // None of them waits for another.
        let (referrers, tagged) = std::thread::scope(|scope| {
            let tags = SUFFIXES.map(|suffix| scope.spawn(move || self.at_tag(subject, suffix)));
            let referrers = self.client.referrers(repository, subject, None);
            let tagged = tags.map(|tag| {
                tag.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            (referrers, tagged)
        });
        let failed = |error| StoreError::Registry(Box::new(error));
        let mut attached = Vec::new();
        for found in tagged {
            attached.extend(found.map_err(failed)?);
        }
        for manifest in referrers.map_err(failed)? {
            attached.push(Attached {
                manifest,
                link: Link::Subject,
            });
        }
        attached.retain(|one| one.manifest.digest() != subject);
        in_order(&mut attached);
        Ok(attached)
    }

    fn repository(&self) -> Option<&super::Repository> {
        Some(&self.reference.repository)
    }

    fn name(&self) -> String {
        self.reference.familiar()
    }
}

#[cfg(test)]
mod tests;
