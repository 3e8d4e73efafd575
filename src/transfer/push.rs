//! To a registry.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use oci_spec::image::{Descriptor, Digest, MediaType};

use super::along::{Along, Fate, gather, joined, written};
use super::walk::{Walk, walk};
use super::work::{Stop, each};
use super::{Chosen, Copied, Progress, TransferError};
use crate::registry::{Client, Reference, RegistryError, Repository, Uploaded};
use crate::store::{Link, Source, StoreError};

/// Gives the content of a blob, from its beginning each time.
pub(super) type Open<'a> = dyn Fn() -> io::Result<Box<dyn Read + 'a>> + Sync + 'a;

/// A repository that takes images.
pub(super) trait Receiver: Sync {
    /// What has that tag or digest there.
    fn head(&self, wanted: &str) -> Result<Option<Descriptor>, RegistryError>;

    /// The bytes of what has that tag or digest there.
    fn manifest(&self, wanted: &str) -> Result<Option<Vec<u8>>, RegistryError>;

    /// What refers to the manifest with this digest there.
    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError>;

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

    fn manifest(&self, wanted: &str) -> Result<Option<Vec<u8>>, RegistryError> {
        let found = self.client.own_manifest(self.repository, wanted)?;
        Ok(found.map(|manifest| manifest.bytes))
    }

    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        self.client.own_referrers(self.repository, subject)
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

/// Sends what is chosen of `source`, to be called `wanted`.
pub(super) fn send(
    source: &dyn Source,
    chosen: &Chosen,
    receiver: &dyn Receiver,
    wanted: &str,
    parallel: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Copied, TransferError> {
    let root = &chosen.root;
    let there = receiver.head(wanted).map_err(Box::new)?;
    let is_there = there.is_some_and(|there| there.digest() == root.digest());
    let along = match chosen.attached {
        true => gather(source, root, parallel)?,
        false => Vec::new(),
    };
    let along = fates(along, receiver, is_there, parallel)?;
    if is_there && written(&along).next().is_none() {
        return Ok(Copied {
            images: images(source, root),
            attached: along.len(),
            unchanged: true,
            ..Copied::none(root)
        });
    }
    let walk = match is_there {
        true => None,
        false => Some(walk(source, root)?),
    };
    let walks = written(&along).map(|(_, walk)| walk);
    let blobs = blobs(source, walk.iter().chain(walks))?;
    let sent = upload(source, &blobs, receiver, parallel, progress)?;
    // The image by its digest, so that what refers to it finds it; what is attached to it; and
    // the name, which is thus never to be seen without.
    let goes_along = written(&along).next().is_some();
    if let Some(walk) = &walk {
        let name = if goes_along {
            root.digest().as_ref()
        } else {
            wanted
        };
        put_manifests(source, walk, receiver, name)?;
    }
    put_along(source, &along, receiver, parallel)?;
    if let Some(walk) = &walk
        && goes_along
        && wanted != root.digest().as_ref()
    {
        put_root(source, walk, receiver, wanted)?;
    }
    Ok(Copied {
        images: walk
            .as_ref()
            .map_or_else(|| images(source, root), |walk| walk.images),
        attached: along.len(),
        ..sent.of(root)
    })
}

/// What becomes of each that goes along. Those that refer to an image that has its name already
/// may be there; to a new one they are put without a question.
fn fates(
    along: Vec<Along>,
    receiver: &dyn Receiver,
    is_there: bool,
    parallel: NonZeroUsize,
) -> Result<Vec<(Along, Fate)>, TransferError> {
    let listed = match is_there {
        true => listed(&along, receiver, parallel)?,
        false => BTreeSet::new(),
    };
    let fates: Mutex<BTreeMap<usize, Fate>> = Mutex::default();
    let numbered: Vec<(usize, &Along)> = along.iter().enumerate().collect();
    each(&numbered, parallel, &|(number, one), _| {
        let fate = match &one.link {
            Link::Subject if !listed.contains(one.name()) => Fate::Written,
            _ => fate(one, receiver)
                .map_err(|error| one.failed(Box::new(error)))?
                .ok_or_else(|| one.too_long())?,
        };
        let mut fates = fates.lock().unwrap_or_else(PoisonError::into_inner);
        fates.insert(*number, fate);
        Ok(())
    })?;
    let fates = fates.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(along.into_iter().zip(fates.into_values()).collect())
}

/// The digests of all that the receiver says refers to the subjects. One that does not say may be
/// sent them again.
fn listed(
    along: &[Along],
    receiver: &dyn Receiver,
    parallel: NonZeroUsize,
) -> Result<BTreeSet<String>, TransferError> {
    let mut subjects: Vec<&Digest> = along
        .iter()
        .filter(|one| one.link == Link::Subject)
        .map(|one| &one.subject)
        .collect();
    // They come in the order of their subjects.
    subjects.dedup();
    let listed: Mutex<BTreeSet<String>> = Mutex::default();
    each(&subjects, parallel, &|subject, _| {
        let found = receiver.referrers(subject).unwrap_or_default();
        let mut listed = listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.extend(found.iter().map(|one| one.digest().to_string()));
        Ok(())
    })?;
    Ok(listed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What becomes of one by what has its name; `None` when there would be too many.
fn fate(along: &Along, receiver: &dyn Receiver) -> Result<Option<Fate>, RegistryError> {
    let name = along.name();
    match receiver.head(name)? {
        None => Ok(Some(Fate::Written)),
        Some(there) if there.digest() == along.walk.entry.root.digest() => Ok(Some(Fate::There)),
        Some(_) => Ok(receiver
            .manifest(name)?
            .map_or(Some(Fate::Written), |theirs| joined(along, &theirs))),
    }
}

/// Puts what goes along under its names.
fn put_along(
    source: &dyn Source,
    along: &[(Along, Fate)],
    receiver: &dyn Receiver,
    parallel: NonZeroUsize,
) -> Result<(), TransferError> {
    let all: Vec<(&Along, &Walk)> = written(along).collect();
    each(&all, parallel, &|(one, walk), _| {
        let name = match &one.link {
            Link::Tag(tag) => tag,
            Link::Subject => walk.entry.root.digest().as_ref(),
        };
        put_manifests(source, walk, receiver, name).map_err(|error| one.failed(error))
    })
}

/// The manifests by their digests, each after those that it lists; then the root by its name.
pub(super) fn put_manifests(
    source: &dyn Source,
    walk: &Walk,
    receiver: &dyn Receiver,
    wanted: &str,
) -> Result<(), TransferError> {
    let root = walk.entry.root.digest();
    for manifest in walk.order.iter().filter(|one| one.digest() != root) {
        put(source, walk, receiver, manifest, manifest.digest().as_ref())?;
    }
    put_root(source, walk, receiver, wanted)
}

fn put_root(
    source: &dyn Source,
    walk: &Walk,
    receiver: &dyn Receiver,
    wanted: &str,
) -> Result<(), TransferError> {
    put(source, walk, receiver, &walk.entry.root, wanted)
}

fn put(
    source: &dyn Source,
    walk: &Walk,
    receiver: &dyn Receiver,
    manifest: &Descriptor,
    name: &str,
) -> Result<(), TransferError> {
    let digest = manifest.digest();
    let bytes = walk
        .entry
        .document(digest)
        .ok_or_else(|| StoreError::MissingBlob {
            store: source.name(),
            digest: digest.to_string(),
        })?;
    receiver
        .put(name, manifest.media_type(), bytes)
        .map_err(Box::new)?;
    Ok(())
}

/// A blob, and its bytes where they are in memory.
pub(super) type Blob<'w> = (Descriptor, Option<&'w [u8]>);

/// The blobs of all that was walked, each once, the largest first.
pub(super) fn blobs<'w>(
    source: &dyn Source,
    walks: impl Iterator<Item = &'w Walk>,
) -> Result<Vec<Blob<'w>>, TransferError> {
    let mut all: BTreeMap<String, Blob<'w>> = BTreeMap::new();
    for walk in walks {
        let mut found: Vec<Blob<'w>> = Vec::with_capacity(walk.entry.blobs.len());
        for (digest, bytes) in walk.configs() {
            let digest: Digest = digest
                .parse()
                .map_err(|error| StoreError::damaged(source.name(), "a digest", error))?;
            let described = Descriptor::new(MediaType::ImageConfig, bytes.len() as u64, digest);
            found.push((described, Some(bytes)));
        }
        found.extend(walk.entry.blobs.iter().map(|blob| (blob.clone(), None)));
        for (blob, bytes) in found {
            match all.entry(blob.digest().to_string()) {
                Slot::Vacant(free) => {
                    free.insert((blob, bytes));
                }
                Slot::Occupied(known) if known.get().0.size() != blob.size() => {
                    let (one, other) = (blob.size(), known.get().0.size());
                    let problem = format!("it is said to have {one} bytes, and {other} elsewhere");
                    let part = format!("the blob {}", blob.digest());
                    return Err(StoreError::damaged(source.name(), part, problem).into());
                }
                Slot::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.1 = known.1.or(bytes);
                }
            }
        }
    }
    let mut all: Vec<Blob<'w>> = all.into_values().collect();
    all.sort_by_key(|(blob, _)| std::cmp::Reverse(blob.size()));
    Ok(all)
}

/// Sees to it that all these blobs are there.
pub(super) fn upload(
    source: &dyn Source,
    blobs: &[Blob<'_>],
    receiver: &dyn Receiver,
    parallel: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Sent, TransferError> {
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
    each(blobs, parallel, &|(blob, bytes), stop| {
        sending.blob(blob, *bytes, stop)
    })?;
    Ok(Sent {
        sent: sending.sent.into_inner(),
        sent_bytes: sending.sent_bytes.into_inner(),
        present: sending.present.into_inner(),
        mounted: sending.mounted.into_inner(),
    })
}

/// What became of blobs.
pub(super) struct Sent {
    sent: usize,
    sent_bytes: u64,
    present: usize,
    mounted: usize,
}

impl Sent {
    /// As a copy of `root`.
    fn of(self, root: &Descriptor) -> Copied {
        Copied {
            sent: self.sent,
            sent_bytes: self.sent_bytes,
            present: self.present,
            mounted: self.mounted,
            ..Copied::none(root)
        }
    }
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
