//! All that an image consists of, from its root down.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use oci_spec::image::{Descriptor, MediaType};
use serde::Deserialize;

use super::TransferError;
use crate::image::parse;
use crate::store::{
    DEEPEST, DOCUMENT_LIMIT, Entry, MOST_MANIFESTS, Source, StoreError, attested, is_index,
    is_manifest, read_document,
};

/// The most blobs that an image may have.
const MOST_BLOBS: usize = 100_000;

/// The most bytes that all its documents may have together; they are held in memory.
const MOST_DOCUMENT_BYTES: u64 = 128 << 20;

/// The most bytes that all its parts may say to have together: what a file system and JSON's
/// readers in other languages can still tell, and no sum of them overflows.
const MOST_BYTES: u64 = i64::MAX as u64;

/// What is wrong with an image of too many parts.
pub(super) const TOO_MANY: &str = "it has too many manifests, or indexes within indexes";

/// How the media types of docker's oldest manifests begin, whose layers stand elsewhere in them.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// What an image consists of.
#[derive(Debug)]
pub(super) struct Walk {
    /// Its documents and blobs.
    pub(super) entry: Entry,
    /// Its manifests and indexes: each after those that it lists, the root last.
    pub(super) order: Vec<Descriptor>,
    /// Images among them: no attestations.
    pub(super) images: usize,
}

impl Walk {
    /// The configs among the documents: blobs for whoever takes them.
    pub(super) fn configs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let manifests: BTreeSet<&str> = self.order.iter().map(|d| d.digest().as_ref()).collect();
        self.entry
            .documents
            .iter()
            .filter(move |(digest, _)| !manifests.contains(digest.as_str()))
            .map(|(digest, bytes)| (digest.as_str(), bytes.as_slice()))
    }
}

/// What the documents of an image link to. Docker's have the same members.
#[derive(Deserialize)]
#[serde(expecting = "a manifest or an index, which is a JSON object")]
struct Links {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    /// Of the artifact manifests that image-spec 1.1 had before its release.
    blobs: Option<Vec<Descriptor>>,
}

enum Step {
    Enter(Descriptor, usize),
    Leave(Descriptor),
}

/// What several walks may take together.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes of documents that are held.
    bytes: AtomicU64,
    /// Blobs that were met.
    blobs: AtomicUsize,
}

/// Reads the documents of the image at `root`. What a manifest says is its `subject` is not
/// a part of it.
pub(super) fn walk(source: &dyn Source, root: &Descriptor) -> Result<Walk, TransferError> {
    walk_in(&Room::default(), source, root)
}

/// The same as one of several walks that share this room.
pub(super) fn walk_in(
    room: &Room,
    source: &dyn Source,
    root: &Descriptor,
) -> Result<Walk, TransferError> {
    let mut walker = Walker {
        source,
        root,
        room,
        documents: BTreeMap::new(),
        total: 0,
        blobs: BTreeMap::new(),
        sizes: BTreeMap::new(),
    };
    let (mut order, mut images) = (Vec::new(), 0);
    let mut seen = BTreeSet::new();
    let mut open = vec![Step::Enter(root.clone(), 0)];
    while let Some(step) = open.pop() {
        let (described, depth) = match step {
            Step::Leave(described) => {
                order.push(described);
                continue;
            }
            Step::Enter(described, depth) => (described, depth),
        };
        walker.check_size(&described)?;
        if !seen.insert(described.digest().to_string()) {
            continue;
        }
        if seen.len() > MOST_MANIFESTS || depth > DEEPEST {
            return Err(walker.too_much(TOO_MANY));
        }
        if !leads_on(described.media_type()) {
            let media_type = described.media_type().as_ref();
            if depth == 0 || media_type.starts_with(SCHEMA_1) {
                return Err(TransferError::MediaType {
                    store: source.name(),
                    digest: described.digest().to_string(),
                    media_type: media_type.to_owned(),
                });
            }
            // Entries of an index may be of any type (image-spec `image-index.md`).
            walker.add_blob(described)?;
            continue;
        }
        let links = walker.document(&described)?;
        let platform = described.platform().as_ref();
        let is_of_none = platform.is_some_and(|p| p.os().to_string() == "unknown");
        if !is_index(described.media_type()) && !is_of_none && attested(&described).is_none() {
            images += 1;
        }
        open.push(Step::Leave(described));
        if let Some(config) = links.config {
            walker.add_config(config)?;
        }
        let blobs = links.layers.into_iter().chain(links.blobs).flatten();
        for blob in blobs {
            walker.add_blob(blob)?;
        }
        let children = links.manifests.unwrap_or_default();
        // Those that were seen already count here, too: they take room.
        if open.len() + children.len() > 2 * MOST_MANIFESTS {
            return Err(walker.too_much(TOO_MANY));
        }
        let children = children.into_iter().rev();
        open.extend(children.map(|child| Step::Enter(child, depth + 1)));
    }
    // What is stored as a document need not be stored as a blob.
    let documents = walker.documents;
    walker
        .blobs
        .retain(|digest, _| !documents.contains_key(digest));
    let mut blobs = Vec::new();
    for blob in walker.blobs.into_values() {
        if !is_elsewhere(source, &blob)? {
            blobs.push(blob);
        }
    }
    Ok(Walk {
        entry: Entry {
            root: root.clone(),
            documents,
            blobs,
        },
        order,
        images,
    })
}

struct Walker<'a> {
    source: &'a dyn Source,
    root: &'a Descriptor,
    room: &'a Room,
    documents: BTreeMap<String, Vec<u8>>,
    /// What all parts so far say to have.
    total: u64,
    blobs: BTreeMap<String, Descriptor>,
    /// The size of everything by its digest: it cannot have two.
    sizes: BTreeMap<String, u64>,
}

impl Walker<'_> {
    fn document(&mut self, described: &Descriptor) -> Result<Links, TransferError> {
        let bytes = self.read(described)?;
        let damaged = |problem: String| {
            let part = format!("the blob {}", described.digest());
            StoreError::damaged(self.source.name(), part, problem)
        };
        let links: Links = parse(&bytes).map_err(|error| damaged(error.to_string()))?;
        // A document that is both would be another one for another reader (CVE-2021-41190).
        let is_both = if is_index(described.media_type()) {
            links.config.is_some() || links.layers.is_some()
        } else {
            links.manifests.is_some()
        };
        if is_both {
            return Err(damaged("it is an index and a manifest in one".to_owned()).into());
        }
        if is_manifest(described.media_type()) && links.config.is_none() {
            return Err(damaged("it is a manifest without a config".to_owned()).into());
        }
        self.documents.insert(described.digest().to_string(), bytes);
        Ok(links)
    }

    fn read(&mut self, described: &Descriptor) -> Result<Vec<u8>, TransferError> {
        // Documents are small, or said to be too large before this could overflow.
        let size = described.size().min(MOST_DOCUMENT_BYTES + 1);
        let before = self.room.bytes.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) > MOST_DOCUMENT_BYTES {
            return Err(self.too_much("its manifests and configs have more than 128 MiB"));
        }
        Ok(read_document(self.source, described)?)
    }

    fn add_config(&mut self, config: Descriptor) -> Result<(), TransferError> {
        let is_image = is_config(config.media_type()) && config.size() <= DOCUMENT_LIMIT;
        if !is_image {
            return self.add_blob(config);
        }
        self.check_size(&config)?;
        if !self.documents.contains_key(config.digest().as_ref()) {
            let bytes = self.read(&config)?;
            self.documents.insert(config.digest().to_string(), bytes);
        }
        Ok(())
    }

    fn add_blob(&mut self, blob: Descriptor) -> Result<(), TransferError> {
        if self.room.blobs.load(Ordering::Relaxed) >= MOST_BLOBS {
            return Err(self.too_much("it has more than 100 000 blobs"));
        }
        self.check_size(&blob)?;
        if let Slot::Vacant(free) = self.blobs.entry(blob.digest().to_string()) {
            free.insert(blob);
            self.room.blobs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn check_size(&mut self, described: &Descriptor) -> Result<(), TransferError> {
        match self.sizes.entry(described.digest().to_string()) {
            Slot::Vacant(free) => {
                free.insert(described.size());
                self.total = self.total.saturating_add(described.size());
                match self.total > MOST_BYTES {
                    true => Err(self.too_much("its parts say to have more bytes than can be")),
                    false => Ok(()),
                }
            }
            Slot::Occupied(known) if *known.get() == described.size() => Ok(()),
            Slot::Occupied(known) => {
                let problem = format!(
                    "it is said to have {} bytes, and {} elsewhere",
                    described.size(),
                    known.get()
                );
                let part = format!("the blob {}", described.digest());
                Err(StoreError::damaged(self.source.name(), part, problem).into())
            }
        }
    }

    fn too_much(&self, problem: &'static str) -> TransferError {
        TransferError::TooMuch {
            store: self.source.name(),
            root: self.root.digest().to_string(),
            problem,
        }
    }
}

/// Whether a document of that type links to others.
fn leads_on(media_type: &MediaType) -> bool {
    is_index(media_type) || is_manifest(media_type) || *media_type == MediaType::ArtifactManifest
}

/// Whether that is the type of an image's config.
pub(super) fn is_config(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageConfig
        || media_type.as_ref() == "application/vnd.docker.container.image.v1+json"
}

/// Whether a blob is one that may not be given away, is to be had at its URLs, and is not in
/// the source (image-spec `layer.md`, "Non-Distributable Layers"; docker's foreign layers).
fn is_elsewhere(source: &dyn Source, blob: &Descriptor) -> Result<bool, StoreError> {
    let media_type = blob.media_type().as_ref();
    let may_be = (media_type.contains("nondistributable") || media_type.contains(".foreign."))
        && blob.urls().as_ref().is_some_and(|urls| !urls.is_empty());
    if !may_be {
        return Ok(false);
    }
    match source.blob(blob) {
        Ok(_) => Ok(false),
        Err(StoreError::MissingBlob { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}
