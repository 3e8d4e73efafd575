//! To a registry.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use oci_spec::image::{Descriptor, Digest, MediaType};

use super::walk::{Walk, walk};
use super::work::{Stop, each};
use super::{Copied, Progress, TransferError};
use crate::registry::{Client, Reference, RegistryError, Repository, Uploaded};
use crate::store::{Source, StoreError};

/// Gives the content of a blob, from its beginning each time.
pub(super) type Open<'a> = dyn Fn() -> io::Result<Box<dyn Read + 'a>> + Sync + 'a;

/// A repository that takes images.
pub(super) trait Receiver: Sync {
    /// What has that tag or digest there.
    fn head(&self, wanted: &str) -> Result<Option<Descriptor>, RegistryError>;

    /// Sees to it that a blob is there.
    fn upload<'a>(
        &self,
        blob: &Descriptor,
        open: &'a Open<'a>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Uploaded, RegistryError>;

    /// Puts a manifest there.
    fn put(&self, wanted: &str, media_type: &MediaType, bytes: &[u8]) -> Result<(), RegistryError>;
}

/// A repository of a registry.
pub(super) struct Remote<'a> {
    pub(super) client: &'a Client,
    pub(super) repository: &'a Repository,
    /// Repositories of the same registry that may have some blobs.
    pub(super) mounts: Vec<Repository>,
}

impl Receiver for Remote<'_> {
    fn head(&self, wanted: &str) -> Result<Option<Descriptor>, RegistryError> {
        self.client.head_manifest(self.repository, wanted)
    }

    fn upload<'a>(
        &self,
        blob: &Descriptor,
        open: &'a Open<'a>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Uploaded, RegistryError> {
        self.client
            .upload(self.repository, blob, &self.mounts, open, progress)
    }

    fn put(&self, wanted: &str, media_type: &MediaType, bytes: &[u8]) -> Result<(), RegistryError> {
        self.client
            .put_manifest(self.repository, wanted, media_type, bytes)
            .map(drop)
    }
}

/// The repositories from which `target`'s registry may take blobs: its own, each once.
pub(super) fn mounts(
    source: &dyn Source,
    target: &Repository,
    given: &[Repository],
) -> Vec<Repository> {
    let mut mounts: Vec<Repository> = Vec::new();
    for candidate in source.repository().into_iter().chain(given) {
        let fits = candidate.host == target.host && candidate != target;
        if fits && !mounts.contains(candidate) {
            mounts.push(candidate.clone());
        }
    }
    mounts
}

/// What an image is to be called: by its tag, or by its digest where there is no other name.
///
/// # Errors
/// When the name has the digest of something else.
pub(super) fn name(reference: &Reference, root: &Descriptor) -> Result<String, TransferError> {
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) if digest != root.digest() => Err(TransferError::OtherDigest {
            reference: reference.to_string(),
            digest: root.digest().to_string(),
        }),
        (_, Some(tag)) => Ok(tag.clone()),
        (_, None) => Ok(reference.wanted()),
    }
}

/// Sends the image at `root` of `source`, to be called `wanted`.
pub(super) fn send(
    source: &dyn Source,
    root: &Descriptor,
    receiver: &dyn Receiver,
    wanted: &str,
    parallel: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Copied, TransferError> {
    let there = receiver.head(wanted).map_err(Box::new)?;
    if there.is_some_and(|there| there.digest() == root.digest()) {
        return Ok(Copied {
            images: images(source, root),
            unchanged: true,
            ..Copied::none(root)
        });
    }
    let walk = walk(source, root)?;
    let mut blobs = Vec::with_capacity(walk.entry.blobs.len());
    for (digest, bytes) in walk.configs() {
        let digest: Digest = digest
            .parse()
            .map_err(|error| StoreError::damaged(source.name(), "a digest", error))?;
        let described = Descriptor::new(MediaType::ImageConfig, bytes.len() as u64, digest);
        blobs.push((described, Some(bytes)));
    }
    blobs.extend(walk.entry.blobs.iter().map(|blob| (blob.clone(), None)));
    blobs.sort_by_key(|(blob, _)| std::cmp::Reverse(blob.size()));

    let sending = Sending {
        source,
        receiver,
        progress,
        total: AtomicU64::new(blobs.iter().map(|(blob, _)| blob.size()).sum()),
        sent: AtomicUsize::new(0),
        sent_bytes: AtomicU64::new(0),
        present: AtomicUsize::new(0),
        mounted: AtomicUsize::new(0),
    };
    progress.total(sending.total.load(Ordering::Relaxed));
    each(&blobs, parallel, &|(blob, bytes), stop| {
        sending.blob(blob, *bytes, stop)
    })?;
    put_manifests(source, &walk, receiver, wanted)?;
    Ok(Copied {
        root: root.clone(),
        images: walk.images,
        sent: sending.sent.into_inner(),
        sent_bytes: sending.sent_bytes.into_inner(),
        present: sending.present.into_inner(),
        mounted: sending.mounted.into_inner(),
        unchanged: false,
    })
}

/// The manifests by their digests, each after those that it lists; then the root by its name.
fn put_manifests(
    source: &dyn Source,
    walk: &Walk,
    receiver: &dyn Receiver,
    wanted: &str,
) -> Result<(), TransferError> {
    let root = &walk.entry.root;
    for manifest in &walk.order {
        let digest = manifest.digest();
        let bytes = walk
            .entry
            .document(digest)
            .ok_or_else(|| StoreError::MissingBlob {
                store: source.name(),
                digest: digest.to_string(),
            })?;
        let name = if digest == root.digest() {
            wanted
        } else {
            digest.as_ref()
        };
        receiver
            .put(name, manifest.media_type(), bytes)
            .map_err(Box::new)?;
    }
    Ok(())
}

/// How many images there are below `root`, for those who copied nothing; what cannot be read
/// is none.
fn images(source: &dyn Source, root: &Descriptor) -> usize {
    if !crate::store::is_index(root.media_type()) {
        return 1;
    }
    let index = crate::store::read_index(source, root);
    let entries = index.map(|index| index.manifests().clone());
    let is_image = |entry: &&Descriptor| {
        let platform = entry.platform().as_ref();
        crate::store::is_manifest(entry.media_type())
            && crate::store::attested(entry).is_none()
            && platform.is_none_or(|platform| platform.os().to_string() != "unknown")
    };
    entries.unwrap_or_default().iter().filter(is_image).count()
}

struct Sending<'a> {
    source: &'a dyn Source,
    receiver: &'a dyn Receiver,
    progress: &'a dyn Progress,
    /// The bytes that are not known to be there.
    total: AtomicU64,
    sent: AtomicUsize,
    sent_bytes: AtomicU64,
    present: AtomicUsize,
    mounted: AtomicUsize,
}

impl Sending<'_> {
    /// Sends one blob, from memory where its bytes are there.
    fn blob(
        &self,
        blob: &Descriptor,
        bytes: Option<&[u8]>,
        stop: &Stop,
    ) -> Result<(), TransferError> {
        // What the source said, which the registry's client can only pass on as a failure.
        let refused: Mutex<Option<StoreError>> = Mutex::new(None);
        let open = || -> io::Result<Box<dyn Read + '_>> {
            if let Some(bytes) = bytes {
                return Ok(Box::new(bytes));
            }
            match self.source.blob(blob) {
                Ok(reader) => Ok(Box::new(stop.watch(reader))),
                Err(error) => {
                    let shown = io::Error::other(error.to_string());
                    *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Err(shown)
                }
            }
        };
        let uploaded = self
            .receiver
            .upload(blob, &open, &|bytes| self.progress.advance(bytes));
        let uploaded = match uploaded {
            Ok(uploaded) => uploaded,
            Err(error) => {
                let refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
                return Err(match { refused }.take() {
                    Some(of_source) => of_source.into(),
                    None => Box::new(error).into(),
                });
            }
        };
        match uploaded {
            Uploaded::Sent => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                self.sent_bytes.fetch_add(blob.size(), Ordering::Relaxed);
                return Ok(());
            }
            Uploaded::Present => self.present.fetch_add(1, Ordering::Relaxed),
            Uploaded::Mounted => self.mounted.fetch_add(1, Ordering::Relaxed),
        };
        let before = self.total.fetch_sub(blob.size(), Ordering::Relaxed);
        self.progress.total(before.saturating_sub(blob.size()));
        Ok(())
    }
}
