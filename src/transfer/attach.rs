//! Attaching manifests to an image that is there.

use std::io::Read;

use oci_spec::image::{Descriptor, Digest, ImageIndex};

use super::push::{Receiver, Remote, blobs, put_manifests, upload};
use super::walk::walk;
use super::{Quiet, TransferError};
use crate::registry::{Client, RegistryError, Repository};
use crate::store::{self, Attachment, Entry, Link, Source, StoreError};

/// Where an image is that gets attachments.
#[derive(Debug, Clone, Copy)]
pub enum Home<'a> {
    /// A layout or an OCI archive.
    Disk(&'a std::path::Path),
    /// A repository.
    Registry {
        /// Who speaks with its registry.
        client: &'a Client,
        /// The repository.
        repository: &'a Repository,
    },
}

/// A manifest that should go and stays.
#[derive(Debug)]
pub struct Left {
    /// The manifest.
    pub digest: Digest,
    /// Why.
    pub why: Box<RegistryError>,
}

/// Attaches `attachments` to `image`, which is there. Then the manifests in `replaced` are
/// removed; those that the registry does not let go are returned, as many registries let none.
///
/// Blobs that an attachment needs and that are not among its documents have to be there.
///
/// # Errors
/// When they cannot be written.
pub fn attach(
    home: Home<'_>,
    image: &Descriptor,
    attachments: &[Attachment],
    replaced: &[Digest],
) -> Result<Vec<Left>, TransferError> {
    match home {
        Home::Disk(path) => {
            store::attach(path, image.digest(), attachments, replaced)?;
            Ok(Vec::new())
        }
        Home::Registry { client, repository } => {
            let receiver = Remote {
                client,
                repository,
                mounts: Vec::new(),
            };
            put(&receiver, attachments, client.options().parallel)?;
            Ok(remove(client, repository, image.digest(), replaced))
        }
    }
}

/// Puts the attachments there, each under its tag or its digest.
pub(super) fn put(
    receiver: &dyn Receiver,
    attachments: &[Attachment],
    parallel: std::num::NonZeroUsize,
) -> Result<(), TransferError> {
    for attachment in attachments {
        let entry = &attachment.entry;
        let source = Documents(entry);
        let walk = walk(&source, &entry.root)?;
        let mut blobs = blobs(&source, std::iter::once(&walk))?;
        blobs.retain(|(blob, _)| entry.document(blob.digest()).is_some());
        upload(&source, &blobs, receiver, parallel, &Quiet)?;
        let name = match &attachment.link {
            Link::Tag(tag) => tag,
            Link::Subject => entry.root.digest().as_ref(),
        };
        put_manifests(&source, &walk, receiver, name)?;
    }
    Ok(())
}

/// Removes what was attached to `subject`.
fn remove(
    client: &Client,
    repository: &Repository,
    subject: &Digest,
    replaced: &[Digest],
) -> Vec<Left> {
    let one = |digest: &Digest| -> Result<(), RegistryError> {
        client.delete_manifest(repository, digest)?;
        client.forget_referrer(repository, subject, digest)
    };
    let left = replaced.iter().filter_map(|digest| {
        let why = Box::new(one(digest).err()?);
        let digest = digest.clone();
        Some(Left { digest, why })
    });
    left.collect()
}

/// What an entry has in memory, as a store.
struct Documents<'a>(&'a Entry);

impl Source for Documents<'_> {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        let mut index = ImageIndex::default();
        index.set_manifests(vec![self.0.root.clone()]);
        Ok(index)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        match self.0.document(descriptor.digest()) {
            Some(bytes) => Ok(Box::new(bytes)),
            None => Err(StoreError::MissingBlob {
                store: self.name(),
                digest: descriptor.digest().to_string(),
            }),
        }
    }

    fn name(&self) -> String {
        "what is attached".to_owned()
    }
}
